//! What the judge holds signing to (G7).

use std::time::Duration;

use tokio::time::Instant;
use yrm::openpgp::key::PublicKey;

use super::{Judge, Who, key_of};

impl Judge {
    /// After a write to one of a pair: for how long does it not match?
    pub(super) fn time_the_gap(&self, repository: &str) {
        let good = self.pair_is_good(repository);
        let mut books = self.books();
        if !good {
            books.mismatched.entry(repository.to_owned()).or_insert_with(Instant::now);
        } else if let Some(since) = books.mismatched.remove(repository) {
            books.longest_gap = books.longest_gap.max(since.elapsed());
        }
    }

    /// The longest that a signature did not go with its repomd.xml.
    pub(in crate::chaos) fn longest_gap(&self) -> Duration {
        let books = self.books();
        books.mismatched.values().map(Instant::elapsed).chain([books.longest_gap]).max().unwrap_or_default()
    }

    /// Whether the signature that clients find goes with the repomd.xml that they find (G7).
    pub(super) fn pair_is_good(&self, repository: &str) -> bool {
        let key = key_of(repository, "repodata/repomd.xml");
        let (repomd, signature) = (self.bytes(&key), self.bytes(&format!("{key}.asc")));
        match (&self.key, repomd) {
            (None, _) => signature.is_none(),
            (Some(_), None) => true,
            (Some(public), Some(repomd)) => signature.is_some_and(|signature| public.has_signed(&repomd, &signature)),
        }
    }

    /// When nobody is at work: every pair is good, and clients find the key.
    pub(in crate::chaos) fn at_rest(&self, what: &str) {
        let repositories: Vec<String> = self.books().generations.keys().cloned().collect();
        for repository in &repositories {
            if !self.pair_is_good(repository) {
                self.broken(format!(
                    "G7: {what}: at rest the signature of {repository:?} does not go with its repomd.xml"
                ));
            }
        }
        self.mirrors_at_rest(what);
        let published = self.bytes("repo/RPM-GPG-KEY-stories");
        let key = published.and_then(|bytes| PublicKey::read_all(&bytes).ok());
        if !repositories.is_empty() && key.is_some_and(|keys| Some(&keys[0]) == self.key.as_ref()) != self.key.is_some()
        {
            self.broken(format!("G7: {what}: the public key is not what it should be"));
        }
    }

    /// A switch by `who`, whose signature must be there already, unless another has replaced it meanwhile:
    /// then that is mended, which `at_rest` holds them to.
    pub(super) fn signed_before(&self, who: &Who, repository: &str) {
        let by_another = self.books().signed.get(repository).is_some_and(|last| last != who);
        if !by_another && !self.pair_is_good(repository) {
            self.broken(format!("G7: {who:?} switched {repository:?} without its signature"));
        }
    }
}
