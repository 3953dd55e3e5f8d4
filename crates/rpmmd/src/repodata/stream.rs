//! The three documents as streams: each package's element by itself, in the document's order.
//!
//! Holds one element and what was read ahead, however long the document is. [`super::read`] is
//! its twin for documents that fit into memory.

use std::io::{self, BufRead, Read};

use super::element::PackageXml;
use super::read::{MAX_OPEN_BYTES, generation_in};
use super::source::READ_BYTES;
use super::{Document, Fragments, MAX_FRAGMENTS_BYTES, ReadRange, TooLong, canonical};
use crate::compress::OpenText;
use crate::package::{File, Package};
use crate::primary::Location;
use crate::xml::{Element, Elements, Pieces, ReadError};
use crate::{filelists, other, primary};

/// A document that is read as its packages are asked for.
pub struct PackageStream<'a> {
    document: Document,
    pieces: Pieces<'a>,
    generation: Option<u64>,
}

impl<'a> PackageStream<'a> {
    /// Begins a document as it is published (gzip, zstd or plain).
    pub fn open(document: Document, file: &'a dyn ReadRange) -> Result<Self, ReadError> {
        let text = OpenText::new(InOrder { file, at: 0, piece: Vec::new(), used: 0 }, MAX_OPEN_BYTES)?;
        let (pieces, head) = Pieces::enter(text, document.root(), MAX_FRAGMENTS_BYTES)?;
        Ok(Self { document, pieces, generation: generation_in(&head) })
    }

    /// The revision that our own rendering notes at the top; `None` for a file that something else
    /// wrote.
    pub fn generation(&self) -> Option<u64> {
        self.generation
    }

    /// The next package; `None` when the document and its file have ended soundly.
    pub fn next_package(&mut self) -> Result<Option<PackageXml>, ReadError> {
        while let Some(piece) = self.pieces.next()? {
            let read = |(mut elements, start): (Elements<'_>, Element<'_>)| match self.document {
                _ if start.name() != "package" => Ok(None),
                Document::Primary => primary::read_pkgid(&mut elements, &start).map(Some),
                Document::Filelists | Document::Other => filelists::read_pkgid(&start).map(Some),
            };
            let pkgid = Elements::begin(piece.xml).and_then(read).map_err(|error| error.at(piece.position))?;
            if let Some(pkgid) = pkgid {
                return Ok(Some(PackageXml { pkgid, xml: piece.xml.to_vec(), position: piece.position }));
            }
        }
        Ok(None)
    }

    /// Where the next package of primary is said to lie, whatever its checksum; `None` as above.
    pub fn next_location(&mut self) -> Result<Option<Location>, ReadError> {
        while let Some(piece) = self.pieces.next()? {
            let read = |(mut elements, start): (Elements<'_>, Element<'_>)| match start.name() {
                "package" => primary::read_location(&mut elements, &start).map(Some),
                _ => Ok(None),
            };
            let location = Elements::begin(piece.xml).and_then(read).map_err(|error| error.at(piece.position))?;
            if location.is_some() {
                return Ok(location);
            }
        }
        Ok(None)
    }
}

/// A package as three documents describe it.
#[derive(Debug)]
pub struct Joined<'x> {
    /// The package; its path may be changed.
    pub package: Package<'static>,
    /// `xml:base` of its location.
    pub base: Option<String>,
    /// Its elements in filelists and other, where they need not be written anew; the package has only those files
    /// then that primary lists, and no changelogs.
    written: Option<[&'x [u8]; 2]>,
}

impl Joined<'_> {
    /// Its XML.
    pub fn fragments(&self) -> Result<Fragments, TooLong> {
        match self.written {
            Some(written) => Fragments::with_written(&self.package, written),
            None => Fragments::of(&self.package),
        }
    }
}

/// A package from what the three documents, in [`Document::ALL`]'s order, say of it.
pub fn join([primary, filelists, other]: [&PackageXml; 3]) -> Result<Joined<'_>, ReadError> {
    for (document, said) in [(Document::Filelists, filelists), (Document::Other, other)] {
        if said.pkgid != primary.pkgid {
            return Err(ReadError::Unmatched { document: document.name(), pkgid: primary.pkgid });
        }
    }
    let (mut package, base) = primary.read(primary::read_located)?;
    let written = canonical::as_written(&package, filelists, other);
    if written.is_none() {
        package.files = filelists.read(|elements, _| filelists::read_children(elements, filelists::read_child))?;
        package.changelogs = other.read(|elements, _| filelists::read_children(elements, other::read_child))?;
    }
    Ok(Joined { package, base, written })
}

impl PackageXml {
    /// What primary says of the package, with `xml:base` of its location; of its files those that primary lists.
    pub fn described(&self) -> Result<(Package<'static>, Option<String>), ReadError> {
        self.read(primary::read_located)
    }

    /// The files that filelists lists.
    pub fn files(&self) -> Result<Vec<File<'static>>, ReadError> {
        self.read(|elements, _| filelists::read_children(elements, filelists::read_child))
    }

    fn read<'x, T>(
        &'x self,
        read: impl FnOnce(&mut Elements<'x>, &Element<'x>) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let whole = || {
            let (mut elements, start) = Elements::begin(&self.xml)?;
            let value = read(&mut elements, &start)?;
            elements.finish().map(|()| value)
        };
        whole().map_err(|error| error.at(self.position))
    }
}

/// A file from its start to its end.
struct InOrder<'a> {
    file: &'a dyn ReadRange,
    /// Where the next piece begins.
    at: u64,
    piece: Vec<u8>,
    used: usize,
}

impl BufRead for InOrder<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.used == self.piece.len() {
            let end = self.file.length_bytes().min(self.at + READ_BYTES);
            self.file.read_into(self.at..end, &mut self.piece)?;
            (self.at, self.used) = (end, 0);
        }
        Ok(&self.piece[self.used..])
    }

    fn consume(&mut self, amount: usize) {
        self.used += amount;
    }
}

impl Read for InOrder<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(into)?;
        self.consume(read);
        Ok(read)
    }
}
