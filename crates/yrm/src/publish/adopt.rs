//! Taking over a repository whose metadata this program did not write, or whose catalog is gone:
//! what the metadata explains is believed as far as the listing bears it out, and the other
//! packages' headers are read. Never deletes, and never takes a refusal for absence.

use std::collections::HashMap;
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use rpmmd::checksum::Sha256;
use rpmmd::package::Package;
use rpmmd::repodata::{self, Document, Fragments};
use rpmmd::repomd::Repomd;

use super::bucket::{Bucket, aside, guard_shrink};
use super::catalog::{Catalog, Entry};
use super::inbox::{Dropped, list_all};
use super::inspect::{Inspector, learn_pkgid};
use super::observe::{Current, State, load_catalog};
use super::verdict::{Candidate, Verdict};
use crate::error::{Error, ErrorKind, Result};
use crate::store::Object;
use crate::store::key::{self, Key, RepositoryDir};

/// The state of a repository without repomd.xml: the last generation when there was one, what
/// lies in its folder when there was none, and empty only when there is nothing.
pub async fn without_repomd(bucket: &Bucket, repository: &RepositoryDir, now: Timestamp) -> Result<State> {
    if let Some(state) = last_generation(bucket, repository).await? {
        tracing::warn!(%repository, revision = state.catalog.revision, "repomd.xml is missing; restoring the last generation");
        return Ok(state);
    }
    let packages = packages_of(bucket, repository).await?;
    if packages.is_empty() {
        return Ok(State::fresh(repository.clone(), bucket.policy.compression));
    }
    let fresh = State::fresh(repository.clone(), bucket.policy.compression);
    take_over(bucket, fresh, HashMap::new(), packages, now).await
}

/// Takes over what `current` describes.
pub async fn adopt(bucket: &Bucket, repository: &RepositoryDir, current: Current, now: Timestamp) -> Result<State> {
    let (described, ours) = match read_metadata(bucket, repository, &current.repomd).await {
        Ok(described) => described,
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            tracing::warn!(%repository, "{}; reading every package's header instead", error.chain());
            (HashMap::new(), false)
        }
        Err(error) => return Err(error),
    };
    let mut state = State::fresh(repository.clone(), bucket.policy.compression);
    Arc::make_mut(&mut state.catalog).revision = countable(&current.repomd.revision);
    state.current = Some(current);
    let mut packages = packages_of(bucket, repository).await?;
    if ours {
        // What our own metadata does not name was removed, or is being put in place.
        packages.retain(|(href, _)| described.contains_key(href));
    }
    take_over(bucket, state, described, packages, now).await
}

/// A foreign `<revision>` as a number that ours can be counted up from; they are seconds as a
/// rule, and what is no number or leaves no room above it is no order either.
fn countable(revision: &str) -> u64 {
    revision.trim().parse().ok().filter(|revision| *revision < u64::MAX / 2).unwrap_or(0)
}

/// The same generation again, from the packages: its published files are gone or damaged.
pub async fn rebuild(bucket: &Bucket, state: State, now: Timestamp) -> Result<State> {
    let before = state.catalog.entries.len();
    let packages = packages_of(bucket, &state.repository).await?;
    let catalog = Arc::clone(&state.catalog);
    // Only what the generation held: an unnamed file may be removed, or staged by another writer.
    let packages = packages.into_iter().filter(|(href, _)| catalog.entries.position(href).is_some()).collect();
    let repository = state.repository.clone();
    let rebuilt = take_over(bucket, state, HashMap::new(), packages, now).await?;
    guard_shrink(bucket, &repository, before, rebuilt.catalog.entries.len())?;
    Ok(rebuilt)
}

async fn last_generation(bucket: &Bucket, repository: &RepositoryDir) -> Result<Option<State>> {
    let prefix = key::generations_prefix(repository);
    let listed = list_all(bucket.store.as_ref(), &prefix).await?;
    let revision = |object: &Object| object.key[prefix.len()..].strip_suffix(".xml")?.parse::<u64>().ok();
    let Some(newest) = listed.iter().filter(|object| revision(object).is_some()).max_by_key(|object| revision(object))
    else {
        return Ok(None);
    };
    let damaged = || {
        Error::new(ErrorKind::Corrupt, format!("restoring {repository} from {}", newest.key))
            .hint("repomd.xml and the last generation's copy are both unusable; docs/bucket.md says how to start again")
    };
    let read = bucket.store.get(&newest.key, None).await?.ok_or_else(damaged)?;
    let repomd = Repomd::read(&read.bytes).map_err(|source| damaged().because(source))?;
    let catalog = load_catalog(bucket, repository, &read.bytes).await?.ok_or_else(damaged)?;
    let current = Current { etag: None, bytes: read.bytes, repomd, copied: true };
    Ok(Some(State::published(repository.clone(), current, catalog)))
}

/// The packages in the repository's folder, by href.
async fn packages_of(bucket: &Bucket, repository: &RepositoryDir) -> Result<Vec<(String, Object)>> {
    let folders = &bucket.policy.folders;
    let listed = list_all(bucket.store.as_ref(), &key::repository_prefix(folders, repository)).await?;
    let root = format!("{}/", folders.repo);
    Ok(listed
        .into_iter()
        .filter_map(|object| {
            let (dir, href) = bucket.locator.locate(object.key.strip_prefix(&root)?)?;
            let is_package = dir == *repository && href.to_ascii_lowercase().ends_with(".rpm") && object.size_bytes > 0;
            is_package.then(|| (href.to_owned(), object.clone()))
        })
        .collect())
}

/// What primary, filelists and other say, by href, and whether we wrote them. `Corrupt` when a file is missing, damaged, or
/// names packages by another checksum than SHA-256.
async fn read_metadata(
    bucket: &Bucket,
    repository: &RepositoryDir,
    repomd: &Repomd,
) -> Result<(HashMap<String, Package<'static>>, bool)> {
    let mut files = Vec::with_capacity(3);
    for document in Document::ALL {
        let corrupt =
            |what: &str| Error::new(ErrorKind::Corrupt, format!("reading {} of {repository}: {what}", document.name()));
        let record = repomd.record(document.name()).ok_or_else(|| corrupt("repomd.xml does not name it"))?;
        let key = bucket.path(Key::Metadata { repository, href: &record.href });
        let read = bucket.store.get(&key, None).await?.ok_or_else(|| corrupt("the file is missing"))?;
        if record.checksum.as_sha256().is_some_and(|stated| stated != Sha256::of(&read.bytes)) {
            return Err(corrupt("its checksum does not match"));
        }
        files.push(read.bytes);
    }
    let ours = repodata::generation(&files[0]).is_some();
    let packages = aside("reading metadata", move || repodata::read(&files[0], &files[1], &files[2])).await?.map_err(
        |source| Error::new(ErrorKind::Corrupt, format!("reading the metadata of {repository}")).because(source),
    )?;
    Ok((packages.into_iter().map(|package| (package.href.to_string(), package)).collect(), ours))
}

/// The state made of what is really there.
async fn take_over(
    bucket: &Bucket,
    state: State,
    described: HashMap<String, Package<'static>>,
    packages: Vec<(String, Object)>,
    now: Timestamp,
) -> Result<State> {
    let there = packages.iter().filter(|(href, _)| described.contains_key(href)).count();
    guard_shrink(bucket, &state.repository, described.len(), there)?;
    let inspector = Inspector::new(bucket.clone(), now);
    let root = format!("{}/", bucket.policy.folders.repo);
    let (described, inspector, root) = (&described, &inspector, &root);
    let mut taken: Vec<(Entry<'static>, Fragments)> = futures::stream::iter(packages)
        .map(|(href, object)| async move {
            match described.get(&href) {
                Some(package) if package.package_bytes == object.size_bytes => explained(package, &object).map(Some),
                Some(_) | None => examined(inspector, root, object).await,
            }
        })
        .buffered(bucket.policy.concurrency)
        .try_filter_map(|taken| async move { Ok(taken) })
        .try_collect::<Vec<_>>()
        .await?;
    taken.sort_by(|(a, _), (b, _)| a.href.as_bytes().cmp(b.href.as_bytes()));
    let entries = taken.iter().map(|(entry, _)| entry).collect();
    let fragments = taken.into_iter().map(|(_, fragments)| fragments).collect();
    let catalog = Catalog { revision: state.catalog.revision, entries, ..Catalog::empty(bucket.policy.compression) };
    Ok(state.adopt(catalog, fragments))
}

/// An entry for a package that the metadata describes.
fn explained(package: &Package<'static>, object: &Object) -> Result<(Entry<'static>, Fragments)> {
    let fragments = Fragments::of(package).map_err(|source| {
        Error::new(ErrorKind::Corrupt, format!("reading the metadata of {}", object.key)).because(source)
    })?;
    let entry = Entry {
        href: package.href.to_string().into(),
        name: package.nevra.name.clone().into(),
        epoch: package.nevra.evr.epoch,
        version: package.nevra.evr.version.clone().into(),
        release: package.nevra.evr.release.clone().into(),
        arch: package.nevra.arch.clone().into(),
        pkgid: *package.pkgid.as_bytes(),
        size_bytes: object.size_bytes,
        build_time: package.build_time,
        first_published: object.modified.as_second(),
        etag: object.etag.as_str().to_owned().into(),
        fragment_bytes: [0; 3],
    };
    Ok((entry, fragments))
}

/// An entry for a package that only its own header describes; `None` when it is no package that
/// could be published.
async fn examined(inspector: &Inspector, root: &str, object: Object) -> Result<Option<(Entry<'static>, Fragments)>> {
    let path = object.key.strip_prefix(root).unwrap_or(&object.key).to_owned();
    if !key::is_publishable_path(&path) {
        tracing::warn!(key = object.key, "left out of the repository: no package can be published under this name");
        return Ok(None);
    }
    let dropped = Dropped { path, object };
    let mut candidate: Candidate = match inspector.inspect(dropped).await? {
        Verdict::Accept(candidate) => *candidate,
        Verdict::Reject(rejection) => {
            let key = rejection.dropped.key();
            tracing::warn!(key, code = rejection.reason.code(), "left out of the repository: {}", rejection.message);
            return Ok(None);
        }
        Verdict::Wait { dropped, why } => {
            return Err(Error::new(ErrorKind::Conflict, format!("reading {}: {why}", dropped.key())));
        }
        Verdict::Gone => return Ok(None),
    };
    let pkgid = match candidate.pkgid {
        Some(pkgid) => pkgid,
        None => match learn_pkgid(inspector, &candidate.dropped).await? {
            Ok(pkgid) => pkgid,
            Err(_) => return Ok(None),
        },
    };
    candidate.fragments.set_pkgid(pkgid);
    let Candidate { dropped, href, nevra, build_time, fragments, .. } = candidate;
    let entry = Entry {
        href: href.into(),
        name: nevra.name.into(),
        epoch: nevra.evr.epoch,
        version: nevra.evr.version.into(),
        release: nevra.evr.release.into(),
        arch: nevra.arch.into(),
        pkgid: *pkgid.as_bytes(),
        size_bytes: dropped.object.size_bytes,
        build_time,
        first_published: dropped.modified().as_second(),
        etag: dropped.etag().as_str().to_owned().into(),
        fragment_bytes: [0; 3],
    };
    Ok(Some((entry, fragments)))
}
