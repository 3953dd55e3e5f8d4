//! A directory's keys, page by page, in the byte order of the whole keys as S3 has it: `a.rpm`
//! comes before `a/b.rpm` because `.` comes before `/`.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::leftovers;
use super::tree::{Identity, KeyPath, MAX_DEPTH, OWN_BYTES, OWN_DEPTH, Tree, failure};
use crate::error::Result;
use crate::store::key::MAX_KEY_BYTES;
use crate::store::{Object, PAGE_OBJECTS, Page};

/// What of the store's own is no object: temporary files, files being deleted, the lock.
pub(super) const HIDDEN: [&str; 3] = [".yrm/tmp/", ".yrm/aside/", ".yrm/lock"];

/// One page of the regular files whose key starts with `prefix` and comes after `after`.
///
/// Links, special files, names that are not UTF-8, keys too long and folders too deep are left
/// out (a warning says so); what disappears meanwhile is left out too. A prefix that leads through
/// a link is an error: what is behind it must not look empty.
pub(super) fn page(tree: &Tree, prefix: &str, after: Option<&str>) -> Result<Page> {
    if let Ok(path) = KeyPath::parse(&format!("{prefix}-")) {
        tree.folder_of(path)?;
    }
    let mut walk = Walk::new(prefix, after.unwrap_or(""), Hide::OwnFiles);
    walk.folder(&tree.root()?, "", 0)?;
    // What a deletion that was interrupted moved aside belongs to the listing. Who may not put it back reads on.
    if !walk.leftovers.is_empty() && leftovers::settle(tree, &walk.leftovers).unwrap_or(false) {
        walk = Walk::new(prefix, after.unwrap_or(""), Hide::OwnFiles);
        walk.folder(&tree.root()?, "", 0)?;
    }
    let Walk { mut objects, unreadable, .. } = walk;
    let more = objects.len() > PAGE_OBJECTS;
    objects.truncate(PAGE_OBJECTS);
    let next = objects.last().filter(|_| more).map(|object| object.key.clone());
    Ok(Page { objects, next, unreadable })
}

/// The first page's worth of files below `folder` (a key prefix that ends with `/`), the store's own included.
pub(super) fn own_files(tree: &Tree, folder: &str) -> Result<Vec<Object>> {
    let mut walk = Walk::new(folder, "", Hide::Nothing);
    walk.folder(&tree.root()?, "", 0)?;
    Ok(walk.objects)
}

/// What of the store's own a walk passes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hide {
    OwnFiles,
    Nothing,
}

struct Walk<'a> {
    prefix: &'a str,
    after: &'a str,
    hide: Hide,
    objects: Vec<Object>,
    unreadable: Vec<String>,
    /// Folders in which something of the store's own was left.
    leftovers: BTreeSet<String>,
}

impl<'a> Walk<'a> {
    fn new(prefix: &'a str, after: &'a str, hide: Hide) -> Self {
        Self { prefix, after, hide, objects: Vec::new(), unreadable: Vec::new(), leftovers: BTreeSet::new() }
    }

    fn hides(&self) -> bool {
        self.hide == Hide::OwnFiles
    }

    /// Bytes of a key; the store's own have another key's in theirs.
    fn longest(&self) -> usize {
        if self.hides() { MAX_KEY_BYTES } else { MAX_KEY_BYTES + OWN_BYTES }
    }

    fn deepest(&self) -> usize {
        if self.hides() { MAX_DEPTH } else { MAX_DEPTH + OWN_DEPTH }
    }

    fn full(&self) -> bool {
        self.objects.len() > PAGE_OBJECTS
    }

    /// Whether any key below `path` (which ends with `/`) can be on the page.
    fn enters(&self, path: &str) -> bool {
        let in_prefix = path.starts_with(self.prefix) || self.prefix.starts_with(path);
        let not_before = path > self.after || self.after.starts_with(path);
        in_prefix && not_before && !(self.hides() && HIDDEN.contains(&path))
    }

    fn takes(&self, key: &str) -> bool {
        key.starts_with(self.prefix) && key > self.after && !(self.hides() && HIDDEN.contains(&key))
    }

    fn folder(&mut self, folder: &OwnedFd, path: &str, depth: usize) -> Result<()> {
        for (key, is_folder) in self.entries(folder, path)? {
            if self.full() {
                return Ok(());
            }
            if is_folder {
                self.below(folder, &key[path.len()..], &key, depth + 1)?;
            } else {
                self.file(folder, path.len(), key)?;
            }
        }
        Ok(())
    }

    /// The keys in one folder, in order; folders end with `/`.
    fn entries(&mut self, folder: &OwnedFd, path: &str) -> Result<Vec<(String, bool)>> {
        let doing = || format!("listing the folder {path:?}");
        let mut entries = Vec::new();
        for entry in Dir::read_from(folder).map_err(|errno| failure(errno, doing()))? {
            let entry = entry.map_err(|errno| failure(errno, doing()))?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let Ok(text) = name.to_str() else {
                tracing::warn!(folder = path, name = ?name, "left out of the listing: its name is not UTF-8");
                continue;
            };
            let kind = match entry.file_type() {
                // Some file systems do not say.
                FileType::Unknown => match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                    Err(Errno::NOENT) => continue,
                    Err(errno) => return Err(failure(errno, doing())),
                },
                known => known,
            };
            let key = match kind {
                FileType::Directory => format!("{path}{text}/"),
                FileType::RegularFile => format!("{path}{text}"),
                other => {
                    tracing::warn!(folder = path, name = text, kind = ?other, "left out of the listing: not a regular file");
                    continue;
                }
            };
            if kind == FileType::RegularFile && self.hides() && leftovers::is_leftover(text) {
                if key.starts_with(self.prefix) {
                    self.leftovers.insert(path.to_owned());
                }
                continue;
            }
            let wanted = if kind == FileType::Directory { self.enters(&key) } else { self.takes(&key) };
            if !wanted {
                continue;
            }
            if key.len() > self.longest() {
                tracing::warn!(folder = path, name = text, "left out of the listing: its key is too long");
                continue;
            }
            entries.push((key, kind == FileType::Directory));
        }
        entries.sort_unstable();
        Ok(entries)
    }

    fn below(&mut self, parent: &OwnedFd, name: &str, path: &str, depth: usize) -> Result<()> {
        if depth >= self.deepest() {
            tracing::warn!(folder = path, "left out of the listing: too deep");
            return Ok(());
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(parent, name.trim_end_matches('/'), flags, Mode::empty()) {
            Ok(folder) => self.folder(&folder, path, depth),
            // Gone, or something else by now.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(()),
            Err(Errno::ACCESS | Errno::PERM) => {
                self.unreadable.push(path.to_owned());
                Ok(())
            }
            Err(errno) => Err(failure(errno, format!("listing the folder {path:?}"))),
        }
    }

    fn file(&mut self, folder: &OwnedFd, name_at: usize, key: String) -> Result<()> {
        let stat = match rustix::fs::statat(folder, &key[name_at..], AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => stat,
            Ok(_) | Err(Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(failure(errno, format!("looking at {key:?}"))),
        };
        self.objects.push(object(key, Identity::of(&stat)));
        Ok(())
    }
}

/// A file as an object. A directory keeps no user metadata and no checksum.
pub(super) fn object(key: String, identity: Identity) -> Object {
    Object {
        key,
        etag: identity.etag(),
        size_bytes: identity.size_bytes,
        modified: identity.modified(),
        since: identity.since(),
        sha256: None,
        user: BTreeMap::new(),
    }
}
