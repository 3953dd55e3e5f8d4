//! What kind of package a header describes: librpm decides it from three tags.

use super::files;
use crate::header::HeaderFile;
use crate::tag;

/// What kind of package it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// A source package.
    Source,
    /// A binary package that names its source package.
    Binary,
    /// An old binary package that does not.
    Unknown,
}

impl Origin {
    pub(super) fn of(headers: &HeaderFile<'_>) -> Self {
        let main = &headers.main;
        if main.only_integer(tag::SOURCEPACKAGE) == Some(1) {
            return Self::Source;
        }
        if main.has(tag::SOURCERPM) {
            return Self::Binary;
        }
        // librpm's guess for packages that say neither: the files of a source package have no
        // directory.
        let only_directory = files::only_directory(headers);
        if only_directory == Some(b"") { Self::Source } else { Self::Unknown }
    }
}
