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

/// Writes the run's record.
pub async fn write(bucket: &Bucket, report: &Report) -> Result<()> {
    let key = key_of(report);
    settle::put_always(bucket.store.as_ref(), &bucket.path(key), &to_json(report)?, &key.attributes()).await
}

/// The newest runs, at most `limit` (and at most 1,000), newest first. A record that cannot be
/// read is left out with a warning: history is a help, not a truth.
pub async fn load(bucket: &Bucket, limit: usize) -> Result<Vec<Report>> {
    let page = bucket.store.list(HISTORY_PREFIX, None).await?;
    let newest = page.objects.into_iter().take(limit).map(|object| async move {
        let read = bucket.store.get(&object.key, None).await?;
        Ok::<_, crate::error::Error>(read.and_then(|read| match serde_json::from_slice::<Report>(&read.bytes) {
            Ok(report) => Some(report),
            Err(error) => {
                tracing::warn!(key = object.key, %error, "a record of the history cannot be read");
                None
            }
        }))
    });
    let runs: Vec<Option<Report>> =
        futures::stream::iter(newest).buffered(bucket.policy.concurrency).try_collect().await?;
    Ok(runs.into_iter().flatten().collect())
}

/// Removes all but the newest [`KEPT_RUNS`].
pub async fn trim(bucket: &Bucket) -> Result<u64> {
    let runs = super::inbox::list_all(bucket.store.as_ref(), HISTORY_PREFIX).await?;
    let mut removed = 0;
    for object in runs.iter().skip(KEPT_RUNS) {
        bucket.store.delete(&object.key, &object.etag).await?;
        removed += 1;
    }
    Ok(removed)
}

fn key_of(report: &Report) -> Key<'static> {
    let started_ms = u64::try_from(report.started.as_millisecond()).unwrap_or(0);
    let id: Ulid = report.run;
    Key::Run { started_ms, id }
}
