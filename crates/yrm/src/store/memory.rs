//! A bucket in memory: S3's answers without S3, for tests and simulations.
//!
//! Strongly consistent; a call applies wholly at one instant. As on S3, an ETag is a function of
//! the bytes, so equal bytes that come back bring the old ETag back. Every version of every key
//! is kept for a test to look at. It never reads the wall clock: time is a function given at the
//! start, by default one second more with every write.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::ops::Bound;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use rpmmd::checksum::Sha256;
use rpmmd::repodata::ReadRange as _;

use super::body::Body;
use super::contract::clip;
use super::key::MAX_KEY_BYTES;
use super::{
    Abilities, Assembled, Attributes, Copy, ETag, Object, Outcome, PAGE_OBJECTS, Page, ProbeRow, PutIf, Read, Reused,
    Store, Stored,
};
use crate::config::Folders;
use crate::error::{Error, ErrorKind, Result};

/// The first second of the default clock: 2026-01-01T00:00:00Z.
const FIRST_SECOND: i64 = 1_767_225_600;

type Keys = BTreeMap<String, Vec<Option<Version>>>;
type Clock = Box<dyn Fn() -> Timestamp + Send + Sync>;

/// A bucket in memory.
pub struct MemoryStore {
    keys: Mutex<Keys>,
    clock: Clock,
}

/// One state of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The bytes.
    pub bytes: Bytes,
    /// What was stored beside them.
    pub attributes: Attributes,
    /// When, by the store's clock.
    pub modified: Timestamp,
    etag: ETag,
    sha256: Sha256,
}

impl Version {
    /// The name of this state of the bytes.
    pub fn etag(&self) -> &ETag {
        &self.etag
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// An empty bucket whose clock starts at 2026-01-01 and gains one second with every write.
    pub fn new() -> Self {
        let second = AtomicI64::new(FIRST_SECOND);
        Self::with_clock(move || {
            Timestamp::from_second(second.fetch_add(1, Ordering::Relaxed)).expect("a test makes no 10^11 writes")
        })
    }

    /// An empty bucket that takes its time from `clock`, asked once per write.
    pub fn with_clock(clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self { keys: Mutex::new(BTreeMap::new()), clock: Box::new(clock) }
    }

    /// Another bucket that has been through the same, and goes on by `clock`.
    #[must_use]
    pub fn fork(&self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self { keys: Mutex::new(self.lock().clone()), clock: Box::new(clock) }
    }

    /// Every state `key` was in, oldest first; `None` is a deletion.
    pub fn versions(&self, key: &str) -> Vec<Option<Version>> {
        self.lock().get(key).cloned().unwrap_or_default()
    }

    /// Every key that exists now.
    pub fn keys(&self) -> Vec<String> {
        let keys = self.lock();
        keys.iter().filter(|(_, versions)| current(versions).is_some()).map(|(key, _)| key.clone()).collect()
    }

    /// Every key that ever existed.
    pub fn keys_ever(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Keys> {
        // A panicking test thread leaves no half-made change: every change is one push.
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn store(
        &self,
        keys: &mut Keys,
        key: &str,
        bytes: Bytes,
        attributes: &Attributes,
        condition: &PutIf,
    ) -> Outcome<Stored> {
        let sha256 = Sha256::of(&bytes);
        let there = keys.get(key).and_then(|versions| current(versions));
        match (condition, there) {
            (PutIf::Absent, Some(_)) => return Outcome::Lost,
            (PutIf::Matches(_), None) => return Outcome::Missing,
            (PutIf::Matches(etag), Some(version)) if version.etag != *etag => return Outcome::Lost,
            (PutIf::Always, _) | (PutIf::Absent, None) | (PutIf::Matches(_), Some(_)) => {}
        }
        let etag = ETag::new(&sha256.to_string()[..32]);
        let modified = (self.clock)();
        let version = Version { bytes, attributes: attributes.clone(), modified, etag: etag.clone(), sha256 };
        keys.entry(key.to_owned()).or_default().push(Some(version));
        Outcome::Done(Stored { etag, sha256: Some(sha256), since: Some(modified) })
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("keys", &self.lock().len()).finish_non_exhaustive()
    }
}

fn current(versions: &[Option<Version>]) -> Option<&Version> {
    versions.last().and_then(Option::as_ref)
}

fn object(key: &str, version: &Version) -> Object {
    Object {
        key: key.to_owned(),
        etag: version.etag.clone(),
        size_bytes: version.bytes.len() as u64,
        modified: version.modified,
        since: version.modified,
        sha256: Some(version.sha256),
        user: version.attributes.user.clone(),
    }
}

fn check_key(key: &str) -> Result<()> {
    if key.is_empty() || key.len() > MAX_KEY_BYTES {
        return Err(Error::new(ErrorKind::Corrupt, format!("using a key of {} bytes", key.len()))
            .hint(format!("a key is 1 to {MAX_KEY_BYTES} bytes of UTF-8")));
    }
    Ok(())
}

#[async_trait]
impl Store for MemoryStore {
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page> {
        let keys = self.lock();
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            Some(_) | None => Bound::Included(prefix),
        };
        let mut objects: Vec<Object> = keys
            .range::<str, _>((from, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .filter_map(|(key, versions)| current(versions).map(|version| (key, version)))
            .take(PAGE_OBJECTS + 1)
            .map(|(key, version)| Object { sha256: None, user: BTreeMap::new(), ..object(key, version) })
            .collect();
        let more = objects.len() > PAGE_OBJECTS;
        objects.truncate(PAGE_OBJECTS);
        let next = objects.last().filter(|_| more).map(|object| object.key.clone());
        Ok(Page { objects, next, unreadable: Vec::new() })
    }

    async fn head(&self, key: &str) -> Result<Option<Object>> {
        check_key(key)?;
        Ok(self.lock().get(key).and_then(|versions| current(versions)).map(|version| object(key, version)))
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<Read>> {
        check_key(key)?;
        let keys = self.lock();
        let Some(version) = keys.get(key).and_then(|versions| current(versions)) else { return Ok(None) };
        let range = clip(range, version.bytes.len() as u64);
        let index = |at: u64| usize::try_from(at).expect("clipped to a length in memory");
        let bytes = version.bytes.slice(index(range.start)..index(range.end));
        Ok(Some(Read { object: Object { sha256: None, ..object(key, version) }, bytes }))
    }

    async fn put(&self, key: &str, bytes: Bytes, attributes: &Attributes, condition: PutIf) -> Result<Outcome<Stored>> {
        check_key(key)?;
        Ok(self.store(&mut self.lock(), key, bytes, attributes, &condition))
    }

    async fn put_file(&self, key: &str, file: &Path, attributes: &Attributes) -> Result<Stored> {
        check_key(key)?;
        let bytes = tokio::fs::read(file).await.map_err(|error| {
            Error::new(ErrorKind::Unavailable, format!("reading {}", file.display())).because(error)
        })?;
        match self.store(&mut self.lock(), key, bytes.into(), attributes, &PutIf::Always) {
            Outcome::Done(stored) => Ok(stored),
            Outcome::Lost | Outcome::Conflict | Outcome::Missing | Outcome::Ambiguous(_) => {
                unreachable!("an unconditional put into memory always applies")
            }
        }
    }

    /// Takes the reused ranges from the objects, so that a wrong one shows.
    async fn assemble(
        &self,
        key: &str,
        body: &Body,
        reused: &[Reused<'_>],
        attributes: &Attributes,
        condition: PutIf,
    ) -> Result<Outcome<Assembled>> {
        check_key(key)?;
        let index = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        let unreadable =
            |error| Error::new(ErrorKind::Unavailable, format!("reading what becomes {key:?}")).because(error);
        // Of a body that is only begun the rest is in the objects.
        let mut joined = if body.is_whole() {
            body.whole().map_err(unreadable)?.to_vec()
        } else {
            let sent_to = reused.first().map_or(body.length_bytes(), |first| first.at.start);
            body.read(0..sent_to).map_err(unreadable)?.to_vec()
        };
        joined.resize(index(body.length_bytes()), 0);
        let mut keys = self.lock();
        let mut sent_bytes = joined.len();
        for Reused { at, object, from } in reused {
            let Some(source) = keys.get(&object.key).and_then(|versions| current(versions)) else {
                return Ok(Outcome::Missing);
            };
            if source.etag != object.etag {
                return Ok(Outcome::Lost);
            }
            let to = index(at.start)..index(at.end);
            let from = index(*from)..index(*from).saturating_add(to.len());
            let (Some(to), Some(from)) = (joined.get_mut(to), source.bytes.get(from)) else {
                return Err(Error::new(ErrorKind::Internal, format!("joining {key:?} from ranges out of bounds")));
            };
            to.copy_from_slice(from);
            sent_bytes -= from.len();
        }
        if let Body::Begun { judged: Some(judged), .. } = body
            && *judged != Sha256::of(&joined)
        {
            return Ok(Outcome::Lost);
        }
        let outcome = self.store(&mut keys, key, joined.into(), attributes, &condition);
        Ok(outcome.map(|stored| Assembled { stored, sent_bytes: sent_bytes as u64 }))
    }

    async fn open_local(&self, _key: &str) -> Result<Option<File>> {
        Ok(None)
    }

    fn scratch(&self) -> Option<PathBuf> {
        None
    }

    async fn copy(&self, copy: Copy<'_>) -> Result<Outcome<Stored>> {
        check_key(copy.target)?;
        let mut keys = self.lock();
        let Some(source) = keys.get(&copy.source.key).and_then(|versions| current(versions)) else {
            return Ok(Outcome::Missing);
        };
        if source.etag != copy.source.etag || copy.judged.is_some_and(|judged| judged != source.sha256) {
            return Ok(Outcome::Lost);
        }
        let bytes = source.bytes.clone();
        Ok(self.store(&mut keys, copy.target, bytes, copy.attributes, &PutIf::Absent))
    }

    async fn delete(&self, key: &str, if_match: &ETag) -> Result<Outcome<()>> {
        check_key(key)?;
        let mut keys = self.lock();
        let Some(versions) = keys.get_mut(key) else { return Ok(Outcome::Missing) };
        match current(versions) {
            None => Ok(Outcome::Missing),
            Some(version) if version.etag != *if_match => Ok(Outcome::Lost),
            Some(_) => {
                versions.push(None);
                Ok(Outcome::Done(()))
            }
        }
    }

    async fn delete_hindrance(&self, _key: &str) -> Result<Option<String>> {
        Ok(None)
    }

    async fn examine(&self, _folders: &Folders) -> Result<Vec<ProbeRow>> {
        Ok(Vec::new())
    }

    fn jitter(&self) -> f64 {
        rand::random()
    }

    fn abilities(&self) -> Option<Abilities> {
        Some(Abilities::ALL)
    }

    fn uploads_are_atomic(&self) -> bool {
        true
    }
}
