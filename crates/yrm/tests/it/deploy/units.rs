//! The systemd units: sound, and hardened.

use std::process::Command;

use tempfile::TempDir;

use super::{deploy, read, said};

/// systemd's own figure, 0 to 10; it is what a service could do to the machine.
const MAX_EXPOSURE: f64 = 2.0;

#[test]
fn the_services_are_hardened() {
    let directory = TempDir::new().unwrap();
    for unit in ["yrm.service", "yrm-heartbeat.service"] {
        let copy = directory.path().join(unit);
        std::fs::copy(deploy(&format!("systemd/{unit}")), &copy).unwrap();
        let mut analyze = Command::new("systemd-analyze");
        let output = analyze.args(["security", "--offline=true"]).arg(&copy).output().unwrap();
        let text = said(&output);
        let figure = text.split("Overall exposure level for").nth(1).and_then(|rest| rest.split_whitespace().nth(1));
        let exposure: f64 = figure.unwrap_or_else(|| panic!("{text}")).parse().unwrap();
        assert!(exposure <= MAX_EXPOSURE, "{unit}: {exposure}\n{text}");
    }
}

#[test]
fn what_runs_in_place_of_the_service_can_be_kept_started_and_told_of() {
    let unit = read(&deploy("systemd/yrm.service"));
    let lines: Vec<&str> = unit.lines().collect();
    for line in ["Type=notify", "Restart=always", "StateDirectory=yrm"] {
        assert!(lines.contains(&line), "{line}");
    }
    // Each of these would keep a program in the state's folder from being started.
    for setting in ["NoExecPaths", "ExecPaths", "TemporaryFileSystem", "RootDirectory", "RootImage"] {
        assert!(!lines.iter().any(|line| line.starts_with(setting)), "{setting}");
    }
}

#[test]
fn systemd_understands_every_line_and_what_is_started_is_installed() {
    let directory = TempDir::new().unwrap();
    for unit in ["yrm.service", "yrm-heartbeat.service", "yrm-heartbeat.timer"] {
        // What it starts need not be on this machine.
        let text = read(&deploy(&format!("systemd/{unit}"))).replace("=/usr/bin/", "=/bin/true ");
        std::fs::write(directory.path().join(unit), text).unwrap();
    }
    for unit in ["yrm.service", "yrm-heartbeat.timer"] {
        let mut analyze = Command::new("systemd-analyze");
        let output = analyze.args(["verify", "--man=no"]).arg(directory.path().join(unit)).output().unwrap();
        let ours: Vec<String> = said(&output).lines().filter(|line| line.contains("yrm")).map(str::to_owned).collect();
        assert_eq!(ours, Vec::<String>::new());
    }
    let boot = read(&deploy("boot"));
    for unit in ["yrm.service", "yrm-heartbeat.service"] {
        let text = read(&deploy(&format!("systemd/{unit}")));
        let started = text.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
        let program = started.split_whitespace().next().unwrap();
        assert!(boot.contains(&format!("\"$root{program}\"")), "deploy/boot does not install {program}");
    }
}
