//! Keys in AWS KMS: they sign there and never leave. KMS is sent digests, nothing else.
//!
//! The name in the configuration, which may be an alias, is looked up once; from then on it is the key
//! that was found. A moved alias counts from the next start, as the published public key does.

use std::fmt;

use aws_sdk_kms::Client;
use aws_sdk_kms::config::http::HttpResponse;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{KeyUsageType, MessageType, SigningAlgorithmSpec};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use pgp::packet;
use pgp::types::SignatureBytes;

use super::material::{self, Kind};
use crate::aws::{self, Failure};
use crate::config::{AwsName, S3Config};
use crate::error::{Error, ErrorKind, Result};

/// What whoever signs with a key must be allowed.
const PERMISSIONS: &str = "allow kms:Sign, kms:GetPublicKey and kms:DescribeKey on it";
/// What KMS's key must be.
const FIT: &str = "make one with KeyUsage SIGN_VERIFY and KeySpec RSA_4096, RSA_3072, RSA_2048, ECC_NIST_P256 or \
                   ECC_NIST_P384";

/// A key in KMS.
pub(super) struct KmsKey {
    client: Client,
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
        let client = Client::new(&aws::beside(config, name.region()).await?);
        let unfit = |why: String| Error::new(ErrorKind::Config, "looking at the key").because(why).hint(FIT);
        let described = client.describe_key().key_id(name.as_str()).send().await;
        let described = described.map_err(|error| failure(error, "looking at the key"))?;
        let about = described.key_metadata.ok_or_else(|| unfit("KMS says nothing of it".to_owned()))?;
        if about.key_usage != Some(KeyUsageType::SignVerify) {
            return Err(unfit("it is not there to sign".to_owned()));
        }
        if !about.enabled {
            let state = about.key_state.map_or_else(|| "not enabled".to_owned(), |state| state.to_string());
            return Err(Error::new(ErrorKind::Config, "looking at the key")
                .because(format!("its state is {state}"))
                .hint("enable it, or cancel its deletion"));
        }
        let created = about.creation_date.and_then(|date| u32::try_from(date.secs()).ok());
        let (Some(created), Some(arn)) = (created, about.arn) else {
            return Err(unfit("KMS does not say when it was made".to_owned()));
        };
        let fetched = client.get_public_key().key_id(&arn).send().await;
        let fetched = fetched.map_err(|error| failure(error, "fetching the public key"))?;
        let info = fetched.public_key.map(Blob::into_inner).unwrap_or_default();
        let (public, kind) = material::public_key(&info, created).ok_or_else(|| {
            let spec = about.key_spec.map_or_else(String::new, |spec| format!(" ({spec})"));
            unfit(format!("its kind is none that OpenPGP and every client know{spec}"))
        })?;
        Ok((Self { client, arn, kind }, public))
    }

    /// What kind of key it is.
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// The numbers of a signature over `digest`. In a box, as a store's answers are: what publishes is
    /// deep enough without the SDK.
    pub(super) fn sign<'a>(&'a self, digest: &'a [u8]) -> BoxFuture<'a, Result<SignatureBytes>> {
        let doing = || format!("signing with {}", self.arn);
        let algorithm = match self.kind {
            Kind::Rsa => SigningAlgorithmSpec::RsassaPkcs1V15Sha512,
            Kind::P256 => SigningAlgorithmSpec::EcdsaSha256,
            Kind::P384 => SigningAlgorithmSpec::EcdsaSha384,
        };
        let call = self.client.sign().key_id(&self.arn).signing_algorithm(algorithm);
        let call = call.message_type(MessageType::Digest).message(Blob::new(digest));
        async move {
            let answer = call.send().await.map_err(|error| failure(error, doing()))?;
            let bytes = answer.signature.map(Blob::into_inner).unwrap_or_default();
            let numbers = self.kind.signature(&bytes);
            numbers.ok_or_else(|| Error::new(ErrorKind::Unavailable, doing()).because("KMS's answer is no signature"))
        }
        .boxed()
    }
}

/// The error of a call. While the service runs nothing of this is final: a key that is disabled may be
/// enabled again.
fn failure<E>(error: SdkError<E, HttpResponse>, doing: impl Into<String>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let failure = Failure::of(&error);
    let code = error.code().unwrap_or_default();
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
        Failure::NoCredentials => (failure.kind(), Some(aws::GIVE_CREDENTIALS)),
    };
    let error = Error::new(kind, doing).because(error);
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
