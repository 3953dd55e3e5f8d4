//! When to look round: which repositories are swept after a run, and which are due for retention although nothing
//! arrives.

use futures::StreamExt as _;
use jiff::Timestamp;

use super::sweep::{self, Due};
use super::{mend, watch};
use crate::bucket::report::Report;
use crate::bucket::{Bucket, generations};
use crate::error::Result;
use crate::publish::memory::{Memory, interval_is_over, lock};
use crate::publish::pass::RunId;
use crate::publish::settings;
use crate::store::key::RepositoryDir;

/// Whether a run with an empty inbox may have something to write: a look round is due, or something is owed.
pub(crate) fn is_something_due(bucket: &Bucket, memory: &Memory, now: Timestamp) -> bool {
    let looks = |last: Option<Timestamp>| last.is_none_or(|last| interval_is_over(bucket, last, now));
    let (retires, sweeps) = {
        let looked = lock(&memory.looked_round);
        (looks(looked.retire), looked.sweep.is_some() && looks(looked.sweep))
    };
    let retention = bucket.pruned.is_on();
    let is_old = || lock(&memory.retention_due).values().any(|at| at.is_some_and(|at| at <= now));
    mend::is_due(bucket, memory, now)
        || watch::is_due(bucket, memory, now)
        || sweeps
        || retention && (retires || is_old())
        || !lock(&memory.mirrors_owed).is_empty()
        || !lock(&memory.sweep_wanted).is_empty()
}

/// The repositories where, by what the last look said, retention has something to do: all of them the first time, and
/// from time to time those that other instances have made.
pub(crate) async fn retention_due_at(bucket: &Bucket, memory: &Memory, now: Timestamp) -> Result<Vec<RepositoryDir>> {
    if !bucket.pruned.is_on() {
        return Ok(Vec::new());
    }
    let last = lock(&memory.looked_round).retire;
    if last.is_none_or(|last| interval_is_over(bucket, last, now)) {
        for repository in generations::repositories(bucket).await? {
            lock(&memory.retention_due).entry(repository).or_insert(Some(Timestamp::MIN));
        }
        lock(&memory.looked_round).retire = Some(now);
    }
    let due = lock(&memory.retention_due);
    Ok(due.iter().filter(|(_, at)| at.is_some_and(|at| at <= now)).map(|(repository, _)| repository.clone()).collect())
}

/// The repositories where something waits to be swept although nothing arrives any more.
/// Looked up once an interval, the first time an interval after the start, so that an idle
/// run asks for nothing but the inbox.
async fn sweep_owed(bucket: &Bucket, memory: &Memory, now: Timestamp) -> Result<Vec<RepositoryDir>> {
    let last = *lock(&memory.looked_round).sweep.get_or_insert(now);
    if !interval_is_over(bucket, last, now) {
        return Ok(Vec::new());
    }
    let owed = sweep::owed(bucket, now).await?;
    lock(&memory.looked_round).sweep = Some(now);
    Ok(owed)
}

/// Sweeps the repositories that this run changed and those that are owed a sweep, each at
/// most once an interval.
pub(crate) async fn sweep_where_due(bucket: &Bucket, memory: &Memory, run: RunId, report: &mut Report) {
    let mut due: Vec<RepositoryDir> = report
        .repositories
        .iter()
        .filter(|repository| repository.revision_before != repository.revision_after)
        .map(|repository| RepositoryDir::new(&repository.repository))
        .collect();
    due.extend(std::mem::take(&mut *lock(&memory.sweep_wanted)));
    match sweep_owed(bucket, memory, run.started).await {
        Ok(owed) => due.extend(owed),
        Err(error) => drop(report.fault("looking for repositories to clean up", &error)),
    }
    due.sort_unstable();
    due.dedup();
    if !due.is_empty()
        && let Err(error) = settings::agree(bucket, run).await
    {
        report.fault("cleaning up", &error);
        return;
    }
    let sweeps: Vec<_> = due
        .into_iter()
        .map(|repository| async move {
            let last = lock(&memory.swept).get(&repository).copied();
            let due = sweep::sweep_if_due(bucket, &repository, last, run.started).await;
            (repository, due)
        })
        .collect();
    let mut sweeps = futures::stream::iter(sweeps).buffered(bucket.policy.concurrency);
    let mut newest = None;
    while let Some((repository, due)) = sweeps.next().await {
        match due {
            Ok(Due::Theirs) => {}
            Ok(Due::NotYet(last)) => drop(lock(&memory.swept).insert(repository, last)),
            Ok(Due::Swept(swept)) => {
                report.cleaned_up += swept.deleted;
                newest = newest.max(Some(swept.at));
                lock(&memory.swept).insert(repository, swept.at);
            }
            Err(error) => drop(report.fault(&format!("cleaning up {repository}"), &error)),
        }
    }
    if let Some(now) = newest
        && let Err(error) = sweep_shared(bucket, memory, now).await
    {
        report.fault("cleaning up what belongs to no repository", &error);
    }
}

/// Where repositories were swept: what they share too, once an interval.
async fn sweep_shared(bucket: &Bucket, memory: &Memory, now: Timestamp) -> Result<()> {
    let last = lock(&memory.looked_round).sweep_shared;
    if last.is_none_or(|last| interval_is_over(bucket, last, now)) {
        sweep::sweep_shared(bucket, now).await?;
        lock(&memory.looked_round).sweep_shared = Some(now);
    }
    Ok(())
}
