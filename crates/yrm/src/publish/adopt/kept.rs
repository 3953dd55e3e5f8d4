//! Writing down what no sweep may take of a repository that is taken over.

use bytes::Bytes;

use crate::bucket::Bucket;
use crate::bucket::kept::{Kept, read};
use crate::bucket::record::to_json;
use crate::error::Result;
use crate::store::key::{Key, RepositoryDir};
use crate::store::settle;

/// Writes down what must be kept.
pub(crate) async fn note(bucket: &Bucket, repository: &RepositoryDir, kept: &Kept) -> Result<()> {
    let lists =
        [(Key::NotOffered { repository }, &kept.not_offered), (Key::NamedBeside { repository }, &kept.named_beside)];
    for (key, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        // An earlier list stays true: two that take over at once, or twice, keep what either has seen.
        let path = bucket.path(key);
        let mut keys = read(bucket, &path).await?;
        let before = keys.len();
        keys.extend(list.iter().cloned());
        if keys.len() > before {
            let bytes: Bytes = to_json(&keys)?;
            settle::put_always(bucket.store.as_ref(), &path, &bytes, &key.attributes()).await?;
        }
    }
    Ok(())
}
