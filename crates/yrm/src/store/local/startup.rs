//! What lies in `.yrm` of a directory from processes that died, looked for at the start.

use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};

use super::aside::{self, Back};
use super::leftovers::{STALE, file_clock};
use super::listing;
use super::lock::Lock;
use super::tree::{KeyPath, MAX_DEPTH, OWN_DEPTH, Tree};
use crate::error::Result;

/// Where an older yrm moved files aside, each under its whole key.
const OLD_ASIDE: &str = ".yrm/aside/";

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

/// Puts back what an older yrm left in `.yrm/aside`, and removes its folders.
fn restore_old(tree: &Tree, lock: &Lock<'_>) -> Result<()> {
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

fn restore_one_old(tree: &Tree, aside_key: &str, _lock: &Lock<'_>) -> Result<()> {
    let aside_path = KeyPath::own(aside_key)?;
    let path = KeyPath::parse(&aside_key[OLD_ASIDE.len()..])?;
    let Some(from) = tree.folder_of(aside_path)? else { return Ok(()) };
    let to = tree.make_folder_of(path)?;
    match aside::bring_back_from((&from, aside_path.leaf), (&to, path.leaf)) {
        Back::There => tracing::info!(key = path.key, "put back a file that an interrupted deletion had renamed"),
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
