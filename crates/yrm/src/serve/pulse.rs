//! What the service says of itself between changes: that it is alive, and that it has recovered. Pure: time comes in.

use std::time::Duration;

use jiff::Timestamp;

use crate::bucket::report::Report;

/// Somebody who reads the log learns once in this time that the service is there.
const SILENCE: Duration = Duration::from_hours(1);

/// What is remembered between runs.
#[derive(Debug)]
pub(super) struct Pulse {
    /// When the log last had a line of a run.
    said_at: Timestamp,
    changed_at: Option<Timestamp>,
    failed_in_a_row: u32,
}

/// What is to be said after a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word {
    /// Runs succeed again after so many that did not.
    Recovered(u32),
    /// Nothing has happened for long.
    Alive {
        /// Files that wait.
        waiting: usize,
        /// The last change, if this process has seen one.
        changed_at: Option<Timestamp>,
    },
}

impl Pulse {
    /// The service starts; the newest record of the history tells of the last change.
    pub(super) fn new(now: Timestamp, changed_at: Option<Timestamp>) -> Self {
        Self { said_at: now, changed_at, failed_in_a_row: 0 }
    }

    /// A run has ended at `now`; `None` is one that failed as a whole.
    pub(super) fn after(&mut self, report: Option<&Report>, now: Timestamp) -> Option<Word> {
        let Some(report) = report.filter(|report| report.errors.is_empty()) else {
            self.failed_in_a_row = self.failed_in_a_row.saturating_add(1);
            self.said_at = now;
            return None;
        };
        if report.changed() {
            (self.said_at, self.changed_at) = (now, Some(report.started));
        }
        let failed = std::mem::take(&mut self.failed_in_a_row);
        if failed > 0 {
            self.said_at = now;
            return Some(Word::Recovered(failed));
        }
        let silence = jiff::SignedDuration::try_from(SILENCE).unwrap_or(jiff::SignedDuration::MAX);
        (now.duration_since(self.said_at) >= silence).then(|| {
            self.said_at = now;
            Word::Alive { waiting: report.counts().waiting, changed_at: self.changed_at }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::tests::{report, time};
    use crate::bucket::report::Waiting;

    #[test]
    fn an_idle_service_says_once_an_hour_that_it_is_alive() {
        let mut pulse = Pulse::new(time(0), None);
        let idle = report(0, &[], &[]);
        let words: Vec<_> = (1..=180).filter_map(|minute| pulse.after(Some(&idle), time(60 * minute))).collect();
        assert_eq!(words, vec![Word::Alive { waiting: 0, changed_at: None }; 3]);
        let changed = Report { cleaned_up: 1, ..report(11_000, &[], &[]) };
        assert_eq!(pulse.after(Some(&changed), time(11_000)), None, "the run has its own line");
        assert_eq!(pulse.after(Some(&idle), time(14_000)), None);
        let mut waits = report(0, &[], &[]);
        waits.waiting.push(Waiting { inbox_key: "inbox/a".to_owned(), reason: "it may still be coming".to_owned() });
        let word = Word::Alive { waiting: 1, changed_at: Some(time(11_000)) };
        assert_eq!(pulse.after(Some(&waits), time(14_600)), Some(word));
    }

    #[test]
    fn that_runs_succeed_again_is_said_once() {
        let mut pulse = Pulse::new(time(0), None);
        let (good, partly) = (report(0, &[], &[]), Report { errors: vec!["no".to_owned()], ..report(0, &[], &[]) });
        let words: Vec<_> = [None, Some(&partly), None, Some(&good), Some(&good), None, Some(&good)]
            .into_iter()
            .map(|outcome| pulse.after(outcome, time(60)))
            .collect();
        assert_eq!(words, [None, None, None, Some(Word::Recovered(3)), None, None, Some(Word::Recovered(1))]);
    }
}
