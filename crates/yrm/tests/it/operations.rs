//! What operators ask of a bucket by the command line, and what they are told: that a dry run is as strict as the real
//! one, that a repository is called by its name, and that what came and went is said.

use std::fs;
use std::path::Path;

use forge::Rpm;
use serde_json::Value;
use tempfile::TempDir;

use crate::cli::yrm;
use crate::service::drop_file;

/// Exit code, stdout and stderr.
fn said(at: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = yrm(at).args(["--bucket", "./b"]).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// What it printed as JSON, if it ended well.
fn json(at: &Path, arguments: &[&str]) -> Value {
    let (code, out, err) = said(at, &[arguments, &["--output", "json"]].concat());
    assert_eq!(code, 0, "{arguments:?}: {out}{err}");
    serde_json::from_str(&out).unwrap()
}

fn package(name: &str) -> Vec<u8> {
    Rpm::new(name, "1", "1", "noarch").build()
}

/// A bucket with these packages in it.
fn bucket_with(paths: &[&str]) -> TempDir {
    published(TempDir::new().unwrap(), paths)
}

/// The same where every folder is a repository.
fn folders_with(paths: &[&str]) -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("yrm.toml"), "repositories = \"per-folder\"\n").unwrap();
    published(folder, paths)
}

fn published(folder: TempDir, paths: &[&str]) -> TempDir {
    fs::create_dir_all(folder.path().join("b/inbox")).unwrap();
    for path in paths {
        let name = path.rsplit('/').next().unwrap().trim_end_matches(".rpm");
        drop_file(folder.path(), path, &package(name));
    }
    json(folder.path(), &["run"]);
    folder
}

fn paths(rows: &Value) -> Vec<&str> {
    rows.as_array().unwrap().iter().map(|row| row["path"].as_str().unwrap()).collect()
}

#[test]
fn a_dry_run_of_publish_reads_the_files_and_ends_as_the_real_one_would() {
    let folder = TempDir::new().unwrap();
    let at = folder.path();
    // The keys may be the publisher's alone.
    let toml = "repositories = \"per-folder\"\nkeyring = \"not/here\"\n[[rule]]\nfolder = \"el9\"\nnames = [\"a*\"]\nsignatures = \"require\"\n\
                keys = [\"0123456789ABCDEF0123456789ABCDEF01234567\"]\n";
    fs::write(at.join("yrm.toml"), toml).unwrap();
    fs::write(at.join("a.rpm"), package("a")).unwrap();
    fs::write(at.join("other.rpm"), package("other")).unwrap();
    fs::write(at.join("cut.rpm"), &package("cut")[..200]).unwrap();
    fs::write(at.join("text.rpm"), "<html>404</html>").unwrap();

    let dry = |file: &str, to: &str| {
        let (code, out, err) = said(at, &["publish", file, "--to", to, "--dry-run", "--output", "json"]);
        let rows: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"));
        (code, rows[0].clone())
    };
    let (code, row) = dry("a.rpm", "el9");
    assert_eq!(code, 0, "{row}");
    assert_eq!(
        (&row["inbox_key"], &row["href"], &row["nevra"]),
        (&"inbox/el9/a.rpm".into(), &"a.rpm".into(), &"a-1-1.noarch".into())
    );
    assert_eq!(row["repository"], "el9");
    for (file, to, reason) in [
        ("text.rpm", "el9", "E_NOT_RPM"),
        ("cut.rpm", "el9", "E_TRUNCATED"),
        ("a.rpm", "el9/repodata", "E_BAD_KEY"),
        ("a.rpm", "", "E_NO_REPOSITORY"),
        ("other.rpm", "el9", "E_POLICY_NAME"),
    ] {
        let (code, row) = dry(file, to);
        assert_eq!((code, &row["code"]), (7, &reason.into()), "{file} to {to}: {row}");
        assert!(!row["hint"].as_str().unwrap().is_empty(), "{row}");
    }
    let (code, out, _) = said(at, &["publish", "a.rpm", "text.rpm", "--to", "el9", "--dry-run"]);
    assert_eq!(code, 7);
    assert!(out.contains("a-1-1.noarch at el9/a.rpm") && out.contains("E_NOT_RPM"), "{out}");
    assert!(!at.join("b").exists(), "nothing is begun");
}

#[test]
fn dry_run_of_remove_accepts_unknown_paths() {
    let folder = bucket_with(&["a.rpm", "b.rpm"]);
    let at = folder.path();
    let before = fs::read(at.join("b/repo/repodata/repomd.xml")).unwrap();
    let real = said(at, &["package", "remove", "a.rpm", "none.rpm"]);
    let dry = said(at, &["package", "remove", "a.rpm", "none.rpm", "--dry-run"]);
    assert_eq!(real, dry);
    assert_eq!(real.0, 4, "{real:?}");
    assert!(real.2.contains("none.rpm") && real.2.contains("nothing was changed"), "{real:?}");
    let would = json(at, &["package", "remove", "a.rpm", "--dry-run"]);
    assert_eq!(would["removed"][0]["href"], "a.rpm");
    assert_eq!(fs::read(at.join("b/repo/repodata/repomd.xml")).unwrap(), before);
    assert_eq!(json(at, &["package", "remove", "a.rpm"])["removed"][0]["href"], "a.rpm");
}

#[test]
fn a_dry_run_of_a_removal_knows_what_another_program_published() {
    let folder = bucket_with(&["a.rpm"]);
    let at = folder.path();
    fs::remove_dir_all(at.join("b/.yrm")).unwrap();
    let would = said(at, &["package", "remove", "a.rpm", "--dry-run"]);
    assert_eq!(would.0, 0, "{would:?}");
    assert_eq!(said(at, &["package", "remove", "none.rpm", "--dry-run"]).0, 4);
}

#[test]
fn a_folder_that_is_no_repository_is_refused_by_every_verb_and_those_there_are_are_named() {
    let folder = folders_with(&["el9/a.rpm", "el10/b.rpm"]);
    let at = folder.path();
    for verb in [
        &["repo", "log", "--in", "el8"][..],
        &["repo", "rollback", "1", "--in", "el8"],
        &["package", "search", "--in", "el8"],
        &["package", "remove", "a.rpm", "--in", "el8"],
        &["package", "remove", "a.rpm", "--in", "el8", "--dry-run"],
        &["status", "--in", "el8"],
        &["status", "--in", "../el9"],
        &["repo", "log"],
    ] {
        let (code, out, err) = said(at, verb);
        assert_eq!(code, 4, "{verb:?}: {out}{err}");
        assert!(err.contains("there is no repository in that folder") && err.contains("el10, el9"), "{verb:?}: {err}");
    }
    for name in ["el9", "/el9/", "./el9", "repo/el9"] {
        assert_eq!(json(at, &["repo", "log", "--in", name]).as_array().unwrap().len(), 1, "{name}");
        assert_eq!(paths(&json(at, &["package", "search", "--in", name])), ["a.rpm"], "{name}");
        let status = json(at, &["status", "--in", name]);
        assert_eq!(status["repositories"].as_array().unwrap().len(), 1, "{name}");
    }
    assert_eq!(json(at, &["package", "remove", "a.rpm", "--in", "repo/el9"])["removed"][0]["nevra"], "a-1-1.noarch");
}

#[test]
fn the_root_repository_has_four_names() {
    let folder = bucket_with(&["a.rpm"]);
    for name in ["/", ".", "", "repo/"] {
        assert_eq!(json(folder.path(), &["repo", "log", "--in", name]).as_array().unwrap().len(), 1, "{name:?}");
    }
    // Before anything is published it is there already, and empty.
    let empty = bucket_with(&[]);
    assert_eq!(json(empty.path(), &["repo", "log", "--in", "/"]), Value::Array(Vec::new()));
    let (code, _, err) = said(empty.path(), &["repo", "log", "--in", "el9"]);
    assert_eq!(code, 4);
    assert!(err.contains("there is no repository yet"), "{err}");
}

#[test]
fn status_says_that_the_folder_clients_install_from_is_not_there() {
    let folder = bucket_with(&["a.rpm"]);
    assert_eq!(said(folder.path(), &["status"]).0, 0);
    let (code, _, err) = said(folder.path(), &["status", "--repo", "wrong"]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("repo (--repo): this says \"wrong\", and the bucket has \"repo\""), "{err}");
    std::fs::rename(folder.path().join("b/repo"), folder.path().join("b/elsewhere")).unwrap();
    let (code, _, err) = said(folder.path(), &["status"]);
    assert_eq!(code, 4, "{err}");
    assert!(err.contains("the bucket has no such folder") && err.contains("repo/"), "{err}");
    // Where nothing was published yet, nothing is missing.
    assert_eq!(said(bucket_with(&[]).path(), &["status"]).0, 0);
}

#[test]
fn promote_to_a_folder_says_copy_in_progress() {
    let folder = folders_with(&["dev/sub/a.rpm"]);
    let at = folder.path();
    json(at, &["package", "promote", "dev/sub/a.rpm", "--to", "prod/"]);
    assert_eq!(paths(&json(at, &["package", "search", "--in", "prod"])), ["a.rpm"]);
    json(at, &["package", "promote", "dev/sub/a.rpm", "--to", "test/b.rpm"]);
    assert_eq!(paths(&json(at, &["package", "search", "--in", "test"])), ["b.rpm"]);
    let root = bucket_with(&["dev/a.rpm"]);
    json(root.path(), &["package", "promote", "dev/a.rpm", "--to", "/"]);
    assert_eq!(paths(&json(root.path(), &["package", "search"])), ["a.rpm", "dev/a.rpm"]);
}

#[test]
fn a_summary_counts_what_was_there_apart_and_names_what_was_replaced_and_removed() {
    let folder = bucket_with(&["a.rpm"]);
    let at = folder.path();
    drop_file(at, "a.rpm", &package("a"));
    drop_file(at, "b.rpm", &package("b"));
    let (code, out, err) = said(at, &["run"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("1 published, 1 there already, 0 rejected"), "{out}");

    drop_file(at, "a.rpm", &Rpm::new("a", "1", "1", "noarch").summary("another build").build());
    json(at, &["settings", "set", "on-conflict", "replace"]);
    let (_, out, err) = said(at, &["run", "--on-conflict", "replace"]);
    assert!(out.contains("1 published, 0 rejected") && out.contains("1 replaced"), "{out}{err}");
    let (_, out, _) = said(at, &["package", "remove", "b.rpm"]);
    assert!(out.contains("b-1-1.noarch") && out.contains("0 published") && out.contains("1 removed"), "{out}");
}

#[test]
fn a_rollback_says_what_came_and_went_and_stands_in_the_history() {
    let folder = bucket_with(&["a.rpm", "b.rpm"]);
    let at = folder.path();
    let first = json(at, &["repo", "log"])[0]["revision"].as_u64().unwrap().to_string();
    json(at, &["package", "remove", "a.rpm"]);
    drop_file(at, "c.rpm", &package("c"));
    json(at, &["run"]);
    let report = json(at, &["repo", "rollback", &first]);
    let names = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|one| one["nevra"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&report["restored"]), ["a-1-1.noarch"]);
    assert_eq!(names(&report["removed"]), ["c-1-1.noarch"]);
    let newest = json(at, &["history", "--limit", "1"])[0].clone();
    assert_eq!((&newest["run"], &newest["restored"]), (&report["run"], &report["restored"]));
    assert_eq!(paths(&json(at, &["package", "search"])), ["a.rpm", "b.rpm"]);

    let before = json(at, &["repo", "log"])[1]["revision"].as_u64().unwrap().to_string();
    let (code, out, err) = said(at, &["repo", "rollback", &before]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("1 removed, 1 brought back"), "{out}");
}

#[test]
fn doctor_and_run_leave_no_folder_of_the_probe_behind() {
    let folder = bucket_with(&["a.rpm"]);
    let at = folder.path();
    let everything = || {
        let mut found = Vec::new();
        let mut folders = vec![at.join("b")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                folders.extend(path.is_dir().then(|| path.clone()));
                found.push(path);
            }
        }
        found.sort();
        found
    };
    let before = everything();
    let (code, out, err) = said(at, &["doctor"]);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(everything(), before);
    json(at, &["run"]);
    assert_eq!(everything(), before);
}

#[test]
fn a_pruning_that_is_put_off_is_no_success() {
    let folder = TempDir::new().unwrap();
    let at = folder.path();
    fs::create_dir_all(at.join("b/inbox")).unwrap();
    for version in ["1", "2", "3", "4"] {
        drop_file(at, &format!("a-{version}.rpm"), &Rpm::new("a", version, "1", "noarch").build());
    }
    json(at, &["run"]);
    json(at, &["settings", "set", "keep-at-least", "1"]);
    json(at, &["settings", "set", "prune-age-days", "0"]);
    let (code, out, _) = said(at, &["prune"]);
    assert!(code == 3 && out.contains("3 of its 4 packages would leave at once"), "{code}: {out}");
    let plan = json(at, &["prune", "--dry-run"])["plan"].as_str().unwrap().to_owned();
    assert_eq!(json(at, &["prune", "--expect", &plan])["pruned"].as_array().unwrap().len(), 3);
}
