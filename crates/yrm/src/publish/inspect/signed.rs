//! Packages that get our signature before they are published: the draft that is made while a file is
//! inspected, and its way to its place.
//!
//! A draft is nobody's to have. It becomes a signature in a file only when all of the upload went by, its
//! digests were right and the policy lets it in; until then it is a few bytes in this process's memory.
//! Nothing published is ever signed again.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use rpmmd::checksum::{Sha256, Sha256Stream};
use rpmmd::header::{HeaderFile, HeaderSignature, Parsed, Unsignable};
use rpmmd::tag;

use crate::bucket::gate::Demands;
use crate::bucket::verdict::{Reason, Signed};
use crate::config::SignPackages;
use crate::error::{Error, ErrorKind, Result};
use crate::openpgp::keyring::{Fingerprint, Keyring};
use crate::openpgp::sign::{BegunPackage, PackageSignature, Signer};
use crate::openpgp::verify::{self, Covers, Fault, Refusal, Verification};

/// By whose signatures a package is left as it is, and who signs the others.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    signer: Arc<Signer>,
    enough: verify::Trust,
}

impl Terms {
    /// Of the folder with these demands. `keyring` is asked where others than our own keys count.
    pub(crate) fn new(
        signer: Arc<Signer>,
        demands: Demands<'_>,
        keyring: Option<Arc<Keyring>>,
        now: Timestamp,
    ) -> Self {
        let own = || signer.public_keys().filter_map(|key| Fingerprint::parse(&key.fingerprint()));
        let (keyring, only) = match (demands.sign, keyring) {
            (SignPackages::Missing, Some(others)) => {
                let mut all = Keyring::clone(signer.keyring());
                all.add(Keyring::clone(&others));
                let only = demands.only().map(|only| only.iter().cloned().chain(own()).collect());
                (Arc::new(all), only)
            }
            (SignPackages::Missing, None) => (Arc::clone(signer.keyring()), None),
            (SignPackages::Always | SignPackages::Off, _) => {
                (Arc::clone(signer.keyring()), Some(own().take(1).collect()))
            }
        };
        Self { signer, enough: verify::Trust { keyring, only, now } }
    }
}

/// What there is to sign, begun: what a key in KMS has to add is still missing.
pub(crate) struct Sketch {
    verification: Option<Verification>,
    payload_has_digest: bool,
    begun: Result<BegunPackage, Unsignable>,
}

/// A signature in the making, while the file that it is for goes by.
pub(crate) struct Draft {
    /// What the file's own signatures are worth, where only its payload can tell.
    verification: Option<Verification>,
    payload_has_digest: bool,
    made: Result<Made, Unsignable>,
}

struct Made {
    start: Bytes,
    from: u64,
    by: String,
    main_header: Sha256,
    published: Sha256Stream,
    content_bytes: u64,
}

impl Sketch {
    /// For the file with these headers, whose digests are right; `None` where its own signature is enough.
    pub(crate) fn begin(file: &HeaderFile<'_>, terms: &Terms) -> Result<Result<Option<Self>, (Reason, String)>> {
        let payload_has_digest = file.payload_sha256().is_some();
        let verification = Verification::begin(file, terms.enough.clone());
        let verification = if verification.wants_payload() {
            Some(verification)
        } else {
            match is_enough(verification, payload_has_digest, false) {
                Ok(true) => return Ok(Ok(None)),
                Ok(false) => None,
                Err(refused) => return Ok(Err(refused)),
            }
        };
        let begun = match file.unsignable() {
            Some(why) if verification.is_none() => return Ok(Err(cannot_be_signed(why))),
            Some(why) => Err(why),
            None => Ok(begin_signature(file, terms)?),
        };
        Ok(Ok(Some(Self { verification, payload_has_digest, begun })))
    }

    /// With its signature, for the file that begins with `prefix`.
    pub(crate) async fn finish(self, signer: &Signer, prefix: &[u8]) -> Result<Result<Draft, (Reason, String)>> {
        let Self { verification, payload_has_digest, begun } = self;
        let made = match begun {
            Err(why) => Err(why),
            Ok(begun) => {
                let signature = signer.finish_package(begun).await?;
                let Ok(Parsed::Ready(file)) = HeaderFile::parse_prefix(prefix) else {
                    return Err(Error::new(ErrorKind::Internal, "signing a file whose header was not read"));
                };
                match Made::of(&file, signature) {
                    Ok(made) => Ok(made),
                    Err(refused) => return Ok(Err(refused)),
                }
            }
        };
        Ok(Ok(Draft { verification, payload_has_digest, made }))
    }
}

fn begin_signature(file: &HeaderFile<'_>, terms: &Terms) -> Result<BegunPackage> {
    let built = file.main.integer(tag::BUILDTIME).and_then(|seconds| i64::try_from(seconds).ok());
    let built = built.and_then(|seconds| Timestamp::from_second(seconds).ok()).unwrap_or(Timestamp::MAX);
    terms.signer.begin_package(file.main.as_bytes(), built, terms.enough.now)
}

impl Draft {
    /// The next piece of the file: what of it is main header or payload, and what is payload.
    pub(crate) fn update(&mut self, content: &[u8], payload: &[u8]) {
        if let Some(verification) = &mut self.verification {
            verification.update(payload);
        }
        if let Ok(made) = &mut self.made {
            made.published.update(content);
            made.content_bytes += content.len() as u64;
        }
    }

    /// The end: all of the file went by, and its payload is what its header says. Gives the signed file
    /// and its SHA-256; `None` where its own signature turned out to be enough.
    pub(crate) fn finish(self, uploaded: Sha256) -> Result<Option<(Signed, Sha256)>, (Reason, String)> {
        if let Some(verification) = self.verification
            && is_enough(verification, self.payload_has_digest, true)?
        {
            return Ok(None);
        }
        let Made { start, from, by, main_header, published, content_bytes } = self.made.map_err(cannot_be_signed)?;
        let size_bytes = start.len() as u64 + content_bytes;
        Ok(Some((Signed { start, from, size_bytes, by, uploaded, main_header }, published.finish())))
    }
}

impl Made {
    fn of(file: &HeaderFile<'_>, signature: PackageSignature) -> Result<Self, (Reason, String)> {
        let packet = signature.packet.as_slice();
        let place = if signature.is_rsa { HeaderSignature::Rsa(packet) } else { HeaderSignature::Other(packet) };
        let start = match file.start_with_signature(place) {
            Ok(start) => Bytes::from(start),
            // Librpm's limits: there is no room for one more tag.
            Err(error) => return Err((Reason::HeaderLimit, format!("it cannot be signed: {error}"))),
        };
        let mut published = Sha256Stream::default();
        published.update(&start);
        let (from, by, main_header) = (file.header_start, signature.by, Sha256::of(file.main.as_bytes()));
        Ok(Self { start, from, by, main_header, published, content_bytes: 0 })
    }
}

fn cannot_be_signed(why: Unsignable) -> (Reason, String) {
    (Reason::Unsupported, format!("packages are signed here, and this one cannot be: {why}"))
}

/// Whether the file's own signatures are enough. One that is bad is a refusal: what somebody has tampered
/// with is not made good by our signature.
fn is_enough(verification: Verification, payload_has_digest: bool, read: bool) -> Result<bool, (Reason, String)> {
    match verification.finish(read) {
        Ok(signed) => Ok(signed.covers == Covers::Everything || payload_has_digest),
        Err(Refusal { fault: Fault::Bad, message }) => Err((Reason::BadSignature, message)),
        Err(_) => Ok(false),
    }
}

/// Whether our first key has signed the package with these headers.
pub(crate) fn is_ours(file: &HeaderFile<'_>, signer: &Arc<Signer>, now: Timestamp) -> bool {
    let only = signer.public_keys().take(1).filter_map(|key| Fingerprint::parse(&key.fingerprint())).collect();
    let enough = verify::Trust { keyring: Arc::clone(signer.keyring()), only: Some(only), now };
    is_enough(Verification::begin(file, enough), file.payload_sha256().is_some(), false).unwrap_or(false)
}
