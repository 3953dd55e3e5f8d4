//! The service: runs on schedule, tells what they did, stops cleanly.
//!
//! Time and run ids enter the program here; below, they are arguments. A failing run is logged,
//! counted and tried again at the next interval; it never ends the process.

mod pulse;

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sd_notify::NotifyState;
use tokio::sync::watch;
use ulid::Ulid;

use self::pulse::{Pulse, Word};
use crate::board::Board;
use crate::bucket::generations;
use crate::bucket::report::{Counts, Report};
use crate::datadog::{Datadog, Event, Gauges};
use crate::error::Result;
use crate::events::Events;
use crate::metrics::{self, RunFigures};
use crate::notify::Notifier;
use crate::publish::{Publisher, RunId};
use crate::sched::{self, Bell, Ended, Stop, Stopper};
use crate::store::key::RepositoryDir;

/// For Datadog's last points and the last notices at the end. With [`sched::STOP_GRACE`] and
/// [`crate::events::LAST_DELETIONS`] it stays under 10 seconds.
pub const LAST_POINTS: Duration = Duration::from_secs(1);

/// Packages of a run that the log names at the level info.
const NAMED_PACKAGES: usize = 5;

/// A new run's id and start.
pub fn new_run() -> RunId {
    let started = Timestamp::now();
    let id = Ulid::from_parts(u64::try_from(started.as_millisecond()).unwrap_or(0), rand::random());
    RunId { id, started }
}

/// Who outside is told of runs. None of them can hold one up.
#[derive(Debug, Default)]
pub struct Outside {
    /// Gets two gauges of every run.
    pub datadog: Option<Datadog>,
    /// Gets notices of what is news.
    pub notifier: Option<Notifier>,
}

impl Outside {
    /// Sends what still waits.
    pub async fn finish(self) {
        let Self { datadog, notifier } = self;
        let points = async {
            if let Some(datadog) = datadog {
                datadog.finish(LAST_POINTS).await;
            }
        };
        let notices = async {
            if let Some(notifier) = notifier {
                notifier.finish(LAST_POINTS).await;
            }
        };
        tokio::join!(points, notices);
    }
}

/// One pass by `publish`, logged, counted and told outside: what `yrm run` does once and the
/// service does every interval. `all_is_well` judges its outcome: the heartbeat beats only then.
pub async fn pass(
    outside: &Outside,
    publish: impl AsyncFnOnce(RunId) -> Result<Report>,
    all_is_well: impl FnOnce(&Result<Report>) -> bool,
) -> Result<Report> {
    let run = new_run();
    let started = run.started;
    let outcome = publish(run).await;
    match &outcome {
        Ok(report) => {
            tell(report);
            see_repositories(report);
            metrics::run_finished(&figures(report), Timestamp::now());
            metrics::watched(
                report.noticed.iter().map(|noticed| noticed.found.name()),
                report.trouble.unmended.is_some(),
            );
            report.rejected.iter().for_each(|rejected| metrics::package_rejected(&rejected.code));
        }
        Err(error) => {
            let hint = error.hint_text();
            tracing::error!(run.id = %run.id, kind = error.kind().name(), hint, "the run failed: {}", error.chain());
            metrics::run_failed(error.kind().name());
        }
    }
    // The gauges are the heartbeat: a run that failed as a whole must not beat, nor a service that is not ready.
    let is_well = all_is_well(&outcome);
    if let (Some(datadog), Ok(report), true) = (&outside.datadog, &outcome, is_well) {
        let Counts { inbox_keys, skipped_keys, .. } = report.counts();
        datadog.offer(Gauges { at: started, inbox_keys, skipped_keys });
    }
    if let (Some(datadog), Ok(report)) = (&outside.datadog, &outcome)
        && !report.noticed.is_empty()
    {
        datadog.tell(event(report));
    }
    if let Some(notifier) = &outside.notifier {
        notifier.tell(run.id, started, outcome.as_ref());
    }
    outcome
}

/// Tells outside of an operation that is over: what operators change is told as what runs change.
pub fn tell_of_operation(outside: &Outside, report: &Report) {
    if let Some(datadog) = &outside.datadog {
        datadog.tell(event(report));
    }
    if let Some(notifier) = &outside.notifier {
        notifier.tell(report.run, report.started, Ok(report));
    }
}

/// The operation in a few words: what uploaders wrote is not among them.
fn event(report: &Report) -> Event {
    let counts = report.counts();
    let counted = [
        (counts.published, "published"),
        (counts.removed, "removed"),
        (counts.restored, "brought back"),
        (counts.replaced, "replaced"),
        (counts.pruned, "pruned"),
        (counts.marked, "marked"),
    ];
    let counted = counted.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    let said = [("By", &report.by), ("Reason", &report.reason)];
    let said = said.into_iter().filter_map(|(what, said)| Some(format!("{what}: {}", said.as_ref()?)));
    let noticed = report.noticed.iter().map(ToString::to_string);
    let lines: Vec<String> = [counted.collect::<Vec<_>>().join(", ")].into_iter().chain(noticed).chain(said).collect();
    Event { at: report.started, title: format!("yrm: {}", report.operation.name()), text: lines.join("\n") }
}

/// Whether a run by itself, which no other is compared with, did all it had to do.
pub fn left_nothing_undone(outcome: &Result<Report>) -> bool {
    outcome.as_ref().is_ok_and(|report| report.trouble.is_none())
}

/// Who is told of runs, or tells of work for them.
#[derive(Debug)]
pub struct Told<'a> {
    /// What the faces show.
    pub board: &'a Board,
    /// Who outside hears of them.
    pub outside: Outside,
    /// What calls for runs between two intervals.
    pub events: Option<&'a Events>,
    /// Whoever reads beside the runs what takes long to read.
    pub reader: Option<&'a Current>,
}

/// The publisher of a service. Another takes its place when the bucket's settings change.
#[derive(Debug)]
pub struct Current(watch::Sender<Arc<Publisher>>);

impl Current {
    /// With this one.
    pub fn new(publisher: Publisher) -> Self {
        Self(watch::Sender::new(Arc::new(publisher)))
    }

    /// The one that publishes now.
    pub fn get(&self) -> Arc<Publisher> {
        Arc::clone(&self.0.borrow())
    }

    /// The one that publishes at any time from now on.
    pub fn follow(&self) -> watch::Receiver<Arc<Publisher>> {
        self.0.subscribe()
    }

    /// Lets another one publish from now on.
    pub fn set(&self, publisher: Publisher) {
        self.0.send_replace(Arc::new(publisher));
    }

    /// Reads beside the runs, for as long as this is polled.
    async fn read_long(&self, call: impl Fn()) {
        let mut changes = self.0.subscribe();
        loop {
            let publisher = Arc::clone(&changes.borrow_and_update());
            tokio::select! {
                () = publisher.read_long(&call) => return,
                // The one that goes is not held for longer.
                _ = changes.changed() => {}
            }
        }
    }
}

/// Runs on schedule and when events call until `stop`, telling all who are to be told. When no
/// further run is wanted and none is in flight, it stops the rest by `stopper`.
pub async fn work(
    Told { board, outside, events, reader }: Told<'_>,
    stopper: &Stopper,
    stop: Stop,
    publish: impl AsyncFn(RunId) -> Result<Report>,
) -> Ended {
    let interval = board.schedule().interval;
    let last = board.runs().last().map(|run| run.started);
    let pulse = RefCell::new(Pulse::new(Timestamp::now(), last));
    let once = async || {
        board.run_started(Timestamp::now());
        events.inspect(|events| events.run_started());
        let note = |outcome: &Result<Report>| {
            match outcome {
                Ok(report) => board.run_finished(report),
                Err(error) => board.run_failed(error.chain()),
            }
            board.readiness(Timestamp::now()).is_ok()
        };
        let outcome = pass(&outside, &publish, note).await;
        let word = pulse.borrow_mut().after(outcome.as_ref().ok(), Timestamp::now());
        if let Some(word) = word {
            say(word, reader.map(Current::get).as_deref()).await;
        }
        events.inspect(|events| events.run_ended(outcome.as_ref().ok()));
    };
    let bell = Bell::default();
    let runs = async {
        let ended = sched::every(interval, &bell, stop.clone(), once).await;
        events.inspect(|events| events.close());
        stopper.stop();
        ended
    };
    let listening = async {
        if let Some(events) = events {
            events.listen(&bell, stop.clone()).await;
        }
    };
    let reading = async {
        if let Some(current) = reader {
            let mut stop = stop.clone();
            tokio::select! {
                // It is large, and most of the time nothing is read.
                () = Box::pin(current.read_long(|| bell.ring())) => {}
                () = stop.requested() => {}
            }
        }
    };
    let (ended, (), ()) = tokio::join!(runs, listening, reading);
    if ended == Ended::Abandoned {
        tracing::warn!("the current run took too long to end and was left; the next run will finish it");
    }
    outside.finish().await;
    ended
}

/// A line of the log that no run has.
async fn say(word: Word, publisher: Option<&Publisher>) {
    let (waiting, changed_at) = match word {
        Word::Recovered(1) => return tracing::info!("recovered: the run succeeded, after one that failed"),
        Word::Recovered(failed) => return tracing::info!("recovered: the run succeeded, after {failed} that failed"),
        Word::Alive { waiting, changed_at } => (waiting, changed_at),
    };
    let repositories = match publisher {
        Some(publisher) => generations::repositories(publisher.bucket()).await.map(|there| there.len()).ok(),
        None => None,
    };
    let repositories = repositories.map_or_else(|| "unknown".to_owned(), |there| there.to_string());
    let inbox = if waiting == 0 { "inbox empty".to_owned() } else { format!("{waiting} files wait in the inbox") };
    let changed = changed_at.map_or_else(|| "none seen".to_owned(), |at| at.strftime("%F %T UTC").to_string());
    tracing::info!("alive: {repositories} repositories, {inbox}, last change {changed}");
}

/// What the end of this program is to systemd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Farewell {
    /// The service ends.
    Stopping,
    /// Another program takes over in the same process, and will say READY.
    Reloading,
}

/// Tells systemd what it asked for: READY now, WATCHDOG at half its limit, and at the end the
/// `farewell`. Without systemd it does nothing until `stop`.
pub async fn tell_systemd(mut stop: Stop, farewell: impl FnOnce() -> Farewell) {
    notify(&[NotifyState::Ready]);
    match sd_notify::watchdog_enabled() {
        None => stop.requested().await,
        Some(limit) => {
            // Beats come from the same runtime as the runs: when it hangs, they stop.
            let mut beat = tokio::time::interval((limit / 2).max(Duration::from_millis(1)));
            loop {
                tokio::select! {
                    () = stop.requested() => break,
                    _ = beat.tick() => notify(&[NotifyState::Watchdog]),
                }
            }
        }
    }
    match farewell() {
        Farewell::Stopping => notify(&[NotifyState::Stopping]),
        // From version 253 on systemd wants to know when.
        Farewell::Reloading => match NotifyState::monotonic_usec_now() {
            Ok(now) => notify(&[NotifyState::Reloading, now]),
            Err(_) => notify(&[NotifyState::Reloading]),
        },
    }
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "telling systemd failed");
    }
}

fn tell(report: &Report) {
    for package in report.published.iter().skip(NAMED_PACKAGES) {
        tracing::debug!(run.id = %report.run, package.nevra = ?package.nevra, repository = ?RepositoryDir::new(&package.repository).to_string(), "published: {:?}", package.href);
    }
    for package in report.published.iter().take(NAMED_PACKAGES) {
        tracing::info!(run.id = %report.run, package.nevra = ?package.nevra, repository = ?RepositoryDir::new(&package.repository).to_string(), "published: {:?}", package.href);
    }
    if let Some(more @ 1..) = report.published.len().checked_sub(NAMED_PACKAGES) {
        tracing::info!(run.id = %report.run, "published: and {more} more, named at the level debug and in the history");
    }
    let remarks =
        report.published.iter().flat_map(|package| package.remarks.iter().map(move |remark| (package, remark)));
    for (package, remark) in remarks {
        tracing::warn!(run.id = %report.run, key = ?package.inbox_key, code = remark.code, "published nevertheless: {:?}", remark.message);
    }
    for rejected in &report.rejected {
        tracing::warn!(run.id = %report.run, key = ?rejected.inbox_key, code = rejected.code, quarantine = ?rejected.quarantine_key, "rejected: {:?}", rejected.message);
    }
    // A file that waits to be complete is seen by every run: no news.
    let (done, rejected_files) = (report.published.len() + report.pruned.len(), report.rejected.len());
    let worked = done + rejected_files + report.errors.len() > 0 || report.cleaned_up > 0;
    let Counts { published, rejected, waiting, .. } = report.counts();
    let duration_ms = report.duration_ms;
    if worked {
        tracing::info!(run.id = %report.run, published, rejected, waiting, pruned = report.pruned.len(), cleaned_up = report.cleaned_up, duration_ms, "run done");
    } else {
        tracing::debug!(run.id = %report.run, duration_ms, "run done, nothing new");
    }
}

/// Notes for the metrics how a run left the repositories.
pub fn see_repositories(report: &Report) {
    for repository in &report.repositories {
        if let Some(revision) = repository.revision_after {
            let folder = RepositoryDir::new(&repository.repository).to_string();
            metrics::repository_seen(&folder, repository.packages, revision);
        }
    }
}

fn figures(report: &Report) -> RunFigures {
    let Counts { inbox_keys, skipped_keys, errors, .. } = report.counts();
    RunFigures {
        duration: Duration::from_millis(report.duration_ms),
        inbox_keys,
        skipped_keys,
        oldest_upload: report.oldest_upload,
        published: report.published.iter().filter(|published| !published.already_there).count(),
        pruned: report.pruned.len(),
        cleaned_up: report.cleaned_up,
        errors,
        left_undone: !report.trouble.is_none(),
        reads: report.usage.reads,
        writes: report.usage.writes,
        bytes_in: report.usage.bytes_in,
        bytes_out: report.usage.bytes_out,
    }
}

/// A board for `interval`.
pub fn board(interval: Duration) -> Arc<Board> {
    Arc::new(Board::new(interval, Timestamp::now()))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::board::tests::report;
    use crate::error::{Error, ErrorKind};

    #[tokio::test(start_paused = true)]
    async fn a_failing_run_is_counted_and_the_next_one_heals() {
        let board = board(Duration::from_mins(1));
        let (stopper, stop) = sched::stop_pair();
        let runs = Cell::new(0);
        let told = Told { board: &board, outside: Outside::default(), events: None, reader: None };
        let ended = work(told, &stopper, stop, async |_run| {
            runs.set(runs.get() + 1);
            match runs.get() {
                1 => Err(Error::new(ErrorKind::Unavailable, "listing inbox/").because("a timeout")),
                2 => {
                    assert_eq!(
                        board.readiness(Timestamp::now()).unwrap_err(),
                        "no run has succeeded yet: listing inbox/: a timeout"
                    );
                    Ok(report(0, &["inbox/a.rpm"], &[]))
                }
                _ => {
                    stopper.stop();
                    Ok(report(60, &[], &[]))
                }
            }
        })
        .await;
        assert_eq!((ended, board.runs().len(), board.schedule().runs_finished), (Ended::Cleanly, 2, 3));
        assert_eq!(board.readiness(Timestamp::now()), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_last_run_everything_stops() {
        let board = board(Duration::from_mins(1));
        let (stopper, stop) = sched::stop_pair();
        let told = Told { board: &board, outside: Outside::default(), events: None, reader: None };
        let ended = work(told, &stopper, stop.clone(), async |_run| {
            stopper.after_this_run();
            assert!(!stop.is_requested(), "the faces answer while it is in flight");
            tokio::time::sleep(10 * sched::STOP_GRACE).await;
            Ok(report(0, &["inbox/a.rpm"], &[]))
        })
        .await;
        assert_eq!((ended, board.schedule().runs_finished, stop.is_requested()), (Ended::Cleanly, 1, true));
    }

    #[tokio::test]
    async fn the_heartbeat_stops_while_the_service_is_not_ready() {
        let agent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let statsd = Some(agent.local_addr().unwrap().to_string());
        let config = crate::config::Datadog { api_key: None, app_key: None, site: "datadoghq.com".to_owned(), statsd };
        let datadog = Some(Datadog::start(&config, "b", &crate::authorities::Authorities::default()).unwrap());
        let outside = Outside { datadog, notifier: None };
        for (second, keys, ready) in [(0, 1, true), (60, 2, false), (120, 3, true)] {
            let found: Vec<String> = (0..keys).map(|at| format!("inbox/{at}")).collect();
            let run = async |_| Ok(Report { inbox_keys: found, ..report(second, &[], &[]) });
            pass(&outside, run, |_| ready).await.unwrap();
        }
        outside.finish().await;
        let mut beats = Vec::new();
        let mut datagram = [0; 512];
        while let Ok(length) = agent.try_recv(&mut datagram) {
            let text = String::from_utf8(datagram[..length].to_vec()).unwrap();
            beats.push(text.lines().next().unwrap().rsplit(':').next().unwrap().to_owned());
        }
        assert_eq!(beats, ["1|g", "3|g"]);
    }

    #[test]
    fn run_ids_carry_their_time() {
        let run = new_run();
        assert_eq!(run.id.timestamp_ms(), u64::try_from(run.started.as_millisecond()).unwrap());
        assert_ne!(new_run().id, run.id);
    }
}
