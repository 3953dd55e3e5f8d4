//! What every verb is given, and how it comes to the bucket.

use std::sync::Arc;
use std::time::Duration;

use super::output::Output;
use crate::aws;
use crate::bucket::locate::naming;
use crate::bucket::report::Report;
use crate::bucket::settings::load;
use crate::bucket::{Bucket, generations};
use crate::config::shape::{SIGNING_KEYS, layout_text, settings_of_buckets};
use crate::config::{BucketUrl, Config, Difference, LogFormat, Low, Policy, Rule, Shape, Signs};
use crate::datadog::Datadog;
use crate::error::{Error, ErrorKind, Result};
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

/// What a bucket is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To show what it holds, or to upload: where things lie is all that counts, and who may not read the settings goes
    /// by what was typed.
    Looking,
    /// To change it.
    Changing,
    /// To change it for as long as the service runs: a store that is away now is asked again by every run.
    Serving,
}

/// Settings that say where things lie.
const LAYOUT: [&str; 6] = ["inbox", "repo", "repositories", "public-url", "key-name", "grace"];
/// What is shown of a repository's future goes by these too. That a reader has other ones typed is no error.
const SHOWN: [&str; 5] = ["keep-at-least", "prune-age-days", "mirrorlist", "compression", "on-conflict"];
/// A service does not wait longer for the bucket's settings before it answers HTTP.
const AT_START: Duration = Duration::from_secs(5);

/// A bucket that is open, and what it is worked with: what was typed, and under that the bucket's own settings.
#[derive(Debug)]
pub(super) struct Opened {
    /// The configuration.
    pub config: Config,
    /// The store.
    pub store: Arc<dyn Store>,
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

    /// Who changes the bucket that was named, where its settings have no say.
    pub(super) fn who_in_the_bucket(&self) -> Who {
        match Config::place(&self.low) {
            Some((BucketUrl::S3 { .. }, s3)) => self.who.clone().with_credentials(&s3),
            Some((BucketUrl::Directory(_), _)) | None => self.who.clone(),
        }
    }

    /// Opens the bucket, and joins its own settings to what was typed. A typed setting that says otherwise is an error of
    /// kind `Config`.
    pub(super) async fn open(&self, purpose: Purpose) -> Result<Opened> {
        let Some((bucket, s3)) = Config::place(&self.low) else { return Err(self.no_place()) };
        let store = crate::store::open_at(&bucket, &s3).await?;
        let shape = shape(store.as_ref(), purpose).await?;
        let config = match &shape {
            Some(shape) => self.start(&joined(&self.low, shape, purpose)?)?,
            None => self.start(&self.laid_out(&store).await?)?,
        };
        Ok(Opened { config, store })
    }

    /// What was typed, for a bucket without settings: with the layout of what lies there, if it is to go by that.
    pub(super) async fn laid_out(&self, store: &Arc<dyn Store>) -> Result<Low> {
        if !self.low.goes_by_what_is_there() {
            return Ok(self.low.clone());
        }
        let (config, _) = Config::of(&self.low)?;
        let policy = Policy { trust: config.policy.trust.without_keys(), ..config.policy };
        let there = generations::there(&Bucket::new(Arc::clone(store), policy)?).await?;
        Ok(if there.is_empty() { self.low.clone() } else { self.low.laid_out(&layout_text(&naming(&there))) })
    }

    /// Opens the store alone: for what the bucket's settings have no say in.
    pub(super) async fn store(&self) -> Result<Arc<dyn Store>> {
        let Some((bucket, s3)) = Config::place(&self.low) else { return Err(self.no_place()) };
        crate::store::open_at(&bucket, &s3).await
    }

    /// What this machine goes by in a bucket with these settings, whatever was typed of them.
    pub(super) fn with(&self, shape: &Shape) -> Result<Config> {
        Config::of(&under(&self.low.of_the_process(), shape, Purpose::Changing)).map(|(config, _)| config)
    }

    /// The same, where what was typed wins.
    pub(super) fn with_typed(&self, shape: &Shape) -> Result<Config> {
        Config::of(&under(&self.low, shape, Purpose::Changing)).map(|(config, _)| config)
    }

    /// What was typed, with the bucket's own settings under it as far as they can be read now; for `config show`.
    pub(super) async fn seen(&self) -> Result<Low> {
        let Some((bucket, s3)) = Config::place(&self.low) else { return Ok(self.low.clone()) };
        let store = crate::store::open_at(&bucket, &s3).await?;
        let stored = tokio::time::timeout(AT_START, load(store.as_ref())).await;
        let stored = stored.map_err(|_| Error::new(ErrorKind::Unavailable, "reading the bucket's settings"))??;
        Ok(stored.map_or_else(|| self.low.clone(), |stored| under(&self.low, &stored.shape, Purpose::Changing)))
    }

    /// The bucket's own settings after a change, joined to what was typed.
    pub(super) async fn anew(&self, store: &dyn Store) -> Result<Config> {
        let shape = load(store).await?.map(|stored| stored.shape);
        let low = shape.map_or_else(|| Ok(self.low.clone()), |shape| joined(&self.low, &shape, Purpose::Changing))?;
        Config::of(&low).map(|(config, _)| config)
    }

    fn no_place(&self) -> Error {
        match Config::of(&self.low) {
            Err(error) => error,
            Ok(_) => Error::new(ErrorKind::Internal, "reading where the bucket is"),
        }
    }

    /// The configuration without the bucket's own settings; warnings are said and logging starts.
    pub fn config(&self) -> Result<Config> {
        self.start(&self.low)
    }

    fn start(&self, low: &Low) -> Result<Config> {
        let (config, warnings) = Config::of(low)?;
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

/// The bucket's own settings, as far as `purpose` needs them.
async fn shape(store: &dyn Store, purpose: Purpose) -> Result<Option<Shape>> {
    let stored = match purpose {
        Purpose::Looking | Purpose::Changing => load(store).await,
        Purpose::Serving => tokio::time::timeout(AT_START, load(store)).await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Unavailable, "reading the bucket's settings")
                .because("the store does not answer"))
        }),
    };
    match (purpose, stored) {
        (_, Ok(stored)) => Ok(stored.map(|stored| stored.shape)),
        (Purpose::Looking, Err(error)) if error.kind() == ErrorKind::Denied => Ok(None),
        (Purpose::Serving, Err(error)) if !matches!(error.kind(), ErrorKind::Config | ErrorKind::Corrupt) => Ok(None),
        (_, Err(error)) => Err(error),
    }
}

/// The bucket's settings under what was typed.
fn under(low: &Low, shape: &Shape, purpose: Purpose) -> Low {
    match purpose {
        Purpose::Looking => low.joined(shape, &[&LAYOUT[..], &SHOWN].concat(), Rule::without_keys),
        Purpose::Changing | Purpose::Serving => {
            let all: Vec<&str> = settings_of_buckets().map(|setting| setting.name).collect();
            low.joined(shape, &all, Rule::clone)
        }
    }
}

/// The same; an error of kind `Config` where what was typed says otherwise than the bucket.
fn joined(low: &Low, shape: &Shape, purpose: Purpose) -> Result<Low> {
    let low = under(low, shape, purpose);
    let (config, _) = Config::of(&low)?;
    let differences = shape.differences(&Shape::of(&config.policy, &Signs::default()));
    // Who signs is known when the keys are read.
    let counts = |name: &str| name != SIGNING_KEYS && (purpose != Purpose::Looking || LAYOUT.contains(&name));
    let differences: Vec<_> = differences.into_iter().filter(|one| counts(one.name)).collect();
    if differences.is_empty() {
        return Ok(low);
    }
    let line = |one: &Difference| {
        let source = match one.name {
            "folder" => Some(&low.rules_source),
            name => low.get(name).map(|value| &value.source),
        };
        let by = source.map_or_else(String::new, |source| format!(" ({source})"));
        let Difference { name, bucket, here, command } = one;
        format!("{name}{by}: this says {here}, and the bucket has {bucket}; `{command}` changes the bucket")
    };
    let lines: Vec<String> = differences.iter().map(line).collect();
    Err(Error::new(ErrorKind::Config, "going by the bucket's settings").because(lines.join("\n  ")).hint(
        "nothing was written. Leave out here what differs, and the bucket's value holds; `yrm settings show` shows all of them",
    ))
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

/// A publisher of the bucket that is open. Keys that cannot be used are told before the bucket is
/// asked anything.
pub(super) async fn publisher(Opened { config, store }: &Opened) -> Result<Publisher> {
    let signer = signer(config).await?;
    let publisher = Publisher::new(Arc::clone(store), config.policy.clone())?;
    Ok(publisher.with_cache(Cache::of(config)).with_signer(signer))
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

/// The bucket that is open, for a verb that publishes nothing: it needs no keyring, which may be on the publisher's
/// machine only.
pub(super) fn bucket_of(Opened { config, store }: &Opened) -> Result<Bucket> {
    let policy = Policy { trust: config.policy.trust.without_keys(), ..config.policy.clone() };
    Bucket::new(Arc::clone(store), policy)
}
