//! `yrm index`: metadata for the packages in a local directory, as createrepo_c makes it.
//!
//! Stands beside the publish line, on the same floor and over the same format crate, and knows
//! no bucket: no inbox, no catalog, no retention. Never moves or deletes a package; what it
//! deletes is metadata that it has just superseded.

mod output;
mod package;
mod walk;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;
use rayon::prelude::*;
use rpmmd::compress::Compression;
use rpmmd::repodata::{RenderOptions, Repodata, Slot};

use crate::error::{Error, ErrorKind, Result};

/// What to index, and how.
pub struct Options<'a> {
    /// Where `repodata/` goes; usually the folder itself.
    pub output: &'a Path,
    /// How the metadata files are compressed.
    pub compression: Compression,
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

/// Something about one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// The file's path in the folder.
    pub href: String,
    /// What about it.
    pub text: String,
}

/// Indexes every package in `folder` and below it. A file that is no sound package is left out,
/// and the answer says so; the rest is indexed.
pub fn index(folder: &Path, options: &Options<'_>) -> Result<Indexed> {
    let mut found = walk::packages(folder)?;
    let done = AtomicUsize::new(0);
    let packages: Vec<_> = found
        .paths
        .par_iter()
        .map(|href| {
            let package = package::read(folder, href);
            (options.progress)(done.fetch_add(1, Ordering::Relaxed) + 1, found.paths.len());
            package
        })
        .collect();

    let (mut fragments, mut warnings) = (Vec::new(), Vec::new());
    for (href, package) in found.paths.iter().zip(packages) {
        let remark = |text| Remark { href: href.clone(), text };
        match package {
            Ok(package) => {
                warnings.extend(package.warnings.into_iter().map(remark));
                fragments.push(package.fragments);
            }
            Err(reason) => found.skipped.push(remark(reason)),
        }
    }
    found.skipped.sort_by(|left, right| left.href.cmp(&right.href));

    let slots: Vec<Slot<'_>> = fragments.iter().map(Slot::Fresh).collect();
    // Read by programs that compare it, and hashed here over all cores anyway.
    let render = RenderOptions { open_checksum: true, ..RenderOptions::new(options.compression) };
    let repodata = Repodata::render(render, &slots)
        .map_err(|error| Error::new(ErrorKind::Internal, "rendering the metadata").because(error))?;
    let changed = output::replace(options.output, &repodata, options.now)?;
    Ok(Indexed { packages: fragments.len(), changed, warnings, skipped: found.skipped })
}

/// An input or output error, told apart by what the operator does next.
fn io_error(doing: String, error: std::io::Error) -> Error {
    let kind = match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => ErrorKind::Config,
        std::io::ErrorKind::PermissionDenied => ErrorKind::Denied,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, doing).because(error)
}
