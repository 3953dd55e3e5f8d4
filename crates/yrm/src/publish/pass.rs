//! What the steps of a run are given: which run it is, who watches, which repository, and what is wanted there.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use ulid::Ulid;

use super::expected::Expected;
use super::memory::Memory;
use super::operations::errand::Errand;
use crate::bucket::Bucket;
use crate::store::key::RepositoryDir;

/// A writer that has been at it for longer than this looks again before it switches: the sweep
/// must never be able to reach what it put in place.
pub(crate) const STALE_AFTER: Duration = Duration::from_mins(30);

/// Which run this is and when it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunId {
    /// Unique, sortable by time.
    pub id: Ulid,
    /// By the local clock; nothing is pruned or cleaned up by it alone.
    pub started: Timestamp,
}

/// A step of the line, for those who watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Reading headers.
    Inspect,
    /// Putting packages in place.
    Admit,
    /// Rendering and uploading metadata.
    Upload,
    /// Answering, and emptying the inbox.
    Tidy,
}

/// Somebody who watches a run.
pub trait Progress: Send + Sync + fmt::Debug {
    /// `done` of `total` packages have passed `step`.
    fn step(&self, step: Step, done: usize, total: usize);
}

/// Nobody watches.
#[derive(Debug, Clone, Copy)]
pub struct Unwatched;

impl Progress for Unwatched {
    fn step(&self, _step: Step, _done: usize, _total: usize) {}
}

/// What the steps of one run share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pass<'a> {
    pub(crate) run: RunId,
    pub(crate) progress: &'a dyn Progress,
    /// When the inbox was listed.
    pub(crate) listed: Instant,
    /// What was seen beforehand, if the run is held to that.
    pub(crate) expected: Option<&'a Expected>,
}

/// One commit's work.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work<'a> {
    pub(crate) bucket: &'a Bucket,
    pub(crate) memory: &'a Memory,
    pub(crate) repository: &'a RepositoryDir,
    pub(crate) errand: &'a Errand,
    pub(crate) pass: Pass<'a>,
}
