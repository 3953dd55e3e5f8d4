//! A directory's keys, page by page, in the byte order of the whole keys as S3 has it: `a.rpm`
//! comes before `a/b.rpm` because `.` comes before `/`.
//!
//! Between two pages of one listing the walk is kept, so that a folder is read once a listing and
//! not once a page. What it remembers has a bound in bytes: of a folder that holds more names than
//! fit, the first ones are kept, and it is read again for the next.

mod left_out;
mod object;
mod walk;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use self::left_out::Told;
pub(super) use self::object::object;
use self::walk::Walk;
use super::tree::{KeyPath, Tree};
use crate::error::Result;
use crate::store::{Object, PAGE_OBJECTS, Page};

/// Listings whose walk is kept between two pages; the oldest one beyond them begins anew.
const MAX_WALKS: usize = 4;
/// What one walk may remember of names, in bytes: some 200,000 of them.
const WALK_BYTES: usize = 16 << 20;

/// The listings of one directory that are under way, and what was said of earlier ones.
#[derive(Debug)]
pub(super) struct Listings {
    /// Those that wait for their next page, the oldest first.
    under_way: Mutex<Vec<Walk>>,
    begun: AtomicU64,
    told: Mutex<Told>,
    walk_bytes: usize,
    /// Entries of folders that were read, for tests: what a listing costs.
    entries_read: AtomicU64,
}

impl Default for Listings {
    fn default() -> Self {
        Self::remembering(WALK_BYTES)
    }
}

impl Listings {
    fn remembering(walk_bytes: usize) -> Self {
        Self {
            under_way: Mutex::default(),
            begun: AtomicU64::new(0),
            told: Mutex::default(),
            walk_bytes,
            entries_read: AtomicU64::new(0),
        }
    }

    /// The walk that ended its last page at `after`, if it is still there.
    fn resume(&self, prefix: &str, after: Option<&str>) -> Option<Walk> {
        let after = after?;
        let mut under_way = lock(&self.under_way);
        let at = under_way.iter().position(|walk| walk.is_at(prefix, after))?;
        Some(under_way.remove(at))
    }

    /// A walk that sees everything that is there now: no older one is gone on with, which may have
    /// read its folders before something came.
    fn begin(&self, prefix: &str, after: Option<&str>) -> Walk {
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        lock(&self.under_way).retain(|walk| walk.prefix() != prefix);
        Walk::new(number, prefix, after.unwrap_or(""), self.walk_bytes)
    }

    /// Keeps a walk for its next page, unless a newer one of the same listing is under way.
    fn keep(&self, walk: Walk) {
        let mut under_way = lock(&self.under_way);
        if under_way.iter().any(|other| other.prefix() == walk.prefix() && other.number() > walk.number()) {
            return;
        }
        under_way.push(walk);
        if under_way.len() > MAX_WALKS {
            under_way.remove(0);
        }
    }
}

/// One page of the regular files whose key starts with `prefix` and comes after `after`.
///
/// Links, special files, names that are not UTF-8, keys too long and folders too deep are left
/// out (one warning a listing says how many); what disappears meanwhile is left out too. What
/// cannot be read is named in the page. A prefix that leads through a link is an error: what is
/// behind it must not look empty.
pub(super) fn page(tree: &Tree, listings: &Listings, prefix: &str, after: Option<&str>) -> Result<Page> {
    let mut walk = if let Some(walk) = listings.resume(prefix, after) {
        walk
    } else {
        if let Ok(path) = KeyPath::parse(&format!("{prefix}-")) {
            tree.folder_of(path)?;
        }
        listings.begin(prefix, after)
    };
    let page = walk.page(tree, PAGE_OBJECTS)?;
    listings.entries_read.fetch_add(walk.take_entries_read(), Ordering::Relaxed);
    if page.next.is_some() {
        listings.keep(walk);
    } else {
        lock(&listings.told).tell(prefix, walk.left_out());
    }
    Ok(page)
}

/// The first page's worth of files below `folder` (a key prefix that ends with `/`), the store's own included.
pub(super) fn own_files(tree: &Tree, folder: &str) -> Result<Vec<Object>> {
    Ok(Walk::of_our_own(folder, WALK_BYTES).page(tree, PAGE_OBJECTS)?.objects)
}

/// A lock whose holder panicked guards what can be made again.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
