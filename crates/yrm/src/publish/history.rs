//! Writing the history: one record for each run that did work.

use futures::StreamExt as _;
use ulid::Ulid;

use crate::bucket::Bucket;
use crate::bucket::listing::list_all;
use crate::bucket::record::to_json;
use crate::bucket::report::Report;
use crate::error::Result;
use crate::store::key::{HISTORY_PREFIX, Key};
use crate::store::settle;

/// Records kept in the bucket; the sweep removes older ones.
pub const KEPT_RUNS: usize = 500;

/// Writes the run's record: the first things of each list, and how many there were.
pub async fn write(bucket: &Bucket, report: &Report) -> Result<()> {
    let (key, record) = (key_of(report), to_json(&report.abridged())?);
    settle::put_always(bucket.store.as_ref(), &bucket.path(key), &record, &key.attributes()).await
}

/// Removes all but the newest [`KEPT_RUNS`].
pub async fn trim(bucket: &Bucket) -> Result<u64> {
    let runs = list_all(bucket.store.as_ref(), HISTORY_PREFIX).await?;
    let deletes: Vec<_> =
        runs.iter().skip(KEPT_RUNS).map(|object| bucket.store.delete(&object.key, &object.etag)).collect();
    let mut deletes = futures::stream::iter(deletes).buffer_unordered(bucket.policy.concurrency);
    let mut removed = 0;
    while let Some(outcome) = deletes.next().await {
        outcome?;
        removed += 1;
    }
    Ok(removed)
}

fn key_of(report: &Report) -> Key<'static> {
    let started_ms = u64::try_from(report.started.as_millisecond()).unwrap_or(0);
    let id: Ulid = report.run;
    Key::Run { started_ms, id }
}
