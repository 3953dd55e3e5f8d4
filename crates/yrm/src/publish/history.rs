//! The runs that did work, one JSON object each, newest first in a listing.

use futures::{StreamExt as _, TryStreamExt as _};
use ulid::Ulid;

use super::bucket::Bucket;
use super::receipt::to_json;
use super::report::Report;
use crate::error::Result;
use crate::store::key::{HISTORY_PREFIX, Key};
use crate::store::settle;

/// Records kept in the bucket; the sweep removes older ones.
pub const KEPT_RUNS: usize = 500;

/// A longer record is not read: this version writes none, and earlier ones only where very much waited.
const MAX_READ_BYTES: u64 = 8 << 20;
/// Records read at once: each may be long.
const READS_AT_ONCE: usize = 4;

/// Writes the run's record: the first things of each list, and how many there were.
pub async fn write(bucket: &Bucket, report: &Report) -> Result<()> {
    let (key, record) = (key_of(report), to_json(&report.abridged())?);
    settle::put_always(bucket.store.as_ref(), &bucket.path(key), &record, &key.attributes()).await
}

/// The newest runs, at most `limit` (and at most 1,000), newest first. A record that cannot be
/// read is left out with a warning: history is a help, not a truth.
pub async fn load(bucket: &Bucket, limit: usize) -> Result<Vec<Report>> {
    let page = bucket.store.list(HISTORY_PREFIX, None).await?;
    let newest = page.objects.into_iter().take(limit).map(|object| async move {
        if object.size_bytes > MAX_READ_BYTES {
            tracing::warn!(
                key = object.key,
                size_bytes = object.size_bytes,
                "a record of the history is too long to be read"
            );
            return Ok(None);
        }
        let read = bucket.store.get(&object.key, None).await?;
        Ok::<_, crate::error::Error>(read.and_then(|read| match serde_json::from_slice::<Report>(&read.bytes) {
            Ok(report) => Some(report.abridged()),
            Err(error) => {
                tracing::warn!(key = object.key, %error, "a record of the history cannot be read");
                None
            }
        }))
    });
    let runs: Vec<Option<Report>> =
        futures::stream::iter(newest).buffered(bucket.policy.concurrency.min(READS_AT_ONCE)).try_collect().await?;
    Ok(runs.into_iter().flatten().collect())
}

/// Removes all but the newest [`KEPT_RUNS`].
pub async fn trim(bucket: &Bucket) -> Result<u64> {
    let runs = super::inbox::list_all(bucket.store.as_ref(), HISTORY_PREFIX).await?;
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
