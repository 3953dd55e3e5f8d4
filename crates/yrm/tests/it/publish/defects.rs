//! Defects of the first version of this service, each by its name, that no other test bears; and the
//! bucket that somebody emptied.

use yrm::config::{Policy, Repositories};
use yrm::store::Store as _;

use super::world::{Call, Effect, World, policy, rpm};

const REPOMD: &str = "repo/repodata/repomd.xml";

fn below(world: &World, prefix: &str) -> Vec<String> {
    world.memory.keys().into_iter().filter(|key| key.starts_with(prefix)).collect()
}

#[tokio::test(start_paused = true)]
async fn failed_download_then_sync_delete_wipes_the_bucket() {
    // There is no local copy whose absence could mean anything: with every kind of read refused, and
    // with a local cache that is empty, nothing below repo/ goes.
    for (call, part) in [
        (Call::Get, REPOMD),
        (Call::Get, ".yrm/catalog/"),
        (Call::Get, "primary.xml.gz"),
        (Call::Get, "filelists.xml.gz"),
        (Call::Get, "other.xml.gz"),
    ] {
        let mut world = World::new(policy());
        for name in ["a", "b"] {
            world.drop_rpm(&format!("{name}.rpm"), &rpm(name, "1")).await;
        }
        world.run().await;
        let before = below(&world, "repo/");
        world.restart();
        world.drop_rpm("c.rpm", &rpm("c", "1")).await;
        world.hooked.at(call, part, Effect::Refuse);
        world.run().await;
        assert!(world.hooked.all_happened(), "{call:?} {part}");
        let after = below(&world, "repo/");
        assert!(before.iter().all(|key| after.contains(key)), "{call:?} {part}: {before:#?} {after:#?}");
        world.run().await;
        assert_eq!(world.hrefs("").await, ["a.rpm", "b.rpm", "c.rpm"], "{call:?} {part}");
        world.assert_clean().await;
    }
}

#[tokio::test(start_paused = true)]
async fn truncated_or_non_rpm_files_are_published() {
    let whole = rpm("a", "1").payload(vec![7; 5_000]).build();
    let world = World::new(policy());
    for (number, length) in [1, 95, 96, 100, 300, whole.len() / 2, whole.len() - 1].into_iter().enumerate() {
        world.drop_bytes(&format!("cut-{number}.rpm"), whole[..length].to_vec()).await;
    }
    world.drop_bytes("readme.txt", "not a package, and not called one").await;
    world.drop_bytes("page.rpm", "<html>502 Bad Gateway</html>").await;
    world.drop_bytes("z.rpm", whole).await;
    let report = world.run().await;
    assert_eq!(world.hrefs("").await, ["z.rpm"]);
    assert_eq!(report.rejected.len(), 9, "{:#?}", report.rejected);
    assert_eq!(below(&world, "repo/").iter().filter(|key| !key.contains("/repodata/")).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn per_folder_sees_one_level_only() {
    let world = World::new(Policy { repositories: Repositories::Depth(1), ..policy() });
    world.drop_rpm("el9/x86_64/deep/down/a.rpm", &rpm("a", "1")).await;
    world.drop_rpm("el9/b.rpm", &rpm("b", "1")).await;
    world.run().await;
    assert_eq!(world.hrefs("el9/").await, ["b.rpm", "x86_64/deep/down/a.rpm"]);
    world.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn whole_repository_downloaded_per_run() {
    let world = World::new(policy());
    for number in 0..60 {
        let package = rpm(&format!("p{number}"), "1").payload(vec![number; 20_000]);
        world.drop_rpm(&format!("p{number}.rpm"), &package).await;
    }
    world.run().await;
    world.drop_rpm("one-more.rpm", &rpm("one-more", "1").payload(vec![9; 500_000])).await;
    let report = world.run().await;
    assert_eq!(report.published.len(), 1);
    // The header of the new package and the metadata; no package.
    assert!(report.usage.bytes_in < 150_000, "{} bytes were read", report.usage.bytes_in);
}

#[tokio::test(start_paused = true)]
async fn a_repository_folder_that_was_emptied_is_not_quietly_replaced() {
    let mut world = World::new(policy());
    for name in ["a", "b"] {
        world.drop_rpm(&format!("{name}.rpm"), &rpm(name, "1")).await;
    }
    world.run().await;
    for key in below(&world, "repo/") {
        world.remove(&key).await;
    }
    for restarts in [false, true] {
        if restarts {
            world.restart();
        }
        world.drop_rpm("c.rpm", &rpm("c", "1")).await;
        let report = world.run().await;
        assert!(report.errors.iter().any(|error| error.contains("would disappear")), "{:?}", report.errors);
        assert_eq!(world.inbox(), ["inbox/c.rpm"], "nothing is lost");
        assert!(world.bytes(REPOMD).await.is_none(), "nothing is published");
    }
    // Who means it removes yrm's memory of it too, or allows it.
    for key in below(&world, ".yrm/") {
        world.remove(&key).await;
    }
    world.restart();
    world.run().await;
    assert_eq!(world.hrefs("").await, ["c.rpm"]);
    assert!(world.memory.head("inbox/c.rpm").await.unwrap().is_none());
    world.assert_clean().await;
}
