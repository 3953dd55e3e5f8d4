//! What an operator does with what was set aside: give back, throw away.
//!
//! A file goes back to the inbox only where nothing is, so that a newer upload stays; what was
//! seen is what is copied and deleted. The next run judges it anew: the answer that it has is taken back first, or it
//! would be what could not be taken out of the inbox. S3 tells times in whole seconds, so the time of the
//! upload does not tell one that was released within its second from the one that was answered.

use crate::bucket::Bucket;
use crate::bucket::quarantine::{Kept, origin_path};
use crate::error::{Error, ErrorKind, Result};
use crate::publish::abilities::abilities;
use crate::publish::commit::answer;
use crate::publish::copying::{self, delete_seen};
use crate::store::Copy;
use crate::store::key::Key;
use crate::store::settle::Copied;

/// Puts a file back into the inbox and forgets why it was set aside. Answers where it is now.
pub async fn release(bucket: &Bucket, kept: &Kept) -> Result<String> {
    let path = origin_path(bucket, kept)?;
    let file = kept.file.as_ref().expect("a file that is gone has no way back");
    let key = Key::Inbox { path: &path };
    let target = bucket.path(key);
    let doing = || format!("releasing {}", kept.key);
    let there = bucket.store.head(&target).await?;
    // A store that would overwrite is asked first.
    if there.is_some() && !abilities(bucket).await?.conditional_copy {
        return Err(newer(doing(), &target));
    }
    // What is there may be the same upload, which could not be taken out.
    for etag in there.iter().map(|there| &there.etag).chain([&file.etag]) {
        answer::withdraw(bucket, &path, etag).await?;
    }
    match copying::copy(bucket, Copy::of(file, &target, &key.attributes())).await? {
        Copied::Done(_) | Copied::Found(_) => {}
        Copied::Occupied(_) => return Err(newer(doing(), &target)),
        Copied::SourceChanged | Copied::SourceMissing => {
            return Err(Error::new(ErrorKind::Conflict, doing())
                .because("somebody else released or dropped it")
                .hint("`yrm quarantine list` shows what is there now"));
        }
    }
    forget(bucket, kept).await?;
    Ok(target)
}

fn newer(doing: String, target: &str) -> Error {
    Error::new(ErrorKind::Conflict, doing)
        .because(format!("{target} holds a newer upload"))
        .hint("nothing was changed; wait until that is published or rejected, and try again")
}

/// Throws a file and its record away.
pub async fn forget(bucket: &Bucket, kept: &Kept) -> Result<()> {
    // The record goes last: without it nobody would know what the file was.
    for object in [&kept.file, &kept.record_object].into_iter().flatten() {
        delete_seen(bucket, &object.key, &object.etag).await?;
    }
    Ok(())
}
