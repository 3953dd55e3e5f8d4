//! What one run does when others act between its calls, or the store answers badly.

use futures::FutureExt as _;
use yrm::publish::{Publisher, RunId, Unwatched};
use yrm::store::Store as _;

use super::world::{Call, DAY, Effect, World, policy, put, rpm};

const REPOMD: &str = "repo/repodata/repomd.xml";

#[tokio::test(start_paused = true)]
async fn two_instances_are_two_writers() {
    // Another publisher commits b between our reading and our switch: both must be there.
    let world = World::new(policy());
    world.drop_rpm("first.rpm", &rpm("first", "1")).await;
    world.run().await;
    world.drop_rpm("a.rpm", &rpm("a", "1")).await;
    let other = world.another();
    let now = world.now();
    world.hooked.at(
        Call::Put,
        REPOMD,
        Effect::Before(Box::new(move |memory| {
            async move {
                put(memory.as_ref(), "inbox/b.rpm", rpm("b", "1").build()).await;
                other.run(RunId { id: ulid::Ulid::new(), started: now }, &Unwatched).await.unwrap();
            }
            .boxed()
        })),
    );
    let report = world.run().await;
    assert!(world.hooked.all_happened());
    assert_eq!(report.repositories[0].attempts, 2);
    assert_eq!(world.hrefs("").await, ["a.rpm", "b.rpm", "first.rpm"]);
    assert_eq!(world.inbox(), Vec::<String>::new());
    world.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn reuploaded_while_running_is_deleted_unpublished() {
    // The defect's name; what must happen is the opposite: the new file stays for the next run.
    for part in ["a.rpm", REPOMD, ".yrm/receipts"] {
        let world = World::new(policy());
        world.drop_rpm("a.rpm", &rpm("a", "1")).await;
        let call = if part == "a.rpm" { Call::Copy } else { Call::Put };
        world.hooked.at(
            call,
            part,
            Effect::Before(Box::new(|memory| {
                async move {
                    put(memory.as_ref(), "inbox/a.rpm", rpm("a", "2").build()).await;
                }
                .boxed()
            })),
        );
        world.run().await;
        assert!(world.hooked.all_happened());
        assert_eq!(world.inbox(), ["inbox/a.rpm"], "replaced before {part}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_deleted_during_the_run_is_not_published_and_not_an_error() {
    let world = World::new(policy());
    world.drop_rpm("a.rpm", &rpm("a", "1")).await;
    world.drop_rpm("b.rpm", &rpm("b", "1")).await;
    world.hooked.at(
        Call::Copy,
        "repo/a.rpm",
        Effect::Before(Box::new(|memory| {
            async move {
                let object = memory.head("inbox/a.rpm").await.unwrap().unwrap();
                memory.delete("inbox/a.rpm", &object.etag).await.unwrap();
            }
            .boxed()
        })),
    );
    let report = world.run().await;
    assert_eq!(report.errors, Vec::<String>::new());
    assert_eq!(world.hrefs("").await, ["b.rpm"]);
    world.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_or_request_at_any_write_loses_nothing() {
    let writes = [
        (Call::Copy, "repo/a.rpm"),
        (Call::Put, "primary.xml.gz"),
        (Call::Put, ".yrm/catalog"),
        (Call::Put, REPOMD),
        (Call::Put, ".yrm/generations"),
        (Call::Put, ".yrm/receipts"),
        (Call::Delete, "inbox/a.rpm"),
        (Call::Copy, "quarantine/bad.rpm"),
        (Call::Put, ".yrm/history"),
    ];
    for (call, part) in writes {
        for effect in [Effect::LoseReply, Effect::LoseRequest] {
            let world = World::new(policy());
            world.drop_rpm("a.rpm", &rpm("a", "1")).await;
            world.drop_bytes("bad.rpm", "not an rpm at all, but long enough to be looked at").await;
            world.hooked.at(call, part, effect);
            let report = world.run().await;
            assert!(world.hooked.all_happened(), "{call:?} {part}");
            assert_eq!(report.errors, Vec::<String>::new(), "{call:?} {part}");
            assert_eq!(report.published.len(), 1, "{call:?} {part}");
            assert_eq!(world.hrefs("").await, ["a.rpm"], "{call:?} {part}");
            assert_eq!(world.inbox(), Vec::<String>::new(), "{call:?} {part}");
            world.assert_clean().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_write_is_finished_by_the_next_run() {
    let writes = [
        (Call::Copy, "repo/"),
        (Call::Put, "primary.xml.gz"),
        (Call::Put, "other.xml.gz"),
        (Call::Put, ".yrm/catalog"),
        (Call::Put, REPOMD),
        (Call::Put, ".yrm/generations"),
        (Call::Put, ".yrm/receipts"),
        (Call::Delete, "inbox/a.rpm"),
        (Call::Put, ".yrm/history"),
    ];
    for (call, part) in writes {
        let mut world = World::new(policy());
        world.drop_rpm("zero.rpm", &rpm("zero", "1")).await;
        world.run().await;
        world.drop_rpm("a.rpm", &rpm("a", "1")).await;
        world.drop_rpm("b.rpm", &rpm("b", "1")).await;
        world.hooked.at(call, part, Effect::Die);
        let run = RunId { id: ulid::Ulid::new(), started: world.now() };
        // The run is dropped at its next await after dying: what a killed process leaves.
        let died = tokio::time::timeout(std::time::Duration::from_mins(10), world.publisher.run(run, &Unwatched)).await;
        assert!(died.is_err() && world.hooked.all_happened(), "{call:?} {part}");
        world.assert_clean().await;
        world.restart();
        let report = world.run().await;
        assert_eq!(report.errors, Vec::<String>::new(), "{call:?} {part}");
        assert_eq!(world.hrefs("").await, ["a.rpm", "b.rpm", "zero.rpm"], "{call:?} {part}");
        assert_eq!(world.inbox(), Vec::<String>::new(), "{call:?} {part}");
        world.assert_clean().await;
    }
}

#[tokio::test(start_paused = true)]
async fn upload_fails_then_inbox_is_deleted() {
    // The defect's name: here nothing leaves the inbox until the switch is won.
    for (call, part) in [(Call::Put, "primary.xml.gz"), (Call::Put, ".yrm/catalog"), (Call::Put, REPOMD)] {
        let world = World::new(policy());
        world.drop_rpm("a.rpm", &rpm("a", "1")).await;
        world.hooked.at(call, part, Effect::Refuse);
        let report = world.run().await;
        assert_eq!(report.errors.len(), 1, "{part}: {:?}", report.errors);
        assert_eq!(report.skipped_keys, ["inbox/a.rpm"]);
        assert_eq!(world.inbox(), ["inbox/a.rpm"]);
        assert!(world.bytes(REPOMD).await.is_none());
        world.run().await;
        assert_eq!(world.hrefs("").await, ["a.rpm"]);
    }
}

#[tokio::test(start_paused = true)]
async fn repomd_visible_before_primary() {
    // The defect's name: whenever repomd.xml is written, what it names must be there already.
    let world = World::new(policy());
    world.drop_rpm("a.rpm", &rpm("a", "1")).await;
    world.hooked.at(
        Call::Put,
        REPOMD,
        Effect::Before(Box::new(|memory| {
            async move {
                let keys = memory.keys();
                for part in ["primary.xml.gz", "filelists.xml.gz", "other.xml.gz", "repo/a.rpm", ".yrm/catalog/"] {
                    assert!(keys.iter().any(|key| key.contains(part)), "{part} before repomd.xml");
                }
                assert!(keys.contains(&"inbox/a.rpm".to_owned()), "the inbox is emptied after the switch");
            }
            .boxed()
        })),
    );
    world.run().await;
    assert!(world.hooked.all_happened());
}

#[tokio::test(start_paused = true)]
async fn a_refused_listing_or_repomd_is_never_an_empty_repository() {
    let world = World::new(policy());
    world.drop_rpm("a.rpm", &rpm("a", "1")).await;
    world.run().await;
    let before = world.bytes(REPOMD).await;
    for (call, part) in [(Call::Get, REPOMD), (Call::Get, ".yrm/catalog"), (Call::Get, "primary.xml.gz")] {
        world.drop_rpm("b.rpm", &rpm("b", "1")).await;
        world.hooked.at(call, part, Effect::Refuse);
        let fresh = Publisher::new(world.hooked.clone(), policy()).unwrap();
        let report = world.run_by(&fresh).await;
        assert_eq!(report.errors.len(), 1, "{part}");
        assert_eq!(world.bytes(REPOMD).await, before, "{part}");
        assert_eq!(world.inbox(), ["inbox/b.rpm"], "{part}");
    }
    world.hooked.at(Call::List, "inbox/", Effect::Refuse);
    let run = RunId { id: ulid::Ulid::new(), started: world.now() };
    assert!(world.publisher.run(run, &Unwatched).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn two_managers_that_reject_the_same_upload_quarantine_it_once() {
    let world = World::new(policy());
    world.drop_bytes("bad.rpm", "not an rpm at all, but long enough to be looked at").await;
    let other = world.another();
    let now = world.now();
    world.hooked.at(
        Call::Copy,
        "quarantine/",
        Effect::Before(Box::new(move |_| {
            async move {
                other.run(RunId { id: ulid::Ulid::new(), started: now }, &Unwatched).await.unwrap();
            }
            .boxed()
        })),
    );
    world.run().await;
    let quarantined: Vec<_> = world.memory.keys().into_iter().filter(|key| key.starts_with("quarantine/")).collect();
    assert_eq!(quarantined.len(), 2, "the file and its record: {quarantined:?}");
    assert_eq!(world.inbox(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_fresh_copy_is_fresh_whatever_the_local_clock_says() {
    for lost_reply in [false, true] {
        let world = World::new(policy());
        world.drop_rpm("a.rpm", &rpm("a", "1")).await;
        if lost_reply {
            world.hooked.at(Call::Copy, "repo/a.rpm", Effect::LoseReply);
        }
        let ahead = RunId { id: ulid::Ulid::new(), started: world.now() + 10 * DAY };
        world.publisher.run(ahead, &Unwatched).await.unwrap();
        assert!(world.hooked.all_happened());
        assert_eq!(world.hrefs("").await, ["a.rpm"], "the reply was lost: {lost_reply}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_old_copy_is_old_whatever_the_local_clock_says() {
    let world = World::new(policy());
    world.drop_rpm("first.rpm", &rpm("first", "1")).await;
    world.run().await;
    let package = rpm("a", "1");
    // What an interrupted run left behind, and the sweep may take soon.
    put(world.memory.as_ref(), "repo/a.rpm", package.build()).await;
    let then = world.now();
    world.advance(2 * DAY);
    world.drop_rpm("a.rpm", &package).await;
    let behind = RunId { id: ulid::Ulid::new(), started: then };
    world.another().run(behind, &Unwatched).await.unwrap();
    let hrefs = world.hrefs("").await;
    assert_eq!((hrefs.len(), hrefs[0].len()), (2, "a.0123456789abcdef.rpm".len()), "{hrefs:?}");
}
