//! Every call of a story goes wrong once, and several publishers get in each other's way: at every
//! step what a client sees is whole, and in the end everything is published.

use std::sync::Arc;
use std::time::Duration;

use yrm::check::{Depth, check};
use yrm::config::{Policy, Retention};
use yrm::publish::{Publisher, RunId, Unwatched, sweep};
use yrm::store::Store;
use yrm::store::key::RepositoryDir;

use super::world::{DAY, Trouble, World, policy, rpm};

const REPOMD: &str = "repo/repodata/repomd.xml";

fn rules() -> Policy {
    Policy { retention: Some(Retention { keep_at_least: 1, older_than: 10 * DAY }), ..policy() }
}

/// The chapters of the story: what is dropped before each run, and how long after the last one.
const STORY: [(&[(&str, &str)], u64); 4] =
    [(&[("a", "1"), ("b", "1")], 0), (&[("a", "2"), ("c", "1")], 1), (&[("d", "1")], 12), (&[], 5)];

/// Drops a chapter's packages and a file that is none.
async fn drop_chapter(world: &World, chapter: usize) {
    let (packages, days) = STORY[chapter];
    world.advance(u32::try_from(days).unwrap() * DAY);
    for (name, version) in packages {
        world.drop_rpm(&format!("{name}-{version}.rpm"), &rpm(name, version)).await;
    }
    if chapter == 1 {
        world.drop_bytes("junk.rpm", "not an rpm at all, but long enough to be looked at").await;
        // Published already, and other bytes for it.
        world.drop_rpm("z/b-1.rpm", &rpm("b", "1").description("rebuilt")).await;
        world.drop_rpm("b-1.rpm", &rpm("b", "1")).await;
    }
}

/// What was dropped up to a chapter is in the inbox or in the metadata, unless it may have retired.
async fn assert_nothing_lost(world: &World, chapter: usize, what: &str) {
    if world.bytes(REPOMD).await.is_some() {
        // Through a store of its own, which no trouble meets.
        let findings = check(world.another().bucket(), Depth::Deep).await.unwrap();
        assert!(findings.clean(), "{what}: {findings:#?}");
    }
    let hrefs = if world.bytes(REPOMD).await.is_some() { world.hrefs("").await } else { Vec::new() };
    let inbox = world.inbox();
    for (name, version) in STORY[..=chapter].iter().flat_map(|(packages, _)| packages.iter()) {
        let href = format!("{name}-{version}.rpm");
        let may_have_retired = href == "a-1.rpm" && chapter >= 2;
        let there = hrefs.contains(&href) || inbox.contains(&format!("inbox/{href}"));
        assert!(there || may_have_retired, "{what}: {href} is lost; {hrefs:?} {inbox:?}");
    }
}

/// The story with one trouble; whether it was met before the end.
async fn story(call: usize, trouble: Trouble) -> bool {
    let mut world = World::new(rules());
    world.hooked.trouble_at(call, trouble);
    for chapter in 0..STORY.len() {
        drop_chapter(&world, chapter).await;
        let what = format!("{trouble:?} at call {call}, chapter {chapter}");
        let run = RunId { id: ulid::Ulid::new(), started: world.now() };
        let ended = tokio::time::timeout(Duration::from_hours(1), world.publisher.run(run, &Unwatched)).await;
        assert_nothing_lost(&world, chapter, &what).await;
        if ended.is_err() {
            world.restart();
        }
    }
    let troubled = world.hooked.end_trouble();
    // Two good runs: what the first leaves (a listing that failed) the second does.
    for _ in 0..2 {
        let report = world.run().await;
        assert_eq!(report.errors, Vec::<String>::new(), "{trouble:?} at call {call}");
    }
    let what = format!("{trouble:?} at call {call}, the end");
    assert_nothing_lost(&world, STORY.len() - 1, &what).await;
    assert_eq!(world.inbox(), Vec::<String>::new(), "{what}");
    let mut hrefs = world.hrefs("").await;
    hrefs.retain(|href| href != "a-1.rpm");
    assert_eq!(hrefs, ["a-2.rpm", "b-1.rpm", "c-1.rpm", "d-1.rpm"], "{what}");
    let quarantined = world.memory.keys().into_iter().filter(|key| key.starts_with("quarantine/")).count();
    assert_eq!(quarantined, 4, "{what}: two files with their records");
    // Long after, nothing but what is named is left, and all of that is.
    world.advance(20 * DAY);
    sweep::sweep(world.publisher.bucket(), &RepositoryDir::new("")).await.unwrap();
    world.assert_clean().await;
    let left = world.memory.keys().into_iter().filter(|key| key.starts_with("repo/")).count();
    assert_eq!(left, 4 + world.hrefs("").await.len(), "{what}: {:#?}", world.memory.keys());
    troubled
}

#[tokio::test(start_paused = true)]
async fn a_process_that_dies_at_any_call_loses_nothing() {
    for trouble in [Trouble::DieBefore, Trouble::DieAfter] {
        let mut call = 0;
        while story(call, trouble).await {
            call += 1;
        }
        assert!(call > 60, "the story has more calls than {call}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_loses_nothing_whether_it_applied_or_not() {
    for trouble in [Trouble::FailBefore, Trouble::FailAfter] {
        let mut call = 0;
        while story(call, trouble).await {
            call += 1;
        }
        assert!(call > 60, "the story has more calls than {call}");
    }
}

/// Seeds of the test below; the seed is in every message.
const SEEDS: u64 = 40;

#[tokio::test(start_paused = true)]
async fn three_publishers_at_once_publish_everything_once() {
    for seed in 0..SEEDS {
        let world = World::new(rules());
        world.hooked.shuffle(seed);
        let publishers: Vec<Publisher> =
            (0..3).map(|_| Publisher::new(Arc::clone(&world.hooked) as Arc<dyn Store>, rules()).unwrap()).collect();
        for chapter in 0..STORY.len() {
            drop_chapter(&world, chapter).await;
            let runs = publishers.iter().map(|publisher| world.run_by(publisher));
            let reports = futures::future::join_all(runs).await;
            let errors: Vec<_> = reports.iter().flat_map(|report| &report.errors).collect();
            assert!(errors.is_empty(), "seed {seed}: {errors:?}");
            let what = format!("seed {seed}, chapter {chapter}");
            assert_nothing_lost(&world, chapter, &what).await;
            assert_eq!(world.inbox(), Vec::<String>::new(), "{what}");
        }
        assert_eq!(world.hrefs("").await, ["a-2.rpm", "b-1.rpm", "c-1.rpm", "d-1.rpm"], "seed {seed}");
        let quarantined = world.memory.keys().into_iter().filter(|key| key.starts_with("quarantine/")).count();
        assert_eq!(quarantined, 4, "seed {seed}");
    }
}
