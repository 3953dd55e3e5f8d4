//! Types of header data, and lists of it read without copying.

use std::iter::FusedIterator;

use memchr::memchr;

use super::entry::Entry;

/// What an index entry's type number stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Numbers of so many bytes each (CHAR counts as one byte).
    Integer(u8),
    Text,
    Bytes,
    Texts,
    Locales,
}

impl Kind {
    pub(super) const BYTES: u32 = 7;

    /// `None` for numbers that mean nothing. NULL (0) is among them: librpm refuses data
    /// without length.
    pub(super) fn of(number: u32) -> Option<Self> {
        match number {
            1 | 2 => Some(Self::Integer(1)),
            3 => Some(Self::Integer(2)),
            4 => Some(Self::Integer(4)),
            5 => Some(Self::Integer(8)),
            6 => Some(Self::Text),
            Self::BYTES => Some(Self::Bytes),
            8 => Some(Self::Texts),
            9 => Some(Self::Locales),
            _ => None,
        }
    }

    /// Whether data of this type is read as data of the other: the types of strings are all alike.
    pub(super) fn is_like(self, other: u32) -> bool {
        let text = |kind| matches!(kind, Self::Text | Self::Texts | Self::Locales);
        Self::of(other).is_some_and(|other| self == other || text(self) && text(other))
    }

    pub(super) fn alignment(self) -> usize {
        match self {
            Self::Integer(width) => usize::from(width),
            Self::Text | Self::Bytes | Self::Texts | Self::Locales => 1,
        }
    }

    /// Bytes that an entry's values take at least of the `available` ones, or why they cannot fit:
    /// all that can be said before the data is there.
    pub(super) fn least_length(self, entry: Entry, available: usize) -> Result<usize, &'static str> {
        let within = |width: u8, problem| {
            let bytes = (entry.count as usize).checked_mul(usize::from(width));
            bytes.filter(|bytes| *bytes <= available).ok_or(problem)
        };
        match self {
            Self::Integer(width) => within(width, "ends outside the data"),
            Self::Bytes => within(1, "ends outside the data"),
            Self::Text if entry.count != 1 => Err("a string that is more than one"),
            // Each has its NUL.
            Self::Text | Self::Texts | Self::Locales => within(1, "a string without an end"),
        }
    }

    /// Bytes that an entry's values take at the start of `data`, or why they do not fit.
    pub(super) fn length(self, entry: Entry, data: &[u8]) -> Result<usize, &'static str> {
        let least = self.least_length(entry, data.len())?;
        match self {
            Self::Integer(_) | Self::Bytes => Ok(least),
            Self::Text | Self::Texts | Self::Locales => texts_length(data, entry.count),
        }
    }
}

fn texts_length(data: &[u8], count: u32) -> Result<usize, &'static str> {
    let mut length = 0;
    for _ in 0..count {
        let text = memchr(0, &data[length..]);
        length += text.ok_or("a string without an end")? + 1;
    }
    Ok(length)
}

/// A list of texts, each without its NUL; by default an empty one.
#[derive(Debug, Clone, Default)]
pub struct Texts<'a> {
    data: &'a [u8],
    left: u32,
}

impl<'a> Texts<'a> {
    /// `data` starts with `count` texts, each ended by a NUL.
    pub(super) fn new(data: &'a [u8], count: u32) -> Self {
        Self { data, left: count }
    }
}

impl<'a> Iterator for Texts<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.left = self.left.checked_sub(1)?;
        let end = memchr(0, self.data).expect("every text was seen to end");
        let text = &self.data[..end];
        self.data = &self.data[end + 1..];
        Some(text)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for Texts<'_> {}
impl FusedIterator for Texts<'_> {}

/// A list of unsigned numbers.
#[derive(Debug, Clone)]
pub struct Integers<'a> {
    numbers: std::slice::ChunksExact<'a, u8>,
}

impl<'a> Integers<'a> {
    /// `data` holds big-endian numbers of `width` bytes.
    pub(super) fn new(data: &'a [u8], width: u8) -> Self {
        Self { numbers: data.chunks_exact(usize::from(width)) }
    }
}

impl Iterator for Integers<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        Some(self.numbers.next()?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.numbers.size_hint()
    }
}

impl ExactSizeIterator for Integers<'_> {}
impl FusedIterator for Integers<'_> {}
