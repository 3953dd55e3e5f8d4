//! Files below `repo/` that no sweep takes although no generation of its repository names them: what lay in a
//! folder that was taken over and was not offered there (it was put there by somebody else), and packages of one
//! folder that another folder's repository names.
//!
//! Written before the generation that they belong to; never taken back, for keeping too much costs room only.

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
    let mut spared = BTreeSet::new();
    for object in list_all(bucket.store.as_ref(), KEPT_PREFIX).await? {
        let (folder, name) =
            object.key[KEPT_PREFIX.len()..].rsplit_once('/').unwrap_or(("", &object.key[KEPT_PREFIX.len()..]));
        let concerns = match name {
            key::NAMED_BESIDE => true,
            key::NOT_OFFERED => is_nested(folder, repository.as_str()),
            _ => false,
        };
        if concerns {
            spared.append(&mut read(bucket, &object.key).await?);
        }
    }
    Ok(spared)
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
