//! Going back to an earlier generation: the present is replaced by a new generation that holds what
//! that one held. Its files and packages must still be there, and must stay: only a generation that
//! the sweep does not come near is taken.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rpmmd::repomd::Repomd;

use super::errand::Errand;
use crate::bucket::blocks::{Blocks, Looked, Purge};
use crate::bucket::catalog::Entry;
use crate::bucket::history::{self, Range};
use crate::bucket::href::is_outside;
use crate::bucket::observe::load_catalog;
use crate::bucket::report::{Mark, Marked, Operation, Report, TakenOut};
use crate::bucket::state::{Current, State};
use crate::bucket::tags::Tags;
use crate::bucket::{Bucket, generations};
use crate::error::{Error, ErrorKind, Result};
use crate::publish::{adopt, clock};
use crate::store::key::{self, Key, RepositoryDir};

/// The state that the next generation is made from.
pub(crate) async fn start_from(errand: &Errand, bucket: &Bucket, state: State, now: Timestamp) -> Result<State> {
    match errand {
        Errand::Publish
        | Errand::Put
        | Errand::Move
        | Errand::Mend
        | Errand::Remove(_)
        | Errand::Empty
        | Errand::Rebuild
        | Errand::Seal(_)
        | Errand::Finish(_) => Ok(state),
        // Whoever else is at the same change may have been first.
        Errand::Become(made) if state.holds(&made.catalog) && !state.is_sealed() => Ok(state),
        Errand::Become(made) => {
            Ok(state.made_of_others(made.catalog.clone(), Arc::clone(&made.files), made.others.clone()))
        }
        Errand::RollBack(revision, _) => to(bucket, state, *revision, now).await,
    }
}

/// `state` with the content of the generation `revision`.
async fn to(bucket: &Bucket, state: State, revision: u64, now: Timestamp) -> Result<State> {
    let repository = state.repository.clone();
    let doing = || format!("rolling {repository} back to {revision}");
    let refuse = |why: &str| Error::new(ErrorKind::Conflict, doing()).because(why.to_owned());
    // In the place of what somebody else wrote, or damaged, the last revision comes back too.
    if state.noticed.is_none() && state.revision() == Some(revision) {
        return Err(refuse("that is the current revision"));
    }
    let key = bucket.path(Key::Generation { repository: &repository, revision });
    let Some(copy) = bucket.store.get(&key, None).await? else {
        return Err(refuse("the copy of that revision does not exist any more")
            .hint("`yrm repo log` lists the revisions that are kept"));
    };
    if !Tags::of(bucket, &repository).await?.keep(revision) {
        near_enough(bucket, &repository, revision).await?;
    }
    let damaged = |why: String| Error::new(ErrorKind::Corrupt, doing()).because(why);
    let repomd = Repomd::read(&copy.bytes).map_err(|source| damaged(source.to_string()))?;
    let Some(catalog) = load_catalog(bucket, &repository, &copy.bytes).await? else {
        // Another program's, from before yrm: what it names is looked at anew.
        let current = Current { etag: None, bytes: copy.bytes, repomd, copied: true };
        let before = Box::pin(adopt::adopt(bucket, &repository, current, (None, now))).await?;
        return Ok(state.roll_back_before(before));
    };

    // After the state was observed: a purge is announced before its packages leave the state.
    let blocks = Blocks::of(bucket).await?;
    let purged = |purge: &Purge| {
        refuse(&format!("it names {}, which was {}", purge.href, purge.told()))
            .hint("roll back to a later revision, or upload what is missing again")
    };
    let names = |purge: &&Purge| purge.repository == repository && catalog.entries.position(&purge.href).is_some();
    if let Some(purge) = blocks.purges.iter().filter(|purge| purge.done.is_none()).find(names) {
        return Err(purged(purge));
    }
    let prefix = key::repository_prefix(&bucket.policy.folders, &repository);
    let listed = bucket.list_repo(&prefix).await?;
    let there: HashSet<&str> = listed.iter().filter_map(|object| object.key.strip_prefix(&prefix)).collect();
    let hrefs = (0..catalog.entries.len()).map(|at| catalog.entries.href(at));
    let files = repomd.records.iter().map(|record| record.href.as_str());
    for href in hrefs.chain(files).filter(|href| !there.contains(href)) {
        let beside = bucket.path(Key::Package { repository: &repository, href });
        if !is_outside(href) || bucket.store.head(&beside).await?.is_none() {
            if let Some(purge) = blocks.purge_of(&repository, href) {
                return Err(purged(purge));
            }
            return Err(damaged(format!("{href}, which it names, is gone")));
        }
    }
    Ok(state.roll_back((copy.bytes, repomd), catalog))
}

/// Says of packages that a rollback brought back who had taken them out on purpose, as far as the history tells.
pub(crate) async fn warn_of_removed(bucket: &Bucket, revision: u64, restored: &mut [TakenOut]) -> Result<()> {
    if restored.is_empty() {
        return Ok(());
    }
    let since = i64::try_from(revision).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    let since = since.and_then(|since| since.checked_sub(SignedDuration::from_hours(1)).ok());
    let range = Range { since, until: None, limit: usize::MAX, most_read: MOST_READ };
    let take = |record: Report| {
        if !matches!(record.operation, Operation::Remove | Operation::Promote | Operation::Delete) {
            return Ok(false);
        }
        let (by, day) = (record.by.as_deref().unwrap_or("somebody"), record.started.strftime("%Y-%m-%d"));
        let reason = record.reason.as_deref().map_or_else(String::new, |reason| format!(": {reason}"));
        for one in restored.iter_mut().filter(|one| one.why.is_none()) {
            if record.removed.iter().any(|gone| gone.repository == one.repository && gone.href == one.href) {
                one.why = Some(format!("{by} had taken it out on {day}{reason}"));
            }
        }
        Ok(true)
    };
    history::each(bucket, range, take).await
}

/// Records that are looked through for who has taken packages out.
const MOST_READ: usize = 500;

/// The packages that are blocked, and so do not come back: with a revision, or with the metadata of another program.
pub(crate) async fn blocked(bucket: &Bucket, state: &State) -> Result<Vec<(String, Marked)>> {
    let blocks = Blocks::of(bucket).await?;
    let repository = &state.repository;
    let now = state.earlier.as_ref().map(|earlier| &earlier.instead_of.entries);
    let stays_out = |entry: Entry<'_>| {
        let (path, nevra) = (repository.path_of(&entry.href), entry.nevra().to_string());
        let looked = Looked { path: &path, nevra: &nevra, digests: [Some(entry.pkgid()), None] };
        let block = blocks.blocking(looked)?;
        // What is there now stays: a block keeps packages from coming.
        let there = now.and_then(|now| now.at(&entry.href));
        if there.is_some_and(|there| there.pkgid() == entry.pkgid()) {
            return None;
        }
        let why = Some(format!("does not come back: {}", block.told()));
        let (mark, repository) = (Mark::Block, Some(repository.clone()));
        Some((entry.href.to_string(), Marked { mark, repository, name: path, nevra: Some(nevra), revision: None, why }))
    };
    Ok(state.catalog.entries.iter().filter_map(stays_out).collect())
}

/// A generation is safe to go back to while less than half the grace period has passed since
/// another took its place: a sweep that is at work now lets it be.
pub(crate) async fn near_enough(bucket: &Bucket, repository: &RepositoryDir, revision: u64) -> Result<()> {
    let next = generations::generations(bucket, repository).await?.copies;
    let mut superseded = next.iter().filter(|(other, _)| *other > revision).map(|(_, object)| object.modified).min();
    if superseded.is_none() {
        // By what another program wrote, or by nothing: it was the last that yrm published.
        let repomd = bucket.store.head(&bucket.path(Key::Repomd { repository })).await?;
        superseded = Some(repomd.map_or(Timestamp::MAX, |repomd| repomd.modified));
    }
    let half = SignedDuration::try_from(bucket.policy.grace / 2).unwrap_or(SignedDuration::MAX);
    let now = clock::store_clock(bucket).await?;
    if superseded.is_some_and(|superseded| now.duration_since(superseded) <= half) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Conflict, format!("going back to {revision} of {repository}"))
        .because("it was replaced too long ago: the clean-up may delete its packages at any time")
        .hint("that is safe for half the grace period, and for as long as the revision has a tag"))
}
