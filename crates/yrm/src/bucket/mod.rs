//! What a bucket holds, and how it is read: its inbox, its repositories' generations and catalogs, answers, quarantine,
//! history, and the rules that the configuration makes for its folders. Nothing here writes; whoever only looks needs
//! this floor and nothing above it.

pub mod aside;
pub mod blocks;
pub mod bounds;
pub mod catalog;
pub mod clock;
pub mod contents;
pub mod counts;
pub mod deleted;
pub mod document;
pub mod gate;
pub mod generations;
pub mod history;
pub mod holds;
pub mod href;
pub mod inbox;
pub mod keeping;
pub mod kept;
pub mod listing;
pub mod locate;
pub mod log;
pub mod meant;
pub mod mirror;
pub mod mirrorlist;
pub mod naming;
pub mod noticed;
pub mod observe;
pub mod quarantine;
pub mod receipt;
pub mod record;
pub mod report;
pub mod settings;
pub mod signature;
pub mod state;
pub mod tags;
pub mod tokens;
pub mod uploaders;
pub mod verdict;

use std::sync::Arc;

use rpmmd::checksum::{Sha256, Sha256Stream};
use rpmmd::compress::Compression;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};

pub use self::aside::aside;
use self::clock::StoreClock;
use self::gate::Gate;
use self::keeping::Pruned;
use self::listing::{each_of_repo, repo_page};
use self::locate::Locator;
use self::mirror::MirrorRules;
use self::settings::Known;
use self::uploaders::Uploaders;
use crate::config::Policy;
use crate::error::{Error, ErrorKind, Result};
use crate::openpgp::sign::Signer;
use crate::store::cache::Cache;
use crate::store::key::{Key, RepositoryDir};
use crate::store::limited::Limited;
use crate::store::{Abilities, ETag, Object, PAGE_OBJECTS, Store};

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

/// A store, and the rules by which it is a repository bucket. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// Where the objects are. As many calls are in flight as `concurrency` says; further ones wait.
    pub store: Arc<dyn Store>,
    /// The same without waiting for others: for what has to follow at once, and what is no part of a run.
    pub(crate) prompt: Arc<dyn Store>,
    pieces: Arc<Semaphore>,
    large: Arc<Semaphore>,
    /// The rules.
    pub policy: Arc<Policy>,
    /// Which folder is which repository.
    pub locator: Arc<Locator>,
    /// Who may publish what where.
    pub gate: Arc<Gate>,
    /// Which old versions leave where.
    pub(crate) pruned: Arc<Pruned>,
    /// Where generations have folders of their own.
    pub mirror_rules: Arc<MirrorRules>,
    /// Metadata files at hand.
    pub cache: Arc<Cache>,
    /// What metadata is signed with; `None` with signing off.
    pub signer: Option<Arc<Signer>>,
    /// Whether clients can fetch the signer's public keys.
    pub(crate) keys_published: Arc<OnceCell<()>>,
    /// Who is said to have uploaded what.
    pub uploaders: Uploaders,
    /// What the store can do, once whoever writes has asked.
    pub(crate) abilities: Arc<OnceCell<Abilities>>,
    /// What a writer knows of the bucket's settings.
    pub(crate) settings: Arc<Known>,
    /// What time it is in the store, as far as whoever writes has heard.
    pub(crate) clock: StoreClock,
}

impl Bucket {
    /// A bucket in `store` under `policy`; an error when its globs do not parse or its keyrings cannot be read.
    pub fn new(store: Arc<dyn Store>, policy: Policy) -> Result<Self> {
        let locator = Arc::new(Locator::new(&policy.repositories)?.within(&policy.folders));
        let gate = Arc::new(Gate::new(&policy.trust)?);
        let mirror_rules = Arc::new(MirrorRules::new(&policy)?);
        let pruned = Arc::new(Pruned::new(&policy));
        Ok(Self {
            store: Arc::new(Limited::new(Arc::clone(&store), policy.concurrency)),
            prompt: store,
            pieces: Arc::new(Semaphore::new(PIECES_AT_ONCE)),
            large: Arc::new(Semaphore::new(LARGE_AT_ONCE)),
            policy: Arc::new(policy),
            locator,
            gate,
            pruned,
            mirror_rules,
            cache: Arc::default(),
            signer: None,
            keys_published: Arc::default(),
            uploaders: Uploaders::default(),
            abilities: Arc::default(),
            settings: Arc::default(),
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
    pub(crate) fn beside_runs(&self) -> Self {
        Self { store: Arc::clone(&self.prompt), ..self.clone() }
    }

    /// The same bucket, its metadata signed.
    #[must_use]
    pub fn with_signer(mut self, signer: Option<Signer>) -> Self {
        self.signer = signer.map(Arc::new);
        self
    }

    /// The same bucket by other rules. What is known of its store stays.
    pub(crate) fn going_by(&self, policy: Policy, signer: Option<Signer>) -> Result<Self> {
        let mut bucket = Self::new(Arc::clone(&self.prompt), policy)?.with_signer(signer);
        bucket.cache = Arc::clone(&self.cache);
        bucket.uploaders = self.uploaders.clone();
        bucket.abilities = Arc::clone(&self.abilities);
        bucket.clock = self.clock.clone();
        Ok(bucket)
    }

    /// The key as the store knows it.
    pub fn path(&self, key: Key<'_>) -> String {
        key.path(&self.policy.folders)
    }

    /// How the metadata of a repository is compressed.
    pub(crate) fn compression(&self, repository: &RepositoryDir) -> Compression {
        self.gate.compression(repository.as_str()).unwrap_or(self.policy.compression)
    }

    /// Leave to hold a piece of so many bytes; small ones need none.
    pub(crate) async fn piece(&self, bytes: u64) -> Result<Option<OwnedSemaphorePermit>> {
        if bytes < LEAST_PIECE_BYTES {
            return Ok(None);
        }
        leave(&self.pieces, 1).await.map(Some)
    }

    /// Leave to work on a repository of so many packages; small ones need none. Whoever has it asks for no other.
    pub(crate) async fn room_for(&self, packages: usize) -> Result<Option<OwnedSemaphorePermit>> {
        if packages <= LARGE_PACKAGES {
            return Ok(None);
        }
        leave(&self.large, 1).await.map(Some)
    }

    /// Everything under `prefix` that is a part of the repositories: where they are the bucket's root, nothing of the
    /// inbox and of what yrm keeps.
    pub(crate) async fn list_repo(&self, prefix: &str) -> Result<Vec<Object>> {
        let mut objects = Vec::new();
        self.each_of_repo(prefix, |object| objects.push(object)).await?;
        Ok(objects)
    }

    /// The same, one after the other to `take`.
    pub(crate) async fn each_of_repo(&self, prefix: &str, take: impl FnMut(Object)) -> Result<()> {
        each_of_repo(self.store.as_ref(), &self.policy.folders, (prefix, None), take).await
    }

    /// The same, and where that is more than a page, leave to hold it: `share` says how many of
    /// those that hold so much it counts for.
    pub(crate) async fn list_with_leave(
        &self,
        prefix: &str,
        share: Share,
    ) -> Result<(Vec<Object>, Option<OwnedSemaphorePermit>)> {
        let mut objects = Vec::new();
        let leave = self.each_with_leave(prefix, share, |object| objects.push(object)).await?;
        Ok((objects, leave))
    }

    /// The same, one after the other to `take`.
    pub(crate) async fn each_with_leave(
        &self,
        prefix: &str,
        share: Share,
        mut take: impl FnMut(Object),
    ) -> Result<Option<OwnedSemaphorePermit>> {
        let (store, folders) = (self.store.as_ref(), &self.policy.folders);
        let first = repo_page(store, folders, prefix, None).await?;
        first.objects.into_iter().for_each(&mut take);
        let Some(next) = first.next else { return Ok(None) };
        let permits = match share {
            Share::One => 1,
            Share::All => u32::try_from(LARGE_AT_ONCE).expect("a few"),
        };
        let leave = leave(&self.large, permits).await?;
        each_of_repo(store, folders, (prefix, Some(next)), take).await?;
        Ok(Some(leave))
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
pub(crate) enum Share {
    /// Itself.
    One,
    /// All: it is worked on alone.
    All,
}

async fn leave(semaphore: &Arc<Semaphore>, permits: u32) -> Result<OwnedSemaphorePermit> {
    let leave = Arc::clone(semaphore).acquire_many_owned(permits).await;
    leave.map_err(|source| Error::new(ErrorKind::Internal, "waiting for memory").because(source))
}
