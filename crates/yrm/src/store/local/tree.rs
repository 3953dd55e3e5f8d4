//! Keys as paths below one root, and never outside it.
//!
//! Every folder of a path is opened from the one above it without following symbolic links, so
//! that neither a key nor an uploader's link can lead out of the bucket, not even when the tree
//! changes meanwhile.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::readers::{Readers, readers_of};
use super::turns::Turns;
use crate::error::{Error, ErrorKind, Result};
use crate::store::ETag;
use crate::store::key::MAX_KEY_BYTES;

/// Folders above a file, at most: each costs an open file while it is walked.
pub(super) const MAX_DEPTH: usize = 64;

/// Times a folder is made anew because one above it was removed meanwhile.
const MAKE_ATTEMPTS: u32 = 8;

/// What a key of the store's own, `.yrm/aside/<key>`, may have more than another in bytes …
pub(super) const OWN_BYTES: usize = 16;
/// … and in parts.
pub(super) const OWN_DEPTH: usize = 2;

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The root, and which directory it was when it was opened.
#[derive(Debug)]
pub(super) struct Tree {
    path: PathBuf,
    device: u64,
    inode: u64,
    /// Whose turn it is to take the lock, among our own threads.
    pub(super) turns: Turns,
}

/// A key, taken apart: every part is an ordinary name.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeyPath<'a> {
    /// The key.
    pub(super) key: &'a str,
    folders: &'a str,
    /// The last part: the file's name in its folder.
    pub(super) leaf: &'a str,
}

impl<'a> KeyPath<'a> {
    /// Takes `key` apart, or says why no file of a bucket can have that name.
    pub(super) fn parse(key: &'a str) -> Result<Self> {
        Self::within(key, MAX_KEY_BYTES, MAX_DEPTH)
    }

    /// Takes apart a key of the store's own, which has another key in it.
    pub(super) fn own(key: &'a str) -> Result<Self> {
        Self::within(key, MAX_KEY_BYTES + OWN_BYTES, MAX_DEPTH + OWN_DEPTH)
    }

    fn within(key: &'a str, max_bytes: usize, max_depth: usize) -> Result<Self> {
        let ordinary = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
        if key.len() > max_bytes || key.split('/').count() > max_depth || !key.split('/').all(ordinary) {
            return Err(Error::new(ErrorKind::Corrupt, format!("using the key {key:?} in a directory")).hint(format!(
                "a key in a directory has at most {MAX_KEY_BYTES} bytes and {MAX_DEPTH} parts, none of them empty, `.` or `..`"
            )));
        }
        let (folders, leaf) = key.rsplit_once('/').unwrap_or(("", key));
        Ok(Self { key, folders, leaf })
    }

    fn folders(self) -> impl Iterator<Item = &'a str> {
        self.folders.split('/').filter(|part| !part.is_empty())
    }
}

impl Tree {
    /// The tree below `path`, which must be a directory.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let doing = || format!("opening the bucket directory {}", path.display());
        let stat = rustix::fs::stat(path).map_err(|errno| {
            if errno == Errno::NOENT {
                let hint = format!("create it first: mkdir -p {}", path.display());
                return Error::new(ErrorKind::Config, doing()).because("there is no such directory").hint(hint);
            }
            Error::new(kind_of(errno), doing()).because(std::io::Error::from(errno))
        })?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return Err(Error::new(ErrorKind::Config, doing()).hint("it is not a directory"));
        }
        Ok(Self { path: path.to_owned(), device: stat.st_dev, inode: stat.st_ino, turns: Turns::default() })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The root, if it still is the directory that was opened first: an unmounted file system
    /// must not look like an empty bucket.
    pub(super) fn root(&self) -> Result<OwnedFd> {
        let doing = || format!("opening the bucket directory {}", self.path.display());
        // The root itself may be a link: the operator named it.
        let fd = rustix::fs::open(&self.path, FOLDER.difference(OFlags::NOFOLLOW), Mode::empty())
            .map_err(|errno| failure(errno, doing()))?;
        let stat = rustix::fs::fstat(&fd).map_err(|errno| failure(errno, doing()))?;
        if (stat.st_dev, stat.st_ino) != (self.device, self.inode) {
            return Err(Error::new(ErrorKind::Unavailable, doing())
                .hint("it is another directory than at the start: is its file system mounted?"));
        }
        Ok(fd)
    }

    /// The folder that holds `path`, or `None` when there is none.
    pub(super) fn folder_of(&self, path: KeyPath<'_>) -> Result<Option<OwnedFd>> {
        let mut folder = self.root()?;
        for name in path.folders() {
            match open_folder(&folder, name, path.key)? {
                Some(next) => folder = next,
                None => return Ok(None),
            }
        }
        Ok(Some(folder))
    }

    /// The folder that holds `path`, made when there is none.
    pub(super) fn make_folder_of(&self, path: KeyPath<'_>) -> Result<OwnedFd> {
        for _ in 1..MAKE_ATTEMPTS {
            if let Some(folder) = self.try_to_make_folder_of(path)? {
                return Ok(folder);
            }
        }
        self.try_to_make_folder_of(path)?.ok_or_else(|| {
            let doing = format!("creating the folder of {:?}", path.key);
            Error::new(ErrorKind::Unavailable, doing).because("the folders above it vanish while it is made")
        })
    }

    /// The same; `None` when a folder above it vanished meanwhile.
    fn try_to_make_folder_of(&self, path: KeyPath<'_>) -> Result<Option<OwnedFd>> {
        let mut folder = self.root()?;
        for name in path.folders() {
            if let Some(next) = open_folder(&folder, name, path.key)? {
                folder = next;
                continue;
            }
            let doing = || format!("creating the folder {name:?} of {:?}", path.key);
            match rustix::fs::mkdirat(&folder, name, Mode::from_raw_mode(0o755)) {
                Ok(()) => rustix::fs::fsync(&folder).map_err(|errno| failure(errno, doing()))?,
                // Another writer's, who may be about to open it.
                Err(Errno::EXIST) => {}
                Err(Errno::NOENT) => return Ok(None),
                Err(errno) => return Err(failure(errno, doing())),
            }
            folder = open_folder(&folder, name, path.key)?
                .ok_or_else(|| Error::new(ErrorKind::Conflict, doing()).hint("a file of that name is in the way"))?;
            if readers_of(path.key) == Readers::Everybody {
                open_to_everybody(&folder);
            }
        }
        Ok(Some(folder))
    }

    /// Removes the folders that `path` lies in below `top`, and `top` itself, from the innermost on, as far as they are
    /// empty. Only for folders of the store's own: elsewhere an uploader may be about to write.
    pub(super) fn remove_empty_folders_of(&self, path: KeyPath<'_>, top: &str) -> Result<()> {
        let mut folders = path.folders;
        while folders == top || folders.strip_prefix(top).is_some_and(|below| below.starts_with('/')) {
            let folder = KeyPath::parse(folders)?;
            let Some(above) = self.folder_of(folder)? else { return Ok(()) };
            // What is not empty stays, and so do those above it.
            if rustix::fs::unlinkat(&above, folder.leaf, AtFlags::REMOVEDIR).is_err() {
                return Ok(());
            }
            folders = folder.folders;
        }
        Ok(())
    }
}

/// Lets others into a folder that was just made, whatever the umask says. One that another writer made
/// meanwhile is that one's to open.
fn open_to_everybody(folder: &OwnedFd) {
    if let Ok(stat) = rustix::fs::fstat(folder) {
        let _ = rustix::fs::fchmod(folder, Mode::from_raw_mode(stat.st_mode) | Mode::from_raw_mode(0o755));
    }
}

/// The folder `name` in `parent`; `None` when nothing or a file is there; an error for a link.
fn open_folder(parent: &OwnedFd, name: &str, key: &str) -> Result<Option<OwnedFd>> {
    match rustix::fs::openat(parent, name, FOLDER, Mode::empty()) {
        Ok(fd) => Ok(Some(fd)),
        Err(Errno::NOENT) => Ok(None),
        Err(Errno::NOTDIR | Errno::LOOP) => stat_at(parent, name, key).map(|_| None),
        Err(errno) => Err(failure(errno, format!("opening the folder {name:?} of {key:?}"))),
    }
}

/// What is under `name` in `folder`: a regular file's state; `None` when nothing or a folder is
/// there; an error for everything else, so that a link or a pipe is never taken for "absent".
pub(super) fn stat_at(folder: impl AsFd, name: &str, key: &str) -> Result<Option<Identity>> {
    match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok(Some(Identity::of(&stat))),
            FileType::Directory => Ok(None),
            other => Err(irregular(key, other)),
        },
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(failure(errno, format!("looking at {key:?}"))),
    }
}

/// The error for what is neither a file nor a folder.
pub(super) fn irregular(key: &str, kind: FileType) -> Error {
    let what = if kind == FileType::Symlink { "a symbolic link" } else { "a special file" };
    Error::new(ErrorKind::Corrupt, format!("using {key:?}, where there is {what}"))
        .hint("a bucket directory holds files and folders only; remove it")
}

/// Which bytes a file holds, without reading them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    inode: u64,
    modified: Timestamp,
    since: Timestamp,
    /// Length in bytes.
    pub(super) size_bytes: u64,
}

impl Identity {
    /// From a stat.
    pub(super) fn of(stat: &Stat) -> Self {
        let time = |seconds, nanoseconds| {
            // A time that jiff cannot hold is before -9999 or after 9999: no file was changed then.
            Timestamp::new(seconds, i32::try_from(nanoseconds).unwrap_or(0)).unwrap_or(Timestamp::UNIX_EPOCH)
        };
        Self {
            inode: stat.st_ino,
            modified: time(stat.st_mtime, stat.st_mtime_nsec),
            since: time(stat.st_ctime, stat.st_ctime_nsec),
            size_bytes: u64::try_from(stat.st_size).unwrap_or(0),
        }
    }

    /// Last change.
    pub(super) fn modified(self) -> Timestamp {
        self.modified
    }

    /// Last change of any kind, by the kernel's clock: of bytes, times, names or rights. Nobody can set it, so that
    /// a file in which somebody wrote and set its time back has another one.
    pub(super) fn since(self) -> Timestamp {
        self.since
    }

    /// Inode, time of change and size. A file put in place by link or rename brings a new inode;
    /// one that `cp` writes over keeps its inode and gets a new time. A freed inode can come back
    /// within one tick of the kernel's clock, so our own files get random digits below a
    /// millisecond (`temp`). Hashing instead would read every 4 GB upload at each look: who keeps a file open can
    /// write in it and set its time back, so what was judged is hashed once more while it is copied.
    pub(super) fn etag(self) -> ETag {
        ETag::new(format!("{:x}-{:x}-{:x}", self.inode, self.modified.as_nanosecond(), self.size_bytes))
    }
}

/// An error of the operating system.
pub(super) fn failure(errno: Errno, doing: impl Into<String>) -> Error {
    hinted(Error::new(kind_of(errno), doing).because(std::io::Error::from(errno)), errno)
}

/// What an operator can do about it, where the operating system's words do not say.
fn hinted(error: Error, errno: Errno) -> Error {
    match errno {
        Errno::NOSPC => error.hint("the disk is full: make room, and the next run goes on; nothing half-written is published"),
        Errno::DQUOT => error.hint("the disk quota of yrm's user is used up: make room or raise it (`quota`), and the next run goes on"),
        Errno::FBIG => error.hint(
            "the file is larger than this process may write, or than the file system holds: see `ulimit -f`, or LimitFSIZE= \
             of the service",
        ),
        Errno::ROFS => error.hint("the file system is read-only: see `dmesg` for why, and mount it for writing again"),
        _ => error,
    }
}

/// An error of the operating system, as `std` gives it.
pub(super) fn io_failure(error: std::io::Error, doing: impl Into<String>) -> Error {
    let errno = Errno::from_io_error(&error);
    let told = Error::new(errno.map_or(ErrorKind::Unavailable, kind_of), doing).because(error);
    match errno {
        Some(errno) => hinted(told, errno),
        None => told,
    }
}

fn kind_of(errno: Errno) -> ErrorKind {
    match errno {
        Errno::ACCESS | Errno::PERM | Errno::ROFS => ErrorKind::Denied,
        Errno::NAMETOOLONG | Errno::LOOP | Errno::NOTDIR | Errno::ISDIR | Errno::ILSEQ => ErrorKind::Corrupt,
        // The operating system's list is open; what is not the key's fault is waited out.
        _ => ErrorKind::Unavailable,
    }
}
