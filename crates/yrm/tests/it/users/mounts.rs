//! An inbox or a repository that is a file system of its own, or the same one behind another mount.

use std::process::Command;

use super::{Ground, SERVICE, UPLOADER, can_become_others, package};

/// What becomes `b/FOLDER` in a mount namespace of its own.
const MOUNTS: [&str; 2] = ["mount -t tmpfs -o mode=777 none b/FOLDER", "mount --bind b/FOLDER b/FOLDER"];

/// Whether this process may have mounts of its own; says so where it may not.
fn can_mount() -> bool {
    let tried = Command::new("unshare").args(["-m", "mount", "-t", "tmpfs", "none", "/mnt"]).output();
    let can = tried.is_ok_and(|tried| tried.status.success());
    if !can {
        std::io::Write::write_all(&mut std::io::stderr(), b"skipped: no mount namespaces here\n").unwrap();
    }
    can
}

/// A shell's script in a mount namespace, in the folder of the bucket; all that it says.
fn in_a_namespace(ground: &Ground, script: &str) -> String {
    let mut shell = Command::new("unshare");
    shell.args(["-m", "sh", "-ec", script]).current_dir(ground.folder.path());
    let output = shell.output().unwrap();
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8(text).unwrap()
}

#[test]
fn inbox_and_repo_on_file_systems_of_their_own() {
    if !can_become_others() || !can_mount() {
        return;
    }
    for mount in MOUNTS {
        for folder in ["inbox", "repo", "quarantine"] {
            let ground = Ground::new();
            ground.write(UPLOADER, "packages/a.rpm", &package("a"));
            ground.write(UPLOADER, "packages/junk.rpm", b"junk");
            let mount = mount.replace("FOLDER", folder);
            let own = SERVICE.0;
            let yrm = format!("setpriv --reuid={own} --regid={own} --clear-groups ./yrm");
            let script = format!(
                "mkdir -p b/repo b/quarantine; chown {own}:{own} b/repo b/quarantine; {mount}; chown {own}:{own} b/{folder}
                 cp -p b/packages/* b/inbox/
                 for round in 1 2; do {yrm} run --bucket ./b --output json >report; echo code $?; done
                 {yrm} doctor --bucket ./b; echo doctor $?
                 find b/inbox b/repo b/quarantine -name '.yrm*' | sed 's/^/left /'
                 find b/inbox -type f | sed 's/^/stays /'
                 find b/repo b/quarantine -name '*.rpm*' -type f | sed 's/^/there /'
                 {yrm} check --deep --bucket ./b >/dev/null; echo check $?"
            );
            let told = in_a_namespace(&ground, &script);
            let said = |line: &str| told.lines().filter(|told| *told == line).count();
            assert_eq!((said("code 0"), said("check 0")), (2, 1), "{mount}: {told}");
            assert!(!told.contains("stays ") && !told.contains("left "), "{mount}: {told}");
            assert_eq!(said("there b/repo/a.rpm"), 1, "{mount}: {told}");
            let is_junk = |line: &&str| line.starts_with("there b/quarantine/junk.rpm.") && !line.contains(".json");
            assert_eq!(told.lines().filter(is_junk).count(), 1, "{told}");
            assert!(told.contains(&format!("{folder}/ has a file system of its own")), "doctor says so: {told}");
        }
    }
}
