//! From the path of a request to the key of an object, and from the key to the path of S3's address.
//!
//! A path is decoded exactly once and a key is encoded exactly once, so the `+` and the `%2B` of a client become the
//! same `%2B`. S3 reads a bare `+` as a space, and zypper sends one. A path that a server might read in two ways is
//! refused: dot segments, empty segments, encoded slashes, backslashes, control characters, what is no UTF-8.

use std::fmt::Write as _;

/// S3 has no longer ones.
const MAX_KEY_BYTES: usize = 1024;

/// The key of an object that may be signed for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key(String);

/// Why a path is no key.
pub(crate) type Why = &'static str;

impl Key {
    /// From plain text.
    pub(crate) fn new(text: &str) -> Result<Self, Why> {
        if text.len() > MAX_KEY_BYTES {
            return Err("the key is longer than 1,024 bytes");
        }
        if text.chars().any(char::is_control) {
            return Err("the path has a control character in it");
        }
        if text.contains('\\') {
            return Err("the path has a backslash in it");
        }
        if text.split('/').any(str::is_empty) {
            return Err("the path has an empty segment (// or a slash at its end): there are no folders to list");
        }
        if text.split('/').any(|segment| segment == "." || segment == "..") {
            return Err("the path has a segment . or .. in it");
        }
        Ok(Self(text.to_owned()))
    }

    /// From the path of a request, without the slash at its start.
    pub(crate) fn from_path(path: &str) -> Result<Self, Why> {
        let mut bytes = Vec::with_capacity(path.len());
        let mut rest = path.bytes();
        while let Some(byte) = rest.next() {
            if byte != b'%' {
                bytes.push(byte);
                continue;
            }
            let digits = (rest.next().and_then(hex), rest.next().and_then(hex));
            let (Some(high), Some(low)) = digits else {
                return Err("the path has a % in it that two hexadecimal digits do not follow (a % itself is %25)");
            };
            match high << 4 | low {
                b'/' => return Err("the path has an encoded slash in it"),
                decoded => bytes.push(decoded),
            }
        }
        Self::new(std::str::from_utf8(&bytes).map_err(|_| "the path is not UTF-8")?)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// As it stands in S3's address.
    pub(crate) fn encoded(&self) -> String {
        encode(&self.0, true)
    }
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Every byte but unreserved ones (RFC 3986) as `%XX`, as SigV4 wants it.
pub(crate) fn encode(text: &str, keeps_slashes: bool) -> String {
    let mut encoded = String::with_capacity(text.len() + text.len() / 4);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || (keeps_slashes && byte == b'/') {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("a string takes whatever is written to it");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_key_leaves_as_one() {
        for (path, leaves) in [
            ("repo/libstdc++.rpm", "repo/libstdc%2B%2B.rpm"),
            ("repo/libstdc%2B%2b.rpm", "repo/libstdc%2B%2B.rpm"),
            ("a%20b", "a%20b"),
            ("a~b%7Ec", "a~b~c"),
            ("a^b%5Ec", "a%5Eb%5Ec"),
            ("100%25", "100%25"),
            ("%2541", "%2541"),
            ("%252e%252e/x", "%252e%252e/x"),
            ("a&b=c;d,e@f:g!h$i'j(k)l*m", "a%26b%3Dc%3Bd%2Ce%40f%3Ag%21h%24i%27j%28k%29l%2Am"),
            ("%C3%A9", "%C3%A9"),
            ("...", "..."),
        ] {
            assert_eq!(Key::from_path(path).unwrap().encoded(), leaves, "{path}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for path in [
            "",
            "/",
            "a//b",
            "a/",
            "/a",
            ".",
            "..",
            "a/../b",
            "a/./b",
            "%2e%2E/b",
            "a/.%2e",
            "a%2Fb",
            "a%2fb",
            "a%5Cb",
            "a\\b",
            "a%00b",
            "a%0Ab",
            "a%7Fb",
            "a%C2%85b",
            "%FF",
            "%C3",
            "%",
            "%4",
            "%zz",
            "%+1",
            "%C0%AE%C0%AE/x",
        ] {
            assert!(Key::from_path(path).is_err(), "{path}");
        }
        assert!(Key::from_path(&"a".repeat(1024)).is_ok());
        assert!(Key::from_path(&"a".repeat(1025)).is_err());
    }
}
