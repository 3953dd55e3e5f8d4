//! Mirrorlist mode: every generation also lies in a folder of its own that never changes, and one small
//! object names the newest folder. Clients that say `mirrorlist=` read that object first, so for them
//! repomd.xml and its signature change at once.
//!
//! repomd.xml stays the only truth. The folder and the object are derived from it, after every won switch
//! and by whoever looks later: a process may have died in between. Everything is in the folder before it
//! is named. Whoever has named one looks whether the truth is still what it was derived from.
//!
//! With the mode off the object goes before repomd.xml changes: it never names what is long over.

pub(crate) mod folder;

use jiff::Timestamp;
use rpmmd::checksum::Sha256;
use rpmmd::repomd::Repomd;
use tokio::time::Instant;

use self::folder::{Contents, Home};
use super::abilities::abilities;
use super::copying;
use super::memory::{Memory, lock};
use super::pass::{Pass, RunId, Work};
use super::settlement::Settlement;
use crate::bucket::Bucket;
use crate::bucket::catalog::{Catalog, FileLayout};
use crate::bucket::mirrorlist::read;
use crate::bucket::observe::load_catalog;
use crate::error::{Error, ErrorKind, Result};
use crate::store::key::{Key, MirrorFolder, RepositoryDir};
use crate::store::settle::{self, Put, Settled, TRIES};
use crate::store::{ETag, PutIf};

/// A generation that is the truth, as far as its mirror is made from it.
#[derive(Debug, Clone)]
pub(crate) struct Truth {
    etag: ETag,
    sha256: Sha256,
    repomd: Repomd,
    revision: u64,
    /// How primary is cut in the folder; `None` for a generation that was made with the mode off.
    primary: Option<FileLayout>,
}

impl Truth {
    /// Of a repomd.xml that was read or put, and the catalog that belongs to it.
    pub(crate) fn new(etag: &ETag, bytes: &[u8], repomd: &Repomd, catalog: &Catalog) -> Self {
        Self {
            etag: etag.clone(),
            sha256: Sha256::of(bytes),
            repomd: repomd.clone(),
            revision: catalog.revision,
            primary: catalog.mirror.clone(),
        }
    }

    /// The folder that is derived from it.
    fn folder(&self, bucket: &Bucket) -> MirrorFolder {
        let key_id = bucket.signer.as_ref().and_then(|signer| signer.public_keys().next()).map(|primary| {
            let fingerprint = primary.fingerprint().to_ascii_lowercase();
            fingerprint[fingerprint.len().saturating_sub(KEY_ID_DIGITS)..].to_owned()
        });
        MirrorFolder { revision: self.revision, repomd: self.sha256, key_id }
    }
}

/// As many of a fingerprint's digits as tell keys apart.
const KEY_ID_DIGITS: usize = 16;

/// What came of making a mirror current.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Followed {
    /// It is derived from the truth.
    Current,
    /// The truth was made with the mode off: the next generation has what is needed.
    Lacking,
    /// There is no generation that yrm has made.
    Nothing,
}

/// How a mirror is made current.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// When signatures are made.
    pub(crate) at: Timestamp,
    /// Nothing is named any more after this: the sweep may then be about to take it.
    pub(crate) until: Instant,
    /// Whether a folder that is named already is looked through.
    pub(crate) look_inside: bool,
}

/// Makes the mirror that of the truth. `known` is what was the truth just now.
pub(crate) async fn follow(
    bucket: &Bucket,
    repository: &RepositoryDir,
    mut known: Option<Truth>,
    terms: Terms,
) -> Result<Followed> {
    let (store, key) = (bucket.store.as_ref(), Key::Mirrorlist { repository });
    let (path, attributes) = (bucket.path(key), key.attributes());
    for attempt in 0..TRIES {
        settle::pause(store, attempt).await;
        let there = read(bucket, repository).await?;
        let named = there.as_ref().and_then(|there| MirrorFolder::named_by(&there.bytes));
        // Who has named a later generation knew more. Otherwise the truth is looked at after the list, so
        // that the list is never put back.
        let is_newest = |truth: &Truth| named.as_ref().is_none_or(|named| named.revision <= truth.revision);
        let truth = match known.take().filter(is_newest) {
            Some(truth) => truth,
            None => match look(bucket, repository).await? {
                Some(truth) => truth,
                None => return Ok(Followed::Nothing),
            },
        };
        let Some(primary) = &truth.primary else { return Ok(Followed::Lacking) };
        let own = truth.folder(bucket);
        let list = bucket.mirror_rules.list(repository, &own);
        let contents = Contents::of(Home::Mirror(own), &truth.repomd, primary)?;
        if there.as_ref().is_some_and(|there| there.bytes == list) {
            if terms.look_inside && !contents.are_there(bucket, repository).await? {
                tracing::warn!(%repository, "files of the current revision's own folder were missing; put there again");
                contents.put(bucket, repository, terms.at).await?;
            }
            return Ok(Followed::Current);
        }
        contents.put(bucket, repository, terms.at).await?;
        abilities(bucket).await?;
        let condition = there.map_or(PutIf::Absent, |there| PutIf::Matches(there.object.etag));
        let put = Put { key: &path, bytes: &list, attributes: &attributes, condition: &condition };
        if settle::put_until(store, put, Some(terms.until)).await? == Settled::Lost {
            continue;
        }
        let repomd = store.head(&bucket.path(Key::Repomd { repository })).await?;
        if repomd.is_some_and(|there| there.etag == truth.etag) {
            return Ok(Followed::Current);
        }
    }
    Err(Error::new(ErrorKind::Conflict, format!("putting {path}"))
        .because("other writers keep changing it or repomd.xml")
        .hint("if it stays so, give all of them the same public-url and keys; the next run looks again"))
}

/// The truth, as it is read; `None` where there is none, or something else wrote it.
async fn look(bucket: &Bucket, repository: &RepositoryDir) -> Result<Option<Truth>> {
    let key = bucket.path(Key::Repomd { repository });
    let Some(read) = bucket.store.get(&key, None).await? else { return Ok(None) };
    let Some(catalog) = load_catalog(bucket, repository, &read.bytes).await? else { return Ok(None) };
    let repomd = Repomd::read(&read.bytes)
        .map_err(|source| Error::new(ErrorKind::Corrupt, format!("reading {key}")).because(source))?;
    Ok(Some(Truth::new(&read.object.etag, &read.bytes, &repomd, &catalog)))
}

/// With the mode off: removes a list of mirrors that would name what is over. One that is not ours stays.
pub(crate) async fn remove(bucket: &Bucket, repository: &RepositoryDir) -> Result<()> {
    let Some(there) = read(bucket, repository).await? else { return Ok(()) };
    if MirrorFolder::named_by(&there.bytes).is_none() {
        return Ok(());
    }
    let path = bucket.path(Key::Mirrorlist { repository });
    tracing::warn!(%repository, "mirrorlist is off: {path} is removed, for it would not name what is published now");
    copying::delete_seen(bucket, &path, &there.object.etag).await
}

/// After a commit, or where nothing was to be changed: makes the mirror that of `truth`. What fails is
/// told, and done by the next run.
pub(crate) async fn follow_up(work: Work<'_>, truth: Option<Truth>, until: Instant, settlement: &mut Settlement) {
    let Work { bucket, memory, repository, pass: Pass { run, .. }, .. } = work;
    if !bucket.mirror_rules.is_on(repository) {
        return;
    }
    let terms = Terms { at: run.started, until, look_inside: false };
    match follow(bucket, repository, truth, terms).await {
        Ok(Followed::Current | Followed::Nothing) => {}
        Ok(Followed::Lacking) => drop(lock(&memory.mirrors_owed).insert(repository.clone())),
        Err(error) => {
            lock(&memory.mirrors_owed).insert(repository.clone());
            tracing::warn!(run.id = %run.id, %repository, error = error.chain(),
                "published, but mirrorlist does not name it yet; the next run sees to it");
            settlement.errors.push(format!("making the mirror of {repository}: {}", error.chain()));
        }
    }
}

/// Looks at a repository's mirror, in and out.
pub(crate) async fn look_at_mirror(
    bucket: &Bucket,
    memory: &Memory,
    repository: &RepositoryDir,
    run: RunId,
    until: Instant,
) -> Result<()> {
    if !bucket.mirror_rules.is_on(repository) {
        return Ok(());
    }
    let terms = Terms { at: run.started, until, look_inside: true };
    if follow(bucket, repository, None, terms).await? == Followed::Lacking {
        lock(&memory.mirrors_owed).insert(repository.clone());
    }
    Ok(())
}
