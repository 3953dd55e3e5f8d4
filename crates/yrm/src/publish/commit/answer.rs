//! Answering uploaders.

use crate::bucket::Bucket;
use crate::bucket::receipt::{Receipt, digest_of};
use crate::bucket::record::attributed;
use crate::error::Result;
use crate::store::key::Key;
use crate::store::{ETag, settle};

/// Writes the answer. The same bytes dropped again at the same path get the newest one.
pub(crate) async fn write(bucket: &Bucket, path: &str, etag: &ETag, receipt: &Receipt) -> Result<()> {
    let key = Key::Receipt { digest: digest_of(path, etag) };
    let bytes = attributed(bucket, path, etag, receipt)?;
    settle::put_always(bucket.store.as_ref(), &bucket.path(key), &bytes, &key.attributes()).await
}
