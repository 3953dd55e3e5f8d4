//! Files below `repo/` that no sweep takes although no generation of its repository names them: what lay in a
//! folder that was taken over and was not offered there (it was put there by somebody else), and packages of one
//! folder that another folder's repository names.
//!
//! Written before the generation that they belong to. What a clean-up finds named after all (`yrm repo adopt-file`, an upload
//! of the same name) it takes off the list of what was not offered; what is named beside stays on its list.

use std::collections::BTreeSet;

use super::Bucket;
use super::listing::list_all;
use crate::error::{Error, ErrorKind, Result};
use crate::store::key::{self, KEPT_PREFIX, RepositoryDir};

/// What is to be kept of a repository that is taken over, as keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// Files in its folder that it does not name.
    pub not_offered: Vec<String>,
    /// Packages beside its folder that it names.
    pub named_beside: Vec<String>,
}

/// The keys that a sweep of `repository` has to leave alone.
pub(crate) async fn spared(bucket: &Bucket, repository: &RepositoryDir) -> Result<BTreeSet<String>> {
    listed(bucket, |folder, name| match name {
        key::NAMED_BESIDE => true,
        key::NOT_OFFERED => is_nested(folder, repository.as_str()),
        _ => false,
    })
    .await
}

/// The keys of packages that the metadata of a folder names which they do not lie in.
pub(crate) async fn named_beside(bucket: &Bucket) -> Result<BTreeSet<String>> {
    listed(bucket, |_, name| name == key::NAMED_BESIDE).await
}

/// What stands in the lists that `concerns` takes, by their folder and name.
async fn listed(bucket: &Bucket, concerns: impl Fn(&str, &str) -> bool) -> Result<BTreeSet<String>> {
    let mut listed = BTreeSet::new();
    for object in list_all(bucket.store.as_ref(), KEPT_PREFIX).await? {
        let path = &object.key[KEPT_PREFIX.len()..];
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        if concerns(folder, name) {
            listed.append(&mut read(bucket, &object.key).await?);
        }
    }
    Ok(listed)
}

/// Whether one folder is the other or lies below it: `repositories` may have been set otherwise then.
fn is_nested(a: &str, b: &str) -> bool {
    let below = |inner: &str, outer: &str| {
        outer.is_empty() || inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    below(a, b) || below(b, a)
}

/// A list of what must be kept, if there is one.
pub(crate) async fn read(bucket: &Bucket, path: &str) -> Result<BTreeSet<String>> {
    let Some(read) = bucket.store.get(path, None).await? else { return Ok(BTreeSet::new()) };
    serde_json::from_slice(&read.bytes).map_err(|source| {
        Error::new(ErrorKind::Corrupt, format!("reading {path}"))
            .because(source)
            .hint("it lists files that a clean-up must not delete; put it back, or remove it to have them deleted")
    })
}
