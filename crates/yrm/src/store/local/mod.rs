//! A bucket in a directory: keys are paths below it.
//!
//! Writes are atomic (written aside, flushed, put in place in one step) and their conditions are
//! exclusive between processes: `Absent` by the link call, everything that compares first by a
//! lock on `.yrm/lock`. Uploaders are other users, who know no lock and keep files open: a copy is hashed while it
//! is written and gets its name only if it is what was judged; see `aside` for deletes. Symbolic links are never followed. User metadata, content types and cache
//! control are not kept: a directory has no place for them. Folders are never removed but those of
//! the probe, for an uploader may be about to write there.
//!
//! It never deletes what it did not compare, and never takes a path that leaves the root.

mod aside;
mod examine;
mod leftovers;
mod listing;
mod lock;
mod readers;
mod rights;
mod startup;
mod temp;
mod tree;
mod turns;

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use rpmmd::checksum::{Sha256, Sha256Stream};
use rpmmd::repodata::ReadRange as _;
use rustix::fs::AtFlags;

use self::listing::Listings;
use self::lock::Lock;
use self::temp::{Landing, Temp, open_file};
use self::tree::{Identity, KeyPath, Tree, failure, io_failure, stat_at};
use super::body::Body;
use super::contract::clip;
use super::{
    Abilities, Assembled, Attributes, Copy, ETag, Object, Outcome, Page, ProbeRow, PutIf, Read, Reused, Store, Stored,
};
use crate::config::Folders;
use crate::error::{Error, ErrorKind, Result};

/// Times a read starts again because the file changed under it.
const READ_ATTEMPTS: u32 = 3;

/// A file of at least this length may be shared instead of copied where [`Copy::may_share`] says so: copying less
/// takes well under a second.
const SHARED_FROM_BYTES: u64 = 64 << 20;

/// Where the probe writes: nobody else does, and nothing of it is to stay.
const PROBE: &str = ".yrm/probe";

/// A bucket in a directory.
#[derive(Debug, Clone)]
pub struct DirectoryStore {
    tree: Arc<Tree>,
    /// Listings between two of their pages.
    listings: Arc<Listings>,
}

impl DirectoryStore {
    /// The bucket in the existing directory `root`. Puts back and clears what processes that died
    /// left in `.yrm`; a directory that cannot be written to can still be read.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let tree = Tree::open(&root.into())?;
        if let Err(error) = startup::tidy(&tree) {
            tracing::warn!(root = %tree.path().display(), error = error.chain(), "leftovers stay in .yrm");
        }
        Ok(Self { tree: Arc::new(tree), listings: Arc::default() })
    }

    /// The bucket in `root`, made with its folders above when it is not there.
    pub fn create(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        if !root.is_dir() {
            let doing = || format!("creating the bucket directory {}", root.display());
            std::fs::create_dir_all(&root).map_err(|error| io_failure(error, doing()))?;
            // Readers of `repo/` come by here, whatever the umask says.
            let readable = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(&root, readable).map_err(|error| io_failure(error, doing()))?;
        }
        Self::open(root)
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        self.tree.path()
    }

    /// File system calls wait; they do so where waiting is allowed.
    async fn blocking<T: Send + 'static>(&self, work: impl FnOnce(&Tree) -> Result<T> + Send + 'static) -> Result<T> {
        let tree = Arc::clone(&self.tree);
        tokio::task::spawn_blocking(move || work(&tree))
            .await
            .map_err(|error| Error::new(ErrorKind::Internal, "working on the bucket directory").because(error))?
    }
}

#[async_trait]
impl Store for DirectoryStore {
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page> {
        let (prefix, after, listings) = (prefix.to_owned(), after.map(str::to_owned), Arc::clone(&self.listings));
        self.blocking(move |tree| listing::page(tree, &listings, &prefix, after.as_deref())).await
    }

    async fn head(&self, key: &str) -> Result<Option<Object>> {
        let key = key.to_owned();
        self.blocking(move |tree| {
            let path = KeyPath::parse(&key)?;
            let Some(folder) = tree.folder_of(path)? else { return Ok(None) };
            let there = stat_at(&folder, path.leaf, path.key)?;
            Ok(there.map(|identity| listing::object(key.clone(), identity)))
        })
        .await
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<Read>> {
        let key = key.to_owned();
        self.blocking(move |tree| read(tree, KeyPath::parse(&key)?, range.as_ref())).await
    }

    async fn put(
        &self,
        key: &str,
        bytes: Bytes,
        _attributes: &Attributes,
        condition: PutIf,
    ) -> Result<Outcome<Stored>> {
        let key = key.to_owned();
        self.blocking(move |tree| {
            let path = KeyPath::parse(&key)?;
            let mut temp = Temp::create(tree, path.key)?;
            temp.write(&bytes, path.key)?;
            temp.land(tree, path, &Landing { condition: &condition, sha256: None, modified: None })
        })
        .await
    }

    async fn put_file(&self, key: &str, file: &Path, _attributes: &Attributes) -> Result<Stored> {
        let (key, file) = (key.to_owned(), file.to_owned());
        self.blocking(move |tree| {
            let path = KeyPath::parse(&key)?;
            let mut source =
                File::open(&file).map_err(|error| io_failure(error, format!("opening {}", file.display())))?;
            let mut temp = Temp::create(tree, path.key)?;
            let mut digest = Sha256Stream::default();
            temp.write_from(&mut source, &mut digest, path.key)?;
            let sha256 = Some(digest.finish());
            match temp.land(tree, path, &Landing { condition: &PutIf::Always, sha256, modified: None })? {
                Outcome::Done(stored) => Ok(stored),
                Outcome::Ambiguous(error) => Err(error),
                Outcome::Lost | Outcome::Conflict | Outcome::Missing => {
                    Err(Error::new(ErrorKind::Internal, format!("putting {key:?} in place without a condition")))
                }
            }
        })
        .await
    }

    /// Bytes travel nowhere here: a body from `scratch` is put in place as it is.
    async fn assemble(
        &self,
        key: &str,
        body: &Body,
        reused: &[Reused<'_>],
        _attributes: &Attributes,
        condition: PutIf,
    ) -> Result<Outcome<Assembled>> {
        let (key, body) = (key.to_owned(), body.clone());
        let reused_bytes: u64 = reused.iter().map(|reused| reused.at.end - reused.at.start).sum();
        let reused: Vec<_> = reused.iter().map(|one| (one.at.clone(), one.object.clone(), one.from)).collect();
        self.blocking(move |tree| {
            let mut seen: Vec<&Object> = reused.iter().map(|(_, object, _)| object).collect();
            seen.dedup();
            for object in seen {
                match open_file(tree, KeyPath::parse(&object.key)?)? {
                    None => return Ok(Outcome::Missing),
                    Some((_, identity)) if identity.etag() != object.etag => return Ok(Outcome::Lost),
                    Some(_) => {}
                }
            }
            let path = KeyPath::parse(&key)?;
            let adopted = match &body {
                Body::File(local) => Temp::adopt(tree, local)?,
                Body::Memory(_) | Body::Begun { .. } => None,
            };
            let temp = if let Some(temp) = adopted {
                temp
            } else if let (Body::Begun { beginning, judged, .. }, false) = (&body, body.is_whole()) {
                match complete(tree, (beginning, *judged), &reused, path.key)? {
                    Some(temp) => temp,
                    None => return Ok(Outcome::Lost),
                }
            } else {
                let mut temp = Temp::create(tree, path.key)?;
                temp.write_body(&body, path.key)?;
                temp
            };
            let sent_bytes = body.length_bytes().saturating_sub(reused_bytes);
            let landing = Landing { condition: &condition, sha256: None, modified: None };
            Ok(temp.land(tree, path, &landing)?.map(|stored| Assembled { stored, sent_bytes }))
        })
        .await
    }

    async fn open_local(&self, key: &str) -> Result<Option<File>> {
        let key = key.to_owned();
        self.blocking(move |tree| Ok(open_file(tree, KeyPath::parse(&key)?)?.map(|(file, _)| file))).await
    }

    /// `.yrm/tmp`, where files wait to be put in place; what a process that dies leaves there goes
    /// at a later start.
    fn scratch(&self) -> Option<PathBuf> {
        let made = KeyPath::parse(".yrm/tmp/x").and_then(|path| self.tree.make_folder_of(path));
        made.is_ok().then(|| temp::scratch(&self.tree))
    }

    async fn copy(&self, copy: Copy<'_>) -> Result<Outcome<Stored>> {
        let (source, target, attributes) = (copy.source.clone(), copy.target.to_owned(), Attributes::default());
        let Copy { may_share, judged, modified, .. } = copy;
        self.blocking(move |tree| {
            let copy = Copy { may_share, judged, modified, ..Copy::of(&source, &target, &attributes) };
            copy_file(tree, &copy, KeyPath::parse(&target)?)
        })
        .await
    }

    async fn delete(&self, key: &str, if_match: &ETag) -> Result<Outcome<()>> {
        let (key, if_match) = (key.to_owned(), if_match.clone());
        self.blocking(move |tree| {
            let path = KeyPath::parse(&key)?;
            if tree.folder_of(path)?.is_none() {
                return Ok(Outcome::Missing);
            }
            let lock = Lock::take(tree)?;
            let outcome = aside::delete(tree, path, &if_match, &lock)?;
            tree.remove_empty_folders_of(path, PROBE)?;
            Ok(outcome)
        })
        .await
    }

    async fn delete_hindrance(&self, key: &str) -> Result<Option<String>> {
        let key = key.to_owned();
        self.blocking(move |tree| rights::delete_hindrance(tree, KeyPath::parse(&key)?)).await
    }

    async fn examine(&self, folders: &Folders) -> Result<Vec<ProbeRow>> {
        let folders = folders.clone();
        self.blocking(move |tree| examine::rows(tree, &folders)).await
    }

    fn jitter(&self) -> f64 {
        rand::random()
    }

    /// Everything but a digest for nothing: the bytes pass through this process in any case, and
    /// reading them first lets the payload's digest be checked before anything is published.
    fn abilities(&self) -> Option<Abilities> {
        Some(Abilities { copy_sha256: false, ..Abilities::ALL })
    }

    fn uploads_are_atomic(&self) -> bool {
        false
    }
}

/// The bytes of one state of the file: a read that `cp` writes under starts again.
fn read(tree: &Tree, path: KeyPath<'_>, range: Option<&Range<u64>>) -> Result<Option<Read>> {
    let doing = || format!("reading {:?}", path.key);
    for _ in 0..READ_ATTEMPTS {
        let Some((file, before)) = open_file(tree, path)? else { return Ok(None) };
        let range = clip(range.cloned(), before.size_bytes);
        let length = usize::try_from(range.end - range.start)
            .map_err(|error| Error::new(ErrorKind::Internal, doing()).because(error))?;
        let mut bytes = vec![0; length];
        match file.read_exact_at(&mut bytes, range.start) {
            Ok(()) => {}
            // It shrank.
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => continue,
            Err(error) => return Err(io_failure(error, doing())),
        }
        if identity_of(&file, path)? == before {
            return Ok(Some(Read { object: listing::object(path.key.to_owned(), before), bytes: bytes.into() }));
        }
    }
    Err(Error::new(ErrorKind::Conflict, doing()).hint("something is writing to this file; it is read again later"))
}

/// A body that is only begun, with the rest from the objects that have it; `None` when one of those is not
/// what was seen, or all of it is not what was judged.
fn complete(
    tree: &Tree,
    (beginning, judged): (&Bytes, Option<Sha256>),
    reused: &[(Range<u64>, Object, u64)],
    key: &str,
) -> Result<Option<Temp>> {
    let mut temp = Temp::create(tree, key)?;
    let mut digest = Sha256Stream::default();
    digest.update(beginning);
    temp.write(beginning, key)?;
    for (at, object, from) in reused {
        let path = KeyPath::parse(&object.key)?;
        let Some((mut file, before)) = open_file(tree, path)? else { return Ok(None) };
        let doing = || format!("reading {:?}", object.key);
        file.seek(SeekFrom::Start(*from)).map_err(|error| io_failure(error, doing()))?;
        let length = at.end - at.start;
        let size_bytes = temp.write_from(&mut (&file).take(length), &mut digest, key)?;
        if before.etag() != object.etag || identity_of(&file, path)? != before || size_bytes != length {
            return Ok(None);
        }
    }
    let joined = digest.finish();
    Ok(judged.is_none_or(|judged| judged == joined).then_some(temp))
}

/// Copies a file that still is what was seen, and what was judged, to where nothing is.
fn copy_file(tree: &Tree, copy: &Copy<'_>, target: KeyPath<'_>) -> Result<Outcome<Stored>> {
    let from = KeyPath::parse(&copy.source.key)?;
    let Some((mut file, before)) = open_file(tree, from)? else { return Ok(Outcome::Missing) };
    if before.etag() != copy.source.etag {
        return Ok(Outcome::Lost);
    }
    // Not the condition itself, which is the link call's: it saves copying 4 GB in vain.
    if let Some(folder) = tree.folder_of(target)?
        && stat_at(&folder, target.leaf, target.key)?.is_some()
    {
        return Ok(Outcome::Lost);
    }
    if copy.may_share && before.size_bytes >= SHARED_FROM_BYTES {
        if let Some(linked) = link_file(tree, from, target, before)? {
            return Ok(linked);
        }
        let mut temp = Temp::create(tree, target.key)?;
        let size_bytes = temp.write_data_of(&file, target.key)?;
        if identity_of(&file, from)? != before || size_bytes != before.size_bytes {
            return Ok(Outcome::Lost);
        }
        return temp.land(tree, target, &Landing { condition: &PutIf::Absent, sha256: None, modified: copy.modified });
    }
    let mut temp = Temp::create(tree, target.key)?;
    let mut digest = Sha256Stream::default();
    let size_bytes = temp.write_from(&mut file, &mut digest, target.key)?;
    let sha256 = digest.finish();
    // Its owner can write in it and set its time back: the digest of what was read is what counts.
    if identity_of(&file, from)? != before
        || size_bytes != before.size_bytes
        || copy.judged.is_some_and(|judged| judged != sha256)
    {
        return Ok(Outcome::Lost);
    }
    temp.land(tree, target, &Landing { condition: &PutIf::Absent, sha256: Some(sha256), modified: copy.modified })
}

/// Gives the file, as it was seen, a second name; `None` where the file system or its owner's rights do
/// not allow that.
fn link_file(tree: &Tree, source: KeyPath<'_>, target: KeyPath<'_>, seen: Identity) -> Result<Option<Outcome<Stored>>> {
    let Some(from) = tree.folder_of(source)? else { return Ok(Some(Outcome::Missing)) };
    let to = tree.make_folder_of(target)?;
    if rustix::fs::linkat(&from, source.leaf, &to, target.leaf, AtFlags::empty()).is_err() {
        return Ok(None);
    }
    // What was linked is known only now.
    if stat_at(&to, target.leaf, target.key)?.map(Identity::etag) != Some(seen.etag()) {
        rustix::fs::unlinkat(&to, target.leaf, AtFlags::empty())
            .map_err(|errno| failure(errno, format!("removing {:?}", target.key)))?;
        return Ok(Some(Outcome::Lost));
    }
    Ok(Some(match rustix::fs::fsync(&to) {
        Ok(()) => Outcome::Done(Stored { etag: seen.etag(), sha256: None, since: None }),
        Err(errno) => Outcome::Ambiguous(failure(errno, format!("flushing the folder of {:?}", target.key))),
    }))
}

fn identity_of(file: &File, path: KeyPath<'_>) -> Result<Identity> {
    let stat = rustix::fs::fstat(file).map_err(|errno| failure(errno, format!("looking at {:?}", path.key)))?;
    Ok(Identity::of(&stat))
}

#[cfg(test)]
mod tests;
