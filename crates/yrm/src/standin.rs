//! Stands in for what other people write at the same time: delete this file, its line in lib.rs,
//! and `standin::` in every path (`sed -i 's/crate::standin::/crate::/'`).
#![expect(clippy::unused_async, reason = "the real ones wait")]

/// `publish::…`
pub mod publish {
    use std::sync::Arc;

    use jiff::Timestamp;
    use ulid::Ulid;

    use crate::config::Policy;
    use crate::error::{Error, ErrorKind, Result};
    use crate::publish::report::Report;
    use crate::store::Store;

    /// A run's id and start.
    #[derive(Debug, Clone, Copy)]
    pub struct RunId {
        /// Id.
        pub id: Ulid,
        /// Start.
        pub started: Timestamp,
    }

    /// Hears how far a run is.
    pub trait Progress: Send + Sync {
        /// `done` of `total` of a step.
        fn step(&self, doing: &str, done: u64, total: u64);
    }

    /// Runs passes.
    #[derive(Debug)]
    pub struct Publisher;

    impl Publisher {
        /// For this store.
        pub fn new(_store: Arc<dyn Store>, _policy: Policy) -> Self {
            Self
        }

        /// One pass.
        pub async fn run(&self, _run: RunId, progress: &dyn Progress) -> Result<Report> {
            progress.step("standing in", 0, 0);
            Err(Error::new(ErrorKind::Internal, "publishing with the stand-in"))
        }
    }

    /// `publish::history`
    pub mod history {
        use super::{Report, Result, Store};

        /// The last `limit` runs that did work.
        pub async fn load(_store: &dyn Store, _limit: usize) -> Result<Vec<Report>> {
            Ok(vec![])
        }
    }

    /// `publish::receipt`
    pub mod receipt {
        use crate::config::Folders;
        use crate::store::ETag;
        use crate::store::key::Key;

        /// Where the answer to the object `path` (below the inbox) with this ETag is put.
        pub fn key_of(path: &str, etag: &ETag) -> String {
            let digest = rpmmd::checksum::Sha256::of(format!("{path}\n{etag}").as_bytes());
            Key::Receipt { digest }.path(&Folders::default())
        }
    }
}

/// `check::…`
pub mod check {
    use crate::config::Policy;
    use crate::error::Result;
    use crate::store::Store;

    /// How much is read.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Depth {
        /// Names and sizes.
        Shallow,
        /// Every byte.
        Deep,
    }

    /// What was found.
    #[derive(Debug, Default, serde::Serialize)]
    pub struct Findings {
        /// Repositories looked at.
        pub repositories: u64,
        /// Packages looked at.
        pub packages: u64,
        /// What is wrong, one line each.
        pub problems: Vec<String>,
    }

    /// Does the bucket mean what its metadata says?
    pub async fn check(_store: &dyn Store, _policy: &Policy, _depth: Depth) -> Result<Findings> {
        Ok(Findings::default())
    }
}

/// `store::…`
pub mod store {
    use std::sync::Arc;

    use crate::config::Config;
    use crate::error::{Error, ErrorKind, Result};
    use crate::store::Store;

    /// Opens the bucket.
    pub async fn open(config: &Config) -> Result<Arc<dyn Store>> {
        Err(Error::new(ErrorKind::Internal, format!("opening {} with the stand-in", config.bucket)))
    }

    /// `store::probe`
    pub mod probe {
        use super::{Result, Store};

        /// One row of the probe.
        #[derive(Debug, serde::Serialize)]
        pub struct Row {
            /// The ability.
            pub name: &'static str,
            /// Whether the store has it.
            pub ok: bool,
            /// What was seen.
            pub seen: String,
        }

        /// What a store was seen to do.
        #[derive(Debug, serde::Serialize)]
        pub struct ProbeReport {
            /// The rows.
            pub rows: Vec<Row>,
        }

        /// Tries the store's abilities.
        pub async fn probe(_store: &dyn Store) -> Result<ProbeReport> {
            Ok(ProbeReport { rows: vec![] })
        }
    }
}
