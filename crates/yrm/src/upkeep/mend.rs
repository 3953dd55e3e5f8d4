//! Looking after pairs and mirrors where nothing arrives: a process may have died between two puts.

use futures::StreamExt as _;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::bucket::report::Report;
use crate::bucket::{Bucket, generations};
use crate::error::Result;
use crate::publish::client_file;
use crate::publish::commit::pair::{mend, publish_keys};
use crate::publish::memory::{Memory, interval_is_over, lock};
use crate::publish::mirror::look_at_mirror;
use crate::publish::pass::RunId;

/// In signed mode and in mirrorlist mode, at the start and from then on once an interval: looks at
/// every repository's pair and mirror, for a process that died between two puts may have had nothing
/// else to do. An idle run in between asks for nothing but the inbox.
pub(crate) async fn mend_where_due(
    bucket: &Bucket,
    memory: &Memory,
    (run, until): (RunId, Instant),
    report: &mut Report,
) {
    if !is_due(bucket, memory, run.started) {
        return;
    }
    match mend_all(bucket, memory, run, until).await {
        Ok(()) => lock(&memory.looked_round).mend = Some(run.started),
        Err(error) => drop(report.fault("looking at the signatures and mirrors", &error)),
    }
}

/// Whether it is time for that.
pub(crate) fn is_due(bucket: &Bucket, memory: &Memory, now: Timestamp) -> bool {
    let is_of_use = bucket.signer.is_some() || bucket.mirror_rules.is_on_anywhere() || client_file::is_on(bucket);
    is_of_use && lock(&memory.looked_round).mend.is_none_or(|last| interval_is_over(bucket, last, now))
}

async fn mend_all(bucket: &Bucket, memory: &Memory, run: RunId, until: Instant) -> Result<()> {
    // Those of an earlier layout, too: as long as they are readable, clients come.
    let repositories = generations::all(bucket).await?;
    if repositories.is_empty() {
        return Ok(());
    }
    publish_keys(bucket).await?;
    let mut looks = futures::stream::iter(repositories)
        .map(|repository| async move {
            mend(bucket, &repository, run.started).await?;
            client_file::follow(bucket, memory, &repository).await?;
            look_at_mirror(bucket, memory, &repository, run, until).await
        })
        .buffer_unordered(bucket.policy.concurrency);
    let mut outcome = Ok(());
    while let Some(look) = looks.next().await {
        outcome = outcome.and(look);
    }
    outcome
}
