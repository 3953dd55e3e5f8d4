//! Reading what a repository holds now: its repomd.xml with its ETag, and the catalog that
//! belongs to exactly those bytes. Never writes, and never takes "refused" for "empty".

use rpmmd::checksum::Sha256;
use rpmmd::repodata::Document;
use rpmmd::repomd::Repomd;

use super::catalog::{Catalog, Decoded};
use super::state::{Current, State};
use super::{Bucket, aside};
use crate::error::{Error, ErrorKind, Result};
use crate::store::ETag;
use crate::store::body::Body;
use crate::store::key::{Key, RepositoryDir};

/// What was found where a repository should be.
#[derive(Debug)]
pub enum Observed {
    /// A generation and its catalog.
    Known(Box<State>),
    /// A repomd.xml without a sound catalog: to be adopted.
    Unexplained(Current),
    /// What is no repomd.xml, and why not.
    Damaged { etag: ETag, error: Error },
    /// No repomd.xml: a new repository, or one that lost it.
    Missing,
}

impl Observed {
    /// The repomd.xml that was read.
    pub fn current(&self) -> Option<&Current> {
        match self {
            Self::Known(state) => state.current.as_ref(),
            Self::Unexplained(current) => Some(current),
            Self::Damaged { .. } | Self::Missing => None,
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
    let repomd = match Repomd::read(&read.bytes) {
        Ok(repomd) => repomd,
        Err(source) => {
            let error = Error::new(ErrorKind::Corrupt, format!("reading {key}")).because(source).hint(
                "nothing was changed; the service puts the last revision back by itself, and `yrm repo rollback` any other \
                 that is kept",
            );
            return Ok(Observed::Damaged { etag: read.object.etag, error });
        }
    };
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
