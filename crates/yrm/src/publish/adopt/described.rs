//! What metadata that somebody else wrote says of each package, read as it streams by.
//!
//! The three documents are read side by side and joined by pkgid. What each package's XML would be
//! here is put aside on the local disk; in memory there is a row for each package, and what is
//! being read. Judges nothing: whether a package is really there is for the listing to say.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::ops::Range;

use rayon::prelude::*;
use rpmmd::checksum::Sha256;
use rpmmd::package::Package;
use rpmmd::repodata::{Document, Fragments, PackageStream, PackageXml, ReadError, TooLong, join};
use rpmmd::repomd::Repomd;

use super::batch_packages;
use crate::error::{Error, ErrorKind, Result};
use crate::publish::bucket::{Bucket, aside};
use crate::publish::catalog::{Entries, Entry};
use crate::store::body::{Body, Spool};
use crate::store::key::{Key, RepositoryDir};

/// XML read while the packages before are taken in: a batch ends with the package that fills it.
const BATCH_BYTES: usize = 4 << 20;
/// What is put aside compresses to a third at the speed of memory.
const ZSTD_LEVEL: i32 = 1;

/// What three documents say.
pub(super) struct Described {
    /// Whether this program wrote them.
    pub(super) ours: bool,
    /// In primary's order. ETags and times of publishing are for the listing to say.
    entries: Entries,
    /// Where each one's XML is.
    places: Vec<Place>,
    /// Indexes of the entries in the order of their hrefs, each href once.
    by_href: Vec<u32>,
    shelf: Body,
}

/// Where a package's XML is on the shelf.
struct Place {
    at: u64,
    packed_bytes: u32,
    bytes: u32,
    /// As [`Fragments::as_parts`] gives them.
    ends: [u32; 2],
}

/// Why metadata was not read.
enum Stop {
    Unreadable(ReadError),
    TooLong(TooLong),
    Disk(io::Error),
}

impl From<ReadError> for Stop {
    fn from(source: ReadError) -> Self {
        Self::Unreadable(source)
    }
}

impl From<io::Error> for Stop {
    fn from(source: io::Error) -> Self {
        Self::Disk(source)
    }
}

/// What the three documents that `repomd` names say. `Corrupt` when a file is missing, damaged, or
/// names packages by another checksum than SHA-256.
pub(super) async fn read(bucket: &Bucket, repository: &RepositoryDir, repomd: &Repomd) -> Result<Described> {
    let mut files = Vec::with_capacity(3);
    for document in Document::ALL {
        let corrupt =
            |what: &str| Error::new(ErrorKind::Corrupt, format!("reading {} of {repository}: {what}", document.name()));
        let record = repomd.record(document.name()).ok_or_else(|| corrupt("repomd.xml does not name it"))?;
        let key = bucket.path(Key::Metadata { repository, href: &record.href });
        let store = bucket.store.as_ref();
        let body = match record.checksum.as_sha256() {
            Some(sha256) => bucket.cache.fetch(store, &key, sha256).await?,
            None => bucket.cache.fetch_unnamed(store, &key).await?,
        };
        files.push(body.ok_or_else(|| corrupt("the file is missing, or its checksum does not match"))?);
    }
    let files: [Body; 3] = files.try_into().map_err(|_| Error::new(ErrorKind::Internal, "reading three documents"))?;
    let spools = [(); 3].map(|()| bucket.cache.spool(bucket.store.as_ref()));
    let described = aside("reading metadata", move || Described::of(&files, spools)).await?;
    described.map_err(|stop| {
        let error = |kind| Error::new(kind, format!("reading the metadata of {repository}"));
        match stop {
            Stop::Unreadable(source) => error(ErrorKind::Corrupt).because(source),
            Stop::TooLong(source) => error(ErrorKind::Corrupt).because(source),
            Stop::Disk(source) => error(ErrorKind::Unavailable).because(source),
        }
    })
}

impl Described {
    /// Nothing is known of any package.
    pub(super) fn nothing() -> Self {
        let shelf = Body::Memory(bytes::Bytes::new());
        Self { ours: false, entries: Entries::default(), places: Vec::new(), by_href: Vec::new(), shelf }
    }

    fn of(files: &[Body; 3], spools: [Spool; 3]) -> std::result::Result<Self, Stop> {
        let [primary, filelists, other] = files;
        let [shelf, parked_filelists, parked_other] = spools;
        let primary = PackageStream::open(Document::Primary, primary)?;
        let ours = primary.generation().is_some();
        let mut reading = Reading {
            primary,
            filelists: Follower::open(Document::Filelists, filelists, parked_filelists)?,
            other: Follower::open(Document::Other, other, parked_other)?,
        };
        let mut shelves = Shelves { entries: Entries::default(), places: Vec::new(), shelf };
        let mut batch = reading.batch()?;
        while !batch.is_empty() {
            let (taken_in, next) = rayon::join(|| shelves.take_in(&batch), || reading.batch());
            taken_in?;
            batch = next?;
        }
        let Shelves { entries, places, shelf } = shelves;
        let mut by_href: Vec<u32> = (0..u32::MAX).take(entries.len()).collect();
        // Of an href that stands there twice the last one counts.
        by_href.sort_by(|a, b| entries.href(index(*a)).cmp(entries.href(index(*b))).then(b.cmp(a)));
        by_href.dedup_by(|later, kept| entries.href(index(*later)) == entries.href(index(*kept)));
        Ok(Self { ours, entries, places, by_href, shelf: shelf.finish() })
    }

    /// How many packages there are.
    pub(super) fn len(&self) -> usize {
        self.by_href.len()
    }

    /// The package at `href`.
    pub(super) fn find(&self, href: &str) -> Option<usize> {
        let found = self.by_href.binary_search_by(|at| self.entries.href(index(*at)).cmp(href)).ok()?;
        Some(index(self.by_href[found]))
    }

    /// What is said of a package, but for its ETag and when it was published.
    pub(super) fn entry(&self, at: usize) -> Entry<'_> {
        self.entries.get(at)
    }

    /// How long its XML is.
    pub(super) fn fragments_bytes(&self, at: usize) -> usize {
        index(self.places[at].bytes)
    }

    /// Its XML, through a decompressor that is used again and again.
    pub(super) fn fragments(&self, at: usize, unpack: &mut zstd::bulk::Decompressor<'_>) -> io::Result<Fragments> {
        let Place { at, packed_bytes, bytes, ends } = &self.places[at];
        let packed = self.shelf.read(*at..*at + u64::from(*packed_bytes))?;
        let bytes = unpack.decompress(&packed, index(*bytes))?;
        Fragments::from_parts(bytes, ends.map(index)).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

/// Three documents side by side.
struct Reading<'a> {
    primary: PackageStream<'a>,
    filelists: Follower<'a>,
    other: Follower<'a>,
}

impl Reading<'_> {
    /// The next packages of primary, each with what the others say of it; none at the end of all
    /// three.
    fn batch(&mut self) -> std::result::Result<Vec<[PackageXml; 3]>, Stop> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < batch_packages() && bytes < BATCH_BYTES {
            let Some(primary) = self.primary.next_package()? else { break };
            let (filelists, other) = (self.filelists.take(primary.pkgid)?, self.other.take(primary.pkgid)?);
            bytes += primary.xml.len() + filelists.xml.len() + other.xml.len();
            batch.push([primary, filelists, other]);
        }
        if batch.is_empty() {
            // What they hold beyond primary is ignored, but it has to be sound.
            while self.filelists.stream.next_package()?.is_some() {}
            while self.other.stream.next_package()?.is_some() {}
        }
        Ok(batch)
    }
}

/// A document that is read in primary's order. createrepo_c and this program write all three in the
/// same order; in documents of others, what comes too early is parked on the local disk.
struct Follower<'a> {
    document: Document,
    stream: PackageStream<'a>,
    lot: Spool,
    /// Where in the lot each parked package is, and where it was in the document.
    parked: HashMap<Sha256, (Range<u64>, u64)>,
}

impl<'a> Follower<'a> {
    fn open(document: Document, file: &'a Body, lot: Spool) -> std::result::Result<Self, Stop> {
        let stream = PackageStream::open(document, file)?;
        Ok(Self { document, stream, lot, parked: HashMap::new() })
    }

    /// What the document says of the package. A file that primary names under two paths has to be
    /// here twice, or out of order: it stays parked.
    fn take(&mut self, pkgid: Sha256) -> std::result::Result<PackageXml, Stop> {
        if let Some((range, position)) = self.parked.get(&pkgid) {
            return Ok(PackageXml { pkgid, xml: self.lot.read(range.clone())?, position: *position });
        }
        while let Some(package) = self.stream.next_package()? {
            if package.pkgid == pkgid {
                return Ok(package);
            }
            let begin = self.lot.written_bytes();
            self.lot.write_all(&package.xml)?;
            self.parked.insert(package.pkgid, (begin..self.lot.written_bytes(), package.position));
        }
        Err(ReadError::Unmatched { document: self.document.name(), pkgid }.into())
    }
}

/// Where packages are put aside.
struct Shelves {
    entries: Entries,
    places: Vec<Place>,
    shelf: Spool,
}

/// A package ready to be put aside.
struct Packed {
    entry: Entry<'static>,
    bytes: Vec<u8>,
    open_bytes: u32,
    ends: [u32; 2],
}

impl Shelves {
    /// Reads the packages over all cores, and puts them aside.
    fn take_in(&mut self, batch: &[[PackageXml; 3]]) -> std::result::Result<(), Stop> {
        let pack = |pack: &mut io::Result<_>, said: &[PackageXml; 3]| packed(said, pack);
        let compressor = || zstd::bulk::Compressor::new(ZSTD_LEVEL);
        let packed: Vec<Packed> = batch.par_iter().map_init(compressor, pack).collect::<std::result::Result<_, _>>()?;
        for Packed { entry, bytes, open_bytes, ends } in packed {
            let at = self.shelf.written_bytes();
            self.shelf.write_all(&bytes)?;
            self.places.push(Place { at, packed_bytes: length(bytes.len()), bytes: open_bytes, ends });
            self.entries.push(&entry);
        }
        Ok(())
    }
}

fn packed(
    [primary, filelists, other]: &[PackageXml; 3],
    pack: &mut io::Result<zstd::bulk::Compressor<'_>>,
) -> std::result::Result<Packed, Stop> {
    let package = join([primary, filelists, other])?;
    let fragments = Fragments::of(&package).map_err(Stop::TooLong)?;
    let (open, ends) = fragments.as_parts();
    let pack = pack.as_mut().map_err(|error| io::Error::from(error.kind()))?;
    Ok(Packed {
        bytes: pack.compress(open)?,
        open_bytes: length(open.len()),
        ends: ends.map(length),
        entry: entry(package),
    })
}

fn entry(package: Package<'static>) -> Entry<'static> {
    Entry {
        href: package.href,
        name: package.nevra.name.into(),
        epoch: package.nevra.evr.epoch,
        version: package.nevra.evr.version.into(),
        release: package.nevra.evr.release.into(),
        arch: package.nevra.arch.into(),
        pkgid: *package.pkgid.as_bytes(),
        size_bytes: package.package_bytes,
        build_time: package.build_time,
        first_published: 0,
        etag: "".into(),
        fragment_bytes: [0; 3],
        module: None,
    }
}

fn index(number: u32) -> usize {
    usize::try_from(number).expect("usize has at least 32 bits")
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a package's XML is shorter than MAX_FRAGMENTS_BYTES")
}
