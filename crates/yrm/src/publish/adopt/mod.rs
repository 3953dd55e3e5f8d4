//! Taking over a repository whose metadata this program did not write, or whose catalog is gone:
//! what the metadata explains is believed as far as the listing bears it out, and the other
//! packages' headers are read. Never deletes, and never takes a refusal for absence.

mod described;
mod taking;

use std::sync::Arc;

use futures::StreamExt as _;
use jiff::Timestamp;
use rpmmd::repomd::Repomd;

use self::described::Described;
use self::taking::{Found, Taking};
use super::bucket::{Bucket, aside, guard_shrink};
use super::catalog::Entry;
use super::inbox::{Dropped, list_all};
use super::inspect::{Inspector, learn_pkgid};
use super::observe::{Current, State, load_catalog};
use super::verdict::{Candidate, Verdict};
use crate::error::{Error, ErrorKind, Result};
use crate::store::Object;
use crate::store::key::{self, RepositoryDir};

/// Packages that one thread works on while others are read: enough for some blocks.
const BATCH_PER_THREAD: usize = 96;

/// Packages that go through together.
fn batch_packages() -> usize {
    BATCH_PER_THREAD * rayon::current_num_threads()
}

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
    take_over(bucket, fresh, Described::nothing(), packages, now).await
}

/// Takes over what `current` describes.
pub async fn adopt(bucket: &Bucket, repository: &RepositoryDir, current: Current, now: Timestamp) -> Result<State> {
    let described = match described::read(bucket, repository, &current.repomd).await {
        Ok(described) => described,
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            tracing::warn!(%repository, "{}; reading every package's header instead", error.chain());
            Described::nothing()
        }
        Err(error) => return Err(error),
    };
    let mut state = State::fresh(repository.clone(), bucket.policy.compression);
    Arc::make_mut(&mut state.catalog).revision = countable(&current.repomd.revision);
    state.current = Some(current);
    let mut packages = packages_of(bucket, repository).await?;
    if described.ours {
        // What our own metadata does not name was removed, or is being put in place.
        let folder = key::repository_prefix(&bucket.policy.folders, repository).len();
        packages.retain(|object| described.find(&object.key[folder..]).is_some());
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
    let mut packages = packages_of(bucket, &state.repository).await?;
    let folder = key::repository_prefix(&bucket.policy.folders, &state.repository).len();
    // Only what the generation held: an unnamed file may be removed, or staged by another writer.
    packages.retain(|object| state.catalog.entries.position(&object.key[folder..]).is_some());
    let repository = state.repository.clone();
    let rebuilt = take_over(bucket, state, Described::nothing(), packages, now).await?;
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

/// The packages in the repository's folder, in byte order.
async fn packages_of(bucket: &Bucket, repository: &RepositoryDir) -> Result<Vec<Object>> {
    let folders = &bucket.policy.folders;
    let mut packages = list_all(bucket.store.as_ref(), &key::repository_prefix(folders, repository)).await?;
    let root = format!("{}/", folders.repo);
    packages.retain(|object| {
        let located = object.key.strip_prefix(&root).and_then(|path| bucket.locator.locate(path));
        located.is_some_and(|(dir, href)| {
            dir == *repository && href.to_ascii_lowercase().ends_with(".rpm") && object.size_bytes > 0
        })
    });
    // It is, but for stores that list in an order of their own.
    packages.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(packages)
}

/// The state made of what is really there: of `packages`, which are all in its folder.
async fn take_over(
    bucket: &Bucket,
    state: State,
    described: Described,
    packages: Vec<Object>,
    now: Timestamp,
) -> Result<State> {
    let folder = key::repository_prefix(&bucket.policy.folders, &state.repository).len();
    let there = packages.iter().filter(|object| described.find(&object.key[folder..]).is_some()).count();
    guard_shrink(bucket, &state.repository, described.len(), there)?;
    let inspector = Inspector::new(bucket.clone(), now).of_published();
    let root = format!("{}/", bucket.policy.folders.repo);
    let (inspector, root, described) = (&inspector, &root, Arc::new(described));
    let compression = bucket.policy.compression;
    let spools = [(); 3].map(|()| bucket.cache.spool(bucket.store.as_ref()));
    let mut taking = Taking::begin(compression, packages.len(), spools)?;
    let mut found = futures::stream::iter(packages)
        .map(|object| {
            let explained = described.find(&object.key[folder..]);
            let explained = explained.filter(|at| described.entry(*at).size_bytes == object.size_bytes);
            async move {
                match explained {
                    Some(at) => Ok(Some(Found::Explained(at, object))),
                    None => examined(inspector, root, object).await,
                }
            }
        })
        .buffered(bucket.policy.concurrency);
    let mut batch = taking::batch(&mut found, &described).await?;
    while !batch.is_empty() {
        let explaining = Arc::clone(&described);
        let taken_in = aside("rendering", move || taking.take_in(batch, &explaining).map(|()| taking));
        let (taken_in, next) = futures::future::try_join(taken_in, taking::batch(&mut found, &described)).await?;
        (taking, batch) = (taken_in?, next);
    }
    let revision = state.catalog.revision;
    let (catalog, files) = aside("rendering", move || taking.finish(compression, revision)).await??;
    Ok(state.adopt(catalog, files))
}

/// An entry for a package that only its own header describes; `None` when it is no package that
/// could be published.
async fn examined(inspector: &Inspector, root: &str, object: Object) -> Result<Option<Found>> {
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
        Verdict::Long(_) | Verdict::Gone => return Ok(None),
    };
    let pkgid = match candidate.pkgid {
        Some(pkgid) => pkgid,
        None => match learn_pkgid(inspector, &candidate.dropped).await? {
            Ok(pkgid) => pkgid,
            Err(_) => return Ok(None),
        },
    };
    candidate.fragments.set_pkgid(pkgid);
    let Candidate { dropped, href, nevra, build_time, fragments, module, .. } = candidate;
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
        module: Some(module.into()),
    };
    Ok(Some(Found::Examined(Box::new((entry, fragments)))))
}
