//! Keeps the calls in flight at a number: a wrapper around any store.
//!
//! Whoever has work for many calls may begin all of them: those over the number wait here, first come, first
//! served. So no step of the publish line has to know what the others do at the same time. What must not wait
//! (the second of two puts that belong together) goes to the store below.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::body::Body;
use super::{
    Abilities, Assembled, Attributes, Copy, ETag, Object, Outcome, Page, ProbeRow, PutIf, Read, Reused, Store, Stored,
};
use crate::config::Folders;
use crate::error::{Error, ErrorKind, Result};

/// The wrapper.
#[derive(Debug)]
pub struct Limited {
    inner: Arc<dyn Store>,
    at_once: Semaphore,
}

impl Limited {
    /// At most `at_once` calls to `inner` in flight.
    pub fn new(inner: Arc<dyn Store>, at_once: usize) -> Self {
        Self { inner, at_once: Semaphore::new(at_once.max(1)) }
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>> {
        let turn = self.at_once.acquire().await;
        turn.map_err(|source| Error::new(ErrorKind::Internal, "waiting for a turn to ask the store").because(source))
    }
}

#[async_trait]
impl Store for Limited {
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page> {
        let _turn = self.turn().await?;
        self.inner.list(prefix, after).await
    }

    async fn head(&self, key: &str) -> Result<Option<Object>> {
        let _turn = self.turn().await?;
        self.inner.head(key).await
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<Read>> {
        let _turn = self.turn().await?;
        self.inner.get(key, range).await
    }

    async fn put(&self, key: &str, bytes: Bytes, attributes: &Attributes, condition: PutIf) -> Result<Outcome<Stored>> {
        let _turn = self.turn().await?;
        self.inner.put(key, bytes, attributes, condition).await
    }

    async fn put_file(&self, key: &str, file: &Path, attributes: &Attributes) -> Result<Stored> {
        let _turn = self.turn().await?;
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
        let _turn = self.turn().await?;
        self.inner.assemble(key, body, reused, attributes, condition).await
    }

    async fn open_local(&self, key: &str) -> Result<Option<File>> {
        self.inner.open_local(key).await
    }

    fn scratch(&self) -> Option<PathBuf> {
        self.inner.scratch()
    }

    async fn copy(&self, copy: Copy<'_>) -> Result<Outcome<Stored>> {
        let _turn = self.turn().await?;
        self.inner.copy(copy).await
    }

    async fn delete(&self, key: &str, if_match: &ETag) -> Result<Outcome<()>> {
        let _turn = self.turn().await?;
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
    use std::time::Duration;

    use futures::FutureExt as _;
    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::store::fault::{Call, FaultStore, Turn};
    use crate::store::memory::MemoryStore;

    #[tokio::test(start_paused = true)]
    async fn more_calls_than_the_number_take_turns() {
        let slow = |_: Call<'_>| Turn { before: Some(sleep(Duration::from_secs(1)).boxed()), ..Turn::default() };
        let limited = Limited::new(Arc::new(FaultStore::new(Arc::new(MemoryStore::new()), 1, slow)), 4);
        let began = Instant::now();
        futures::future::join_all((0..10).map(|_| limited.head("a"))).await;
        // Ten calls in rounds of four.
        assert_eq!(began.elapsed().as_secs(), 3);
    }
}
