//! The region of a header: its first entry, whose data is one more index entry, the trailer, which
//! says how many entries the region covers.
//!
//! A main header's region covers all of it. A signature header's need not: some signing servers put
//! file signatures behind it, as entries of its index and data behind the trailer. What of librpm's
//! rules is kept, and what not, is in `docs/design/headers.md`.

use super::entry::{ENTRY_BYTES, Entry, Limits};
use super::error::{Fault, Section};
use super::value::Kind;
use crate::tag;

/// Where a region's trailer stands in the data. Its bytes need not be there yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Region {
    trailer: usize,
}

impl Region {
    /// The region of the header with this index, when its first entry is one; packages from before rpm 4
    /// have none.
    pub(super) fn of(index: &[u8], data_bytes: usize, limits: &Limits) -> Result<Option<Self>, Fault> {
        let (first, expected) = (Entry::read(index), limits.region.number());
        if first.tag != expected {
            return Ok(None);
        }
        if !first.is_region(expected) {
            return Err(Fault::BadRegion("wrong type or size"));
        }
        let trailer = first.offset as usize;
        match data_bytes.checked_sub(trailer) {
            None | Some(0..ENTRY_BYTES) => Err(Fault::BadRegion("trailer outside the data")),
            Some(ENTRY_BYTES) => Ok(Some(Self { trailer })),
            // In a file nothing was added to a main header after it was built.
            Some(_) if limits.section == Section::Main => Err(Fault::BadRegion("data after its end")),
            Some(_) => Ok(Some(Self { trailer })),
        }
    }

    /// Whether data from `start` to `end` would share bytes with the trailer.
    pub(super) fn is_overlapped_by(self, start: usize, end: usize) -> bool {
        start < self.trailer + ENTRY_BYTES && end > self.trailer
    }

    /// Checks the trailer, and answers how many entries the region covers, its own included.
    pub(super) fn covered(self, index: &[u8], data: &[u8], limits: &Limits) -> Result<usize, Fault> {
        let (trailer, expected) = (Entry::read(&data[self.trailer..]), limits.region.number());
        // Some old packages close the signature region with the number of the image region.
        let alias = limits.section == Section::Signature && trailer.is_region(tag::HEADERIMAGE.number());
        if !trailer.is_region(expected) && !alias {
            return Err(Fault::BadRegion("wrong trailer"));
        }
        // The trailer points back over the index it covers.
        let back = trailer.offset.wrapping_neg() as usize;
        let fits = match limits.section {
            Section::Signature => (ENTRY_BYTES..=index.len()).contains(&back) && back.is_multiple_of(ENTRY_BYTES),
            Section::Lead | Section::Main => back == index.len(),
        };
        if !fits {
            return Err(Fault::BadRegion("covers another number of entries"));
        }
        // librpm takes the region for all there is when its trailer stands before all data.
        Ok(if self.trailer == 0 { index.len() } else { back } / ENTRY_BYTES)
    }
}

impl Entry {
    fn is_region(self, tag: u32) -> bool {
        self.tag == tag && self.kind == Kind::BYTES && self.count as usize == ENTRY_BYTES
    }
}
