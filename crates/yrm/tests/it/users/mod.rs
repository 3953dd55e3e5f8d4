//! A directory among several users: `yrm` as one, uploaders as another, a stranger as a third. What root may do
//! hides half of what goes wrong there, so every program here runs as somebody else.
//!
//! Becoming somebody else needs root: without it these tests say so and hold nothing.

mod bytes;
mod deletes;
mod inbox;
mod limits;
mod lock;
mod modes;
mod mounts;
mod rights;
mod suite;

use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::SystemTime;

/// A user and a group of the same number, which no account of this machine need have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct User(pub(crate) u32);

/// As whom `yrm` runs.
pub(crate) const SERVICE: User = User(61_001);
/// Who uploads.
pub(crate) const UPLOADER: User = User(61_002);
/// Who has no business in the bucket at all.
pub(crate) const STRANGER: User = User(61_003);

impl User {
    /// `program`, run as this user, without any privilege and with an empty environment.
    pub(crate) fn command(self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("setpriv");
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).arg("--clear-groups");
        command.arg(format!("--reuid={}", self.0)).arg(format!("--regid={}", self.0)).arg(program.as_ref());
        command
    }

    /// Makes the file or folder this user's.
    pub(crate) fn owns(self, path: &Path) {
        chown(path, Some(self.0), Some(self.0)).unwrap();
    }
}

/// Whether this process may become other users; says so where it may not.
pub(crate) fn can_become_others() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        std::io::stderr().write_all(b"skipped: only root can run programs as other users\n").unwrap();
    }
    is_root
}

/// A bucket `b` of [`SERVICE`] in a folder that everybody can reach, with an inbox that everybody may write to,
/// and a copy of `yrm` that everybody may run.
pub(crate) struct Ground {
    folder: tempfile::TempDir,
}

impl Ground {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        set_mode(folder.path(), 0o755);
        let ground = Self { folder };
        let built = Path::new(env!("CARGO_BIN_EXE_yrm"));
        // The build's own folder may be closed to others.
        if std::fs::hard_link(built, ground.program()).is_err() {
            std::fs::copy(built, ground.program()).unwrap();
        }
        for (made, mode) in [(ground.bucket(), 0o755), (ground.bucket().join("inbox"), 0o777)] {
            std::fs::create_dir(&made).unwrap();
            set_mode(&made, mode);
            SERVICE.owns(&made);
        }
        ground
    }

    fn program(&self) -> PathBuf {
        self.folder.path().join("yrm")
    }

    /// The bucket.
    pub(crate) fn bucket(&self) -> PathBuf {
        self.folder.path().join("b")
    }

    /// `yrm` on the bucket, as [`SERVICE`].
    pub(crate) fn yrm(&self, arguments: &[&str]) -> Command {
        let mut command = SERVICE.command(self.program());
        command.current_dir(self.folder.path()).args(arguments).args(["--bucket", "./b"]);
        command
    }

    /// The same, to its end: the exit code, and all that it said.
    pub(crate) fn run(&self, arguments: &[&str]) -> (i32, String) {
        said(&self.yrm(arguments).output().unwrap())
    }

    /// A file of `owner` below the bucket, last changed long ago; folders that are made for it are the owner's too.
    pub(crate) fn write(&self, owner: User, key: &str, bytes: &[u8]) -> PathBuf {
        let path = self.bucket().join(key);
        make_folder(owner, path.parent().unwrap());
        std::fs::write(&path, bytes).unwrap();
        set_mode(&path, 0o644);
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        owner.owns(&path);
        path
    }

    /// Whether there is something under `key`.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.bucket().join(key).symlink_metadata().is_ok()
    }
}

/// Makes a folder, and those above it, the owner's.
pub(crate) fn make_folder(owner: User, folder: &Path) {
    if !folder.exists() {
        make_folder(owner, folder.parent().unwrap());
        std::fs::create_dir(folder).unwrap();
        set_mode(folder, 0o755);
        owner.owns(folder);
    }
}

/// A program's exit code, and all that it said.
pub(crate) fn said(output: &Output) -> (i32, String) {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// A package that can be installed.
pub(crate) fn package(name: &str) -> Vec<u8> {
    forge::Rpm::new(name, "1", "1", "noarch").build()
}
