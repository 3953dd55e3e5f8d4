//! `yrm index` says of every package what createrepo_c says, field for field, and every client
//! reads it.
//!
//! Packages of three kinds: forged ones that meet each rule of the format, real ones from a
//! distribution, and those of real `rpmbuild`. Both repositories are read by this test's own
//! reader and compared package by package: every attribute, every element, in their order.

mod adopted;
mod clients;
mod forged;
mod random;
mod repository;
mod tools;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use forge::Rpm;
use rpmmd::compress::Compression;
use tempfile::TempDir;
use yrm::index::{self, Indexed};

pub(crate) use clients::assert_well_formed;
pub(crate) use repository::Repository;
pub(crate) use tools::{Reference, prepared, succeed};

const COMPRESSIONS: [Compression; 2] = [Compression::Gz, Compression::Zstd];

/// Fewer real packages than this prove little.
const MINIMUM_REAL: usize = 60;

/// How many packages are made at random.
const RANDOM: usize = 400;

#[test]
fn forged_packages_are_described_as_createrepo_c_does() {
    let folder = written(&forged::all());
    let differences = compare(folder.path());
    // Before 1.1.1 createrepo_c did not count %pretrans and %posttrans among the prerequisites.
    let known = |line: &String| {
        line.contains(forged::TRANSACTION_PREREQUISITES) && line.ends_with(r#"@pre: Some("1") against None"#)
    };
    let (known, unknown): (Vec<String>, Vec<String>) = differences.older.into_iter().partition(known);
    assert_none(&unknown);
    assert_eq!(known.len(), 2 * COMPRESSIONS.len(), "{known:#?}");
    assert_none(&differences.newest);
    assert_eq!(differences.packages, forged::all().len());
}

#[test]
fn random_packages_are_described_as_createrepo_c_does() {
    let folder = written(&random::packages(RANDOM));
    let differences = compare(folder.path());
    assert_none(&differences.newest);
    assert_none(&differences.older);
    assert_eq!(differences.packages, RANDOM);
}

#[test]
fn real_packages_are_described_as_createrepo_c_does() {
    let differences = compare(&prepared("real"));
    assert_none(&differences.newest);
    assert_none(&differences.older);
    assert!(differences.packages >= MINIMUM_REAL, "{} packages", differences.packages);
}

#[test]
fn packages_of_rpmbuild_are_described_as_createrepo_c_does() {
    let folder = tempfile::tempdir().unwrap();
    rpmbuild("everything", folder.path());
    rpmbuild("small", folder.path());
    let differences = compare(folder.path());
    assert_none(&differences.newest);
    assert_none(&differences.older);
    assert_eq!(differences.packages, 7);
}

#[test]
fn sample_packages_are_described_as_createrepo_c_does() {
    let differences = compare(&demo_packages());
    assert_none(&differences.newest);
    assert_none(&differences.older);
    assert_eq!(differences.packages, 4);
}

/// The stated exception: createrepo_c drops a package with control characters, and with other
/// characters that XML cannot hold it publishes what no client can read.
#[test]
fn forbidden_characters_are_replaced_and_the_package_is_kept() {
    let packages = forged::forbidden_characters();
    let folder = written(&packages);
    let theirs = tempfile::tempdir().unwrap();
    let (code, said) = Reference::Newest.index(folder.path(), theirs.path());
    assert_eq!(code, Some(2), "{said}");
    assert!(Repository::read(theirs.path()).is_err(), "createrepo_c now copes; so the exception can go");

    let ours = tempfile::tempdir().unwrap();
    let indexed = index(folder.path(), ours.path(), Compression::Gz);
    assert_eq!(indexed.skipped, []);
    let warned = |name: &str| indexed.warnings.iter().any(|warning| warning.href == name);
    assert!(packages[..4].iter().all(|(name, _)| warned(name)), "{:?}", indexed.warnings);
    clients::assert_well_formed(ours.path());
    let repository = Repository::read(ours.path()).unwrap();
    let summaries: Vec<&str> =
        repository.packages.values().map(|[primary, ..]| primary.child("summary").unwrap().text.as_str()).collect();
    assert_eq!(summaries.len(), packages.len());
    let file_name = "control-1.0-1.x86_64.rpm";
    assert_eq!(repository.packages[file_name][0].child("summary").unwrap().text, "a\u{fffd}b\u{fffd}c");
    assert_eq!(repository.packages[file_name][1].child("file").unwrap().text, "/etc/a\u{fffd}b\u{fffd}c");
}

/// What a comparison of two repositories found.
struct Differences {
    packages: usize,
    /// Against the newest createrepo_c.
    newest: Vec<String>,
    /// Against the distribution's.
    older: Vec<String>,
}

/// Indexes the packages below `folder` with `yrm` in each compression and with both
/// createrepo_c, and compares.
#[expect(clippy::print_stdout, reason = "how much was compared belongs into the test's record")]
fn compare(folder: &Path) -> Differences {
    let references = Reference::ALL.map(|reference| {
        let output = tempfile::tempdir().unwrap();
        let (code, said) = reference.index(folder, output.path());
        assert_eq!(code, Some(0), "{said}");
        Repository::read(output.path()).unwrap()
    });
    let mut found = Differences { packages: references[0].packages.len(), newest: Vec::new(), older: Vec::new() };
    for compression in COMPRESSIONS {
        let output = tempfile::tempdir().unwrap();
        let indexed = index(folder, output.path(), compression);
        assert_eq!(indexed.skipped, []);
        let ours = Repository::read(output.path()).unwrap();
        assert_eq!(ours.packages.len(), indexed.packages);
        found.newest.extend(ours.differences(&references[0]));
        found.older.extend(ours.differences(&references[1]));
    }
    println!("compared {} packages, {} differences", found.packages, found.newest.len());
    found
}

fn assert_none(differences: &[String]) {
    let shown = &differences[..differences.len().min(40)];
    assert!(
        differences.is_empty(),
        "{} differences (ours against createrepo_c's):\n{}",
        differences.len(),
        shown.join("\n")
    );
}

pub(crate) fn index(folder: &Path, output: &Path, compression: Compression) -> Indexed {
    let now = "2026-01-02T03:04:05Z".parse().unwrap();
    let level = compression.default_level();
    index::index(folder, &index::Options { output, compression, level, now, progress: &|_, _| () }).unwrap()
}

/// A folder with these packages.
fn written(packages: &[(String, Rpm)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, rpm) in packages {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, rpm.build()).unwrap();
    }
    folder
}

/// The samples of `yrm demo`.
fn demo_packages() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/packages")
}

/// Builds a spec's binary and source packages into `folder`.
fn rpmbuild(spec: &str, folder: &Path) {
    let specs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/equality/specs");
    let top = tempfile::tempdir().unwrap();
    let define = |name: &str, path: &Path| format!("{name} {}", path.display());
    let mut command = Command::new("rpmbuild");
    command.args(["--quiet", "-ba"]).arg(specs.join(format!("{spec}.spec")));
    for definition in [
        define("_topdir", top.path()),
        define("_sourcedir", &specs),
        define("_rpmdir", folder),
        define("_srcrpmdir", folder),
        "__os_install_post %{nil}".to_owned(),
        "_build_id_links none".to_owned(),
    ] {
        command.args(["--define", &definition]);
    }
    succeed(command.arg("--nodeps"));
}

/// The comparison itself can fail.
mod comparison {
    use super::*;
    use tree::Element;

    const PACKAGE: &str = r#"<package type="rpm"><name>a</name><format><rpm:requires>
        <rpm:entry name="x" flags="EQ" ver="1"/><rpm:entry name="y"/></rpm:requires><file>/etc/a</file></format></package>"#;

    fn differences(changed: &str) -> Vec<String> {
        let mut found = Vec::new();
        Element::parse(PACKAGE).unwrap().differences(&Element::parse(changed).unwrap(), "", &mut found);
        found
    }

    #[test]
    fn sees_no_difference_in_attribute_order_and_indentation() {
        let other = PACKAGE
            .replace(r#"name="x" flags="EQ""#, r#"flags="EQ"   name='x'"#)
            .replace("<rpm:entry name=\"y\"/>", "\n\n<rpm:entry name=\"&#x79;\"></rpm:entry>");
        assert_ne!(PACKAGE, other);
        assert_eq!(differences(&other), Vec::<String>::new());
    }

    #[test]
    fn sees_a_changed_attribute() {
        let found = differences(&PACKAGE.replace(r#"ver="1""#, r#"ver="2""#));
        assert_eq!(found, [r#"/package[1]/format[0]/rpm:requires[0]/rpm:entry@ver: Some("1") against Some("2")"#]);
    }

    #[test]
    fn sees_a_missing_attribute() {
        assert_eq!(differences(&PACKAGE.replace(r#" ver="1""#, "")).len(), 1);
    }

    #[test]
    fn sees_a_missing_entry() {
        assert_eq!(differences(&PACKAGE.replace(r#"<rpm:entry name="y"/>"#, "")).len(), 1);
        assert_eq!(differences(&PACKAGE.replace("</rpm:requires>", "<rpm:entry/></rpm:requires>")).len(), 1);
    }

    #[test]
    fn sees_reordered_entries() {
        let [x, y] = [r#"<rpm:entry name="x" flags="EQ" ver="1"/>"#, r#"<rpm:entry name="y"/>"#];
        let found = differences(&PACKAGE.replace(x, "?").replace(y, x).replace('?', y));
        assert!(!found.is_empty());
    }

    #[test]
    fn sees_changed_text_and_blanks_around_it() {
        assert_eq!(differences(&PACKAGE.replace("/etc/a", "/etc/b")).len(), 1);
        assert_eq!(differences(&PACKAGE.replace("<name>a", "<name>a ")).len(), 1);
    }

    #[test]
    fn sees_a_missing_package_and_a_damaged_file() {
        let folder = written(&[("a.rpm".into(), Rpm::new("a", "1", "1", "noarch"))]);
        let repository = |folder: &Path| {
            index(folder, folder, Compression::Gz);
            Repository::read(folder)
        };
        let one = repository(folder.path()).unwrap();
        fs::write(folder.path().join("b.rpm"), Rpm::new("b", "1", "1", "noarch").build()).unwrap();
        let two = repository(folder.path()).unwrap();
        assert_eq!(one.differences(&two), ["b.rpm: only in the second"]);
        assert_eq!(two.differences(&one), ["b.rpm: only in the first"]);

        let repomd = folder.path().join("repodata/repomd.xml");
        let text = fs::read_to_string(&repomd).unwrap();
        fs::write(&repomd, text.replacen("<size>", "<size>1", 1)).unwrap();
        assert!(Repository::read(folder.path()).unwrap_err().contains("size is wrong"));
    }
}
