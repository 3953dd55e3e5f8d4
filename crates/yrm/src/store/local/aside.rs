//! Deleting where uploaders are plain `cp` and `mv`, who know no lock.
//!
//! A file that is to go is first moved aside, under a hidden name beside its own, and judged there: if it is
//! another one after all, it goes back, unless a still newer one has come. Aside is the same folder, so that it is
//! the same file system and no other right is needed than for the delete itself. It is moved onto an empty file, so
//! that the kernel refuses to move a folder. What a crash leaves aside goes back when its folder is listed.
//!
//! It goes back by a rename that replaces nothing: that needs no right to the file itself, which is an uploader's.

use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::lock::Lock;
use super::tree::{Identity, KeyPath, Tree, failure, stat_at};
use crate::error::Result;
use crate::store::{ETag, Outcome};

/// What the name of a file that is aside begins with; then come digits, and the name that it had.
const PREFIX: &str = ".yrm-aside-";

/// Random digits in the name.
const DIGITS: usize = 16;

/// Bytes of a name in a folder, at most.
const MAX_NAME_BYTES: usize = 255;

/// The name that a file had which now lies under `name`; `None` where that is no name of a file that is aside.
pub(super) fn had_name(name: &str) -> Option<&str> {
    let (digits, leaf) = name.strip_prefix(PREFIX)?.split_at_checked(DIGITS)?;
    let is_ours = digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    leaf.strip_prefix('-').filter(|leaf| is_ours && !leaf.is_empty() && *leaf != "." && *leaf != "..")
}

/// A new name for `leaf`. One that would be too long loses what stands before its ending: then a crash gives the
/// file back under a shorter name, and the process that moved it still knows the whole one.
fn new_name(leaf: &str) -> String {
    let room = MAX_NAME_BYTES - PREFIX.len() - DIGITS - 1;
    let digits = rand::random::<u64>();
    let (stem, ending) = leaf.rfind('.').map_or((leaf, ""), |dot| leaf.split_at(dot));
    let (stem, ending) = if ending.len() < room { (stem, ending) } else { (leaf, "") };
    let mut end = stem.len().min(room - ending.len());
    while !stem.is_char_boundary(end) {
        end -= 1;
    }
    format!("{PREFIX}{digits:016x}-{}{ending}", &stem[..end])
}

/// Deletes `path` if its ETag is still `if_match`.
pub(super) fn delete(tree: &Tree, path: KeyPath<'_>, if_match: &ETag, _lock: &Lock<'_>) -> Result<Outcome<()>> {
    let Some(folder) = tree.folder_of(path)? else { return Ok(Outcome::Missing) };
    match stat_at(&folder, path.leaf, path.key)? {
        None => return Ok(Outcome::Missing),
        Some(there) if there.etag() != *if_match => return Ok(Outcome::Lost),
        Some(_) => {}
    }
    let aside = new_name(path.leaf);
    let doing = || format!("renaming {:?} for a moment", path.key);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let placeholder = rustix::fs::openat(&folder, aside.as_str(), flags, Mode::RUSR | Mode::WUSR);
    drop(placeholder.map_err(|errno| failure(errno, doing()))?);
    if let Err(errno) = rustix::fs::renameat(&folder, path.leaf, &folder, aside.as_str()) {
        let _ = rustix::fs::unlinkat(&folder, aside.as_str(), AtFlags::empty());
        return match errno {
            Errno::NOENT => Ok(Outcome::Missing),
            // A folder took its place.
            Errno::NOTDIR | Errno::ISDIR => Ok(Outcome::Lost),
            errno => Err(failure(errno, doing())),
        };
    }
    let moved = rustix::fs::statat(&folder, aside.as_str(), AtFlags::SYMLINK_NOFOLLOW);
    let is_it = moved.is_ok_and(|moved| {
        FileType::from_raw_mode(moved.st_mode) == FileType::RegularFile && Identity::of(&moved).etag() == *if_match
    });
    if !is_it {
        tell(bring_back(&folder, &aside, path.leaf), path.key);
        return Ok(Outcome::Lost);
    }
    match rustix::fs::unlinkat(&folder, aside.as_str(), AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(Outcome::Done(())),
        Err(errno) => {
            tell(bring_back(&folder, &aside, path.leaf), path.key);
            Err(failure(errno, format!("removing {:?}", path.key)))
        }
    }
}

/// What became of a file that was to go back.
#[derive(Debug)]
pub(super) enum Back {
    /// It is where it was, or gone by somebody else's hand.
    There,
    /// What was uploaded last counts, as if it had overwritten this one.
    Superseded,
    /// It stays aside, and why.
    Stays(std::io::Error),
}

/// Gives the file `aside` in `folder` the name `leaf`, where nothing is.
pub(super) fn bring_back(folder: &OwnedFd, aside: &str, leaf: &str) -> Back {
    bring_back_from((folder, aside), (folder, leaf))
}

/// A name in a folder.
type Place<'a> = (&'a OwnedFd, &'a str);

/// The same from another folder.
pub(super) fn bring_back_from(from: Place<'_>, to: Place<'_>) -> Back {
    let answer = match rustix::fs::renameat_with(from.0, from.1, to.0, to.1, RenameFlags::NOREPLACE) {
        // NFS and others do not have that.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => rename_where_nothing_is(from, to),
        answer => answer,
    };
    match answer {
        Ok(()) | Err(Errno::NOENT) => Back::There,
        Err(Errno::EXIST) if is_file(to) => match rustix::fs::unlinkat(from.0, from.1, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Back::Superseded,
            Err(errno) => Back::Stays(errno.into()),
        },
        Err(errno) => Back::Stays(errno.into()),
    }
}

/// The same in two steps: by a second name where that is allowed, else after a look.
fn rename_where_nothing_is(from: Place<'_>, to: Place<'_>) -> rustix::io::Result<()> {
    match rustix::fs::linkat(from.0, from.1, to.0, to.1, AtFlags::empty()) {
        Ok(()) => rustix::fs::unlinkat(from.0, from.1, AtFlags::empty()),
        Err(errno @ (Errno::EXIST | Errno::NOENT)) => Err(errno),
        Err(_) => match rustix::fs::statat(to.0, to.1, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => rustix::fs::renameat(from.0, from.1, to.0, to.1),
            Ok(_) => Err(Errno::EXIST),
            Err(errno) => Err(errno),
        },
    }
}

fn is_file((folder, name): Place<'_>) -> bool {
    rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|there| FileType::from_raw_mode(there.st_mode) == FileType::RegularFile)
}

fn tell(back: Back, key: &str) {
    match back {
        Back::There | Back::Superseded => {}
        Back::Stays(error) => {
            tracing::warn!(key, %error, "a file that came while another was being deleted stays under a hidden name");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_aside_tells_which_it_was() {
        for leaf in ["a.rpm", "-", "ü~^.rpm", &format!("{}.rpm", "x".repeat(223))] {
            assert_eq!(had_name(&new_name(leaf)), Some(leaf));
        }
        for long in [format!("{}.rpm", "x".repeat(251)), "ü".repeat(127), format!("a.{}", "x".repeat(253))] {
            let name = new_name(&long);
            assert!(name.len() <= MAX_NAME_BYTES && had_name(&name).is_some(), "{name}");
        }
        assert!(new_name(&format!("{}.rpm", "x".repeat(251))).ends_with("x.rpm"));
        for other in [".yrm-aside-", ".yrm-aside-0123456789abcdef", ".yrm-aside-0123456789abcdef-", "a.rpm"] {
            assert_eq!(had_name(other), None);
        }
        assert_eq!(had_name(".yrm-aside-0123456789abcdef-.."), None);
        assert_eq!(had_name(".yrm-aside-0123456789abcdeF-a"), None);
    }
}
