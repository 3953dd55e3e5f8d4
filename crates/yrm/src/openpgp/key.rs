//! OpenPGP keys: made, read from files, found in KMS, described, and written as gpg and rpm read them.
//!
//! A secret key is unlocked once, when it is read; its secret never leaves this module but in the
//! armored text of a key that was just made. A key in KMS has no secret here at all.

use std::fmt;
use std::io::BufRead as _;

use jiff::Timestamp;
use pgp::composed::{
    ArmorOptions, Deserializable as _, DetachedSignature, KeyType, SecretKeyParamsBuilder, SignedKeyDetails,
    SignedPublicKey, SignedSecretKey,
};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{self, SignatureConfig, SignatureType, Subpacket, SubpacketData};
use pgp::ser::Serialize as _;
use pgp::types::{
    EcdsaPublicParams, KeyDetails as _, KeyVersion, Password, PublicParams, SigningKey, Timestamp as PgpTimestamp,
};
use rand_core::OsRng;

use super::draft::{self, Draft};
use super::kms::{self, KmsKey};
use crate::config::{AwsName, S3Config};
use crate::error::{Error, ErrorKind, Result};

/// A file over this size holds no key and no signature.
pub const MAX_ARMOR_BYTES: usize = 1 << 20;
/// RSA keys under this size are refused by clients with today's crypto policies.
const SHORTEST_RSA_BITS: usize = 2048;
/// RSA keys that are made here have this size: every client from EL6 on verifies it.
const RSA_BITS: u32 = 4096;

/// What kind of key to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA of 4096 bits: every client verifies it.
    Rsa4096,
    /// Ed25519: small and quick; EL7's yum does not know it.
    Ed25519,
}

/// A key that was just made, in the two forms it is kept in.
#[derive(Clone)]
pub struct Made {
    /// The secret key, armored.
    pub secret: String,
    /// The public key, armored.
    pub public: String,
    /// The public key.
    pub key: PublicKey,
}

impl fmt::Debug for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Made").field("key", &self.key).finish_non_exhaustive()
    }
}

/// Makes a key that signs, and does nothing else. With a passphrase its secret is locked.
pub fn generate(algorithm: Algorithm, user_id: &str, created: Timestamp, passphrase: Option<&str>) -> Result<Made> {
    let doing = || Error::new(ErrorKind::Internal, "making a signing key");
    let key_type = match algorithm {
        Algorithm::Rsa4096 => KeyType::Rsa(RSA_BITS),
        // The older of the two ways to spell such a key: gpg 2.2 and rpm know no other.
        Algorithm::Ed25519 => KeyType::Ed25519Legacy,
    };
    let params = SecretKeyParamsBuilder::default()
        .version(KeyVersion::V4)
        .key_type(key_type)
        .can_certify(true)
        .can_sign(true)
        .created_at(seconds(created))
        .preferred_hash_algorithms([HashAlgorithm::Sha512, HashAlgorithm::Sha256].as_slice().into())
        .primary_user_id(user_id.to_owned())
        .passphrase(passphrase.map(ToOwned::to_owned))
        .build()
        .map_err(|source| doing().because(source.to_string()))?;
    let secret = params.generate(OsRng).map_err(|source| doing().because(source))?;
    let armored = secret.to_armored_string(ArmorOptions::default()).map_err(|source| doing().because(source))?;
    let key = PublicKey(secret.to_public_key());
    Ok(Made { secret: armored, public: key.armored()?, key })
}

/// A secret key that signs, unlocked, and the public key that goes with it.
pub struct SecretKey {
    part: Part,
    public: PublicKey,
    /// From when on what it signs counts.
    since: Timestamp,
}

/// What of the key signs.
enum Part {
    Primary(Box<packet::SecretKey>),
    Subkey(Box<packet::SecretSubkey>),
    /// The primary key, in KMS.
    Kms(Box<KmsKey>),
}

/// A signature, or what of it can be made without asking anybody.
#[derive(Debug)]
pub(super) enum Half {
    Signed(DetachedSignature),
    Draft(Draft),
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretKey").field("public", &self.public).finish_non_exhaustive()
    }
}

impl SecretKey {
    /// The secret key in an armored text. Signs with the primary key if that may sign and its secret
    /// is there, else with a subkey that may. The error is of kind `Config`.
    pub fn read(armored: &[u8], passphrase: Option<&str>) -> Result<Self> {
        let refuse = |why: &str, hint: &str| {
            Error::new(ErrorKind::Config, "reading a signing key").because(why.to_owned()).hint(hint.to_owned())
        };
        let export = "`gpg --armor --export-secret-keys KEY` writes one, `yrm key generate` makes one";
        if armored.len() > MAX_ARMOR_BYTES {
            return Err(refuse("this is over 1 MiB, so it is no key", export));
        }
        // The library's messages quote what it read.
        let key = SignedSecretKey::from_armor_single(armored)
            .map_err(|_| refuse("this is no armored OpenPGP secret key", export))?
            .0;
        let public = PublicKey(key.to_public_key());
        if key.primary_key.version() != KeyVersion::V4 {
            return Err(refuse("only keys of version 4 are read by rpm and dnf", export));
        }
        if !key.details.revocation_signatures.is_empty() {
            return Err(refuse("the key is revoked", "name another key in signing-key"));
        }
        let password = passphrase.map_or_else(Password::empty, Password::from);
        let part = unlocked(&key, &password).ok_or_else(|| {
            refuse(
                "no part of it both may sign and can be unlocked",
                "signing-passphrase-file names the file with the key's passphrase; the secret part must be in the file",
            )
        })?;
        if part.rsa_bits().is_some_and(|bits| bits < SHORTEST_RSA_BITS) {
            return Err(refuse("RSA under 2048 bits is refused by clients", "`yrm key generate` makes a longer one"));
        }
        let since = part.since(&key);
        Ok(Self { part, public, since })
    }

    /// The key in KMS of this name, as `user_id`'s. Its certificate is the same at every start and on
    /// every machine but for what ECDSA draws by lot: all of it comes from KMS, and the statement in
    /// it, which KMS signs, is of the time when the key was made. That signature is the trial, too. The
    /// error is of kind `Config`, or `Unavailable` when KMS does not answer.
    pub async fn in_kms(name: &AwsName, config: &S3Config, user_id: &str) -> Result<Self> {
        let certified = async {
            let (key, public) = KmsKey::find(name, config).await?;
            let failed = |source| Error::new(ErrorKind::Internal, "making a certificate").because(source);
            let statement = draft::certification(&public, key.kind().hash(), user_id).map_err(failed)?;
            let numbers = key.sign(statement.digest()).await?;
            let statement = statement.signed(&public, numbers).map_err(failed)?;
            let certificate = draft::certificate(public, user_id, statement).map_err(failed)?;
            let public = PublicKey(certificate);
            let since = public.created();
            Ok(Self { part: Part::Kms(Box::new(key)), public, since })
        };
        certified.await.map_err(|error| kms::at_start(&error, name))
    }

    /// The public key.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// From when on what it signs counts: it was made by then, and said of itself that it may sign.
    /// Clients that ask what a key was when it signed want no signature from before.
    pub(super) fn since(&self) -> Timestamp {
        self.since
    }

    /// Whether what signs is an RSA key.
    pub(super) fn is_rsa(&self) -> bool {
        match &self.part {
            Part::Primary(_) | Part::Subkey(_) => self.part.rsa_bits().is_some(),
            Part::Kms(_) => self.public.is_rsa(),
        }
    }

    /// Whether `published` is this key's certificate. One of a key in KMS is made anew at every start,
    /// and ECDSA never signs the same twice: there it counts that all it says is the same, and signed.
    pub(super) fn is_certified_by(&self, published: &PublicKey) -> bool {
        match &self.part {
            Part::Primary(_) | Part::Subkey(_) => *published == self.public,
            Part::Kms(_) => published.says_the_same_as(&self.public),
        }
    }

    /// The first half of a signature over `bytes`, made `at`: all that keeps this machine busy.
    /// Clients refuse what is older than its key, so it never is.
    pub(super) fn begin(&self, bytes: &[u8], at: Timestamp) -> Result<Half> {
        let half = match &self.part {
            Part::Primary(key) => signature(key.as_ref(), HashAlgorithm::Sha512, bytes, at).map(Half::Signed),
            Part::Subkey(key) => signature(key.as_ref(), HashAlgorithm::Sha512, bytes, at).map(Half::Signed),
            Part::Kms(key) => {
                let hash = key.kind().hash();
                let make = |absent: &draft::Absent<'_>| Ok(signature(absent, hash, bytes, at)?.signature);
                Draft::of(&self.public.0.primary_key, hash, make).map(Half::Draft)
            }
        };
        half.map_err(|source| Error::new(ErrorKind::Internal, "signing metadata").because(source))
    }

    /// The second half: what only KMS can add.
    pub(super) async fn finish(&self, half: Half) -> Result<DetachedSignature> {
        match (half, &self.part) {
            (Half::Signed(signature), _) => Ok(signature),
            (Half::Draft(draft), Part::Kms(key)) => {
                let numbers = key.sign(draft.digest()).await?;
                let signed = draft.signed(&self.public.0.primary_key, numbers);
                signed.map(DetachedSignature::new).map_err(|source| {
                    Error::new(ErrorKind::Unavailable, format!("signing with {key:?}")).because(source)
                })
            }
            (Half::Draft(_), Part::Primary(_) | Part::Subkey(_)) => {
                Err(Error::new(ErrorKind::Internal, "signing metadata").because("the draft is another key's"))
            }
        }
    }
}

impl Part {
    fn rsa_bits(&self) -> Option<usize> {
        match self {
            Self::Primary(key) => rsa_bits(key.public_params()),
            Self::Subkey(key) => rsa_bits(key.public_params()),
            // KMS makes none under 2048.
            Self::Kms(_) => None,
        }
    }

    /// When the oldest of its key's words that the file holds was spoken, or it was made if that was later.
    fn since(&self, key: &SignedSecretKey) -> Timestamp {
        let details = &key.details;
        let of_users = details.users.iter().flat_map(|user| &user.signatures);
        let of_primary = details.direct_signatures.iter().chain(of_users);
        let first = of_primary.filter(|word| word.key_flags().sign() || word.key_flags().certify());
        let first = first.filter_map(packet::Signature::created).min();
        let (made, bound) = match self {
            Self::Primary(primary) => (primary.created_at(), None),
            // Its words are of the time when it was made.
            Self::Kms(_) => (key.created_at(), None),
            Self::Subkey(part) => {
                let subkey = key.secret_subkeys.iter().find(|subkey| subkey.fingerprint() == part.fingerprint());
                let words = subkey.into_iter().flat_map(|subkey| &subkey.signatures);
                (part.created_at(), words.filter_map(packet::Signature::created).min())
            }
        };
        let latest = [Some(made), first, bound].into_iter().flatten().max().unwrap_or(made);
        Timestamp::from_second(i64::from(latest.as_secs())).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

/// The part of `key` that signs, without its lock.
fn unlocked(key: &SignedSecretKey, password: &Password) -> Option<Part> {
    if may_sign(&key.details) {
        let mut primary = key.primary_key.clone();
        if primary.remove_password(password).is_ok() && tries_well(&primary) {
            return Some(Part::Primary(Box::new(primary)));
        }
    }
    key.secret_subkeys.iter().find_map(|subkey| {
        let revoked =
            subkey.signatures.iter().any(|signature| signature.typ() == Some(SignatureType::SubkeyRevocation));
        if revoked || !subkey.signatures.iter().any(|signature| signature.key_flags().sign()) {
            return None;
        }
        let mut part = subkey.key.clone();
        part.remove_password(password).ok()?;
        tries_well(&part).then(|| Part::Subkey(Box::new(part)))
    })
}

/// Whether the primary key may sign, by what it says of itself.
fn may_sign(details: &SignedKeyDetails) -> bool {
    let of_users = details.users.iter().flat_map(|user| &user.signatures);
    details.direct_signatures.iter().chain(of_users).any(|signature| signature.key_flags().sign())
}

/// Whether a part really signs: its secret may be elsewhere (a card, a file kept offline).
fn tries_well(key: &impl SigningKey) -> bool {
    let created = i64::from(key.created_at().as_secs());
    signature(key, HashAlgorithm::Sha512, b"a trial", Timestamp::from_second(created).unwrap_or(Timestamp::UNIX_EPOCH))
        .is_ok()
}

fn signature(
    key: &impl SigningKey,
    hash: HashAlgorithm,
    bytes: &[u8],
    at: Timestamp,
) -> pgp::errors::Result<DetachedSignature> {
    let made = seconds(at).max(key.created_at());
    let mut config = SignatureConfig::v4(SignatureType::Binary, key.algorithm(), hash);
    config.hashed_subpackets = vec![
        Subpacket::regular(SubpacketData::IssuerFingerprint(key.fingerprint()))?,
        Subpacket::regular(SubpacketData::SignatureCreationTime(made))?,
    ];
    config.unhashed_subpackets = vec![Subpacket::regular(SubpacketData::IssuerKeyId(key.legacy_key_id()))?];
    config.sign(key, &Password::empty(), bytes).map(DetachedSignature::new)
}

/// A public key.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey(SignedPublicKey);

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.fingerprint())
    }
}

impl PublicKey {
    /// The public keys in an armored text, which may be several blocks one after another. What is no
    /// public key is an error of kind `Corrupt`.
    pub fn read_all(armored: &[u8]) -> Result<Vec<Self>> {
        let damaged = || Error::new(ErrorKind::Corrupt, "reading public keys").because("this is no armored public key");
        if armored.len() > MAX_ARMOR_BYTES {
            return Err(damaged());
        }
        let mut keys = Vec::new();
        for block in blocks(armored)? {
            let read = SignedPublicKey::from_armor_many(block.as_bytes()).map_err(|_| damaged())?.0;
            for key in read {
                keys.push(Self(key.map_err(|_| damaged())?));
            }
        }
        if keys.is_empty() { Err(damaged()) } else { Ok(keys) }
    }

    /// As gpg and rpm import it.
    pub fn armored(&self) -> Result<String> {
        self.0
            .to_armored_string(ArmorOptions::default())
            .map_err(|source| Error::new(ErrorKind::Internal, "writing a public key").because(source))
    }

    /// In capital hex digits, as gpg shows it.
    pub fn fingerprint(&self) -> String {
        self.0.fingerprint().to_string().to_uppercase()
    }

    /// Whose it says it is; may hold anything.
    pub fn user_id(&self) -> String {
        let id = self.0.details.users.first().map(|user| String::from_utf8_lossy(user.id.id()).into_owned());
        id.unwrap_or_default()
    }

    /// Whether it is an RSA key.
    fn is_rsa(&self) -> bool {
        matches!(self.0.public_params(), PublicParams::RSA(_))
    }

    /// `RSA 4096`, `Ed25519`, …
    pub fn algorithm(&self) -> String {
        match rsa_bits(self.0.public_params()) {
            Some(bits) => format!("RSA {bits}"),
            None => match self.0.public_params() {
                PublicParams::EdDSALegacy(_) | PublicParams::Ed25519(_) => "Ed25519".to_owned(),
                PublicParams::ECDSA(EcdsaPublicParams::P256 { .. }) => "ECDSA P-256".to_owned(),
                PublicParams::ECDSA(EcdsaPublicParams::P384 { .. }) => "ECDSA P-384".to_owned(),
                _ => format!("{:?}", self.0.primary_key.algorithm()),
            },
        }
    }

    /// When it was made.
    pub fn created(&self) -> Timestamp {
        Timestamp::from_second(i64::from(self.0.created_at().as_secs())).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// When it ends, by its newest signature over itself.
    pub fn expires(&self) -> Option<Timestamp> {
        let details = &self.0.details;
        let of_users = details.users.iter().flat_map(|user| &user.signatures);
        let newest = details.direct_signatures.iter().chain(of_users).max_by_key(|signature| signature.created());
        let after = newest?.key_expiration_time().filter(|after| after.as_secs() > 0)?;
        self.created().checked_add(jiff::SignedDuration::from_secs(i64::from(after.as_secs()))).ok()
    }

    /// Whether the two are the same but for the numbers of their signatures, and these are good.
    fn says_the_same_as(&self, other: &Self) -> bool {
        let (mine, others) = (&self.0.details, &other.0.details);
        let statements = |details: &SignedKeyDetails| -> Option<Vec<_>> {
            let signatures = details.users.iter().flat_map(|user| &user.signatures);
            signatures.map(|signature| signature.config().cloned()).collect()
        };
        let users = |details: &SignedKeyDetails| details.users.iter().map(|user| user.id.clone()).collect::<Vec<_>>();
        self.0.primary_key == other.0.primary_key
            && users(mine) == users(others)
            && statements(mine).is_some_and(|all| statements(others) == Some(all))
            && mine.direct_signatures == others.direct_signatures
            && mine.revocation_signatures == others.revocation_signatures
            && mine.user_attributes == others.user_attributes
            && self.0.public_subkeys == other.0.public_subkeys
            && self.0.verify_bindings().is_ok()
    }

    /// Whether the *first* signature in `armored` is by this key over exactly `bytes`: clients judge
    /// by the first alone.
    pub fn has_signed(&self, bytes: &[u8], armored: &[u8]) -> bool {
        let Some(signature) = first_signature(armored) else { return false };
        signature.verify(&self.0.primary_key, bytes).is_ok()
            || self.0.public_subkeys.iter().any(|subkey| signature.verify(&subkey.key, bytes).is_ok())
    }
}

/// The first signature in an armored text, if it is one.
fn first_signature(armored: &[u8]) -> Option<DetachedSignature> {
    if armored.len() > MAX_ARMOR_BYTES {
        return None;
    }
    Some(DetachedSignature::from_armor_single(armored).ok()?.0)
}

/// The armored blocks of a text; what stands between them is no matter.
fn blocks(text: &[u8]) -> Result<Vec<String>> {
    let mut blocks = Vec::new();
    let mut block: Option<String> = None;
    for line in text.lines() {
        let line = line.map_err(|source| Error::new(ErrorKind::Corrupt, "reading public keys").because(source))?;
        if line.starts_with("-----BEGIN ") {
            block = Some(String::new());
        }
        if let Some(block) = &mut block {
            block.push_str(&line);
            block.push('\n');
        }
        if line.starts_with("-----END ") {
            blocks.extend(block.take());
        }
    }
    Ok(blocks)
}

/// Several signatures in one armored text.
pub(super) fn armored(signatures: &[DetachedSignature]) -> Result<Vec<u8>> {
    let failed = |source| Error::new(ErrorKind::Internal, "writing a signature").because(source);
    let mut bytes = Vec::new();
    for signature in signatures {
        signature.to_writer(&mut bytes).map_err(failed)?;
    }
    let mut text = Vec::new();
    let packets = pgp::armor::BlockType::Signature;
    pgp::armor::write(&Raw(&bytes), packets, &mut text, None, true).map_err(failed)?;
    Ok(text)
}

/// Packets that are written already.
struct Raw<'a>(&'a [u8]);

impl pgp::ser::Serialize for Raw<'_> {
    fn to_writer<W: std::io::Write>(&self, writer: &mut W) -> pgp::errors::Result<()> {
        writer.write_all(self.0).map_err(Into::into)
    }

    fn write_len(&self) -> usize {
        self.0.len()
    }
}

fn rsa_bits(params: &PublicParams) -> Option<usize> {
    let PublicParams::RSA(rsa) = params else { return None };
    // The modulus comes first, and its length in bits before it.
    let bytes = rsa.to_bytes().ok()?;
    bytes.first_chunk::<2>().map(|bits| usize::from(u16::from_be_bytes(*bits)))
}

/// OpenPGP counts whole seconds from 1970 to 2106.
fn seconds(at: Timestamp) -> PgpTimestamp {
    PgpTimestamp::from_secs(u32::try_from(at.as_second().max(0)).unwrap_or(u32::MAX))
}
