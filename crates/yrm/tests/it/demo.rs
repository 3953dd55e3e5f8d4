//! `yrm demo` does what it says, and the `dnf` line it prints works as it stands.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn yrm(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_yrm"));
    // The root that the printed line installs into is below this.
    command.current_dir(directory).env("TMPDIR", directory);
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Runs the printed line, word for word, and looks at what it installed.
fn assert_installs(line: &str, directory: &Path) {
    let line = line.trim();
    assert!(line.contains("install greeter"), "{line}");
    let output = Command::new("sh").args(["-c", line]).current_dir(directory).env("LC_ALL", "C").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{line}\n{said}\n{}", stderr(&output));
    let root = directory.join("yrm-demo-root");
    let greeter = fs::read_to_string(root.join("usr/bin/greet")).unwrap();
    assert!(greeter.contains("greeter 1.1"), "the newest version was not installed: {greeter}");
    assert!(root.join("usr/share/greeter/words").exists(), "its dependency was not installed");
    assert!(root.join("usr/share/libgreet++/version").exists(), "the package with + and ~ was not installed");
}

#[test]
fn the_sample_packages_are_published_and_installable_over_http() {
    let directory = tempfile::tempdir().unwrap();
    let mut demo = yrm(directory.path())
        .args(["demo", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(demo.stderr.take().unwrap()).lines().map(Result::unwrap);
    let line = lines.find(|line| line.contains("dnf -y")).unwrap();
    assert!(line.contains("http://127.0.0.1:"), "{line}");
    // Stopped before anything can panic, so that a failure leaves no process behind.
    let installed = std::panic::catch_unwind(|| assert_installs(&line, directory.path()));
    // The shell's own kill: a bare Debian has no program of that name.
    let killed = Command::new("sh").args(["-c", "kill -TERM $0", &demo.id().to_string()]).status().unwrap();
    let ended = demo.wait().unwrap();
    installed.unwrap();
    assert!(killed.success() && ended.success(), "{ended}");
}

#[test]
fn it_can_publish_and_stop_and_be_run_again() {
    let directory = tempfile::tempdir().unwrap();
    let once = || yrm(directory.path()).args(["--output", "json", "demo", "--once"]).output().unwrap();
    let first = once();
    assert!(first.status.success(), "{}", stderr(&first));
    let report: serde_json::Value = serde_json::from_slice(&first.stdout).unwrap();
    let mut published: Vec<&str> =
        report["published"].as_array().unwrap().iter().map(|package| package["nevra"].as_str().unwrap()).collect();
    published.sort_unstable();
    assert_eq!(
        published,
        ["greeter-1.0-1.noarch", "greeter-1.1-1.noarch", "greeter-lib-1.0-1.noarch", "libgreet++-2.0~rc1-1.noarch"]
    );
    let line = stderr(&first).lines().find(|line| line.contains("dnf -y")).unwrap().to_owned();
    assert_installs(&line, directory.path());

    let again = once();
    assert!(again.status.success(), "{}", stderr(&again));
    let report: serde_json::Value = serde_json::from_slice(&again.stdout).unwrap();
    assert!(report["published"].as_array().unwrap().iter().all(|package| package["already_there"] == true));
}

#[test]
fn a_directory_with_something_else_in_it_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("thesis.txt"), "mine").unwrap();
    let output = yrm(directory.path()).args(["demo", "--once", "--dir", "."]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("hint: choose another directory with --dir"), "{}", stderr(&output));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}
