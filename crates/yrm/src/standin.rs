//! Stands in for `store::open` and `store::probe`, which are being written: delete this file and
//! its line in lib.rs, then `sed -i 's/crate::standin::/crate::/'` over src/cli.

/// `store::…`
pub mod store {
    use std::sync::Arc;

    use crate::config::{BucketUrl, Config};
    use crate::error::Result;
    use crate::store::Store;
    use crate::store::local::DirectoryStore;
    use crate::store::s3::S3Store;

    /// Opens the bucket.
    pub async fn open(config: &Config) -> Result<Arc<dyn Store>> {
        Ok(match &config.bucket {
            BucketUrl::Directory(root) => Arc::new(DirectoryStore::open(root)?),
            BucketUrl::S3 { name, prefix } => Arc::new(S3Store::connect(name, prefix, &config.s3).await?),
        })
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
            store.list(".yrm/probe/", None).await?;
            Ok(ProbeReport { rows: vec![], abilities: store.abilities() })
        }
    }
}
