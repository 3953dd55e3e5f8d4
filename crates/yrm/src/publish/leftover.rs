//! What cannot leave the inbox does not come back. An upload that may not be taken out is not published
//! at all where that is known beforehand; one that was published and stayed has an answer, its receipt,
//! and is taken out as soon as that is possible, but never published again.
//!
//! Its receipt is asked for of every upload that would be published, and of those that are in the way of another:
//! nothing else tells a leftover, for its package may have had another path, and be gone since. That is one read a
//! package, beside the reads that judge it. In a repository that has no generation yet nothing was published.

use futures::StreamExt as _;

use super::commit::tidy;
use super::pass::Work;
use super::plan::{Plan, plan};
use super::settlement::Settlement;
use crate::bucket::Bucket;
use crate::bucket::keeping::FolderRules;
use crate::bucket::receipt;
use crate::bucket::state::State;
use crate::bucket::verdict::Candidate;
use crate::error::Result;

/// Plans for those candidates that have no answer yet; the others are leftovers.
pub(crate) async fn plan_unanswered(
    work: Work<'_>,
    state: &State,
    candidates: &mut Vec<Candidate>,
    settlement: &mut Settlement,
) -> Result<Plan> {
    let Work { bucket, memory, .. } = work;
    let on_conflict = bucket.policy.on_conflict;
    let rules = FolderRules { gate: &bucket.gate, repository: &state.repository };
    let first = plan(&state.catalog, candidates, on_conflict, rules);
    if !state.has_ever_published() {
        return Ok(first);
    }
    // Of two that are in each other's way either may be the leftover.
    let conflicts = first.conflicts.iter().flat_map(|conflict| conflict.with.into_iter().chain([conflict.candidate]));
    // What nobody has dropped again does not keep others from taking its place.
    let makes_room = first.already.iter().copied().filter(|_| !first.later.is_empty());
    let mut asked: Vec<usize> =
        conflicts.chain(first.admit.iter().copied()).chain(first.later.iter().copied()).chain(makes_room).collect();
    asked.sort_unstable();
    asked.dedup();
    asked.retain(|&at| !memory.is_unanswered(state, &candidates[at].dropped));
    let asking: Vec<_> = asked
        .iter()
        .map(|&at| {
            let dropped = &candidates[at].dropped;
            async move { (at, receipt::says_published(bucket, dropped).await) }
        })
        .collect();
    let mut answers = futures::stream::iter(asking).buffered(bucket.policy.concurrency);
    let mut answered = Vec::new();
    while let Some((at, answer)) = answers.next().await {
        if answer? {
            answered.push(at);
        }
    }
    drop(answers);
    let unanswered = asked.iter().filter(|at| !answered.contains(at)).map(|&at| &candidates[at].dropped);
    memory.note_unanswered(state, unanswered);
    if answered.is_empty() {
        return Ok(first);
    }
    for at in answered.into_iter().rev() {
        let dropped = candidates.remove(at).dropped;
        if first.already.contains(&at) {
            let reason = "it was published, and may be replaced now; it is taken out of the inbox after that";
            settlement.wait(&dropped, reason.to_owned());
        } else {
            settlement.leftovers.push(dropped);
        }
    }
    Ok(plan(&state.catalog, candidates, on_conflict, rules))
}

/// Takes out what has an answer, if that can be done by now.
pub(crate) async fn take_out_leftovers(bucket: &Bucket, settlement: &mut Settlement) {
    for dropped in std::mem::take(&mut settlement.leftovers) {
        let key = dropped.key();
        match tidy::take_out_leftover(bucket, &dropped).await {
            Ok(()) => {
                tracing::info!(key, "taken out of the inbox: it was published, and its package has been removed since");
                settlement.gone += 1;
            }
            Err(error) => {
                let reason = format!(
                    "it was published, its package has been removed since, and taking it out of the inbox fails: {}",
                    error.chain()
                );
                let line = format!("tidying {key}: {}", error.chain());
                settlement.trouble.unfinished(&error, &line);
                settlement.errors.push(line);
                settlement.wait(&dropped, reason);
            }
        }
    }
}
