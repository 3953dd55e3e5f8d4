//! repomd.xml and its signature, always of one revision.
//!
//! They are two objects, and a client asks for one after the other. So the gateway hands out pairs: whoever got the repomd.xml
//! of a revision gets the signature of that revision, whatever was published in between. Clients are told apart by address
//! and token. Where several share both, none of them is handed the next revision while another still has its signature to
//! fetch; a client that never asks for one is waited for [`SIGNATURE_FOLLOWS`], and nobody is kept behind for longer than
//! [`KEPT_BEHIND`] and that.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex as Lock, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use rpmmd::repomd::Repomd;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::bucket::{Bucket, signature};
use crate::error::{Error, Result};
use crate::store::key::{Key, RepositoryDir};
use crate::store::{ETag, Read};

/// A pair is believed for so long without a look at the bucket.
const FRESH: Duration = Duration::from_secs(1);
/// While the store does not answer, the last pair is handed out for so long.
const OUTAGE: Duration = Duration::from_mins(5);
/// A writer puts the signature and then repomd.xml: a pair that does not match does so after a moment.
const LOOKS: u32 = 20;
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);
/// A client asks for the signature this soon after repomd.xml, or not at all.
const SIGNATURE_FOLLOWS: Duration = Duration::from_secs(5);
/// Clients that share an address and a token stay with a revision for so long, at most, for each other's sake.
const KEPT_BEHIND: Duration = Duration::from_mins(1);
/// Whoever asks while the others are waited for is answered after so long at the latest.
const POLL: Duration = Duration::from_millis(50);
/// Repositories and clients that are kept in mind, at most.
const REPOSITORIES: usize = 10_000;
const CLIENTS: usize = 10_000;

/// A repomd.xml and what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) repomd: Part,
    /// `None` where there is none.
    pub(super) signature: Option<Part>,
}

/// One of the two, as it is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) bytes: Bytes,
    pub(super) etag: ETag,
    pub(super) modified: Timestamp,
}

impl Part {
    /// What was read.
    pub(super) fn of(read: Read) -> Self {
        Self { bytes: read.bytes, etag: read.object.etag, modified: read.object.modified }
    }
}

/// Clients that cannot be told apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Peer {
    pub(super) from: IpAddr,
    pub(super) token: Option<String>,
}

/// All pairs, and who has which.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    latest: Lock<BTreeMap<RepositoryDir, Arc<Latest>>>,
    given: Lock<HashMap<(Peer, RepositoryDir), Given>>,
}

/// What lies in the bucket.
#[derive(Debug, Default)]
struct Latest(Mutex<Option<(Arc<Pair>, Instant)>>);

/// What such clients were given.
#[derive(Debug)]
struct Given {
    pair: Arc<Pair>,
    /// Since when a newer one is kept from them.
    behind: Option<Instant>,
    /// Who has not fetched the signature: since when.
    waiting: VecDeque<Instant>,
    used: Instant,
}

impl Given {
    /// Whoever is expected to come for the signature.
    fn is_awaited(&mut self) -> bool {
        while self.waiting.front().is_some_and(|since| since.elapsed() >= SIGNATURE_FOLLOWS) {
            self.waiting.pop_front();
        }
        !self.waiting.is_empty()
    }
}

/// What becomes of a request for repomd.xml.
enum Turn {
    Take(Arc<Pair>),
    /// Others have to fetch their signature first.
    Wait,
}

impl Pairs {
    /// repomd.xml for such a client; `None` where there is none.
    pub(super) async fn repomd(
        &self,
        bucket: &Bucket,
        repository: &RepositoryDir,
        peer: &Peer,
    ) -> Result<Option<Part>> {
        loop {
            let Some(latest) = self.latest(bucket, repository).await? else { return Ok(None) };
            match self.turn(repository, peer, latest) {
                Turn::Take(pair) => return Ok(Some(pair.repomd.clone())),
                Turn::Wait => tokio::time::sleep(POLL).await,
            }
        }
    }

    /// The signature of what such a client was given last, or else of what lies there.
    pub(super) async fn signature(
        &self,
        bucket: &Bucket,
        repository: &RepositoryDir,
        peer: &Peer,
    ) -> Result<Option<Part>> {
        if let Some(given) = self.given().get_mut(&(peer.clone(), repository.clone())) {
            given.waiting.pop_front();
            given.used = Instant::now();
            return Ok(given.pair.signature.clone());
        }
        Ok(self.latest(bucket, repository).await?.and_then(|pair| pair.signature.clone()))
    }

    fn turn(&self, repository: &RepositoryDir, peer: &Peer, latest: Arc<Pair>) -> Turn {
        let mut all = self.given();
        let (client, now) = ((peer.clone(), repository.clone()), Instant::now());
        if all.len() >= CLIENTS && !all.contains_key(&client) {
            all.retain(|_, given| given.used.elapsed() < SIGNATURE_FOLLOWS);
            if all.len() >= CLIENTS {
                // So many at once: they see what lies there, as without a gateway.
                return Turn::Take(latest);
            }
        }
        let new = || Given { pair: Arc::clone(&latest), behind: None, waiting: VecDeque::new(), used: now };
        let given = all.entry(client).or_insert_with(new);
        given.used = now;
        if given.pair != latest {
            let since = *given.behind.get_or_insert(now);
            let is_awaited = given.is_awaited();
            if is_awaited && since.elapsed() >= KEPT_BEHIND {
                return Turn::Wait;
            }
            if !is_awaited {
                given.pair = latest;
                given.behind = None;
            }
        }
        // Who checks nothing never comes for it; what was not signed has none.
        if given.pair.signature.is_some() {
            given.waiting.push_back(now);
        }
        Turn::Take(Arc::clone(&given.pair))
    }

    fn given(&self) -> MutexGuard<'_, HashMap<(Peer, RepositoryDir), Given>> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn latest(&self, bucket: &Bucket, repository: &RepositoryDir) -> Result<Option<Arc<Pair>>> {
        let latest = {
            let mut all = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
            if all.len() >= REPOSITORIES && !all.contains_key(repository) {
                all.clear();
            }
            Arc::clone(all.entry(repository.clone()).or_default())
        };
        let mut known = latest.0.lock().await;
        if let Some((pair, _)) = known.as_ref().filter(|(_, at)| at.elapsed() < FRESH) {
            return Ok(Some(Arc::clone(pair)));
        }
        match read(bucket, repository, known.as_ref().map(|(pair, _)| pair)).await {
            Ok(Some(pair)) => {
                *known = Some((Arc::clone(&pair), Instant::now()));
                Ok(Some(pair))
            }
            Ok(None) => {
                *known = None;
                drop(known);
                // Whoever asks for what is not there leaves nothing behind.
                self.latest.lock().unwrap_or_else(PoisonError::into_inner).remove(repository);
                Ok(None)
            }
            Err(error) => match known.as_ref().filter(|(_, at)| at.elapsed() < OUTAGE) {
                Some((pair, _)) => {
                    tracing::warn!(%repository, "the store does not answer; clients get the last pair: {}", error.chain());
                    Ok(Some(Arc::clone(pair)))
                }
                None => Err(error),
            },
        }
    }
}

/// The pair that lies there; what is known already is not read again.
async fn read(bucket: &Bucket, repository: &RepositoryDir, known: Option<&Arc<Pair>>) -> Result<Option<Arc<Pair>>> {
    let key = bucket.path(Key::Repomd { repository });
    for look in 0..LOOKS {
        if look > 0 {
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        let Some(there) = bucket.store.get(&key, None).await? else { return Ok(None) };
        if let Some(known) =
            known.filter(|known| known.repomd.etag == there.object.etag && known.repomd.bytes == there.bytes)
            && (look == 0 && is_sure(bucket, known))
        {
            return Ok(Some(Arc::clone(known)));
        }
        match signature_of(bucket, repository, &there).await? {
            Found::Fits(signature) => return Ok(Some(Arc::new(Pair { repomd: Part::of(there), signature }))),
            Found::Other(signature) => {
                // The last pair that did match is better than one that does not.
                if look + 1 == LOOKS {
                    tracing::warn!(%repository, "repomd.xml and its signature do not match");
                    let pair = || Arc::new(Pair { repomd: Part::of(there), signature: Some(signature) });
                    return Ok(Some(known.map_or_else(pair, Arc::clone)));
                }
            }
        }
    }
    Ok(known.map(Arc::clone))
}

/// Whether nothing can be beside that repomd.xml but what was seen there.
fn is_sure(bucket: &Bucket, known: &Pair) -> bool {
    let (Some(signer), Some(signature)) = (&bucket.signer, &known.signature) else { return false };
    signer.has_signed(&known.repomd.bytes, &signature.bytes)
}

enum Found {
    Fits(Option<Part>),
    Other(Part),
}

/// The signature that goes with a repomd.xml.
async fn signature_of(bucket: &Bucket, repository: &RepositoryDir, repomd: &Read) -> Result<Found> {
    let beside = signature::read(bucket, repository).await?;
    let Some(beside) = beside else { return Ok(Found::Fits(None)) };
    let beside = Part { bytes: beside.bytes, etag: beside.etag, modified: repomd.object.modified };
    if let Some(signer) = &bucket.signer {
        let is_its = signer.has_signed(&repomd.bytes, &beside.bytes);
        return Ok(if is_its { Found::Fits(Some(beside)) } else { Found::Other(beside) });
    }
    // Without the key nobody can tell but by the copy that the writer keeps of both.
    let revision = Repomd::read(&repomd.bytes).ok().and_then(|repomd| repomd.revision.parse().ok());
    let Some(revision) = revision else { return Ok(Found::Fits(Some(beside))) };
    let copies = (Key::Generation { repository, revision }, Key::GenerationSignature { repository, revision });
    let copy = bucket.store.get(&bucket.path(copies.0), None).await?;
    if copy.is_none_or(|copy| copy.bytes != repomd.bytes) {
        return Ok(Found::Fits(Some(beside)));
    }
    let copy = bucket.store.get(&bucket.path(copies.1), None).await?;
    Ok(Found::Fits(Some(copy.map_or(beside, Part::of))))
}

/// What is answered where a pair cannot be read.
pub(super) fn unreadable(error: &Error, repository: &RepositoryDir) {
    tracing::warn!(%repository, kind = error.kind().name(), "repomd.xml could not be read for a client: {}", error.chain());
}
