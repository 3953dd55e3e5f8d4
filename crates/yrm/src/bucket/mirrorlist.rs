//! A repository's list of mirrors, and what lies where in the folder that it names.

use super::Bucket;
use crate::error::Result;
use crate::store::Read;
use crate::store::key::{Key, RepositoryDir};

/// Where repomd.xml lies in the folder.
pub(crate) const REPOMD: &str = "repodata/repomd.xml";
/// Where its signature lies.
pub(crate) const SIGNATURE: &str = "repodata/repomd.xml.asc";

/// A list over this size is none of ours.
const MAX_LIST_BYTES: u64 = 1 << 16;

/// Reads a repository's list of mirrors.
pub(crate) async fn read(bucket: &Bucket, repository: &RepositoryDir) -> Result<Option<Read>> {
    bucket.store.get(&bucket.path(Key::Mirrorlist { repository }), Some(0..MAX_LIST_BYTES)).await
}
