//! Epoch, version and release, and rpm's way of ordering them.

use std::cmp::Ordering;
use std::fmt;

/// Epoch, version, release. Equality is by bytes; order is [`Evr::vercmp`], under which
/// different texts can compare equal (`1.0` and `1.00`), so there is no `Ord`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Evr {
    /// EPOCH, 0 when the header has none.
    pub epoch: u32,
    /// VERSION.
    pub version: String,
    /// RELEASE.
    pub release: String,
}

/// An [`Evr`] that lies somewhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EvrRef<'a> {
    /// EPOCH, 0 when the header has none.
    pub epoch: u32,
    /// VERSION.
    pub version: &'a str,
    /// RELEASE.
    pub release: &'a str,
}

impl Evr {
    /// rpm's order: epoch as a number, then version and release by [`rpmvercmp`].
    pub fn vercmp(&self, other: &Self) -> Ordering {
        self.borrowed().vercmp(other.borrowed())
    }

    /// The same, borrowed.
    pub fn borrowed(&self) -> EvrRef<'_> {
        EvrRef { epoch: self.epoch, version: &self.version, release: &self.release }
    }
}

impl EvrRef<'_> {
    /// rpm's order: epoch as a number, then version and release by [`rpmvercmp`].
    pub fn vercmp(self, other: EvrRef<'_>) -> Ordering {
        self.epoch
            .cmp(&other.epoch)
            .then_with(|| rpmvercmp(self.version.as_bytes(), other.version.as_bytes()))
            .then_with(|| rpmvercmp(self.release.as_bytes(), other.release.as_bytes()))
    }
}

impl fmt::Display for Evr {
    /// `[epoch:]version-release`, the epoch only when it is not 0.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.epoch != 0 {
            write!(f, "{}:", self.epoch)?;
        }
        write!(f, "{}-{}", self.version, self.release)
    }
}

/// Compares two version (or release) strings as librpm's `rpmvercmp` does: segments of digits
/// as numbers, segments of letters as text, digits newer than letters, `~` older than the end
/// and `^` newer than the end but older than anything else.
pub fn rpmvercmp(mut left: &[u8], mut right: &[u8]) -> Ordering {
    if left == right {
        return Ordering::Equal;
    }
    let separator = |byte: &u8| !(byte.is_ascii_alphanumeric() || matches!(byte, b'~' | b'^'));
    loop {
        left = trim_start(left, separator);
        right = trim_start(right, separator);
        match (left.first() == Some(&b'~'), right.first() == Some(&b'~')) {
            (true, true) => {
                (left, right) = (&left[1..], &right[1..]);
                continue;
            }
            (true, false) => return Ordering::Less,
            (false, true) => return Ordering::Greater,
            (false, false) => {}
        }
        match (left.first() == Some(&b'^'), right.first() == Some(&b'^')) {
            (true, true) => {
                (left, right) = (&left[1..], &right[1..]);
                continue;
            }
            // `1.0^x` is newer than `1.0` and older than `1.0.1`.
            (true, false) => {
                return if right.is_empty() { Ordering::Greater } else { Ordering::Less };
            }
            (false, true) => {
                return if left.is_empty() { Ordering::Less } else { Ordering::Greater };
            }
            (false, false) => {}
        }
        let (Some(first), false) = (left.first(), right.is_empty()) else {
            return left.len().cmp(&right.len());
        };
        let order = if first.is_ascii_digit() {
            let (a, b);
            (a, left) = take_while(left, u8::is_ascii_digit);
            (b, right) = take_while(right, u8::is_ascii_digit);
            if b.is_empty() {
                return Ordering::Greater;
            }
            let (a, b) = (trim_start(a, |d| *d == b'0'), trim_start(b, |d| *d == b'0'));
            a.len().cmp(&b.len()).then_with(|| a.cmp(b))
        } else {
            let (a, b);
            (a, left) = take_while(left, u8::is_ascii_alphabetic);
            (b, right) = take_while(right, u8::is_ascii_alphabetic);
            if b.is_empty() {
                return Ordering::Less;
            }
            a.cmp(b)
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

fn trim_start(text: &[u8], unwanted: impl Fn(&u8) -> bool) -> &[u8] {
    take_while(text, unwanted).1
}

fn take_while(text: &[u8], wanted: impl Fn(&u8) -> bool) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(|byte| !wanted(byte)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering::{Equal, Greater, Less};

    use super::*;

    /// The pairs of rpm's own test suite and more of their kind; every answer is librpm 4.18's.
    const TABLE: &[(&str, Ordering, &str)] = &[
        ("1.0", Equal, "1.0"),
        ("1.0", Less, "2.0"),
        ("2.0.1", Equal, "2.0.1"),
        ("2.0", Less, "2.0.1"),
        ("2.0.1a", Equal, "2.0.1a"),
        ("2.0.1", Less, "2.0.1a"),
        ("5.5p1", Equal, "5.5p1"),
        ("5.5p1", Less, "5.5p2"),
        ("5.5p10", Equal, "5.5p10"),
        ("5.5p1", Less, "5.5p10"),
        ("10xyz", Less, "10.1xyz"),
        ("xyz10", Equal, "xyz10"),
        ("xyz10", Less, "xyz10.1"),
        ("xyz.4", Equal, "xyz.4"),
        ("xyz.4", Less, "8"),
        ("xyz.4", Less, "2"),
        ("5.5p2", Less, "5.6p1"),
        ("5.6p1", Less, "6.5p1"),
        ("6.0.rc1", Greater, "6.0"),
        ("10b2", Greater, "10a1"),
        ("10a2", Less, "10b2"),
        ("1.0aa", Equal, "1.0aa"),
        ("1.0a", Less, "1.0aa"),
        ("10.0001", Equal, "10.0001"),
        ("10.0001", Equal, "10.1"),
        ("10.0001", Less, "10.0039"),
        ("4.999.9", Less, "5.0"),
        ("20101121", Equal, "20101121"),
        ("20101121", Less, "20101122"),
        ("2_0", Equal, "2_0"),
        ("2.0", Equal, "2_0"),
        ("2_0", Equal, "2.0"),
        ("a", Equal, "a"),
        ("a+", Equal, "a+"),
        ("a+", Equal, "a_"),
        ("+a", Equal, "+a"),
        ("+a", Equal, "_a"),
        ("+_", Equal, "+_"),
        ("_+", Equal, "+_"),
        ("+", Equal, "_"),
        ("_", Equal, "+"),
        ("1.0~rc1", Equal, "1.0~rc1"),
        ("1.0~rc1", Less, "1.0"),
        ("1.0~rc1", Less, "1.0~rc2"),
        ("1.0~rc1~git123", Equal, "1.0~rc1~git123"),
        ("1.0~rc1~git123", Less, "1.0~rc1"),
        ("1.0^", Equal, "1.0^"),
        ("1.0^", Greater, "1.0"),
        ("1.0^git1", Equal, "1.0^git1"),
        ("1.0^git1", Greater, "1.0"),
        ("1.0^git1", Less, "1.0^git2"),
        ("1.0^git1", Less, "1.01"),
        ("1.0^20160101", Less, "1.0.1"),
        ("1.0^20160101^git1", Equal, "1.0^20160101^git1"),
        ("1.0^20160102", Greater, "1.0^20160101^git1"),
        ("1.0~rc1^git1", Equal, "1.0~rc1^git1"),
        ("1.0~rc1^git1", Greater, "1.0~rc1"),
        ("1.0^git1~pre", Equal, "1.0^git1~pre"),
        ("1.0^git1~pre", Less, "1.0^git1"),
        ("1b.fc17", Equal, "1b.fc17"),
        ("1b.fc17", Less, "1.fc17"),
        ("1g.fc17", Greater, "1.fc17"),
        ("1.fc17", Less, "1.fc18"),
        ("1..0", Equal, "1.0"),
        ("1.0.", Equal, "1.0"),
        ("1.0..", Equal, "1.0"),
        (".1", Equal, "1"),
        ("~", Less, "1"),
        ("~", Greater, "~~"),
        ("^", Less, "1"),
        ("^", Greater, "~"),
        ("~^", Greater, "~"),
        ("^~", Less, "^"),
        ("^^", Greater, "^"),
        ("1.0~", Less, "1.0"),
        ("1.0~~", Less, "1.0~"),
        ("1.00", Equal, "1.0"),
        ("001", Equal, "1"),
        ("0", Equal, "00"),
        ("000", Greater, "~"),
        ("1a", Greater, "1"),
        ("1a", Equal, "1.a"),
        ("1.a", Less, "1.1"),
        ("a", Less, "1"),
        ("A", Less, "a"),
        ("Z", Less, "a"),
        ("a1", Equal, "a01"),
        ("a1", Less, "aa"),
        ("123456789012345678901234567890", Less, "123456789012345678901234567891"),
        ("99999999999999999999", Greater, "1"),
        ("0000000000000000000001", Less, "2"),
        ("1.é", Equal, "1"),
        ("é", Less, "1"),
        ("é", Equal, "ü"),
        ("1é2", Equal, "1.2"),
        ("1.0^a", Less, "1.0.a"),
        ("1.0^", Greater, "1.0~"),
        ("1.0^1", Greater, "1.0~1"),
        ("1.0.^1", Equal, "1.0^1"),
        ("1.0.~1", Equal, "1.0~1"),
        ("rc1", Less, "1"),
        ("1.0rc1", Equal, "1.0.rc1"),
        ("2.el9", Less, "2.el9_1"),
        ("2.el9", Less, "2.el10"),
        ("7.4.629", Less, "7.4.1689"),
        ("1.4.0b2", Greater, "1.4.0"),
        ("1.1.1k", Greater, "1.1.1"),
        ("1.1.1k", Less, "1.1.1w"),
        ("9.0p1", Greater, "9.0"),
        ("1.0+git5", Greater, "1.0"),
        ("1.0+git5", Greater, "1.0^git5"),
        ("1.0+git5", Equal, "1.0.git5"),
        ("2024a", Less, "2024b"),
        ("0.9.10", Greater, "0.9.9"),
    ];

    #[test]
    fn versions_compare_as_librpm_compares_them() {
        for (left, order, right) in TABLE {
            assert_eq!(rpmvercmp(left.as_bytes(), right.as_bytes()), *order, "{left} {right}");
            assert_eq!(rpmvercmp(right.as_bytes(), left.as_bytes()), order.reverse(), "{right} {left}");
        }
    }

    #[test]
    fn epoch_comes_before_version_and_version_before_release() {
        let evr = |epoch, version: &str, release: &str| Evr { epoch, version: version.into(), release: release.into() };
        assert_eq!(evr(1, "1", "1").vercmp(&evr(0, "2", "2")), Greater);
        assert_eq!(evr(0, "1", "2").vercmp(&evr(0, "2", "1")), Less);
        assert_eq!(evr(0, "1", "1.el9").vercmp(&evr(0, "1", "1.el10")), Less);
        assert_eq!(evr(0, "1.0", "1").vercmp(&evr(0, "1.00", "01")), Equal);
        assert_ne!(evr(0, "1.0", "1"), evr(0, "1.00", "01"));
        assert_eq!(evr(0, "1", "2").to_string(), "1-2");
        assert_eq!(evr(3, "1", "2").to_string(), "3:1-2");
    }
}
