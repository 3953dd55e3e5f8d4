//! What every verb is given, and how it comes to the bucket.

use std::sync::Arc;

use super::output::Output;
use crate::aws;
use crate::bucket::Bucket;
use crate::bucket::report::Report;
use crate::config::{BucketUrl, Config, LogFormat, Low, Policy, Trust};
use crate::datadog::Datadog;
use crate::error::Result;
use crate::notify::Notifier;
use crate::openpgp::sign::Signer;
use crate::publish::Publisher;
use crate::serve::{self, Outside};
use crate::store::Store;
use crate::store::cache::Cache;
use crate::telemetry::{self, Logging, Verbosity};
use crate::who::Who;

/// The verb did what it was asked.
pub const DONE: u8 = 0;
/// A package was rejected (`publish --wait`).
pub const REJECTED: u8 = 7;

/// What every verb needs.
#[derive(Debug)]
pub struct Context {
    /// What was typed, in layers.
    pub low: Low,
    /// Where words go.
    pub output: Output,
    /// How much is logged.
    pub verbosity: Verbosity,
    /// `YRM_LOG`.
    pub log_filter: Option<String>,
    /// Who acts, by the environment.
    pub who: Who,
}

impl Context {
    /// Who changes the bucket that `config` names, and why.
    pub fn who(&self, config: &Config, reason: Option<&str>) -> Who {
        let who = self.who.clone().because(reason);
        match &config.bucket {
            BucketUrl::S3 { .. } => who.with_credentials(&config.s3),
            BucketUrl::Directory(_) => who,
        }
    }

    /// The configuration; warnings are said and logging starts.
    pub fn config(&self) -> Result<Config> {
        let (config, warnings) = Config::of(&self.low)?;
        let format = config.service.log_format;
        for warning in warnings.iter().filter(|_| format == LogFormat::Human) {
            self.output.say(&format!("warning: {warning}"));
        }
        telemetry::start(&Logging {
            verbosity: self.verbosity,
            filter: self.log_filter.as_deref(),
            format,
            file: config.service.log_file.as_deref(),
        })?;
        // Who reads objects, one a line, meets nothing else.
        for warning in warnings.iter().filter(|_| format == LogFormat::Json) {
            tracing::warn!("{warning}");
        }
        Ok(config)
    }
}

/// Opens the store that `config` names.
pub(super) async fn open(config: &Config) -> Result<Arc<dyn Store>> {
    crate::store::open(config).await
}

/// The keys that `config` names, if it names any.
pub(super) async fn signer(config: &Config) -> Result<Option<Signer>> {
    match &config.signing {
        Some(signing) => Signer::load(signing, &config.s3).await.map(Some),
        None => Ok(None),
    }
}

/// A publisher of the bucket that `config` names. Keys that cannot be used are told before the bucket is
/// asked anything.
pub(super) async fn publisher(config: &Config) -> Result<Publisher> {
    let signer = signer(config).await?;
    Ok(publisher_of(open(config).await?, config)?.with_signer(signer))
}

/// The same in a store that is open already.
pub(super) async fn publisher_in(store: Arc<dyn Store>, config: &Config) -> Result<Publisher> {
    Ok(publisher_of(store, config)?.with_signer(signer(config).await?))
}

fn publisher_of(store: Arc<dyn Store>, config: &Config) -> Result<Publisher> {
    Ok(Publisher::new(store, config.policy.clone())?.with_cache(Cache::of(config)))
}

/// Who is told of runs, as `config` says; `hiccups` runs in a row may fail before it is told.
pub(super) async fn outside(config: &Config, hiccups: u32) -> Result<Outside> {
    let datadog = match &config.datadog {
        Some(to) => Some(Datadog::start(to, &config.bucket.short_name(), &aws::authorities(&config.s3).await?)?),
        None => None,
    };
    let notifier = match &config.notify {
        Some(to) => Some(Notifier::start(to, config.bucket.to_string(), &config.s3, hiccups).await?),
        None => None,
    };
    Ok(Outside { datadog, notifier })
}

/// An operation by hand, told outside as a run is.
pub(super) async fn operate(config: &Config, operation: impl AsyncFnOnce() -> Result<Report>) -> Result<Report> {
    let outside = outside(config, 0).await?;
    let outcome = operation().await;
    if let Ok(report) = &outcome {
        serve::tell_of_operation(&outside, report);
    }
    outside.finish().await;
    outcome
}

/// Opens the bucket that `config` names, for a verb that publishes nothing: it needs no keyring, which
/// may be on the publisher's machine only.
pub(super) async fn open_bucket(config: &Config) -> Result<Bucket> {
    let policy = Policy { trust: Trust::default(), ..config.policy.clone() };
    Bucket::new(open(config).await?, policy)
}
