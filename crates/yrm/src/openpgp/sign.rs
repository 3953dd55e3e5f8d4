//! Signing metadata with the configured keys: a detached, armored signature, and the public keys by
//! which clients judge it. Packages are signed by the first key: a packet over their main header.
//!
//! The first key is the primary: the first signature in a file is its. A signature has two halves: what
//! keeps a processor busy, and what KMS is asked for.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use jiff::Timestamp;
use pgp::ser::Serialize as _;

use super::key::{self, Half, MAX_ARMOR_BYTES, PublicKey, SecretKey};
use super::keyring::Keyring;
use crate::config::{KeyPlace, S3Config, SecretPlace, SignWith, SigningConfig};
use crate::error::{Error, ErrorKind, Result};
use crate::secrets;

/// A signature that is begun, one half for each key that signs.
#[derive(Debug)]
pub struct Begun(Vec<Half>);

/// The keys that sign, and their name.
#[derive(Debug)]
pub struct Signer {
    keys: Vec<SecretKey>,
    with: SignWith,
    name: String,
    /// The public keys, as signatures of packages are judged by them; once somebody asks.
    keyring: OnceLock<Arc<Keyring>>,
}

impl Signer {
    /// The configured keys: read and unlocked, or found in KMS; each has signed something. What AWS has
    /// is asked for as the bucket is. The error names the key, and is of kind `Config` unless AWS does
    /// not answer.
    pub async fn load(config: &SigningConfig, aws: &S3Config) -> Result<Self> {
        let passphrase = match &config.passphrase {
            Some(place) => Some(passphrase(place, aws).await?),
            None => None,
        };
        let mut keys = Vec::with_capacity(config.keys.len());
        for place in &config.keys {
            keys.push(match place {
                KeyPlace::File(path) => from_file(path, passphrase.as_deref())?,
                KeyPlace::Kms(name) => SecretKey::in_kms(name, aws, &config.key_name).await?,
            });
        }
        Self::new(keys, config.with, config.key_name.clone())
    }

    /// These keys, the primary first.
    pub fn new(keys: Vec<SecretKey>, with: SignWith, name: String) -> Result<Self> {
        if keys.is_empty() {
            return Err(Error::new(ErrorKind::Config, "reading the signing keys").because("there is none"));
        }
        Ok(Self { keys, with, name, keyring: OnceLock::new() })
    }

    /// What the file with the public keys is called by: `RPM-GPG-KEY-<name>`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The public keys, the primary first.
    pub fn public_keys(&self) -> impl Iterator<Item = &PublicKey> {
        self.keys.iter().map(SecretKey::public)
    }

    /// The public keys, to judge packages by.
    pub fn keyring(&self) -> &Arc<Keyring> {
        // A key that cannot stand in a keyring is never recognised as ours, and signs nevertheless.
        let read = || Some(Keyring::parse(&self.key_file().ok()?).ok()?.into());
        self.keyring.get_or_init(|| read().unwrap_or_default())
    }

    /// The file with the public keys: those that will sign next are in it too, so that clients know
    /// them before the first signature by them.
    pub fn key_file(&self) -> Result<Bytes> {
        let blocks = self.public_keys().map(PublicKey::armored).collect::<Result<Vec<_>>>()?;
        Ok(blocks.concat().into())
    }

    /// Whether clients find in `file` what [`Self::key_file`] would give them.
    pub fn is_key_file(&self, file: &[u8]) -> bool {
        if self.key_file().is_ok_and(|own| own == file) {
            return true;
        }
        let Ok(published) = PublicKey::read_all(file) else { return false };
        let written = published.iter().map(PublicKey::armored).collect::<Result<Vec<_>>>();
        published.len() == self.keys.len()
            && self.keys.iter().zip(&published).all(|(key, published)| key.is_certified_by(published))
            && written.is_ok_and(|blocks| blocks.concat().as_bytes() == file)
    }

    /// Begins the signature over `bytes`, made `at`: all of it that keeps a processor busy. A key that
    /// is over by then is an error of kind `Config`: no client would accept it.
    pub fn begin(&self, bytes: &[u8], at: Timestamp) -> Result<Begun> {
        let count = match self.with {
            SignWith::First => 1,
            SignWith::All => self.keys.len(),
        };
        let sign = |key: &SecretKey| {
            if key.public().expires().is_some_and(|end| end <= at) {
                return Err(Error::new(ErrorKind::Config, format!("signing with {}", key.public().fingerprint()))
                    .because("the key has expired")
                    .hint(
                        "extend it with gpg, or put another first in signing-key; docs/tasks/sign-metadata.md says how",
                    ));
            }
            key.begin(bytes, at)
        };
        self.keys.iter().take(count).map(sign).collect::<Result<Vec<_>>>().map(Begun)
    }

    /// The armored signature that was begun here. Asks KMS for what is its to add.
    pub async fn finish(&self, begun: Begun) -> Result<Bytes> {
        let mut signatures = Vec::with_capacity(begun.0.len());
        for (key, half) in self.keys.iter().zip(begun.0) {
            signatures.push(key.finish(half).await?);
        }
        key::armored(&signatures).map(Bytes::from)
    }

    /// Begins the first key's signature over a package's main header. Its time is a function of the package and
    /// the key, so that the same package gets the same signature again (where the key's kind allows it):
    /// when it was built, but never before the key counted, and never after `now`. A key that is over `now`
    /// is an error of kind `Config`.
    pub fn begin_package(&self, header: &[u8], built: Timestamp, now: Timestamp) -> Result<BegunPackage> {
        let key = self.keys.first().ok_or_else(|| Error::new(ErrorKind::Internal, "signing without a key"))?;
        let by = key.public().fingerprint();
        if key.public().expires().is_some_and(|end| end <= now) {
            return Err(Error::new(ErrorKind::Config, format!("signing packages with {by}"))
                .because("the key has expired")
                .hint(
                    "extend it with gpg, or put another first in signing-key; docs/tasks/sign-metadata.md says how",
                ));
        }
        let at = if built > now { key.since() } else { built.max(key.since()) };
        Ok(BegunPackage { half: key.begin(header, at)?, by })
    }

    /// The signature that was begun here. Asks KMS for what is its to add.
    pub async fn finish_package(&self, BegunPackage { half, by }: BegunPackage) -> Result<PackageSignature> {
        let key = self.keys.first().ok_or_else(|| Error::new(ErrorKind::Internal, "signing without a key"))?;
        let packet = key.finish(half).await?.to_bytes();
        let packet = packet.map_err(|source| Error::new(ErrorKind::Internal, "writing a signature").because(source))?;
        Ok(PackageSignature { packet, is_rsa: key.is_rsa(), by })
    }

    /// Whether clients take `signature` for the primary key's over exactly `bytes`.
    pub fn has_signed(&self, bytes: &[u8], signature: &[u8]) -> bool {
        self.keys.first().is_some_and(|primary| primary.public().has_signed(bytes, signature))
    }
}

fn from_file(path: &Path, passphrase: Option<&str>) -> Result<SecretKey> {
    SecretKey::read(&read_file(path)?, passphrase).map_err(|error| {
        let told =
            Error::new(ErrorKind::Config, format!("reading the signing key {}", path.display())).because(error.chain());
        match error.hint_text() {
            Some(hint) => told.hint(hint),
            None => told,
        }
    })
}

/// The passphrase that is kept in `place`.
pub async fn passphrase(place: &SecretPlace, aws: &S3Config) -> Result<String> {
    match place {
        SecretPlace::File(path) => read_passphrase(path),
        SecretPlace::Aws(secret) => secrets::fetch(secret, aws).await,
    }
}

/// A signature over a package's main header that is begun.
#[derive(Debug)]
pub struct BegunPackage {
    half: Half,
    by: String,
}

/// A signature over a package's main header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageSignature {
    /// The packet, binary.
    pub packet: Vec<u8>,
    /// Whether an RSA key made it: rpm keeps those under a tag of their own.
    pub is_rsa: bool,
    /// The primary key's fingerprint.
    pub by: String,
}

fn read_file(path: &Path) -> Result<Vec<u8>> {
    let doing = || format!("reading the signing key {}", path.display());
    let hint = "the user that yrm runs as must be able to read it; `yrm key generate` makes one";
    let refuse = |error: std::io::Error| Error::new(ErrorKind::Config, doing()).because(error).hint(hint);
    let length = std::fs::metadata(path).map_err(refuse)?.len();
    if length > MAX_ARMOR_BYTES as u64 {
        return Err(Error::new(ErrorKind::Config, doing()).because("it is over 1 MiB, so it is no key").hint(hint));
    }
    std::fs::read(path).map_err(refuse)
}

/// The first line of a file: what ends lines is no part of a passphrase.
pub fn read_passphrase(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Error::new(ErrorKind::Config, format!("reading the passphrase in {}", path.display()))
            .because(error)
            .hint("the file holds the passphrase of the signing keys and nothing else")
    })?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests;
