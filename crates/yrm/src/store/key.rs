//! The bucket's whole layout on one screen: every key this program builds, with its content
//! type, its cache control and whether it is swapped or fixed.

use std::fmt;

use rpmmd::checksum::Sha256;
use ulid::Ulid;

use super::Attributes;
use crate::config::Folders;

/// S3's limit for a key, in bytes of UTF-8.
pub const MAX_KEY_BYTES: usize = 1024;

/// A file system's limit for one name, in bytes.
const MAX_NAME_BYTES: usize = 255;

/// A repository's folder under `repo/`, without slashes at either end; empty for the one
/// repository of `repositories = "single"`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct RepositoryDir(String);

impl RepositoryDir {
    /// The folder `dir` (slashes at the ends are dropped).
    pub fn new(dir: &str) -> Self {
        Self(dir.trim_matches('/').to_owned())
    }

    /// Relative to `repo/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn prefix(&self) -> String {
        if self.0.is_empty() { String::new() } else { format!("{}/", self.0) }
    }
}

impl fmt::Display for RepositoryDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "." } else { &self.0 })
    }
}

/// One object of the bucket.
#[derive(Debug, Clone, Copy)]
pub enum Key<'a> {
    /// What an uploader dropped at `path` below the inbox.
    Inbox { path: &'a str },
    /// A published package.
    Package { repository: &'a RepositoryDir, href: &'a str },
    /// The one truth about a repository.
    Repomd { repository: &'a RepositoryDir },
    /// The signature of that, swapped with it.
    Signature { repository: &'a RepositoryDir },
    /// The public keys that clients judge signatures by.
    PublicKeys { name: &'a str },
    /// A file below `repodata/`, named by repomd.xml's location (`repodata/<sha256>-….xml.gz`).
    Metadata { repository: &'a RepositoryDir, href: &'a str },
    /// A package that was signed here, until it was copied to its place: of this upload, so signed.
    Signed { digest: Sha256 },
    /// A rejected file, by its path below the inbox and the upload's id.
    Quarantined { path: &'a str, id: Ulid },
    /// Why it was rejected.
    QuarantineRecord { path: &'a str, id: Ulid },
    /// What a generation holds, under the hash of its repomd.xml.
    Catalog { repository: &'a RepositoryDir, repomd: Sha256 },
    /// A generation's repomd.xml, for rollback, for diff and for the sweep.
    Generation { repository: &'a RepositoryDir, revision: u64 },
    /// The signature of that.
    GenerationSignature { repository: &'a RepositoryDir, revision: u64 },
    /// The answer to one inbox object, under the hash of its path and ETag.
    Receipt { digest: Sha256 },
    /// One run of the history: newest first in a listing.
    Run { started_ms: u64, id: Ulid },
    /// The advisory lease on a repository.
    Lease { repository: &'a RepositoryDir },
    /// When a repository was last swept; its modification time is also the store's clock.
    Swept { repository: &'a RepositoryDir },
    /// The store's clock: written to learn the time it is given.
    Clock,
    /// A start-up probe's own object.
    Probe { name: &'a str },
}

impl Key<'_> {
    /// The key as the store knows it.
    pub fn path(&self, folders: &Folders) -> String {
        let Folders { inbox, repo } = folders;
        match self {
            Self::Inbox { path } => format!("{inbox}/{path}"),
            Self::Package { repository, href } | Self::Metadata { repository, href } => {
                format!("{repo}/{}{href}", repository.prefix())
            }
            Self::Repomd { repository } => format!("{repo}/{}repodata/repomd.xml", repository.prefix()),
            Self::Signature { repository } => format!("{repo}/{}repodata/repomd.xml.asc", repository.prefix()),
            Self::PublicKeys { name } => format!("{repo}/{PUBLIC_KEYS_PREFIX}{name}"),
            Self::Signed { digest } => format!("{SIGNED_PREFIX}{digest}.rpm"),
            Self::Quarantined { path, id } => quarantine(path, *id),
            Self::QuarantineRecord { path, id } => quarantine(path, *id) + RECORD_SUFFIX,
            Self::Catalog { repository, repomd } => format!(".yrm/catalog/{}{repomd}", repository.prefix()),
            Self::Generation { repository, revision } => {
                format!(".yrm/generations/{}{revision}.xml", repository.prefix())
            }
            Self::GenerationSignature { repository, revision } => {
                format!(".yrm/generations/{}{revision}{GENERATION_SIGNATURE_SUFFIX}", repository.prefix())
            }
            Self::Receipt { digest } => format!(".yrm/receipts/{digest}.json"),
            Self::Run { started_ms, id } => format!(".yrm/history/{:020}-{id}.json", u64::MAX - started_ms),
            Self::Lease { repository } => format!(".yrm/lease/{}lease.json", repository.prefix()),
            Self::Swept { repository } => format!(".yrm/swept/{}swept.json", repository.prefix()),
            Self::Clock => ".yrm/clock".to_owned(),
            Self::Probe { name } => format!(".yrm/probe/{name}"),
        }
    }

    /// What is stored beside the bytes. Never a Content-Encoding: clients would unpack twice.
    pub fn attributes(&self) -> Attributes {
        let cache_control = match self {
            // Swapped: a cached copy would point at yesterday.
            Self::Repomd { .. } | Self::Signature { .. } | Self::PublicKeys { .. } => Some("no-cache"),
            // Fixed: the name holds the hash, or the path never gets other bytes.
            Self::Package { .. } | Self::Metadata { .. } => Some("public, max-age=31536000, immutable"),
            Self::Inbox { .. }
            | Self::Signed { .. }
            | Self::Quarantined { .. }
            | Self::QuarantineRecord { .. }
            | Self::Catalog { .. }
            | Self::Generation { .. }
            | Self::GenerationSignature { .. }
            | Self::Receipt { .. }
            | Self::Run { .. }
            | Self::Lease { .. }
            | Self::Swept { .. }
            | Self::Clock
            | Self::Probe { .. } => None,
        };
        Attributes { content_type: self.content_type(), cache_control, user: std::collections::BTreeMap::new() }
    }

    fn content_type(&self) -> &'static str {
        match self {
            Self::Inbox { .. } | Self::Package { .. } | Self::Signed { .. } | Self::Quarantined { .. } => {
                "application/x-rpm"
            }
            Self::Metadata { href, .. } => match href.rsplit_once('.') {
                Some((_, "gz")) => "application/gzip",
                Some((_, "zst")) => "application/zstd",
                Some(_) | None => "text/xml",
            },
            Self::Repomd { .. } | Self::Generation { .. } => "text/xml",
            Self::Signature { .. } | Self::GenerationSignature { .. } => "application/pgp-signature",
            Self::PublicKeys { .. } => "application/pgp-keys",
            Self::QuarantineRecord { .. }
            | Self::Receipt { .. }
            | Self::Run { .. }
            | Self::Lease { .. }
            | Self::Swept { .. } => "application/json",
            Self::Catalog { .. } | Self::Clock | Self::Probe { .. } => "application/octet-stream",
        }
    }
}

/// The prefix under which a listing finds a repository's objects.
pub fn repository_prefix(folders: &Folders, repository: &RepositoryDir) -> String {
    format!("{}/{}", folders.repo, repository.prefix())
}

/// Bytes of the longest key that a repository needs for itself.
pub fn longest_of(folders: &Folders, repository: &RepositoryDir) -> usize {
    let digest = Sha256::of(b"any");
    let href = format!("repodata/{digest}-filelists.xml.zst");
    let keys = [Key::Metadata { repository, href: &href }, Key::Catalog { repository, repomd: digest }];
    keys.map(|key| key.path(folders).len()).into_iter().max().unwrap_or(0)
}

/// The prefix of a repository's generations.
pub fn generations_prefix(repository: &RepositoryDir) -> String {
    format!(".yrm/generations/{}", repository.prefix())
}

/// The prefix of a repository's catalogs.
pub fn catalogs_prefix(repository: &RepositoryDir) -> String {
    format!(".yrm/catalog/{}", repository.prefix())
}

/// What the names of generations' signatures end in.
pub const GENERATION_SIGNATURE_SUFFIX: &str = ".xml.asc";

/// What the name of a file with public keys begins with, right below `repo/`.
pub const PUBLIC_KEYS_PREFIX: &str = "RPM-GPG-KEY-";

/// The prefix of rejected files and their records.
pub const QUARANTINE_PREFIX: &str = "quarantine/";

/// The prefix of signed packages on their way.
pub const SIGNED_PREFIX: &str = ".yrm/signed/";

/// The prefix of the receipts.
pub const RECEIPTS_PREFIX: &str = ".yrm/receipts/";

/// The prefix of the history.
pub const HISTORY_PREFIX: &str = ".yrm/history/";

/// Whether `path` is made of ordinary segments: not empty, no `//`, `.` or `..`, no control
/// characters. Such a path means the same to S3, to a URL and to a file system.
pub fn is_plain_path(path: &str) -> bool {
    !path.is_empty()
        && !path.chars().any(char::is_control)
        && path.split('/').all(|segment| !matches!(segment, "" | "." | ".."))
}

/// Whether a package can be published under `path`: a plain path that XML can hold, that no URL
/// reader turns around and no web server hides, and whose folders can never be another package.
pub fn is_publishable_path(path: &str) -> bool {
    let sound = |c: char| !matches!(c, '\\' | '\u{FFFE}' | '\u{FFFF}');
    let folders = path.rsplit_once('/').map_or("", |(folders, _)| folders);
    is_plain_path(path)
        && path.chars().all(sound)
        && !path.split('/').any(is_hidden)
        && !folders.split('/').any(|folder| folder.to_ascii_lowercase().ends_with(".rpm"))
}

/// Whether a part begins with a dot, also as URLs may spell it: to them `%2e%2e` is `..`.
fn is_hidden(part: &str) -> bool {
    let spelt = |at: &str| at.eq_ignore_ascii_case("%2e");
    part.starts_with('.') || part.get(..3).is_some_and(spelt)
}

/// What a quarantine record's name has more than its file's.
pub const RECORD_SUFFIX: &str = ".json";

/// Where a rejected file goes. A path that could climb out, confuse a URL or outgrow the limits of
/// a key or of a file's name is kept under its hash; its record names it.
fn quarantine(path: &str, id: Ulid) -> String {
    let key = format!("{QUARANTINE_PREFIX}{path}.{id}");
    let name_bytes = key.rsplit('/').next().map_or(0, str::len) + RECORD_SUFFIX.len();
    let fits = key.len() + RECORD_SUFFIX.len() <= MAX_KEY_BYTES && name_bytes <= MAX_NAME_BYTES;
    if is_plain_path(path) && fits {
        key
    } else {
        format!("{QUARANTINE_PREFIX}_odd/{}.{id}", Sha256::of(path.as_bytes()))
    }
}
