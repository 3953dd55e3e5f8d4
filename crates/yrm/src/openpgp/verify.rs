//! Verifies a package's signatures: over its main header, or over header and payload as rpm 3
//! began it. Says of each what it is worth; whether that is enough is the policy's to decide.
//!
//! A signature counts when a key of the ring made it, with a hash that still means something, and
//! the key counted both then and now: a key that is over could be anybody's, and its holder can
//! put any date on what he signs.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use digest::DynDigest;
use jiff::Timestamp;
use pgp::composed::{Deserializable as _, DetachedSignature};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Signature, SignatureType, SignatureVersion, SignatureVersionSpecific};
use rpmmd::header::HeaderFile;
use rpmmd::tag::{Tag, signature as tags};

use super::keyring::{Fingerprint, Key, Keyring, Unfit};

/// Signatures of one package that are looked at; rpm writes two, and more where several keys sign.
const MAX_SIGNATURES: usize = 8;
/// A signature over this size is none: RSA of 8192 bits takes a KiB.
const MAX_SIGNATURE_BYTES: usize = 8 << 10;
/// Builders' clocks may lead by this much.
const CLOCK_SKEW_SECONDS: i64 = 30 * 60;

/// What a signature is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Covers {
    /// The main header, and through its digest the payload.
    Header,
    /// The main header and the payload.
    Everything,
}

/// Why a signature does not count, the worst first: what is told of a package that has several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A key of the ring did not make it, although it is said to have.
    Bad,
    /// Its key is over, revoked, or not valid yet; or the signature itself is over.
    Expired,
    /// By a hash or a key that can be forged.
    Weak,
    /// Nobody here knows its key.
    UnknownKey,
    /// There is none.
    Unsigned,
}

/// A fault and its particulars.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What kind.
    pub fault: Fault,
    /// What is wrong with this package.
    pub message: String,
}

impl Refusal {
    fn new(fault: Fault, message: impl Into<String>) -> Self {
        Self { fault, message: message.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// A signature that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// By this primary key (or a subkey of it).
    pub by: Fingerprint,
    /// What it is about.
    pub covers: Covers,
}

/// Who may sign, and when that is asked.
#[derive(Debug, Clone)]
pub struct Trust {
    /// The keys.
    pub keyring: Arc<Keyring>,
    /// Only these of them; all when there is none.
    pub only: Option<Arc<[Fingerprint]>>,
    /// The time.
    pub now: Timestamp,
}

/// The verification of one package, while its payload goes by.
pub struct Verification {
    trust: Trust,
    findings: Vec<Result<Signed, Refusal>>,
    /// Signatures over the payload too.
    open: Vec<Open>,
}

impl fmt::Debug for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verification").field("findings", &self.findings).finish_non_exhaustive()
    }
}

/// A signature whose bytes are still coming.
struct Open {
    signature: Signature,
    hasher: Box<dyn DynDigest + Send>,
}

impl Verification {
    /// Looks at everything that can be told by the headers.
    pub fn begin(file: &HeaderFile<'_>, trust: Trust) -> Self {
        let mut verification = Self { trust, findings: Vec::new(), open: Vec::new() };
        let claims = claims(file);
        if claims.len() > MAX_SIGNATURES {
            let message = format!("it has {} signatures, and {MAX_SIGNATURES} are looked at", claims.len());
            verification.findings.push(Err(Refusal::new(Fault::Bad, message)));
            return verification;
        }
        for (covers, claim) in claims {
            let opened = claim.and_then(|bytes| verification.open(&bytes));
            match (opened, covers) {
                (Err(refusal), _) => verification.findings.push(Err(refusal)),
                (Ok(mut open), covers) => {
                    open.hasher.update(file.main.as_bytes());
                    match covers {
                        Covers::Header if file.is_v3() => {
                            let message = "its header has no region, so a signature over its header says nothing";
                            verification.findings.push(Err(Refusal::new(Fault::Unsigned, message)));
                        }
                        Covers::Header => {
                            let finding = verification.close(open, covers);
                            verification.findings.push(finding);
                        }
                        Covers::Everything => verification.open.push(open),
                    }
                }
            }
        }
        verification
    }

    /// Whether a signature is about the payload too, and can only be told when that was read.
    pub fn wants_payload(&self) -> bool {
        !self.open.is_empty()
    }

    /// Whether a good payload can lead to a good end: not where a signature is bad already, or where
    /// none is left that could count.
    pub fn may_count(&self) -> bool {
        let is_bad = |finding: &Result<Signed, Refusal>| matches!(finding, Err(Refusal { fault: Fault::Bad, .. }));
        !self.findings.iter().any(is_bad) && (self.wants_payload() || self.findings.iter().any(Result::is_ok))
    }

    /// The next piece of the payload.
    pub fn update(&mut self, piece: &[u8]) {
        self.open.iter_mut().for_each(|open| open.hasher.update(piece));
    }

    /// What the signatures are worth together. `payload_read` says that all of the payload went
    /// by; a bad signature is never made up for by a good one: clients would refuse the package.
    pub fn finish(mut self, payload_read: bool) -> Result<Signed, Refusal> {
        for open in std::mem::take(&mut self.open) {
            if payload_read {
                let finding = self.close(open, Covers::Everything);
                self.findings.push(finding);
            }
        }
        let refusals = self.findings.iter().filter_map(|finding| finding.as_ref().err());
        let worst = refusals.min_by_key(|refusal| refusal.fault);
        if let Some(bad) = worst.filter(|refusal| refusal.fault == Fault::Bad) {
            return Err(bad.clone());
        }
        let good = self.findings.iter().filter_map(|finding| finding.as_ref().ok());
        match (good.max_by_key(|signed| signed.covers == Covers::Everything), worst) {
            (Some(signed), _) => Ok(signed.clone()),
            (None, Some(refusal)) => Err(refusal.clone()),
            (None, None) => Err(Refusal::new(Fault::Unsigned, "it is not signed")),
        }
    }

    /// A signature that is worth hashing for.
    fn open(&self, bytes: &[u8]) -> Result<Open, Refusal> {
        let bad = |why: String| Refusal::new(Fault::Bad, why);
        let DetachedSignature { signature } = DetachedSignature::from_bytes(bytes)
            .map_err(|error| bad(format!("a signature in it cannot be read: {error}")))?;
        let config = signature.config().ok_or_else(|| bad("a signature in it is of an unknown version".to_owned()))?;
        if config.typ() != SignatureType::Binary {
            return Err(bad("a signature in it is not one over bytes".to_owned()));
        }
        let hash = config.hash_alg;
        match hash {
            HashAlgorithm::Sha224
            | HashAlgorithm::Sha256
            | HashAlgorithm::Sha384
            | HashAlgorithm::Sha512
            | HashAlgorithm::Sha3_256
            | HashAlgorithm::Sha3_512 => {}
            _ => return Err(Refusal::new(Fault::Weak, format!("it is signed by way of {hash}, which can be forged"))),
        }
        if self.trust.keyring.meant_by(&signature).next().is_none() {
            let message = format!("it is signed by {}, which is not in the keyring", issuer(&signature));
            return Err(Refusal::new(Fault::UnknownKey, message));
        }
        let mut hasher = hash.new_hasher().map_err(|error| bad(error.to_string()))?;
        if let SignatureVersionSpecific::V6 { salt } = &config.version_specific {
            if hash.salt_len() != Some(salt.len()) {
                return Err(bad("a signature in it has a salt of a wrong length".to_owned()));
            }
            hasher.update(salt.as_ref());
        }
        Ok(Open { signature, hasher })
    }

    /// What the signature is worth, once everything that it is about went into its hash.
    fn close(&self, open: Open, covers: Covers) -> Result<Signed, Refusal> {
        let Open { signature, mut hasher } = open;
        let bad = |why: String| Refusal::new(Fault::Bad, why);
        let config = signature.config().expect("it was looked at when it was opened");
        let trailer = config.hash_signature_data(&mut hasher).and_then(|length| config.trailer(length));
        hasher.update(&trailer.map_err(|error| bad(format!("a signature in it cannot be read: {error}")))?);
        let digest = hasher.finalize();
        let bytes = signature.signature().ok_or_else(|| bad("a signature in it is empty".to_owned()))?;
        let version_6 = signature.version() == SignatureVersion::V6;
        let mut meant = self.trust.keyring.meant_by(&signature).filter(|key| key.is_of_version_6() == version_6);
        let Some(key) = meant.find(|key| key.made(config.hash_alg, &digest, bytes)) else {
            return Err(bad(format!("its signature by {} is not over these bytes", issuer(&signature))));
        };
        self.counts(key, &signature)?;
        Ok(Signed { by: key.primary.clone(), covers })
    }

    /// Whether a sound signature by this key counts.
    fn counts(&self, key: &Key, signature: &Signature) -> Result<(), Refusal> {
        let expired = |why: String| Refusal::new(Fault::Expired, why);
        let name = &key.fingerprint;
        let allowed =
            |fingerprint: &Fingerprint| self.trust.only.as_ref().is_none_or(|only| only.contains(fingerprint));
        if !allowed(name) && !allowed(&key.primary) {
            return Err(Refusal::new(Fault::UnknownKey, format!("it is signed by {name}, which may not sign here")));
        }
        let Some(made) = signature.created().map(|made| i64::from(made.as_secs())) else {
            return Err(Refusal::new(Fault::Bad, "its signature does not say when it was made"));
        };
        let now = self.trust.now.as_second();
        if made > now + CLOCK_SKEW_SECONDS {
            return Err(expired(format!("its signature is of {}, which is yet to come", day(made))));
        }
        if let Some(lasts) = signature.signature_expiration_time().map(|lasts| i64::from(lasts.as_secs()))
            && lasts > 0
            && made + lasts <= now
        {
            return Err(expired(format!("its signature ended on {}", day(made + lasts))));
        }
        for at in [made, now] {
            key.fit_at(at).map_err(|unfit| unfit_key(name, &unfit))?;
        }
        Ok(())
    }
}

fn unfit_key(name: &Fingerprint, unfit: &Unfit) -> Refusal {
    let (fault, message) = match unfit {
        Unfit::Revoked => (Fault::Expired, format!("it is signed by {name}, which its owner has revoked")),
        Unfit::Expired(at) => {
            (Fault::Expired, format!("it is signed by {name}, which expired on {}", at.strftime("%F")))
        }
        Unfit::NotYetValid(at) => {
            (Fault::Expired, format!("it is signed by {name}, which is not valid before {}", at.strftime("%F")))
        }
        Unfit::Weak(why) => (Fault::Weak, format!("it is signed by {name}, a weak key: {why}")),
        Unfit::NotForSigning => (Fault::UnknownKey, format!("it is signed by {name}, which is not for signing")),
    };
    Refusal { fault, message }
}

fn day(seconds: i64) -> String {
    Timestamp::from_second(seconds)
        .map_or_else(|_| "a day that never comes".to_owned(), |at| at.strftime("%F").to_string())
}

/// Who a signature says made it.
fn issuer(signature: &Signature) -> String {
    if let Some(fingerprint) = signature.issuer_fingerprint().first() {
        return format!("{fingerprint:X}");
    }
    match signature.issuer_key_id().first() {
        Some(id) => format!("{:X}", u64::from_be_bytes(id.as_ref().try_into().unwrap_or_default())),
        None => "a key without a name".to_owned(),
    }
}

/// A signature's bytes, or why there are none where some should be.
type Claim = Result<Vec<u8>, Refusal>;

/// Every signature that the package has, as it stands in its signature header.
fn claims(file: &HeaderFile<'_>) -> Vec<(Covers, Claim)> {
    let unreadable = |tag: Tag| Refusal::new(Fault::Bad, format!("its {tag} signature is no signature"));
    let mut claims = Vec::new();
    let places = [
        (tags::RSA, Covers::Header),
        (tags::DSA, Covers::Header),
        (tags::PGP, Covers::Everything),
        (tags::GPG, Covers::Everything),
    ];
    for (tag, covers) in places.into_iter().filter(|(tag, _)| file.signature.has(*tag)) {
        // One that is too long is not even copied.
        let bytes = file.signature.bytes(tag).filter(|bytes| bytes.len() <= MAX_SIGNATURE_BYTES);
        claims.push((covers, bytes.map(<[u8]>::to_vec).ok_or_else(|| unreadable(tag))));
    }
    if file.signature.has(tags::OPENPGP) {
        match file.signature.texts(tags::OPENPGP) {
            None => claims.push((Covers::Header, Err(unreadable(tags::OPENPGP)))),
            // One more than are looked at shows that there are too many.
            Some(texts) => claims.extend(texts.take(MAX_SIGNATURES + 1).map(|text| {
                let longest = MAX_SIGNATURE_BYTES * 2;
                let bytes = Some(text).filter(|text| text.len() <= longest).and_then(|text| BASE64.decode(text).ok());
                (Covers::Header, bytes.ok_or_else(|| unreadable(tags::OPENPGP)))
            })),
        }
    }
    claims
}
