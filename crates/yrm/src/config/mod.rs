//! What an operator can set, already checked: everything else reads this and nothing else.
//!
//! `settings` is the table of names, `low` what was typed and where, `meaning` turns it into the
//! [`Config`] of `values`. Nothing outside this module reads the environment or `yrm.toml`.

pub mod access_point;
mod complaint;
mod gateway;
pub mod globs;
mod low;
mod meaning;
pub mod parse;
pub mod place;
mod problem;
pub mod rules;
mod setting;
pub mod settings;
pub mod shape;
mod template;
#[cfg(test)]
mod tests;
mod text;
mod trust;
mod values;
mod versions;
mod written;

pub use self::complaint::{Complaint, Parsed};
pub use self::gateway::{ApiAccess, GatewayAuth, GatewayConfig, GatewayMode, Tls};
pub use self::low::{Low, Source, Typed, Value};
pub use self::meaning::{Shown, show};
pub use self::place::{AwsName, AwsSecret, KeyPlace, Secret, SecretPlace};
pub use self::problem::Problem;
pub use self::shape::{Difference, Shape, Signs};
pub use self::template::template;
pub use self::trust::{KeyringPlace, Level, Rule, SignPackages, Trust};
pub use self::values::{
    BucketUrl, CacheConfig, Config, Datadog, Folders, LogFormat, Mirrors, Notify, NotifyOn, NotifyShape, Policy,
    QueueAddress, ReleaseKey, Repositories, S3Config, SelfUpdate, Service, SignWith, SigningConfig, Topic,
};
pub use self::versions::{OnConflict, Pruning, Retention};
pub use self::written::{Acl, Encryption, ObjectClass, Tag, Written};
use crate::error::{Error, ErrorKind, Result};

impl Config {
    /// Where the bucket that `low` names is, if that can be said, whatever else is wrong.
    pub fn place(low: &Low) -> Option<(BucketUrl, S3Config)> {
        meaning::place(low)
    }

    /// What of a bucket with these settings could work for nobody, a line each. What only some machines have (keys to
    /// sign with, files with public keys) is not missed.
    pub fn problems_of(low: &Low, shape: &Shape) -> Vec<String> {
        let all: Vec<&str> = shape::settings_of_buckets().map(|setting| setting.name).collect();
        let low = low.of_the_process().joined(shape, &all, Rule::clone);
        let found = meaning::mean(&low).err().unwrap_or_default();
        let is_elsewhere = |problem: &Problem| matches!(problem.place.as_str(), "keyring" | "sign-packages");
        found.iter().filter(|problem| !is_elsewhere(problem)).map(ToString::to_string).collect()
    }

    /// What `low` means.
    ///
    /// Answers the configuration and what is worth a warning. The error is of kind `Config` and
    /// names every problem at once.
    pub fn of(low: &Low) -> Result<(Self, Vec<String>)> {
        meaning::mean(low).map_err(|problems| {
            let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
            let doing = match problems.len() {
                1 => "reading the configuration".to_owned(),
                count => format!("reading the configuration ({count} problems)"),
            };
            Error::new(ErrorKind::Config, doing)
                .because(lines.join("\n  "))
                .hint("yrm config show tells where each value came from; docs/reference/settings.md explains them")
        })
    }
}
