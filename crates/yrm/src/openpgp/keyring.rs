//! The keys that packages may be signed with: read once, each reduced to what a verification
//! asks of it. Whoever chooses the files is believed; what a key says of itself is checked.
//!
//! A key counts by its newest sound signature on itself. A subkey counts when its key has bound it
//! for signing and it has signed that binding back.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use pgp::composed::{PublicOrSecret, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{PublicKey, PublicSubkey, Signature, SignatureConfig, SignatureType, SubpacketData};
use pgp::ser::Serialize as _;
use pgp::types::{Fingerprint as Digits, KeyDetails as _, KeyId, PublicParams, SignatureBytes, Tag, VerifyingKey as _};

/// A file over this size is no keyring: a key with all its signatures has some ten KiB.
pub const MAX_KEYRING_BYTES: u64 = 8 << 20;
/// Keys in one keyring, subkeys included; each is tried for every signature that names it.
const MAX_KEYS: usize = 10_000;
/// RSA and DSA keys of fewer bits are weak, as for every current distribution.
const LEAST_BITS: u16 = 2048;
/// How armored keys begin.
const ARMOR: &str = "-----BEGIN PGP ";

/// What a key is called: its whole fingerprint, in upper-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// From 40 or 64 hexadecimal digits, in groups or not. Shorter ids can be made to fit any key.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: String = text.chars().filter(|c| !matches!(c, ' ' | ':')).collect();
        let digits = digits.strip_prefix("0x").unwrap_or(&digits).to_ascii_uppercase();
        let whole = matches!(digits.len(), 40 | 64) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        whole.then_some(Self(digits))
    }

    fn of(digits: &Digits) -> Self {
        Self(format!("{digits:X}"))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a file gave no keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoKeys {
    /// It cannot be read as keys at all.
    Unreadable(String),
    /// A secret key: it belongs to whoever signs.
    Secret,
    /// Nothing in it can verify anything.
    Empty,
    /// More keys than anybody has.
    TooMany,
}

impl fmt::Display for NoKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(why) => write!(f, "this is no OpenPGP key: {why}"),
            Self::Secret => f.write_str("this holds a secret key"),
            Self::Empty => f.write_str("no key in it can verify anything"),
            Self::TooMany => write!(f, "more than {MAX_KEYS} keys"),
        }
    }
}

impl std::error::Error for NoKeys {}

impl NoKeys {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "`gpg --armor --export KEYID > FILE` writes a key that can be read",
            Self::Secret => {
                "name the public key only (`gpg --armor --export KEYID`), and keep the secret one away from here"
            }
            Self::Empty => "export the key again with its signatures on itself: `gpg --armor --export KEYID`",
            Self::TooMany => "name only the keys that packages may be signed with",
        }
    }
}

/// A key's own packet.
#[derive(Debug, Clone)]
enum Packet {
    Primary(Box<PublicKey>),
    Sub(Box<PublicSubkey>),
}

/// One key that can verify, be it a primary or a subkey.
#[derive(Debug, Clone)]
pub struct Key {
    packet: Packet,
    /// Its own name.
    pub fingerprint: Fingerprint,
    /// The name of the primary key it belongs to: its own, for a primary.
    pub primary: Fingerprint,
    id: KeyId,
    digits: Digits,
    /// Not valid before; seconds since 1970.
    created: u64,
    /// Not valid from then on.
    expires: Option<u64>,
    revoked: bool,
    signs: bool,
    weak: Option<String>,
    /// When it last spoke for itself; the newer copy of a key wins.
    spoken: u32,
}

/// Why a key's word does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// Taken back by its owner.
    Revoked,
    /// Over at that time.
    Expired(Timestamp),
    /// Not made yet at that time.
    NotYetValid(Timestamp),
    /// Too easy to forge.
    Weak(String),
    /// Its owner keeps it for something else than signing.
    NotForSigning,
}

impl Key {
    /// Whether it counts at this moment (seconds since 1970).
    pub fn fit_at(&self, seconds: i64) -> Result<(), Unfit> {
        if !self.signs {
            return Err(Unfit::NotForSigning);
        }
        if let Some(weak) = &self.weak {
            return Err(Unfit::Weak(weak.clone()));
        }
        if self.revoked {
            return Err(Unfit::Revoked);
        }
        let at = u64::try_from(seconds).unwrap_or(0);
        if at < self.created {
            return Err(Unfit::NotYetValid(moment(self.created)));
        }
        match self.expires {
            Some(expires) if expires <= at => Err(Unfit::Expired(moment(expires))),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether the signature over what `digest` is of was made by this key. Whether the key counts
    /// is another question.
    pub fn made(&self, hash: HashAlgorithm, digest: &[u8], signature: &SignatureBytes) -> bool {
        let verified = match &self.packet {
            Packet::Primary(key) => key.verify(hash, digest, signature),
            Packet::Sub(key) => key.verify(hash, digest, signature),
        };
        verified.is_ok()
    }

    /// Whether it can have made signatures of this version: version 6 keys and signatures go
    /// together.
    pub fn is_of_version_6(&self) -> bool {
        self.digits.version() == Some(pgp::types::KeyVersion::V6)
    }
}

fn moment(seconds: u64) -> Timestamp {
    i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok()).unwrap_or(Timestamp::MAX)
}

/// Keys, by what signatures call them.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    keys: Vec<Key>,
}

impl Keyring {
    /// Every key in a file, armored (one block or several) or binary.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoKeys> {
        let mut keyring = Self::default();
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.contains(ARMOR));
        match text {
            Some(text) => {
                for (at, _) in text.match_indices(ARMOR) {
                    let (parsed, _) =
                        PublicOrSecret::from_armor_many_buf(&text.as_bytes()[at..]).map_err(unreadable)?;
                    keyring.take(parsed)?;
                }
            }
            None => keyring.take(PublicOrSecret::from_bytes_many(bytes).map_err(unreadable)?)?,
        }
        if keyring.keys.is_empty() { Err(NoKeys::Empty) } else { Ok(keyring) }
    }

    /// These keys too. Of two copies of a key the one that spoke last counts, and a revocation in
    /// either.
    pub fn add(&mut self, other: Self) {
        let mut keys: BTreeMap<(Fingerprint, Fingerprint), Key> = BTreeMap::new();
        for key in std::mem::take(&mut self.keys).into_iter().chain(other.keys) {
            let name = (key.primary.clone(), key.fingerprint.clone());
            match keys.get_mut(&name) {
                Some(known) => {
                    let revoked = known.revoked || key.revoked;
                    if key.spoken > known.spoken {
                        *known = key;
                    }
                    known.revoked = revoked;
                }
                None => drop(keys.insert(name, key)),
            }
        }
        self.keys = keys.into_values().collect();
    }

    /// Whether it has no key.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// How many keys, subkeys included.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether a primary or a subkey is called so.
    pub fn has(&self, fingerprint: &Fingerprint) -> bool {
        self.keys.iter().any(|key| key.fingerprint == *fingerprint || key.primary == *fingerprint)
    }

    /// The keys that a signature may mean by what it says of its issuer.
    pub fn meant_by(&self, signature: &Signature) -> impl Iterator<Item = &Key> {
        self.keys.iter().filter(|key| {
            signature.issuer_fingerprint().contains(&&key.digits) || signature.issuer_key_id().contains(&&key.id)
        })
    }

    fn take(&mut self, parsed: impl Iterator<Item = pgp::errors::Result<PublicOrSecret>>) -> Result<(), NoKeys> {
        for key in parsed {
            match key.map_err(unreadable)? {
                PublicOrSecret::Public(key) => {
                    let keys = keys_of(&key);
                    if self.keys.len() + keys.len() > MAX_KEYS {
                        return Err(NoKeys::TooMany);
                    }
                    self.add(Self { keys });
                }
                PublicOrSecret::Secret(_) => return Err(NoKeys::Secret),
            }
        }
        Ok(())
    }
}

fn unreadable(error: impl fmt::Display) -> NoKeys {
    NoKeys::Unreadable(error.to_string())
}

/// A primary key and its subkeys; nothing where it has no sound signature on itself.
fn keys_of(key: &SignedPublicKey) -> Vec<Key> {
    let Some(newest) = newest_on_itself(key) else { return Vec::new() };
    let primary = &key.primary_key;
    let revocations = key.details.revocation_signatures.iter();
    let revoked = revocations.filter(|signature| signature.typ() == Some(SignatureType::KeyRevocation));
    let created = u64::from(primary.created_at().as_secs());
    let fingerprint = Fingerprint::of(&primary.fingerprint());
    let main = Key {
        packet: Packet::Primary(Box::new(primary.clone())),
        primary: fingerprint.clone(),
        fingerprint,
        id: primary.legacy_key_id(),
        digits: primary.fingerprint(),
        created,
        expires: expiry(newest, created),
        revoked: revoked.clone().any(|signature| signature.verify_key(primary).is_ok()),
        signs: signs(newest),
        weak: weakness(primary.public_params()),
        spoken: spoken(newest),
    };
    let subkeys = key.public_subkeys.iter().filter_map(|subkey| subkey_of(&main, primary, subkey));
    std::iter::once(main.clone()).chain(subkeys).collect()
}

/// The newest sound signature that a key has made on itself or on one of its names.
fn newest_on_itself(key: &SignedPublicKey) -> Option<&Signature> {
    let primary = &key.primary_key;
    let direct = key.details.direct_signatures.iter();
    let direct =
        direct.filter(|signature| signature.typ() == Some(SignatureType::Key) && signature.verify_key(primary).is_ok());
    let names =
        key.details.users.iter().flat_map(|user| user.signatures.iter().map(move |signature| (user, signature)));
    let names = names.filter(|(user, signature)| {
        signature.typ() != Some(SignatureType::CertRevocation)
            && is_by(primary, signature)
            && signature.verify_certification(primary, Tag::UserId, &user.id).is_ok()
    });
    // Of two made in one second the one that sets an end.
    direct
        .chain(names.map(|(_, signature)| signature))
        .max_by_key(|signature| (spoken(signature), signature.key_expiration_time().is_some()))
}

/// A signature that says who made it is tried with no other key.
fn is_by(primary: &PublicKey, signature: &Signature) -> bool {
    let (ids, prints) = (signature.issuer_key_id(), signature.issuer_fingerprint());
    (ids.is_empty() && prints.is_empty())
        || ids.contains(&&primary.legacy_key_id())
        || prints.contains(&&primary.fingerprint())
}

/// A subkey that its primary has bound.
fn subkey_of(main: &Key, primary: &PublicKey, subkey: &SignedPublicSubKey) -> Option<Key> {
    let sound = |kind: SignatureType| {
        subkey.signatures.iter().filter(move |signature| {
            signature.typ() == Some(kind) && signature.verify_subkey_binding(primary, &subkey.key).is_ok()
        })
    };
    let binding = sound(SignatureType::SubkeyBinding).max_by_key(|signature| spoken(signature))?;
    let signed_back =
        binding.embedded_signature().is_some_and(|back| back.verify_primary_key_binding(&subkey.key, primary).is_ok());
    let created = u64::from(subkey.key.created_at().as_secs());
    let ends = [expiry(binding, created), main.expires].into_iter().flatten().min();
    Some(Key {
        packet: Packet::Sub(Box::new(subkey.key.clone())),
        fingerprint: Fingerprint::of(&subkey.key.fingerprint()),
        primary: main.primary.clone(),
        id: subkey.key.legacy_key_id(),
        digits: subkey.key.fingerprint(),
        created: created.max(main.created),
        expires: ends,
        revoked: main.revoked || sound(SignatureType::SubkeyRevocation).next().is_some(),
        signs: signs(binding) && signed_back,
        weak: main.weak.clone().or_else(|| weakness(subkey.key.public_params())),
        spoken: spoken(binding).max(main.spoken),
    })
}

fn spoken(signature: &Signature) -> u32 {
    signature.created().map_or(0, pgp::types::Timestamp::as_secs)
}

fn expiry(signature: &Signature, created: u64) -> Option<u64> {
    let after = signature.key_expiration_time()?.as_secs();
    (after > 0).then(|| created + u64::from(after))
}

/// Whether the key may sign: unless it says what it is for, it may.
fn signs(signature: &Signature) -> bool {
    let mut hashed = signature.config().into_iter().flat_map(SignatureConfig::hashed_subpackets);
    hashed
        .find_map(|subpacket| match &subpacket.data {
            SubpacketData::KeyFlags(flags) => Some(flags.sign()),
            _ => None,
        })
        .unwrap_or(true)
}

/// Why nobody should rely on a key of this kind.
fn weakness(params: &PublicParams) -> Option<String> {
    let kind = match params {
        PublicParams::RSA(_) => "RSA",
        PublicParams::DSA(_) => "DSA",
        PublicParams::Unknown { .. } => return Some("of a kind that is not known here".to_owned()),
        _ => return None,
    };
    // The first number is the modulus, after its length in bits.
    let bytes = params.to_bytes().ok()?;
    let bits = u16::from_be_bytes(*bytes.first_chunk()?);
    (bits < LEAST_BITS).then(|| format!("{kind} of {bits} bits"))
}
