//! What is counted, one function per event. Nothing else touches the recorder, so the names and
//! labels on `/metrics` are this file. Every value of a label that is known stands there from the start, with 0: an
//! alert on an increase sees the first one, too. Only the folders of the first [`REPOSITORIES`] repositories become
//! labels; no other label takes a value from a key or a package.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use metrics::{Counter, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use crate::error::ErrorKind;
use crate::legible;

/// Seconds; a run takes from a blink (idle) to many minutes (a first publish).
const RUN_SECONDS: [f64; 10] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 300.0, 1800.0];

/// Repositories that are told apart; the others are counted.
pub const REPOSITORIES: usize = 100;
/// A revision below this is no second of our time, and has no age.
const FIRST_SECOND: u64 = 1_000_000_000;

/// The longest reason code that becomes a label.
const MAX_CODE_BYTES: usize = 32;

/// The figures of one finished run.
#[derive(Debug, Clone, Copy, Default)]
pub struct RunFigures {
    /// How long it took.
    pub duration: Duration,
    /// Inbox keys that were work.
    pub inbox_keys: usize,
    /// Inbox keys that were not published.
    pub skipped_keys: usize,
    /// When the oldest file of the inbox was uploaded.
    pub oldest_upload: Option<Timestamp>,
    /// Packages published.
    pub published: usize,
    /// Packages pruned.
    pub pruned: usize,
    /// Files cleaned up.
    pub cleaned_up: u64,
    /// Things that went wrong while the rest went on.
    pub errors: usize,
    /// Whether sound work was left undone.
    pub left_undone: bool,
    /// Store calls that read.
    pub reads: u64,
    /// Store calls that write.
    pub writes: u64,
    /// Bytes received in object bodies.
    pub bytes_in: u64,
    /// Bytes sent in object bodies.
    pub bytes_out: u64,
}

/// Where `/metrics` reads.
#[derive(Clone)]
pub struct Recorder(PrometheusHandle);

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Recorder")
    }
}

impl Recorder {
    /// Everything counted so far, in Prometheus's text format.
    pub fn render(&self) -> String {
        // Histograms gather samples until they are folded; reading is when that is needed.
        self.0.run_upkeep();
        self.0.render()
    }
}

/// Starts counting; until then every event is a no-op. The recorder is the process's one.
pub fn install() -> Recorder {
    static RECORDER: OnceLock<Recorder> = OnceLock::new();
    RECORDER
        .get_or_init(|| {
            let recorder = PrometheusBuilder::new()
                .set_buckets(&RUN_SECONDS)
                .expect("the list of buckets is not empty")
                .build_recorder();
            let handle = recorder.handle();
            // Only another recorder in this process could refuse; then this one stays empty.
            if metrics::set_global_recorder(recorder).is_err() {
                tracing::warn!("another metrics recorder is in place; /metrics stays empty");
            }
            describe();
            begin_at_zero();
            Recorder(handle)
        })
        .clone()
}

fn describe() {
    describe_counter!(
        "yrm_runs_total",
        "Runs, by how they ended: ok, partial (something went wrong, the rest was done) or failed"
    );
    describe_histogram!("yrm_run_duration_seconds", "How long runs that succeeded took");
    describe_counter!("yrm_failures_total", "Runs that failed, by kind of error");
    describe_counter!("yrm_run_errors_total", "Things that went wrong in runs while the rest went on");
    describe_gauge!("yrm_inbox_keys", "Inbox keys that were work in the last run");
    describe_gauge!("yrm_skipped_keys", "Inbox keys that the last run did not publish");
    describe_counter!("yrm_packages_published_total", "Packages published");
    describe_counter!("yrm_packages_rejected_total", "Files rejected (moved to quarantine), by reason code");
    describe_counter!("yrm_packages_pruned_total", "Packages pruned: old versions that left the metadata");
    describe_counter!("yrm_objects_cleaned_up_total", "Files cleaned up: deleted after their grace period");
    describe_counter!("yrm_store_requests_total", "Calls to the store");
    describe_counter!("yrm_store_bytes_total", "Bytes in object bodies");
    describe_gauge!("yrm_last_success_timestamp_seconds", "When the last run ended that left nothing sound undone");
    describe_counter!("yrm_http_requests_total", "HTTP requests answered, by route and status");
    describe_counter!("yrm_datadog_points_total", "Pairs of gauges for Datadog, by what became of them");
    describe_counter!("yrm_notices_total", "Notices for a webhook or a topic, by what became of them");
    describe_counter!("yrm_queue_messages_total", "Messages received from the queue, by what they said");
    describe_counter!("yrm_queue_deleted_total", "Messages deleted from the queue");
    describe_counter!("yrm_queue_failures_total", "Calls to the queue that failed, by call and kind of error");
    describe_gauge!("yrm_queue_up", "Whether the last such call to the queue was answered");
    describe_gauge!("yrm_build_info", "1, with the version as a label");
    describe_gauge!(
        "yrm_inbox_oldest_age_seconds",
        "How long the oldest file that the last run found had been in the inbox; 0 when it was empty"
    );
    describe_gauge!("yrm_repository_packages", "Packages in a repository, as the last run that worked there left it");
    describe_gauge!("yrm_repository_revision", "Revision of a repository, as the last run that worked there left it");
    describe_gauge!(
        "yrm_repository_revision_age_seconds",
        "Age of that revision at the end of the last run: a revision's number is the second it was made in"
    );
    describe_gauge!(
        "yrm_repositories_left_out",
        "Repositories that the gauges of repositories leave out: they tell of the first 100"
    );
    describe_gauge!(
        "yrm_quarantine_files",
        "Files in quarantine, at most 10,000 objects of it: measured at the start and after each run that changed something"
    );
    describe_counter!(
        "yrm_foreign_changes_total",
        "Repositories whose repomd.xml was gone, damaged or another program's, by what was found"
    );
    describe_counter!("yrm_gateway_requests_total", "Requests to the gateway, by what became of them");
    describe_counter!("yrm_gateway_downloads_total", "Packages that the gateway handed on, or sent clients to S3 for");
    describe_counter!("yrm_access_log_lines_dropped_total", "Lines that the access log was too slow for");
    describe_gauge!("yrm_repositories_unmended", "1 while such a repository could not be mended, else 0");
    describe_gauge!("yrm_quarantine_bytes", "Size of these files, measured at the same times");
}

/// What becomes of a request to the gateway.
const GATEWAY: [&str; 8] =
    ["redirected", "served", "not-found", "refused", "failed", "unknown", "forbidden", "locked-out"];

/// What the watch may find in the place of a repomd.xml.
const FOUND: [&str; 3] = ["gone", "damaged", "foreign"];

/// Whatever can be counted, and every value of a label that is a list of ours.
fn begin_at_zero() {
    gauge!("yrm_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    gauge!("yrm_repositories_left_out").set(0.0);
    for outcome in ["ok", "partial", "failed"] {
        counter!("yrm_runs_total", "outcome" => outcome).absolute(0);
    }
    for kind in ErrorKind::ALL.map(ErrorKind::name) {
        counter!("yrm_failures_total", "kind" => kind).absolute(0);
        for call in QueueCall::ALL.map(QueueCall::name) {
            counter!("yrm_queue_failures_total", "call" => call, "kind" => kind).absolute(0);
        }
    }
    for name in [
        "yrm_run_errors_total",
        "yrm_packages_published_total",
        "yrm_packages_pruned_total",
        "yrm_objects_cleaned_up_total",
        "yrm_queue_deleted_total",
        "yrm_gateway_downloads_total",
        "yrm_access_log_lines_dropped_total",
    ] {
        counter!(name).absolute(0);
    }
    for found in FOUND {
        counter!("yrm_foreign_changes_total", "found" => found).absolute(0);
    }
    gauge!("yrm_repositories_unmended").set(0.0);
    for outcome in GATEWAY {
        counter!("yrm_gateway_requests_total", "outcome" => outcome).absolute(0);
    }
    for kind in ["read", "write"] {
        counter!("yrm_store_requests_total", "kind" => kind).absolute(0);
    }
    for direction in ["in", "out"] {
        counter!("yrm_store_bytes_total", "direction" => direction).absolute(0);
    }
    for outcome in Delivery::ALL.map(Delivery::name) {
        counter!("yrm_datadog_points_total", "outcome" => outcome).absolute(0);
        counter!("yrm_notices_total", "outcome" => outcome).absolute(0);
    }
    for said in Heard::ALL.map(Heard::name) {
        counter!("yrm_queue_messages_total", "said" => said).absolute(0);
    }
}

/// The codes that files can be rejected for; each is counted from 0 on.
pub fn rejection_codes(codes: impl IntoIterator<Item = &'static str>) {
    for code in codes.into_iter().chain([OTHER_CODE]) {
        counter!("yrm_packages_rejected_total", "code" => code).absolute(0);
    }
}

/// The label of a code that is none of ours.
const OTHER_CODE: &str = "other";

/// What is known of the repositories that are told apart, by their folders.
#[derive(Debug, Default)]
struct Repositories {
    /// Their revisions.
    told: BTreeMap<String, u64>,
    /// The others, by a hash of their folders.
    left_out: std::collections::HashSet<u64>,
}

static REPOSITORIES_TOLD: Mutex<Option<Repositories>> = Mutex::new(None);

/// A repository was seen with so many packages and this revision. `folder` is `/` for the root repository.
pub fn repository_seen(folder: &str, packages: u64, revision: u64) {
    let folder = legible::safe(folder);
    let mut known = REPOSITORIES_TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    if known.told.len() >= REPOSITORIES && !known.told.contains_key(&folder) {
        let mut hasher = DefaultHasher::new();
        folder.hash(&mut hasher);
        known.left_out.insert(hasher.finish());
        gauge!("yrm_repositories_left_out").set(float(known.left_out.len() as u64));
        return;
    }
    gauge!("yrm_repositories_left_out").set(float(known.left_out.len() as u64));
    gauge!("yrm_repository_packages", "repository" => folder.clone()).set(float(packages));
    gauge!("yrm_repository_revision", "repository" => folder.clone()).set(float(revision));
    known.told.insert(folder, revision);
}

/// Tells the age of every revision that is known.
fn tell_ages(now: Timestamp) {
    let known = REPOSITORIES_TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    for (folder, revision) in known.iter().flat_map(|known| &known.told) {
        if let Some(made) = made_at(*revision) {
            gauge!("yrm_repository_revision_age_seconds", "repository" => folder.clone()).set(age_of(made, now));
        }
    }
}

/// When a revision was made, if its number is a second of our time.
fn made_at(revision: u64) -> Option<Timestamp> {
    let second = i64::try_from(revision).ok().filter(|_| revision >= FIRST_SECOND)?;
    Timestamp::from_second(second).ok()
}

/// Seconds from `then` to `now`; what is ahead has no age yet.
fn age_of(then: Timestamp, now: Timestamp) -> f64 {
    now.duration_since(then).as_secs_f64().max(0.0)
}

/// So much is in quarantine.
pub fn quarantine_measured(files: u64, bytes: u64) {
    gauge!("yrm_quarantine_files").set(float(files));
    gauge!("yrm_quarantine_bytes").set(float(bytes));
}

/// What a run found in the place of a repository's repomd.xml, and whether one is not mended yet.
pub fn watched(found: impl Iterator<Item = &'static str>, unmended: bool) {
    for found in found {
        counter!("yrm_foreign_changes_total", "found" => found).increment(1);
    }
    gauge!("yrm_repositories_unmended").set(if unmended { 1.0 } else { 0.0 });
}

/// A run ended at `ended`, well or with things that went wrong.
pub fn run_finished(figures: &RunFigures, ended: Timestamp) {
    let outcome = if figures.errors == 0 { "ok" } else { "partial" };
    counter!("yrm_runs_total", "outcome" => outcome).increment(1);
    histogram!("yrm_run_duration_seconds").record(figures.duration.as_secs_f64());
    gauge!("yrm_inbox_keys").set(float(figures.inbox_keys as u64));
    gauge!("yrm_inbox_oldest_age_seconds").set(figures.oldest_upload.map_or(0.0, |oldest| age_of(oldest, ended)));
    tell_ages(ended);
    gauge!("yrm_skipped_keys").set(float(figures.skipped_keys as u64));
    counter!("yrm_packages_published_total").increment(figures.published as u64);
    counter!("yrm_packages_pruned_total").increment(figures.pruned as u64);
    counter!("yrm_objects_cleaned_up_total").increment(figures.cleaned_up);
    counter!("yrm_run_errors_total").increment(figures.errors as u64);
    counter!("yrm_store_requests_total", "kind" => "read").increment(figures.reads);
    counter!("yrm_store_requests_total", "kind" => "write").increment(figures.writes);
    counter!("yrm_store_bytes_total", "direction" => "in").increment(figures.bytes_in);
    counter!("yrm_store_bytes_total", "direction" => "out").increment(figures.bytes_out);
    if !figures.left_undone {
        gauge!("yrm_last_success_timestamp_seconds").set(ended.as_duration().as_secs_f64());
    }
}

/// A run failed as a whole with an error of this kind.
pub fn run_failed(kind: &'static str) {
    counter!("yrm_runs_total", "outcome" => "failed").increment(1);
    counter!("yrm_failures_total", "kind" => kind).increment(1);
}

/// A file was rejected for the reason `code`.
pub fn package_rejected(code: &str) {
    // Codes are a fixed list; what comes back from a record in the bucket is held to its shape.
    let sound = code.len() <= MAX_CODE_BYTES
        && code.starts_with("E_")
        && code.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    let label = if sound { code.to_owned() } else { OTHER_CODE.to_owned() };
    counter!("yrm_packages_rejected_total", "code" => label).increment(1);
}

/// A request was answered. `route` is a name from the router, never a path.
pub fn http_answered(route: &'static str, status: u16) {
    http_counter(route, status).increment(1);
}

/// What counts such answers.
pub fn http_counter(route: &'static str, status: u16) -> Counter {
    counter!("yrm_http_requests_total", "route" => route, "status" => status.to_string())
}

/// The gateway answered; `outcome` is one of [`GATEWAY`].
pub fn gateway_answered(outcome: &'static str) {
    gateway_counter(outcome).increment(1);
}

/// What counts such answers.
pub fn gateway_counter(outcome: &'static str) -> Counter {
    counter!("yrm_gateway_requests_total", "outcome" => outcome)
}

/// The gateway handed a package on.
pub fn gateway_downloaded() {
    gateway_downloads().increment(1);
}

/// What counts them.
pub fn gateway_downloads() -> Counter {
    counter!("yrm_gateway_downloads_total")
}

/// A line of the access log was dropped.
pub fn access_line_dropped() {
    counter!("yrm_access_log_lines_dropped_total").increment(1);
}

/// What became of one pair of gauges, or of one notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It arrived.
    Sent,
    /// It was tried and did not arrive.
    Failed,
    /// The queue was full.
    Dropped,
}

impl Delivery {
    const ALL: [Self; 3] = [Self::Sent, Self::Failed, Self::Dropped];

    fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }
}

/// A pair of gauges for Datadog met its end.
pub fn datadog_delivery(delivery: Delivery) {
    counter!("yrm_datadog_points_total", "outcome" => delivery.name()).increment(1);
}

/// A notice for one receiver met its end.
pub fn notice_delivery(delivery: Delivery) {
    counter!("yrm_notices_total", "outcome" => delivery.name()).increment(1);
}

/// What a queue's message was understood to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// Something has arrived in the inbox.
    Arrived,
    /// S3 tried the queue out.
    Test,
    /// Nothing that concerns this inbox.
    NotOurs,
}

impl Heard {
    const ALL: [Self; 3] = [Self::Arrived, Self::Test, Self::NotOurs];

    fn name(self) -> &'static str {
        match self {
            Self::Arrived => "arrived",
            Self::Test => "test",
            Self::NotOurs => "not_ours",
        }
    }
}

/// A message of the queue was read.
pub fn queue_message(heard: Heard) {
    counter!("yrm_queue_messages_total", "said" => heard.name()).increment(1);
}

/// Messages were deleted from the queue.
pub fn queue_deleted(messages: usize) {
    counter!("yrm_queue_deleted_total").increment(messages as u64);
}

/// One of the two calls to a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueCall {
    /// Receiving messages.
    Receive,
    /// Deleting them.
    Delete,
}

impl QueueCall {
    const ALL: [Self; 2] = [Self::Receive, Self::Delete];

    /// Its name in logs and labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Delete => "delete",
        }
    }
}

/// A call to the queue was answered, or failed with an error of this kind.
pub fn queue_call(call: QueueCall, failed: Option<&'static str>) {
    gauge!("yrm_queue_up", "call" => call.name()).set(if failed.is_none() { 1.0 } else { 0.0 });
    if let Some(kind) = failed {
        counter!("yrm_queue_failures_total", "call" => call.name(), "kind" => kind).increment(1);
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float; counts of keys stay far below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The counters are the process's: one test counts at a time.
    static COUNTING: Mutex<()> = Mutex::new(());

    #[test]
    fn partial_runs_are_counted_as_partial() {
        let _counting = COUNTING.lock().unwrap_or_else(PoisonError::into_inner);
        let recorder = install();
        let count = |outcome: &str| {
            let name = format!("yrm_runs_total{{outcome=\"{outcome}\"}} ");
            let text = recorder.render();
            text.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).unwrap_or(0_u64)
        };
        let (ok, partial) = (count("ok"), count("partial"));
        let ended = Timestamp::from_second(1_795_377_600).unwrap();
        run_finished(&RunFigures { errors: 2, ..RunFigures::default() }, ended);
        assert_eq!((count("ok"), count("partial")), (ok, partial + 1));
        run_finished(&RunFigures::default(), ended);
        assert_eq!((count("ok"), count("partial")), (ok + 1, partial + 1));
    }

    #[test]
    fn every_event_shows_up_with_bounded_labels() {
        let _counting = COUNTING.lock().unwrap_or_else(PoisonError::into_inner);
        let recorder = install();
        let figures =
            RunFigures { published: 3, reads: 2, duration: Duration::from_millis(70), ..RunFigures::default() };
        run_finished(&figures, Timestamp::from_second(1_795_377_600).unwrap());
        run_failed("denied");
        package_rejected("E_TRUNCATED");
        package_rejected("E_\"} 1\nfake 7");
        http_answered("/history", 200);
        datadog_delivery(Delivery::Dropped);
        notice_delivery(Delivery::Failed);
        queue_call(QueueCall::Delete, Some("denied"));
        queue_message(Heard::Test);
        let text = recorder.render();
        for line in [
            "yrm_packages_published_total 3",
            "yrm_packages_pruned_total 0",
            "yrm_store_requests_total{kind=\"read\"} 2",
            "yrm_failures_total{kind=\"denied\"} 1",
            "yrm_packages_rejected_total{code=\"E_TRUNCATED\"} 1",
            "yrm_packages_rejected_total{code=\"other\"} 1",
            "yrm_datadog_points_total{outcome=\"dropped\"}",
            "yrm_notices_total{outcome=\"failed\"}",
            "yrm_queue_failures_total{call=\"delete\",kind=\"denied\"}",
            "yrm_queue_messages_total{said=\"test\"}",
            "yrm_run_duration_seconds_bucket{le=\"0.1\"} ",
            "yrm_last_success_timestamp_seconds 1795377600",
        ] {
            assert!(text.contains(line), "{line:?} is missing from\n{text}");
        }
        assert!(!text.contains("fake"));
    }

    #[test]
    fn every_label_value_that_is_known_is_there_before_it_is_counted() {
        let recorder = install();
        rejection_codes(["E_NEVER_SEEN"]);
        let text = recorder.render();
        for (name, labels) in [
            ("yrm_runs_total", ["outcome=\"ok\"", "outcome=\"partial\"", "outcome=\"failed\""].as_slice()),
            ("yrm_failures_total", &["kind=\"config\"", "kind=\"corrupt\"", "kind=\"archived\"", "kind=\"internal\""]),
            ("yrm_packages_rejected_total", &["code=\"E_NEVER_SEEN\"", "code=\"other\""]),
            ("yrm_queue_messages_total", &["said=\"arrived\"", "said=\"test\"", "said=\"not_ours\""]),
            ("yrm_queue_failures_total", &["call=\"receive\",kind=\"denied\"", "call=\"delete\",kind=\"internal\""]),
            ("yrm_store_bytes_total", &["direction=\"in\"", "direction=\"out\""]),
            ("yrm_store_requests_total", &["kind=\"read\"", "kind=\"write\""]),
            ("yrm_datadog_points_total", &["outcome=\"sent\"", "outcome=\"failed\"", "outcome=\"dropped\""]),
            ("yrm_notices_total", &["outcome=\"sent\"", "outcome=\"failed\"", "outcome=\"dropped\""]),
        ] {
            for label in labels {
                assert!(text.contains(&format!("\n{name}{{{label}}} ")), "{name}{{{label}}} is missing from\n{text}");
            }
        }
    }

    #[test]
    fn a_hundred_repositories_are_told_and_the_others_counted() {
        let recorder = install();
        for at in 0..REPOSITORIES + 20 {
            repository_seen(&format!("folder-{at}"), 7, 1_795_377_000);
            repository_seen(&format!("folder-{at}"), 8, 1_795_377_540);
        }
        run_finished(&RunFigures::default(), Timestamp::from_second(1_795_377_600).unwrap());
        let text = recorder.render();
        let count = |name: &str| text.lines().filter(|line| line.starts_with(&format!("{name}{{"))).count();
        assert_eq!(count("yrm_repository_packages"), REPOSITORIES);
        assert_eq!(count("yrm_repository_revision"), REPOSITORIES);
        assert_eq!(count("yrm_repository_revision_age_seconds"), REPOSITORIES);
        for line in [
            "yrm_repositories_left_out 20",
            "yrm_repository_packages{repository=\"folder-3\"} 8",
            "yrm_repository_revision{repository=\"folder-3\"} 1795377540",
        ] {
            assert!(text.contains(line), "{line:?} is missing from\n{text}");
        }
    }

    #[test]
    fn ages_are_seconds_and_never_negative() {
        let second = |second| Timestamp::from_second(second).unwrap();
        let now = second(1_795_377_600);
        let ages = [age_of(second(1_795_377_000), now), age_of(second(1_795_377_700), now)];
        assert!(
            ages.iter().zip([600.0, 0.0]).all(|(age, wanted): (&f64, f64)| (age - wanted).abs() < 1e-9),
            "{ages:?}"
        );
        assert_eq!(made_at(1_795_377_540), Some(second(1_795_377_540)));
        assert_eq!([5, u64::MAX].map(made_at), [None, None], "a number that somebody chose");
    }
}
