//! The same by the command line, as operators and scripts see it.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde_json::Value;
use tempfile::TempDir;

use super::signers::{Signer, Signers};
use crate::cli::yrm;
use crate::service::{Serve, drop_file};

/// A bucket in `b` whose `yrm.toml` asks for signatures by Ed25519 keys.
fn strict_bucket() -> (TempDir, Signers) {
    let (directory, by) = (TempDir::new().unwrap(), Signers::of(&[Signer::Ed25519]));
    let toml = format!(
        "bucket = \"./b\"\nkeyring = \"{}\"\n\n[[rule]]\nfolder = \"el9\"\nsignatures = \"require\"\nkeys = [\"{}\"]\n",
        by.keyring().display(),
        by.fingerprint(Signer::Ed25519),
    );
    fs::write(directory.path().join("yrm.toml"), toml).unwrap();
    fs::create_dir_all(directory.path().join("b/inbox")).unwrap();
    (directory, by)
}

fn package(name: &str) -> Vec<u8> {
    forge::Rpm::new(name, "1.0", "1", "noarch").build()
}

fn output(directory: &Path, arguments: &[&str]) -> Output {
    yrm(directory).args(arguments).output().unwrap()
}

/// Exit code, stdout and stderr.
fn said(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn json(directory: &Path, arguments: &[&str]) -> Value {
    let (code, out, err) = said(&output(directory, &[arguments, &["--output", "json"]].concat()));
    assert_eq!(code, 0, "{arguments:?}: {out}{err}");
    serde_json::from_str(&out).unwrap()
}

#[test]
fn publish_and_wait_says_why_an_unsigned_package_is_rejected_and_exits_7() {
    let (directory, by) = strict_bucket();
    let at = directory.path();
    fs::write(at.join("plain.rpm"), package("plain")).unwrap();
    fs::write(at.join("signed.rpm"), by.rpmsign(Signer::Ed25519, &package("signed"), &[])).unwrap();
    let serve =
        Serve::spawn(yrm(at).args(["serve", "--listen", "127.0.0.1:0", "-t", "1", "--log-format", "json", "-v"]));
    let wait = ["publish", "plain.rpm", "--to", "el9", "--wait", "--timeout", "2m"];
    let (code, out, err) = said(&output(at, &wait));
    assert_eq!(code, 7, "{out}{err}");
    assert!(out.contains("rejected") && out.contains("E_UNSIGNED: it is not signed (sign the package"), "{out}");
    let as_json = output(at, &[&wait[..], &["--output", "json"]].concat());
    assert_eq!(as_json.status.code(), Some(7));
    let deliveries: Value = serde_json::from_slice(&as_json.stdout).unwrap();
    assert_eq!(deliveries[0]["rejected"]["code"], "E_UNSIGNED");
    let (code, out, err) = said(&output(at, &["publish", "signed.rpm", "--to", "el9", "--wait", "--timeout", "2m"]));
    assert_eq!(code, 0, "{out}{err}");
    // Elsewhere nobody asks.
    let (code, out, err) = said(&output(at, &["publish", "plain.rpm", "--to", "el8", "--wait", "--timeout", "2m"]));
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(serve.terminate().0, Some(0));
}

#[test]
fn what_is_in_quarantine_is_listed_shown_released_and_dropped() {
    let (directory, by) = strict_bucket();
    let at = directory.path();
    assert_eq!(json(at, &["quarantine", "list"]), Value::Array(Vec::new()));
    drop_file(at, "el9/plain.rpm", &package("plain"));
    drop_file(at, "el9/junk.rpm", b"not a package");
    let uploaded = SystemTime::now() - Duration::from_hours(48);
    fs::File::open(at.join("b/inbox/el9/junk.rpm")).unwrap().set_modified(uploaded).unwrap();
    let report = json(at, &["run"]);
    assert_eq!(report["rejected"].as_array().unwrap().len(), 2);

    let listed = json(at, &["quarantine", "list"]);
    let codes: Vec<&str> =
        listed.as_array().unwrap().iter().map(|row| row["record"]["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["E_NOT_RPM", "E_UNSIGNED"]);
    let rejected: Timestamp = listed[0]["rejected_at"].as_str().unwrap().parse().unwrap();
    let ago = Timestamp::now().duration_since(rejected).as_hours();
    assert_eq!(ago, 0, "it was rejected now, whenever it was uploaded");
    let unsigned = json(at, &["quarantine", "list", "--code", "E_UNSIGNED"]);
    assert_eq!(unsigned.as_array().unwrap().len(), 1);
    let (key, id) = (unsigned[0]["quarantine_key"].as_str().unwrap(), unsigned[0]["id"].as_str().unwrap());
    assert!(key.starts_with("quarantine/el9/plain.rpm.") && key.ends_with(id), "{key} {id}");
    let (code, shown, _) = said(&output(at, &["quarantine", "show", id]));
    assert_eq!(code, 0);
    for part in ["E_UNSIGNED", "it is not signed", "inbox/el9/plain.rpm", "rpmsign"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }

    // A dry run changes nothing; a newer upload is never replaced.
    let dry = json(at, &["quarantine", "release", key, "--dry-run"]);
    assert_eq!((&dry[0]["state"], &dry[0]["inbox_key"]), (&"would be released".into(), &"inbox/el9/plain.rpm".into()));
    assert!(at.join("b").join(key).exists() && !at.join("b/inbox/el9/plain.rpm").exists());
    fs::create_dir_all(at.join("b/inbox/el9")).unwrap();
    fs::write(at.join("b/inbox/el9/plain.rpm"), b"a newer upload").unwrap();
    let (code, out, err) = said(&output(at, &["quarantine", "release", id]));
    assert_eq!(code, 4, "{out}{err}");
    assert!(err.contains("inbox/el9/plain.rpm holds an upload") && err.contains("hint: nothing was changed"), "{err}");
    assert_eq!(fs::read(at.join("b/inbox/el9/plain.rpm")).unwrap(), b"a newer upload");
    fs::remove_file(at.join("b/inbox/el9/plain.rpm")).unwrap();

    // Given back, it is judged by what holds now.
    let released = json(at, &["quarantine", "release", id]);
    assert_eq!(released[0]["state"], "released");
    assert_eq!(fs::read(at.join("b/inbox/el9/plain.rpm")).unwrap(), package("plain"));
    assert_eq!(json(at, &["quarantine", "list"]).as_array().unwrap().len(), 1);
    assert!(!at.join("b").join(format!("{key}.json")).exists());
    let toml = format!("bucket = \"./b\"\nkeyring = \"{}\"\n", by.keyring().display());
    fs::write(at.join("yrm.toml"), toml).unwrap();
    assert_eq!(json(at, &["run"])["published"][0]["href"], "el9/plain.rpm");

    let junk = listed[0]["quarantine_key"].as_str().unwrap();
    assert_eq!(json(at, &["quarantine", "drop", junk, "--dry-run"])[0]["state"], "would be deleted");
    assert!(at.join("b").join(junk).exists());
    // Every name is known before anything is done.
    let (code, _, err) = said(&output(at, &["quarantine", "drop", junk, "nothing"]));
    assert_eq!(code, 4, "{err}");
    assert!(at.join("b").join(junk).exists());
    assert_eq!(json(at, &["quarantine", "drop", junk])[0]["state"], "deleted");
    assert_eq!(json(at, &["quarantine", "list"]), Value::Array(Vec::new()));
    assert!(!at.join("b").join(junk).exists());
}

#[test]
fn a_keyring_that_cannot_be_read_ends_every_start_with_a_hint() {
    let (directory, _by) = strict_bucket();
    let at = directory.path();
    fs::write(at.join("key.asc"), "no key").unwrap();
    fs::create_dir(at.join("empty")).unwrap();
    let cases = [
        ("empty", "reading the keyring empty: the folder is empty", "hint: put the public keys into it"),
        (
            "/nonexistent/key.asc",
            "reading the keyring /nonexistent/key.asc: No such file",
            "hint: name a file with public keys",
        ),
        ("key.asc", "reading the keyring key.asc: this is no OpenPGP key", "hint: `gpg --armor --export"),
    ];
    for (keyring, message, hint) in cases {
        for verb in [&["run"][..], &["config", "check"], &["serve", "--listen", "127.0.0.1:0"]] {
            let (code, out, err) = said(&yrm(at).env("YRM_KEYRING", keyring).args(verb).output().unwrap());
            assert_eq!(code, 2, "{verb:?}: {out}{err}");
            assert!(err.contains(message) && err.contains(hint), "{verb:?}: {err}");
        }
        // Who only looks, or only uploads, needs no keyring.
        for verb in [&["status"][..], &["quarantine", "list"], &["check"]] {
            let (code, out, err) = said(&yrm(at).env("YRM_KEYRING", keyring).args(verb).output().unwrap());
            assert_eq!(code, 0, "{verb:?}: {out}{err}");
        }
    }
}

#[cfg(feature = "aws")]
mod on_s3 {
    use super::*;
    use crate::s3_server::server;

    #[tokio::test(flavor = "multi_thread")]
    async fn on_s3_the_keyring_is_in_the_bucket_and_a_released_file_is_judged_again() {
        let by = Signers::of(&[Signer::Ed25519]);
        let (directory, bucket) = (TempDir::new().unwrap(), server().make_bucket().await);
        let upload = async |key: &str, bytes: Vec<u8>| {
            server().client().put_object().bucket(&bucket).key(key).body(bytes.into()).send().await.unwrap();
        };
        upload("keys/team.asc", by.public_key(Signer::Ed25519)).await;
        upload("inbox/el9/a+b.rpm", by.rpmsign(Signer::Ed25519, &package("a+b"), &[])).await;
        upload("inbox/el9/c+d.rpm", package("c+d")).await;
        let ask = |arguments: &[&str]| {
            let mut command = yrm(directory.path());
            server().lead(&mut command, &bucket);
            command.env("YRM_KEYRING", "bucket:keys").env("YRM_SIGNATURES", "require");
            let (code, out, err) = said(&command.args(arguments).args(["--output", "json"]).output().unwrap());
            assert_eq!(code, 0, "{arguments:?}: {out}{err}");
            serde_json::from_str::<Value>(&out).unwrap()
        };
        let report = ask(&["run"]);
        assert_eq!(report["published"][0]["signed_by"], by.fingerprint(Signer::Ed25519));
        assert_eq!(report["rejected"][0]["code"], "E_UNSIGNED");
        let id = ask(&["quarantine", "list"])[0]["id"].as_str().unwrap().to_owned();
        assert_eq!(ask(&["quarantine", "release", &id])[0]["inbox_key"], "inbox/el9/c+d.rpm");
        assert_eq!(ask(&["quarantine", "list"]), Value::Array(Vec::new()));
        assert_eq!(ask(&["run"])["rejected"][0]["inbox_key"], "inbox/el9/c+d.rpm");
        ask(&["settings", "set", "signatures", "off"]);
        assert_eq!(ask(&["run", "--signatures", "off"])["rejected"], Value::Array(Vec::new()));
        let again = ask(&["quarantine", "list"])[0]["id"].as_str().unwrap().to_owned();
        ask(&["quarantine", "release", &again]);
        ask(&["settings", "set", "signatures", "warn"]);
        let report = ask(&["run", "--signatures", "warn"]);
        assert_eq!(report["published"][0]["remarks"][0]["code"], "E_UNSIGNED");
    }
}

/// Names that would clear the screen, set its title, turn a line around, or hide.
const HOSTILE: &str = "evil\u{1b}[2J\u{1b}]0;owned\u{7}\u{202e}gpj.\u{9b}31m\u{200b}\u{e0041}";

fn assert_harmless(what: &str, text: &str) {
    let odd: Vec<char> = text.chars().filter(|c| *c != '\n' && yrm::legible::steers(*c)).collect();
    assert!(odd.is_empty(), "{what}: {odd:?} in {text:?}");
}

#[test]
fn hostile_names_reach_no_terminal_whatever_is_asked() {
    let directory = TempDir::new().unwrap();
    let at = directory.path();
    // One that is a package, but for its key; one whose name is its header's; ones that are published.
    drop_file(at, &format!("{HOSTILE}.rpm"), &package("good"));
    drop_file(at, &format!("folder-{HOSTILE}/junk.rpm"), b"not a package");
    drop_file(at, "named.rpm", &forge::Rpm::new(HOSTILE, "1", "1", "noarch").build());
    drop_file(at, "turned\u{202e}around.rpm", &package("turned"));
    let verbs: &[&[&str]] = &[
        &["run", "-v"],
        &["status"],
        &["history"],
        &["quarantine", "list"],
        &["package", "search"],
        &["check", "--deep"],
        &["repo", "log"],
        &["run", "-d"],
    ];
    let ask = |arguments: &[&str]| {
        for format in ["human", "json"] {
            let all = [arguments, &["-b", "./b", "--output", format, "--log-format", format]].concat();
            let (code, out, err) = said(&output(at, &all));
            assert_harmless(&format!("{all:?} stdout"), &out);
            assert_harmless(&format!("{all:?} stderr"), &err);
            assert!(matches!(code, 0 | 2 | 4 | 7), "{all:?}: {code} {out}{err}");
        }
    };
    for verb in verbs {
        ask(verb);
    }
    let listed = json(at, &["quarantine", "list", "-b", "./b"]);
    let rows = listed.as_array().unwrap();
    assert_eq!(rows.len(), 3, "{listed}");
    // JSON means what it meant: the record names the key as it was.
    assert!(rows.iter().any(|row| row["record"]["inbox_key"] == format!("inbox/{HOSTILE}.rpm")), "{listed}");
    for row in rows {
        let key = row["quarantine_key"].as_str().unwrap();
        ask(&["quarantine", "show", key]);
        ask(&["quarantine", "release", key, "--dry-run"]);
        ask(&["quarantine", "drop", key, "--dry-run"]);
    }
    ask(&["quarantine", "show", HOSTILE]);
    ask(&["package", "remove", HOSTILE]);
    ask(&["package", "promote", HOSTILE, "--to", HOSTILE]);
    ask(&["publish", HOSTILE, "--to", "x", "--dry-run"]);
    fs::write(at.join(HOSTILE), "x").unwrap();
    ask(&["publish", HOSTILE, "--to", "x", "--dry-run"]);
    ask(&["quarantine", "drop", rows[0]["quarantine_key"].as_str().unwrap()]);
    // The other way to read packages, and the other way to say that something is wrong.
    let index = Command::new(env!("CARGO_BIN_EXE_yrm")).args(["index", "./b/repo"]).current_dir(at).output().unwrap();
    let (_, out, err) = said(&index);
    assert_harmless("index", &(out + &err));
}
