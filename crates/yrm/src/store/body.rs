//! Bytes on their way to the store or from it: in memory while they are few, else in a local
//! file that goes when nobody needs it any more.
//!
//! A disk that is full or fails costs memory, never the bytes.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write};
use std::ops::Range;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rpmmd::checksum::Sha256;
use rpmmd::repodata::ReadRange;

/// What temporary files' names begin with.
pub(super) const TEMPORARY: &str = "tmp-";

/// Bytes that can be read at any place, again and again.
#[derive(Debug, Clone)]
pub enum Body {
    /// In memory.
    Memory(Bytes),
    /// In a local file.
    File(Arc<LocalFile>),
    /// Only the beginning is here: the rest is to be had from objects of the same bucket, and cannot be
    /// read. All of it has the digest `judged`, if that is known: a store through which the bytes pass joins no
    /// others.
    Begun { beginning: Bytes, length_bytes: u64, judged: Option<Sha256> },
}

/// A local file that does not change.
#[derive(Debug)]
pub struct LocalFile {
    file: File,
    size_bytes: u64,
    /// The name it is removed by at the end.
    temporary: Mutex<Option<PathBuf>>,
}

/// Which state of which file, without reading it: inode, time of change, size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity(u64, i64, i64, u64);

impl LocalFile {
    /// An open file that somebody else keeps.
    pub(super) fn kept(file: File) -> io::Result<Self> {
        let size_bytes = file.metadata()?.len();
        Ok(Self { file, size_bytes, temporary: Mutex::default() })
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    fn read(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.read_into(range, &mut bytes)?;
        Ok(bytes)
    }

    fn read_into(&self, range: Range<u64>, bytes: &mut Vec<u8>) -> io::Result<()> {
        let length = usize::try_from(range.end.saturating_sub(range.start)).map_err(io::Error::other)?;
        bytes.resize(length, 0);
        self.file.read_exact_at(bytes, range.start)
    }

    /// Its temporary name, if it has one.
    pub(super) fn path(&self) -> Option<PathBuf> {
        self.temporary.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gives it a lasting name in the same folder. One that has a lasting name keeps it.
    pub(super) fn rename(&self, to: &Path) -> io::Result<()> {
        let mut temporary = self.temporary.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(from) = temporary.as_ref() {
            std::fs::rename(from, to)?;
            *temporary = None;
        }
        Ok(())
    }

    pub(super) fn identity(&self) -> io::Result<Identity> {
        let metadata = self.file.metadata()?;
        Ok(Identity(metadata.ino(), metadata.mtime(), metadata.mtime_nsec(), metadata.len()))
    }
}

impl Drop for LocalFile {
    fn drop(&mut self) {
        let temporary = self.temporary.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = temporary.take() {
            // What stays behind is found by its name and goes as the oldest does.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Body {
    /// The bytes of a range. Fewer than were asked for are an error.
    pub fn read(&self, range: Range<u64>) -> io::Result<Bytes> {
        match self {
            Self::Memory(bytes) => {
                let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
                let within = range.start <= range.end && range.end <= bytes.len() as u64;
                within
                    .then(|| bytes.slice(place(range.start)..place(range.end)))
                    .ok_or(io::ErrorKind::UnexpectedEof.into())
            }
            Self::Begun { beginning, .. } => Self::Memory(beginning.clone()).read(range),
            Self::File(local) => local.read(range).map(Bytes::from),
        }
    }

    /// Whether all of it can be read.
    pub fn is_whole(&self) -> bool {
        match self {
            Self::Memory(_) | Self::File(_) => true,
            Self::Begun { beginning, length_bytes, .. } => beginning.len() as u64 == *length_bytes,
        }
    }

    /// All of it, in memory.
    pub fn whole(&self) -> io::Result<Bytes> {
        self.read(0..self.length_bytes())
    }
}

impl ReadRange for Body {
    fn length_bytes(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File(local) => local.size_bytes,
            Self::Begun { length_bytes, .. } => *length_bytes,
        }
    }

    fn read_into(&self, range: Range<u64>, bytes: &mut Vec<u8>) -> io::Result<()> {
        if let Self::File(local) = self {
            return local.read_into(range, bytes);
        }
        let there = self.read(range)?;
        bytes.clear();
        bytes.extend_from_slice(&there);
        Ok(())
    }
}

/// A body in the making.
#[derive(Debug)]
pub struct Spool {
    folder: Option<PathBuf>,
    memory_bytes: usize,
    memory: Vec<u8>,
    file: Option<LocalFile>,
}

impl Spool {
    /// An empty one, which goes to a file in `folder` when it is longer than `memory_bytes`.
    pub fn new(folder: Option<PathBuf>, memory_bytes: usize) -> Self {
        Self { folder, memory_bytes, memory: Vec::new(), file: None }
    }

    /// How much was written so far.
    pub fn written_bytes(&self) -> u64 {
        self.file.as_ref().map_or(self.memory.len() as u64, |file| file.size_bytes)
    }

    /// A range of what was written so far.
    pub fn read(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        if let Some(local) = &self.file {
            return local.read(range);
        }
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        let bytes = self.memory.get(place(range.start)..place(range.end));
        bytes.map(<[u8]>::to_vec).ok_or(io::ErrorKind::UnexpectedEof.into())
    }

    /// What was written.
    pub fn finish(self) -> Body {
        match self.file {
            Some(file) => Body::File(Arc::new(file)),
            None => Body::Memory(self.memory.into()),
        }
    }

    /// Moves to a file, if that can be.
    fn spill(&mut self) {
        let Some(folder) = self.folder.take() else { return };
        let spilled = temporary_in(&folder).and_then(|mut local| {
            local.file.write_all(&self.memory)?;
            local.size_bytes = self.memory.len() as u64;
            Ok(local)
        });
        match spilled {
            Ok(local) => {
                self.file = Some(local);
                self.memory = Vec::new();
            }
            Err(error) => {
                tracing::warn!(folder = %folder.display(), %error, "using memory instead of a temporary file");
            }
        }
    }

    /// Moves back to memory.
    fn recover(&mut self, local: &LocalFile) -> io::Result<()> {
        let mut memory = Vec::new();
        let mut file = &local.file;
        file.rewind()?;
        file.take(local.size_bytes).read_to_end(&mut memory)?;
        if memory.len() as u64 != local.size_bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.memory = memory;
        Ok(())
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.file.is_none() && self.memory.len() + bytes.len() > self.memory_bytes {
            self.spill();
        }
        if let Some(mut local) = self.file.take() {
            match local.file.write_all(bytes) {
                Ok(()) => {
                    local.size_bytes += bytes.len() as u64;
                    self.file = Some(local);
                    return Ok(bytes.len());
                }
                Err(error) => {
                    tracing::warn!(%error, "a temporary file cannot be written; using memory instead");
                    self.recover(&local)?;
                }
            }
        }
        self.memory.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A new, empty file in `folder`, removed when dropped.
pub(super) fn temporary_in(folder: &Path) -> io::Result<LocalFile> {
    let path = folder.join(format!("{TEMPORARY}{:032x}", rand::random::<u128>()));
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o644).open(&path)?;
    Ok(LocalFile { file, size_bytes: 0, temporary: Mutex::new(Some(path)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY_BYTES: usize = 8 << 20;

    fn spooled(folder: Option<PathBuf>, pieces: usize) -> Body {
        let mut spool = Spool::new(folder, MEMORY_BYTES);
        for piece in 0..pieces {
            spool.write_all(&vec![u8::try_from(piece % 251).unwrap(); 1 << 20]).unwrap();
        }
        spool.finish()
    }

    #[test]
    fn few_bytes_stay_in_memory_and_many_go_to_a_file_that_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(spooled(Some(folder.path().to_owned()), 8), Body::Memory(_)));
        let large = spooled(Some(folder.path().to_owned()), 9);
        assert!(matches!(large, Body::File(_)));
        assert_eq!(large.read((1 << 20) - 1..(1 << 20) + 1).unwrap().as_ref(), [0, 1]);
        assert!(large.read(0..(9 << 20) + 1).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        drop(large);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_was_written_can_be_read_while_more_comes() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(Some(folder.path().to_owned()), MEMORY_BYTES);
        for piece in 1..=12 {
            spool.write_all(&vec![piece; 1 << 20]).unwrap();
            let written = u64::from(piece) << 20;
            assert_eq!(spool.written_bytes(), written);
            assert_eq!(spool.read(written - 2..written).unwrap(), [piece; 2]);
            assert_eq!(spool.read(0..2).unwrap(), [1; 2]);
            assert!(spool.read(written - 1..written + 1).is_err());
        }
    }

    #[test]
    fn without_a_usable_folder_memory_serves() {
        let gone = PathBuf::from("/proc/no-such-folder");
        let body = spooled(Some(gone), 10);
        assert_eq!(body.whole().unwrap(), spooled(None, 10).whole().unwrap());
        assert!(matches!(body, Body::Memory(_)));
    }

    #[test]
    fn what_a_full_disk_took_is_read_back_into_memory() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(Some(folder.path().to_owned()), MEMORY_BYTES);
        spool.write_all(&vec![7; MEMORY_BYTES + 1]).unwrap();
        // From now on the file can only be read, as on a disk that went read-only.
        let local = spool.file.as_mut().unwrap();
        local.file = File::open(local.path().unwrap()).unwrap();
        spool.write_all(b"more").unwrap();
        let whole = spool.finish().whole().unwrap();
        assert_eq!((whole.len(), &whole[MEMORY_BYTES..]), (MEMORY_BYTES + 5, b"\x07more".as_slice()));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
