//! The watch: is each repository's repomd.xml still the one that yrm wrote? It looks whether anything arrives or not, and
//! changes nothing; whoever calls it mends by the line what it finds.

use futures::StreamExt as _;
use jiff::Timestamp;
use rpmmd::checksum::Sha256;
use rpmmd::repomd::Repomd;

use crate::bucket::report::Found;
use crate::bucket::{Bucket, deleted, generations};
use crate::error::{Error, Result};
use crate::publish::memory::{Memory, is_past, lock};
use crate::publish::watched::Strange;
use crate::store::key::{Key, RepositoryDir};

/// Whether it is time to look. The first look is an interval after the start, so that a program which runs once asks
/// for nothing more.
pub(crate) fn is_due(bucket: &Bucket, memory: &Memory, now: Timestamp) -> bool {
    are_all_due(bucket, memory, now) || lock(&memory.watched).is_anything_steady(now)
}

/// Twice in an interval: what looks strange has to be seen again before it is over.
fn are_all_due(bucket: &Bucket, memory: &Memory, now: Timestamp) -> bool {
    let last = *lock(&memory.watched).looked.get_or_insert(now);
    is_past(bucket.policy.audit_interval / 2, last, now)
}

/// What a look round has found.
pub(crate) struct Looked {
    pub(crate) steady: Vec<(RepositoryDir, Strange)>,
    pub(crate) failed: Option<Error>,
}

/// The repositories whose repomd.xml is not ours, and was not a while ago either; and the first that could not be looked at,
/// which keeps nobody from seeing the others.
pub(crate) async fn look(bucket: &Bucket, memory: &Memory, now: Timestamp) -> Result<Looked> {
    let all = are_all_due(bucket, memory, now);
    let repositories = if all {
        let there = generations::repositories(bucket).await?;
        there.into_iter().filter(|repository| bucket.locator.is_repository(repository)).collect()
    } else {
        lock(&memory.watched).strange()
    };
    let looks = repositories.into_iter().map(|repository| async move {
        let seen = sight(bucket, memory, &repository).await;
        (repository, seen)
    });
    let looks: Vec<_> = looks.collect();
    let mut looks = futures::stream::iter(looks).buffer_unordered(bucket.policy.concurrency);
    let (mut steady, mut failed) = (Vec::new(), None);
    while let Some((repository, seen)) = looks.next().await {
        match seen {
            Ok(seen) => steady.extend(lock(&memory.watched).believe(repository, seen, now)),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    if all {
        lock(&memory.watched).looked = Some(now);
    }
    steady.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(Looked { steady, failed })
}

/// What lies there, if it is not ours.
async fn sight(bucket: &Bucket, memory: &Memory, repository: &RepositoryDir) -> Result<Option<Strange>> {
    let key = bucket.path(Key::Repomd { repository });
    let gone = Ok(Some(Strange { found: Found::Gone, etag: None }));
    let Some(there) = bucket.store.head(&key).await? else {
        // One that was deleted has none.
        return if deleted::last_of(bucket, repository).await?.is_some() { Ok(None) } else { gone };
    };
    if memory.knows(repository, &there.etag) || lock(&memory.watched).ours.get(repository) == Some(&there.etag) {
        return Ok(None);
    }
    let Some(read) = bucket.store.get(&key, None).await? else { return gone };
    let etag = Some(read.object.etag.clone());
    if Repomd::read(&read.bytes).is_err() {
        return Ok(Some(Strange { found: Found::Damaged, etag }));
    }
    let catalog = Key::Catalog { repository, repomd: Sha256::of(&read.bytes) };
    if bucket.store.head(&bucket.path(catalog)).await?.is_none() {
        return Ok(Some(Strange { found: Found::Foreign, etag }));
    }
    lock(&memory.watched).ours.insert(repository.clone(), read.object.etag);
    Ok(None)
}
