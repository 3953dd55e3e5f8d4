//! What `yrm doctor` says of a directory besides what every store is asked for: several users and file systems.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use rustix::fs::{Access, AtFlags, Mode, RenameFlags};
use rustix::io::Errno;

use super::listing;
use super::lock::Lock;
use super::rights;
use super::temp::Temp;
use super::tree::{KeyPath, Tree};
use crate::config::Folders;
use crate::error::Result;
use crate::store::ProbeRow;
use crate::store::key::QUARANTINE_PREFIX;

/// The facts, one row each.
pub(super) fn rows(tree: &Tree, folders: &Folders) -> Result<Vec<ProbeRow>> {
    Ok(vec![lock(tree), deletes(tree, folders)?, file_systems(tree, folders)?, readers(tree, folders)?])
}

fn lock(tree: &Tree) -> ProbeRow {
    let name = "the lock on .yrm/lock can be had";
    match Lock::take(tree) {
        Ok(_) => ProbeRow { name, ok: true, seen: "had at once, and given back".to_owned() },
        Err(error) => ProbeRow { name, ok: false, seen: error.chain() },
    }
}

/// Of the first page of the inbox: one file of each folder tells of all in it.
fn deletes(tree: &Tree, folders: &Folders) -> Result<ProbeRow> {
    let name = "uploads may be taken out of the inbox";
    let inbox = format!("{}/", folders.inbox);
    let page = listing::page(tree, &listing::Listings::default(), &inbox, None)?;
    let mut folders_seen: BTreeMap<&str, &str> = BTreeMap::new();
    for object in &page.objects {
        folders_seen.entry(object.key.rsplit_once('/').map_or("", |(folder, _)| folder)).or_insert(&object.key);
    }
    let mut hindered = Vec::new();
    for (folder, key) in &folders_seen {
        if let Some(why) = rights::delete_hindrance(tree, KeyPath::parse(key)?)? {
            hindered.push(format!("{folder}/: {why}"));
        }
    }
    // An empty inbox tells by itself.
    if let Some(folder) = folder(tree, &folders.inbox)?
        && rustix::fs::accessat(&folder, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS).is_err()
        && hindered.is_empty()
    {
        hindered.push(format!("{inbox}: yrm's user may not write there"));
    }
    Ok(match hindered.first() {
        None => ProbeRow { name, ok: true, seen: format!("{} folders with uploads looked at", folders_seen.len()) },
        Some(first) => ProbeRow {
            name,
            ok: false,
            seen: format!(
                "{first}{}",
                if hindered.len() > 1 { format!(" (and {} more)", hindered.len() - 1) } else { String::new() }
            ),
        },
    })
}

/// Whether a file gets from `.yrm` to each folder by a rename, which alone tells of mounts of the same file system.
fn file_systems(tree: &Tree, folders: &Folders) -> Result<ProbeRow> {
    let name = "what is written is put in place by a rename";
    let mut apart = Vec::new();
    for name in [folders.inbox.as_str(), folders.repo.as_str(), QUARANTINE_PREFIX.trim_end_matches('/')] {
        if !name.is_empty()
            && let Some(folder) = folder(tree, name)?
            && is_apart(tree, &folder)?
        {
            apart.push(format!("{name}/"));
        }
    }
    let seen = if apart.is_empty() {
        "all on one file system".to_owned()
    } else {
        format!("{} has a file system of its own: what goes there is written twice", apart.join(" and "))
    };
    Ok(ProbeRow { name, ok: apart.is_empty(), seen })
}

fn is_apart(tree: &Tree, folder: &OwnedFd) -> Result<bool> {
    let temp = Temp::create(tree, ".yrm/tmp")?;
    let to = format!(".yrm-tmp-{:032x}", rand::random::<u128>());
    let moved = rustix::fs::renameat_with(temp.folder(), temp.name(), folder, to.as_str(), RenameFlags::NOREPLACE);
    if moved.is_ok() {
        let _ = rustix::fs::unlinkat(folder, to.as_str(), AtFlags::empty());
    }
    Ok(matches!(moved, Err(Errno::XDEV)))
}

/// Whether a web server that is another user gets to `repo/`.
fn readers(tree: &Tree, folders: &Folders) -> Result<ProbeRow> {
    let name = "other users (a web server) may read the packages";
    let closed = |folder: &OwnedFd| {
        rustix::fs::fstat(folder).is_ok_and(|stat| !Mode::from_raw_mode(stat.st_mode).contains(Mode::XOTH))
    };
    let root = tree.root()?;
    let closed_at = if closed(&root) {
        Some("the bucket's own folder".to_owned())
    } else {
        let own = if folders.repo.is_empty() { None } else { folder(tree, &folders.repo)? };
        own.filter(closed).map(|_| folders.repo_shown())
    };
    Ok(match closed_at {
        None => ProbeRow { name, ok: true, seen: "its folders let others in".to_owned() },
        Some(at) => ProbeRow { name, ok: false, seen: format!("{at} lets nobody else in: chmod o+x it if one should") },
    })
}

fn folder(tree: &Tree, name: &str) -> Result<Option<OwnedFd>> {
    tree.folder_of(KeyPath::parse(&format!("{name}/x"))?)
}
