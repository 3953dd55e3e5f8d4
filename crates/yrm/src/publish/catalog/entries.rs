//! A catalog's packages in memory: a hundred thousand of them in some 25 MB, made and copied
//! without an allocation each. All text lies in one buffer, and a package is a row of lengths.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use rpmmd::checksum::Sha256;
use rpmmd::evr::{Evr, EvrRef};
use rpmmd::nevra::Nevra;

/// Not in the base.
const NEW: u32 = u32::MAX;

/// One published package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Path in the repository.
    pub href: Cow<'a, str>,
    /// NAME.
    pub name: Cow<'a, str>,
    /// EPOCH.
    pub epoch: u32,
    /// VERSION.
    pub version: Cow<'a, str>,
    /// RELEASE.
    pub release: Cow<'a, str>,
    /// ARCH.
    pub arch: Cow<'a, str>,
    /// SHA-256 of the file.
    pub pkgid: [u8; 32],
    /// Its size.
    pub size_bytes: u64,
    /// BUILDTIME, in seconds.
    pub build_time: u64,
    /// When the store first had it under this path, in seconds.
    pub first_published: i64,
    /// Its ETag under `repo/`.
    pub etag: Cow<'a, str>,
    /// Lengths of its XML in primary, filelists and other.
    pub fragment_bytes: [u32; 3],
}

impl Entry<'_> {
    /// Its version.
    pub fn evr(&self) -> EvrRef<'_> {
        EvrRef { epoch: self.epoch, version: &self.version, release: &self.release }
    }

    /// Its pkgid.
    pub fn pkgid(&self) -> Sha256 {
        Sha256::from_bytes(self.pkgid)
    }

    /// When it was first published.
    pub fn first_published(&self) -> Timestamp {
        Timestamp::from_second(self.first_published).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Its full name.
    pub fn nevra(&self) -> Nevra {
        let Self { name, epoch, version, release, arch, .. } = self;
        let evr = Evr { epoch: *epoch, version: version.to_string(), release: release.to_string() };
        Nevra { name: name.to_string(), evr, arch: arch.to_string() }
    }
}

/// A catalog's packages, in byte order of their hrefs.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Entries {
    /// Of every package: href, name, version, release, arch, ETag.
    text: String,
    rows: Vec<Row>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Row {
    text_start: usize,
    text_bytes: [u32; 6],
    epoch: u32,
    pkgid: [u8; 32],
    size_bytes: u64,
    build_time: u64,
    first_published: i64,
    fragment_bytes: [u32; 3],
    /// Its index in the catalog that this one may be stored as a change of, or [`NEW`].
    base: u32,
}

impl Entries {
    /// None yet, with room for `like` and `more` others.
    pub fn with_room(like: &Self, more: usize) -> Self {
        let rows = like.rows.len() + more;
        let text_bytes = like.text.len() + more * (like.text.len() / like.rows.len().max(1) + 64);
        Self { text: String::with_capacity(text_bytes), rows: Vec::with_capacity(rows) }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The package at `index`, which must be less than [`Entries::len`].
    pub fn get(&self, index: usize) -> Entry<'_> {
        let row = &self.rows[index];
        let [href, name, version, release, arch, etag] = self.texts(row).map(Cow::Borrowed);
        let Row { epoch, pkgid, size_bytes, build_time, first_published, fragment_bytes, .. } = *row;
        Entry {
            href,
            name,
            epoch,
            version,
            release,
            arch,
            pkgid,
            size_bytes,
            build_time,
            first_published,
            etag,
            fragment_bytes,
        }
    }

    /// The href at `index`.
    pub fn href(&self, index: usize) -> &str {
        let row = &self.rows[index];
        &self.text[row.text_start..row.text_start + length(row.text_bytes[0])]
    }

    /// The NAME at `index`.
    pub fn name(&self, index: usize) -> &str {
        let row = &self.rows[index];
        let start = row.text_start + length(row.text_bytes[0]);
        &self.text[start..start + length(row.text_bytes[1])]
    }

    /// Name, version and architecture at `index`.
    pub fn nevra(&self, index: usize) -> (&str, EvrRef<'_>, &str) {
        let row = &self.rows[index];
        let [_, name, version, release, arch, _] = self.texts(row);
        (name, EvrRef { epoch: row.epoch, version, release }, arch)
    }

    /// Where the package at `href` is.
    pub fn position(&self, href: &str) -> Option<usize> {
        let at = self.lower_bound(href);
        (at < self.len() && self.href(at) == href).then_some(at)
    }

    /// The package at `href`.
    pub fn at(&self, href: &str) -> Option<Entry<'_>> {
        self.position(href).map(|at| self.get(at))
    }

    /// How many packages come before `href`.
    pub fn lower_bound(&self, href: &str) -> usize {
        let href = href.as_bytes();
        self.rows.partition_point(|row| {
            self.text.as_bytes()[row.text_start..row.text_start + length(row.text_bytes[0])].cmp(href).is_lt()
        })
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Entry<'_>> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// The lengths of all packages' XML in one document (0 primary, 1 filelists, 2 other).
    pub fn fragment_bytes(&self, document: usize) -> Vec<u32> {
        self.rows.iter().map(|row| row.fragment_bytes[document]).collect()
    }

    /// Adds one, which comes after all that are there.
    pub fn push(&mut self, entry: &Entry<'_>) {
        let text_start = self.text.len();
        let Entry { href, name, version, release, arch, etag, .. } = entry;
        let text_bytes = [href, name, version, release, arch, etag].map(|text| {
            self.text.push_str(text);
            u32::try_from(text.len()).expect("a header's strings and a key are shorter than 4 GiB")
        });
        let Entry { epoch, pkgid, size_bytes, build_time, first_published, fragment_bytes, .. } = *entry;
        self.rows.push(Row {
            text_start,
            text_bytes,
            epoch,
            pkgid,
            size_bytes,
            build_time,
            first_published,
            fragment_bytes,
            base: NEW,
        });
    }

    /// Adds `from`'s package at `index` as it is, but for the lengths of its XML.
    pub fn push_kept(&mut self, from: &Self, index: usize, fragment_bytes: [u32; 3]) {
        let row = &from.rows[index];
        let text_start = self.text.len();
        let all: usize = row.text_bytes.iter().map(|bytes| length(*bytes)).sum();
        self.text.push_str(&from.text[row.text_start..row.text_start + all]);
        let base = if row.fragment_bytes == fragment_bytes { row.base } else { NEW };
        self.rows.push(Row { text_start, fragment_bytes, base, ..*row });
    }

    /// From now on this is what others are stored as changes of.
    pub(super) fn become_base(&mut self) {
        for (index, row) in (0..NEW).zip(&mut self.rows) {
            row.base = index;
        }
    }

    /// The packages that are not in the base.
    pub(super) fn new_since_base(&self) -> impl Iterator<Item = Entry<'_>> {
        (0..self.len()).filter(|&index| self.rows[index].base == NEW).map(|index| self.get(index))
    }

    /// The indexes of those of the base's `packages` that are not here any more.
    pub(super) fn gone_since_base(&self, packages: u32) -> Vec<u32> {
        let mut kept = self.rows.iter().map(|row| row.base).filter(|base| *base != NEW).peekable();
        (0..packages).filter(|index| kept.next_if_eq(index).is_none()).collect()
    }

    fn texts(&self, row: &Row) -> [&str; 6] {
        let mut start = row.text_start;
        row.text_bytes.map(|bytes| {
            let text = &self.text[start..start + length(bytes)];
            start += length(bytes);
            text
        })
    }
}

impl<'e, 'a: 'e> FromIterator<&'e Entry<'a>> for Entries {
    /// From packages in byte order of their hrefs.
    fn from_iter<I: IntoIterator<Item = &'e Entry<'a>>>(entries: I) -> Self {
        let mut collected = Self::default();
        for entry in entries {
            collected.push(entry);
        }
        collected
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

fn length(bytes: u32) -> usize {
    usize::try_from(bytes).expect("usize has at least 32 bits")
}
