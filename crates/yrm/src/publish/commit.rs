//! Upload, then the switch: the only moment the truth changes. Everything a generation names is
//! in the store before repomd.xml names it.

use std::collections::BTreeMap;

use bytes::Bytes;
use rpmmd::repodata::ReadRange as _;
use tokio::time::Instant;

use super::RunId;
use super::abilities::abilities;
use super::pair;
use super::render::{Generation, NewFile};
use crate::bucket::Bucket;
use crate::bucket::signature::Signature;
use crate::bucket::state::State;
use crate::error::Result;
use crate::store::key::{Key, RepositoryDir};
use crate::store::settle::{self, Put, Settled};
use crate::store::{ETag, PutIf, Reused, Stored};

/// A file up to this size is sent whole: joining it would take more calls than it saves bytes.
const WORTH_JOINING_BYTES: u64 = 16 << 20;

/// How a switch ended; an error means that nobody knows and nothing may be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Switch {
    /// The generation is the truth, under this ETag, and this signature was put before it.
    Won { etag: ETag, put: Option<Signature> },
    /// Somebody else's generation is: start again from it.
    Lost,
}

/// Uploads everything the generation names, its catalog, and the copy of the generation it
/// replaces.
pub async fn upload(bucket: &Bucket, state: &State, generation: &Generation) -> Result<()> {
    let repository = &state.repository;
    let able = abilities(bucket).await?;
    let files =
        generation.catalog.files.iter().flatten().zip(&generation.files).enumerate().map(|(at, (layout, file))| {
            let before = state.catalog.files.as_ref().filter(|_| able.range_copy).map(|files| files[at].href.as_str());
            upload_file(bucket, repository, &layout.href, file, before)
        });
    let catalog = Key::Catalog { repository, repomd: generation.repomd_sha256() };
    let (path, attributes) = (bucket.path(catalog), catalog.attributes());
    let put_catalog = settle::put_fixed(bucket.store.as_ref(), &path, &generation.catalog_bytes, &attributes);
    let mirror = generation.catalog.mirror.as_ref().zip(generation.mirror.as_ref()).map(|(layout, file)| {
        let before = state.catalog.mirror.as_ref().filter(|_| able.range_copy).map(|layout| layout.href.as_str());
        upload_file(bucket, repository, &layout.href, file, before)
    });
    let files = futures::future::try_join_all(files.chain(mirror));
    futures::future::try_join3(files, put_catalog, keep_copy_of_current(bucket, state)).await?;
    Ok(())
}

/// Uploads one metadata file, as little of it as the store needs.
async fn upload_file(
    bucket: &Bucket,
    repository: &RepositoryDir,
    href: &str,
    file: &NewFile,
    before: Option<&str>,
) -> Result<()> {
    let key = Key::Metadata { repository, href };
    let seen = match before.filter(|_| !file.reused.is_empty() && file.body.length_bytes() > WORTH_JOINING_BYTES) {
        Some(href) => bucket.store.head(&bucket.path(Key::Metadata { repository, href })).await?,
        None => None,
    };
    let reused: Vec<Reused<'_>> = seen
        .iter()
        .flat_map(|object| {
            file.reused.iter().map(move |(at, from)| Reused { at: at.clone(), object, from: from.start })
        })
        .collect();
    settle::assemble_fixed(bucket.store.as_ref(), &bucket.path(key), &file.body, &reused, &key.attributes()).await?;
    Ok(())
}

/// A generation, and in signed mode the signature of its repomd.xml.
#[derive(Debug)]
pub struct Ready<'a> {
    /// What is to be the truth.
    pub generation: &'a Generation,
    /// What goes before it.
    pub signature: Option<Bytes>,
}

/// Makes the generation the truth, if the truth is still what `state` read: its signature first, both
/// ready beforehand, and repomd.xml at once after it. Nothing is tried after `until`: the sweep may then
/// be about to take what the generation names. Late is lost.
pub async fn switch(
    bucket: &Bucket,
    state: &State,
    Ready { generation, signature }: Ready<'_>,
    run: RunId,
    until: Instant,
) -> Result<Switch> {
    let key = Key::Repomd { repository: &state.repository };
    let mut attributes = key.attributes();
    attributes.user = BTreeMap::from([("commit-id".to_owned(), run.id.to_string())]);
    let condition = match state.current.as_ref().and_then(|current| current.etag.clone()) {
        Some(etag) => PutIf::Matches(etag),
        None => PutIf::Absent,
    };
    let bytes = &generation.repomd_bytes;
    let put = Put { key: &bucket.path(key), bytes, attributes: &attributes, condition: &condition };
    let (repository, seen) = (&state.repository, state.signature.as_ref());
    let Settled::Won(signature) = pair::replace(bucket, repository, seen, signature, until).await? else {
        return Ok(Switch::Lost);
    };
    let settled = settle::put_until(bucket.prompt.as_ref(), put, Some(until)).await;
    if let Ok(Settled::Won(Stored { etag, .. })) = settled {
        return Ok(Switch::Won { etag, put: signature });
    }
    pair::mend_after_loss(bucket, repository, run.started).await;
    settled.map(|_| Switch::Lost)
}

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
