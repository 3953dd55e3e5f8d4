//! repomd.xml and the signature beside it: two objects, and no store swaps two at once.
//!
//! The signature goes first and repomd.xml at once after it; a client in between sees a pair that does
//! not match, and asks again. Two looks keep such a pair from staying, whoever runs at the same time:
//! who has switched repomd.xml looks whether the signature is still the one it put, and who has signed
//! what was there looks whether it still is. Whoever comes upon a pair that does not match (a writer
//! died in between, or was second) mends it before anything else: by signing the *current* repomd.xml.
//!
//! With signing off, a signature that is there goes before repomd.xml changes: none is ever stale.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use rpmmd::checksum::Sha256;
use tokio::time::Instant;

use crate::bucket::signature::{Signature, read};
use crate::bucket::state::Current;
use crate::bucket::{Bucket, aside};
use crate::error::{Error, ErrorKind, Result};
use crate::publish::abilities::abilities;
use crate::store::key::{Key, RepositoryDir};
use crate::store::settle::{self, Put, Settled, TRIES};
use crate::store::{ETag, PutIf};

/// How much longer than after other lost races is waited before a pair is looked at again: another
/// writer's gap between its two puts should be over by then.
const GAP: u32 = 2;

/// What a look at a pair found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// The signature that goes with this repomd.xml, or what lies there in its place.
    Pair(Option<Signature>),
    /// Another repomd.xml is the truth by now: look at that.
    Moved,
}

/// Looks at the signature beside the repomd.xml that was just read. In signed mode a pair that does not
/// match is mended first.
pub async fn look(
    bucket: &Bucket,
    repository: &RepositoryDir,
    current: Option<&Current>,
    at: Timestamp,
) -> Result<Look> {
    let there = read(bucket, repository).await?;
    let current = current.and_then(|current| Some((current.etag.as_ref()?, &current.bytes)));
    let (Some(signer), Some((etag, bytes))) = (&bucket.signer, current) else { return Ok(Look::Pair(there)) };
    if there.as_ref().is_some_and(|there| signer.has_signed(bytes, &there.bytes)) {
        return Ok(Look::Pair(there));
    }
    Ok(match mend(bucket, repository, at).await? {
        Some(mended) if mended.repomd == *etag => Look::Pair(mended.signature),
        Some(_) | None => Look::Moved,
    })
}

/// A pair that was looked at and mended where need was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mended {
    /// Which repomd.xml it was.
    pub repomd: ETag,
    /// The signature beside it. It goes with it, unless yrm did not write that repomd.xml.
    pub signature: Option<Signature>,
}

/// Makes the signature go with the current repomd.xml, if there is one and signing is on. What has no
/// catalog was written by somebody else: that is not signed before it was taken over.
pub async fn mend(bucket: &Bucket, repository: &RepositoryDir, at: Timestamp) -> Result<Option<Mended>> {
    let (Some(signer), store) = (&bucket.signer, bucket.store.as_ref()) else { return Ok(None) };
    let repomd_key = bucket.path(Key::Repomd { repository });
    for attempt in 0..TRIES {
        settle::pause(store, if attempt == 0 { 0 } else { attempt + GAP }).await;
        let Some(repomd) = store.get(&repomd_key, None).await? else { return Ok(None) };
        let there = read(bucket, repository).await?;
        if let Some(there) = there.clone().filter(|there| signer.has_signed(&repomd.bytes, &there.bytes)) {
            return Ok(Some(Mended { repomd: repomd.object.etag, signature: Some(there) }));
        }
        // The first look may have been into the gap of a writer that is at work.
        if attempt == 0 {
            continue;
        }
        let catalog = bucket.path(Key::Catalog { repository, repomd: Sha256::of(&repomd.bytes) });
        if store.head(&catalog).await?.is_none() {
            tracing::warn!(%repository, "{repomd_key} was written by something else; it is signed when it is taken over");
            return Ok(Some(Mended { repomd: repomd.object.etag, signature: there }));
        }
        let Some(signature) = sign(bucket, &repomd.bytes, at).await? else { return Ok(None) };
        let Settled::Won(signature) = put(bucket, repository, there.as_ref(), signature, None).await? else { continue };
        tracing::warn!(%repository, "repomd.xml and its signature did not match; signed anew");
        if store.head(&repomd_key).await?.is_some_and(|there| there.etag == repomd.object.etag) {
            return Ok(Some(Mended { repomd: repomd.object.etag, signature: Some(signature) }));
        }
    }
    Err(Error::new(ErrorKind::Conflict, format!("mending the signature of {repository}"))
        .because("other writers keep changing it or repomd.xml")
        .hint("if it stays so, let all of them sign with the same keys; the next run looks again"))
}

/// The signature of what is about to be the truth; `None` with signing off.
pub async fn sign(bucket: &Bucket, bytes: &Bytes, at: Timestamp) -> Result<Option<Bytes>> {
    let Some(signer) = bucket.signer.clone() else { return Ok(None) };
    publish_keys(bucket).await?;
    let (bytes, busy) = (bytes.clone(), Arc::clone(&signer));
    let begun = aside("signing", move || busy.begin(&bytes, at)).await??;
    signer.finish(begun).await.map(Some)
}

/// The first half of a switch: `signature` takes the place of what was seen there, or that goes. Lost
/// means that another writer was first.
pub async fn replace(
    bucket: &Bucket,
    repository: &RepositoryDir,
    seen: Option<&Signature>,
    signature: Option<Bytes>,
    until: Instant,
) -> Result<Settled<Option<Signature>>> {
    match (seen, signature) {
        (_, Some(signature)) => Ok(match put(bucket, repository, seen, signature, Some(until)).await? {
            Settled::Won(signature) => Settled::Won(Some(signature)),
            Settled::Lost => Settled::Lost,
        }),
        (Some(seen), None) => remove(bucket, repository, seen).await,
        (None, None) => Ok(Settled::Won(None)),
    }
}

/// After a switch to `repomd` that was won: the signature that goes with it, which another writer may
/// have replaced meanwhile by one of what was there before.
pub async fn confirm(
    bucket: &Bucket,
    repository: &RepositoryDir,
    repomd: &ETag,
    put: Option<Signature>,
    at: Timestamp,
) -> Result<Option<Signature>> {
    let Some(put) = put else { return Ok(None) };
    let there = bucket.store.head(&bucket.path(Key::Signature { repository })).await?;
    if there.is_some_and(|there| there.etag == put.etag) {
        return Ok(Some(put));
    }
    let mended = mend(bucket, repository, at).await?;
    Ok(mended.filter(|mended| mended.repomd == *repomd).and_then(|mended| mended.signature))
}

/// After a switch that was lost or is in doubt: what was put for it must not stay. The next look mends
/// what this one cannot.
pub async fn mend_after_loss(bucket: &Bucket, repository: &RepositoryDir, at: Timestamp) {
    if let Err(error) = mend(bucket, repository, at).await {
        tracing::warn!(%repository, error = error.chain(), "the signature may not match; the next look mends it");
    }
}

async fn put(
    bucket: &Bucket,
    repository: &RepositoryDir,
    seen: Option<&Signature>,
    bytes: Bytes,
    until: Option<Instant>,
) -> Result<Settled<Signature>> {
    let key = Key::Signature { repository };
    let condition = seen.map_or(PutIf::Absent, |seen| PutIf::Matches(seen.etag.clone()));
    let (path, attributes) = (bucket.path(key), key.attributes());
    // Known before a commit; a look that finds nothing to mend need not ask.
    abilities(bucket).await?;
    let put = Put { key: &path, bytes: &bytes, attributes: &attributes, condition: &condition };
    // Clients see a gap until repomd.xml follows.
    Ok(match settle::put_until(bucket.prompt.as_ref(), put, until).await? {
        Settled::Won(stored) => Settled::Won(Signature { etag: stored.etag, bytes }),
        Settled::Lost => Settled::Lost,
    })
}

/// Removes a signature that would be stale.
async fn remove(bucket: &Bucket, repository: &RepositoryDir, seen: &Signature) -> Result<Settled<Option<Signature>>> {
    let (store, path) = (bucket.store.as_ref(), bucket.path(Key::Signature { repository }));
    // A store that would delete whatever is there is asked first.
    if !abilities(bucket).await?.conditional_delete
        && store.head(&path).await?.is_some_and(|there| there.etag != seen.etag)
    {
        return Ok(Settled::Lost);
    }
    tracing::warn!(%repository, "signing is off: {path} is removed, for it would not match what is published now");
    Ok(match settle::delete_settled(store, &path, &seen.etag).await? {
        Settled::Won(()) => Settled::Won(None),
        Settled::Lost => Settled::Lost,
    })
}

/// Puts the public keys where clients fetch them, before the first signature by them. Looked at once in
/// a process.
pub async fn publish_keys(bucket: &Bucket) -> Result<()> {
    let Some(signer) = &bucket.signer else { return Ok(()) };
    let (store, key) = (bucket.store.as_ref(), Key::PublicKeys { name: signer.name() });
    let path = bucket.path(key);
    let publish = async || {
        let bytes = signer.key_file()?;
        for attempt in 0..TRIES {
            settle::pause(store, attempt).await;
            let condition = match store.get(&path, None).await? {
                Some(there) if signer.is_key_file(&there.bytes) => return Ok(()),
                Some(there) => PutIf::Matches(there.object.etag),
                None => PutIf::Absent,
            };
            abilities(bucket).await?;
            if let Settled::Won(_) = settle::put_settled(store, &path, &bytes, &key.attributes(), &condition).await? {
                return Ok(());
            }
        }
        Err(Error::new(ErrorKind::Conflict, format!("putting {path}"))
            .hint("other writers keep putting other keys there"))
    };
    bucket.keys_published.get_or_try_init(publish).await.copied()
}
