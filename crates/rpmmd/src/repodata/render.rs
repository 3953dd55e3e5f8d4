//! Rendering: one document of a repository as a file, at the cost of what changed.
//!
//! Blocks that did not change keep their compressed bytes, which are copied in long ranges; the
//! others are decompressed, spliced and compressed again over all cores, a batch at a time,
//! while the batch before is hashed and written. Memory: one batch, and a few numbers a package.

use std::io::Write;
use std::ops::Range;

use rayon::prelude::*;

use super::assembly::{Assembly, Made};
use super::source::{Source, digest, length};
use super::terms::{Previous, RenderError, RenderOptions, Rendered, Slot};
use super::{Document, Fragments};
use crate::block::{self, Piece, cut};
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
    let (runs, sizes) = runs(document, slots, source.as_ref(), prefixes)?;
    let work = Work { document, options, runs, sizes, source: source.as_ref(), compressors, prefixes };
    let Some((file, expected)) = previous.and_then(|previous| Some((previous.file, previous.verify?))) else {
        return work.file(out);
    };
    let (actual, rendered) = rayon::join(|| digest(file), || work.file(out));
    if actual? == expected { rendered } else { Err(RenderError::PreviousDamaged) }
}

/// Packages of the file to be written that stand side by side in one previous block, or a fresh one. The cut is told of
/// it by a [`block::Run`], which knows nothing of what is in the packages.
struct Run<'a> {
    packages: Range<usize>,
    from: Origin<'a>,
}

/// Where they come from.
enum Origin<'a> {
    /// The first is this one of the previous packages, in this block.
    Kept {
        block: usize,
        first: usize,
    },
    Fresh(&'a Fragments),
}

/// Where the packages come from, and how long the XML of each will be.
fn runs<'a>(
    document: Document,
    slots: &[Slot<'a>],
    source: Option<&Source<'_>>,
    prefixes: Prefixes,
) -> Result<(Vec<Run<'a>>, Vec<u32>), RenderError> {
    let bytes = |bytes: usize| u32::try_from(bytes).expect("a fragment is shorter than MAX_FRAGMENTS_BYTES");
    let (mut runs, mut sizes) = (Vec::new(), Vec::new());
    let mut least = 0;
    for (number, slot) in slots.iter().enumerate() {
        let kept = match slot {
            Slot::Fresh(fragments) => {
                runs.push(Run { packages: sizes.len()..sizes.len() + 1, from: Origin::Fresh(fragments) });
                sizes.push(bytes(fragments.get(document).len() + prefixes.fresh.len()));
                continue;
            }
            Slot::Kept(kept) => kept,
        };
        let there = source.and_then(|source| Some((source, source.fragment_bytes.get(kept.clone())?)));
        let (source, lengths) = there.filter(|_| kept.start >= least).ok_or(RenderError::BadSlot { slot: number })?;
        least = kept.end;
        let mut first = kept.start;
        while first < kept.end {
            let (block, after) = source.block_of(first);
            let end = after.min(kept.end);
            let at = sizes.len() + (first - kept.start);
            runs.push(Run { packages: at..at + (end - first), from: Origin::Kept { block, first } });
            first = end;
        }
        sizes.extend(lengths.iter().map(|length| length + bytes(prefixes.kept.len())));
    }
    Ok((runs, sizes))
}

/// One file to be rendered.
struct Work<'a> {
    document: Document,
    options: RenderOptions,
    runs: Vec<Run<'a>>,
    /// Of each package's XML.
    sizes: Vec<u32>,
    source: Option<&'a Source<'a>>,
    compressors: Compressors,
    prefixes: Prefixes,
}

/// What packages' locations still lack.
#[derive(Clone, Copy)]
struct Prefixes {
    fresh: Lack,
    kept: Lack,
}

/// What a package's location lacks: an address that its href is below, and what the href begins with.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Lack {
    base: &'static str,
    href: &'static str,
}

impl Lack {
    const NOTHING: Self = Self { base: "", href: "" };

    /// How much longer a package's XML becomes.
    fn len(self) -> usize {
        let base = if self.base.is_empty() { 0 } else { BASE[0].len() + self.base.len() + BASE[1].len() };
        base + self.href.len()
    }

    fn is_empty(self) -> bool {
        self == Self::NOTHING
    }
}

/// What stands around the address.
const BASE: [&str; 2] = ["xml:base=\"", "\" "];

impl Prefixes {
    /// Only primary has hrefs.
    fn of(document: Document, options: RenderOptions, previous: Option<Previous<'_>>) -> Result<Self, RenderError> {
        if document != Document::Primary {
            return Ok(Self { fresh: Lack::NOTHING, kept: Lack::NOTHING });
        }
        let fresh = Lack { base: options.location_base, href: options.href_prefix };
        match previous.map_or("", |previous| previous.href_prefix) {
            "" => Ok(Self { fresh, kept: fresh }),
            there if there == fresh.href && fresh.base.is_empty() => Ok(Self { fresh, kept: Lack::NOTHING }),
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
enum Done {
    Copy(Range<usize>),
    Made(Made),
}

impl Work<'_> {
    fn file(self, out: &mut (dyn Write + Send)) -> Result<Rendered, RenderError> {
        let steps = self.steps(self.cut());
        let mut assembly = Assembly::begin(self.document, self.options, self.sizes.len(), out, &self.compressors)?;
        let mut ready = Vec::new();
        for batch in steps.chunks(BATCH_PER_THREAD * rayon::current_num_threads()) {
            let previous = std::mem::take(&mut ready);
            let (appended, made) = rayon::join(|| self.append(&mut assembly, previous), || self.batch(batch));
            appended?;
            ready = made?;
        }
        self.append(&mut assembly, ready)?;
        assembly.finish(self.sizes, &self.compressors).map(|(rendered, _)| rendered)
    }

    fn cut(&self) -> Vec<Piece> {
        let runs = self.runs.iter().map(|run| {
            let block = match run.from {
                Origin::Kept { block, .. } => Some(block),
                Origin::Fresh(_) => None,
            };
            block::Run { packages: run.packages.clone(), block }
        });
        let mut pieces = cut(&self.sizes, runs, self.source.map_or(&[], |source| &source.blocks));
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

    fn batch(&self, steps: &[Step]) -> Result<Vec<Done>, RenderError> {
        let done = |step: &Step| match step {
            Step::Copy(blocks) => Ok(Done::Copy(blocks.clone())),
            Step::Make(piece) => self.made(piece).map(Done::Made),
        };
        steps.par_iter().map(done).collect()
    }

    fn made(&self, piece: &Piece) -> Result<Made, RenderError> {
        if let (Some(index), Some(source)) = (piece.reused, self.source) {
            let (block, from) = source.blocks[index].clone();
            let compressed = source.compressed(index)?;
            let raw = source.open(index, &compressed)?;
            return Ok(Made { block, compressed, raw: Some(raw), from: Some(from) });
        }
        let raw = self.splice(piece)?;
        let open = self.options.open_checksum;
        Ok(self.compressors.with(|compressor| Made::new(piece.packages.len(), raw, open, compressor)))
    }

    /// A block's XML from kept and fresh packages.
    fn splice(&self, piece: &Piece) -> Result<Vec<u8>, RenderError> {
        let mut raw = Vec::with_capacity(usize::try_from(piece.raw_bytes).unwrap_or(0));
        // Kept packages come in order, so one previous block is open at a time.
        let mut open: Option<(usize, Vec<u8>)> = None;
        let begins = self.runs.partition_point(|run| run.packages.end <= piece.packages.start);
        for run in self.runs[begins..].iter().take_while(|run| run.packages.start < piece.packages.end) {
            match (&run.from, self.source) {
                (Origin::Fresh(fragments), _) => {
                    append_with(self.prefixes.fresh, fragments.get(self.document), &mut raw)?;
                }
                (Origin::Kept { block, first }, Some(source)) => {
                    let (_, xml) = match open.take() {
                        Some((index, xml)) if index == *block => open.insert((index, xml)),
                        Some(_) | None => open.insert((*block, source.open(*block, &source.compressed(*block)?)?)),
                    };
                    let first = first + piece.packages.start.saturating_sub(run.packages.start);
                    let count = run.packages.end.min(piece.packages.end) - run.packages.start.max(piece.packages.start);
                    let mut at = source.offset(*block, first);
                    for bytes in &source.fragment_bytes[first..first + count] {
                        let end = at + length(*bytes);
                        append_with(self.prefixes.kept, &xml[at..end], &mut raw)?;
                        at = end;
                    }
                }
                (Origin::Kept { .. }, None) => return Err(RenderError::PreviousMismatch),
            }
        }
        Ok(raw)
    }

    fn append<W: Write>(&self, assembly: &mut Assembly<W>, done: Vec<Done>) -> Result<(), RenderError> {
        done.into_iter().try_for_each(|done| match (done, self.source) {
            (Done::Made(made), _) => assembly.append(&made),
            (Done::Copy(blocks), Some(source)) => assembly.copy(source, blocks),
            (Done::Copy(_), None) => Err(RenderError::PreviousMismatch),
        })
    }
}

/// What stands before the href in our own primary. No field's text can contain it unescaped.
const HREF: &[u8] = b"<location href=\"";
/// Bytes of its name, after which other attributes may stand.
const LOCATION_BYTES: usize = b"<location ".len();

/// Appends a package's XML, its location with what it lacks.
fn append_with(lack: Lack, xml: &[u8], out: &mut Vec<u8>) -> Result<(), RenderError> {
    if lack.is_empty() {
        out.extend_from_slice(xml);
        return Ok(());
    }
    let found = xml.windows(HREF.len()).position(|window| window == HREF).ok_or(RenderError::PreviousMismatch)?;
    let (before, rest) = xml.split_at(found + LOCATION_BYTES);
    let (href, after) = rest.split_at(HREF.len() - LOCATION_BYTES);
    let [open, close] = if lack.base.is_empty() { ["", ""] } else { BASE };
    for part in [before, open.as_bytes(), lack.base.as_bytes(), close.as_bytes(), href, lack.href.as_bytes(), after] {
        out.extend_from_slice(part);
    }
    Ok(())
}
