//! Small documents of a bucket that several may change: JSON, swapped by its ETag. What is not there says nothing.

use serde::de::DeserializeOwned;

use super::Bucket;
use crate::error::{Error, ErrorKind, Result};
use crate::store::Object;
use crate::store::key::Key;

/// A longer document is none of ours.
const MAX_BYTES: u64 = 64 << 20;

/// What a document says, and the object that says so. A damaged one is an error: to go on without it would undo what somebody
/// has asked for.
pub async fn load<T: DeserializeOwned + Default>(bucket: &Bucket, key: Key<'_>) -> Result<(T, Option<Object>)> {
    let path = bucket.path(key);
    let Some(read) = bucket.store.get(&path, Some(0..MAX_BYTES)).await? else { return Ok((T::default(), None)) };
    let said = serde_json::from_slice(&read.bytes).map_err(|source| {
        Error::new(ErrorKind::Corrupt, format!("reading {path}"))
            .because(source)
            .hint("mend the file, or delete it: then what it says is forgotten")
    })?;
    Ok((said, Some(read.object)))
}
