//! The RPM of yrm itself: made by rpmbuild, published by yrm, installed by dnf.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::{deploy, read, said, succeed};
use crate::cli::yrm;
use crate::workspace::workspace;

fn files_below(root: &Path, folder: &str) -> Vec<String> {
    let mut found: Vec<String> = std::fs::read_dir(root.join(folder))
        .unwrap_or_else(|error| panic!("{folder}: {error}"))
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    found
}

#[test]
fn the_package_of_yrm_is_installed_by_dnf_from_a_repository_that_yrm_published() {
    let directory = TempDir::new().unwrap();
    let binary = directory.path().join("yrm");
    succeed(Command::new("strip").arg("-o").arg(&binary).arg(env!("CARGO_BIN_EXE_yrm")));
    let mut build = Command::new(workspace().join("deploy/rpm/build"));
    succeed(build.args(["--binary", "yrm", "--out", "bucket/inbox"]).current_dir(directory.path()));
    let file = files_below(directory.path(), "bucket/inbox").pop().unwrap();
    // As if it had been there for a while: files that have just come may still grow.
    let package = std::fs::File::options().write(true).open(directory.path().join("bucket/inbox").join(&file)).unwrap();
    package.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let run = succeed(yrm(directory.path()).args(["run", "--bucket", "./bucket"]));
    assert!(said(&run).contains("1 published"), "{}", said(&run));

    let root = directory.path().join("root");
    let repository = format!("--repofrompath=ours,{}/bucket/repo", directory.path().display());
    let mut dnf = Command::new("dnf");
    dnf.args(["-y", "--quiet", "--releasever=1", "--disableplugin=*", "--repo=ours", "--setopt=reposdir=/dev/null"]);
    dnf.args([&repository, "--setopt=ours.gpgcheck=0"]).arg(format!("--installroot={}", root.display()));
    dnf.arg(format!("--setopt=cachedir={}", directory.path().join("cache").display())).args(["install", "yrm"]);
    succeed(&mut dnf);

    let version = succeed(Command::new(root.join("usr/bin/yrm")).arg("--version"));
    assert_eq!(said(&version), format!("yrm {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(read(&root.join("usr/lib/systemd/system/yrm.service")), read(&deploy("systemd/yrm.service")));
    let configuration = root.join("etc/yrm/yrm.toml");
    assert!(read(&configuration).contains("#bucket ="), "{}", read(&configuration));
    let pages = files_below(&root, "usr/share/man/man1");
    assert!(
        pages.contains(&"yrm.1.gz".to_owned()) && pages.contains(&"yrm-repo-rollback.1.gz".to_owned()),
        "{pages:?}"
    );
    assert!(read(&root.join("usr/share/bash-completion/completions/yrm")).contains("--keep-at-least"));
    assert!(read(&root.join("usr/share/zsh/site-functions/_yrm")).starts_with("#compdef yrm"));
    assert!(read(&root.join("usr/share/fish/vendor_completions.d/yrm.fish")).contains("complete -c yrm"));
}

#[test]
fn every_verb_has_a_man_page_and_the_pages_say_what_help_says() {
    let directory = TempDir::new().unwrap();
    succeed(yrm(directory.path()).args(["man", "--dir", "man"]));
    let pages = files_below(directory.path(), "man");
    let documented = read(&workspace().join("docs/reference/command-line.md"));
    for verb in ["serve", "run", "publish", "check", "package-remove", "repo-log", "config-init", "completions", "man"]
    {
        assert!(pages.contains(&format!("yrm-{verb}.1")), "{verb}: {pages:?}");
        assert!(
            documented.contains(&format!("`yrm {}", verb.replace('-', " "))),
            "docs/reference/command-line.md lacks {verb}"
        );
    }
    assert!(pages.iter().all(|page| !page.contains("help")), "{pages:?}");
    let serve = read(&directory.path().join("man/yrm-serve.1"));
    assert!(serve.contains(r"\-\-time\-interval") && serve.contains(".SH NAME\nyrm\\-serve"), "{serve}");
    let whole = succeed(yrm(directory.path()).arg("man"));
    assert!(said(&whole).contains(".TH yrm 1"), "{}", said(&whole));
    let unknown = yrm(directory.path()).args(["completions", "cmd.exe"]).output().unwrap();
    assert_eq!(unknown.status.code(), Some(2));
}

#[test]
fn the_container_is_built_by_the_compiler_that_everything_is_built_by() {
    let toolchain = read(&workspace().join("rust-toolchain.toml"));
    let channel = toolchain.lines().find_map(|line| line.strip_prefix("channel = ")).unwrap().trim_matches('"');
    let recipe = read(&deploy("Containerfile"));
    assert!(recipe.contains(&format!("rust:{channel} ")), "deploy/Containerfile is not built by {channel}");
    let last = recipe.rsplit("FROM ").next().unwrap();
    assert!(last.lines().next().unwrap().ends_with(":nonroot"), "the container runs as root");
}

#[test]
fn a_release_says_what_is_missing_before_it_builds_anything() {
    let release =
        |arguments: &[&str]| Command::new(workspace().join("scripts/release")).args(arguments).output().unwrap();
    for (arguments, why) in [
        (&["--arch", "x86_64"][..], "say where to"),
        (&["--bucket"], "needs a value"),
        (&["--bucket", "b", "--arch", "sparc"], "x86_64 or aarch64, not sparc"),
        (&["--to", "b"], "there is no --to"),
        (&["--bucket", "b", "--out", "o"], "exclude each other"),
    ] {
        let output = release(arguments);
        assert_eq!(output.status.code(), Some(2));
        assert!(said(&output).contains(why), "{}", said(&output));
    }
}
