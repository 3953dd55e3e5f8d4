//! Files in the making: written and flushed in `.yrm/tmp`, then put in place in one step.
//!
//! Where the place is on another file system (or behind another mount of the same), the file is copied once more,
//! beside its place and under a hidden name, and put in place there.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use rpmmd::checksum::{Sha256, Sha256Stream};
use rpmmd::repodata::ReadRange as _;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::lock::Lock;
use super::readers::{Readers, readers_of};
use super::tree::{Identity, KeyPath, Tree, failure, io_failure, irregular, stat_at};
use crate::error::{Error, ErrorKind, Result};
use crate::store::body::{Body, LocalFile};
use crate::store::{Outcome, PutIf, Stored};

/// Bytes read and hashed at a time.
const COPY_BYTES: usize = 1 << 20;
/// What a hole reads as.
static ZEROS: [u8; COPY_BYTES] = [0; COPY_BYTES];

const NANOSECONDS_PER_MILLISECOND: u32 = 1_000_000;
const NANOSECONDS_PER_SECOND: u32 = 1_000_000_000;

/// What the name of a file in the making beside its place begins with; then come 32 digits.
const BESIDE: &str = ".yrm-tmp-";

/// Whether a file under this name is one in the making, beside its place.
pub(super) fn is_beside(name: &str) -> bool {
    let is_ours = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    name.strip_prefix(BESIDE).is_some_and(|digits| digits.len() == 32 && digits.bytes().all(is_ours))
}

/// The folder of files in the making.
pub(super) fn scratch(tree: &Tree) -> PathBuf {
    tree.path().join(".yrm/tmp")
}

/// A file in `.yrm/tmp` or beside its place; removed when dropped.
#[derive(Debug)]
pub(super) struct Temp {
    folder: OwnedFd,
    name: String,
    file: File,
}

/// What is put in place, and how.
#[derive(Debug)]
pub(super) struct Landing<'a> {
    /// When it is.
    pub(super) condition: &'a PutIf,
    /// Its digest, where it was computed.
    pub(super) sha256: Option<Sha256>,
    /// The time of last change that it gets, to the second; else it is now.
    pub(super) modified: Option<Timestamp>,
}

/// Whether a file could be put in place from where it is.
enum Placed {
    Answer(Outcome<()>),
    /// Its place is on another file system.
    Apart,
}

impl Temp {
    /// A new, empty one for what is to lie under `key`.
    pub(super) fn create(tree: &Tree, key: &str) -> Result<Self> {
        let name = format!("{:032x}", rand::random::<u128>());
        let folder = tree.make_folder_of(KeyPath::parse(&format!(".yrm/tmp/{name}"))?)?;
        Self::create_in(folder, name, key)
    }

    fn create_in(folder: OwnedFd, name: String, key: &str) -> Result<Self> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = match readers_of(key) {
            // What is to be public is so when it is in place.
            Readers::Everybody | Readers::Owner => Mode::RUSR | Mode::WUSR,
            Readers::AsTheUmaskSays => Mode::from_raw_mode(0o644),
        };
        let file = rustix::fs::openat(&folder, name.as_str(), flags, mode)
            .map_err(|errno| failure(errno, format!("creating a temporary file for {key:?}")))?;
        Ok(Self { folder, name, file: file.into() })
    }

    /// The folder that it is in.
    pub(super) fn folder(&self) -> &OwnedFd {
        &self.folder
    }

    /// Its name there.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// A copy of it in the folder where it is to be put.
    fn beside(&self, folder: &OwnedFd, key: &str) -> Result<Self> {
        let doing = || format!("copying {key:?} to its file system");
        let folder = rustix::io::fcntl_dupfd_cloexec(folder, 0).map_err(|errno| failure(errno, doing()))?;
        let mut copy = Self::create_in(folder, format!("{BESIDE}{:032x}", rand::random::<u128>()), key)?;
        (&self.file).seek(SeekFrom::Start(0)).map_err(|error| io_failure(error, doing()))?;
        io::copy(&mut &self.file, &mut copy.file).map_err(|error| io_failure(error, doing()))?;
        Ok(copy)
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

    /// Writes all that is left in `source`, and feeds `digest`; gives its length. What is nothing but zeros becomes a hole:
    /// an upload of 3 MB can be 20 GB long, and its copy must not cost more room than it does.
    pub(super) fn write_from(
        &mut self,
        source: &mut impl io::Read,
        digest: &mut Sha256Stream,
        key: &str,
    ) -> Result<u64> {
        let mut buffer = vec![0; COPY_BYTES];
        let (mut size_bytes, mut ends_in_a_hole) = (0, false);
        loop {
            let length = match source.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(io_failure(error, format!("reading what becomes {key:?}"))),
            };
            digest.update(&buffer[..length]);
            size_bytes += length as u64;
            ends_in_a_hole = buffer[..length] == ZEROS[..length];
            if ends_in_a_hole {
                self.skip(length, key)?;
            } else {
                self.write(&buffer[..length], key)?;
            }
        }
        if ends_in_a_hole {
            let end = self.file.stream_position();
            end.and_then(|end| self.file.set_len(end))
                .map_err(|error| io_failure(error, format!("writing {key:?}")))?;
        }
        Ok(size_bytes)
    }

    /// Writes what `source` holds without reading its holes, and no digest: an upload of 3 MB can be 20 GB long, and
    /// costs what it costs its owner. Gives its length. Where the file system does not tell holes, all of it is read.
    pub(super) fn write_data_of(&mut self, source: &File, key: &str) -> Result<u64> {
        let doing = || format!("copying {key:?}");
        let length = source.metadata().map_err(|error| io_failure(error, doing()))?.len();
        let mut at = 0;
        while at < length {
            let begins = match rustix::fs::seek(source, rustix::fs::SeekFrom::Data(at)) {
                Ok(begins) => begins,
                // Nothing but a hole is left.
                Err(Errno::NXIO) => break,
                Err(Errno::INVAL | Errno::OPNOTSUPP) => at,
                Err(errno) => return Err(failure(errno, doing())),
            };
            let ends = rustix::fs::seek(source, rustix::fs::SeekFrom::Hole(begins)).unwrap_or(length);
            let mut from = source;
            from.seek(SeekFrom::Start(begins)).map_err(|error| io_failure(error, doing()))?;
            self.file.seek(SeekFrom::Start(begins)).map_err(|error| io_failure(error, doing()))?;
            let copied = io::copy(&mut from.take(ends - begins), &mut self.file);
            if copied.map_err(|error| io_failure(error, doing()))? == 0 {
                // It shrank; whoever asked compares lengths.
                return Ok(at);
            }
            at = ends;
        }
        self.file.set_len(length).map_err(|error| io_failure(error, doing()))?;
        Ok(length)
    }

    /// Leaves a hole.
    fn skip(&mut self, length: usize, key: &str) -> Result<()> {
        let over = i64::try_from(length).expect("a buffer is no exabytes");
        self.file.seek(SeekFrom::Current(over)).map(drop).map_err(|error| io_failure(error, format!("writing {key:?}")))
    }

    /// Makes the bytes durable and gives them an ETag that no other bytes had: within one tick of
    /// the kernel's clock a freed inode may come back with the same size, so the time's digits
    /// below a millisecond are random; below a second where the time is given.
    pub(super) fn seal(&self, key: &str, modified: Option<Timestamp>) -> Result<Identity> {
        let doing = || format!("flushing {key:?}");
        let modified = if let Some(modified) = modified {
            let digits = Duration::from_nanos(rand::random_range(0..NANOSECONDS_PER_SECOND).into());
            let second = Timestamp::from_second(modified.as_second()).unwrap_or(Timestamp::UNIX_EPOCH);
            SystemTime::from(second) + digits
        } else {
            let metadata = self.file.metadata().map_err(|error| io_failure(error, doing()))?;
            let written = metadata.modified().map_err(|error| io_failure(error, doing()))?;
            let since = written.duration_since(UNIX_EPOCH).unwrap_or_default();
            let digits = rand::random_range(0..NANOSECONDS_PER_MILLISECOND);
            let whole = since.subsec_nanos() / NANOSECONDS_PER_MILLISECOND * NANOSECONDS_PER_MILLISECOND;
            UNIX_EPOCH + Duration::new(since.as_secs(), whole + digits)
        };
        self.file.set_modified(modified).map_err(|error| io_failure(error, doing()))?;
        if readers_of(key) == Readers::Everybody {
            let stat = rustix::fs::fstat(&self.file).map_err(|errno| failure(errno, doing()))?;
            let mode = Mode::from_raw_mode(stat.st_mode) | Mode::from_raw_mode(0o644);
            // One that was made by somebody else keeps its mode.
            let _ = rustix::fs::fchmod(&self.file, mode);
        }
        self.file.sync_all().map_err(|error| io_failure(error, doing()))?;
        let stat = rustix::fs::fstat(&self.file).map_err(|errno| failure(errno, doing()))?;
        Ok(Identity::of(&stat))
    }

    /// Puts the file in place if the condition holds.
    pub(super) fn land(mut self, tree: &Tree, path: KeyPath<'_>, landing: &Landing<'_>) -> Result<Outcome<Stored>> {
        let folder = match landing.condition {
            PutIf::Absent | PutIf::Always => tree.make_folder_of(path)?,
            PutIf::Matches(_) => match tree.folder_of(path)? {
                Some(folder) => folder,
                None => return Ok(Outcome::Missing),
            },
        };
        let mut sealed = self.seal(path.key, landing.modified)?;
        let mut placed = self.place(tree, &folder, path, landing.condition)?;
        if matches!(placed, Placed::Apart) {
            self = self.beside(&folder, path.key)?;
            sealed = self.seal(path.key, landing.modified)?;
            placed = self.place(tree, &folder, path, landing.condition)?;
        }
        let answer = match placed {
            Placed::Answer(answer) => answer,
            Placed::Apart => {
                let doing = format!("putting {:?} in place", path.key);
                return Err(Error::new(ErrorKind::Unavailable, doing)
                    .because("its folder is not on the file system that it was on a moment ago"));
            }
        };
        Ok(match answer {
            Outcome::Done(()) => match rustix::fs::fsync(&folder) {
                Ok(()) => Outcome::Done(Stored { etag: sealed.etag(), sha256: landing.sha256, since: None }),
                // In place, but maybe not for ever: that is what `Ambiguous` is for.
                Err(errno) => Outcome::Ambiguous(failure(errno, format!("flushing the folder of {:?}", path.key))),
            },
            Outcome::Lost => Outcome::Lost,
            Outcome::Conflict => Outcome::Conflict,
            Outcome::Missing => Outcome::Missing,
            Outcome::Ambiguous(error) => Outcome::Ambiguous(error),
        })
    }

    fn place(&self, tree: &Tree, folder: &OwnedFd, path: KeyPath<'_>, condition: &PutIf) -> Result<Placed> {
        let doing = || format!("putting {:?} in place", path.key);
        let moved = match condition {
            PutIf::Absent => {
                match rustix::fs::linkat(&self.folder, self.name.as_str(), folder, path.leaf, AtFlags::empty()) {
                    Err(Errno::EXIST) => return in_the_way(folder, path).map(Placed::Answer),
                    Err(errno) if errno != Errno::XDEV => {
                        return Err(or_hint(failure(errno, doing()), "the file system must support hard links"));
                    }
                    linked => linked,
                }
            }
            PutIf::Always => {
                let _lock = Lock::take(tree)?;
                stat_at(folder, path.leaf, path.key)?;
                self.rename(folder, path)
            }
            PutIf::Matches(etag) => {
                let _lock = Lock::take(tree)?;
                match stat_at(folder, path.leaf, path.key)? {
                    None => return Ok(Placed::Answer(Outcome::Missing)),
                    Some(there) if there.etag() != *etag => return Ok(Placed::Answer(Outcome::Lost)),
                    Some(_) => self.rename(folder, path),
                }
            }
        };
        match moved {
            Ok(()) => Ok(Placed::Answer(Outcome::Done(()))),
            Err(Errno::XDEV) => Ok(Placed::Apart),
            Err(errno) => Err(failure(errno, doing())),
        }
    }

    fn rename(&self, folder: &OwnedFd, path: KeyPath<'_>) -> rustix::io::Result<()> {
        rustix::fs::renameat(&self.folder, self.name.as_str(), folder, path.leaf)
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        // Renamed away, or a second name of what was linked; a leftover goes at a later start.
        let _ = rustix::fs::unlinkat(&self.folder, self.name.as_str(), AtFlags::empty());
    }
}

/// With this hint, unless it has one.
fn or_hint(error: Error, hint: &str) -> Error {
    if error.hint_text().is_some() { error } else { error.hint(hint) }
}

/// Something is there already: an object (lost), or what never can be one (an error, for else it
/// would be both absent and in the way).
fn in_the_way(folder: &OwnedFd, path: KeyPath<'_>) -> Result<Outcome<()>> {
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
