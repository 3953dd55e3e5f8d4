//! A file that is being written beside its place, under a name that nobody reads.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rpmmd::repodata::ReadRange;

use super::fault::io_error;
use crate::error::Result;

/// The file; gone again when it is dropped before [`Draft::publish`].
pub(super) struct Draft {
    pub(super) file: File,
    /// Empty once it is in its place.
    path: PathBuf,
}

impl Draft {
    /// A new draft in that folder.
    pub(super) fn create(folder: &Path) -> Result<Self> {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!(".draft-{}-{number}", std::process::id()));
        // One of that name was left by a process that died.
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path);
        let file = file.map_err(|error| io_error(format!("writing {}", path.display()), error))?;
        Ok(Self { file, path })
    }

    /// Puts it in its place, whole or not at all.
    pub(super) fn publish(mut self, path: &Path) -> Result<()> {
        let published = self.file.sync_all().and_then(|()| fs::rename(&self.path, path));
        published.map_err(|error| io_error(format!("writing {}", path.display()), error))?;
        self.path.clear();
        Ok(())
    }

    /// Whether a file has the same bytes.
    pub(super) fn equals(&self, path: &Path) -> io::Result<bool> {
        const PIECE: u64 = 1024 * 1024;
        let other = File::open(path)?;
        let length = self.length_bytes();
        if other.metadata()?.len() != length {
            return Ok(false);
        }
        let (mut at, mut ours, mut theirs) = (0, Vec::new(), Vec::new());
        while at < length {
            let range = at..length.min(at + PIECE);
            read(&self.file, range.clone(), &mut ours)?;
            read(&other, range, &mut theirs)?;
            if ours != theirs {
                return Ok(false);
            }
            at += PIECE;
        }
        Ok(true)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            // What went wrong before matters more than whether the draft can be removed.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl ReadRange for Draft {
    fn length_bytes(&self) -> u64 {
        self.file.metadata().map_or(0, |metadata| metadata.len())
    }

    fn read_into(&self, range: Range<u64>, bytes: &mut Vec<u8>) -> io::Result<()> {
        read(&self.file, range, bytes)
    }
}

fn read(file: &File, range: Range<u64>, bytes: &mut Vec<u8>) -> io::Result<()> {
    let length = usize::try_from(range.end - range.start).map_err(|_| io::ErrorKind::InvalidInput)?;
    bytes.resize(length, 0);
    file.read_exact_at(bytes, range.start)
}
