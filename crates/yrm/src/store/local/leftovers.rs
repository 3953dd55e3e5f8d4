//! What processes that died left in a directory, put back or removed.
//!
//! Nothing here is an error of anybody else's work: what cannot be put back or removed is told, and stays.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::time::Duration;

use jiff::Timestamp;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};

use super::aside::{self, Back};
use super::listing;
use super::lock::Lock;
use super::temp::{Temp, is_beside};
use super::tree::{KeyPath, MAX_DEPTH, OWN_DEPTH, Tree};
use crate::error::Result;
use crate::store::PAGE_OBJECTS;

/// Where an older yrm moved files aside, each under its whole key.
const OLD_ASIDE: &str = ".yrm/aside/";

/// Files in the making that are older are nobody's.
const STALE: Duration = Duration::from_hours(24);

/// At the start: what lies in `.yrm`. Without the lock it waits for the next start.
pub(super) fn tidy(tree: &Tree) -> Result<()> {
    remove_stale(tree)?;
    if tree.folder_of(KeyPath::parse(".yrm/aside/x")?)?.is_some()
        && let Some(lock) = Lock::take_free(tree)?
    {
        restore_old(tree, &lock)?;
    }
    Ok(())
}

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
        tracing::info!(files = back, "put back what interrupted deletions had moved aside");
    }
    if let Some(first) = stays.first() {
        tracing::warn!(files = stays.len(), first, "files that interrupted deletions moved aside cannot be put back");
    }
    Ok(back > 0)
}

fn restore(folder: &OwnedFd, name: &str, _lock: &Lock) -> Back {
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

/// Puts back what an older yrm left in `.yrm/aside`, and removes its folders.
fn restore_old(tree: &Tree, lock: &Lock) -> Result<()> {
    for object in listing::own_files(tree, OLD_ASIDE)? {
        if let Err(error) = restore_one_old(tree, &object.key, lock) {
            tracing::warn!(key = object.key, error = error.chain(), "a file that a deletion moved aside stays there");
        }
    }
    if let Some(folder) = tree.folder_of(KeyPath::parse(".yrm/aside/x")?)? {
        remove_empty_folders(&folder, 0);
    }
    Ok(())
}

fn restore_one_old(tree: &Tree, aside_key: &str, _lock: &Lock) -> Result<()> {
    let aside_path = KeyPath::own(aside_key)?;
    let path = KeyPath::parse(&aside_key[OLD_ASIDE.len()..])?;
    let Some(from) = tree.folder_of(aside_path)? else { return Ok(()) };
    let to = tree.make_folder_of(path)?;
    match aside::bring_back_from((&from, aside_path.leaf), (&to, path.leaf)) {
        Back::There => tracing::info!(key = path.key, "put back a file that an interrupted deletion had set aside"),
        Back::Superseded => {}
        Back::Stays(error) => {
            tracing::warn!(key = aside_key, %error, "a file that a deletion moved aside stays there");
        }
    }
    Ok(())
}

fn remove_empty_folders(folder: &OwnedFd, depth: usize) {
    let Ok(entries) = Dir::read_from(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") || entry.file_type() != FileType::Directory {
            continue;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if depth < MAX_DEPTH + OWN_DEPTH
            && let Ok(below) = rustix::fs::openat(folder, name, flags, Mode::empty())
        {
            remove_empty_folders(&below, depth + 1);
        }
        // Whatever is not empty stays.
        let _ = rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR);
    }
}

/// Removes files that a process that died left in `.yrm/tmp` over a day ago.
fn remove_stale(tree: &Tree) -> Result<()> {
    let leftovers = listing::own_files(tree, ".yrm/tmp/")?;
    if leftovers.is_empty() {
        return Ok(());
    }
    let now = file_clock(tree)?;
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

/// The file system's own clock: a file created now tells its time.
fn file_clock(tree: &Tree) -> Result<Timestamp> {
    Ok(Temp::create(tree, ".yrm/tmp")?.seal(".yrm/tmp", None)?.modified())
}
