//! dnf with `mirrorlist=` and `repo_gpgcheck=1`: through a hundred generations it never meets a signature
//! that does not go with its repomd.xml, while the repository's own pair is apart now and then.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use bytes::Bytes;
use forge::Rpm;
use jiff::Timestamp;
use tempfile::TempDir;
use yrm::config::{Mirrors, Policy, SignWith};
use yrm::openpgp::key::{PublicKey, SecretKey};
use yrm::openpgp::sign::Signer;
use yrm::publish::{Publisher, RunId, Unwatched};
use yrm::store::local::DirectoryStore;

use super::clients::{Client, Service, json};
use crate::cli::yrm;
use crate::publish::world::policy;
use crate::web::web;

/// Generations that are published while clients read.
pub(super) const GENERATIONS: usize = 100;

pub(super) fn package(number: usize) -> (String, Rpm) {
    // dnf says `+` its own way.
    let name = format!("lib{number}+x");
    let rpm = Rpm::new(&name, "1", "1", "noarch").file(forge::File::new(format!("/usr/share/{name}"), "contents"));
    (format!("{name}-1-1.noarch.rpm"), rpm)
}

/// Puts a package into the inbox whole, as uploaders do.
pub(super) fn drop_package(bucket: &Path, number: usize) {
    let (name, rpm) = package(number);
    let inbox = bucket.join("inbox");
    std::fs::create_dir_all(&inbox).unwrap();
    std::fs::write(inbox.join(".part"), rpm.build()).unwrap();
    std::fs::rename(inbox.join(".part"), inbox.join(name)).unwrap();
}

/// What a reader of pairs met.
#[derive(Debug, Default)]
pub(super) struct Met {
    pub(super) pairs: usize,
    pub(super) apart: usize,
    pub(super) generations: usize,
}

/// Where a reader finds the pair.
pub(super) enum Pair {
    /// In this folder.
    In(String),
    /// In the folder that this list names, each time anew.
    Behind(String),
}

/// Reads a repomd.xml and then its signature, again and again.
pub(super) async fn read_pairs(pair: Pair, key: PublicKey, over: Arc<AtomicBool>) -> Met {
    let (client, mut met) = (web(), Met::default());
    let get = async |url: String| -> Bytes {
        let answer = client.get(&url).send().await.unwrap().error_for_status();
        answer.unwrap_or_else(|error| panic!("{url}: {error}")).bytes().await.unwrap()
    };
    let mut seen: BTreeMap<Bytes, Bytes> = BTreeMap::new();
    while !over.load(Ordering::Relaxed) {
        let folder = match &pair {
            Pair::In(folder) => folder.clone(),
            Pair::Behind(list) => String::from_utf8(get(list.clone()).await.to_vec()).unwrap().trim().to_owned(),
        };
        let repomd = get(format!("{folder}repodata/repomd.xml")).await;
        let signature = get(format!("{folder}repodata/repomd.xml.asc")).await;
        met.pairs += 1;
        // What was good a moment ago need not be judged again.
        if seen.get(&repomd) != Some(&signature) {
            if key.has_signed(&repomd, &signature) {
                met.generations += usize::from(seen.insert(repomd, signature).is_none());
            } else {
                met.apart += 1;
            }
        }
    }
    met
}

/// dnf in a loop: how often it read, and what it said when it could not.
fn read_with_dnf(source: &str, key: &str, over: &AtomicBool, newest: &AtomicUsize) -> (usize, Vec<String>) {
    let client = Client::of(source, key);
    let (mut reads, mut failures) = (0, Vec::new());
    while !over.load(Ordering::Relaxed) {
        let (name, _) = package(newest.load(Ordering::Relaxed) / 2);
        let name = name.trim_end_matches(".noarch.rpm");
        let output = client.dnf(&["--refresh", "--downloadonly", "install", name]);
        reads += 1;
        if !output.status.success() {
            failures.push(String::from_utf8_lossy(&output.stderr).into_owned());
        }
    }
    (reads, failures)
}

/// Several of them.
pub(super) struct Dnf(Vec<JoinHandle<(usize, Vec<String>)>>);

impl Dnf {
    pub(super) fn start(source: &str, key: &str, over: &Arc<AtomicBool>, newest: &Arc<AtomicUsize>) -> Self {
        let one = |_| {
            let (source, key, over, newest) = (source.to_owned(), key.to_owned(), Arc::clone(over), Arc::clone(newest));
            std::thread::spawn(move || read_with_dnf(&source, &key, &over, &newest))
        };
        Self((0..2).map(one).collect())
    }

    /// How often they read, and what they said when they could not.
    pub(super) fn join(self) -> (usize, Vec<String>) {
        let (mut reads, mut failures) = (0, Vec::new());
        for dnf in self.0 {
            let (more, failed) = dnf.join().unwrap();
            reads += more;
            failures.extend(failed);
        }
        (reads, failures)
    }
}

/// A folder with an empty bucket, and a key to sign it with.
pub(super) fn with_key() -> (TempDir, SecretKey) {
    let folder = TempDir::new().unwrap();
    json(yrm(folder.path()).args(["key", "generate", "--algorithm", "ed25519", "--out", "signing.key"]));
    let key = SecretKey::read(&std::fs::read(folder.path().join("signing.key")).unwrap(), None).unwrap();
    std::fs::create_dir_all(folder.path().join("bucket/inbox")).unwrap();
    (folder, key)
}

pub(super) fn publisher(bucket: &Path, key: SecretKey, base: &str) -> Publisher {
    let mirrors = Mirrors { on: true, public_urls: vec![base.to_owned()], name: None };
    let signer = Signer::new(vec![key], SignWith::First, "yrm".to_owned()).unwrap();
    let store = Arc::new(DirectoryStore::open(bucket).unwrap());
    Publisher::new(store, Policy { mirrors, ..policy() }).unwrap().with_signer(Some(signer))
}

pub(super) async fn publish(publisher: &Publisher) {
    let run = RunId { id: ulid::Ulid::new(), started: Timestamp::now() };
    let report = publisher.run(run, &Unwatched).await.unwrap();
    assert_eq!((report.published.len(), report.errors), (1, Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "the figures belong into the record")]
async fn through_a_hundred_generations_dnf_meets_no_gap() {
    let (folder, key) = with_key();
    let (bucket, public) = (folder.path().join("bucket"), key.public().clone());
    // It knows nothing of mirrors: only its files are wanted.
    let service = Service::of_files(folder.path());
    let base = service.1.clone();
    let publisher = publisher(&bucket, key, &base);
    drop_package(&bucket, 0);
    publish(&publisher).await;

    let (over, newest) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let dnf = Dnf::start(&format!("mirrorlist={base}/mirrorlist"), &format!("{base}/RPM-GPG-KEY-yrm"), &over, &newest);
    let flat = tokio::spawn(read_pairs(Pair::In(format!("{base}/")), public.clone(), Arc::clone(&over)));
    let mirrored = tokio::spawn(read_pairs(Pair::Behind(format!("{base}/mirrorlist")), public, Arc::clone(&over)));
    let began = Instant::now();
    for number in 1..=GENERATIONS {
        drop_package(&bucket, number);
        publish(&publisher).await;
        newest.store(number, Ordering::Relaxed);
    }
    let took = began.elapsed();
    over.store(true, Ordering::Relaxed);
    let (flat, mirrored) = (flat.await.unwrap(), mirrored.await.unwrap());
    let (reads, failures) = dnf.join();
    println!(
        "{GENERATIONS} generations in {took:.1?}: dnf with mirrorlist= read {reads} times and failed {} times; of {} \
         pairs behind the list {} did not match, of {} in the repository's own folder {}",
        failures.len(),
        mirrored.pairs,
        mirrored.apart,
        flat.pairs,
        flat.apart,
    );
    assert_eq!((failures, mirrored.apart), (Vec::new(), 0));
    assert!(reads >= 4 && mirrored.generations >= GENERATIONS / 10, "{reads} reads, {mirrored:?}");

    // A client that comes later sees the newest, and installs it by its way up from the folder.
    let client = Client::of(&format!("mirrorlist={base}/mirrorlist"), &format!("{base}/RPM-GPG-KEY-yrm"));
    let (name, _) = package(GENERATIONS);
    let output = client.dnf(&["install", name.trim_end_matches(".noarch.rpm")]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[cfg(feature = "aws")]
mod on_s3 {
    use serde_json::Value;

    use super::*;
    use crate::s3_server::server;

    #[tokio::test(flavor = "multi_thread")]
    async fn dnf_follows_the_list_from_s3_folder_by_folder() {
        let folder = TempDir::new().unwrap();
        let bucket = server().make_bucket().await;
        json(yrm(folder.path()).args(["key", "generate", "--algorithm", "ed25519", "--out", "signing.key"]));
        let base = format!("{}/{bucket}/repo", server().endpoint());
        let rule = "[[rule]]\nfolder = \"c++ 9\"\nmirrorlist = true\n";
        let toml =
            format!("repositories = \"per-folder\"\npublic-url = \"{base}\"\nsigning-key = \"signing.key\"\n{rule}");
        std::fs::write(folder.path().join("yrm.toml"), toml).unwrap();
        let on_bucket = |verb: &[&str]| {
            let mut command = yrm(folder.path());
            server().lead(&mut command, &bucket);
            command.args(verb);
            command
        };
        let upload = async |path: &str, bytes: Vec<u8>| {
            let put = server().client().put_object().bucket(&bucket).key(format!("inbox/{path}"));
            put.body(bytes.into()).send().await.unwrap();
        };
        let client =
            Client::of(&format!("mirrorlist={base}/c%2B%2B%209/mirrorlist"), &format!("{base}/RPM-GPG-KEY-{bucket}"));
        for number in 0..2 {
            let (name, rpm) = package(number);
            upload(&format!("c++ 9/deep/{name}"), rpm.build()).await;
            upload(&format!("flat/{name}"), rpm.build()).await;
            let report = json(&mut on_bucket(&["run"]));
            assert_eq!(report["errors"], Value::Array(Vec::new()));
            let output = client.dnf(&["--refresh", "install", name.trim_end_matches(".noarch.rpm")]);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        let head = |key: &str| server().client().head_object().bucket(&bucket).key(format!("repo/{key}")).send();
        let list = head("c++ 9/mirrorlist").await.unwrap();
        assert_eq!((list.cache_control(), list.content_type()), (Some("no-cache"), Some("text/plain; charset=utf-8")));
        assert!(head("flat/mirrorlist").await.is_err(), "no rule says so");
        let check = json(&mut on_bucket(&["check", "--deep", "--signing-key", "signing.key"]));
        assert_eq!(check["repositories"].as_array().unwrap().len(), 2, "{check}");
        for repository in check["repositories"].as_array().unwrap() {
            assert_eq!(repository["problems"], Value::Array(Vec::new()));
        }
        let report = json(&mut on_bucket(&["run"]));
        assert_eq!(report["usage"]["writes"], 0, "an idle run in a new process: {}", report["usage"]);
    }
}
