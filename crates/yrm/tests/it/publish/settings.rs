//! Going by the bucket's settings, call by call: what it costs, and what happens when they change in the middle of a run.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use rpmmd::compress::Compression;
use ulid::Ulid;
use yrm::bucket::settings::{self, history};
use yrm::config::{OnConflict, Policy, Pruning, Repositories, Retention, Rule, Shape, Trust};
use yrm::error::ErrorKind;
use yrm::publish::settings::own;
use yrm::publish::{Publisher, RunId, Unwatched};
use yrm::store::memory::MemoryStore;

use super::world::{Call, DAY, Effect, World, policy, put, rpm, settle_for};

const DOCUMENT: &str = ".yrm/bucket.toml";

async fn stored(world: &World) -> Shape {
    settings::load(world.memory.as_ref()).await.unwrap().unwrap().shape
}

/// A publisher of the same bucket by another policy.
fn other(memory: &Arc<MemoryStore>, policy: Policy) -> Publisher {
    Publisher::new(Arc::clone(memory) as _, policy).unwrap()
}

#[tokio::test]
async fn the_first_change_stores_the_settings_and_an_idle_run_asks_for_nothing_but_the_inbox() {
    let world = World::new(policy());
    let report = world.run().await;
    assert_eq!((report.usage.reads, report.usage.writes), (1, 0));
    assert_eq!(world.bytes(DOCUMENT).await, None, "nothing was changed");
    world.drop_rpm("a.rpm", &rpm("a", "1")).await;
    world.run().await;
    assert_eq!(stored(&world).await, own(world.publisher.bucket()));
    let changes = history(world.memory.as_ref(), 10).await.unwrap();
    assert_eq!((changes.len(), changes[0].is_first, changes[0].by.clone()), (1, true, None));
    // From then on a run with work reads them once, and a process that goes on believes them for a minute.
    let idle = world.run().await;
    assert_eq!((idle.usage.reads, idle.usage.writes), (1, 0));
    let reads = || world.hooked.gets().iter().filter(|(key, _)| key == DOCUMENT).count();
    let before = reads();
    world.drop_rpm("b.rpm", &rpm("b", "1")).await;
    world.run().await;
    assert!(reads() <= before + 1, "{before} {}", reads());
    assert_eq!(world.hrefs("").await, ["a.rpm", "b.rpm"]);
}

#[tokio::test]
async fn a_writer_that_differs_hears_every_difference_and_writes_nothing() {
    let world = World::new(policy());
    world.drop_rpm("a.rpm", &rpm("a", "1")).await;
    world.run().await;
    world.drop_rpm("b.rpm", &rpm("b", "1")).await;
    let differs = Policy { compression: Compression::Zstd, repositories: Repositories::Depth(1), ..policy() };
    let (publisher, keys) = (other(&world.memory, differs), world.memory.keys());
    let run = RunId { id: Ulid::new(), started: world.now() };
    let error = publisher.run(run, &Unwatched).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let told = error.chain();
    for part in [
        "repositories: the bucket has \"single\"",
        "compression: the bucket has \"gz\"",
        "yrm settings set compression zstd",
    ] {
        assert!(told.contains(part), "{told}");
    }
    assert!(publisher.is_at_odds());
    let repository = yrm::store::key::RepositoryDir::new("");
    let error = publisher.remove(&repository, vec!["a.rpm".to_owned()], run).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(publisher.roll_back(&repository, 1, run).await.unwrap_err().kind(), ErrorKind::Config);
    assert_eq!(world.memory.keys(), keys);
    // It needs no other bucket, only other settings.
    settle_for(world.memory.as_ref(), &publisher).await;
    assert_eq!(publisher.run(run, &Unwatched).await.unwrap().rejected.len(), 1, "there is no root repository any more");
}

#[tokio::test(start_paused = true)]
async fn settings_that_change_in_the_middle_of_a_run_give_its_commit_up() {
    let world = World::new(policy());
    world.drop_rpm("a.rpm", &rpm("a", "1")).await;
    world.run().await;
    world.drop_rpm("b.rpm", &rpm("b", "1")).await;
    tokio::time::sleep(Duration::from_mins(5)).await;
    let zstd = Policy { compression: Compression::Zstd, ..policy() };
    // It takes a while to put the package in place, and meanwhile an operator changes the settings.
    let change = {
        let zstd = zstd.clone();
        move |memory: Arc<MemoryStore>| {
            async move {
                tokio::time::sleep(Duration::from_mins(2)).await;
                settle_for(memory.as_ref(), &other(&memory, zstd)).await;
            }
            .boxed()
        }
    };
    world.hooked.at(Call::Copy, "repo/b.rpm", Effect::Before(Box::new(change)));
    let report = world.run().await;
    assert!(world.hooked.all_happened());
    assert_eq!((report.published.len(), report.waiting.len()), (0, 1), "{report:?}");
    assert!(report.errors[0].contains("settings were changed meanwhile"), "{report:?}");
    assert_eq!(world.hrefs("").await, ["a.rpm"]);
    assert!(world.publisher.is_at_odds());
    // Whoever goes by the new ones publishes it.
    let next = world.publisher.going_by(zstd, None).unwrap();
    assert_eq!(world.run_by(&next).await.published.len(), 1);
    assert_eq!(world.hrefs("").await, ["a.rpm", "b.rpm"]);
    world.assert_clean().await;
}

#[tokio::test]
async fn of_two_first_writers_one_decides() {
    let world = World::new(policy());
    world.drop_rpm("a.rpm", &rpm("a", "1")).await;
    let zstd = Policy { compression: Compression::Zstd, ..policy() };
    let first =
        move |memory: Arc<MemoryStore>| async move { settle_for(memory.as_ref(), &other(&memory, zstd)).await }.boxed();
    world.hooked.at(Call::Put, DOCUMENT, Effect::Before(Box::new(first)));
    let report = world.run().await;
    assert_eq!((report.published.len(), report.waiting.len()), (0, 1), "{report:?}");
    assert_eq!(world.bytes("repo/repodata/repomd.xml").await, None);
}

#[tokio::test]
async fn an_old_bucket_is_not_given_a_layout_by_which_it_has_no_repository() {
    let world = World::new(Policy { repositories: Repositories::Depth(1), ..policy() });
    world.drop_rpm("el9/a.rpm", &rpm("a", "1")).await;
    world.run().await;
    world.remove(DOCUMENT).await;
    world.drop_rpm("el9/b.rpm", &rpm("b", "1")).await;
    let run = RunId { id: Ulid::new(), started: world.now() };
    let error = other(&world.memory, policy()).run(run, &Unwatched).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.chain().contains("el9") && error.hint_text().unwrap().contains("--per-folder"), "{error:?}");
    assert_eq!(world.run().await.published.len(), 1);
}

fn table(folder: &str) -> Rule {
    Rule { folders: vec![folder.to_owned()], ..Rule::default() }
}

#[tokio::test]
async fn folders_have_their_own_compression_prune_and_conflict_rules() {
    let by = |keep_at_least| Retention { keep_at_least, older_than: DAY };
    let rules = vec![
        Rule { compression: Some(Compression::Zstd), pruning: Some(Pruning::Never), ..table("el9") },
        Rule { pruning: Some(Pruning::By(by(2))), on_conflict: Some(OnConflict::Replace), ..table("el8") },
    ];
    let trust = Trust { rules, ..Trust::default() };
    let world = World::new(Policy { repositories: Repositories::Depth(1), retention: Some(by(1)), trust, ..policy() });
    for folder in ["el7", "el8", "el9"] {
        for version in ["1", "2", "3"] {
            world.drop_rpm(&format!("{folder}/a-{version}.rpm"), &rpm("a", version)).await;
        }
    }
    world.run().await;
    world.advance(2 * DAY);
    world.run().await;
    let hrefs = async |folder: &str| world.hrefs(&format!("{folder}/")).await;
    assert_eq!(hrefs("el7").await, ["a-3.rpm"]);
    assert_eq!(hrefs("el8").await, ["a-2.rpm", "a-3.rpm"]);
    assert_eq!(hrefs("el9").await, ["a-1.rpm", "a-2.rpm", "a-3.rpm"]);
    for (folder, ending) in [("el7", "primary.xml.gz"), ("el8", "primary.xml.gz"), ("el9", "primary.xml.zst")] {
        let repomd = world.bytes(&format!("repo/{folder}/repodata/repomd.xml")).await.unwrap();
        assert!(String::from_utf8_lossy(&repomd).contains(ending), "{folder}");
    }
    for folder in ["el7", "el8"] {
        let other_bytes = rpm("a", "3").build_time(7).build();
        put(world.memory.as_ref(), &format!("inbox/{folder}/a-3.rpm"), other_bytes).await;
    }
    let report = world.run().await;
    assert_eq!((report.published.len(), report.rejected.len()), (1, 1), "{report:?}");
    assert!(report.published[0].repository == "el8" && report.rejected[0].inbox_key.contains("el7"));
    world.assert_clean().await;
    // What the bucket keeps of it is the same when it is read again.
    assert_eq!(stored(&world).await, own(world.publisher.bucket()));
}
