//! Writing down what no sweep may take of a repository that is taken over.

use std::collections::BTreeSet;

use crate::bucket::Bucket;
use crate::bucket::kept::Kept;
use crate::bucket::listing::list_all;
use crate::error::Result;
use crate::publish::operations::document::change;
use crate::store::key::{KEPT_PREFIX, Key, NOT_OFFERED, RepositoryDir};

/// Writes down what must be kept.
pub(crate) async fn note(bucket: &Bucket, repository: &RepositoryDir, kept: &Kept) -> Result<()> {
    let lists =
        [(Key::NotOffered { repository }, &kept.not_offered), (Key::NamedBeside { repository }, &kept.named_beside)];
    for (key, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        // An earlier list stays true: two that take over at once, or twice, keep what either has seen.
        change(bucket, key, |keys: &mut BTreeSet<String>| keys.extend(list.iter().cloned())).await?;
    }
    Ok(())
}

/// Takes files off every list of what was not offered, so that the clean-up may delete them.
pub(crate) async fn forget(bucket: &Bucket, forgotten: &BTreeSet<String>) -> Result<()> {
    for list in list_all(bucket.store.as_ref(), KEPT_PREFIX).await? {
        let Some(folder) = list.key[KEPT_PREFIX.len()..].strip_suffix(NOT_OFFERED) else { continue };
        let repository = &RepositoryDir::new(folder);
        let off = |keys: &mut BTreeSet<String>| keys.retain(|key| !forgotten.contains(key));
        change(bucket, Key::NotOffered { repository }, off).await?;
    }
    Ok(())
}
