//! The RPM of yrm-client: made by rpmbuild, published by yrm, installed by dnf.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::machine::{Machine, said, succeed, workspace};

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path.as_ref()).unwrap_or_else(|error| panic!("{}: {error}", path.as_ref().display()))
}

#[test]
fn the_package_is_installed_by_dnf_from_a_repository_that_yrm_published() {
    let directory = TempDir::new().unwrap();
    let binary = directory.path().join("yrm-client");
    succeed(Command::new("strip").arg("-o").arg(&binary).arg(env!("CARGO_BIN_EXE_yrm-client")));
    let mut build = Command::new(workspace().join("deploy/rpm/build"));
    build.args(["--binary", "yrm-client", "--out", "bucket/inbox"]).current_dir(directory.path());
    succeed(build.env("YRM_CLIENT_CONFIG", "/dev/null"));
    let inbox = directory.path().join("bucket/inbox");
    let package = std::fs::read_dir(&inbox).unwrap().next().unwrap().unwrap().path();
    // As if it had been there for a while: files that have just come may still grow.
    let file = std::fs::File::options().write(true).open(&package).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    // Tests of the workspace build it beside this program.
    let yrm = Path::new(env!("CARGO_BIN_EXE_yrm-client")).with_file_name("yrm");
    assert!(yrm.exists(), "{} is missing; run `cargo build -p yrm` once", yrm.display());
    let mut publish = Command::new(yrm);
    publish.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", directory.path()).current_dir(directory.path());
    let run = succeed(publish.args(["run", "--bucket", "./bucket"]));
    assert!(said(&run).contains("1 published"), "{}", said(&run));

    let root = directory.path().join("root");
    let repository = format!("--repofrompath=ours,{}/bucket/repo", directory.path().display());
    let mut dnf = Command::new("dnf");
    dnf.args(["-y", "--quiet", "--releasever=1", "--disableplugin=*", "--repo=ours", "--setopt=reposdir=/dev/null"]);
    dnf.args([&repository, "--setopt=ours.gpgcheck=0"]).arg(format!("--installroot={}", root.display()));
    dnf.arg(format!("--setopt=cachedir={}", directory.path().join("cache").display()));
    succeed(dnf.args(["install", "yrm-client"]));

    let mut installed = Command::new(root.join("usr/bin/yrm-client"));
    let version = succeed(installed.arg("--version").env("YRM_CLIENT_CONFIG", root.join("etc/yrm-client.conf")));
    assert_eq!(said(&version), format!("yrm-client {}\n", env!("CARGO_PKG_VERSION")));
    for unit in ["yrm-client.service", "yrm-client.socket"] {
        let ours = workspace().join("deploy/systemd").join(unit);
        assert_eq!(read(root.join("usr/lib/systemd/system").join(unit)), read(ours));
    }
    assert_eq!(read(root.join("etc/yrm-client.conf")), read(workspace().join("deploy/rpm/yrm-client.conf")));
    assert!(root.join("usr/share/man/man1/yrm-client.1.gz").exists());
    let mut remove = Command::new("dnf");
    remove.args(["-y", "--quiet", "--releasever=1", "--disableplugin=*", "--setopt=reposdir=/dev/null"]);
    remove.arg(format!("--installroot={}", root.display())).args(["remove", "yrm-client"]);
    succeed(&mut remove);
    assert!(!root.join("usr/bin/yrm-client").exists());
}

#[test]
fn every_line_of_the_configuration_file_is_one_that_the_program_knows() {
    let text = read(workspace().join("deploy/rpm/yrm-client.conf"));
    let filled = text
        .replace("#YRM_CLIENT", "YRM_CLIENT")
        .replace("#AWS_ACCESS_KEY_ID=", "AWS_ACCESS_KEY_ID=AKIAFILE")
        .replace("#AWS_SECRET_ACCESS_KEY=", "AWS_SECRET_ACCESS_KEY='of the file'");
    let machine = Machine::new();
    let file = machine.write("yrm-client.conf", &filled);
    let machine = machine.knows([("YRM_CLIENT_CONFIG", file.to_str().unwrap())]);
    let service = machine.serve(&[]);
    let reply = crate::requests::get(&service, "/other-bucket/team/a");
    assert_eq!(reply.signed_by(), "AKIAFILE");
    assert!(reply.location().starts_with("https://s3.example.com/other-bucket/team/a?"), "{reply:?}");
    assert!(reply.parameter("X-Amz-Credential").contains("eu-west-1"), "{reply:?}");
}
