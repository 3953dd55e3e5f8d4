//! The only thing that deletes under `repo/`: objects that no retained generation names and that
//! are older than the grace period, by the store's clock.
//!
//! A generation is retained while it is current and for the grace period after another took its
//! place. The repomd.xml that judges is read after the listing, so nothing that was staged or
//! committed before it can be missed; what cannot be understood is left alone.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use bytes::Bytes;
use futures::future::{self, try_join, try_join3};
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::{SignedDuration, Timestamp};
use rpmmd::checksum::Sha256;
use rpmmd::repomd::Repomd;
use tokio::time::Instant;

use super::retired::{is_read, retire};
use super::{left, untagged};
use crate::bucket::catalog::Catalog;
use crate::bucket::deleted;
use crate::bucket::generations::{Generations, folders, generations, inner_repository};
use crate::bucket::kept;
use crate::bucket::listing::{MAX_PAGES, list_all};
use crate::bucket::observe::catalog_of;
use crate::bucket::record;
use crate::bucket::state::is_sealed;
use crate::bucket::tags::Tags;
use crate::bucket::{Bucket, Share};
use crate::error::{Error, ErrorKind, Result};
use crate::publish::clock::time_of;
use crate::publish::history;
use crate::publish::operations::purge;
use crate::publish::pass::STALE_AFTER;
use crate::store::key::{self, Key, RepositoryDir};
use crate::store::settle::{self, Settled};
use crate::store::{Object, Outcome, PutIf, Read};

/// A sweep stops after this long: the next must never begin while it is still at it.
pub(crate) const LONGEST_SWEEP: Duration = Duration::from_mins(30);
/// However short the configured interval is. A request that is under way is refused by S3 after 15
/// minutes.
const SHORTEST_INTERVAL: Duration = Duration::from_hours(1);

/// Receipts are kept this long: far longer than anyone waits for one.
const RECEIPTS_KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// A signed package is on its way to its place for seconds. Whoever comes to one that is gone makes it
/// again, so this only has to be long enough not to cost anybody work.
const SIGNED_KEPT: SignedDuration = SignedDuration::from_hours(24);

/// What a sweep did, and when it was by the store's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Swept {
    /// Objects deleted.
    pub deleted: u64,
    /// When.
    pub at: Timestamp,
}

/// What came of looking whether a sweep is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// The last one was at this time, not long enough ago.
    NotYet(Timestamp),
    /// This one.
    Swept(Swept),
    /// Somebody else sweeps.
    Theirs,
}

/// The repositories whose oldest retained generation's grace is over, or that of a generation's own
/// folder, by two listings and the local clock: worth a sweep, which then goes by the store's.
pub async fn owed(bucket: &Bucket, now: Timestamp) -> Result<Vec<RepositoryDir>> {
    let expires = now.checked_sub(signed(bucket.policy.grace)).unwrap_or(Timestamp::MIN);
    let prefix = key::generations_prefix(&RepositoryDir::new(""));
    let mut switched: BTreeMap<RepositoryDir, Vec<Timestamp>> = BTreeMap::new();
    for object in list_all(bucket.store.as_ref(), &prefix).await? {
        let path = object.key.strip_prefix(&prefix).unwrap_or_default();
        if path.ends_with(key::GENERATION_SIGNATURE_SUFFIX) {
            continue;
        }
        let dir = RepositoryDir::new(path.rsplit_once('/').map_or("", |(dir, _)| dir));
        switched.entry(dir).or_default().push(object.modified);
    }
    let superseded = switched.into_iter().filter_map(|(repository, mut times)| {
        times.sort();
        let since = if bucket.locator.names(&repository) {
            // The oldest was superseded when the second was switched to.
            times.get(1)
        } else {
            // The newest has the seal.
            times.last()
        };
        since.is_some_and(|since| *since < expires).then_some(repository)
    });
    let mut owed: BTreeSet<RepositoryDir> = superseded.collect();
    owed.extend(left::owed(bucket, expires).await?);
    Ok(owed.into_iter().collect())
}

/// Sweeps a repository if its last sweep was longer ago than the interval. `last` is when this process last
/// swept; without it the bucket is asked.
pub(crate) async fn sweep_if_due(
    bucket: &Bucket,
    repository: &RepositoryDir,
    last: Option<Timestamp>,
    now: Timestamp,
) -> Result<Due> {
    let interval = signed(bucket.policy.sweep_interval.max(SHORTEST_INTERVAL));
    let not_yet = |last: &Timestamp| now.duration_since(*last) < interval;
    if let Some(last) = last.filter(not_yet) {
        return Ok(Due::NotYet(last));
    }
    let before = announced(bucket, repository).await?;
    // Another process may have swept since.
    if let Some(last) = before.as_ref().map(|object| object.modified).filter(not_yet) {
        return Ok(Due::NotYet(last));
    }
    Ok(match sweep_repository(bucket, repository, before).await? {
        Some(swept) => Due::Swept(swept),
        None => Due::Theirs,
    })
}

/// Sweeps now, a repository and what all of them share, unless somebody else has just begun to.
pub async fn sweep(bucket: &Bucket, repository: &RepositoryDir) -> Result<Option<Swept>> {
    let before = announced(bucket, repository).await?;
    let Some(swept) = sweep_repository(bucket, repository, before).await? else { return Ok(None) };
    sweep_shared(bucket, swept.at).await?;
    Ok(Some(swept))
}

/// Sweeps what belongs to no repository: receipts, signed packages on their way, the history, and what a purge left. Once for all
/// repositories that a run has swept, for there may be more of it than of anything else.
pub(crate) async fn sweep_shared(bucket: &Bucket, now: Timestamp) -> Result<()> {
    let trim = async { history::trim(bucket, now).await.map(drop) };
    let purge = async { purge::finish(bucket, now, Instant::now() + STALE_AFTER).await.map(drop) };
    try_join(purge, try_join3(sweep_receipts(bucket, now), sweep_signed(bucket, now), trim)).await.map(drop)
}

/// Sweeps a repository; `before` is the announcement of the last time.
async fn sweep_repository(
    bucket: &Bucket,
    repository: &RepositoryDir,
    before: Option<Object>,
) -> Result<Option<Swept>> {
    let began = Instant::now();
    let Some(now) = claim(bucket, repository, before).await? else { return Ok(None) };
    let expires = now.checked_sub(signed(bucket.policy.grace)).unwrap_or(Timestamp::MIN);
    if !bucket.locator.names(repository) {
        let deleted = retire(bucket, repository, (expires, began)).await?;
        return Ok(Some(Swept { deleted, at: now }));
    }
    let store = bucket.store.as_ref();
    let prefix = key::repository_prefix(&bucket.policy.folders, repository);
    let catalogs_prefix = key::catalogs_prefix(repository);
    let ((listed, leave), generations, catalogs) = try_join3(
        bucket.list_with_leave(&prefix, Share::All),
        generations(bucket, repository),
        direct_children(bucket, &catalogs_prefix),
    )
    .await?;
    let Generations { copies: generations, signatures, mut others } = generations;

    // After the listing, so that nothing which was staged or committed before it is missed.
    let repomd_key = bucket.path(Key::Repomd { repository });
    // What is tagged later is young enough for this sweep to let it be.
    let tags = Tags::of(bucket, repository);
    let (current, enclosed, tags) = try_join3(store.get(&repomd_key, None), enclosed(bucket, repository), tags).await?;
    let current = match current {
        Some(current) => Some(current),
        None => deleted::last_of(bucket, repository).await?.map(|(_, last)| last),
    };
    let Some(current) = current else {
        return Err(Error::new(ErrorKind::Corrupt, format!("cleaning up: {repomd_key} is missing"))
            .hint("nothing was deleted; the next package that arrives restores the last revision"));
    };
    let left = left::look(bucket, repository, &listed, &current.bytes, (now, expires)).await?;
    let untagged = untagged::over(bucket, repository, &tags, &listed, expires);
    let is_tagged = |revision: u64| untagged::kept(&tags, expires).any(|tag| tag.revision == revision);
    let (retained, mut over) = split(generations, current.object.modified, expires, is_tagged);
    over.extend(signatures_left(signatures, &retained));

    // One large catalog at a time.
    let at_once = if leave.is_some() { 1 } else { bucket.policy.concurrency };
    let Some((named, retained_catalogs)) =
        named(bucket, repository, (current.bytes, &retained), &left.read, at_once).await?
    else {
        tracing::info!(%repository, "a revision that clients may still read has no catalog; cleaning up when its grace period has expired");
        return Ok(Some(Swept { deleted: 0, at: now }));
    };
    others.extend(listed.iter().filter_map(|object| inner_repository(object.key.strip_prefix(&prefix)?)));
    let of_another = |object: &Object| {
        let path = object.key.strip_prefix(&prefix).unwrap_or_default();
        !path.starts_with("repodata/") && (enclosed || folders(path).any(|folder| others.contains(folder)))
    };
    let old = |object: &&Object| object.since < expires;
    let unnamed = listed
        .iter()
        .filter(old)
        .filter(|object| !named.contains(&object.key) && ours(bucket, repository, &object.key) && !of_another(object));
    let mut unnamed: Vec<&Object> = unnamed.collect();
    // After repomd.xml too: what is kept of a repository that is taken over is written before it.
    if !unnamed.is_empty() {
        let spared = kept::spared(bucket, repository).await?;
        unnamed.retain(|object| !spared.contains(&object.key));
    }
    let forgotten = catalogs.iter().filter(old).filter(|object| !retained_catalogs.contains(&object.key));
    let doomed = unnamed.into_iter().chain(forgotten).chain(&over).chain(left.over).chain(untagged);
    let deleted = delete_all(bucket, repository, doomed, (expires, began)).await?;
    untagged::forget(bucket, repository, &tags, expires).await?;
    Ok(Some(Swept { deleted, at: now }))
}

/// Deletes what was listed and is still old, until the sweep that `began` then has taken its time; how many there were.
async fn delete_all(
    bucket: &Bucket,
    repository: &RepositoryDir,
    doomed: impl Iterator<Item = &Object>,
    (expires, began): (Timestamp, Instant),
) -> Result<u64> {
    let turns = doomed.map(|object| async move {
        // Nothing is begun that late.
        if began.elapsed() > LONGEST_SWEEP { Ok(None) } else { delete_old(bucket, object, expires).await.map(Some) }
    });
    // Collected first: a stream over borrowing closures is not Send.
    let turns: Vec<_> = turns.collect();
    let mut turns = futures::stream::iter(turns).buffered(bucket.policy.concurrency);
    let mut deleted = 0;
    while let Some(outcome) = turns.next().await {
        let Some(is_deleted) = outcome? else {
            tracing::info!(%repository, deleted, "the clean-up takes long and stops here; the next one goes on");
            break;
        };
        deleted += u64::from(is_deleted);
    }
    Ok(deleted)
}

/// The last announcement of a sweep.
async fn announced(bucket: &Bucket, repository: &RepositoryDir) -> Result<Option<Object>> {
    bucket.store.head(&bucket.path(Key::Swept { repository })).await
}

/// Announces a sweep, and tells what time it is in the store. `None` when another was announced
/// first: two at once could take a package that was swept by the one and published anew before the
/// other came to it.
async fn claim(bucket: &Bucket, repository: &RepositoryDir, before: Option<Object>) -> Result<Option<Timestamp>> {
    let (store, key) = (bucket.store.as_ref(), Key::Swept { repository });
    let path = bucket.path(key);
    let before = before.map(|object| object.etag);
    // No two announcements are equal, so that an answer that was lost can be told from another's.
    let bytes = record::to_json(&serde_json::json!({"after": before, "sweeper": store.jitter()}))?;
    let condition = before.map_or(PutIf::Absent, PutIf::Matches);
    match settle::put_settled(store, &path, &bytes, &key.attributes(), &condition).await? {
        Settled::Won(_) => time_of(bucket, &path).await.map(Some),
        Settled::Lost => Ok(None),
    }
}

/// The keys that retained generations name, and the keys of their catalogs: of the current repomd.xml, of the
/// copies in `retained`, and of those that are read in folders of their own. `None` when a catalog is gone, so
/// that nobody knows which packages its generation names.
async fn named(
    bucket: &Bucket,
    repository: &RepositoryDir,
    (current, retained): (Bytes, &[Object]),
    read_apart: &BTreeSet<Sha256>,
    at_once: usize,
) -> Result<Option<(HashSet<String>, HashSet<String>)>> {
    let copies: Vec<_> = retained.iter().map(|generation| bucket.store.get(&generation.key, None)).collect();
    let copies: Vec<Option<Read>> =
        futures::stream::iter(copies).buffered(bucket.policy.concurrency).try_collect().await?;
    // The newest copy is as a rule of what is current: it is read once.
    let bodies = std::iter::once(current).chain(copies.into_iter().flatten().map(|read| read.bytes));
    let mut generations: BTreeMap<Sha256, Option<Bytes>> = bodies.map(|body| (Sha256::of(&body), Some(body))).collect();
    // In its own folder a generation may be read for longer than in the repository's.
    for &repomd in read_apart {
        generations.entry(repomd).or_insert(None);
    }
    let mut hrefs = Vec::new();
    for body in generations.values().flatten() {
        let Ok(repomd) = Repomd::read(body) else { return Ok(None) };
        hrefs.extend(repomd.records.into_iter().map(|record| record.href));
    }
    let mut named: HashSet<String> = hrefs.iter().map(|href| bucket.path(Key::Metadata { repository, href })).collect();
    let mut retained_catalogs: HashSet<String> =
        generations.keys().map(|&repomd| bucket.path(Key::Catalog { repository, repomd })).collect();
    let catalogs: Vec<_> = generations
        .iter()
        .map(|(&repomd, body)| async move { (body.is_some(), catalog_of(bucket, repository, repomd).await) })
        .collect();
    let mut catalogs = futures::stream::iter(catalogs).buffered(at_once);
    while let Some((is_in_place, catalog)) = catalogs.next().await {
        let Some(catalog) = catalog? else { return Ok(None) };
        name_packages(bucket, repository, &catalog, &mut named, &mut retained_catalogs);
        if is_in_place && let Some(layout) = &catalog.mirror {
            named.insert(bucket.path(Key::Metadata { repository, href: &layout.href }));
        }
    }
    Ok(Some((named, retained_catalogs)))
}

/// Adds every package that a generation names, and what its catalog is stored as a change of.
fn name_packages(
    bucket: &Bucket,
    repository: &RepositoryDir,
    catalog: &Catalog,
    named: &mut HashSet<String>,
    retained_catalogs: &mut HashSet<String>,
) {
    retained_catalogs.extend(catalog.base.map(|base| bucket.path(Key::Catalog { repository, repomd: base.repomd })));
    named.extend(
        (0..catalog.entries.len()).map(|at| bucket.path(Key::Package { repository, href: catalog.entries.href(at) })),
    );
}

/// Generations that readers may still hold, and those whose grace is over. A generation was
/// superseded when the next one was switched to: the time of that one's copy, or of repomd.xml.
fn split(
    mut generations: Vec<(u64, Object)>,
    switched: Timestamp,
    expires: Timestamp,
    is_tagged: impl Fn(u64) -> bool,
) -> (Vec<Object>, Vec<Object>) {
    // Another program that writes here too counts otherwise.
    generations.sort_by_key(|(revision, object)| (object.modified, *revision));
    let superseded: Vec<Timestamp> =
        generations.iter().skip(1).map(|(_, next)| next.modified).chain([switched]).collect();
    let newest = generations.iter().map(|(revision, _)| *revision).max();
    let (over, retained): (Vec<_>, Vec<_>) =
        generations.into_iter().zip(superseded).partition(|((revision, _), superseded)| {
            *superseded < expires && Some(*revision) != newest && !is_tagged(*revision)
        });
    let objects = |generations: Vec<((u64, Object), Timestamp)>| generations.into_iter().map(|((_, o), _)| o).collect();
    (objects(retained), objects(over))
}

/// The copies of signatures whose generation is not retained. Young ones are not deleted anyway.
fn signatures_left(mut signatures: Vec<Object>, retained: &[Object]) -> Vec<Object> {
    let kept: HashSet<String> = retained.iter().map(|generation| format!("{}.asc", generation.key)).collect();
    signatures.retain(|signature| !kept.contains(&signature.key));
    signatures
}

/// Whether a folder above is a repository too: then this one's packages may be named there.
async fn enclosed(bucket: &Bucket, repository: &RepositoryDir) -> Result<bool> {
    let dir = repository.as_str();
    let above = (!dir.is_empty()).then_some("").into_iter().chain(folders(dir));
    for outer in above {
        let outer = RepositoryDir::new(outer);
        let repomd = bucket.path(Key::Repomd { repository: &outer });
        let Some(there) = bucket.store.get(&repomd, None).await? else {
            if is_read(bucket, &outer).await? {
                return Ok(true);
            }
            continue;
        };
        // One that is sealed goes by itself.
        if !is_sealed(&there.bytes) {
            tracing::warn!(%repository, "no package is cleaned up here, for {repomd} may name them; remove that file if it is a leftover");
        }
        return Ok(true);
    }
    Ok(false)
}

/// Objects right below a prefix; other repositories' lie deeper.
async fn direct_children(bucket: &Bucket, prefix: &str) -> Result<Vec<Object>> {
    let mut objects = list_all(bucket.store.as_ref(), prefix).await?;
    objects.retain(|object| !object.key[prefix.len()..].contains('/'));
    Ok(objects)
}

/// Packages and content-named metadata of this repository; anything else under `repo/` is
/// somebody's and none of our business.
fn ours(bucket: &Bucket, repository: &RepositoryDir, key: &str) -> bool {
    let Some((dir, href)) = bucket.policy.folders.below_repo(key).and_then(|path| bucket.locator.locate(path)) else {
        return false;
    };
    let content_named = |name: &str| {
        name.split_once('-').is_some_and(|(digest, rest)| {
            digest.parse::<Sha256>().is_ok()
                && ["primary.xml.", "filelists.xml.", "other.xml."].iter().any(|kind| rest.starts_with(kind))
        })
    };
    dir == *repository
        && match href.strip_prefix("repodata/") {
            Some(name) => content_named(name),
            None => href.to_ascii_lowercase().ends_with(".rpm"),
        }
}

async fn sweep_receipts(bucket: &Bucket, now: Timestamp) -> Result<()> {
    let expires = now.checked_sub(RECEIPTS_KEPT).unwrap_or(Timestamp::MIN);
    let mut after = None;
    // Page by page: there may be more than anything else in the bucket, and what is left for the
    // next sweep does no harm.
    for _ in 0..MAX_PAGES {
        let page = bucket.store.list(key::RECEIPTS_PREFIX, after.as_deref()).await?;
        let over = page.objects.iter().filter(|object| object.modified < expires);
        let deletes: Vec<_> = over.map(|object| delete(bucket, object)).collect();
        at_once(bucket, deletes).await?;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    Ok(())
}

/// Signed packages that a process which died left on their way.
async fn sweep_signed(bucket: &Bucket, now: Timestamp) -> Result<()> {
    let expires = now.checked_sub(SIGNED_KEPT).unwrap_or(Timestamp::MIN);
    let left = list_all(bucket.store.as_ref(), key::SIGNED_PREFIX).await?;
    let over = left.iter().filter(|object| object.modified < expires);
    at_once(bucket, over.map(|object| delete_old(bucket, object, expires)).collect()).await
}

/// Deletes side by side.
async fn at_once(bucket: &Bucket, deletes: Vec<impl Future<Output = Result<bool>>>) -> Result<()> {
    let deletes = futures::stream::iter(deletes).buffer_unordered(bucket.policy.concurrency);
    deletes.try_for_each(|_| future::ready(Ok(()))).await
}

/// Deletes what was listed, if it is still that and still old. Equal bytes have equal ETags in S3,
/// so a package that was swept by another and published anew since the listing would not be
/// told from the old one by its ETag.
async fn delete_old(bucket: &Bucket, object: &Object, expires: Timestamp) -> Result<bool> {
    match bucket.store.head(&object.key).await? {
        Some(there) if there.since < expires => delete(bucket, object).await,
        Some(_) | None => Ok(false),
    }
}

/// Deletes what was listed, if it is still that. Unknown or lost: it is there for the next sweep.
async fn delete(bucket: &Bucket, object: &Object) -> Result<bool> {
    Ok(match bucket.store.delete(&object.key, &object.etag).await? {
        Outcome::Done(()) => true,
        Outcome::Lost | Outcome::Conflict | Outcome::Missing | Outcome::Ambiguous(_) => false,
    })
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}
