//! A file's signature header taken apart, to be put together otherwise than anybody does.

use forge::header::{assemble, entry};

/// Alignment of each type's data, by its number.
const ALIGNMENTS: [usize; 10] = [1, 1, 1, 2, 4, 8, 1, 1, 1, 1];
const LEAD_BYTES: usize = 96;
const REGION: u32 = 62;
const BYTES: u32 = 7;

/// One tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Raw {
    pub(super) tag: u32,
    pub(super) kind: u32,
    pub(super) count: u32,
    pub(super) data: Vec<u8>,
}

impl Raw {
    pub(super) fn new(tag: u32, kind: u32, count: u32, data: impl Into<Vec<u8>>) -> Self {
        Self { tag, kind, count, data: data.into() }
    }
}

/// What the region's entry and its trailer say.
#[derive(Debug, Clone)]
pub(super) struct Region {
    /// Tag, type and count of the index entry.
    pub(super) entry: [u32; 3],
    /// Tag, type and count of the trailer.
    pub(super) trailer: [u32; 3],
    /// Where the trailer is said to stand, if not where it does.
    pub(super) offset: Option<u32>,
    /// How many entries are said to be covered, if not those that stand inside.
    pub(super) covers: Option<u32>,
}

/// A package, with its signature header in pieces.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    lead: Vec<u8>,
    /// Main header and payload.
    pub(super) content: Vec<u8>,
    pub(super) inside: Vec<Raw>,
    pub(super) region: Option<Region>,
    pub(super) behind: Vec<Raw>,
    /// Data that no tag has.
    pub(super) surplus: Vec<u8>,
    /// What stands between the headers.
    pub(super) padding: u8,
    /// Numbers written over those of the index at the end: entry, field of it, number.
    pub(super) patches: Vec<(usize, usize, u32)>,
    /// What the intro says of entries and bytes, if not what is there.
    pub(super) intro: [Option<u32>; 2],
}

impl Layout {
    /// Of a well-formed file.
    pub(super) fn of(file: &[u8]) -> Self {
        let number = |at: usize| u32::from_be_bytes(file[at..at + 4].try_into().unwrap());
        let start = LEAD_BYTES + 16;
        let (entries, bytes) = (number(start - 8) as usize, number(start - 4) as usize);
        let data = &file[start + 16 * entries..][..bytes];
        let inside = (1..entries).map(|index| {
            let [tag, kind, offset, count] = [0, 4, 8, 12].map(|field| number(start + 16 * index + field));
            let data = &data[offset as usize..];
            let length = match kind {
                6 | 8 | 9 => {
                    let ends = data.iter().enumerate().filter(|(_, byte)| **byte == 0).map(|(at, _)| at + 1);
                    ends.take(count as usize).last().unwrap()
                }
                _ => count as usize * ALIGNMENTS[kind as usize],
            };
            Raw::new(tag, kind, count, &data[..length])
        });
        Self {
            lead: file[..LEAD_BYTES].to_vec(),
            content: file[(start + 16 * entries + bytes).next_multiple_of(8)..].to_vec(),
            inside: inside.collect(),
            region: Some(Region {
                entry: [REGION, BYTES, 16],
                trailer: [REGION, BYTES, 16],
                offset: None,
                covers: None,
            }),
            behind: Vec::new(),
            surplus: Vec::new(),
            padding: 0,
            patches: Vec::new(),
            intro: [None; 2],
        }
    }

    /// The value of a tag inside the region.
    pub(super) fn inside(&mut self, tag: u32) -> Option<&mut Raw> {
        self.inside.iter_mut().find(|raw| raw.tag == tag)
    }

    /// The file.
    pub(super) fn build(&self) -> Vec<u8> {
        let (mut index, mut data) = (Vec::new(), Vec::new());
        let put = |index: &mut Vec<u8>, data: &mut Vec<u8>, raw: &Raw| {
            let align = ALIGNMENTS.get(raw.kind as usize).copied().unwrap_or(1);
            data.resize(data.len().next_multiple_of(align), 0);
            index.extend(entry(raw.tag, raw.kind, u32::try_from(data.len()).unwrap(), raw.count));
            data.extend_from_slice(&raw.data);
        };
        self.inside.iter().for_each(|raw| put(&mut index, &mut data, raw));
        if let Some(Region { entry: [tag, kind, count], trailer, offset, covers }) = &self.region {
            let at = u32::try_from(data.len()).unwrap();
            index.splice(0..0, entry(*tag, *kind, offset.unwrap_or(at), *count));
            let covered = covers.unwrap_or(u32::try_from(index.len() / 16).unwrap()).wrapping_mul(16);
            data.extend(entry(trailer[0], trailer[1], covered.wrapping_neg(), trailer[2]));
        }
        self.behind.iter().for_each(|raw| put(&mut index, &mut data, raw));
        data.extend_from_slice(&self.surplus);
        for (place, field, number) in &self.patches {
            let at = place % (index.len() / 16).max(1) * 16 + field * 4;
            if let Some(bytes) = index.get_mut(at..at + 4) {
                bytes.copy_from_slice(&number.to_be_bytes());
            }
        }
        let mut header = assemble(u32::try_from(index.len() / 16).unwrap(), &index, &data);
        for (at, number) in [8, 12].into_iter().zip(self.intro) {
            if let Some(number) = number {
                header[at..at + 4].copy_from_slice(&number.to_be_bytes());
            }
        }
        header.resize(header.len().next_multiple_of(8), self.padding);
        [&self.lead[..], &header, &self.content].concat()
    }
}
