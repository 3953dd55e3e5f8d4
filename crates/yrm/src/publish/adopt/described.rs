//! What metadata that somebody else wrote says of each package, read as it streams by.
//!
//! The three documents are read side by side and joined by pkgid. What each package's XML would be
//! here is put aside on the local disk; in memory there is a row for each package, and what is
//! being read. Where that cannot be done (a document is missing or damaged, packages are named by
//! another checksum), what the rest says of which packages there are still holds: primary's paths,
//! or the digests in filelists or other. Judges nothing: whether a package is really there is for
//! the listing to say.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write as _};
use std::ops::Range;
use std::sync::Arc;

use jiff::Timestamp;
use rayon::prelude::*;
use rpmmd::checksum::Sha256;
use rpmmd::package::Package;
use rpmmd::repodata::{Document, Fragments, Location, PackageStream, PackageXml, ReadError, TooLong, join};
use rpmmd::repomd::{Record, Repomd};
use serde::{Deserialize, Serialize};

use super::batch::batch_packages;
use crate::bucket::catalog::Entry;
use crate::bucket::href;
use crate::bucket::report::Names;
use crate::bucket::{Bucket, aside};
use crate::config::Policy;
use crate::error::{Error, ErrorKind, Result};
use crate::store::Object;
use crate::store::body::{Body, Spool};
use crate::store::key::{Key, RepositoryDir};

/// XML read while the packages before are taken in: a batch ends with the package that fills it.
const BATCH_BYTES: usize = 4 << 20;
/// What is put aside compresses to a third at the speed of memory.
const ZSTD_LEVEL: i32 = 1;

/// What three documents say.
pub(super) struct Described {
    /// In primary's order.
    hrefs: Hrefs,
    /// Where the rest is that is said of each; empty where only paths are known.
    places: Vec<Place>,
    /// Indexes in the order of the hrefs, each href once.
    by_href: Vec<u32>,
    shelf: Body,
    /// What is said to lie where this bucket has nothing.
    pub(super) elsewhere: Names,
}

/// What is known of a repository from its metadata.
pub(super) enum Told {
    /// Its packages' paths, and what is said of them.
    Paths(Described),
    /// Only the digests of its packages: primary is lost.
    Digests(HashSet<Sha256>),
}

/// Paths, one after the other.
#[derive(Default)]
struct Hrefs {
    text: String,
    ends: Vec<usize>,
}

impl Hrefs {
    fn push(&mut self, href: &str) {
        self.text.push_str(href);
        self.ends.push(self.text.len());
    }

    fn get(&self, at: u32) -> &str {
        let at = index(at);
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[at]]
    }
}

/// Where a package is on the shelf: its facts, and behind them its XML.
struct Place {
    at: u64,
    facts_bytes: u32,
    packed_bytes: u32,
    bytes: u32,
    /// As [`Fragments::as_parts`] gives them.
    ends: [u32; 2],
    /// Length of the package's file.
    size_bytes: u64,
}

/// What the catalog will say of a package, but for what a listing says.
#[derive(Serialize, Deserialize)]
struct Facts<'a> {
    name: &'a str,
    epoch: u32,
    version: &'a str,
    release: &'a str,
    arch: &'a str,
    pkgid: [u8; 32],
    size_bytes: u64,
    build_time: u64,
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

/// Which path a location means.
#[derive(Clone)]
struct Folder {
    repository: RepositoryDir,
    policy: Arc<Policy>,
}

impl Folder {
    /// The path, or what to call the package that has none here.
    fn place(&self, base: Option<&str>, href: &str) -> std::result::Result<String, String> {
        let elsewhere = || base.map_or_else(|| href.to_owned(), |base| format!("{href} of {base}"));
        href::place(&self.repository, &self.policy, base, href).ok_or_else(elsewhere)
    }
}

/// What the three documents that `repomd` names say, as far as they can be read. `Corrupt` when none of them says
/// which packages there are.
pub(super) async fn read(bucket: &Bucket, repository: &RepositoryDir, repomd: &Repomd) -> Result<Told> {
    let folder = Folder { repository: repository.clone(), policy: Arc::clone(&bucket.policy) };
    let mut files = Vec::with_capacity(3);
    for document in Document::ALL {
        files.push(match repomd.record(document.name()) {
            Some(record) => fetch(bucket, &folder, record).await?,
            None => None,
        });
    }
    let mut why = Vec::new();
    let missing = Document::ALL.iter().zip(&files).filter(|(_, file)| file.is_none());
    why.extend(missing.map(|(document, _)| format!("{} is missing, or has not its checksum", document.name())));
    if let [Some(primary), Some(filelists), Some(other)] = &files[..] {
        let (files, folder) = ([primary.clone(), filelists.clone(), other.clone()], folder.clone());
        let spools = [(); 3].map(|()| bucket.cache.spool(bucket.store.as_ref()));
        let described = aside("reading metadata", move || Described::of(&files, spools, &folder)).await?;
        if let Some(described) = known(repository, described, &mut why)? {
            return Ok(Told::Paths(described));
        }
    }
    tracing::warn!(%repository, "{}; reading every package's header instead", why.join("; "));
    if let Some(primary) = files[0].clone() {
        let described = aside("reading metadata", move || Described::paths_in(&primary, &folder)).await?;
        if let Some(described) = known(repository, described, &mut why)? {
            return Ok(Told::Paths(described));
        }
    }
    for (document, file) in [Document::Filelists, Document::Other].into_iter().zip(files.into_iter().skip(1)) {
        let Some(file) = file else { continue };
        let digests = aside("reading metadata", move || digests_in(document, &file)).await?;
        if let Some(digests) = known(repository, digests, &mut why)? {
            return Ok(Told::Digests(digests));
        }
    }
    Err(Error::new(ErrorKind::Corrupt, format!("taking over {repository}: its metadata does not say what it holds"))
        .because(why.join("; "))
        .hint(
            "nothing was changed; make the metadata again (createrepo_c, with gz or zstd), or remove its repomd.xml and \
             copies in .yrm/generations to have it made from all packages in the folder",
        ))
}

/// The paths that the newest of these files names; `None` when none of them can be read.
pub(super) async fn newest_primary(
    bucket: &Bucket,
    repository: &RepositoryDir,
    primaries: impl Iterator<Item = Object>,
) -> Result<Option<Described>> {
    let folder = Folder { repository: repository.clone(), policy: Arc::clone(&bucket.policy) };
    let mut newest: Option<((Option<u64>, Timestamp), Described)> = None;
    for object in primaries {
        let Some(file) = bucket.cache.fetch_unnamed(bucket.store.as_ref(), &object.key).await? else { continue };
        let folder = folder.clone();
        let read = aside("reading metadata", move || {
            let generation = PackageStream::open(Document::Primary, &file)?.generation();
            Described::paths_in(&file, &folder).map(|described| (generation, described))
        });
        let Some((generation, described)) = known(repository, read.await?, &mut Vec::new())? else { continue };
        // Ours say which generation they are of.
        let age = (generation, object.modified);
        if newest.as_ref().is_none_or(|(before, _)| *before < age) {
            newest = Some((age, described));
        }
    }
    Ok(newest.map(|(_, described)| described))
}

/// What was read; `None`, with a reason more, when it cannot be read.
fn known<T>(
    repository: &RepositoryDir,
    read: std::result::Result<T, Stop>,
    why: &mut Vec<String>,
) -> Result<Option<T>> {
    match read {
        Ok(read) => return Ok(Some(read)),
        Err(Stop::Disk(source)) => {
            let doing = format!("reading the metadata of {repository}");
            return Err(Error::new(ErrorKind::Unavailable, doing).because(source));
        }
        Err(Stop::Unreadable(source)) => why.push(source.to_string()),
        Err(Stop::TooLong(source)) => why.push(source.to_string()),
    }
    Ok(None)
}

async fn fetch(bucket: &Bucket, folder: &Folder, record: &Record) -> Result<Option<Body>> {
    let Ok(href) = folder.place(record.base.as_deref(), &record.href) else { return Ok(None) };
    let key = bucket.path(Key::Metadata { repository: &folder.repository, href: &href });
    let store = bucket.store.as_ref();
    match record.checksum.as_sha256() {
        Some(sha256) => bucket.cache.fetch(store, &key, sha256).await,
        None => bucket.cache.fetch_unnamed(store, &key).await,
    }
}

/// The digests of the packages in a document that names them by digest.
fn digests_in(document: Document, file: &Body) -> std::result::Result<HashSet<Sha256>, Stop> {
    let mut stream = PackageStream::open(document, file)?;
    let mut digests = HashSet::new();
    while let Some(package) = stream.next_package()? {
        digests.insert(package.pkgid);
    }
    Ok(digests)
}

impl Described {
    /// Nothing is known of any package.
    pub(super) fn nothing() -> Self {
        Self {
            hrefs: Hrefs::default(),
            places: Vec::new(),
            by_href: Vec::new(),
            shelf: Body::Memory(bytes::Bytes::new()),
            elsewhere: Names::default(),
        }
    }

    fn of(files: &[Body; 3], spools: [Spool; 3], folder: &Folder) -> std::result::Result<Self, Stop> {
        let [primary, filelists, other] = files;
        let [shelf, parked_filelists, parked_other] = spools;
        let mut reading = Reading {
            primary: PackageStream::open(Document::Primary, primary)?,
            filelists: Follower::open(Document::Filelists, filelists, parked_filelists)?,
            other: Follower::open(Document::Other, other, parked_other)?,
        };
        let mut shelves = Shelves { hrefs: Hrefs::default(), places: Vec::new(), shelf, elsewhere: Names::default() };
        let mut batch = reading.batch()?;
        while !batch.is_empty() {
            let (taken_in, next) = rayon::join(|| shelves.take_in(&batch, folder), || reading.batch());
            taken_in?;
            batch = next?;
        }
        let Shelves { hrefs, places, shelf, elsewhere } = shelves;
        Ok(Self { by_href: by_href(&hrefs), hrefs, places, shelf: shelf.finish(), elsewhere })
    }

    /// Only the paths that primary names.
    fn paths_in(primary: &Body, folder: &Folder) -> std::result::Result<Self, Stop> {
        let mut stream = PackageStream::open(Document::Primary, primary)?;
        let mut paths = Self::nothing();
        while let Some(Location { base, href }) = stream.next_location()? {
            match folder.place(base.as_deref(), &href) {
                Ok(href) => paths.hrefs.push(&href),
                Err(elsewhere) => paths.elsewhere.add(elsewhere),
            }
        }
        paths.by_href = by_href(&paths.hrefs);
        Ok(paths)
    }

    /// How many packages there are, those elsewhere aside.
    pub(super) fn len(&self) -> usize {
        self.by_href.len()
    }

    /// The path at this place in their byte order.
    pub(super) fn href(&self, at: usize) -> &str {
        self.hrefs.get(self.by_href[at])
    }

    /// Where in that order the package at `href` is.
    pub(super) fn position(&self, href: &str) -> Option<usize> {
        self.by_href.binary_search_by(|at| self.hrefs.get(*at).cmp(href)).ok()
    }

    /// The package at `href`, if more than its path is known.
    pub(super) fn find(&self, href: &str) -> Option<usize> {
        let found = self.position(href).filter(|_| !self.places.is_empty())?;
        Some(index(self.by_href[found]))
    }

    /// How long its file is said to be.
    pub(super) fn size_bytes(&self, at: usize) -> u64 {
        self.places[at].size_bytes
    }

    /// How long its XML is.
    pub(super) fn fragments_bytes(&self, at: usize) -> usize {
        index(self.places[at].bytes)
    }

    /// What is said of it, but for its ETag and when it was published, and its XML, through a decompressor that is
    /// used again and again.
    pub(super) fn package(
        &self,
        at: usize,
        unpack: &mut zstd::bulk::Decompressor<'_>,
    ) -> io::Result<(Entry<'static>, Fragments)> {
        let href = self.hrefs.get(length(at)).to_owned();
        let Place { at, facts_bytes, packed_bytes, bytes, ends, .. } = &self.places[at];
        let shelved = self.shelf.read(*at..*at + u64::from(*facts_bytes) + u64::from(*packed_bytes))?;
        let (facts, packed) = shelved.split_at(index(*facts_bytes));
        let bytes = unpack.decompress(packed, index(*bytes))?;
        let fragments = Fragments::from_parts(bytes, ends.map(index)).ok_or(io::ErrorKind::InvalidData)?;
        let facts: Facts<'_> = postcard::from_bytes(facts).map_err(|_| io::ErrorKind::InvalidData)?;
        let entry = Entry {
            href: href.into(),
            name: facts.name.to_owned().into(),
            epoch: facts.epoch,
            version: facts.version.to_owned().into(),
            release: facts.release.to_owned().into(),
            arch: facts.arch.to_owned().into(),
            pkgid: facts.pkgid,
            size_bytes: facts.size_bytes,
            build_time: facts.build_time,
            first_published: 0,
            etag: "".into(),
            fragment_bytes: [0; 3],
            module: None,
        };
        Ok((entry, fragments))
    }
}

/// Indexes in the order of the hrefs. Of an href that stands there twice the last one counts.
fn by_href(hrefs: &Hrefs) -> Vec<u32> {
    let href = |at: u32| hrefs.get(at);
    let mut by_href: Vec<u32> = (0..u32::MAX).take(hrefs.ends.len()).collect();
    by_href.sort_by(|a, b| href(*a).cmp(href(*b)).then(b.cmp(a)));
    by_href.dedup_by(|later, kept| href(*later) == href(*kept));
    by_href
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
    hrefs: Hrefs,
    places: Vec<Place>,
    shelf: Spool,
    elsewhere: Names,
}

/// A package ready to be put aside.
struct Packed {
    href: String,
    size_bytes: u64,
    facts_bytes: u32,
    /// Facts and packed XML.
    bytes: Vec<u8>,
    open_bytes: u32,
    ends: [u32; 2],
}

impl Shelves {
    /// Reads the packages over all cores, and puts them aside.
    fn take_in(&mut self, batch: &[[PackageXml; 3]], folder: &Folder) -> std::result::Result<(), Stop> {
        let pack = |pack: &mut io::Result<_>, said: &[PackageXml; 3]| packed(said, pack, folder);
        let compressor = || zstd::bulk::Compressor::new(ZSTD_LEVEL);
        let packed: Vec<_> = batch.par_iter().map_init(compressor, pack).collect::<std::result::Result<_, _>>()?;
        for packed in packed {
            match packed {
                Ok(Packed { href, size_bytes, facts_bytes, bytes, open_bytes, ends }) => {
                    let at = self.shelf.written_bytes();
                    self.shelf.write_all(&bytes)?;
                    let packed_bytes = length(bytes.len()) - facts_bytes;
                    self.places.push(Place { at, facts_bytes, packed_bytes, bytes: open_bytes, ends, size_bytes });
                    self.hrefs.push(&href);
                }
                Err(elsewhere) => self.elsewhere.add(elsewhere),
            }
        }
        Ok(())
    }
}

/// The package, or what to call one that lies elsewhere.
fn packed(
    [primary, filelists, other]: &[PackageXml; 3],
    pack: &mut io::Result<zstd::bulk::Compressor<'_>>,
    folder: &Folder,
) -> std::result::Result<std::result::Result<Packed, String>, Stop> {
    let mut joined = join([primary, filelists, other])?;
    match folder.place(joined.base.as_deref(), &joined.package.href) {
        Ok(href) => joined.package.href = href.into(),
        Err(elsewhere) => return Ok(Err(elsewhere)),
    }
    let fragments = joined.fragments().map_err(Stop::TooLong)?;
    let package = joined.package;
    let (open, ends) = fragments.as_parts();
    let pack = pack.as_mut().map_err(|error| io::Error::from(error.kind()))?;
    let Package { nevra, .. } = &package;
    let facts = Facts {
        name: &nevra.name,
        epoch: nevra.evr.epoch,
        version: &nevra.evr.version,
        release: &nevra.evr.release,
        arch: &nevra.arch,
        pkgid: *package.pkgid.as_bytes(),
        size_bytes: package.package_bytes,
        build_time: package.build_time,
    };
    let mut bytes = postcard::to_stdvec(&facts).map_err(io::Error::other)?;
    let facts_bytes = length(bytes.len());
    bytes.extend(pack.compress(open)?);
    Ok(Ok(Packed {
        size_bytes: package.package_bytes,
        facts_bytes,
        bytes,
        open_bytes: length(open.len()),
        ends: ends.map(length),
        href: package.href.into_owned(),
    }))
}

fn index(number: u32) -> usize {
    usize::try_from(number).expect("usize has at least 32 bits")
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a package's XML is shorter than MAX_FRAGMENTS_BYTES")
}
