//! Hostile packages: a name, the bytes, and what has to become of them.
//!
//! Signed packages are in `signatures::corpus`.

mod damage;
mod files;
mod headers;
mod packages;

use forge::Rpm;

/// What has to become of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    /// It is published.
    Accepted,
    /// It is set aside with this code.
    Rejected(&'static str),
    /// It is set aside with this code where its payload is read, and published where the store
    /// hashes it.
    RejectedWhereRead(&'static str),
    /// It is no work: not even a record is written.
    Ignored,
}

use Expected::{Accepted, Ignored, Rejected, RejectedWhereRead};

/// A file's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) bytes: Vec<u8>,
    /// So many zeros follow.
    pub(super) zeros: u64,
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, zeros: 0 }
    }
}

impl From<Rpm> for Content {
    fn from(rpm: Rpm) -> Self {
        rpm.build().into()
    }
}

/// One entry of the corpus.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// Its name, which is its file's name and, where it is one, its package's.
    pub(super) name: &'static str,
    pub(super) expected: Expected,
    /// Some are large: made when they are needed.
    pub(super) make: fn(&str) -> Content,
}

impl Entry {
    pub(super) fn content(&self) -> Content {
        (self.make)(self.name)
    }

    /// Its path in the inbox.
    pub(super) fn path(&self) -> String {
        format!("corpus/{}.rpm", self.name)
    }
}

/// Larger packages are over the limit that the corpus is published with.
pub(super) const MAX_PACKAGE_BYTES: u64 = 40 << 20;

/// The whole corpus, in no order that matters but for the last two.
pub(super) fn all() -> Vec<Entry> {
    [files::ENTRIES, headers::ENTRIES, packages::ENTRIES].concat()
}

/// A sound package without anything special.
fn sound(name: &str) -> Rpm {
    Rpm::new(name, "1.0", "1", "noarch").summary("Sound").file("/usr/share/sound").changelog(5, "me", "text")
}
