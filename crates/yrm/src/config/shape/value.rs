//! What all who write to a bucket agree on: its settings, as the bucket keeps them in `.yrm/bucket.toml`. Each value is
//! the same text however it was spelt, so that two writers can be compared. Only computes.

use std::collections::BTreeMap;
use std::fmt;

use super::migration::{Migration, REPOSITORIES};
use crate::config::complaint::{Complaint, Parsed};
use crate::config::rules;
use crate::config::settings::{SETTINGS, Scope, Setting};
use crate::config::text;
use crate::config::trust::Rule;
use crate::config::values::Policy;
use crate::config::versions::Retention;

/// Where the bucket keeps its settings.
pub const BUCKET_FILE: &str = ".yrm/bucket.toml";
/// The keys that may sign: the one setting of a bucket that no process has under this name.
pub const SIGNING_KEYS: &str = "signing-keys";
/// What is shown where a setting has no value.
const NOTHING: &str = "nothing";

/// The settings of a bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shape {
    pub(super) values: BTreeMap<&'static str, String>,
    /// Fingerprints of the keys that may sign its metadata; empty when nobody signs.
    pub signing_keys: Vec<String>,
    /// What differs in some folders; the first table that fits holds.
    pub folders: Vec<Rule>,
    /// The change of the layout that is going on.
    pub migration: Option<Migration>,
}

/// Who signs for a writer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signs {
    /// The fingerprints of its keys, the first of which signs; empty when it does not sign.
    pub fingerprints: Vec<String>,
    /// What the file with the public keys is called by.
    pub key_name: Option<String>,
}

/// One setting in which a writer and the bucket do not agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The setting.
    pub name: &'static str,
    /// What the bucket says.
    pub bucket: String,
    /// What the writer says, or would do.
    pub here: String,
    /// The command that changes the bucket.
    pub command: String,
}

/// A setting that changes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Changed {
    /// The setting; with `in FOLDER` where it is for some folders only.
    pub setting: String,
    /// Its value before; `null` where the default held.
    pub before: Option<String>,
    /// Its value after; `null` where the default holds.
    pub after: Option<String>,
}

impl Changed {
    /// The values before and after, for people.
    pub fn values(&self) -> [&str; 2] {
        [&self.before, &self.after].map(|value| value.as_deref().unwrap_or("–"))
    }
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| NOTHING.to_owned());
        write!(f, "{}: {} → {}", self.setting, shown(&self.before), shown(&self.after))
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, bucket, here, command } = self;
        write!(f, "{name}: the bucket has {bucket}, and here it is {here}; `{command}` changes the bucket")
    }
}

/// The settings that a bucket keeps.
pub fn settings_of_buckets() -> impl Iterator<Item = &'static Setting> {
    SETTINGS.iter().filter(|setting| setting.scope != Scope::Process)
}

impl Shape {
    /// What a writer goes by.
    pub fn of(policy: &Policy, signs: &Signs) -> Self {
        let mut values = BTreeMap::from([
            ("inbox", policy.folders.inbox.clone()),
            ("repo", text::repo(&policy.folders.repo)),
            ("repositories", text::repositories(&policy.repositories)),
            ("compression", text::compression(policy.compression).to_owned()),
            ("grace", text::duration(policy.grace)),
            ("on-conflict", policy.on_conflict.name().to_owned()),
            ("signatures", policy.trust.signatures.name().to_owned()),
            ("sign-packages", policy.trust.sign_packages.name().to_owned()),
            ("mirrorlist", policy.mirrors.on.to_string()),
        ]);
        if let Some(Retention { keep_at_least, older_than }) = policy.retention {
            values.insert("keep-at-least", keep_at_least.to_string());
            values.insert("prune-age-days", text::days(older_than));
        }
        if !policy.mirrors.public_urls.is_empty() {
            values.insert("public-url", policy.mirrors.public_urls.join(","));
        }
        let keyrings = text::keyrings(&policy.trust.keyrings);
        values.extend((!keyrings.is_empty()).then_some(("keyring", keyrings)));
        values.extend(signs.key_name.clone().map(|name| ("key-name", name)));
        Self { values, signing_keys: signs.fingerprints.clone(), folders: policy.trust.rules.clone(), migration: None }
    }

    /// The text of a setting; the built-in default where the bucket says nothing.
    pub fn value(&self, name: &str) -> Option<&str> {
        let default = || settings_of_buckets().find(|setting| setting.name == name)?.default;
        self.values.get(name).map(String::as_str).or_else(default)
    }

    /// What the bucket itself says of a setting.
    pub fn stated(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// In what a writer that goes by `here` does not agree with this bucket.
    pub fn differences(&self, here: &Self) -> Vec<Difference> {
        let mut found: Vec<Difference> =
            settings_of_buckets().filter_map(|setting| self.difference(setting, here)).collect();
        if self.folders != here.folders {
            let spelt = |rules: &[Rule]| match rules {
                [] => "none".to_owned(),
                rules => rules.iter().map(rules::in_short).collect::<Vec<_>>().join("; "),
            };
            found.push(Difference {
                name: "folder",
                bucket: spelt(&self.folders),
                here: spelt(&here.folders),
                command: "yrm settings set KEY VALUE --folder GLOB".to_owned(),
            });
        }
        found.extend(self.signing_difference(here));
        found
    }

    fn difference(&self, setting: &Setting, here: &Self) -> Option<Difference> {
        let (bucket, own) = (self.value(setting.name), here.value(setting.name));
        // The name of the keys matters only where there are any, and the first who signs gives it.
        let is_signed = !self.signing_keys.is_empty() && !here.signing_keys.is_empty() && bucket.is_some();
        let is_idle = setting.name == "key-name" && !is_signed;
        if bucket == own || is_idle {
            return None;
        }
        let shown = |value: Option<&str>| value.map_or_else(|| NOTHING.to_owned(), |value| format!("{value:?}"));
        let command = match own {
            Some(own) => format!("yrm settings set {} {own}", setting.name),
            None => format!("yrm settings unset {}", setting.name),
        };
        Some(Difference { name: setting.name, bucket: shown(bucket), here: shown(own), command })
    }

    /// Whoever has the secret half of one key that is listed may sign.
    fn signing_difference(&self, here: &Self) -> Option<Difference> {
        let (bucket, own) = (&self.signing_keys, &here.signing_keys);
        let agree = if bucket.is_empty() { own.is_empty() } else { own.iter().any(|key| bucket.contains(key)) };
        if agree {
            return None;
        }
        let shown = |keys: &[String], none: &str| if keys.is_empty() { none.to_owned() } else { keys.join(", ") };
        let command = if own.is_empty() {
            format!("yrm settings unset {SIGNING_KEYS}")
        } else {
            let all: Vec<&str> = bucket.iter().chain(own).map(String::as_str).collect();
            format!("yrm settings set {SIGNING_KEYS} {}", all.join(","))
        };
        Some(Difference {
            name: SIGNING_KEYS,
            bucket: shown(bucket, "none: its metadata is not signed"),
            here: shown(own, "none: signing-key is not set"),
            command,
        })
    }

    /// What `repositories` says.
    pub fn layout(&self) -> &str {
        self.value(REPOSITORIES).unwrap_or_default()
    }

    /// The same settings with this mark.
    #[must_use]
    pub fn migrating(&self, migration: Migration) -> Self {
        Self { migration: Some(migration), ..self.clone() }
    }

    /// The same settings with this layout, and no change going on.
    #[must_use]
    pub fn laid_out(&self, layout: &str) -> Self {
        let mut shape = Self { migration: None, ..self.clone() };
        shape.values.insert(REPOSITORIES, layout.to_owned());
        shape
    }

    /// The same settings with the further keys of a writer that may sign, and with their name if they have none; `None`
    /// where there is nothing to add.
    pub fn with_keys_of(&self, here: &Self) -> Option<Self> {
        let mut changed = self.clone();
        let further = here.signing_keys.iter().filter(|key| !self.signing_keys.contains(key));
        changed.signing_keys.extend(further.cloned());
        if let Some(name) = here.values.get("key-name").filter(|_| !changed.signing_keys.is_empty()) {
            changed.values.entry("key-name").or_insert_with(|| name.clone());
        }
        (changed != *self).then_some(changed)
    }
}

/// Fingerprints that are separated by commas, each in whole.
pub fn fingerprints(text: &str) -> Parsed<Vec<String>> {
    let one = |part: &str| {
        let digits: String = part.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_uppercase();
        if matches!(digits.len(), 40 | 64) && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(digits);
        }
        Err(Complaint::new(format!("{SIGNING_KEYS}: {part:?} is no key's fingerprint"))
            .hint("write all 40 (or 64) digits, as `yrm key list` shows them"))
    };
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(one).collect()
}
