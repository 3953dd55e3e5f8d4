//! Going back to an earlier generation: the present is replaced by a new generation that holds what
//! that one held. Its files and packages must still be there, and must stay: only a generation that
//! the sweep does not come near is taken.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use rpmmd::repomd::Repomd;

use super::errand::Errand;
use crate::bucket::Bucket;
use crate::bucket::generations;
use crate::bucket::href::is_outside;
use crate::bucket::listing::list_all;
use crate::bucket::observe::load_catalog;
use crate::bucket::state::{Current, State};
use crate::error::{Error, ErrorKind, Result};
use crate::publish::{adopt, clock};
use crate::store::key::{self, Key, RepositoryDir};

/// The state that the next generation is made from.
pub(crate) async fn start_from(errand: &Errand, bucket: &Bucket, state: State, now: Timestamp) -> Result<State> {
    match errand {
        Errand::Publish | Errand::Put | Errand::Mend | Errand::Remove(_) => Ok(state),
        Errand::RollBack(revision) => to(bucket, state, *revision, now).await,
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
    near_enough(bucket, &repository, revision).await?;
    let damaged = |why: String| Error::new(ErrorKind::Corrupt, doing()).because(why);
    let repomd = Repomd::read(&copy.bytes).map_err(|source| damaged(source.to_string()))?;
    let Some(catalog) = load_catalog(bucket, &repository, &copy.bytes).await? else {
        // Another program's, from before yrm: what it names is looked at anew.
        let current = Current { etag: None, bytes: copy.bytes, repomd, copied: true };
        let before = Box::pin(adopt::adopt(bucket, &repository, current, (None, now))).await?;
        return Ok(state.roll_back_before(before));
    };

    let prefix = key::repository_prefix(&bucket.policy.folders, &repository);
    let listed = list_all(bucket.store.as_ref(), &prefix).await?;
    let there: HashSet<&str> = listed.iter().filter_map(|object| object.key.strip_prefix(&prefix)).collect();
    let hrefs = (0..catalog.entries.len()).map(|at| catalog.entries.href(at));
    let files = repomd.records.iter().map(|record| record.href.as_str());
    for href in hrefs.chain(files).filter(|href| !there.contains(href)) {
        let beside = bucket.path(Key::Package { repository: &repository, href });
        if !is_outside(href) || bucket.store.head(&beside).await?.is_none() {
            return Err(damaged(format!("{href}, which it names, is gone")));
        }
    }
    Ok(state.roll_back((copy.bytes, repomd), catalog))
}

/// A generation is safe to go back to while less than half the grace period has passed since
/// another took its place: a sweep that is at work now lets it be.
async fn near_enough(bucket: &Bucket, repository: &RepositoryDir, revision: u64) -> Result<()> {
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
    Err(Error::new(ErrorKind::Conflict, format!("rolling {repository} back to {revision}"))
        .because("it was replaced too long ago: the clean-up may delete its packages at any time")
        .hint("a rollback works for half the grace period; upload the packages again instead"))
}
