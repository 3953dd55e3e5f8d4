//! Packages that stay whatever the prune rule says, until somebody releases them: held by an operator, or by a rollback,
//! which pruning must not undo.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Bucket, document};
use crate::error::Result;
use crate::store::key::{Key, RepositoryDir};

/// The holds of one repository.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holds {
    /// One for each package that is held.
    pub holds: Vec<Hold>,
}

/// A package that is held: wherever these bytes are in the repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// SHA-256 of the file.
    pub pkgid: String,
    /// Name, EVR and architecture.
    pub nevra: String,
    /// Where it was in the repository then.
    pub href: String,
    /// Since when.
    pub since: Timestamp,
    /// By whom; `null` where nobody knows.
    pub by: Option<String>,
    /// Why, if that was said.
    pub reason: Option<String>,
    /// The revision that was rolled back to, where a rollback holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_back_to: Option<u64>,
}

impl Hold {
    /// `held by ada since 2026-11-29: the last good one`.
    pub fn told(&self) -> String {
        let since = self.since.strftime("%Y-%m-%d");
        let by = self.by.as_deref().map_or_else(String::new, |by| format!(" by {by}"));
        let reason = self.reason.as_deref().map_or_else(String::new, |reason| format!(": {reason}"));
        match self.rolled_back_to {
            Some(revision) => format!("held by the rollback to {revision} on {since}{by}{reason}"),
            None => format!("held{by} since {since}{reason}"),
        }
    }
}

impl Holds {
    /// Those of a repository.
    pub async fn of(bucket: &Bucket, repository: &RepositoryDir) -> Result<Self> {
        document::load(bucket, Key::Holds { repository }).await.map(|(holds, _)| holds)
    }

    /// The holds by the digests of what they hold.
    pub fn by_pkgid(&self) -> HashMap<&str, &Hold> {
        self.holds.iter().map(|hold| (hold.pkgid.as_str(), hold)).collect()
    }
}
