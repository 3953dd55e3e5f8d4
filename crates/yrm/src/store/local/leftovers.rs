//! What processes that died left in a directory, put back or removed.
//!
//! Nothing here is an error of anybody else's work: what cannot be put back or removed is told, and stays.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::time::Duration;

use jiff::Timestamp;
use rustix::fs::{AtFlags, Dir, FileType};

use super::aside::{self, Back};
use super::lock::Lock;
use super::temp::{Temp, is_beside};
use super::tree::{KeyPath, Tree};
use crate::error::Result;
use crate::store::PAGE_OBJECTS;

/// Files in the making that are older are nobody's.
pub(super) const STALE: Duration = Duration::from_hours(24);

/// Puts back and removes what a listing met in `folders` (prefixes that end with `/`, or are empty). Whether
/// anything was put back: then the listing is to be made again. Whoever holds the lock may be deleting just now.
pub(super) fn settle(tree: &Tree, folders: &BTreeSet<String>) -> Result<bool> {
    let Some(lock) = Lock::take_free(tree)? else { return Ok(false) };
    let (mut back, mut stays, mut now) = (0_u64, Vec::new(), None);
    for folder in folders {
        let Some(fd) = tree.folder_of(KeyPath::own(&format!("{folder}x"))?)? else { continue };
        for name in names_of_leftovers(&fd) {
            if is_beside(&name) {
                remove_if_stale(tree, &fd, &name, &mut now)?;
                continue;
            }
            match restore(&fd, &name, &lock) {
                Back::There => back += 1,
                Back::Superseded => {}
                Back::Stays(error) => stays.push(format!("{folder}{name}: {error}")),
            }
        }
    }
    if back > 0 {
        tracing::info!(files = back, "put back the files that interrupted deletions had renamed");
    }
    if let Some(first) = stays.first() {
        tracing::warn!(files = stays.len(), first, "files that interrupted deletions had renamed cannot be put back");
    }
    Ok(back > 0)
}

fn restore(folder: &OwnedFd, name: &str, _lock: &Lock<'_>) -> Back {
    let Some(leaf) = aside::had_name(name) else { return Back::There };
    let is_empty = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| stat.st_size == 0);
    // Nothing had been moved onto it yet.
    if is_empty && rustix::fs::unlinkat(folder, name, AtFlags::empty()).is_ok() {
        return Back::Superseded;
    }
    aside::bring_back(folder, name, leaf)
}

/// Whether a file under this name is no object but something of the store's own.
pub(super) fn is_leftover(name: &str) -> bool {
    is_beside(name) || aside::had_name(name).is_some()
}

fn names_of_leftovers(folder: &OwnedFd) -> Vec<String> {
    let Ok(entries) = Dir::read_from(folder) else { return Vec::new() };
    let names = entries.flatten().filter_map(|entry| entry.file_name().to_str().ok().map(str::to_owned));
    // Anybody can make such names: more than so many wait for the next listing.
    names.filter(|name| is_leftover(name)).take(PAGE_OBJECTS).collect()
}

/// Removes a file in the making of our own whose owner must have died: by its last change of any kind, for its
/// time may be that of an upload.
fn remove_if_stale(tree: &Tree, folder: &OwnedFd, name: &str, now: &mut Option<Timestamp>) -> Result<()> {
    let Ok(stat) = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) else { return Ok(()) };
    let is_ours = stat.st_uid == rustix::process::geteuid().as_raw();
    let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    let clock = match now {
        Some(now) => *now,
        None => *now.insert(file_clock(tree)?),
    };
    let age = clock.as_second().saturating_sub(stat.st_ctime);
    if is_ours && is_file && u64::try_from(age).is_ok_and(|age| age >= STALE.as_secs()) {
        let _ = rustix::fs::unlinkat(folder, name, AtFlags::empty());
    }
    Ok(())
}

/// The file system's own clock: a file created now tells its time.
pub(super) fn file_clock(tree: &Tree) -> Result<Timestamp> {
    Ok(Temp::create(tree, ".yrm/tmp")?.seal(".yrm/tmp", None)?.modified())
}
