//! A whole repository's metadata back into packages.

use std::collections::HashMap;
use std::io::Read as _;

use crate::checksum::Sha256;
use crate::compress::decompress;
use crate::package::Package;
use crate::xml::ReadError;
use crate::{filelists, other, primary};

/// Longest document read, uncompressed: a guard against decompression bombs, not a limit of
/// the format.
pub const MAX_OPEN_BYTES: u64 = 2 * 1024 * 1024 * 1024;

/// Reads the three documents, each as it is published (gzip, zstd or plain), and joins them by
/// pkgid, in primary's order. What filelists and other hold beyond primary is ignored.
pub fn read(primary: &[u8], filelists: &[u8], other: &[u8]) -> Result<Vec<Package<'static>>, ReadError> {
    let mut packages = primary::read(&decompress(primary, MAX_OPEN_BYTES)?)?;
    let files = filelists::read(&decompress(filelists, MAX_OPEN_BYTES)?)?;
    let mut files = Listing::of("filelists", files, &packages);
    let changelogs = other::read(&decompress(other, MAX_OPEN_BYTES)?)?;
    let mut changelogs = Listing::of("other", changelogs, &packages);
    for package in &mut packages {
        package.files = files.take(package.pkgid)?;
        package.changelogs = changelogs.take(package.pkgid)?;
    }
    Ok(packages)
}

/// The revision that our own rendering notes at the top of each file; `None` for a file that
/// something else wrote.
pub fn generation(file: &[u8]) -> Option<u64> {
    let mut top = Vec::new();
    // A generation's note stands in the first hundred bytes.
    let read = match file {
        [0x1f, 0x8b, ..] => flate2::bufread::GzDecoder::new(file).take(256).read_to_end(&mut top),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            zstd::stream::read::Decoder::with_buffer(file).ok()?.take(256).read_to_end(&mut top)
        }
        plain => plain.take(256).read_to_end(&mut top),
    };
    read.ok()?;
    generation_in(&top)
}

/// The same from the text's beginning.
pub(super) fn generation_in(top: &[u8]) -> Option<u64> {
    let (_, note) = std::str::from_utf8(top).ok()?.split_once("<!-- generation ")?;
    note.split_once(' ')?.0.parse().ok()
}

/// What one document says of each package. The same file published under two paths is in
/// primary twice under one pkgid.
struct Listing<T> {
    document: &'static str,
    by_pkgid: HashMap<Sha256, Entry<T>>,
}

struct Entry<T> {
    items: Vec<T>,
    wanted: u32,
}

impl<T: Clone> Listing<T> {
    fn of(document: &'static str, listed: Vec<(Sha256, Vec<T>)>, packages: &[Package<'_>]) -> Self {
        let entries = listed.into_iter().map(|(pkgid, items)| (pkgid, Entry { items, wanted: 0 }));
        let mut by_pkgid: HashMap<_, _> = entries.collect();
        for package in packages {
            if let Some(entry) = by_pkgid.get_mut(&package.pkgid) {
                entry.wanted += 1;
            }
        }
        Self { document, by_pkgid }
    }

    fn take(&mut self, pkgid: Sha256) -> Result<Vec<T>, ReadError> {
        let entry = self.by_pkgid.get_mut(&pkgid).ok_or(ReadError::Unmatched { document: self.document, pkgid })?;
        entry.wanted = entry.wanted.saturating_sub(1);
        // The last one takes, the others copy.
        Ok(if entry.wanted == 0 { std::mem::take(&mut entry.items) } else { entry.items.clone() })
    }
}
