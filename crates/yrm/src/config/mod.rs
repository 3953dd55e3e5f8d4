//! What an operator can set, already checked: everything else reads this and nothing else.
//!
//! `settings` is the table of names, `low` what was typed and where, `meaning` turns it into the
//! [`Config`] of `values`. Nothing outside this module reads the environment or `yrm.toml`.

pub mod access_point;
mod complaint;
pub mod globs;
mod low;
mod meaning;
pub mod parse;
pub mod place;
mod problem;
pub mod rules;
pub mod settings;
mod template;
#[cfg(test)]
mod tests;
mod trust;
mod values;
mod written;

pub use self::complaint::{Complaint, Parsed};
pub use self::low::{Low, Source, Typed, Value};
pub use self::meaning::{Shown, show};
pub use self::place::{AwsName, AwsSecret, KeyPlace, Secret, SecretPlace};
pub use self::problem::Problem;
pub use self::template::template;
pub use self::trust::{KeyringPlace, Level, Rule, SignPackages, Trust};
pub use self::values::{
    BucketUrl, CacheConfig, Config, Datadog, Folders, LogFormat, Mirrors, Notify, NotifyOn, NotifyShape, OnConflict,
    Policy, QueueAddress, ReleaseKey, Repositories, Retention, S3Config, SelfUpdate, Service, SignWith, SigningConfig,
    Topic,
};
pub use self::written::{Acl, Encryption, ObjectClass, Tag, Written};
use crate::error::{Error, ErrorKind, Result};

impl Config {
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
