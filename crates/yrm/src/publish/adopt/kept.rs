//! Writing down what no sweep may take of a repository that is taken over.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::bucket::Bucket;
use crate::bucket::kept::{Kept, read};
use crate::bucket::listing::list_all;
use crate::bucket::record::to_json;
use crate::error::{Error, ErrorKind, Result};
use crate::store::PutIf;
use crate::store::key::{KEPT_PREFIX, Key, NOT_OFFERED, RepositoryDir};
use crate::store::settle::{self, Settled};

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

/// Takes a file off every list of what was not offered, so that the clean-up may delete it.
pub(crate) async fn forget(bucket: &Bucket, key: &str) -> Result<()> {
    for list in list_all(bucket.store.as_ref(), KEPT_PREFIX).await? {
        let name = list.key.rsplit('/').next().unwrap_or(&list.key);
        if name == NOT_OFFERED {
            forget_in(bucket, &list.key, key).await?;
        }
    }
    Ok(())
}

async fn forget_in(bucket: &Bucket, list: &str, key: &str) -> Result<()> {
    for attempt in 0..settle::TRIES {
        settle::pause(bucket.store.as_ref(), attempt).await;
        let Some(there) = bucket.store.head(list).await? else { return Ok(()) };
        let mut keys: BTreeSet<String> = read(bucket, list).await?;
        if !keys.remove(key) {
            return Ok(());
        }
        let attributes = Key::NotOffered { repository: &RepositoryDir::new("") }.attributes();
        let bytes: Bytes = to_json(&keys)?;
        let condition = PutIf::Matches(there.etag);
        let put = settle::put_settled(bucket.store.as_ref(), list, &bytes, &attributes, &condition).await?;
        if let Settled::Won(_) = put {
            return Ok(());
        }
    }
    Err(Error::new(ErrorKind::Conflict, format!("changing {list}"))
        .because("other writers keep changing it")
        .hint("nothing was changed; try again"))
}
