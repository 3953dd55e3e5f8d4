//! The repository is the bucket's root: the inbox, the quarantine and what yrm keeps lie in its folder, and are no part
//! of it.

use std::collections::BTreeSet;

use rpmmd::repodata::Document;
use yrm::config::{Folders, Policy, Repositories};
use yrm::publish::RunId;
use yrm::store::key::RepositoryDir;
use yrm::upkeep::sweep;

use super::taken_over::{published, rewritten};
use super::world::{DAY, World, policy, put, rpm};

/// One repository, at the root.
fn at_root() -> Policy {
    Policy { folders: Folders { repo: String::new(), ..Folders::default() }, ..policy() }
}

fn root() -> RepositoryDir {
    RepositoryDir::new("")
}

/// What yrm must not touch there: uploads that wait, what was rejected, releases, files of others.
async fn beside(world: &World) -> BTreeSet<String> {
    let keys = [
        "quarantine/old.rpm.01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "quarantine/x.rpm",
        ".yrm/x.rpm",
        "yrm-x86_64",
        "yrm-x86_64.sha256",
        "index.html",
        "docs/notes.txt",
        "inboxes/notes.txt",
    ];
    for key in keys {
        put(world.memory.as_ref(), key, key.as_bytes().to_vec()).await;
    }
    keys.map(str::to_owned).into()
}

fn keys(world: &World) -> BTreeSet<String> {
    world.memory.keys().into_iter().collect()
}

#[tokio::test(start_paused = true)]
async fn what_lies_beside_the_repository_at_the_root_is_neither_published_nor_swept() {
    let world = World::new(at_root());
    let beside = beside(&world).await;
    for path in ["a.rpm", "deep/er/b.rpm", "inboxes/c.rpm"] {
        let name = path.rsplit('/').next().unwrap().trim_end_matches(".rpm");
        world.drop_rpm(path, &rpm(name, "1")).await;
    }
    let report = world.run().await;
    assert_eq!(report.errors, Vec::<String>::new());
    assert_eq!(world.hrefs("").await, ["a.rpm", "deep/er/b.rpm", "inboxes/c.rpm"]);
    assert!(world.bytes("repodata/repomd.xml").await.is_some() && world.bytes("deep/er/b.rpm").await.is_some());
    world.assert_clean().await;
    let findings = world.check().await;
    assert!(findings.repositories[0].orphans.is_empty(), "{findings:#?}");

    let run = RunId { id: ulid::Ulid::new(), started: world.now() };
    world.publisher.remove(&root(), vec!["deep/er/b.rpm".to_owned()], run).await.unwrap();
    // It waits for the next run.
    put(world.memory.as_ref(), "inbox/later.rpm", rpm("later", "1").build()).await;
    world.advance(10 * DAY);
    let swept = sweep::sweep(world.publisher.bucket(), &root()).await.unwrap().unwrap();
    assert!(swept.deleted > 0);
    let left = keys(&world);
    assert!(!left.contains("deep/er/b.rpm") && left.contains("a.rpm") && left.contains("inbox/later.rpm"), "{left:?}");
    let lost: Vec<_> = beside.difference(&left).collect();
    assert!(lost.is_empty(), "{lost:?}");
    world.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn an_upload_into_a_folder_that_is_not_the_repository_s_is_rejected() {
    for repositories in [Repositories::Single, Repositories::Depth(1), Repositories::Globs(vec!["*".to_owned()])] {
        let world = World::new(Policy { repositories, ..at_root() });
        for path in ["inbox/x.rpm", "quarantine/x.rpm", "inbox/a/x.rpm", ".yrm/x.rpm", "repodata/x.rpm"] {
            world.drop_rpm(path, &rpm("x", "1")).await;
        }
        world.drop_rpm("el9/x.rpm", &rpm("x", "1")).await;
        let report = world.run().await;
        assert_eq!(report.rejected.len(), 5, "{report:?}");
        assert!(report.rejected.iter().all(|one| one.code == "E_BAD_KEY"), "{:?}", report.rejected);
        assert_eq!(report.published.len(), 1);
        assert!(world.inbox().is_empty());
        assert!(world.memory.keys().iter().all(|key| !key.starts_with(".yrm/x.rpm")));
        world.assert_clean().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_root_without_metadata_is_taken_over_without_what_lies_beside_it() {
    let world = World::new(at_root());
    beside(&world).await;
    for key in ["inbox/later.rpm", "quarantine/q.rpm", ".yrm/signed/s.rpm", "old.rpm", "deep/old2.rpm"] {
        let name = key.rsplit('/').next().unwrap().trim_end_matches(".rpm");
        put(world.memory.as_ref(), key, rpm(name, "1").build()).await;
    }
    let report = world.run().await;
    assert_eq!(report.errors, Vec::<String>::new());
    assert_eq!(world.hrefs("").await, ["deep/old2.rpm", "later.rpm", "old.rpm"]);
    world.assert_clean().await;
}

/// Metadata of another program that names an upload: nothing is published by being named.
#[tokio::test(start_paused = true)]
async fn metadata_at_the_root_cannot_name_an_upload() {
    for (repositories, dir, named) in [
        (Repositories::Single, "", "inbox/.x.rpm"),
        (Repositories::Single, "", "./deep/../.yrm/signed/x.rpm"),
        (Repositories::Depth(1), "el9/", "../inbox/.x.rpm"),
        (Repositories::Depth(1), "el9/", "../quarantine/x.rpm"),
    ] {
        let world = published(Policy { repositories, ..at_root() }, dir, 2).await;
        let named_so = |document, text: String| match document {
            Document::Primary => text.replace("href=\"p1.rpm\"", &format!("href=\"{named}\"")),
            Document::Filelists | Document::Other => text,
        };
        let world = rewritten(world, dir, named_so).await;
        let bytes = world.bytes(&format!("{dir}p1.rpm")).await.unwrap();
        for key in ["inbox/.x.rpm", ".yrm/signed/x.rpm", "quarantine/x.rpm"] {
            put(world.memory.as_ref(), key, bytes.clone()).await;
        }
        world.drop_rpm(&format!("{dir}new.rpm"), &rpm("new", "1")).await;
        let before = world.bytes(&format!("{dir}repodata/repomd.xml")).await;
        let report = world.run().await;
        assert!(report.errors[0].contains("not below / of this bucket"), "{named}: {:?}", report.errors);
        assert_eq!(world.bytes(&format!("{dir}repodata/repomd.xml")).await, before, "{named}: nothing was changed");
    }
}

#[tokio::test(start_paused = true)]
async fn the_layout_below_the_root_is_changed_and_changed_back() {
    let world = World::new(at_root());
    let beside = beside(&world).await;
    world.drop_rpm("el9/a.rpm", &rpm("a", "1")).await;
    world.drop_rpm("el10/b.rpm", &rpm("b", "1")).await;
    world.run().await;
    let run = || RunId { id: ulid::Ulid::new(), started: world.now() };
    world.publisher.lay_out(&Repositories::Depth(1), run()).await.unwrap();
    let two = world.another_by(Policy { repositories: Repositories::Depth(1), ..at_root() });
    world.drop_rpm("el9/c.rpm", &rpm("c", "1")).await;
    assert_eq!(world.run_by(&two).await.errors, Vec::<String>::new());
    assert_eq!(world.hrefs("el9/").await, ["a.rpm", "c.rpm"]);
    assert_eq!(world.hrefs("el10/").await, ["b.rpm"]);
    world.advance(10 * DAY);
    for dir in ["", "el9", "el10"] {
        sweep::sweep(two.bucket(), &RepositoryDir::new(dir)).await.unwrap();
    }
    let left = keys(&world);
    assert!(beside.is_subset(&left), "{left:?}");
    two.lay_out(&Repositories::Single, run()).await.unwrap();
    assert_eq!(world.hrefs("").await, ["el10/b.rpm", "el9/a.rpm", "el9/c.rpm"]);
}
