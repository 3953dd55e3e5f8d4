//! Reading what a repository holds now: its repomd.xml with its ETag, and the catalog that
//! belongs to exactly those bytes. Never writes, and never takes "refused" for "empty".

use std::sync::Arc;

use bytes::Bytes;
use rpmmd::checksum::Sha256;
use rpmmd::compress::Compression;
use rpmmd::repodata::{Document, Fragments};
use rpmmd::repomd::Repomd;

use super::bucket::{Bucket, aside};
use super::catalog::{Catalog, Decoded};
use crate::error::{Error, ErrorKind, Result};
use crate::store::ETag;
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
    Published(Arc<[PublishedFile; 3]>),
    /// Not read yet.
    Unread,
    /// Rendered anew for every entry: the repository was adopted.
    Adopted(Arc<Vec<Fragments>>),
}

/// One of primary, filelists and other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedFile {
    /// The file.
    pub bytes: Bytes,
    /// Its digest: what it is named by.
    pub sha256: Sha256,
}

impl State {
    /// A repository that does not exist yet.
    pub fn fresh(repository: RepositoryDir, compression: Compression) -> Self {
        Self { repository, current: None, catalog: Arc::new(Catalog::empty(compression)), source: Source::Unread }
    }

    /// The revision found.
    pub fn revision(&self) -> Option<u64> {
        self.current.as_ref().map(|_| self.catalog.revision)
    }

    /// Bytes of published files that it keeps at hand.
    pub fn kept_bytes(&self) -> usize {
        match &self.source {
            Source::Published(files) => files.iter().map(|file| file.bytes.len()).sum(),
            Source::Unread | Source::Adopted(_) => 0,
        }
    }

    /// Whether metadata made by something else was taken over.
    pub fn adopted(&self) -> bool {
        matches!(self.source, Source::Adopted(_))
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
        Ok(Some(catalog)) => Ok(Observed::Known(Box::new(State {
            repository: repository.clone(),
            current: Some(current),
            catalog: Arc::new(catalog),
            source: Source::Unread,
        }))),
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
    let delta = match decoded(bucket, repository, Sha256::of(repomd)).await? {
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

/// The three published files, with the digests that rendering checks them against.
pub async fn read_published(bucket: &Bucket, state: &State) -> Result<Arc<[PublishedFile; 3]>> {
    if let Source::Published(files) = &state.source {
        return Ok(Arc::clone(files));
    }
    let mut files = Vec::with_capacity(3);
    for (layout, document) in state.catalog.files.iter().flatten().zip(Document::ALL) {
        let key = bucket.path(Key::Metadata { repository: &state.repository, href: &layout.href });
        let missing = || {
            Error::new(ErrorKind::Corrupt, format!("reading {key}")).hint(
                "the file that repomd.xml names is gone or damaged; the repository is read again from its packages",
            )
        };
        let named = state.current.as_ref().and_then(|current| current.repomd.record(document.name()));
        let sha256 = named.and_then(|record| record.checksum.as_sha256()).ok_or_else(missing)?;
        let bytes = bucket.store.get(&key, None).await?.ok_or_else(missing)?.bytes;
        files.push(PublishedFile { bytes, sha256 });
    }
    let three = files.try_into().map_err(|_| Error::new(ErrorKind::Corrupt, "reading the catalog's files"))?;
    Ok(Arc::new(three))
}
