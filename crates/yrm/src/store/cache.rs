//! A cache of content-named files on the local disk. It may vanish, fill up or fail at any
//! moment: then bytes come from the store, and nothing else changes.
//!
//! A file is hashed when it is first used in a process, and again whenever it is no longer the
//! same file. Where the store is a local directory, its own files serve and nothing is copied.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures::{StreamExt as _, TryStreamExt as _};
use rpmmd::checksum::{Sha256, Sha256Stream};
use rpmmd::repodata::ReadRange as _;
use tokio::runtime::{Handle, RuntimeFlavor};

use super::Store;
use super::body::{Body, Identity, LocalFile, Spool, TEMPORARY, temporary_in};
use crate::config::{BucketUrl, Config};
use crate::error::{Error, ErrorKind, Result};

/// A file comes from the store in pieces of this size.
const PIECE_BYTES: u64 = 4 << 20;
/// Pieces on their way at once.
const PIECES_AT_ONCE: usize = 3;
/// A body over this size goes to disk, and may be kept in the cache's folder.
const MEMORY_BYTES: usize = 8 << 20;
/// The same where the disk is the store's own.
const SCRATCH_MEMORY_BYTES: usize = 64 << 10;
/// Bytes hashed at a time.
const HASH_BYTES: u64 = 256 << 10;

/// A cache, or the lack of one.
#[derive(Debug, Default)]
pub struct Cache {
    folder: Option<PathBuf>,
    limit_bytes: u64,
    /// Files that were hashed by this process.
    verified: Mutex<HashMap<Sha256, Identity>>,
}

impl Cache {
    /// The cache in the first of `folders` that can be written to, which is made if need be; none
    /// when there is no such folder.
    pub fn open(folders: &[PathBuf], limit_bytes: u64) -> Self {
        let usable = |folder: &&PathBuf| match usable(folder) {
            Ok(()) => true,
            Err(error) => {
                tracing::debug!(folder = %folder.display(), %error, "this folder cannot hold the cache");
                false
            }
        };
        let folder = folders.iter().find(usable).cloned();
        if folder.is_none() && !folders.is_empty() {
            tracing::warn!(tried = ?folders, "there is no cache: metadata is fetched from the store whenever it is needed");
        }
        Self { folder, limit_bytes, verified: Mutex::default() }
    }

    /// The cache that a bucket wants: none where its own files are local.
    pub fn of(config: &Config) -> Self {
        match config.bucket {
            BucketUrl::S3 { .. } => Self::open(&config.cache.folders, config.cache.limit_bytes),
            BucketUrl::Directory(_) => Self::default(),
        }
    }

    /// Where it is, if there is one.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// An empty body to be written, on the disk that suits `store`.
    pub fn spool(&self, store: &dyn Store) -> Spool {
        match store.scratch() {
            // What is put in place there is this file, and need not be written twice.
            Some(scratch) => Spool::new(Some(scratch), SCRATCH_MEMORY_BYTES),
            None => Spool::new(self.folder.clone(), MEMORY_BYTES),
        }
    }

    /// The object under `key`, whose SHA-256 must be `sha256`; `None` when it is gone or has
    /// other bytes.
    pub async fn fetch(self: &Arc<Self>, store: &dyn Store, key: &str, sha256: Sha256) -> Result<Option<Body>> {
        if let Some(file) = store.open_local(key).await? {
            return self.blocking(move |cache| cache.verified(file, sha256)).await;
        }
        let cached = self.blocking(move |cache| cache.cached(sha256)).await?;
        if cached.is_some() {
            return Ok(cached);
        }
        let Some((body, digest)) = self.download(store, key).await? else { return Ok(None) };
        if digest != sha256 {
            return Ok(None);
        }
        self.keep(&body, sha256).await?;
        Ok(Some(body))
    }

    /// The object under `key`, whatever it holds: nobody knows its SHA-256. Not kept.
    pub async fn fetch_unnamed(&self, store: &dyn Store, key: &str) -> Result<Option<Body>> {
        if let Some(file) = store.open_local(key).await? {
            let local = LocalFile::kept(file)
                .map_err(|source| Error::new(ErrorKind::Unavailable, format!("reading {key:?}")).because(source))?;
            return Ok(Some(Body::File(Arc::new(local))));
        }
        Ok(self.download(store, key).await?.map(|(body, _)| body))
    }

    /// Keeps a body that has this SHA-256. That it could not be kept is no error.
    pub async fn keep(self: &Arc<Self>, body: &Body, sha256: Sha256) -> Result<()> {
        let body = body.clone();
        self.blocking(move |cache| {
            if let Err(error) = cache.try_keep(&body, sha256) {
                tracing::warn!(%error, "a metadata file was not kept in the cache");
            }
        })
        .await
    }

    /// Hashes every file again before it is used: one of them could not be read.
    pub fn distrust(&self) {
        self.lock().clear();
    }

    async fn download(&self, store: &dyn Store, key: &str) -> Result<Option<(Body, Sha256)>> {
        let Some(first) = store.get(key, Some(0..PIECE_BYTES)).await? else { return Ok(None) };
        let size_bytes = first.object.size_bytes;
        let starts = (PIECE_BYTES..size_bytes).step_by(usize::try_from(PIECE_BYTES).unwrap_or(usize::MAX));
        let rest = futures::stream::iter(starts)
            .map(|start| store.get(key, Some(start..start + PIECE_BYTES)))
            .buffered(PIECES_AT_ONCE);
        let mut pieces = futures::stream::iter([Ok(Some(first))]).chain(rest);
        let mut filling = (self.spool(store), Sha256Stream::default());
        while let Some(piece) = pieces.try_next().await? {
            let Some(piece) = piece else { return Ok(None) };
            let filled = waiting(move || {
                filling.1.update(&piece.bytes);
                filling.0.write_all(&piece.bytes).map(|()| filling)
            });
            filling = filled
                .await?
                .map_err(|source| Error::new(ErrorKind::Unavailable, format!("keeping {key:?}")).because(source))?;
        }
        let (spool, digest) = filling;
        Ok(Some((spool.finish(), digest.finish())))
    }

    /// The cached file, if it is there and sound.
    fn cached(&self, sha256: Sha256) -> Option<Body> {
        let path = self.folder.as_ref()?.join(sha256.to_string());
        let file = File::open(&path).ok()?;
        // The oldest goes first when room is needed.
        let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
        let times = rustix::fs::Timestamps { last_access: now, last_modification: now };
        // It changes what identifies a file that was hashed, so only files still to be hashed are touched.
        if !self.lock().contains_key(&sha256) {
            let _ = rustix::fs::futimens(&file, &times);
        }
        let sound = self.verified(file, sha256);
        if sound.is_none() {
            tracing::warn!(path = %path.display(), "a cached file is damaged; fetching it again");
            let _ = std::fs::remove_file(&path);
        }
        sound
    }

    /// The file as a body, if it has this digest.
    fn verified(&self, file: File, sha256: Sha256) -> Option<Body> {
        let local = LocalFile::kept(file).ok()?;
        let identity = local.identity().ok()?;
        let body = Body::File(Arc::new(local));
        let known = self.lock().get(&sha256) == Some(&identity);
        if !known && digest(&body).ok()? != sha256 {
            return None;
        }
        self.lock().insert(sha256, identity);
        Some(body)
    }

    fn try_keep(&self, body: &Body, sha256: Sha256) -> io::Result<()> {
        let path = self.folder.as_ref().map(|folder| (folder, folder.join(sha256.to_string())));
        match (body, path) {
            // Somebody else's folder: there it stays.
            (Body::File(local), Some((folder, path)))
                if local.path().is_some_and(|temporary| temporary.parent() == Some(folder)) =>
            {
                local.rename(&path)?;
            }
            (Body::Memory(bytes), Some((folder, path))) => {
                let local = temporary_in(folder)?;
                let mut file = local.file();
                file.write_all(bytes)?;
                local.rename(&path)?;
                let identity = local.identity()?;
                self.lock().insert(sha256, identity);
            }
            (Body::File(_) | Body::Memory(_) | Body::Begun { .. }, _) => {}
        }
        if let Body::File(local) = body {
            self.lock().insert(sha256, local.identity()?);
        }
        self.make_room()
    }

    /// Removes the files that were longest unused, until the rest is within the limit. Files that
    /// others left half-made are among them; files that are not the cache's are never touched.
    fn make_room(&self) -> io::Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let ours = name.to_str().is_some_and(|name| name.starts_with(TEMPORARY) || name.parse::<Sha256>().is_ok());
            if let (true, Ok(metadata)) = (ours, entry.metadata()) {
                files.push((metadata.modified()?, metadata.len(), entry.path()));
            }
        }
        let mut total: u64 = files.iter().map(|(_, size_bytes, _)| size_bytes).sum();
        files.sort_unstable();
        for (_, size_bytes, path) in files {
            if total <= self.limit_bytes {
                break;
            }
            std::fs::remove_file(path)?;
            total -= size_bytes;
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Sha256, Identity>> {
        // A plain map: what a panicking thread left is sound.
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T> {
        let cache = Arc::clone(self);
        waiting(move || work(&cache)).await
    }
}

/// Hashing and files wait where waiting is allowed. A runtime of one thread does it on the spot: such a one
/// is there so that everything happens in one order, and when another thread ends has none.
async fn waiting<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
        return Ok(work());
    }
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|source| Error::new(ErrorKind::Internal, "working on the cache").because(source))
}

fn usable(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    temporary_in(folder).map(drop)
}

fn digest(body: &Body) -> io::Result<Sha256> {
    let mut digest = Sha256Stream::default();
    let size_bytes = body.length_bytes();
    let (mut at, mut bytes) = (0, Vec::new());
    while at < size_bytes {
        let end = size_bytes.min(at + HASH_BYTES);
        body.read_into(at..end, &mut bytes)?;
        digest.update(&bytes);
        at = end;
    }
    Ok(digest.finish())
}
