//! Files that take long to read. Where somebody attends to them they are read beside the runs, the shortest
//! first, and a run takes the verdict when there is one: whoever uploads a sound package waits for nobody's giants.
//!
//! A verdict is about the bytes with the ETag that it names, as everywhere: whatever happens to the file
//! meanwhile, nothing else is published.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::Notify;

use super::read::Inspector;
use crate::bucket::Bucket;
use crate::bucket::inbox::Dropped;
use crate::bucket::verdict::Verdict;
use crate::error::Result;

/// Why a file that is long is not published by the run that finds it.
pub(crate) const BEING_READ: &str = "it is long: it is being read beside other work, and published when that is done";
/// Files that wait to be read; when there are more, the shortest.
const MAX_WANTED: usize = 1_000;
/// Verdicts that wait for a run. Nothing more is read before it has taken them: each may hold the metadata of a package.
const MAX_READ: usize = 16;
/// Two are read at a time, one from each of these lengths in bytes: a package of an ordinary length waits for no giant.
const LANES: [Range<u64>; 2] = [0..1 << 30, 1 << 30..u64::MAX];

/// Bytes that are read before anything of them is published, where nobody attends.
const TOGETHER_BYTES: u64 = 1 << 30;

/// How many of these files, the shortest first, are read and published together: at least one.
pub(crate) fn together(files: &[Dropped]) -> usize {
    let mut bytes = 0_u64;
    let fits = |dropped: &&Dropped| {
        bytes = bytes.saturating_add(dropped.object.size_bytes);
        bytes <= TOGETHER_BYTES
    };
    files.iter().take_while(fits).count().max(1).min(files.len())
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct LongReads {
    state: Mutex<State>,
    attended: AtomicBool,
    /// There is more to read, or more room for verdicts.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// By length; with the start of the run that found it.
    wanted: BTreeMap<(u64, String), (Dropped, Timestamp)>,
    reading: Vec<Dropped>,
    read: Vec<(Dropped, Result<Verdict>)>,
}

impl LongReads {
    /// Whether somebody reads what is wanted.
    pub(crate) fn are_attended(&self) -> bool {
        self.attended.load(Ordering::Relaxed)
    }

    /// Has a file read, unless that is under way. `now` is when the run started that found it.
    pub(crate) fn want(&self, dropped: Dropped, now: Timestamp) {
        let mut state = self.state();
        let is_it = |other: &Dropped| is_same(other, &dropped);
        if state.reading.iter().any(is_it) || state.read.iter().any(|(read, _)| is_it(read)) {
            return;
        }
        state.wanted.insert((dropped.object.size_bytes, dropped.key().to_owned()), (dropped, now));
        if state.wanted.len() > MAX_WANTED {
            state.wanted.pop_last();
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Whether a file is wanted or being read: then it need not be looked at again.
    pub(crate) fn are_at(&self, dropped: &Dropped) -> bool {
        let state = self.state();
        let size_and_key = (dropped.object.size_bytes, dropped.key().to_owned());
        let wanted = state.wanted.get(&size_and_key).map(|(wanted, _)| wanted);
        self.are_attended() && state.reading.iter().chain(wanted).any(|other| is_same(other, dropped))
    }

    /// The verdict on a file that was read.
    pub(crate) fn take(&self, dropped: &Dropped) -> Option<Result<Verdict>> {
        let mut state = self.state();
        let at = state.read.iter().position(|(read, _)| is_same(read, dropped))?;
        let (_, verdict) = state.read.swap_remove(at);
        drop(state);
        self.changed.notify_waiters();
        Some(verdict)
    }

    /// Forgets what is not in the inbox any more; `listed` is in the order of the keys.
    pub(crate) fn forget_but(&self, listed: &[Dropped]) {
        let is_there = |dropped: &Dropped| {
            let found = listed.binary_search_by(|listed| listed.key().cmp(dropped.key()));
            found.is_ok_and(|at| is_same(&listed[at], dropped))
        };
        let mut state = self.state();
        state.wanted.retain(|_, (dropped, _)| is_there(dropped));
        state.read.retain(|(dropped, _)| is_there(dropped));
        drop(state);
        self.changed.notify_waiters();
    }

    /// Reads what is wanted, for as long as this is polled; `call` calls for a run that takes a verdict.
    pub(crate) async fn attend(&self, bucket: &Bucket, call: impl Fn()) {
        self.attended.store(true, Ordering::Relaxed);
        let _left = Left(self);
        let [short, long] = LANES.map(|lane| self.read_on(lane, bucket, &call));
        tokio::join!(short, long);
    }

    async fn read_on(&self, lane: Range<u64>, bucket: &Bucket, call: &impl Fn()) {
        loop {
            // Made before the look, so that no change between the two is missed.
            let changed = self.changed.notified();
            let Some((dropped, now)) = self.state().next(&lane) else {
                changed.await;
                continue;
            };
            let verdict = Inspector::new(bucket.clone(), now).inspect(dropped.clone()).await;
            let mut state = self.state();
            state.reading.retain(|reading| !is_same(reading, &dropped));
            state.read.push((dropped, verdict));
            drop(state);
            call();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is complete before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The shortest of those that are wanted in this lane.
    fn next(&mut self, lane: &Range<u64>) -> Option<(Dropped, Timestamp)> {
        if self.read.len() + self.reading.len() >= MAX_READ {
            return None;
        }
        let key = self.wanted.keys().find(|(size_bytes, _)| lane.contains(size_bytes))?.clone();
        let (dropped, now) = self.wanted.remove(&key)?;
        self.reading.push(dropped.clone());
        Some((dropped, now))
    }
}

/// Nobody attends any more.
struct Left<'a>(&'a LongReads);

impl Drop for Left<'_> {
    fn drop(&mut self) {
        self.0.attended.store(false, Ordering::Relaxed);
        let mut state = self.0.state();
        state.reading.clear();
    }
}

fn is_same(one: &Dropped, other: &Dropped) -> bool {
    one.key() == other.key() && one.etag() == other.etag()
}
