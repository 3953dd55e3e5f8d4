//! A tag as dnf finds it: installed from, and mirrored, after the repository has gone on.

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use super::clients::{Client, Service, drop_samples, json};
use crate::cli::yrm;

/// A signed bucket whose revision with all samples is tagged, and which has lost greeter since.
fn tagged(public_url: Option<&str>) -> TempDir {
    let folder = TempDir::new().unwrap();
    json(yrm(folder.path()).args(["key", "generate", "--out", "signing.key", "--algorithm", "ed25519"]));
    let url = public_url.map_or_else(String::new, |url| format!("public-url = [\"{url}\"]\n"));
    let toml = format!("bucket = \"./bucket\"\nsigning-key = \"signing.key\"\n{url}");
    std::fs::write(folder.path().join("yrm.toml"), toml).unwrap();
    drop_samples(folder.path());
    json(yrm(folder.path()).arg("run"));
    json(yrm(folder.path()).args(["repo", "tag", "current", "v1"]));
    json(yrm(folder.path()).args(["package", "remove", "greeter", "--allow-shrink"]));
    folder
}

fn packages_below(folder: &Path) -> Vec<String> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rpm") {
                found.push(path.file_name().unwrap().to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn dnf_installs_from_a_tag_what_the_repository_has_lost() {
    let folder = tagged(None);
    let service = Service::start(folder.path());
    let key = format!("{}/RPM-GPG-KEY-yrm", service.1);
    let now = Client::new(&service.1, "yrm").dnf(&["install", "greeter"]);
    assert!(!now.status.success(), "it was removed");
    let tag = format!("baseurl={}/repodata/tag-v1", service.1);
    Client::of(&tag, &key).assert_installs_greeter();
    json(yrm(folder.path()).args(["repo", "untag", "v1"]));
    let over = Client::of(&tag, &key).dnf(&["makecache", "--refresh"]);
    assert!(!over.status.success(), "it is untagged");
}

#[test]
fn dnf_reposync_mirrors_a_tag_where_the_address_of_the_bucket_is_known() {
    // The address has to be known before anything is served there.
    let folder = TempDir::new().unwrap();
    std::fs::create_dir_all(folder.path().join("bucket/inbox")).unwrap();
    let service = Service::of_files(folder.path());
    let bucket = tagged(Some(&service.1));
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .arg(bucket.path().join("bucket/repo"))
        .arg(folder.path().join("bucket"))
        .status()
        .unwrap();
    assert!(copied.success());
    let (key, tag) = (format!("{}/RPM-GPG-KEY-yrm", service.1), format!("baseurl={}/repodata/tag-v1", service.1));
    Client::of(&tag, &key).assert_installs_greeter();
    let mirror = TempDir::new().unwrap();
    let path = format!("--download-path={}", mirror.path().display());
    let output = Client::of(&tag, &key).dnf(&["--enableplugin=reposync", "reposync", &path]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tags = json(yrm(bucket.path()).args(["repo", "show", "v1"]));
    let wanted = tags["packages"].as_array().unwrap().iter().map(|one| one["package"].as_str().unwrap().to_owned());
    let mut wanted: Vec<String> = wanted.collect();
    wanted.sort();
    assert_eq!(packages_below(mirror.path()), wanted);
    assert_ne!(tags["revision"], Value::Null);
}
