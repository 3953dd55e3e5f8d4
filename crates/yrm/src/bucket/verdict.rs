//! What is thought of one inbox object: accepted, rejected with a reason code, or left for later.
//!
//! A bad package is never an error: it costs one quarantine record and the others go on.

use std::fmt;

use bytes::Bytes;
use rpmmd::checksum::Sha256;
use rpmmd::nevra::Nevra;
use rpmmd::repodata::Fragments;

use super::inbox::Dropped;
use super::report::Remark;
use crate::store::key::RepositoryDir;

/// Why a file was rejected; the spelling is part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No bytes although the listing promised some.
    Empty,
    /// Fewer bytes than the headers say.
    Truncated,
    /// Not an RPM package at all.
    NotRpm,
    /// Over librpm's limits, or more than one package may take of memory.
    HeaderLimit,
    /// The header contradicts itself, or the file and its header disagree.
    HeaderInvalid,
    /// A digest in the package does not match its bytes.
    DigestMismatch,
    /// No signature where one is required.
    Unsigned,
    /// Signed by a key that is not in the keyring, or may not sign there.
    UnknownKey,
    /// Its signature is not over its bytes.
    BadSignature,
    /// Its signature could be forged: by its hash or its key.
    WeakAlgorithm,
    /// Signed by a key that is over, revoked or not valid yet.
    KeyExpired,
    /// Name, version, release or architecture that no client could use safely, or that is not for
    /// this folder.
    PolicyName,
    /// The folder lies above (or beside) every repository.
    NoRepository,
    /// The key cannot be a path in a repository.
    BadKey,
    /// The path or the NEVRA is taken by other bytes.
    Conflict,
    /// An operator has blocked it.
    Blocked,
    /// Over the size limit.
    TooLarge,
    /// A kind of package this version does not publish.
    Unsupported,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 18] = [
        Self::Empty,
        Self::Truncated,
        Self::NotRpm,
        Self::HeaderLimit,
        Self::HeaderInvalid,
        Self::DigestMismatch,
        Self::Unsigned,
        Self::UnknownKey,
        Self::BadSignature,
        Self::WeakAlgorithm,
        Self::KeyExpired,
        Self::PolicyName,
        Self::NoRepository,
        Self::BadKey,
        Self::Conflict,
        Self::Blocked,
        Self::TooLarge,
        Self::Unsupported,
    ];

    /// The code in receipts, quarantine records and metrics.
    pub fn code(self) -> &'static str {
        match self {
            Self::Empty => "E_EMPTY",
            Self::Truncated => "E_TRUNCATED",
            Self::NotRpm => "E_NOT_RPM",
            Self::HeaderLimit => "E_HEADER_LIMIT",
            Self::HeaderInvalid => "E_HEADER_INVALID",
            Self::DigestMismatch => "E_DIGEST_MISMATCH",
            Self::Unsigned => "E_UNSIGNED",
            Self::UnknownKey => "E_UNKNOWN_KEY",
            Self::BadSignature => "E_BAD_SIGNATURE",
            Self::WeakAlgorithm => "E_WEAK_ALGORITHM",
            Self::KeyExpired => "E_KEY_EXPIRED",
            Self::PolicyName => "E_POLICY_NAME",
            Self::NoRepository => "E_NO_REPOSITORY",
            Self::BadKey => "E_BAD_KEY",
            Self::Conflict => "E_CONFLICT",
            Self::Blocked => "E_BLOCKED",
            Self::TooLarge => "E_TOO_LARGE",
            Self::Unsupported => "E_UNSUPPORTED",
        }
    }

    /// What the uploader can do about it.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Empty | Self::Truncated => "upload the whole file again",
            Self::NotRpm => "upload a file built by rpmbuild, named *.rpm",
            Self::HeaderLimit => "split the package: its header or its metadata is too long",
            Self::HeaderInvalid => "rebuild the package: rpm itself would refuse it",
            Self::DigestMismatch => "upload the file again; if it fails again, rebuild it",
            Self::Unsigned => "sign the package (`rpmsign --addsign`) with a key of the keyring, and upload it again",
            Self::UnknownKey => {
                "sign it with a key that may sign for this folder, or have the key added to the keyring"
            }
            Self::BadSignature => "upload the file as it was signed, or sign it again (`rpmsign --resign`)",
            Self::WeakAlgorithm => {
                "sign it again with SHA-256 or better and a key that is RSA of 2048 bits or more, ECDSA or Ed25519"
            }
            Self::KeyExpired => {
                "sign it again with a key that is valid; if this one was prolonged, renew it in the keyring"
            }
            Self::PolicyName => {
                "rebuild it with a name, version, release and architecture that rpmbuild accepts and the folder's rule allows"
            }
            Self::NoRepository => "upload into a folder that is a repository; see `repositories` in the configuration",
            Self::BadKey => "upload under an ordinary path: inbox/<folders>/<name>.rpm",
            Self::Conflict => "give the package a new release: published bytes never change under a name",
            Self::Blocked => {
                "ask who blocked it; `yrm package unblock` lets it in, and `yrm quarantine release` gives it back to the inbox"
            }
            Self::TooLarge => "raise `max-package-size`, or ship a smaller package",
            Self::Unsupported => "upload a whole package in the RPM v4 format",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A file to reject, and why.
#[derive(Debug, Clone)]
pub struct Rejection {
    /// The file.
    pub dropped: Dropped,
    /// The reason code.
    pub reason: Reason,
    /// What is wrong with this file.
    pub message: String,
    /// Its SHA-256 when it was computed on the way.
    pub sha256: Option<Sha256>,
}

/// A valid package, ready to be planned for.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The file.
    pub dropped: Dropped,
    /// The repository it belongs to.
    pub repository: RepositoryDir,
    /// Its path in that repository.
    pub href: String,
    /// What it is called.
    pub nevra: Nevra,
    /// BUILDTIME.
    pub build_time: u64,
    /// MODULARITYLABEL, empty where it has none.
    pub module: String,
    /// SHA-256 of the file that is published; `None` until the store or a read has told it.
    pub pkgid: Option<Sha256>,
    /// Its metadata, complete but for the pkgid (zeros until it is known).
    pub fragments: Fragments,
    /// What is said of its signatures.
    pub signing: Signing,
    /// What it gets before it is published, where it is signed here.
    pub signed: Option<Signed>,
    /// The path of a published package that is this one but for its signatures, once that was looked up.
    pub same_as: Option<String>,
    /// How it stands to packages of its full name in folders with other rules, once that was looked up.
    pub standings: Vec<Standing>,
}

/// What is said of a package that may be published.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signing {
    /// The primary key that signed it.
    pub signed_by: Option<String>,
    /// What is wrong with it nevertheless.
    pub remarks: Vec<Remark>,
}

/// How a candidate stands to a published package of the same full name and other bytes, for whose folder
/// another rule holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The published package's path.
    pub href: String,
    /// The candidate would be let into that package's folder: it may take its place.
    pub may_touch: bool,
    /// And that package would not be let into the candidate's: it is not in the candidate's way.
    pub outranks: bool,
}

/// A file with our signature: a new start, and everything from its main header on as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Lead and signature header.
    pub start: Bytes,
    /// Where the main header begins in the file as it was uploaded.
    pub from: u64,
    /// Length of the signed file.
    pub size_bytes: u64,
    /// The primary key that signed it.
    pub by: String,
    /// SHA-256 of the file as it was uploaded.
    pub uploaded: Sha256,
    /// SHA-256 of its main header, which stands for its payload too.
    pub main_header: Sha256,
}

impl Candidate {
    /// Length of the file that is published.
    pub fn size_bytes(&self) -> u64 {
        self.signed.as_ref().map_or(self.dropped.object.size_bytes, |signed| signed.size_bytes)
    }

    /// SHA-256 of the file as it was uploaded, if it is known.
    pub fn uploaded_sha256(&self) -> Option<Sha256> {
        self.signed.as_ref().map_or(self.pkgid, |signed| Some(signed.uploaded))
    }

    /// The paths that these bytes alone can have, the first of them first: where they go when their
    /// path is taken. Known once the pkgid is.
    pub fn own_hrefs(&self) -> impl Iterator<Item = String> {
        self.pkgid.into_iter().flat_map(|pkgid| self.own_hrefs_of(pkgid))
    }

    /// The same with the pkgid given.
    pub fn own_hrefs_of(&self, pkgid: Sha256) -> impl Iterator<Item = String> {
        let dir = self.repository.as_str();
        let came_as = self.dropped.path.strip_prefix(dir).unwrap_or(&self.href).trim_start_matches('/');
        let split = came_as.len().checked_sub(RPM_SUFFIX.len()).and_then(|stem| came_as.split_at_checked(stem));
        split.into_iter().flat_map(move |(stem, suffix)| {
            (0..OWN_PATHS).map(move |number| {
                let digest = if number == 0 { pkgid } else { Sha256::of(format!("{pkgid} {number}").as_bytes()) };
                format!("{stem}.{}{suffix}", &digest.to_string()[..OWN_DIGITS])
            })
        })
    }
}

/// Digits of the pkgid in a path of one's own.
const OWN_DIGITS: usize = 16;
/// Paths of its own that a package has: those before may be about to be swept.
const OWN_PATHS: u8 = 16;
/// Every package's path ends in it, in some case.
const RPM_SUFFIX: &str = ".rpm";

/// What is thought of one inbox object.
#[derive(Debug)]
pub enum Verdict {
    /// Publish it.
    Accept(Box<Candidate>),
    /// Set it aside.
    Reject(Rejection),
    /// Leave it where it is for now.
    Wait { dropped: Dropped, why: String },
    /// All of it has to be read, which takes long; said only where that may be put off.
    Long(Dropped),
    /// Leave it where it is: it may not be taken out, and so would come back after its removal.
    Held { dropped: Dropped, why: String },
    /// It is no longer in the inbox.
    Gone,
}
