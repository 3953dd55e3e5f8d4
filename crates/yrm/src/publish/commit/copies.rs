//! Copies of generations: for rollback, and for the sweep to know when one was superseded.

use super::render::Generation;
use crate::bucket::Bucket;
use crate::bucket::signature::Signature;
use crate::bucket::state::State;
use crate::error::Result;
use crate::store::key::{Key, RepositoryDir};
use crate::store::settle;

/// The copy of the generation that was found, if it may not have one yet.
pub async fn keep_copy_of_current(bucket: &Bucket, state: &State) -> Result<()> {
    let Some(current) = state.current.as_ref().filter(|current| !current.copied) else { return Ok(()) };
    let copy = Key::Generation { repository: &state.repository, revision: state.catalog.revision };
    let (key, attributes) = (bucket.path(copy), copy.attributes());
    settle::put_fixed(bucket.store.as_ref(), &key, &current.bytes, &attributes).await?;
    let signature = state.signature.as_ref().filter(|_| bucket.signer.is_some());
    keep_copy_of_signature(bucket, &state.repository, state.catalog.revision, signature).await
}

/// The generation's own copy, for rollback, for diff, and for the sweep to know when the one
/// before it was superseded. A crash before this is mended by the next commit's upload.
pub async fn keep_copy(
    bucket: &Bucket,
    repository: &RepositoryDir,
    generation: &Generation,
    signature: Option<&Signature>,
) -> Result<()> {
    let revision = generation.catalog.revision;
    let copy = Key::Generation { repository, revision };
    let bytes = &generation.repomd_bytes;
    settle::put_fixed(bucket.store.as_ref(), &bucket.path(copy), bytes, &copy.attributes()).await?;
    keep_copy_of_signature(bucket, repository, revision, signature).await
}

/// The signature's copy, beside the generation's.
async fn keep_copy_of_signature(
    bucket: &Bucket,
    repository: &RepositoryDir,
    revision: u64,
    signature: Option<&Signature>,
) -> Result<()> {
    let Some(Signature { bytes, .. }) = signature else { return Ok(()) };
    let copy = Key::GenerationSignature { repository, revision };
    settle::put_fixed(bucket.store.as_ref(), &bucket.path(copy), bytes, &copy.attributes()).await.map(drop)
}
