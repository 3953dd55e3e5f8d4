//! Revisions that have a name, and are kept until it is taken away: their metadata, and every package they name.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::{Bucket, document};
use crate::config::settings::did_you_mean;
use crate::error::{Error, ErrorKind, Result};
use crate::store::key::{Key, RepositoryDir};

/// Bytes of a tag's name, at most: it is a part of addresses.
const MAX_NAME_BYTES: usize = 64;

/// What stands for what clients see now.
pub const CURRENT: &str = "current";

/// The tags of one repository.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tags {
    /// One for each name; and those that were taken away, until what only they kept is cleaned up.
    pub tags: Vec<Tag>,
}

/// A revision with a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    /// Its id: no two are equal.
    pub id: Ulid,
    /// The name.
    pub name: String,
    /// The revision.
    pub revision: u64,
    /// Since when.
    pub since: Timestamp,
    /// By whom; `null` where nobody knows.
    pub by: Option<String>,
    /// Why, if that was said.
    pub reason: Option<String>,
    /// Whether clients can install by it; not while it is being made.
    pub is_whole: bool,
    /// When it was taken away, by the store's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untagged: Option<Timestamp>,
}

impl Tags {
    /// Those of a repository.
    pub async fn of(bucket: &Bucket, repository: &RepositoryDir) -> Result<Self> {
        document::load(bucket, Key::Tags { repository }).await.map(|(tags, _)| tags)
    }

    /// The tags that were not taken away.
    pub fn live(&self) -> impl Iterator<Item = &Tag> {
        self.tags.iter().filter(|tag| tag.untagged.is_none())
    }

    /// The tag of that name.
    pub fn named(&self, name: &str) -> Option<&Tag> {
        self.live().find(|tag| tag.name == name)
    }

    /// Whether a revision is kept by a tag.
    pub fn keep(&self, revision: u64) -> bool {
        self.live().any(|tag| tag.revision == revision)
    }
}

/// Refuses a name that is no part of an address, or that could be taken for a revision.
pub fn check_name(name: &str) -> Result<()> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
    let begins_well = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if begins_well && !is_number && name != CURRENT && name.len() <= MAX_NAME_BYTES && name.chars().all(is_plain) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Config, format!("reading the tag {name:?}"))
        .because("it is no name for one")
        .hint("a tag has up to 64 letters, digits, dots, hyphens and underscores, begins with a letter or digit, and is no number"))
}

/// The revision that an operator names: a number, or a tag.
pub async fn revision_named(bucket: &Bucket, repository: &RepositoryDir, text: &str) -> Result<u64> {
    if let Ok(revision) = text.parse() {
        return Ok(revision);
    }
    let tags = Tags::of(bucket, repository).await?;
    if let Some(tag) = tags.named(text) {
        return Ok(tag.revision);
    }
    let near = did_you_mean(text, tags.live().map(|tag| tag.name.as_str()));
    let near = near.map_or_else(String::new, |near| format!("did you mean {near}? "));
    Err(Error::new(ErrorKind::Config, format!("reading the revision {text:?}"))
        .because(format!("a revision is a number, and {repository} has no tag of that name"))
        .hint(format!(
            "{near}`yrm repo log` lists the revisions that are kept, and their tags; `current` is the newest"
        )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_s_name_is_part_of_an_address_and_no_number() {
        for good in ["v1", "2026-11", "release_7.1", "a"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "7", "1795896580", "current", "a/b", "..", ".a", "-a", "a b", "\u{e4}", "a%2f", &"a".repeat(65)]
        {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
