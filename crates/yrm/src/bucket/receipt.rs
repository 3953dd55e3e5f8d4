//! The answers to uploaders: one JSON object for each inbox object, under the hash of its path
//! and ETag, written before the inbox object goes.

use rpmmd::checksum::Sha256;
use serde::{Deserialize, Serialize};

use super::Bucket;
use super::inbox::Dropped;
use super::record::Attributed;
use super::report::{Published, Rejected};
use crate::error::{Error, ErrorKind, Result};
use crate::store::ETag;
use crate::store::key::Key;

/// What became of one inbox object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Receipt {
    /// Clients can install it.
    Published(Published),
    /// It is in quarantine.
    Rejected(Rejected),
}

/// Under which name the answer to these bytes at this path (below the inbox) is found.
pub fn digest_of(path: &str, etag: &ETag) -> Sha256 {
    Sha256::of(format!("{path}\n{etag}").as_bytes())
}

/// The answer, if there is one yet.
pub async fn read(bucket: &Bucket, path: &str, etag: &ETag) -> Result<Option<Receipt>> {
    let key = bucket.path(Key::Receipt { digest: digest_of(path, etag) });
    let Some(read) = bucket.store.get(&key, None).await? else { return Ok(None) };
    let receipt = serde_json::from_slice::<Attributed<Receipt>>(&read.bytes);
    receipt
        .map(|answer| Some(answer.record))
        .map_err(|source| Error::new(ErrorKind::Corrupt, format!("reading the receipt {key}")).because(source))
}

/// Whether this very upload was answered as published: then it is what could not be taken out of the
/// inbox, and a package that was removed does not come back by it. The same bytes uploaded anew are
/// another upload: in S3 by their time, in a directory by their ETag. What was not uploaded has no answer.
pub(crate) async fn says_published(bucket: &Bucket, dropped: &Dropped) -> Result<bool> {
    if !dropped.is_in_inbox(&bucket.policy.folders) {
        return Ok(false);
    }
    let key = bucket.path(Key::Receipt { digest: digest_of(&dropped.path, dropped.etag()) });
    let Some(read) = bucket.store.get(&key, None).await? else { return Ok(false) };
    let is_it = !bucket.store.uploads_are_atomic() || dropped.modified() <= read.object.modified;
    // An answer that cannot be read is none.
    let answer = serde_json::from_slice::<Attributed<Receipt>>(&read.bytes);
    Ok(is_it && matches!(answer, Ok(Attributed { record: Receipt::Published(_), .. })))
}
