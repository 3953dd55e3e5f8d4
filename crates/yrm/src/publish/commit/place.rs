//! Putting in place what a plan admits: at its path, or where that is taken under one that its bytes alone can have.

use std::collections::BTreeMap;

use futures::StreamExt as _;

use super::admit::{Admission, Placed, admit, put_back};
use crate::bucket::Bucket;
use crate::bucket::catalog::{Catalog, Entry};
use crate::bucket::receipt;
use crate::bucket::state::State;
use crate::bucket::verdict::{Candidate, Verdict};
use crate::error::Result;
use crate::publish::inspect::again::OwnPaths;
use crate::publish::inspect::read::Inspector;
use crate::publish::pass::{Pass, RunId, Step, Work};
use crate::publish::plan::{Plan, published_as};
use crate::publish::settlement::Settlement;

/// What became of putting a candidate in place, and the candidate as it is called there if that is
/// not the path it came with.
type Placement = (Admission, Option<Candidate>);

/// Puts in place what the plan admits; which candidates are, by number. `in_place` is where an earlier try put some.
pub(crate) async fn admit_all(
    work: Work<'_>,
    plan: &Plan,
    candidates: &mut [Candidate],
    in_place: &BTreeMap<String, Placed>,
    settlement: &mut Settlement,
) -> BTreeMap<usize, Placed> {
    let Work { bucket, pass: Pass { run, progress, .. }, .. } = work;
    let mut placed = BTreeMap::new();
    let admissions: Vec<_> = plan
        .admit
        .iter()
        .map(|&at| {
            let (candidate, known) = (&candidates[at], in_place.get(&candidates[at].href));
            let apart = plan.goes_apart(at);
            async move {
                let outcome = match known {
                    Some(placed) => still_in_place(bucket, candidate, placed).await,
                    None if apart => put_apart(bucket, candidate, run).await,
                    None => put_in_place(bucket, candidate, run).await,
                };
                (at, outcome)
            }
        })
        .collect();
    let mut admissions = futures::stream::iter(admissions).buffered(bucket.policy.concurrency);
    let (mut done, mut renamed) = (0, Vec::new());
    while let Some((at, outcome)) = admissions.next().await {
        done += 1;
        progress.step(Step::Admit, done, plan.admit.len());
        match outcome {
            Ok((Admission::Placed(there), own)) => {
                placed.insert(at, there);
                renamed.extend(own.map(|own| (at, own)));
            }
            other => settlement.held_up(&candidates[at], other.map(|(admission, _)| admission)),
        }
    }
    drop(admissions);
    for (at, own) in renamed {
        candidates[at] = own;
    }
    // Here, where nobody shares the XML yet: it need not be copied.
    for (&at, there) in &placed {
        candidates[at].fragments.set_pkgid(there.pkgid);
    }
    placed
}

/// What an earlier try put in place. Since then another writer may have published it and an
/// operator have removed it: it goes on only while its upload is there.
async fn still_in_place(bucket: &Bucket, candidate: &Candidate, placed: &Placed) -> Result<Placement> {
    let there = bucket.store.head(candidate.dropped.key()).await?;
    let is_it = there.is_some_and(|object| object.etag == *candidate.dropped.etag());
    if is_it && receipt::says_published(bucket, &candidate.dropped).await? {
        return Ok((Admission::Answered, None));
    }
    Ok((if is_it { Admission::Placed(placed.clone()) } else { Admission::Gone }, None))
}

/// Puts one candidate in place, apart if its path holds what nobody published.
async fn put_in_place(bucket: &Bucket, candidate: &Candidate, run: RunId) -> Result<Placement> {
    match admit(bucket, candidate).await? {
        Admission::Taken { reason, overdue } => match put_apart(bucket, candidate, run).await? {
            (Admission::Taken { .. }, _) => Ok((Admission::Taken { reason, overdue }, None)),
            placement => Ok(placement),
        },
        admission => Ok((admission, None)),
    }
}

/// Puts one candidate in place under the path that its bytes alone can have.
async fn put_apart(bucket: &Bucket, candidate: &Candidate, run: RunId) -> Result<Placement> {
    let inspector = Inspector::new(bucket.clone(), run.started);
    let own_paths = match OwnPaths::of(&inspector, candidate).await? {
        Ok(own_paths) => own_paths,
        Err(Verdict::Wait { why, .. } | Verdict::Held { why, .. }) => return Ok((Admission::Wait(why), None)),
        // The next run says what is wrong with it.
        Err(Verdict::Gone | Verdict::Long(_) | Verdict::Reject(_) | Verdict::Accept(_)) => {
            return Ok((Admission::Gone, None));
        }
    };
    for own in own_paths {
        let Ok(own) = own? else { return Ok((Admission::Gone, None)) };
        let admission = admit(bucket, &own).await?;
        if !matches!(admission, Admission::Taken { .. }) {
            return Ok((admission, Some(own)));
        }
    }
    let reason = "its path is taken, and there is none of its own that is short enough and free".to_owned();
    Ok((Admission::Taken { reason, overdue: false }, None))
}

/// The catalog's entry of a candidate that is published already.
pub(crate) fn entry_of<'c>(catalog: &'c Catalog, candidate: &Candidate) -> Option<Entry<'c>> {
    published_as(catalog, candidate).map(|at| catalog.entries.get(at))
}

/// Which of the plan's `already` can be fetched, after what had vanished was put back.
pub(crate) async fn confirm(
    bucket: &Bucket,
    state: &State,
    plan: &Plan,
    candidates: &[Candidate],
    settlement: &mut Settlement,
) -> Vec<usize> {
    let looks = plan.already.iter().filter_map(|&at| Some((at, entry_of(&state.catalog, &candidates[at])?)));
    let looks: Vec<_> =
        looks.map(|(at, entry)| async move { (at, put_back(bucket, &candidates[at], &entry).await) }).collect();
    let mut looks = futures::stream::iter(looks).buffered(bucket.policy.concurrency);
    let mut already = Vec::with_capacity(plan.already.len());
    while let Some((at, found)) = looks.next().await {
        match found {
            Ok(Admission::Placed(_)) => already.push(at),
            other => settlement.held_up(&candidates[at], other),
        }
    }
    already
}
