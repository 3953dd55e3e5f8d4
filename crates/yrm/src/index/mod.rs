//! `yrm index`: metadata for the packages in a local directory, as createrepo_c makes it.
//!
//! Stands beside the publish line, on the same floor and over the same format crate, and knows
//! no bucket: no inbox, no catalog, no retention. Never moves or deletes a package; what it
//! deletes is metadata that it has just superseded.

mod draft;
mod fault;
mod output;
mod package;
mod walk;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use rayon::prelude::*;
use rpmmd::compress::Compression;
use rpmmd::repodata::{Build, Document, Previous, RenderError, RenderOptions, Rendered, Slot, render};

use self::draft::Draft;
use self::fault::io_error;
use self::package::Reader;
pub use self::walk::Remark;
use crate::error::{Error, ErrorKind, Result};

/// Packages read by one thread while the ones before are compressed: enough for some blocks of
/// every document.
const BATCH_PER_THREAD: usize = 96;
/// Packages that one task reads with the same buffers.
const TASK_PACKAGES: usize = 8;

/// What to index, and how.
pub struct Options<'a> {
    /// Where `repodata/` goes; usually the folder itself.
    pub output: &'a Path,
    /// How the metadata files are compressed.
    pub compression: Compression,
    /// How hard: one of [`Compression::levels`].
    pub level: u8,
    /// The time written into repomd.xml.
    pub now: Timestamp,
    /// Told of every package read: how many so far, of how many. Called from any thread.
    pub progress: &'a (dyn Fn(usize, usize) + Sync),
}

/// What was indexed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Indexed {
    /// Packages in the metadata.
    pub packages: usize,
    /// Whether `repodata/` is another than before.
    pub changed: bool,
    /// What is odd about packages that are in the metadata.
    pub warnings: Vec<Remark>,
    /// Files that are not in the metadata, and why.
    pub skipped: Vec<Remark>,
}

/// Indexes every package in `folder` and below it. A file that is no sound package is left out,
/// and the answer says so; the rest is indexed.
///
/// Packages go through in batches: while one is read and hashed, the one before is compressed
/// and written. So memory does not grow with the folder, but for the packages' names.
pub fn index(folder: &Path, options: &Options<'_>) -> Result<Indexed> {
    let walk::Found { paths, mut skipped } = walk::packages(folder)?;
    // Read by programs that compare it, and cheap beside the compressing.
    let render = RenderOptions { open_checksum: true, level: options.level, ..RenderOptions::new(options.compression) };
    let drafts = output::drafts(options.output)?;
    let [primary, filelists, other] = &drafts;
    let files = [&primary.file, &filelists.file, &other.file];
    let mut build = Build::begin(render, paths.len(), files).map_err(render_error)?;

    let (mut ready, mut warnings, mut packages) = (Vec::new(), Vec::new(), 0);
    let (done, readers) = (AtomicUsize::new(0), Readers::default());
    let progress = || (options.progress)(done.fetch_add(1, Ordering::Relaxed) + 1, paths.len());
    for batch in paths.chunks(BATCH_PER_THREAD * rayon::current_num_threads()) {
        let (appended, read) = rayon::join(|| build.append(&ready), || read(folder, batch, &readers, progress));
        appended.map_err(render_error)?;
        ready.clear();
        for (href, package) in batch.iter().zip(read.into_iter().flatten()) {
            let remark = |text| Remark { href: href.clone(), text };
            match package {
                Ok(package) => {
                    warnings.extend(package.warnings.into_iter().map(remark));
                    ready.push(package.fragments);
                }
                Err(reason) => skipped.push(remark(reason)),
            }
        }
        packages += ready.len();
    }
    build.append(&ready).map_err(render_error)?;
    let rendered = build.finish().map_err(render_error)?;
    skipped.sort_by(|left, right| left.href.cmp(&right.href));

    let changed = if packages == paths.len() {
        output::replace(options.output, drafts, &rendered, options.now)?
    } else {
        let (drafts, rendered) = recount(options.output, render, &drafts, &rendered)?;
        output::replace(options.output, drafts, &rendered, options.now)?
    };
    Ok(Indexed { packages, changed, warnings, skipped })
}

/// Readers that are idle, with their buffers.
type Readers = Mutex<Vec<Reader>>;
type ReadBatch = Vec<Vec<std::result::Result<package::ReadPackage, String>>>;

fn read(folder: &Path, paths: &[String], readers: &Readers, progress: impl Fn() + Sync) -> ReadBatch {
    let read = |paths: &[String]| {
        let idle = readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut reader = idle.unwrap_or_default();
        let read = |path: &String| {
            let package = reader.read(folder, path);
            progress();
            package
        };
        let packages = paths.iter().map(read).collect();
        readers.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
        packages
    };
    paths.par_chunks(TASK_PACKAGES).map(read).collect()
}

/// Writes drafts again with the right number of packages at their top: files had to be left
/// out. The number was written before the first was read, so that nobody else has to wait.
fn recount(
    output: &Path,
    options: RenderOptions,
    drafts: &[Draft; 3],
    rendered: &[Rendered; 3],
) -> Result<([Draft; 3], [Rendered; 3])> {
    let counted = output::drafts(output)?;
    let again = |at: usize| {
        let before = &rendered[at];
        let slots = [Slot::Kept(0..before.fragment_bytes.len())];
        let (layout, fragment_bytes) = (&before.layout, before.fragment_bytes.as_slice());
        let previous = Previous { layout, fragment_bytes, file: &drafts[at], verify: None, href_prefix: "" };
        render(Document::ALL[at], options, &slots, Some(previous), &mut &counted[at].file).map_err(render_error)
    };
    let rendered = [again(0)?, again(1)?, again(2)?];
    Ok((counted, rendered))
}

fn render_error(error: RenderError) -> Error {
    match error {
        RenderError::Write(error) | RenderError::Read(error) => io_error("writing the metadata".into(), error),
        RenderError::PreviousDamaged | RenderError::PreviousMismatch | RenderError::BadSlot { .. } => {
            Error::new(ErrorKind::Internal, "rendering the metadata").because(error)
        }
    }
}
