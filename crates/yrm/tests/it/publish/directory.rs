//! The publish line over a directory, where uploaders are people with `cp` and `rsync`.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;
use yrm::bucket::report::{Report, Way};
use yrm::check::{Depth, check};
use yrm::publish::{Publisher, RunId, Unwatched};
use yrm::store::local::DirectoryStore;

use super::world::{policy, rpm};

fn publisher(root: &Path) -> Publisher {
    Publisher::new(Arc::new(DirectoryStore::open(root).unwrap()), policy()).unwrap()
}

async fn run(publisher: &Publisher) -> Report {
    let run = RunId { id: ulid::Ulid::new(), started: Timestamp::now() };
    publisher.run(run, &Unwatched).await.unwrap()
}

fn write(root: &Path, key: &str, bytes: &[u8]) {
    let path = root.join(key);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// A file that nobody has touched for long.
fn write_old(root: &Path, key: &str, bytes: &[u8]) {
    write(root, key, bytes);
    let file = std::fs::File::options().write(true).open(root.join(key)).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
}

fn files_below(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { files_below(&path) } else { 1 }).sum()
}

#[tokio::test]
async fn the_longest_names_and_paths_are_published_or_rejected() {
    let root = tempfile::tempdir().unwrap();
    let longest_name = "x".repeat(251);
    write_old(root.path(), &format!("inbox/{longest_name}.rpm"), b"not a package, under a name of 255 bytes");
    // 1,021 bytes: what is put before it while it is being deleted makes it longer than a key may be.
    let deep = format!("inbox/{}d.rpm", format!("{}/", "d".repeat(200)).repeat(5));
    let deep = format!("{}{}", &deep[..deep.len() - 5], "e.rpm");
    write(root.path(), &deep, &rpm("deep", "1").build());
    let steps = format!("inbox/{}s.rpm", "s/".repeat(60));
    write(root.path(), &steps, &rpm("steps", "1").build());
    let publisher = publisher(root.path());
    let report = run(&publisher).await;
    assert_eq!(report.errors, Vec::<String>::new());
    assert_eq!((report.published.len(), report.rejected.len()), (2, 1), "{report:#?}");
    // A directory hashes nothing by itself.
    assert!(report.published.iter().all(|published| published.way == Some(Way::Read)), "{:?}", report.published);
    assert_eq!(files_below(&root.path().join("inbox")), 0);
    assert_eq!(files_below(&root.path().join("quarantine")), 2);
    assert!(check(publisher.bucket(), Depth::Deep).await.unwrap().clean());
}

#[tokio::test]
async fn a_temporary_file_of_an_upload_in_progress_is_left_alone() {
    let root = tempfile::tempdir().unwrap();
    let bytes = rpm("a", "1").build();
    let young = ["inbox/.a.rpm.Xk2pQ9", "inbox/a.rpm.part", "inbox/cut.rpm"];
    write(root.path(), young[0], &bytes);
    write(root.path(), young[1], &bytes);
    write(root.path(), young[2], &bytes[..bytes.len() - 3]);
    let publisher = publisher(root.path());
    let report = run(&publisher).await;
    assert_eq!((report.rejected.len(), report.waiting.len()), (0, 3), "{report:#?}");
    std::fs::rename(root.path().join(young[0]), root.path().join("inbox/a.rpm")).unwrap();
    assert_eq!(run(&publisher).await.published.len(), 1);
}

#[tokio::test]
async fn empty_and_hidden_files_are_rejected_when_nothing_comes_any_more() {
    let root = tempfile::tempdir().unwrap();
    let hours_ago = |key: &str, hours: u64, bytes: &[u8]| {
        write(root.path(), key, bytes);
        let file = std::fs::File::options().write(true).open(root.path().join(key)).unwrap();
        file.set_modified(SystemTime::now() - std::time::Duration::from_mins(60 * hours + 5)).unwrap();
    };
    hours_ago("inbox/el9/old.rpm", 1, b"");
    hours_ago("inbox/el9/young.rpm", 0, b"");
    hours_ago("inbox/.empty.rpm.x", 24, b"");
    hours_ago("inbox/.empty.rpm.y", 23, b"");
    hours_ago("inbox/.hidden.rpm.x", 24, b"rsync was killed here");
    hours_ago("inbox/.hidden.rpm.y", 23, b"rsync is at it");
    let publisher = publisher(root.path());
    let report = run(&publisher).await;
    let rejected: Vec<(&str, &str)> =
        report.rejected.iter().map(|rejected| (rejected.inbox_key.as_str(), rejected.code.as_str())).collect();
    let expected =
        [("inbox/.hidden.rpm.x", "E_BAD_KEY"), ("inbox/.empty.rpm.x", "E_EMPTY"), ("inbox/el9/old.rpm", "E_EMPTY")];
    assert_eq!(rejected, expected);
    let waiting: Vec<&str> = report.waiting.iter().map(|waiting| waiting.inbox_key.as_str()).collect();
    assert_eq!(waiting, ["inbox/.hidden.rpm.y"]);
    assert_eq!(files_below(&root.path().join("inbox")), 3);
    // What is empty and young is no work.
    assert_eq!(run(&publisher).await.inbox_keys, ["inbox/.hidden.rpm.y"]);
}

#[tokio::test]
async fn links_that_uploaders_leave_publish_nothing_from_outside() {
    let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(outside.path(), "secret.rpm", &rpm("secret", "1").build());
    write(root.path(), "inbox/good.rpm", &rpm("good", "1").build());
    std::os::unix::fs::symlink(outside.path().join("secret.rpm"), root.path().join("inbox/link.rpm")).unwrap();
    std::os::unix::fs::symlink(outside.path(), root.path().join("inbox/folder")).unwrap();
    let publisher = publisher(root.path());
    let report = run(&publisher).await;
    let hrefs: Vec<&str> = report.published.iter().map(|published| published.href.as_str()).collect();
    assert_eq!((hrefs, report.errors), (vec!["good.rpm"], Vec::new()));
    assert!(outside.path().join("secret.rpm").exists());
}

#[tokio::test]
async fn an_inbox_or_a_repository_that_is_a_link_is_an_error_and_not_empty() {
    for folder in ["inbox", "repo"] {
        let (root, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        write(root.path(), "inbox/a.rpm", &rpm("a", "1").build());
        if folder == "inbox" {
            std::fs::remove_dir_all(root.path().join("inbox")).unwrap();
        }
        std::os::unix::fs::symlink(outside.path(), root.path().join(folder)).unwrap();
        let run = RunId { id: ulid::Ulid::new(), started: Timestamp::now() };
        let told = match publisher(root.path()).run(run, &Unwatched).await {
            Err(error) => error.chain(),
            Ok(report) => report.errors.join("\n"),
        };
        assert!(told.contains("a symbolic link"), "{folder}: {told:?}");
        assert_eq!(files_below(outside.path()), 0);
    }
}

#[tokio::test]
async fn a_time_in_the_future_keeps_no_file_waiting() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "inbox/junk.rpm", b"not a package");
    let file = std::fs::File::options().write(true).open(root.path().join("inbox/junk.rpm")).unwrap();
    file.set_modified(SystemTime::now() + std::time::Duration::from_hours(24 * 365)).unwrap();
    assert_eq!(run(&publisher(root.path())).await.rejected.len(), 1);
}

#[tokio::test]
async fn a_hidden_package_in_the_folder_does_not_stop_a_takeover() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "repo/.hidden.rpm", &rpm("hidden", "1").build());
    write(root.path(), "repo/old.rpm", &rpm("old", "1").build());
    write(root.path(), "inbox/new.rpm", &rpm("new", "1").build());
    let publisher = publisher(root.path());
    let report = run(&publisher).await;
    assert_eq!((report.errors, report.published.len()), (Vec::new(), 1));
    let findings = check(publisher.bucket(), Depth::Deep).await.unwrap();
    assert!(findings.clean());
    assert_eq!(findings.repositories[0].packages, 2);
}
