//! In the place of AWS, where this program was built without it: one answer.

use std::convert::Infallible;
use std::time::Duration;

use futures::future::BoxFuture;
use serde_json::Value;

use super::named::Named;
use super::refusal::Refusal;
use crate::authorities::Authorities;
use crate::config::S3Config;
use crate::error::{Error, ErrorKind, Result};

/// The answer to whoever wants `what` of AWS.
pub(crate) fn missing(what: &str) -> Error {
    Error::new(ErrorKind::Config, format!("reaching {what}"))
        .because("this yrm was built without AWS")
        .hint("use a yrm that was built with it (`cargo build --release -p yrm`), or a directory as the bucket")
}

/// Whom HTTPS believes beside the machine's own authorities.
pub(crate) async fn authorities(config: &S3Config) -> Result<Authorities> {
    config.ca_bundle.as_ref().map_or_else(|| Ok(Authorities::default()), |path| Authorities::read(path))
}

/// Another STS than AWS's.
pub(crate) async fn other_sts(_config: &S3Config) -> Option<String> {
    None
}

/// The proof of an identity that nobody has.
pub(crate) async fn prove(_config: &S3Config, _header: (&str, &str), _valid: Duration) -> Result<String> {
    Err(missing("AWS"))
}

/// A service that there is none of.
#[derive(Debug)]
pub(crate) struct Service(Infallible);

impl Service {
    #[expect(clippy::unused_async, reason = "with AWS the credentials are looked up")]
    pub(crate) async fn of(named: &'static Named, _config: &S3Config, _region: Option<&str>) -> Result<Self> {
        Err(missing(named.id))
    }

    pub(crate) async fn with_the_bucket(
        named: &'static Named,
        config: &S3Config,
        region: Option<&str>,
    ) -> Result<Self> {
        Self::of(named, config, region).await
    }

    pub(crate) fn at(self, _origin: &str) -> Self {
        match self.0 {}
    }

    pub(crate) fn patient(self, _attempt: Duration) -> Self {
        match self.0 {}
    }

    pub(crate) fn once(self) -> Self {
        match self.0 {}
    }

    pub(crate) fn ask<'a, T>(&'a self, _operation: &'static str, _input: &Value) -> BoxFuture<'a, Result<T, Refusal>> {
        match self.0 {}
    }

    #[expect(clippy::unused_async, reason = "with AWS it is a request")]
    pub(crate) async fn query(&self, _operation: &'static str, _fields: &[(&str, &str)]) -> Result<String, Refusal> {
        match self.0 {}
    }

    #[expect(clippy::unused_async, reason = "with AWS it is a request")]
    pub(crate) async fn tell(&self, _operation: &'static str, _fields: &[(&str, &str)]) -> Result<(), Refusal> {
        match self.0 {}
    }
}
