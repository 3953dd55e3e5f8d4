//! One package's share of the three documents.

use std::fmt;
use std::sync::Arc;

use super::Document;
use crate::checksum::Sha256;
use crate::package::Package;
use crate::xml::escape_attribute;
use crate::{filelists, other, primary};

/// Longest XML of one package in the three documents together. A header can name a long
/// directory once and a million files in it, so its length bounds nothing. It is in memory twice
/// while it is compressed: a package is never cut in two blocks.
pub const MAX_FRAGMENTS_BYTES: usize = 24 * 1024 * 1024;

/// What `<file></file>` and its line cost beyond the path.
const FILE_MARKUP_BYTES: usize = 16;

/// What stands before the pkgid in primary, and in filelists and other.
const PRIMARY_PKGID: &[u8] = b"pkgid=\"YES\">";
const PKGID_ATTRIBUTE: &[u8] = b"<package pkgid=\"";
/// What stands before the path in primary.
const HREF: &[u8] = b"<location href=\"";

/// One package's XML in the three documents, in one buffer that clones share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragments {
    bytes: Arc<Vec<u8>>,
    /// Where primary's and filelists' parts end.
    ends: [usize; 2],
}

/// The package's XML is longer than [`MAX_FRAGMENTS_BYTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the package's metadata is longer than {MAX_FRAGMENTS_BYTES} bytes")
    }
}

impl std::error::Error for TooLong {}

impl Fragments {
    /// Writes the package's three fragments.
    pub fn of(package: &Package<'_>) -> Result<Self, TooLong> {
        let files = package.files.iter().map(|file| file.dir.len() + file.base.len() + FILE_MARKUP_BYTES);
        let files_bytes = files.fold(0, usize::saturating_add);
        if files_bytes > MAX_FRAGMENTS_BYTES {
            return Err(TooLong);
        }
        let mut bytes = Vec::with_capacity(files_bytes + 4096);
        primary::write(&mut bytes, package);
        let primary_end = bytes.len();
        filelists::write(&mut bytes, package);
        let filelists_end = bytes.len();
        other::write(&mut bytes, package);
        if bytes.len() > MAX_FRAGMENTS_BYTES {
            return Err(TooLong);
        }
        Ok(Self { bytes: Arc::new(bytes), ends: [primary_end, filelists_end] })
    }

    /// Of a package whose elements in filelists and other stand there as they would be written.
    pub(super) fn with_written(package: &Package<'_>, [filelists, other]: [&[u8]; 2]) -> Result<Self, TooLong> {
        let mut bytes = Vec::with_capacity(filelists.len() + other.len() + 4096);
        primary::write(&mut bytes, package);
        let primary_end = bytes.len();
        bytes.extend_from_slice(filelists);
        bytes.push(b'\n');
        let filelists_end = bytes.len();
        bytes.extend_from_slice(other);
        bytes.push(b'\n');
        Self::from_parts(bytes, [primary_end, filelists_end]).ok_or(TooLong)
    }

    /// Puts in the pkgid of a package that was described before its bytes were hashed. The
    /// places are found by the markup, which no field's text can contain unescaped. Copies the XML
    /// if another clone has it too.
    pub fn set_pkgid(&mut self, pkgid: Sha256) {
        let text = pkgid.to_string();
        let starts = [0, self.ends[0], self.ends[1]];
        let bytes = Arc::make_mut(&mut self.bytes);
        let marks: [&[u8]; 3] = [PRIMARY_PKGID, PKGID_ATTRIBUTE, PKGID_ATTRIBUTE];
        for (start, mark) in starts.into_iter().zip(marks) {
            let found = bytes[start..].windows(mark.len()).position(|window| window == mark);
            let at = start + found.expect("every fragment names its package") + mark.len();
            bytes[at..at + text.len()].copy_from_slice(text.as_bytes());
        }
    }

    /// The same package at another path; `None` when that makes its XML too long.
    pub fn at(&self, href: &str) -> Option<Self> {
        let primary = self.get(Document::Primary);
        let start = primary.windows(HREF.len()).position(|window| window == HREF)? + HREF.len();
        let length = primary[start..].iter().position(|byte| *byte == b'"')?;
        let mut bytes = Vec::with_capacity(self.bytes.len() + href.len());
        bytes.extend_from_slice(&primary[..start]);
        escape_attribute(&mut bytes, href);
        let escaped = bytes.len() - start;
        bytes.extend_from_slice(&self.bytes[start + length..]);
        Self::from_parts(bytes, self.ends.map(|end| end + escaped - length))
    }

    /// The three pieces one after the other, and where the first two end.
    pub fn as_parts(&self) -> (&[u8], [usize; 2]) {
        (&self.bytes, self.ends)
    }

    /// From what [`Fragments::as_parts`] gave; `None` from anything else.
    pub fn from_parts(bytes: Vec<u8>, ends: [usize; 2]) -> Option<Self> {
        let within = ends[0] <= ends[1] && ends[1] <= bytes.len() && bytes.len() <= MAX_FRAGMENTS_BYTES;
        within.then(|| Self { bytes: Arc::new(bytes), ends })
    }

    /// The package's XML in one document.
    pub fn get(&self, document: Document) -> &[u8] {
        match document {
            Document::Primary => &self.bytes[..self.ends[0]],
            Document::Filelists => &self.bytes[self.ends[0]..self.ends[1]],
            Document::Other => &self.bytes[self.ends[1]..],
        }
    }
}
