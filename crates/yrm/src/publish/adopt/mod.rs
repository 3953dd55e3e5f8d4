//! Taking over a repository whose metadata this program did not write, or whose catalog is gone. Its metadata
//! says what it holds: that is believed as far as a listing bears it out, and where it describes a package wrongly
//! or not at all, that package's header is read. What it does not name stays out; only a repository without any
//! metadata is made from the files in its folder. Never deletes, and never takes a refusal for absence.

mod batch;
pub(super) mod before;
mod described;
mod folder;
pub(crate) mod kept;
mod listed;
pub(super) mod moved;
mod taking;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt as _;
use jiff::Timestamp;
use rpmmd::checksum::Sha256;
use rpmmd::header::{HeaderFile, Parsed};
use rpmmd::repodata::Document;
use rpmmd::repomd::{Record, Repomd};

use self::before::Before;
use self::described::{Described, Told};
use self::folder::{Folder, Parts, Present, There};
use self::taking::{Found, Taking};
use super::guard::guard_loss;
use super::inspect::again::{describe_at, learn_pkgid, read_header};
use super::inspect::read::Inspector;
use super::inspect::signed::is_ours;
use crate::bucket::catalog::Entry;
use crate::bucket::href;
use crate::bucket::inbox::Dropped;
use crate::bucket::kept::Kept;
use crate::bucket::listing::list_all;
use crate::bucket::observe::load_catalog;
use crate::bucket::report::{Adoption, Found as Noticed, Names};
use crate::bucket::state::{Current, State, TakenOver};
use crate::bucket::verdict::{Candidate, Verdict};
use crate::bucket::{Bucket, aside};
use crate::error::{Error, ErrorKind, Result};
use crate::store::key::{self, RepositoryDir};
use crate::store::{ETag, Object};

/// The state of a repository without repomd.xml: the last generation when there was one, what
/// lies in its folder when there was none, and empty only when there is nothing.
pub async fn without_repomd(bucket: &Bucket, repository: &RepositoryDir, now: Timestamp) -> Result<State> {
    if let Some(state) = last_revision(bucket, repository, None).await? {
        // One that held nothing was deleted.
        if state.catalog.entries.is_empty() {
            return Ok(state);
        }
        tracing::warn!(%repository, revision = state.catalog.revision, "repomd.xml is missing; restoring the last revision");
        return Ok(state.noticing(Noticed::Gone));
    }
    let fresh = State::fresh(repository.clone(), bucket.compression(repository));
    let (folder, _room) = Folder::list_with_leave(bucket, repository).await?;
    let (prefix_bytes, mut taken_over) = (folder.prefix_bytes(), TakenOver::default());
    let (there, gate) = match described::newest_primary(bucket, repository, folder.primaries()).await? {
        // It was the whole truth until repomd.xml was lost; what it does not name was taken out.
        Some(described) => {
            let Parts { there, missing, unnamed } = folder.part(bucket, repository, &described).await?;
            taken_over.kept.not_offered = unnamed;
            taken_over.told.missing = missing;
            (there, None)
        }
        // Nothing says that these were ever let in.
        None => (offered_without_metadata(bucket, repository, folder), Some(Inspector::new(bucket.clone(), now))),
    };
    if there.is_empty() {
        return Ok(fresh);
    }
    let looked = Looked { described: Described::nothing(), digests: None, before: there.len(), gate };
    let (state, left) = take_over(bucket, fresh, &Arc::new(looked), there, now).await?;
    let TakenOver { told, kept } = &mut taken_over;
    kept.not_offered.extend(left.not_offered);
    (told.packages, told.unreadable) = (state.catalog.entries.len() as u64, left.unreadable);
    told.not_offered = kept.not_offered.iter().map(|key| key[prefix_bytes..].to_owned()).collect();
    Ok(tell(state, taken_over))
}

/// The last generation of a repository without repomd.xml when there was one, and nothing when there was none.
/// Whoever does not want what that held is content with less.
pub async fn last_or_fresh(bucket: &Bucket, repository: &RepositoryDir, is_replaced: bool) -> Result<State> {
    let last = match last_revision(bucket, repository, None).await {
        // The clean-up has begun to take it.
        Err(error) if is_replaced && error.kind() == ErrorKind::Corrupt => None,
        last => last?,
    };
    Ok(match last {
        // One that held nothing was deleted.
        Some(last) if last.catalog.entries.is_empty() => last,
        Some(last) => last.noticing(Noticed::Gone),
        None => State::fresh(repository.clone(), bucket.compression(repository)),
    })
}

/// A repository of which nobody wants to know what it holds: it is about to hold something else.
pub fn as_it_is(bucket: &Bucket, repository: &RepositoryDir, current: Current) -> State {
    let mut state = State::fresh(repository.clone(), bucket.compression(repository));
    Arc::make_mut(&mut state.catalog).revision = countable(&current.repomd.revision);
    state.current = Some(current);
    state
}

/// The files that make a repository without any metadata: all packages in its folder, but for those of a
/// repository below.
fn offered_without_metadata(bucket: &Bucket, repository: &RepositoryDir, folder: Folder) -> Present {
    folder.packages(bucket, repository)
}

/// Takes over what `current` describes. `ours` is what yrm published before somebody else wrote that: what had left then
/// stays out, and little of the rest may be lost.
pub(crate) async fn adopt(
    bucket: &Bucket,
    repository: &RepositoryDir,
    mut current: Current,
    (ours, now): (Option<Before>, Timestamp),
) -> Result<State> {
    let (folder, _room) = Folder::list_with_leave(bucket, repository).await?;
    let told = described::read(bucket, repository, &current.repomd).await?;
    let prefix_bytes = folder.prefix_bytes();
    let mut adoption = Adoption {
        records_left_out: drop_records(bucket, repository, &folder, &mut current.repomd),
        ..Adoption::default()
    };
    let mut state = State::fresh(repository.clone(), bucket.compression(repository));
    Arc::make_mut(&mut state.catalog).revision = countable(&current.repomd.revision);
    state.current = Some(current);
    state.above = ours.as_ref().map_or(0, |ours| ours.revision);

    let mut kept = Kept::default();
    let (looked, there) = match told {
        Told::Paths(described) => {
            refuse_elsewhere(bucket, repository, &described.elsewhere)?;
            let Parts { mut there, missing, unnamed } = folder.part(bucket, repository, &described).await?;
            if let Some(ours) = &ours {
                adoption.stays_out = ours.leave_out(bucket, repository, &mut there).await?;
                guard_loss(bucket, repository, ours.catalog.entries.len(), &ours.lost(&described))?;
            }
            let before = described.len() + described.elsewhere.len();
            adoption.missing = missing.and(&described.elsewhere);
            guard_loss(bucket, repository, before, &adoption.missing)?;
            kept.not_offered = unnamed;
            kept.named_beside = there.keys_beside().map(str::to_owned).collect();
            (Looked { described, digests: None, before, gate: None }, there)
        }
        Told::Digests(digests) => {
            let before = digests.len();
            let looked = Looked { described: Described::nothing(), digests: Some(digests), before, gate: None };
            (looked, folder.packages(bucket, repository))
        }
    };
    let looked = Arc::new(looked);
    let (state, left) = take_over(bucket, state, &looked, there, now).await?;
    if let Some(digests) = &looked.digests {
        for at in digests.iter().filter(|digest| !left.taken.contains(digest)) {
            adoption.missing.add(at.to_string());
        }
        kept.not_offered = left.not_offered;
    }
    adoption.unreadable = left.unreadable;
    guard_loss(bucket, repository, looked.before, &adoption.missing.clone().and(&adoption.unreadable))?;
    adoption.packages = state.catalog.entries.len() as u64;
    adoption.not_offered = kept.not_offered.iter().map(|key| key[prefix_bytes..].to_owned()).collect();
    Ok(tell(state, TakenOver { told: adoption, kept }))
}

fn tell(state: State, taken_over: TakenOver) -> State {
    tracing::warn!(repository = %state.repository, "{}", taken_over.told);
    state.telling(taken_over)
}

/// Refuses packages that lie where this bucket has nothing: their bytes are somebody else's to keep.
fn refuse_elsewhere(bucket: &Bucket, repository: &RepositoryDir, elsewhere: &Names) -> Result<()> {
    if elsewhere.is_empty() || bucket.policy.allow_shrink {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Corrupt, format!("taking over {repository}"))
        .because(format!(
            "its metadata names files that are not below {} of this bucket: {elsewhere}",
            bucket.policy.folders.repo_shown()
        ))
        .hint(
            "nothing was changed; if they are addresses of this bucket, name it in public-url; else put the files into \
             the folder and make the metadata again, or go on without them once with --allow-shrink",
        ))
}

/// Drops the records of other files that no client could or should fetch: what yrm writes, it signs. Says which.
fn drop_records(bucket: &Bucket, repository: &RepositoryDir, folder: &Folder, repomd: &mut Repomd) -> Vec<String> {
    let mut dropped = Vec::new();
    let mut keeps = |record: &mut Record| {
        if Document::ALL.iter().any(|document| document.name() == record.kind) {
            return true;
        }
        let place = href::place(repository, &bucket.policy, record.base.as_deref(), &record.href);
        let why = match place.filter(|place| !href::is_outside(place)) {
            None => "is not below the repository",
            Some(place) if !folder.holds(&place) => "is missing",
            Some(place) => {
                (record.base, record.href) = (None, place);
                return true;
            }
        };
        dropped.push(format!("{} at {}, which {why}", record.kind, record.href));
        false
    };
    // Kept one by one: `retain` gives no way to change what stays.
    repomd.records = std::mem::take(&mut repomd.records)
        .into_iter()
        .filter_map(|mut record| keeps(&mut record).then_some(record))
        .collect();
    dropped
}

/// A foreign `<revision>` as a number that ours can be counted up from; they are seconds as a
/// rule, and what is no number or leaves no room above it is no order either.
fn countable(revision: &str) -> u64 {
    revision.trim().parse().ok().filter(|revision| *revision < u64::MAX / 2).unwrap_or(0)
}

/// The same generation again, from the packages: its published files are gone or damaged.
pub async fn rebuild(bucket: &Bucket, state: State, now: Timestamp) -> Result<State> {
    rebuilt(bucket, state, None, now).await.map(|(state, _)| state)
}

/// The same on an operator's word: what the rules of the folders would not let in today is left out, and told.
pub(crate) async fn rebuild_through_the_gate(bucket: &Bucket, state: State, now: Timestamp) -> Result<State> {
    let gate = Inspector::new(bucket.clone(), now);
    let (state, told) = rebuilt(bucket, state, Some(gate), now).await?;
    Ok(tell(state, TakenOver { told, kept: Kept::default() }))
}

async fn rebuilt(bucket: &Bucket, state: State, gate: Option<Inspector>, now: Timestamp) -> Result<(State, Adoption)> {
    let repository = state.repository.clone();
    // Whoever rebuilds a large repository has leave to already.
    let folder = Folder::list(bucket, &repository).await?;
    let prefix_bytes = folder.prefix_bytes();
    // Only what the generation held: an unnamed file may be removed, or staged by another writer.
    let Parts { there, missing, .. } = folder.part(bucket, &repository, &state.catalog.entries).await?;
    let before = state.catalog.entries.len();
    guard_loss(bucket, &repository, before, &missing)?;
    let looked = Looked { described: Described::nothing(), digests: None, before, gate };
    let (rebuilt, left) = take_over(bucket, state, &Arc::new(looked), there, now).await?;
    let not_offered: Names = left.not_offered.iter().map(|key| key[prefix_bytes..].to_owned()).collect();
    guard_loss(bucket, &repository, before, &missing.clone().and(&left.unreadable).and(&not_offered))?;
    let packages = rebuilt.catalog.entries.len() as u64;
    let told = Adoption { packages, missing, unreadable: left.unreadable, not_offered, ..Adoption::default() };
    Ok((rebuilt, told))
}

/// The last revision, by its copy, to be put in the place of what has this ETag.
pub(super) async fn last_revision(
    bucket: &Bucket,
    repository: &RepositoryDir,
    in_place_of: Option<ETag>,
) -> Result<Option<State>> {
    let prefix = key::generations_prefix(repository);
    let listed = list_all(bucket.store.as_ref(), &prefix).await?;
    let revision = |object: &Object| object.key[prefix.len()..].strip_suffix(".xml")?.parse::<u64>().ok();
    let Some(newest) = listed.iter().filter(|object| revision(object).is_some()).max_by_key(|object| revision(object))
    else {
        return Ok(None);
    };
    let damaged = || {
        Error::new(ErrorKind::Corrupt, format!("restoring {repository} from {}", newest.key))
            .hint("repomd.xml and the copy of the last revision are both unusable; docs/tasks/restore.md says how to start again")
    };
    let read = bucket.store.get(&newest.key, None).await?.ok_or_else(damaged)?;
    let repomd = Repomd::read(&read.bytes).map_err(|source| damaged().because(source))?;
    let catalog = load_catalog(bucket, repository, &read.bytes).await?.ok_or_else(damaged)?;
    let current = Current { etag: in_place_of, bytes: read.bytes, repomd, copied: true };
    Ok(Some(State::published(repository.clone(), current, catalog)))
}

/// What is known of the packages that are taken over.
struct Looked {
    described: Described,
    /// The digests of those that are offered, where nobody knows their paths.
    digests: Option<HashSet<Sha256>>,
    /// How many there were.
    before: usize,
    /// Who is asked about packages that no metadata vouches for.
    gate: Option<Inspector>,
}

/// What was not taken over, and what was, by digest.
#[derive(Default)]
struct Left {
    unreadable: Names,
    not_offered: Vec<String>,
    taken: HashSet<Sha256>,
}

/// The state made of what is really there.
async fn take_over(
    bucket: &Bucket,
    state: State,
    looked: &Arc<Looked>,
    there: Present,
    now: Timestamp,
) -> Result<(State, Left)> {
    let inspector = Inspector::new(bucket.clone(), now).of_published();
    let (inspector, repository) = (&inspector, &state.repository);
    let compression = bucket.compression(repository);
    let spools = [(); 3].map(|()| bucket.cache.spool(bucket.store.as_ref()));
    let mut taking = Taking::begin(compression, there.len(), spools)?;
    let left = Mutex::new(Left::default());
    let left_out = |note: &dyn Fn(&mut Left)| note(&mut left.lock().unwrap_or_else(PoisonError::into_inner));
    let left_out = &left_out;
    let described = &looked.described;
    let mut found = futures::stream::iter(there.into_packages())
        .map(|there| {
            let explained = described.find(&there.href);
            let explained = explained.filter(|at| described.size_bytes(*at) == there.object.size_bytes);
            async move {
                if let Some(at) = explained {
                    return Ok(Some(Found::Explained(at, there.object)));
                }
                let (href, object) = (there.href.clone(), there.object.clone());
                let key = object.key.clone();
                let Some(found) = examined(bucket, inspector, repository, there).await? else {
                    left_out(&|left| left.unreadable.add(href.clone()));
                    return Ok(None);
                };
                if let (Some(gate), Found::Examined(examined)) = (&looked.gate, &found)
                    && !may_be_offered(bucket, gate, object, &examined.0, now).await?
                {
                    left_out(&|left| left.not_offered.push(key.clone()));
                    return Ok(None);
                }
                if let (Some(digests), Found::Examined(examined)) = (&looked.digests, &found) {
                    let digest = examined.0.pkgid();
                    if !digests.contains(&digest) {
                        left_out(&|left| left.not_offered.push(key.clone()));
                        return Ok(None);
                    }
                    left_out(&|left| {
                        left.taken.insert(digest);
                    });
                }
                Ok(Some(found))
            }
        })
        .buffered(bucket.policy.concurrency);
    let mut batch = taking::batch(&mut found, described).await?;
    while !batch.is_empty() {
        let explaining = Arc::clone(looked);
        let taken_in = aside("rendering", move || taking.take_in(batch, &explaining.described).map(|()| taking));
        let (taken_in, next) = futures::future::try_join(taken_in, taking::batch(&mut found, described)).await?;
        (taking, batch) = (taken_in?, next);
    }
    drop(found);
    let revision = state.catalog.revision;
    let (catalog, files) = aside("rendering", move || taking.finish(compression, revision)).await??;
    Ok((state.adopt(catalog, files), left.into_inner().unwrap_or_else(PoisonError::into_inner)))
}

/// Whether a package that no metadata vouches for is what its folder's rule asks of an upload. One that our first key
/// has signed was let in before.
async fn may_be_offered(
    bucket: &Bucket,
    gate: &Inspector,
    object: Object,
    entry: &Entry<'_>,
    now: Timestamp,
) -> Result<bool> {
    let path = object.key[bucket.policy.folders.repo_prefix().len()..].to_owned();
    let dropped = Dropped { path, object };
    if gate.is_let_in(&dropped, (&entry.name, Some(entry.pkgid())), &dropped.path).await? {
        return Ok(true);
    }
    let Some(signer) = &bucket.signer else { return Ok(false) };
    let Some(prefix) = read_header(gate, &dropped).await? else { return Ok(false) };
    Ok(matches!(HeaderFile::parse_prefix(&prefix), Ok(Parsed::Ready(file)) if is_ours(&file, signer, now)))
}

/// An entry for a package that only its own header describes; `None` when it is no package that
/// could be published.
async fn examined(
    bucket: &Bucket,
    inspector: &Inspector,
    repository: &RepositoryDir,
    there: There,
) -> Result<Option<Found>> {
    let There { href, is_beside, object } = there;
    let path = object.key[bucket.policy.folders.repo_prefix().len()..].to_owned();
    if !key::is_publishable_path(&path) {
        tracing::warn!(key = object.key, "left out of the repository: no package can be published under this name");
        return Ok(None);
    }
    let dropped = Dropped { path, object };
    let verdict = if is_beside {
        describe_at(inspector, &dropped, repository, &href).await?
    } else {
        inspector.inspect(dropped).await?
    };
    let mut candidate: Candidate = match verdict {
        Verdict::Accept(candidate) => *candidate,
        Verdict::Reject(rejection) => {
            let key = rejection.dropped.key();
            tracing::warn!(key, code = rejection.reason.code(), "left out of the repository: {}", rejection.message);
            return Ok(None);
        }
        Verdict::Wait { dropped, why } | Verdict::Held { dropped, why } => {
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
        first_published: dropped.object.since.as_second(),
        etag: dropped.etag().as_str().to_owned().into(),
        fragment_bytes: [0; 3],
        module: Some(module.into()),
    };
    Ok(Some(Found::Examined(Box::new((entry, fragments)))))
}
