//! Foreign hands are noticed, whether anything arrives or not: repomd.xml gone, damaged, or another program's.

use std::time::Duration;

use rpmmd::repomd::Repomd;
use ulid::Ulid;
use yrm::bucket::report::{Found, Noticed, Outcome, Report};
use yrm::bucket::{contents, history};
use yrm::config::{Policy, Repositories};
use yrm::error::ErrorKind;
use yrm::publish::{Publisher, RunId};
use yrm::store::key::RepositoryDir;

use super::taken_over::{published, put_repomd, repomd_of, rewrite, unchanged, without};
use super::world::{Call, Effect, World, policy, put, rpm};

const REPOMD: &str = "repo/repodata/repomd.xml";
const MINUTE: Duration = Duration::from_mins(1);

fn root() -> RepositoryDir {
    RepositoryDir::new("")
}

fn run_at(world: &World) -> RunId {
    RunId { id: Ulid::new(), started: world.now() }
}

/// The service's runs of so many minutes; what they noticed.
async fn minutes(world: &World, count: usize) -> (Vec<Noticed>, Report) {
    let mut noticed = Vec::new();
    let mut last = None;
    for _ in 0..count {
        world.advance(MINUTE);
        let report = world.run().await;
        noticed.extend(report.noticed.clone());
        last = Some(report);
    }
    (noticed, last.unwrap())
}

fn of_root(found: Found, outcome: Outcome) -> Noticed {
    Noticed { repository: String::new(), found, outcome, message: None }
}

async fn revision(world: &World) -> u64 {
    repomd_of(world, "").await.revision.parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn readyz_is_200_while_repomd_is_gone() {
    let world = published(policy(), "", 3).await;
    minutes(&world, 12).await;
    world.remove(REPOMD).await;
    let (noticed, _) = minutes(&world, 10).await;
    assert_eq!(noticed, [of_root(Found::Gone, Outcome::Restored)]);
    assert_eq!(world.hrefs("").await, ["p0.rpm", "p1.rpm", "p2.rpm"]);
    world.assert_clean().await;
    let told = history::load(world.publisher.bucket(), 1).await.unwrap();
    assert_eq!(told[0].noticed, noticed);
    assert_eq!(noticed[0].to_string(), "repomd.xml of / is gone: the last revision was put back");
}

#[tokio::test(start_paused = true)]
async fn a_damaged_repomd_is_replaced_by_the_last_revision_although_nothing_arrives() {
    let world = published(policy(), "", 3).await;
    put(world.memory.as_ref(), REPOMD, "<repomd><data").await;
    let (noticed, _) = minutes(&world, 10).await;
    assert_eq!(noticed, [of_root(Found::Damaged, Outcome::Restored)]);
    assert_eq!(world.hrefs("").await.len(), 3);
    world.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn what_another_program_writes_is_taken_over_although_nothing_arrives() {
    let world = published(policy(), "", 6).await;
    rewrite(&world, "", without("p5")).await;
    let (noticed, _) = minutes(&world, 10).await;
    assert_eq!(noticed, [of_root(Found::Foreign, Outcome::TakenOver)]);
    assert_eq!(world.hrefs("").await, ["p0.rpm", "p1.rpm", "p2.rpm", "p3.rpm", "p4.rpm"]);
    world.assert_clean().await;
    assert_eq!(minutes(&world, 30).await.0, []);
}

#[tokio::test(start_paused = true)]
async fn what_another_program_nearly_empties_is_left_and_told_once_until_somebody_decides() {
    let world = published(policy(), "", 3).await;
    let before = revision(&world).await;
    rewrite(&world, "", |document, text| without("p2")(document, without("p1")(document, text))).await;
    let foreign = world.bytes(REPOMD).await;
    let (noticed, last) = minutes(&world, 30).await;
    assert_eq!((noticed.len(), noticed[0].outcome), (1, Outcome::Left), "{noticed:?}");
    let said = noticed[0].message.as_deref().unwrap();
    assert!(said.contains("2 of its 3 packages would disappear: p1.rpm, p2.rpm"), "{said}");
    let why = last.trouble.unmended.expect("the service is not ready");
    assert!(why.starts_with("repomd.xml of / was written by another program: left as it is: "), "{why}");
    assert_eq!(world.bytes(REPOMD).await, foreign, "nothing was changed");
    assert_eq!(history::load(world.publisher.bucket(), 9).await.unwrap().len(), 2, "one record beside the first run's");
    // An operator goes back to what yrm had published.
    world.publisher.roll_back(&root(), before, run_at(&world)).await.unwrap();
    assert_eq!(world.hrefs("").await.len(), 3);
    assert_eq!(minutes(&world, 10).await.1.trouble.unmended, None);
    world.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_repository_that_cannot_be_looked_at_keeps_nobody_from_seeing_the_others() {
    let world = published(Policy { repositories: Repositories::Depth(1), ..policy() }, "el9/", 2).await;
    world.drop_rpm("el8/a.rpm", &rpm("a", "1")).await;
    world.run().await;
    put(world.memory.as_ref(), "repo/el9/repodata/repomd.xml", "<repomd><data").await;
    for _ in 0..30 {
        world.hooked.at(Call::Head, "repo/el8/repodata/repomd.xml", Effect::Refuse);
    }
    let (noticed, _) = minutes(&world, 10).await;
    let el9 = Noticed { repository: "el9".to_owned(), ..of_root(Found::Damaged, Outcome::Restored) };
    assert_eq!(noticed, [el9]);
    assert_eq!(world.hrefs("el9/").await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_is_being_renamed_is_not_gone() {
    let world = published(policy(), "", 1).await;
    let bytes = world.bytes(REPOMD).await.unwrap();
    for _ in 0..30 {
        world.remove(REPOMD).await;
        let (noticed, _) = minutes(&world, 1).await;
        assert_eq!(noticed, []);
        put(world.memory.as_ref(), REPOMD, bytes.clone()).await;
        assert_eq!(minutes(&world, 1).await.0, []);
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_run_lists_the_inbox_and_looks_at_the_repositories_twice_an_interval() {
    let world = published(policy(), "", 1).await;
    let mut reads = Vec::new();
    for _ in 0..20 {
        reads.push(minutes(&world, 1).await.1.usage.reads);
    }
    let looks: Vec<&u64> = reads.iter().filter(|reads| **reads > 1).collect();
    // The inbox, the settings, the repositories, and each repomd.xml.
    assert!(looks.len() <= 4 && looks.iter().all(|reads| **reads <= 4), "{reads:?}");
}

#[tokio::test(start_paused = true)]
async fn a_package_that_was_removed_stays_out_although_another_program_lists_it() {
    let world = published(policy(), "", 8).await;
    // What the old program on a timer makes of the files in the folder, removed ones too.
    let everything = repomd_of(&world, "").await;
    world.publisher.remove(&root(), vec!["p3.rpm".to_owned()], run_at(&world)).await.unwrap();
    world.advance(MINUTE);
    put(world.memory.as_ref(), "repo/p9.rpm", rpm("p9", "1").build()).await;
    put_repomd(&world, "", &everything).await;
    rewrite(&world, "", unchanged).await;
    let (noticed, _) = minutes(&world, 10).await;
    assert_eq!(noticed, [of_root(Found::Foreign, Outcome::TakenOver)]);
    assert_eq!(world.hrefs("").await, ["p0.rpm", "p1.rpm", "p2.rpm", "p4.rpm", "p5.rpm", "p6.rpm", "p7.rpm"]);
    let told = history::load(world.publisher.bucket(), 1).await.unwrap();
    let adoption = told[0].repositories[0].adoption.as_ref().unwrap();
    assert_eq!(adoption.stays_out.first, ["p3.rpm"]);
    // A new upload brings it back.
    world.drop_rpm("p3.rpm", &rpm("p3", "1")).await;
    world.run().await;
    assert_eq!(world.hrefs("").await.len(), 8);
    world.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn a_foreign_revision_with_a_number_of_ours_overwrites_no_copy() {
    let world = published(policy(), "", 6).await;
    let ours = revision(&world).await;
    let copy = format!(".yrm/generations/{ours}.xml");
    let before = world.bytes(&copy).await.unwrap();
    rewrite(&world, "", without("p5")).await;
    let foreign = world.bytes(REPOMD).await.unwrap();
    assert_eq!(revision(&world).await, ours);
    minutes(&world, 10).await;
    assert_eq!(world.bytes(&copy).await.unwrap(), before);
    let hashed = format!(".yrm/generations/{ours}-{}.xml", rpmmd::checksum::Sha256::of(&foreign));
    assert_eq!(world.bytes(&hashed).await.unwrap(), foreign, "the clean-up knows what its readers need");
    assert!(revision(&world).await > ours);
    world.publisher.roll_back(&root(), ours, run_at(&world)).await.unwrap();
    assert_eq!(world.hrefs("").await.len(), 6);
    world.assert_clean().await;
}

#[tokio::test(start_paused = true)]
async fn no_revision_is_numbered_as_one_before_it() {
    let world = published(policy(), "", 6).await;
    let ours = revision(&world).await;
    let mut foreign = repomd_of(&world, "").await;
    rewrite(&world, "", without("p5")).await;
    foreign.records = repomd_of(&world, "").await.records;
    foreign.revision = (ours - 1_000).to_string();
    put_repomd(&world, "", &foreign).await;
    minutes(&world, 10).await;
    assert!(revision(&world).await > ours);
}

#[tokio::test(start_paused = true)]
async fn no_way_back_to_the_revision_before_yrm() {
    // Another program's repository, with three packages and a file that yrm only passes on.
    let mut foreign = published(policy(), "", 3).await;
    put(foreign.memory.as_ref(), "repo/repodata/comps.xml", "<comps/>").await;
    rewrite(&foreign, "", unchanged).await;
    let mut repomd = repomd_of(&foreign, "").await;
    let mut comps = repomd.records[0].clone();
    (comps.kind, comps.href) = ("group".to_owned(), "repodata/comps.xml".to_owned());
    (comps.checksum, comps.size) =
        (rpmmd::repomd::AnyChecksum::sha256(rpmmd::checksum::Sha256::of(b"<comps/>")), Some(8));
    repomd.records.push(comps);
    repomd.revision = "1700000000".to_owned();
    put_repomd(&foreign, "", &repomd).await;
    for key in foreign.memory.keys().iter().filter(|key| key.starts_with(".yrm/")) {
        foreign.remove(key).await;
    }
    foreign.restart();
    foreign.drop_rpm("new.rpm", &rpm("new", "1")).await;
    foreign.run().await;
    assert_eq!(foreign.hrefs("").await.len(), 4);
    let report = foreign.publisher.roll_back(&root(), 1_700_000_000, run_at(&foreign)).await.unwrap();
    assert_eq!(report.removed.iter().map(|gone| gone.href.as_str()).collect::<Vec<_>>(), ["new.rpm"]);
    assert_eq!(foreign.hrefs("").await, ["p0.rpm", "p1.rpm", "p2.rpm"]);
    let now = Repomd::read(&foreign.bytes(REPOMD).await.unwrap()).unwrap();
    assert!(now.record("group").is_some(), "what else it named comes back, too");
    foreign.assert_clean().await;
    assert_eq!(foreign.run().await.published, []);
}

#[tokio::test(start_paused = true)]
async fn an_operator_need_not_wait_for_the_watch() {
    let world = published(policy(), "", 8).await;
    let ours = revision(&world).await;
    put(world.memory.as_ref(), REPOMD, "junk").await;
    let error = world.publisher.remove(&root(), vec!["p0.rpm".to_owned()], run_at(&world)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.hint_text().unwrap().contains("repo rollback"), "{error:?}");
    // The last revision, in the place of what nobody can read.
    let fresh = Publisher::new(world.memory.clone(), policy()).unwrap();
    fresh.roll_back(&root(), ours, run_at(&world)).await.unwrap();
    let shown = contents::current(world.publisher.bucket(), &root()).await.unwrap().unwrap();
    assert_eq!(shown.packages.len(), 8);
}
