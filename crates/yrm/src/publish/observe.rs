//! Observing a repository before anything is done in it: its generation with the signature that goes with it, taken over
//! first if nobody knows what it holds.

use futures::future;

use super::adopt::{self, before::Before};
use super::commit::pair::{self, Look};
use super::memory::{Memory, lock};
use super::operations::errand::Leave;
use super::pass::{Pass, RunId, Work};
use crate::bucket::Bucket;
use crate::bucket::observe::{Observed, observe};
use crate::bucket::report::Found;
use crate::bucket::signature;
use crate::bucket::state::{Current, State};
use crate::error::{Error, ErrorKind, Result};
use crate::store::key::RepositoryDir;
use crate::store::settle;

/// What the repository holds now, taken over first if nobody knows. A repomd.xml that cannot be read is an error.
pub(crate) async fn state_of(
    bucket: &Bucket,
    memory: &Memory,
    repository: &RepositoryDir,
    run: RunId,
) -> Result<State> {
    observed(bucket, memory, repository, (run, Leave::TakeOver)).await
}

/// The same for a commit: what is wanted says what may become of a repomd.xml that is not the one that yrm wrote last.
pub(crate) async fn observed_for(work: Work<'_>) -> Result<State> {
    let Work { bucket, memory, repository, errand, pass: Pass { run, .. } } = work;
    observed(bucket, memory, repository, (run, errand.leave())).await
}

async fn observed(
    bucket: &Bucket,
    memory: &Memory,
    repository: &RepositoryDir,
    (run, leave): (RunId, Leave),
) -> Result<State> {
    let known = lock(&memory.known).get(repository).cloned();
    for attempt in 0..settle::TRIES {
        settle::pause(bucket.store.as_ref(), attempt).await;
        let observed = observe(bucket, repository, known.as_ref()).await?;
        let look = pair::look(bucket, repository, observed.current(), run.started);
        let (looked, state) = match observed {
            Observed::Known(ref state) => (look.await?, Box::clone(state)),
            Observed::Unexplained(ref current) if leave == Leave::Remake => {
                let state = adopt::as_it_is(bucket, repository, current.clone());
                (look.await?, Box::new(state))
            }
            // Rarely taken, and their futures are long.
            Observed::Unexplained(ref current) => {
                // What may have moved is not taken over in vain.
                let looked @ Look::Pair(_) = look.await? else { continue };
                let taking_over = take_over(bucket, repository, current.clone(), (run, leave));
                (looked, Box::new(Box::pin(taking_over).await?))
            }
            Observed::Damaged { ref etag, .. } => {
                drop(look);
                let last = Box::pin(adopt::last_revision(bucket, repository, Some(etag.clone()))).await?;
                match (last, observed) {
                    (Some(state), _) if leave != Leave::TakeOver => {
                        let looked = Look::Pair(signature::read(bucket, repository).await?);
                        (looked, Box::new(state.noticing(Found::Damaged)))
                    }
                    (_, Observed::Damaged { error, .. }) => return Err(error),
                    _ => continue,
                }
            }
            Observed::Missing if matches!(leave, Leave::Begin | Leave::Remake) => {
                let last = adopt::last_or_fresh(bucket, repository, leave == Leave::Remake);
                let (looked, state) = future::try_join(look, last).await?;
                (looked, Box::new(state))
            }
            Observed::Missing => {
                let state = Box::pin(adopt::without_repomd(bucket, repository, run.started));
                let (looked, state) = future::try_join(look, state).await?;
                (looked, Box::new(state))
            }
        };
        let Look::Pair(signature) = looked else { continue };
        return Ok(state.beside(signature));
    }
    Err(Error::new(ErrorKind::Conflict, format!("reading {repository}"))
        .hint("other writers keep publishing here; the next run looks again"))
}

/// What a repomd.xml without a catalog describes. Where yrm has published before, somebody else wrote it, unless only
/// the catalog is lost.
async fn take_over(
    bucket: &Bucket,
    repository: &RepositoryDir,
    current: Current,
    (run, leave): (RunId, Leave),
) -> Result<State> {
    let before = Before::of(bucket, repository, &current).await?;
    let is_foreign = before.is_some();
    let before = before.filter(|_| leave != Leave::Replace);
    let state = adopt::adopt(bucket, repository, current, (before, run.started)).await?;
    Ok(if is_foreign { state.noticing(Found::Foreign) } else { state })
}
