//! What is said of a repository whose repomd.xml was not the one that yrm wrote last: somebody else has changed it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::store::key::RepositoryDir;

/// A repository whose repomd.xml was not the one that yrm wrote last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noticed {
    /// The repository's folder below `repo/`; `/` is the root repository.
    #[serde(with = "super::report::folder")]
    pub repository: String,
    /// What was found.
    pub found: Found,
    /// What came of it.
    pub outcome: Outcome,
    /// Why it was left as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What was found in the place of a repository's repomd.xml.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Found {
    /// Nothing.
    Gone,
    /// What is no repomd.xml.
    Damaged,
    /// One that another program wrote.
    Foreign,
}

impl Found {
    /// As JSON and metrics spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Damaged => "damaged",
            Self::Foreign => "foreign",
        }
    }

    /// What there is to say of the file.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Gone => "is gone",
            Self::Damaged => "cannot be read",
            Self::Foreign => "was written by another program",
        }
    }
}

/// What came of a repomd.xml that was not yrm's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The last revision was put back.
    Restored,
    /// What it says was taken over.
    TakenOver,
    /// It is as it was found.
    Left,
}

impl fmt::Display for Noticed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let repository = RepositoryDir::new(&self.repository);
        write!(f, "repomd.xml of {repository} {}: ", self.found.in_words())?;
        match self.outcome {
            Outcome::Restored => f.write_str("the last revision was put back"),
            Outcome::TakenOver => f.write_str("its packages were taken over"),
            Outcome::Left => {
                write!(f, "left as it is: {}", self.message.as_deref().unwrap_or("it could not be mended"))
            }
        }
    }
}
