//! When: at a fixed interval between starts, or soon after the bell rang; never two at once, the
//! first at once, until stopped.
//!
//! Knows nothing of what is run or who rings. The only place that waits for the clock.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::error::{Error, ErrorKind, Result};

/// How long a run may go on after a stop was asked for. systemd, ECS and Kubernetes kill later
/// than the 10 seconds that are promised. A run may be cut anywhere: the next one finishes it.
pub const STOP_GRACE: Duration = Duration::from_secs(8);

/// How far the service is towards its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Running,
    /// The run in flight is the last; there is no hurry.
    LastRun,
    Stopping,
}

/// Asks for the stop.
#[derive(Debug)]
pub struct Stopper(watch::Sender<Phase>);

impl Stopper {
    /// Everything that holds the other end winds up.
    pub fn stop(&self) {
        self.0.send_replace(Phase::Stopping);
    }

    /// No run starts any more; the one in flight may take as long as it takes, and everything else goes on.
    pub fn after_this_run(&self) {
        self.0.send_if_modified(|phase| {
            let earlier = std::mem::replace(phase, Phase::LastRun.max(*phase));
            earlier != *phase
        });
    }
}

/// Learns of the stop.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<Phase>);

impl Stop {
    /// Returns when the stop is asked for, or when nobody is left to ask.
    pub async fn requested(&mut self) {
        self.reached(Phase::Stopping).await;
    }

    /// Whether it was asked for.
    pub fn is_requested(&self) -> bool {
        *self.0.borrow() == Phase::Stopping
    }

    /// Returns when no further run may start.
    async fn no_more_runs(&mut self) {
        self.reached(Phase::LastRun).await;
    }

    async fn reached(&mut self, wanted: Phase) {
        // An error means that the stopper is gone, which ends everything too.
        drop(self.0.wait_for(|phase| *phase >= wanted).await);
    }
}

/// The two ends of a stop.
pub fn stop_pair() -> (Stopper, Stop) {
    let (sender, receiver) = watch::channel(Phase::Running);
    (Stopper(sender), Stop(receiver))
}

/// SIGTERM and SIGINT. None is missed from its making on.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Listens from now on.
    pub fn listen() -> Result<Self> {
        let listen = |kind| {
            signal(kind).map_err(|error| Error::new(ErrorKind::Internal, "listening for signals").because(error))
        };
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// Returns at the next of them, with its name.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// SIGHUP, which ends nothing from now on: whoever moves log files away sends it.
#[derive(Debug)]
pub struct Hangups(Signal);

impl Hangups {
    /// Listens from now on.
    pub fn listen() -> Result<Self> {
        let listened = signal(SignalKind::hangup());
        listened.map(Self).map_err(|error| Error::new(ErrorKind::Internal, "listening for signals").because(error))
    }

    /// Returns at the next of them.
    pub async fn next(&mut self) {
        // Nothing ends the stream.
        self.0.recv().await;
    }
}

/// How long after a ring a run waits for more: a burst of uploads is one run.
pub const QUIET: Duration = Duration::from_millis(200);
/// A burst that does not end is waited for no longer than this.
pub const LONGEST_BURST: Duration = Duration::from_secs(1);

/// Calls for a run before its time.
#[derive(Debug, Default)]
pub struct Bell(watch::Sender<Option<Rung>>);

#[derive(Debug, Clone, Copy)]
struct Rung {
    first: Instant,
    last: Instant,
}

impl Bell {
    /// Calls for a run. One that is under way does not count: it may have looked already.
    pub fn ring(&self) {
        let now = Instant::now();
        self.0.send_modify(|rung| {
            let first = rung.map_or(now, |rung| rung.first);
            *rung = Some(Rung { first, last: now });
        });
    }

    /// What rang until now is heard.
    fn silence(&self) {
        self.0.send_replace(None);
    }

    /// Returns when it is time for the run that was called for.
    async fn due(&self) {
        let mut heard = self.0.subscribe();
        loop {
            let rung = *heard.borrow_and_update();
            let due = async {
                match rung {
                    None => std::future::pending().await,
                    Some(Rung { first, last }) => {
                        tokio::time::sleep_until((last + QUIET).min(first + LONGEST_BURST)).await;
                    }
                }
            };
            tokio::select! {
                biased;
                () = due => return,
                // The sender lives as long as `self`.
                _ = heard.changed() => {}
            }
        }
    }
}

/// How the schedule ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Between two runs, or as a run finished.
    Cleanly,
    /// A run outlived [`STOP_GRACE`] and was left where it was.
    Abandoned,
}

/// Runs `once` every `interval`, and when `bell` calls, until `stop`. A run longer than the
/// interval is followed at once by the next; a ring during a run calls for another one.
pub async fn every(interval: Duration, bell: &Bell, mut stop: Stop, mut once: impl AsyncFnMut()) -> Ended {
    // Asked before the first run: then there is none.
    while *stop.0.borrow() != Phase::LastRun {
        let started = Instant::now();
        bell.silence();
        let mut watched = stop.clone();
        let out_of_time = async {
            watched.requested().await;
            tokio::time::sleep(STOP_GRACE).await;
        };
        tokio::select! {
            () = once() => {}
            () = out_of_time => return Ended::Abandoned,
        }
        tokio::select! {
            // A stop that arrived meanwhile wins over a next run that is due.
            biased;
            () = stop.no_more_runs() => break,
            () = tokio::time::sleep_until(started + interval) => {}
            () = bell.due() => {}
        }
    }
    Ended::Cleanly
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    /// The starts of five runs that take `length` each, in seconds from the first.
    async fn starts(length: Duration) -> Vec<u64> {
        let (stopper, stop) = stop_pair();
        let origin = Instant::now();
        let mut starts = Vec::new();
        let ended = every(MINUTE, &Bell::default(), stop, async || {
            starts.push(origin.elapsed().as_secs());
            tokio::time::sleep(length).await;
            if starts.len() == 5 {
                stopper.stop();
            }
        })
        .await;
        assert_eq!(ended, Ended::Cleanly);
        starts
    }

    #[tokio::test(start_paused = true)]
    async fn the_interval_is_between_starts_and_the_first_run_is_at_once() {
        assert_eq!(starts(Duration::from_secs(20)).await, [0, 60, 120, 180, 240]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_longer_than_the_interval_never_overlaps_the_next() {
        assert_eq!(starts(Duration::from_secs(90)).await, [0, 90, 180, 270, 360]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_lets_the_current_run_finish() {
        let (stopper, stop) = stop_pair();
        let mut finished = false;
        let ended = every(MINUTE, &Bell::default(), stop, async || {
            stopper.stop();
            tokio::time::sleep(STOP_GRACE / 2).await;
            finished = true;
        })
        .await;
        assert_eq!((ended, finished), (Ended::Cleanly, true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_does_not_end_is_abandoned_within_ten_seconds() {
        let (stopper, stop) = stop_pair();
        stopper.stop();
        let origin = Instant::now();
        assert_eq!(every(MINUTE, &Bell::default(), stop, std::future::pending).await, Ended::Abandoned);
        assert!(origin.elapsed() < Duration::from_secs(10));
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_run_may_take_its_time_and_none_follows() {
        let (stopper, stop) = stop_pair();
        let mut runs = 0;
        let ended = every(MINUTE, &Bell::default(), stop, async || {
            stopper.after_this_run();
            tokio::time::sleep(100 * STOP_GRACE).await;
            runs += 1;
        })
        .await;
        assert_eq!((ended, runs), (Ended::Cleanly, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn no_run_starts_when_none_is_wanted_any_more() {
        let (stopper, stop) = stop_pair();
        stopper.after_this_run();
        assert_eq!(every(MINUTE, &Bell::default(), stop, async || panic!("a run")).await, Ended::Cleanly);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_is_no_less_a_stop_during_the_last_run() {
        let (stopper, stop) = stop_pair();
        let once = async || {
            stopper.after_this_run();
            stopper.stop();
            stopper.after_this_run();
            std::future::pending::<()>().await;
        };
        assert_eq!(every(MINUTE, &Bell::default(), stop, once).await, Ended::Abandoned);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_between_runs_is_heard_at_once() {
        let (stopper, stop) = stop_pair();
        let origin = Instant::now();
        let stopping = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            stopper.stop();
        };
        let bell = Bell::default();
        let (ended, ()) = tokio::join!(every(MINUTE, &bell, stop, async || {}), stopping);
        assert_eq!((ended, origin.elapsed()), (Ended::Cleanly, Duration::from_secs(5)));
    }
    /// The starts of runs that take `length`, in milliseconds, when it rings at these.
    async fn starts_when_rung(length: Duration, rings_ms: &[u64], until: Duration) -> Vec<u128> {
        let (stopper, stop) = stop_pair();
        let (bell, origin) = (Bell::default(), Instant::now());
        let mut starts = Vec::new();
        let ringing = async {
            for ms in rings_ms {
                tokio::time::sleep_until(origin + Duration::from_millis(*ms)).await;
                bell.ring();
            }
            tokio::time::sleep_until(origin + until).await;
            stopper.stop();
        };
        let once = async || {
            starts.push(origin.elapsed().as_millis());
            tokio::time::sleep(length).await;
        };
        tokio::join!(every(MINUTE, &bell, stop, once), ringing);
        starts
    }

    const HALF: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_ring_brings_the_next_run_forward_and_the_interval_counts_from_it() {
        let starts = starts_when_rung(Duration::ZERO, &[5_000], 3 * HALF).await;
        assert_eq!(starts, [0, 5_200, 65_200]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_one_run() {
        assert_eq!(starts_when_rung(Duration::ZERO, &[5_000, 5_000, 5_100, 5_250], HALF).await, [0, 5_450]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_that_does_not_end_is_a_run_a_second() {
        let rings: Vec<u64> = (5_000..8_000).step_by(100).collect();
        assert_eq!(starts_when_rung(Duration::ZERO, &rings, HALF).await, [0, 6_000, 7_100, 8_100]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_ring_during_a_run_is_another_run_at_once_and_never_overlaps() {
        let starts = starts_when_rung(Duration::from_secs(2), &[500, 600], HALF).await;
        assert_eq!(starts, [0, 2_000]);
    }
}
