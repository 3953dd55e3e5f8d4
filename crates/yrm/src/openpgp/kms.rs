//! Keys in AWS KMS: they sign there and never leave. KMS is sent digests, nothing else.
//!
//! The name in the configuration, which may be an alias, is looked up once; from then on it is the key
//! that was found. A moved alias counts from the next start, as the published public key does.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use pgp::packet;
use pgp::types::SignatureBytes;
use serde::Deserialize;
use serde_json::json;

use super::material::{self, Kind};
use crate::aws::Service;
use crate::aws::named::KMS;
use crate::aws::refusal::{Failure, GIVE_CREDENTIALS, Refusal};
use crate::config::{AwsName, S3Config};
use crate::error::{Error, ErrorKind, Result};

/// What whoever signs with a key must be allowed.
const PERMISSIONS: &str = "allow kms:Sign, kms:GetPublicKey and kms:DescribeKey on it";
/// What KMS's key must be.
const FIT: &str = "make one with KeyUsage SIGN_VERIFY and KeySpec RSA_4096, RSA_3072, RSA_2048, ECC_NIST_P256 or \
                   ECC_NIST_P384";

/// A key in KMS.
pub(super) struct KmsKey {
    service: Service,
    arn: String,
    kind: Kind,
}

impl fmt::Debug for KmsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KmsKey({})", self.arn)
    }
}

impl KmsKey {
    /// The key of this name, and its public half: the same whenever and wherever it is asked for.
    pub(super) async fn find(name: &AwsName, config: &S3Config) -> Result<(Self, packet::PublicKey)> {
        let service = Service::of(&KMS, config, name.region()).await?;
        let unfit = |why: String| Error::new(ErrorKind::Config, "looking at the key").because(why).hint(FIT);
        let described = service.ask("DescribeKey", &json!({"KeyId": name.as_str()})).await;
        let Described { key_metadata: about } = described.map_err(|refusal| failure(refusal, "looking at the key"))?;
        if about.key_usage.as_deref() != Some("SIGN_VERIFY") {
            return Err(unfit("it is not there to sign".to_owned()));
        }
        if !about.enabled {
            let state = about.key_state.unwrap_or_else(|| "not enabled".to_owned());
            return Err(Error::new(ErrorKind::Config, "looking at the key")
                .because(format!("its state is {state}"))
                .hint("enable it, or cancel its deletion"));
        }
        let created = about.creation_date.and_then(whole_seconds);
        let (Some(created), Some(arn)) = (created, about.arn) else {
            return Err(unfit("KMS does not say when it was made".to_owned()));
        };
        let fetched = service.ask("GetPublicKey", &json!({"KeyId": arn})).await;
        let Fetched { public_key } = fetched.map_err(|refusal| failure(refusal, "fetching the public key"))?;
        let info = STANDARD.decode(public_key).unwrap_or_default();
        let (public, kind) = material::public_key(&info, created).ok_or_else(|| {
            let spec = about.key_spec.map_or_else(String::new, |spec| format!(" ({spec})"));
            unfit(format!("its kind is none that OpenPGP and every client know{spec}"))
        })?;
        Ok((Self { service, arn, kind }, public))
    }

    /// What kind of key it is.
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// The numbers of a signature over `digest`. In a box, as a store's answers are: what publishes is
    /// deep enough without that.
    pub(super) fn sign<'a>(&'a self, digest: &'a [u8]) -> BoxFuture<'a, Result<SignatureBytes>> {
        let doing = || format!("signing with {}", self.arn);
        let algorithm = match self.kind {
            Kind::Rsa => "RSASSA_PKCS1_V1_5_SHA_512",
            Kind::P256 => "ECDSA_SHA_256",
            Kind::P384 => "ECDSA_SHA_384",
        };
        let message = STANDARD.encode(digest);
        let input =
            json!({"KeyId": self.arn, "SigningAlgorithm": algorithm, "MessageType": "DIGEST", "Message": message});
        async move {
            let answer = self.service.ask("Sign", &input).await;
            let Signed { signature } = answer.map_err(|refusal| failure(refusal, doing()))?;
            let bytes = STANDARD.decode(signature).unwrap_or_default();
            let numbers = self.kind.signature(&bytes);
            numbers.ok_or_else(|| Error::new(ErrorKind::Unavailable, doing()).because("KMS's answer is no signature"))
        }
        .boxed()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    key_metadata: About,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct About {
    arn: Option<String>,
    #[serde(default)]
    enabled: bool,
    key_usage: Option<String>,
    key_state: Option<String>,
    key_spec: Option<String>,
    creation_date: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Fetched {
    public_key: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Signed {
    signature: String,
}

/// Seconds since 1970, as AWS's JSON has times: with a fraction.
fn whole_seconds(seconds: f64) -> Option<u32> {
    // Rust's conversion of a number out of range would be another number.
    jiff::SignedDuration::try_from_secs_f64(seconds).ok().and_then(|time| u32::try_from(time.as_secs()).ok())
}

/// The error of a call. While the service runs nothing of this is final: a key that is disabled may be
/// enabled again.
fn failure(refusal: Refusal, doing: impl Into<String>) -> Error {
    let (failure, code) = (refusal.failure, refusal.code.as_str());
    let (kind, hint) = match failure {
        Failure::Refused if code.contains("NotFound") => {
            (ErrorKind::Config, Some("check the key's id or alias, its region and its account"))
        }
        Failure::Refused if code.contains("Disabled") || code.contains("InvalidState") => {
            (ErrorKind::Unavailable, Some("enable the key, or cancel its deletion; the next run tries again"))
        }
        Failure::Refused if code.contains("Unsupported") || code.contains("KeyUsage") => (ErrorKind::Config, Some(FIT)),
        Failure::Refused | Failure::Away => (failure.kind(), None),
        Failure::Denied => (failure.kind(), Some(PERMISSIONS)),
        Failure::NoCredentials => (failure.kind(), Some(GIVE_CREDENTIALS)),
    };
    let error = Error::new(kind, doing).because(refusal);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// At the start a key that cannot sign is a mistake in the configuration, unless KMS is only away.
pub(super) fn at_start(error: &Error, key: &AwsName) -> Error {
    let kind = match error.kind() {
        ErrorKind::Unavailable => ErrorKind::Unavailable,
        ErrorKind::Config
        | ErrorKind::Denied
        | ErrorKind::Conflict
        | ErrorKind::Corrupt
        | ErrorKind::Archived
        | ErrorKind::Internal => ErrorKind::Config,
    };
    let hint = match error.hint_text() {
        Some(hint) if hint.contains("kms:") => hint.to_owned(),
        Some(hint) => format!("{hint}; {PERMISSIONS}"),
        None => PERMISSIONS.to_owned(),
    };
    Error::new(kind, format!("reading the signing key awskms:{key}")).because(error.chain()).hint(hint)
}
