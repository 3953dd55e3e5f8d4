//! Observing a repository before anything is done in it: its generation with the signature that goes with it, taken over
//! first if nobody knows what it holds.

use futures::future;

use super::adopt;
use super::commit::pair::{self, Look};
use super::memory::{Memory, lock};
use super::pass::RunId;
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
    let known = lock(&memory.known).get(repository).cloned();
    for attempt in 0..settle::TRIES {
        settle::pause(bucket.store.as_ref(), attempt).await;
        let observed = observe(bucket, repository, known.as_ref()).await?;
        let look = pair::look(bucket, repository, observed.current(), run.started);
        let (looked, state) = match observed {
            Observed::Known(ref state) => (look.await?, Box::clone(state)),
            // Rarely taken, and their futures are long.
            Observed::Unexplained(ref current) => {
                // What may have moved is not taken over in vain.
                let looked @ Look::Pair(_) = look.await? else { continue };
                let adopted = adopt::adopt(bucket, repository, current.clone(), run.started);
                (looked, Box::new(Box::pin(adopted).await?))
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
