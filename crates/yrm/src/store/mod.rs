//! Where the bucket lives: S3, a directory, or memory, behind one small trait.
//!
//! A store moves bytes and keeps conditions; it knows nothing of RPM. Nothing here retries a
//! conditional call: its answer says what is known, and the caller looks before it acts again.

pub mod body;
pub mod cache;
mod contract;
pub mod counted;
pub mod door;
pub mod fault;
pub mod key;
pub mod limited;
pub mod links;
pub mod local;
pub mod memory;
pub mod pace;
pub mod probe;
pub mod rehearsal;
pub mod rights;
#[cfg(feature = "aws")]
pub mod s3;
pub mod settle;

use std::sync::Arc;

pub use self::contract::{
    Abilities, Assembled, Attributes, Copy, ETag, LEAST_SENT_BYTES, Object, Outcome, PAGE_OBJECTS, Page, ProbeRow,
    PutIf, Read, Reused, Store, Stored, Unreadable,
};
use crate::config::{BucketUrl, Config, S3Config};
use crate::error::Result;

/// The bucket that the configuration names. An S3 bucket is not contacted yet; a directory must
/// exist (`DirectoryStore::create` makes one).
pub async fn open(config: &Config) -> Result<Arc<dyn Store>> {
    open_at(&config.bucket, &config.s3).await
}

/// The same of a bucket that is reached so.
pub async fn open_at(bucket: &BucketUrl, s3: &S3Config) -> Result<Arc<dyn Store>> {
    Ok(match bucket {
        BucketUrl::S3 { name, prefix } => door::s3(name, prefix, s3).await?,
        BucketUrl::Directory(root) => Arc::new(local::DirectoryStore::open(root)?),
    })
}
