//! Stands in for `store::open` and `store::probe`, which are being written. To remove: delete this
//! file and its line in cli/mod.rs, and write `crate::` for `super::standin::` (serve.rs, doctor.rs)
//! and for `standin::` (mod.rs).

/// `store::…`
pub(super) mod store {
    use std::sync::Arc;

    use crate::config::{BucketUrl, Config};
    use crate::error::Result;
    use crate::store::Store;
    use crate::store::local::DirectoryStore;
    use crate::store::s3::S3Store;

    /// Opens the bucket.
    pub(in crate::cli) async fn open(config: &Config) -> Result<Arc<dyn Store>> {
        Ok(match &config.bucket {
            BucketUrl::Directory(root) => Arc::new(DirectoryStore::open(root)?),
            BucketUrl::S3 { name, prefix } => Arc::new(S3Store::connect(name, prefix, &config.s3).await?),
        })
    }

    /// `store::probe`
    pub(in crate::cli) mod probe {
        use super::{Result, Store};
        use crate::store::Abilities;

        /// One row of the probe.
        #[derive(Debug, serde::Serialize)]
        pub(in crate::cli) struct Row {
            /// The ability.
            pub(in crate::cli) name: &'static str,
            /// Whether the store has it.
            pub(in crate::cli) ok: bool,
            /// What was seen.
            pub(in crate::cli) seen: String,
        }

        /// What a store was seen to do.
        #[derive(Debug, serde::Serialize)]
        pub(in crate::cli) struct ProbeReport {
            /// The rows.
            pub(in crate::cli) rows: Vec<Row>,
            /// In short.
            pub(in crate::cli) abilities: Abilities,
        }

        /// Tries the store's abilities.
        pub(in crate::cli) async fn probe(store: &dyn Store) -> Result<ProbeReport> {
            store.list(".yrm/probe/", None).await?;
            Ok(ProbeReport { rows: vec![], abilities: store.abilities() })
        }
    }
}
