//! What a dry run shows is what the real one does, over random repositories; and a dry run changes nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use ulid::Ulid;
use yrm::bucket::generations::repositories;
use yrm::bucket::report::Report;
use yrm::config::{OnConflict, Policy, Repositories, Retention};
use yrm::error::{ErrorKind, Result};
use yrm::publish::expected::{Expected, plan_name};
use yrm::publish::operations::errand::Promotion;
use yrm::publish::{Publisher, RunId, Unwatched};
use yrm::store::Store;
use yrm::store::key::RepositoryDir;
use yrm::store::memory::MemoryStore;
use yrm::store::rehearsal::Rehearsal;

use super::world::{DAY, World, policy, rpm};

/// What is asked of a publisher.
#[derive(Debug, Clone)]
enum Asked {
    Run,
    Remove(RepositoryDir, Vec<String>),
    Promote(Vec<Promotion>),
    RollBack(RepositoryDir, u64),
    Prune,
    Adopt,
}

impl Asked {
    async fn by(&self, publisher: &Publisher, run: RunId) -> Result<Report> {
        match self {
            Self::Run => publisher.run(run, &Unwatched).await,
            Self::Remove(repository, hrefs) => publisher.remove(repository, hrefs.clone(), run).await,
            Self::Promote(promotions) => publisher.promote(promotions, run).await,
            Self::RollBack(repository, revision) => publisher.roll_back(repository, *revision, run).await,
            Self::Prune => publisher.prune(repositories(publisher.bucket()).await?, run).await,
            Self::Adopt => publisher.adopt(repositories(publisher.bucket()).await?, run).await,
        }
    }
}

/// How many states each key was in.
fn states(memory: &MemoryStore) -> BTreeMap<String, usize> {
    memory.keys_ever().into_iter().map(|key| (key.clone(), memory.versions(&key).len())).collect()
}

fn run_at(world: &World) -> RunId {
    RunId { id: Ulid::new(), started: world.now() }
}

/// A publisher of a bucket of which nothing is written.
fn rehearsing(world: &World, policy: &Policy) -> Publisher {
    let store = Rehearsal::of(Arc::clone(&world.memory) as Arc<dyn Store>, world.now());
    Publisher::new(Arc::new(store), policy.clone()).unwrap().held_to(Expected::anything())
}

/// What may be asked of what is there.
async fn asked(world: &World, random: &mut StdRng) -> Asked {
    let bucket = world.publisher.bucket();
    let there = repositories(bucket).await.unwrap();
    let Some(repository) = there.choose(random).cloned() else { return Asked::Run };
    let hrefs = world.hrefs(&repository.path_of("")).await;
    let some: Vec<String> = hrefs.iter().filter(|_| random.random_ratio(1, 5)).cloned().collect();
    let generations = yrm::bucket::log::generations(bucket, &repository).await.unwrap();
    match random.random_range(0..8) {
        0 if !some.is_empty() => Asked::Remove(repository, some),
        1 if !hrefs.is_empty() => {
            let promotion = |href: &String| Promotion {
                from: repository.path_of(href),
                to: format!("{}/{}", ["x", "y", "z"].choose(random).unwrap(), href.rsplit('/').next().unwrap()),
            };
            Asked::Promote(hrefs.iter().take(2).map(promotion).collect())
        }
        2 if generations.len() > 1 => {
            Asked::RollBack(repository, generations[random.random_range(1..generations.len())].revision)
        }
        3 => Asked::Prune,
        4 => Asked::Adopt,
        _ => Asked::Run,
    }
}

async fn play(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let retention = random
        .random_bool(0.5)
        .then(|| Retention { keep_at_least: random.random_range(1..3), older_than: DAY * random.random_range(0..3) });
    let policy = Policy {
        repositories: if random.random() { Repositories::Single } else { Repositories::Depth(1) },
        on_conflict: if random.random() { OnConflict::Replace } else { OnConflict::Reject },
        retention,
        grace: DAY * 30,
        ..policy()
    };
    let world = World::new(policy.clone());
    for _ in 0..random.random_range(3..7) {
        for _ in 0..random.random_range(0..4) {
            let folder = ["x", "y", "z"].choose(&mut random).unwrap();
            let name = ["a", "b", "c"].choose(&mut random).unwrap();
            let version = random.random_range(1..5);
            let package = rpm(name, &version.to_string()).summary(format!("take {}", random.random_range(0..2)));
            world.drop_rpm(&format!("{folder}/{name}-{version}.rpm"), &package).await;
            if random.random_ratio(1, 6) {
                world
                    .drop_bytes(&format!("{folder}/junk-{version}.rpm"), "no package, but long enough to look at")
                    .await;
            }
        }
        world.advance(DAY / 2 * random.random_range(0..4));
        let asked = asked(&world, &mut random).await;
        let before = states(&world.memory);
        let dry = asked.by(&rehearsing(&world, &policy), run_at(&world)).await;
        assert_eq!(states(&world.memory), before, "seed {seed}: a dry run of {asked:?} changed something");
        let publisher = world.another();
        let publisher = match &dry {
            Ok(dry) => publisher.held_to(Expected::of(dry)),
            Err(_) => publisher,
        };
        let real = asked.by(&publisher, run_at(&world)).await;
        match (dry, real) {
            (Ok(dry), Ok(real)) => {
                assert_eq!(plan_name(&dry), plan_name(&real), "seed {seed}: {asked:?}\n{dry:#?}\n{real:#?}");
            }
            (Err(dry), Err(real)) => assert_eq!(dry.chain(), real.chain(), "seed {seed}: {asked:?}"),
            (dry, real) => panic!("seed {seed}: {asked:?}\n{dry:#?}\n{real:#?}"),
        }
    }
}

/// `YRM_PLAN_SEEDS` says how many, and `YRM_CHAOS_SEED` which is the first.
#[tokio::test]
async fn a_dry_run_shows_what_the_real_one_does() {
    let number = |name: &str, usual: u64| std::env::var(name).map_or(usual, |text| text.parse().unwrap());
    let first = number("YRM_CHAOS_SEED", 0);
    for seed in first..first + number("YRM_PLAN_SEEDS", 150) {
        Box::pin(play(seed)).await;
    }
}

#[tokio::test]
async fn a_plan_that_something_has_changed_since_is_not_followed() {
    let world = World::new(policy());
    world.drop_rpm("a.rpm", &rpm("a", "1")).await;
    world.drop_rpm("b.rpm", &rpm("b", "1")).await;
    world.run().await;
    let asked = Asked::Remove(RepositoryDir::new(""), vec!["a.rpm".to_owned()]);
    let seen = asked.by(&rehearsing(&world, &policy()), run_at(&world)).await.unwrap();
    world.drop_rpm("c.rpm", &rpm("c", "1")).await;
    world.run().await;
    let error = asked.by(&world.another().held_to(Expected::of(&seen)), run_at(&world)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    assert!(error.chain().contains("its revision was"), "{}", error.chain());
    assert_eq!(world.hrefs("").await, ["a.rpm", "b.rpm", "c.rpm"]);
}

#[tokio::test]
async fn an_upload_that_came_after_the_dry_run_waits_for_the_next_run() {
    let world = World::new(policy());
    world.drop_rpm("a.rpm", &rpm("a", "1")).await;
    let seen = Asked::Run.by(&rehearsing(&world, &policy()), run_at(&world)).await.unwrap();
    world.drop_rpm("b.rpm", &rpm("b", "1")).await;
    let real = Asked::Run.by(&world.another().held_to(Expected::of(&seen)), run_at(&world)).await.unwrap();
    assert_eq!(plan_name(&seen), plan_name(&real));
    assert_eq!((world.hrefs("").await, world.inbox()), (vec!["a.rpm".to_owned()], vec!["inbox/b.rpm".to_owned()]));
}

#[tokio::test]
async fn promote_prunes_the_target() {
    let retention = Some(Retention { keep_at_least: 1, older_than: DAY });
    let world = World::new(Policy { repositories: Repositories::Depth(1), retention, ..policy() });
    for (path, version) in [("prod/tool-1.rpm", "1"), ("prod/tool-2.rpm", "2"), ("dev/tool-3.rpm", "3")] {
        world.drop_rpm(path, &rpm("tool", version)).await;
    }
    world.run().await;
    world.advance(DAY * 2);
    let promotion = Promotion { from: "dev/tool-3.rpm".to_owned(), to: "prod/tool-3.rpm".to_owned() };
    let report = world.another().promote(&[promotion], run_at(&world)).await.unwrap();
    assert_eq!((report.published.len(), report.pruned.len()), (1, 0));
    assert_eq!(world.hrefs("prod/").await, ["tool-1.rpm", "tool-2.rpm", "tool-3.rpm"]);
    let pruned = world.another().prune(vec![RepositoryDir::new("prod")], run_at(&world)).await.unwrap().pruned;
    assert_eq!(pruned.len(), 2);
    assert!(pruned[0].why.as_ref().unwrap().contains("not among the 1 newest"), "{pruned:?}");
}

#[tokio::test]
async fn a_promotion_into_two_repositories_is_one_record_with_both() {
    let world = World::new(Policy { repositories: Repositories::Depth(1), ..policy() });
    world.drop_rpm("dev/a.rpm", &rpm("a", "1")).await;
    world.run().await;
    let to = |folder: &str| Promotion { from: "dev/a.rpm".to_owned(), to: format!("{folder}/a.rpm") };
    let run = run_at(&world);
    world.another().promote(&[to("prod"), to("test")], run).await.unwrap();
    let history = yrm::bucket::history::load(world.publisher.bucket(), 10).await.unwrap();
    let record = history.iter().find(|record| record.run == run.id).unwrap();
    let places: Vec<&str> = record.published.iter().map(|one| one.repository.as_str()).collect();
    assert_eq!(places, ["prod", "test"]);
}

/// A fifth is what may leave without a look, and one or two packages.
#[tokio::test]
async fn allow_shrink_guards_only_rereads() {
    let world = World::new(policy());
    for at in 0..10 {
        world.drop_rpm(&format!("tool-{at}.rpm"), &rpm("tool", &at.to_string())).await;
    }
    world.run().await;
    world.advance(DAY);
    let some = |count: usize| (0..count).map(|at| format!("tool-{at}.rpm")).collect::<Vec<_>>();
    let root = RepositoryDir::new("");
    let error = world.another().remove(&root, some(3), run_at(&world)).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Conflict && error.chain().contains("3 of its 10 packages"), "{error:?}");
    world.another().remove(&root, some(2), run_at(&world)).await.unwrap();

    // The prune rule puts it off and says so; what was uploaded does not wait for that.
    let pruning = Policy { retention: Some(Retention { keep_at_least: 1, older_than: DAY / 2 }), ..policy() };
    world.drop_rpm("other.rpm", &rpm("other", "1")).await;
    let going_by =
        |policy: &Policy| Publisher::new(Arc::clone(&world.memory) as Arc<dyn Store>, policy.clone()).unwrap();
    let publisher = going_by(&pruning);
    let report = world.run_by(&publisher).await;
    assert_eq!((report.published.len(), report.pruned.len()), (1, 0));
    assert!(report.errors.iter().any(|line| line.contains("7 of its 8 packages would leave at once")), "{report:#?}");
    let asked = Asked::Prune;
    let seen = asked.by(&rehearsing(&world, &pruning), run_at(&world)).await.unwrap();
    assert_eq!(seen.pruned.len(), 7);
    let done = asked.by(&going_by(&pruning).held_to(Expected::of(&seen)), run_at(&world)).await.unwrap();
    assert_eq!(plan_name(&done), plan_name(&seen));

    let revision = yrm::bucket::log::generations(publisher.bucket(), &root).await.unwrap().last().unwrap().revision;
    let back = publisher.roll_back(&root, revision, run_at(&world)).await.unwrap();
    assert_eq!((back.restored.len(), back.removed.len()), (9, 1));
}

#[tokio::test]
async fn a_rollback_that_is_refused_stands_in_no_history() {
    let world = World::new(policy());
    world.drop_rpm("a.rpm", &rpm("a", "1")).await;
    world.run().await;
    let error = world.another().roll_back(&RepositoryDir::new(""), 7, run_at(&world)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    let history = yrm::bucket::history::load(world.publisher.bucket(), 10).await.unwrap();
    assert_eq!(history.iter().map(|record| record.operation.name()).collect::<Vec<_>>(), ["run"]);
}
