//! The whole on S3: real processes, HTTP between them and the store, and dnf as the client.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use forge::Rpm;
use serde_json::Value;
use tempfile::TempDir;

use super::cli::yrm;
use super::s3_server::server;

/// Generous: the machine may be busy with other tests.
const PATIENCE: Duration = Duration::from_mins(3);

/// `yrm VERB` on a bucket of the test server.
fn on_bucket(directory: &Path, bucket: &str, arguments: &[&str]) -> Command {
    let mut command = yrm(directory);
    server().lead(&mut command, bucket);
    command.args(arguments);
    command
}

/// Runs it to its end; what it printed as JSON.
fn json(directory: &Path, bucket: &str, arguments: &[&str]) -> Value {
    let output = on_bucket(directory, bucket, arguments).args(["--output", "json"]).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments:?}: {out}{err}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A service that is killed when dropped.
struct Serve(Child);

impl Serve {
    fn start(directory: &Path, bucket: &str) -> Self {
        let mut command = on_bucket(directory, bucket, &["serve", "--listen", "127.0.0.1:0", "--time-interval", "1"]);
        Self(command.stderr(Stdio::null()).spawn().unwrap())
    }

    /// `kill -9`.
    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

async fn upload(bucket: &str, key: &str, bytes: Vec<u8>) {
    server().client().put_object().bucket(bucket).key(key).body(bytes.into()).send().await.unwrap();
}

async fn keys(bucket: &str, prefix: &str) -> BTreeSet<String> {
    let client = server().client();
    let mut pages = client.list_objects_v2().bucket(bucket).prefix(prefix).into_paginator().send();
    let mut keys = BTreeSet::new();
    while let Some(page) = pages.next().await {
        keys.extend(page.unwrap().contents().iter().filter_map(|object| object.key().map(str::to_owned)));
    }
    keys
}

async fn bytes(bucket: &str, key: &str) -> Vec<u8> {
    let object = server().client().get_object().bucket(bucket).key(key).send().await.unwrap();
    object.body.collect().await.unwrap().to_vec()
}

/// Waits until the inbox is empty.
async fn wait_for_empty_inbox(bucket: &str) {
    let began = Instant::now();
    while !keys(bucket, "inbox/").await.is_empty() {
        assert!(began.elapsed() < PATIENCE, "the inbox is not emptied");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn package(number: usize) -> (String, Vec<u8>) {
    let name = format!("package-{number:03}");
    let rpm = Rpm::new(&name, "1.0", "1", "noarch").file(forge::File::new(format!("/usr/share/{name}"), "contents"));
    (format!("{}/{}", number % 5, rpm.file_name()), rpm.build())
}

/// Two hundred packages in an order that is not theirs.
fn shuffled() -> Vec<(String, Vec<u8>)> {
    // 77 and 200 have no common divisor, so every package comes once.
    (0..200).map(|at| package(at * 77 % 200)).collect()
}

fn assert_check_is_clean(directory: &Path, bucket: &str, packages: usize) {
    let findings = json(directory, bucket, &["check", "--deep"]);
    let repository = &findings["repositories"][0];
    assert_eq!(repository["packages"], packages);
    assert_eq!(repository["hashed"], packages);
    assert_eq!(repository["problems"], Value::Array(Vec::new()));
}

/// How often the history says that each inbox key was published, not counting those that found
/// it published.
async fn publications(bucket: &str) -> BTreeMap<String, usize> {
    let mut published = BTreeMap::new();
    for key in keys(bucket, ".yrm/history/").await {
        let run: Value = serde_json::from_slice(&bytes(bucket, &key).await).unwrap();
        for package in run["published"].as_array().unwrap() {
            if package["already_there"] == false {
                *published.entry(package["inbox_key"].as_str().unwrap().to_owned()).or_default() += 1;
            }
        }
    }
    published
}

#[tokio::test(flavor = "multi_thread")]
async fn dnf_installs_a_package_and_its_dependency_from_the_bucket() {
    let directory = TempDir::new().unwrap();
    let bucket = server().make_bucket().await;
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/packages");
    for folder in ["libs", "tools"] {
        for entry in std::fs::read_dir(demo.join(folder)).unwrap() {
            let entry = entry.unwrap();
            let key = format!("inbox/{folder}/{}", entry.file_name().to_str().unwrap());
            upload(&bucket, &key, std::fs::read(entry.path()).unwrap()).await;
        }
    }
    let report = json(directory.path(), &bucket, &["run"]);
    assert_eq!(report["published"].as_array().unwrap().len(), 4);

    let root = directory.path().join("root");
    let output = Command::new("dnf")
        .args(["-y", "--quiet", "--releasever=1", "--disableplugin=*", "--repo=s3", "--setopt=reposdir=/dev/null"])
        .arg(format!("--repofrompath=s3,{}/{bucket}/repo/", server().endpoint()))
        .args(["--setopt=s3.gpgcheck=0", "--setopt=retries=1"])
        .arg(format!("--setopt=cachedir={}", directory.path().join("cache").display()))
        .arg(format!("--installroot={}", root.display()))
        .args(["install", "greeter", "libgreet++"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(root.join("usr/share/greeter/words").exists(), "the dependency was not installed");
    assert!(root.join("usr/share/libgreet++/version").exists(), "the package with + and ~ was not installed");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_layout_of_a_bucket_in_s3_is_changed_and_changed_back() {
    let directory = TempDir::new().unwrap();
    let bucket = server().make_bucket().await;
    for number in 0..10 {
        let (path, rpm) = package(number);
        upload(&bucket, &format!("inbox/{path}"), rpm).await;
    }
    json(directory.path(), &bucket, &["run"]);
    let packages = |report: &Value| {
        let named = |one: &Value| (one["repository"].as_str().unwrap().to_owned(), one["packages"].as_u64().unwrap());
        report["repositories"].as_array().unwrap().iter().map(named).collect::<BTreeMap<_, _>>()
    };
    let before: BTreeSet<String> = keys(&bucket, "repo/").await;
    let plan = json(directory.path(), &bucket, &["settings", "set", "repositories", "per-folder", "--dry-run"]);
    assert_eq!(keys(&bucket, "repo/").await, before, "a dry run leaves everything as it was");
    let plan = plan["plan"].as_str().unwrap();
    json(directory.path(), &bucket, &["settings", "set", "repositories", "per-folder", "--expect", plan]);
    let folders = ["0", "1", "2", "3", "4"];
    let checked = packages(&json(directory.path(), &bucket, &["check", "--deep"]));
    assert_eq!(checked.len(), 6, "the old one is whole: {checked:?}");
    assert!(folders.iter().all(|folder| checked[*folder] == 2) && checked["/"] == 10, "{checked:?}");
    json(directory.path(), &bucket, &["package", "remove", "3/package-003-1.0-1.noarch.rpm"]);
    json(directory.path(), &bucket, &["settings", "set", "repositories", "single"]);
    let checked = packages(&json(directory.path(), &bucket, &["check", "--deep"]));
    assert_eq!((checked["/"], checked["3"]), (9, 1), "{checked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_run_makes_one_list_request_and_no_write() {
    let directory = TempDir::new().unwrap();
    let bucket = server().make_bucket().await;
    let (path, rpm) = package(1);
    upload(&bucket, &format!("inbox/{path}"), rpm).await;
    json(directory.path(), &bucket, &["run"]);
    server().reset_requests(&bucket).await;
    json(directory.path(), &bucket, &["run"]);
    let requests = server().requests(&bucket).await;
    let log = requests["log"].as_array().unwrap();
    // A process reads the bucket's settings at its start.
    assert_eq!(log.len(), 2, "{log:#?}");
    assert!(log[0].as_str().unwrap().starts_with(&format!("GET /{bucket}/.yrm/bucket.toml")), "{log:#?}");
    assert_eq!(requests["methods"]["LIST"]["count"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_services_publish_two_hundred_packages_once_each() {
    let directory = TempDir::new().unwrap();
    let bucket = server().make_bucket().await;
    let services = [Serve::start(directory.path(), &bucket), Serve::start(directory.path(), &bucket)];
    for (path, rpm) in shuffled() {
        upload(&bucket, &format!("inbox/{path}"), rpm).await;
    }
    wait_for_empty_inbox(&bucket).await;
    // Both have finished what they were at when neither writes to the history any more.
    let mut runs = keys(&bucket, ".yrm/history/").await;
    loop {
        tokio::time::sleep(Duration::from_secs(3)).await;
        let now = keys(&bucket, ".yrm/history/").await;
        if now == runs {
            break;
        }
        runs = now;
    }
    drop(services);
    let published = publications(&bucket).await;
    assert_eq!(published.len(), 200);
    let twice: Vec<_> = published.iter().filter(|(_, times)| **times != 1).collect();
    assert_eq!(twice, Vec::<(&String, &usize)>::new());
    assert_eq!(keys(&bucket, "quarantine/").await, BTreeSet::new());
    assert_check_is_clean(directory.path(), &bucket, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_killed_while_it_publishes_loses_nothing() {
    let directory = TempDir::new().unwrap();
    let bucket = server().make_bucket().await;
    for (path, rpm) in shuffled() {
        upload(&bucket, &format!("inbox/{path}"), rpm).await;
    }
    // Killed with more and more done: while it copies, while it switches, while it tidies.
    for copied in [5, 100, 199] {
        let service = Serve::start(directory.path(), &bucket);
        let began = Instant::now();
        while keys(&bucket, "repo/").await.len() < copied {
            assert!(began.elapsed() < PATIENCE, "nothing is published");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        service.kill();
        let inbox = keys(&bucket, "inbox/").await.len();
        let findings = json(directory.path(), &bucket, &["check"]);
        let named = findings["repositories"][0]["packages"].as_u64().unwrap_or(0);
        let problems = findings["repositories"][0]["problems"].as_array().map_or(0, Vec::len);
        assert_eq!(problems, 0, "{findings:#}");
        assert!(inbox as u64 + named >= 200, "{inbox} in the inbox and {named} published are not all");
    }
    let service = Serve::start(directory.path(), &bucket);
    wait_for_empty_inbox(&bucket).await;
    drop(service);
    assert_eq!(keys(&bucket, "quarantine/").await, BTreeSet::new());
    assert_check_is_clean(directory.path(), &bucket, 200);
}

/// Requests by method and bytes both ways, in one line.
async fn figure(bucket: &str) -> String {
    let requests = server().requests(bucket).await;
    let methods = requests["methods"].as_object().unwrap();
    let sum = |field: &str| methods.values().map(|method| method[field].as_u64().unwrap()).sum::<u64>();
    let counts: Vec<String> = methods.iter().map(|(name, method)| format!("{} {name}", method["count"])).collect();
    let (sent, received) = (sum("bytes_in"), sum("bytes_out"));
    format!("{} requests ({}), {sent} bytes sent, {received} bytes received", sum("count"), counts.join(", "))
}

#[expect(clippy::print_stdout, reason = "what publishing costs belongs into the test's record")]
#[tokio::test(flavor = "multi_thread")]
async fn a_large_package_is_published_without_moving_its_payload() {
    let bucket = server().make_bucket().await;
    let store = std::sync::Arc::new(server().store(&bucket, "", yrm::store::s3::Limits::default()));
    let publisher = yrm::publish::Publisher::new(store.clone(), super::publish::world::policy()).unwrap();
    futures::future::join_all((0..1_000).map(|number| {
        let (path, rpm) = package(number);
        let bucket = bucket.clone();
        async move { upload(&bucket, &format!("inbox/{path}"), rpm).await }
    }))
    .await;
    let run = async |publisher: &yrm::publish::Publisher| {
        publisher.run(yrm::serve::new_run(), &yrm::publish::Unwatched).await.unwrap()
    };
    assert_eq!(run(&publisher).await.published.len(), 1_000);

    let fresh = yrm::publish::Publisher::new(store, super::publish::world::policy()).unwrap();
    yrm::publish::abilities::abilities(fresh.bucket()).await.unwrap();
    for (how, publisher) in [("warm", &publisher), ("cold", &fresh)] {
        let large = Rpm::new(format!("large-{how}"), "1", "1", "noarch").payload(vec![7; 5_000_000]);
        upload(&bucket, &format!("inbox/large-{how}.rpm"), large.build()).await;
        server().reset_requests(&bucket).await;
        let report = run(publisher).await;
        println!("5 MB into 1,000 packages, {how}: {}", figure(&bucket).await);
        assert_eq!(report.published.len(), 1);
        assert_eq!(report.published[0].way, Some(yrm::bucket::report::Way::InStore));
        let moved = report.usage.bytes_in + report.usage.bytes_out;
        assert!(moved < 1_000_000, "{moved} bytes for a package whose payload the store can copy itself");
    }
}

#[tokio::test]
async fn what_is_archived_waits_and_fails_no_run() {
    let (directory, bucket) = (TempDir::new().unwrap(), server().make_bucket().await);
    let package = |name: &str| Rpm::new(name, "1", "1", "noarch").build();
    upload(&bucket, "inbox/warm.rpm", package("warm")).await;
    let cold = server().client().put_object().bucket(&bucket).key("inbox/cold.rpm").body(package("cold").into());
    cold.storage_class(aws_sdk_s3::types::StorageClass::DeepArchive).send().await.unwrap();
    for published in [1, 0] {
        // The exit code is 0.
        let report = json(directory.path(), &bucket, &["run"]);
        assert_eq!(report["published"].as_array().unwrap().len(), published, "{report}");
        assert_eq!(report["waiting"][0]["inbox_key"], "inbox/cold.rpm", "{report}");
        assert!(report["waiting"][0]["reason"].as_str().unwrap().contains("archived"), "{report}");
        assert_eq!(report["errors"].as_array().unwrap().len(), 0, "{report}");
    }
}
