//! The previous file of a document: where its blocks and its packages' XML stand in it.

use std::ops::Range;

use super::terms::{Previous, ReadRange, RenderError};
use crate::block::Block;
use crate::checksum::{Sha256, Sha256Stream};
use crate::compress::{Compression, decompress_fragment};

/// How much of a file is read at a time: it should still be in the cache when it is hashed and written.
pub(super) const READ_BYTES: u64 = 256 * 1024;

/// The previous file, with its layout spelled out.
pub(super) struct Source<'a> {
    pub(super) compression: Compression,
    file: &'a dyn ReadRange,
    /// Each block, and where its compressed bytes are.
    pub(super) blocks: Vec<(Block, Range<u64>)>,
    /// Each block's first package, and how many there are in all.
    firsts: Vec<usize>,
    /// Length of each package's XML.
    pub(super) fragment_bytes: &'a [u32],
}

impl<'a> Source<'a> {
    /// Spells out the layout, and refuses one that contradicts itself or the file's length.
    pub(super) fn new(previous: Previous<'a>) -> Result<Self, RenderError> {
        let Previous { layout, fragment_bytes, file, .. } = previous;
        let mut blocks = Vec::with_capacity(layout.blocks.len());
        let mut firsts = Vec::with_capacity(layout.blocks.len() + 1);
        let mut at = layout.compression.prefix().len() as u64 + u64::from(layout.head.compressed_bytes);
        let mut first = 0;
        for block in &layout.blocks {
            let after = first + length(block.packages);
            let of_packages = fragment_bytes.get(first..after).ok_or(RenderError::PreviousMismatch)?;
            if total(of_packages) != u64::from(block.raw_bytes) || block.packages == 0 {
                return Err(RenderError::PreviousMismatch);
            }
            let end = at + u64::from(block.compressed_bytes);
            blocks.push((*block, at..end));
            firsts.push(first);
            (at, first) = (end, after);
        }
        firsts.push(first);
        let end = at + u64::from(layout.foot.compressed_bytes) + layout.compression.suffix(0, 0).len() as u64;
        if first != fragment_bytes.len() || end != file.length_bytes() {
            return Err(RenderError::PreviousMismatch);
        }
        Ok(Self { compression: layout.compression, file, blocks, firsts, fragment_bytes })
    }

    /// The block that a package is in, and the first package after that.
    pub(super) fn block_of(&self, package: usize) -> (usize, usize) {
        let block = self.firsts.partition_point(|first| *first <= package) - 1;
        (block, self.firsts[block + 1])
    }

    /// Where a package's XML begins in its block's.
    pub(super) fn offset(&self, block: usize, package: usize) -> usize {
        self.fragment_bytes[self.firsts[block]..package].iter().map(|bytes| length(*bytes)).sum()
    }

    /// Makes `bytes` those of a range of the file.
    pub(super) fn read_into(&self, range: Range<u64>, bytes: &mut Vec<u8>) -> Result<(), RenderError> {
        read_exactly(self.file, range, bytes)
    }

    /// The compressed bytes of a block.
    pub(super) fn compressed(&self, index: usize) -> Result<Vec<u8>, RenderError> {
        let mut bytes = Vec::new();
        self.read_into(self.blocks[index].1.clone(), &mut bytes)?;
        Ok(bytes)
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
    let (mut sha256, mut bytes) = (Sha256Stream::default(), Vec::new());
    for piece in pieces(0..file.length_bytes()) {
        read_exactly(file, piece, &mut bytes)?;
        sha256.update(&bytes);
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

fn read_exactly(file: &dyn ReadRange, range: Range<u64>, bytes: &mut Vec<u8>) -> Result<(), RenderError> {
    let wanted = range.end - range.start;
    file.read_into(range, bytes).map_err(RenderError::Read)?;
    if bytes.len() as u64 == wanted { Ok(()) } else { Err(RenderError::PreviousMismatch) }
}

fn total(lengths: &[u32]) -> u64 {
    lengths.iter().map(|bytes| u64::from(*bytes)).sum()
}

pub(super) fn length(bytes: u32) -> usize {
    usize::try_from(bytes).expect("usize has at least 32 bits")
}
