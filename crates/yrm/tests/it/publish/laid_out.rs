//! What becomes of repositories that another layout does not name.

use std::time::Duration;

use ulid::Ulid;
use yrm::config::{Policy, Repositories};
use yrm::publish::RunId;
use yrm::store::key::RepositoryDir;

use super::world::{DAY, World, policy, rpm};

/// Between looks for what the clean-up owes, and a little more.
const LOOK: Duration = Duration::from_hours(7);

fn per_folder() -> Policy {
    Policy { repositories: Repositories::Depth(1), allow_shrink: true, ..policy() }
}

/// A bucket whose one repository was made into one for each folder.
async fn split() -> World {
    let mut world = World::new(policy());
    for (path, name) in [("x/a.rpm", "a"), ("x/b.rpm", "b"), ("y/c.rpm", "c")] {
        world.drop_rpm(path, &rpm(name, "1")).await;
    }
    world.run().await;
    let run = RunId { id: Ulid::new(), started: world.now() };
    world.publisher.lay_out(&Repositories::Depth(1), run).await.unwrap();
    world.publisher = world.publisher.going_by(per_folder(), None).unwrap();
    world.run().await;
    world
}

/// Whether keys with these begin and end are there.
fn are_there(world: &World, begin: &str, end: &str) -> bool {
    world.memory.keys().iter().any(|key| key.starts_with(begin) && key.ends_with(end))
}

/// Lets time pass, with runs in between.
async fn wait(world: &World, how_long: Duration) {
    let until = world.now().checked_add(how_long).unwrap();
    while world.now() < until {
        world.advance(LOOK);
        let report = world.run().await;
        assert_eq!(report.errors, Vec::<String>::new());
    }
}

#[tokio::test]
async fn old_repositories_go_a_grace_period_later_and_what_they_named_another() {
    let world = split().await;
    let run = RunId { id: Ulid::new(), started: world.now() };
    world.publisher.remove(&RepositoryDir::new("x"), vec!["a.rpm".to_owned()], run).await.unwrap();
    wait(&world, 2 * DAY).await;
    assert_eq!(world.hrefs("").await, ["x/a.rpm", "x/b.rpm", "y/c.rpm"], "clients of the old address read on");
    wait(&world, 2 * DAY).await;
    assert!(!are_there(&world, "repo/repodata/", "repomd.xml"), "nobody begins to read it any more");
    assert!(are_there(&world, "repo/repodata/", "-primary.xml.gz"), "who has begun reads on");
    assert!(are_there(&world, "repo/x/", "a.rpm"));
    wait(&world, 5 * DAY).await;
    assert!(!are_there(&world, "repo/repodata/", ""), "{:?}", world.memory.keys());
    assert!(!world.memory.keys().iter().any(|key| {
        let below = |prefix: &str| key.strip_prefix(prefix).is_some_and(|rest| !rest.contains('/'));
        below(".yrm/generations/") || below(".yrm/catalog/") || below(".yrm/retired/")
    }));
    assert_eq!(
        (world.hrefs("x/").await, world.hrefs("y/").await),
        (vec!["b.rpm".to_owned()], vec!["c.rpm".to_owned()])
    );
    world.assert_clean().await;
}

#[tokio::test]
async fn a_layout_that_comes_back_is_read_at_its_old_address_and_stays() {
    let mut world = split().await;
    wait(&world, 4 * DAY).await;
    assert!(!are_there(&world, "repo/repodata/", "repomd.xml"));
    let run = RunId { id: Ulid::new(), started: world.now() };
    world.publisher.lay_out(&Repositories::Single, run).await.unwrap();
    world.publisher = world.publisher.going_by(policy(), None).unwrap();
    wait(&world, 8 * DAY).await;
    assert_eq!(world.hrefs("").await, ["x/a.rpm", "x/b.rpm", "y/c.rpm"]);
    assert!(!are_there(&world, "repo/x/repodata/", "") && !are_there(&world, "repo/y/repodata/", ""));
    world.drop_rpm("x/d.rpm", &rpm("d", "1")).await;
    world.run().await;
    assert_eq!(world.hrefs("").await.len(), 4);
    world.assert_clean().await;
}
