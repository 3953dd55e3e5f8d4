//! A store that goes wrong on purpose: a wrapper around any store, for tests and campaigns.
//!
//! What becomes of a call is decided by a [`Script`], which is shown every call before it is made.
//! The wrapper itself knows no randomness but its seed for [`Store::jitter`], and no time. It shows
//! what a caller of the trait can meet; how HTTP answers become these is the S3 store's matter and
//! is tested there.

use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::body::Body;
use super::{
    Abilities, Assembled, Attributes, Copy, ETag, Object, Outcome, Page, ProbeRow, PutIf, Read, Reused, Store, Stored,
};
use crate::config::Folders;
use crate::error::{Error, ErrorKind, Result};

/// What is asked of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// A page of a listing.
    List,
    /// What is stored under a key.
    Head,
    /// An object's bytes.
    Get,
    /// A put, whole or assembled.
    Put,
    /// A copy; its key is the target.
    Copy,
    /// A delete.
    Delete,
}

impl Verb {
    /// Whether it can change anything.
    pub fn writes(self) -> bool {
        matches!(self, Self::Put | Self::Copy | Self::Delete)
    }
}

/// One call, before it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call<'a> {
    /// Calls of this wrapper before it.
    pub number: u64,
    /// What is asked.
    pub verb: Verb,
    /// The key, or the prefix of a listing.
    pub key: &'a str,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Fate {
    /// It is made and answered.
    #[default]
    Goes,
    /// It is refused (403); nothing is applied.
    Refused,
    /// The object is in an archive (403); nothing is applied.
    Archived,
    /// It does not get there (500, 503, a reset, a timeout, 200 with an error inside); nobody knows.
    Lost,
    /// It applies, and the answer does not come back.
    Unanswered,
    /// Nobody knows, and it applies this much later: it was under way all the time.
    Late(Duration),
    /// 409: another conditional call was in flight; nothing is applied. A read is lost.
    Conflicts,
    /// The process dies before it.
    DiesBefore,
    /// It applies, and the process dies before the answer.
    DiesAfter,
}

/// What happens around a call.
#[derive(Default)]
pub struct Turn {
    /// First this, if anything: time goes by, or somebody else acts.
    pub before: Option<BoxFuture<'static, ()>>,
    /// Then the call.
    pub fate: Fate,
    /// Then this, before the caller hears of it.
    pub after: Option<BoxFuture<'static, ()>>,
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").field("fate", &self.fate).finish_non_exhaustive()
    }
}

impl From<Fate> for Turn {
    fn from(fate: Fate) -> Self {
        Self { fate, ..Self::default() }
    }
}

/// Decides what becomes of every call.
pub trait Script: Send + Sync {
    /// Of this one.
    fn turn(&self, call: Call<'_>) -> Turn;
}

impl<F: Fn(Call<'_>) -> Turn + Send + Sync> Script for F {
    fn turn(&self, call: Call<'_>) -> Turn {
        self(call)
    }
}

/// The wrapper. One for each process that is played: they may share what is inside.
pub struct FaultStore {
    inner: Arc<dyn Store>,
    script: Box<dyn Script>,
    calls: AtomicU64,
    jitter: Mutex<StdRng>,
}

impl FaultStore {
    /// `inner`, with what `script` decides. The same seed gives the same jitter.
    pub fn new(inner: Arc<dyn Store>, seed: u64, script: impl Script + 'static) -> Self {
        let jitter = Mutex::new(StdRng::seed_from_u64(seed));
        Self { inner, script: Box::new(script), calls: AtomicU64::new(0), jitter }
    }

    /// Calls so far.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    async fn turn(&self, verb: Verb, key: &str) -> Turn {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let mut turn = self.script.turn(Call { number, verb, key });
        if let Some(before) = turn.before.take() {
            before.await;
        }
        turn
    }

    /// A call that only reads: it can fail, and its failing leaves no doubt.
    async fn read<T>(&self, verb: Verb, key: &str, call: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let turn = self.turn(verb, key).await;
        let answer = match turn.fate {
            Fate::Goes => call.await,
            Fate::Refused => Err(refused(key)),
            Fate::Archived => Err(archived(key)),
            Fate::Lost | Fate::Unanswered | Fate::Late(_) | Fate::Conflicts => Err(unavailable(key)),
            Fate::DiesBefore | Fate::DiesAfter => std::future::pending().await,
        };
        if let Some(after) = turn.after {
            after.await;
        }
        answer
    }

    /// A call that writes. It owns what it needs: it may outlive who makes it.
    async fn write<T: Send + 'static>(
        &self,
        verb: Verb,
        key: &str,
        call: BoxFuture<'static, Result<Outcome<T>>>,
    ) -> Result<Outcome<T>> {
        let turn = self.turn(verb, key).await;
        let answer = match turn.fate {
            Fate::Goes => call.await,
            Fate::Refused => Err(refused(key)),
            Fate::Archived => Err(archived(key)),
            Fate::Lost => Ok(Outcome::Ambiguous(unavailable(key))),
            Fate::Unanswered => call.await.map(|_| Outcome::Ambiguous(unavailable(key))),
            Fate::Late(late) => {
                // What is on its way arrives, also when the sender is dead by then.
                tokio::spawn(async move {
                    tokio::time::sleep(late).await;
                    drop(call.await);
                });
                Ok(Outcome::Ambiguous(unavailable(key)))
            }
            Fate::Conflicts => Ok(Outcome::Conflict),
            Fate::DiesBefore => std::future::pending().await,
            Fate::DiesAfter => {
                // What it answered is never heard.
                drop(call.await);
                std::future::pending().await
            }
        };
        if let Some(after) = turn.after {
            after.await;
        }
        answer
    }
}

impl fmt::Debug for FaultStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultStore").field("inner", &self.inner).field("calls", &self.calls).finish_non_exhaustive()
    }
}

fn unavailable(key: &str) -> Error {
    Error::new(ErrorKind::Unavailable, format!("waiting for the answer about {key:?}"))
}

fn archived(key: &str) -> Error {
    Error::new(ErrorKind::Archived, format!("asking for {key:?}"))
}

fn refused(key: &str) -> Error {
    Error::new(ErrorKind::Denied, format!("asking for {key:?}"))
}

#[async_trait]
impl Store for FaultStore {
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page> {
        self.read(Verb::List, prefix, self.inner.list(prefix, after)).await
    }

    async fn head(&self, key: &str) -> Result<Option<Object>> {
        self.read(Verb::Head, key, self.inner.head(key)).await
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<Read>> {
        self.read(Verb::Get, key, self.inner.get(key, range)).await
    }

    async fn put(&self, key: &str, bytes: Bytes, attributes: &Attributes, condition: PutIf) -> Result<Outcome<Stored>> {
        let (inner, attributes, to) = (Arc::clone(&self.inner), attributes.clone(), key.to_owned());
        let call = async move { inner.put(&to, bytes, &attributes, condition).await };
        self.write(Verb::Put, key, Box::pin(call)).await
    }

    async fn put_file(&self, key: &str, file: &Path, attributes: &Attributes) -> Result<Stored> {
        self.read(Verb::Put, key, self.inner.put_file(key, file, attributes)).await
    }

    async fn assemble(
        &self,
        key: &str,
        body: &Body,
        reused: &[Reused<'_>],
        attributes: &Attributes,
        condition: PutIf,
    ) -> Result<Outcome<Assembled>> {
        let (inner, body, attributes, to) = (Arc::clone(&self.inner), body.clone(), attributes.clone(), key.to_owned());
        let reused: Vec<_> = reused.iter().map(|one| (one.at.clone(), one.object.clone(), one.from)).collect();
        let call = async move {
            let reused: Vec<_> =
                reused.iter().map(|(at, object, from)| Reused { at: at.clone(), object, from: *from }).collect();
            inner.assemble(&to, &body, &reused, &attributes, condition).await
        };
        self.write(Verb::Put, key, Box::pin(call)).await
    }

    async fn open_local(&self, key: &str) -> Result<Option<File>> {
        self.inner.open_local(key).await
    }

    fn scratch(&self) -> Option<PathBuf> {
        self.inner.scratch()
    }

    async fn copy(&self, copy: Copy<'_>) -> Result<Outcome<Stored>> {
        let (inner, source, attributes) = (Arc::clone(&self.inner), copy.source.clone(), copy.attributes.clone());
        let (target, Copy { may_share, judged, modified, .. }) = (copy.target.to_owned(), copy);
        let call = async move {
            let copy = Copy { may_share, judged, modified, ..Copy::of(&source, &target, &attributes) };
            inner.copy(copy).await
        };
        self.write(Verb::Copy, copy.target, Box::pin(call)).await
    }

    async fn delete(&self, key: &str, if_match: &ETag) -> Result<Outcome<()>> {
        let (inner, etag, from) = (Arc::clone(&self.inner), if_match.clone(), key.to_owned());
        let call = async move { inner.delete(&from, &etag).await };
        self.write(Verb::Delete, key, Box::pin(call)).await
    }

    async fn delete_hindrance(&self, key: &str) -> Result<Option<String>> {
        self.inner.delete_hindrance(key).await
    }

    async fn examine(&self, folders: &Folders) -> Result<Vec<ProbeRow>> {
        self.inner.examine(folders).await
    }

    fn jitter(&self) -> f64 {
        self.jitter.lock().unwrap_or_else(PoisonError::into_inner).random()
    }

    fn abilities(&self) -> Option<Abilities> {
        self.inner.abilities()
    }

    fn uploads_are_atomic(&self) -> bool {
        self.inner.uploads_are_atomic()
    }
}
