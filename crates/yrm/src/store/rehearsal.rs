//! A bucket in which nothing that is written leaves this process: whoever reads sees it, and the bucket stays as it
//! is. A dry run is the real one in such a bucket, so what it shows is what the real one does.
//!
//! What is copied is remembered, not read. The bytes of what is made (metadata, records) stay in memory or in the
//! files that they were made in.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::ops::{Bound, Range};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use rpmmd::checksum::Sha256;
use rpmmd::repodata::ReadRange as _;

use super::body::{Body, LocalFile};
use super::contract::clip;
use super::{
    Abilities, Assembled, Attributes, Copy, ETag, Object, Outcome, PAGE_OBJECTS, Page, ProbeRow, PutIf, Read, Reused,
    Store, Stored,
};
use crate::config::Folders;
use crate::error::{Error, ErrorKind, Result};

/// A bucket, and what would be written to it.
#[derive(Debug)]
pub struct Rehearsal {
    inner: Arc<dyn Store>,
    /// What was written, by key.
    changes: Mutex<BTreeMap<String, Change>>,
    /// How listings go on, by prefix and what a page called the place where the next one starts.
    pages: Mutex<HashMap<(String, String), Resume>>,
    /// Held from a condition's look to what it allows.
    turn: tokio::sync::Mutex<()>,
    made: AtomicU64,
    now: Timestamp,
}

/// Where a listing goes on.
#[derive(Debug, Clone, Default)]
struct Resume {
    /// What the bucket calls the place: it may call it what it likes.
    inner: Option<String>,
    /// The last key that was listed.
    last: Option<String>,
}

impl Resume {
    /// At a key.
    fn at(key: &str) -> Self {
        Self { inner: Some(key.to_owned()), last: Some(key.to_owned()) }
    }
}

/// What became of a key.
#[derive(Debug, Clone)]
enum Change {
    Made(Arc<Made>),
    Deleted,
}

impl Change {
    fn made(self) -> Option<Arc<Made>> {
        match self {
            Self::Made(made) => Some(made),
            Self::Deleted => None,
        }
    }
}

/// An object that exists here only.
#[derive(Debug, Clone)]
struct Made {
    object: Object,
    bytes: Source,
}

/// Where its bytes are.
#[derive(Debug, Clone)]
enum Source {
    Here(Body),
    /// In an object of the bucket, as it was seen.
    There(Object),
    /// Ranges of it in objects, and the rest here.
    Joined(Body, Vec<(Range<u64>, Object, u64)>),
}

impl Rehearsal {
    /// Of `inner`, at a time: what is written is as old as that.
    pub fn of(inner: Arc<dyn Store>, now: Timestamp) -> Self {
        Self {
            inner,
            changes: Mutex::default(),
            pages: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            made: AtomicU64::new(0),
            now,
        }
    }

    fn changes(&self) -> MutexGuard<'_, BTreeMap<String, Change>> {
        // A change is one insert: a thread that panicked left none half made.
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pages(&self) -> MutexGuard<'_, HashMap<(String, String), Resume>> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self, key: &str) -> Option<Change> {
        self.changes().get(key).cloned()
    }

    /// Remembers an object whose condition holds.
    fn make(&self, key: &str, bytes: Source, size_bytes: u64, about: &About<'_>) -> Stored {
        let etag = ETag::new(format!("\"rehearsed-{}\"", self.made.fetch_add(1, Ordering::Relaxed)));
        let object = Object {
            key: key.to_owned(),
            etag: etag.clone(),
            size_bytes,
            modified: about.modified.unwrap_or(self.now),
            since: self.now,
            sha256: about.sha256,
            user: about.attributes.user.clone(),
        };
        self.changes().insert(key.to_owned(), Change::Made(Arc::new(Made { object, bytes })));
        Stored { etag, sha256: about.sha256, since: Some(self.now) }
    }

    /// Why a put does not apply, if it does not.
    async fn refusal<T>(&self, key: &str, condition: &PutIf) -> Result<Option<Outcome<T>>> {
        if *condition == PutIf::Always {
            return Ok(None);
        }
        let there = self.head(key).await?;
        Ok(match (condition, there) {
            (PutIf::Absent, Some(_)) => Some(Outcome::Lost),
            (PutIf::Matches(_), None) => Some(Outcome::Missing),
            (PutIf::Matches(etag), Some(there)) if there.etag != *etag => Some(Outcome::Lost),
            (PutIf::Always, _) | (PutIf::Absent, None) | (PutIf::Matches(_), Some(_)) => None,
        })
    }

    /// Bytes of what was made; `None` when what they were to come from has changed.
    async fn bytes_of(&self, made: &Made, range: Range<u64>) -> Result<Option<Bytes>> {
        match &made.bytes {
            Source::Here(body) => body.read(range).map(Some).map_err(|error| unreadable(&made.object.key, error)),
            Source::There(object) => bytes_there(self.inner.as_ref(), object, range).await,
            Source::Joined(body, pieces) => {
                let mut joined = BytesMut::new();
                let mut at = range.start;
                while at < range.end {
                    let bytes = match next_piece(pieces, at..range.end) {
                        Piece::There(object, range) => bytes_there(self, object, range).await?,
                        Piece::Here(range) => {
                            Some(body.read(range).map_err(|error| unreadable(&made.object.key, error))?)
                        }
                    };
                    let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) else { return Ok(None) };
                    at += bytes.len() as u64;
                    joined.extend_from_slice(&bytes);
                }
                Ok(Some(joined.freeze()))
            }
        }
    }

    /// Where the bytes of an object are that was just looked at.
    fn origin(&self, key: &str, object: &Object) -> Option<Source> {
        match self.changed(key) {
            None => Some(Source::There(object.clone())),
            Some(change) => change.made().map(|made| made.bytes.clone()),
        }
    }
}

/// What is known of an object beside its bytes.
struct About<'a> {
    attributes: &'a Attributes,
    sha256: Option<Sha256>,
    modified: Option<Timestamp>,
}

/// Where the next bytes of something joined are.
enum Piece<'a> {
    Here(Range<u64>),
    There(&'a Object, Range<u64>),
}

/// The piece at the beginning of a range that is not empty.
fn next_piece(pieces: &[(Range<u64>, Object, u64)], range: Range<u64>) -> Piece<'_> {
    let Range { start, end } = range;
    if let Some((at, object, from)) = pieces.iter().find(|(at, ..)| at.contains(&start)) {
        let from = from + (start - at.start);
        return Piece::There(object, from..from + (at.end.min(end) - start));
    }
    let next = pieces.iter().map(|(at, ..)| at.start).find(|at| *at > start);
    Piece::Here(start..next.map_or(end, |next| next.min(end)))
}

/// Bytes of an object as it was seen; `None` when it changed.
async fn bytes_there(store: &dyn Store, object: &Object, range: Range<u64>) -> Result<Option<Bytes>> {
    let read = store.get(&object.key, Some(range)).await?;
    Ok(read.filter(|read| read.object.etag == object.etag).map(|read| read.bytes))
}

fn unreadable(key: &str, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, format!("reading what would be {key}")).because(error)
}

#[async_trait]
impl Store for Rehearsal {
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page> {
        let place = |next: &str| (prefix.to_owned(), next.to_owned());
        let resumed = after.map(|after| self.pages().get(&place(after)).cloned().unwrap_or_else(|| Resume::at(after)));
        let Resume { inner, last } = resumed.unwrap_or_default();
        let mut page = self.inner.list(prefix, inner.as_deref()).await?;
        let ends = page.objects.last().map(|object| object.key.clone());
        let changes = self.changes();
        page.objects
            .retain(|object| !changes.contains_key(&object.key) && last.as_ref().is_none_or(|last| object.key > *last));
        let from = match &last {
            Some(last) if last.as_str() >= prefix => Bound::Excluded(last.as_str()),
            Some(_) | None => Bound::Included(prefix),
        };
        let made = changes.range::<str, _>((from, Bound::Unbounded)).take_while(|(key, _)| key.starts_with(prefix));
        let made = made.take_while(|(key, _)| page.next.is_none() || ends.as_ref().is_some_and(|ends| *key <= ends));
        let made = made.filter_map(|(_, change)| change.clone().made());
        let made = made.map(|made| Object { sha256: None, user: BTreeMap::new(), ..made.object.clone() });
        page.objects.extend(made.collect::<Vec<_>>());
        drop(changes);
        page.objects.sort_by(|a, b| a.key.cmp(&b.key));
        let resume = if page.objects.len() > PAGE_OBJECTS {
            page.objects.truncate(PAGE_OBJECTS);
            let last = page.objects.last().map(|object| object.key.clone());
            page.next.clone_from(&last);
            Resume { inner, last }
        } else {
            Resume { inner: page.next.clone(), last: ends.or(last) }
        };
        if let Some(next) = &page.next {
            self.pages().insert(place(next), resume);
        }
        Ok(page)
    }

    async fn head(&self, key: &str) -> Result<Option<Object>> {
        match self.changed(key) {
            Some(change) => Ok(change.made().map(|made| made.object.clone())),
            None => self.inner.head(key).await,
        }
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<Read>> {
        let Some(change) = self.changed(key) else { return self.inner.get(key, range).await };
        let Some(made) = change.made() else { return Ok(None) };
        let range = clip(range, made.object.size_bytes);
        let bytes = self.bytes_of(&made, range).await?;
        Ok(bytes.map(|bytes| Read { object: Object { sha256: None, ..made.object.clone() }, bytes }))
    }

    async fn put(&self, key: &str, bytes: Bytes, attributes: &Attributes, condition: PutIf) -> Result<Outcome<Stored>> {
        let _turn = self.turn.lock().await;
        if let Some(refusal) = self.refusal(key, &condition).await? {
            return Ok(refusal);
        }
        let about = About { attributes, sha256: Some(Sha256::of(&bytes)), modified: None };
        let size_bytes = bytes.len() as u64;
        Ok(Outcome::Done(self.make(key, Source::Here(Body::Memory(bytes)), size_bytes, &about)))
    }

    async fn put_file(&self, key: &str, file: &Path, attributes: &Attributes) -> Result<Stored> {
        let local = File::open(file).and_then(LocalFile::kept).map_err(|error| unreadable(key, error))?;
        let body = Body::File(Arc::new(local));
        let size_bytes = body.length_bytes();
        let about = About { attributes, sha256: None, modified: None };
        Ok(self.make(key, Source::Here(body), size_bytes, &about))
    }

    async fn assemble(
        &self,
        key: &str,
        body: &Body,
        reused: &[Reused<'_>],
        attributes: &Attributes,
        condition: PutIf,
    ) -> Result<Outcome<Assembled>> {
        let _turn = self.turn.lock().await;
        if let Some(refusal) = self.refusal(key, &condition).await? {
            return Ok(refusal);
        }
        for Reused { object, .. } in reused {
            match self.head(&object.key).await? {
                None => return Ok(Outcome::Missing),
                Some(there) if there.etag != object.etag => return Ok(Outcome::Lost),
                Some(_) => {}
            }
        }
        let size_bytes = body.length_bytes();
        let sent_bytes = size_bytes - reused.iter().map(|reused| reused.at.end - reused.at.start).sum::<u64>();
        let bytes = if body.is_whole() {
            Source::Here(body.clone())
        } else {
            let pieces = reused.iter().map(|reused| (reused.at.clone(), reused.object.clone(), reused.from));
            Source::Joined(body.clone(), pieces.collect())
        };
        let about = About { attributes, sha256: None, modified: None };
        let stored = self.make(key, bytes, size_bytes, &about);
        Ok(Outcome::Done(Assembled { stored, sent_bytes }))
    }

    async fn open_local(&self, key: &str) -> Result<Option<File>> {
        match self.changed(key) {
            None => self.inner.open_local(key).await,
            Some(change) => match change.made().as_deref() {
                Some(Made { bytes: Source::There(object), .. }) => self.inner.open_local(&object.key).await,
                Some(_) | None => Ok(None),
            },
        }
    }

    fn scratch(&self) -> Option<PathBuf> {
        None
    }

    async fn copy(&self, copy: Copy<'_>) -> Result<Outcome<Stored>> {
        let _turn = self.turn.lock().await;
        let Some(source) = self.head(&copy.source.key).await? else { return Ok(Outcome::Missing) };
        if source.etag != copy.source.etag || self.head(copy.target).await?.is_some() {
            return Ok(Outcome::Lost);
        }
        let Some(bytes) = self.origin(&copy.source.key, &source) else { return Ok(Outcome::Missing) };
        let about =
            About { attributes: copy.attributes, sha256: copy.judged.or(source.sha256), modified: copy.modified };
        Ok(Outcome::Done(self.make(copy.target, bytes, source.size_bytes, &about)))
    }

    async fn delete(&self, key: &str, if_match: &ETag) -> Result<Outcome<()>> {
        let _turn = self.turn.lock().await;
        Ok(match self.head(key).await? {
            None => Outcome::Missing,
            Some(there) if there.etag != *if_match => Outcome::Lost,
            Some(_) => {
                self.changes().insert(key.to_owned(), Change::Deleted);
                Outcome::Done(())
            }
        })
    }

    async fn delete_hindrance(&self, key: &str) -> Result<Option<String>> {
        match self.changed(key) {
            None => self.inner.delete_hindrance(key).await,
            Some(_) => Ok(None),
        }
    }

    async fn examine(&self, folders: &Folders) -> Result<Vec<ProbeRow>> {
        self.inner.examine(folders).await
    }

    fn jitter(&self) -> f64 {
        self.inner.jitter()
    }

    /// What is not known of the bucket without trying is not tried: nothing is sent there.
    fn abilities(&self) -> Option<Abilities> {
        Some(self.inner.abilities().unwrap_or(Abilities::ALL))
    }

    fn uploads_are_atomic(&self) -> bool {
        self.inner.uploads_are_atomic()
    }
}
