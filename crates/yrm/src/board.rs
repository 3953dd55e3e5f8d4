//! What the service tells of itself: its last runs, the next one, and whether it is ready.
//! The service writes it, the HTTP faces read it; nothing here reads a clock or a store.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::publish::report::Report;

/// Runs that are remembered, as in the first version.
pub const RUNS_KEPT: usize = 60;
/// Failed runs in a row after which the service is no longer ready.
pub const FAILURES_TOLERATED: u32 = 3;

/// See the module.
#[derive(Debug)]
pub struct Board {
    interval: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Clone)]
struct State {
    runs: VecDeque<Report>,
    runs_finished: u64,
    next_run: Timestamp,
    succeeded: bool,
    failures_in_a_row: u32,
    last_failure: Option<String>,
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
            succeeded: false,
            failures_in_a_row: 0,
            last_failure: None,
        };
        Self { interval, state: Mutex::new(state) }
    }

    /// Takes in the runs of earlier processes, in any order.
    pub fn remember(&self, earlier: Vec<Report>) {
        let mut state = self.state();
        let mut runs: Vec<Report> = earlier.into_iter().chain(state.runs.drain(..)).collect();
        runs.sort_by_key(|report| (report.started, report.run));
        runs.dedup_by_key(|report| report.run);
        let unneeded = runs.len().saturating_sub(RUNS_KEPT);
        state.runs = runs.split_off(unneeded).into();
    }

    /// A run starts now.
    pub fn run_started(&self, now: Timestamp) {
        // An interval is at most a hundred years; past the calendar's end there is no next run.
        self.state().next_run = now.checked_add(self.interval).unwrap_or(Timestamp::MAX);
    }

    /// A run ended well.
    pub fn run_finished(&self, report: Report) {
        let mut state = self.state();
        if state.runs.len() == RUNS_KEPT {
            state.runs.pop_front();
        }
        state.runs.push_back(report);
        state.runs_finished += 1;
        state.succeeded = true;
        state.failures_in_a_row = 0;
        state.last_failure = None;
    }

    /// A run failed as a whole.
    pub fn run_failed(&self, reason: String) {
        let mut state = self.state();
        state.runs_finished += 1;
        state.failures_in_a_row += 1;
        state.last_failure = Some(reason);
    }

    /// The remembered runs, oldest first.
    pub fn runs(&self) -> Vec<Report> {
        self.state().runs.iter().cloned().collect()
    }

    /// The schedule.
    pub fn schedule(&self) -> Schedule {
        let state = self.state();
        Schedule { runs_finished: state.runs_finished, next_run: state.next_run, interval: self.interval }
    }

    /// Whether clients of the service can rely on it; the error says why not.
    pub fn readiness(&self) -> Result<(), String> {
        let state = self.state();
        let because = || state.last_failure.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
        if !state.succeeded {
            return Err(match state.last_failure {
                None => "the first run has not finished yet".to_owned(),
                Some(_) => format!("no run has succeeded yet{}", because()),
            });
        }
        if state.failures_in_a_row >= FAILURES_TOLERATED {
            return Err(format!("the last {} runs failed{}", state.failures_in_a_row, because()));
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change above is complete before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use ulid::Ulid;

    use super::*;
    use crate::publish::report::Usage;

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
            duration_ms: 1_500,
            inbox_keys: owned(inbox),
            skipped_keys: owned(skipped),
            published: vec![],
            rejected: vec![],
            waiting: vec![],
            retired: vec![],
            removed: vec![],
            replaced: vec![],
            repositories: vec![],
            swept: 0,
            uploaders: std::collections::BTreeMap::new(),
            errors: vec![],
            usage: Usage::default(),
        }
    }

    #[test]
    fn history_lost_on_restart() {
        // The first version's defect, by its name.
        let earlier = vec![report(20, &["inbox/b.rpm"], &[]), report(10, &["inbox/a.rpm"], &[])];
        let board = Board::new(Duration::from_mins(1), time(100));
        board.remember(earlier);
        board.run_finished(report(100, &[], &[]));
        let starts: Vec<Timestamp> = board.runs().iter().map(|run| run.started).collect();
        assert_eq!(starts, [time(10), time(20), time(100)]);
    }

    #[test]
    fn the_last_sixty_runs_are_kept() {
        let board = Board::new(Duration::from_mins(1), time(0));
        board.remember((0..70).map(|s| report(s, &[], &[])).collect());
        board.run_finished(report(70, &[], &[]));
        let runs = board.runs();
        assert_eq!((runs.len(), runs[0].started, runs[59].started), (60, time(11), time(70)));
    }

    #[test]
    fn readiness_says_why_not() {
        let board = Board::new(Duration::from_mins(1), time(0));
        board.remember(vec![report(0, &[], &[])]);
        assert_eq!(board.readiness().unwrap_err(), "the first run has not finished yet");
        board.run_failed("listing inbox/: access denied".to_owned());
        assert_eq!(board.readiness().unwrap_err(), "no run has succeeded yet: listing inbox/: access denied");
        board.run_finished(report(1, &[], &[]));
        assert_eq!(board.readiness(), Ok(()));
        for _ in 1..FAILURES_TOLERATED {
            board.run_failed("a timeout".to_owned());
        }
        assert_eq!(board.readiness(), Ok(()));
        board.run_failed("a timeout".to_owned());
        assert_eq!(board.readiness().unwrap_err(), "the last 3 runs failed: a timeout");
        board.run_finished(report(2, &[], &[]));
        assert_eq!(board.readiness(), Ok(()));
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
