//! One entry of a header's index, and how many librpm takes.

use super::error::Section;
use crate::tag::Tag;

pub(super) const ENTRY_BYTES: usize = 16;

/// What librpm accepts at most of one header.
pub(super) struct Limits {
    pub(super) section: Section,
    pub(super) region: Tag,
    pub(super) entries: u32,
    pub(super) data_bytes: u32,
}

#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) tag: u32,
    pub(super) kind: u32,
    pub(super) offset: u32,
    pub(super) count: u32,
}

impl Entry {
    pub(super) fn read(bytes: &[u8]) -> Self {
        Self { tag: word(bytes, 0), kind: word(bytes, 4), offset: word(bytes, 8), count: word(bytes, 12) }
    }
}

pub(super) fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes are four bytes"))
}
