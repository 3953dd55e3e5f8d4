//! Why bytes are not taken for a package's headers: what, and where.

use std::fmt;

use crate::tag::Tag;

/// A part of the file's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// The first 96 bytes.
    Lead,
    /// The signature header.
    Signature,
    /// The main header.
    Main,
}

impl Section {
    pub(super) fn error(self, fault: Fault) -> HeaderError {
        HeaderError { section: self, fault }
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lead => "lead",
            Self::Signature => "signature header",
            Self::Main => "main header",
        })
    }
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The file does not start as RPM files do.
    NotRpm,
    /// The lead is of a version that librpm does not read.
    UnsupportedVersion {
        /// Major version.
        major: u8,
    },
    /// The lead announces signatures as rpm 2 wrote them.
    UnsupportedSignatureType,
    /// There is no header where one should start.
    BadMagic,
    /// The header is empty.
    NoTags,
    /// More tags than librpm takes.
    TooManyTags {
        /// Tags claimed.
        count: u32,
        /// Tags allowed.
        limit: u32,
    },
    /// More data than librpm takes.
    TooMuchData {
        /// Bytes claimed.
        bytes: u32,
        /// Bytes allowed.
        limit: u32,
    },
    /// The file's start up to the header's end is longer than is read.
    TooLong {
        /// Bytes claimed.
        bytes: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// A list is too long.
    TooManyValues {
        /// Number of the tag.
        tag: u32,
        /// Values claimed.
        count: u32,
        /// Values allowed.
        limit: u32,
    },
    /// The region over the entries is broken.
    BadRegion(&'static str),
    /// An index entry cannot be.
    BadEntry {
        /// Number of the tag.
        tag: u32,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A digest that rpm wants is not there, or cannot be one.
    NoDigest(&'static str),
    /// The main header is not the one the signature header has a digest of.
    DigestMismatch {
        /// The digest's tag.
        tag: Tag,
    },
}

/// Faults by what they mean for the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Something else than an RPM.
    NotRpm,
    /// An RPM of a kind that is not read.
    Unsupported,
    /// Beyond librpm's limits, or ours.
    Limit,
    /// Damaged, or made to harm.
    Invalid,
    /// Not the bytes that were built.
    Digest,
}

/// What is wrong with the start of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderError {
    /// Where.
    pub section: Section,
    /// What.
    pub fault: Fault,
}

impl HeaderError {
    /// What it means for the file.
    pub fn reason(&self) -> Reason {
        match self.fault {
            Fault::NotRpm => Reason::NotRpm,
            Fault::UnsupportedVersion { .. } | Fault::UnsupportedSignatureType => Reason::Unsupported,
            Fault::TooManyTags { .. }
            | Fault::TooMuchData { .. }
            | Fault::TooLong { .. }
            | Fault::TooManyValues { .. } => Reason::Limit,
            Fault::BadMagic | Fault::NoTags | Fault::BadRegion(_) | Fault::BadEntry { .. } | Fault::NoDigest(_) => {
                Reason::Invalid
            }
            Fault::DigestMismatch { .. } => Reason::Digest,
        }
    }
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let section = self.section;
        match &self.fault {
            Fault::NotRpm => write!(f, "not an RPM file: it does not begin with ed ab ee db"),
            Fault::UnsupportedVersion { major } => write!(f, "RPM format version {major} is not supported"),
            Fault::UnsupportedSignatureType => write!(f, "signatures as before rpm 3 are not supported"),
            Fault::BadMagic => write!(f, "no {section} where it should start"),
            Fault::NoTags => write!(f, "the {section} is empty"),
            Fault::TooManyTags { count, limit } => {
                write!(f, "the {section} claims {count} tags, {limit} are allowed")
            }
            Fault::TooMuchData { bytes, limit } => {
                write!(f, "the {section} claims {bytes} bytes of data, {limit} are allowed")
            }
            Fault::TooLong { bytes, limit } => {
                write!(f, "the {section} ends {bytes} bytes into the file, {limit} are allowed")
            }
            Fault::TooManyValues { tag, count, limit } => {
                write!(f, "tag {tag} of the {section} claims {count} values, {limit} are allowed")
            }
            Fault::BadRegion(problem) => write!(f, "the region of the {section} is damaged: {problem}"),
            Fault::BadEntry { tag, problem } => write!(f, "tag {tag} of the {section} is damaged: {problem}"),
            Fault::NoDigest(problem) => write!(f, "the {section} has {problem}, and rpm does not install it"),
            Fault::DigestMismatch { tag } => write!(f, "the {section} does not match its {tag} digest"),
        }
    }
}

impl std::error::Error for HeaderError {}
