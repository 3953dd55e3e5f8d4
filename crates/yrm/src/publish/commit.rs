//! Upload, then the switch: the only moment the truth changes. Everything a generation names is
//! in the store before repomd.xml names it.

use std::collections::BTreeMap;

use ulid::Ulid;

use super::bucket::Bucket;
use super::observe::State;
use super::render::Generation;
use crate::error::Result;
use crate::store::key::{Key, RepositoryDir};
use crate::store::settle::{self, Settled};
use crate::store::{ETag, PutIf};

/// How a switch ended; an error means that nobody knows and nothing may be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Switch {
    /// The generation is the truth, under this ETag.
    Won(ETag),
    /// Somebody else's generation is: start again from it.
    Lost,
}

/// Uploads everything the generation names, its catalog, and the copy of the generation it
/// replaces.
pub async fn upload(bucket: &Bucket, state: &State, generation: &Generation) -> Result<()> {
    let repository = &state.repository;
    let files = generation.catalog.files.iter().flatten().zip(&generation.files).map(|(layout, file)| {
        let key = Key::Metadata { repository, href: &layout.href };
        (bucket.path(key), key.attributes(), file.bytes.clone())
    });
    let catalog = Key::Catalog { repository, repomd: generation.repomd_sha256() };
    let mut puts: Vec<_> = files.collect();
    puts.push((bucket.path(catalog), catalog.attributes(), generation.catalog_bytes.clone()));
    let puts = futures::future::try_join_all(
        puts.iter().map(|(key, attributes, bytes)| settle::put_fixed(bucket.store.as_ref(), key, bytes, attributes)),
    );
    futures::future::try_join(puts, keep_copy_of_current(bucket, state)).await?;
    Ok(())
}

/// Makes the generation the truth, if the truth is still what `state` read.
pub async fn switch(bucket: &Bucket, state: &State, generation: &Generation, commit: Ulid) -> Result<Switch> {
    let key = Key::Repomd { repository: &state.repository };
    let mut attributes = key.attributes();
    attributes.user = BTreeMap::from([("commit-id".to_owned(), commit.to_string())]);
    let condition = match state.current.as_ref().and_then(|current| current.etag.clone()) {
        Some(etag) => PutIf::Matches(etag),
        None => PutIf::Absent,
    };
    let bytes = &generation.repomd_bytes;
    let settled = settle::put_settled(bucket.store.as_ref(), &bucket.path(key), bytes, &attributes, &condition).await?;
    Ok(match settled {
        Settled::Won(stored) => Switch::Won(stored.etag),
        Settled::Lost => Switch::Lost,
    })
}

/// The copy of the generation that was found, if it may not have one yet.
pub async fn keep_copy_of_current(bucket: &Bucket, state: &State) -> Result<()> {
    let Some(current) = state.current.as_ref().filter(|current| !current.copied) else { return Ok(()) };
    let copy = Key::Generation { repository: &state.repository, revision: state.catalog.revision };
    let (key, attributes) = (bucket.path(copy), copy.attributes());
    settle::put_fixed(bucket.store.as_ref(), &key, &current.bytes, &attributes).await.map(drop)
}

/// The generation's own copy, for rollback, for diff, and for the sweep to know when the one
/// before it was superseded. A crash before this is mended by the next commit's upload.
pub async fn keep_copy(bucket: &Bucket, repository: &RepositoryDir, generation: &Generation) -> Result<()> {
    let copy = Key::Generation { repository, revision: generation.catalog.revision };
    let bytes = &generation.repomd_bytes;
    settle::put_fixed(bucket.store.as_ref(), &bucket.path(copy), bytes, &copy.attributes()).await.map(drop)
}
