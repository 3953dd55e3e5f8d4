//! The bucket as the publish line sees it: a store, the rules, and the names in it.

use std::sync::Arc;

use rpmmd::checksum::{Sha256, Sha256Stream};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};

use super::clock::StoreClock;
use super::gate::Gate;
use super::inbox::{list_from, list_page};
use super::locate::Locator;
use super::mirror::MirrorRules;
use super::report::Names;
use super::uploaders::Uploaders;
use crate::config::Policy;
use crate::error::{Error, ErrorKind, Result};
use crate::openpgp::sign::Signer;
use crate::store::cache::Cache;
use crate::store::key::{Key, RepositoryDir};
use crate::store::limited::Limited;
use crate::store::probe::probe;
use crate::store::settle::{self, Copied};
use crate::store::{Abilities, Copy, ETag, Object, PAGE_OBJECTS, Store};

/// Bytes are hashed in pieces of this size.
pub const HASH_PIECE_BYTES: u64 = 8 << 20;
/// Such pieces in memory at once, whatever `concurrency` is.
const PIECES_AT_ONCE: usize = 16;
/// Less than this at a time is not counted as a piece.
const LEAST_PIECE_BYTES: u64 = 256 << 10;

/// Packages of a repository that is large: its catalog, its listing and its metadata files take memory that
/// many repositories at once must not take. Others are worked on as many at once as `concurrency` says.
const LARGE_PACKAGES: usize = PAGE_OBJECTS;
/// Large repositories worked on at once.
const LARGE_AT_ONCE: usize = 4;

/// A repository that would lose more than this share of its packages in one commit, what
/// retention takes aside, is refused without `allow-shrink`.
const SHRINK_LIMIT_PERCENT: usize = 20;

/// A store, and the rules by which it is a repository bucket. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// Where the objects are. As many calls are in flight as `concurrency` says; further ones wait.
    pub store: Arc<dyn Store>,
    /// The same without waiting for others: for what has to follow at once, and what is no part of a run.
    pub(super) prompt: Arc<dyn Store>,
    pieces: Arc<Semaphore>,
    large: Arc<Semaphore>,
    /// The rules.
    pub policy: Arc<Policy>,
    /// Which folder is which repository.
    pub locator: Arc<Locator>,
    /// Who may publish what where.
    pub gate: Arc<Gate>,
    /// Where generations have folders of their own.
    pub mirror_rules: Arc<MirrorRules>,
    /// Metadata files at hand.
    pub cache: Arc<Cache>,
    /// What metadata is signed with; `None` with signing off.
    pub signer: Option<Arc<Signer>>,
    /// Whether clients can fetch the signer's public keys.
    pub(super) keys_published: Arc<OnceCell<()>>,
    /// Who is said to have uploaded what.
    pub uploaders: Uploaders,
    abilities: Arc<OnceCell<Abilities>>,
    /// What time it is in the store.
    pub(super) clock: StoreClock,
}

impl Bucket {
    /// A bucket in `store` under `policy`; an error when its globs do not parse or its keyrings cannot be read.
    pub fn new(store: Arc<dyn Store>, policy: Policy) -> Result<Self> {
        let locator = Arc::new(Locator::new(&policy.repositories)?);
        let gate = Arc::new(Gate::new(&policy.trust)?);
        let mirror_rules = Arc::new(MirrorRules::new(&policy)?);
        Ok(Self {
            store: Arc::new(Limited::new(Arc::clone(&store), policy.concurrency)),
            prompt: store,
            pieces: Arc::new(Semaphore::new(PIECES_AT_ONCE)),
            large: Arc::new(Semaphore::new(LARGE_AT_ONCE)),
            policy: Arc::new(policy),
            locator,
            gate,
            mirror_rules,
            cache: Arc::default(),
            signer: None,
            keys_published: Arc::default(),
            uploaders: Uploaders::default(),
            abilities: Arc::default(),
            clock: StoreClock::default(),
        })
    }

    /// The same bucket with a cache of metadata files on the local disk.
    #[must_use]
    pub fn with_cache(mut self, cache: Cache) -> Self {
        self.cache = Arc::new(cache);
        self
    }

    /// The same bucket, whose calls do not wait for others and take no other call's place: for the few that are made
    /// beside the runs, and may take long.
    #[must_use]
    pub(super) fn beside_runs(&self) -> Self {
        Self { store: Arc::clone(&self.prompt), ..self.clone() }
    }

    /// The same bucket, its metadata signed.
    #[must_use]
    pub fn with_signer(mut self, signer: Option<Signer>) -> Self {
        self.signer = signer.map(Arc::new);
        self
    }

    /// What the store can do: known, or probed before the first write. An error of kind `Config`
    /// when it does not keep conditional writes and nobody promised that there is one writer.
    pub async fn abilities(&self) -> Result<Abilities> {
        let learn = async || {
            let abilities = match self.store.abilities() {
                Some(abilities) => abilities,
                // Its calls have to race.
                None => probe(self.prompt.as_ref()).await?.abilities,
            };
            require_conditions(abilities, self.policy.single_writer).map(|()| abilities)
        };
        self.abilities.get_or_try_init(learn).await.copied()
    }

    /// The key as the store knows it.
    pub fn path(&self, key: Key<'_>) -> String {
        key.path(&self.policy.folders)
    }

    /// Copies what was seen to a free target, and looks afterwards where the store does not keep a
    /// copy's conditions: the source may have been replaced in between.
    pub async fn copy(&self, copy: Copy<'_>) -> Result<Copied> {
        let copied = settle::copy_settled(self.store.as_ref(), copy).await?;
        if matches!(copied, Copied::Done(_) | Copied::Found(_)) && !self.abilities().await?.conditional_copy {
            return Ok(match self.store.head(&copy.source.key).await? {
                None => Copied::SourceMissing,
                Some(source) if source.etag != copy.source.etag => Copied::SourceChanged,
                Some(_) => copied,
            });
        }
        Ok(copied)
    }

    /// Leave to hold a piece of so many bytes; small ones need none.
    pub(super) async fn piece(&self, bytes: u64) -> Result<Option<OwnedSemaphorePermit>> {
        if bytes < LEAST_PIECE_BYTES {
            return Ok(None);
        }
        leave(&self.pieces, 1).await.map(Some)
    }

    /// Leave to work on a repository of so many packages; small ones need none. Whoever has it asks for no other.
    pub(super) async fn room_for(&self, packages: usize) -> Result<Option<OwnedSemaphorePermit>> {
        if packages <= LARGE_PACKAGES {
            return Ok(None);
        }
        leave(&self.large, 1).await.map(Some)
    }

    /// Everything under `prefix`, and where that is more than a page, leave to hold it: `share` says how many of
    /// those that hold so much it counts for.
    pub(super) async fn list_with_leave(
        &self,
        prefix: &str,
        share: Share,
    ) -> Result<(Vec<Object>, Option<OwnedSemaphorePermit>)> {
        let first = list_page(self.store.as_ref(), prefix, None).await?;
        let Some(next) = first.next else { return Ok((first.objects, None)) };
        let permits = match share {
            Share::One => 1,
            Share::All => u32::try_from(LARGE_AT_ONCE).expect("a few"),
        };
        let leave = leave(&self.large, permits).await?;
        let mut objects = first.objects;
        objects.extend(list_from(self.store.as_ref(), prefix, Some(next)).await?);
        Ok((objects, Some(leave)))
    }

    /// SHA-256 of an object that must not change meanwhile; `None` when it did, or is gone.
    pub async fn sha256(&self, key: &str, etag: &ETag, size_bytes: u64) -> Result<Option<Sha256>> {
        let mut hash = Sha256Stream::default();
        let mut at = 0;
        while at < size_bytes {
            let end = (at + HASH_PIECE_BYTES).min(size_bytes);
            let _piece = self.piece(end - at).await?;
            let Some(read) = self.store.get(key, Some(at..end)).await? else { return Ok(None) };
            if read.object.etag != *etag || read.bytes.is_empty() {
                return Ok(None);
            }
            at += read.bytes.len() as u64;
            hash = aside("hashing a package", move || {
                hash.update(&read.bytes);
                hash
            })
            .await?;
        }
        Ok(Some(hash.finish()))
    }
}

/// How many of the large repositories that may be worked on at once one counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
    /// Itself.
    One,
    /// All: it is worked on alone.
    All,
}

async fn leave(semaphore: &Arc<Semaphore>, permits: u32) -> Result<OwnedSemaphorePermit> {
    let leave = Arc::clone(semaphore).acquire_many_owned(permits).await;
    leave.map_err(|source| Error::new(ErrorKind::Internal, "waiting for memory").because(source))
}

/// Refuses a commit that would quietly empty a repository.
pub fn guard_shrink(bucket: &Bucket, repository: &RepositoryDir, before: usize, after: usize) -> Result<()> {
    refuse_loss(bucket, repository, before, before.saturating_sub(after), None)
}

/// The same, of packages that are known by name.
pub fn guard_loss(bucket: &Bucket, repository: &RepositoryDir, before: usize, lost: &Names) -> Result<()> {
    refuse_loss(bucket, repository, before, lost.len(), Some(lost))
}

fn refuse_loss(
    bucket: &Bucket,
    repository: &RepositoryDir,
    before: usize,
    lost: usize,
    names: Option<&Names>,
) -> Result<()> {
    if bucket.policy.allow_shrink || lost * 100 <= before * SHRINK_LIMIT_PERCENT {
        return Ok(());
    }
    let names = names.map(|names| format!(": {names}")).unwrap_or_default();
    let what = format!("publishing {repository}: {lost} of its {before} packages would disappear{names}");
    Err(Error::new(ErrorKind::Corrupt, what)
        .hint("nothing was changed; find out who deleted them, or accept it once with --allow-shrink"))
}

/// Refuses a store that does not keep conditional writes, unless the operator promised that
/// there is no other writer.
pub fn require_conditions(abilities: Abilities, single_writer: bool) -> Result<()> {
    if abilities.conditional_put || single_writer {
        return Ok(());
    }
    let what = "this store does not keep conditional writes, so two writers could lose packages";
    Err(Error::new(ErrorKind::Config, what).hint(
        "make sure that only one yrm ever writes to this bucket, then set single-writer = true; `yrm doctor` shows what \
         the store can do",
    ))
}

/// Runs work that keeps a core busy where it holds up nobody's requests: on the few threads that
/// also render. An allocator that keeps memory for each thread would otherwise hold a catalog for
/// every thread that ever made one.
///
/// A runtime of one thread does it on the spot: such a one is there so that everything happens in
/// one order, time and again (the campaigns with faults).
pub async fn aside<T: Send + 'static>(doing: &'static str, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
        return Ok(work());
    }
    let on_few_threads = move || rayon::scope(|_| work());
    tokio::task::spawn_blocking(on_few_threads)
        .await
        .map_err(|source| Error::new(ErrorKind::Internal, doing).because(source))
}
