//! Files in a repository's folder that its metadata does not name, and why they are there.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use crate::bucket::Bucket;
use crate::bucket::generations::generations;
use crate::bucket::kept;
use crate::bucket::observe::load_catalog;
use crate::error::Result;
use crate::store::Object;
use crate::store::key::{Key, RepositoryDir};

/// A file that no metadata names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Orphan {
    /// Its path below `repo/`, as `repo adopt-file` takes it.
    pub path: String,
    /// Its size.
    pub size_bytes: u64,
    /// Since when it is there.
    pub since: Timestamp,
    /// Why it is there.
    pub why: Why,
}

/// Why a file is there that no metadata names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// An earlier revision names it, which clients may still read: the clean-up deletes it later.
    EarlierRevision,
    /// The repository was taken over and did not offer it: it stays until somebody decides.
    NotOffered,
    /// No revision that is kept names it: the clean-up deletes it when its grace has expired.
    Unnamed,
}

impl Why {
    /// For people.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::EarlierRevision => "an earlier revision names it",
            Self::NotOffered => "it was not offered when the repository was taken over, and stays",
            Self::Unnamed => "no revision names it; the clean-up deletes it after the grace period",
        }
    }
}

/// Those among `unnamed`, the packages in the folder that the current metadata leaves out, oldest path first.
pub(super) async fn orphans(bucket: &Bucket, repository: &RepositoryDir, unnamed: &[&Object]) -> Result<Vec<Orphan>> {
    if unnamed.is_empty() {
        return Ok(Vec::new());
    }
    let spared = kept::spared(bucket, repository).await?;
    let mut unexplained: BTreeSet<&str> = unnamed.iter().map(|object| object.key.as_str()).collect();
    unexplained.retain(|key| !spared.contains(*key));
    let mut earlier = BTreeSet::new();
    for (_, copy) in generations(bucket, repository).await?.copies {
        if unexplained.is_empty() {
            break;
        }
        let Some(read) = bucket.store.get(&copy.key, None).await? else { continue };
        // One that is damaged, or another program's, explains nothing.
        let Ok(Some(catalog)) = load_catalog(bucket, repository, &read.bytes).await else { continue };
        for at in 0..catalog.entries.len() {
            let key = bucket.path(Key::Package { repository, href: catalog.entries.href(at) });
            if let Some(key) = unexplained.take(key.as_str()) {
                earlier.insert(key);
            }
        }
    }
    let prefix_bytes = bucket.policy.folders.repo_prefix().len();
    let told = |object: &&Object| {
        let why = match () {
            () if spared.contains(&object.key) => Why::NotOffered,
            () if earlier.contains(object.key.as_str()) => Why::EarlierRevision,
            () => Why::Unnamed,
        };
        let path = object.key[prefix_bytes..].to_owned();
        Orphan { path, size_bytes: object.size_bytes, since: object.since, why }
    };
    Ok(unnamed.iter().map(told).collect())
}
