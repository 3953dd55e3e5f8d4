//! What a report says of things that it does not list: how many there are, and whether a key may be among them.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde::{Deserialize, Serialize};

/// How many things each list of a report stands for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Inbox keys that were work.
    pub inbox_keys: usize,
    /// Inbox keys that were not published.
    pub skipped_keys: usize,
    /// Packages published that were not there before.
    pub published: usize,
    /// Packages that were there already, with these bytes.
    pub already_there: usize,
    /// Files rejected.
    pub rejected: usize,
    /// Files left for a later run.
    pub waiting: usize,
    /// Packages pruned.
    #[serde(alias = "retired")]
    pub pruned: usize,
    /// Packages that an operator took out.
    pub removed: usize,
    /// Packages that made room for others.
    pub replaced: usize,
    /// Packages that a rollback brought back.
    pub restored: usize,
    /// Files put back from quarantine into the inbox.
    pub released: usize,
    /// Files deleted from quarantine.
    pub deleted: usize,
    /// Repositories that somebody else had changed.
    pub noticed: usize,
    /// Things held, blocked, tagged or purged, or so before.
    pub marked: usize,
    /// Packages that would have been pruned, and are held.
    pub held: usize,
    /// Repositories looked at.
    pub repositories: usize,
    /// Things that went wrong.
    pub errors: usize,
}

impl Counts {
    /// Whether nothing is counted.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Keys in eight bytes each: enough to tell that a key is not among them. Of two keys that look alike
/// both are held to be there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeySet(HashSet<u64>);

impl KeySet {
    /// Of these keys.
    pub fn of<'a>(keys: impl IntoIterator<Item = &'a str>) -> Self {
        Self(keys.into_iter().map(look).collect())
    }

    /// Whether it may hold `key`.
    pub fn may_hold(&self, key: &str) -> bool {
        self.0.contains(&look(key))
    }
}

fn look(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}
