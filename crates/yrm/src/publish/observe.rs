//! Reading what a repository holds now: its repomd.xml with its ETag, and the catalog that
//! belongs to exactly those bytes. Never writes, and never takes "refused" for "empty".

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use jiff::Timestamp;
use rpmmd::block::Layout;
use rpmmd::checksum::Sha256;
use rpmmd::compress::Compression;
use rpmmd::repodata::Document;
use rpmmd::repomd::Repomd;

use super::adopt::TakenOver;
use super::bucket::{Bucket, aside};
use super::catalog::{Catalog, Decoded};
use super::pair::Signature;
use super::plan::Kept;
use crate::error::{Error, ErrorKind, Result};
use crate::store::ETag;
use crate::store::body::Body;
use crate::store::key::{Key, RepositoryDir};

/// One generation, as read.
#[derive(Debug, Clone)]
pub struct State {
    /// The repository.
    pub repository: RepositoryDir,
    /// The truth, if there is one yet.
    pub current: Option<Current>,
    /// What it holds.
    pub catalog: Arc<Catalog>,
    /// The packages' XML.
    pub source: Source,
    /// What lies beside repomd.xml as its signature.
    pub signature: Option<Signature>,
    /// What taking it over brought to light, where it was.
    pub taken_over: Option<Arc<TakenOver>>,
    /// When retention next has something to do, once that was looked up.
    next_retirement: Arc<OnceLock<Option<Timestamp>>>,
    /// Whether the catalog knows more than the one that is stored.
    has_learnt: bool,
}

/// The repomd.xml that was read.
#[derive(Debug, Clone)]
pub struct Current {
    /// What the switch is conditional on; `None` when repomd.xml itself is missing and this is
    /// the last generation's copy, to be put back.
    pub etag: Option<ETag>,
    /// Its bytes.
    pub bytes: Bytes,
    /// What they say.
    pub repomd: Repomd,
    /// Whether its copy is known to lie among the generations.
    pub copied: bool,
}

/// Where the XML of the packages that stay comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// The published files of this generation, cut as the catalog says.
    Published,
    /// The files of an earlier generation, to which the repository is rolled back.
    Earlier(Box<Earlier>),
    /// Rendered anew, in files that nobody else sees: the repository was adopted. Primary, filelists
    /// and other, in that order, of the catalog's entries.
    Adopted(Arc<[Rerendered; 3]>),
}

/// An earlier generation.
#[derive(Debug, Clone)]
pub struct Earlier {
    /// Its repomd.xml.
    pub bytes: Bytes,
    /// What that says.
    pub repomd: Repomd,
}

/// A document of an adopted repository.
#[derive(Debug)]
pub struct Rerendered {
    /// The file.
    pub body: Body,
    /// How it is cut.
    pub layout: Layout,
}

impl State {
    /// A generation that is published.
    pub fn published(repository: RepositoryDir, current: Current, catalog: Catalog) -> Self {
        let mut state = Self::fresh(repository, catalog.compression);
        (state.current, state.catalog) = (Some(current), Arc::new(catalog));
        state
    }

    /// The same, with the signature that lies beside it.
    #[must_use]
    pub fn beside(self, signature: Option<Signature>) -> Self {
        Self { signature, ..self }
    }

    /// The same repository, described anew from its packages.
    #[must_use]
    pub fn adopt(self, catalog: Catalog, files: [Rerendered; 3]) -> Self {
        let (catalog, source) = (Arc::new(catalog), Source::Adopted(Arc::new(files)));
        Self { catalog, source, next_retirement: Arc::default(), ..self }
    }

    /// The same, with what taking it over brought to light.
    #[must_use]
    pub fn telling(self, taken_over: TakenOver) -> Self {
        Self { taken_over: Some(Arc::new(taken_over)), ..self }
    }

    /// The same repository, holding again what an earlier generation held.
    #[must_use]
    pub fn roll_back(self, earlier: Earlier, catalog: Catalog) -> Self {
        // Counted from the present: a revision never comes twice.
        let catalog = Catalog { revision: self.catalog.revision, ..catalog };
        let source = Source::Earlier(Box::new(earlier));
        Self { catalog: Arc::new(catalog), source, next_retirement: Arc::default(), ..self }
    }

    /// The same generation, with what was learnt of its packages' modules.
    #[must_use]
    pub fn labelled(self, labels: &[(usize, String)]) -> Self {
        let mut catalog = Catalog::clone(&self.catalog);
        catalog.entries = catalog.entries.labelled(labels);
        Self { catalog: Arc::new(catalog), next_retirement: Arc::default(), has_learnt: true, ..self }
    }

    /// The repomd.xml that names the files of the catalog, if there is one.
    pub fn described_by(&self) -> Option<(&Bytes, &Repomd)> {
        match &self.source {
            Source::Earlier(earlier) => Some((&earlier.bytes, &earlier.repomd)),
            Source::Published | Source::Adopted(_) => {
                self.current.as_ref().map(|current| (&current.bytes, &current.repomd))
            }
        }
    }

    /// When retention next has something to do. Every package is looked at once a generation.
    pub fn next_retirement(&self, kept: Kept<'_>) -> Option<Timestamp> {
        *self.next_retirement.get_or_init(|| kept.next_retirement())
    }

    /// A repository that does not exist yet.
    pub fn fresh(repository: RepositoryDir, compression: Compression) -> Self {
        let catalog = Arc::new(Catalog::empty(compression));
        Self {
            repository,
            current: None,
            catalog,
            source: Source::Published,
            signature: None,
            taken_over: None,
            next_retirement: Arc::default(),
            has_learnt: false,
        }
    }

    /// The revision found.
    pub fn revision(&self) -> Option<u64> {
        self.current.as_ref().map(|_| self.catalog.revision)
    }

    /// Whether there was ever a generation here, or something that was taken over for one.
    pub fn has_ever_published(&self) -> bool {
        self.current.is_some() || self.adopted()
    }

    /// Whether metadata made by something else was taken over.
    pub fn adopted(&self) -> bool {
        matches!(self.source, Source::Adopted(_))
    }

    /// Whether this is not what clients see: the next generation differs although nothing comes or
    /// goes, or what was learnt would have to be learnt again.
    pub fn is_news(&self) -> bool {
        !matches!(self.source, Source::Published) || self.has_learnt
    }
}

/// What was found where a repository should be.
#[derive(Debug)]
pub enum Observed {
    /// A generation and its catalog.
    Known(Box<State>),
    /// A repomd.xml without a sound catalog: to be adopted.
    Unexplained(Current),
    /// No repomd.xml: a new repository, or one that lost it.
    Missing,
}

impl Observed {
    /// The repomd.xml that was read.
    pub fn current(&self) -> Option<&Current> {
        match self {
            Self::Known(state) => state.current.as_ref(),
            Self::Unexplained(current) => Some(current),
            Self::Missing => None,
        }
    }
}

/// Reads repomd.xml and its catalog. `known` is what an earlier run read or wrote: used while the
/// ETag holds.
pub async fn observe(bucket: &Bucket, repository: &RepositoryDir, known: Option<&State>) -> Result<Observed> {
    let key = bucket.path(Key::Repomd { repository });
    let Some(read) = bucket.store.get(&key, None).await? else {
        return Ok(Observed::Missing);
    };
    if let Some(known) = known
        && known.current.as_ref().is_some_and(|current| current.etag.as_ref() == Some(&read.object.etag))
    {
        return Ok(Observed::Known(Box::new(known.clone())));
    }
    let repomd = Repomd::read(&read.bytes).map_err(|source| {
        Error::new(ErrorKind::Corrupt, format!("reading {key}")).because(source).hint(
            "nothing was changed; put back the last good copy from .yrm/generations, or remove the object to have the \
             last generation restored",
        )
    })?;
    let current = Current { etag: Some(read.object.etag), bytes: read.bytes, repomd, copied: false };
    match load_catalog(bucket, repository, &current.bytes).await {
        Ok(Some(catalog)) => Ok(Observed::Known(Box::new(State::published(repository.clone(), current, catalog)))),
        Ok(None) => Ok(Observed::Unexplained(current)),
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            tracing::warn!(%repository, error = error.chain(), "the catalog is damaged; reading the repository again");
            Ok(Observed::Unexplained(current))
        }
        Err(error) => Err(error),
    }
}

/// The catalog stored for exactly these repomd.xml bytes; `None` when it, or what it is stored
/// as a change of, is gone.
pub async fn load_catalog(bucket: &Bucket, repository: &RepositoryDir, repomd: &[u8]) -> Result<Option<Catalog>> {
    catalog_of(bucket, repository, Sha256::of(repomd)).await
}

/// The catalog stored under the hash of a repomd.xml.
pub async fn catalog_of(bucket: &Bucket, repository: &RepositoryDir, repomd: Sha256) -> Result<Option<Catalog>> {
    let delta = match decoded(bucket, repository, repomd).await? {
        Some(Decoded::Whole(catalog)) => return Ok(Some(catalog)),
        Some(Decoded::Delta(delta)) => delta,
        None => return Ok(None),
    };
    match decoded(bucket, repository, delta.base()).await? {
        Some(Decoded::Whole(base)) => aside("reading the catalog", move || delta.on(&base)).await?.map(Some),
        Some(Decoded::Delta(_)) => Err(Error::new(ErrorKind::Corrupt, "reading the catalog: its base is a change")),
        None => Ok(None),
    }
}

async fn decoded(bucket: &Bucket, repository: &RepositoryDir, repomd: Sha256) -> Result<Option<Decoded>> {
    let key = bucket.path(Key::Catalog { repository, repomd });
    let Some(read) = bucket.store.get(&key, None).await? else { return Ok(None) };
    aside("reading the catalog", move || Catalog::decode(&read.bytes)).await?.map(Some)
}

/// The files that the next generation's are spliced from.
#[derive(Debug, Clone)]
pub struct PublishedFiles {
    /// primary, filelists and other.
    pub files: [Body; 3],
    /// Primary as it stands in the generation's own folder, if it is there.
    pub mirror: Option<Body>,
}

/// The published files, each with the digest that repomd.xml states.
pub async fn read_published(bucket: &Bucket, state: &State) -> Result<PublishedFiles> {
    let mut files = Vec::with_capacity(3);
    for (layout, document) in state.catalog.files.iter().flatten().zip(Document::ALL) {
        let key = bucket.path(Key::Metadata { repository: &state.repository, href: &layout.href });
        let missing = || {
            Error::new(ErrorKind::Corrupt, format!("reading {key}")).hint(
                "the file that repomd.xml names is gone or damaged; the repository is read again from its packages",
            )
        };
        let named = state.described_by().and_then(|(_, repomd)| repomd.record(document.name()));
        let sha256 = named.and_then(|record| record.checksum.as_sha256()).ok_or_else(missing)?;
        files.push(bucket.cache.fetch(bucket.store.as_ref(), &key, sha256).await?.ok_or_else(missing)?);
    }
    let files = files.try_into().map_err(|_| Error::new(ErrorKind::Corrupt, "reading the catalog's files"))?;
    Ok(PublishedFiles { files, mirror: read_mirror(bucket, state).await? })
}

/// Primary as it stands in the generation's own folder. It can be made of the repository's own, so that it
/// is gone or damaged is no error.
async fn read_mirror(bucket: &Bucket, state: &State) -> Result<Option<Body>> {
    let repository = &state.repository;
    let Some(href) = state.catalog.mirror.as_ref().map(|layout| layout.href.as_str()) else { return Ok(None) };
    let digest = href.strip_prefix("repodata/").and_then(|name| name.split_once('-')?.0.parse().ok());
    let (Some(sha256), true) = (digest, bucket.mirror_rules.is_on(repository)) else { return Ok(None) };
    let key = bucket.path(Key::Metadata { repository, href });
    match bucket.cache.fetch(bucket.store.as_ref(), &key, sha256).await {
        Err(error) if error.kind() == ErrorKind::Corrupt => Ok(None),
        fetched => fetched,
    }
}
