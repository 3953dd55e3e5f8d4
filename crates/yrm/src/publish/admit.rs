//! Putting packages in place: a server-side copy from the inbox to the repository, conditional
//! on the source being what was inspected and on the target being free. Never replaces, never
//! deletes; what it leaves behind after a crash is invisible to clients.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rpmmd::checksum::Sha256;

use super::bucket::Bucket;
use super::verdict::Candidate;
use crate::error::{Error, ErrorKind, Result};
use crate::store::key::Key;
use crate::store::{Copy, ETag, Object, Outcome, settle};

/// Times one copy is tried before the package is left for the next run.
const MAX_TRIES: u32 = 6;
/// User metadata of a published package: the ETag it had in the inbox.
const SOURCE_ETAG: &str = "source-etag";

/// A package in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Its ETag under `repo/`.
    pub etag: ETag,
    /// SHA-256 of the file.
    pub pkgid: Sha256,
    /// When the store got it there.
    pub since: Timestamp,
}

/// What became of one admission.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// It is in place.
    Placed(Placed),
    /// Not now, and why.
    Wait(String),
    /// It left the inbox, or changed, since it was inspected.
    Gone,
}

/// Puts one candidate in place.
pub async fn admit(bucket: &Bucket, candidate: &Candidate, now: Timestamp) -> Result<Admission> {
    let key = Key::Package { repository: &candidate.repository, href: &candidate.href };
    let target = bucket.path(key);
    let mut attributes = key.attributes();
    attributes.user.insert(SOURCE_ETAG.to_owned(), candidate.dropped.etag().to_string());
    let copy = Copy { source: &candidate.dropped.object, target: &target, attributes: &attributes };
    let mut last = None;
    for attempt in 0..MAX_TRIES {
        match bucket.store.copy(copy).await? {
            Outcome::Done(stored) => {
                let known = candidate.pkgid.or(stored.sha256);
                return placed(bucket, candidate, &target, known).await;
            }
            Outcome::Missing => return Ok(Admission::Gone),
            Outcome::Lost => match bucket.store.head(&target).await? {
                Some(there) => return reuse(bucket, candidate, there, now).await,
                // The target is free, so it was the source that did not match.
                None => return Ok(Admission::Gone),
            },
            Outcome::Conflict => {}
            // Trying again is looking: if it did apply, the next copy is refused and compared.
            Outcome::Ambiguous(error) => last = Some(error),
        }
        settle::pause(attempt).await;
    }
    let error = Error::new(ErrorKind::Unavailable, format!("copying {} to {target}", candidate.dropped.key()));
    Err(match last {
        Some(source) => error.because(source),
        None => error.hint("another writer keeps copying to the same key"),
    })
}

/// The package we just copied: what its digest is and since when it is there.
async fn placed(bucket: &Bucket, candidate: &Candidate, target: &str, known: Option<Sha256>) -> Result<Admission> {
    let Some(there) = bucket.store.head(target).await? else {
        return Ok(Admission::Wait("it was put in place and is gone again; something else deletes in repo/".to_owned()));
    };
    let pkgid = match known.or(there.sha256) {
        Some(pkgid) => Some(pkgid),
        None => bucket.sha256(target, &there.etag, there.size_bytes).await?,
    };
    Ok(match pkgid {
        Some(pkgid) if there.size_bytes == candidate.dropped.object.size_bytes => {
            Admission::Placed(Placed { etag: there.etag, pkgid, since: there.modified })
        }
        Some(_) | None => Admission::Wait(format!("{target} changed while it was being published")),
    })
}

/// The path is taken, by no package of the catalog: what an interrupted run left, or what was
/// removed a short while ago. The same bytes are reused while the sweep is far from them; other
/// bytes keep the path until the sweep has freed it.
async fn reuse(bucket: &Bucket, candidate: &Candidate, there: Object, now: Timestamp) -> Result<Admission> {
    let free_by = there.modified.checked_add(signed(bucket.policy.grace)).unwrap_or(Timestamp::MAX);
    let near_the_sweep = now.duration_since(there.modified) > signed(bucket.policy.grace / 2);
    let dropped = &candidate.dropped;
    let ours = there.size_bytes == dropped.object.size_bytes
        && there.user.get(SOURCE_ETAG).is_some_and(|etag| etag == dropped.etag().as_str());
    let pkgid = match there.sha256 {
        Some(pkgid) => Some(pkgid),
        None => bucket.sha256(&there.key, &there.etag, there.size_bytes).await?,
    };
    let same = match (pkgid, candidate.pkgid) {
        (Some(there), Some(here)) => there == here,
        (Some(there), None) => {
            ours || bucket.sha256(dropped.key(), dropped.etag(), dropped.object.size_bytes).await? == Some(there)
        }
        (None, _) => false,
    };
    Ok(match pkgid {
        Some(pkgid) if same && !near_the_sweep => {
            Admission::Placed(Placed { etag: there.etag, pkgid, since: there.modified })
        }
        Some(_) | None => Admission::Wait(format!(
            "{} holds an unpublished file that clients may still be reading; the sweep frees the path after {free_by}",
            there.key
        )),
    })
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}
