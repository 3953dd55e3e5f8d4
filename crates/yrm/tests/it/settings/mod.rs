//! The bucket knows its own settings: who differs from them writes nothing. By the program, as people and cron call it.

mod auto;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::cli::yrm;

/// A directory with a bucket in it, and places of other machines.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        fs::create_dir(dir.path().join("bucket")).unwrap();
        Self { dir }
    }

    fn bucket(&self) -> PathBuf {
        self.dir.path().join("bucket")
    }

    /// What an uploader does, some time ago.
    fn upload(&self, path: &str, name: &str, version: &str) {
        self.upload_to("bucket", path, name, version);
    }

    fn upload_to(&self, bucket: &str, path: &str, name: &str, version: &str) {
        let file = self.dir.path().join(bucket).join("inbox").join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, forge::Rpm::new(name, version, "1", "noarch").build()).unwrap();
        fs::File::options().write(true).open(file).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    }

    /// Exit code, and all that was said.
    fn yrm(&self, arguments: &[&str]) -> (i32, String) {
        self.yrm_in(".", arguments)
    }

    fn yrm_in(&self, folder: &str, arguments: &[&str]) -> (i32, String) {
        let output = yrm(&self.dir.path().join(folder)).args(arguments).env("YRM_ACTOR", "me@here").output().unwrap();
        let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code().unwrap(), told)
    }

    /// What has to work.
    fn works(&self, arguments: &[&str]) -> String {
        let (code, told) = self.yrm(arguments);
        assert_eq!(code, 0, "yrm {arguments:?}\n{told}");
        told
    }

    /// What has to stop before anything is written: what it said.
    fn refused(&self, arguments: &[&str]) -> String {
        let before = self.everything();
        let (code, told) = self.yrm(arguments);
        assert_eq!(code, 2, "yrm {arguments:?}\n{told}");
        assert_eq!(self.everything(), before, "yrm {arguments:?} wrote");
        told
    }

    fn everything(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        collect(&self.bucket(), &mut found);
        found
    }

    fn exists(&self, path: &str) -> bool {
        self.bucket().join(path).exists()
    }

    fn document(&self) -> String {
        fs::read_to_string(self.bucket().join(".yrm/bucket.toml")).unwrap()
    }
}

fn collect(folder: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() { collect(&path, found) } else { drop(found.insert(path.clone(), fs::read(path).unwrap())) }
    }
}

fn says(told: &str, parts: &[&str]) {
    for part in parts {
        assert!(told.contains(part), "{part:?} is not in:\n{told}");
    }
}

#[test]
fn a_forgotten_flag_makes_a_second_repository() {
    let place = Place::new();
    place.upload("el9/lib-2.0.rpm", "lib", "2.0");
    place.works(&["run", "-b", "./bucket", "--per-folder"]);
    assert!(place.exists("repo/el9/repodata/repomd.xml"));
    // Cron, CI or a laptop forgets the flag: the bucket knows.
    place.upload("el9/lib-2.1.rpm", "lib", "2.1");
    place.works(&["run", "-b", "./bucket"]);
    assert!(!place.exists("repo/repodata/repomd.xml"), "a second repository over everything");
    let found = place.works(&["package", "search", "lib-2.1", "-b", "./bucket", "--output", "json"]);
    says(&found, &["\"repository\":\"el9\""]);
    // Who says something else writes nothing, and hears what differs and what to do.
    place.upload("el9/lib-2.2.rpm", "lib", "2.2");
    let told = place.refused(&["run", "-b", "./bucket", "--repositories", "single"]);
    says(
        &told,
        &["repositories (--repositories)", "\"single\"", "\"per-folder\"", "yrm settings set repositories single"],
    );
    place.works(&["run", "-b", "./bucket"]);
    let promoted = ["package", "promote", "el9/lib-2.2.rpm", "--to", "stable/lib-2.2.rpm", "-b", "./bucket"];
    place.works(&promoted);
    assert!(place.exists("repo/stable/repodata/repomd.xml") && !place.exists("repo/repodata/repomd.xml"));
}

#[test]
fn a_laptop_without_the_key_deletes_the_signatures() {
    let place = Place::new();
    place.works(&["key", "generate", "--algorithm", "ed25519", "--out", "signing.key"]);
    place.works(&["key", "generate", "--algorithm", "ed25519", "--out", "other.key"]);
    place.upload("a.rpm", "a", "1");
    place.upload("b.rpm", "b", "1");
    place.works(&["run", "-b", "./bucket", "--signing-key", "signing.key"]);
    assert!(place.exists("repo/repodata/repomd.xml.asc"));
    place.upload("c.rpm", "c", "1");
    for verb in [&["run"][..], &["package", "remove", "a.rpm"], &["package", "promote", "a.rpm", "--to", "x/a.rpm"]] {
        let told = place.refused(&[verb, &["-b", "./bucket"]].concat());
        says(&told, &["signing-keys", "signing-key is not set", "yrm settings unset signing-keys"]);
    }
    let told = place.refused(&["run", "-b", "./bucket", "--signing-key", "other.key"]);
    says(&told, &["signing-keys: the bucket has", "yrm settings set signing-keys"]);
    assert!(place.exists("repo/repodata/repomd.xml.asc"));
    // The next key comes with one that may sign.
    place.works(&["run", "-b", "./bucket", "--signing-key", "signing.key,other.key"]);
    place.upload("d.rpm", "d", "1");
    place.works(&["run", "-b", "./bucket", "--signing-key", "other.key"]);
    place.works(&["key", "verify", "-b", "./bucket", "--key", "other.key.pub"]);
}

#[test]
fn a_laptop_with_the_default_compression_flips_the_format() {
    let place = Place::new();
    place.upload("a.rpm", "a", "1");
    place.works(&["run", "-b", "./bucket", "--compression", "zstd"]);
    place.upload("b.rpm", "b", "1");
    place.works(&["run", "-b", "./bucket"]);
    let repomd = fs::read_to_string(place.bucket().join("repo/repodata/repomd.xml")).unwrap();
    assert!(repomd.contains("primary.xml.zst") && !repomd.contains(".gz"), "{repomd}");
    place.upload("c.rpm", "c", "1");
    let told = place.refused(&["package", "remove", "b.rpm", "-b", "./bucket", "--compression", "gz"]);
    says(&told, &["compression (--compression): this says \"gz\", and the bucket has \"zstd\""]);
    let shown = place.works(&["config", "show", "-b", "./bucket", "--output", "json"]);
    says(&shown, &[r#"{"name":"compression","value":"zstd","source":".yrm/bucket.toml"}"#]);
}

#[test]
fn yrm_toml_of_the_working_directory_applies_to_another_bucket() {
    let place = Place::new();
    fs::create_dir(place.dir.path().join("signed")).unwrap();
    let key = ["key", "generate", "--algorithm", "ed25519", "--out", "signing.key"];
    assert_eq!(place.yrm_in("signed", &key).0, 0);
    let toml = "bucket = \"./bk\"\nsigning-key = \"signing.key\"\n";
    fs::write(place.dir.path().join("signed/yrm.toml"), toml).unwrap();
    place.upload("a.rpm", "a", "1");
    let before = place.everything();
    let (code, told) = place.yrm_in("signed", &["run", "-b", "../bucket"]);
    assert_eq!(code, 2, "{told}");
    says(&told, &["yrm.toml in the working directory is for ./bk", "--bucket names ../bucket", "--config FILE"]);
    assert_eq!(place.everything(), before);
    // Who names the file means it, and the same bucket in other words is the same.
    fs::create_dir(place.dir.path().join("signed/bk")).unwrap();
    place.upload_to("signed/bk", "a.rpm", "a", "1");
    assert_eq!(place.yrm_in("signed", &["run", "-b", "./bk/../bk"]).0, 0);
    assert_eq!(place.yrm_in("signed", &["status", "-b", place.dir.path().join("signed/bk").to_str().unwrap()]).0, 0);
    let (code, told) = place.yrm_in("signed", &["run", "-b", "../bucket", "--config", "yrm.toml"]);
    assert_eq!(code, 0, "{told}");
}

#[test]
fn a_damaged_or_newer_document_stops_every_writer_with_what_to_do() {
    let place = Place::new();
    place.upload("a.rpm", "a", "1");
    place.works(&["run", "-b", "./bucket"]);
    let good = place.document();
    place.upload("b.rpm", "b", "1");
    for (bad, parts) in [
        (good.replace("schema = 1", "schema = 2"), &["schema 2", "update yrm"][..]),
        (good.replace("compression = \"gz\"", "compression = \"gx\""), &["compression: \"gx\"", "write gz or zstd"]),
        (good.replace("compression", "compressoin"), &["\"compressoin\" is no setting", "did you mean compression?"]),
        ("schema".to_owned(), &["line 1"]),
        (String::new(), &["it does not say which schema it has", "mend the file"]),
    ] {
        fs::write(place.bucket().join(".yrm/bucket.toml"), bad).unwrap();
        let before = place.everything();
        let (code, told) = place.yrm(&["run", "-b", "./bucket"]);
        assert_eq!(code, 6, "{told}");
        says(&told, parts);
        assert_eq!(place.everything(), before);
    }
    fs::write(place.bucket().join(".yrm/bucket.toml"), good).unwrap();
    place.works(&["run", "-b", "./bucket"]);
}

#[test]
fn an_old_bucket_gets_its_settings_at_the_first_change_and_stays_signed() {
    let place = Place::new();
    place.works(&["key", "generate", "--algorithm", "ed25519", "--out", "signing.key"]);
    place.upload("a.rpm", "a", "1");
    place.works(&["run", "-b", "./bucket", "--signing-key", "signing.key"]);
    // As an earlier version has left it.
    fs::remove_file(place.bucket().join(".yrm/bucket.toml")).unwrap();
    place.works(&["run", "-b", "./bucket", "--signing-key", "signing.key"]);
    assert!(!place.exists(".yrm/bucket.toml"), "nothing was changed");
    place.upload("b.rpm", "b", "1");
    let told = place.refused(&["run", "-b", "./bucket"]);
    says(&told, &["is signed", "signing-key is not set", "yrm settings unset signing-keys"]);
    assert!(place.exists("repo/repodata/repomd.xml.asc") && place.exists("inbox/b.rpm"));
    let told = place.refused(&["settings", "set", "repositories", "per-folder", "-b", "./bucket"]);
    says(&told, &["it has the repositories /", "means none of them"]);
    place.works(&["run", "-b", "./bucket", "--signing-key", "signing.key"]);
    says(&place.document(), &["schema = 1", "repositories = \"single\"", "signing-keys = [\"", "key-name = \"yrm\""]);
}

#[test]
fn settings_are_shown_changed_taken_out_and_on_record() {
    let place = Place::new();
    let settings = |words: &[&str]| place.yrm(&[&["settings"], words, &["-b", "./bucket"]].concat());
    let (code, told) = settings(&["show"]);
    assert_eq!(code, 0, "{told}");
    says(&told, &["repositories", "single", "the bucket keeps no settings yet"]);
    place.upload("el9/a-1.rpm", "a", "1");
    place.works(&["run", "-b", "./bucket", "--per-folder"]);
    let before = place.everything();
    let (code, told) = settings(&["set", "keep-at-least", "3", "--dry-run"]);
    assert_eq!((code, place.everything() == before), (0, true), "{told}");
    says(
        &told,
        &["keep-at-least   –       3", "prune-age-days  –       60", "the next run prunes", "Nothing was changed"],
    );
    let (code, told) = settings(&["set", "keep-at-least", "3", "--reason", "the disk is full"]);
    assert_eq!(code, 0, "{told}");
    says(&place.document(), &["keep-at-least = 3\nprune-age-days = 60\n"]);
    let (code, told) = settings(&["set", "compression", "zstd", "--folder", "el9"]);
    assert_eq!(code, 0, "{told}");
    says(&place.document(), &["[[folder]]\nmatch = [\"el9\"]\ncompression = \"zstd\"\n"]);
    place.upload("el9/a-2.rpm", "a", "2");
    place.works(&["run", "-b", "./bucket"]);
    let repomd = fs::read_to_string(place.bucket().join("repo/el9/repodata/repomd.xml")).unwrap();
    says(&repomd, &["primary.xml.zst"]);
    let (_, told) = settings(&["show", "--folder", "el9", "--output", "json"]);
    says(&told, &[r#"{"setting":"compression","folder":"el9","value":"zstd","stated":true}"#]);
    let (code, told) = settings(&["unset", "compression", "--folder", "el9"]);
    assert_eq!((code, place.document().contains("[[folder]]")), (0, false), "{told}");
    let (_, told) = settings(&["set", "keep-at-least", "3"]);
    says(&told, &["nothing changes"]);
    let (_, told) = settings(&["history"]);
    says(
        &told,
        &[
            "me@here changed them: the disk is full\n  keep-at-least: – → 3",
            "a writer stored them",
            "compression in el9: zstd → –",
        ],
    );
    for (words, parts) in [
        (&["set", "compresion", "gz"][..], &["did you mean compression?"][..]),
        (&["set", "compression", "bz2"], &["write gz or zstd"]),
        (&["set", "listen", "0.0.0.0:80"], &["\"listen\" is no setting of a bucket"]),
        (&["set", "repo", "other"], &["repositories have been published (el9)", "nothing was changed"]),
        (&["set", "mirrorlist", "true"], &["nobody says where clients reach", "nothing was changed"]),
        (&["set", "keyring", "/etc/keys"], &["write bucket:FOLDER"]),
        (&["set", "signing-keys", "ABCD"], &["no key's fingerprint"]),
        (&["set", "grace", "1h", "--folder", "el9"], &["the same in every folder"]),
    ] {
        let before = place.everything();
        let (code, told) = settings(words);
        assert_eq!((code, place.everything() == before), (2, true), "{words:?} {told}");
        says(&told, parts);
    }
}

#[test]
fn a_bucket_is_signed_and_goes_unsigned_on_purpose_only() {
    let place = Place::new();
    place.upload("a.rpm", "a", "1");
    place.works(&["run", "-b", "./bucket"]);
    let made = place.works(&["key", "generate", "--algorithm", "ed25519", "--out", "signing.key", "--output", "json"]);
    let fingerprint = made.split('"').find(|word| word.len() == 40).unwrap().to_owned();
    place.upload("b.rpm", "b", "1");
    let told = place.refused(&["run", "-b", "./bucket", "--signing-key", "signing.key"]);
    says(&told, &["signing-keys: the bucket has none", &format!("yrm settings set signing-keys {fingerprint}")]);
    place.works(&["settings", "set", "signing-keys", &fingerprint, "-b", "./bucket"]);
    place.refused(&["run", "-b", "./bucket"]);
    place.works(&["run", "-b", "./bucket", "--signing-key", "signing.key"]);
    assert!(place.exists("repo/repodata/repomd.xml.asc"));
    says(&place.document(), &["key-name = \"yrm\""]);
    place.works(&["settings", "unset", "signing-keys", "-b", "./bucket"]);
    place.upload("c.rpm", "c", "1");
    place.refused(&["run", "-b", "./bucket", "--signing-key", "signing.key"]);
    place.works(&["run", "-b", "./bucket"]);
    assert!(!place.exists("repo/repodata/repomd.xml.asc"));
}

#[test]
fn settings_check_tells_whether_this_machine_agrees() {
    let place = Place::new();
    place.upload("a.rpm", "a", "1");
    place.works(&["run", "-b", "./bucket", "--compression", "zstd", "--grace", "96h"]);
    says(&place.works(&["settings", "check", "-b", "./bucket"]), &["this machine agrees"]);
    place.works(&["settings", "check", "-b", "./bucket", "--grace", "4d"]);
    let told = place.refused(&["settings", "check", "-b", "./bucket", "--compression", "gz"]);
    says(&told, &["compression: the bucket has \"zstd\", and here it is \"gz\""]);
    // What a yrm.toml says in tables is a statement, too.
    fs::write(place.dir.path().join("rules.toml"), "[[rule]]\nfolder = \"el9\"\ncompression = \"gz\"\n").unwrap();
    let told = place.refused(&["run", "-b", "./bucket", "--config", "rules.toml"]);
    says(&told, &["folder (rules.toml): this says folder=el9 compression=gz, and the bucket has none"]);
    place.works(&["settings", "set", "compression", "gz", "--folder", "el9", "-b", "./bucket"]);
    place.works(&["run", "-b", "./bucket", "--config", "rules.toml"]);
}

#[test]
fn a_service_takes_changed_settings_over_without_a_restart() {
    let place = Place::new();
    place.upload("a.rpm", "a", "1");
    let log = place.dir.path().join("log");
    let arguments =
        ["serve", "-b", "./bucket", "--listen", "127.0.0.1:0", "--time-interval", "1s", "--log-file", "log"];
    let mut service = yrm(place.dir.path()).args(arguments).stderr(std::process::Stdio::null()).spawn().unwrap();
    let wait_for = |what: &dyn Fn() -> bool| {
        let began = std::time::Instant::now();
        while !what() && began.elapsed() < std::time::Duration::from_mins(2) {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    };
    wait_for(&|| place.exists("repo/a.rpm") && place.exists(".yrm/bucket.toml"));
    place.works(&["settings", "set", "compression", "zstd", "-b", "./bucket"]);
    // It believes what it knows for a minute.
    std::thread::sleep(std::time::Duration::from_secs(61));
    place.upload("b.rpm", "b", "1");
    wait_for(&|| place.exists("repo/b.rpm") && !place.exists("inbox/b.rpm"));
    let repomd = fs::read_to_string(place.bucket().join("repo/repodata/repomd.xml")).unwrap();
    service.kill().unwrap();
    service.wait().unwrap();
    let log = fs::read_to_string(log).unwrap();
    says(&log, &["the bucket's settings were changed; from now on this service goes by them: compression: gz → zstd"]);
    says(&repomd, &["primary.xml.zst"]);
}
