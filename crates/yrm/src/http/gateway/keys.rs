//! The bucket's public keys. They are answered to everybody, so they come from memory: whoever asks for whatever name has the
//! bucket listed once in [`FRESH`] at most.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::pairs::Part;
use crate::bucket::Bucket;
use crate::bucket::listing::list_all;
use crate::error::Result;
use crate::store::key::public_keys_prefix;

/// What was read is believed for so long.
const FRESH: Duration = Duration::from_secs(10);
/// A key ring is small, and a bucket has few.
const MAX_BYTES: u64 = 1 << 20;
const MAX_FILES: usize = 100;

/// The files with public keys, by their paths below `repo/`.
#[derive(Debug, Default)]
pub(super) struct Keys(Mutex<Option<(BTreeMap<String, Part>, Instant)>>);

impl Keys {
    /// The file at a path, if it is one of them.
    pub(super) async fn at(&self, bucket: &Bucket, path: &str) -> Result<Option<Part>> {
        let mut known = self.0.lock().await;
        if known.as_ref().is_none_or(|(_, at)| at.elapsed() >= FRESH) {
            *known = Some((read(bucket).await?, Instant::now()));
        }
        Ok(known.as_ref().and_then(|(files, _)| files.get(path).cloned()))
    }
}

async fn read(bucket: &Bucket) -> Result<BTreeMap<String, Part>> {
    let (store, repo) = (bucket.store.as_ref(), bucket.policy.folders.repo_prefix());
    let mut files = BTreeMap::new();
    for object in list_all(store, &public_keys_prefix(&bucket.policy.folders)).await? {
        let path = object.key.strip_prefix(&repo).unwrap_or_default();
        if path.contains('/') || object.size_bytes > MAX_BYTES || files.len() >= MAX_FILES {
            continue;
        }
        if let Some(read) = store.get(&object.key, None).await? {
            files.insert(path.to_owned(), Part::of(read));
        }
    }
    Ok(files)
}
