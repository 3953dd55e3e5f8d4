//! Going back to an earlier generation: the present is replaced by a new generation that holds what
//! that one held. Its files and packages must still be there, and must stay: only a generation that
//! the sweep does not come near is taken.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::SignedDuration;
use rpmmd::repomd::Repomd;

use crate::bucket::Bucket;
use crate::bucket::generations;
use crate::bucket::href::is_outside;
use crate::bucket::listing::list_all;
use crate::bucket::observe::load_catalog;
use crate::bucket::state::{Earlier, State};
use crate::error::{Error, ErrorKind, Result};
use crate::publish::clock;
use crate::store::key::{self, Key, RepositoryDir};

/// `state` with the content of the generation `revision`.
pub(crate) async fn to(bucket: &Bucket, state: State, revision: u64) -> Result<State> {
    let repository = state.repository.clone();
    let doing = || format!("rolling {repository} back to {revision}");
    let refuse = |why: &str| Error::new(ErrorKind::Conflict, doing()).because(why.to_owned());
    if state.revision() == Some(revision) {
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
    let catalog = load_catalog(bucket, &repository, &copy.bytes).await?;
    let catalog = catalog.ok_or_else(|| damaged("its catalog is gone".to_owned()))?;

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
    let instead_of = Arc::clone(&state.catalog);
    Ok(state.roll_back(Earlier { bytes: copy.bytes, repomd, instead_of }, catalog))
}

/// A generation is safe to go back to while less than half the grace period has passed since
/// another took its place: a sweep that is at work now lets it be.
async fn near_enough(bucket: &Bucket, repository: &RepositoryDir, revision: u64) -> Result<()> {
    let next = generations::generations(bucket, repository).await?.copies;
    let superseded = next.iter().filter(|(other, _)| *other > revision).map(|(_, object)| object.modified).min();
    let half = SignedDuration::try_from(bucket.policy.grace / 2).unwrap_or(SignedDuration::MAX);
    let now = clock::store_clock(bucket).await?;
    if superseded.is_some_and(|superseded| now.duration_since(superseded) <= half) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Conflict, format!("rolling {repository} back to {revision}"))
        .because("it was replaced too long ago: the clean-up may delete its packages at any time")
        .hint("a rollback works for half the grace period; upload the packages again instead"))
}
