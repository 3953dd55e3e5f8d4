//! The two clients that a bucket is reached by, and what is said with every request.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{Builder, Region, RequestChecksumCalculation, ResponseChecksumValidation};
use aws_sdk_s3::types::RequestPayer;
use bytes::Bytes;
use rpmmd::checksum::Sha256;

use super::spelling::{etag, quoted};
use super::written::Headers;
use crate::aws::chain;
use crate::config::access_point::AccessPoint;
use crate::config::{S3Config, Written};
use crate::error::{Error, ErrorKind, Result};
use crate::store::{Attributes, Copy, Outcome, PutIf, Stored};

/// Bytes that are hashed on the spot; more goes where blocking is allowed.
const HASH_AT_ONCE_BYTES: usize = 256 << 10;

/// Where S3's ways of storing change, and how long an answer may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// A file over this size is uploaded in parts.
    pub single_put_bytes: u64,
    /// An object over this size is copied in parts: S3 takes 5 GiB in one call.
    pub single_copy_bytes: u64,
    /// Bytes of an uploaded part, at least: S3 wants 5 MiB, and at most 10,000 parts.
    pub part_bytes: u64,
    /// Bytes of a copied part, at least.
    pub copy_part_bytes: u64,
    /// A body up to this size is sent in one call, even if the store has most of it.
    pub single_assemble_bytes: u64,
    /// Bytes of every part but the last, at least: S3's own limit.
    pub min_part_bytes: u64,
    /// How long the store may keep silent.
    pub read_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            single_put_bytes: 64 << 20,
            single_copy_bytes: 5 << 30,
            part_bytes: 16 << 20,
            copy_part_bytes: 512 << 20,
            single_assemble_bytes: 16 << 20,
            min_part_bytes: 5 << 20,
            read_timeout: Duration::from_mins(1),
        }
    }
}

/// A bucket in S3, or a prefix of one.
#[derive(Debug, Clone)]
pub struct S3Store {
    /// Retries: reads and what has no condition.
    pub(super) patient: Client,
    /// Never retries: what has a condition.
    pub(super) once: Client,
    pub(super) bucket: String,
    /// Empty, or ends with a slash.
    pub(super) prefix: String,
    pub(super) limits: Limits,
    /// What is said with every object that is written.
    pub(super) written: Arc<Written>,
    /// Whether we say that we pay.
    pub(super) payer: Option<RequestPayer>,
}

impl S3Store {
    /// The bucket (or access point) `name`, below `prefix` (may be empty), reached as `config` says and otherwise
    /// as the SDK's own chain of environment, profiles and instance roles says. Sends nothing.
    pub async fn connect(name: &str, prefix: &str, config: &S3Config) -> Result<Self> {
        let shared = chain::shared(config).await?;
        let mut builder = Builder::from(&shared).force_path_style(config.path_style);
        if let Some(point) = AccessPoint::of(name) {
            builder = builder.region(Region::new(point.region.to_owned()));
        } else if shared.region().is_none() {
            // Other stores than AWS's have no regions, but signatures want one.
            if config.endpoint.is_none() && shared.endpoint_url().is_none() {
                return Err(Error::new(ErrorKind::Config, format!("finding the region of the bucket {name}"))
                    .hint("give --region, AWS_REGION or a profile with a region"));
            }
            builder = builder.region(Region::from_static("us-east-1"));
        }
        Ok(Self::with_client(builder, name, prefix, Limits::default()).saying(config))
    }

    /// The same bucket, with what `config` has said with every request.
    #[must_use]
    pub fn saying(self, config: &S3Config) -> Self {
        let payer = config.requester_pays.then_some(RequestPayer::Requester);
        Self { written: Arc::new(config.written.clone()), payer, ..self }
    }

    /// The bucket (or access point) `name`, below `prefix`, through a client that is configured but for retries,
    /// timeouts and checksums.
    pub fn with_client(builder: Builder, name: &str, prefix: &str, limits: Limits) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(5))
            .read_timeout(limits.read_timeout)
            .operation_attempt_timeout(Duration::from_mins(10))
            .build();
        // Our puts carry their own SHA-256; the SDK's default, a checksum trailer, fails on stores
        // that are not AWS's (Garage).
        let config = builder
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard())
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .build();
        let once = config.to_builder().retry_config(RetryConfig::disabled()).build();
        let prefix = prefix.trim_matches('/');
        Self {
            patient: Client::from_conf(config),
            once: Client::from_conf(once),
            bucket: name.to_owned(),
            prefix: if prefix.is_empty() { String::new() } else { format!("{prefix}/") },
            limits,
            written: Arc::default(),
            payer: None,
        }
    }

    pub(super) fn headers(&self, attributes: &Attributes) -> Headers {
        Headers::of(&self.written, attributes.class)
    }

    pub(super) fn full(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// The client and the headers that a condition needs.
    pub(super) fn conditional(&self, condition: &PutIf) -> (&Client, Option<String>, Option<String>) {
        match condition {
            PutIf::Always => (&self.patient, None, None),
            PutIf::Absent => (&self.once, Some("*".to_owned()), None),
            PutIf::Matches(etag) => (&self.once, None, Some(quoted(etag))),
        }
    }
}

pub(super) fn copying(copy: Copy<'_>) -> String {
    format!("copying {:?} to {:?}", copy.source.key, copy.target)
}

/// A success must name what it made; one that does not is looked at.
pub(super) fn stored(etag_text: Option<&str>, sha256: Option<Sha256>, doing: &str) -> Outcome<Stored> {
    match etag_text {
        Some(text) => Outcome::Done(Stored { etag: etag(text), sha256, since: None }),
        None => Outcome::Ambiguous(Error::new(ErrorKind::Unavailable, doing).because("the answer has no ETag")),
    }
}

pub(super) fn user_metadata(attributes: &Attributes) -> Option<HashMap<String, String>> {
    let user = &attributes.user;
    (!user.is_empty()).then(|| user.iter().map(|(name, value)| (name.clone(), value.clone())).collect())
}

pub(super) async fn sha256_of(bytes: &Bytes) -> Result<Sha256> {
    if bytes.len() <= HASH_AT_ONCE_BYTES {
        return Ok(Sha256::of(bytes));
    }
    let bytes = bytes.clone();
    tokio::task::spawn_blocking(move || Sha256::of(&bytes))
        .await
        .map_err(|error| Error::new(ErrorKind::Internal, "hashing an object").because(error))
}
