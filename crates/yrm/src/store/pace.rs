//! Keeps a publisher from storming a store that does not answer: a wrapper around any store.
//!
//! While all is well it does nothing. After a call that failed, the next ones wait, longer with every
//! further failure, and one of them goes ahead to see whether the others may follow. After some
//! failures in a row nothing is asked any more for a while: calls fail at once, the run ends, and
//! everything stays where it is for the next one. It changes no answer, and what a refusal (403) or
//! a lost condition says is an answer.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::body::Body;
use super::{
    Abilities, Assembled, Attributes, Copy, ETag, Object, Outcome, Page, ProbeRow, PutIf, Read, Reused, Store, Stored,
};
use crate::config::Folders;
use crate::error::{Error, ErrorKind, Result};

/// The wait after the first failure; it doubles with every further one.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// No wait is longer.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Failures in a row after which nothing is asked for a while.
const GIVE_UP_AFTER: u32 = 7;
/// That while: less than any sensible interval between runs.
const GIVEN_UP_FOR: Duration = Duration::from_secs(10);

/// The wrapper.
#[derive(Debug)]
pub struct Paced {
    inner: Arc<dyn Store>,
    weather: Mutex<Weather>,
    changed: Notify,
}

#[derive(Debug)]
struct Weather {
    /// Calls in a row that failed; those that were under way together count once.
    failures: u32,
    /// When the next may be made.
    next: Instant,
    /// One is on its way to see.
    scouting: bool,
}

/// Leave to make one call. Whoever drops it without an answer saw nothing.
struct Leave<'a> {
    paced: &'a Paced,
    failures: u32,
    scout: bool,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        if self.scout {
            self.paced.weather().scouting = false;
            self.paced.changed.notify_waiters();
        }
    }
}

impl Leave<'_> {
    fn answered(self) {
        let mut weather = self.paced.weather();
        if weather.failures == self.failures {
            weather.failures = 0;
        }
    }

    fn failed(self) {
        let paced = self.paced;
        let mut weather = paced.weather();
        if weather.failures != self.failures {
            // It was under way when another failed: the same gust.
            return;
        }
        weather.failures += 1;
        let longest = FIRST_WAIT.saturating_mul(1 << (weather.failures - 1).min(16)).min(LONGEST_WAIT);
        let wait = if weather.failures >= GIVE_UP_AFTER {
            GIVEN_UP_FOR
        } else {
            longest.mul_f64(f64::midpoint(1.0, paced.inner.jitter()))
        };
        weather.next = Instant::now() + wait;
    }
}

impl Paced {
    /// Paces what goes to `inner`.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        let weather = Weather { failures: 0, next: Instant::now(), scouting: false };
        Self { inner, weather: Mutex::new(weather), changed: Notify::new() }
    }

    fn weather(&self) -> MutexGuard<'_, Weather> {
        self.weather.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for leave to make a call.
    async fn leave(&self) -> Result<Leave<'_>> {
        loop {
            // Registered before the look, so that no change between look and wait is missed.
            let changed = self.changed.notified();
            let next = {
                let mut weather = self.weather();
                let failures = weather.failures;
                if failures == 0 {
                    return Ok(Leave { paced: self, failures, scout: false });
                }
                if Instant::now() >= weather.next {
                    if !weather.scouting {
                        weather.scouting = true;
                        return Ok(Leave { paced: self, failures, scout: true });
                    }
                } else if failures >= GIVE_UP_AFTER {
                    return Err(Error::new(ErrorKind::Unavailable, "asking the store").because(format!(
                        "it did not answer {failures} times in a row and is left alone for a while"
                    )));
                }
                weather.next
            };
            if Instant::now() < next {
                sleep_until(next).await;
            } else {
                changed.await;
            }
        }
    }

    async fn read<T>(&self, call: impl Future<Output = Result<T>> + Send) -> Result<T> {
        let leave = self.leave().await?;
        let answer = call.await;
        match &answer {
            Err(error) if error.kind() == ErrorKind::Unavailable => leave.failed(),
            Ok(_) | Err(_) => leave.answered(),
        }
        answer
    }

    async fn write<T>(&self, call: impl Future<Output = Result<Outcome<T>>> + Send) -> Result<Outcome<T>> {
        let leave = self.leave().await?;
        let answer = call.await;
        match &answer {
            Ok(Outcome::Ambiguous(_)) => leave.failed(),
            Err(error) if error.kind() == ErrorKind::Unavailable => leave.failed(),
            Ok(Outcome::Done(_) | Outcome::Lost | Outcome::Conflict | Outcome::Missing) | Err(_) => leave.answered(),
        }
        answer
    }
}

#[async_trait]
impl Store for Paced {
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page> {
        self.read(self.inner.list(prefix, after)).await
    }

    async fn head(&self, key: &str) -> Result<Option<Object>> {
        self.read(self.inner.head(key)).await
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<Read>> {
        self.read(self.inner.get(key, range)).await
    }

    async fn put(&self, key: &str, bytes: Bytes, attributes: &Attributes, condition: PutIf) -> Result<Outcome<Stored>> {
        self.write(self.inner.put(key, bytes, attributes, condition)).await
    }

    async fn put_file(&self, key: &str, file: &Path, attributes: &Attributes) -> Result<Stored> {
        self.read(self.inner.put_file(key, file, attributes)).await
    }

    async fn assemble(
        &self,
        key: &str,
        body: &Body,
        reused: &[Reused<'_>],
        attributes: &Attributes,
        condition: PutIf,
    ) -> Result<Outcome<Assembled>> {
        self.write(self.inner.assemble(key, body, reused, attributes, condition)).await
    }

    async fn open_local(&self, key: &str) -> Result<Option<File>> {
        self.inner.open_local(key).await
    }

    fn scratch(&self) -> Option<PathBuf> {
        self.inner.scratch()
    }

    async fn copy(&self, copy: Copy<'_>) -> Result<Outcome<Stored>> {
        self.write(self.inner.copy(copy)).await
    }

    async fn delete(&self, key: &str, if_match: &ETag) -> Result<Outcome<()>> {
        self.write(self.inner.delete(key, if_match)).await
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
    use crate::store::fault::{Call, Fate, FaultStore, Turn};
    use crate::store::memory::MemoryStore;

    /// A store that does not answer from the start on, for so long.
    fn silent_for(lasts: Duration) -> (Paced, Arc<FaultStore>) {
        let began = Instant::now();
        let script = move |_: Call<'_>| {
            if began.elapsed() < lasts { Fate::Lost.into() } else { Turn::default() }
        };
        let store = Arc::new(FaultStore::new(Arc::new(MemoryStore::new()), 1, script));
        (Paced::new(Arc::clone(&store) as _), store)
    }

    #[tokio::test(start_paused = true)]
    async fn one_goes_ahead_and_the_others_follow() {
        let (paced, store) = silent_for(Duration::from_millis(300));
        futures::future::join_all((0..10).map(|_| paced.head("a"))).await;
        assert_eq!(store.calls(), 10, "under way together");
        let answers = futures::future::join_all((0..10).map(|_| paced.head("a"))).await;
        // Scouts fail until it is over; whoever waited behind them goes when one comes back.
        assert!(answers.iter().filter(|answer| answer.is_ok()).count() >= 7, "{answers:?}");
        assert!(store.calls() <= 20, "{}", store.calls());
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_stays_silent_is_left_alone_for_a_while() {
        let (paced, store) = silent_for(Duration::from_mins(1));
        for _ in 0..50 {
            paced.head("a").await.unwrap_err();
        }
        assert_eq!(store.calls(), u64::from(GIVE_UP_AFTER));
        tokio::time::sleep(Duration::from_secs(70)).await;
        paced.head("a").await.unwrap();
        paced.head("a").await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_an_answer() {
        let store = FaultStore::new(Arc::new(MemoryStore::new()), 1, |_: Call<'_>| Fate::Refused.into());
        let paced = Paced::new(Arc::new(store));
        let began = Instant::now();
        for _ in 0..20 {
            assert_eq!(paced.head("a").await.unwrap_err().kind(), ErrorKind::Denied);
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
