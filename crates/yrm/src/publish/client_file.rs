//! `NAME.repo` in a repository's folder: what the administrator of a client fetches in the place of writing it. It is made of
//! the bucket's settings, where those say by which address clients come, and follows them.

use bytes::Bytes;
use rpmmd::checksum::Sha256;

use super::abilities::abilities;
use super::copying::delete_seen;
use super::memory::{Memory, lock};
use super::pass::{Pass, Work};
use super::settlement::Settlement;
use crate::bucket::Bucket;
use crate::bucket::mirror::in_url;
use crate::error::{Error, ErrorKind, Result};
use crate::store::PutIf;
use crate::store::key::{Key, PUBLIC_KEYS_PREFIX, RepositoryDir};
use crate::store::settle::{self, Settled, TRIES};

/// What one of ours begins with. Another's stays as it is.
const MARK: &str = "# yrm writes this file anew when the repository's settings change.\n";

/// After a commit, or where nothing was to be changed. What fails is told, and done by the next look.
pub(crate) async fn follow_up(work: Work<'_>, settlement: &mut Settlement) {
    let Work { bucket, memory, repository, pass: Pass { run, .. }, .. } = work;
    let Some(text) = text(bucket, repository) else { return };
    if lock(&memory.client_files).get(repository) == Some(&Sha256::of(&text)) {
        return;
    }
    if let Err(error) = follow(bucket, memory, repository).await {
        tracing::warn!(run.id = %run.id, %repository, error = error.chain(),
            "published, but the file for clients is not what it should be; the next look sees to it");
        settlement.errors.push(format!("writing the file for clients of {repository}: {}", error.chain()));
    }
}

/// Makes the file what the settings say.
pub(crate) async fn follow(bucket: &Bucket, memory: &Memory, repository: &RepositoryDir) -> Result<()> {
    let (Some(text), Some(key)) = (text(bucket, repository), key(bucket, repository)) else { return Ok(()) };
    let (store, path) = (bucket.store.as_ref(), bucket.path(key));
    for attempt in 0..TRIES {
        settle::pause(store, attempt).await;
        let condition = match store.get(&path, None).await? {
            Some(there) if there.bytes == text => {
                lock(&memory.client_files).insert(repository.clone(), Sha256::of(&text));
                return Ok(());
            }
            Some(there) if !is_ours(&there.bytes) => {
                tracing::warn!(%repository, "{path} is somebody else's, and stays as it is");
                lock(&memory.client_files).insert(repository.clone(), Sha256::of(&text));
                return Ok(());
            }
            Some(there) => PutIf::Matches(there.object.etag),
            None => PutIf::Absent,
        };
        if !is_there(bucket, repository).await? {
            return Ok(());
        }
        abilities(bucket).await?;
        if let Settled::Won(_) = settle::put_settled(store, &path, &text, &key.attributes(), &condition).await? {
            // The repository may have been deleted, and its file with it, while this one was on its way.
            return if is_there(bucket, repository).await? {
                lock(&memory.client_files).insert(repository.clone(), Sha256::of(&text));
                Ok(())
            } else {
                remove(bucket, repository).await
            };
        }
    }
    Err(Error::new(ErrorKind::Conflict, format!("putting {path}"))
        .because("other writers keep changing it")
        .hint("if it stays so, give all of them the same public-url, key-name and keys"))
}

/// Takes the file away, where the repository ends.
pub(crate) async fn remove(bucket: &Bucket, repository: &RepositoryDir) -> Result<()> {
    let Some(key) = key(bucket, repository) else { return Ok(()) };
    let path = bucket.path(key);
    match bucket.store.get(&path, None).await? {
        Some(there) if is_ours(&there.bytes) => delete_seen(bucket, &path, &there.object.etag).await,
        Some(_) | None => Ok(()),
    }
}

/// Whether there are such files.
pub(crate) fn is_on(bucket: &Bucket) -> bool {
    bucket.policy.mirrors.name.is_some() && !bucket.policy.mirrors.public_urls.is_empty()
}

async fn is_there(bucket: &Bucket, repository: &RepositoryDir) -> Result<bool> {
    Ok(bucket.store.head(&bucket.path(Key::Repomd { repository })).await?.is_some())
}

fn key<'a>(bucket: &'a Bucket, repository: &'a RepositoryDir) -> Option<Key<'a>> {
    let name = bucket.policy.mirrors.name.as_deref().filter(|_| is_on(bucket))?;
    Some(Key::ClientFile { repository, name })
}

fn is_ours(bytes: &[u8]) -> bool {
    bytes.starts_with(MARK.as_bytes())
}

/// What stands in the file; `None` where nothing says how clients come.
fn text(bucket: &Bucket, repository: &RepositoryDir) -> Option<Bytes> {
    let mirrors = &bucket.policy.mirrors;
    let (name, first) = (mirrors.name.as_deref()?, mirrors.public_urls.first()?);
    let (dir, is_root) = (repository.as_str(), repository.as_str().is_empty());
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let section: String = dir.chars().map(|c| if is_plain(c) { c } else { '-' }).collect();
    let section = if is_root { name.to_owned() } else { format!("{name}-{section}") };
    let address = |url: &String| {
        let url = url.trim_end_matches('/');
        if is_root { url.to_owned() } else { format!("{url}/{}", in_url(dir)) }
    };
    let way = if bucket.mirror_rules.is_on(repository) {
        format!("mirrorlist={}/mirrorlist", address(first))
    } else {
        format!("baseurl={}", mirrors.public_urls.iter().map(address).collect::<Vec<_>>().join("\n  "))
    };
    let switch = |on: bool| if on { "1" } else { "0" };
    let (packages, metadata) = (switch(bucket.policy.trust.signs_packages()), switch(bucket.signer.is_some()));
    let key = bucket.signer.as_ref().map_or_else(String::new, |signer| {
        format!("gpgkey={}/{PUBLIC_KEYS_PREFIX}{}\n", first.trim_end_matches('/'), in_url(signer.name()))
    });
    let text = format!(
        "{MARK}[{section}]\nname={section}\n{way}\nenabled=1\ngpgcheck={packages}\nrepo_gpgcheck={metadata}\n{key}"
    );
    Some(text.into())
}
