//! `yrm index`: what it does to a folder. What it says of packages is `equality`'s business.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use forge::Rpm;
use jiff::Timestamp;
use rpmmd::compress::Compression;
use tempfile::TempDir;
use yrm::error::ErrorKind;
use yrm::index::{self, Indexed, Options};

fn package(name: &str) -> Vec<u8> {
    Rpm::new(name, "1.0", "1", "noarch").file("/usr/share/x").build()
}

fn folder(packages: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in packages {
        fs::write(folder.path().join(format!("{name}.rpm")), package(name)).unwrap();
    }
    folder
}

fn index_at(folder: &Path, now: &str) -> yrm::error::Result<Indexed> {
    let now: Timestamp = now.parse().unwrap();
    let (compression, level) = (Compression::Gz, Compression::Gz.default_level());
    index::index(folder, &Options { output: folder, compression, level, now, progress: &|_, _| () })
}

fn index(folder: &Path) -> Indexed {
    index_at(folder, "2026-01-01T00:00:00Z").unwrap()
}

/// Everything in `repodata/`, by name, with the contents.
fn repodata(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder.join("repodata"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}

fn repomd(folder: &Path) -> String {
    fs::read_to_string(folder.join("repodata/repomd.xml")).unwrap()
}

#[test]
fn a_damaged_package_is_left_out_and_the_rest_is_indexed() {
    let folder = folder(&["good", "good-too"]);
    let good = package("damaged");
    for (name, bytes) in [
        ("a-empty.rpm", &b""[..]),
        ("b-not-an-rpm.rpm", b"<html>404 Not Found</html>"),
        ("c-cut-in-the-header.rpm", &good[..300]),
        ("d-cut-in-the-payload.rpm", &good[..good.len() - 1]),
        ("e-only-a-lead.rpm", &good[..96]),
        ("no-package.txt", b"ignored"),
    ] {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    let indexed = index(folder.path());
    assert_eq!(indexed.packages, 2);
    let skipped: Vec<&str> = indexed.skipped.iter().map(|remark| &remark.href[..1]).collect();
    assert_eq!(skipped, ["a", "b", "c", "d", "e"]);
    assert!(indexed.skipped.iter().all(|remark| !remark.text.is_empty()));
    assert!(indexed.skipped[3].text.starts_with("truncated: "), "{}", indexed.skipped[3].text);
    // The documents count what is in them, and nothing else lies beside them.
    let files = repodata(folder.path());
    assert_eq!(files.len(), 4);
    for (name, bytes) in files.iter().filter(|(name, _)| name != "repomd.xml") {
        let text = rpmmd::compress::decompress(bytes, 1 << 20).unwrap();
        assert!(String::from_utf8_lossy(&text).contains("packages=\"2\""), "{name}");
    }
    assert_eq!(rpmmd::repomd::Repomd::read(repomd(folder.path()).as_bytes()).unwrap().records.len(), 3);
}

#[test]
fn the_same_packages_again_change_no_file() {
    let folder = folder(&["a", "b"]);
    assert!(index(folder.path()).changed);
    let before = repodata(folder.path());
    assert_eq!(before.len(), 4);
    let again = index_at(folder.path(), "2026-02-02T00:00:00Z").unwrap();
    assert!(!again.changed);
    assert_eq!(repodata(folder.path()), before);
}

#[test]
fn a_lost_or_damaged_metadata_file_is_made_again() {
    let folder = folder(&["a"]);
    index(folder.path());
    let before = repodata(folder.path());
    let primary =
        folder.path().join("repodata").join(&before.iter().find(|(name, _)| name.contains("primary")).unwrap().0);
    let mut damaged = fs::read(&primary).unwrap();
    damaged[100] ^= 1;
    fs::write(&primary, damaged).unwrap();
    assert!(index(folder.path()).changed);
    fs::remove_file(&primary).unwrap();
    assert!(index(folder.path()).changed);
    let without_repomd =
        |files: Vec<(String, Vec<u8>)>| files.into_iter().filter(|(name, _)| name != "repomd.xml").collect();
    let [before, after]: [Vec<_>; 2] = [before, repodata(folder.path())].map(without_repomd);
    assert_eq!(before, after);
}

#[test]
fn superseded_metadata_is_removed_and_other_metadata_stays() {
    let folder = folder(&["a"]);
    index(folder.path());
    let first = repodata(folder.path());
    let updateinfo = folder.path().join("repodata/updateinfo.xml");
    fs::write(&updateinfo, "<updates/>").unwrap();
    let record = "<data type=\"updateinfo\"><checksum type=\"sha256\">00</checksum>\
                  <location href=\"repodata/updateinfo.xml\"/><timestamp>9999999999</timestamp></data></repomd>";
    let with_updateinfo = repomd(folder.path()).replace("</repomd>", record);
    fs::write(folder.path().join("repodata/repomd.xml"), with_updateinfo).unwrap();
    fs::write(folder.path().join("repodata/mine.txt"), "not named by repomd.xml").unwrap();

    fs::write(folder.path().join("b.rpm"), package("b")).unwrap();
    assert!(index(folder.path()).changed);
    let second = repodata(folder.path());
    let names: Vec<&str> = second.iter().map(|(name, _)| name.as_str()).collect();
    for (old, _) in first.iter().filter(|(name, _)| name != "repomd.xml") {
        assert!(!names.contains(&old.as_str()), "{old} is still there");
    }
    assert!(names.contains(&"updateinfo.xml") && names.contains(&"mine.txt"), "{names:?}");
    assert_eq!(names.len(), 6, "{names:?}");
    let text = repomd(folder.path());
    assert!(text.contains("repodata/updateinfo.xml"));
    // yum 3 goes back to older metadata when the newest timestamp goes back.
    assert!(text.contains("<timestamp>9999999999</timestamp>"));
}

#[test]
fn the_revision_grows_even_when_the_clock_goes_back() {
    let folder = folder(&["a"]);
    index_at(folder.path(), "2026-01-01T00:00:00Z").unwrap();
    assert!(repomd(folder.path()).contains("<revision>1767225600</revision>"));
    fs::write(folder.path().join("b.rpm"), package("b")).unwrap();
    index_at(folder.path(), "2020-01-01T00:00:00Z").unwrap();
    assert!(repomd(folder.path()).contains("<revision>1767225601</revision>"));
}

#[test]
fn an_empty_folder_is_an_empty_repository() {
    let folder = folder(&[]);
    assert_eq!(index(folder.path()).packages, 0);
    assert_eq!(repodata(folder.path()).len(), 4);
}

#[test]
fn index_walks_each_folder_once() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    // Each of these has two links to the next: 2^40 ways to the only package.
    for level in 0..40 {
        fs::create_dir(at(&format!("d{level}"))).unwrap();
        for link in ["a", "b"] {
            symlink(format!("../d{}", level + 1), at(&format!("d{level}/{link}"))).unwrap();
        }
    }
    fs::create_dir(at("d40")).unwrap();
    fs::write(at("d40/one.rpm"), package("one")).unwrap();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("two.rpm"), package("two")).unwrap();
    for link in ["c", "b", "a"] {
        symlink(outside.path(), at(link)).unwrap();
    }
    let indexed = index(folder.path());
    assert_eq!((indexed.packages, indexed.skipped.len()), (2, 0));
    let (_, primary) = &repodata(folder.path()).into_iter().find(|(name, _)| name.contains("primary")).unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::MultiGzDecoder::new(primary.as_slice()), &mut text).unwrap();
    // By its own path where there is one, else by the first link to it.
    assert!(text.contains("href=\"d40/one.rpm\"") && text.contains("href=\"a/two.rpm\""), "{text}");
}

#[test]
fn links_are_followed_but_not_in_circles() {
    let outside = folder(&["outside"]);
    let folder = folder(&["inside"]);
    fs::create_dir(folder.path().join("sub")).unwrap();
    symlink(folder.path(), folder.path().join("sub/up")).unwrap();
    symlink(outside.path(), folder.path().join("sub/out")).unwrap();
    symlink(outside.path().join("outside.rpm"), folder.path().join("link.rpm")).unwrap();
    symlink("nowhere", folder.path().join("dangling.rpm")).unwrap();
    let indexed = index(folder.path());
    assert_eq!((indexed.packages, indexed.skipped), (3, vec![]));
}

#[test]
fn a_damaged_repomd_is_not_taken_for_none() {
    let folder = folder(&["a"]);
    index(folder.path());
    fs::write(folder.path().join("repodata/repomd.xml"), "<repomd><data").unwrap();
    let error = index_at(folder.path(), "2026-01-01T00:00:00Z").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.hint_text().is_some());
}

#[test]
fn a_missing_folder_is_said_to_be_missing() {
    let error = index_at(Path::new("/nonexistent/folder"), "2026-01-01T00:00:00Z").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.chain().starts_with("listing /nonexistent/folder"), "{}", error.chain());
}

#[test]
fn the_command_answers_with_what_it_did_and_an_exit_code() {
    let folder = folder(&["a", "b"]);
    let output = tempfile::tempdir().unwrap();
    let run = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_yrm"));
        command
            .args(["index", "--compression", "zstd", "--output", "json", "-o"])
            .arg(output.path())
            .arg(folder.path());
        let result = command.output().unwrap();
        (result.status.code(), serde_json::from_slice::<serde_json::Value>(&result.stdout).unwrap())
    };
    let (code, answer) = run();
    assert_eq!(code, Some(0));
    assert_eq!(answer, serde_json::json!({"packages": 2, "changed": true, "warnings": [], "skipped": []}));
    assert!(repodata(output.path()).iter().any(|(name, _)| name.ends_with("-primary.xml.zst")));
    assert!(!folder.path().join("repodata").exists());

    fs::write(folder.path().join("c.rpm"), "").unwrap();
    let (code, answer) = run();
    assert_eq!(code, Some(i32::from(ErrorKind::Corrupt.exit_code())));
    let skipped = serde_json::json!([{"file": "c.rpm", "why": "the file is empty"}]);
    assert_eq!(answer, serde_json::json!({"packages": 2, "changed": false, "warnings": [], "skipped": skipped}));
}
