//! Observing the inbox: what is work by the store's clock.

use jiff::Timestamp;

use super::clock;
use crate::bucket::Bucket;
use crate::bucket::inbox::{Dropped, Listed, is_over, list};
use crate::error::Result;

/// What is work by the store's clock, which is asked only where the local one says that empty files
/// are old: it may be ahead, and an upload may be about to begin.
pub(super) async fn list_by_store_clock(bucket: &Bucket, now: Timestamp) -> Result<Listed> {
    let store = bucket.store.as_ref();
    let mut listed = list(store, &bucket.policy.folders, now).await?;
    let is_empty = |dropped: &Dropped| dropped.object.size_bytes == 0;
    if listed.dropped.last().is_some_and(is_empty) {
        let now = clock::now(bucket).await?;
        listed.dropped.retain(|dropped| !is_empty(dropped) || is_over(dropped, store.uploads_are_atomic(), now));
    }
    Ok(listed)
}
