//! Files in the making: written and flushed in `.yrm/tmp`, then put in place in one step.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use rpmmd::checksum::{Sha256, Sha256Stream};
use rpmmd::repodata::ReadRange as _;
use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::tree::{Identity, KeyPath, Tree, failure, io_failure, irregular, stat_at};
use crate::error::Result;
use crate::store::body::{Body, LocalFile};
use crate::store::{ETag, Outcome, PutIf, Stored};

/// Bytes read and hashed at a time.
const COPY_BYTES: usize = 1 << 20;

const NANOSECONDS_PER_MILLISECOND: u32 = 1_000_000;

/// The lock of everything that compares and then replaces; released when dropped, also by a
/// process that dies.
#[derive(Debug)]
pub(super) struct Lock {
    _file: OwnedFd,
}

impl Lock {
    /// Waits for the lock: its holders do a few system calls and no I/O on file contents.
    pub(super) fn take(tree: &Tree) -> Result<Self> {
        let folder = tree.make_folder_of(KeyPath::parse(".yrm/lock")?)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&folder, "lock", flags, Mode::from_raw_mode(0o644))
            .map_err(|errno| failure(errno, "opening .yrm/lock"))?;
        loop {
            match rustix::fs::flock(&file, FlockOperation::LockExclusive) {
                Ok(()) => return Ok(Self { _file: file }),
                // A signal arrived; the wait goes on.
                Err(Errno::INTR) => {}
                Err(errno) => return Err(failure(errno, "locking .yrm/lock")),
            }
        }
    }
}

/// The folder of files in the making.
pub(super) fn scratch(tree: &Tree) -> PathBuf {
    tree.path().join(".yrm/tmp")
}

/// A file in `.yrm/tmp`; removed when dropped.
#[derive(Debug)]
pub(super) struct Temp {
    folder: OwnedFd,
    name: String,
    file: File,
}

impl Temp {
    /// A new, empty one.
    pub(super) fn create(tree: &Tree) -> Result<Self> {
        let name = format!("{:032x}", rand::random::<u128>());
        let folder = tree.make_folder_of(KeyPath::parse(&format!(".yrm/tmp/{name}"))?)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&folder, name.as_str(), flags, Mode::from_raw_mode(0o644))
            .map_err(|errno| failure(errno, "creating a file in .yrm/tmp"))?;
        Ok(Self { folder, name, file: file.into() })
    }

    /// A file that lies in `.yrm/tmp` already, complete; `None` when this is none of those.
    pub(super) fn adopt(tree: &Tree, local: &LocalFile) -> Result<Option<Self>> {
        let Some(path) = local.path() else { return Ok(None) };
        let Some(name) = path.strip_prefix(scratch(tree)).ok().and_then(Path::to_str) else { return Ok(None) };
        let key = format!(".yrm/tmp/{name}");
        let key = KeyPath::parse(&key)?;
        let Some(folder) = tree.folder_of(key)? else { return Ok(None) };
        let doing = || format!("taking in {:?}", path.display());
        let file = local.file().try_clone().map_err(|error| io_failure(error, doing()))?;
        let stat = rustix::fs::fstat(&file).map_err(|errno| failure(errno, doing()))?;
        // It may have been taken in before, or be gone.
        let same = stat_at(&folder, key.leaf, key.key)? == Some(Identity::of(&stat));
        Ok(same.then(|| Self { folder, name: name.to_owned(), file }))
    }

    /// Writes all of a body.
    pub(super) fn write_body(&mut self, body: &Body, key: &str) -> Result<()> {
        let size_bytes = body.length_bytes();
        let mut at = 0;
        while at < size_bytes {
            let end = size_bytes.min(at + COPY_BYTES as u64);
            let piece = body.read(at..end);
            self.write(&piece.map_err(|error| io_failure(error, format!("reading what becomes {key:?}")))?, key)?;
            at = end;
        }
        Ok(())
    }

    /// Writes all of `bytes`.
    pub(super) fn write(&mut self, bytes: &[u8], key: &str) -> Result<()> {
        self.file.write_all(bytes).map_err(|error| io_failure(error, format!("writing {key:?}")))
    }

    /// Writes all that is left in `source`; gives its length and digest.
    pub(super) fn write_from(&mut self, source: &mut impl io::Read, key: &str) -> Result<(u64, Sha256)> {
        let mut buffer = vec![0; COPY_BYTES];
        let mut digest = Sha256Stream::default();
        let mut size_bytes = 0;
        loop {
            let length = match source.read(&mut buffer) {
                Ok(0) => return Ok((size_bytes, digest.finish())),
                Ok(length) => length,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(io_failure(error, format!("reading what becomes {key:?}"))),
            };
            digest.update(&buffer[..length]);
            self.write(&buffer[..length], key)?;
            size_bytes += length as u64;
        }
    }

    /// Makes the bytes durable and gives them an ETag that no other bytes had: within one tick of
    /// the kernel's clock a freed inode may come back with the same size, so the time's digits
    /// below a millisecond are random.
    fn seal(&self, key: &str) -> Result<Identity> {
        let doing = || format!("flushing {key:?}");
        let metadata = self.file.metadata().map_err(|error| io_failure(error, doing()))?;
        let written = metadata.modified().map_err(|error| io_failure(error, doing()))?;
        let since = written.duration_since(UNIX_EPOCH).unwrap_or_default();
        let digits = rand::random_range(0..NANOSECONDS_PER_MILLISECOND);
        let nanoseconds = since.subsec_nanos() / NANOSECONDS_PER_MILLISECOND * NANOSECONDS_PER_MILLISECOND + digits;
        let modified = UNIX_EPOCH + Duration::new(since.as_secs(), nanoseconds);
        self.file.set_modified(modified).map_err(|error| io_failure(error, doing()))?;
        self.file.sync_all().map_err(|error| io_failure(error, doing()))?;
        let stat = rustix::fs::fstat(&self.file).map_err(|errno| failure(errno, doing()))?;
        Ok(Identity::of(&stat))
    }

    /// Puts the file in place if `condition` holds.
    pub(super) fn land(
        self,
        tree: &Tree,
        path: KeyPath<'_>,
        condition: &PutIf,
        sha256: Option<Sha256>,
    ) -> Result<Outcome<Stored>> {
        let stored = Stored { etag: self.seal(path.key)?.etag(), sha256 };
        let folder = match condition {
            PutIf::Absent => {
                let folder = tree.make_folder_of(path)?;
                match rustix::fs::linkat(&self.folder, self.name.as_str(), &folder, path.leaf, AtFlags::empty()) {
                    Ok(()) => folder,
                    Err(Errno::EXIST) => return in_the_way(&folder, path),
                    Err(errno) => {
                        let hint = "the file system must support hard links";
                        return Err(failure(errno, format!("putting {:?} in place", path.key)).hint(hint));
                    }
                }
            }
            PutIf::Always => {
                let folder = tree.make_folder_of(path)?;
                let _lock = Lock::take(tree)?;
                stat_at(&folder, path.leaf, path.key)?;
                self.rename(&folder, path)?;
                folder
            }
            PutIf::Matches(etag) => {
                let Some(folder) = tree.folder_of(path)? else { return Ok(Outcome::Missing) };
                let _lock = Lock::take(tree)?;
                match stat_at(&folder, path.leaf, path.key)? {
                    None => return Ok(Outcome::Missing),
                    Some(there) if there.etag() != *etag => return Ok(Outcome::Lost),
                    Some(_) => self.rename(&folder, path)?,
                }
                folder
            }
        };
        // In place, but maybe not for ever: that is what `Ambiguous` is for.
        Ok(match rustix::fs::fsync(&folder) {
            Ok(()) => Outcome::Done(stored),
            Err(errno) => Outcome::Ambiguous(failure(errno, format!("flushing the folder of {:?}", path.key))),
        })
    }

    fn rename(&self, folder: &OwnedFd, path: KeyPath<'_>) -> Result<()> {
        rustix::fs::renameat(&self.folder, self.name.as_str(), folder, path.leaf)
            .map_err(|errno| failure(errno, format!("putting {:?} in place", path.key)))
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        // Renamed away, or a second name of what was linked; a leftover goes at a later start.
        let _ = rustix::fs::unlinkat(&self.folder, self.name.as_str(), AtFlags::empty());
    }
}

/// Something is there already: an object (lost), or what never can be one (an error, for else it
/// would be both absent and in the way).
fn in_the_way(folder: &OwnedFd, path: KeyPath<'_>) -> Result<Outcome<Stored>> {
    match rustix::fs::statat(folder, path.leaf, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok(Outcome::Lost),
            FileType::Directory => Err(failure(Errno::ISDIR, format!("putting {:?} in place", path.key))),
            other => Err(irregular(path.key, other)),
        },
        // It was there a moment ago.
        Err(Errno::NOENT) => Ok(Outcome::Conflict),
        Err(errno) => Err(failure(errno, format!("looking at {:?}", path.key))),
    }
}

/// Opens the regular file `path` for reading, without following a link and without waiting for a
/// pipe's other end.
pub(super) fn open_file(tree: &Tree, path: KeyPath<'_>) -> Result<Option<(File, Identity)>> {
    let Some(folder) = tree.folder_of(path)? else { return Ok(None) };
    // Also says what is not a regular file.
    if stat_at(&folder, path.leaf, path.key)?.is_none() {
        return Ok(None);
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(&folder, path.leaf, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(failure(errno, format!("opening {:?}", path.key))),
    };
    let stat = rustix::fs::fstat(&file).map_err(|errno| failure(errno, format!("looking at {:?}", path.key)))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(Some((file.into(), Identity::of(&stat)))),
        other => Err(irregular(path.key, other)),
    }
}

/// Deletes `path` if its ETag is still `if_match`. The lock must be held.
///
/// Uploaders are plain `cp` and `mv` and know no lock, so the file is first moved to
/// `.yrm/aside/<key>` and judged there: if it is another one after all, it goes back, unless a
/// still newer one has come. What a crash leaves aside goes back likewise (`restore_aside`).
pub(super) fn delete_locked(tree: &Tree, path: KeyPath<'_>, if_match: &ETag, _lock: &Lock) -> Result<Outcome<()>> {
    let Some(folder) = tree.folder_of(path)? else { return Ok(Outcome::Missing) };
    match stat_at(&folder, path.leaf, path.key)? {
        None => return Ok(Outcome::Missing),
        Some(there) if there.etag() != *if_match => return Ok(Outcome::Lost),
        Some(_) => {}
    }
    let aside_key = format!(".yrm/aside/{}", path.key);
    let aside_path = KeyPath::own(&aside_key)?;
    let aside = tree.make_folder_of(aside_path)?;
    match rustix::fs::renameat(&folder, path.leaf, &aside, aside_path.leaf) {
        Ok(()) => {}
        Err(Errno::NOENT) => return Ok(Outcome::Missing),
        Err(errno) => return Err(failure(errno, format!("moving {:?} aside", path.key))),
    }
    let moved = stat_at(&aside, aside_path.leaf, path.key);
    if matches!(&moved, Ok(Some(moved)) if moved.etag() == *if_match) {
        remove_aside(&aside, aside_path)?;
        return Ok(Outcome::Done(()));
    }
    put_back(&aside, aside_path, &folder, path)?;
    moved.map(|_| Outcome::Lost)
}

/// Puts back what a process that died left aside. The lock must be held.
pub(super) fn restore_aside(tree: &Tree, _lock: &Lock) -> Result<()> {
    const ASIDE: &str = ".yrm/aside/";
    for object in super::listing::own_files(tree, ASIDE)? {
        let aside_path = KeyPath::own(&object.key)?;
        let path = KeyPath::parse(&object.key[ASIDE.len()..])?;
        let Some(aside) = tree.folder_of(aside_path)? else { continue };
        let folder = tree.make_folder_of(path)?;
        put_back(&aside, aside_path, &folder, path)?;
        tracing::info!(key = path.key, "put back a file that an interrupted deletion had set aside");
    }
    Ok(())
}

fn put_back(aside: &OwnedFd, aside_path: KeyPath<'_>, folder: &OwnedFd, path: KeyPath<'_>) -> Result<()> {
    match rustix::fs::linkat(aside, aside_path.leaf, folder, path.leaf, AtFlags::empty()) {
        // There: what was uploaded last counts, as if it had overwritten this one.
        Ok(()) | Err(Errno::EXIST) => remove_aside(aside, aside_path),
        Err(errno) => Err(failure(errno, format!("putting {:?} back", path.key))),
    }
}

fn remove_aside(aside: &OwnedFd, aside_path: KeyPath<'_>) -> Result<()> {
    rustix::fs::unlinkat(aside, aside_path.leaf, AtFlags::empty())
        .map_err(|errno| failure(errno, format!("removing {:?}", aside_path.key)))
}

/// Removes files that a process that died left in `.yrm/tmp` over a day ago. The file system's
/// own clock judges: a file created now tells its time.
pub(super) fn remove_stale(tree: &Tree) -> Result<()> {
    const STALE: Duration = Duration::from_hours(24);
    let leftovers = super::listing::own_files(tree, ".yrm/tmp/")?;
    if leftovers.is_empty() {
        return Ok(());
    }
    let now = Temp::create(tree)?.seal(".yrm/tmp")?.modified();
    for object in leftovers {
        if now.duration_since(object.modified).unsigned_abs() < STALE || now < object.modified {
            continue;
        }
        let path = KeyPath::parse(&object.key)?;
        if let Some(folder) = tree.folder_of(path)? {
            let _ = rustix::fs::unlinkat(&folder, path.leaf, AtFlags::empty());
        }
    }
    Ok(())
}
