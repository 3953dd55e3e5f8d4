//! The revisions that a repository can show, for people.

use jiff::Timestamp;
use serde::Serialize;

use super::observe::load_catalog;
use super::tags::Tags;
use super::{Bucket, generations as copies};
use crate::error::Result;
use crate::store::key::RepositoryDir;

/// A revision that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Generation {
    /// Its number.
    pub revision: u64,
    /// When it was published.
    pub since: Timestamp,
    /// How many packages it holds; `null` when its catalog is gone.
    pub packages: Option<usize>,
    /// Its tags.
    pub tags: Vec<String>,
}

/// The generations of a repository whose copies are kept, newest first.
pub async fn generations(bucket: &Bucket, repository: &RepositoryDir) -> Result<Vec<Generation>> {
    let mut log = Vec::new();
    let tags = Tags::of(bucket, repository).await?;
    for (revision, object) in copies::generations(bucket, repository).await?.copies {
        let Some(copy) = bucket.store.get(&object.key, None).await? else { continue };
        let catalog = load_catalog(bucket, repository, &copy.bytes).await?;
        let packages = catalog.map(|catalog| catalog.entries.len());
        let tags = tags.live().filter(|tag| tag.revision == revision).map(|tag| tag.name.clone()).collect();
        log.push(Generation { revision, since: object.modified, packages, tags });
    }
    log.sort_by_key(|generation| std::cmp::Reverse(generation.revision));
    Ok(log)
}
