//! The folder for new programs, and the marks of those that were started.
//!
//! A mark stands from just before a program is started until its first good run. Whoever finds
//! one knows that the program was started and did not get that far: it is not started again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rpmmd::checksum::{Sha256, Sha256Stream};

use crate::error::{Error, ErrorKind, Result};

/// What the names begin with: programs, marks, the mark of the one to be started next, and
/// programs that are being written.
const PROGRAM: &str = "yrm-";
const MARK: &str = "tried-";
const NEXT_MARK: &str = "next";
const DRAFT: &str = "draft-";

/// Bytes hashed at a time.
const PIECE_BYTES: usize = 1 << 20;

/// A folder for one bucket's programs.
#[derive(Debug, Clone)]
pub(super) struct Place {
    folder: PathBuf,
}

impl Place {
    /// Below the first of `folders` that can be written to.
    pub(super) fn open(folders: &[PathBuf], bucket: &str) -> Result<Self> {
        let mut refusals = Vec::new();
        for folder in folders {
            let place = Self { folder: folder.join("update").join(bucket) };
            let tried = fs::create_dir_all(&place.folder).and_then(|()| place.draft());
            match tried {
                Ok(_draft) => return Ok(place),
                Err(error) => refusals.push(format!("{}: {error}", place.folder.display())),
            }
        }
        Err(Error::new(ErrorKind::Config, "finding a folder for new programs")
            .because(refusals.join("; "))
            .hint("give the service a folder of its own: StateDirectory=yrm in its unit, or STATE_DIRECTORY"))
    }

    /// Where the program with this digest is, if it is there.
    pub(super) fn program(&self, digest: Sha256) -> PathBuf {
        self.folder.join(format!("{PROGRAM}{digest}"))
    }

    /// The mark of the program with this digest.
    pub(super) fn mark(&self, digest: Sha256) -> PathBuf {
        self.folder.join(format!("{MARK}{digest}"))
    }

    /// Whether it was started and came to no good run.
    pub(super) fn is_marked(&self, digest: Sha256) -> bool {
        self.mark(digest).exists()
    }

    /// Puts down a mark without a name, so that naming it cannot fail for want of room.
    pub(super) fn prepare_mark(&self) -> io::Result<()> {
        let mut mark = File::create(self.folder.join(NEXT_MARK))?;
        mark.write_all(b"This program was started. The mark goes with its first good run.\n")?;
        mark.sync_all()
    }

    /// Marks the program with this digest; only what was prepared.
    pub(super) fn set_mark(&self, digest: Sha256) -> io::Result<()> {
        fs::rename(self.folder.join(NEXT_MARK), self.mark(digest))?;
        File::open(&self.folder)?.sync_all()
    }

    /// A new file for a program.
    pub(super) fn draft(&self) -> io::Result<Draft> {
        let path = self.folder.join(format!("{DRAFT}{}", std::process::id()));
        // Whatever was left there by another process of this number.
        fs::remove_file(&path).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })?;
        let file = OpenOptions::new().write(true).create_new(true).mode(0o700).open(&path)?;
        Ok(Draft { file, digest: Sha256Stream::default(), path: Some(path) })
    }

    /// Makes `draft` the program with this digest.
    pub(super) fn keep(&self, draft: Draft, digest: Sha256) -> io::Result<PathBuf> {
        draft.file.sync_all()?;
        let path = self.program(digest);
        fs::rename(draft.path.as_ref().expect("a draft has its name until it is kept"), &path)?;
        // Nobody may hold a program open for writing when it is started.
        drop(draft.named());
        Ok(path)
    }

    /// Removes all programs but those with these digests, and what was begun. What cannot be
    /// removed takes room and does no harm.
    pub(super) fn tidy(&self, wanted: &[Sha256]) {
        let wanted: Vec<PathBuf> = wanted.iter().map(|digest| self.program(*digest)).collect();
        let entries = fs::read_dir(&self.folder).into_iter().flatten().filter_map(Result::<_, io::Error>::ok);
        for entry in entries {
            let name = entry.file_name();
            let is_ours = name.to_str().is_some_and(|name| name.starts_with(PROGRAM) || name.starts_with(DRAFT));
            if is_ours && !wanted.contains(&entry.path()) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// A program that is being written; it goes if it is not kept.
#[derive(Debug)]
pub(super) struct Draft {
    file: File,
    digest: Sha256Stream,
    path: Option<PathBuf>,
}

impl Draft {
    /// Appends.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.digest.update(bytes);
        self.file.write_all(bytes)
    }

    /// The digest of what was written so far.
    pub(super) fn digest(&self) -> Sha256 {
        self.digest.clone().finish()
    }

    /// It has another name now.
    fn named(mut self) -> Self {
        self.path = None;
        self
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            let _ = fs::remove_file(path);
        }
    }
}

/// The digest of the file at `path`.
pub(super) fn digest_of(path: &Path) -> io::Result<Sha256> {
    let (mut file, mut digest, mut piece) = (File::open(path)?, Sha256Stream::default(), vec![0; PIECE_BYTES]);
    loop {
        match io::Read::read(&mut file, &mut piece)? {
            0 => return Ok(digest.finish()),
            length => digest.update(&piece[..length]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_there_when_it_is_whole_and_a_mark_stays_until_it_is_taken_away() {
        let folder = tempfile::TempDir::new().unwrap();
        let not_a_folder = folder.path().join("file");
        fs::write(&not_a_folder, "").unwrap();
        let place = Place::open(&[not_a_folder.clone(), folder.path().to_owned()], "bucket").unwrap();
        let mut draft = place.draft().unwrap();
        draft.write(b"pro").unwrap();
        draft.write(b"gram").unwrap();
        let digest = draft.digest();
        assert_eq!(digest, Sha256::of(b"program"));
        drop(place.draft());
        assert!(!place.program(digest).exists());

        let mut draft = place.draft().unwrap();
        draft.write(b"program").unwrap();
        let path = place.keep(draft, digest).unwrap();
        assert_eq!((digest_of(&path).unwrap(), path), (digest, place.program(digest)));
        place.set_mark(digest).unwrap_err();
        place.prepare_mark().unwrap();
        assert!(!place.is_marked(digest));
        place.set_mark(digest).unwrap();
        assert!(place.is_marked(digest));
        place.tidy(&[digest]);
        assert!(place.program(digest).exists());
        place.tidy(&[]);
        assert!(!place.program(digest).exists() && place.is_marked(digest));

        let error = Place::open(&[not_a_folder], "bucket").unwrap_err();
        assert!(error.chain().contains("/file/update/bucket: "), "{}", error.chain());
    }
}
