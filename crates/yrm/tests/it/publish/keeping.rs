//! Retention: which old versions leave, when, and by whose clock.

use std::time::Duration;

use jiff::Timestamp;
use yrm::config::{Policy, Retention};
use yrm::publish::{RunId, Unwatched};
use yrm::store::key::RepositoryDir;
use yrm::upkeep::sweep;

use super::world::{DAY, World, policy, rpm};

fn keeping(keep_at_least: usize, older_than: Duration) -> Policy {
    Policy { retention: Some(Retention { keep_at_least, older_than }), allow_shrink: true, ..policy() }
}

#[tokio::test(start_paused = true)]
async fn prune_only_when_inbox_has_work() {
    // The defect's name: here old versions leave on an idle run too.
    let world = World::new(keeping(1, 10 * DAY));
    for version in ["1", "2", "10"] {
        world.drop_rpm(&format!("a-{version}.rpm"), &rpm("a", version)).await;
    }
    world.drop_rpm("b-1.rpm", &rpm("b", "1")).await;
    world.run().await;
    assert_eq!(world.hrefs("").await.len(), 4);
    world.advance(9 * DAY);
    world.run().await;
    let report = world.run().await;
    assert_eq!((report.usage.reads, report.usage.writes), (1, 0), "nothing is due, nothing is asked");
    world.advance(2 * DAY);
    let report = world.run().await;
    let retired: Vec<&str> = report.pruned.iter().map(|retired| retired.nevra.as_str()).collect();
    assert_eq!(retired, ["a-1-1.noarch", "a-2-1.noarch"]);
    assert_eq!(world.hrefs("").await, ["a-10.rpm", "b-1.rpm"]);
    assert!(world.bytes("repo/a-1.rpm").await.is_some(), "clients may still want it for the grace period");
    world.assert_clean().await;

    world.advance(4 * DAY);
    sweep::sweep(world.publisher.bucket(), &RepositoryDir::new("")).await.unwrap();
    assert!(world.bytes("repo/a-1.rpm").await.is_none());
    world.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_restarted_service_finds_what_is_due_without_work() {
    let mut world = World::new(keeping(1, 10 * DAY));
    world.drop_rpm("a-1.rpm", &rpm("a", "1")).await;
    world.drop_rpm("a-2.rpm", &rpm("a", "2")).await;
    world.run().await;
    world.advance(11 * DAY);
    world.restart();
    world.run().await;
    assert_eq!(world.hrefs("").await, ["a-2.rpm"]);
}

#[tokio::test(start_paused = true)]
async fn prune_age_from_local_file_times() {
    // The defect's name: here a local clock that is a year ahead retires nothing.
    let world = World::new(keeping(1, 10 * DAY));
    world.drop_rpm("a-1.rpm", &rpm("a", "1")).await;
    world.drop_rpm("a-2.rpm", &rpm("a", "2")).await;
    world.run().await;
    let ahead: Timestamp = world.now() + Duration::from_hours(24 * 365);
    world.publisher.run(RunId { id: ulid::Ulid::new(), started: ahead }, &Unwatched).await.unwrap();
    assert_eq!(world.hrefs("").await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_package_removed_from_s3_is_uploaded_again() {
    // The defect's name: what retention removed comes back only by a new upload.
    let mut world = World::new(keeping(1, 10 * DAY));
    world.drop_rpm("a-1.rpm", &rpm("a", "1")).await;
    world.drop_rpm("a-2.rpm", &rpm("a", "2")).await;
    world.run().await;
    world.advance(11 * DAY);
    world.run().await;
    world.restart();
    for _ in 0..3 {
        world.drop_rpm(&format!("b-{}.rpm", world.now()), &rpm("b", "1")).await;
        world.run().await;
    }
    assert!(!world.hrefs("").await.contains(&"a-1.rpm".to_owned()));
    world.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn retention_finds_every_repository_even_when_the_first_run_had_work_in_one() {
    let mut world = World::new(Policy { repositories: yrm::config::Repositories::Depth(1), ..keeping(1, 10 * DAY) });
    for version in ["1", "2"] {
        world.drop_rpm(&format!("el8/a-{version}.rpm"), &rpm("a", version)).await;
        world.drop_rpm(&format!("el9/a-{version}.rpm"), &rpm("a", version)).await;
    }
    world.run().await;
    world.advance(11 * DAY);
    world.restart();
    world.drop_rpm("el8/b.rpm", &rpm("b", "1")).await;
    world.run().await;
    assert_eq!(world.hrefs("el8/").await, ["a-2.rpm", "b.rpm"]);
    assert_eq!(world.hrefs("el9/").await, ["a-2.rpm"]);
}
