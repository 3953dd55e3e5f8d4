//! The previous file of a document: where its blocks and its packages' XML stand in it.

use std::borrow::Cow;
use std::ops::Range;

use super::terms::{Previous, ReadRange, RenderError};
use crate::block::{Block, Layout};
use crate::checksum::{Sha256, Sha256Stream};
use crate::compress::{Compression, decompress_fragment};

/// How much of the previous file is read at a time.
pub(super) const READ_BYTES: u64 = 1024 * 1024;

/// The previous file, with its layout spelled out.
pub(super) struct Source<'a> {
    pub(super) compression: Compression,
    file: &'a dyn ReadRange,
    /// Each block, and where its compressed bytes are.
    pub(super) blocks: Vec<(Block, Range<u64>)>,
    /// Where each package's XML is.
    pub(super) packages: Vec<Place>,
}

/// Where a previous package's XML is.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) block: usize,
    pub(super) offset: usize,
    pub(super) bytes: u32,
}

impl<'a> Source<'a> {
    /// Spells out the layout, and refuses one that contradicts itself or the file's length.
    pub(super) fn new(previous: Previous<'a>) -> Result<Self, RenderError> {
        let layout: &Layout = previous.layout;
        let mut source = Self {
            compression: layout.compression,
            file: previous.file,
            blocks: Vec::with_capacity(layout.blocks.len()),
            packages: Vec::with_capacity(previous.fragment_bytes.len()),
        };
        let mut fragments = previous.fragment_bytes.iter();
        let mut at = layout.compression.prefix().len() as u64 + u64::from(layout.head.compressed_bytes);
        for (index, block) in layout.blocks.iter().enumerate() {
            let end = at + u64::from(block.compressed_bytes);
            source.blocks.push((*block, at..end));
            at = end;
            let mut offset = 0;
            for bytes in fragments.by_ref().take(length(block.packages)) {
                source.packages.push(Place { block: index, offset, bytes: *bytes });
                offset += length(*bytes);
            }
            if offset != length(block.raw_bytes) || block.packages == 0 {
                return Err(RenderError::PreviousMismatch);
            }
        }
        let end = at + u64::from(layout.foot.compressed_bytes) + layout.compression.suffix(0, 0).len() as u64;
        let packages: u64 = layout.blocks.iter().map(|block| u64::from(block.packages)).sum();
        if packages != previous.fragment_bytes.len() as u64 || end != previous.file.length_bytes() {
            return Err(RenderError::PreviousMismatch);
        }
        Ok(source)
    }

    /// Bytes of the file.
    pub(super) fn read(&self, range: Range<u64>) -> Result<Cow<'a, [u8]>, RenderError> {
        read_exactly(self.file, range)
    }

    /// The compressed bytes of a block.
    pub(super) fn compressed(&self, index: usize) -> Result<Cow<'a, [u8]>, RenderError> {
        self.read(self.blocks[index].1.clone())
    }

    /// The XML of a block whose compressed bytes are at hand.
    pub(super) fn open(&self, index: usize, compressed: &[u8]) -> Result<Vec<u8>, RenderError> {
        let block = self.blocks[index].0;
        decompress_fragment(self.compression, compressed, length(block.raw_bytes), block.crc32)
            .ok_or(RenderError::PreviousDamaged)
    }
}

/// The digest of the whole file.
pub(super) fn digest(file: &dyn ReadRange) -> Result<Sha256, RenderError> {
    let mut sha256 = Sha256Stream::default();
    for piece in pieces(0..file.length_bytes()) {
        sha256.update(&read_exactly(file, piece)?);
    }
    Ok(sha256.finish())
}

/// The range in pieces to be read one after the other.
pub(super) fn pieces(range: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let mut at = range.start;
    std::iter::from_fn(move || {
        let piece = at..range.end.min(at.saturating_add(READ_BYTES));
        at = piece.end;
        (!piece.is_empty()).then_some(piece)
    })
}

fn read_exactly(file: &dyn ReadRange, range: Range<u64>) -> Result<Cow<'_, [u8]>, RenderError> {
    let wanted = range.end - range.start;
    let bytes = file.read_range(range).map_err(RenderError::Read)?;
    if bytes.len() as u64 == wanted { Ok(bytes) } else { Err(RenderError::PreviousMismatch) }
}

pub(super) fn length(bytes: u32) -> usize {
    usize::try_from(bytes).expect("usize has at least 32 bits")
}
