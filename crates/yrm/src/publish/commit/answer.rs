//! Answering uploaders, and taking an answer back.

use crate::bucket::Bucket;
use crate::bucket::inbox::Dropped;
use crate::bucket::receipt::{self, Receipt, digest_of};
use crate::bucket::record::{Attributed, to_json};
use crate::error::Result;
use crate::publish::copying::delete_seen;
use crate::store::ETag;
use crate::store::key::Key;
use crate::store::settle;

/// Writes the answer, which says which upload it is about: the same bytes uploaded again at the same path get the
/// newest one, under the same name.
pub(crate) async fn write(bucket: &Bucket, dropped: &Dropped, receipt: &Receipt) -> Result<()> {
    let key = Key::Receipt { digest: digest_of(&dropped.path, dropped.etag()) };
    let uploader = bucket.uploaders.of(dropped.key(), dropped.etag());
    let bytes = to_json(&Attributed { record: receipt, uploader, uploaded: Some(dropped.modified()) })?;
    settle::put_always(bucket.store.as_ref(), &bucket.path(key), &bytes, &key.attributes()).await
}

/// Takes back that these bytes at this path were turned down: they are to be judged anew.
pub(crate) async fn withdraw(bucket: &Bucket, path: &str, etag: &ETag) -> Result<()> {
    let key = bucket.path(Key::Receipt { digest: digest_of(path, etag) });
    let Some(read) = bucket.store.get(&key, None).await? else { return Ok(()) };
    match receipt::parse(&key, &read.bytes) {
        Ok(Receipt::Published(_)) => Ok(()),
        // One that cannot be read is none.
        Ok(Receipt::Rejected(_)) | Err(_) => delete_seen(bucket, &key, &read.object.etag).await,
    }
}
