//! Keys that gpg made, and what they sign.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pgp::composed::{Deserializable as _, SignedSecretKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::ser::Serialize as _;
use pgp::types::{KeyDetails as _, Password, SignatureBytes, SigningKey as _, Timestamp};
use rpmmd::header::{HeaderFile, Parsed};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::equality::succeed;

/// Everybody who signs, and how their key came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signer {
    /// RSA of 4096 bits.
    Rsa,
    Ed25519,
    /// ECDSA on NIST's P-256.
    Ecdsa,
    /// An RSA key that only certifies; its Ed25519 subkey signs.
    Subkey,
    /// The same, and the subkey was good for ten days of January 2025.
    OldSubkey,
    /// RSA of 1024 bits.
    Weak,
    /// Its key was good for ten days of January 2025.
    Expired,
    /// It took its key back.
    Revoked,
    /// Its key is of the year 2090.
    Early,
    /// Nobody has its key.
    Unknown,
}

impl Signer {
    const ALL: [Self; 10] = [
        Self::Rsa,
        Self::Ed25519,
        Self::Ecdsa,
        Self::Subkey,
        Self::OldSubkey,
        Self::Weak,
        Self::Expired,
        Self::Revoked,
        Self::Early,
        Self::Unknown,
    ];

    /// Name, kind, lifetime, and the day it is made on.
    fn recipe(self) -> (&'static str, &'static str, &'static str, Option<&'static str>) {
        match self {
            Self::Rsa => ("rsa", "rsa4096", "never", None),
            Self::Ed25519 => ("ed25519", "ed25519", "never", None),
            Self::Ecdsa => ("ecdsa", "nistp256", "never", None),
            Self::Subkey => ("subkey", "rsa2048", "never", None),
            Self::OldSubkey => ("old-subkey", "rsa2048", "never", Some("20250101T000000")),
            Self::Weak => ("weak", "rsa1024", "never", None),
            Self::Expired => ("expired", "rsa2048", "10d", Some("20250101T000000")),
            Self::Revoked => ("revoked", "rsa2048", "never", Some("20250101T000000")),
            Self::Early => ("early", "rsa2048", "never", Some("20900101T000000")),
            Self::Unknown => ("unknown", "rsa2048", "never", None),
        }
    }

    pub(super) fn name(self) -> &'static str {
        self.recipe().0
    }

    /// When it signs: while its key is good.
    fn clock(self) -> Option<&'static str> {
        match self {
            Self::Expired | Self::Revoked | Self::OldSubkey => Some("20250102T000000"),
            Self::Early => Some("20900102T000000"),
            _ => None,
        }
    }
}

/// gpg's home, and the keyrings made from it.
pub(super) struct Signers {
    folder: TempDir,
}

impl Drop for Signers {
    fn drop(&mut self) {
        let mut command = Command::new("gpgconf");
        let _ = command.args(["--kill", "all"]).env("GNUPGHOME", self.home()).stderr(Stdio::null()).status();
    }
}

impl Signers {
    /// All of them, with the public keys of all but the unknown one in [`Signers::keyring`].
    pub(super) fn all() -> Self {
        Self::of(&Signer::ALL)
    }

    pub(super) fn of(wanted: &[Signer]) -> Self {
        let signers = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(signers.keyring()).unwrap();
        fs::create_dir(signers.home()).unwrap();
        succeed(Command::new("chmod").arg("700").arg(signers.home()));
        for signer in wanted {
            signers.make(*signer);
            if *signer != Signer::Unknown {
                let path = signers.keyring().join(format!("{}.asc", signer.name()));
                fs::write(path, signers.public_key(*signer)).unwrap();
            }
        }
        signers
    }

    fn home(&self) -> PathBuf {
        self.folder.path().join("g")
    }

    /// A folder of public keys.
    pub(super) fn keyring(&self) -> PathBuf {
        self.folder.path().join("keys")
    }

    fn gpg(&self, clock: Option<&str>) -> Command {
        let mut command = Command::new("gpg");
        command.env("GNUPGHOME", self.home()).args(["--batch", "--quiet", "--no-tty", "--passphrase", ""]);
        command.args(["--pinentry-mode", "loopback", "--allow-weak-digest-algos"]);
        command.args(clock.into_iter().flat_map(|clock| ["--faked-system-time", clock]));
        command.stdin(Stdio::null());
        command
    }

    fn make(&self, signer: Signer) {
        let (name, kind, lifetime, clock) = signer.recipe();
        let usage = if matches!(signer, Signer::Subkey | Signer::OldSubkey) { "cert" } else { "sign" };
        succeed(self.gpg(clock).args([
            "--quick-gen-key",
            &format!("{name} <{name}@x.example>"),
            kind,
            usage,
            lifetime,
        ]));
        let add_subkey = |lifetime: &str| {
            succeed(self.gpg(clock).args(["--quick-add-key", &self.fingerprint(signer), "ed25519", "sign", lifetime]));
        };
        match signer {
            Signer::Subkey => add_subkey("never"),
            Signer::OldSubkey => add_subkey("10d"),
            Signer::Revoked => {
                let path = self.home().join(format!("openpgp-revocs.d/{}.rev", self.fingerprint(signer)));
                // gpg keeps it from being imported by accident.
                let revocation = fs::read_to_string(&path).unwrap().replace(":-----BEGIN", "-----BEGIN");
                self.revocation(&revocation);
            }
            _ => {}
        }
    }

    /// Kept beside the secret key, which must go on signing; only the public key carries it.
    fn revocation(&self, text: &str) {
        fs::write(self.folder.path().join("revocation.asc"), text).unwrap();
    }

    pub(super) fn fingerprint(&self, signer: Signer) -> String {
        let (name, ..) = signer.recipe();
        let listed =
            succeed(self.gpg(None).args(["--with-colons", "--list-keys", &format!("={name} <{name}@x.example>")]));
        let line = listed.lines().find(|line| line.starts_with("fpr:")).unwrap();
        line.split(':').nth(9).unwrap().to_owned()
    }

    /// Armored, as it would be handed out.
    pub(super) fn public_key(&self, signer: Signer) -> Vec<u8> {
        let exported = self.gpg(None).args(["--armor", "--export", &self.fingerprint(signer)]).output().unwrap().stdout;
        if signer != Signer::Revoked {
            return exported;
        }
        // In a home of its own the key meets its revocation.
        let other = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(other.home()).unwrap();
        succeed(Command::new("chmod").arg("700").arg(other.home()));
        let path = other.folder.path().join("key.asc");
        fs::write(&path, exported).unwrap();
        succeed(other.gpg(None).arg("--import").arg(path).arg(self.folder.path().join("revocation.asc")));
        other.gpg(None).args(["--armor", "--export"]).output().unwrap().stdout
    }

    pub(super) fn binary_public_key(&self, signer: Signer) -> Vec<u8> {
        self.gpg(None).args(["--export", &self.fingerprint(signer)]).output().unwrap().stdout
    }

    /// Lets its key be good for ever.
    pub(super) fn prolong(&self, signer: Signer) {
        succeed(self.gpg(None).args(["--quick-set-expire", &self.fingerprint(signer), "0"]));
    }

    pub(super) fn secret_key(&self, signer: Signer) -> Vec<u8> {
        self.gpg(None).args(["--armor", "--export-secret-keys", &self.fingerprint(signer)]).output().unwrap().stdout
    }

    /// A detached signature over `bytes`, binary.
    pub(super) fn sign(&self, signer: Signer, bytes: &[u8], options: &[&str]) -> Vec<u8> {
        let path = self.folder.path().join("signed");
        fs::write(&path, bytes).unwrap();
        let key = self.fingerprint(signer);
        let mut command = self.gpg(signer.clock());
        command.args(["--output", "-", "--local-user", &key]).args(options).arg("--detach-sign").arg(&path);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// A signature of OpenPGP's version 3, as packages up to EL 7 have them; gpg no longer makes any.
    pub(super) fn sign_in_version_3(&self, signer: Signer, bytes: &[u8]) -> Vec<u8> {
        const BINARY: u8 = 0;
        let (key, _) = SignedSecretKey::from_armor_single(&self.secret_key(signer)[..]).unwrap();
        let key = &key.primary_key;
        let created = Timestamp::now().as_secs().to_be_bytes();
        let hashed = [&[BINARY][..], &created].concat();
        let digest = Sha256::new().chain_update(bytes).chain_update(&hashed).finalize();
        let made = key.sign(&Password::empty(), HashAlgorithm::Sha256, &digest).unwrap();
        let SignatureBytes::Mpis(numbers) = made else { panic!("RSA signs with a number") };
        let numbers = numbers.to_bytes().unwrap();
        let algorithms = [key.algorithm().into(), HashAlgorithm::Sha256.into()];
        let id = key.legacy_key_id();
        let body = [&[3, 5][..], &hashed, id.as_ref(), &algorithms, &digest[..2], &numbers].concat();
        [&[0x89][..], &u16::try_from(body.len()).unwrap().to_be_bytes(), &body].concat()
    }

    /// The package, signed by rpmsign.
    pub(super) fn rpmsign(&self, signer: Signer, package: &[u8], options: &[&str]) -> Vec<u8> {
        let path = self.folder.path().join("package.rpm");
        fs::write(&path, package).unwrap();
        let mut command = Command::new("rpmsign");
        command.env("GNUPGHOME", self.home()).args(["--define", "__gpg /usr/bin/gpg"]);
        command.args(["--define", &format!("_gpg_name {}", self.fingerprint(signer))]);
        if let Some(clock) = signer.clock() {
            command.args(["--define", &format!("_gpg_sign_cmd_extra_args --faked-system-time {clock}")]);
        }
        succeed(command.args(options).arg("--addsign").arg(&path));
        fs::read(path).unwrap()
    }
}

/// A package's main header, and its payload.
pub(super) fn parts(package: &[u8]) -> (&[u8], &[u8]) {
    let Ok(Parsed::Ready(file)) = HeaderFile::parse_prefix(package) else { panic!("no package") };
    let at = |offset: u64| usize::try_from(offset).unwrap();
    (&package[at(file.header_start)..at(file.header_end)], &package[at(file.header_end)..])
}

/// A database of rpm's with those of the keys that this rpm can read.
pub(super) struct Rpm {
    folder: TempDir,
}

impl Rpm {
    pub(super) fn with_keys(keyring: &Path) -> Self {
        let rpm = Self { folder: tempfile::tempdir().unwrap() };
        for entry in fs::read_dir(keyring).unwrap() {
            // 4.18 knows no ECDSA.
            let _ = rpm.rpmkeys().arg("--import").arg(entry.unwrap().path()).output().unwrap();
        }
        rpm
    }

    pub(super) fn rpmkeys(&self) -> Command {
        let mut command = Command::new("rpmkeys");
        command.args(["--define", &format!("_dbpath {}", self.folder.path().join("db").display())]);
        command.env("LC_ALL", "C");
        command
    }

    /// Whether `rpmkeys --checksig` takes its digests.
    pub(super) fn is_whole(&self, package: &[u8]) -> bool {
        let path = self.folder.path().join("package.rpm");
        fs::write(&path, package).unwrap();
        let output = self.rpmkeys().args(["--nosignature", "--checksig"]).arg(&path).output().unwrap();
        output.status.success()
    }

    /// Whether `rpmkeys --checksig` takes it where signatures are required, and what it says.
    pub(super) fn takes(&self, package: &[u8]) -> (bool, String) {
        let path = self.folder.path().join("package.rpm");
        fs::write(&path, package).unwrap();
        let mut command = self.rpmkeys();
        command.args(["--define", "_pkgverify_level all", "--checksig", "--verbose"]).arg(&path);
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
