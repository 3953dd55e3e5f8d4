//! Conditional calls, carried to an answer: look before acting again.
//!
//! A put whose reply was lost may have applied, or may yet; trying again would read our own
//! success as somebody else's. So after every answer that leaves a doubt the store is read and
//! compared first, and nothing is deleted meanwhile. This is the only place below the service
//! that sleeps: at most [`TRIES`] tries, with full jitter, at most about 20 seconds in all.

use std::time::Duration;

use bytes::Bytes;
use rpmmd::checksum::Sha256;
use rpmmd::repodata::ReadRange as _;
use tokio::time::Instant;

use super::body::Body;
use super::{Attributes, Copy, ETag, Object, Outcome, PutIf, Reused, Store, Stored};
use crate::error::{Error, ErrorKind, Result};

/// Times one call is tried.
pub const TRIES: u32 = 8;

/// The longest pause before the second try; it doubles with every further one.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// User metadata of a copy: the ETag of what it was copied from. ETags themselves cannot be
/// compared: a copy of a multipart upload gets another one.
pub const SOURCE_ETAG: &str = "source-etag";

/// The end of a conditional put or delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled<T> {
    /// What was asked for is so.
    Won(T),
    /// Somebody else's object is there.
    Lost,
}

/// The end of a conditional copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Copied {
    /// The target holds the source's bytes, by this call.
    Done(Stored),
    /// It holds them, by this call whose reply was lost or by an earlier one.
    Found(Stored),
    /// The target exists, and nothing proves that it holds the source's bytes: compare them.
    Occupied(Object),
    /// The source has another ETag by now.
    SourceChanged,
    /// The source is gone.
    SourceMissing,
}

/// What is to be put, and when that applies.
#[derive(Debug, Clone, Copy)]
pub struct Put<'a> {
    /// Where.
    pub key: &'a str,
    /// What.
    pub bytes: &'a Bytes,
    /// What is stored beside it.
    pub attributes: &'a Attributes,
    /// When.
    pub condition: &'a PutIf,
}

/// Puts `bytes` under `key` under `condition`. Won when the object there holds exactly these
/// bytes by this call. Lost may also mean that they were there and have been replaced since.
/// An error leaves open whether the put applied.
pub async fn put_settled(
    store: &dyn Store,
    key: &str,
    bytes: &Bytes,
    attributes: &Attributes,
    condition: &PutIf,
) -> Result<Settled<Stored>> {
    put_until(store, Put { key, bytes, attributes, condition }, None).await
}

/// The same, but nothing is put any more after `until`: then it is lost.
pub async fn put_until(store: &dyn Store, put: Put<'_>, until: Option<Instant>) -> Result<Settled<Stored>> {
    let Put { key, bytes, attributes, condition } = put;
    let mut doubt = None;
    for attempt in 0..TRIES {
        pause(store, attempt).await;
        if until.is_some_and(|until| Instant::now() > until) {
            return Ok(Settled::Lost);
        }
        match store.put(key, bytes.clone(), attributes, condition.clone()).await {
            Ok(Outcome::Done(stored)) => return Ok(Settled::Won(stored)),
            Ok(Outcome::Lost | Outcome::Missing) if doubt.is_none() => return Ok(Settled::Lost),
            Ok(Outcome::Lost | Outcome::Missing) => {
                // The answer may be to our own earlier try.
                return Ok(match look(store, key, bytes).await? {
                    Look::Ours(stored) => Settled::Won(stored),
                    Look::Theirs(_) | Look::Absent => Settled::Lost,
                });
            }
            // Nothing was applied, so nothing is in doubt that was not before.
            Ok(Outcome::Conflict) => {}
            Err(error) if doubt.is_none() => return Err(error),
            // An error here is a refusal of a further try after a first that may have applied.
            Ok(Outcome::Ambiguous(error)) | Err(error) => doubt = Some(error),
        }
        if doubt.is_some() {
            match (look(store, key, bytes).await, condition) {
                (Ok(Look::Ours(stored)), _) => return Ok(Settled::Won(stored)),
                (Ok(Look::Theirs(_)), PutIf::Absent) | (Ok(Look::Absent), PutIf::Matches(_)) => {
                    return Ok(Settled::Lost);
                }
                (Ok(Look::Theirs(etag)), PutIf::Matches(expected)) if etag != *expected => return Ok(Settled::Lost),
                // As it was before us: the condition makes another try safe.
                (Ok(Look::Theirs(_)), PutIf::Matches(_) | PutIf::Always)
                | (Ok(Look::Absent), PutIf::Absent | PutIf::Always) => {}
                (Err(error), _) => doubt = Some(error),
            }
        }
    }
    Err(unsettled(format!("putting {key:?}"), doubt))
}

/// Puts an object whose name says what it holds: already there is done. One there with other
/// bytes is damaged and is replaced.
pub async fn put_fixed(store: &dyn Store, key: &str, bytes: &Bytes, attributes: &Attributes) -> Result<Stored> {
    if let Settled::Won(stored) = put_settled(store, key, bytes, attributes, &PutIf::Absent).await? {
        return Ok(stored);
    }
    for _ in 0..TRIES {
        let condition = match head_look(store, key, bytes).await? {
            Look::Ours(stored) => return Ok(stored),
            Look::Theirs(etag) => PutIf::Matches(etag),
            Look::Absent => PutIf::Absent,
        };
        if let Settled::Won(stored) = put_settled(store, key, bytes, attributes, &condition).await? {
            return Ok(stored);
        }
    }
    Err(unsettled(format!("putting {key:?}"), None))
}

/// Puts a body whose name says what it holds: already there is done. One there of another size
/// is damaged and is replaced. Gives the bytes that had to be sent.
pub async fn assemble_fixed(
    store: &dyn Store,
    key: &str,
    body: &Body,
    mut reused: &[Reused<'_>],
    attributes: &Attributes,
) -> Result<u64> {
    let (mut condition, mut doubt) = (PutIf::Absent, None);
    for attempt in 0..TRIES {
        pause(store, attempt).await;
        match store.assemble(key, body, reused, attributes, condition.clone()).await {
            Ok(Outcome::Done(assembled)) => return Ok(assembled.sent_bytes),
            Ok(Outcome::Conflict) => continue,
            Ok(Outcome::Lost | Outcome::Missing) => {}
            Ok(Outcome::Ambiguous(error)) => doubt = Some(error),
            // A store that can put but not join.
            Err(error) if !reused.is_empty() => doubt = Some(error),
            Err(error) => return Err(error),
        }
        // Whatever it was that could not be joined is sent.
        reused = &[];
        match store.head(key).await {
            Ok(Some(there)) if there.size_bytes == body.length_bytes() => return Ok(0),
            Ok(Some(there)) => condition = PutIf::Matches(there.etag),
            Ok(None) => condition = PutIf::Absent,
            Err(error) => doubt = Some(error),
        }
    }
    Err(unsettled(format!("putting {key:?}"), doubt))
}

/// Puts a body that `reused` has most of, under a key of its own: whatever has its length there is it.
/// `None` when an object that it is to be joined from has changed or is gone.
pub async fn join_own(
    store: &dyn Store,
    key: &str,
    body: &Body,
    reused: &[Reused<'_>],
    attributes: &Attributes,
) -> Result<Option<Object>> {
    let (mut condition, mut doubt) = (PutIf::Absent, None);
    for attempt in 0..TRIES {
        pause(store, attempt).await;
        let lost = match store.assemble(key, body, reused, attributes, condition.clone()).await? {
            Outcome::Conflict => continue,
            Outcome::Done(_) => false,
            Outcome::Lost | Outcome::Missing => true,
            Outcome::Ambiguous(error) => {
                doubt = Some(error);
                false
            }
        };
        match store.head(key).await {
            Ok(Some(there)) if there.size_bytes == body.length_bytes() => return Ok(Some(there)),
            // Nobody is in the way, so it is what it was to be joined from.
            Ok(None) if lost && condition == PutIf::Absent => return Ok(None),
            Ok(None) => condition = PutIf::Absent,
            Ok(Some(there)) => condition = PutIf::Matches(there.etag),
            Err(error) => doubt = Some(error),
        }
    }
    Err(unsettled(format!("putting {key:?}"), doubt))
}

/// Puts an object that nobody else writes, or whose newest version is the right one.
pub async fn put_always(store: &dyn Store, key: &str, bytes: &Bytes, attributes: &Attributes) -> Result<()> {
    put_settled(store, key, bytes, attributes, &PutIf::Always).await.map(drop)
}

/// Deletes `key` if it still has this ETag. Won when no object with this ETag is there any more
/// (also when somebody else deleted it).
pub async fn delete_settled(store: &dyn Store, key: &str, if_match: &ETag) -> Result<Settled<()>> {
    let mut doubt = None;
    for attempt in 0..TRIES {
        pause(store, attempt).await;
        match store.delete(key, if_match).await? {
            Outcome::Done(()) | Outcome::Missing => return Ok(Settled::Won(())),
            Outcome::Lost => return Ok(Settled::Lost),
            Outcome::Conflict => continue,
            Outcome::Ambiguous(error) => doubt = Some(error),
        }
        match store.head(key).await {
            Ok(None) => return Ok(Settled::Won(())),
            Ok(Some(object)) if object.etag != *if_match => return Ok(Settled::Lost),
            Ok(Some(_)) => {}
            Err(error) => doubt = Some(error),
        }
    }
    Err(unsettled(format!("deleting {key:?}"), doubt))
}

/// Copies `copy.source`, as it was seen, to a target that must not exist. The copy carries
/// [`SOURCE_ETAG`], by which a later look knows it where the store keeps user metadata.
pub async fn copy_settled(store: &dyn Store, copy: Copy<'_>) -> Result<Copied> {
    let mut attributes = copy.attributes.clone();
    attributes.user.insert(SOURCE_ETAG.to_owned(), copy.source.etag.as_str().to_owned());
    let copy = Copy { attributes: &attributes, ..copy };
    let mut doubt = None;
    for attempt in 0..TRIES {
        pause(store, attempt).await;
        let is_refused = match store.copy(copy).await? {
            Outcome::Done(stored) => return Ok(Copied::Done(stored)),
            Outcome::Conflict => continue,
            Outcome::Lost | Outcome::Missing => true,
            Outcome::Ambiguous(error) => {
                doubt = Some(error);
                false
            }
        };
        match look_at_both(store, copy).await {
            Ok(Some(copied)) => return Ok(copied),
            // Both ends are as they were, so it was the bytes: somebody writes in them and hides it. Who goes on
            // asking gives an uploader the time of all tries.
            Ok(None) if is_refused && copy.judged.is_some() => return Ok(Copied::SourceChanged),
            Ok(None) => {}
            Err(error) => doubt = Some(error),
        }
    }
    Err(unsettled(format!("copying {:?} to {:?}", copy.source.key, copy.target), doubt))
}

/// What a copy's two ends say; `None` when all is as it was before the copy. A target that holds the
/// source's bytes counts only while the source is there: else it may be what somebody else copied,
/// published and removed again.
async fn look_at_both(store: &dyn Store, copy: Copy<'_>) -> Result<Option<Copied>> {
    match store.head(&copy.source.key).await? {
        None => return Ok(Some(Copied::SourceMissing)),
        Some(source) if source.etag != copy.source.etag => return Ok(Some(Copied::SourceChanged)),
        Some(_) => {}
    }
    let Some(target) = store.head(copy.target).await? else { return Ok(None) };
    let same_digest = target.sha256.is_some() && target.sha256 == copy.source.sha256;
    let same_source = target.user.get(SOURCE_ETAG).is_some_and(|etag| etag == copy.source.etag.as_str());
    let same_size = target.size_bytes == copy.source.size_bytes;
    Ok(Some(if same_size && (same_digest || same_source) {
        Copied::Found(Stored { etag: target.etag, sha256: target.sha256, since: Some(target.since) })
    } else {
        Copied::Occupied(target)
    }))
}

enum Look {
    Absent,
    Ours(Stored),
    Theirs(ETag),
}

/// Compares what is there with `bytes`, byte by byte.
async fn look(store: &dyn Store, key: &str, bytes: &Bytes) -> Result<Look> {
    Ok(match store.get(key, None).await? {
        None => Look::Absent,
        Some(read) if read.bytes == *bytes => {
            let Object { etag, since, .. } = read.object;
            Look::Ours(Stored { etag, sha256: Some(Sha256::of(bytes)), since: Some(since) })
        }
        Some(read) => Look::Theirs(read.object.etag),
    })
}

/// Compares what is there with `bytes` by size, and by digest where the store knows it.
async fn head_look(store: &dyn Store, key: &str, bytes: &Bytes) -> Result<Look> {
    let Some(object) = store.head(key).await? else { return Ok(Look::Absent) };
    let ours =
        object.size_bytes == bytes.len() as u64 && object.sha256.is_none_or(|sha256| sha256 == Sha256::of(bytes));
    let Object { etag, sha256, since, .. } = object;
    Ok(if ours { Look::Ours(Stored { etag, sha256, since: Some(since) }) } else { Look::Theirs(etag) })
}

fn unsettled(doing: String, doubt: Option<Error>) -> Error {
    let hint = "the store did not answer clearly; it is looked at again before anything else is done";
    match doubt {
        Some(error) => Error::new(error.kind(), doing).because(error).hint(hint),
        None => Error::new(ErrorKind::Conflict, doing).hint(hint),
    }
}

/// The pause before try number `attempt` (none before the first). Full jitter: writers that
/// collided once do not meet again.
pub async fn pause(store: &dyn Store, attempt: u32) {
    let Some(doublings) = attempt.checked_sub(1) else { return };
    let longest = FIRST_PAUSE.saturating_mul(1 << doublings.min(16)).min(LONGEST_PAUSE);
    tokio::time::sleep(longest.mul_f64(store.jitter())).await;
}

#[cfg(test)]
mod tests;
