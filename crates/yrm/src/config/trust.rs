//! Who may publish what where, as it was configured.

use std::path::PathBuf;

use rpmmd::compress::Compression;

use super::complaint::Complaint;
use super::versions::{OnConflict, Pruning};

/// What is asked of packages' signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Level {
    /// Nothing: they are not looked at.
    #[default]
    Off,
    /// A package whose signature does not count is published, and that is said.
    Warn,
    /// It is not published.
    Require,
}

impl Level {
    /// As it is spelt.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Warn => "warn",
            Self::Require => "require",
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, Complaint> {
        [Self::Off, Self::Warn, Self::Require]
            .into_iter()
            .find(|level| level.name() == text)
            .ok_or_else(|| Complaint { message: format!("{text:?} is neither off, warn nor require"), hint: None })
    }
}

/// Which packages get our own signature before they are published; what asks for more comes later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum SignPackages {
    /// None: they are published as they came.
    #[default]
    Off,
    /// Those that no key of a keyring and none of ours has signed well.
    Missing,
    /// All that our first key has not signed.
    Always,
}

impl SignPackages {
    /// As it is spelt.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Missing => "missing",
            Self::Always => "always",
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, Complaint> {
        [Self::Off, Self::Missing, Self::Always]
            .into_iter()
            .find(|which| which.name() == text)
            .ok_or_else(|| Complaint { message: format!("{text:?} is neither off, missing nor always"), hint: None })
    }
}

/// Where keys are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyringPlace {
    /// A file, or a folder of files: read once, at the start.
    Path(PathBuf),
    /// A folder of the bucket: looked at by every run that has work.
    Bucket(String),
}

/// What holds for the packages of some folders.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    /// Globs of folders below the inbox; what lies deeper belongs to them.
    pub folders: Vec<String>,
    /// Globs of package names; empty when every name may be published.
    pub names: Vec<String>,
    /// Fingerprints of the keys that may sign; empty when every key of the keyring may.
    pub keys: Vec<String>,
    /// What is asked of signatures; `None` when it is as elsewhere.
    pub signatures: Option<Level>,
    /// Which packages are signed here; `None` when it is as elsewhere.
    pub sign_packages: Option<SignPackages>,
    /// Whether the repositories here are in mirrorlist mode; `None` when it is as elsewhere.
    pub mirrorlist: Option<bool>,
    /// How the metadata of the repositories here is compressed; `None` when it is as elsewhere.
    pub compression: Option<Compression>,
    /// Which old versions leave here; `None` when it is as elsewhere.
    pub pruning: Option<Pruning>,
    /// What becomes of a package here whose path or name other bytes have; `None` when it is as elsewhere.
    pub on_conflict: Option<OnConflict>,
}

/// Who may publish what where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// What is asked of signatures where no rule says otherwise.
    pub signatures: Level,
    /// Which packages are signed here where no rule says otherwise.
    pub sign_packages: SignPackages,
    /// Where the keys are.
    pub keyrings: Vec<KeyringPlace>,
    /// The first rule that fits a folder holds.
    pub rules: Vec<Rule>,
}

impl Rule {
    /// What it says besides whose signatures count: all that a reader may need, and a reader has no keys.
    #[must_use]
    pub fn without_keys(&self) -> Self {
        Self { keys: Vec::new(), signatures: None, sign_packages: None, ..self.clone() }
    }
}

impl Trust {
    /// The rules for readers.
    #[must_use]
    pub fn without_keys(&self) -> Self {
        Self { rules: self.rules.iter().map(Rule::without_keys).collect(), ..Self::default() }
    }

    /// Whether signatures are looked at anywhere.
    pub fn looks_at_signatures(&self) -> bool {
        let levels = self.rules.iter().filter_map(|rule| rule.signatures);
        levels.chain([self.signatures]).any(|level| level != Level::Off)
    }

    /// Which packages are signed, everywhere.
    fn signing(&self) -> impl Iterator<Item = SignPackages> {
        self.rules.iter().filter_map(|rule| rule.sign_packages).chain([self.sign_packages])
    }

    /// Whether packages are signed anywhere.
    pub fn signs_packages(&self) -> bool {
        self.signing().any(|which| which != SignPackages::Off)
    }

    /// Whether the keyrings are of any use.
    pub fn reads_keyrings(&self) -> bool {
        self.looks_at_signatures() || self.signing().any(|which| which == SignPackages::Missing)
    }
}
