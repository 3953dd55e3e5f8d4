//! What forge writes, as the real `rpm` sees it.

use std::path::Path;
use std::process::Command;

use forge::{Compressor, Dependency, File, Rpm, Value};

fn run(program: &str, arguments: &[&str], directory: &Path) -> String {
    let output =
        Command::new(program).args(arguments).current_dir(directory).output().expect("the program is installed");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    said
}

fn everything() -> Rpm {
    Rpm::new("forged", "1.0~rc1", "2^git", "x86_64")
        .epoch(3)
        .provides("virtual = 1")
        .requires(Dependency::from("/bin/sh").flags(1 << 9))
        .requires("(a or b)")
        .conflicts("old < 2")
        .obsoletes("older <= 1:2-3")
        .suggests("s")
        .enhances("e")
        .recommends("r")
        .supplements("p")
        .file(File::dir("/etc/forged"))
        .file(File::new("/etc/forged/a.conf", "a = 1\n").flags(1))
        .file(File::symlink("/etc/forged/b.conf", "a.conf"))
        .file(File::new("/usr/bin/forged", "#!/bin/sh\n").mode(0o755))
        .file(File::ghost("/var/log/forged.log"))
        .changelog(1_700_000_000, "A <a@example> - 1", "- first")
        .description("Grüße")
}

#[test]
fn rpm_reads_and_verifies_it() {
    let directory = tempfile::tempdir().unwrap();
    for (file, rpm) in [
        ("gzip.rpm", everything()),
        ("stored.rpm", everything().compressor(Compressor::Stored)),
        ("none.rpm", Rpm::new("none", "1", "1", "noarch")),
        ("source.rpm", Rpm::new("source", "1", "1", "x86_64").source().file("source.spec")),
        ("large.rpm", Rpm::new("large", "1", "1", "i686").installed_bytes(5 << 30).archive_bytes(6 << 30)),
    ] {
        std::fs::write(directory.path().join(file), rpm.build()).unwrap();
        let said = run("rpm", &["-Kv", "--nosignature", file], directory.path());
        assert!(said.contains("Payload SHA256 digest: OK"), "{said}");
    }
    let all = run("rpm", &["-qp", "--nosignature", "--requires", "--provides", "-l", "gzip.rpm"], directory.path());
    for line in ["(a or b)", "forged = 3:1.0~rc1-2^git", "forged(x86-64) = 3:1.0~rc1-2^git", "/var/log/forged.log"] {
        assert!(all.lines().any(|said| said == line), "{line} in {all}");
    }
    let sizes = ["-qp", "--nosignature", "--qf", "%{LONGSIZE} %{LONGARCHIVESIZE}", "large.rpm"];
    assert_eq!(run("rpm", &sizes, directory.path()), "5368709120 6442450944");
}

#[test]
fn rpm_installs_it() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("root");
    for compressor in [Compressor::Gzip, Compressor::Stored] {
        std::fs::write(directory.path().join("a.rpm"), everything().compressor(compressor).build()).unwrap();
        let root = root.to_str().unwrap();
        run("rpm", &["--root", root, "-i", "--nodeps", "--nosignature", "--force", "a.rpm"], directory.path());
        run("rpm", &["--root", root, "-V", "--nodeps", "forged"], directory.path());
    }
    assert_eq!(std::fs::read_to_string(root.join("etc/forged/b.conf")).unwrap(), "a = 1\n");
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    assert_eq!(everything().build(), everything().build());
    assert_eq!(everything().file_name(), "forged-1.0~rc1-2^git.x86_64.rpm");
}

#[test]
fn damage_is_done_as_asked() {
    let good = everything().build();
    let bad = everything().flip(100).truncate_to(200).build();
    assert_eq!(bad.len(), 200);
    assert_eq!((bad[99], bad[100]), (good[99], !good[100]));
    let named = everything().tag(forge::tag::NAME, Value::text("other")).without_tag(forge::tag::URL).build();
    assert!(named.windows(6).any(|text| text == b"\0other" || text == b"other\0"));
}
