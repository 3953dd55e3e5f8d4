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

impl Evr {
    /// rpm's order: epoch as a number, then version and release by [`rpmvercmp`].
    pub fn vercmp(&self, other: &Self) -> Ordering {
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
