//! Hostile uploaders, careless operators, and crashes in the worst place.

use std::time::Duration;

use futures::FutureExt as _;
use rpmmd::checksum::Sha256;
use rpmmd::compress::Compression;
use yrm::config::{Policy, Repositories, Retention};
use yrm::publish::Publisher;
use yrm::store::Store as _;
use yrm::store::key::RepositoryDir;
use yrm::upkeep::sweep;

use super::world::{Call, DAY, Effect, World, policy, put, rpm};

const REPOMD: &str = "repo/repodata/repomd.xml";

fn per_folder(world: &World) -> Publisher {
    Publisher::new(world.memory.clone(), Policy { repositories: Repositories::Depth(1), ..policy() }).unwrap()
}

fn codes(report: &yrm::bucket::report::Report) -> Vec<(&str, &str)> {
    report.rejected.iter().map(|rejected| (rejected.inbox_key.as_str(), rejected.code.as_str())).collect()
}

#[tokio::test(start_paused = true)]
async fn a_sweep_spares_what_a_repository_of_another_setting_names() {
    // One publisher was started with `repositories = "single"`, the other with "per-folder".
    let world = World::new(policy());
    let folders = per_folder(&world);
    world.drop_rpm("top.rpm", &rpm("top", "1")).await;
    world.run().await;
    for path in ["el8/inner.rpm", "el9/a.rpm"] {
        world.drop_rpm(path, &rpm("inner", "1")).await;
    }
    world.run_by(&folders).await;
    world.drop_rpm("el8/outer.rpm", &rpm("outer", "1")).await;
    world.run().await;
    assert_eq!(world.hrefs("").await, ["el8/outer.rpm", "top.rpm"]);
    assert_eq!(world.hrefs("el8/").await, ["inner.rpm"]);

    world.advance(10 * DAY);
    sweep::sweep(world.publisher.bucket(), &RepositoryDir::new("")).await.unwrap();
    for dir in ["el8", "el9"] {
        sweep::sweep(folders.bucket(), &RepositoryDir::new(dir)).await.unwrap();
    }
    world.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_repository_inside_another_by_its_repomd_alone_is_spared_too() {
    let world = World::new(policy());
    world.drop_rpm("top.rpm", &rpm("top", "1")).await;
    world.run().await;
    put(world.memory.as_ref(), "repo/by-hand/repodata/repomd.xml", "<repomd/>").await;
    put(world.memory.as_ref(), "repo/by-hand/a.rpm", rpm("a", "1").build()).await;
    put(world.memory.as_ref(), "repo/leftover.rpm", rpm("leftover", "1").build()).await;
    world.advance(10 * DAY);
    sweep::sweep(world.publisher.bucket(), &RepositoryDir::new("")).await.unwrap();
    assert!(world.bytes("repo/by-hand/a.rpm").await.is_some());
    assert!(world.bytes("repo/leftover.rpm").await.is_none());
}

#[tokio::test(start_paused = true)]
async fn the_same_bytes_again_put_back_a_package_that_vanished() {
    let world = World::new(policy());
    world.drop_rpm("a.rpm", &rpm("a", "1")).await;
    world.run().await;
    world.remove("repo/a.rpm").await;
    assert!(!world.check().await.clean());
    world.drop_rpm("a.rpm", &rpm("a", "1")).await;
    let report = world.run().await;
    assert_eq!(report.errors, Vec::<String>::new());
    assert_eq!(world.inbox(), Vec::<String>::new());
    world.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn the_only_good_copy_of_an_overwritten_package_stays_in_the_inbox() {
    let world = World::new(policy());
    world.drop_rpm("a.rpm", &rpm("a", "1")).await;
    world.run().await;
    put(world.memory.as_ref(), "repo/a.rpm", "overwritten by hand").await;
    world.drop_rpm("a.rpm", &rpm("a", "1")).await;
    let report = world.run().await;
    assert_eq!(world.inbox(), ["inbox/a.rpm"]);
    assert_eq!((report.published.len(), report.skipped_keys.len()), (0, 1));
    assert!(report.waiting[0].reason.contains("repo/a.rpm"), "{:?}", report.waiting);
    // Whoever removes the wrong file has the package back at the next run.
    world.remove("repo/a.rpm").await;
    world.run().await;
    assert_eq!(world.inbox(), Vec::<String>::new());
    world.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_package_is_no_conflict_with_a_twin_that_was_not_published() {
    let world = World::new(policy());
    world.drop_rpm("first.rpm", &rpm("first", "1")).await;
    world.run().await;
    world.drop_rpm("twins/a.rpm", &rpm("twin", "1").description("a")).await;
    world.drop_rpm("twins/b.rpm", &rpm("twin", "1").description("b")).await;
    world.hooked.at(Call::Copy, "repo/twins/a.rpm", Effect::Refuse);
    let report = world.run().await;
    assert_eq!(codes(&report), []);
    assert_eq!(world.inbox(), ["inbox/twins/a.rpm", "inbox/twins/b.rpm"]);
    assert_eq!(report.skipped_keys, ["inbox/twins/a.rpm", "inbox/twins/b.rpm"]);
    // Its twin goes away: it is published.
    world.remove("inbox/twins/a.rpm").await;
    world.run().await;
    assert_eq!(world.hrefs("").await, ["first.rpm", "twins/b.rpm"]);
}

#[tokio::test(start_paused = true)]
async fn a_taken_path_keeps_nobody_waiting() {
    let world = World::new(policy());
    world.drop_rpm("first.rpm", &rpm("first", "1")).await;
    world.run().await;
    put(world.memory.as_ref(), "repo/b.rpm", "left by an interrupted run").await;
    world.drop_rpm("b.rpm", &rpm("b", "1")).await;
    world.run().await;
    let digits = &Sha256::of(&rpm("b", "1").build()).to_string()[..16];
    assert_eq!(world.hrefs("").await, [format!("b.{digits}.rpm"), "first.rpm".to_owned()]);
    world.assert_clean().await;
    // The same bytes again are there already, under the path of their own.
    world.drop_rpm("b.rpm", &rpm("b", "1")).await;
    let report = world.run().await;
    assert!(report.published[0].already_there && report.published[0].href.contains(digits), "{report:?}");
    // What nobody published is swept.
    world.advance(4 * DAY);
    world.drop_rpm("c.rpm", &rpm("c", "1")).await;
    world.run().await;
    assert!(world.bytes("repo/b.rpm").await.is_none());
    world.assert_clean().await;
}

#[tokio::test]
async fn keys_that_metadata_urls_or_folders_cannot_hold_are_bad_keys() {
    let world = World::new(policy());
    let bad =
        [".hidden.rpm", ".hidden/a.rpm", "a.rpm/b.rpm", "back\\slash.rpm", "new\nline.rpm", "non\u{FFFE}character.rpm"];
    for key in bad {
        world.drop_rpm(key, &rpm("x", "1")).await;
    }
    world.drop_rpm("good.rpm", &rpm("good", "1")).await;
    let report = world.run().await;
    let keys: Vec<String> = bad.iter().map(|key| format!("inbox/{key}")).collect();
    assert_eq!(codes(&report), keys.iter().map(|key| (key.as_str(), "E_BAD_KEY")).collect::<Vec<_>>());
    assert_eq!(world.hrefs("").await, ["good.rpm"]);
    assert_eq!(world.inbox(), Vec::<String>::new());
    world.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_damaged_metadata_file_is_made_again_from_the_headers() {
    for kind in ["primary", "filelists", "other"] {
        let mut world = World::new(policy());
        world.drop_rpm("a.rpm", &rpm("a", "1")).await;
        world.run().await;
        let keys = world.memory.keys();
        let key = keys.iter().find(|key| key.ends_with(&format!("-{kind}.xml.gz"))).unwrap();
        put(world.memory.as_ref(), key, "a disk's idea of a gzip file").await;
        world.restart();
        world.drop_rpm("b.rpm", &rpm("b", "1")).await;
        let report = world.run().await;
        assert_eq!(report.errors, Vec::<String>::new(), "{kind}");
        assert_eq!(world.hrefs("").await, ["a.rpm", "b.rpm"]);
        world.assert_clean().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_sweeper_that_slept_deletes_nothing_that_was_published_meanwhile() {
    // It listed the leftover, and slept while another one swept and the same bytes were published
    // under that path: S3 gives equal bytes equal ETags, so the condition alone would not hold it.
    let world = World::new(policy());
    world.drop_rpm("first.rpm", &rpm("first", "1")).await;
    world.run().await;
    put(world.memory.as_ref(), "repo/a.rpm", rpm("a", "1").build()).await;
    world.advance(10 * DAY);
    let other = world.another();
    let now = world.now();
    world.hooked.at(
        Call::Get,
        ".yrm/catalog/",
        Effect::Before(Box::new(move |memory| {
            async move {
                let repository = RepositoryDir::new("");
                assert!(sweep::sweep(other.bucket(), &repository).await.unwrap().unwrap().deleted > 0);
                put(memory.as_ref(), "inbox/a.rpm", rpm("a", "1").build()).await;
                let run = yrm::publish::RunId { id: ulid::Ulid::new(), started: now };
                other.run(run, &yrm::publish::Unwatched).await.unwrap();
            }
            .boxed()
        })),
    );
    sweep::sweep(world.publisher.bucket(), &RepositoryDir::new("")).await.unwrap();
    assert!(world.hooked.all_happened());
    assert_eq!(world.hrefs("").await, ["a.rpm", "first.rpm"]);
    world.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_fails_at_every_run_is_one_record_of_the_history() {
    let world = World::new(policy());
    world.drop_rpm("sealed.rpm", &rpm("sealed", "1")).await;
    let records = || world.memory.keys().into_iter().filter(|key| key.starts_with(".yrm/history/")).count();
    for _ in 0..5 {
        world.hooked.at(Call::Get, "inbox/sealed.rpm", Effect::Refuse);
        assert_eq!(world.run().await.errors.len(), 1);
    }
    assert_eq!(records(), 1);
    world.run().await;
    assert_eq!(records(), 2);
    // The same trouble after a good run is news again.
    world.drop_rpm("sealed.rpm", &rpm("sealed", "2")).await;
    world.hooked.at(Call::Get, "inbox/sealed.rpm", Effect::Refuse);
    world.run().await;
    assert_eq!(records(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_lost_switch_forgets_nobody_who_waits() {
    let world = World::new(policy());
    world.drop_rpm("a.rpm", &rpm("a", "1")).await;
    world.run().await;
    world.drop_rpm("a.rpm", &rpm("a", "1").description("rebuilt")).await;
    world.drop_rpm("b.rpm", &rpm("b", "1")).await;
    // Replaced between the first look and the hashing.
    world.hooked.at(Call::Get, "inbox/a.rpm", Effect::Before(Box::new(|_| async {}.boxed())));
    world.hooked.at(
        Call::Get,
        "inbox/a.rpm",
        Effect::Before(Box::new(|memory| {
            async move { drop(put(memory.as_ref(), "inbox/a.rpm", rpm("a", "2").build()).await) }.boxed()
        })),
    );
    let other = world.another();
    let now = world.now();
    world.hooked.at(
        Call::Put,
        REPOMD,
        Effect::Before(Box::new(move |memory| {
            async move {
                put(memory.as_ref(), "inbox/c.rpm", rpm("c", "1").build()).await;
                let a = memory.head("inbox/a.rpm").await.unwrap().unwrap();
                memory.delete("inbox/a.rpm", &a.etag).await.unwrap();
                let run = yrm::publish::RunId { id: ulid::Ulid::new(), started: now };
                other.run(run, &yrm::publish::Unwatched).await.unwrap();
            }
            .boxed()
        })),
    );
    let report = world.run().await;
    assert!(world.hooked.all_happened());
    assert_eq!(report.skipped_keys, ["inbox/a.rpm"]);
}

#[tokio::test(start_paused = true)]
async fn a_package_dropped_again_as_it_falls_due_is_there_when_its_uploader_is_answered() {
    let rule = Retention { keep_at_least: 1, older_than: 10 * DAY };
    let world = World::new(Policy { retention: Some(rule), allow_shrink: true, ..policy() });
    for version in ["1", "2"] {
        world.drop_rpm(&format!("a-{version}.rpm"), &rpm("a", version)).await;
    }
    world.run().await;
    world.advance(11 * DAY);
    world.drop_rpm("a-1.rpm", &rpm("a", "1")).await;
    let report = world.run().await;
    assert!(report.published[0].already_there);
    assert_eq!(world.hrefs("").await, ["a-1.rpm", "a-2.rpm"]);
    world.advance(Duration::from_mins(1));
    world.run().await;
    assert_eq!(world.hrefs("").await, ["a-2.rpm"]);
    world.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_foreign_revision_that_cannot_be_counted_up_is_taken_over() {
    let mut world = World::new(policy());
    world.drop_rpm("a.rpm", &rpm("a", "1")).await;
    world.run().await;
    let repomd = String::from_utf8(world.bytes(REPOMD).await.unwrap().to_vec()).unwrap();
    let (head, rest) = repomd.split_once("<revision>").unwrap();
    let (_, tail) = rest.split_once("</revision>").unwrap();
    put(world.memory.as_ref(), REPOMD, format!("{head}<revision>{}</revision>{tail}", u64::MAX)).await;
    world.restart();
    for name in ["b", "c"] {
        world.drop_rpm(&format!("{name}.rpm"), &rpm(name, "1")).await;
        let report = world.run().await;
        assert_eq!(report.errors, Vec::<String>::new());
    }
    assert_eq!(world.hrefs("").await, ["a.rpm", "b.rpm", "c.rpm"]);
    world.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_repository_whose_catalog_is_gone_brings_nothing_back_that_was_removed() {
    for compression in [Compression::Gz, Compression::Zstd] {
        let mut world = World::new(Policy { compression, ..policy() });
        world.drop_rpm("a.rpm", &rpm("a", "1")).await;
        world.run().await;
        put(world.memory.as_ref(), "repo/removed.rpm", rpm("removed", "1").build()).await;
        for key in world.memory.keys().iter().filter(|key| key.starts_with(".yrm/")) {
            world.remove(key).await;
        }
        world.restart();
        world.drop_rpm("b.rpm", &rpm("b", "1")).await;
        assert!(world.run().await.repositories[0].adopted);
        assert_eq!(world.hrefs("").await, ["a.rpm", "b.rpm"]);
        world.assert_clean().await;
    }
}

#[tokio::test]
async fn a_folder_too_long_for_a_repository_is_a_bad_key() {
    let world = World::new(Policy { repositories: Repositories::Depth(1), ..policy() });
    world.drop_rpm(&format!("{}/a.rpm", "d".repeat(960)), &rpm("a", "1")).await;
    let report = world.run().await;
    assert_eq!((report.errors.len(), report.rejected[0].code.as_str()), (0, "E_BAD_KEY"));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_cannot_be_hashed_holds_up_nobody_else() {
    let world = World::new(policy());
    world.drop_rpm("a.rpm", &rpm("a", "1")).await;
    world.run().await;
    world.drop_rpm("a.rpm", &rpm("a", "1").description("rebuilt")).await;
    world.drop_rpm("b.rpm", &rpm("b", "1")).await;
    world.hooked.at(Call::Get, "inbox/a.rpm", Effect::Before(Box::new(|_| async {}.boxed())));
    world.hooked.at(Call::Get, "inbox/a.rpm", Effect::Refuse);
    let report = world.run().await;
    assert!(world.hooked.all_happened());
    assert_eq!((report.published.len(), report.waiting.len(), report.errors.len()), (1, 1, 1));
    assert_eq!(world.inbox(), ["inbox/a.rpm"]);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_copies_whatever_is_there_publishes_nothing_that_was_not_inspected() {
    let world = World::new(policy());
    world.hooked.copies_blindly.store(true, std::sync::atomic::Ordering::Relaxed);
    world.drop_rpm("a.rpm", &rpm("a", "1")).await;
    world.hooked.at(
        Call::Copy,
        "repo/a.rpm",
        Effect::Before(Box::new(|memory| {
            async move { drop(put(memory.as_ref(), "inbox/a.rpm", rpm("a", "2").build()).await) }.boxed()
        })),
    );
    world.run().await;
    assert!(world.hooked.all_happened());
    world.run().await;
    assert_eq!(world.packages("").await[0].nevra.to_string(), "a-2-1.noarch");
    assert_eq!(world.inbox(), Vec::<String>::new());
    world.assert_clean().await;
}
