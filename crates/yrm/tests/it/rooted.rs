//! The repository is the bucket's root, as `createrepo_c .` and `aws s3 sync` leave it: by the program, with createrepo
//! and dnf.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use forge::Rpm;
use serde_json::Value;
use tempfile::TempDir;

use crate::cli::yrm;
use crate::service::Serve;

/// What createrepo made at a bucket's root.
struct Place(TempDir);

impl Place {
    fn made_by_createrepo(folders: &[&str]) -> Self {
        let place = Self(TempDir::new().unwrap());
        for folder in folders {
            let folder = place.bucket().join(folder);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("old-1.rpm"), Rpm::new("old", "1", "1", "noarch").build()).unwrap();
            fs::write(folder.join("other-1.rpm"), Rpm::new("other", "1", "1", "noarch").build()).unwrap();
            let made = Command::new("createrepo_c").arg("--quiet").arg(&folder).output().unwrap();
            assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        }
        place
    }

    fn bucket(&self) -> PathBuf {
        self.0.path().join("bucket")
    }

    fn upload(&self, path: &str, name: &str) {
        let file = self.bucket().join("inbox").join(path.trim_start_matches('/'));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, Rpm::new(name, "1", "1", "noarch").build()).unwrap();
        fs::File::options().write(true).open(file).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    }

    fn yrm(&self, arguments: &[&str]) -> Output {
        yrm(self.0.path()).args(arguments).args(["-b", "./bucket"]).output().unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.yrm(&[arguments, &["--output", "json"]].concat());
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{arguments:?}: {out}{err}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn exists(&self, path: &str) -> bool {
        self.bucket().join(path.trim_start_matches('/')).exists()
    }
}

/// What dnf downloads from there.
fn dnf(folder: &Path, url: &str, packages: &[&str]) {
    let output = Command::new("dnf")
        .args(["-y", "--releasever=1", "--disableplugin=*", "--repo=ours", "--setopt=reposdir=/dev/null"])
        .arg(format!("--repofrompath=ours,{url}"))
        .args(["--setopt=ours.gpgcheck=0", "--setopt=retries=1"])
        .arg(format!("--setopt=cachedir={}", folder.join("cache").display()))
        .arg(format!("--installroot={}", folder.join("root").display()))
        .arg("install")
        .args(packages)
        .output()
        .unwrap();
    assert!(output.status.success(), "{url}: {output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_createrepo_made_at_the_root_is_taken_over_and_dnf_installs_from_it() {
    for (text, layout, folders) in [("", "single", &[""][..]), (".", "depth=2", &["el9/x86_64", "el10/noarch"])] {
        let place = Place::made_by_createrepo(folders);
        let first = folders[0];
        place.upload(&format!("{first}/new-1.rpm"), "new");
        place.upload("inbox/evil-1.rpm", "evil");
        let by = ["--repo", text, "--repositories", layout];
        let report = place.json(&[&["run"][..], &by].concat());
        assert_eq!(report["published"].as_array().unwrap().len(), 1, "{report:#}");
        assert_eq!(report["repositories"][0]["adoption"]["packages"], 2, "{report:#}");
        assert_eq!(report["rejected"][0]["code"], "E_BAD_KEY", "{report:#}");
        assert!(place.exists(&format!("{first}/new-1.rpm")) && !place.exists("inbox/inbox/evil-1.rpm"));
        // From now on the bucket says it.
        let checked = place.json(&["check", "--deep"]);
        assert_eq!(checked["repositories"].as_array().unwrap().len(), folders.len(), "{checked:#}");
        let status = place.json(&["status"]);
        assert_eq!(status["repositories"][0]["packages"], 3, "{status:#}");
        let removed = format!("{first}/other-1.rpm");
        place.json(&["package", "remove", &removed]);
        assert!(place.yrm(&["doctor"]).status.success());
        place.json(&["check", "--deep"]);

        let service = Serve::spawn(yrm(place.0.path()).args([
            "serve",
            "-b",
            "./bucket",
            "--listen",
            "127.0.0.1:0",
            "--log-format",
            "json",
        ]));
        let url = format!("http://{}/{first}", service.address());
        dnf(place.0.path(), &url, &["old", "new"]);
        for (path, code) in [
            (format!("/{first}/repodata/repomd.xml").replace("//", "/"), 200),
            ("/livez".to_owned(), 200),
            ("/.yrm/bucket.toml".to_owned(), 404),
            ("/%2eyrm/bucket.toml".to_owned(), 404),
            (quarantined(&place), 404),
        ] {
            assert_eq!(service.get(&path).await.0, code, "{path}");
        }
        service.terminate();
    }
}

/// The address that a rejected file would have.
fn quarantined(place: &Place) -> String {
    let folder = place.bucket().join("quarantine/inbox");
    let name = fs::read_dir(folder).unwrap().next().unwrap().unwrap().file_name();
    format!("/quarantine/inbox/{}", name.to_str().unwrap())
}

#[test]
fn a_writer_whose_layout_means_none_of_what_createrepo_made_is_told_which_does() {
    for repo in [".", "repo"] {
        let below = |dir: &str| if repo == "." { dir.to_owned() } else { format!("{repo}/{dir}") };
        let place = Place::made_by_createrepo(&[&below("el9/x86_64"), &below("el10/noarch")]);
        place.upload("el9/x86_64/new-1.rpm", "new");
        let output = place.yrm(&["run", "--repo", repo]);
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{err}");
        for part in ["made the repositories el10/noarch, el9/x86_64,", "Say --repositories \"depth=2\""] {
            assert!(err.contains(part), "{part} is not in {err}");
        }
        assert!(!place.exists(".yrm/bucket.toml") && place.exists("inbox/el9/x86_64/new-1.rpm"), "nothing was written");
        // Who means it says so.
        assert!(place.yrm(&["settings", "set", "repositories", "single", "--repo", repo]).status.success());
        let report = place.json(&["run"]);
        assert_eq!(report["published"].as_array().unwrap().len(), 1, "{report:#}");
        assert!(place.exists(&below("repodata/repomd.xml")));
    }
}

#[test]
fn the_folder_of_a_bucket_with_packages_is_not_changed_to_the_root() {
    let place = Place::made_by_createrepo(&["repo"]);
    place.upload("new-1.rpm", "new");
    place.json(&["run"]);
    for arguments in [&["settings", "set", "repo", "."][..], &["run", "--repo", ""]] {
        let output = place.yrm(arguments);
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{arguments:?}: {err}");
        assert!(err.contains("repo"), "{arguments:?}: {err}");
    }
    assert!(!place.exists("repodata"));
}

#[test]
fn a_folder_of_the_bucket_holds_no_keys_where_packages_lie_at_the_root() {
    let place = Place::made_by_createrepo(&[""]);
    let output = place.yrm(&["run", "--repo", ".", "--keyring", "bucket:keys", "--signatures", "known"]);
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{err}");
    assert!(err.contains("bucket:keys would be a folder of packages: repo is the bucket's root"), "{err}");
}

#[cfg(feature = "aws")]
#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_of_a_bucket_in_s3_is_the_repository_and_what_lies_outside_stays_unseen() {
    use crate::s3_server::server;

    let place = TempDir::new().unwrap();
    let bucket = server().make_bucket().await;
    let package = |name: &str| Rpm::new(name, "1", "1", "noarch").build();
    for (key, bytes) in [
        ("repo/inbox/x86_64/new-1.rpm", package("new")),
        ("repo/x86_64/old-1.rpm", package("old")),
        ("repo/quarantine/q-1.rpm", package("q")),
        ("x86_64/outside-1.rpm", package("outside")),
        ("yrm-x86_64", b"a release".to_vec()),
    ] {
        server().client().put_object().bucket(&bucket).key(key).body(bytes.into()).send().await.unwrap();
    }
    let run = |arguments: &[&str]| {
        let mut command = yrm(place.path());
        server().lead(&mut command, &bucket);
        command.env("YRM_BUCKET", format!("s3://{bucket}/repo"));
        let output = command.args(arguments).args(["--output", "json"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let report = run(&["run", "--repo", ".", "--repositories", "per-folder"]);
    assert_eq!(report["errors"], serde_json::json!([]), "{report:#}");
    let checked = run(&["check", "--deep"]);
    assert_eq!(checked["repositories"][0]["packages"], 2, "{checked:#}");
    run(&["run"]);
    dnf(place.path(), &format!("{}/{bucket}/repo/x86_64/", server().endpoint()), &["old", "new"]);
    for key in ["repo/quarantine/q-1.rpm", "x86_64/outside-1.rpm", "yrm-x86_64"] {
        server().client().head_object().bucket(&bucket).key(key).send().await.unwrap();
    }
}
