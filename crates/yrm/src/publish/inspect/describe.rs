//! What a file's header says of it, as metadata will; and what no package here may say. Only computes.

use rpmmd::checksum::Sha256;
use rpmmd::header::{HeaderError, HeaderFile, Parsed};
use rpmmd::nevra::Nevra;
use rpmmd::package::{FileFacts, Package, PackageError, Rules};
use rpmmd::repodata::Fragments;
use rpmmd::tag;

use crate::bucket::inbox::Dropped;
use crate::bucket::verdict::{Candidate, Reason, Signing};
use crate::error::{Error, ErrorKind};
use crate::store::key::RepositoryDir;

/// A name, version, release or architecture longer than this fits no file name.
const MAX_NAME_BYTES: usize = 255;
/// A longer label is cut: module names and streams are words.
const MAX_LABEL_BYTES: usize = 1_024;

/// Why a file is not a candidate.
pub(crate) enum Stop {
    Reject(Reason, String),
    Wait(String),
    /// It would take long.
    Long,
    Held(String),
    Gone,
    Fault(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Fault(error)
    }
}

/// A file as it will be described: its first bytes may be others than those that were uploaded.
#[derive(Clone, Copy)]
pub(crate) struct File<'a> {
    pub(crate) dropped: &'a Dropped,
    pub(crate) prefix: &'a [u8],
    pub(crate) size_bytes: u64,
}

/// Header and metadata of the file.
pub(crate) fn describe(file: File<'_>, repository: RepositoryDir, href: &str) -> Result<Candidate, Stop> {
    let File { dropped, prefix, size_bytes } = file;
    let Parsed::Ready(file) = HeaderFile::parse_prefix(prefix).map_err(|error| refuse(&error))? else {
        return Err(Stop::Fault(Error::new(ErrorKind::Internal, "describing a file whose header was not read")));
    };
    check_kind(&file)?;
    check_size(&file, size_bytes)?;
    file.verify_header_digests().map_err(|error| refuse(&error))?;
    let facts = FileFacts {
        pkgid: Sha256::from_bytes([0; 32]),
        href,
        file_time: u64::try_from(dropped.modified().as_second()).unwrap_or(0),
        package_bytes: size_bytes,
    };
    let (package, warnings) = Package::from_header(&file, &facts, &Rules::default()).map_err(|error| {
        let reason = match error {
            PackageError::TooMuchMemory { .. } => Reason::HeaderLimit,
            PackageError::Missing(_)
            | PackageError::TooLarge { .. }
            | PackageError::Uneven { .. }
            | PackageError::NoSuchDirectory { .. } => Reason::HeaderInvalid,
        };
        Stop::Reject(reason, error.to_string())
    })?;
    check_name(&package.nevra)?;
    if !href.to_ascii_lowercase().ends_with(".rpm") {
        return Err(Stop::Reject(Reason::BadKey, "a package's name must end in .rpm".to_owned()));
    }
    for warning in warnings {
        tracing::warn!(key = dropped.key(), package.nevra = %package.nevra, "{warning}");
    }
    Ok(Candidate {
        dropped: dropped.clone(),
        repository,
        href: href.to_owned(),
        build_time: package.build_time,
        module: label_of(&file),
        fragments: Fragments::of(&package).map_err(|error| Stop::Reject(Reason::HeaderLimit, error.to_string()))?,
        nevra: package.nevra,
        pkgid: None,
        signing: Signing::default(),
        signed: None,
        same_as: None,
        standings: Vec::new(),
    })
}

/// What a header that is refused is rejected for.
pub(crate) fn refuse(error: &HeaderError) -> Stop {
    use rpmmd::header::Reason as Found;
    let reason = match error.reason() {
        Found::NotRpm => Reason::NotRpm,
        Found::Unsupported => Reason::Unsupported,
        Found::Limit => Reason::HeaderLimit,
        Found::Invalid => Reason::HeaderInvalid,
        Found::Digest => Reason::DigestMismatch,
    };
    Stop::Reject(reason, error.to_string())
}

/// An upload that rpm does not install for want of digests is told so here, and not by clients.
pub(crate) fn check_digests(prefix: &[u8]) -> Result<(), Stop> {
    match HeaderFile::parse_prefix(prefix).map_err(|error| refuse(&error))? {
        Parsed::Ready(file) => file.check_digests().map_err(|error| refuse(&error)),
        Parsed::Needs(_) => Err(Stop::Fault(Error::new(ErrorKind::Internal, "looking for digests in half a header"))),
    }
}

/// A delta has a package's headers, and no client could install it.
fn check_kind(file: &HeaderFile<'_>) -> Result<(), Stop> {
    if file.main.text(tag::PAYLOADFORMAT) == Some(b"drpm") {
        return Err(Stop::Reject(Reason::Unsupported, "it is a delta between two packages".to_owned()));
    }
    Ok(())
}

/// The signature header says how long header and payload are.
fn check_size(file: &HeaderFile<'_>, size_bytes: u64) -> Result<(), Stop> {
    match file.expected_file_bytes() {
        Some(expected) if size_bytes < expected => {
            let message = format!("the file has {size_bytes} bytes, and its signature header says {expected}");
            Err(Stop::Reject(Reason::Truncated, message))
        }
        Some(expected) if size_bytes > expected => {
            let surplus = size_bytes - expected;
            Err(Stop::Reject(Reason::HeaderInvalid, format!("{surplus} bytes follow the end of the package")))
        }
        Some(_) | None => Ok(()),
    }
}

/// rpmbuild makes no other names; clients, file systems and terminals are not asked to cope.
fn check_name(nevra: &Nevra) -> Result<(), Stop> {
    let parts = [
        ("name", nevra.name.as_str(), "._+-"),
        ("version", &nevra.evr.version, "._+~^"),
        ("release", &nevra.evr.release, "._+~^"),
        ("architecture", &nevra.arch, "_"),
    ];
    for (what, text, marks) in parts {
        let fits = !text.is_empty()
            && text.len() <= MAX_NAME_BYTES
            && text.chars().all(|c| c.is_ascii_alphanumeric() || marks.contains(c));
        if !fits || text == "." || text == ".." {
            let shown: String = text.chars().take(80).flat_map(char::escape_default).collect();
            return Err(Stop::Reject(Reason::PolicyName, format!("its {what} is \"{shown}\"")));
        }
    }
    Ok(())
}

/// A package's MODULARITYLABEL; empty where it has none.
pub(crate) fn label_of(file: &HeaderFile<'_>) -> String {
    let label = String::from_utf8_lossy(file.main.text(tag::MODULARITYLABEL).unwrap_or_default());
    label[..label.floor_char_boundary(MAX_LABEL_BYTES)].to_owned()
}
