//! Observing a repository before anything is done in it: its generation with the signature that goes with it, taken over
//! first if nobody knows what it holds.

use futures::future;

use super::adopt;
use super::commit::pair::{self, Look};
use super::memory::{Memory, lock};
use super::operations::errand::Errand;
use super::pass::{Pass, RunId, Work};
use crate::bucket::Bucket;
use crate::bucket::observe::{Observed, observe};
use crate::bucket::state::State;
use crate::error::{Error, ErrorKind, Result};
use crate::store::key::RepositoryDir;
use crate::store::settle;

/// What the repository holds now, taken over first if nobody knows.
pub(crate) async fn state_of(
    bucket: &Bucket,
    memory: &Memory,
    repository: &RepositoryDir,
    run: RunId,
) -> Result<State> {
    observed(bucket, memory, repository, (run, Unexplained::TakenOver)).await
}

/// The same for a commit: whoever changes the layout takes over no more than it has to.
pub(crate) async fn observed_for(work: Work<'_>) -> Result<State> {
    let Work { bucket, memory, repository, errand, pass: Pass { run, .. } } = work;
    let unexplained = match errand {
        Errand::Publish | Errand::Put | Errand::Remove(_) | Errand::RollBack(_) => Unexplained::TakenOver,
        Errand::Seal(_) | Errand::Finish(_) => Unexplained::Begun,
        Errand::Become(_) => Unexplained::Replaced,
    };
    observed(bucket, memory, repository, (run, unexplained)).await
}

/// What is done with a repository that no catalog explains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unexplained {
    /// What is there is taken over, with the files in its folder if it has no metadata.
    TakenOver,
    /// Metadata is taken over; what has none begins empty.
    Begun,
    /// What is there does not matter.
    Replaced,
}

async fn observed(
    bucket: &Bucket,
    memory: &Memory,
    repository: &RepositoryDir,
    (run, unexplained): (RunId, Unexplained),
) -> Result<State> {
    let known = lock(&memory.known).get(repository).cloned();
    for attempt in 0..settle::TRIES {
        settle::pause(bucket.store.as_ref(), attempt).await;
        let observed = observe(bucket, repository, known.as_ref()).await?;
        let look = pair::look(bucket, repository, observed.current(), run.started);
        let (looked, state) = match observed {
            Observed::Known(ref state) => (look.await?, Box::clone(state)),
            Observed::Unexplained(ref current) if unexplained == Unexplained::Replaced => {
                let state = adopt::as_it_is(bucket, repository, current.clone());
                (look.await?, Box::new(state))
            }
            // Rarely taken, and their futures are long.
            Observed::Unexplained(ref current) => {
                // What may have moved is not taken over in vain.
                let looked @ Look::Pair(_) = look.await? else { continue };
                let adopted = adopt::adopt(bucket, repository, current.clone(), run.started);
                (looked, Box::new(Box::pin(adopted).await?))
            }
            Observed::Missing if unexplained != Unexplained::TakenOver => {
                let last = adopt::last_or_fresh(bucket, repository, unexplained == Unexplained::Replaced);
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
