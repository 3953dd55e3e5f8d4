//! Folders and files of uploaders which the service may not read, enter or empty.

use std::os::unix::fs::MetadataExt as _;

use serde_json::Value;

use super::{Ground, SERVICE, UPLOADER, can_become_others, package, set_mode};

/// `yrm run`: its exit code and its report.
fn run(ground: &Ground) -> (i32, Value) {
    let output = ground.yrm(&["run", "--output", "json"]).output().unwrap();
    let report = serde_json::from_slice(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap(), report.unwrap_or_else(|error| panic!("{error}: {err}")))
}

fn texts(report: &Value, list: &str, field: &str) -> Vec<String> {
    let entries = report[list].as_array().unwrap().iter();
    entries.map(|entry| entry.get(field).unwrap_or(entry).as_str().unwrap().to_owned()).collect()
}

#[test]
fn one_unreadable_folder_holds_up_nobody() {
    if !can_become_others() {
        return;
    }
    let ground = Ground::new();
    ground.write(UPLOADER, "inbox/good.rpm", &package("good"));
    // Names readable and files not; enter and not list; nothing at all; and one folder in another.
    for (folder, mode) in [("names", 0o744), ("enter", 0o711), ("none", 0o700), ("open/none", 0o700)] {
        ground.write(UPLOADER, &format!("inbox/{folder}/a.rpm"), &package("a"));
        ground.write(UPLOADER, &format!("inbox/{folder}/below/b.rpm"), &package("b"));
        set_mode(&ground.bucket().join("inbox").join(folder), mode);
    }
    set_mode(&ground.write(UPLOADER, "inbox/bytes.rpm", &package("bytes")), 0o000);
    let (code, report) = run(&ground);
    assert_eq!(code, 3, "{report:#}");
    assert_eq!(texts(&report, "published", "inbox_key"), ["inbox/good.rpm"]);
    assert_eq!(texts(&report, "waiting", "inbox_key"), ["inbox/bytes.rpm"], "{report:#}");
    let errors = texts(&report, "errors", "").join("\n");
    for folder in ["names", "enter", "none", "open/none"] {
        assert!(errors.contains(&format!("inbox/{folder}/")), "{folder}: {errors}");
    }
}

/// A file of another user gets no second name, and to read a terabyte takes an hour.
#[test]
fn a_sparse_giant_of_another_user_is_quarantined_without_reading_its_holes() {
    const TERABYTE: u64 = 1 << 40;
    if !can_become_others() {
        return;
    }
    let ground = Ground::new();
    ground.write(UPLOADER, "inbox/good.rpm", &package("good"));
    for number in 0..8 {
        let giant = ground.write(UPLOADER, &format!("inbox/giant-{number}.rpm"), &package("giant"));
        let file = std::fs::File::options().write(true).open(giant).unwrap();
        file.set_len(TERABYTE).unwrap();
        file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_hours(1)).unwrap();
    }
    let (code, report) = run(&ground);
    assert_eq!((code, texts(&report, "published", "inbox_key")), (0, vec!["inbox/good.rpm".to_owned()]), "{report:#}");
    let kept = texts(&report, "rejected", "quarantine_key");
    assert_eq!(kept.len(), 8, "{report:#}");
    for key in kept {
        let file = std::fs::metadata(ground.bucket().join(&key)).unwrap();
        assert_eq!((file.len(), file.blocks() * 512 < 1 << 20), (TERABYTE, true), "{key}");
    }
}

#[test]
fn what_may_not_be_taken_out_of_the_inbox_is_not_published() {
    if !can_become_others() {
        return;
    }
    let ground = Ground::new();
    ground.write(UPLOADER, "inbox/good.rpm", &package("good"));
    let theirs = ground.write(UPLOADER, "inbox/team/el9/theirs.rpm", &package("theirs"));
    ground.write(UPLOADER, "inbox/team/el9/junk.rpm", b"no package, but long enough to be looked at");
    let (code, report) = run(&ground);
    assert_eq!((code, texts(&report, "published", "inbox_key")), (3, vec!["inbox/good.rpm".to_owned()]));
    assert_eq!(texts(&report, "rejected", "inbox_key"), Vec::<String>::new(), "nothing is half set aside");
    let waiting = texts(&report, "waiting", "reason");
    assert!(waiting.len() == 2 && waiting.iter().all(|why| why.contains("may not write there")), "{waiting:?}");
    let errors = texts(&report, "errors", "").join("\n");
    assert!(errors.contains("leaving 2 files in inbox/team/"), "{errors}");
    let (code, told) = ground.run(&["doctor"]);
    assert!(code == 5 && told.contains("inbox/team/: its folder belongs to user 61002"), "{code}: {told}");

    // What an operator removes stays out, whatever the folder's rights were or are.
    set_mode(theirs.parent().unwrap(), 0o777);
    let (code, report) = run(&ground);
    assert_eq!((code, texts(&report, "published", "href")), (0, vec!["team/el9/theirs.rpm".to_owned()]));
    assert_eq!(ground.run(&["doctor"]).0, 0);
    assert_eq!(ground.run(&["package", "remove", "team/el9/theirs.rpm"]).0, 0);
    run(&ground);
    assert!(!ground.run(&["package", "search", "theirs"]).1.contains("theirs.rpm"));
    assert!(ground.has("repo/repodata/repomd.xml") && SERVICE != UPLOADER);
}
