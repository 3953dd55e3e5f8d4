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

/// What an upload was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answered {
    /// It was published.
    Published,
    /// It was rejected.
    Rejected,
}

/// What this very upload was answered, if it was: then it is what could not be taken out of the
/// inbox, and nothing comes, or comes back, by it. The same bytes uploaded anew are
/// another upload: in S3 by their time, in a directory by their ETag. What was not uploaded has no answer.
pub(crate) async fn answer_to(bucket: &Bucket, dropped: &Dropped) -> Result<Option<Answered>> {
    if !dropped.is_in_inbox(&bucket.policy.folders) {
        return Ok(None);
    }
    let key = bucket.path(Key::Receipt { digest: digest_of(&dropped.path, dropped.etag()) });
    let Some(read) = bucket.store.get(&key, None).await? else { return Ok(None) };
    // An answer that cannot be read is none.
    let answer = serde_json::from_slice::<Attributed<Receipt>>(&read.bytes).ok();
    // It may have been written late: when it was written says nothing where it says what it is about. What came
    // before that is not in the inbox any more, and only a listing of long ago still has it.
    let is_about_it = |answer: &Attributed<Receipt>| {
        dropped.modified() <= answer.uploaded.unwrap_or(read.object.modified) || !bucket.store.uploads_are_atomic()
    };
    let answer = answer.filter(is_about_it);
    Ok(answer.map(|answer| match answer.record {
        Receipt::Published(_) => Answered::Published,
        Receipt::Rejected(_) => Answered::Rejected,
    }))
}

/// Whether this very upload was answered as published.
pub(crate) async fn says_published(bucket: &Bucket, dropped: &Dropped) -> Result<bool> {
    Ok(answer_to(bucket, dropped).await? == Some(Answered::Published))
}
