//! What an operator does with what was set aside: give back, throw away.
//!
//! A file goes back to the inbox only where nothing is, so that a newer upload stays; what was
//! seen is what is copied and deleted. The next run judges it anew.

use crate::bucket::Bucket;
use crate::bucket::quarantine::{Kept, origin_path};
use crate::error::{Error, ErrorKind, Result};
use crate::publish::abilities::abilities;
use crate::publish::commit::tidy::delete_seen;
use crate::publish::copying;
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
    // A store that would overwrite is asked first.
    if !abilities(bucket).await?.conditional_copy && bucket.store.head(&target).await?.is_some() {
        return Err(newer(doing(), &target));
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
