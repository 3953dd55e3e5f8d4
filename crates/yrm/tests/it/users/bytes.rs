//! An uploader who keeps a file open: writes other bytes of the same length in it when they were judged, and sets
//! its time back. Inode, time and length are then what they were.

use std::fs::File;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use yrm::bucket::report::Report;
use yrm::config::{Policy, SignPackages, SignWith};
use yrm::openpgp::key::{Algorithm, SecretKey, generate};
use yrm::openpgp::sign::Signer;
use yrm::publish::{Publisher, RunId, Unwatched};
use yrm::store::fault::{Call, FaultStore, Turn, Verb};
use yrm::store::local::DirectoryStore;

use crate::publish::world::{policy, rpm};

/// The upload's other content, and which call finds it.
struct Flip {
    file: PathBuf,
    bytes: Vec<u8>,
    before: When,
}

type When = Box<dyn Fn(Call<'_>) -> bool + Send>;

impl Flip {
    fn happen(&self) {
        let file = File::options().write(true).open(&self.file).unwrap();
        let before = file.metadata().unwrap();
        assert_eq!(before.size(), self.bytes.len() as u64, "who changes the length shows it");
        file.write_all_at(&self.bytes, 0).unwrap();
        file.set_modified(before.modified().unwrap()).unwrap();
    }
}

/// A publisher on the directory; `flip` happens once.
fn publisher(root: &Path, policy: Policy, flip: Option<Flip>) -> Publisher {
    let signs = policy.trust.sign_packages != SignPackages::Off;
    let flip = Mutex::new(flip);
    let script = move |call: Call<'_>| {
        let mut flip = flip.lock().unwrap();
        if flip.as_ref().is_some_and(|flip| (flip.before)(call)) {
            flip.take().unwrap().happen();
        }
        Turn::default()
    };
    let store = Arc::new(FaultStore::new(Arc::new(DirectoryStore::open(root).unwrap()), 1, script));
    Publisher::new(store, policy).unwrap().with_signer(signs.then(signer))
}

fn signer() -> Signer {
    let made = generate(Algorithm::Ed25519, "tests", Timestamp::from_second(1_700_000_000).unwrap(), None).unwrap();
    let key = SecretKey::read(made.secret.as_bytes(), None).unwrap();
    Signer::new(vec![key], SignWith::First, "tests".to_owned()).unwrap()
}

async fn run(publisher: &Publisher) -> Report {
    let run = RunId { id: ulid::Ulid::new(), started: Timestamp::now() };
    publisher.run(run, &Unwatched).await.unwrap()
}

/// Every package below `folder`, by its bytes.
fn packages_below(folder: &Path) -> Vec<Vec<u8>> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    let is_package = |path: &PathBuf| path.is_dir() || path.extension().is_some_and(|ending| ending == "rpm");
    paths
        .filter(is_package)
        .flat_map(|path| if path.is_dir() { packages_below(&path) } else { vec![std::fs::read(path).unwrap()] })
        .collect()
}

fn signing() -> Policy {
    let mut policy = policy();
    policy.trust.sign_packages = SignPackages::Always;
    policy
}

/// Two packages of one name and length, and the folder they go to.
fn twins(payload_bytes: usize) -> (Vec<u8>, Vec<u8>) {
    let package = |byte| rpm("twin", "1").payload(vec![byte; payload_bytes]).build();
    (package(b'a'), package(b'b'))
}

/// What lies under `repo/` when the upload changes as `before` says: nothing, or what was judged.
async fn published_when_flipped(policy: Policy, payload_bytes: usize, before: When) -> usize {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("inbox/twin.rpm");
    std::fs::create_dir(root.path().join("inbox")).unwrap();
    let (good, evil) = twins(payload_bytes);
    assert_eq!(good.len(), evil.len());
    std::fs::write(&file, &good).unwrap();
    let evil_payload = vec![b'b'; 64];
    let flip = Flip { file, bytes: evil, before };
    run(&publisher(root.path(), policy, Some(flip))).await;
    let published = packages_below(&root.path().join("repo"));
    for package in &published {
        assert!(!package.windows(64).any(|window| window == evil_payload), "bytes that nobody judged are published");
    }
    assert!(packages_below(&root.path().join(".yrm/signed")).is_empty(), "a signed file of unjudged bytes stays");
    published.len()
}

/// Before the copy to `repo/`.
fn at_the_copy() -> When {
    Box::new(|call| call.verb == Verb::Copy && call.key.starts_with("repo/"))
}

#[tokio::test]
async fn bytes_that_were_not_judged_never_reach_repo() {
    assert_eq!(published_when_flipped(policy(), 3_000, at_the_copy()).await, 0);
}

#[tokio::test]
async fn bytes_that_were_not_judged_are_never_signed() {
    let at_the_join = || -> When { Box::new(|call| call.verb == Verb::Put && call.key.starts_with(".yrm/signed/")) };
    // Put whole, but read before: what was read then is the judged file.
    assert_eq!(published_when_flipped(signing(), 3_000, at_the_join()).await, 1);
    // Joined from the upload inside the store.
    assert_eq!(published_when_flipped(signing(), 12 << 20, at_the_join()).await, 0);
    // Before what is put whole is read. The reads before that one are of the judging.
    let reads = Arc::new(AtomicU64::new(0));
    let count = {
        let reads = Arc::clone(&reads);
        move |call: Call<'_>| {
            reads.fetch_add(u64::from(is_read_of_the_upload(call)), Ordering::Relaxed);
            false
        }
    };
    assert_eq!(published_when_flipped(signing(), 3_000, Box::new(count)).await, 1);
    let (all, seen) = (reads.load(Ordering::Relaxed), AtomicU64::new(0));
    assert!(all >= 2, "{all} reads");
    let at_the_last =
        move |call: Call<'_>| is_read_of_the_upload(call) && seen.fetch_add(1, Ordering::Relaxed) + 1 == all;
    assert_eq!(published_when_flipped(signing(), 3_000, Box::new(at_the_last)).await, 0);
}

fn is_read_of_the_upload(call: Call<'_>) -> bool {
    call.verb == Verb::Get && call.key == "inbox/twin.rpm"
}

#[tokio::test]
async fn what_was_judged_is_published_although_it_was_something_else_in_between() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("inbox/twin.rpm");
    std::fs::create_dir(root.path().join("inbox")).unwrap();
    let (good, evil) = twins(3_000);
    std::fs::write(&file, &good).unwrap();
    let flip = Flip { file, bytes: evil.clone(), before: at_the_copy() };
    run(&publisher(root.path(), policy(), Some(flip))).await;
    // The next run judges what is there now.
    let report = run(&publisher(root.path(), policy(), None)).await;
    assert_eq!((report.published.len(), report.errors), (1, Vec::new()));
    assert_eq!(packages_below(&root.path().join("repo")), [evil]);
}

/// A package that vanished from `repo/` is put back from an upload of the same bytes, and of those only.
#[tokio::test]
async fn bytes_that_were_not_judged_are_not_put_back() {
    let root = tempfile::tempdir().unwrap();
    let (inbox, repo) = (root.path().join("inbox/twin.rpm"), root.path().join("repo"));
    std::fs::create_dir(root.path().join("inbox")).unwrap();
    let (good, evil) = twins(3_000);
    std::fs::write(&inbox, &good).unwrap();
    run(&publisher(root.path(), policy(), None)).await;
    std::fs::remove_file(repo.join("twin.rpm")).unwrap();
    std::fs::write(&inbox, &good).unwrap();
    let flip = Flip { file: inbox, bytes: evil, before: at_the_copy() };
    run(&publisher(root.path(), policy(), Some(flip))).await;
    assert!(packages_below(&repo).is_empty());
}

/// What is set aside because of its name only was read to its end, and what an operator is shown is that.
#[tokio::test]
async fn what_is_quarantined_is_what_was_judged_and_is_nobody_elses() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("inbox")).unwrap();
    let junk = root.path().join("inbox/junk.rpm");
    std::fs::write(&junk, b"not a package").unwrap();
    File::options().write(true).open(&junk).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    let kept = root.path().join("kept");
    std::fs::hard_link(&junk, &kept).unwrap();
    assert_eq!(run(&publisher(root.path(), policy(), None)).await.rejected.len(), 1);
    std::fs::write(&kept, b"something else").unwrap();
    let quarantined = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().path();
    let mut files = std::fs::read_dir(root.path().join("quarantine")).unwrap().map(quarantined);
    let file = files.find(|path| path.extension().is_none_or(|ending| ending != "json")).unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), b"not a package");
}
