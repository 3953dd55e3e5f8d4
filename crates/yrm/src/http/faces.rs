//! What requests are answered from.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use crate::board::Board;
use crate::config::Folders;
use crate::metrics::Recorder;

/// A directory bucket's repository folder.
#[derive(Debug, Clone)]
pub struct RepoFiles {
    /// The bucket's directory.
    pub bucket: PathBuf,
    /// Its folders: that of the repositories is also the first part of the URL.
    pub folders: Folders,
}

/// What the faces show.
#[derive(Debug, Clone)]
pub struct Faces {
    /// Runs and schedule.
    pub board: Arc<Board>,
    /// What `/metrics` reads.
    pub recorder: Recorder,
    /// The repository's files, when the bucket is a directory.
    pub files: Option<RepoFiles>,
    /// Where this listens: for links when a request has no sound Host.
    pub listen: SocketAddr,
    /// The clock, so that tests can hold it.
    pub now: fn() -> Timestamp,
}
