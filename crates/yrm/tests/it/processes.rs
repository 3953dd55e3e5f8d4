//! What only real processes show: locks between them, and being killed.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use forge::Rpm;
use tempfile::TempDir;
use yrm::store::local::DirectoryStore;
use yrm::store::{Attributes, Outcome, PutIf, Store as _};

use super::cli::yrm;

/// A child of the test below finds the bucket here.
const BUCKET: &str = "YRM_TEST_BUCKET";

#[tokio::test]
async fn child_process_counts_up_and_claims_slots() {
    // Only as a child of `processes_exclude_each_other`.
    let Some(root) = std::env::var_os(BUCKET) else { return };
    let store = DirectoryStore::open(root).unwrap();
    for _ in 0..ROUNDS {
        loop {
            let now = store.get("counter", None).await.unwrap().unwrap();
            let count: usize = std::str::from_utf8(&now.bytes).unwrap().parse().unwrap();
            let next = Bytes::from((count + 1).to_string());
            let condition = PutIf::Matches(now.object.etag);
            match store.put("counter", next, &Attributes::default(), condition).await.unwrap() {
                Outcome::Done(_) => break,
                Outcome::Lost => {}
                other => panic!("{other:?}"),
            }
        }
    }
    let mine = Bytes::from(std::process::id().to_string());
    for slot in 0..ROUNDS {
        let key = format!("slots/{slot}");
        match store.put(&key, mine.clone(), &Attributes::default(), PutIf::Absent).await.unwrap() {
            Outcome::Done(_) => {
                let claim = format!("claims/{slot}-{}", std::process::id());
                store.put(&claim, Bytes::new(), &Attributes::default(), PutIf::Absent).await.unwrap();
            }
            Outcome::Lost => {}
            other => panic!("{other:?}"),
        }
    }
}

const CHILDREN: usize = 4;
const ROUNDS: usize = 50;

#[tokio::test]
async fn processes_exclude_each_other() {
    let root = TempDir::new().unwrap();
    let store = DirectoryStore::open(root.path()).unwrap();
    store.put("counter", Bytes::from_static(b"0"), &Attributes::default(), PutIf::Absent).await.unwrap();
    let children: Vec<Child> = (0..CHILDREN)
        .map(|_| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "processes::child_process_counts_up_and_claims_slots"])
                .env(BUCKET, root.path())
                .stdout(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let counter = store.get("counter", None).await.unwrap().unwrap();
    assert_eq!(counter.bytes, (CHILDREN * ROUNDS).to_string());
    assert_eq!(store.list("claims/", None).await.unwrap().objects.len(), ROUNDS, "each slot has one winner");
}

/// A `yrm serve` that is killed, not stopped.
struct Doomed(Child);

impl Doomed {
    fn start(directory: &Path) -> Self {
        let arguments = ["serve", "-b", "./b", "--listen", "127.0.0.1:0", "-t", "1"];
        Self(yrm(directory).args(arguments).stderr(Stdio::null()).spawn().unwrap())
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Doomed {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn left_in(inbox: &Path) -> usize {
    std::fs::read_dir(inbox).unwrap().count()
}

#[test]
fn two_services_that_are_killed_again_and_again_lose_nothing() {
    const PACKAGES: usize = 60;
    let directory = TempDir::new().unwrap();
    let inbox = directory.path().join("b/inbox");
    std::fs::create_dir_all(&inbox).unwrap();
    let mut services = [Doomed::start(directory.path()), Doomed::start(directory.path())];
    let began = Instant::now();
    let mut kills = 0;
    for number in 0..PACKAGES {
        let bytes = Rpm::new(format!("p{number}"), "1", "1", "noarch").build();
        let draft = directory.path().join("draft");
        std::fs::write(&draft, bytes).unwrap();
        std::fs::rename(&draft, inbox.join(format!("p{number}.rpm"))).unwrap();
        // A second or so of life for each, so that kills fall everywhere in a run.
        std::thread::sleep(Duration::from_millis(120 + u64::from(rand::random::<u8>()) / 4));
        if number % 5 == 4 {
            services[kills % 2].kill();
            services[kills % 2] = Doomed::start(directory.path());
            kills += 1;
        }
    }
    let patience = began + Duration::from_mins(1);
    while left_in(&inbox) > 0 && Instant::now() < patience {
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(left_in(&inbox), 0, "after {kills} kills");
    drop(services);
    let check = yrm(directory.path()).args(["check", "--deep", "-b", "./b", "--output", "json"]).output().unwrap();
    let text = String::from_utf8(check.stdout).unwrap();
    assert_eq!(check.status.code(), Some(0), "{text}");
    let findings: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(findings["repositories"][0]["packages"], PACKAGES, "{text}");
    assert!(!directory.path().join("b/quarantine").exists(), "every package is sound");
}
