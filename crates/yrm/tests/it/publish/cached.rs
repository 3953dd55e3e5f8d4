//! The cache of metadata files: what it saves, and that nothing depends on it.

use std::path::Path;
use std::sync::Arc;

use yrm::publish::Publisher;
use yrm::store::Store;
use yrm::store::cache::Cache;

use super::world::{Call, Effect, World, policy, rpm};

const FILES: [&str; 3] = ["-primary.xml.gz", "-filelists.xml.gz", "-other.xml.gz"];

/// A new process that has this folder for its cache.
fn process(world: &World, folder: &Path, limit_bytes: u64) -> Publisher {
    let store = Arc::clone(&world.hooked) as Arc<dyn Store>;
    Publisher::new(store, policy()).unwrap().with_cache(Cache::open(&[folder.to_owned()], limit_bytes))
}

fn cached(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Publishes one more package and checks everything.
async fn publish(world: &World, publisher: &Publisher, name: &str) {
    publish_unchecked(world, publisher, name).await;
    world.assert_clean().await;
}

async fn publish_unchecked(world: &World, publisher: &Publisher, name: &str) {
    world.drop_rpm(&format!("{name}.rpm"), &rpm(name, "1")).await;
    let report = world.run_by(publisher).await;
    assert_eq!(report.errors, Vec::<String>::new());
    assert_eq!(report.published.len(), 1);
    assert!(!report.repositories[0].adopted);
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_metadata_comes_from_the_cache() {
    let (world, folder) = (World::new(policy()), tempfile::tempdir().unwrap());
    let first = process(&world, folder.path(), 1 << 20);
    publish(&world, &first, "a").await;
    // From now on the metadata files cannot be fetched.
    for file in FILES {
        world.hooked.at(Call::Get, file, Effect::Refuse);
    }
    publish_unchecked(&world, &first, "b").await;
    publish_unchecked(&world, &process(&world, folder.path(), 1 << 20), "c").await;
    assert_eq!(world.hrefs("").await, ["a.rpm", "b.rpm", "c.rpm"]);
}

#[tokio::test(start_paused = true)]
async fn an_empty_machine_starts_from_the_bucket_alone() {
    let (world, folder) = (World::new(policy()), tempfile::tempdir().unwrap());
    publish(&world, &world.publisher, "a").await;
    publish(&world, &process(&world, folder.path(), 1 << 20), "b").await;
    // What was fetched, and what was made.
    assert_eq!(cached(folder.path()).len(), 6);
    assert_eq!(world.hrefs("").await, ["a.rpm", "b.rpm"]);
}

#[tokio::test(start_paused = true)]
async fn a_damaged_cached_file_is_fetched_again() {
    let (world, folder) = (World::new(policy()), tempfile::tempdir().unwrap());
    publish(&world, &process(&world, folder.path(), 1 << 20), "a").await;
    for (at, name) in cached(folder.path()).iter().enumerate() {
        let path = folder.path().join(name);
        let mut bytes = std::fs::read(&path).unwrap();
        match at {
            0 => bytes.clear(),
            1 => bytes.truncate(20),
            _ => bytes[20] ^= 1,
        }
        std::fs::write(&path, bytes).unwrap();
    }
    publish(&world, &process(&world, folder.path(), 1 << 20), "b").await;
    assert_eq!(world.hrefs("").await, ["a.rpm", "b.rpm"]);
}

#[tokio::test(start_paused = true)]
async fn a_cached_file_that_changes_under_a_process_is_noticed() {
    let (world, folder) = (World::new(policy()), tempfile::tempdir().unwrap());
    let publisher = process(&world, folder.path(), 1 << 20);
    publish(&world, &publisher, "a").await;
    for name in cached(folder.path()) {
        std::fs::write(folder.path().join(name), b"something else").unwrap();
    }
    publish(&world, &publisher, "b").await;
    assert_eq!(world.hrefs("").await, ["a.rpm", "b.rpm"]);
}

#[tokio::test(start_paused = true)]
async fn a_cache_that_vanishes_or_cannot_be_written_stops_nothing() {
    let (world, folder) = (World::new(policy()), tempfile::tempdir().unwrap());
    publish(&world, &process(&world, Path::new("/proc/no-such-folder"), 1 << 20), "a").await;
    let inside = folder.path().join("cache");
    let publisher = process(&world, &inside, 1 << 20);
    publish(&world, &publisher, "b").await;
    std::fs::remove_dir_all(&inside).unwrap();
    publish(&world, &publisher, "c").await;
    // A file where the folder was: everything in it fails from now on.
    std::fs::write(&inside, b"").unwrap();
    publish(&world, &publisher, "d").await;
    assert_eq!(world.hrefs("").await, ["a.rpm", "b.rpm", "c.rpm", "d.rpm"]);
}

#[tokio::test(start_paused = true)]
async fn the_cache_stays_within_its_limit_and_leaves_others_files_alone() {
    let (world, folder) = (World::new(policy()), tempfile::tempdir().unwrap());
    std::fs::write(folder.path().join("notes.txt"), b"not the cache's").unwrap();
    std::fs::write(folder.path().join(format!("tmp-{:032x}", 7)), vec![0; 5_000]).unwrap();
    let publisher = process(&world, folder.path(), 4_000);
    for name in ["a", "b", "c", "d", "e"] {
        publish(&world, &publisher, name).await;
    }
    let size = |name: &String| std::fs::metadata(folder.path().join(name)).unwrap().len();
    let mut names = cached(folder.path());
    assert_eq!(names.pop().as_deref(), Some("notes.txt"));
    assert!(!names.is_empty() && names.iter().map(size).sum::<u64>() <= 4_000, "{names:?}");
    // Too small for anything: still no error.
    publish(&world, &process(&world, folder.path(), 1), "f").await;
    assert_eq!(cached(folder.path()), ["notes.txt"]);
}
