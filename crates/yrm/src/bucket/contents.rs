//! What a repository's revision holds, for people who look: by its catalog, and where another program wrote the
//! metadata, by that metadata itself. Memory holds a row for each package.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;
use rpmmd::checksum::Sha256;
use rpmmd::nevra::Nevra;
use rpmmd::repodata::{Document, PackageStream, PackageXml, ReadError};
use rpmmd::repomd::Repomd;

use super::catalog::Catalog;
use super::observe::load_catalog;
use super::{Bucket, aside, href};
use crate::error::{Error, ErrorKind, Result};
use crate::store::body::Body;
use crate::store::key::{Key, RepositoryDir};

/// What a revision holds.
#[derive(Debug)]
pub struct Contents {
    /// The repository.
    pub repository: RepositoryDir,
    /// The revision, if its number is one.
    pub revision: Option<u64>,
    /// When it was published.
    pub since: Timestamp,
    /// Its packages, in byte order of their paths.
    pub packages: Vec<Shown>,
    /// How yrm published it; `None` where another program wrote the metadata.
    pub catalog: Option<Catalog>,
    /// Whether its metadata offers modules.
    pub offers_modules: bool,
}

/// One package of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Its path in the repository.
    pub href: String,
    /// Name, EVR and architecture.
    pub nevra: Nevra,
    /// SHA-256 of the file.
    pub pkgid: Sha256,
    /// Its size.
    pub size_bytes: u64,
    /// When the store first had it under this path, if yrm knows.
    pub first_published: Option<Timestamp>,
}

impl Contents {
    /// A line about where this was read, if that was not the catalog.
    pub fn remark(&self) -> Option<String> {
        self.catalog.is_none().then(|| {
            format!(
                "{}: another program wrote this metadata; it was read from there, and the next run takes it over",
                self.repository
            )
        })
    }
}

/// What clients see now; `None` where there is no repomd.xml.
pub async fn current(bucket: &Bucket, repository: &RepositoryDir) -> Result<Option<Contents>> {
    let key = bucket.path(Key::Repomd { repository });
    let Some(read) = bucket.store.get(&key, None).await? else { return Ok(None) };
    of(bucket, repository, &read.bytes, read.object.modified).await.map(Some)
}

/// What a revision held, or holds.
pub async fn of_revision(bucket: &Bucket, repository: &RepositoryDir, revision: u64) -> Result<Contents> {
    let copy = bucket.path(Key::Generation { repository, revision });
    if let Some(read) = bucket.store.get(&copy, None).await? {
        return of(bucket, repository, &read.bytes, read.object.modified).await;
    }
    if let Some(now) = current(bucket, repository).await?.filter(|now| now.revision == Some(revision)) {
        return Ok(now);
    }
    Err(Error::new(ErrorKind::Conflict, format!("looking for the revision {revision} of {repository}"))
        .because("it is not kept, or never was")
        .hint("`yrm repo log` lists the revisions that are kept; `yrm history` tells what was done before"))
}

async fn of(bucket: &Bucket, repository: &RepositoryDir, bytes: &[u8], since: Timestamp) -> Result<Contents> {
    let repomd = Repomd::read(bytes).map_err(|source| damaged(repository, source.to_string()))?;
    let catalog = match load_catalog(bucket, repository, bytes).await {
        Err(error) if error.kind() == ErrorKind::Corrupt => None,
        read => read?,
    };
    let packages = match &catalog {
        Some(catalog) => by_catalog(catalog),
        None => by_metadata(bucket, repository, &repomd).await?,
    };
    let revision = catalog.as_ref().map(|catalog| catalog.revision).or_else(|| repomd.revision.trim().parse().ok());
    let offers_modules = repomd.record("modules").is_some();
    Ok(Contents { repository: repository.clone(), revision, since, packages, catalog, offers_modules })
}

fn by_catalog(catalog: &Catalog) -> Vec<Shown> {
    let row = |entry: super::catalog::Entry<'_>| Shown {
        href: entry.href.to_string(),
        nevra: entry.nevra(),
        pkgid: entry.pkgid(),
        size_bytes: entry.size_bytes,
        first_published: Some(entry.first_published()),
    };
    catalog.entries.iter().map(row).collect()
}

async fn by_metadata(bucket: &Bucket, repository: &RepositoryDir, repomd: &Repomd) -> Result<Vec<Shown>> {
    let primary = fetch(bucket, repository, repomd, Document::Primary).await?;
    let (dir, policy) = (repository.clone(), Arc::clone(&bucket.policy));
    let read = aside("reading metadata", move || {
        each(Document::Primary, &primary, |xml| {
            let (package, base) = xml.described()?;
            // Of what lies elsewhere the path is as it was written.
            let href = href::place(&dir, &policy, base.as_deref(), &package.href);
            Ok(Some(Shown {
                href: href.unwrap_or_else(|| package.href.into_owned()),
                nevra: package.nevra,
                pkgid: package.pkgid,
                size_bytes: package.package_bytes,
                first_published: None,
            }))
        })
    });
    let mut packages = read.await?.map_err(|source| damaged(repository, source.to_string()))?;
    packages.sort_by(|a, b| a.href.cmp(&b.href));
    Ok(packages)
}

/// Which packages are wanted by what their metadata says.
#[derive(Debug, Clone)]
pub enum Having {
    /// Those that provide such a capability.
    Provides(globset::GlobMatcher),
    /// Those with such a file.
    File(globset::GlobMatcher),
}

/// The digests of the packages that clients see now and that have it.
pub async fn having(bucket: &Bucket, repository: &RepositoryDir, having: Having) -> Result<HashSet<Sha256>> {
    let key = bucket.path(Key::Repomd { repository });
    let Some(read) = bucket.store.get(&key, None).await? else { return Ok(HashSet::new()) };
    let repomd = Repomd::read(&read.bytes).map_err(|source| damaged(repository, source.to_string()))?;
    let document = match &having {
        Having::Provides(_) => Document::Primary,
        Having::File(_) => Document::Filelists,
    };
    let file = fetch(bucket, repository, &repomd, document).await?;
    let read = aside("reading metadata", move || {
        each(document, &file, |xml| {
            let has = match &having {
                Having::Provides(glob) => xml.described()?.0.provides.iter().any(|one| glob.is_match(&*one.name)),
                Having::File(glob) => xml.files()?.iter().any(|file| glob.is_match(file.path())),
            };
            Ok(has.then_some(xml.pkgid))
        })
    });
    let found = read.await?.map_err(|source| damaged(repository, source.to_string()))?;
    Ok(found.into_iter().collect())
}

/// What `take` makes of each package of a document.
fn each<T>(
    document: Document,
    file: &Body,
    mut take: impl FnMut(&PackageXml) -> std::result::Result<Option<T>, ReadError>,
) -> std::result::Result<Vec<T>, ReadError> {
    let (mut stream, mut taken) = (PackageStream::open(document, file)?, Vec::new());
    while let Some(xml) = stream.next_package()? {
        taken.extend(take(&xml)?);
    }
    Ok(taken)
}

async fn fetch(bucket: &Bucket, repository: &RepositoryDir, repomd: &Repomd, document: Document) -> Result<Body> {
    let missing = || damaged(repository, format!("{} is missing, or is not what repomd.xml says", document.name()));
    let record = repomd.record(document.name()).ok_or_else(missing)?;
    let href = href::place(repository, &bucket.policy, record.base.as_deref(), &record.href).ok_or_else(missing)?;
    let key = bucket.path(Key::Metadata { repository, href: &href });
    let store = bucket.store.as_ref();
    let fetched = match record.checksum.as_sha256() {
        Some(sha256) => bucket.cache.fetch(store, &key, sha256).await?,
        None => bucket.cache.fetch_unnamed(store, &key).await?,
    };
    fetched.ok_or_else(missing)
}

fn damaged(repository: &RepositoryDir, why: String) -> Error {
    Error::new(ErrorKind::Corrupt, format!("reading the metadata of {repository}"))
        .because(why)
        .hint("nothing was changed; `yrm check` tells what is wrong, and docs/tasks/restore.md how to mend it")
}
