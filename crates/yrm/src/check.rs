//! Does the bucket mean what repomd.xml says? Reads only, and believes nothing but the files
//! that a client would read: the catalog is compared with them, never used.

mod findings;
mod mirror;
mod orphans;
pub mod signature;

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;
use rpmmd::package::Package;
use rpmmd::repodata::{self, Document};
use rpmmd::repomd::Repomd;
use serde::Serialize;

pub use self::findings::RepositoryFindings;
use self::findings::check_file;
use self::mirror::{Flat, check_mirror};
use self::orphans::orphans;
pub use self::orphans::{Orphan, Why};
use self::signature::{Keys, Verdict};
use crate::bucket::deleted;
use crate::bucket::generations::{folders, inner_repository};
use crate::bucket::href;
use crate::bucket::observe::load_catalog;
use crate::bucket::state::is_sealed;
use crate::bucket::{Bucket, aside};
use crate::bucket::{generations, signature as signatures};
use crate::error::{ErrorKind, Result};
use crate::store::Object;
use crate::store::key::{self, Key, RepositoryDir};

/// How far to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Metadata whole; packages by presence and size.
    Shallow,
    /// Every package's bytes against its SHA-256 too.
    Deep,
}

/// What was found, repository by repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// One entry each.
    pub repositories: Vec<RepositoryFindings>,
}

impl Findings {
    /// Whether no repository has a problem.
    pub fn clean(&self) -> bool {
        self.repositories.iter().all(|repository| repository.problems.is_empty())
    }
}

/// Checks every repository of the bucket.
pub async fn check(bucket: &Bucket, depth: Depth) -> Result<Findings> {
    let root = bucket.policy.folders.repo_prefix();
    let listed: BTreeMap<String, Object> =
        bucket.list_repo(&root).await?.into_iter().map(|object| (object.key.clone(), object)).collect();
    let mut repositories: BTreeSet<RepositoryDir> = generations::repositories(bucket).await?.into_iter().collect();
    let with_repomd = listed.keys().filter_map(|key| key.strip_prefix(&root)?.strip_suffix("repodata/repomd.xml"));
    repositories.extend(with_repomd.filter(|dir| !key::is_own_folder(dir)).map(RepositoryDir::new));
    let keys = Keys::of(bucket).await?;
    let mut findings = Findings { repositories: Vec::new() };
    let mut failed = Vec::new();
    for repository in &repositories {
        findings.repositories.push(match check_repository(bucket, repository, &keys, &listed, depth).await {
            Ok(found) => found,
            // One repository's trouble is its own.
            Err(error) => {
                let problems = vec![format!("it could not be checked: {}", error.chain())];
                failed.push(error);
                RepositoryFindings { problems, ..RepositoryFindings::of(repository.clone()) }
            }
        });
    }
    match failed.pop() {
        // Nothing was learned: the store is not there, or shut.
        Some(error) if failed.len() + 1 == repositories.len() && error.kind() != ErrorKind::Corrupt => Err(error),
        Some(_) | None => Ok(findings),
    }
}

async fn check_repository(
    bucket: &Bucket,
    repository: &RepositoryDir,
    keys: &Keys,
    listed: &BTreeMap<String, Object>,
    depth: Depth,
) -> Result<RepositoryFindings> {
    let mut found = RepositoryFindings::of(repository.clone());
    let key = bucket.path(Key::Repomd { repository });
    let Some(read) = bucket.store.get(&key, None).await? else {
        if deleted::last_of(bucket, repository).await?.is_some() {
            found.notes.push("it was deleted; `yrm repo restore` brings it back".to_owned());
            return Ok(found);
        }
        found.problems.push(format!("{key} is missing, and this repository has earlier revisions"));
        return Ok(found);
    };
    if is_sealed(&read.bytes) && !bucket.locator.names(repository) {
        found
            .notes
            .push("the layout was changed: it is no repository any more, and readable for the grace period".to_owned());
    }
    let repomd = match Repomd::read(&read.bytes) {
        Ok(repomd) => repomd,
        Err(error) => {
            found.problems.push(format!("{key} cannot be read: {error}"));
            return Ok(found);
        }
    };
    found.revision = repomd.revision.parse().ok();
    check_signature(bucket, repository, &read.bytes, keys, &mut found).await?;
    let mut files = BTreeMap::new();
    for record in &repomd.records {
        let Some(href) = href_of(bucket, repository, record.base.as_deref(), &record.href) else {
            let place = record.base.as_ref().map(|base| format!(" of {base}")).unwrap_or_default();
            found.problems.push(format!(
                "repomd.xml names {:?}{place} as {}, which is not below {}",
                record.href,
                record.kind,
                bucket.policy.folders.repo_shown()
            ));
            continue;
        };
        let key = bucket.path(Key::Metadata { repository, href: &href });
        if let Some(bytes) = check_file(bucket, &key, record, &mut found).await? {
            files.insert(record.kind.clone(), bytes);
        }
    }
    let [Some(primary), Some(filelists), Some(other)] = Document::ALL.map(|document| files.remove(document.name()))
    else {
        found.problems.push("primary, filelists and other are not all there".to_owned());
        return Ok(found);
    };
    match aside("reading metadata", move || repodata::read(&primary, &filelists, &other)).await? {
        Err(error) => found.problems.push(format!("the metadata cannot be read: {error}")),
        Ok(packages) => {
            found.packages = packages.len();
            check_packages(bucket, repository, &packages, listed, depth, &mut found).await?;
            check_catalog(bucket, repository, &read.bytes, &packages, &mut found).await;
            let flat = Flat { repomd: &read.bytes, packages: &packages };
            check_mirror(bucket, repository, flat, keys, &mut found).await?;
        }
    }
    Ok(found)
}

/// The path that is meant by a location, if it is below `repo/`.
fn href_of(bucket: &Bucket, repository: &RepositoryDir, base: Option<&str>, href: &str) -> Option<String> {
    href::place(repository, &bucket.policy, base, href)
}

/// The signature: good, or not wanted.
async fn check_signature(
    bucket: &Bucket,
    repository: &RepositoryDir,
    repomd: &[u8],
    keys: &Keys,
    found: &mut RepositoryFindings,
) -> Result<()> {
    let key = bucket.path(Key::Signature { repository });
    match keys.judge(repomd, signatures::read(bucket, repository).await?.as_ref()) {
        Verdict::Unsigned => {}
        Verdict::SignedBy(fingerprint) => found.notes.push(format!("signed by {fingerprint}")),
        Verdict::Missing => found.problems.push(format!("{key} is missing, and signing is on")),
        Verdict::Stale => found.problems.push(format!("{key} does not go with repomd.xml: it is stale, or forged")),
        Verdict::Unknown => found.notes.push(format!("{key} is there, and no published key to judge it by")),
    }
    Ok(())
}

async fn check_packages(
    bucket: &Bucket,
    repository: &RepositoryDir,
    packages: &[Package<'static>],
    listed: &BTreeMap<String, Object>,
    depth: Depth,
    found: &mut RepositoryFindings,
) -> Result<()> {
    let mut hrefs = BTreeSet::new();
    let mut there = Vec::new();
    for package in packages {
        let Some(href) = href_of(bucket, repository, None, &package.href) else {
            let repo = bucket.policy.folders.repo_shown();
            found.problems.push(format!("the metadata names {:?}, which is not below {repo}", package.href));
            continue;
        };
        let key = bucket.path(Key::Package { repository, href: &href });
        if !hrefs.insert(package.href.as_ref()) {
            found.problems.push(format!("{} is listed twice", package.href));
        }
        match listed.get(&key) {
            None => found.problems.push(format!("{key}, which the metadata names, is missing")),
            Some(object) if object.size_bytes != package.package_bytes => {
                let (size, stated) = (object.size_bytes, package.package_bytes);
                found.problems.push(format!("{key} has {size} bytes, and the metadata says {stated}"));
            }
            Some(object) => there.push((package.pkgid, object)),
        }
    }
    found.orphans = orphans(bucket, repository, &unnamed(bucket, repository, listed, &hrefs)).await?;
    if depth == Depth::Deep {
        let mut hashes = futures::stream::iter(there)
            .map(|(pkgid, object)| async move {
                (object, pkgid, bucket.sha256(&object.key, &object.etag, object.size_bytes).await)
            })
            .buffer_unordered(bucket.policy.concurrency);
        while let Some((object, pkgid, hash)) = hashes.next().await {
            found.hashed += 1;
            if hash? != Some(pkgid) {
                found.problems.push(format!("{} does not have the SHA-256 that the metadata says", object.key));
            }
        }
    }
    Ok(())
}

/// The packages in the repository's folder, and in no repository below, that have none of these paths.
fn unnamed<'l>(
    bucket: &Bucket,
    repository: &RepositoryDir,
    listed: &'l BTreeMap<String, Object>,
    named: &BTreeSet<&str>,
) -> Vec<&'l Object> {
    let prefix = key::repository_prefix(&bucket.policy.folders, repository);
    let repo_bytes = bucket.policy.folders.repo_prefix().len();
    let inside = || listed.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(&prefix));
    let below: BTreeSet<String> = inside().filter_map(|(key, _)| inner_repository(&key[prefix.len()..])).collect();
    let is_its = |key: &str| {
        let href = &key[prefix.len()..];
        let located = bucket.locator.locate(&key[repo_bytes..]).is_some_and(|(dir, _)| dir == *repository);
        located && href.to_ascii_lowercase().ends_with(".rpm") && !folders(href).any(|folder| below.contains(folder))
    };
    let unnamed = inside().filter(|(key, _)| !named.contains(&key[prefix.len()..]) && is_its(key));
    unnamed.map(|(_, object)| object).collect()
}

/// A catalog that disagrees would make the next commit wrong.
async fn check_catalog(
    bucket: &Bucket,
    repository: &RepositoryDir,
    repomd: &[u8],
    packages: &[Package<'static>],
    found: &mut RepositoryFindings,
) {
    match load_catalog(bucket, repository, repomd).await {
        Ok(Some(catalog)) => {
            let named: BTreeSet<_> = packages.iter().map(|package| (package.href.as_ref(), package.pkgid)).collect();
            let held: BTreeSet<_> = (0..catalog.entries.len())
                .map(|at| (catalog.entries.href(at), catalog.entries.get(at).pkgid()))
                .collect();
            if named != held {
                found.problems.push("the catalog and the metadata name different packages".to_owned());
            }
        }
        Ok(None) => found.notes.push("there is no catalog; the next change makes one".to_owned()),
        Err(error) => found.notes.push(format!("{}; the next change makes a new one", error.chain())),
    }
}
