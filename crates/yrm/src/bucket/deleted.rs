//! Repositories that were deleted: their last generation holds nothing, and clients find no repomd.xml. Nothing else says
//! so: a package that arrives makes one anew, as it would a new one.

use super::Bucket;
use super::generations::generations;
use super::observe::load_catalog;
use crate::error::Result;
use crate::store::Read;
use crate::store::key::{Key, RepositoryDir};

/// The copy of the last generation of a repository that has no repomd.xml, if that held nothing.
pub async fn last_of(bucket: &Bucket, repository: &RepositoryDir) -> Result<Option<(u64, Read)>> {
    let copies = generations(bucket, repository).await?.copies;
    let Some((revision, _)) = copies.into_iter().max_by_key(|(revision, _)| *revision) else { return Ok(None) };
    let Some(copy) = bucket.store.get(&bucket.path(Key::Generation { repository, revision }), None).await? else {
        return Ok(None);
    };
    let catalog = load_catalog(bucket, repository, &copy.bytes).await?;
    Ok(catalog.is_some_and(|catalog| catalog.entries.is_empty()).then_some((revision, copy)))
}
