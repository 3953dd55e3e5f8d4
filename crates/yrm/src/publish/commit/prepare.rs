//! Plan and admit: what is at hand before the switch.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use ulid::Ulid;

use super::admit::Placed;
use super::place::{admit_all, confirm};
use crate::bucket::Bucket;
use crate::bucket::holds::Holds;
use crate::bucket::report::{Found, Marked, Noticed, Outcome, RepositoryReport, TakenOut};
use crate::bucket::state::State;
use crate::bucket::verdict::{Candidate, Reason, Rejection};
use crate::error::Result;
use crate::publish::clock;
use crate::publish::expected::AboutTo;
use crate::publish::guard::guard_taking;
use crate::publish::leftover::{plan_unanswered, take_out_leftovers};
use crate::publish::memory::lock;
use crate::publish::mirror::Truth;
use crate::publish::operations::errand::Errand;
use crate::publish::operations::rollback;
use crate::publish::pass::Work;
use crate::publish::plan::{Conflict, Plan, retirements};
use crate::publish::settlement::Settlement;
use crate::store::key;

/// What is at hand before the switch.
pub(crate) struct Prepared {
    pub(crate) state: State,
    pub(crate) plan: Plan,
    /// The candidates, and which of them are in place.
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) placed: BTreeMap<usize, Placed>,
    /// Those of the plan's `already` that really are.
    pub(crate) already: Vec<usize>,
    /// The change of the layout by which the next generation is sealed.
    pub(crate) seal: Option<Ulid>,
}

impl Prepared {
    /// The entries that are not in the next generation.
    pub(crate) fn leaving(&self) -> Vec<usize> {
        self.plan.leaving(|candidate| self.placed.contains_key(&candidate))
    }

    /// What is about to be done, for who has seen it beforehand.
    pub(crate) fn about_to(&self) -> AboutTo {
        let going = self.leaving().into_iter().map(|at| self.state.catalog.entries.href(at).to_owned());
        let coming = self.placed.keys().map(|&at| self.candidates[at].href.clone());
        AboutTo {
            revision_before: self.state.revision(),
            coming: coming.collect(),
            going: going.collect(),
            goes_back: self.state.earlier.is_some(),
        }
    }

    /// Whether clients see already what was wanted. With mirrors they do not while the generation lacks
    /// what its own folder is made from.
    pub(crate) fn is_unchanged(&self, mirrored: bool) -> bool {
        let lacking = mirrored && self.state.current.is_some() && self.state.catalog.mirror.is_none();
        // The last revision's copy: clients find nothing, or what they cannot read, until it is put back.
        let lost = matches!(self.state.noticed, Some(Found::Gone | Found::Damaged));
        let stays = self.placed.is_empty() && self.leaving().is_empty() && self.seal.is_none();
        stays && !self.state.is_news() && !lacking && !lost
    }

    /// The generation that was found, as a mirror is made from it.
    pub(crate) fn truth(&self) -> Option<Truth> {
        let current = self.state.current.as_ref()?;
        Some(Truth::new(current.etag.as_ref()?, &current.bytes, &current.repomd, &self.state.catalog))
    }
}

/// Plans, and puts in place what the plan admits. `in_place` is where an earlier try put some.
pub(crate) async fn prepare(
    work: Work<'_>,
    state: State,
    mut candidates: Vec<Candidate>,
    in_place: &mut BTreeMap<String, Placed>,
    settlement: &mut Settlement,
) -> Result<Prepared> {
    let Work { bucket, errand, .. } = work;
    let mut plan = match errand {
        Errand::Publish | Errand::Put | Errand::Move | Errand::Mend => {
            plan_unanswered(work, &state, &mut candidates, settlement).await?
        }
        Errand::Empty => Plan { remove: (0..state.catalog.entries.len()).collect(), ..Plan::default() },
        Errand::Remove(hrefs) => Plan::removing(&state.catalog, hrefs),
        Errand::Rebuild | Errand::RollBack(..) | Errand::Seal(_) | Errand::Become(_) | Errand::Finish(_) => {
            Plan::default()
        }
    };
    if state.earlier.is_some() || state.noticed == Some(Found::Foreign) {
        let blocked = rollback::blocked(bucket, &state).await?;
        let (hrefs, marked): (Vec<String>, Vec<Marked>) = blocked.into_iter().unzip();
        settlement.marked = marked;
        plan.remove.extend(Plan::removing(&state.catalog, &hrefs).remove);
        plan.remove.sort_unstable();
        plan.remove.dedup();
    }
    let placed = admit_all(work, &plan, &mut candidates, in_place, settlement).await;
    plan.retire = due(work, &state, &plan, (&candidates, &placed)).await?;
    keep_held(work, &state, &mut plan, settlement).await?;
    let before = state.catalog.entries.len();
    guard_taking(work, "removing from", before, plan.remove.len())?;
    if let Some(earlier) = &state.earlier {
        let (now, then) = (&earlier.instead_of.entries, &state.catalog.entries);
        let lost = now.iter().filter(|entry| then.at(&entry.href).is_none()).count();
        guard_taking(work, "rolling back", now.len(), lost)?;
    }
    if let Err(error) = guard_taking(work, "pruning", before, plan.retire.len()) {
        // What was uploaded does not wait for somebody to look at that.
        settlement.errors.push(error.chain());
        plan.retire = Vec::new();
    }
    let already = confirm(bucket, &state, &plan, &candidates, settlement).await;
    if matches!(errand, Errand::Move) {
        let arrived = placed.keys().chain(&already).map(|&at| &candidates[at]);
        plan.remove = moved_away(bucket, &state, arrived);
    }
    leave_out(&plan, &candidates, &placed, settlement);
    take_out_leftovers(bucket, settlement).await;
    in_place.extend(placed.iter().map(|(&at, there)| (candidates[at].href.clone(), there.clone())));
    let seal = errand.seals(&state);
    Ok(Prepared { state, plan, candidates, placed, already, seal })
}

/// The entries from which candidates were moved that have their place now. A package that was there already stays.
fn moved_away<'c>(bucket: &Bucket, state: &State, arrived: impl Iterator<Item = &'c Candidate>) -> Vec<usize> {
    let entries = &state.catalog.entries;
    let prefix = key::repository_prefix(&bucket.policy.folders, &state.repository);
    let left = arrived.filter_map(|candidate| {
        let href = candidate.dropped.key().strip_prefix(&prefix)?;
        (href != candidate.href).then(|| entries.position(href))?
    });
    let mut left: Vec<usize> = left.collect();
    left.sort_unstable();
    left.dedup();
    left
}

/// The entries that retention takes out, now that it is known which candidates are in place.
async fn due(
    work: Work<'_>,
    state: &State,
    plan: &Plan,
    (candidates, placed): (&[Candidate], &BTreeMap<usize, Placed>),
) -> Result<Vec<usize>> {
    let Work { bucket, errand, .. } = work;
    // Nobody has seen yet what was taken over: nothing leaves with it.
    let (Errand::Publish, true, false) = (errand, bucket.pruned.is_on(), state.adopted()) else {
        return Ok(Vec::new());
    };
    let newer: Vec<usize> = placed.keys().copied().collect();
    let kept = state.kept(&bucket.gate, &bucket.pruned);
    let due_at = |now| retirements(kept, candidates, plan, &newer, now);
    // The local clock may be ahead: the store's is asked before anything leaves by it.
    let some_may_be_due = !due_at(work.pass.run.started).is_empty();
    if some_may_be_due { clock::store_clock(bucket).await.map(due_at) } else { Ok(Vec::new()) }
}

/// Leaves what is held where it is, and says so.
async fn keep_held(work: Work<'_>, state: &State, plan: &mut Plan, settlement: &mut Settlement) -> Result<()> {
    let Work { bucket, memory, repository, pass, .. } = work;
    settlement.held.clear();
    lock(&memory.held_until).remove(repository);
    if plan.retire.is_empty() {
        return Ok(());
    }
    let holds = Holds::of(bucket, repository).await?;
    let by_pkgid = holds.by_pkgid();
    let entries = &state.catalog.entries;
    plan.retire.retain(|&at| {
        let entry = entries.get(at);
        let Some(hold) = by_pkgid.get(entry.pkgid().to_string().as_str()) else { return true };
        settlement.held.push(TakenOut {
            repository: repository.as_str().to_owned(),
            href: entry.href.to_string(),
            nevra: entry.nevra().to_string(),
            why: Some(hold.told()),
        });
        false
    });
    if plan.retire.is_empty() {
        // Nothing else tells that a hold was released: it is looked at again, but not run after run.
        let interval = SignedDuration::try_from(bucket.policy.sweep_interval).unwrap_or(SignedDuration::MAX);
        let again = pass.run.started.checked_add(interval).unwrap_or(Timestamp::MAX);
        lock(&memory.held_until).insert(repository.clone(), again);
    }
    Ok(())
}

/// Says what of the plan's candidates waits, and what conflicts.
fn leave_out(plan: &Plan, candidates: &[Candidate], placed: &BTreeMap<usize, Placed>, settlement: &mut Settlement) {
    for &at in &plan.later {
        settlement.wait(&candidates[at].dropped, "it replaces another file of this run, in the next".to_owned());
    }
    for Conflict { candidate, with, message } in &plan.conflicts {
        let sha256 = candidates[*candidate].uploaded_sha256();
        let dropped = candidates[*candidate].dropped.clone();
        if with.is_some_and(|with| !placed.contains_key(&with)) {
            settlement.wait(&dropped, "another file of the same name and version is before it".to_owned());
            continue;
        }
        let message = message.clone();
        settlement.conflicts.push(Rejection { dropped, reason: Reason::Conflict, message, sha256 });
    }
}

/// What there is to say of the repomd.xml that was found, once another is in its place.
pub(crate) fn noticed(state: &State) -> Option<Noticed> {
    let found = state.noticed?;
    let outcome = match found {
        Found::Foreign if state.earlier.is_none() => Outcome::TakenOver,
        Found::Foreign | Found::Gone | Found::Damaged => Outcome::Restored,
    };
    Some(Noticed { repository: state.repository.as_str().to_owned(), found, outcome, message: None })
}

/// The report of a repository that was only looked at yet.
pub(crate) fn repository_report(state: &State, attempts: u32) -> RepositoryReport {
    RepositoryReport {
        repository: state.repository.as_str().to_owned(),
        revision_before: state.revision(),
        revision_after: state.revision(),
        packages: state.catalog.entries.len() as u64,
        attempts,
        adopted: state.taken_over.is_some(),
        adoption: state.taken_over.as_ref().map(|taken_over| taken_over.told.clone()),
    }
}
