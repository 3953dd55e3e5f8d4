//! What becomes of versions: of old ones, and of one whose place is taken.

use std::time::Duration;

/// A version leaves when it is not among the newest N of its name and architecture *and* was
/// first published longer ago than `older_than`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Newest EVRs to keep per name and architecture, at least 1.
    pub keep_at_least: usize,
    /// Age since first published.
    pub older_than: Duration,
}

/// What becomes of a package whose path or name other bytes have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConflict {
    /// It goes to quarantine.
    Reject,
    /// It is published under a path of its own, and the other leaves.
    Replace,
}

impl OnConflict {
    /// As it is spelt.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reject => "reject",
            Self::Replace => "replace",
        }
    }
}

/// Which old versions leave some folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pruning {
    /// None.
    Never,
    /// Those that this says.
    By(Retention),
}
