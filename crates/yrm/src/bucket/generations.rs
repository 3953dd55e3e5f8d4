//! The copies of a repository's generations, as they are listed, and what they say of which repositories there are.

use std::collections::HashSet;

use rpmmd::checksum::Sha256;

use super::Bucket;
use super::listing::list_all;
use crate::config::settings::did_you_mean;
use crate::error::{Error, ErrorKind, Result};
use crate::store::Object;
use crate::store::key::{self, Key, RepositoryDir};

/// Every repository of the bucket's layout that has ever committed a generation. Where the layout means none of those
/// that have, all: whoever only looks may not know the layout.
pub async fn repositories(bucket: &Bucket) -> Result<Vec<RepositoryDir>> {
    let all = all(bucket).await?;
    let named: Vec<RepositoryDir> = all.iter().filter(|one| bucket.locator.names(one)).cloned().collect();
    Ok(if named.is_empty() { all } else { named })
}

/// Every repository that has ever committed a generation, also by an earlier layout.
pub async fn all(bucket: &Bucket) -> Result<Vec<RepositoryDir>> {
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

/// Every repository that there is: also those that another program made, where nothing was published by us yet.
pub async fn there(bucket: &Bucket) -> Result<Vec<RepositoryDir>> {
    let found = repositories(bucket).await?;
    if found.is_empty() { of_others(bucket).await } else { Ok(found) }
}

/// Every folder with a repomd.xml, whoever made it.
pub async fn of_others(bucket: &Bucket) -> Result<Vec<RepositoryDir>> {
    let prefix = bucket.policy.folders.repo_prefix();
    let listed = bucket.list_repo(&prefix).await?;
    let repomds =
        listed.iter().filter_map(|object| object.key.strip_prefix(&prefix)?.strip_suffix("repodata/repomd.xml"));
    let mut found: Vec<_> = repomds.filter(|dir| !key::is_own_folder(dir)).map(RepositoryDir::new).collect();
    found.sort();
    Ok(found)
}

/// Repositories that are named where one is wanted that there is not.
const NAMED: usize = 20;

/// The repository that an operator names by its folder below `repo/`; `/`, `.` and nothing are the root repository, and
/// `repo/el9` is `el9`. One that there is not is an error that names those there are.
pub async fn repository_named(bucket: &Bucket, name: &str) -> Result<RepositoryDir> {
    let there = there(bucket).await?;
    let bare = name.trim_matches('/').split('/').filter(|part| *part != ".").collect::<Vec<_>>().join("/");
    let repo = bucket.policy.folders.repo.as_str();
    let below = bare.strip_prefix(repo).filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let sound = |dir: &&str| dir.trim_matches('/').is_empty() || key::is_plain_path(dir.trim_matches('/'));
    for dir in [Some(bare.as_str()), below].into_iter().flatten().filter(sound).map(RepositoryDir::new) {
        let is_root = dir.as_str().is_empty() && bucket.locator.is_single();
        if is_root || there.contains(&dir) {
            return Ok(dir);
        }
        // One that another program made, and that no run has taken over yet.
        if bucket.store.head(&bucket.path(Key::Repomd { repository: &dir })).await?.is_some() {
            return Ok(dir);
        }
    }
    let named: Vec<String> = there.iter().take(NAMED).map(ToString::to_string).collect();
    let near = did_you_mean(&bare, there.iter().map(RepositoryDir::as_str)).filter(|near| !near.is_empty());
    let near = near.map_or_else(String::new, |near| format!("did you mean {near}? "));
    let hint = match (named.len(), there.len() - named.len()) {
        (0, _) => "there is no repository yet".to_owned(),
        (_, 0) => format!("{near}the repositories are: {}", named.join(", ")),
        (_, more) => format!("{near}the repositories are: {} and {more} more", named.join(", ")),
    };
    Err(Error::new(ErrorKind::Conflict, format!("looking for the repository {name:?}"))
        .because("there is no repository in that folder")
        .hint(hint))
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
        copies: copies
            .into_iter()
            .filter_map(|object| Some((numbered(&object.key[prefix.len()..])?, object)))
            .collect(),
        signatures: signatures
            .into_iter()
            .filter(|object| revision(object, key::GENERATION_SIGNATURE_SUFFIX).is_some())
            .collect(),
        others,
    })
}

/// The number of the revision that lies in a file of this name: `REVISION.xml`, or `REVISION-SHA256.xml` where another
/// program's number was taken already.
fn numbered(name: &str) -> Option<u64> {
    let name = name.strip_suffix(".xml")?;
    match name.split_once('-') {
        Some((revision, hash)) => hash.parse::<Sha256>().ok().and(revision.parse().ok()),
        None => name.parse().ok(),
    }
}

/// The folder of a repository that lies deeper, if `path` is its repomd.xml.
pub(crate) fn inner_repository(path: &str) -> Option<String> {
    path.strip_suffix("/repodata/repomd.xml").map(str::to_owned)
}

/// The folders that `path` lies in, from the outermost on.
pub(crate) fn folders(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}
