//! The only thing that deletes under `repo/`: objects that no retained generation names and that
//! are older than the grace period, by the store's clock.
//!
//! A generation is retained while it is current and for the grace period after another took its
//! place. The repomd.xml that judges is read after the listing, so nothing that was staged or
//! committed before it can be missed; what cannot be understood is left alone.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use rpmmd::checksum::Sha256;
use rpmmd::repomd::Repomd;
use tokio::time::Instant;

use super::bucket::Bucket;
use super::catalog::Catalog;
use super::inbox::{MAX_PAGES, list_all};
use super::mirror::left;
use super::observe::{catalog_of, load_catalog};
use super::{history, kept, receipt};
use crate::error::{Error, ErrorKind, Result};
use crate::store::key::{self, Key, RepositoryDir};
use crate::store::settle::{self, Settled};
use crate::store::{Object, Outcome, PutIf};

/// A sweep stops after this long: the next must never begin while it is still at it.
const LONGEST_SWEEP: Duration = Duration::from_mins(30);
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

/// Every repository that has ever committed a generation.
pub async fn repositories(bucket: &Bucket) -> Result<Vec<RepositoryDir>> {
    let prefix = key::generations_prefix(&RepositoryDir::new(""));
    let mut found: Vec<RepositoryDir> = list_all(bucket.store.as_ref(), &prefix)
        .await?
        .iter()
        .filter_map(|object| object.key.strip_prefix(&prefix))
        .map(|path| RepositoryDir::new(path.rsplit_once('/').map_or("", |(dir, _)| dir)))
        .collect();
    found.sort();
    found.dedup();
    Ok(found)
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
        // The oldest was superseded when the second was switched to.
        times.get(1).is_some_and(|superseded| *superseded < expires).then_some(repository)
    });
    let mut owed: BTreeSet<RepositoryDir> = superseded.collect();
    owed.extend(left::owed(bucket, expires).await?);
    Ok(owed.into_iter().collect())
}

/// What time it is in the store: the modification time of something just written.
pub async fn store_clock(bucket: &Bucket) -> Result<Timestamp> {
    let path = bucket.path(Key::Clock);
    settle::put_always(bucket.store.as_ref(), &path, &Bytes::from_static(b"now"), &Key::Clock.attributes()).await?;
    time_of(bucket, &path).await
}

/// Sweeps if the last sweep was longer ago than the interval. `last` is when this process last
/// swept; without it the bucket is asked. `None` when somebody else sweeps.
pub async fn sweep_if_due(
    bucket: &Bucket,
    repository: &RepositoryDir,
    last: Option<Timestamp>,
    now: Timestamp,
) -> Result<Option<Swept>> {
    let last = match last {
        Some(last) => Some(last),
        None => bucket.store.head(&bucket.path(Key::Swept { repository })).await?.map(|object| object.modified),
    };
    let interval = signed(bucket.policy.sweep_interval.max(SHORTEST_INTERVAL));
    match last {
        Some(last) if now.duration_since(last) < interval => Ok(Some(Swept { deleted: 0, at: last })),
        Some(_) | None => sweep(bucket, repository).await,
    }
}

/// Sweeps now, unless somebody else has just begun to.
pub async fn sweep(bucket: &Bucket, repository: &RepositoryDir) -> Result<Option<Swept>> {
    let began = Instant::now();
    let Some(now) = claim(bucket, repository).await? else { return Ok(None) };
    let store = bucket.store.as_ref();
    let listed = list_all(store, &key::repository_prefix(&bucket.policy.folders, repository)).await?;
    let Generations { copies: generations, signatures, mut others } = generations(bucket, repository).await?;
    let catalogs = direct_children(bucket, &key::catalogs_prefix(repository)).await?;

    let repomd_key = bucket.path(Key::Repomd { repository });
    let Some(current) = store.get(&repomd_key, None).await? else {
        return Err(Error::new(ErrorKind::Corrupt, format!("sweeping: {repomd_key} is missing"))
            .hint("nothing was deleted; the next package that arrives restores the last generation"));
    };
    let expires = now.checked_sub(signed(bucket.policy.grace)).unwrap_or(Timestamp::MIN);
    let left = left::look(bucket, repository, &listed, &current.bytes, (now, expires)).await?;
    let (retained, mut over) = split(generations, current.object.modified, expires);
    over.extend(signatures_left(signatures, &retained));

    let mut named: HashSet<String> = kept::spared(bucket, repository).await?.into_iter().collect();
    let mut retained_catalogs: HashSet<String> = HashSet::new();
    let mut bodies = vec![current.bytes];
    for generation in &retained {
        if let Some(read) = store.get(&generation.key, None).await? {
            bodies.push(read.bytes);
        }
    }
    for body in &bodies {
        retained_catalogs.insert(bucket.path(Key::Catalog { repository, repomd: Sha256::of(body) }));
        if !name_all(bucket, repository, body, &mut named, &mut retained_catalogs).await? {
            tracing::info!(%repository, "a retained generation has no catalog; sweeping again when its grace is over");
            return Ok(Some(Swept { deleted: 0, at: now }));
        }
    }
    // In its own folder a generation may be read for longer than in the repository's.
    let judged: HashSet<Sha256> = bodies.iter().map(|body| Sha256::of(body)).collect();
    for &repomd in left.read.iter().filter(|repomd| !judged.contains(repomd)) {
        retained_catalogs.insert(bucket.path(Key::Catalog { repository, repomd }));
        let Some(catalog) = catalog_of(bucket, repository, repomd).await? else {
            tracing::info!(%repository, "a generation that is read in its own folder has no catalog; sweeping again when its grace is over");
            return Ok(Some(Swept { deleted: 0, at: now }));
        };
        name_packages(bucket, repository, &catalog, &mut named, &mut retained_catalogs);
    }
    let prefix = key::repository_prefix(&bucket.policy.folders, repository);
    others.extend(listed.iter().filter_map(|object| inner_repository(object.key.strip_prefix(&prefix)?)));
    let enclosed = enclosed(bucket, repository).await?;
    let of_another = |object: &Object| {
        let path = object.key.strip_prefix(&prefix).unwrap_or_default();
        !path.starts_with("repodata/") && (enclosed || folders(path).any(|folder| others.contains(folder)))
    };
    let old = |object: &&Object| object.since < expires;
    let unnamed = listed
        .iter()
        .filter(old)
        .filter(|object| !named.contains(&object.key) && ours(bucket, repository, &object.key) && !of_another(object));
    let forgotten = catalogs.iter().filter(old).filter(|object| !retained_catalogs.contains(&object.key));
    let mut deleted = 0;
    for object in unnamed.chain(forgotten).chain(&over).chain(left.over) {
        if began.elapsed() > LONGEST_SWEEP {
            tracing::info!(%repository, deleted, "the sweep has taken its time; the next one goes on");
            return Ok(Some(Swept { deleted, at: now }));
        }
        deleted += u64::from(delete_old(bucket, object, expires).await?);
    }
    sweep_receipts(bucket, now).await?;
    sweep_signed(bucket, now).await?;
    history::trim(bucket).await?;
    Ok(Some(Swept { deleted, at: now }))
}

/// Announces a sweep, and tells what time it is in the store. `None` when another was announced
/// first: two at once could take a package that was swept by the one and published anew before the
/// other came to it.
async fn claim(bucket: &Bucket, repository: &RepositoryDir) -> Result<Option<Timestamp>> {
    let (store, key) = (bucket.store.as_ref(), Key::Swept { repository });
    let path = bucket.path(key);
    let before = store.head(&path).await?.map(|object| object.etag);
    // No two announcements are equal, so that an answer that was lost can be told from another's.
    let bytes = receipt::to_json(&serde_json::json!({"after": before, "sweeper": store.jitter()}))?;
    let condition = before.map_or(PutIf::Absent, PutIf::Matches);
    match settle::put_settled(store, &path, &bytes, &key.attributes(), &condition).await? {
        Settled::Won(_) => time_of(bucket, &path).await.map(Some),
        Settled::Lost => Ok(None),
    }
}

/// Adds every key that a generation names. `false` when its catalog is gone, so that nobody
/// knows which packages it names.
async fn name_all(
    bucket: &Bucket,
    repository: &RepositoryDir,
    body: &[u8],
    named: &mut HashSet<String>,
    retained_catalogs: &mut HashSet<String>,
) -> Result<bool> {
    let Ok(repomd) = Repomd::read(body) else { return Ok(false) };
    let Some(catalog) = load_catalog(bucket, repository, body).await? else { return Ok(false) };
    name_packages(bucket, repository, &catalog, named, retained_catalogs);
    let mirror = catalog.mirror.iter().map(|layout| layout.href.as_str());
    let hrefs = repomd.records.iter().map(|record| record.href.as_str()).chain(mirror);
    named.extend(hrefs.map(|href| bucket.path(Key::Metadata { repository, href })));
    Ok(true)
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
fn split(mut generations: Vec<(u64, Object)>, switched: Timestamp, expires: Timestamp) -> (Vec<Object>, Vec<Object>) {
    generations.sort_by_key(|(revision, _)| *revision);
    let superseded: Vec<Timestamp> =
        generations.iter().skip(1).map(|(_, next)| next.modified).chain([switched]).collect();
    let newest = generations.last().map(|(revision, _)| *revision);
    let (over, retained): (Vec<_>, Vec<_>) = generations
        .into_iter()
        .zip(superseded)
        .partition(|((revision, _), superseded)| *superseded < expires && Some(*revision) != newest);
    let objects = |generations: Vec<((u64, Object), Timestamp)>| generations.into_iter().map(|((_, o), _)| o).collect();
    (objects(retained), objects(over))
}

/// What is kept of a repository's generations.
pub(super) struct Generations {
    /// Their copies, by revision.
    pub(super) copies: Vec<(u64, Object)>,
    /// Their signatures' copies.
    signatures: Vec<Object>,
    /// Folders below that have generations of their own: repositories of another setting.
    others: HashSet<String>,
}

/// Looks up the repository's generations.
pub(super) async fn generations(bucket: &Bucket, repository: &RepositoryDir) -> Result<Generations> {
    let prefix = key::generations_prefix(repository);
    let listed = list_all(bucket.store.as_ref(), &prefix).await?;
    let others = listed.iter().filter_map(|object| object.key[prefix.len()..].rsplit_once('/'));
    let others = others.map(|(folder, _)| folder.to_owned()).collect();
    let revision = |object: &Object, suffix| object.key[prefix.len()..].strip_suffix(suffix)?.parse::<u64>().ok();
    let (signatures, copies): (Vec<_>, Vec<_>) =
        listed.into_iter().partition(|object| object.key.ends_with(key::GENERATION_SIGNATURE_SUFFIX));
    Ok(Generations {
        copies: copies.into_iter().filter_map(|object| Some((revision(&object, ".xml")?, object))).collect(),
        signatures: signatures
            .into_iter()
            .filter(|object| revision(object, key::GENERATION_SIGNATURE_SUFFIX).is_some())
            .collect(),
        others,
    })
}

/// The copies of signatures whose generation is not retained. Young ones are not deleted anyway.
fn signatures_left(mut signatures: Vec<Object>, retained: &[Object]) -> Vec<Object> {
    let kept: HashSet<String> = retained.iter().map(|generation| format!("{}.asc", generation.key)).collect();
    signatures.retain(|signature| !kept.contains(&signature.key));
    signatures
}

/// The folder of a repository that lies deeper, if `path` is its repomd.xml.
pub(super) fn inner_repository(path: &str) -> Option<String> {
    path.strip_suffix("/repodata/repomd.xml").map(str::to_owned)
}

/// The folders that `path` lies in, from the outermost on.
pub(super) fn folders(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

/// Whether a folder above is a repository too: then this one's packages may be named there.
async fn enclosed(bucket: &Bucket, repository: &RepositoryDir) -> Result<bool> {
    let dir = repository.as_str();
    let above = (!dir.is_empty()).then_some("").into_iter().chain(folders(dir));
    for outer in above {
        let outer = RepositoryDir::new(outer);
        let repomd = bucket.path(Key::Repomd { repository: &outer });
        if bucket.store.head(&repomd).await?.is_some() {
            tracing::warn!(%repository, "no package is swept here: {repomd} may name them; remove it if it is a leftover");
            return Ok(true);
        }
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
    let folder = format!("{}/", bucket.policy.folders.repo);
    let Some((dir, href)) = key.strip_prefix(&folder).and_then(|path| bucket.locator.locate(path)) else {
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
        for object in page.objects.iter().filter(|object| object.modified < expires) {
            delete(bucket, object).await?;
        }
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
    for object in left.iter().filter(|object| object.modified < expires) {
        delete_old(bucket, object, expires).await?;
    }
    Ok(())
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

/// When the store got what was just written.
async fn time_of(bucket: &Bucket, path: &str) -> Result<Timestamp> {
    let written = bucket.store.head(path).await?;
    written
        .map(|object| object.modified)
        .ok_or_else(|| Error::new(ErrorKind::Unavailable, format!("reading the store's clock from {path}")))
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}
