//! Why a sound header does not describe a package.

use std::fmt;

use crate::tag::Tag;

/// Why a sound header does not describe a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PackageError {
    /// A tag that names the package is missing, empty, or of the wrong type.
    Missing(Tag),
    /// A number is too large for what it means.
    TooLarge {
        /// The tag.
        tag: Tag,
        /// Its number.
        value: u64,
    },
    /// The package would take more memory than one may.
    TooMuchMemory {
        /// Bytes it would take.
        bytes: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// Lists that belong together have different lengths.
    Uneven {
        /// The list that sets the length.
        tag: Tag,
        /// Its length.
        length: usize,
        /// The list that differs.
        other: Tag,
        /// Its length.
        other_length: usize,
    },
    /// A file is in a directory that is not there.
    NoSuchDirectory {
        /// The number in DIRINDEXES.
        index: u64,
        /// How many directories there are.
        directories: usize,
    },
}

impl fmt::Display for PackageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(tag) => write!(f, "the header has no {tag}"),
            Self::TooLarge { tag, value } => write!(f, "{tag} {value} is too large"),
            Self::TooMuchMemory { bytes, limit } => {
                write!(f, "describing the package takes {bytes} bytes of memory, {limit} are allowed")
            }
            Self::Uneven { tag, length, other, other_length } => {
                write!(f, "{tag} has {length} values but {other} has {other_length}")
            }
            Self::NoSuchDirectory { index, directories } => {
                write!(f, "a file is in directory {index} of {directories}")
            }
        }
    }
}

impl std::error::Error for PackageError {}
