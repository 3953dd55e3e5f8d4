//! What the metadata says of one package: the value between a header and the XML.
//!
//! [`Package::from_header`] decides everything as createrepo_c 1.2.5 does, each rule with its
//! reason where it stands; with two exceptions: text is taken from the C locale, and characters
//! that XML cannot hold are replaced instead of breaking the repository for every client. It
//! never judges whether a package is welcome.

mod changelog;
mod cost;
mod dependencies;
mod error;
mod files;
mod from_header;
mod origin;
mod text;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub use self::cost::MAX_PACKAGE_MEMORY_BYTES;
pub use self::error::PackageError;
pub(crate) use self::files::is_primary_path;
pub use self::from_header::{FileFacts, Rules};
pub use self::text::Warning;
use crate::checksum::Sha256;
use crate::nevra::Nevra;

/// One package as primary, filelists and other describe it. Text borrows from the header (or
/// the XML) it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package<'a> {
    /// Name, EVR and architecture.
    pub nevra: Nevra,
    /// SHA-256 of the whole file; in the field's words the *pkgid*.
    pub pkgid: Sha256,
    /// Path relative to the repository, raw (never percent-encoded).
    pub href: Cow<'a, str>,
    /// SUMMARY, C locale.
    pub summary: Cow<'a, str>,
    /// DESCRIPTION, C locale.
    pub description: Cow<'a, str>,
    /// PACKAGER.
    pub packager: Cow<'a, str>,
    /// URL.
    pub url: Cow<'a, str>,
    /// `time file`: modification time of the package file, in seconds.
    pub file_time: u64,
    /// `time build`: BUILDTIME, in seconds.
    pub build_time: u64,
    /// `size package`: the file's size in bytes.
    pub package_bytes: u64,
    /// `size installed` in bytes.
    pub installed_bytes: u64,
    /// `size archive` in bytes.
    pub archive_bytes: u64,
    /// LICENSE.
    pub license: Cow<'a, str>,
    /// VENDOR.
    pub vendor: Cow<'a, str>,
    /// GROUP, C locale.
    pub group: Cow<'a, str>,
    /// BUILDHOST.
    pub buildhost: Cow<'a, str>,
    /// SOURCERPM.
    pub sourcerpm: Cow<'a, str>,
    /// First byte of the main header in the file.
    pub header_start: u64,
    /// First byte after the main header.
    pub header_end: u64,
    /// `rpm:provides`.
    pub provides: Vec<Dependency<'a>>,
    /// `rpm:requires`.
    pub requires: Vec<Dependency<'a>>,
    /// `rpm:conflicts`.
    pub conflicts: Vec<Dependency<'a>>,
    /// `rpm:obsoletes`.
    pub obsoletes: Vec<Dependency<'a>>,
    /// `rpm:suggests`.
    pub suggests: Vec<Dependency<'a>>,
    /// `rpm:enhances`.
    pub enhances: Vec<Dependency<'a>>,
    /// `rpm:recommends`.
    pub recommends: Vec<Dependency<'a>>,
    /// `rpm:supplements`.
    pub supplements: Vec<Dependency<'a>>,
    /// Every file in header order; primary shows the [`File::is_primary`] ones.
    pub files: Vec<File<'a>>,
    /// Changelog entries as `other` shows them: oldest first.
    pub changelogs: Vec<Changelog<'a>>,
}

/// One `rpm:entry`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dependency<'a> {
    /// Capability name, path or rich dependency.
    pub name: Cow<'a, str>,
    /// How the version is compared; absent when any version will do.
    pub version: Option<VersionBound<'a>>,
    /// `pre="1"`: needed before the package's scripts run. Only in requires.
    pub pre: bool,
}

/// The `flags epoch ver rel` attributes of a dependency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionBound<'a> {
    /// `flags`.
    pub sense: Sense,
    /// `epoch`, verbatim; absent when the whole version is empty.
    pub epoch: Option<Cow<'a, str>>,
    /// `ver`.
    pub version: Option<Cow<'a, str>>,
    /// `rel`.
    pub release: Option<Cow<'a, str>>,
}

/// The comparison in a dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sense {
    /// `LT`
    Less,
    /// `GT`
    Greater,
    /// `EQ`
    Equal,
    /// `LE`
    LessOrEqual,
    /// `GE`
    GreaterOrEqual,
}

/// One file of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File<'a> {
    /// Directory with its trailing `/` (empty in source packages).
    pub dir: Cow<'a, str>,
    /// Last part of the path.
    pub base: Cow<'a, str>,
    /// What it is.
    pub kind: FileKind,
}

/// The `type` attribute of a `file` element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// No attribute: files, symlinks, devices.
    Plain,
    /// `dir`; wins over ghost.
    Dir,
    /// `ghost`: owned but not shipped.
    Ghost,
}

/// One `changelog` element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changelog<'a> {
    /// Who, usually with the version.
    pub author: Cow<'a, str>,
    /// When, in seconds; entries of the same second are pushed apart as createrepo_c does.
    pub date: u64,
    /// What.
    pub text: Cow<'a, str>,
}
