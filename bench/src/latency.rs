//! `bench latency`: what runs cost where every call to the store takes its time. The store is in memory, a
//! call takes 30 ms, and time passes only while everything waits. So calls and seconds are exact: the same
//! on every machine, and what this program computes costs nothing.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use forge::Rpm;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use ulid::Ulid;
use yrm::bucket::report::Report;
use yrm::config::settings::setting;
use yrm::config::{Config, Low, Policy, Repositories, Retention, Typed};
use yrm::publish::{Publisher, RunId, Unwatched};
use yrm::store::fault::{Call, FaultStore, Turn, Verb};
use yrm::store::memory::MemoryStore;
use yrm::store::{Attributes, PutIf, Store as _};

use crate::fault::{Doing as _, Result};

/// What a call takes: one to S3 from the same region.
const CALL: Duration = Duration::from_millis(30);
/// When the store's clock begins: 2026-01-01T00:00:00Z.
const FIRST_SECOND: i64 = 1_767_225_600;
const DAY: Duration = Duration::from_hours(24);

/// What a run cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct LatencyRow {
    /// What it did.
    pub(crate) case: String,
    /// Calls by what they ask.
    pub(crate) calls: BTreeMap<String, u64>,
    /// From its start to its end.
    pub(crate) seconds: f64,
}

/// What the same cost at commit 31f68ef, when four repositories were worked on at once and swept one after the
/// other, and each listed what all of them share: calls and seconds.
const BEFORE: [(&str, u64, f64); 11] = [
    ("1 into one new repository", 31, 0.84),
    ("1000 into one new repository", 5_027, 10.17),
    ("2 into each of 1 new repositories", 37, 0.87),
    ("2 into each of 100 new repositories", 3_502, 53.70),
    ("2 into each of 200 new repositories", 7_002, 107.31),
    ("2 into each of 1000 new repositories", 37_323, 571.32),
    ("2 into each of 2000 new repositories", 79_333, 1265.19),
    ("taking over 10000 without metadata", 30_051, 57.69),
    ("an idle run", 1, 0.03),
    ("a prune: 1000 of 2000", 42, 1.14),
    ("deleting 1000 pruned", 2_041, 61.23),
];

/// What a case cost then.
pub(crate) fn before(case: &str) -> Option<(u64, f64)> {
    BEFORE.iter().find(|(name, ..)| *name == case).map(|&(_, calls, seconds)| (calls, seconds))
}

/// Every case, in the order of the table.
pub(crate) fn all() -> Result<Vec<LatencyRow>> {
    let mut rows = vec![one_repository(1)?, one_repository(1_000)?];
    for repositories in [1, 100, 200, 1_000, 2_000] {
        rows.push(many_repositories(repositories)?);
    }
    rows.push(take_over(10_000)?);
    rows.extend(prune(1_000)?);
    Ok(rows)
}

/// Plays a story in a runtime of its own: one thread, and time that passes only when all wait.
fn play<T>(story: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.doing(|| "starting the runtime".to_owned())?.block_on(story)
}

/// A bucket in memory, and its time.
struct Bucket {
    memory: Arc<MemoryStore>,
    began: Instant,
    policy: Policy,
    calls: Arc<Mutex<BTreeMap<String, u64>>>,
}

impl Bucket {
    /// An empty one, with default settings but for the repositories.
    fn new(repositories: Repositories) -> Result<Self> {
        let began = Instant::now();
        let memory = Arc::new(MemoryStore::with_clock(move || clock(began)));
        let bucket = setting("bucket").map(|setting| (setting, "s3://bench".to_owned()));
        let typed = Typed { file: None, environment: Vec::new(), flags: bucket.into_iter().collect() };
        let (config, _) = Config::of(&Low::gather(&typed)).map_err(|error| error.chain())?;
        let policy = Policy { repositories, ..config.policy };
        Ok(Self { memory, began, policy, calls: Arc::default() })
    }

    /// A process that has not published yet, and whose calls take their time.
    fn publisher(&self) -> Result<Publisher> {
        let calls = Arc::clone(&self.calls);
        let script = move |call: Call<'_>| {
            let mut calls = calls.lock().unwrap_or_else(PoisonError::into_inner);
            *calls.entry(name(call.verb).to_owned()).or_default() += 1;
            Turn { before: Some(Box::pin(tokio::time::sleep(CALL))), ..Turn::default() }
        };
        let store = Arc::new(FaultStore::new(Arc::clone(&self.memory) as _, 1, script));
        Ok(Publisher::new(store, self.policy.clone()).map_err(|error| error.chain())?)
    }

    /// Puts a package there in no time.
    async fn put(&self, key: &str, rpm: &Rpm) -> Result<()> {
        let bytes = Bytes::from(rpm.build());
        let put = self.memory.put(key, bytes, &Attributes::default(), PutIf::Always).await;
        put.map(drop).map_err(|error| error.chain().into())
    }

    /// One run, and what it cost.
    async fn run(&self, publisher: &Publisher, case: &str) -> Result<(LatencyRow, Report)> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let (began, started) = (Instant::now(), clock(self.began));
        let run = RunId { id: Ulid::from_parts(0, u128::from(began.elapsed().subsec_nanos())), started };
        let report = publisher.run(run, &Unwatched).await.map_err(|error| error.chain())?;
        if let Some(error) = report.errors.first() {
            return Err(format!("{case}: {error}").into());
        }
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok((LatencyRow { case: case.to_owned(), calls, seconds: began.elapsed().as_secs_f64() }, report))
    }
}

/// The store's clock: whole seconds, as S3 tells them.
fn clock(began: Instant) -> Timestamp {
    let seconds = SignedDuration::from_secs(i64::try_from(began.elapsed().as_secs()).unwrap_or(0));
    Timestamp::from_second(FIRST_SECOND).and_then(|first| first.checked_add(seconds)).unwrap_or(Timestamp::MAX)
}

fn name(verb: Verb) -> &'static str {
    match verb {
        Verb::List => "LIST",
        Verb::Head => "HEAD",
        Verb::Get => "GET",
        Verb::Put => "PUT",
        Verb::Copy => "COPY",
        Verb::Delete => "DELETE",
    }
}

fn expect(case: &str, found: usize, wanted: usize) -> Result<()> {
    if found == wanted { Ok(()) } else { Err(format!("{case}: wanted {wanted}, not {found}").into()) }
}

fn package(name: &str, version: usize) -> Rpm {
    Rpm::new(name, version.to_string(), "1", "noarch")
}

/// So many packages for one new repository.
fn one_repository(packages: usize) -> Result<LatencyRow> {
    let case = format!("{packages} into one new repository");
    play(async {
        let bucket = Bucket::new(Repositories::Single)?;
        for number in 0..packages {
            bucket.put(&format!("inbox/p{number}.rpm"), &package(&format!("p{number}"), 1)).await?;
        }
        let (row, report) = bucket.run(&bucket.publisher()?, &case).await?;
        expect(&case, report.published.len(), packages)?;
        Ok(row)
    })
}

/// Two packages for each of so many new repositories.
fn many_repositories(repositories: usize) -> Result<LatencyRow> {
    let case = format!("2 into each of {repositories} new repositories");
    play(async {
        let bucket = Bucket::new(Repositories::Depth(1))?;
        for number in 0..repositories {
            for name in ["a", "b"] {
                bucket.put(&format!("inbox/r{number}/{name}.rpm"), &package(name, 1)).await?;
            }
        }
        let (row, report) = bucket.run(&bucket.publisher()?, &case).await?;
        expect(&case, report.published.len(), 2 * repositories)?;
        Ok(row)
    })
}

/// A repository of packages without metadata, taken over while one package is published.
fn take_over(packages: usize) -> Result<LatencyRow> {
    let case = format!("taking over {packages} without metadata");
    play(async {
        let bucket = Bucket::new(Repositories::Single)?;
        for number in 0..packages {
            bucket.put(&format!("repo/p{number}.rpm"), &package(&format!("p{number}"), 1)).await?;
        }
        bucket.put("inbox/new.rpm", &package("new", 1)).await?;
        let (row, report) = bucket.run(&bucket.publisher()?, &case).await?;
        let there = report.repositories.iter().map(|one| usize::try_from(one.packages).unwrap_or(0)).sum();
        expect(&case, there, packages + 1)?;
        Ok(row)
    })
}

/// Two versions of each of so many names: an idle run, one in which the older versions leave the metadata, and
/// one in which the grace period is over and they are deleted.
fn prune(names: usize) -> Result<[LatencyRow; 3]> {
    let [idle, prune, sweep] =
        ["an idle run".to_owned(), format!("a prune: {names} of {}", 2 * names), format!("deleting {names} pruned")];
    play(async {
        let mut bucket = Bucket::new(Repositories::Single)?;
        for version in [1, 2] {
            for number in 0..names {
                let key = format!("inbox/p{number}-{version}.rpm");
                bucket.put(&key, &package(&format!("p{number}"), version)).await?;
            }
        }
        let publisher = bucket.publisher()?;
        bucket.run(&publisher, "preparing").await?;
        let (idle, _) = bucket.run(&publisher, &idle).await?;
        tokio::time::sleep(2 * DAY).await;
        bucket.policy.retention = Some(Retention { keep_at_least: 1, older_than: DAY });
        let publisher = bucket.publisher()?;
        let (pruned, report) = bucket.run(&publisher, &prune).await?;
        expect(&prune, report.pruned.len(), names)?;
        tokio::time::sleep(bucket.policy.grace + DAY).await;
        let (swept, report) = bucket.run(&publisher, &sweep).await?;
        if report.cleaned_up < names as u64 {
            return Err(format!("{sweep}: {} were", report.cleaned_up).into());
        }
        Ok([idle, pruned, swept])
    })
}
