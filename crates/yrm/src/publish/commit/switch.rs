//! Upload, then the switch: the only moment the truth changes. Everything a generation names is
//! in the store before repomd.xml names it.

use std::collections::BTreeMap;

use bytes::Bytes;
use tokio::time::Instant;

use super::pair;
use super::render::Generation;
use crate::bucket::Bucket;
use crate::bucket::signature::Signature;
use crate::bucket::state::State;
use crate::error::Result;
use crate::publish::pass::RunId;
use crate::store::key::Key;
use crate::store::settle::{self, Put, Settled};
use crate::store::{ETag, PutIf, Stored};

/// How a switch ended; an error means that nobody knows and nothing may be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Switch {
    /// The generation is the truth, under this ETag, and this signature was put before it.
    Won { etag: ETag, put: Option<Signature> },
    /// Somebody else's generation is: start again from it.
    Lost,
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
