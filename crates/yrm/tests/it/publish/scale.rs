//! Many repositories: what each of them costs does not depend on how many there are, what is worked on at
//! once follows `concurrency`, and what has to come after something else still does.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use forge::Rpm;
use futures::FutureExt as _;
use jiff::Timestamp;
use tokio::time::{Instant, sleep};
use ulid::Ulid;
use yrm::bucket::report::Report;
use yrm::config::{Policy, Repositories};
use yrm::publish::{Publisher, RunId, Unwatched};
use yrm::store::fault::{Call, FaultStore, Turn, Verb};
use yrm::store::memory::MemoryStore;

use super::world::{policy, put};

/// What a call takes.
const CALL: Duration = Duration::from_millis(30);

/// Where no repository has anything of its own.
const SHARED: [&str; 3] = [".yrm/receipts/", ".yrm/signed/", ".yrm/history/"];

/// What a run asked for.
#[derive(Debug, Default)]
struct Asked {
    calls: BTreeMap<(&'static str, String), usize>,
    total: usize,
    in_flight_at_most: usize,
    took: Duration,
}

impl Asked {
    /// Listings of exactly this prefix.
    fn listings(&self, prefix: &str) -> usize {
        self.calls.get(&("list", prefix.to_owned())).copied().unwrap_or(0)
    }
}

/// A bucket in memory with two packages for each of so many repositories.
async fn dropped(repositories: usize) -> Arc<MemoryStore> {
    let memory = Arc::new(MemoryStore::new());
    for number in 0..repositories {
        for name in ["a", "b"] {
            let rpm = Rpm::new(name, "1", "1", "noarch").build();
            put(memory.as_ref(), &format!("inbox/r{number}/{name}.rpm"), rpm).await;
        }
    }
    memory
}

fn per_folder(concurrency: usize) -> Policy {
    Policy { repositories: Repositories::Depth(1), concurrency, ..policy() }
}

/// One run by a new process over calls that take their time, and what it asked for.
async fn run(memory: &Arc<MemoryStore>, policy: Policy) -> (Report, Asked) {
    let asked = Arc::new(Mutex::new(Asked::default()));
    let in_flight = Arc::new(AtomicUsize::new(0));
    let (noted, flying) = (Arc::clone(&asked), Arc::clone(&in_flight));
    let script = move |call: Call<'_>| {
        let now = flying.fetch_add(1, Ordering::Relaxed) + 1;
        let mut asked = noted.lock().unwrap();
        let verb = if call.verb == Verb::List { "list" } else { "another" };
        *asked.calls.entry((verb, call.key.to_owned())).or_default() += 1;
        asked.total += 1;
        asked.in_flight_at_most = asked.in_flight_at_most.max(now);
        let landed = Arc::clone(&flying);
        let after = async move {
            landed.fetch_sub(1, Ordering::Relaxed);
        };
        Turn { before: Some(sleep(CALL).boxed()), after: Some(after.boxed()), ..Turn::default() }
    };
    let store = Arc::new(FaultStore::new(Arc::clone(memory) as _, 1, script));
    let publisher = Publisher::new(store, policy).unwrap();
    let began = Instant::now();
    let run = RunId { id: Ulid::from_parts(0, 1), started: Timestamp::from_second(1_767_225_600).unwrap() };
    let report = publisher.run(run, &Unwatched).await.unwrap();
    assert_eq!(report.errors, [""; 0]);
    drop(publisher);
    let mut asked = std::mem::take(&mut *asked.lock().unwrap());
    asked.took = began.elapsed();
    (report, asked)
}

/// What each costs grows by a fifth at most from few to many.
fn assert_linear(few: (usize, usize), many: (usize, usize), what: &str) {
    let ((few, few_cost), (many, many_cost)) = (few, many);
    assert!(
        many_cost * few * 10 <= few_cost * many * 12,
        "{what}: {few_cost} for {few} repositories, {many_cost} for {many}"
    );
}

#[tokio::test(start_paused = true)]
async fn many_folders_cost_what_they_hold() {
    let mut costs = Vec::new();
    for repositories in [50, 250] {
        let memory = dropped(repositories).await;
        let (report, asked) = run(&memory, per_folder(32)).await;
        assert_eq!(report.published.len(), 2 * repositories);
        for prefix in SHARED {
            assert!(asked.listings(prefix) <= 1, "{prefix} was listed {} times", asked.listings(prefix));
        }
        costs.push((repositories, asked.total));
    }
    assert_linear(costs[0], costs[1], "calls");
    // 37 before what belongs to no repository was swept once for all of them. One is a look at what is blocked, and one
    // at what is tagged. A few are made once for all: the settings, and what is there already.
    assert!(costs[1].1 <= 250 * 31 + 25, "{costs:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_worked_on_at_once_follows_concurrency() {
    let mut took = Vec::new();
    for concurrency in [8, 32] {
        let memory = dropped(64).await;
        let (report, asked) = run(&memory, per_folder(concurrency)).await;
        assert_eq!(report.published.len(), 128);
        // And the puts of repomd.xml, of which each repository has one.
        assert!(asked.in_flight_at_most <= 2 * concurrency, "{} at once", asked.in_flight_at_most);
        // Time is exact here: calls wait for each other only where they must, so all turns are taken.
        let rounds = asked.took.as_millis() / CALL.as_millis();
        let least = asked.total.div_ceil(concurrency) as u128;
        assert!(rounds <= least + 30, "{rounds} rounds for {} calls, {concurrency} at once", asked.total);
        took.push(asked.took);
    }
    assert!(took[1] * 3 < took[0], "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_package_s_calls_do_not_wait_for_each_other_s() {
    let memory = Arc::new(MemoryStore::new());
    put(memory.as_ref(), "inbox/a.rpm", Rpm::new("a", "1", "1", "noarch").build()).await;
    let (_, asked) = run(&memory, Policy { concurrency: 32, ..policy() }).await;
    // The inbox, the header, repomd.xml, its signature and two listings, the copy, the files, the switch,
    // the look for a receipt, receipt and inbox, then the sweep and the history: one after the other. Before the first
    // change of a bucket also its settings, what is published already, by us and by others, and both puts of the settings. And what is
    // blocked.
    let rounds = asked.took.as_millis() / CALL.as_millis();
    assert!(rounds <= 26, "{rounds} rounds for {} calls", asked.total);
}

/// Calls that must not follow each other at any distance: while hundreds wait their turn, a signature and its
/// repomd.xml are put one right after the other.
#[tokio::test(start_paused = true)]
async fn a_switch_does_not_wait_for_other_repositories_calls() {
    let memory = dropped(100).await;
    let puts = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&puts);
    let began = Instant::now();
    let script = move |call: Call<'_>| {
        if call.verb == Verb::Put && call.key.contains("/repodata/repomd.xml") {
            noted.lock().unwrap().push((call.key.to_owned(), began.elapsed()));
        }
        Turn { before: Some(sleep(CALL).boxed()), ..Turn::default() }
    };
    let store = Arc::new(FaultStore::new(Arc::clone(&memory) as _, 1, script));
    let publisher = Publisher::new(store, per_folder(4)).unwrap().with_signer(Some(super::signed::signer(&[0])));
    let run = RunId { id: Ulid::from_parts(0, 1), started: Timestamp::from_second(1_767_225_600).unwrap() };
    let report = publisher.run(run, &Unwatched).await.unwrap();
    assert_eq!(report.errors, [""; 0]);
    let puts: BTreeMap<String, Duration> = puts.lock().unwrap().drain(..).collect();
    assert_eq!(puts.len(), 200);
    for number in 0..100 {
        let key = format!("repo/r{number}/repodata/repomd.xml");
        assert_eq!(puts[&key], puts[&format!("{key}.asc")] + CALL, "{key}");
    }
}
