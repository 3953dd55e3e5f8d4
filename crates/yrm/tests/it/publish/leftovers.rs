//! Uploads that cannot be taken out of the inbox: what an operator removes does not come back by them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use ulid::Ulid;
use yrm::bucket::quarantine;
use yrm::bucket::receipt::{self, Receipt};
use yrm::config::{OnConflict, Policy};
use yrm::error::ErrorKind;
use yrm::publish::operations::release;
use yrm::publish::{Publisher, RunId};
use yrm::store::Store;
use yrm::store::key::RepositoryDir;
use yrm::store::memory::MemoryStore;

use super::world::{Call, DAY, Effect, World, policy, put, rpm};

/// Every state of every key: what an idle run must not add to.
fn states(world: &World) -> usize {
    world.memory.keys_ever().iter().map(|key| world.memory.versions(key).len()).sum()
}

fn run_id(world: &World) -> RunId {
    RunId { id: Ulid::new(), started: world.now() }
}

/// A bucket where a policy keeps uploads, with `a.rpm` published and still in the inbox.
async fn published(policy: Policy) -> World {
    let world = World::new(policy);
    world.hooked.keeps_uploads.store(true, Ordering::Relaxed);
    world.drop_rpm("a.rpm", &rpm("a", "1")).await;
    world.drop_rpm("b.rpm", &rpm("b", "1")).await;
    let report = world.run().await;
    assert_eq!((report.published.len(), report.errors.len()), (2, 2), "{report:#?}");
    assert_eq!(world.inbox(), ["inbox/a.rpm", "inbox/b.rpm"]);
    world
}

#[tokio::test]
async fn what_cannot_leave_the_inbox_does_not_come_back() {
    let mut world = published(policy()).await;
    world.run().await;
    let before = states(&world);
    let report = world.run().await;
    assert_eq!((report.published.len(), report.waiting.len()), (0, 2), "{report:#?}");
    assert_eq!(states(&world), before, "an idle run writes nothing");

    let root = RepositoryDir::new("");
    world.publisher.remove(&root, vec!["a.rpm".to_owned()], run_id(&world)).await.unwrap();
    for _ in 0..2 {
        let report = world.run().await;
        assert_eq!(world.hrefs("").await, ["b.rpm"], "{report:#?}");
        let reason = &report.waiting.iter().find(|waiting| waiting.inbox_key == "inbox/a.rpm").unwrap().reason;
        assert!(reason.contains("has been removed since"), "{reason}");
        // Who starts anew knows nothing of it but what the bucket says.
        world.restart();
    }
    let before = states(&world);
    world.run().await;
    assert_eq!(states(&world), before, "an idle run writes nothing");
    // Nor does it come back when a sweep has freed its path.
    world.advance(10 * DAY);
    world.remove("repo/a.rpm").await;
    world.run().await;
    assert_eq!(world.hrefs("").await, ["b.rpm"]);

    world.hooked.keeps_uploads.store(false, Ordering::Relaxed);
    let report = world.run().await;
    assert_eq!((world.hrefs("").await, report.errors), (vec!["b.rpm".to_owned()], vec![]));
    assert_eq!(world.inbox(), Vec::<String>::new(), "it is taken out when that can be done");
    // The same bytes, uploaded anew.
    world.drop_rpm("a.rpm", &rpm("a", "1")).await;
    world.run().await;
    assert_eq!(world.hrefs("").await, ["a.rpm", "b.rpm"]);
    world.assert_clean().await;
}

#[tokio::test]
async fn a_leftover_whose_bytes_were_dropped_anew_is_not_taken_out() {
    let world = published(policy()).await;
    world.publisher.remove(&RepositoryDir::new(""), vec!["a.rpm".to_owned()], run_id(&world)).await.unwrap();
    world.hooked.keeps_uploads.store(false, Ordering::Relaxed);
    // In S3 equal bytes have equal ETags: only the time tells the two uploads from each other.
    let drop_anew = |memory: Arc<MemoryStore>| {
        async move { drop(put(memory.as_ref(), "inbox/a.rpm", rpm("a", "1").build()).await) }.boxed()
    };
    world.hooked.at(Call::Get, ".yrm/receipts/", Effect::Before(Box::new(drop_anew)));
    let report = world.run().await;
    assert!(world.hooked.all_happened());
    assert_eq!((world.hrefs("").await, report.errors), (vec!["b.rpm".to_owned()], vec![]));
    assert_eq!(world.inbox(), ["inbox/a.rpm"], "it is another upload");
    world.run().await;
    assert_eq!((world.hrefs("").await, world.inbox()), (vec!["a.rpm".to_owned(), "b.rpm".to_owned()], vec![]));
}

#[tokio::test]
async fn what_was_rejected_and_cannot_leave_the_inbox_is_not_published_later() {
    let world = published(policy()).await;
    world.drop_bytes("z/a.rpm", Bytes::from(rpm("a", "1").summary("another build").build())).await;
    let report = world.run().await;
    assert!(report.errors.iter().any(|error| error.contains("inbox/z/a.rpm")), "{report:#?}");
    // What it was in conflict with goes, and it has its answer.
    world.publisher.remove(&RepositoryDir::new(""), vec!["a.rpm".to_owned()], run_id(&world)).await.unwrap();
    for _ in 0..2 {
        let report = world.run().await;
        let reason = &report.waiting.iter().find(|waiting| waiting.inbox_key == "inbox/z/a.rpm").unwrap().reason;
        assert!(reason.contains("it was rejected and lies in quarantine"), "{reason}");
        assert_eq!(world.hrefs("").await, ["b.rpm"]);
    }
    world.hooked.keeps_uploads.store(false, Ordering::Relaxed);
    world.run().await;
    assert_eq!((world.hrefs("").await, world.inbox()), (vec!["b.rpm".to_owned()], vec![]));
    // Uploaded anew it is another upload.
    world.drop_bytes("z/a.rpm", Bytes::from(rpm("a", "1").summary("another build").build())).await;
    world.run().await;
    assert_eq!(world.hrefs("").await, ["b.rpm", "z/a.rpm"]);
}

/// Has a package rejected, and then takes away what spoke against it.
async fn wrongly_rejected(world: &World) {
    world.drop_bytes("z/a.rpm", Bytes::from(rpm("a", "1").summary("another build").build())).await;
    let report = world.run().await;
    assert_eq!(quarantine::list(world.publisher.bucket()).await.unwrap().len(), 1, "{report:#?}");
    world.publisher.remove(&RepositoryDir::new(""), vec!["a.rpm".to_owned()], run_id(world)).await.unwrap();
}

/// What an operator does with all that is in quarantine.
async fn release_all(world: &World) -> yrm::error::Result<()> {
    let bucket = world.publisher.bucket();
    let kept = quarantine::with_records(bucket, quarantine::list(bucket).await.unwrap()).await.unwrap();
    release::release(bucket, &kept, world.now()).await.1
}

#[tokio::test(start_paused = true)]
async fn a_release_waits_until_the_second_of_the_upload_is_over() {
    let world = World::new(policy());
    world.drop_rpm("a.rpm", &rpm("a", "1")).await;
    world.run().await;
    wrongly_rejected(&world).await;
    let began = tokio::time::Instant::now();
    release_all(&world).await.unwrap();
    // S3 tells times in whole seconds.
    assert!(began.elapsed() > Duration::from_secs(1));
    world.run().await;
    assert_eq!(world.hrefs("").await, ["z/a.rpm"]);
    world.assert_clean().await;
    // One that came long ago need not wait.
    world.drop_bytes("junk.rpm", "no package, but long enough to be looked at").await;
    world.run().await;
    world.advance(DAY);
    let began = tokio::time::Instant::now();
    release_all(&world).await.unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn what_could_not_leave_the_inbox_is_released_when_it_has() {
    let world = published(policy()).await;
    wrongly_rejected(&world).await;
    let before = states(&world);
    let refused = release_all(&world).await.unwrap_err();
    assert_eq!((refused.kind(), states(&world)), (ErrorKind::Conflict, before), "{refused:?}");
    world.hooked.keeps_uploads.store(false, Ordering::Relaxed);
    world.run().await;
    release_all(&world).await.unwrap();
    world.run().await;
    assert_eq!(world.hrefs("").await, ["b.rpm", "z/a.rpm"]);
    world.assert_clean().await;
}

#[tokio::test]
async fn an_answer_that_is_written_late_is_about_its_own_upload() {
    let world = World::new(policy());
    world.drop_rpm("a.rpm", &rpm("a", "1")).await;
    world.drop_rpm("b.rpm", &rpm("b", "1")).await;
    world.run().await;
    world.publisher.remove(&RepositoryDir::new(""), vec!["a.rpm".to_owned()], run_id(&world)).await.unwrap();
    world.drop_rpm("a.rpm", &rpm("a", "1")).await;
    // A publisher that slept writes its answers only now.
    for key in world.memory.keys().into_iter().filter(|key| key.starts_with(".yrm/receipts/")) {
        let bytes = world.bytes(&key).await.unwrap();
        put(world.memory.as_ref(), &key, bytes).await;
    }
    world.run().await;
    assert_eq!((world.hrefs("").await, world.inbox()), (vec!["a.rpm".to_owned(), "b.rpm".to_owned()], vec![]));
}

#[tokio::test]
async fn a_rollback_is_not_undone_by_what_cannot_leave_the_inbox() {
    let world = published(policy()).await;
    let first = world.packages("").await.len();
    assert_eq!(first, 2);
    let revision = revision(&world).await;
    world.drop_rpm("c.rpm", &rpm("c", "1")).await;
    world.run().await;
    assert_eq!(world.hrefs("").await.len(), 3);
    world.publisher.roll_back(&RepositoryDir::new(""), revision, run_id(&world)).await.unwrap();
    world.run().await;
    world.run_by(&world.another()).await;
    assert_eq!(world.hrefs("").await, ["a.rpm", "b.rpm"]);
}

async fn revision(world: &World) -> u64 {
    let repomd = world.bytes("repo/repodata/repomd.xml").await.unwrap();
    rpmmd::repomd::Repomd::read(&repomd).unwrap().revision.parse().unwrap()
}

#[tokio::test]
async fn what_was_replaced_does_not_come_back_in_turns() {
    let world = published(Policy { on_conflict: OnConflict::Replace, ..policy() }).await;
    let other = Bytes::from(rpm("a", "1").summary("another build").build());
    world.drop_bytes("z/a.rpm", other).await;
    world.run().await;
    let after = world.hrefs("").await;
    assert!(!after.contains(&"a.rpm".to_owned()), "{after:?}");
    for _ in 0..3 {
        world.run().await;
        assert_eq!(world.hrefs("").await, after);
    }
    // And no conflict, where nothing is replaced.
    let strict = World::new(policy());
    strict.hooked.keeps_uploads.store(true, Ordering::Relaxed);
    strict.drop_rpm("a.rpm", &rpm("a", "1")).await;
    strict.run().await;
    strict.publisher.remove(&RepositoryDir::new(""), vec!["a.rpm".to_owned()], run_id(&strict)).await.unwrap();
    strict.drop_bytes("z/a.rpm", Bytes::from(rpm("a", "1").summary("another build").build())).await;
    let report = strict.run().await;
    assert_eq!((strict.hrefs("").await, report.rejected), (vec!["z/a.rpm".to_owned()], vec![]));
}

#[tokio::test]
async fn a_rejected_file_that_cannot_leave_the_inbox_is_not_written_again() {
    let world = World::new(policy());
    world.hooked.keeps_uploads.store(true, Ordering::Relaxed);
    world.drop_bytes("junk.rpm", "no package, but long enough to be looked at").await;
    world.run().await;
    let before = states(&world);
    let report = world.run_by(&world.another()).await;
    assert_eq!(report.rejected.len(), 1, "who may delete ends it");
    world.drop_bytes("junk.rpm", "no package either, but long enough to be looked at").await;
    world.run().await;
    let after = states(&world);
    assert!(after > before);
    world.run().await;
    assert_eq!(states(&world), after, "an idle run writes nothing");
}

#[tokio::test]
async fn publishers_who_judge_otherwise_do_not_answer_in_turns() {
    let world = World::new(policy());
    world.hooked.keeps_uploads.store(true, Ordering::Relaxed);
    world.drop_bytes("junk.rpm", "no package, but long enough to be looked at").await;
    let stricter = Policy { max_package_bytes: 10, ..policy() };
    let stricter = Publisher::new(Arc::clone(&world.hooked) as Arc<dyn Store>, stricter).unwrap();
    let report = world.run_by(&stricter).await;
    world.run().await;
    let before = states(&world);
    for _ in 0..2 {
        world.run_by(&stricter).await;
        world.run().await;
    }
    assert_eq!(states(&world), before, "the first answer stands, and an idle run writes nothing");
    assert!(report.waiting.iter().any(|waiting| waiting.inbox_key == "inbox/junk.rpm"), "{report:#?}");
    let etag = world.memory.head("inbox/junk.rpm").await.unwrap().unwrap().etag;
    let answer = receipt::read(world.publisher.bucket(), "junk.rpm", &etag).await.unwrap();
    assert!(matches!(answer, Some(Receipt::Rejected(rejected)) if rejected.code == "E_TOO_LARGE"));
}

#[tokio::test]
async fn an_empty_key_waits_for_its_bytes_by_the_stores_clock_and_markers_for_ever() {
    let world = World::new(policy());
    for key in ["", "el9/", "el9/a.rpm", ".b.rpm"] {
        world.drop_bytes(key, "").await;
    }
    // A local clock that is a day ahead.
    let ahead = RunId { id: Ulid::new(), started: world.now() + jiff::SignedDuration::from_hours(24) };
    let report = world.publisher.run(ahead, &yrm::publish::Unwatched).await.unwrap();
    assert_eq!((report.inbox_keys.len(), report.rejected.len()), (0, 0), "{report:#?}");
    world.advance(DAY / 24);
    // One that did not ask for the time a moment ago.
    let report = world.run_by(&world.another()).await;
    let rejected: Vec<(&str, &str)> =
        report.rejected.iter().map(|rejected| (rejected.inbox_key.as_str(), rejected.code.as_str())).collect();
    assert_eq!(rejected, [("inbox/.b.rpm", "E_EMPTY"), ("inbox/el9/a.rpm", "E_EMPTY")]);
    assert_eq!(world.inbox(), ["inbox/", "inbox/el9/"]);
}
