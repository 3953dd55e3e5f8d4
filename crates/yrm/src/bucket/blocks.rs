//! What does not come back: packages that an operator has blocked, and packages whose bytes are being purged.

use jiff::Timestamp;
use rpmmd::checksum::Sha256;
use serde::{Deserialize, Serialize};

use super::naming::{PackageGlob, below};
use super::{Bucket, document};
use crate::error::Result;
use crate::store::key::{Key, RepositoryDir};

/// What is blocked in a bucket, and what was purged from it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocks {
    /// What no upload, promotion or rollback brings back.
    #[serde(default)]
    pub blocks: Vec<Block>,
    /// Packages whose bytes were deleted before the grace period was over, or are about to be.
    #[serde(default)]
    pub purges: Vec<Purge>,
}

/// One thing that is blocked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// A name, NEVRA or path below `repo/`, with * and ? for what may be anything; or a SHA-256.
    pub pattern: String,
    /// Only in this folder below `repo/`; `null` everywhere.
    pub folder: Option<String>,
    /// Bytes of the file that has that SHA-256, where that is known: others need not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// Since when.
    pub since: Timestamp,
    /// By whom; `null` where nobody knows.
    pub by: Option<String>,
    /// Why, if that was said.
    pub reason: Option<String>,
}

/// A package whose bytes were deleted before its time, or are about to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purge {
    /// The repository's folder below `repo/`; `/` is the root repository.
    pub repository: RepositoryDir,
    /// Its path in the repository.
    pub href: String,
    /// Name, EVR and architecture.
    pub nevra: String,
    /// SHA-256 of the file.
    pub pkgid: String,
    /// When it was asked for.
    pub since: Timestamp,
    /// By whom; `null` where nobody knows.
    pub by: Option<String>,
    /// Why, if that was said.
    pub reason: Option<String>,
    /// When the bytes were gone; `null` while they may be there.
    pub done: Option<Timestamp>,
}

/// A package as a block looks at it.
#[derive(Debug, Clone, Copy)]
pub struct Looked<'a> {
    /// Its path below `repo/`.
    pub path: &'a str,
    /// Name, EVR and architecture.
    pub nevra: &'a str,
    /// SHA-256 of the file as it was uploaded, and as it is published, as far as they are known.
    pub digests: [Option<Sha256>; 2],
}

impl Block {
    /// The SHA-256 that it is about, if it is about one.
    pub fn digest(&self) -> Option<Sha256> {
        self.pattern.parse().ok()
    }

    /// `blocked by ada since 2026-11-29: CVE-2026-1`.
    pub fn told(&self) -> String {
        told("blocked", self.since, self.by.as_deref(), self.reason.as_deref())
    }

    /// Whether a path below `repo/` lies in the folder that it is about.
    fn is_about(&self, path: &str) -> bool {
        self.folder.as_ref().is_none_or(|folder| folder.is_empty() || below(path, &format!("{folder}/")).is_some())
    }

    /// Whether only its bytes can tell of a file of this size at this path.
    pub fn needs_digest(&self, path: &str, size_bytes: u64) -> bool {
        self.digest().is_some() && self.is_about(path) && self.size_bytes.is_none_or(|size| size == size_bytes)
    }

    /// Whether it blocks a package. A pattern that does not parse blocks nothing: `package block` takes none.
    pub fn blocks(&self, looked: Looked<'_>) -> bool {
        if !self.is_about(looked.path) {
            return false;
        }
        if let Some(digest) = self.digest() {
            return looked.digests.contains(&Some(digest));
        }
        let inside = self.folder.as_ref().and_then(|folder| below(looked.path, &format!("{folder}/")));
        let fits = |glob: &PackageGlob, path| glob.fits(looked.nevra, path);
        PackageGlob::new(&self.pattern)
            .is_ok_and(|glob| fits(&glob, looked.path) || inside.is_some_and(|inside| fits(&glob, inside)))
    }
}

impl Purge {
    /// `purged by ada on 2026-11-29: it has a password in it`.
    pub fn told(&self) -> String {
        told("purged", self.since, self.by.as_deref(), self.reason.as_deref())
    }

    /// Whether it is about the package at this path.
    pub fn is_of(&self, repository: &RepositoryDir, href: &str) -> bool {
        self.repository == *repository && self.href == href
    }
}

fn told(what: &str, since: Timestamp, by: Option<&str>, reason: Option<&str>) -> String {
    let by = by.map_or_else(String::new, |by| format!(" by {by}"));
    let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
    format!("{what}{by} on {}{reason}", since.strftime("%Y-%m-%d"))
}

impl Blocks {
    /// Those of a bucket.
    pub async fn of(bucket: &Bucket) -> Result<Self> {
        document::load(bucket, Key::Blocks).await.map(|(blocks, _)| blocks)
    }

    /// The block that keeps a package out, if one does.
    pub fn blocking(&self, looked: Looked<'_>) -> Option<&Block> {
        self.blocks.iter().find(|block| block.blocks(looked))
    }

    /// Whether only its bytes can tell whether a file of this size is kept out at this path.
    pub fn need_digest(&self, path: &str, size_bytes: u64) -> bool {
        self.blocks.iter().any(|block| block.needs_digest(path, size_bytes))
    }

    /// The newest purge of the package at a path, if its bytes were ever purged.
    pub fn purge_of(&self, repository: &RepositoryDir, href: &str) -> Option<&Purge> {
        self.purges.iter().rev().find(|purge| purge.is_of(repository, href))
    }

    /// Whether the bytes at a path are about to be deleted.
    pub fn is_being_purged(&self, repository: &RepositoryDir, href: &str) -> bool {
        self.purges.iter().any(|purge| purge.done.is_none() && purge.is_of(repository, href))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(pattern: &str, folder: Option<&str>) -> Block {
        let folder = folder.map(str::to_owned);
        let since = Timestamp::UNIX_EPOCH;
        Block { pattern: pattern.to_owned(), folder, size_bytes: Some(7), since, by: None, reason: None }
    }

    #[test]
    fn a_block_is_about_a_folder_and_a_name_or_bytes() {
        let digest = Sha256::of(b"bad");
        let looked =
            Looked { path: "el9/x/foo-1-1.noarch.rpm", nevra: "foo-1-1.noarch", digests: [None, Some(digest)] };
        for (pattern, folder) in [
            ("foo", None),
            ("foo-1*", Some("el9")),
            ("foo-1-1.noarch", Some("")),
            ("el9/x/*", Some("el9/x")),
            (digest.to_string().as_str(), Some("el9")),
        ] {
            assert!(block(pattern, folder).blocks(looked), "{pattern} in {folder:?}");
        }
        for (pattern, folder) in [
            ("fo", None),
            ("foo", Some("el")),
            ("foo", Some("el10")),
            (Sha256::of(b"good").to_string().as_str(), None),
            ("foo[", None),
        ] {
            assert!(!block(pattern, folder).blocks(looked), "{pattern} in {folder:?}");
        }
        let bytes = block(&digest.to_string(), Some("el9"));
        assert!(bytes.needs_digest("el9/a.rpm", 7) && !bytes.needs_digest("el9/a.rpm", 8));
        assert!(!bytes.needs_digest("el8/a.rpm", 7) && !block("foo", None).needs_digest("el9/a.rpm", 7));
    }
}
