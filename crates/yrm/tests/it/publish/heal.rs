//! Damage to what is stored, and metadata made by something else: healed from the packages, or
//! stopped loudly.

use yrm::store::Store as _;
use yrm::upkeep::sweep;

use super::world::{DAY, World, policy, put, rpm};

const REPOMD: &str = "repo/repodata/repomd.xml";

async fn with_two_packages() -> World {
    let world = World::new(policy());
    world.drop_rpm("x/a.rpm", &rpm("a", "1")).await;
    world.drop_rpm("x/b.rpm", &rpm("b", "1")).await;
    world.run().await;
    world
}

fn keys_with(world: &World, part: &str) -> Vec<String> {
    world.memory.keys().into_iter().filter(|key| key.contains(part)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_missing_or_damaged_catalog_is_made_again_from_the_metadata() {
    for damage in [None, Some("yrm-cat\u{1} and nothing else")] {
        let mut world = with_two_packages().await;
        for key in keys_with(&world, ".yrm/catalog/") {
            match damage {
                None => world.remove(&key).await,
                Some(text) => drop(put(world.memory.as_ref(), &key, text).await),
            }
        }
        world.restart();
        world.drop_rpm("c.rpm", &rpm("c", "1")).await;
        let report = world.run().await;
        assert!(report.repositories[0].adopted);
        assert_eq!(world.hrefs("").await, ["c.rpm", "x/a.rpm", "x/b.rpm"]);
        world.assert_clean().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_metadata_file_is_made_again_from_the_headers() {
    for (kind, lose_catalog) in [("primary", false), ("filelists", true), ("other", false)] {
        let mut world = with_two_packages().await;
        let before = world.packages("").await;
        world.remove(&keys_with(&world, &format!("-{kind}.xml.gz"))[0]).await;
        if lose_catalog {
            world.remove(&keys_with(&world, ".yrm/catalog/")[0]).await;
        }
        assert!(!world.check().await.clean(), "check sees the missing file");
        world.restart();
        world.drop_rpm("c.rpm", &rpm("c", "1")).await;
        let report = world.run().await;
        assert_eq!(report.errors, Vec::<String>::new());
        let mut after = world.packages("").await;
        assert_eq!(after.remove(0).href, "c.rpm");
        assert_eq!(names(&after), names(&before));
        world.assert_clean().await;
    }
}

fn names(packages: &[rpmmd::package::Package<'_>]) -> Vec<String> {
    packages.iter().map(|package| format!("{} {}", package.nevra, package.pkgid)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_missing_repomd_is_restored_and_never_read_as_an_empty_repository() {
    let mut world = with_two_packages().await;
    world.remove(REPOMD).await;
    world.restart();
    world.drop_rpm("c.rpm", &rpm("c", "1")).await;
    world.run().await;
    assert_eq!(world.hrefs("").await, ["c.rpm", "x/a.rpm", "x/b.rpm"]);
    world.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_missing_repomd_is_restored_by_a_package_that_is_published_already() {
    let mut world = with_two_packages().await;
    world.remove(REPOMD).await;
    world.restart();
    world.drop_rpm("x/a.rpm", &rpm("a", "1")).await;
    let report = world.run().await;
    // Nobody is told that it can be installed where it cannot.
    assert_eq!((report.published.len(), report.errors.len()), (1, 0), "{report:#?}");
    assert_eq!(world.hrefs("").await, ["x/a.rpm", "x/b.rpm"]);
    world.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_damaged_repomd_stops_the_repository_and_nothing_changes() {
    let mut world = with_two_packages().await;
    put(world.memory.as_ref(), REPOMD, "<repomd><data").await;
    world.restart();
    world.drop_rpm("c.rpm", &rpm("c", "1")).await;
    let report = world.run().await;
    assert!(report.errors[0].contains("repomd.xml"), "{:?}", report.errors);
    assert_eq!(world.inbox(), ["inbox/c.rpm"]);
    assert_eq!(world.bytes(REPOMD).await.unwrap(), "<repomd><data");
}

#[tokio::test(start_paused = true)]
async fn packages_that_vanished_from_the_folder_are_not_quietly_forgotten() {
    let mut world = with_two_packages().await;
    for key in keys_with(&world, ".yrm/catalog/").into_iter().chain(["repo/x/a.rpm".to_owned()]) {
        world.remove(&key).await;
    }
    world.restart();
    world.drop_rpm("c.rpm", &rpm("c", "1")).await;
    let report = world.run().await;
    assert!(report.errors[0].contains("1 of its 2 packages would disappear"), "{:?}", report.errors);
    assert_eq!(world.hrefs("").await.len(), 2);
    let allowed = yrm::config::Policy { allow_shrink: true, ..policy() };
    let allowing = yrm::publish::Publisher::new(world.memory.clone(), allowed).unwrap();
    world.run_by(&allowing).await;
    assert_eq!(world.hrefs("").await, ["c.rpm", "x/b.rpm"]);
    world.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_folder_of_packages_without_metadata_becomes_a_repository() {
    let world = World::new(policy());
    put(world.memory.as_ref(), "repo/old/a.rpm", rpm("a", "1").build()).await;
    put(world.memory.as_ref(), "repo/old/readme.txt", "not a package").await;
    world.drop_rpm("b.rpm", &rpm("b", "1")).await;
    let report = world.run().await;
    assert!(report.repositories[0].adopted);
    assert_eq!(world.hrefs("").await, ["b.rpm", "old/a.rpm"]);
    world.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn the_sweep_takes_what_nothing_names_after_grace_and_nothing_else() {
    let world = with_two_packages().await;
    put(world.memory.as_ref(), "repo/leftover.rpm", rpm("leftover", "1").build()).await;
    put(world.memory.as_ref(), "repo/RPM-GPG-KEY-ours", "a key").await;
    let first_primary = keys_with(&world, "-primary.xml.gz");
    world.advance(DAY);
    world.drop_rpm("c.rpm", &rpm("c", "1")).await;
    world.run().await;
    let repository = yrm::store::key::RepositoryDir::new("");

    // Two more days: the leftover is older than grace, the first generation's grace is not over.
    world.advance(2 * DAY);
    sweep::sweep(world.publisher.bucket(), &repository).await.unwrap();
    assert!(world.memory.head("repo/leftover.rpm").await.unwrap().is_none());
    assert!(world.bytes(&first_primary[0]).await.is_some(), "readers of the first generation still need it");

    world.advance(2 * DAY);
    let swept = sweep::sweep(world.publisher.bucket(), &repository).await.unwrap().unwrap();
    assert!(swept.deleted > 0);
    assert!(world.bytes(&first_primary[0]).await.is_none());
    assert!(world.bytes("repo/RPM-GPG-KEY-ours").await.is_some());
    assert_eq!(world.hrefs("").await, ["c.rpm", "x/a.rpm", "x/b.rpm"]);
    world.assert_clean().await;

    // Everything was needed: nothing more goes, and publishing goes on.
    world.advance(9 * DAY);
    assert_eq!(sweep::sweep(world.publisher.bucket(), &repository).await.unwrap().unwrap().deleted, 0);
    world.drop_rpm("d.rpm", &rpm("d", "1")).await;
    world.run().await;
    world.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_repository_where_nothing_arrives_any_more_is_swept_too() {
    let world = with_two_packages().await;
    let first_primary = keys_with(&world, "-primary.xml.gz");
    world.drop_rpm("c.rpm", &rpm("c", "1")).await;
    world.run().await;
    world.advance(4 * DAY);
    let report = world.run().await;
    assert!(report.cleaned_up > 0, "{report:#?}");
    assert!(world.bytes(&first_primary[0]).await.is_none());
    world.advance(DAY);
    let idle = world.run().await;
    assert_eq!((idle.cleaned_up, idle.usage.writes), (0, 0), "with nothing to sweep nothing is written");
    world.assert_clean().await;
}
