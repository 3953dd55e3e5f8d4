//! What uploaders leave lying, and what the store refuses: how much of it is kept, and what the service says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use futures::FutureExt as _;
use jiff::Timestamp;
use yrm::board::Board;
use yrm::bucket::bounds::LISTED;
use yrm::bucket::report::Report;
use yrm::publish::{Publisher, RunId, Unwatched};
use yrm::store::fault::{Fate, FaultStore, Turn};
use yrm::store::local::DirectoryStore;

use super::world::{Call, Effect, World, policy, rpm};

/// A record of the history, and an answer, at most.
const MEBIBYTE: u64 = 1 << 20;

#[tokio::test]
async fn what_waits_is_counted_not_kept() {
    let root = tempfile::tempdir().unwrap();
    let inbox = root.path().join("inbox");
    let store = DirectoryStore::create(root.path()).unwrap();
    std::fs::create_dir_all(&inbox).unwrap();
    let waiting = 3 * LISTED + 7;
    for at in 0..waiting {
        std::fs::write(inbox.join(format!(".{at:0>200}")), b"x").unwrap();
    }
    std::fs::write(inbox.join("good.rpm"), rpm("good", "1").build()).unwrap();
    let publisher = Publisher::new(Arc::new(store), policy()).unwrap();
    let board = Board::new(Duration::from_mins(1), Timestamp::now());
    for round in 0..3 {
        let run = RunId { id: ulid::Ulid::new(), started: Timestamp::now() };
        let report = publisher.run(run, &Unwatched).await.unwrap();
        let counts = report.counts();
        assert_eq!((counts.waiting, counts.skipped_keys), (waiting, waiting), "everything is counted");
        assert_eq!(counts.inbox_keys, waiting + usize::from(round == 0));
        let listed = [report.waiting.len(), report.skipped_keys.len(), report.inbox_keys.len()];
        assert_eq!(listed, [LISTED; 3], "and the first of it is listed");
        assert_eq!(report.published.len(), usize::from(round == 0));
        board.run_finished(&report);
    }
    for past in board.runs() {
        assert!(past.inbox_keys.first.len() <= LISTED && past.inbox_keys.count() >= waiting);
    }
    // The record of the run that did something, and none of those that only saw what waits.
    let records: Vec<_> = std::fs::read_dir(root.path().join(".yrm/history")).unwrap().collect();
    assert_eq!(records.len(), 1);
    let record = records.into_iter().next().unwrap().unwrap().path();
    assert!(record.metadata().unwrap().len() < 2 * MEBIBYTE);
    let report: Report = serde_json::from_slice(&std::fs::read(record).unwrap()).unwrap();
    assert_eq!((report.counts().waiting, report.published.len()), (waiting, 1));
}

/// Runs with what is refused each time, and what the board says after each.
async fn refused(world: &World, runs: usize, (call, part): (Call, &str)) -> Vec<Result<(), String>> {
    let board = Board::new(Duration::from_mins(1), world.now());
    let mut said = Vec::new();
    for _ in 0..runs {
        world.hooked.at(call, part, Effect::Refuse);
        let report = world.run().await;
        assert!(world.hooked.all_happened());
        board.run_finished(&report);
        said.push(board.readiness(world.now()));
    }
    board.run_finished(&world.run().await);
    said.push(board.readiness(world.now()));
    said
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_published_three_times_is_not_ready() {
    // The copy of one package, and the switch of all.
    for at in [(Call::Copy, "repo/a.rpm"), (Call::Put, "repodata/repomd.xml")] {
        let world = World::new(policy());
        world.drop_rpm("a.rpm", &rpm("a", "1")).await;
        let said = refused(&world, 3, at).await;
        assert_eq!((&said[0], &said[1]), (&Ok(()), &Ok(())), "the next run may heal it");
        let why = said[2].as_ref().unwrap_err();
        assert!(why.starts_with("the last 3 runs could not publish what is sound: "), "{why}");
        assert_eq!(said[3], Ok(()), "published at last");
        assert_eq!(world.hrefs("").await, ["a.rpm"]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_uploader_leaves_unreadable_makes_no_service_unready() {
    let world = World::new(policy());
    world.drop_rpm("a.rpm", &rpm("a", "1")).await;
    let said = refused(&world, 4, (Call::Get, "inbox/a.rpm")).await;
    assert_eq!(said, vec![Ok(()); 5]);
}

#[tokio::test(start_paused = true)]
async fn a_delete_that_cannot_be_done_is_not_ready() {
    let sound = rpm("a", "1").build();
    for (file, bytes) in [("inbox/a.rpm", sound), ("inbox/junk.rpm", b"no package".to_vec())] {
        let world = World::new(policy());
        world.drop_bytes(file.strip_prefix("inbox/").unwrap(), bytes).await;
        let said = refused(&world, 1, (Call::Delete, file)).await;
        let why = said[0].as_ref().unwrap_err();
        assert!(why.starts_with("something cannot be deleted: ") && why.contains(file), "{why}");
        assert_eq!(said[1], Ok(()), "deleted at last");
        assert_eq!(world.inbox(), Vec::<String>::new());
    }
}

/// SIZE of the signature header: how long header and payload are.
const SIG_SIZE: u32 = 1_000;
const GIB: u64 = 1 << 30;

/// A file of this length without a block on the disk behind its header, in which no tag says how long it is.
fn sparse_giant(root: &Path, name: &str, size_bytes: u64, modified: SystemTime) {
    let path = root.join("inbox").join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, rpm("giant", "1").without_signature_tag(SIG_SIZE).build()).unwrap();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_len(size_bytes).unwrap();
    file.set_modified(modified).unwrap();
}

/// A directory bucket whose giants give nothing but their headers until the good package is published, and the
/// reads of them until then and since.
struct Slow {
    root: tempfile::TempDir,
    publisher: Publisher,
    before: Arc<AtomicUsize>,
    since: Arc<AtomicUsize>,
}

impl Slow {
    /// With so many reads of each giant that are answered; others are not, or fail where it `gives_up`.
    fn new(header_reads: usize, gives_up: bool) -> Self {
        let root = tempfile::tempdir().unwrap();
        let store = DirectoryStore::create(root.path()).unwrap();
        let (before, since) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (reads, later) = (Arc::clone(&before), Arc::clone(&since));
        let switched = AtomicBool::new(false);
        let seen: Mutex<BTreeMap<String, usize>> = Mutex::default();
        let script = move |call: yrm::store::fault::Call<'_>| {
            if call.verb == Call::Put && call.key.ends_with("repodata/repomd.xml") {
                switched.store(true, Ordering::Relaxed);
            }
            if call.verb != Call::Get || !call.key.starts_with("inbox/giant") {
                return Turn::default();
            }
            let is_published = switched.load(Ordering::Relaxed);
            if is_published { &later } else { &reads }.fetch_add(1, Ordering::Relaxed);
            let mut seen = seen.lock().unwrap();
            let read = seen.entry(call.key.to_owned()).or_default();
            *read += 1;
            match *read > header_reads {
                // Long enough: what else is in them is not what this is about.
                true if is_published || gives_up => Fate::Lost.into(),
                // Their bytes never come.
                true => Turn { before: Some(std::future::pending().boxed()), ..Turn::default() },
                false => Turn::default(),
            }
        };
        let store = FaultStore::new(Arc::new(store), 1, script);
        let policy = yrm::config::Policy { max_package_bytes: 20 * GIB, concurrency: 1, ..policy() };
        let publisher = Publisher::new(Arc::new(store), policy).unwrap();
        Self { root, publisher, before, since }
    }

    async fn run(&self) -> Report {
        let run = RunId { id: ulid::Ulid::new(), started: Timestamp::now() };
        self.publisher.run(run, &Unwatched).await.unwrap()
    }

    fn drop_good(&self) {
        std::fs::write(self.root.path().join("inbox/good.rpm"), rpm("good", "1").build()).unwrap();
    }
}

#[tokio::test]
async fn a_sparse_giant_holds_up_nobody() {
    let old = SystemTime::UNIX_EPOCH;
    // One run by itself publishes what is sound, and reads the giants after that.
    let alone = Slow::new(1, false);
    (0..50).for_each(|at| sparse_giant(alone.root.path(), &format!("giant-{at}.rpm"), 20 * GIB, old));
    alone.drop_good();
    let report = alone.run().await;
    assert_eq!((report.published.len(), report.counts().waiting), (1, 50), "{:?}", report.errors);
    assert_eq!(alone.before.load(Ordering::Relaxed), 50, "nobody waited for the giants' bytes");
    // The store fails then, and is not stormed.
    assert!(alone.since.load(Ordering::Relaxed) > 0, "which were asked for then");

    // A service reads them beside its runs: no run waits for them.
    let service = Slow::new(1, false);
    (0..50).for_each(|at| sparse_giant(service.root.path(), &format!("giant-{at}.rpm"), 20 * GIB, old));
    let reading = service.publisher.read_long(|| {});
    let runs = async {
        let first = service.run().await;
        assert_eq!((first.published.len(), first.counts().waiting), (0, 50));
        assert!(first.waiting.iter().all(|waiting| waiting.reason.contains("being read beside")), "{first:?}");
        service.drop_good();
        let second = service.run().await;
        assert_eq!((second.published.len(), second.counts().waiting, second.errors.len()), (1, 50, 0));
    };
    tokio::select! {
        () = reading => unreachable!("it reads for as long as it is polled"),
        () = runs => {}
    }
}

#[tokio::test]
async fn what_looks_unfinished_is_not_read_before_it_is_old_enough() {
    let slow = Slow::new(2, false);
    (0..4).for_each(|at| sparse_giant(slow.root.path(), &format!("giant-{at}.rpm"), 3 * GIB, SystemTime::now()));
    for _ in 0..2 {
        let report = slow.run().await;
        assert!(report.waiting.iter().all(|waiting| waiting.reason.contains("still be being copied")), "{report:?}");
        assert_eq!((report.waiting.len(), report.errors.len()), (4, 0));
    }
    let reads = slow.before.load(Ordering::Relaxed) + slow.since.load(Ordering::Relaxed);
    assert_eq!(reads, 2 * 4, "their headers, twice");
}

#[tokio::test]
async fn what_was_read_beside_the_runs_is_published_by_the_next() {
    let slow = Slow::new(1, true);
    // It takes all that is read at once, and its header is all it gives.
    sparse_giant(slow.root.path(), "giant.rpm", GIB, SystemTime::UNIX_EPOCH);
    let long = rpm("long", "1").payload(vec![b'x'; 17 << 20]).build();
    std::fs::write(slow.root.path().join("inbox/x-long.rpm"), &long).unwrap();
    std::fs::write(slow.root.path().join("inbox/x-damaged.rpm"), {
        let mut damaged = long.clone();
        *damaged.last_mut().unwrap() ^= 1;
        damaged
    })
    .unwrap();
    let damaged = std::fs::File::options().write(true).open(slow.root.path().join("inbox/x-damaged.rpm")).unwrap();
    damaged.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let (called, mut calls) = tokio::sync::mpsc::unbounded_channel();
    let reading = slow.publisher.read_long(|| called.send(()).unwrap());
    let runs = async {
        let mut answered = BTreeSet::new();
        while answered.len() < 2 {
            let report = slow.run().await;
            answered.extend(report.published.iter().map(|published| published.inbox_key.clone()));
            answered.extend(report.rejected.iter().map(|rejected| format!("{} {}", rejected.inbox_key, rejected.code)));
            if answered.is_empty() {
                assert!(report.waiting.iter().any(|waiting| waiting.inbox_key == "inbox/x-long.rpm"), "{report:?}");
                calls.recv().await.unwrap();
                calls.recv().await.unwrap();
            }
        }
        let expected = ["inbox/x-damaged.rpm E_DIGEST_MISMATCH", "inbox/x-long.rpm"].map(str::to_owned);
        assert_eq!(answered, BTreeSet::from(expected));
    };
    tokio::select! {
        () = reading => unreachable!("it reads for as long as it is polled"),
        () = runs => {}
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_store_has_archived_waits_is_told_once_and_is_no_error() {
    let world = World::new(policy());
    world.drop_rpm("cold.rpm", &rpm("cold", "1")).await;
    world.drop_rpm("warm.rpm", &rpm("warm", "1")).await;
    world.hooked.at(Call::Get, "inbox/cold.rpm", Effect::Archive);
    let report = world.run().await;
    assert_eq!((report.published.len(), report.waiting.len(), report.errors.len()), (1, 1, 0), "{report:?}");
    assert!(report.waiting[0].reason.contains("archived"), "{:?}", report.waiting);
    // It is not asked for in every run, and it is no news.
    let asked = world.hooked.gets().len();
    for _ in 0..3 {
        let report = world.run().await;
        assert_eq!((report.waiting.len(), report.errors.len(), report.usage.writes), (1, 0, 0));
    }
    assert_eq!(world.hooked.gets().len(), asked);
    // Once it was restored, it is published.
    world.advance(Duration::from_mins(16));
    assert_eq!(world.run().await.published.len(), 1);
    assert_eq!(world.hrefs("").await, ["cold.rpm", "warm.rpm"]);
}
