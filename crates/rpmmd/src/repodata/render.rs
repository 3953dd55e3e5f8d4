//! Rendering: one document of a repository as a file, at the cost of what changed.
//!
//! Blocks that did not change keep their compressed bytes; the others are decompressed,
//! spliced and compressed again over all cores, a batch at a time, while the batch before is
//! hashed. Memory: the file, its predecessor and one batch.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use rayon::prelude::*;

use super::{Document, Fragments};
use crate::block::{Block, Layout, Piece, cut};
use crate::checksum::{Sha256, Sha256Stream};
use crate::compress::{Compression, Compressor, decompress_fragment};

/// Blocks in flight per thread: enough that none waits for the slowest, few enough to stay small.
const BATCH_PER_THREAD: usize = 4;

/// One package of the file to be written.
#[derive(Debug, Clone, Copy)]
pub enum Slot<'a> {
    /// Stays: its index among the previous packages. Kept ones come in increasing order.
    Kept(usize),
    /// Is new here.
    Fresh(&'a Fragments),
}

/// The previous file of the same document.
#[derive(Debug, Clone, Copy)]
pub struct Previous<'a> {
    /// How it is cut.
    pub layout: &'a Layout,
    /// Length of each package's XML, in order.
    pub fragment_bytes: &'a [u32],
    /// The file.
    pub file: &'a [u8],
    /// What the file must hash to: unchanged blocks are copied without a look inside.
    pub sha256: Sha256,
}

/// How to render.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenderOptions {
    /// Compression of the file. If the previous file had another one, every block is made anew.
    pub compression: Compression,
    /// Whether to hash the uncompressed document, for which unchanged blocks are decompressed
    /// too. No client checks it for XML (METADATA.md, format decision 7).
    pub open_checksum: bool,
    /// Written into a comment at the top, so that no two generations' files ever have the same
    /// name: a file that is about to be swept is never the one that is about to be published.
    pub generation: Option<u64>,
}

impl RenderOptions {
    /// The options of a repository kept by blocks: no open checksum.
    pub fn new(compression: Compression) -> Self {
        Self { compression, open_checksum: false, generation: None }
    }
}

/// A rendered file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The file.
    pub bytes: Vec<u8>,
    /// Its digest.
    pub sha256: Sha256,
    /// Length of the uncompressed document.
    pub open_bytes: u64,
    /// Digest of the uncompressed document, if asked for.
    pub open_sha256: Option<Sha256>,
    /// How it is cut.
    pub layout: Layout,
    /// Length of each package's XML, in order.
    pub fragment_bytes: Vec<u32>,
}

/// Why a file could not be rendered. Rendering everything from the packages always works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RenderError {
    /// The previous file is not the one that was described.
    PreviousDamaged,
    /// The previous file's layout and fragment lengths contradict each other or its length.
    PreviousMismatch,
    /// A kept slot names no previous package, or not in increasing order.
    BadSlot {
        /// Index of the slot.
        slot: usize,
    },
}

impl fmt::Display for RenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PreviousDamaged => f.write_str("the previous metadata file is damaged"),
            Self::PreviousMismatch => f.write_str("the previous metadata file does not match its layout"),
            Self::BadSlot { slot } => write!(f, "slot {slot} keeps no previous package"),
        }
    }
}

impl std::error::Error for RenderError {}

/// Renders one document of the packages in `slots`.
pub fn render(
    document: Document,
    options: RenderOptions,
    slots: &[Slot<'_>],
    previous: Option<Previous<'_>>,
) -> Result<Rendered, RenderError> {
    let source = previous.map(Source::new).transpose()?;
    let RenderOptions { compression, open_checksum: open, generation } = options;
    let work = Work { document, compression, open, generation, slots, source: &source };
    let (intact, rendered) =
        rayon::join(|| previous.is_none_or(|previous| Sha256::of(previous.file) == previous.sha256), || work.file());
    if intact { rendered } else { Err(RenderError::PreviousDamaged) }
}

/// The previous file, with its layout spelled out.
struct Source<'a> {
    compression: Compression,
    file: &'a [u8],
    blocks: Vec<(Block, Range<usize>)>,
    packages: Vec<Place>,
}

/// Where a previous package's XML is.
#[derive(Clone, Copy)]
struct Place {
    block: usize,
    offset: usize,
    bytes: u32,
}

impl<'a> Source<'a> {
    fn new(previous: Previous<'a>) -> Result<Self, RenderError> {
        let layout = previous.layout;
        let mut source = Self {
            compression: layout.compression,
            file: previous.file,
            blocks: Vec::with_capacity(layout.blocks.len()),
            packages: Vec::with_capacity(previous.fragment_bytes.len()),
        };
        let mut fragments = previous.fragment_bytes.iter();
        let mut at = layout.compression.prefix().len() + length(layout.head.compressed_bytes);
        for (index, block) in layout.blocks.iter().enumerate() {
            let end = at + length(block.compressed_bytes);
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
        let end = at + length(layout.foot.compressed_bytes) + layout.compression.suffix(0, 0).len();
        let packages: u64 = layout.blocks.iter().map(|block| u64::from(block.packages)).sum();
        if packages != previous.fragment_bytes.len() as u64 || end != previous.file.len() {
            return Err(RenderError::PreviousMismatch);
        }
        Ok(source)
    }

    fn raw(&self, index: usize) -> Result<Vec<u8>, RenderError> {
        let (block, range) = &self.blocks[index];
        decompress_fragment(self.compression, &self.file[range.clone()], length(block.raw_bytes), block.crc32)
            .ok_or(RenderError::PreviousDamaged)
    }
}

/// One file to be rendered.
struct Work<'a> {
    document: Document,
    compression: Compression,
    open: bool,
    slots: &'a [Slot<'a>],
    source: &'a Option<Source<'a>>,
    generation: Option<u64>,
}

/// A finished piece of the file.
struct Made<'a> {
    block: Block,
    compressed: Cow<'a, [u8]>,
    /// Its XML, only when the open checksum is wanted.
    raw: Option<Vec<u8>>,
}

impl<'a> Work<'a> {
    fn file(&self) -> Result<Rendered, RenderError> {
        let places = self.places()?;
        let sizes: Vec<u32> = self.slots.iter().zip(&places).map(|(slot, place)| self.size(slot, *place)).collect();
        let pieces = self.cut(&sizes, &places);
        let mut compressor = Compressor::new(self.compression);
        let head = self.made(0, self.document.head(self.slots.len(), self.generation), &mut compressor);
        let foot = self.made(0, self.document.foot().to_vec(), &mut compressor);
        let (head_block, foot_block) = (head.block, foot.block);

        let mut assembly = Assembly::new(self.compression, self.open);
        let mut blocks = Vec::with_capacity(pieces.len());
        let mut ready = vec![head];
        for batch in pieces.chunks(BATCH_PER_THREAD * rayon::current_num_threads()) {
            let previous = std::mem::take(&mut ready);
            let ((), made) = rayon::join(|| assembly.append(previous), || self.batch(batch, &places));
            ready = made?;
            blocks.extend(ready.iter().map(|made| made.block));
        }
        ready.push(foot);
        assembly.append(ready);
        let layout = Layout { compression: self.compression, head: head_block, blocks, foot: foot_block };
        Ok(assembly.finish(layout, sizes))
    }

    /// Where each kept slot's XML is; `None` for fresh ones.
    fn places(&self) -> Result<Vec<Option<Place>>, RenderError> {
        let previous: &[Place] = self.source.as_ref().map_or(&[], |source| &source.packages);
        let mut least = 0;
        let place = |(slot, kept): (usize, &Slot<'_>)| match kept {
            Slot::Fresh(_) => Ok(None),
            Slot::Kept(package) => {
                let place = previous.get(*package).filter(|_| *package >= least);
                least = package.saturating_add(1);
                place.map(|place| Some(*place)).ok_or(RenderError::BadSlot { slot })
            }
        };
        self.slots.iter().enumerate().map(place).collect()
    }

    fn size(&self, slot: &Slot<'_>, place: Option<Place>) -> u32 {
        match (slot, place) {
            (Slot::Fresh(fragments), _) => u32::try_from(fragments.get(self.document).len())
                .expect("a fragment is shorter than MAX_FRAGMENTS_BYTES"),
            (Slot::Kept(_), place) => place.map_or(0, |place| place.bytes),
        }
    }

    fn cut(&self, sizes: &[u32], places: &[Option<Place>]) -> Vec<Piece> {
        let kept_from: Vec<_> = places.iter().map(|place| place.map(|place| place.block)).collect();
        let blocks = self.source.as_ref().map_or(&[][..], |source| &source.blocks);
        let packages: Vec<u32> = blocks.iter().map(|(block, _)| block.packages).collect();
        let mut pieces = cut(sizes, &kept_from, &packages);
        if self.source.as_ref().is_some_and(|source| source.compression != self.compression) {
            for piece in &mut pieces {
                piece.reused = None;
            }
        }
        pieces
    }

    fn batch(&self, pieces: &[Piece], places: &[Option<Place>]) -> Result<Vec<Made<'a>>, RenderError> {
        let make = |compressor: &mut Option<Compressor>, piece: &Piece| {
            if let (Some(index), Some(source)) = (piece.reused, self.source) {
                let (block, range) = &source.blocks[index];
                let raw = self.open.then(|| source.raw(index)).transpose()?;
                return Ok(Made { block: *block, compressed: Cow::Borrowed(&source.file[range.clone()]), raw });
            }
            let raw = self.splice(piece, places)?;
            let packages = u32::try_from(piece.slots.len()).expect("a block of u32 bytes holds fewer packages");
            let compressor = compressor.get_or_insert_with(|| Compressor::new(self.compression));
            Ok(self.made(packages, raw, compressor))
        };
        pieces.par_iter().map_init(|| None, make).collect()
    }

    /// A block's XML from kept and fresh packages.
    fn splice(&self, piece: &Piece, places: &[Option<Place>]) -> Result<Vec<u8>, RenderError> {
        let mut raw = Vec::with_capacity(usize::try_from(piece.raw_bytes).unwrap_or(0));
        // Kept packages come in order, so one previous block is open at a time.
        let mut open: Option<(usize, Vec<u8>)> = None;
        for slot in piece.slots.clone() {
            match (&self.slots[slot], places[slot], self.source) {
                (Slot::Fresh(fragments), _, _) => raw.extend_from_slice(fragments.get(self.document)),
                (Slot::Kept(_), Some(place), Some(source)) => {
                    let (_, block) = match open.take() {
                        Some((index, block)) if index == place.block => open.insert((index, block)),
                        Some(_) | None => open.insert((place.block, source.raw(place.block)?)),
                    };
                    raw.extend_from_slice(&block[place.offset..place.offset + length(place.bytes)]);
                }
                (Slot::Kept(_), _, _) => return Err(RenderError::BadSlot { slot }),
            }
        }
        Ok(raw)
    }

    fn made(&self, packages: u32, raw: Vec<u8>, compressor: &mut Compressor) -> Made<'a> {
        let compressed = compressor.fragment(&raw);
        let bytes = |length: usize| u32::try_from(length).expect("a block is at most one package or half a MiB");
        let block = Block {
            packages,
            raw_bytes: bytes(raw.len()),
            compressed_bytes: bytes(compressed.len()),
            crc32: crc32fast::hash(&raw),
        };
        Made { block, compressed: Cow::Owned(compressed), raw: self.open.then_some(raw) }
    }
}

/// The file as it grows.
struct Assembly {
    compression: Compression,
    bytes: Vec<u8>,
    sha256: Sha256Stream,
    crc32: crc32fast::Hasher,
    open_bytes: u64,
    open_sha256: Option<Sha256Stream>,
}

impl Assembly {
    fn new(compression: Compression, open: bool) -> Self {
        let mut assembly = Self {
            compression,
            bytes: Vec::new(),
            sha256: Sha256Stream::default(),
            crc32: crc32fast::Hasher::new(),
            open_bytes: 0,
            open_sha256: open.then(Sha256Stream::default),
        };
        assembly.push(compression.prefix());
        assembly
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.sha256.update(bytes);
    }

    fn append(&mut self, pieces: Vec<Made<'_>>) {
        for piece in pieces {
            self.push(&piece.compressed);
            let raw_bytes = u64::from(piece.block.raw_bytes);
            self.crc32.combine(&crc32fast::Hasher::new_with_initial_len(piece.block.crc32, raw_bytes));
            self.open_bytes += raw_bytes;
            if let (Some(open), Some(raw)) = (&mut self.open_sha256, &piece.raw) {
                open.update(raw);
            }
        }
    }

    fn finish(mut self, layout: Layout, fragment_bytes: Vec<u32>) -> Rendered {
        let suffix = self.compression.suffix(self.crc32.clone().finalize(), self.open_bytes);
        self.push(&suffix);
        Rendered {
            bytes: self.bytes,
            sha256: self.sha256.finish(),
            open_bytes: self.open_bytes,
            open_sha256: self.open_sha256.map(Sha256Stream::finish),
            layout,
            fragment_bytes,
        }
    }
}

fn length(bytes: u32) -> usize {
    usize::try_from(bytes).expect("usize has at least 32 bits")
}
