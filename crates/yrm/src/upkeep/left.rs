//! Which generations' own folders are named no more, and since when: what the sweep must leave alone, and
//! what it may take.
//!
//! No write says when a folder was superseded. The sweep notes when it first comes upon one that the list
//! of mirrors has gone past, and takes it when the grace period is over since then. The list only ever
//! goes forward, so what it has gone past is named never again.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use jiff::Timestamp;
use rpmmd::checksum::Sha256;
use rpmmd::repomd::Repomd;

use crate::bucket::Bucket;
use crate::bucket::listing::list_all;
use crate::bucket::mirrorlist::read;
use crate::bucket::record::to_json;
use crate::error::Result;
use crate::publish::clock::store_clock;
use crate::publish::mirror::remove;
use crate::store::key::{self, Key, MirrorFolder, RepositoryDir};
use crate::store::settle::{self, Settled};
use crate::store::{ETag, Object, PutIf};

/// Folders that are named no more, by name, and when that was first seen.
type Notes = BTreeMap<String, Timestamp>;

/// Notes over this size are none of ours.
const MAX_NOTES_BYTES: u64 = 16 << 20;

/// Bytes of notes that hold nothing.
const EMPTY_NOTES_BYTES: u64 = 2;

/// What a repository's listing holds of mirrors.
#[derive(Debug, Default)]
pub(crate) struct Left<'a> {
    /// The repomd.xml of those generations that clients may still be reading in their own folders.
    pub(crate) read: BTreeSet<Sha256>,
    /// What lies in folders that nobody reads any more.
    pub(crate) over: Vec<&'a Object>,
}

/// Looks through a listing, before the sweep judges anything. `current` is the repomd.xml that was read
/// after the listing, `now` and `expires` are by the store's clock.
pub(crate) async fn look<'a>(
    bucket: &Bucket,
    repository: &RepositoryDir,
    listed: &'a [Object],
    current: &Bytes,
    (now, expires): (Timestamp, Timestamp),
) -> Result<Left<'a>> {
    let folders = folders(bucket, repository, listed);
    let list_key = bucket.path(Key::Mirrorlist { repository });
    if folders.is_empty() && !listed.iter().any(|object| object.key == list_key) {
        return Ok(Left::default());
    }
    let list = read(bucket, repository).await?;
    let named = list.and_then(|read| MirrorFolder::named_by(&read.bytes));
    let reached = match &named {
        Some(named) => named.revision,
        // Without a list none of the older ones is named again: it names what is current, or nothing.
        None => Repomd::read(current).ok().and_then(|repomd| repomd.revision.parse().ok()).unwrap_or(0),
    };
    if named.is_some() && !bucket.mirror_rules.is_on(repository) {
        remove(bucket, repository).await?;
    }
    let truth = Sha256::of(current);
    let (before, etag) = notes(bucket, repository).await?;
    let gone_past: Vec<&String> = folders
        .iter()
        .filter(|(_, (folder, _))| folder.revision < reached && folder.repomd != truth)
        .map(|(name, _)| name)
        .collect();
    // The sweep may have slept since it was announced: what it sees now for the first time was perhaps named since.
    let all_are_noted = gone_past.iter().all(|name| before.get(*name).is_some_and(|since| *since <= now));
    let seen = if all_are_noted { now } else { store_clock(bucket).await? };
    let after: Notes = gone_past
        .into_iter()
        .map(|name| (name.clone(), before.get(name).map_or(seen, |since| seen.min(*since))))
        .collect();
    let noted = after == before || put_notes(bucket, repository, &after, etag).await?;
    let is_over = |name: &String| noted && after.get(name).is_some_and(|since| *since < expires);
    let mut left = Left::default();
    for (name, (folder, objects)) in folders {
        if is_over(&name) {
            left.over.extend(objects);
        } else {
            left.read.insert(folder.repomd);
        }
    }
    Ok(left)
}

/// The folders in a listing, by name, with what lies in them.
fn folders<'a>(
    bucket: &Bucket,
    repository: &RepositoryDir,
    listed: &'a [Object],
) -> BTreeMap<String, (MirrorFolder, Vec<&'a Object>)> {
    let prefix = key::repository_prefix(&bucket.policy.folders, repository);
    let mut folders = BTreeMap::new();
    for object in listed {
        let href = object.key.strip_prefix(&prefix).unwrap_or_default();
        if let Some((folder, _)) = MirrorFolder::of_href(href) {
            folders.entry(folder.to_string()).or_insert_with(|| (folder, Vec::new())).1.push(object);
        }
    }
    folders
}

/// What earlier sweeps have noted. Notes that cannot be read are begun anew: then folders stay longer.
async fn notes(bucket: &Bucket, repository: &RepositoryDir) -> Result<(Notes, Option<ETag>)> {
    let path = bucket.path(Key::MirrorsLeft { repository });
    let Some(read) = bucket.store.get(&path, Some(0..MAX_NOTES_BYTES)).await? else { return Ok((Notes::new(), None)) };
    let notes = serde_json::from_slice(&read.bytes).unwrap_or_else(|error| {
        tracing::warn!(%error, "{path} is damaged and begun anew");
        Notes::new()
    });
    Ok((notes, Some(read.object.etag)))
}

/// Puts the notes, unless another sweep has put others: then nothing is taken by them.
async fn put_notes(bucket: &Bucket, repository: &RepositoryDir, notes: &Notes, before: Option<ETag>) -> Result<bool> {
    let key = Key::MirrorsLeft { repository };
    let condition = before.map_or(PutIf::Absent, PutIf::Matches);
    let (path, bytes) = (bucket.path(key), to_json(notes)?);
    let put = settle::put_settled(bucket.store.as_ref(), &path, &bytes, &key.attributes(), &condition).await?;
    Ok(matches!(put, Settled::Won(_)))
}

/// The repositories with folders that were noted before `expires`: worth a sweep.
pub(crate) async fn owed(bucket: &Bucket, expires: Timestamp) -> Result<Vec<RepositoryDir>> {
    let noted = list_all(bucket.store.as_ref(), key::MIRRORS_LEFT_PREFIX).await?;
    let old = noted.iter().filter(|notes| notes.size_bytes > EMPTY_NOTES_BYTES && notes.modified < expires);
    let path = |notes: &Object| notes.key[key::MIRRORS_LEFT_PREFIX.len()..].to_owned();
    Ok(old.map(|notes| RepositoryDir::new(path(notes).rsplit_once('/').map_or("", |(dir, _)| dir))).collect())
}
