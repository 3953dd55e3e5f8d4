//! Stands in for what other people write at the same time, with their names and types: delete this
//! file and its line in lib.rs, then `sed -i 's/crate::standin::/crate::/'` over src/.
#![expect(clippy::unused_async, reason = "the real ones wait")]

/// `publish::…`
pub mod publish {
    use std::fmt;
    use std::sync::Arc;

    use jiff::Timestamp;
    use ulid::Ulid;

    use self::bucket::Bucket;
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

    /// A step of the line.
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

    /// Hears how far a run is.
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

    /// Runs passes.
    #[derive(Debug)]
    pub struct Publisher(Bucket);

    impl Publisher {
        /// For this store.
        pub fn new(store: Arc<dyn Store>, policy: Policy) -> Result<Self> {
            Ok(Self(Bucket::new(store, policy)?))
        }

        /// Its bucket.
        pub fn bucket(&self) -> &Bucket {
            &self.0
        }

        /// One pass.
        pub async fn run(&self, _run: RunId, progress: &dyn Progress) -> Result<Report> {
            progress.step(Step::Inspect, 0, 0);
            Err(Error::new(ErrorKind::Internal, "publishing with the stand-in"))
        }
    }

    /// `publish::bucket`
    pub mod bucket {
        use super::{Arc, Policy, Result, Store};
        use crate::store::key::Key;

        /// A store and its rules.
        #[derive(Debug, Clone)]
        pub struct Bucket {
            /// Objects.
            pub store: Arc<dyn Store>,
            /// Rules.
            pub policy: Arc<Policy>,
        }

        impl Bucket {
            /// A bucket.
            pub fn new(store: Arc<dyn Store>, policy: Policy) -> Result<Self> {
                Ok(Self { store, policy: Arc::new(policy) })
            }

            /// The key as the store knows it.
            pub fn path(&self, key: Key<'_>) -> String {
                key.path(&self.policy.folders)
            }
        }
    }

    /// `publish::history`
    pub mod history {
        use super::{Bucket, Report, Result};

        /// The newest runs that did work, newest first.
        pub async fn load(_bucket: &Bucket, _limit: usize) -> Result<Vec<Report>> {
            Ok(vec![])
        }
    }

    /// `publish::inbox`
    pub mod inbox {
        use super::{Result, Store};
        use crate::config::Folders;
        use crate::store::Object;

        /// One object in the inbox.
        #[derive(Debug)]
        pub struct Dropped {
            /// Below the inbox.
            pub path: String,
            /// As listed.
            pub object: Object,
        }

        /// Everything in the inbox that is work.
        pub async fn list(_store: &dyn Store, _folders: &Folders) -> Result<Vec<Dropped>> {
            Ok(vec![])
        }
    }

    /// `publish::sweep`
    pub mod sweep {
        use super::{Bucket, Result};
        use crate::store::key::RepositoryDir;

        /// The repositories that this program has published.
        pub async fn repositories(_bucket: &Bucket) -> Result<Vec<RepositoryDir>> {
            Ok(vec![])
        }
    }

    /// `publish::catalog`
    pub mod catalog {
        /// What a generation holds.
        pub struct Catalog {
            /// Its number.
            pub revision: u64,
            /// Its packages.
            pub entries: Vec<()>,
        }
    }

    /// `publish::observe`
    pub mod observe {
        use super::catalog::Catalog;
        use super::{Bucket, Result};
        use crate::store::key::RepositoryDir;

        /// The catalog stored for exactly these repomd.xml bytes.
        pub async fn load_catalog(
            _bucket: &Bucket,
            _repository: &RepositoryDir,
            _repomd: &[u8],
        ) -> Result<Option<Catalog>> {
            Ok(None)
        }
    }

    /// `publish::receipt`
    pub mod receipt {
        use serde::{Deserialize, Serialize};

        use super::{Bucket, Result};
        use crate::publish::report::{Published, Rejected};
        use crate::store::ETag;

        /// What became of one inbox object.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        pub enum Receipt {
            /// Clients can install it.
            Published(Published),
            /// It is in quarantine.
            Rejected(Rejected),
        }

        /// The answer, if there is one yet.
        pub async fn read(_bucket: &Bucket, _path: &str, _etag: &ETag) -> Result<Option<Receipt>> {
            Ok(None)
        }
    }
}

/// `check::…`
pub mod check {
    use super::publish::bucket::Bucket;
    use crate::error::Result;

    /// How far to look.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Depth {
        /// Names and sizes.
        Shallow,
        /// Every byte.
        Deep,
    }

    /// What was found.
    #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
    pub struct Findings {
        /// One entry each.
        pub repositories: Vec<RepositoryFindings>,
    }

    /// What was found in one repository.
    #[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
    pub struct RepositoryFindings {
        /// Its folder under `repo/`.
        pub repository: String,
        /// `<revision>`.
        pub revision: String,
        /// Packages its metadata names.
        pub packages: usize,
        /// Packages whose bytes were hashed.
        pub hashed: usize,
        /// What a client could trip over.
        pub problems: Vec<String>,
        /// What is worth knowing and does no harm.
        pub notes: Vec<String>,
    }

    impl Findings {
        /// Whether no repository has a problem.
        pub fn clean(&self) -> bool {
            self.repositories.iter().all(|repository| repository.problems.is_empty())
        }
    }

    /// Does the bucket mean what its metadata says?
    pub async fn check(_bucket: &Bucket, _depth: Depth) -> Result<Findings> {
        Ok(Findings { repositories: vec![] })
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
        use crate::store::Abilities;

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
            /// In short.
            pub abilities: Abilities,
        }

        /// Tries the store's abilities.
        pub async fn probe(store: &dyn Store) -> Result<ProbeReport> {
            Ok(ProbeReport { rows: vec![], abilities: store.abilities() })
        }
    }
}
