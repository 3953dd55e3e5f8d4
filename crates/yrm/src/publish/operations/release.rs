//! What an operator does with the files in quarantine: release, delete.
//!
//! A file goes back to the inbox only where nothing is, so that a newer upload stays; what was
//! seen is what is copied and deleted. The next run judges it anew.
//!
//! In S3 only its time tells a released file from the upload that was rejected: one that is not newer than the answer
//! is that upload, which could not be taken out of the inbox. S3 tells times in whole seconds, so a release waits
//! until the second of the upload is over.

use std::time::Duration;

use ulid::Ulid;

use crate::bucket::Bucket;
use crate::bucket::quarantine::{Kept, origin_path};
use crate::error::{Error, ErrorKind, Result};
use crate::publish::abilities::abilities;
use crate::publish::copying::{self, delete_seen};
use crate::store::Copy;
use crate::store::key::Key;
use crate::store::settle::Copied;

/// How long S3 may tell the same time, and a little more.
const A_SECOND: Duration = Duration::from_millis(1_100);
/// Clocks are not further apart: S3 takes no request that was signed so long ago, or so far ahead.
const APART: jiff::SignedDuration = jiff::SignedDuration::from_mins(15);

/// Puts files back into the inbox, one after the other until one cannot be, and forgets why they were rejected.
/// Answers where they are now. `now` is the time by the local clock.
pub async fn release(bucket: &Bucket, files: &[Kept], now: jiff::Timestamp) -> (Vec<String>, Result<()>) {
    if bucket.store.uploads_are_atomic() && files.iter().any(|kept| is_recent(kept, now)) {
        tokio::time::sleep(A_SECOND).await;
    }
    let mut released = Vec::new();
    for kept in files {
        match release_one(bucket, kept).await {
            Ok(target) => released.push(target),
            Err(error) => return (released, Err(error)),
        }
    }
    (released, Ok(()))
}

/// Whether the upload may have come a moment ago: its id begins with the time of that.
fn is_recent(kept: &Kept, now: jiff::Timestamp) -> bool {
    let came = kept.id().parse::<Ulid>().ok().and_then(|id| {
        let ms = i64::try_from(id.timestamp_ms()).ok()?;
        jiff::Timestamp::from_millisecond(ms).ok()
    });
    came.is_none_or(|came| now.duration_since(came) < APART)
}

async fn release_one(bucket: &Bucket, kept: &Kept) -> Result<String> {
    let path = origin_path(bucket, kept)?;
    let file = kept.file.as_ref().expect("a file that is gone has no way back");
    let key = Key::Inbox { path: &path };
    let target = bucket.path(key);
    let doing = || format!("releasing {}", kept.key);
    // A store that would overwrite is asked first.
    if !abilities(bucket).await?.conditional_copy && bucket.store.head(&target).await?.is_some() {
        return Err(occupied(doing(), &target));
    }
    match copying::copy(bucket, Copy::of(file, &target, &key.attributes())).await? {
        Copied::Done(_) | Copied::Found(_) => {}
        Copied::Occupied(_) => return Err(occupied(doing(), &target)),
        Copied::SourceChanged | Copied::SourceMissing => {
            return Err(Error::new(ErrorKind::Conflict, doing())
                .because("somebody else released or deleted it")
                .hint("`yrm quarantine list` shows what is there now"));
        }
    }
    forget(bucket, kept).await?;
    Ok(target)
}

fn occupied(doing: String, target: &str) -> Error {
    Error::new(ErrorKind::Conflict, doing)
        .because(format!(
            "{target} holds an upload: a newer one, or this one, if it could not be taken out of the inbox"
        ))
        .hint("nothing was changed; `yrm status` shows what waits, and why; try again when it has left the inbox")
}

/// Throws a file and its record away.
pub async fn forget(bucket: &Bucket, kept: &Kept) -> Result<()> {
    // The record goes last: without it nobody would know what the file was.
    for object in [&kept.file, &kept.record_object].into_iter().flatten() {
        delete_seen(bucket, &object.key, &object.etag).await?;
    }
    Ok(())
}
