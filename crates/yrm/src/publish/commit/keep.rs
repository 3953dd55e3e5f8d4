//! After a won switch: what follows it, and is done by whoever looks next if it is not done now.

use tokio::time::Instant;

use super::copies::keep_copy;
use super::pair;
use super::render::Generation;
use crate::bucket::signature::Signature;
use crate::bucket::state::{Current, State};
use crate::publish::client_file;
use crate::publish::mirror::{Truth, follow_up};
use crate::publish::pass::{Pass, STALE_AFTER, Work};
use crate::publish::settlement::Settlement;
use crate::store::ETag;

/// After a won switch: keeps copies, makes the mirror, and remembers the generation.
pub(crate) async fn keep(
    work: Work<'_>,
    (generation, etag, put): (Generation, ETag, Option<Signature>),
    settlement: &mut Settlement,
) {
    let copied = keep_copies(work, &generation, (&etag, put), settlement).await;
    let Generation { repomd_bytes, repomd, catalog, .. } = &generation;
    let truth = Truth::new(&etag, repomd_bytes, repomd, catalog);
    follow_up(work, Some(truth), Instant::now() + STALE_AFTER, settlement).await;
    client_file::follow_up(work, settlement).await;
    remember(work, generation, etag, copied).await;
}

/// After a won switch: makes sure of its signature and keeps copies of both. Whether that was done.
async fn keep_copies(
    work: Work<'_>,
    generation: &Generation,
    (etag, put): (&ETag, Option<Signature>),
    settlement: &mut Settlement,
) -> bool {
    let Work { bucket, repository, pass: Pass { run, .. }, .. } = work;
    let signature = match pair::confirm(bucket, repository, etag, put, run.started).await {
        Ok(signature) => signature,
        Err(error) => {
            settlement.errors.push(format!("making sure of the signature: {}", error.chain()));
            None
        }
    };
    let kept = keep_copy(bucket, repository, generation, signature.as_ref()).await;
    if let Err(error) = &kept {
        tracing::warn!(run.id = %run.id, %repository, error = error.chain(), "the revision has no copy yet; the next change makes it");
        settlement.errors.push(format!("keeping a copy of the revision: {}", error.chain()));
    }
    kept.is_ok()
}

/// Remembers the generation that was just made the truth.
async fn remember(work: Work<'_>, generation: Generation, etag: ETag, copied: bool) {
    let Work { bucket, memory, repository, .. } = work;
    let Generation { catalog, repomd, repomd_bytes, files, mirror, .. } = generation;
    for file in files.iter().chain(&mirror) {
        if let Err(error) = bucket.cache.keep(&file.body, file.sha256).await {
            tracing::warn!(%repository, error = error.chain(), "a metadata file was not kept in the cache");
        }
    }
    let current = Current { etag: Some(etag), bytes: repomd_bytes, repomd, copied };
    memory.remember(bucket, State::published(repository.clone(), current, catalog));
}
