//! What only files can tell of candidates and what is published already: read before the plan, which then only computes.

use super::again::learn_pkgid;
use super::blocked;
use super::modules::learn_modules;
use super::read::Inspector;
use super::recognize::recognize;
use super::standing::weigh;
use crate::bucket::blocks::Blocks;
use crate::bucket::state::State;
use crate::bucket::verdict::Candidate;
use crate::publish::operations::errand::Errand;
use crate::publish::pass::Work;
use crate::publish::plan::undecided;
use crate::publish::settlement::Settlement;

/// Looks at candidates beside what their repository holds. What cannot be read is left out and holds up nobody else.
pub(crate) async fn look_beside(
    work: Work<'_>,
    mut state: State,
    candidates: Vec<Candidate>,
    blocks: &Blocks,
    settlement: &mut Settlement,
) -> (State, Vec<Candidate>) {
    // What is taken over is not pruned yet: its modules are for the next run to learn.
    if matches!(work.errand, Errand::Publish) && !state.adopted() {
        state = learn_modules(work.bucket, state, work.pass.run.started, settlement).await;
    }
    // What a name tells needs no look at bytes.
    let candidates = blocked::keep_out(work, candidates, blocks, settlement);
    let candidates = learn_pkgids(work, &state, candidates, blocks, settlement).await;
    let candidates = blocked::keep_out(work, candidates, blocks, settlement);
    let candidates = weigh(work, &state, candidates, settlement).await;
    let candidates = recognize(work, &state, candidates, settlement).await;
    (state, candidates)
}

/// Reads whole those files whose path or name is taken, or that may be blocked by their digest: only their bytes can tell.
async fn learn_pkgids(
    work: Work<'_>,
    state: &State,
    mut candidates: Vec<Candidate>,
    blocks: &Blocks,
    settlement: &mut Settlement,
) -> Vec<Candidate> {
    let inspector = Inspector::new(work.bucket.clone(), work.pass.run.started);
    // Backwards, so that removing one leaves the indexes of those still to do alone.
    let mut unknown = undecided(&state.catalog, &candidates);
    unknown.extend(blocked::undecided(work, &candidates, blocks));
    unknown.sort_unstable();
    unknown.dedup();
    for at in unknown.into_iter().rev() {
        match learn_pkgid(&inspector, &candidates[at].dropped).await {
            Ok(Ok(pkgid)) => candidates[at].pkgid = Some(pkgid),
            Ok(Err(verdict)) => {
                let candidate = candidates.remove(at);
                settlement.turned_away(&candidate.dropped, verdict);
            }
            // One file that cannot be read holds up nobody else.
            Err(error) => {
                let candidate = candidates.remove(at);
                settlement.held_up(&candidate, Err(error));
            }
        }
    }
    candidates
}
