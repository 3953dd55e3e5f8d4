//! Rendering what was decided: the next generation, complete, before anything of it is uploaded.

use super::prepare::Prepared;
use super::render::{Admitted, Generation, Rules, render};
use crate::bucket::observe::{PublishedFiles, read_published};
use crate::bucket::state::State;
use crate::bucket::verdict::Candidate;
use crate::bucket::{Bucket, aside};
use crate::error::{ErrorKind, Result};
use crate::publish::adopt;
use crate::publish::guard::guard_shrink;
use crate::publish::pass::RunId;
use crate::publish::plan::{Origin, merge};

/// Renders the next generation. When a published file turns out to be gone or damaged, the
/// repository is read again from its packages and rendered from that.
pub(crate) async fn next_generation(bucket: &Bucket, prepared: &Prepared, run: RunId) -> Result<(State, Generation)> {
    let state = &prepared.state;
    if state.adopted() || state.catalog.files.is_none() {
        return render_from(bucket, state.clone(), None, prepared, run).await;
    }
    let damage = match read_published(bucket, state).await {
        Ok(files) => match render_from(bucket, state.clone(), Some(files), prepared, run).await {
            Err(error) if error.kind() == ErrorKind::Corrupt => error,
            rendered => return rendered,
        },
        Err(error) if error.kind() == ErrorKind::Corrupt => error,
        Err(error) => return Err(error),
    };
    tracing::warn!(repository = %state.repository, "{}; reading the packages again", damage.chain());
    let rebuilt = Box::pin(adopt::rebuild(bucket, state.clone(), run.started)).await?;
    render_from(bucket, rebuilt, None, prepared, run).await
}

/// Renders what `prepared` decided, with `state` for what stays.
async fn render_from(
    bucket: &Bucket,
    state: State,
    published: Option<PublishedFiles>,
    prepared: &Prepared,
    run: RunId,
) -> Result<(State, Generation)> {
    let leaving = prepared.leaving();
    let before = prepared.state.catalog.entries.len() - leaving.len();
    let admitted: Vec<Admitted> =
        prepared.placed.iter().map(|(&at, there)| (prepared.candidates[at].clone(), there.clone())).collect();
    let leaving = leaving.into_iter().map(|at| prepared.state.catalog.entries.href(at));
    let leaving: Vec<usize> = leaving.filter_map(|href| state.catalog.entries.position(href)).collect();
    let all: Vec<Candidate> = admitted.iter().map(|(candidate, _)| candidate.clone()).collect();
    let every: Vec<usize> = (0..all.len()).collect();
    let origins = merge(&state.catalog, &leaving, &all, &every);
    let after = origins.iter().map(Origin::packages).sum();
    guard_shrink(bucket, &state.repository, before, after)?;
    let (held, rendered_from, seal) = (bucket.clone(), state.clone(), prepared.seal);
    let rendered = aside("rendering", move || {
        let spool = || held.cache.spool(held.store.as_ref());
        let mirrored = held.mirror_rules.is_on(&rendered_from.repository);
        let compression = held.compression(&rendered_from.repository);
        let rules = Rules { compression, mirrored, run, seal, spool: &spool };
        render(&rendered_from, published.as_ref(), &origins, &admitted, rules)
    })
    .await?;
    // A cached file that cannot be read any more is fetched again next time.
    Ok((state, rendered.inspect_err(|_| bucket.cache.distrust())?))
}
