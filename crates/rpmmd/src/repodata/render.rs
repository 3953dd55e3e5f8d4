//! Rendering: one document of a repository as a file, at the cost of what changed.
//!
//! Blocks that did not change keep their compressed bytes, which are copied in long ranges; the
//! others are decompressed, spliced and compressed again over all cores, a batch at a time,
//! while the batch before is hashed and written. Memory: one batch, and a few numbers a package.

use std::fmt;
use std::io::{self, Write};
use std::ops::Range;

use rayon::prelude::*;

use super::assembly::{Assembly, Made};
use super::source::{Place, ReadRange, Source, digest, length};
use super::{Document, Fragments};
use crate::block::{Layout, Piece, cut};
use crate::checksum::Sha256;
use crate::compress::{Compression, Compressors};

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
#[derive(Clone, Copy)]
pub struct Previous<'a> {
    /// How it is cut.
    pub layout: &'a Layout,
    /// Length of each package's XML, in order.
    pub fragment_bytes: &'a [u32],
    /// The file.
    pub file: &'a dyn ReadRange,
    /// What the file must hash to, unless that is known already: unchanged blocks are copied
    /// without a look inside.
    pub verify: Option<Sha256>,
}

/// How to render.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenderOptions {
    /// Compression of the file. If the previous file had another one, every block is made anew.
    pub compression: Compression,
    /// One of [`Compression::levels`]. Reused blocks keep the level they were made with.
    pub level: u8,
    /// Whether to hash the uncompressed document, for which unchanged blocks are decompressed
    /// too. No client checks it for XML (METADATA.md, format decision 7).
    pub open_checksum: bool,
    /// Written into a comment at the top, so that no two generations' files ever have the same
    /// name: a file that is about to be swept is never the one that is about to be published.
    pub generation: Option<u64>,
}

impl RenderOptions {
    /// The options of a repository kept by blocks: the default level, no open checksum.
    pub fn new(compression: Compression) -> Self {
        Self { compression, level: compression.default_level(), open_checksum: false, generation: None }
    }
}

/// What is known of a file that was rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// Its length.
    pub file_bytes: u64,
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
    /// Which ranges of it are which ranges of the previous file, byte for byte, in order and as
    /// long as can be: what a store can copy by itself.
    pub reused: Vec<(Range<u64>, Range<u64>)>,
}

/// Why a file could not be rendered. What was written by then is of no use. Rendering
/// everything from the packages helps against all but the last two.
#[derive(Debug)]
pub enum RenderError {
    /// The previous file is not the one that was described.
    PreviousDamaged,
    /// The previous file's layout and fragment lengths contradict each other or its length.
    PreviousMismatch,
    /// The previous file could not be read.
    Read(io::Error),
    /// A kept slot names no previous package, or not in increasing order.
    BadSlot {
        /// Index of the slot.
        slot: usize,
    },
    /// The file could not be written.
    Write(io::Error),
}

impl fmt::Display for RenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PreviousDamaged => f.write_str("the previous metadata file is damaged"),
            Self::PreviousMismatch => f.write_str("the previous metadata file does not match its layout"),
            Self::Read(_) => f.write_str("the previous metadata file could not be read"),
            Self::BadSlot { slot } => write!(f, "slot {slot} keeps no previous package"),
            Self::Write(_) => f.write_str("the metadata file could not be written"),
        }
    }
}

impl std::error::Error for RenderError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read(error) | Self::Write(error) => Some(error),
            Self::PreviousDamaged | Self::PreviousMismatch | Self::BadSlot { .. } => None,
        }
    }
}

/// Renders one document of the packages in `slots` into `out`, in order from its first byte.
pub fn render(
    document: Document,
    options: RenderOptions,
    slots: &[Slot<'_>],
    previous: Option<Previous<'_>>,
    out: &mut (dyn Write + Send),
) -> Result<Rendered, RenderError> {
    let source = previous.map(Source::new).transpose()?;
    let compressors = Compressors::new(options.compression, options.level);
    let work = Work { document, options, slots, source: source.as_ref(), compressors };
    let Some((file, expected)) = previous.and_then(|previous| Some((previous.file, previous.verify?))) else {
        return work.file(out);
    };
    let (actual, rendered) = rayon::join(|| digest(file), || work.file(out));
    if actual? == expected { rendered } else { Err(RenderError::PreviousDamaged) }
}

/// One file to be rendered.
struct Work<'a> {
    document: Document,
    options: RenderOptions,
    slots: &'a [Slot<'a>],
    source: Option<&'a Source<'a>>,
    compressors: Compressors,
}

/// What comes next in the file.
enum Step {
    /// Blocks of the previous file that stand side by side there.
    Copy(Range<usize>),
    /// A block to be made, or to be looked into for the open checksum.
    Make(Piece),
}

/// A step whose work is done but for the writing.
enum Done<'a> {
    Copy(Range<usize>),
    Made(Made<'a>),
}

impl<'a> Work<'a> {
    fn file(&self, out: &mut (dyn Write + Send)) -> Result<Rendered, RenderError> {
        let places = self.places()?;
        let sizes: Vec<u32> = self.slots.iter().zip(&places).map(|(slot, place)| self.size(slot, *place)).collect();
        let steps = self.steps(self.cut(&sizes, &places));
        let mut assembly = Assembly::begin(self.document, self.options, self.slots.len(), out, &self.compressors)?;
        let mut ready = Vec::new();
        for batch in steps.chunks(BATCH_PER_THREAD * rayon::current_num_threads()) {
            let previous = std::mem::take(&mut ready);
            let (appended, made) = rayon::join(|| self.append(&mut assembly, previous), || self.batch(batch, &places));
            appended?;
            ready = made?;
        }
        self.append(&mut assembly, ready)?;
        assembly.finish(sizes, &self.compressors)
    }

    /// Where each kept slot's XML is; `None` for fresh ones.
    fn places(&self) -> Result<Vec<Option<Place>>, RenderError> {
        let previous: &[Place] = self.source.map_or(&[], |source| &source.packages);
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
        let blocks = self.source.map_or(&[][..], |source| &source.blocks);
        let packages: Vec<u32> = blocks.iter().map(|(block, _)| block.packages).collect();
        let mut pieces = cut(sizes, &kept_from, &packages);
        if self.source.is_some_and(|source| source.compression != self.options.compression) {
            for piece in &mut pieces {
                piece.reused = None;
            }
        }
        pieces
    }

    /// Joins reused neighbours, so that they are copied at once.
    fn steps(&self, pieces: Vec<Piece>) -> Vec<Step> {
        let mut steps = Vec::new();
        for piece in pieces {
            match (piece.reused.filter(|_| !self.options.open_checksum), steps.last_mut()) {
                (Some(block), Some(Step::Copy(blocks))) if blocks.end == block => blocks.end += 1,
                (Some(block), Some(_) | None) => steps.push(Step::Copy(block..block + 1)),
                (None, Some(_) | None) => steps.push(Step::Make(piece)),
            }
        }
        steps
    }

    fn batch(&self, steps: &[Step], places: &[Option<Place>]) -> Result<Vec<Done<'a>>, RenderError> {
        let done = |step: &Step| match step {
            Step::Copy(blocks) => Ok(Done::Copy(blocks.clone())),
            Step::Make(piece) => self.made(piece, places).map(Done::Made),
        };
        steps.par_iter().map(done).collect()
    }

    fn made(&self, piece: &Piece, places: &[Option<Place>]) -> Result<Made<'a>, RenderError> {
        if let (Some(index), Some(source)) = (piece.reused, self.source) {
            let (block, from) = source.blocks[index].clone();
            let compressed = source.compressed(index)?;
            let raw = source.open(index, &compressed)?;
            return Ok(Made { block, compressed, raw: Some(raw), from: Some(from) });
        }
        let raw = self.splice(piece, places)?;
        let open = self.options.open_checksum;
        Ok(self.compressors.with(|compressor| Made::new(piece.slots.len(), raw, open, compressor)))
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
                        Some(_) | None => {
                            let block = source.open(place.block, &source.compressed(place.block)?)?;
                            open.insert((place.block, block))
                        }
                    };
                    raw.extend_from_slice(&block[place.offset..place.offset + length(place.bytes)]);
                }
                (Slot::Kept(_), _, _) => return Err(RenderError::BadSlot { slot }),
            }
        }
        Ok(raw)
    }

    fn append<W: Write>(&self, assembly: &mut Assembly<W>, done: Vec<Done<'_>>) -> Result<(), RenderError> {
        done.into_iter().try_for_each(|done| match (done, self.source) {
            (Done::Made(made), _) => assembly.append(&made),
            (Done::Copy(blocks), Some(source)) => assembly.copy(source, blocks),
            (Done::Copy(_), None) => Err(RenderError::PreviousMismatch),
        })
    }
}
