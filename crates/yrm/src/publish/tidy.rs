//! After the switch: answers, quarantine, and the inbox. Nothing here is needed for a reader to
//! be right, and the next run finishes what a crash leaves undone.
//!
//! An inbox object goes only while it has the ETag that was published or set aside; a file that
//! replaced it meanwhile stays for the next run.

use ulid::Ulid;

use super::bucket::Bucket;
use super::inbox::Dropped;
use super::receipt::{self, Receipt};
use super::report::{Published, Rejected};
use super::verdict::Rejection;
use crate::error::{Error, ErrorKind, Result};
use crate::store::key::Key;
use crate::store::{Copy, Outcome, settle};

/// Times a quarantine copy is tried before the file is left for the next run.
const MAX_TRIES: u32 = 4;

/// Answers the uploader and takes the published object out of the inbox.
pub async fn published(bucket: &Bucket, dropped: &Dropped, published: &Published) -> Result<()> {
    receipt::write(bucket, &dropped.path, dropped.etag(), &Receipt::Published(published.clone())).await?;
    settle::delete_settled(bucket.store.as_ref(), dropped.key(), dropped.etag()).await
}

/// Moves a rejected file to quarantine, with its record. `None` when it had left the inbox or
/// changed: then it is not what was judged.
pub async fn quarantine(bucket: &Bucket, rejection: &Rejection, run: Ulid) -> Result<Option<Rejected>> {
    let dropped = &rejection.dropped;
    let target = Key::Quarantined { path: &dropped.path, id: run };
    let quarantine_key = bucket.path(target);
    if !set_aside(bucket, dropped, &quarantine_key, target).await? {
        return Ok(None);
    }
    let rejected = Rejected {
        inbox_key: dropped.key().to_owned(),
        etag: dropped.etag().to_string(),
        code: rejection.reason.code().to_owned(),
        message: rejection.message.clone(),
        hint: rejection.reason.hint().to_owned(),
        size_bytes: dropped.object.size_bytes,
        sha256: rejection.sha256.map(|digest| digest.to_string()),
        quarantine_key,
        first_seen: dropped.modified(),
    };
    let record = Key::QuarantineRecord { path: &dropped.path, id: run };
    let bytes = receipt::to_json(&rejected)?;
    settle::put_fixed(bucket.store.as_ref(), &bucket.path(record), bytes, &record.attributes()).await?;
    receipt::write(bucket, &dropped.path, dropped.etag(), &Receipt::Rejected(rejected.clone())).await?;
    settle::delete_settled(bucket.store.as_ref(), dropped.key(), dropped.etag()).await?;
    Ok(Some(rejected))
}

/// Copies the file to quarantine; whether the copy is there now.
async fn set_aside(bucket: &Bucket, dropped: &Dropped, target: &str, key: Key<'_>) -> Result<bool> {
    let attributes = key.attributes();
    let mut last = None;
    for attempt in 0..MAX_TRIES {
        match bucket.store.copy(Copy { source: &dropped.object, target, attributes: &attributes }).await? {
            Outcome::Done(_) => return Ok(true),
            Outcome::Missing => return Ok(false),
            // The name holds this run's id: if it is taken, an earlier try of ours took it.
            Outcome::Lost => return Ok(bucket.store.head(target).await?.is_some()),
            Outcome::Conflict => {}
            Outcome::Ambiguous(error) => last = Some(error),
        }
        settle::pause(attempt).await;
    }
    let error = Error::new(ErrorKind::Unavailable, format!("copying {} to quarantine", dropped.key()));
    Err(match last {
        Some(source) => error.because(source),
        None => error,
    })
}
