//! `repositories = "auto"`: the first writer goes by what is there, and everybody else by what it stored.

use std::fs;
use std::path::Path;

use forge::Rpm;
use serde_json::Value;
use tempfile::TempDir;

use crate::cli::yrm;

fn upload(at: &Path, path: &str, name: &str) {
    let file = at.join("b/inbox").join(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, Rpm::new(name, "1", "1", "noarch").build()).unwrap();
    fs::File::options().write(true).open(file).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
}

/// What a command printed, which has to work.
fn works(at: &Path, arguments: &[&str]) -> Value {
    let output = yrm(at).args(arguments).args(["-b", "./b", "--output", "json"]).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn layout(at: &Path) -> String {
    let shown = works(at, &["settings", "show"]);
    let rows = shown["settings"].as_array().unwrap();
    rows.iter().find(|row| row["setting"] == "repositories").unwrap()["value"].as_str().unwrap().to_owned()
}

#[test]
fn auto_is_where_repodata_lies() {
    let folder = TempDir::new().unwrap();
    let at = folder.path();
    for dir in ["el9/x86_64", "el9/noarch", "el10/x86_64"] {
        let dir = at.join("b/repo").join(dir);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("old.rpm"), Rpm::new("old", "1", "1", "noarch").build()).unwrap();
        let indexed = yrm(at).arg("index").arg(&dir).output().unwrap();
        assert!(indexed.status.success(), "{}", String::from_utf8_lossy(&indexed.stderr));
    }
    upload(at, "el9/x86_64/new.rpm", "new");
    works(at, &["run", "--repositories", "auto"]);
    assert_eq!(layout(at), "depth=2");
    let found = works(at, &["package", "search", "*", "--in", "el9/x86_64"]);
    assert_eq!(found.as_array().unwrap().len(), 2, "{found}");
    // It agrees with what the bucket says by now, whatever that is.
    upload(at, "el10/x86_64/new.rpm", "new");
    works(at, &["run", "--repositories", "auto"]);
    works(at, &["run"]);
    assert!(!at.join("b/repo/repodata").exists() && !at.join("b/repo/el9/repodata").exists());
}

#[test]
fn auto_is_a_repository_for_each_folder_in_a_new_bucket_and_no_other_layout_later() {
    let folder = TempDir::new().unwrap();
    let at = folder.path();
    upload(at, "el9/a.rpm", "a");
    works(at, &["run", "--repositories", "auto"]);
    assert_eq!(layout(at), "per-folder");
    upload(at, "el10/b.rpm", "b");
    works(at, &["run", "--repositories", "auto"]);
    assert!(at.join("b/repo/el10/repodata/repomd.xml").exists());
    let refused = yrm(at).args(["settings", "set", "repositories", "auto", "-b", "./b"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("name the layout"));
}
