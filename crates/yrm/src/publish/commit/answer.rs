//! Answering uploaders.

use crate::bucket::Bucket;
use crate::bucket::inbox::Dropped;
use crate::bucket::receipt::{Receipt, digest_of};
use crate::bucket::record::{Attributed, to_json};
use crate::error::Result;
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
