//! Limits of the operating system on what a process may write.

use std::process::Command;

use super::{package, said};

#[test]
fn a_limit_on_the_size_of_files_is_a_told_error() {
    let directory = tempfile::tempdir().unwrap();
    let inbox = directory.path().join("b/inbox");
    std::fs::create_dir_all(&inbox).unwrap();
    let large = forge::Rpm::new("large", "1", "1", "noarch").payload(vec![1; 3 << 20]).build();
    std::fs::write(inbox.join("large.rpm"), large).unwrap();
    std::fs::write(inbox.join("small.rpm"), package("small")).unwrap();
    let mut limited = Command::new("sh");
    limited.env_clear().env("PATH", "/usr/bin:/bin").current_dir(directory.path());
    // Nobody ignores the signal here; blocks of 512 bytes.
    limited.args(["-c", "ulimit -f 4096; exec \"$0\" run --bucket ./b", env!("CARGO_BIN_EXE_yrm")]);
    let (code, told) = said(&limited.output().unwrap());
    assert_eq!(code, 3, "{told}");
    assert!(told.contains("File too large"), "{told}");
    assert!(directory.path().join("b/repo/small.rpm").exists(), "{told}");
    let whole = crate::cli::yrm(directory.path()).args(["run", "--bucket", "./b"]).output().unwrap();
    assert_eq!(whole.status.code(), Some(0));
    assert!(directory.path().join("b/repo/large.rpm").exists());
}
