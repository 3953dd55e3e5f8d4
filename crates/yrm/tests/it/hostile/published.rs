//! The whole corpus in one run, among good packages: everything gets its answer, nothing else
//! suffers.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::Ordering;

use yrm::bucket::report::{Rejected, Report};
use yrm::config::Policy;

use super::corpus::{self, Expected};
use crate::equality::assert_well_formed;
use crate::publish::world::{World, policy, rpm};

/// In memory a GiB of zeros says no more than a MiB.
const ZEROS_MAX: u64 = 1 << 20;

const GOOD: [&str; 3] = ["a-good.rpm", "corpus/n-good.rpm", "z-good.rpm"];

/// Drops the corpus and the good packages, and runs once.
async fn published(payloads_are_read: bool) -> (World, Report) {
    let world = World::new(Policy { max_package_bytes: corpus::MAX_PACKAGE_BYTES, ..policy() });
    world.hooked.copies_blindly.store(payloads_are_read, Ordering::Relaxed);
    for (at, path) in GOOD.into_iter().enumerate() {
        world.drop_rpm(path, &rpm(&format!("good-{at}"), "1")).await;
    }
    for entry in corpus::all() {
        let corpus::Content { mut bytes, zeros } = entry.content();
        let zeros = if entry.expected == Expected::Rejected("E_TOO_LARGE") { zeros } else { zeros.min(ZEROS_MAX) };
        bytes.resize(bytes.len() + usize::try_from(zeros).unwrap(), 0);
        world.drop_bytes(&entry.path(), bytes).await;
    }
    let report = world.run().await;
    (world, report)
}

/// What became of every path, `published` or a code.
fn answers(report: &Report) -> BTreeMap<String, String> {
    let path = |key: &str| key.strip_prefix("inbox/").unwrap().to_owned();
    let published = report.published.iter().map(|published| (path(&published.inbox_key), "published".to_owned()));
    let rejected = report.rejected.iter().map(|rejected| (path(&rejected.inbox_key), rejected.code.clone()));
    published.chain(rejected).collect()
}

fn expected(payloads_are_read: bool) -> BTreeMap<String, String> {
    let answer = |expected| match expected {
        Expected::Ignored => None,
        Expected::Accepted => Some("published"),
        Expected::Rejected(code) => Some(code),
        Expected::RejectedWhereRead(code) => Some(if payloads_are_read { code } else { "published" }),
    };
    let corpus = corpus::all().into_iter().filter_map(|entry| Some((entry.path(), answer(entry.expected)?.to_owned())));
    corpus.chain(GOOD.map(|path| (path.to_owned(), "published".to_owned()))).collect()
}

/// One record each, which says what the report says, beside the file as it was dropped.
async fn assert_one_record_each(world: &World, report: &Report) {
    let quarantine: Vec<String> =
        world.memory.keys().into_iter().filter(|key| key.starts_with("quarantine/")).collect();
    assert_eq!(quarantine.len(), 2 * report.rejected.len());
    for rejected in &report.rejected {
        let record = world.bytes(&format!("{}.json", rejected.quarantine_key)).await.unwrap();
        assert_eq!(serde_json::from_slice::<Rejected>(&record).unwrap(), *rejected);
        let dropped = world.memory.versions(&rejected.inbox_key);
        let dropped = dropped.iter().flatten().next().expect("it was dropped").bytes.clone();
        assert_eq!(world.bytes(&rejected.quarantine_key).await.unwrap(), dropped, "{}", rejected.inbox_key);
    }
}

async fn assert_every_entry_gets_its_answer(payloads_are_read: bool) {
    let (world, report) = published(payloads_are_read).await;
    assert_eq!(report.errors, Vec::<String>::new());
    assert_eq!(report.waiting, []);
    let (answers, expected) = (answers(&report), expected(payloads_are_read));
    let others = answers.iter().filter(|(path, answer)| expected.get(*path) != Some(answer));
    assert_eq!(others.collect::<Vec<_>>(), []);
    assert_eq!(answers.len(), expected.len());
    assert_one_record_each(&world, &report).await;
    assert_eq!(world.inbox(), ["inbox/corpus/0-bytes.rpm"]);
    let hrefs = world.hrefs("").await;
    let wanted = expected.into_iter().filter(|(_, answer)| answer == "published");
    assert_eq!(hrefs, wanted.map(|(path, _)| path).collect::<Vec<_>>());
    world.assert_clean().await;

    // libxml2, which is what dnf and zypper read with, takes every document.
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("repodata")).unwrap();
    for key in world.memory.keys().iter().filter(|key| key.starts_with("repo/repodata/")) {
        let path = folder.path().join(key.strip_prefix("repo/").unwrap());
        fs::write(path, world.bytes(key).await.unwrap()).unwrap();
    }
    assert_well_formed(folder.path());

    // Nothing new is nothing to do.
    let again = world.run().await;
    assert_eq!((again.changed(), again.inbox_keys), (false, Vec::new()));
}

#[tokio::test]
async fn every_entry_gets_its_answer_while_good_packages_publish() {
    assert_every_entry_gets_its_answer(false).await;
}

#[tokio::test]
async fn every_entry_gets_its_answer_where_payloads_are_read() {
    assert_every_entry_gets_its_answer(true).await;
}
