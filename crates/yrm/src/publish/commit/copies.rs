//! Copies of generations: for rollback, and for the sweep to know when one was superseded.

use rpmmd::checksum::Sha256;

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
    let repository = &state.repository;
    let mut copy = Key::Generation { repository, revision: state.catalog.revision };
    // Another program counts as it likes, and a rollback to ours goes by its number.
    if state.adopted() && is_taken(bucket, copy, &current.bytes).await? {
        let repomd = Sha256::of(&current.bytes);
        copy = Key::ForeignGeneration { repository, revision: state.catalog.revision, repomd };
    }
    let (key, attributes) = (bucket.path(copy), copy.attributes());
    settle::put_fixed(bucket.store.as_ref(), &key, &current.bytes, &attributes).await?;
    let signature = state.signature.as_ref().filter(|_| bucket.signer.is_some());
    keep_copy_of_signature(bucket, &state.repository, state.catalog.revision, signature).await
}

/// Whether something else lies there.
async fn is_taken(bucket: &Bucket, copy: Key<'_>, bytes: &[u8]) -> Result<bool> {
    let there = bucket.store.get(&bucket.path(copy), None).await?;
    Ok(there.is_some_and(|there| there.bytes != bytes))
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
