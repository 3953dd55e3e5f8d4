//! Copies inside the store, looked after where the store does not keep a copy's conditions.

use super::abilities::abilities;
use crate::bucket::Bucket;
use crate::error::Result;
use crate::store::Copy;
use crate::store::settle::{self, Copied};

/// Copies what was seen to a free target, and looks afterwards where the store does not keep a
/// copy's conditions: the source may have been replaced in between.
pub(crate) async fn copy(bucket: &Bucket, copy: Copy<'_>) -> Result<Copied> {
    let copied = settle::copy_settled(bucket.store.as_ref(), copy).await?;
    if matches!(copied, Copied::Done(_) | Copied::Found(_)) && !abilities(bucket).await?.conditional_copy {
        return Ok(match bucket.store.head(&copy.source.key).await? {
            None => Copied::SourceMissing,
            Some(source) if source.etag != copy.source.etag => Copied::SourceChanged,
            Some(_) => copied,
        });
    }
    Ok(copied)
}
