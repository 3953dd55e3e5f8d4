//! Repositories of an earlier layout: sealed, and no more than readable. When the grace period is over since the seal, its
//! repomd.xml goes; when another is over since then, so does what that named. Packages stay: they are another's by now.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rpmmd::checksum::Sha256;
use tokio::time::Instant;

use crate::bucket::Bucket;
use crate::bucket::generations::generations;
use crate::bucket::listing::list_all;
use crate::bucket::record::to_json;
use crate::bucket::signature::read;
use crate::bucket::state::is_sealed;
use crate::error::Result;
use crate::publish::client_file;
use crate::publish::copying::delete_seen;
use crate::publish::mirror::remove;
use crate::store::key::{self, Key, MirrorFolder, RepositoryDir};
use crate::store::{Object, Read, settle};

/// Between the note and the delete of repomd.xml, at most; S3 takes no request that was signed 15 minutes ago.
const PROMPT: Duration = Duration::from_mins(10);
/// So much longer than the note says it may have been read.
const SLACK: SignedDuration = SignedDuration::from_mins(30);

/// Takes what may go of a repository that the layout does not name; how many objects. What is not sealed stays: somebody
/// may have published it by mistake.
pub(crate) async fn retire(
    bucket: &Bucket,
    repository: &RepositoryDir,
    (expires, began): (Timestamp, Instant),
) -> Result<u64> {
    let long_ago = expires.checked_sub(SLACK).unwrap_or(Timestamp::MIN);
    let store = bucket.store.as_ref();
    let path = bucket.path(Key::Retired { repository });
    match store.get(&bucket.path(Key::Repomd { repository }), None).await? {
        Some(repomd) if is_sealed(&repomd.bytes) && repomd.object.modified < expires => {
            end(bucket, repository, &repomd, began).await
        }
        Some(_) => Ok(0),
        None => match store.head(&path).await? {
            Some(since) if since.modified < long_ago => forget(bucket, repository, (&since, long_ago)).await,
            Some(_) | None => Ok(0),
        },
    }
}

/// Whether a repository that has no repomd.xml any more had one until lately, by which clients may still read.
pub(crate) async fn is_read(bucket: &Bucket, repository: &RepositoryDir) -> Result<bool> {
    Ok(bucket.store.head(&bucket.path(Key::Retired { repository })).await?.is_some())
}

/// Nobody begins to read it from now on.
async fn end(bucket: &Bucket, repository: &RepositoryDir, repomd: &Read, began: Instant) -> Result<u64> {
    let key = Key::Retired { repository };
    // No two are equal: the time of an earlier one is not that of this.
    let (repomd_sha256, sweeper) = (Sha256::of(&repomd.bytes).to_string(), bucket.store.jitter());
    let note = to_json(&serde_json::json!({"repomd": repomd_sha256, "sweeper": sweeper}))?;
    settle::put_always(bucket.store.as_ref(), &bucket.path(key), &note, &key.attributes()).await?;
    if began.elapsed() > PROMPT {
        // It would be readable for longer than the note says.
        return Ok(0);
    }
    remove(bucket, repository).await?;
    client_file::remove(bucket, repository).await?;
    tracing::info!(%repository, "an earlier layout's repository was sealed a grace period ago: its repomd.xml is removed");
    delete_seen(bucket, &repomd.object.key, &repomd.object.etag).await?;
    if bucket.store.head(&repomd.object.key).await?.is_some() {
        // The layout has come back.
        return Ok(0);
    }
    if let Some(signature) = read(bucket, repository).await? {
        delete_seen(bucket, &bucket.path(Key::Signature { repository }), &signature.etag).await?;
        return Ok(2);
    }
    Ok(1)
}

/// Nobody reads it any more.
async fn forget(bucket: &Bucket, repository: &RepositoryDir, (since, expires): (&Object, Timestamp)) -> Result<u64> {
    let store = bucket.store.as_ref();
    let prefix = format!("{}repodata/", key::repository_prefix(&bucket.policy.folders, repository));
    let is_content_named =
        |name: &str| name.split_once('-').is_some_and(|(digest, _)| digest.parse::<Sha256>().is_ok());
    let is_ours = |object: &Object| {
        let name = &object.key[prefix.len()..];
        is_content_named(name) || MirrorFolder::of_href(&format!("repodata/{name}")).is_some()
    };
    let files = list_all(store, &prefix).await?.into_iter().filter(is_ours);
    let catalogs_prefix = key::catalogs_prefix(repository);
    let is_own = |object: &Object| !object.key[catalogs_prefix.len()..].contains('/');
    let catalogs = list_all(store, &catalogs_prefix).await?.into_iter().filter(is_own);
    let notes = store.head(&bucket.path(Key::MirrorsLeft { repository })).await?;
    let copies = generations(bucket, repository).await?;
    let mut revisions = copies.copies;
    // While there is one somebody looks here again.
    revisions.sort_by_key(|(revision, _)| *revision);
    let revisions = copies.signatures.into_iter().chain(revisions.into_iter().map(|(_, copy)| copy));
    let doomed: Vec<Object> = files.chain(catalogs).chain(notes).chain(revisions).collect();
    let mut deleted = 0;
    for object in doomed.iter().filter(|object| object.since < expires).chain([since]) {
        delete_seen(bucket, &object.key, &object.etag).await?;
        deleted += 1;
    }
    tracing::info!(%repository, deleted, "what was left of an earlier layout's repository is removed");
    Ok(deleted)
}
