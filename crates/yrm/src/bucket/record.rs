//! Records as they lie in the bucket: JSON for people and programs.

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Bucket;
use crate::error::{Error, ErrorKind, Result};
use crate::store::ETag;
use crate::store::key::Key;

/// A record, with who uploaded what it is about, if that is known.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Attributed<T> {
    #[serde(flatten)]
    pub(crate) record: T,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) uploader: Option<String>,
    /// When the upload that it answers came, by the store's clock: answers only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) uploaded: Option<Timestamp>,
}

/// A record about what was uploaded at `path`, as bytes, with its uploader if that is known.
pub fn attributed(bucket: &Bucket, path: &str, etag: &ETag, record: &impl Serialize) -> Result<Bytes> {
    let uploader = bucket.uploaders.of(&bucket.path(Key::Inbox { path }), etag);
    to_json(&Attributed { record, uploader, uploaded: None })
}

/// One of our records as bytes.
pub fn to_json(value: &impl Serialize) -> Result<Bytes> {
    let bytes = serde_json::to_vec_pretty(value);
    bytes.map(Bytes::from).map_err(|source| Error::new(ErrorKind::Internal, "writing a record as JSON").because(source))
}
