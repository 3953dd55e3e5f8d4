//! The signature beside a repository's repomd.xml.

use bytes::Bytes;

use super::Bucket;
use crate::error::Result;
use crate::store::ETag;
use crate::store::key::{Key, RepositoryDir};

/// The signature beside a repomd.xml, as it was seen or put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The state of its bytes.
    pub etag: ETag,
    /// The armored text.
    pub bytes: Bytes,
}

/// Reads the signature of a repository.
pub async fn read(bucket: &Bucket, repository: &RepositoryDir) -> Result<Option<Signature>> {
    let read = bucket.store.get(&bucket.path(Key::Signature { repository }), None).await?;
    Ok(read.map(|read| Signature { etag: read.object.etag, bytes: read.bytes }))
}
