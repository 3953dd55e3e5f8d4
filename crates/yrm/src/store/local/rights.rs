//! What the operating system lets this process do, told before it is tried.

use std::os::fd::OwnedFd;

use rustix::fs::{Access, AtFlags, Mode, Stat};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::tree::{KeyPath, Tree, failure};
use crate::error::Result;

/// Why a delete of `path` would fail: a folder that may not be written to, a sticky one of somebody else, a file
/// system that is read-only. `None` when nothing is in the way, and when nothing is there.
pub(super) fn delete_hindrance(tree: &Tree, path: KeyPath<'_>) -> Result<Option<String>> {
    let Some(folder) = tree.folder_of(path)? else { return Ok(None) };
    let doing = || format!("looking whether {:?} may be deleted", path.key);
    let file = match rustix::fs::statat(&folder, path.leaf, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(failure(errno, doing())),
    };
    let above = rustix::fs::fstat(&folder).map_err(|errno| failure(errno, doing()))?;
    match may_write(&folder) {
        Ok(()) => Ok(is_sticky_for(&above, &file).then(|| {
            format!(
                "its folder has the sticky bit, and neither the folder (user {}) nor the file (user {}) belongs to user {}, \
                 as whom yrm runs",
                above.st_uid,
                file.st_uid,
                geteuid().as_raw()
            )
        })),
        Err(Errno::ROFS) => Ok(Some("it lies on a file system that is read-only".to_owned())),
        Err(Errno::ACCESS | Errno::PERM) => Ok(Some(format!(
            "its folder belongs to user {} with mode {:03o}, and user {}, as whom yrm runs, may not write there",
            above.st_uid,
            above.st_mode & 0o7777,
            geteuid().as_raw()
        ))),
        Err(errno) => Err(failure(errno, doing())),
    }
}

/// Whether this process may make and remove names in `folder`, by the effective user.
fn may_write(folder: &OwnedFd) -> rustix::io::Result<()> {
    rustix::fs::accessat(folder, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)
}

/// Whether the folder lets only the owner of a file, its own owner and root remove it.
fn is_sticky_for(folder: &Stat, file: &Stat) -> bool {
    let user = geteuid();
    Mode::from_raw_mode(folder.st_mode).contains(Mode::SVTX)
        && !user.is_root()
        && ![folder.st_uid, file.st_uid].contains(&user.as_raw())
}
