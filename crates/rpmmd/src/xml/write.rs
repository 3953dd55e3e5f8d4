//! Writing: escaping and numbers, straight into a byte buffer, without allocating.
//!
//! Never emits a character that XML forbids: such a one becomes U+FFFD even if nobody
//! upstream replaced it, because one of them makes every client reject the whole repository.

use crate::checksum::Sha256;

const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();

/// What a byte asks of the writer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Stands for itself in texts and attributes.
    Raw,
    /// Stands for itself in texts, is escaped in attributes (where a parser would make a blank of it).
    AttributeOnly,
    /// Is escaped, or replaced, everywhere.
    Everywhere,
    /// May begin U+FFFE or U+FFFF.
    Suspect,
}

const CLASSES: [Class; 256] = classes();

const fn classes() -> [Class; 256] {
    let mut classes = [Class::Raw; 256];
    let mut byte = 0;
    while byte < 0x20 {
        classes[byte] = Class::Everywhere;
        byte += 1;
    }
    classes[b'\t' as usize] = Class::AttributeOnly;
    classes[b'\n' as usize] = Class::AttributeOnly;
    classes[b'"' as usize] = Class::AttributeOnly;
    classes[b'&' as usize] = Class::Everywhere;
    classes[b'<' as usize] = Class::Everywhere;
    classes[b'>' as usize] = Class::Everywhere;
    classes[0xef] = Class::Suspect;
    classes
}

/// Appends element content: `& < >` escaped, carriage return as `&#13;`, everything else raw.
pub(crate) fn escape_text(out: &mut Vec<u8>, text: &str) {
    // Nearly all texts are plain, which is seen many bytes at a time since none ends it early.
    let special = |byte: u8| matches!(byte, 0..=8 | 11..=31 | b'&' | b'<' | b'>' | 0xef);
    if text.bytes().fold(false, |any, byte| any | special(byte)) {
        escape::<false>(out, text.as_bytes());
    } else {
        out.extend_from_slice(text.as_bytes());
    }
}

/// Appends an attribute value for double quotes: as content, and `"`, tab and line feed escaped.
pub(crate) fn escape_attribute(out: &mut Vec<u8>, text: &str) {
    let special = |byte: u8| matches!(byte, 0..=31 | b'"' | b'&' | b'<' | b'>' | 0xef);
    if text.bytes().fold(false, |any, byte| any | special(byte)) {
        escape::<true>(out, text.as_bytes());
    } else {
        out.extend_from_slice(text.as_bytes());
    }
}

fn escape<const ATTRIBUTE: bool>(out: &mut Vec<u8>, text: &[u8]) {
    let (mut raw_from, mut at) = (0, 0);
    while at < text.len() {
        let byte = text[at];
        let escaped = match CLASSES[usize::from(byte)] {
            Class::Raw => None,
            Class::AttributeOnly if !ATTRIBUTE => None,
            Class::AttributeOnly | Class::Everywhere => Some((escape_of(byte), 1)),
            Class::Suspect => match text.get(at + 1..at + 3) {
                Some([0xbf, 0xbe | 0xbf]) => Some((REPLACEMENT, 3)),
                Some(_) | None => None,
            },
        };
        match escaped {
            None => at += 1,
            Some((escape, width)) => {
                out.extend_from_slice(&text[raw_from..at]);
                out.extend_from_slice(escape);
                at += width;
                raw_from = at;
            }
        }
    }
    out.extend_from_slice(&text[raw_from..]);
}

fn escape_of(byte: u8) -> &'static [u8] {
    match byte {
        b'&' => b"&amp;",
        b'<' => b"&lt;",
        b'>' => b"&gt;",
        b'"' => b"&quot;",
        b'\t' => b"&#9;",
        b'\n' => b"&#10;",
        b'\r' => b"&#13;",
        _ => REPLACEMENT,
    }
}

/// Appends a number in decimal.
pub(crate) fn number(out: &mut Vec<u8>, mut number: u64) {
    // u64::MAX has 20 digits.
    let mut digits = [0u8; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + u8::try_from(number % 10).expect("a decimal digit fits a byte");
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[first..]);
}

/// Appends ` name="value"`.
pub(crate) fn attribute(out: &mut Vec<u8>, name: &str, value: &str) {
    open_attribute(out, name);
    escape_attribute(out, value);
    out.push(b'"');
}

/// Appends ` name="value"` for a number.
pub(crate) fn number_attribute(out: &mut Vec<u8>, name: &str, value: u64) {
    open_attribute(out, name);
    number(out, value);
    out.push(b'"');
}

/// Appends the digest in hexadecimal.
pub(crate) fn digest(out: &mut Vec<u8>, digest: &Sha256) {
    out.extend_from_slice(&digest.to_hex());
}

fn open_attribute(out: &mut Vec<u8>, name: &str) {
    out.push(b' ');
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"=\"");
}

/// Appends `<name>text</name>` on a line of its own, after `indent`. An empty text makes an
/// element that is there and empty, as in createrepo_c's output.
pub(crate) fn text_element(out: &mut Vec<u8>, indent: &str, name: &str, text: &str) {
    out.extend_from_slice(indent.as_bytes());
    out.push(b'<');
    out.extend_from_slice(name.as_bytes());
    out.push(b'>');
    escape_text(out, text);
    out.extend_from_slice(b"</");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b">\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn texts_escape_markup_and_carriage_return_only() {
        let text = "a&b<c>d\"e'f\tg\nh\ri ü \u{7f}\u{85}]]>";
        assert_eq!(written(|out| escape_text(out, text)), "a&amp;b&lt;c&gt;d\"e'f\tg\nh&#13;i ü \u{7f}\u{85}]]&gt;");
    }

    #[test]
    fn attributes_escape_quotes_and_white_space_too() {
        assert_eq!(written(|out| escape_attribute(out, "\"'\t\n\r&é")), "&quot;'&#9;&#10;&#13;&amp;é");
    }

    #[test]
    fn forbidden_characters_become_the_replacement_character() {
        let forbidden: String =
            ('\0'..=char::MAX).filter(|c| crate::xml::is_forbidden(*c)).flat_map(|c| [c, 'x']).collect();
        assert_eq!(forbidden.chars().count(), 2 * 31);
        assert_eq!(written(|out| escape_text(out, &forbidden)), "\u{fffd}x".repeat(31));
        assert_eq!(written(|out| escape_attribute(out, &forbidden)), "\u{fffd}x".repeat(31));
        assert_eq!(written(|out| escape_text(out, "\u{fffd}\u{feff}\u{ffef}")), "\u{fffd}\u{feff}\u{ffef}");
    }

    #[test]
    fn digests_are_written_as_they_print() {
        let of_nothing = Sha256::of(b"");
        assert_eq!(written(|out| digest(out, &of_nothing)), of_nothing.to_string());
    }

    #[test]
    fn numbers_are_decimal() {
        for value in [0, 9, 10, 4_294_967_296, u64::MAX] {
            assert_eq!(written(|out| number(out, value)), value.to_string());
        }
    }
}
