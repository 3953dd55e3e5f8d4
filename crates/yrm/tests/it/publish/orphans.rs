//! Files below `repo/` that no metadata names: seen, taken in, or given up.

use ulid::Ulid;
use yrm::bucket::report::Operation;
use yrm::check::Why;
use yrm::publish::RunId;
use yrm::publish::operators::Also;
use yrm::store::key::RepositoryDir;
use yrm::upkeep::sweep;

use super::taken_over::{published, rewrite, unchanged};
use super::world::{DAY, World, policy, put, rpm};

fn run_at(world: &World) -> RunId {
    RunId { id: Ulid::new(), started: world.now() }
}

/// A repository that was taken over with a file beside it that it did not offer.
async fn with_an_orphan() -> World {
    let mut world = published(policy(), "", 3).await;
    put(world.memory.as_ref(), "repo/kept-out.rpm", rpm("kept-out", "1").build()).await;
    rewrite(&world, "", unchanged).await;
    for key in world.memory.keys().iter().filter(|key| key.starts_with(".yrm/")) {
        world.remove(key).await;
    }
    world.restart();
    world.drop_rpm("new.rpm", &rpm("new", "1")).await;
    world.run().await;
    assert_eq!(world.hrefs("").await, ["new.rpm", "p0.rpm", "p1.rpm", "p2.rpm"]);
    world
}

async fn orphans(world: &World) -> Vec<(String, Why)> {
    let findings = world.check().await;
    assert!(findings.clean(), "{findings:#?}");
    findings.repositories[0].orphans.iter().map(|orphan| (orphan.path.clone(), orphan.why)).collect()
}

#[tokio::test(start_paused = true)]
async fn files_that_no_metadata_names_are_found_with_the_reason() {
    let world = with_an_orphan().await;
    world.publisher.remove(&RepositoryDir::new(""), vec!["p1.rpm".to_owned()], run_at(&world)).await.unwrap();
    put(world.memory.as_ref(), "repo/stray.rpm", rpm("stray", "1").build()).await;
    put(world.memory.as_ref(), "repo/readme.txt", "no package").await;
    let expected = [
        ("kept-out.rpm".to_owned(), Why::NotOffered),
        ("p1.rpm".to_owned(), Why::EarlierRevision),
        ("stray.rpm".to_owned(), Why::Unnamed),
    ];
    assert_eq!(orphans(&world).await, expected);
}

#[tokio::test(start_paused = true)]
async fn an_orphan_is_adopted_where_it_lies_and_no_clean_up_takes_it() {
    let world = with_an_orphan().await;
    let before = world.memory.versions("repo/kept-out.rpm").len();
    let report = world.publisher.adopt_files(&["kept-out.rpm".to_owned()], run_at(&world)).await.unwrap();
    assert_eq!((report.operation, report.published.len()), (Operation::AdoptFile, 1));
    assert_eq!(world.hrefs("").await, ["kept-out.rpm", "new.rpm", "p0.rpm", "p1.rpm", "p2.rpm"]);
    assert_eq!(world.memory.versions("repo/kept-out.rpm").len(), before, "its bytes were not touched");
    world.advance(10 * DAY);
    sweep::sweep(world.publisher.bucket(), &RepositoryDir::new("")).await.unwrap();
    world.assert_clean().await;
    assert_eq!(orphans(&world).await, []);
}

#[tokio::test(start_paused = true)]
async fn an_adopted_orphan_that_is_removed_goes_like_any_package_and_can_be_purged() {
    for purge in [false, true] {
        let world = with_an_orphan().await;
        world.publisher.adopt_files(&["kept-out.rpm".to_owned()], run_at(&world)).await.unwrap();
        let (repository, hrefs) = (RepositoryDir::new(""), vec!["kept-out.rpm".to_owned()]);
        let also = Also { block: false, purge };
        world.publisher.remove_all(vec![(repository.clone(), hrefs)], also, run_at(&world)).await.unwrap();
        assert_eq!(world.bytes("repo/kept-out.rpm").await.is_none(), purge, "within the grace period");
        world.advance(10 * DAY);
        sweep::sweep(world.publisher.bucket(), &repository).await.unwrap();
        assert!(world.bytes("repo/kept-out.rpm").await.is_none());
        world.assert_clean().await;
        assert_eq!(orphans(&world).await, []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stray_file_is_adopted_unless_a_clean_up_may_be_about_to_take_it() {
    let world = published(policy(), "", 3).await;
    put(world.memory.as_ref(), "repo/stray.rpm", rpm("stray", "1").build()).await;
    world.advance(10 * DAY);
    // One that has read what it is to spare, before the file was among that.
    world.publisher.remove(&RepositoryDir::new(""), vec!["p1.rpm".to_owned()], run_at(&world)).await.unwrap();
    put(world.memory.as_ref(), ".yrm/swept/swept.json", "{}").await;
    let refused = world.publisher.adopt_files(&["stray.rpm".to_owned()], run_at(&world)).await.unwrap_err();
    assert!(refused.chain().contains("a clean-up that may be at work"), "{}", refused.chain());
    world.advance(DAY / 24);
    world.publisher.adopt_files(&["stray.rpm".to_owned()], run_at(&world)).await.unwrap();
    assert_eq!(world.hrefs("").await, ["p0.rpm", "p2.rpm", "stray.rpm"]);
    world.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn an_orphan_that_is_given_up_goes_with_the_next_clean_up_after_its_grace() {
    let world = with_an_orphan().await;
    world.advance(10 * DAY);
    sweep::sweep(world.publisher.bucket(), &RepositoryDir::new("")).await.unwrap();
    assert!(world.bytes("repo/kept-out.rpm").await.is_some());
    let report = world.publisher.drop_files(&["kept-out.rpm".to_owned()], run_at(&world)).await.unwrap();
    assert_eq!(report.deleted, ["repo/kept-out.rpm"]);
    assert!(world.bytes("repo/kept-out.rpm").await.is_some());
    sweep::sweep(world.publisher.bucket(), &RepositoryDir::new("")).await.unwrap();
    assert!(world.bytes("repo/kept-out.rpm").await.is_none());
    world.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_metadata_names_or_what_is_no_package_is_not_adopted_or_given_up() {
    let world = with_an_orphan().await;
    put(world.memory.as_ref(), "repo/broken.rpm", "not a package").await;
    for (path, why) in
        [("p0.rpm", "the metadata names it"), ("none.rpm", "there is no such file"), ("broken.rpm", "not an RPM")]
    {
        let refused = world.publisher.adopt_files(&[path.to_owned()], run_at(&world)).await.unwrap_err();
        assert!(refused.chain().contains(why), "{path}: {}", refused.chain());
    }
    let refused = world.publisher.drop_files(&["p0.rpm".to_owned()], run_at(&world)).await.unwrap_err();
    assert!(refused.chain().contains("the metadata names it"), "{}", refused.chain());
}
