//! What rendering is asked for, and what it answers: the words that its parts share.

use std::fmt;
use std::io;
use std::ops::Range;

use super::Fragments;
use super::document::{Document, Mark};
use crate::block::Layout;
use crate::checksum::Sha256;
use crate::compress::Compression;
use crate::repomd::{AnyChecksum, Record};

/// What comes next in the file to be written.
#[derive(Debug, Clone)]
pub enum Slot<'a> {
    /// Packages that stay, side by side as they were: their indexes among the previous ones. Kept ones
    /// come in increasing order.
    Kept(Range<usize>),
    /// A package that is new here.
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
    /// What its packages' hrefs begin with: as in [`RenderOptions::href_prefix`], or nothing; then
    /// every block is made anew if they shall begin with something.
    pub href_prefix: &'static str,
}

/// How to render.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenderOptions {
    /// Compression of the file. If the previous file had another one, every block is made anew.
    pub compression: Compression,
    /// One of [`Compression::levels`]. Reused blocks keep the level they were made with.
    pub level: u8,
    /// Whether to hash the uncompressed document, for which unchanged blocks are decompressed
    /// too. No client checks it for XML.
    pub open_checksum: bool,
    /// Written into a comment at the top, so that no two generations' files ever have the same
    /// name: a file that is about to be swept is never the one that is about to be published.
    pub mark: Option<Mark>,
    /// What stands before every package's location href in primary: the way from where the file
    /// counts as the repository's to where the packages are (`../../`). It holds nothing
    /// that markup escapes. Only [`render`](super::render()) heeds it.
    pub href_prefix: &'static str,
    /// The address that every package's location is below in primary, as `xml:base`; empty for where the file counts as the
    /// repository's. It holds nothing that markup escapes. Only [`render`](super::render()) heeds it.
    pub location_base: &'static str,
}

impl RenderOptions {
    /// The options of a repository kept by blocks: the default level, no open checksum.
    pub fn new(compression: Compression) -> Self {
        Self {
            compression,
            level: compression.default_level(),
            open_checksum: false,
            mark: None,
            href_prefix: "",
            location_base: "",
        }
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
    /// A kept slot names what is no previous package, or not in increasing order.
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

/// A file that can be read at any place: in memory, or in pieces from wherever it is kept.
pub trait ReadRange: Sync {
    /// The file's length.
    fn length_bytes(&self) -> u64;

    /// Makes `bytes` those of a range within the file. Fewer than were asked for are an error.
    fn read_into(&self, range: Range<u64>, bytes: &mut Vec<u8>) -> io::Result<()>;
}

impl ReadRange for &[u8] {
    fn length_bytes(&self) -> u64 {
        self.len() as u64
    }

    fn read_into(&self, range: Range<u64>, bytes: &mut Vec<u8>) -> io::Result<()> {
        slice(self, range, bytes)
    }
}

impl ReadRange for Vec<u8> {
    fn length_bytes(&self) -> u64 {
        self.len() as u64
    }

    fn read_into(&self, range: Range<u64>, bytes: &mut Vec<u8>) -> io::Result<()> {
        slice(self, range, bytes)
    }
}

fn slice(file: &[u8], range: Range<u64>, bytes: &mut Vec<u8>) -> io::Result<()> {
    let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
    let there = file.get(place(range.start)..place(range.end)).ok_or(io::ErrorKind::UnexpectedEof)?;
    bytes.clear();
    bytes.extend_from_slice(there);
    Ok(())
}

impl Rendered {
    /// The file's name: `<sha256>-primary.xml.gz`.
    pub fn file_name(&self, document: Document) -> String {
        format!("{}-{}.xml.{}", self.sha256, document.name(), self.layout.compression.extension())
    }

    /// The record that names the file in repomd.xml, under `repodata/`.
    pub fn record(&self, document: Document, timestamp: u64) -> Record {
        Record {
            kind: document.name().to_owned(),
            checksum: AnyChecksum::sha256(self.sha256),
            open_checksum: self.open_sha256.map(AnyChecksum::sha256),
            base: None,
            href: format!("repodata/{}", self.file_name(document)),
            timestamp: Some(timestamp),
            size: Some(self.file_bytes),
            open_size: Some(self.open_bytes),
            extra: Vec::new(),
        }
    }
}

/// The records that name the three files in repomd.xml, in its order. `timestamp` is in seconds
/// and must not be less than the last generation's (yum 3 goes back to its old metadata).
pub fn records(files: &[Rendered; 3], timestamp: u64) -> Vec<Record> {
    Document::ALL.into_iter().zip(files).map(|(document, file)| file.record(document, timestamp)).collect()
}
