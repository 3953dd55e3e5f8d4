//! What a run did: the one value that the CLI, the API, the history and the metrics render.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

pub use super::counts::{Counts, KeySet};
pub use super::noticed::{Found, Noticed, Outcome};
use crate::config::shape::Changed;
pub use crate::store::counted::Usage;
use crate::store::key::RepositoryDir;

/// One run. A run with an empty inbox has empty lists. Lists that grow with what waits hold the first
/// things, and [`Report::counts`] says how many there are ([`super::bounds`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The run's id; sortable by time.
    pub run: Ulid,
    /// When it started.
    pub started: Timestamp,
    /// The plan's name: this is what a dry run showed, and nothing was changed. Absent where it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// How long it took.
    pub duration_ms: u64,
    /// What it was; older records do not say, and are taken for runs.
    #[serde(default)]
    pub operation: Operation,
    /// Who did it: what `YRM_ACTOR` says, else the CI job, the ARN of AWS credentials, or user@host. Older records do not
    /// say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why, as whoever did it has written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Every inbox key that was work (folder markers and empty keys are not).
    pub inbox_keys: Vec<String>,
    /// When the oldest file that it found in the inbox was uploaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_upload: Option<Timestamp>,
    /// The inbox keys that were not published: rejected or left for a later run.
    pub skipped_keys: Vec<String>,
    /// What was published, in the order of the keys.
    pub published: Vec<Published>,
    /// What was rejected (moved to quarantine), and why.
    pub rejected: Vec<Rejected>,
    /// What was left in the inbox for a later run, and why.
    pub waiting: Vec<Waiting>,
    /// Old versions that left a repository's metadata by the prune rule.
    #[serde(alias = "retired")]
    pub pruned: Vec<TakenOut>,
    /// What an operator took out of a repository.
    #[serde(default)]
    pub removed: Vec<TakenOut>,
    /// What made room for a package of the same path or name.
    #[serde(default)]
    pub replaced: Vec<TakenOut>,
    /// What a rollback brought back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub restored: Vec<TakenOut>,
    /// Files that were put back from quarantine into the inbox: their keys there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub released: Vec<String>,
    /// Files that were deleted from quarantine, or that no metadata names and the next clean-up deletes: their keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deleted: Vec<String>,
    /// What was held, blocked, tagged or purged, or was so before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub marked: Vec<Marked>,
    /// Old versions that the prune rule would take, and that are held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<TakenOut>,
    /// The repositories that were looked at.
    pub repositories: Vec<RepositoryReport>,
    /// The bucket's settings that were changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<Changed>,
    /// The change of the layout, where it was that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<LayoutChange>,
    /// Files that were cleaned up: no kept revision names them.
    #[serde(alias = "swept")]
    pub cleaned_up: u64,
    /// Who uploaded what was published or rejected, by inbox key, as far as the queue has told.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub uploaders: BTreeMap<String, String>,
    /// What went wrong, one line each; everything else went on.
    pub errors: Vec<String>,
    /// What it cost.
    pub usage: Usage,
    /// How many things its lists leave out.
    #[serde(default, skip_serializing_if = "Counts::is_nothing")]
    pub left_out: Counts,
    /// What makes a service unready.
    #[serde(default, skip_serializing_if = "Trouble::is_none")]
    pub trouble: Trouble,
    /// Repositories whose repomd.xml was not the one that yrm wrote last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub noticed: Vec<Noticed>,
    /// The keys of the inbox that are not listed; not kept.
    #[serde(skip)]
    pub beyond: KeySet,
}

impl Report {
    /// Of a run that has done nothing yet.
    pub(crate) fn new(run: Ulid, started: Timestamp) -> Self {
        Self {
            run,
            started,
            plan: None,
            duration_ms: 0,
            operation: Operation::Run,
            by: None,
            reason: None,
            inbox_keys: Vec::new(),
            oldest_upload: None,
            skipped_keys: Vec::new(),
            published: Vec::new(),
            rejected: Vec::new(),
            waiting: Vec::new(),
            pruned: Vec::new(),
            removed: Vec::new(),
            replaced: Vec::new(),
            restored: Vec::new(),
            released: Vec::new(),
            deleted: Vec::new(),
            marked: Vec::new(),
            held: Vec::new(),
            repositories: Vec::new(),
            settings: Vec::new(),
            layout: None,
            cleaned_up: 0,
            uploaders: BTreeMap::new(),
            errors: Vec::new(),
            usage: Usage::default(),
            left_out: Counts::default(),
            trouble: Trouble::default(),
            noticed: Vec::new(),
            beyond: KeySet::default(),
        }
    }

    /// The same, of another operation than a run.
    #[must_use]
    pub fn of(self, operation: Operation) -> Self {
        Self { operation, ..self }
    }

    /// Whether anything changed. A file that waits, run after run, is no change.
    pub fn changed(&self) -> bool {
        let came = self.published.len() + self.rejected.len() + self.restored.len();
        let left = self.pruned.len() + self.removed.len() + self.replaced.len();
        let moved = self.released.len() + self.deleted.len() + self.marked.len();
        let took_over = |one: &RepositoryReport| one.adoption.is_some() && one.revision_before != one.revision_after;
        came + left + moved + self.noticed.len() > 0
            || self.layout.is_some()
            || !self.settings.is_empty()
            || self.cleaned_up > 0
            || self.repositories.iter().any(took_over)
    }

    /// Whether anything changed or went wrong.
    pub fn did_work(&self) -> bool {
        self.changed() || !self.errors.is_empty()
    }
}

/// What changed a bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// A run: publish what was uploaded, prune, clean up.
    #[default]
    Run,
    /// `package remove`.
    Remove,
    /// `package promote`.
    Promote,
    /// `repo rollback`.
    Rollback,
    /// `prune`.
    Prune,
    /// `quarantine release`.
    Release,
    /// `quarantine drop`.
    Drop,
    /// A change of the bucket's settings.
    Settings,
    /// Taking over what another program published.
    Adopt,
    /// `repo adopt-file`.
    AdoptFile,
    /// `repo drop-file`.
    DropFile,
    /// `package hold`.
    Hold,
    /// `package unhold`.
    Unhold,
    /// `package block`.
    Block,
    /// `package unblock`.
    Unblock,
    /// `repo tag`.
    Tag,
    /// `repo untag`.
    Untag,
    /// `repo rebuild`.
    Rebuild,
    /// `repo delete`.
    Delete,
    /// `repo restore`.
    Restore,
    /// `token create`.
    Token,
    /// `token revoke`.
    Revoke,
    /// One that this version does not know.
    #[serde(other)]
    Other,
}

impl Operation {
    /// As JSON and tables spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Remove => "remove",
            Self::Promote => "promote",
            Self::Rollback => "rollback",
            Self::Prune => "prune",
            Self::Release => "release",
            Self::Drop => "drop",
            Self::Settings => "settings",
            Self::Adopt => "adopt",
            Self::AdoptFile => "adopt-file",
            Self::DropFile => "drop-file",
            Self::Hold => "hold",
            Self::Unhold => "unhold",
            Self::Block => "block",
            Self::Unblock => "unblock",
            Self::Tag => "tag",
            Self::Untag => "untag",
            Self::Rebuild => "rebuild",
            Self::Delete => "delete",
            Self::Restore => "restore",
            Self::Token => "token",
            Self::Revoke => "revoke",
            Self::Other => "other",
        }
    }
}

/// How a repository's folder stands in JSON: `/` for the root repository, which earlier versions wrote as `""`.
pub(super) mod folder {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use crate::store::key::RepositoryDir;

    pub(in super::super) fn serialize<S: Serializer>(folder: &str, to: S) -> Result<S::Ok, S::Error> {
        RepositoryDir::new(folder).serialize(to)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
        RepositoryDir::deserialize(from).map(|folder| folder.as_str().to_owned())
    }
}

/// Work that could not be done although nothing is wrong with what was uploaded: the first reason of each kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// A sound package was not published, or what follows that was not finished. The next run may do it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone: Option<String>,
    /// What has its answer could not be deleted, and was refused rather than cut off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undeleted: Option<String>,
    /// A repository's repomd.xml is gone, damaged or somebody else's, and that could not be mended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unmended: Option<String>,
}

/// A package that clients can now install.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// Where it came from.
    pub inbox_key: String,
    /// The ETag of the bytes that were published.
    pub etag: String,
    /// The repository's folder below `repo/`; `/` is the root repository.
    #[serde(with = "folder")]
    pub repository: String,
    /// Its path in the repository.
    pub href: String,
    /// Name, EVR and architecture.
    pub nevra: String,
    /// SHA-256 of the published file.
    pub pkgid: String,
    /// Its size.
    pub size_bytes: u64,
    /// Whether these bytes were at this path before.
    pub already_there: bool,
    /// How its SHA-256 was learned; older records do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub way: Option<Way>,
    /// The primary key that signed what was uploaded, where signatures are looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
    /// The primary key that it was signed with here, before it was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_with: Option<String>,
    /// SHA-256 of the file as it was uploaded, where that is not what is published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uploaded_sha256: Option<String>,
    /// What is wrong with it nevertheless.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<Remark>,
}

/// How a package's SHA-256 was learned: what of its bytes came through yrm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// The store has hashed it: only its header was read.
    InStore,
    /// All of it was read: the store cannot hash what it copies, or somebody had to look inside.
    Read,
}

/// What would have kept a package out if the policy were stricter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    /// The reason code, such as `E_UNSIGNED`.
    pub code: String,
    /// What is wrong.
    pub message: String,
}

/// A file that was moved to quarantine. This is also the quarantine record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    /// Where it came from.
    pub inbox_key: String,
    /// The ETag of the bytes that were rejected.
    pub etag: String,
    /// The reason code, such as `E_TRUNCATED`.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: String,
    /// Its size.
    pub size_bytes: u64,
    /// SHA-256, when it was known.
    pub sha256: Option<String>,
    /// Where it is now.
    pub quarantine_key: String,
    /// When the store first had it.
    pub first_seen: Timestamp,
}

/// A file that stays in the inbox for now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The key.
    pub inbox_key: String,
    /// Why, and until when.
    pub reason: String,
}

/// A package that left the metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenOut {
    /// The repository's folder below `repo/`; `/` is the root repository.
    #[serde(with = "folder")]
    pub repository: String,
    /// Its path in the repository.
    pub href: String,
    /// Name, EVR and architecture.
    pub nevra: String,
    /// Why, where a rule decided it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What was put on a package, a name or a revision, or was taken off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marked {
    /// What it was.
    pub mark: Mark,
    /// The repository's folder below `repo/`, `/` for the root repository; `null` for what is blocked everywhere.
    pub repository: Option<RepositoryDir>,
    /// A package's path below `repo/`, the pattern that is blocked, or the name of a tag.
    pub name: String,
    /// Name, EVR and architecture of a package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nevra: Option<String>,
    /// The revision that a tag is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// What somebody should know of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What can be put on a package, a name or a revision, or taken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// A package is not pruned from now on.
    Hold,
    /// It may be pruned again.
    Unhold,
    /// A package does not come back.
    Block,
    /// It may come back.
    Unblock,
    /// A revision is kept.
    Tag,
    /// It is not kept any more.
    Untag,
    /// The bytes of a package are deleted before the grace period is over.
    Purge,
    /// Somebody is let in.
    Token,
    /// Nobody is let in by that any more.
    Revoke,
    /// One that this version does not know.
    #[serde(other)]
    Other,
}

impl Mark {
    /// As JSON and tables spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Unhold => "unhold",
            Self::Block => "block",
            Self::Unblock => "unblock",
            Self::Tag => "tag",
            Self::Untag => "untag",
            Self::Purge => "purge",
            Self::Token => "token",
            Self::Revoke => "revoke",
            Self::Other => "other",
        }
    }
}

/// A change of the layout: other folders are repositories.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayoutChange {
    /// The layout before.
    pub from: String,
    /// The layout after.
    pub to: String,
    /// Repositories that come, or are made anew.
    pub comes: Vec<PackagesOf>,
    /// Repositories that go. Clients can read them for the grace period.
    pub goes: Vec<PackagesOf>,
}

/// How many packages a repository holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackagesOf {
    /// Its folder below `repo/`; `/` is the root repository.
    #[serde(with = "folder")]
    pub repository: String,
    /// Its packages.
    pub packages: u64,
}

/// What happened to one repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryReport {
    /// Its folder below `repo/`; `/` is the root repository.
    #[serde(with = "folder")]
    pub repository: String,
    /// The revision found.
    pub revision_before: Option<u64>,
    /// The revision left: the same when nothing changed.
    pub revision_after: Option<u64>,
    /// Packages it now holds.
    pub packages: u64,
    /// Times the switch was tried.
    pub attempts: u32,
    /// Whether its metadata was made by something else and taken over.
    pub adopted: bool,
    /// What was taken over, and what was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adoption: Option<Adoption>,
}

/// What taking over a repository brought to light.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adoption {
    /// Packages that were taken over.
    pub packages: u64,
    /// Packages that its metadata named and that are not there.
    pub missing: Names,
    /// Packages that are there and that nobody could install.
    pub unreadable: Names,
    /// Files in its folder that its metadata did not name: they are still there, and still not offered.
    pub not_offered: Names,
    /// Packages that its metadata names and that had been taken out or pruned before: they stay out.
    #[serde(default, skip_serializing_if = "Names::is_empty")]
    pub stays_out: Names,
    /// Other metadata files that its repomd.xml named and that were left out, and why.
    #[serde(alias = "dropped_records")]
    pub records_left_out: Vec<String>,
}

impl fmt::Display for Adoption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "took over {} packages", self.packages)?;
        for (names, what) in [
            (&self.missing, "that the metadata named are missing"),
            (&self.unreadable, "cannot be read as packages and were left out"),
            (&self.not_offered, "were not offered and stay out"),
            (&self.stays_out, "had left the repository before and stay out"),
        ] {
            if !names.is_empty() {
                write!(f, "; {} files {what}: {names}", names.count)?;
            }
        }
        for record in &self.records_left_out {
            write!(f, "; left out {record}")?;
        }
        Ok(())
    }
}

/// Names of things, the first few in full and all of them counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// How many there are.
    pub count: u64,
    /// The first of them.
    pub first: Vec<String>,
}

/// Names that are told in full.
const NAMES_TOLD: usize = 20;

impl Names {
    /// One more.
    pub fn add(&mut self, name: String) {
        self.count += 1;
        if self.first.len() < NAMES_TOLD {
            self.first.push(name);
        }
    }

    /// These and others.
    #[must_use]
    pub fn and(mut self, others: &Self) -> Self {
        self.count += others.count;
        let room = NAMES_TOLD.saturating_sub(self.first.len());
        self.first.extend(others.first.iter().take(room).cloned());
        self
    }

    /// How many.
    pub fn len(&self) -> usize {
        usize::try_from(self.count).unwrap_or(usize::MAX)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl FromIterator<String> for Names {
    fn from_iter<I: IntoIterator<Item = String>>(names: I) -> Self {
        let mut all = Self::default();
        names.into_iter().for_each(|name| all.add(name));
        all
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.first.join(", "))?;
        match self.len() - self.first.len() {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}
