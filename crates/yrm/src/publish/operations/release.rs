//! What an operator does with the files in quarantine: release, delete.
//!
//! A file goes back to the inbox only where nothing is, so that a newer upload stays; what was
//! seen is what is copied and deleted. The next run judges it anew: the answer that it has is taken back first, or it
//! would be what could not be taken out of the inbox. S3 tells times in whole seconds, so the time of the
//! upload does not tell one that was released within its second from the one that was answered.

use crate::bucket::Bucket;
use crate::bucket::quarantine::{Kept, origin_path};
use crate::error::{Error, ErrorKind, Result};
use crate::publish::commit::answer;
use crate::publish::copying::{self, delete_seen};
use crate::store::Copy;
use crate::store::key::Key;
use crate::store::settle::Copied;

/// Puts a file back into the inbox and forgets why it was rejected. Answers where it is now.
pub async fn release(bucket: &Bucket, kept: &Kept) -> Result<String> {
    let path = origin_path(bucket, kept)?;
    let file = kept.file.as_ref().expect("a file that is gone has no way back");
    let key = Key::Inbox { path: &path };
    let target = bucket.path(key);
    let doing = || format!("releasing {}", kept.key);
    if bucket.store.head(&target).await?.is_some() {
        return Err(occupied(doing(), &target));
    }
    answer::withdraw(bucket, &path, &file.etag).await?;
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
        .hint("nothing was changed; `yrm status` shows why it waits; try again when it has left the inbox")
}

/// Throws a file and its record away.
pub async fn forget(bucket: &Bucket, kept: &Kept) -> Result<()> {
    // The record goes last: without it nobody would know what the file was.
    for object in [&kept.file, &kept.record_object].into_iter().flatten() {
        delete_seen(bucket, &object.key, &object.etag).await?;
    }
    Ok(())
}
