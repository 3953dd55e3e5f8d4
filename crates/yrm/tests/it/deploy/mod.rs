//! What stands around the program: the stack and its roles, a machine's boot, units, packages.

mod balancer;
#[cfg(feature = "aws")]
mod boot;
mod cdn;
#[cfg(feature = "aws")]
mod cloud;
mod package;
#[cfg(feature = "aws")]
mod stack;
mod template;
mod terraform;
mod units;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::workspace::{python, workspace};

/// A file of `deploy/`.
fn deploy(path: &str) -> PathBuf {
    workspace().join("deploy").join(path)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A program of the tests' virtual environment.
fn venv(program: &str) -> PathBuf {
    python().with_file_name(program)
}

/// Runs it; fails with what it said if it fails.
fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; run scripts/test once"));
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, said(&output));
    output
}

/// What it wrote, both streams.
fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
