//! What a user may do in a directory, told before it is tried.

use std::io::Write as _;

use yrm::store::Store as _;
use yrm::store::local::DirectoryStore;

use super::{Ground, SERVICE, STRANGER, UPLOADER, can_become_others, package, set_mode};

/// The set variable makes this test binary somebody else's eyes: see below.
const LOOK_AT: &str = "YRM_TEST_LOOK_AT";

/// What hinders a delete of `key` for the user as whom this process runs, one line a key.
#[tokio::test]
async fn eyes() {
    let Ok(keys) = std::env::var(LOOK_AT) else { return };
    let store = DirectoryStore::open("b").unwrap();
    for key in keys.split(':') {
        let hindrance = store.delete_hindrance(key).await.unwrap().unwrap_or_default();
        writeln!(std::io::stdout(), "{key}: {hindrance}").unwrap();
    }
}

#[test]
fn what_uploaders_own_is_published_by_another_user() {
    if !can_become_others() {
        return;
    }
    let ground = Ground::new();
    ground.write(UPLOADER, "inbox/a.rpm", &package("a"));
    let (code, told) = ground.run(&["run"]);
    assert_eq!(code, 0, "{told}");
    assert!(ground.has("repo/a.rpm") && !ground.has("inbox/a.rpm"), "{told}");
}

#[test]
fn what_may_not_be_deleted_is_told_before_it_is_tried() {
    if !can_become_others() {
        return;
    }
    let ground = Ground::new();
    ground.write(UPLOADER, "inbox/ours.rpm", &package("ours"));
    ground.write(UPLOADER, "inbox/team/theirs.rpm", &package("theirs"));
    ground.write(STRANGER, "inbox/sticky/strange.rpm", &package("strange"));
    ground.write(SERVICE, "inbox/sticky/own.rpm", &package("own"));
    UPLOADER.owns(&ground.bucket().join("inbox/sticky"));
    set_mode(&ground.bucket().join("inbox/sticky"), 0o1777);
    let keys =
        ["inbox/ours.rpm", "inbox/team/theirs.rpm", "inbox/sticky/strange.rpm", "inbox/sticky/own.rpm", "inbox/no"];
    let tests = ground.folder.path().join("tests");
    std::fs::copy(std::env::current_exe().unwrap(), &tests).unwrap();
    let mut look = SERVICE.command(&tests);
    look.current_dir(ground.folder.path()).args(["--exact", "users::rights::eyes", "--nocapture"]);
    let (code, told) = super::said(&look.env(LOOK_AT, keys.join(":")).output().unwrap());
    assert_eq!(code, 0, "{told}");
    let hindrance = |key: &str| {
        let line = told.lines().find_map(|line| line.strip_prefix(&format!("{key}: ")));
        line.unwrap_or_else(|| panic!("{key} is not in {told}")).to_owned()
    };
    assert_eq!(hindrance("inbox/ours.rpm"), "");
    assert!(hindrance("inbox/team/theirs.rpm").contains("belongs to user 61002 with mode 755"), "{told}");
    assert!(hindrance("inbox/sticky/strange.rpm").contains("sticky"), "{told}");
    assert_eq!(hindrance("inbox/sticky/own.rpm"), "");
    assert_eq!(hindrance("inbox/no"), "");
}
