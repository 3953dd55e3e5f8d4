//! Changing the layout by the program, as people do it, with clients that read meanwhile.

mod clients;
#[cfg(feature = "aws")]
mod in_s3;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use forge::Rpm;
use rpmmd::repodata;
use rpmmd::repomd::Repomd;
use serde_json::Value;
use tempfile::TempDir;

use crate::cli::yrm;

/// A directory with a bucket in it.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        fs::create_dir(dir.path().join("bucket")).unwrap();
        Self(dir)
    }

    fn bucket(&self) -> PathBuf {
        self.0.path().join("bucket")
    }

    /// What an uploader does, some time ago.
    fn upload(&self, path: &str, name: &str, version: &str) {
        self.upload_rpm(path, &Rpm::new(name, version, "1", "noarch"));
    }

    fn upload_rpm(&self, path: &str, rpm: &Rpm) {
        let file = self.bucket().join("inbox").join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, rpm.build()).unwrap();
        fs::File::options().write(true).open(file).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    }

    /// Exit code, what was printed, and all that was said.
    fn yrm(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = yrm(self.0.path());
        let output = command.args(arguments).args(["-b", "./bucket"]).env("YRM_ACTOR", "me@here").output().unwrap();
        let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        (output.status.code().unwrap(), out, err)
    }

    /// What has to work: what it printed.
    fn works(&self, arguments: &[&str]) -> String {
        let (code, out, err) = self.yrm(arguments);
        assert_eq!(code, 0, "yrm {arguments:?}\n{out}{err}");
        out
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.works(&[arguments, &["--output", "json"]].concat())).unwrap()
    }

    fn lay_out(&self, layout: &str) -> Value {
        self.json(&["settings", "set", "repositories", layout])
    }

    fn document(&self) -> String {
        fs::read_to_string(self.bucket().join(".yrm/bucket.toml")).unwrap()
    }

    /// The paths that a repository names, as a client reads them.
    fn packages(&self, repository: &str) -> BTreeSet<String> {
        packages(&self.bucket().join("repo").join(repository))
    }

    fn exists(&self, path: &str) -> bool {
        self.bucket().join(path).exists()
    }
}

fn packages(folder: &Path) -> BTreeSet<String> {
    let repomd = Repomd::read(&fs::read(folder.join("repodata/repomd.xml")).unwrap()).unwrap();
    let [primary, filelists, other] = ["primary", "filelists", "other"]
        .map(|kind| fs::read(folder.join(&repomd.record(kind).unwrap().href)).unwrap());
    let packages = repodata::read(&primary, &filelists, &other).unwrap();
    for package in &packages {
        assert!(folder.join(package.href.as_ref()).exists(), "{} of {}", package.href, folder.display());
    }
    packages.into_iter().map(|package| package.href.into_owned()).collect()
}

fn set(paths: &[&str]) -> BTreeSet<String> {
    paths.iter().map(|path| (*path).to_owned()).collect()
}

fn says(told: &str, parts: &[&str]) {
    for part in parts {
        assert!(told.contains(part), "{part:?} is not in:\n{told}");
    }
}

/// One repository with packages in two folders.
fn single() -> Place {
    let place = Place::new();
    place.upload("x/p/a-1.rpm", "a", "1");
    place.upload("x/b-1.rpm", "b", "1");
    place.upload("y/c-1.rpm", "c", "1");
    place.works(&["run"]);
    place
}

#[test]
fn one_repository_becomes_one_for_each_folder_and_both_are_read() {
    let place = single();
    let told = place.works(&["settings", "set", "repositories", "per-folder", "--dry-run"]);
    says(&told, &["\"single\" becomes \"per-folder\"", "comes", "goes", "the plan is "]);
    assert!(!place.exists("repo/x/repodata") && !place.document().contains("per-folder"));
    let report = place.lay_out("per-folder");
    assert_eq!(report["layout"]["comes"][0], serde_json::json!({"repository": "x", "packages": 2}));
    assert_eq!(report["layout"]["goes"], serde_json::json!([{"repository": "/", "packages": 3}]));
    assert_eq!(place.packages("x"), set(&["b-1.rpm", "p/a-1.rpm"]));
    assert_eq!(place.packages("y"), set(&["c-1.rpm"]));
    // Clients of the old address read on.
    assert_eq!(place.packages(""), set(&["x/b-1.rpm", "x/p/a-1.rpm", "y/c-1.rpm"]));
    says(&place.document(), &["repositories = \"per-folder\""]);
    assert!(!place.document().contains("migration"));
    // From now on it is published there, and not here.
    place.upload("x/d-1.rpm", "d", "1");
    place.works(&["run"]);
    assert_eq!(place.packages("x"), set(&["b-1.rpm", "d-1.rpm", "p/a-1.rpm"]));
    assert_eq!(place.packages("").len(), 3);
    assert_eq!(place.json(&["status"])["repositories"].as_array().unwrap().len(), 2);
    place.works(&["check", "--deep"]);
    let history = place.json(&["history"]);
    let changed = history.as_array().unwrap().iter().find(|run| run["operation"] == "settings").unwrap();
    assert_eq!((changed["by"].as_str(), changed["layout"]["to"].as_str()), (Some("me@here"), Some("per-folder")));
}

#[test]
fn what_is_held_stays_held_by_another_layout_and_a_repository_with_tags_does_not_go() {
    let place = single();
    place.upload("x/b-2.rpm", "b", "2");
    place.works(&["run"]);
    place.works(&["package", "hold", "x/b-1.rpm", "--reason", "the oldest customer"]);
    place.works(&["repo", "tag", "current", "v1"]);
    let (code, _, told) = place.yrm(&["settings", "set", "repositories", "per-folder"]);
    assert_eq!(code, 4, "{told}");
    says(&told, &["/ would go, and revisions of it have tags: v1", "yrm repo untag v1 --in /"]);
    place.works(&["repo", "untag", "v1"]);
    place.lay_out("per-folder");
    for (key, value) in [("keep-at-least", "1"), ("prune-age-days", "0")] {
        place.works(&["settings", "set", key, value]);
    }
    let report = place.json(&["prune", "--yes"]);
    assert_eq!(report["held"][0]["href"], "b-1.rpm", "{report}");
    assert_eq!(place.packages("x"), set(&["b-1.rpm", "b-2.rpm", "p/a-1.rpm"]));
}

#[test]
fn what_was_removed_by_one_layout_does_not_come_back_by_another() {
    let place = single();
    place.lay_out("per-folder");
    place.works(&["package", "remove", "y/c-1.rpm"]);
    place.works(&["package", "remove", "x/b-1.rpm"]);
    place.lay_out("single");
    assert_eq!(place.packages(""), set(&["x/p/a-1.rpm"]));
    place.upload("y/e-1.rpm", "e", "1");
    place.works(&["run"]);
    place.lay_out("per-folder");
    assert_eq!((place.packages("x"), place.packages("y")), (set(&["p/a-1.rpm"]), set(&["e-1.rpm"])));
    place.lay_out("x/*,y");
    assert_eq!((place.packages("x/p"), place.packages("y")), (set(&["a-1.rpm"]), set(&["e-1.rpm"])));
    place.works(&["check", "--deep"]);
}

#[test]
fn a_layout_by_which_a_package_would_be_in_no_repository_is_refused() {
    let place = single();
    let before = place.document();
    let (code, _, told) = place.yrm(&["settings", "set", "repositories", "depth=2"]);
    assert_eq!(code, 4, "{told}");
    says(&told, &["2 packages would be in no repository: x/b-1.rpm, y/c-1.rpm", "Promote them"]);
    assert_eq!(place.document(), before);
}

#[test]
fn packages_of_one_name_and_other_bytes_do_not_become_one_repository_s() {
    let place = Place::new();
    place.upload_rpm("el8/a-1.rpm", &Rpm::new("a", "1", "1", "noarch"));
    place.upload_rpm("el9/a-1.rpm", &Rpm::new("a", "1", "1", "noarch").build_time(7));
    place.works(&["run", "--per-folder"]);
    let (code, _, told) = place.yrm(&["settings", "set", "repositories", "single"]);
    assert_eq!(code, 4, "{told}");
    says(&told, &["packages of one name with other bytes", "el8/a-1.rpm and el9/a-1.rpm"]);
}

#[test]
fn a_change_is_what_its_dry_run_showed_or_nothing() {
    let place = single();
    let plan = place.json(&["settings", "set", "repositories", "per-folder", "--dry-run"]);
    let plan = plan["plan"].as_str().unwrap().to_owned();
    place.upload("y/n-1.rpm", "n", "1");
    place.works(&["run"]);
    let (code, _, told) = place.yrm(&["settings", "set", "repositories", "per-folder", "--expect", &plan]);
    assert_eq!(code, 4, "{told}");
    assert!(!place.exists("repo/x/repodata"));
    let plan = place.json(&["settings", "set", "repositories", "per-folder", "--dry-run"]);
    let plan = plan["plan"].as_str().unwrap().to_owned();
    place.works(&["settings", "set", "repositories", "per-folder", "--expect", &plan]);
    assert_eq!(place.packages("y"), set(&["c-1.rpm", "n-1.rpm"]));
    // Other settings have plans too.
    let plan =
        place.json(&["settings", "set", "compression", "zstd", "--dry-run"])["plan"].as_str().unwrap().to_owned();
    place.works(&["settings", "set", "grace", "24h"]);
    assert_eq!(place.yrm(&["settings", "set", "compression", "zstd", "--expect", &plan]).0, 4);
}

#[test]
fn while_the_layout_is_being_changed_others_wait_and_hear_why() {
    let place = single();
    // As whoever changes it has left it who died.
    let mark = "\n[migration]\nto = \"per-folder\"\nid = \"01JZZZZZZZZZZZZZZZZZZZZZZZ\"\nsince = \"2026-01-01T00:00:00Z\"\nby = \"eve@host\"\n";
    fs::write(place.bucket().join(".yrm/bucket.toml"), place.document() + mark).unwrap();
    place.upload("y/n-1.rpm", "n", "1");
    let (code, _, told) = place.yrm(&["run"]);
    assert_eq!(code, 4, "{told}");
    says(&told, &["eve@host", "settings set repositories 'per-folder'", "settings set repositories 'single'"]);
    assert!(place.exists("inbox/y/n-1.rpm"));
    // It is taken back, or finished.
    let document = place.document();
    place.lay_out("single");
    assert!(!place.document().contains("migration"));
    place.works(&["run"]);
    assert_eq!(place.packages("").len(), 4);
    fs::write(place.bucket().join(".yrm/bucket.toml"), document).unwrap();
    place.lay_out("per-folder");
    assert_eq!(place.packages("y"), set(&["c-1.rpm", "n-1.rpm"]));
    place.works(&["check", "--deep"]);
}
