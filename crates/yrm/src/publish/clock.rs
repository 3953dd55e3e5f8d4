//! Asking the store what time it is, by writing something. [`crate::bucket::clock`] knows the answer for a while.

use bytes::Bytes;
use jiff::Timestamp;

use crate::bucket::Bucket;
use crate::error::{Error, ErrorKind, Result};
use crate::store::key::Key;
use crate::store::settle;

/// What time it is in the store, or up to a request's time later.
pub(crate) async fn now(bucket: &Bucket) -> Result<Timestamp> {
    bucket.clock.now(store_clock(bucket)).await
}

/// What time it is in the store: the modification time of something just written.
pub(crate) async fn store_clock(bucket: &Bucket) -> Result<Timestamp> {
    let path = bucket.path(Key::Clock);
    // No two are equal: after a lost answer an earlier one would be taken for ours, and its time for now.
    let bytes = Bytes::from(format!("now {}", bucket.store.jitter()));
    settle::put_always(bucket.store.as_ref(), &path, &bytes, &Key::Clock.attributes()).await?;
    time_of(bucket, &path).await
}

/// When the store got what was just written.
pub(crate) async fn time_of(bucket: &Bucket, path: &str) -> Result<Timestamp> {
    let written = bucket.store.head(path).await?;
    written
        .map(|object| object.modified)
        .ok_or_else(|| Error::new(ErrorKind::Unavailable, format!("reading the store's clock from {path}")))
}
