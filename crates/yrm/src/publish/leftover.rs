//! What cannot leave the inbox does not come back. An upload that may not be taken out is not published
//! at all where that is known beforehand; one that was published and stayed has an answer, its receipt,
//! and is taken out as soon as that is possible, but never published again. Nor is one that was rejected, when what
//! spoke against it is gone.
//!
//! Its receipt is asked for of every upload that would be published, and of those that are in the way of another:
//! nothing else tells a leftover, for its package may have had another path, and be gone since. That is one read a
//! package, beside the reads that judge it. In a repository that has no generation yet nothing was published.

use std::collections::{BTreeMap, HashSet};

use futures::StreamExt as _;
use jiff::Timestamp;

use super::bucket::Bucket;
use super::inbox::{Dropped, MAX_NAMED, top_folder};
use super::observe::State;
use super::plan::{FolderRules, Plan, plan};
use super::receipt::Answered;
use super::report::Report;
use super::settlement::Settlement;
use super::verdict::Candidate;
use super::{Publisher, lock, receipt, tidy};
use crate::error::{Error, ErrorKind, Result};
use crate::store::ETag;

/// Uploads of one repository that are remembered to have no receipt, at most, but for one batch.
const MAX_UNANSWERED: usize = 4_000;

/// The inbox's folders out of which nothing can be taken, to be told once for all that lies in each.
#[derive(Debug)]
pub(super) struct Held {
    inbox: String,
    folders: BTreeMap<String, (usize, String)>,
}

impl Held {
    pub(super) fn of(bucket: &Bucket) -> Self {
        Self { inbox: format!("{}/", bucket.policy.folders.inbox), folders: BTreeMap::new() }
    }

    /// Leaves a file where it is.
    pub(super) fn add(&mut self, dropped: &Dropped, why: String, report: &mut Report) {
        report.wait(dropped, why.clone());
        self.folders.entry(top_folder(dropped.key(), &self.inbox)).or_insert((0, why)).0 += 1;
    }

    /// One error a folder: the first of them by name, and how many more there are.
    pub(super) fn tell(self, report: &mut Report) {
        let hint = "let the user that yrm runs as write to the folder; until then what lies there is not published";
        let more = self.folders.len().saturating_sub(MAX_NAMED);
        for (folder, (files, why)) in self.folders.into_iter().take(MAX_NAMED) {
            let doing = format!("leaving {files} files in {folder}");
            report.fault("publishing", &Error::new(ErrorKind::Denied, doing).because(why).hint(hint));
        }
        if more > 0 {
            report.fault("publishing", &Error::new(ErrorKind::Denied, format!("leaving files in {more} more folders")));
        }
    }
}

/// Uploads that had no receipt in one state of their repository. As long as that is its state nobody has published
/// them, so that a commit which starts again need not ask again.
#[derive(Debug, Default)]
pub(super) struct Unanswered {
    state: Option<ETag>,
    uploads: HashSet<(String, ETag, Timestamp)>,
}

fn upload_of(dropped: &Dropped) -> (String, ETag, Timestamp) {
    (dropped.key().to_owned(), dropped.etag().clone(), dropped.modified())
}

impl Publisher {
    /// Plans for those candidates that have no answer yet; the others are leftovers.
    pub(super) async fn plan_unanswered(
        &self,
        state: &State,
        candidates: &mut Vec<Candidate>,
        settlement: &mut Settlement,
    ) -> Result<Plan> {
        let on_conflict = self.bucket.policy.on_conflict;
        let rules = FolderRules { gate: &self.bucket.gate, repository: &state.repository };
        let first = plan(&state.catalog, candidates, on_conflict, rules);
        if !state.has_ever_published() {
            return Ok(first);
        }
        // Of two that are in each other's way either may be the leftover.
        let conflicts =
            first.conflicts.iter().flat_map(|conflict| conflict.with.into_iter().chain([conflict.candidate]));
        // What nobody has dropped again does not keep others from taking its place.
        let makes_room = first.already.iter().copied().filter(|_| !first.later.is_empty());
        let mut asked: Vec<usize> =
            conflicts.chain(first.admit.iter().copied()).chain(first.later.iter().copied()).chain(makes_room).collect();
        asked.sort_unstable();
        asked.dedup();
        let etag = state.current.as_ref().and_then(|current| current.etag.clone());
        if let Some(known) = lock(&self.unanswered).get(&state.repository).filter(|known| known.state == etag) {
            asked.retain(|&at| !known.uploads.contains(&upload_of(&candidates[at].dropped)));
        }
        let asking: Vec<_> = asked
            .iter()
            .map(|&at| {
                let dropped = &candidates[at].dropped;
                async move { (at, receipt::answer_to(&self.bucket, dropped).await) }
            })
            .collect();
        let mut answers = futures::stream::iter(asking).buffered(self.bucket.policy.concurrency);
        let mut answered = Vec::new();
        while let Some((at, answer)) = answers.next().await {
            answered.extend(answer?.map(|answer| (at, answer)));
        }
        drop(answers);
        let is_answered = |at: &usize| answered.iter().any(|(answered, _)| answered == at);
        let unanswered = asked.iter().filter(|at| !is_answered(at)).map(|&at| upload_of(&candidates[at].dropped));
        self.remember_unanswered(state, etag, unanswered.collect());
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
        // What is turned down again is set aside as before. Each round takes out some of what would be let in now.
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

    fn remember_unanswered(&self, state: &State, etag: Option<ETag>, uploads: HashSet<(String, ETag, Timestamp)>) {
        let mut known = lock(&self.unanswered);
        let known = known.entry(state.repository.clone()).or_default();
        if known.state != etag {
            *known = Unanswered { state: etag, uploads: HashSet::new() };
        }
        if known.uploads.len() < MAX_UNANSWERED {
            known.uploads.extend(uploads);
        }
    }

    /// Takes out what has an answer, if that can be done by now.
    pub(super) async fn take_out_leftovers(&self, settlement: &mut Settlement) {
        for (dropped, answer) in std::mem::take(&mut settlement.leftovers) {
            let key = dropped.key();
            let why = match answer {
                Answered::Published => "it was published, and its package has been removed since",
                Answered::Rejected => {
                    "it was rejected and lies in quarantine; upload or release it again to have it published"
                }
            };
            match tidy::take_out_leftover(&self.bucket, &dropped).await {
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
}
