//! The runs that did work, one JSON object each, newest first in a listing.

use futures::{StreamExt as _, TryStreamExt as _};

use super::Bucket;
use super::report::Report;
use crate::error::Result;
use crate::store::key::HISTORY_PREFIX;

/// A longer record is not read: this version writes none, and earlier ones only where very much waited.
const MAX_READ_BYTES: u64 = 8 << 20;
/// Records read at once: each may be long.
const READS_AT_ONCE: usize = 4;

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
