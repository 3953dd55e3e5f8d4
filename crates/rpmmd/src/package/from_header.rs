//! A package from its headers: identity, texts, sizes.

use std::borrow::Cow;

use super::error::PackageError;
use super::origin::Origin;
use super::text::Cleaner;
use super::{Package, Warning, changelog, cost, dependencies, files};
use crate::checksum::Sha256;
use crate::evr::Evr;
use crate::header::HeaderFile;
use crate::nevra::Nevra;
use crate::tag;

/// What the header cannot know of the file it stands in.
#[derive(Debug, Clone, Copy)]
pub struct FileFacts<'a> {
    /// SHA-256 of the whole file.
    pub pkgid: Sha256,
    /// Path relative to the repository, raw.
    pub href: &'a str,
    /// Modification time, in seconds.
    pub file_time: u64,
    /// The file's size in bytes.
    pub package_bytes: u64,
}

/// What a repository may want otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// How many changelog entries are kept, the newest ones; `None` keeps all.
    pub changelog_limit: Option<usize>,
}

impl Default for Rules {
    /// createrepo_c's: 10 changelog entries.
    fn default() -> Self {
        Self { changelog_limit: Some(10) }
    }
}

impl<'a> Package<'a> {
    /// Describes the package whose headers these are. The warnings say what was replaced or
    /// left out; the package is good to publish nevertheless.
    pub fn from_header(
        headers: &HeaderFile<'a>,
        facts: &FileFacts<'a>,
        rules: &Rules,
    ) -> Result<(Self, Vec<Warning>), PackageError> {
        cost::check(headers, rules.changelog_limit)?;
        let main = &headers.main;
        let mut cleaner = Cleaner::default();
        let origin = Origin::of(headers);
        let nevra = nevra(headers, origin, &mut cleaner)?;
        let files = files::read(headers, &mut cleaner)?;
        let dependencies = dependencies::read(headers, origin, &nevra, &files, &mut cleaner)?;
        let changelogs = changelog::read(main, rules.changelog_limit, &mut cleaner);
        let mut text = |tag| main.text(tag).map_or(Cow::Borrowed(""), |text| cleaner.clean(tag, text));
        let package = Self {
            nevra,
            pkgid: facts.pkgid,
            href: Cow::Borrowed(facts.href),
            summary: text(tag::SUMMARY),
            description: text(tag::DESCRIPTION),
            packager: text(tag::PACKAGER),
            url: text(tag::URL),
            file_time: facts.file_time,
            build_time: main.integer(tag::BUILDTIME).unwrap_or(0),
            package_bytes: facts.package_bytes,
            installed_bytes: main.integer(tag::LONGSIZE).or_else(|| main.integer(tag::SIZE)).unwrap_or(0),
            archive_bytes: archive_bytes(headers),
            license: text(tag::LICENSE),
            vendor: text(tag::VENDOR),
            group: text(tag::GROUP),
            buildhost: text(tag::BUILDHOST),
            sourcerpm: match origin {
                Origin::Unknown => Cow::Borrowed("(none)"),
                Origin::Source | Origin::Binary => text(tag::SOURCERPM),
            },
            header_start: headers.header_start,
            header_end: headers.header_end,
            provides: dependencies.provides,
            requires: dependencies.requires,
            conflicts: dependencies.conflicts,
            obsoletes: dependencies.obsoletes,
            suggests: dependencies.suggests,
            enhances: dependencies.enhances,
            recommends: dependencies.recommends,
            supplements: dependencies.supplements,
            files,
            changelogs,
        };
        Ok((package, cleaner.warnings()))
    }
}

fn nevra(headers: &HeaderFile<'_>, origin: Origin, cleaner: &mut Cleaner) -> Result<Nevra, PackageError> {
    let main = &headers.main;
    let mut text = |tag| match main.text(tag) {
        Some(text) if !text.is_empty() => Ok(cleaner.clean(tag, text).into_owned()),
        Some(_) | None => Err(PackageError::Missing(tag)),
    };
    let name = text(tag::NAME)?;
    let version = text(tag::VERSION)?;
    let release = text(tag::RELEASE)?;
    let arch = text(tag::ARCH)?;
    let epoch = main.only_integer(tag::EPOCH).unwrap_or(0);
    let epoch = u32::try_from(epoch).map_err(|_| PackageError::TooLarge { tag: tag::EPOCH, value: epoch })?;
    // A source package has the architecture of the machine that made it.
    let arch = if origin == Origin::Source { "src".to_owned() } else { arch };
    Ok(Nevra { name, evr: Evr { epoch, version, release }, arch })
}

/// Size of the uncompressed payload. Only the signature header of a version 4 package has it.
fn archive_bytes(headers: &HeaderFile<'_>) -> u64 {
    if headers.main.integer(tag::RPMFORMAT).is_some_and(|version| version >= 6) {
        return 0;
    }
    let signature = &headers.signature;
    signature
        .loaded_integer(tag::signature::LONGARCHIVESIZE)
        .or_else(|| signature.loaded_integer(tag::signature::PAYLOADSIZE))
        // From before rpm 4.
        .or_else(|| headers.main.integer(tag::ARCHIVESIZE))
        .unwrap_or(0)
}
