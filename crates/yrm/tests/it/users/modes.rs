//! Who may read what is published, and which time it bears.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use yrm::publish::Publisher;
use yrm::store::key::RepositoryDir;
use yrm::store::local::DirectoryStore;
use yrm::upkeep::sweep;

use crate::publish::world::policy;

use super::{Ground, SERVICE, STRANGER, UPLOADER, can_become_others, package, said};

/// The unit of systemd sets it.
const UMASK: &str = "umask 077; exec \"$0\" \"$@\"";

/// Permissions of everything below `repo/`, of folders and of files.
fn modes_below(folder: &Path) -> Vec<(String, u32)> {
    let output = Command::new("find").arg(folder).args(["-printf", "%y %m\\n"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let modes = text.lines().map(|line| line.split_once(' ').unwrap());
    modes.map(|(kind, mode)| (kind.to_owned(), u32::from_str_radix(mode, 8).unwrap())).collect()
}

#[test]
fn a_web_server_reads_what_is_published_whatever_the_umask_says() {
    if !can_become_others() {
        return;
    }
    let ground = Ground::new();
    ground.write(UPLOADER, "inbox/el9/x86_64/a.rpm", &package("a"));
    ground.write(UPLOADER, "inbox/junk.rpm", b"junk");
    SERVICE.owns(&ground.bucket().join("inbox/el9/x86_64"));
    let mut run = SERVICE.command("sh");
    run.current_dir(ground.folder.path()).args(["-c", UMASK, "./yrm", "run", "--bucket", "./b"]);
    let (code, told) = said(&run.output().unwrap());
    assert_eq!(code, 0, "{told}");
    let modes = modes_below(&ground.bucket().join("repo"));
    assert!(modes.len() > 5, "{modes:?}");
    for (kind, mode) in modes {
        assert_eq!(mode, if kind == "d" { 0o755 } else { 0o644 }, "{kind}");
    }
    let mut read = STRANGER.command("cat");
    let (code, _) = said(&read.arg(ground.bucket().join("repo/el9/x86_64/a.rpm")).output().unwrap());
    assert_eq!(code, 0);
    // What was turned away is nobody else's to read.
    for (kind, mode) in modes_below(&ground.bucket().join("quarantine")) {
        assert_eq!(mode & 0o077, 0, "{kind}");
    }
}

/// The text of the only primary.
fn primary(repodata: &Path) -> String {
    let mut files = std::fs::read_dir(repodata).unwrap().map(|entry| entry.unwrap().path());
    let file = files.find(|path| path.to_string_lossy().ends_with("-primary.xml.gz")).unwrap();
    std::io::read_to_string(flate2::read::MultiGzDecoder::new(std::fs::File::open(file).unwrap())).unwrap()
}

#[test]
fn a_published_file_bears_the_time_that_metadata_says() {
    let directory = tempfile::tempdir().unwrap();
    let inbox = directory.path().join("b/inbox");
    std::fs::create_dir_all(&inbox).unwrap();
    let uploaded = SystemTime::UNIX_EPOCH + Duration::from_millis(1_500_000_000_123);
    for name in ["a", "b"] {
        std::fs::write(inbox.join(format!("{name}.rpm")), package(name)).unwrap();
        let file = std::fs::File::options().write(true).open(inbox.join(format!("{name}.rpm"))).unwrap();
        file.set_modified(uploaded).unwrap();
    }
    let run = |arguments: &[&str]| {
        let output = crate::cli::yrm(directory.path()).args(arguments).args(["--bucket", "./b"]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    };
    run(&["run"]);
    let times: Vec<(i64, i64)> = ["a", "b"]
        .map(|name| directory.path().join(format!("b/repo/{name}.rpm")).metadata().unwrap())
        .map(|published| (published.mtime(), published.mtime_nsec()))
        .to_vec();
    let primary = primary(&directory.path().join("b/repo/repodata"));
    assert_eq!(primary.matches("<time file=\"1500000000\"").count(), 2, "{primary}");
    assert!(times.iter().all(|(seconds, _)| *seconds == 1_500_000_000), "{times:?}");
    assert_ne!(times[0].1, times[1].1, "what is below a second is random, so that an ETag is never another file's");
    // Old as they look, they were put there a moment ago: the sweep leaves alone what nothing names.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    run(&["package", "remove", "a.rpm"]);
    let store = DirectoryStore::open(directory.path().join("b")).unwrap();
    let publisher = Publisher::new(Arc::new(store), policy()).unwrap();
    runtime.block_on(sweep::sweep(publisher.bucket(), &RepositoryDir::new(""))).unwrap();
    assert!(directory.path().join("b/repo/a.rpm").exists());
}
