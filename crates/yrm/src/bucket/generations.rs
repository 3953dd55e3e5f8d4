//! The copies of a repository's generations, as they are listed, and what they say of which repositories there are.

use std::collections::HashSet;

use super::Bucket;
use super::listing::list_all;
use crate::error::Result;
use crate::store::Object;
use crate::store::key::{self, RepositoryDir};

/// Every repository that has ever committed a generation.
pub async fn repositories(bucket: &Bucket) -> Result<Vec<RepositoryDir>> {
    let prefix = key::generations_prefix(&RepositoryDir::new(""));
    let mut found: Vec<RepositoryDir> = list_all(bucket.store.as_ref(), &prefix)
        .await?
        .iter()
        .filter_map(|object| object.key.strip_prefix(&prefix))
        .map(|path| RepositoryDir::new(path.rsplit_once('/').map_or("", |(dir, _)| dir)))
        .collect();
    found.sort();
    found.dedup();
    Ok(found)
}

/// What is kept of a repository's generations.
pub(crate) struct Generations {
    /// Their copies, by revision.
    pub(crate) copies: Vec<(u64, Object)>,
    /// Their signatures' copies.
    pub(crate) signatures: Vec<Object>,
    /// Folders below that have generations of their own: repositories of another setting.
    pub(crate) others: HashSet<String>,
}

/// Looks up the repository's generations.
pub(crate) async fn generations(bucket: &Bucket, repository: &RepositoryDir) -> Result<Generations> {
    let prefix = key::generations_prefix(repository);
    let listed = list_all(bucket.store.as_ref(), &prefix).await?;
    let others = listed.iter().filter_map(|object| object.key[prefix.len()..].rsplit_once('/'));
    let others = others.map(|(folder, _)| folder.to_owned()).collect();
    let revision = |object: &Object, suffix| object.key[prefix.len()..].strip_suffix(suffix)?.parse::<u64>().ok();
    let (signatures, copies): (Vec<_>, Vec<_>) =
        listed.into_iter().partition(|object| object.key.ends_with(key::GENERATION_SIGNATURE_SUFFIX));
    Ok(Generations {
        copies: copies.into_iter().filter_map(|object| Some((revision(&object, ".xml")?, object))).collect(),
        signatures: signatures
            .into_iter()
            .filter(|object| revision(object, key::GENERATION_SIGNATURE_SUFFIX).is_some())
            .collect(),
        others,
    })
}

/// The folder of a repository that lies deeper, if `path` is its repomd.xml.
pub(crate) fn inner_repository(path: &str) -> Option<String> {
    path.strip_suffix("/repodata/repomd.xml").map(str::to_owned)
}

/// The folders that `path` lies in, from the outermost on.
pub(crate) fn folders(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}
