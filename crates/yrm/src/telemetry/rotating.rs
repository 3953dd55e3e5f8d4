//! The log file, in pieces of a bounded size: `log`, and before it `log.1` to `log.4`.
//!
//! Several processes may write to one file. The size is asked for before every line, and whoever finds the
//! file moved away by somebody else goes on with the new one.

use std::fs::{File, Metadata};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// A log file gets no longer than this.
pub const LOG_FILE_BYTES: u64 = 64 << 20;
/// Earlier log files that are kept.
pub const KEPT_LOG_FILES: u32 = 4;

/// A file that is appended to, and begun anew when it is long.
#[derive(Debug)]
pub(super) struct Rotating {
    path: PathBuf,
    file: File,
    at_most_bytes: u64,
}

impl Rotating {
    pub(super) fn open(path: &Path, at_most_bytes: u64) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), file: append_to(path)?, at_most_bytes })
    }

    /// Appends a line. What does not fit on the disk is lost: no reason to end anything else.
    pub(super) fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let ours = self.file.metadata()?;
        // A pipe or a terminal has no end.
        if ours.is_file() && ours.len() + line.len() as u64 > self.at_most_bytes && ours.len() > 0 {
            self.rotate(&ours)?;
        }
        self.file.write_all(line)
    }

    /// Opens the file of that name, which may be another one by now, or none yet.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        self.file = append_to(&self.path)?;
        Ok(())
    }

    fn rotate(&mut self, ours: &Metadata) -> io::Result<()> {
        let is_ours = |there: &Metadata| (there.dev(), there.ino()) == (ours.dev(), ours.ino());
        let moved = match std::fs::metadata(&self.path) {
            Ok(there) if is_ours(&there) => self.move_on(),
            // Another process, or the machine's own rotation, was first.
            Ok(_) | Err(_) => Ok(()),
        };
        match moved.and_then(|()| append_to(&self.path)) {
            Ok(file) => self.file = file,
            // Its folder may not be written to: there is no room for earlier ones.
            Err(_) => self.file.set_len(0)?,
        }
        Ok(())
    }

    /// `log.3` becomes `log.4`, and so on; the oldest goes.
    fn move_on(&self) -> io::Result<()> {
        for number in (1..KEPT_LOG_FILES).rev() {
            match std::fs::rename(self.earlier(number), self.earlier(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        std::fs::rename(&self.path, self.earlier(1))
    }

    fn earlier(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    File::options().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn sizes(folder: &Path) -> Vec<(String, u64)> {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
        let mut sizes: Vec<(String, u64)> =
            entries.map(|entry| (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().len())).collect();
        sizes.sort();
        sizes
    }

    #[test]
    fn log_files_have_a_bound_each_and_together() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = Rotating::open(&path, 100).unwrap();
        for number in 0..500 {
            log.append(format!("line {number:04}\n").as_bytes()).unwrap();
        }
        let sizes = sizes(folder.path());
        let names: Vec<&str> = sizes.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["log", "log.1", "log.2", "log.3", "log.4"]);
        assert!(sizes.iter().all(|(_, bytes)| *bytes <= 100), "{sizes:?}");
        assert!(std::fs::read_to_string(&path).unwrap().ends_with("line 0499\n"));
    }

    #[test]
    fn two_writers_share_a_log_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut writers = [0, 1].map(|_| Rotating::open(&path, 1_000).unwrap());
        for number in 0..300 {
            writers[number % 2].append(format!("line {number:04}\n").as_bytes()).unwrap();
        }
        let all: String = ["log.3", "log.2", "log.1", "log"]
            .iter()
            .map(|name| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default())
            .collect();
        assert_eq!(all.lines().count(), 300, "no line is lost: {:?}", sizes(folder.path()));
    }

    #[test]
    fn a_log_file_whose_folder_is_somebody_elses_is_begun_anew_in_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut log = Rotating::open(&path, 50).unwrap();
        // Root may rename anywhere: a folder in the way of the earlier file hinders everybody.
        std::fs::create_dir_all(folder.path().join("log.1/full")).unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        for number in 0..50 {
            log.append(format!("line {number:04}\n").as_bytes()).unwrap();
        }
        assert!(std::fs::metadata(&path).unwrap().len() <= 50);
    }
}
