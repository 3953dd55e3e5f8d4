//! What only real processes show: locks between them, and being killed and stopped.

mod campaign;
mod chance;
mod clients;
mod evil;
mod ledger;
#[cfg(feature = "aws")]
mod on_s3;
mod place;
mod proxy;
mod services;

use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use tempfile::TempDir;
use yrm::store::local::DirectoryStore;
use yrm::store::{Attributes, Outcome, PutIf, Store as _};

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
