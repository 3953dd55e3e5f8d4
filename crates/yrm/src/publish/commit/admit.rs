//! Putting packages in place: a server-side copy from the inbox to the repository, conditional
//! on the source being what was inspected and on the target being free. Never replaces, never
//! deletes; what it leaves behind after a crash is invisible to clients.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rpmmd::checksum::Sha256;
use tokio::time::Instant;

use super::signed;
use crate::bucket::Bucket;
use crate::bucket::catalog::Entry;
use crate::bucket::clock::StoreClock;
use crate::bucket::receipt;
use crate::bucket::report::Way;
use crate::bucket::verdict::Candidate;
use crate::error::Result;
use crate::publish::abilities::abilities;
use crate::publish::{clock, copying};
use crate::store::key::Key;
use crate::store::settle::Copied;
use crate::store::{Attributes, Copy, ETag, Object, Stored};

/// A package in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Its ETag under `repo/`.
    pub etag: ETag,
    /// SHA-256 of the file.
    pub pkgid: Sha256,
    /// When the store got it there.
    pub since: Timestamp,
    /// How its SHA-256 was learned.
    pub way: Way,
}

/// What became of one admission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// It is in place.
    Placed(Placed),
    /// Not now, and why.
    Wait(String),
    /// The path holds what nothing names; `overdue` when only a sweep is missing to free it.
    Taken { reason: String, overdue: bool },
    /// This upload was published once, and what was removed does not come back by it.
    Answered,
    /// It left the inbox, or changed, since it was inspected.
    Gone,
}

/// Puts one candidate in place.
pub async fn admit(bucket: &Bucket, candidate: &Candidate) -> Result<Admission> {
    let key = Key::Package { repository: &candidate.repository, href: &candidate.href };
    let target = bucket.path(key);
    if let Some(pkgid) = candidate.pkgid.filter(|_| candidate.dropped.key() == target) {
        return as_it_lies(bucket, candidate, pkgid).await;
    }
    // A store that would overwrite is asked first; two writers need one that does not.
    if !abilities(bucket).await?.conditional_copy
        && let Some(there) = bucket.store.head(&target).await?
    {
        if receipt::says_published(bucket, &candidate.dropped).await? {
            return Ok(Admission::Answered);
        }
        return reuse(bucket, candidate, there).await;
    }
    let began = StoreClock::moment();
    let copied = copy(bucket, candidate, (&target, &key.attributes())).await?;
    // Where a package was removed a short while ago its file is still there.
    let was_there = matches!(copied, Copied::Found(_) | Copied::Occupied(_));
    if was_there && receipt::says_published(bucket, &candidate.dropped).await? {
        return Ok(Admission::Answered);
    }
    let is_new = matches!(copied, Copied::Done(_)).then_some(began);
    match copied {
        Copied::Done(stored) | Copied::Found(stored)
            if candidate.pkgid.zip(stored.sha256).is_some_and(|(judged, copied)| judged != copied) =>
        {
            Ok(Admission::Wait(format!("{target} got other bytes than those that were judged")))
        }
        Copied::Done(stored) | Copied::Found(stored) => placed(bucket, candidate, &target, stored, is_new).await,
        Copied::Occupied(there) => reuse(bucket, candidate, there).await,
        Copied::SourceChanged | Copied::SourceMissing => Ok(Admission::Gone),
    }
}

/// A file that lies in its place already, and that no clean-up takes ([`crate::publish::operations::orphans`]).
async fn as_it_lies(bucket: &Bucket, candidate: &Candidate, pkgid: Sha256) -> Result<Admission> {
    let there = bucket.store.head(candidate.dropped.key()).await?;
    let there = there.filter(|there| there.etag == *candidate.dropped.etag());
    Ok(there.map_or(Admission::Gone, |there| {
        Admission::Placed(Placed { etag: there.etag, pkgid, since: there.since, way: Way::Read })
    }))
}

/// Copies what is published for the candidate, as long as its upload is what was inspected.
async fn copy(bucket: &Bucket, candidate: &Candidate, to: (&str, &Attributes)) -> Result<Copied> {
    if let Some(signed) = &candidate.signed {
        return signed::copy(bucket, candidate, signed, to).await;
    }
    copy_as_it_came(bucket, candidate, candidate.pkgid, to).await
}

async fn copy_as_it_came(
    bucket: &Bucket,
    candidate: &Candidate,
    judged: Option<Sha256>,
    (target, attributes): (&str, &Attributes),
) -> Result<Copied> {
    let source = &candidate.dropped.object;
    // Metadata says when the upload was last changed, and so does the file.
    let modified = Some(candidate.dropped.modified());
    copying::copy(bucket, Copy { judged, modified, ..Copy::of(source, target, attributes) }).await
}

/// Sees to it that a package of the catalog, which was uploaded again with the same bytes, can
/// still be fetched: what vanished from `repo/` is put back. `Placed` when it is there. The
/// dropped file may be the only good copy left, so it never goes while anything else is.
pub async fn put_back(bucket: &Bucket, candidate: &Candidate, entry: &Entry<'_>) -> Result<Admission> {
    let key = Key::Package { repository: &candidate.repository, href: &entry.href };
    let target = bucket.path(key);
    let mut there = bucket.store.head(&target).await?;
    if there.is_none() {
        tracing::warn!(key = target, "the metadata names it and it is gone; putting it back");
        let to = (target.as_str(), &key.attributes());
        let copied = match &candidate.signed {
            // It was published as it came, before packages were signed here.
            Some(signed) if signed.uploaded == entry.pkgid() => {
                copy_as_it_came(bucket, candidate, Some(entry.pkgid()), to).await?
            }
            Some(_) if candidate.pkgid != Some(entry.pkgid()) => {
                let reason = format!(
                    "{target} is gone, and this file with our signature has other bytes; remove it, and this file takes its place"
                );
                return Ok(Admission::Wait(reason));
            }
            Some(_) => copy(bucket, candidate, to).await?,
            None => copy_as_it_came(bucket, candidate, Some(entry.pkgid()), to).await?,
        };
        there = match copied {
            Copied::Done(_) | Copied::Found(_) => bucket.store.head(&target).await?,
            Copied::Occupied(there) => Some(there),
            Copied::SourceChanged | Copied::SourceMissing => return Ok(Admission::Gone),
        };
    }
    let Some(there) = there else {
        return Ok(Admission::Wait(format!("{target} was put back and is gone again; something deletes in repo/")));
    };
    let pkgid = match there.sha256 {
        _ if there.size_bytes != entry.size_bytes => None,
        _ if there.etag.as_str() == entry.etag => Some(entry.pkgid()),
        Some(pkgid) => Some(pkgid),
        None => bucket.sha256(&target, &there.etag, there.size_bytes).await?,
    };
    Ok(if pkgid == Some(entry.pkgid()) {
        Admission::Placed(Placed { etag: there.etag, pkgid: entry.pkgid(), since: there.since, way: way_of(candidate) })
    } else {
        Admission::Wait(format!(
            "{target} no longer has the bytes that the metadata promises; remove it, and this file takes its place"
        ))
    })
}

/// The package that is there by our copy, which is new since some moment, or maybe by that of an
/// interrupted run of the same upload: what its digest is and since when it is there.
async fn placed(
    bucket: &Bucket,
    candidate: &Candidate,
    target: &str,
    stored: Stored,
    is_new: Option<Instant>,
) -> Result<Admission> {
    let known = candidate.pkgid.or(stored.sha256);
    // The copy's answer may say it all: what lies there is what was seen, by the store's word.
    if let (Some(pkgid), Some(since)) = (known, stored.since)
        && abilities(bucket).await?.conditional_copy
    {
        let Stored { etag, sha256, .. } = stored;
        let (key, size_bytes, user) = (target.to_owned(), candidate.size_bytes(), BTreeMap::new());
        let there = Object { key, etag, size_bytes, modified: since, since, sha256, user };
        return found(bucket, there, (pkgid, way_of(candidate)), is_new).await;
    }
    let Some(there) = bucket.store.head(target).await? else {
        return Ok(Admission::Wait(
            "it was put in place and is gone again; something else deletes in repo/".to_owned(),
        ));
    };
    let (pkgid, way) = match known.or(there.sha256) {
        Some(pkgid) => (Some(pkgid), way_of(candidate)),
        None => (bucket.sha256(target, &there.etag, there.size_bytes).await?, Way::Read),
    };
    Ok(match pkgid {
        Some(pkgid) if there.size_bytes == candidate.size_bytes() => {
            return found(bucket, there, (pkgid, way), is_new).await;
        }
        Some(_) | None => Admission::Wait(format!("{target} changed while it was being published")),
    })
}

/// The package as it lies there: by our copy, which is new since some moment, or maybe by an earlier one.
async fn found(
    bucket: &Bucket,
    there: Object,
    (pkgid, way): (Sha256, Way),
    is_new: Option<Instant>,
) -> Result<Admission> {
    let Some(began) = is_new else { return in_place(bucket, there, pkgid, way).await };
    bucket.clock.heard(there.since, began).await;
    Ok(Admission::Placed(Placed { etag: there.etag, pkgid, since: there.since, way }))
}

/// The path is taken, by no package of the catalog: what an interrupted run left, or what was
/// removed a short while ago. The same bytes are reused; other bytes keep the path until the
/// sweep has freed it.
async fn reuse(bucket: &Bucket, candidate: &Candidate, there: Object) -> Result<Admission> {
    let dropped = &candidate.dropped;
    let theirs = match there.sha256 {
        Some(pkgid) => Some(pkgid),
        None => bucket.sha256(&there.key, &there.etag, there.size_bytes).await?,
    };
    let ours = match candidate.pkgid {
        Some(pkgid) => Some(pkgid),
        None => bucket.sha256(dropped.key(), dropped.etag(), dropped.object.size_bytes).await?,
    };
    let way = if there.sha256.is_none() || candidate.pkgid.is_none() { Way::Read } else { way_of(candidate) };
    match theirs {
        Some(pkgid) if theirs == ours => in_place(bucket, there, pkgid, way).await,
        Some(_) | None => Ok(taken(bucket, &there, clock::now(bucket).await?)),
    }
}

/// In place, unless the sweep may be about to take it: then its path is free soon. By the store's
/// clock, as the sweep: a local one that is wrong would take what is old, or nothing at all.
async fn in_place(bucket: &Bucket, there: Object, pkgid: Sha256, way: Way) -> Result<Admission> {
    let now = clock::now(bucket).await?;
    if now.duration_since(there.since) > signed(bucket.policy.grace / 2) {
        return Ok(taken(bucket, &there, now));
    }
    Ok(Admission::Placed(Placed { etag: there.etag, pkgid, since: there.since, way }))
}

/// What was read to judge the candidate counts; else the store told.
pub(crate) fn way_of(candidate: &Candidate) -> Way {
    if candidate.pkgid.is_some() { Way::Read } else { Way::InStore }
}

fn taken(bucket: &Bucket, there: &Object, now: Timestamp) -> Admission {
    let free_by = there.since.checked_add(signed(bucket.policy.grace)).unwrap_or(Timestamp::MAX);
    let reason = format!(
        "{} holds an unpublished file that clients may still be reading; the clean-up frees the path after {free_by}",
        there.key
    );
    Admission::Taken { reason, overdue: free_by <= now }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}
