//! Rendering: one document of a repository as a file, at the cost of what changed.
//!
//! Blocks that did not change keep their compressed bytes, which are copied in long ranges; the
//! others are decompressed, spliced and compressed again over all cores, a batch at a time,
//! while the batch before is hashed and written. Memory: one batch, and a few numbers a package.

use std::io::Write;
use std::ops::Range;

use rayon::prelude::*;

use super::Document;
use super::assembly::{Assembly, Made};
use super::source::{Place, Source, digest, length};
use super::terms::{Previous, RenderError, RenderOptions, Rendered, Slot};
use crate::block::{Piece, cut};
use crate::compress::Compressors;

/// Blocks in flight per thread: enough that none waits for the slowest, few enough to stay small.
const BATCH_PER_THREAD: usize = 4;

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
    let prefixes = Prefixes::of(document, options, previous)?;
    let work = Work { document, options, slots, source: source.as_ref(), compressors, prefixes };
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
    prefixes: Prefixes,
}

/// What packages' hrefs still lack.
#[derive(Clone, Copy)]
struct Prefixes {
    fresh: &'static str,
    kept: &'static str,
}

impl Prefixes {
    /// Only primary has hrefs.
    fn of(document: Document, options: RenderOptions, previous: Option<Previous<'_>>) -> Result<Self, RenderError> {
        if document != Document::Primary {
            return Ok(Self { fresh: "", kept: "" });
        }
        let fresh = options.href_prefix;
        match previous.map_or("", |previous| previous.href_prefix) {
            "" => Ok(Self { fresh, kept: fresh }),
            there if there == fresh => Ok(Self { fresh, kept: "" }),
            _ => Err(RenderError::PreviousMismatch),
        }
    }
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
        assembly.finish(sizes, &self.compressors).map(|(rendered, _)| rendered)
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
        let bytes = |bytes: usize| u32::try_from(bytes).expect("a fragment is shorter than MAX_FRAGMENTS_BYTES");
        match (slot, place) {
            (Slot::Fresh(fragments), _) => bytes(fragments.get(self.document).len() + self.prefixes.fresh.len()),
            (Slot::Kept(_), place) => place.map_or(0, |place| place.bytes + bytes(self.prefixes.kept.len())),
        }
    }

    fn cut(&self, sizes: &[u32], places: &[Option<Place>]) -> Vec<Piece> {
        let kept_from: Vec<_> = places.iter().map(|place| place.map(|place| place.block)).collect();
        let blocks = self.source.map_or(&[][..], |source| &source.blocks);
        let packages: Vec<u32> = blocks.iter().map(|(block, _)| block.packages).collect();
        let mut pieces = cut(sizes, &kept_from, &packages);
        let other_bytes = !self.prefixes.kept.is_empty();
        if self.source.is_some_and(|source| other_bytes || source.compression != self.options.compression) {
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
                (Slot::Fresh(fragments), _, _) => {
                    append_with(self.prefixes.fresh, fragments.get(self.document), &mut raw)?;
                }
                (Slot::Kept(_), Some(place), Some(source)) => {
                    let (_, block) = match open.take() {
                        Some((index, block)) if index == place.block => open.insert((index, block)),
                        Some(_) | None => {
                            let block = source.open(place.block, &source.compressed(place.block)?)?;
                            open.insert((place.block, block))
                        }
                    };
                    let xml = &block[place.offset..place.offset + length(place.bytes)];
                    append_with(self.prefixes.kept, xml, &mut raw)?;
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

/// What stands before the href in our own primary. No field's text can contain it unescaped.
const HREF: &[u8] = b"<location href=\"";

/// Appends a package's XML, its href after a prefix.
fn append_with(prefix: &str, xml: &[u8], out: &mut Vec<u8>) -> Result<(), RenderError> {
    if prefix.is_empty() {
        out.extend_from_slice(xml);
        return Ok(());
    }
    let found = xml.windows(HREF.len()).position(|window| window == HREF);
    let (before, after) = xml.split_at(found.ok_or(RenderError::PreviousMismatch)? + HREF.len());
    for part in [before, prefix.as_bytes(), after] {
        out.extend_from_slice(part);
    }
    Ok(())
}
