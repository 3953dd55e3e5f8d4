//! Counts what a run costs: a wrapper around any store.
//!
//! It counts calls of the trait, not HTTP requests: a listing of three pages is three, an upload
//! in parts or a retried read is one. It changes no answer.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use rpmmd::repodata::ReadRange as _;
use serde::{Deserialize, Serialize};

use super::body::Body;
use super::{
    Abilities, Assembled, Attributes, Copy, ETag, Object, Outcome, Page, ProbeRow, PutIf, Read, Reused, Store, Stored,
};
use crate::config::Folders;
use crate::error::Result;

/// Requests and bytes between this program and the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Calls that only read: list, head, get.
    pub reads: u64,
    /// Calls that write: put, copy, delete.
    pub writes: u64,
    /// Bytes received in object bodies.
    pub bytes_in: u64,
    /// Bytes sent in object bodies.
    pub bytes_out: u64,
}

impl std::ops::Sub for Usage {
    type Output = Self;

    /// What came since `earlier`.
    fn sub(self, earlier: Self) -> Self {
        Self {
            reads: self.reads - earlier.reads,
            writes: self.writes - earlier.writes,
            bytes_in: self.bytes_in - earlier.bytes_in,
            bytes_out: self.bytes_out - earlier.bytes_out,
        }
    }
}

/// A store that counts.
#[derive(Debug)]
pub struct Counted {
    inner: Arc<dyn Store>,
    reads: AtomicU64,
    writes: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

impl Counted {
    /// Counts what goes to `inner` from now on.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            reads: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
        }
    }

    /// What was counted so far.
    pub fn usage(&self) -> Usage {
        Usage {
            reads: self.reads.load(Ordering::Relaxed),
            writes: self.writes.load(Ordering::Relaxed),
            bytes_in: self.bytes_in.load(Ordering::Relaxed),
            bytes_out: self.bytes_out.load(Ordering::Relaxed),
        }
    }

    fn read(&self) {
        self.reads.fetch_add(1, Ordering::Relaxed);
    }

    fn write(&self, bytes_out: u64) {
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.bytes_out.fetch_add(bytes_out, Ordering::Relaxed);
    }
}

#[async_trait]
impl Store for Counted {
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page> {
        self.read();
        self.inner.list(prefix, after).await
    }

    async fn head(&self, key: &str) -> Result<Option<Object>> {
        self.read();
        self.inner.head(key).await
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<Read>> {
        self.read();
        let read = self.inner.get(key, range).await?;
        if let Some(read) = &read {
            self.bytes_in.fetch_add(read.bytes.len() as u64, Ordering::Relaxed);
        }
        Ok(read)
    }

    async fn put(&self, key: &str, bytes: Bytes, attributes: &Attributes, condition: PutIf) -> Result<Outcome<Stored>> {
        self.write(bytes.len() as u64);
        self.inner.put(key, bytes, attributes, condition).await
    }

    async fn put_file(&self, key: &str, file: &Path, attributes: &Attributes) -> Result<Stored> {
        // A file that cannot be looked at is the inner store's error to report.
        self.write(tokio::fs::metadata(file).await.map_or(0, |metadata| metadata.len()));
        self.inner.put_file(key, file, attributes).await
    }

    async fn assemble(
        &self,
        key: &str,
        body: &Body,
        reused: &[Reused<'_>],
        attributes: &Attributes,
        condition: PutIf,
    ) -> Result<Outcome<Assembled>> {
        let outcome = self.inner.assemble(key, body, reused, attributes, condition).await;
        // What was sent in vain is not told; it was at most all of it.
        self.write(match &outcome {
            Ok(Outcome::Done(assembled)) => assembled.sent_bytes,
            Ok(Outcome::Lost | Outcome::Conflict | Outcome::Missing | Outcome::Ambiguous(_)) | Err(_) => {
                body.length_bytes()
            }
        });
        outcome
    }

    async fn open_local(&self, key: &str) -> Result<Option<File>> {
        self.inner.open_local(key).await
    }

    fn scratch(&self) -> Option<PathBuf> {
        self.inner.scratch()
    }

    async fn copy(&self, copy: Copy<'_>) -> Result<Outcome<Stored>> {
        self.write(0);
        self.inner.copy(copy).await
    }

    async fn delete(&self, key: &str, if_match: &ETag) -> Result<Outcome<()>> {
        self.write(0);
        self.inner.delete(key, if_match).await
    }

    async fn delete_hindrance(&self, key: &str) -> Result<Option<String>> {
        self.inner.delete_hindrance(key).await
    }

    async fn examine(&self, folders: &Folders) -> Result<Vec<ProbeRow>> {
        self.inner.examine(folders).await
    }

    fn jitter(&self) -> f64 {
        self.inner.jitter()
    }

    fn abilities(&self) -> Option<Abilities> {
        self.inner.abilities()
    }

    fn uploads_are_atomic(&self) -> bool {
        self.inner.uploads_are_atomic()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::MemoryStore;

    #[tokio::test]
    async fn calls_and_body_bytes_are_counted() {
        let store = Counted::new(Arc::new(MemoryStore::new()));
        let attributes = Attributes::default();
        let put = store.put("a", Bytes::from_static(b"hello"), &attributes, PutIf::Absent).await.unwrap();
        let Outcome::Done(stored) = put else { panic!("{put:?}") };
        store.get("a", Some(0..2)).await.unwrap().unwrap();
        store.get("b", None).await.unwrap();
        store.list("", None).await.unwrap();
        store.delete("a", &stored.etag).await.unwrap();
        assert_eq!(store.usage(), Usage { reads: 3, writes: 2, bytes_in: 2, bytes_out: 5 });
    }
}
