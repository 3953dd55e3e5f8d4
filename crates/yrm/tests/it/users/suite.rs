//! What every store must do, done by a user without rights beyond its own folder.

use super::{Ground, SERVICE, can_become_others, said, set_mode};

#[test]
fn a_directory_keeps_the_suite_of_all_stores_for_a_user_who_is_not_root() {
    if !can_become_others() {
        return;
    }
    let ground = Ground::new();
    let folder = ground.folder.path();
    let tests = folder.join("tests");
    std::fs::copy(std::env::current_exe().unwrap(), &tests).unwrap();
    let temporary = folder.join("tmp");
    std::fs::create_dir(&temporary).unwrap();
    set_mode(&temporary, 0o700);
    SERVICE.owns(&temporary);
    let mut suite = SERVICE.command(&tests);
    suite.current_dir(&temporary).env("TMPDIR", &temporary).args(["conformance::directory::", "--test-threads", "2"]);
    let (code, told) = said(&suite.output().unwrap());
    assert_eq!(code, 0, "{told}");
    let passed = told.split(" passed").next().and_then(|before| before.rsplit(' ').next()?.parse::<u32>().ok());
    assert!(passed >= Some(20), "{told}");
}
