//! Copies and deletes in the store of what was seen, also where the store does not keep their conditions.

use super::abilities::abilities;
use crate::bucket::Bucket;
use crate::error::Result;
use crate::store::settle::{self, Copied};
use crate::store::{Copy, ETag};

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

/// Deletes an object if it is still the one that was seen.
pub(crate) async fn delete_seen(bucket: &Bucket, key: &str, etag: &ETag) -> Result<()> {
    let store = bucket.store.as_ref();
    // A store that would delete whatever is there is asked first.
    if !abilities(bucket).await?.conditional_delete && store.head(key).await?.is_none_or(|object| object.etag != *etag)
    {
        return Ok(());
    }
    settle::delete_settled(store, key, etag).await.map(drop)
}
