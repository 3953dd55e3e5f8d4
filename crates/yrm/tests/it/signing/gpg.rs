//! Keys that gpg made sign here, and gpg judges what is signed.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::cli::yrm;

/// A home for gpg.
pub(super) struct Gpg(TempDir);

impl Gpg {
    pub(super) fn new() -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let home = TempDir::new().unwrap();
        std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        Self(home)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("gpg");
        command.env("GNUPGHOME", self.0.path()).env("LC_ALL", "C").args(["--batch", "--quiet", "--yes"]);
        command.args(["--pinentry-mode", "loopback"]).args(arguments).output().unwrap()
    }

    /// What it wrote, when it succeeds.
    pub(super) fn succeed(&self, arguments: &[&str]) -> Vec<u8> {
        let output = self.run(arguments);
        assert!(output.status.success(), "gpg {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    pub(super) fn import(&self, file: &Path) {
        self.succeed(&["--import", file.to_str().unwrap()]);
    }

    /// Whether the signature beside a bucket's repomd.xml is good.
    pub(super) fn verifies(&self, bucket: &Path) -> bool {
        let repomd = bucket.join("repo/repodata/repomd.xml");
        let signature = bucket.join("repo/repodata/repomd.xml.asc");
        self.run(&["--verify", signature.to_str().unwrap(), repomd.to_str().unwrap()]).status.success()
    }
}

impl Drop for Gpg {
    fn drop(&mut self) {
        // Its agent would outlive the home.
        drop(Command::new("gpgconf").env("GNUPGHOME", self.0.path()).args(["--kill", "all"]).output());
    }
}

/// A directory bucket with one package in its inbox.
fn bucket(folder: &Path) -> PathBuf {
    let bucket = folder.join("bucket");
    std::fs::create_dir_all(bucket.join("inbox")).unwrap();
    std::fs::write(bucket.join("inbox/a.rpm"), forge::Rpm::new("a", "1", "1", "noarch").build()).unwrap();
    bucket
}

/// `yrm run` in `folder`, signing with `key`.
fn run(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = yrm(folder).args(["run", "-b", "./bucket", "--signing-key", "key"]).args(arguments).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_key_of_gpgs_that_is_locked_signs_with_its_passphrase_and_gpg_finds_it_good() {
    let (folder, gpg) = (TempDir::new().unwrap(), Gpg::new());
    let bucket = bucket(folder.path());
    gpg.succeed(&["--passphrase", "open sesame", "--quick-gen-key", "locked", "rsa3072", "sign", "never"]);
    let secret = gpg.succeed(&["--passphrase", "open sesame", "--armor", "--export-secret-keys"]);
    std::fs::write(folder.path().join("key"), secret).unwrap();
    let (code, said) = run(folder.path(), &[]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("reading the signing key key") && said.contains("signing-passphrase-file"), "{said}");
    assert!(!bucket.join("repo").exists(), "nothing is done without the key");
    std::fs::write(folder.path().join("passphrase"), "open sesame\n").unwrap();
    let (code, said) = run(folder.path(), &["--signing-passphrase-file", "passphrase"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(gpg.verifies(&bucket));
    let repomd = bucket.join("repo/repodata/repomd.xml");
    let tampered = std::fs::read_to_string(&repomd).unwrap().replace("</repomd>", " </repomd>");
    std::fs::write(&repomd, tampered).unwrap();
    assert!(!gpg.verifies(&bucket));
}

#[test]
fn a_subkey_signs_when_the_primary_key_is_kept_elsewhere() {
    let (folder, gpg) = (TempDir::new().unwrap(), Gpg::new());
    let bucket = bucket(folder.path());
    gpg.succeed(&["--passphrase", "", "--quick-gen-key", "offline", "ed25519", "sign,cert", "never"]);
    let listed = String::from_utf8(gpg.succeed(&["--with-colons", "--list-keys"])).unwrap();
    let fingerprint = listed.lines().find_map(|line| line.strip_prefix("fpr:")).unwrap().trim_matches(':').to_owned();
    gpg.succeed(&["--passphrase", "", "--quick-add-key", &fingerprint, "ed25519", "sign", "never"]);
    let secret = gpg.succeed(&["--passphrase", "", "--armor", "--export-secret-subkeys"]);
    std::fs::write(folder.path().join("key"), secret).unwrap();
    let (code, said) = run(folder.path(), &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(gpg.verifies(&bucket));
    let verified = yrm(folder.path()).args(["key", "verify", "-b", "./bucket"]).output().unwrap();
    assert!(verified.status.success(), "{verified:?}");
}

#[test]
fn a_key_that_is_over_or_none_is_said_so() {
    let (folder, gpg) = (TempDir::new().unwrap(), Gpg::new());
    let bucket = bucket(folder.path());
    let past = ["--faked-system-time", "20200101T000000", "--passphrase", "", "--quick-gen-key", "over"];
    gpg.succeed(&[&past[..], &["ed25519", "sign", "1m"][..]].concat());
    let secret = gpg.succeed(&["--passphrase", "", "--armor", "--export-secret-keys"]);
    std::fs::write(folder.path().join("key"), secret).unwrap();
    let (code, said) = run(folder.path(), &["--output", "json"]);
    assert_eq!(code, Some(3), "{said}");
    assert!(!bucket.join("repo/repodata/repomd.xml").exists(), "nothing is published that no client would take");
    assert!(bucket.join("inbox/a.rpm").exists());
    std::fs::write(folder.path().join("key"), "no key").unwrap();
    let (code, said) = run(folder.path(), &[]);
    assert_eq!(code, Some(2));
    assert!(said.contains("this is no armored OpenPGP secret key"), "{said}");
}
