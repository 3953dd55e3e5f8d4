//! The policy: levels, rules by folder, keyrings from everywhere, and what is told.

use std::path::PathBuf;

use forge::Rpm as Package;
use ulid::Ulid;
use yrm::bucket::Bucket;
use yrm::bucket::receipt::{self, Receipt};
use yrm::bucket::report::Report;
use yrm::check::{Depth, check};
use yrm::config::{KeyringPlace, Level, Policy, Repositories, Rule, Trust};
use yrm::error::ErrorKind;
use yrm::publish::Publisher;
use yrm::publish::RunId;
use yrm::publish::operations::errand::Promotion;
use yrm::store::key::RepositoryDir;

use super::corpus::world;
use super::signers::{Signer, Signers};
use crate::publish::world::{Call, Effect, World, policy, put};

fn package(name: &str) -> Vec<u8> {
    Package::new(name, "1.0", "1", "noarch").build()
}

fn rule(folder: &str) -> Rule {
    Rule { folders: vec![folder.to_owned()], ..Rule::default() }
}

fn trusting(by: &Signers, signatures: Level, rules: Vec<Rule>) -> Policy {
    let keyrings = vec![KeyringPlace::Path(by.keyring())];
    let trust = Trust { signatures, keyrings, rules, ..Trust::default() };
    Policy { trust, repositories: Repositories::Depth(1), ..policy() }
}

fn codes(report: &Report) -> Vec<(&str, &str)> {
    let rejected = report.rejected.iter().map(|rejected| (rejected.inbox_key.as_str(), rejected.code.as_str()));
    let published = report.published.iter().map(|published| {
        (published.inbox_key.as_str(), published.remarks.first().map_or("published", |remark| remark.code.as_str()))
    });
    let mut all: Vec<_> = rejected.chain(published).collect();
    all.sort_unstable();
    all
}

async fn run(world: &World) -> Report {
    world.advance(std::time::Duration::from_mins(1));
    let report = world.run().await;
    assert_eq!(report.errors, Vec::<String>::new());
    report
}

/// Nothing says that the files in a folder without any metadata were ever let in.
#[tokio::test]
async fn a_rebuild_from_the_folder_asks_the_gate() {
    let by = Signers::of(&[Signer::Ed25519, Signer::Unknown]);
    let world = world(trusting(&by, Level::Require, Vec::new()));
    let store = world.hooked.as_ref();
    put(store, "repo/el9/plain.rpm", package("plain")).await;
    put(store, "repo/el9/unknown.rpm", by.rpmsign(Signer::Unknown, &package("unknown"), &["--rpmv3"])).await;
    put(store, "repo/el9/signed.rpm", by.rpmsign(Signer::Ed25519, &package("signed"), &[])).await;
    world.drop_bytes("el9/new.rpm", by.rpmsign(Signer::Ed25519, &package("new"), &[])).await;
    let report = run(&world).await;
    let adoption = report.repositories[0].adoption.as_ref().unwrap().to_string();
    assert_eq!(adoption, "took over 1 packages; 2 files were not offered and stay out: plain.rpm, unknown.rpm");
    let findings = check(world.publisher.bucket(), Depth::Deep).await.unwrap();
    assert_eq!(findings.repositories[0].packages, 2);
    for stays in ["plain", "unknown"] {
        assert!(world.bytes(&format!("repo/el9/{stays}.rpm")).await.is_some(), "{stays} is an operator's to take away");
    }
}

#[tokio::test]
async fn warn_publishes_and_says_so_in_report_and_receipt() {
    let by = Signers::of(&[Signer::Ed25519, Signer::Unknown]);
    let world = world(trusting(&by, Level::Warn, Vec::new()));
    let etag = world.drop_bytes("el9/plain.rpm", package("plain")).await;
    world.drop_bytes("el9/unknown.rpm", by.rpmsign(Signer::Unknown, &package("unknown"), &["--rpmv3"])).await;
    world.drop_bytes("el9/signed.rpm", by.rpmsign(Signer::Ed25519, &package("signed"), &[])).await;
    let report = run(&world).await;
    assert_eq!(
        codes(&report),
        [
            ("inbox/el9/plain.rpm", "E_UNSIGNED"),
            ("inbox/el9/signed.rpm", "published"),
            ("inbox/el9/unknown.rpm", "E_UNKNOWN_KEY"),
        ]
    );
    assert_eq!(report.published[1].signed_by, Some(by.fingerprint(Signer::Ed25519)));
    let Some(Receipt::Published(published)) =
        receipt::read(world.publisher.bucket(), "el9/plain.rpm", &etag).await.unwrap()
    else {
        panic!("no receipt that says published")
    };
    assert_eq!(published.remarks, report.published[0].remarks);
    world.assert_clean().await;
}

#[tokio::test]
async fn warn_does_not_read_payloads_that_the_store_hashes_and_require_always_does() {
    let by = Signers::of(&[Signer::Ed25519]);
    let large =
        by.rpmsign(Signer::Ed25519, &Package::new("large", "1", "1", "noarch").payload(vec![7; 3 << 20]).build(), &[]);
    // What cannot get in is not read to the end.
    let unsigned = Package::new("large", "1", "1", "noarch").payload(vec![7; 3 << 20]).build();
    let strict = world(trusting(&by, Level::Require, Vec::new()));
    strict.drop_bytes("el9/large.rpm", unsigned).await;
    let report = run(&strict).await;
    assert_eq!(codes(&report), [("inbox/el9/large.rpm", "E_UNSIGNED")]);
    assert!(report.usage.bytes_in < 1 << 20, "{:?}", report.usage);
    for (level, reads_all) in [(Level::Warn, false), (Level::Require, true)] {
        let world = world(trusting(&by, level, Vec::new()));
        world.drop_bytes("el9/large.rpm", large.clone()).await;
        let report = run(&world).await;
        assert_eq!(codes(&report), [("inbox/el9/large.rpm", "published")]);
        assert_eq!(report.usage.bytes_in > 3 << 20, reads_all, "{level:?}: {:?}", report.usage);
    }
}

#[tokio::test]
async fn a_rule_holds_for_its_folder_alone() {
    let by = Signers::of(&[Signer::Ed25519, Signer::Ecdsa]);
    let signed = |name: &str| by.rpmsign(Signer::Ed25519, &package(name), &[]);
    let rules = vec![
        Rule { signatures: Some(Level::Require), keys: vec![by.fingerprint(Signer::Ecdsa)], ..rule("ecdsa") },
        Rule { signatures: Some(Level::Require), ..rule("strict") },
        Rule { names: vec!["lib*".to_owned(), "tool".to_owned()], ..rule("libs/*") },
    ];
    let world = world(trusting(&by, Level::Off, rules));
    world.drop_bytes("ecdsa/a.rpm", signed("a")).await;
    world.drop_bytes("strict/deep/b.rpm", signed("b")).await;
    world.drop_bytes("strict/c.rpm", package("c")).await;
    world.drop_bytes("other/d.rpm", package("d")).await;
    world.drop_bytes("libs/x/libe.rpm", package("libe")).await;
    world.drop_bytes("libs/x/tool.rpm", package("tool")).await;
    world.drop_bytes("libs/x/libf.rpm", package("kernel")).await;
    world.drop_bytes("libs/g.rpm", package("g")).await;
    let report = run(&world).await;
    assert_eq!(
        codes(&report),
        [
            ("inbox/ecdsa/a.rpm", "E_UNKNOWN_KEY"),
            ("inbox/libs/g.rpm", "published"),
            ("inbox/libs/x/libe.rpm", "published"),
            ("inbox/libs/x/libf.rpm", "E_POLICY_NAME"),
            ("inbox/libs/x/tool.rpm", "published"),
            ("inbox/other/d.rpm", "published"),
            ("inbox/strict/c.rpm", "E_UNSIGNED"),
            ("inbox/strict/deep/b.rpm", "published"),
        ]
    );

    // What a folder would not take from the inbox it does not take from another folder either.
    let promotion = Promotion { from: "other/d.rpm".to_owned(), to: "strict/d.rpm".to_owned() };
    let id = RunId { id: ulid::Ulid::new(), started: world.now() };
    let refused = world.publisher.promote(std::slice::from_ref(&promotion), id).await.unwrap_err();
    assert!(refused.chain().contains("it is not signed"), "{}", refused.chain());
    let promotion = Promotion { from: "strict/deep/b.rpm".to_owned(), to: "other/b.rpm".to_owned() };
    let report = world.publisher.promote(&[promotion], id).await.unwrap();
    assert_eq!(report.published.len(), 1);
    world.assert_clean().await;
}

#[tokio::test]
async fn a_file_replaced_after_it_was_verified_is_not_published() {
    let by = Signers::of(&[Signer::Ed25519]);
    let signed = by.rpmsign(Signer::Ed25519, &package("signed"), &[]);
    // Also where the store copies whatever is there.
    for blindly in [false, true] {
        let world = world(trusting(&by, Level::Require, Vec::new()));
        world.hooked.copies_blindly.store(blindly, std::sync::atomic::Ordering::Relaxed);
        world.drop_bytes("el9/signed.rpm", signed.clone()).await;
        let replace =
            |memory: std::sync::Arc<yrm::store::memory::MemoryStore>| -> futures::future::BoxFuture<'static, ()> {
                Box::pin(async move {
                    put(memory.as_ref(), "inbox/el9/signed.rpm", package("signed")).await;
                })
            };
        world.hooked.at(Call::Copy, "el9/signed.rpm", Effect::Before(Box::new(replace)));
        assert_eq!(codes(&run(&world).await), [], "{blindly}");
        assert!(world.hooked.all_happened());
        assert_eq!(codes(&run(&world).await), [("inbox/el9/signed.rpm", "E_UNSIGNED")], "{blindly}");
    }
}

#[tokio::test]
async fn a_prolonged_key_counts_again_beside_its_old_copy() {
    let by = Signers::of(&[Signer::Expired]);
    let signed = by.rpmsign(Signer::Expired, &package("signed"), &[]);
    for (prolonged, answer) in [(false, "E_KEY_EXPIRED"), (true, "published")] {
        if prolonged {
            by.prolong(Signer::Expired);
            std::fs::write(by.keyring().join("a-newer.asc"), by.public_key(Signer::Expired)).unwrap();
        }
        let world = world(trusting(&by, Level::Require, Vec::new()));
        world.drop_bytes("el9/signed.rpm", signed.clone()).await;
        assert_eq!(codes(&run(&world).await), [("inbox/el9/signed.rpm", answer)]);
    }
}

#[tokio::test]
async fn a_package_that_is_adopted_is_not_asked_who_signed_it() {
    let by = Signers::of(&[Signer::Ed25519]);
    let mut world = world(trusting(&by, Level::Off, Vec::new()));
    world.drop_bytes("el9/there.rpm", package("there")).await;
    run(&world).await;
    // Its metadata vouches for it.
    for key in world.memory.keys().iter().filter(|key| key.starts_with(".yrm/")) {
        world.remove(key).await;
    }
    world.publisher = Publisher::new(world.hooked.clone(), trusting(&by, Level::Require, Vec::new())).unwrap();
    world.drop_bytes("el9/signed.rpm", by.rpmsign(Signer::Ed25519, &package("signed"), &[])).await;
    let report = run(&world).await;
    assert_eq!(codes(&report), [("inbox/el9/signed.rpm", "published")]);
    assert_eq!(world.hrefs("el9/").await, ["signed.rpm", "there.rpm"]);
}

#[tokio::test]
async fn a_rebuild_leaves_out_what_the_rules_would_not_let_in_today_and_names_it() {
    let by = Signers::of(&[Signer::Ed25519]);
    let mut world = world(trusting(&by, Level::Off, Vec::new()));
    for number in 0..8 {
        let signed = by.rpmsign(Signer::Ed25519, &package(&format!("signed-{number}")), &[]);
        world.drop_bytes(&format!("el9/signed-{number}.rpm"), signed).await;
    }
    world.drop_bytes("el9/unsigned.rpm", package("unsigned")).await;
    world.drop_bytes("el8/unsigned.rpm", package("other")).await;
    run(&world).await;
    let strict = trusting(&by, Level::Off, vec![Rule { signatures: Some(Level::Require), ..rule("el9") }]);
    // As if somebody had changed the bucket's settings to these.
    world.remove(".yrm/bucket.toml").await;
    world.publisher = Publisher::new(world.hooked.clone(), strict).unwrap();
    let of = |number: u64| RunId { id: Ulid::from_parts(number, 0), started: world.now() };
    let report =
        world.publisher.rebuild(vec![RepositoryDir::new("el9"), RepositoryDir::new("el8")], of(1)).await.unwrap();
    let told = serde_json::to_value(&report).unwrap();
    let named = told["repositories"].as_array().unwrap().iter().any(|one| one.to_string().contains("unsigned.rpm"));
    assert!(named, "{told:#}");
    let hrefs = world.hrefs("el9/").await;
    assert!(hrefs.len() == 8 && hrefs.iter().all(|href| href.starts_with("signed-")), "{hrefs:?}");
    assert_eq!(world.hrefs("el8/").await, ["unsigned.rpm"], "no rule asks for more there");
}

#[tokio::test]
async fn keys_of_a_folder_of_the_bucket_count_from_the_next_run_on() {
    let by = Signers::of(&[Signer::Ed25519, Signer::Ecdsa]);
    let trust = Trust {
        signatures: Level::Require,
        keyrings: vec![KeyringPlace::Bucket("keys".to_owned())],
        ..Trust::default()
    };
    let world = world(Policy { trust, ..policy() });
    let drop_signed = async |path: &str, name: &str| {
        world.drop_bytes(path, by.rpmsign(Signer::Ed25519, &package(name), &[])).await;
    };

    // Without any key nothing can be judged, and nothing is lost.
    drop_signed("a.rpm", "a").await;
    drop_signed("later.rpm", "later").await;
    world.advance(std::time::Duration::from_mins(1));
    let report = world.run().await;
    assert_eq!((report.published.len(), report.rejected.len(), report.waiting.len()), (0, 0, 2));
    assert_eq!(report.errors.len(), 1, "said once: {:?}", report.errors);
    world.remove("inbox/later.rpm").await;
    assert!(report.errors[0].contains("reading the keyring bucket:keys"), "{:?}", report.errors);

    put(world.memory.as_ref(), "keys/ecdsa.asc", by.public_key(Signer::Ecdsa)).await;
    assert_eq!(codes(&run(&world).await), [("inbox/a.rpm", "E_UNKNOWN_KEY")]);
    put(world.memory.as_ref(), "keys/ed25519.asc", by.public_key(Signer::Ed25519)).await;
    drop_signed("b.rpm", "b").await;
    assert_eq!(codes(&run(&world).await), [("inbox/b.rpm", "published")]);
    let read = |world: &World| world.hooked.gets().iter().filter(|(key, _)| key.starts_with("keys/")).count();
    let before = read(&world);
    drop_signed("c.rpm", "c").await;
    assert_eq!(codes(&run(&world).await), [("inbox/c.rpm", "published")]);
    assert_eq!(read(&world), before, "keys that did not change are not read again");
    world.remove("keys/ed25519.asc").await;
    drop_signed("d.rpm", "d").await;
    assert_eq!(codes(&run(&world).await), [("inbox/d.rpm", "E_UNKNOWN_KEY")]);
}

#[tokio::test]
async fn keyrings_that_cannot_be_used_are_said_at_the_start() {
    let by = Signers::of(&[Signer::Ed25519]);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let text = String::from_utf8(by.public_key(Signer::Ed25519)).unwrap();
    let open = |path: PathBuf, keys: Vec<String>| {
        let rules = vec![Rule { keys, ..rule("el9") }];
        let keyrings = vec![KeyringPlace::Path(path)];
        let trust = Trust { signatures: Level::Require, keyrings, rules, ..Trust::default() };
        let memory = std::sync::Arc::new(yrm::store::memory::MemoryStore::with_clock(|| jiff::Timestamp::UNIX_EPOCH));
        Bucket::new(memory, Policy { trust, ..policy() })
    };
    let cases = [
        (folder.path().join("missing"), Vec::new(), "No such file", "name a file with public keys"),
        (empty, Vec::new(), "the folder is empty", "gpg --armor --export"),
        (file("page", b"<html>404</html>"), Vec::new(), "this is no OpenPGP key", "gpg --armor --export"),
        (file("nothing", b""), Vec::new(), "no key in it", "export"),
        (by.keyring(), vec!["ABCDEF01".to_owned()], "is no key's fingerprint", "all 40"),
        (by.keyring(), vec!["0".repeat(40)], "no keyring has the key", "add the key"),
    ];
    for (path, keys, message, hint) in cases {
        let error = open(path, keys).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.chain().contains(message), "{}", error.chain());
        assert!(error.hint_text().unwrap().contains(hint), "{:?}", error.hint_text());
    }
    // Blocks one after another, and a fingerprint as gpg prints it.
    let twice = format!("a comment\n{text}\nanother\n{text}");
    let spaced = by.fingerprint(Signer::Ed25519).to_ascii_lowercase();
    let spaced: Vec<&str> = (0..10).map(|at| &spaced[at * 4..at * 4 + 4]).collect();
    open(file("twice", twice.as_bytes()), vec![spaced.join(" ")]).unwrap();
    let secret = by.secret_key(Signer::Ed25519);
    let error = open(file("secret", &secret), Vec::new()).unwrap_err();
    assert!(error.chain().ends_with("this holds a secret key"), "{}", error.chain());
}
