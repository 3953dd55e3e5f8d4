//! Blocks: how a metadata file is cut into pieces that are compressed, reused and replaced
//! alone, like the leaves of a B+tree.
//!
//! Decides only, from sizes; [`crate::repodata::render`] does the work.

use std::ops::Range;

use crate::compress::Compression;

/// A block shorter than this is joined to a neighbour, if both together stay within [`MAX_RAW_BYTES`].
pub const MIN_RAW_BYTES: u64 = 256 * 1024;
/// A block longer than this is split, unless it is a single package.
pub const MAX_RAW_BYTES: u64 = 512 * 1024;
/// What a split aims at: room to grow and to shrink.
const FILL_RAW_BYTES: u64 = 384 * 1024;

/// One independently compressed piece of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Packages in it; 0 in head and foot.
    pub packages: u32,
    /// Length of its XML.
    pub raw_bytes: u32,
    /// Length of the compressed fragment in the file.
    pub compressed_bytes: u32,
    /// CRC-32 of its XML.
    pub crc32: u32,
}

/// How a published file is cut: what the compression puts first (a gzip header), head, blocks,
/// foot, what the compression puts last (a gzip trailer).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// How every piece is compressed.
    pub compression: Compression,
    /// XML declaration and the root element's start with `packages="N"`.
    pub head: Block,
    /// The packages, in order.
    pub blocks: Vec<Block>,
    /// The root element's end.
    pub foot: Block,
}

impl Layout {
    fn pieces(&self) -> impl Iterator<Item = &Block> {
        self.blocks.iter().chain([&self.head, &self.foot])
    }

    /// The file's length.
    pub fn file_bytes(&self) -> u64 {
        let ends = self.compression.prefix().len() + self.compression.suffix(0, 0).len();
        ends as u64 + self.pieces().map(|piece| u64::from(piece.compressed_bytes)).sum::<u64>()
    }

    /// Length of the uncompressed document.
    pub fn open_bytes(&self) -> u64 {
        self.pieces().map(|piece| u64::from(piece.raw_bytes)).sum()
    }
}

/// One block of the file to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    /// The packages it holds.
    pub(crate) packages: Range<usize>,
    /// Length of its XML.
    pub(crate) raw_bytes: u64,
    /// The previous block it equals, if it does.
    pub(crate) reused: Option<usize>,
}

/// Packages of the file to be written, side by side in one previous block, or fresh ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    /// Which packages.
    pub(crate) packages: Range<usize>,
    /// The block they were in; `None` when they are fresh.
    pub(crate) block: Option<usize>,
}

/// Cuts the file to be written into blocks.
///
/// `sizes` holds every package's length, and `runs` where they come from; `previous` are the previous
/// blocks. One whose packages are all there with nothing between them is reused, unless it is joined
/// to a neighbour that has become too short.
pub(crate) fn cut(sizes: &[u32], runs: impl Iterator<Item = Run>, previous: &[(Block, Range<u64>)]) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for group in groups(sizes, runs, previous) {
        if group.reused.is_some() || group.raw_bytes <= MAX_RAW_BYTES {
            join(&mut pieces, group);
        } else {
            for piece in split(sizes, group) {
                join(&mut pieces, piece);
            }
        }
    }
    pieces
}

/// What belongs to one previous block. A fresh package goes with the package before it, the ones before
/// all kept packages with the first kept one.
fn groups(sizes: &[u32], runs: impl Iterator<Item = Run>, previous: &[(Block, Range<u64>)]) -> Vec<Piece> {
    let mut groups: Vec<Piece> = Vec::with_capacity(previous.len() + 1);
    let mut block = None;
    let mut all_kept = true;
    for run in runs {
        let begins = match (block, run.block) {
            (None, _) | (Some(_), None) => groups.is_empty(),
            (Some(block), Some(from)) => block != from,
        };
        if begins {
            groups.push(Piece { packages: run.packages.start..run.packages.start, raw_bytes: 0, reused: None });
            all_kept = true;
        }
        block = run.block.or(block);
        all_kept &= run.block.is_some();
        let group = groups.last_mut().expect("the first run begins a group");
        group.packages.end = run.packages.end;
        group.raw_bytes += sizes[run.packages].iter().map(|size| u64::from(*size)).sum::<u64>();
        // Kept packages come in order, so as many as the block held are all it held.
        let is_whole = |block: &usize| usize::try_from(previous[*block].0.packages) == Ok(group.packages.len());
        group.reused = block.filter(|block| all_kept && is_whole(block));
    }
    groups
}

/// Splits a group into pieces of about equal length.
fn split(sizes: &[u32], group: Piece) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut left_bytes = group.raw_bytes;
    let mut left_pieces = left_bytes.div_ceil(FILL_RAW_BYTES);
    let mut piece = Piece { packages: group.packages.start..group.packages.start, raw_bytes: 0, reused: None };
    for package in group.packages {
        let size = u64::from(sizes[package]);
        let aim = left_bytes / left_pieces.max(1);
        let full = piece.raw_bytes + size > MAX_RAW_BYTES || piece.raw_bytes + size / 2 > aim;
        if full && !piece.packages.is_empty() {
            left_bytes -= piece.raw_bytes;
            left_pieces = left_pieces.saturating_sub(1);
            let next = Piece { packages: package..package, raw_bytes: 0, reused: None };
            pieces.push(std::mem::replace(&mut piece, next));
        }
        piece.packages.end = package + 1;
        piece.raw_bytes += size;
    }
    pieces.push(piece);
    pieces
}

/// Adds a piece, joined to the ones before it as long as one of two neighbours is too short and
/// both together are not too long. Two reused neighbours stay as they are.
fn join(pieces: &mut Vec<Piece>, mut piece: Piece) {
    while let Some(before) = pieces.pop_if(|before| {
        let short = before.raw_bytes < MIN_RAW_BYTES || piece.raw_bytes < MIN_RAW_BYTES;
        let touched = before.reused.is_none() || piece.reused.is_none();
        short && touched && before.raw_bytes + piece.raw_bytes <= MAX_RAW_BYTES
    }) {
        piece = Piece {
            packages: before.packages.start..piece.packages.end,
            raw_bytes: before.raw_bytes + piece.raw_bytes,
            reused: None,
        };
    }
    pieces.push(piece);
}

/// What a full build aims at: less room to grow than after a split, because whole repositories
/// are built for size, and a block that outgrows its room is split.
const BUILD_RAW_BYTES: u64 = 448 * 1024;

/// Cuts packages that arrive one after the other, when no later one is known: each block is
/// filled up to [`BUILD_RAW_BYTES`]. The last full block is held back, because what comes
/// after it at the very end may be too short to stand alone.
#[derive(Debug, Default)]
pub(crate) struct Filling {
    held: Option<(usize, Vec<u8>)>,
    packages: usize,
    raw: Vec<u8>,
}

impl Filling {
    /// Takes in a package's XML. Answers a block that is finished: its packages and their XML.
    pub(crate) fn push(&mut self, fragment: &[u8]) -> Option<(usize, Vec<u8>)> {
        let (filled, size) = (self.raw.len() as u64, fragment.len() as u64);
        let full = filled + size > MAX_RAW_BYTES || filled + size / 2 > BUILD_RAW_BYTES;
        let finished = if full && self.packages > 0 {
            let raw = std::mem::take(&mut self.raw);
            self.held.replace((std::mem::take(&mut self.packages), raw))
        } else {
            None
        };
        if self.raw.capacity() == 0 {
            self.raw.reserve_exact(length(MAX_RAW_BYTES).max(fragment.len()));
        }
        self.raw.extend_from_slice(fragment);
        self.packages += 1;
        finished
    }

    /// The last blocks: none, one or two.
    pub(crate) fn finish(&mut self) -> Vec<(usize, Vec<u8>)> {
        let Self { held, packages, raw } = std::mem::take(self);
        let last = (packages > 0).then_some((packages, raw));
        match (held, last) {
            (Some((before, mut joined)), Some((packages, raw)))
                if joined.len().min(raw.len()) < length(MIN_RAW_BYTES)
                    && joined.len() + raw.len() <= length(MAX_RAW_BYTES) =>
            {
                joined.extend_from_slice(&raw);
                vec![(before + packages, joined)]
            }
            (held, last) => held.into_iter().chain(last).collect(),
        }
    }
}

fn length(bytes: u64) -> usize {
    usize::try_from(bytes).expect("a block's length fits a usize")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u32 = 1024;

    fn lengths(pieces: &[Piece]) -> Vec<u64> {
        pieces.iter().map(|piece| piece.raw_bytes / 1024).collect()
    }

    fn reused(pieces: &[Piece]) -> Vec<Option<usize>> {
        pieces.iter().map(|piece| piece.reused).collect()
    }

    /// 12 packages of 100 KiB in three blocks of four.
    fn three_blocks() -> (Vec<u32>, Vec<Option<usize>>, [u32; 3]) {
        (vec![100 * KIB; 12], (0..12).map(|package| Some(package / 4)).collect(), [4; 3])
    }

    /// [`super::cut`], from each package's previous block and each block's packages.
    fn cut(sizes: &[u32], kept_from: &[Option<usize>], previous_packages: &[u32]) -> Vec<Piece> {
        let block = |packages: &u32| Block { packages: *packages, raw_bytes: 0, compressed_bytes: 0, crc32: 0 };
        let previous: Vec<_> = previous_packages.iter().map(|packages| (block(packages), 0..0)).collect();
        // In twos where that can be: how packages are joined to runs is all the same.
        let run = |chunk: &[(usize, Option<usize>)]| Run {
            packages: chunk[0].0..chunk[0].0 + chunk.len(),
            block: chunk[0].1,
        };
        let packages: Vec<_> = kept_from.iter().copied().enumerate().collect();
        let runs: Vec<Run> =
            packages.chunk_by(|(a, one), (_, other)| a % 2 == 0 && one.is_some() && one == other).map(run).collect();
        super::cut(sizes, runs.into_iter(), &previous)
    }

    #[test]
    fn a_new_file_is_cut_evenly() {
        let pieces = cut(&[KIB; 1000], &[None; 1000], &[]);
        assert_eq!(lengths(&pieces), [333, 334, 333]);
        assert_eq!(cut(&[KIB; 512], &[None; 512], &[]).len(), 1);
        assert_eq!(cut(&[], &[], &[]), []);
    }

    #[test]
    fn an_unchanged_file_is_reused() {
        let (sizes, from, packages) = three_blocks();
        assert_eq!(reused(&cut(&sizes, &from, &packages)), [Some(0), Some(1), Some(2)]);
    }

    #[test]
    fn an_insertion_touches_one_block() {
        for at in 0..=12 {
            let (mut sizes, mut from, packages) = three_blocks();
            sizes.insert(at, 50 * KIB);
            from.insert(at, None);
            let pieces = cut(&sizes, &from, &packages);
            assert_eq!(pieces.len(), 3);
            assert_eq!(reused(&pieces).iter().filter(|block| block.is_none()).count(), 1, "inserted at {at}");
        }
    }

    #[test]
    fn a_removal_touches_one_block() {
        for at in 0..12 {
            let (mut sizes, mut from, packages) = three_blocks();
            sizes.remove(at);
            from.remove(at);
            assert_eq!(reused(&cut(&sizes, &from, &packages)).iter().filter(|block| block.is_none()).count(), 1);
        }
    }

    #[test]
    fn a_block_that_grows_too_long_is_split() {
        let (mut sizes, mut from, packages) = three_blocks();
        for _ in 0..2 {
            sizes.insert(5, 100 * KIB);
            from.insert(5, None);
        }
        let pieces = cut(&sizes, &from, &packages);
        assert_eq!(lengths(&pieces), [400, 300, 300, 400]);
        assert_eq!(reused(&pieces), [Some(0), None, None, Some(2)]);
    }

    #[test]
    fn a_block_that_shrinks_is_joined_to_a_neighbour_with_room() {
        let (mut sizes, mut from, packages) = three_blocks();
        sizes.drain(5..8);
        from.drain(5..8);
        let pieces = cut(&sizes, &from, &packages);
        assert_eq!(lengths(&pieces), [500, 400]);
        assert_eq!(reused(&pieces), [None, Some(2)]);
    }

    #[test]
    fn a_package_longer_than_a_block_is_one() {
        let sizes = [10 * KIB, 2048 * KIB, 10 * KIB];
        assert_eq!(lengths(&cut(&sizes, &[None; 3], &[])), [10, 2048, 10]);
    }
}
