//! A catalog's packages in memory: a hundred thousand of them in some 25 MB. They lie in chunks of some
//! hundred, which one generation shares with the next where nothing changed; what is looked through in
//! every run is a column of its own.

use std::borrow::Cow;
use std::fmt;
use std::hash::{DefaultHasher, Hasher as _};
use std::iter::Peekable;
use std::ops::Range;
use std::sync::Arc;

use jiff::Timestamp;
use rpmmd::checksum::Sha256;
use rpmmd::evr::{Evr, EvrRef};
use rpmmd::nevra::Nevra;

/// Not in the base.
const NEW: u32 = u32::MAX;
/// A chunk of so many packages takes no more.
const FULL_PACKAGES: usize = 512;
/// A new chunk of fewer takes in the next one.
const MIN_PACKAGES: usize = 64;

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
    /// MODULARITYLABEL, empty where it has none; `None` while nobody has looked: no metadata tells it.
    pub module: Option<Cow<'a, str>>,
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
#[derive(Clone, Default)]
pub struct Entries {
    /// None is empty.
    chunks: Vec<Arc<Chunk>>,
    /// The index of each chunk's first package.
    starts: Vec<usize>,
    /// Digests of their NAMEs.
    names: Vec<u64>,
    /// Lengths of their XML in primary, filelists and other.
    fragment_bytes: [Vec<u32>; 3],
    /// Their indexes in the catalog that this one may be stored as a change of, or [`NEW`].
    base: Vec<u32>,
}

/// Packages side by side. A package is a row of lengths, and all text lies in one buffer.
#[derive(Clone, Default)]
struct Chunk {
    /// Of every package: href, name, version, release, arch, ETag, MODULARITYLABEL.
    text: String,
    rows: Vec<Row>,
}

/// Texts that a package has in its chunk.
const TEXTS: usize = 7;

#[derive(Clone, Copy, PartialEq, Eq)]
struct Row {
    text_start: usize,
    text_bytes: [u32; TEXTS],
    /// Whether its label is known.
    module_is_known: bool,
    epoch: u32,
    pkgid: [u8; 32],
    size_bytes: u64,
    build_time: u64,
    first_published: i64,
}

impl Entries {
    /// None yet, with room for as many as in `like` and `more` others.
    pub fn with_room(like: &Self, more: usize) -> Self {
        let (chunks, packages) = (like.chunks.len() + 2 * more, like.len() + more);
        Self {
            chunks: Vec::with_capacity(chunks),
            starts: Vec::with_capacity(chunks),
            names: Vec::with_capacity(packages),
            fragment_bytes: std::array::from_fn(|_| Vec::with_capacity(packages)),
            base: Vec::with_capacity(packages),
        }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.starts.last().zip(self.chunks.last()).map_or(0, |(start, last)| start + last.rows.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The package at `index`, which must be less than [`Entries::len`].
    pub fn get(&self, index: usize) -> Entry<'_> {
        let (chunk, row) = self.locate(index);
        let [href, name, version, release, arch, etag, module] = chunk.texts(row).map(Cow::Borrowed);
        let Row { epoch, pkgid, size_bytes, build_time, first_published, .. } = *row;
        let fragment_bytes = self.fragment_bytes.each_ref().map(|lengths| lengths[index]);
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
            module: row.module_is_known.then_some(module),
        }
    }

    /// The href at `index`.
    pub fn href(&self, index: usize) -> &str {
        let (chunk, row) = self.locate(index);
        chunk.href(row)
    }

    /// Name, version and architecture at `index`.
    pub fn nevra(&self, index: usize) -> (&str, EvrRef<'_>, &str) {
        let (chunk, row) = self.locate(index);
        let [_, name, version, release, arch, ..] = chunk.texts(row);
        (name, EvrRef { epoch: row.epoch, version, release }, arch)
    }

    /// MODULARITYLABEL at `index`, empty where it has none; `None` while nobody has looked.
    pub fn module(&self, index: usize) -> Option<&str> {
        let (chunk, row) = self.locate(index);
        let [.., module] = chunk.texts(row);
        row.module_is_known.then_some(module)
    }

    /// The same packages, these with their labels. They ascend.
    #[must_use]
    pub fn labelled(&self, labels: &[(usize, String)]) -> Self {
        let mut labelled = Self::with_room(self, labels.len());
        let mut staying = Staying::without(labels.iter().map(|(index, _)| *index));
        let mut keep_until = |labelled: &mut Self, end: usize| {
            while let Some(kept) = staying.before(end) {
                let lengths = [0, 1, 2].map(|document| &self.fragment_bytes(document)[kept.clone()]);
                labelled.push_kept(self, kept, lengths);
            }
        };
        for (index, label) in labels {
            keep_until(&mut labelled, *index + 1);
            labelled.push(&Entry { module: Some(Cow::Borrowed(label)), ..self.get(*index) });
        }
        keep_until(&mut labelled, self.len());
        labelled
    }

    /// The indexes of the packages with one of these NAMEs, in order; maybe of some others too.
    pub fn named<'n>(&self, names: impl Iterator<Item = &'n str>) -> impl Iterator<Item = usize> + '_ {
        let mut wanted: Vec<u64> = names.map(digest).collect();
        wanted.sort_unstable();
        let is_wanted = move |name: &u64| wanted.binary_search(name).is_ok();
        self.names.iter().enumerate().filter(move |(_, name)| is_wanted(name)).map(|(index, _)| index)
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
        let is_before = |chunk: &Chunk, row: &Row| chunk.href(row).as_bytes() < href.as_bytes();
        let ends_before = |chunk: &Arc<Chunk>| chunk.rows.last().is_some_and(|row| is_before(chunk, row));
        let number = self.chunks.partition_point(ends_before);
        let Some(chunk) = self.chunks.get(number) else { return self.len() };
        self.starts[number] + chunk.rows.partition_point(|row| is_before(chunk, row))
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Entry<'_>> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// The lengths of all packages' XML in one document (0 primary, 1 filelists, 2 other).
    pub fn fragment_bytes(&self, document: usize) -> &[u32] {
        &self.fragment_bytes[document]
    }

    /// Adds one, which comes after all that are there.
    pub fn push(&mut self, entry: &Entry<'_>) {
        let chunk = self.open();
        let text_start = chunk.text.len();
        let Entry { href, name, version, release, arch, etag, .. } = entry;
        let module = entry.module.as_ref().map_or("", |module| module);
        let texts: [&str; TEXTS] = [href, name, version, release, arch, etag, module];
        let text_bytes = texts.map(|text| {
            chunk.text.push_str(text);
            u32::try_from(text.len()).expect("a header's strings and a key are shorter than 4 GiB")
        });
        let Entry { epoch, pkgid, size_bytes, build_time, first_published, fragment_bytes, .. } = *entry;
        let module_is_known = entry.module.is_some();
        chunk.rows.push(Row {
            text_start,
            text_bytes,
            module_is_known,
            epoch,
            pkgid,
            size_bytes,
            build_time,
            first_published,
        });
        self.names.push(digest(name));
        for (lengths, bytes) in self.fragment_bytes.iter_mut().zip(fragment_bytes) {
            lengths.push(bytes);
        }
        self.base.push(NEW);
    }

    /// Adds `from`'s packages of this range as they are, but for the lengths of their XML.
    pub fn push_kept(&mut self, from: &Self, range: Range<usize>, fragment_bytes: [&[u32]; 3]) {
        let mut at = range.start;
        while at < range.end {
            let number = from.chunk_of(at);
            let (chunk, start) = (&from.chunks[number], from.starts[number]);
            let end = range.end.min(start + chunk.rows.len());
            let is_whole = end - at == chunk.rows.len();
            let is_short = |last: &mut Arc<Chunk>| last.rows.len() < MIN_PACKAGES && Arc::get_mut(last).is_some();
            if is_whole && !self.chunks.last_mut().is_some_and(is_short) {
                self.add(Arc::clone(chunk));
            } else {
                self.open().extend(chunk, at - start..end - start);
            }
            at = end;
        }
        self.names.extend_from_slice(&from.names[range.clone()]);
        let before = from.fragment_bytes.each_ref().map(|lengths| &lengths[range.clone()]);
        let base = &from.base[range];
        if before == fragment_bytes {
            self.base.extend_from_slice(base);
        } else {
            let same = |at: usize| before.iter().zip(fragment_bytes).all(|(before, now)| before[at] == now[at]);
            self.base.extend((0..base.len()).map(|at| if same(at) { base[at] } else { NEW }));
        }
        for (lengths, bytes) in self.fragment_bytes.iter_mut().zip(fragment_bytes) {
            lengths.extend_from_slice(bytes);
        }
    }

    /// From now on this is what others are stored as changes of.
    pub(super) fn become_base(&mut self) {
        self.base = (0..NEW).take(self.len()).collect();
    }

    /// The indexes of the packages that are not in the base.
    pub(super) fn new_since_base(&self) -> impl Iterator<Item = usize> + Clone {
        let new = self.base.iter().enumerate().filter(|(_, base)| **base == NEW);
        new.map(|(index, _)| index)
    }

    /// The indexes of those of the base's `packages` that are not here any more.
    pub(super) fn gone_since_base(&self, packages: u32) -> Vec<u32> {
        let mut gone = Vec::new();
        let mut next = 0;
        for base in self.base.iter().copied().filter(|base| *base != NEW) {
            gone.extend(next..base);
            next = base + 1;
        }
        gone.extend(next..packages);
        gone
    }

    /// The chunk of the package at `index`, which must be less than [`Entries::len`].
    fn chunk_of(&self, index: usize) -> usize {
        self.starts.partition_point(|start| *start <= index) - 1
    }

    fn locate(&self, index: usize) -> (&Chunk, &Row) {
        let number = self.chunk_of(index);
        let chunk = &self.chunks[number];
        (chunk, &chunk.rows[index - self.starts[number]])
    }

    /// The last chunk, if it is nobody else's and not full; or a new one.
    fn open(&mut self) -> &mut Chunk {
        let takes_more = |last: &mut Arc<Chunk>| last.rows.len() < FULL_PACKAGES && Arc::get_mut(last).is_some();
        if !self.chunks.last_mut().is_some_and(takes_more) {
            self.add(Arc::default());
        }
        self.chunks.last_mut().and_then(Arc::get_mut).expect("it takes more, or was just made")
    }

    fn add(&mut self, chunk: Arc<Chunk>) {
        self.starts.push(self.len());
        self.chunks.push(chunk);
    }
}

/// What stays of packages in ranges, for who goes through them in order.
pub struct Staying<I: Iterator<Item = usize>> {
    leaving: Peekable<I>,
    at: usize,
}

impl<I: Iterator<Item = usize>> Staying<I> {
    /// All but the indexes in `leaving`, which ascend.
    pub fn without(leaving: impl IntoIterator<IntoIter = I>) -> Self {
        Self { leaving: leaving.into_iter().peekable(), at: 0 }
    }

    /// The next range that stays, before `end`; `None` when all before it is done.
    pub fn before(&mut self, end: usize) -> Option<Range<usize>> {
        while self.at < end {
            let ahead = self.at..end;
            let leaves = self.leaving.next_if(|index| ahead.contains(index));
            self.at = leaves.map_or(end, |index| index + 1);
            let stays = ahead.start..leaves.unwrap_or(end);
            if !stays.is_empty() {
                return Some(stays);
            }
        }
        None
    }

    /// Whether every index that leaves was come by: those that do not ascend, or do not exist, are not.
    pub(super) fn all_left(mut self) -> bool {
        self.leaving.peek().is_none()
    }
}

impl Chunk {
    fn href(&self, row: &Row) -> &str {
        &self.text[row.text_start..row.text_start + length(row.text_bytes[0])]
    }

    fn texts(&self, row: &Row) -> [&str; TEXTS] {
        let mut start = row.text_start;
        row.text_bytes.map(|bytes| {
            let text = &self.text[start..start + length(bytes)];
            start += length(bytes);
            text
        })
    }

    /// Adds packages of another chunk.
    fn extend(&mut self, from: &Self, rows: Range<usize>) {
        let rows = &from.rows[rows];
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return };
        let (start, here) = (first.text_start, self.text.len());
        let end = last.text_start + last.text_bytes.iter().map(|bytes| length(*bytes)).sum::<usize>();
        self.text.push_str(&from.text[start..end]);
        self.rows.extend(rows.iter().map(|row| Row { text_start: row.text_start - start + here, ..*row }));
    }
}

/// Which chunks they lie in makes no difference.
impl PartialEq for Entries {
    fn eq(&self, other: &Self) -> bool {
        self.base == other.base && self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl Eq for Entries {}

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

/// Of a NAME; two may have the same.
fn digest(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(name.as_bytes());
    hasher.finish()
}

fn length(bytes: u32) -> usize {
    usize::try_from(bytes).expect("usize has at least 32 bits")
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::super::tests::entry;
    use super::*;

    fn named(number: usize) -> Entry<'static> {
        entry(&format!("{number:06}.rpm"), &format!("name-{}", number / 3), "1")
    }

    fn numbers(entries: &Entries) -> Vec<usize> {
        entries.iter().map(|entry| entry.href[..6].parse().unwrap()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Each change leaves some out and puts some in; a list of numbers is what it must come to.
        #[test]
        fn any_changes_give_what_a_new_list_gives(
            packages in 0..3_000usize,
            changes in vec(vec((any::<Index>(), any::<bool>(), 1..700usize), 1..4), 1..12),
        ) {
            let mut model: Vec<usize> = (0..packages).map(|number| number * 100).collect();
            let mut entries: Entries = model.iter().map(|number| named(*number)).collect::<Vec<_>>().iter().collect();
            let mut first = entries.clone();
            first.become_base();
            entries.become_base();
            for changes in changes {
                let before = entries;
                let mut next = Entries::with_room(&before, 1);
                let lengths = |range: &Range<usize>| [0, 1, 2].map(|at| &before.fragment_bytes(at)[range.clone()]);
                let mut cuts: Vec<_> = changes.iter().map(|(at, ..)| at.index(before.len() + 1)).collect();
                cuts.sort_unstable();
                let (mut from, mut expected) = (0, Vec::new());
                for (cut, (_, insert, count)) in cuts.into_iter().zip(&changes) {
                    let kept = from..cut.max(from);
                    expected.extend_from_slice(&model[kept.clone()]);
                    next.push_kept(&before, kept.clone(), lengths(&kept));
                    from = kept.end;
                    let number = expected.last().map_or(0, |last| last + 1);
                    if !insert {
                        from = before.len().min(from + count);
                    } else if model.get(from).is_none_or(|after| number < *after) {
                        expected.push(number);
                        next.push(&named(number));
                    }
                }
                expected.extend_from_slice(&model[from..]);
                next.push_kept(&before, from..before.len(), lengths(&(from..before.len())));
                (model, entries) = (expected, next);

                prop_assert_eq!(numbers(&entries), model.clone());
                let fresh: Entries = model.iter().map(|number| named(*number)).collect::<Vec<_>>().iter().collect();
                prop_assert!(entries.iter().eq(fresh.iter()));
                prop_assert_eq!(&entries.names, &fresh.names);
                prop_assert!(entries.chunks.iter().all(|chunk| !chunk.rows.is_empty()));
                for number in model.iter().step_by(97).flat_map(|number| [*number, number + 1]) {
                    let at = entries.lower_bound(&named(number).href);
                    prop_assert_eq!(at, model.partition_point(|one| *one < number));
                    let name = format!("name-{}", number / 3);
                    let found: Vec<usize> = entries.named([name.as_str()].into_iter()).collect();
                    let expected: Vec<_> = (0..model.len()).filter(|at| model[*at] / 3 == number / 3).collect();
                    prop_assert_eq!(found, expected);
                }
                let gone = entries.gone_since_base(u32::try_from(first.len()).unwrap());
                let stayed = (0..first.len()).filter(|at| !gone.contains(&u32::try_from(*at).unwrap()));
                let new: Vec<_> = entries.new_since_base().map(|at| entries.href(at).to_owned()).collect();
                let mut all: Vec<_> = stayed.map(|at| first.href(at).to_owned()).chain(new).collect();
                all.sort_unstable();
                prop_assert_eq!(all, entries.iter().map(|entry| entry.href.into_owned()).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn one_package_more_copies_the_chunks_around_it() {
        let all: Vec<_> = (0..20_000).map(|number| named(number * 2)).collect();
        let mut entries: Entries = all.iter().collect();
        for number in [1, 1, 9_999, 9_999, 20_001, 20_003, 39_999].into_iter().chain((3..2_000).step_by(2)) {
            let before = entries;
            let at = before.lower_bound(&named(number).href);
            let lengths = |range: &Range<usize>| [0, 1, 2].map(|at| &before.fragment_bytes(at)[range.clone()]);
            entries = Entries::with_room(&before, 1);
            entries.push_kept(&before, 0..at, lengths(&(0..at)));
            entries.push(&named(number));
            entries.push_kept(&before, at..before.len(), lengths(&(at..before.len())));
            let old: Vec<_> = before.chunks.iter().map(Arc::as_ptr).collect();
            let made = entries.chunks.iter().filter(|chunk| !old.contains(&Arc::as_ptr(chunk))).count();
            assert!(made <= 2, "{made} chunks made for {number}");
        }
        assert!(entries.chunks.iter().all(|chunk| chunk.rows.len() <= 2 * FULL_PACKAGES));
        assert!(entries.chunks.len() < 2 * entries.len() / FULL_PACKAGES + 2, "{} chunks", entries.chunks.len());
    }
}
