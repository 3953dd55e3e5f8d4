//! The bucket's whole layout on one screen: every key this program builds, with its content
//! type, its cache control and whether it is swapped or fixed.
//!
//! Releases of this program itself lie at the bucket's root, whatever the prefix; they are only
//! read, and `update` names them.

use std::fmt;

use rpmmd::checksum::Sha256;
use ulid::Ulid;

use super::Attributes;
use crate::config::shape::BUCKET_FILE;
use crate::config::{Folders, ObjectClass};

/// S3's limit for a key, in bytes of UTF-8.
pub const MAX_KEY_BYTES: usize = 1024;

/// A file system's limit for one name, in bytes.
const MAX_NAME_BYTES: usize = 255;

/// A repository's folder under `repo/`, without slashes at either end; empty for the one
/// repository of `repositories = "single"`. People and programs are told `/` for that one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(from = "String", into = "String")]
pub struct RepositoryDir(String);

impl RepositoryDir {
    /// The folder `dir`, without slashes at its ends.
    pub fn new(dir: &str) -> Self {
        Self(dir.trim_matches('/').to_owned())
    }

    /// Relative to `repo/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path, below `repo/`, of what lies at `href`: beside the folder, where that begins with `../`.
    pub fn path_of(&self, href: &str) -> String {
        let (mut dir, mut below) = (self.0.as_str(), href);
        while let (Some(rest), false) = (below.strip_prefix("../"), dir.is_empty()) {
            dir = dir.rsplit_once('/').map_or("", |(above, _)| above);
            below = rest;
        }
        if dir.is_empty() { below.to_owned() } else { format!("{dir}/{below}") }
    }

    fn prefix(&self) -> String {
        if self.0.is_empty() { String::new() } else { format!("{}/", self.0) }
    }
}

impl fmt::Display for RepositoryDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "/" } else { &self.0 })
    }
}

impl From<String> for RepositoryDir {
    fn from(dir: String) -> Self {
        Self::new(&dir)
    }
}

impl From<RepositoryDir> for String {
    fn from(dir: RepositoryDir) -> Self {
        dir.to_string()
    }
}

/// A generation's own folder below `repodata/`, for clients in mirrorlist mode: named by its revision, the
/// repomd.xml that it is derived from, and the key that has signed it, so that nothing in it ever changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorFolder {
    /// `<revision>` of both.
    pub revision: u64,
    /// The repository's repomd.xml.
    pub repomd: Sha256,
    /// Of the key that signs; `None` with signing off.
    pub key_id: Option<String>,
}

impl MirrorFolder {
    /// The way from the folder to the repository's own, where the packages are.
    pub const UP: &'static str = "../../";

    /// The folder of this name.
    pub fn parse(name: &str) -> Option<Self> {
        let mut parts = name.splitn(3, '-');
        let (revision, repomd, key_id) = (parts.next()?, parts.next()?, parts.next());
        let is_key_id = |id: &str| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let folder =
            Self { revision: revision.parse().ok()?, repomd: repomd.parse().ok()?, key_id: key_id.map(str::to_owned) };
        (key_id.is_none_or(is_key_id) && folder.to_string() == name).then_some(folder)
    }

    /// The folder, and the path in it, of an object that lies at `href` in a repository.
    pub fn of_href(href: &str) -> Option<(Self, &str)> {
        let (name, path) = href.strip_prefix("repodata/")?.split_once('/')?;
        Some((Self::parse(name)?, path))
    }

    /// The folder that a list of mirrors names, if it names one.
    pub fn named_by(mirrorlist: &[u8]) -> Option<Self> {
        let line = std::str::from_utf8(mirrorlist).ok()?.lines().next()?;
        let (above, name) = line.trim_end_matches('/').rsplit_once('/')?;
        above.ends_with("/repodata").then(|| Self::parse(name))?
    }
}

impl fmt::Display for MirrorFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.revision, self.repomd)?;
        self.key_id.as_ref().map_or(Ok(()), |id| write!(f, "-{id}"))
    }
}

/// Whether a folder below `repo/` is a revision's own, or a tag's: what lies in it is no repository's.
pub fn is_own_folder(dir: &str) -> bool {
    let (above, name) = dir.trim_end_matches('/').rsplit_once('/').unwrap_or(("", dir));
    above.rsplit('/').next() == Some("repodata")
        && (name.starts_with(TAG_FOLDER) || MirrorFolder::parse(name).is_some())
}

/// One object of the bucket.
#[derive(Debug, Clone, Copy)]
pub enum Key<'a> {
    /// What an uploader put at `path` below the inbox.
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
    /// A file in a generation's own folder (`repodata/repomd.xml`, and what that names).
    MirrorFile { repository: &'a RepositoryDir, folder: &'a MirrorFolder, href: &'a str },
    /// What clients may write into their own configuration.
    ClientFile { repository: &'a RepositoryDir, name: &'a str },
    /// The address of the newest generation's own folder.
    Mirrorlist { repository: &'a RepositoryDir },
    /// A rejected file, by its path below the inbox and the upload's id.
    Quarantined { path: &'a str, id: Ulid },
    /// Why it was rejected.
    QuarantineRecord { path: &'a str, id: Ulid },
    /// What a generation holds, under the hash of its repomd.xml.
    Catalog { repository: &'a RepositoryDir, repomd: Sha256 },
    /// A generation's repomd.xml, for rollback, for diff and for the sweep.
    Generation { repository: &'a RepositoryDir, revision: u64 },
    /// The same of another program's, whose number one of ours has.
    ForeignGeneration { repository: &'a RepositoryDir, revision: u64, repomd: Sha256 },
    /// The signature of the first.
    GenerationSignature { repository: &'a RepositoryDir, revision: u64 },
    /// The answer to one inbox object, under the hash of its path and ETag.
    Receipt { digest: Sha256 },
    /// One run of the history: newest first in a listing.
    Run { started_ms: u64, id: Ulid },
    /// The advisory lease on a repository.
    Lease { repository: &'a RepositoryDir },
    /// When a repository was last swept; its modification time is also the store's clock.
    Swept { repository: &'a RepositoryDir },
    /// Which generations' own folders are named no more, and since when that is known.
    MirrorsLeft { repository: &'a RepositoryDir },
    /// Files in a repository's folder that nobody offered when it was taken over: they are not ours to delete.
    NotOffered { repository: &'a RepositoryDir },
    /// Since when a repository of an earlier layout has no repomd.xml any more.
    Retired { repository: &'a RepositoryDir },
    /// Packages beside its folder that a repository names: no sweep of another takes them.
    NamedBeside { repository: &'a RepositoryDir },
    /// Which packages of a repository are held.
    Holds { repository: &'a RepositoryDir },
    /// What does not come back.
    Blocks,
    /// Which revisions of a repository are tagged.
    Tags { repository: &'a RepositoryDir },
    /// A file in the folder of a tag (`repodata/repomd.xml`, and what that names).
    TagFile { repository: &'a RepositoryDir, name: &'a str, href: &'a str },
    /// The bucket's own settings.
    Settings,
    /// One change of them: newest first in a listing.
    SettingsChange { at_ms: u64, id: Ulid },
    /// Who is let in under a name, and to what.
    Token { name: &'a str },
    /// When that was last used.
    TokenUse { name: &'a str },
    /// The store's clock: written to learn the time it is given.
    Clock,
    /// A start-up probe's own object.
    Probe { name: &'a str },
}

impl Key<'_> {
    /// The key as the store knows it.
    pub fn path(&self, folders: &Folders) -> String {
        let (inbox, repo) = (&folders.inbox, folders.repo_prefix());
        match self {
            Self::Inbox { path } => format!("{inbox}/{path}"),
            Self::Package { repository, href } | Self::Metadata { repository, href } => {
                format!("{repo}{}", repository.path_of(href))
            }
            Self::Repomd { repository } => format!("{repo}{}repodata/repomd.xml", repository.prefix()),
            Self::Signature { repository } => format!("{repo}{}repodata/repomd.xml.asc", repository.prefix()),
            Self::PublicKeys { name } => format!("{repo}{PUBLIC_KEYS_PREFIX}{name}"),
            Self::ClientFile { repository, name } => {
                format!("{repo}{}{name}{CLIENT_FILE_SUFFIX}", repository.prefix())
            }
            Self::Signed { digest } => format!("{SIGNED_PREFIX}{digest}.rpm"),
            Self::MirrorFile { repository, folder, href } => {
                format!("{repo}{}repodata/{folder}/{href}", repository.prefix())
            }
            Self::Mirrorlist { repository } => format!("{repo}{}{MIRRORLIST}", repository.prefix()),
            Self::Quarantined { path, id } => quarantine(path, *id),
            Self::QuarantineRecord { path, id } => quarantine(path, *id) + RECORD_SUFFIX,
            Self::Catalog { repository, repomd } => format!(".yrm/catalog/{}{repomd}", repository.prefix()),
            Self::Generation { repository, revision } => {
                format!(".yrm/generations/{}{revision}.xml", repository.prefix())
            }
            Self::ForeignGeneration { repository, revision, repomd } => {
                format!(".yrm/generations/{}{revision}-{repomd}.xml", repository.prefix())
            }
            Self::GenerationSignature { repository, revision } => {
                format!(".yrm/generations/{}{revision}{GENERATION_SIGNATURE_SUFFIX}", repository.prefix())
            }
            Self::Receipt { digest } => format!(".yrm/receipts/{digest}.json"),
            Self::Run { started_ms, id } => format!(".yrm/history/{:020}-{id}.json", u64::MAX - started_ms),
            Self::Lease { repository } => format!(".yrm/lease/{}lease.json", repository.prefix()),
            Self::Swept { repository } => format!(".yrm/swept/{}swept.json", repository.prefix()),
            Self::MirrorsLeft { repository } => format!("{MIRRORS_LEFT_PREFIX}{}left.json", repository.prefix()),
            Self::Retired { repository } => format!(".yrm/retired/{}retired.json", repository.prefix()),
            Self::NotOffered { repository } => format!("{KEPT_PREFIX}{}{NOT_OFFERED}", repository.prefix()),
            Self::NamedBeside { repository } => format!("{KEPT_PREFIX}{}{NAMED_BESIDE}", repository.prefix()),
            Self::Holds { repository } => format!("{HOLDS_PREFIX}{}holds.json", repository.prefix()),
            Self::Blocks => ".yrm/blocks.json".to_owned(),
            Self::Tags { repository } => format!("{TAGS_PREFIX}{}{TAGS}", repository.prefix()),
            Self::TagFile { repository, name, href } => {
                format!("{repo}{}repodata/{TAG_FOLDER}{name}/{href}", repository.prefix())
            }
            Self::Settings => BUCKET_FILE.to_owned(),
            Self::SettingsChange { at_ms, id } => {
                format!("{SETTINGS_HISTORY_PREFIX}{:020}-{id}.json", u64::MAX - at_ms)
            }
            Self::Token { name } => format!("{TOKENS_PREFIX}{name}{TOKEN_SUFFIX}"),
            Self::TokenUse { name } => format!(".yrm/token-uses/{name}.json"),
            Self::Clock => ".yrm/clock".to_owned(),
            Self::Probe { name } => format!(".yrm/probe/{name}"),
        }
    }

    /// What is stored beside the bytes. Never a Content-Encoding: clients would unpack twice.
    pub fn attributes(&self) -> Attributes {
        let cache_control = match self {
            // Swapped: a cached copy would point at yesterday.
            Self::Repomd { .. }
            | Self::Signature { .. }
            | Self::PublicKeys { .. }
            | Self::ClientFile { .. }
            | Self::Mirrorlist { .. } => Some("no-cache"),
            // A tag's name may be given to another revision some day.
            Self::TagFile { href, .. } if href.starts_with("repodata/repomd.xml") => Some("no-cache"),
            // Fixed: the name holds the hash, or the path never gets other bytes.
            Self::Package { .. } | Self::Metadata { .. } | Self::MirrorFile { .. } | Self::TagFile { .. } => {
                Some("public, max-age=31536000, immutable")
            }
            Self::Inbox { .. }
            | Self::Signed { .. }
            | Self::Quarantined { .. }
            | Self::QuarantineRecord { .. }
            | Self::Catalog { .. }
            | Self::Generation { .. }
            | Self::ForeignGeneration { .. }
            | Self::GenerationSignature { .. }
            | Self::Receipt { .. }
            | Self::Run { .. }
            | Self::Lease { .. }
            | Self::Swept { .. }
            | Self::MirrorsLeft { .. }
            | Self::Retired { .. }
            | Self::NotOffered { .. }
            | Self::NamedBeside { .. }
            | Self::Holds { .. }
            | Self::Blocks
            | Self::Tags { .. }
            | Self::Settings
            | Self::SettingsChange { .. }
            | Self::Token { .. }
            | Self::TokenUse { .. }
            | Self::Clock
            | Self::Probe { .. } => None,
        };
        Attributes {
            content_type: self.content_type(),
            cache_control,
            user: std::collections::BTreeMap::new(),
            class: self.class(),
        }
    }

    /// What it is for; `None` for what is on its way in the inbox, whose uploaders may have fewer rights.
    fn class(&self) -> Option<ObjectClass> {
        match self {
            Self::Inbox { .. } => None,
            Self::Package { .. } => Some(ObjectClass::Packages),
            Self::Repomd { .. }
            | Self::Signature { .. }
            | Self::PublicKeys { .. }
            | Self::Metadata { .. }
            | Self::MirrorFile { .. }
            | Self::TagFile { .. }
            | Self::ClientFile { .. }
            | Self::Mirrorlist { .. } => Some(ObjectClass::Metadata),
            Self::Quarantined { .. } | Self::QuarantineRecord { .. } => Some(ObjectClass::Quarantine),
            Self::Signed { .. }
            | Self::Catalog { .. }
            | Self::Generation { .. }
            | Self::ForeignGeneration { .. }
            | Self::GenerationSignature { .. }
            | Self::Receipt { .. }
            | Self::Run { .. }
            | Self::Lease { .. }
            | Self::Swept { .. }
            | Self::MirrorsLeft { .. }
            | Self::Retired { .. }
            | Self::NotOffered { .. }
            | Self::NamedBeside { .. }
            | Self::Holds { .. }
            | Self::Blocks
            | Self::Tags { .. }
            | Self::Settings
            | Self::SettingsChange { .. }
            | Self::Token { .. }
            | Self::TokenUse { .. }
            | Self::Clock
            | Self::Probe { .. } => Some(ObjectClass::State),
        }
    }

    fn content_type(&self) -> &'static str {
        match self {
            Self::Inbox { .. } | Self::Package { .. } | Self::Signed { .. } | Self::Quarantined { .. } => {
                "application/x-rpm"
            }
            Self::Metadata { href, .. } | Self::MirrorFile { href, .. } | Self::TagFile { href, .. } => {
                match href.rsplit_once('.') {
                    Some((_, "gz")) => "application/gzip",
                    Some((_, "zst")) => "application/zstd",
                    Some((_, "asc")) => "application/pgp-signature",
                    Some(_) | None => "text/xml",
                }
            }
            Self::Mirrorlist { .. } | Self::ClientFile { .. } => "text/plain; charset=utf-8",
            Self::Repomd { .. } | Self::Generation { .. } | Self::ForeignGeneration { .. } => "text/xml",
            Self::Signature { .. } | Self::GenerationSignature { .. } => "application/pgp-signature",
            Self::PublicKeys { .. } => "application/pgp-keys",
            Self::QuarantineRecord { .. }
            | Self::Receipt { .. }
            | Self::Run { .. }
            | Self::Lease { .. }
            | Self::Swept { .. }
            | Self::MirrorsLeft { .. }
            | Self::Retired { .. }
            | Self::NotOffered { .. }
            | Self::NamedBeside { .. }
            | Self::Holds { .. }
            | Self::Blocks
            | Self::Tags { .. }
            | Self::Token { .. }
            | Self::TokenUse { .. }
            | Self::SettingsChange { .. } => "application/json",
            Self::Settings => "application/toml",
            Self::Catalog { .. } | Self::Clock | Self::Probe { .. } => "application/octet-stream",
        }
    }
}

/// The prefix under which a listing finds a repository's objects.
pub fn repository_prefix(folders: &Folders, repository: &RepositoryDir) -> String {
    folders.repo_prefix() + &repository.prefix()
}

/// Bytes of the longest key that a repository needs for itself, with or without generations' own folders.
pub fn longest_of(folders: &Folders, repository: &RepositoryDir, mirrored: bool) -> usize {
    let digest = Sha256::of(b"any");
    let href = format!("repodata/{digest}-filelists.xml.zst");
    let folder = MirrorFolder { revision: u64::MAX, repomd: digest, key_id: Some("0123456789abcdef".to_owned()) };
    let in_folder = Key::MirrorFile { repository, folder: &folder, href: &href };
    let keys = [
        Key::Metadata { repository, href: &href },
        Key::Catalog { repository, repomd: digest },
        if mirrored { in_folder } else { Key::Repomd { repository } },
    ];
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

/// What the names of the files for clients end in.
pub const CLIENT_FILE_SUFFIX: &str = ".repo";

/// The prefix of the files with public keys.
pub fn public_keys_prefix(folders: &Folders) -> String {
    folders.repo_prefix() + PUBLIC_KEYS_PREFIX
}

/// What a repository's list of mirrors is called.
pub const MIRRORLIST: &str = "mirrorlist";

/// The prefix of the notes about generations' own folders.
pub const MIRRORS_LEFT_PREFIX: &str = ".yrm/mirrors/";

/// The prefix of the lists of files that no sweep takes.
pub const KEPT_PREFIX: &str = ".yrm/kept/";

/// What such a list is called that is about a repository's own folder.
pub const NOT_OFFERED: &str = "not-offered.json";

/// What it is called when it is about others' folders.
pub const NAMED_BESIDE: &str = "named-beside.json";

/// The prefix of rejected files and their records.
pub const QUARANTINE_PREFIX: &str = "quarantine/";

/// The prefix of signed packages on their way.
pub const SIGNED_PREFIX: &str = ".yrm/signed/";

/// The prefix of the receipts.
pub const RECEIPTS_PREFIX: &str = ".yrm/receipts/";

/// The prefix of the holds.
pub const HOLDS_PREFIX: &str = ".yrm/holds/";

/// The prefix of the tokens.
pub const TOKENS_PREFIX: &str = ".yrm/tokens/";

/// What the name of a token's document ends in.
pub const TOKEN_SUFFIX: &str = ".json";

/// The prefix of the tags.
pub const TAGS_PREFIX: &str = ".yrm/tags/";

/// What the list of a repository's tags is called.
pub const TAGS: &str = "tags.json";

/// What the folder of a tag begins with, below `repodata/`: as far below the packages as a generation's own.
pub const TAG_FOLDER: &str = "tag-";

/// The prefix of the history.
pub const HISTORY_PREFIX: &str = ".yrm/history/";

/// The prefix of the changes of the bucket's settings.
pub const SETTINGS_HISTORY_PREFIX: &str = ".yrm/settings-history/";

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_beside_the_folder_has_a_key_below_repo() {
        let key = |dir, href| Key::Package { repository: &RepositoryDir::new(dir), href }.path(&Folders::default());
        assert_eq!(key("el9/x86_64", "../noarch/x.rpm"), "repo/el9/noarch/x.rpm");
        assert_eq!(key("el9/x86_64", "../../x.rpm"), "repo/x.rpm");
        assert_eq!(key("", "a/x.rpm"), "repo/a/x.rpm");
    }

    #[test]
    fn a_generation_s_folder_is_told_from_any_other_by_its_name() {
        let repomd = Sha256::of(b"repomd.xml");
        for key_id in [None, Some("0123456789abcdef".to_owned())] {
            let folder = MirrorFolder { revision: 1_767_225_600, repomd, key_id };
            let name = folder.to_string();
            assert_eq!(MirrorFolder::parse(&name), Some(folder.clone()));
            let (repository, href) = (&RepositoryDir::new("el9"), "repodata/repomd.xml");
            let key = Key::MirrorFile { repository, folder: &folder, href }.path(&Folders::default());
            assert_eq!(key, format!("repo/el9/repodata/{name}/repodata/repomd.xml"));
            let found = MirrorFolder::of_href(key.strip_prefix("repo/el9/").unwrap());
            assert_eq!(found, Some((folder.clone(), href)));
            let list = format!("https://a/repo/el9/repodata/{name}/\nhttps://b/repo/el9/repodata/{name}/\n");
            assert_eq!(MirrorFolder::named_by(list.as_bytes()), Some(folder));
        }
        assert!(is_own_folder("el9/repodata/tag-v1/") && is_own_folder("repodata/tag-v1") && !is_own_folder("tag-v1"));
        let wrong = [
            format!("01-{repomd}"),
            format!("1-{repomd}-"),
            format!("1-{repomd}-x/"),
            format!("{repomd}"),
            "1-2".into(),
        ];
        for name in wrong {
            assert_eq!(MirrorFolder::parse(&name), None, "{name}");
        }
        for list in ["", "https://example.org/repo/", "# comment", "\u{0}", "https://a/1-2/"] {
            assert_eq!(MirrorFolder::named_by(list.as_bytes()), None, "{list}");
        }
    }
}
