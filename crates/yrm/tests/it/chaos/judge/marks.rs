//! What operators have put on packages, as it lies in the bucket: what is held is not pruned, and what is blocked does not
//! come. Whoever had looked just before may not know it yet.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{Judge, Named, Who};

/// A writer plans, is at it for half an hour at most, and its request arrives within 15 minutes.
const MARKS_ARRIVE: SignedDuration = SignedDuration::from_mins(46);

/// Packages by their paths.
type Packages<'a> = &'a [(&'a String, &'a Named)];

impl Judge {
    /// What a switch breaks of what is held and blocked.
    pub(super) fn against_marks(
        &self,
        who: &Who,
        repository: &str,
        (left, came): (Packages<'_>, Packages<'_>),
        now: Timestamp,
    ) -> Vec<String> {
        let mut broken = Vec::new();
        let folder = if repository.is_empty() { String::new() } else { format!("{repository}/") };
        let is_known = |mark: &Value| {
            let since: Timestamp = mark["since"].as_str().unwrap().parse().unwrap();
            now.duration_since(since) > MARKS_ARRIVE
        };
        let is_replaced = |named: &Named| came.iter().any(|(_, new)| new.nevra == named.nevra);
        let holds = self.document(&format!(".yrm/holds/{folder}holds.json"));
        for hold in holds["holds"].as_array().into_iter().flatten().filter(|hold| is_known(hold)) {
            let is_it = |named: &Named| hold["pkgid"] == named.sha256.to_string().as_str() && !is_replaced(named);
            let lost = left.iter().filter(|(_, named)| matches!(who, Who::Manager(_)) && is_it(named));
            broken
                .extend(lost.map(|(href, _)| format!("HELD: {who:?} pruned {href} of {repository:?}, which is held")));
        }
        let blocks = self.document(".yrm/blocks.json");
        for block in blocks["blocks"].as_array().into_iter().flatten() {
            // What was taken out and blocked in one go cannot come back at all: its removal was a switch after the block.
            let is_taken_out = block["folder"].is_string();
            let is_it = |named: &Named| {
                block["pattern"] == named.nevra.to_string().as_str() && (is_taken_out || is_known(block))
            };
            let back = came.iter().filter(|(_, named)| is_it(named));
            broken.extend(back.map(|(href, _)| format!("BLOCKED: {who:?} brought {href} to {repository:?}")));
        }
        broken
    }

    /// Whether somebody, or a rollback, holds a package: then it may stay although it is old.
    pub(super) fn is_held(&self, repository: &str, named: &Named) -> bool {
        let folder = if repository.is_empty() { String::new() } else { format!("{repository}/") };
        let holds = self.document(&format!(".yrm/holds/{folder}holds.json"));
        let pkgid = named.sha256.to_string();
        holds["holds"].as_array().into_iter().flatten().any(|hold| hold["pkgid"] == pkgid.as_str())
    }

    /// Whether somebody has asked for these bytes to be deleted at once.
    pub(super) fn is_purged(&self, key: &str) -> bool {
        let blocks = self.document(".yrm/blocks.json");
        blocks["purges"].as_array().into_iter().flatten().any(|purge| {
            let (repository, href) = (purge["repository"].as_str().unwrap(), purge["href"].as_str().unwrap());
            super::key_of(repository.trim_matches('/'), href) == key
        })
    }

    /// Whether the root repository has a tag of this name.
    pub(in crate::chaos) fn is_tagged(&self, name: &str) -> bool {
        self.tags("").iter().any(|tag| tag["name"] == name)
    }

    /// The tags of a repository that were not taken away.
    fn tags(&self, repository: &str) -> Vec<Value> {
        let folder = if repository.is_empty() { String::new() } else { format!("{repository}/") };
        let tags = self.document(&format!(".yrm/tags/{folder}tags.json"));
        let live = |tag: &&Value| tag["untagged"].is_null();
        tags["tags"].as_array().into_iter().flatten().filter(live).cloned().collect()
    }

    /// Whether a revision is kept by a tag.
    pub(super) fn keeps(&self, repository: &str, revision: u64) -> bool {
        self.tags(repository).iter().any(|tag| tag["revision"] == revision)
    }

    /// What a delete in the folder of a tag breaks: one that clients install by is whole.
    pub(super) fn may_a_tag_lose(&self, who: &Who, key: &str) -> Option<Vec<String>> {
        let (repository, rest) = key.strip_prefix("repo/")?.split_once("repodata/tag-")?;
        let (name, _) = rest.split_once('/')?;
        let is_live = self.tags(repository.trim_matches('/')).iter().any(|tag| tag["name"] == name);
        Some(is_live.then(|| format!("TAGGED: {who:?} deleted {key}")).into_iter().collect())
    }

    /// What is missing of a tag whose repomd.xml was put, by what it names.
    pub(super) fn incomplete_tag(&self, key: &str) -> Option<String> {
        let (repository, rest) = key.strip_prefix("repo/")?.split_once("repodata/tag-")?;
        let (name, file) = rest.split_once('/')?;
        if file != "repodata/repomd.xml" {
            return None;
        }
        let folder = format!("repo/{repository}repodata/tag-{name}/");
        let repomd = rpmmd::repomd::Repomd::read(&self.bytes(key)?).ok()?;
        let is_there = |href: &str| self.bytes(&format!("{folder}{href}")).is_some();
        let missing = repomd.records.iter().find(|record| !is_there(&record.href));
        let unsigned = self.key.is_some() && !is_there("repodata/repomd.xml.asc");
        match missing {
            Some(record) => Some(format!("TAGGED: {key} names {}, which is not there", record.href)),
            None => unsigned.then(|| format!("TAGGED: {key} has no signature")),
        }
    }

    fn document(&self, key: &str) -> Value {
        self.bytes(key).map_or(Value::Null, |bytes| serde_json::from_slice(&bytes).unwrap())
    }
}
