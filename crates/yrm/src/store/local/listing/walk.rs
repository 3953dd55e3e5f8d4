//! A walk through a tree of folders, which can stop after every file and go on later. It keeps no
//! folder open meanwhile: it goes on by path, and what is gone or has become something else by
//! then is left out.

use std::collections::{BTreeSet, BinaryHeap};
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::left_out::{LeftOut, kind_name};
use super::object::{HIDDEN, object};
use crate::error::{ErrorKind, Result};
use crate::store::key::MAX_KEY_BYTES;
use crate::store::local::leftovers;
use crate::store::local::tree::{Identity, KeyPath, MAX_DEPTH, OWN_BYTES, OWN_DEPTH, Tree, failure};
use crate::store::{Object, Page, Unreadable};

/// What a remembered name takes beside its own bytes.
const NAME_BYTES: usize = 32;
/// A folder's share of what a walk may remember is never less than this.
const LEAST_BYTES: usize = 64 << 10;
/// Folders and files that cannot be read and are named, a page; more of them are counted only.
const MAX_UNREADABLE: usize = 100;

/// A walk, between two files.
#[derive(Debug)]
pub(super) struct Walk {
    number: u64,
    prefix: String,
    /// Where it began.
    after: String,
    /// Where it is: the last key that it gave.
    at: String,
    /// Whether the store's own files are no objects.
    hide: bool,
    /// Folders that were entered, the deepest last; `None` before the start.
    levels: Option<Vec<Level>>,
    /// Folders above the first of them.
    above: usize,
    may_remember_bytes: usize,
    left_out: LeftOut,
    entries_read: u64,
}

/// A folder on the way.
#[derive(Debug)]
struct Level {
    /// Its key; ends with `/`, but for the root's.
    path: String,
    /// What is still to be looked at, in reverse order; folders end with `/`.
    names: Vec<Box<str>>,
    /// What the names take.
    bytes: usize,
    /// The last name that was read, when there are more behind it.
    more_after: Option<Box<str>>,
    /// Open during a page only.
    folder: Option<OwnedFd>,
}

/// Names of one folder: the first ones, as many as may be remembered.
#[derive(Debug, Default)]
struct Names {
    heap: BinaryHeap<Box<str>>,
    bytes: usize,
    cut: bool,
    /// Whether the folder has something of the store's own, which an interrupted call left.
    leftovers: bool,
}

impl Names {
    fn add(&mut self, name: Box<str>, at_most_bytes: usize) {
        if self.cut && self.heap.peek().is_some_and(|last| *last < name) {
            return;
        }
        self.bytes += name.len() + NAME_BYTES;
        self.heap.push(name);
        while self.bytes > at_most_bytes && self.heap.len() > 1 {
            self.bytes -= self.heap.pop().map_or(0, |last| last.len() + NAME_BYTES);
            self.cut = true;
        }
    }
}

/// An error that is one entry's and no reason to keep the others waiting. That this process has no
/// more files or memory is none.
fn is_one_entrys(errno: Errno) -> bool {
    matches!(errno, Errno::ACCESS | Errno::PERM | Errno::IO | Errno::STALE | Errno::OVERFLOW | Errno::NOTCONN)
}

impl Walk {
    /// From the first key with `prefix` behind `after` on.
    pub(super) fn new(number: u64, prefix: &str, after: &str, may_remember_bytes: usize) -> Self {
        Self {
            number,
            prefix: prefix.to_owned(),
            after: after.to_owned(),
            at: after.to_owned(),
            hide: true,
            levels: None,
            above: 0,
            may_remember_bytes,
            left_out: LeftOut::default(),
            entries_read: 0,
        }
    }

    /// Through what the store keeps for itself.
    pub(super) fn of_our_own(folder: &str, may_remember_bytes: usize) -> Self {
        Self { hide: false, ..Self::new(0, folder, "", may_remember_bytes) }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether its next page is the one of `prefix` behind `after`.
    pub(super) fn is_at(&self, prefix: &str, after: &str) -> bool {
        self.prefix == prefix && self.at == after
    }

    /// What was left out so far.
    pub(super) fn left_out(&self) -> &LeftOut {
        &self.left_out
    }

    /// Entries of folders that were read since this was asked.
    pub(super) fn take_entries_read(&mut self) -> u64 {
        std::mem::take(&mut self.entries_read)
    }

    /// The next page. After an error the walk is of no use.
    pub(super) fn page(&mut self, tree: &Tree, objects_at_most: usize) -> Result<Page> {
        let mut page = Page { objects: Vec::new(), next: None, unreadable: Vec::new() };
        if self.levels.is_none() {
            self.levels = Some(Vec::new());
            self.start(tree, &mut page)?;
        }
        while let Some(object) = self.next(tree, &mut page)? {
            if page.objects.len() == objects_at_most {
                // One too many: it is the first of the next page.
                self.give_back(&object.key);
                page.next = page.objects.last().map(|last| last.key.clone());
                break;
            }
            page.objects.push(object);
        }
        self.at = page.next.clone().unwrap_or_default();
        for level in self.levels.iter_mut().flatten() {
            level.folder = None;
        }
        Ok(page)
    }

    /// Enters the folder that holds all of the prefix: those above it may be large. Where that cannot be opened
    /// the way there is walked, to tell what is in it.
    fn start(&mut self, tree: &Tree, page: &mut Page) -> Result<()> {
        let path = self.prefix.rfind('/').map_or("", |end| &self.prefix[..=end]).to_owned();
        let is_hidden = self.hide && HIDDEN.iter().any(|hidden| path.starts_with(hidden));
        if !path.is_empty()
            && !is_hidden
            && let Ok(opened) = KeyPath::own(&format!("{path}-")).and_then(|within| tree.folder_of(within))
        {
            self.above = path.matches('/').count();
            return opened.map_or(Ok(()), |folder| self.enter(tree, folder, path, page));
        }
        self.enter(tree, tree.root()?, String::new(), page)
    }

    fn levels(&mut self) -> &mut Vec<Level> {
        self.levels.get_or_insert_default()
    }

    /// The next file that is there.
    fn next(&mut self, tree: &Tree, page: &mut Page) -> Result<Option<Object>> {
        while let Some(level) = self.levels().last_mut() {
            let Some(name) = level.names.pop() else {
                if !self.read_on(tree, page)? {
                    self.levels().pop();
                }
                continue;
            };
            level.bytes = level.bytes.saturating_sub(name.len() + NAME_BYTES);
            let key = format!("{}{name}", level.path);
            let Some(folder) = self.folder(tree, page)? else {
                self.levels().pop();
                continue;
            };
            if let Some(name) = name.strip_suffix('/') {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let opened = rustix::fs::openat(folder, name, flags, Mode::empty());
                self.go_into(tree, opened, key, page)?;
                continue;
            }
            match rustix::fs::statat(folder, &*name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
                    return Ok(Some(object(key, Identity::of(&stat))));
                }
                // Gone, or something else by now.
                Ok(_) | Err(Errno::NOENT | Errno::NOTDIR) => {}
                Err(Errno::ACCESS | Errno::PERM) => {
                    // Its folder may not be entered, and so none of its files be looked at.
                    let path = self.levels().pop().map(|level| level.path).unwrap_or_default();
                    self.unreadable(path, Errno::ACCESS, page)?;
                }
                Err(errno) => self.unreadable(key, errno, page)?,
            }
        }
        Ok(None)
    }

    /// The deepest folder, opened; `None` when it is gone.
    fn folder(&mut self, tree: &Tree, page: &mut Page) -> Result<Option<&OwnedFd>> {
        let Some(level) = self.levels().last_mut() else { return Ok(None) };
        if level.folder.is_none() {
            let path = level.path.clone();
            let opened = if path.is_empty() {
                tree.root().map(Some)
            } else {
                KeyPath::own(&format!("{path}-")).and_then(|within| tree.folder_of(within))
            };
            let folder = match opened {
                Ok(folder) => folder,
                // Not what it was: a link stands in its place.
                Err(error) if error.kind() == ErrorKind::Corrupt => None,
                Err(error) if error.kind() == ErrorKind::Denied => {
                    self.unreadable(path, Errno::ACCESS, page)?;
                    None
                }
                Err(error) => return Err(error),
            };
            if let Some(level) = self.levels().last_mut() {
                level.folder = folder;
            }
        }
        Ok(self.levels().last().and_then(|level| level.folder.as_ref()))
    }

    fn go_into(
        &mut self,
        tree: &Tree,
        opened: rustix::io::Result<OwnedFd>,
        path: String,
        page: &mut Page,
    ) -> Result<()> {
        if self.above + self.levels().len() >= self.deepest() {
            self.left_out.count("folders that are too deep", || path);
            return Ok(());
        }
        match opened {
            Ok(folder) => self.enter(tree, folder, path, page),
            // Gone, or something else by now.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(()),
            Err(errno) => self.unreadable(path, errno, page),
        }
    }

    fn enter(&mut self, tree: &Tree, folder: OwnedFd, path: String, page: &mut Page) -> Result<()> {
        let (share, before) = (self.share_bytes(), self.left_out.clone());
        let mut read = self.read(&folder, &path, None, share);
        // What a deletion that was interrupted moved aside belongs to the listing. Who may not put it back reads on.
        if matches!(&read, Ok(names) if names.leftovers)
            && leftovers::settle(tree, &BTreeSet::from([path.clone()])).unwrap_or(false)
        {
            self.left_out = before;
            read = self.read(&folder, &path, None, share);
        }
        match read {
            Ok(names) => {
                let mut level = Level { path, names: Vec::new(), bytes: 0, more_after: None, folder: Some(folder) };
                level.take(names);
                self.levels().push(level);
                Ok(())
            }
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => self.unreadable(path, errno, page),
        }
    }

    /// Reads the deepest folder's next names; whether there were any.
    fn read_on(&mut self, tree: &Tree, page: &mut Page) -> Result<bool> {
        let Some(after) = self.levels().last_mut().and_then(|level| level.more_after.take()) else { return Ok(false) };
        let Some(level) = self.levels().last() else { return Ok(false) };
        let path = level.path.clone();
        if self.folder(tree, page)?.is_none() {
            return Ok(false);
        }
        let Some(folder) = self.levels().last_mut().and_then(|level| level.folder.take()) else { return Ok(false) };
        let share = self.share_bytes();
        match self.read(&folder, &path, Some(&after), share) {
            Ok(names) => {
                if let Some(level) = self.levels().last_mut() {
                    level.take(names);
                    level.folder = Some(folder);
                }
                Ok(true)
            }
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => self.unreadable(path, errno, page).map(|()| false),
        }
    }

    /// What may be remembered of one more folder: half of what is left, so that deeper ones have a share too.
    fn share_bytes(&self) -> usize {
        let remembered: usize = self.levels.iter().flatten().map(|level| level.bytes).sum();
        (self.may_remember_bytes.saturating_sub(remembered) / 2).max(LEAST_BYTES.min(self.may_remember_bytes))
    }

    /// Puts the file that was found last back in its place.
    fn give_back(&mut self, key: &str) {
        if let Some(level) = self.levels().last_mut() {
            let name: Box<str> = key[level.path.len()..].into();
            level.bytes += name.len() + NAME_BYTES;
            level.names.push(name);
        }
    }

    /// Bytes of a key; the store's own have another key's in theirs.
    fn longest(&self) -> usize {
        if self.hide { MAX_KEY_BYTES } else { MAX_KEY_BYTES + OWN_BYTES }
    }

    fn deepest(&self) -> usize {
        if self.hide { MAX_DEPTH } else { MAX_DEPTH + OWN_DEPTH }
    }

    /// Whether any key below `path` (which ends with `/`) can be in the listing.
    fn enters(&self, path: &str) -> bool {
        let in_prefix = path.starts_with(&self.prefix) || self.prefix.starts_with(path);
        let not_before = path > self.after.as_str() || self.after.starts_with(path);
        in_prefix && not_before && !(self.hide && HIDDEN.contains(&path))
    }

    fn takes(&self, key: &str) -> bool {
        key.starts_with(&self.prefix) && key > self.after.as_str() && !(self.hide && HIDDEN.contains(&key))
    }

    /// The first names in a folder behind `after`, as many as may be remembered in `at_most_bytes`.
    /// What is left out is counted when a folder is read for the first time.
    fn read(
        &mut self,
        folder: &OwnedFd,
        path: &str,
        after: Option<&str>,
        at_most_bytes: usize,
    ) -> rustix::io::Result<Names> {
        let (mut names, is_first) = (Names::default(), after.is_none());
        for entry in Dir::read_from(folder)? {
            let entry = entry?;
            self.entries_read += 1;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let Ok(text) = name.to_str() else {
                if is_first {
                    self.left_out.count("names that are not UTF-8", || format!("{path}{}", name.to_string_lossy()));
                }
                continue;
            };
            let kind = match entry.file_type() {
                // Some file systems do not say.
                FileType::Unknown => match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                    Err(Errno::NOENT) => continue,
                    // Its turn comes: it is looked at once more, and told.
                    Err(errno) if is_one_entrys(errno) => FileType::RegularFile,
                    Err(errno) => return Err(errno),
                },
                known => known,
            };
            if self.hide && kind == FileType::RegularFile && leftovers::is_leftover(text) {
                names.leftovers |= path.starts_with(&self.prefix);
                continue;
            }
            let key = format!("{path}{text}{}", if kind == FileType::Directory { "/" } else { "" });
            let wanted = if kind == FileType::Directory { self.enters(&key) } else { self.takes(&key) };
            if !wanted {
                continue;
            }
            if !matches!(kind, FileType::Directory | FileType::RegularFile) {
                if is_first {
                    self.left_out.count(kind_name(kind), || key);
                }
                continue;
            }
            if key.len() > self.longest() {
                if is_first {
                    self.left_out.count("keys that are too long", || key);
                }
                continue;
            }
            let name = &key[path.len()..];
            if after.is_none_or(|after| name > after) {
                names.add(name.into(), at_most_bytes);
            }
        }
        Ok(names)
    }

    /// Notes what cannot be read, or fails where it must be readable.
    fn unreadable(&mut self, key: String, errno: Errno, page: &mut Page) -> Result<()> {
        // What leads to everything that was asked for is nobody's entry; that it may not be read is told, as ever.
        let is_the_way = self.prefix.starts_with(&key) && !matches!(errno, Errno::ACCESS | Errno::PERM);
        let may_not = matches!(errno, Errno::ACCESS | Errno::PERM);
        if !self.hide && !may_not || is_the_way || !is_one_entrys(errno) {
            return Err(failure(errno, format!("listing {key:?}")));
        }
        if page.unreadable.len() < MAX_UNREADABLE {
            page.unreadable.push(Unreadable { key, why: std::io::Error::from(errno).to_string() });
        } else {
            self.left_out.count("more files and folders that cannot be read", || key);
        }
        Ok(())
    }
}

impl Level {
    fn take(&mut self, names: Names) {
        let Names { heap, bytes, cut, leftovers: _ } = names;
        self.more_after = heap.peek().filter(|_| cut).cloned();
        self.names = heap.into_sorted_vec();
        self.names.reverse();
        self.bytes = bytes;
    }
}
