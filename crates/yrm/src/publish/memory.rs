//! What a publisher keeps in mind between runs. All of it can be read again: without it a run only asks for more.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rpmmd::checksum::Sha256;

use super::watched::Watched;
use crate::bucket::Bucket;
use crate::bucket::inbox::Dropped;
use crate::bucket::state::State;
use crate::store::ETag;
use crate::store::key::RepositoryDir;

/// Uploads of one repository that are remembered to have no receipt, at most, but for one batch.
const MAX_UNANSWERED: usize = 4_000;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// The generations that were read or written last.
    pub(crate) known: Mutex<BTreeMap<RepositoryDir, State>>,
    /// When retention next has something to do.
    pub(crate) retention_due: Mutex<BTreeMap<RepositoryDir, Option<Timestamp>>>,
    /// Where all that is due is held: when to look at it again.
    pub(crate) held_until: Mutex<BTreeMap<RepositoryDir, Timestamp>>,
    /// When what was last swept.
    pub(crate) swept: Mutex<BTreeMap<RepositoryDir, Timestamp>>,
    /// Where a path waits for nothing but a sweep.
    pub(crate) sweep_wanted: Mutex<BTreeSet<RepositoryDir>>,
    /// What was found to have no receipt, and in which state of its repository.
    unanswered: Mutex<BTreeMap<RepositoryDir, Unanswered>>,
    /// Where the mirror is not that of the truth yet, or the truth lacks what it is made from.
    pub(crate) mirrors_owed: Mutex<BTreeSet<RepositoryDir>>,
    /// The files for clients that are what they should be.
    pub(crate) client_files: Mutex<BTreeMap<RepositoryDir, Sha256>>,
    /// When every repository was last looked up, to prune and to clean up where nothing arrives.
    pub(crate) looked_round: Mutex<LookedRound>,
    /// What the watch over every repomd.xml keeps in mind.
    pub(crate) watched: Mutex<Watched>,
    /// What a record last said of uploads that wait, in eight bytes.
    pub(crate) waiting_told: Mutex<u64>,
}

/// When the bucket's repositories were last listed, for each purpose.
#[derive(Debug, Default)]
pub(crate) struct LookedRound {
    pub(crate) retire: Option<Timestamp>,
    pub(crate) sweep: Option<Timestamp>,
    /// What no repository has for itself was last swept.
    pub(crate) sweep_shared: Option<Timestamp>,
    pub(crate) mend: Option<Timestamp>,
}

/// Uploads that had no receipt in one state of their repository. As long as that is its state nobody has published
/// them, so that a commit which starts again need not ask again.
#[derive(Debug, Default)]
struct Unanswered {
    state: Option<ETag>,
    uploads: HashSet<(String, ETag, Timestamp)>,
}

impl Memory {
    /// Keeps a generation in mind, and when retention next has something to do there.
    pub(crate) fn remember(&self, bucket: &Bucket, state: State) {
        self.note_retention(bucket, &state);
        lock(&self.known).insert(state.repository.clone(), state);
    }

    /// Whether this is the repomd.xml that was read or written last.
    pub(crate) fn knows(&self, repository: &RepositoryDir, repomd: &ETag) -> bool {
        lock(&self.known).get(repository).is_some_and(|state| etag_of(state).as_ref() == Some(repomd))
    }

    /// Forgets what a repository held.
    pub(crate) fn forget(&self, repository: &RepositoryDir) {
        lock(&self.known).remove(repository);
    }

    /// Notes when retention next has something to do in a repository.
    pub(crate) fn note_retention(&self, bucket: &Bucket, state: &State) {
        if bucket.pruned.is_on() {
            let held_until = lock(&self.held_until).get(&state.repository).copied();
            let due = state.next_retirement(state.kept(&bucket.gate, &bucket.pruned)).max(held_until);
            lock(&self.retention_due).insert(state.repository.clone(), due);
        }
    }

    /// Whether an upload is known to have no receipt, as long as its repository is in this state.
    pub(crate) fn is_unanswered(&self, state: &State, dropped: &Dropped) -> bool {
        let known = lock(&self.unanswered);
        let known = known.get(&state.repository).filter(|known| known.state == etag_of(state));
        known.is_some_and(|known| known.uploads.contains(&upload_of(dropped)))
    }

    /// Notes uploads that have no receipt.
    pub(crate) fn note_unanswered<'a>(&self, state: &State, uploads: impl Iterator<Item = &'a Dropped>) {
        let (mut known, etag) = (lock(&self.unanswered), etag_of(state));
        let known = known.entry(state.repository.clone()).or_default();
        if known.state != etag {
            *known = Unanswered { state: etag, uploads: HashSet::new() };
        }
        if known.uploads.len() < MAX_UNANSWERED {
            known.uploads.extend(uploads.map(upload_of));
        }
    }
}

fn etag_of(state: &State) -> Option<ETag> {
    state.current.as_ref().and_then(|current| current.etag.clone())
}

fn upload_of(dropped: &Dropped) -> (String, ETag, Timestamp) {
    (dropped.key().to_owned(), dropped.etag().clone(), dropped.modified())
}

/// Whether it is time to look round again. `last` and `now` are by the local clock.
pub(crate) fn interval_is_over(bucket: &Bucket, last: Timestamp, now: Timestamp) -> bool {
    is_past(bucket.policy.sweep_interval, last, now)
}

/// Whether so much time has passed, by the local clock.
pub(crate) fn is_past(interval: Duration, last: Timestamp, now: Timestamp) -> bool {
    let interval = jiff::SignedDuration::try_from(interval);
    // Also when the clock was set back: else nobody would look for as long.
    now.duration_since(last).abs() >= interval.unwrap_or(jiff::SignedDuration::MAX)
}

/// A lock whose holder panicked still guards a plain map that can be read again from the store.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
