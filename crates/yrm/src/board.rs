//! What the service tells of itself: its last runs, the next one, and whether it is ready.
//! The service writes it, the HTTP faces read it; nothing here reads a clock or a store.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use ulid::Ulid;

use crate::bucket::bounds::shorten;
use crate::bucket::report::Report;

/// Runs that are remembered, as in the first version.
pub const RUNS_KEPT: usize = 60;
/// Bytes of keys that are remembered, of all runs together: of older runs they are only counted then.
pub const KEY_BYTES_KEPT: usize = 4 << 20;
/// Runs in a row that may fail, or leave work undone, before the service is no longer ready.
pub const FAILURES_TOLERATED: u32 = 3;
/// Intervals that a run may take before it is held to hang …
pub const INTERVALS_TOLERATED: u32 = 3;
/// … and how long it may take in any case: with an interval of a second an honest run takes several.
pub const RUN_TOLERATED: Duration = Duration::from_secs(10);
/// Bytes of the reason that is given for not being ready.
const MAX_REASON_BYTES: usize = 2_000;

/// See the module.
#[derive(Debug)]
pub struct Board {
    interval: Duration,
    state: Mutex<State>,
}

/// What is remembered of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// Its id.
    pub run: Ulid,
    /// When it started.
    pub started: Timestamp,
    /// How long it took.
    pub duration_ms: u64,
    /// What it found.
    pub inbox_keys: Keys,
    /// What it did not publish of that.
    pub skipped_keys: Keys,
}

/// The first of some keys, and how many more there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys {
    /// The first, shared with whoever tells of them.
    pub first: Arc<[String]>,
    /// How many are not among these.
    pub more: usize,
}

impl Keys {
    fn of(keys: &[String], more: usize) -> Self {
        Self { first: keys.into(), more }
    }

    /// How many they are.
    pub fn count(&self) -> usize {
        self.first.len() + self.more
    }

    fn bytes(&self) -> usize {
        self.first.iter().map(String::len).sum()
    }

    fn forget(&mut self) {
        *self = Self { first: Arc::default(), more: self.count() };
    }
}

impl Past {
    fn of(report: &Report) -> Self {
        let Report { inbox_keys, skipped_keys, left_out, .. } = report;
        Self {
            run: report.run,
            started: report.started,
            duration_ms: report.duration_ms,
            inbox_keys: Keys::of(inbox_keys, left_out.inbox_keys),
            skipped_keys: Keys::of(skipped_keys, left_out.skipped_keys),
        }
    }

    fn bytes(&self) -> usize {
        self.inbox_keys.bytes() + self.skipped_keys.bytes()
    }
}

#[derive(Debug, Clone)]
struct State {
    /// Oldest first.
    runs: VecDeque<Past>,
    runs_finished: u64,
    next_run: Timestamp,
    /// The run in flight.
    running_since: Option<Timestamp>,
    succeeded: bool,
    failures_in_a_row: u32,
    last_failure: Option<String>,
    /// Runs that ended and left sound work undone, since one last did not.
    undone_in_a_row: u32,
    last_undone: Option<String>,
    undeleted: Option<String>,
    unmended: Option<String>,
}

/// The schedule as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// Runs that this process finished, failed ones too.
    pub runs_finished: u64,
    /// When the next starts.
    pub next_run: Timestamp,
    /// Between two starts.
    pub interval: Duration,
}

impl Board {
    /// An empty board.
    pub fn new(interval: Duration, now: Timestamp) -> Self {
        let state = State {
            runs: VecDeque::new(),
            runs_finished: 0,
            next_run: now,
            running_since: None,
            succeeded: false,
            failures_in_a_row: 0,
            last_failure: None,
            undone_in_a_row: 0,
            last_undone: None,
            undeleted: None,
            unmended: None,
        };
        Self { interval, state: Mutex::new(state) }
    }

    /// Takes in the runs of earlier processes, in any order.
    pub fn remember(&self, earlier: &[Report]) {
        let mut state = self.state();
        let mut runs: Vec<Past> = earlier.iter().map(Past::of).chain(state.runs.drain(..)).collect();
        runs.sort_by_key(|past| (past.started, past.run));
        runs.dedup_by_key(|past| past.run);
        state.runs = runs.into();
        state.keep_bounded();
    }

    /// A run starts now.
    pub fn run_started(&self, now: Timestamp) {
        let mut state = self.state();
        state.running_since = Some(now);
        // An interval is at most a hundred years; past the calendar's end there is no next run.
        state.next_run = now.checked_add(self.interval).unwrap_or(Timestamp::MAX);
    }

    /// A run came to its end.
    pub fn run_finished(&self, report: &Report) {
        let mut state = self.state();
        state.runs.push_back(Past::of(report));
        state.keep_bounded();
        state.runs_finished += 1;
        state.running_since = None;
        state.succeeded = true;
        state.failures_in_a_row = 0;
        state.last_failure = None;
        state.undone_in_a_row = if report.trouble.undone.is_some() { state.undone_in_a_row + 1 } else { 0 };
        state.last_undone.clone_from(&report.trouble.undone);
        state.undeleted.clone_from(&report.trouble.undeleted);
        state.unmended.clone_from(&report.trouble.unmended);
    }

    /// A run failed as a whole.
    pub fn run_failed(&self, reason: String) {
        let mut state = self.state();
        state.runs_finished += 1;
        state.running_since = None;
        state.failures_in_a_row += 1;
        state.last_failure = Some(reason);
    }

    /// The remembered runs, oldest first.
    pub fn runs(&self) -> Vec<Past> {
        self.state().runs.iter().cloned().collect()
    }

    /// The schedule.
    pub fn schedule(&self) -> Schedule {
        let state = self.state();
        Schedule { runs_finished: state.runs_finished, next_run: state.next_run, interval: self.interval }
    }

    /// Whether clients of the service can rely on it; the error says why not.
    pub fn readiness(&self, now: Timestamp) -> Result<(), String> {
        let state = self.state();
        state.unready(self.interval, now).map_or(Ok(()), |mut why| {
            shorten(&mut why, MAX_REASON_BYTES);
            Err(why)
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change above is complete before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn unready(&self, interval: Duration, now: Timestamp) -> Option<String> {
        let because =
            |reason: &Option<String>| reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
        if let Some(running_s) = self.hangs_for_s(interval, now) {
            return Some(format!(
                "the run under way has not ended for {running_s} s, and runs start every {} s",
                interval.as_secs()
            ));
        }
        if !self.succeeded {
            return Some(match self.last_failure {
                None => "the first run has not finished yet".to_owned(),
                Some(_) => format!("no run has succeeded yet{}", because(&self.last_failure)),
            });
        }
        if self.failures_in_a_row >= FAILURES_TOLERATED {
            return Some(format!("the last {} runs failed{}", self.failures_in_a_row, because(&self.last_failure)));
        }
        if self.undone_in_a_row >= FAILURES_TOLERATED {
            let undone = self.undone_in_a_row;
            return Some(format!(
                "the last {undone} runs could not publish what is sound{}",
                because(&self.last_undone)
            ));
        }
        let undeleted = self.undeleted.as_ref().map(|why| format!("something cannot be deleted: {why}"));
        undeleted.or_else(|| self.unmended.clone())
    }

    /// For how many seconds the run in flight has been running, if that is too long.
    fn hangs_for_s(&self, interval: Duration, now: Timestamp) -> Option<i64> {
        let tolerated = interval.saturating_mul(INTERVALS_TOLERATED).max(RUN_TOLERATED);
        let running = now.duration_since(self.running_since?);
        (running > jiff::SignedDuration::try_from(tolerated).ok()?).then(|| running.as_secs())
    }

    /// Forgets the oldest runs, and older runs' keys.
    fn keep_bounded(&mut self) {
        while self.runs.len() > RUNS_KEPT {
            self.runs.pop_front();
        }
        let mut room = KEY_BYTES_KEPT;
        for past in self.runs.iter_mut().rev() {
            if let Some(rest) = room.checked_sub(past.bytes()) {
                room = rest;
            } else {
                past.inbox_keys.forget();
                past.skipped_keys.forget();
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use ulid::Ulid;

    use super::*;
    use crate::bucket::report::{Counts, KeySet, Operation, Trouble, Usage};

    /// The start of 2026-11-22 20:00:00 UTC plus `second`.
    pub(crate) fn time(second: i64) -> Timestamp {
        Timestamp::from_second(1_795_377_600 + second).unwrap()
    }

    /// A run at `second` that had these inbox keys and skipped those.
    pub(crate) fn report(second: i64, inbox: &[&str], skipped: &[&str]) -> Report {
        let owned = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
        Report {
            run: Ulid::from_parts(u64::try_from(time(second).as_millisecond()).unwrap(), 7),
            started: time(second),
            plan: None,
            duration_ms: 1_500,
            operation: Operation::Run,
            by: None,
            reason: None,
            inbox_keys: owned(inbox),
            oldest_upload: None,
            skipped_keys: owned(skipped),
            published: vec![],
            rejected: vec![],
            waiting: vec![],
            pruned: vec![],
            removed: vec![],
            restored: Vec::new(),
            released: vec![],
            deleted: vec![],
            marked: vec![],
            held: vec![],
            replaced: vec![],
            repositories: vec![],
            settings: Vec::new(),
            layout: None,
            cleaned_up: 0,
            uploaders: std::collections::BTreeMap::new(),
            errors: vec![],
            usage: Usage::default(),
            left_out: Counts::default(),
            trouble: Trouble::default(),
            noticed: vec![],
            beyond: KeySet::default(),
        }
    }

    #[test]
    fn history_lost_on_restart() {
        // The first version's defect, by its name.
        let earlier = vec![report(20, &["inbox/b.rpm"], &[]), report(10, &["inbox/a.rpm"], &[])];
        let board = Board::new(Duration::from_mins(1), time(100));
        board.remember(&earlier);
        board.run_finished(&report(100, &[], &[]));
        let starts: Vec<Timestamp> = board.runs().iter().map(|run| run.started).collect();
        assert_eq!(starts, [time(10), time(20), time(100)]);
    }

    #[test]
    fn the_last_sixty_runs_are_kept() {
        let board = Board::new(Duration::from_mins(1), time(0));
        board.remember(&(0..70).map(|s| report(s, &[], &[])).collect::<Vec<_>>());
        board.run_finished(&report(70, &[], &[]));
        let runs = board.runs();
        assert_eq!((runs.len(), runs[0].started, runs[59].started), (60, time(11), time(70)));
    }

    #[test]
    fn readiness_says_why_not() {
        let board = Board::new(Duration::from_mins(1), time(0));
        board.remember(&[report(0, &[], &[])]);
        assert_eq!(board.readiness(time(3)).unwrap_err(), "the first run has not finished yet");
        board.run_failed("listing inbox/: access denied".to_owned());
        assert_eq!(board.readiness(time(3)).unwrap_err(), "no run has succeeded yet: listing inbox/: access denied");
        board.run_finished(&report(1, &[], &[]));
        assert_eq!(board.readiness(time(3)), Ok(()));
        for _ in 1..FAILURES_TOLERATED {
            board.run_failed("a timeout".to_owned());
        }
        assert_eq!(board.readiness(time(3)), Ok(()));
        board.run_failed("a timeout".to_owned());
        assert_eq!(board.readiness(time(3)).unwrap_err(), "the last 3 runs failed: a timeout");
        board.run_finished(&report(2, &[], &[]));
        assert_eq!(board.readiness(time(3)), Ok(()));
    }

    #[test]
    fn a_run_that_hangs_is_not_ready() {
        let board = Board::new(Duration::from_mins(1), time(0));
        board.run_started(time(0));
        board.run_finished(&report(0, &[], &[]));
        board.run_started(time(60));
        assert_eq!(board.readiness(time(240)), Ok(()), "three intervals are not too long");
        let why = board.readiness(time(241)).unwrap_err();
        assert_eq!(why, "the run under way has not ended for 181 s, and runs start every 60 s");
        board.run_finished(&report(60, &[], &[]));
        assert_eq!(board.readiness(time(1_000)), Ok(()), "between two runs nothing hangs");
        // Where runs start every second, one that takes a few is no matter.
        let busy = Board::new(Duration::from_secs(1), time(0));
        busy.run_finished(&report(0, &[], &[]));
        busy.run_started(time(0));
        assert_eq!(busy.readiness(time(10)), Ok(()));
        assert!(busy.readiness(time(11)).is_err());
    }

    fn troubled(second: i64, undone: Option<&str>, undeleted: Option<&str>) -> Report {
        let owned = |why: &str| why.to_owned();
        let trouble = Trouble { undone: undone.map(owned), undeleted: undeleted.map(owned), unmended: None };
        Report { trouble, ..report(second, &["inbox/a.rpm"], &["inbox/a.rpm"]) }
    }

    #[test]
    fn three_runs_that_leave_sound_work_undone_are_too_many() {
        let board = Board::new(Duration::from_mins(1), time(0));
        let full = "publishing el9: no space left on device";
        for second in 0..2 {
            board.run_finished(&troubled(second, Some(full), None));
            assert_eq!(board.readiness(time(3)), Ok(()));
        }
        board.run_finished(&troubled(2, Some(full), None));
        let why = board.readiness(time(3)).unwrap_err();
        assert_eq!(why, format!("the last 3 runs could not publish what is sound: {full}"));
        board.run_finished(&report(3, &[], &[]));
        assert_eq!(board.readiness(time(4)), Ok(()));
    }

    #[test]
    fn one_refused_delete_is_too_many_until_it_is_done() {
        let board = Board::new(Duration::from_mins(1), time(0));
        let refused = "tidying inbox/a.rpm: permission denied";
        board.run_finished(&troubled(0, None, Some(refused)));
        assert_eq!(board.readiness(time(1)).unwrap_err(), format!("something cannot be deleted: {refused}"));
        board.run_finished(&report(1, &[], &[]));
        assert_eq!(board.readiness(time(2)), Ok(()));
    }

    #[test]
    fn a_repository_that_is_not_mended_is_not_ready() {
        let board = Board::new(Duration::from_mins(1), time(0));
        let why = "repomd.xml of el9 cannot be read: left as it is: no copy of the last revision is kept";
        let trouble = Trouble { unmended: Some(why.to_owned()), ..Trouble::default() };
        board.run_finished(&Report { trouble, ..report(0, &[], &[]) });
        assert_eq!(board.readiness(time(1)).unwrap_err(), why);
        board.run_finished(&report(1, &[], &[]));
        assert_eq!(board.readiness(time(2)), Ok(()));
    }

    #[test]
    fn keys_of_all_runs_together_are_bounded_and_counted() {
        let board = Board::new(Duration::from_mins(1), time(0));
        let keys: Vec<String> = (0..1_000).map(|at| format!("inbox/{at:0>240}.rpm")).collect();
        for second in 0..100 {
            let (inbox_keys, skipped_keys) = (keys.clone(), keys.clone());
            let left_out = Counts { inbox_keys: 4_000, skipped_keys: 4_000, ..Counts::default() };
            board.run_finished(&Report { inbox_keys, skipped_keys, left_out, ..report(second, &[], &[]) });
        }
        let runs = board.runs();
        let kept: usize = runs.iter().map(Past::bytes).sum();
        assert!(kept <= KEY_BYTES_KEPT && kept > KEY_BYTES_KEPT / 2, "{kept}");
        assert!(runs.iter().all(|past| past.inbox_keys.count() == 5_000 && past.skipped_keys.count() == 5_000));
        assert_eq!((runs[0].inbox_keys.first.len(), runs[59].inbox_keys.first.len()), (0, 1_000));
    }

    #[test]
    fn the_next_run_is_one_interval_after_the_start() {
        let board = Board::new(Duration::from_mins(1), time(0));
        board.run_started(time(5));
        board.run_failed("x".to_owned());
        let expected = Schedule { runs_finished: 1, next_run: time(65), interval: Duration::from_mins(1) };
        assert_eq!(board.schedule(), expected);
    }
}
