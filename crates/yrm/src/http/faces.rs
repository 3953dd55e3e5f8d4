//! What requests are answered from.

use std::net::SocketAddr;
use std::sync::Arc;

use jiff::Timestamp;

use super::files::RepoFiles;
use super::gateway::{Gateway, Watching};
use super::tls::Certificates;
use crate::board::Board;
use crate::bucket::Bucket;
use crate::config::ApiAccess;
use crate::metrics::Recorder;

/// The bucket as it is looked at now: its settings change while the service runs.
#[derive(Clone)]
pub struct BucketNow(Arc<dyn Fn() -> Option<Bucket> + Send + Sync>);

impl BucketNow {
    /// By this.
    pub fn new(now: impl Fn() -> Option<Bucket> + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    pub(super) fn get(&self) -> Option<Bucket> {
        (self.0)()
    }
}

impl std::fmt::Debug for BucketNow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BucketNow")
    }
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
    /// The way in for clients of a private bucket, where there is one.
    pub gateway: Option<Arc<Gateway>>,
    /// The bucket, by its settings of this moment.
    pub bucket: BucketNow,
    /// Of all that is served below `repo/`.
    pub watching: Arc<Watching>,
    /// Who may look at the board and the figures.
    pub api_access: ApiAccess,
    /// HTTPS, where it is spoken.
    pub certificates: Option<Arc<Certificates>>,
    /// Where this listens: for links when a request has no sound Host.
    pub listen: SocketAddr,
    /// The clock, so that tests can hold it.
    pub now: fn() -> Timestamp,
}
