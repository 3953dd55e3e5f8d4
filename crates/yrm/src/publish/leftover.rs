//! What cannot leave the inbox does not come back. An upload that may not be taken out is not published
//! at all where that is known beforehand; one that was published and stayed has an answer, its receipt,
//! and is taken out as soon as that is possible, but never published again. Nor is one that was rejected, when what
//! spoke against it is gone.
//!
//! Its receipt is asked for of every upload that would be published, and of those that are in the way of another:
//! nothing else tells a leftover, for its package may have had another path, and be gone since. That is one read a
//! package, beside the reads that judge it. In a repository that has no generation yet nothing was published.

use std::collections::HashSet;

use futures::StreamExt as _;

use super::commit::tidy;
use super::pass::Work;
use super::plan::{Plan, plan};
use super::settlement::Settlement;
use crate::bucket::Bucket;
use crate::bucket::keeping::FolderRules;
use crate::bucket::receipt::{self, Answered};
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
    // What nobody has uploaded again does not keep others from taking its place.
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
            async move { (at, receipt::answer_to(bucket, dropped).await) }
        })
        .collect();
    let mut answers = futures::stream::iter(asking).buffered(bucket.policy.concurrency);
    let mut answered = Vec::new();
    while let Some((at, answer)) = answers.next().await {
        answered.extend(answer?.map(|answer| (at, answer)));
    }
    drop(answers);
    let is_answered = |at: &usize| answered.iter().any(|(answered, _)| answered == at);
    let unanswered = asked.iter().filter(|at| !is_answered(at)).map(|&at| &candidates[at].dropped);
    memory.note_unanswered(state, unanswered);
    if answered.is_empty() {
        return Ok(first);
    }
    let mut rejected = HashSet::new();
    for (at, answer) in answered.into_iter().rev() {
        if answer == Answered::Rejected {
            rejected.insert(candidates[at].dropped.key().to_owned());
            continue;
        }
        let dropped = candidates.remove(at).dropped;
        if first.already.contains(&at) {
            let reason = "it was published, and may be replaced now; it is taken out of the inbox after that";
            settlement.wait(&dropped, reason.to_owned());
        } else {
            settlement.leftovers.push((dropped, answer));
        }
    }
    // What is turned down again is rejected as before. Each round takes out some of what would be let in now.
    loop {
        let next = plan(&state.catalog, candidates, on_conflict, rules);
        let let_in = next.admit.iter().chain(&next.later).copied();
        let mut let_in: Vec<usize> = let_in.filter(|&at| rejected.contains(candidates[at].dropped.key())).collect();
        if let_in.is_empty() {
            return Ok(next);
        }
        let_in.sort_unstable();
        for at in let_in.into_iter().rev() {
            settlement.leftovers.push((candidates.remove(at).dropped, Answered::Rejected));
        }
    }
}

/// Takes out what has an answer, if that can be done by now.
pub(crate) async fn take_out_leftovers(bucket: &Bucket, settlement: &mut Settlement) {
    for (dropped, answer) in std::mem::take(&mut settlement.leftovers) {
        let key = dropped.key();
        let why = match answer {
            Answered::Published => "it was published, and its package has been removed since",
            Answered::Rejected => {
                "it was rejected and lies in quarantine; upload or release it again to have it published"
            }
        };
        match tidy::take_out_leftover(bucket, &dropped).await {
            Ok(()) => {
                tracing::info!(key, "taken out of the inbox: {why}");
                settlement.gone += 1;
            }
            Err(error) => {
                let reason = format!("{why}; taking it out of the inbox fails: {}", error.chain());
                let line = format!("tidying {key}: {}", error.chain());
                settlement.trouble.unfinished(&error, &line);
                settlement.errors.push(line);
                settlement.wait(&dropped, reason);
            }
        }
    }
}
