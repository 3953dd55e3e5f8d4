//! Making a repository of what others hold, under the paths that its packages have there. Their metadata says all of it:
//! no package is read.

use std::sync::Arc;

use rayon::prelude::*;
use zstd::bulk::Decompressor;

use super::batch::batch_packages;
use super::described::{self, Described, Told};
use super::taking::{Found, Taking};
use crate::bucket::catalog::{Catalog, Entry};
use crate::bucket::state::{Rerendered, State};
use crate::bucket::{Bucket, aside};
use crate::error::{Error, ErrorKind, Result};
use crate::store::key::RepositoryDir;

/// A repository that gives packages to others, and what its metadata says of them.
pub(crate) struct Giver {
    catalog: Arc<Catalog>,
    described: Arc<Described>,
}

/// A package that is given: whose, which of its catalog's, and its path in the repository that gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given {
    /// The giver's number.
    pub(crate) giver: usize,
    /// The package's number in the giver's catalog.
    pub(crate) at: usize,
    /// Its new path.
    pub(crate) href: String,
}

impl Giver {
    /// One that gives nothing.
    pub(crate) fn of_nothing() -> Self {
        let catalog = Arc::new(Catalog::empty(rpmmd::compress::Compression::Gz));
        Self { catalog, described: Arc::new(Described::nothing()) }
    }
}

/// Reads what a repository's metadata says of its packages.
pub(crate) async fn giver(bucket: &Bucket, state: &State) -> Result<Giver> {
    let repository = &state.repository;
    let catalog = Arc::clone(&state.catalog);
    let Some((_, repomd)) = state.described_by().filter(|_| !catalog.entries.is_empty()) else {
        return Ok(Giver { catalog, described: Arc::new(Described::nothing()) });
    };
    match described::read(bucket, repository, repomd).await? {
        Told::Paths(described) => Ok(Giver { catalog, described: Arc::new(described) }),
        Told::Digests(_) => Err(damaged(repository, "its primary is gone")),
    }
}

/// Makes the repository that gets these packages, which are in the order of their new paths.
pub(crate) async fn make(
    bucket: &Bucket,
    givers: &Arc<Vec<Giver>>,
    repository: &RepositoryDir,
    given: Vec<Given>,
) -> Result<(Catalog, [Rerendered; 3])> {
    let compression = bucket.compression(repository);
    let spools = [(); 3].map(|()| bucket.cache.spool(bucket.store.as_ref()));
    let (givers, repository) = (Arc::clone(givers), repository.clone());
    aside("rendering", move || {
        let mut taking = Taking::begin(compression, given.len(), spools)?;
        for batch in given.chunks(batch_packages()) {
            let open = |unpack: &mut std::io::Result<Decompressor<'_>>, given: &Given| {
                let unpack = unpack.as_mut().map_err(|error| unread(error.kind().into()))?;
                moved(&givers[given.giver], given, unpack, &repository)
            };
            let found: Vec<Found> = batch.par_iter().map_init(Decompressor::new, open).collect::<Result<_>>()?;
            taking.take_in(found, &Described::nothing())?;
        }
        taking.finish(compression, 0)
    })
    .await?
}

/// A package as it is described at its new path.
fn moved(from: &Giver, given: &Given, unpack: &mut Decompressor<'_>, repository: &RepositoryDir) -> Result<Found> {
    let known = from.catalog.entries.get(given.at);
    let missing = || damaged(repository, &format!("the metadata that is there does not describe {}", known.href));
    let at = from.described.find(&known.href).ok_or_else(missing)?;
    let (said, fragments) = from.described.package(at, unpack).map_err(unread)?;
    if said.pkgid != known.pkgid {
        return Err(missing());
    }
    let fragments = fragments.at(&given.href).ok_or_else(missing)?;
    let entry = Entry {
        href: given.href.clone().into(),
        name: known.name.into_owned().into(),
        version: known.version.into_owned().into(),
        release: known.release.into_owned().into(),
        arch: known.arch.into_owned().into(),
        etag: known.etag.into_owned().into(),
        module: known.module.map(|module| module.into_owned().into()),
        epoch: known.epoch,
        pkgid: known.pkgid,
        size_bytes: known.size_bytes,
        build_time: known.build_time,
        first_published: known.first_published,
        fragment_bytes: [0; 3],
    };
    Ok(Found::Examined(Box::new((entry, fragments))))
}

fn unread(source: std::io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "reading what was put aside").because(source)
}

fn damaged(repository: &RepositoryDir, why: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("making the metadata of {repository}"))
        .because(why.to_owned())
        .hint("nothing is lost: run `yrm check`, and the same command again")
}
