//! Whether an object may go: out of the inbox, out of quarantine, out of the repository.

use std::path::Path;

use jiff::SignedDuration;
use rpmmd::checksum::Sha256;

use super::mirrors::{is_in_a_folder, list_of};
use super::{Judge, SIGNATURE, Who, key_of};

/// The repository whose repomd.xml, or whose signature, this is.
fn is_truth(key: &str) -> Option<&str> {
    let below = key.strip_prefix("repo/").filter(|_| !is_in_a_folder(key))?;
    let repository = below.strip_suffix("repodata/repomd.xml").or_else(|| below.strip_suffix(SIGNATURE))?;
    Some(repository.trim_end_matches('/'))
}

impl Judge {
    /// Before an object goes: whether it may (G1 in the inbox, G3 elsewhere).
    pub(super) fn before_delete(&self, who: &Who, key: &str) -> Vec<String> {
        if key.starts_with("inbox/") {
            self.may_leave_the_inbox(who, key)
        } else if *who == Who::Releasing && key.starts_with("quarantine/") {
            self.may_leave_quarantine(who, key)
        } else {
            self.may_be_swept(who, key)
        }
    }

    /// What leaves quarantine lies in the inbox, or something came of it since it lay there again.
    fn may_leave_quarantine(&self, who: &Who, key: &str) -> Vec<String> {
        let Some(content) = self.bytes(key).map(|bytes| self.content(&bytes)) else { return Vec::new() };
        let books = self.books();
        let waits = books.inbox.values().any(|upload| upload.content == content);
        let was_published = books.generations.values().flatten().any(|generation| {
            let given_back = books.uploaded.get(&content);
            given_back.is_some_and(|at| generation.since >= *at)
                && generation.packages.values().any(|named| named.content == content)
        });
        let is_kept = waits || was_published || Path::new(key).extension().is_some_and(|end| end == "json");
        (!is_kept).then(|| format!("G1: {who:?} deleted {key}, which is not in the inbox")).into_iter().collect()
    }

    /// What leaves the inbox is published, was published since it came, or lies in quarantine.
    fn may_leave_the_inbox(&self, who: &Who, key: &str) -> Vec<String> {
        let books = self.books();
        let Some(upload) = books.inbox.get(key) else { return Vec::new() };
        let published = books.generations.iter().any(|(repository, generations)| {
            // In one that was made, or still current, when the file came.
            let mut superseded = books.ended.get(repository).copied();
            generations.iter().rev().any(|generation| {
                let in_time = superseded.is_none_or(|superseded| superseded >= upload.since);
                superseded = Some(generation.since);
                in_time && generation.packages.values().any(|named| named.content == upload.content)
            })
        });
        drop(books);
        let path = key.strip_prefix("inbox/").unwrap_or(key);
        let prefix = format!("quarantine/{path}.");
        let aside: Vec<String> = self.memory.keys().into_iter().filter(|key| key.starts_with(&prefix)).collect();
        let quarantined = aside.iter().any(|key| {
            self.bytes(key).is_some_and(|bytes| {
                Some(Sha256::of(&bytes)) == self.books().inbox.get(&format!("inbox/{path}")).map(|upload| upload.sha256)
            }) && aside.contains(&format!("{key}.json"))
        });
        if published || quarantined {
            return Vec::new();
        }
        vec![format!("G1: {who:?} deleted {key}, which is neither published nor in quarantine")]
    }

    /// The file for clients goes with its repository, and no sooner.
    fn may_lose_its_client_file(&self, who: &Who, repository: &str) -> Vec<String> {
        let is_there = self.bytes(&key_of(repository, "repodata/repomd.xml")).is_some();
        let is_over = !is_there || self.books().sealed.contains(repository) || matches!(who, Who::Deleting { .. });
        (!is_over).then(|| format!("G2: {who:?} deleted the file for clients of {repository:?}")).into_iter().collect()
    }

    /// What is swept is named by no generation that a reader may hold, and is older than the grace.
    fn may_be_swept(&self, who: &Who, key: &str) -> Vec<String> {
        let (now, grace) = ((self.clock)(), SignedDuration::try_from(self.policy.grace).unwrap());
        if !key.starts_with("repo/") && !key.starts_with(".yrm/") {
            return vec![format!("G10: {who:?} deleted outside: {key}")];
        }
        if !key.starts_with("repo/") {
            return Vec::new();
        }
        let name = self.policy.mirrors.name.as_ref().map(|name| format!("{name}.repo"));
        if let Some(repository) = name.and_then(|name| key.strip_prefix("repo/")?.strip_suffix(&name)) {
            return self.may_lose_its_client_file(who, repository.trim_end_matches('/'));
        }
        if list_of(key).is_some() {
            return Vec::new();
        }
        if let Some(broken) = self.may_a_tag_lose(who, key) {
            return broken;
        }
        // A repository that holds nothing any more may lose its metadata.
        if let Some(repository) = is_truth(key)
            && self.published().get(repository).is_none_or(Vec::is_empty)
        {
            return Vec::new();
        }
        if let Some(repository) = key.strip_prefix("repo/").and_then(|key| key.strip_suffix("repodata/repomd.xml"))
            && !is_in_a_folder(key)
        {
            return self.may_end(who, key, repository.trim_end_matches('/'));
        }
        if key.strip_suffix(".asc").is_some_and(|repomd| self.bytes(repomd).is_none()) {
            return Vec::new();
        }
        // The signature of one generation is no use with the next.
        if key.ends_with(SIGNATURE) && !is_in_a_folder(key) {
            let wrong = self.key.is_some();
            return wrong.then(|| format!("G7: {who:?} removed {key}, and signing is on")).into_iter().collect();
        }
        // Deleted before its time, as an operator wanted it: when no client is told of it any more.
        if self.is_purged(key) {
            let is_named = self.held().iter().any(|(held, _)| held == key);
            return is_named.then(|| format!("G2: {who:?} purged {key}, which is published")).into_iter().collect();
        }
        let mut broken = self.may_a_mirror_lose(who, key, now, grace);
        if self.modified(key).is_some_and(|modified| now.duration_since(modified) < grace) {
            broken.push(format!("G3: {who:?} swept {key}, which is younger than the grace period"));
        }
        let books = self.books();
        for (repository, generations) in &books.generations {
            for (at, generation) in generations.iter().enumerate() {
                let next = generations.get(at + 1).map(|next| next.since);
                let next = next.or_else(|| books.dropped.get(repository).copied());
                let over = next.is_some_and(|next| now.duration_since(next) >= grace);
                let beside = generation.packages.keys().filter(|href| href.starts_with("../"));
                let names = generation.files.contains(key)
                    || beside.into_iter().any(|href| key_of(repository, href) == key)
                    || key
                        .strip_prefix(&key_of(repository, ""))
                        .is_some_and(|href| generation.packages.contains_key(href));
                let over = over && !self.keeps(repository, generation.revision);
                if names && !over {
                    broken.push(format!("G3: {who:?} swept {key}, which generation {} names", generation.revision));
                }
            }
        }
        broken
    }
}
