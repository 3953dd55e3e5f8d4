//! A catalog as stored bytes: whole, or as what changed since one that is stored whole.
//!
//! A change names what left and what came since its base, and how the files are cut now: some
//! tens of KB where the whole of 100,000 packages has 8 MB. Every change is one of the base
//! itself, so two objects are read at most; when the changes together have cost as much as a
//! whole catalog, the next one is stored whole.

use std::borrow::Cow;

use rpmmd::block::{Block, Layout};
use rpmmd::checksum::Sha256;
use rpmmd::compress::Compression;
use serde::ser::SerializeSeq as _;
use serde::{Deserialize, Serialize, Serializer};

use super::{Base, Catalog, Entries, Entry, FileLayout, Staying};
use crate::error::{Error, ErrorKind, Result};

/// The first bytes of every catalog: a name and the encoding's version.
const MAGIC: &[u8; 8] = b"yrm-cat\x02";
/// Of one that says how primary is cut in the generation's own folder. Nobody who does without that
/// writes this version.
const MAGIC_MIRROR: &[u8; 8] = b"yrm-cat\x03";
/// A catalog larger than this (unpacked) is not one of ours: some 4 million packages.
const MAX_RAW_BYTES: usize = 1 << 30;
/// The quickest: digests, which are most of it, do not compress.
const ZSTD_LEVEL: i32 = 1;
/// About what a package costs in a whole catalog.
const WHOLE_BYTES_PER_PACKAGE: u64 = 80;
/// A catalog of fewer packages is always stored whole: one object is simpler than two.
const MIN_BASE_PACKAGES: u32 = 2_000;

/// What stored bytes hold.
#[derive(Debug)]
pub enum Decoded {
    /// All of it.
    Whole(Catalog),
    /// What changed since another.
    Delta(Delta),
}

/// What changed since another catalog.
#[derive(Debug)]
pub struct Delta {
    base: Base,
    gone: Vec<u32>,
    /// What came, and everything but the packages.
    came: Catalog,
}

/// The encoded form. Its field order is the format: a change needs a new version in [`MAGIC`]. Version 3
/// is this and a [`StoredFile`] after it. In both [`StoredModules`] may follow: older programs read neither
/// further nor less.
#[derive(Serialize, Deserialize)]
struct Stored<E> {
    revision: u64,
    compression: StoredCompression,
    files: Option<[StoredFile; 3]>,
    base: Option<StoredBase>,
    entries: E,
}

/// A sequence of [`StoredEntry`], written one at a time: all at once they would take more than the catalog does.
struct Written<'c> {
    entries: &'c Entries,
    only_new: bool,
}

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let Self { entries, only_new } = self;
        if *only_new {
            write_entries(
                serializer,
                entries.new_since_base().count(),
                entries.new_since_base().map(|at| entries.get(at)),
            )
        } else {
            write_entries(serializer, entries.len(), entries.iter())
        }
    }
}

impl<'c> Written<'c> {
    fn modules(&self) -> StoredModules<'c> {
        let entries = self.entries;
        if self.only_new {
            StoredModules::of(entries.new_since_base().map(|at| entries.module(at)))
        } else {
            StoredModules::of((0..entries.len()).map(|at| entries.module(at)))
        }
    }
}

fn write_entries<'c, S: Serializer>(
    serializer: S,
    count: usize,
    entries: impl Iterator<Item = Entry<'c>>,
) -> std::result::Result<S::Ok, S::Error> {
    let mut sequence = serializer.serialize_seq(Some(count))?;
    let mut before = String::new();
    for entry in entries {
        sequence.serialize_element(&stored_entry(&before, &entry))?;
        before.clear();
        before.push_str(&entry.href);
    }
    sequence.end()
}

#[derive(Serialize, Deserialize)]
enum StoredCompression {
    Gz,
    Zstd,
}

#[derive(Serialize, Deserialize)]
struct StoredFile {
    href: String,
    head: StoredBlock,
    blocks: Vec<StoredBlock>,
    foot: StoredBlock,
}

/// packages, raw bytes, compressed bytes, CRC-32.
#[derive(Serialize, Deserialize)]
struct StoredBlock(u32, u32, u32, u32);

#[derive(Serialize, Deserialize)]
struct StoredBase {
    repomd: [u8; 32],
    packages: u32,
    /// Of the changes before this one.
    sent_bytes: u64,
    gone: Vec<u32>,
}

/// Which of the entries before are labelled as a module's, by their numbers.
#[derive(Serialize, Deserialize)]
struct StoredModules<'a> {
    /// First and count of those whose label nobody has looked for.
    unread: Vec<(usize, usize)>,
    #[serde(borrow)]
    labels: Vec<(usize, &'a str)>,
}

/// Labels, taken in the order of the entries.
struct ReadingModules<'m, 'a> {
    unread: &'m [(usize, usize)],
    labels: &'m [(usize, &'a str)],
}

/// An entry, its href without what it has in common with the one before.
#[derive(Serialize, Deserialize)]
struct StoredEntry<'a> {
    href_shared_bytes: usize,
    href_rest: &'a str,
    name: &'a str,
    epoch: u32,
    version: &'a str,
    release: &'a str,
    arch: &'a str,
    pkgid: &'a [u8],
    size_bytes: u64,
    build_time: u64,
    first_published: i64,
    etag: &'a str,
    fragment_bytes: [u32; 3],
}

fn corrupt(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("reading the catalog: {what}"))
}

impl Catalog {
    /// The bytes to store: a change of [`Catalog::base`] where that is worth it. Sets the base to
    /// what was decided.
    pub fn encode(&mut self) -> Result<Vec<u8>> {
        let whole_bytes = self.entries.len() as u64 * WHOLE_BYTES_PER_PACKAGE;
        if let Some(base) = self.base.filter(|base| base.packages >= MIN_BASE_PACKAGES) {
            let bytes = self.encode_as(Some(base))?;
            let sent_bytes = base.sent_bytes + bytes.len() as u64;
            if sent_bytes <= whole_bytes {
                self.base = Some(Base { sent_bytes, ..base });
                return Ok(bytes);
            }
        }
        self.base = None;
        self.entries.become_base();
        self.encode_as(None)
    }

    fn encode_as(&self, base: Option<Base>) -> Result<Vec<u8>> {
        let encoding = || Error::new(ErrorKind::Internal, "encoding the catalog");
        let stored = Stored {
            revision: self.revision,
            compression: match self.compression {
                Compression::Gz => StoredCompression::Gz,
                Compression::Zstd => StoredCompression::Zstd,
            },
            files: self.files.as_ref().map(|files| files.each_ref().map(StoredFile::from)),
            base: base.map(|Base { repomd, packages, sent_bytes }| {
                let gone = self.entries.gone_since_base(packages);
                StoredBase { repomd: *repomd.as_bytes(), packages, sent_bytes, gone }
            }),
            entries: Written { entries: &self.entries, only_new: base.is_some() },
        };
        let mut raw = postcard::to_stdvec(&stored).map_err(|source| encoding().because(source))?;
        if let Some(mirror) = &self.mirror {
            raw = postcard::to_extend(&StoredFile::from(mirror), raw).map_err(|source| encoding().because(source))?;
        }
        raw = postcard::to_extend(&stored.entries.modules(), raw).map_err(|source| encoding().because(source))?;
        let packed = zstd::bulk::compress(&raw, ZSTD_LEVEL).map_err(|source| encoding().because(source))?;
        let length = (raw.len() as u64).to_le_bytes();
        let mut digest = rpmmd::checksum::Sha256Stream::default();
        digest.update(&length);
        digest.update(&packed);
        let magic = if self.mirror.is_some() { MAGIC_MIRROR } else { MAGIC };
        Ok([magic.as_slice(), digest.finish().as_bytes(), &length, &packed].concat())
    }

    /// From stored bytes; an error of kind `Corrupt` when they are not a whole catalog of this
    /// version (the caller then adopts the repository).
    pub fn decode(bytes: &[u8]) -> Result<Decoded> {
        let mirrored = bytes.strip_prefix(MAGIC_MIRROR);
        let rest = mirrored.or_else(|| bytes.strip_prefix(MAGIC));
        let rest = rest.ok_or_else(|| corrupt("it is not of this version"))?;
        let (digest, body) = rest.split_first_chunk::<32>().ok_or_else(|| corrupt("it is cut short"))?;
        if Sha256::of(body).as_bytes() != digest {
            return Err(corrupt("its checksum does not match"));
        }
        let (length, packed) = body.split_first_chunk::<8>().ok_or_else(|| corrupt("it is cut short"))?;
        let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
        if length > MAX_RAW_BYTES {
            return Err(corrupt("it is larger than any catalog"));
        }
        let raw =
            zstd::bulk::decompress(packed, length).map_err(|source| corrupt("it does not unpack").because(source))?;
        let undecoded = |source| corrupt("it does not decode").because(source);
        let (stored, rest): (Stored<Vec<StoredEntry<'_>>>, _) = postcard::take_from_bytes(&raw).map_err(undecoded)?;
        let (mirror, rest): (Option<StoredFile>, &[u8]) = match mirrored {
            Some(_) => postcard::take_from_bytes(rest).map(|(mirror, rest)| (Some(mirror), rest)).map_err(undecoded)?,
            None => (None, rest),
        };
        // What was stored by who does not know of modules ends here.
        let modules = if rest.is_empty() { None } else { Some(postcard::from_bytes(rest).map_err(undecoded)?) };
        let modules = modules.unwrap_or_else(|| StoredModules::unread(stored.entries.len()));
        let compression = match stored.compression {
            StoredCompression::Gz => Compression::Gz,
            StoredCompression::Zstd => Compression::Zstd,
        };
        let mut catalog = Self {
            revision: stored.revision,
            compression,
            entries: read_entries(&stored.entries, &modules)?,
            files: stored.files.map(|files| files.map(|file| file.layout(compression))),
            mirror: mirror.map(|file| file.layout(compression)),
            base: None,
        };
        Ok(match stored.base {
            None => {
                catalog.entries.become_base();
                Decoded::Whole(catalog)
            }
            Some(StoredBase { repomd, packages, sent_bytes, gone }) => {
                let sent_bytes = sent_bytes.saturating_add(bytes.len() as u64);
                let base = Base { repomd: Sha256::from_bytes(repomd), packages, sent_bytes };
                Decoded::Delta(Delta { base, gone, came: catalog })
            }
        })
    }
}

impl Delta {
    /// The repomd.xml under whose hash the base is stored.
    pub fn base(&self) -> Sha256 {
        self.base.repomd
    }

    /// The catalog that this change makes of its base.
    pub fn on(self, base: &Catalog) -> Result<Catalog> {
        let Self { base: named, gone, came } = self;
        if base.base.is_some() || u32::try_from(base.entries.len()) != Ok(named.packages) {
            return Err(corrupt("it is a change of another catalog"));
        }
        let mut entries = Entries::with_room(&base.entries, came.entries.len());
        let mut staying = Staying::without(gone.into_iter().map(position));
        let mut keep_until = |entries: &mut Entries, end: usize| {
            while let Some(kept) = staying.before(end) {
                let lengths = [0, 1, 2].map(|document| &base.entries.fragment_bytes(document)[kept.clone()]);
                entries.push_kept(&base.entries, kept, lengths);
            }
        };
        for entry in came.entries.iter() {
            keep_until(&mut entries, base.entries.lower_bound(&entry.href));
            entries.push(&entry);
        }
        keep_until(&mut entries, base.entries.len());
        if !staying.all_left() {
            return Err(corrupt("what left is not in order"));
        }
        Ok(Catalog { entries, base: Some(named), ..came })
    }
}

fn position(number: u32) -> usize {
    usize::try_from(number).expect("usize has at least 32 bits")
}

impl<'a> StoredModules<'a> {
    fn unread(entries: usize) -> Self {
        Self { unread: vec![(0, entries)], labels: Vec::new() }
    }

    fn of(labels: impl Iterator<Item = Option<&'a str>>) -> Self {
        let mut modules = Self { unread: Vec::new(), labels: Vec::new() };
        for (number, label) in labels.enumerate() {
            match (label, modules.unread.last_mut()) {
                (Some(""), _) => {}
                (Some(label), _) => modules.labels.push((number, label)),
                (None, Some((first, count))) if *first + *count == number => *count += 1,
                (None, _) => modules.unread.push((number, 1)),
            }
        }
        modules
    }

    fn reading(&self) -> ReadingModules<'_, 'a> {
        ReadingModules { unread: &self.unread, labels: &self.labels }
    }
}

impl<'a> ReadingModules<'_, 'a> {
    /// The label of the entry with this number, which is greater than the one before.
    fn of(&mut self, number: usize) -> Option<Cow<'a, str>> {
        while let [(first, count), rest @ ..] = self.unread
            && first.saturating_add(*count) <= number
        {
            self.unread = rest;
        }
        while let [(labelled, _), rest @ ..] = self.labels
            && *labelled < number
        {
            self.labels = rest;
        }
        if self.unread.first().is_some_and(|(first, _)| *first <= number) {
            return None;
        }
        let label = self.labels.first().filter(|(labelled, _)| *labelled == number);
        Some(Cow::Borrowed(label.map_or("", |(_, label)| label)))
    }
}

fn stored_entry<'e>(before: &str, entry: &'e Entry<'_>) -> StoredEntry<'e> {
    let shared = shared_bytes(before, &entry.href);
    StoredEntry {
        href_shared_bytes: shared,
        href_rest: &entry.href[shared..],
        name: &entry.name,
        epoch: entry.epoch,
        version: &entry.version,
        release: &entry.release,
        arch: &entry.arch,
        pkgid: &entry.pkgid,
        size_bytes: entry.size_bytes,
        build_time: entry.build_time,
        first_published: entry.first_published,
        etag: &entry.etag,
        fragment_bytes: entry.fragment_bytes,
    }
}

fn read_entries(stored: &[StoredEntry<'_>], modules: &StoredModules<'_>) -> Result<Entries> {
    let mut modules = modules.reading();
    let mut entries = Entries::default();
    let mut href = String::new();
    for (number, entry) in stored.iter().enumerate() {
        if !href.is_char_boundary(entry.href_shared_bytes) {
            return Err(corrupt("an href does not continue the one before"));
        }
        href.truncate(entry.href_shared_bytes);
        href.push_str(entry.href_rest);
        entries.push(&Entry {
            href: Cow::Borrowed(&href),
            name: Cow::Borrowed(entry.name),
            epoch: entry.epoch,
            version: Cow::Borrowed(entry.version),
            release: Cow::Borrowed(entry.release),
            arch: Cow::Borrowed(entry.arch),
            pkgid: entry.pkgid.try_into().map_err(|_| corrupt("a pkgid has not 32 bytes"))?,
            size_bytes: entry.size_bytes,
            build_time: entry.build_time,
            first_published: entry.first_published,
            etag: Cow::Borrowed(entry.etag),
            fragment_bytes: entry.fragment_bytes,
            module: modules.of(number),
        });
    }
    Ok(entries)
}

/// How much of `text` is as in `before`, in whole characters.
fn shared_bytes(before: &str, text: &str) -> usize {
    let mut shared = before.bytes().zip(text.bytes()).take_while(|(a, b)| a == b).count();
    while !text.is_char_boundary(shared) {
        shared -= 1;
    }
    shared
}

impl From<&FileLayout> for StoredFile {
    fn from(FileLayout { href, layout }: &FileLayout) -> Self {
        Self {
            href: href.clone(),
            head: StoredBlock::from(&layout.head),
            blocks: layout.blocks.iter().map(StoredBlock::from).collect(),
            foot: StoredBlock::from(&layout.foot),
        }
    }
}

impl StoredFile {
    fn layout(self, compression: Compression) -> FileLayout {
        let layout = Layout {
            compression,
            head: self.head.into(),
            blocks: self.blocks.into_iter().map(Block::from).collect(),
            foot: self.foot.into(),
        };
        FileLayout { href: self.href, layout }
    }
}

impl From<&Block> for StoredBlock {
    fn from(block: &Block) -> Self {
        Self(block.packages, block.raw_bytes, block.compressed_bytes, block.crc32)
    }
}

impl From<StoredBlock> for Block {
    fn from(StoredBlock(packages, raw_bytes, compressed_bytes, crc32): StoredBlock) -> Self {
        Self { packages, raw_bytes, compressed_bytes, crc32 }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{catalog, entry};
    use super::*;

    fn whole(bytes: &[u8]) -> Catalog {
        match Catalog::decode(bytes).unwrap() {
            Decoded::Whole(catalog) => catalog,
            Decoded::Delta(delta) => panic!("{delta:?}"),
        }
    }

    fn many(count: usize) -> Vec<Entry<'static>> {
        let name = |at: usize| format!("é{}-{at:05}", at % 7);
        (0..count).map(|at| entry(&format!("{}-1-1.noarch.rpm", name(at)), &name(at), "1")).collect()
    }

    #[test]
    fn what_is_encoded_decodes_to_the_same() {
        let mut catalog = catalog(vec![entry("a.rpm", "a", "1"), entry("b/c.rpm", "c", "2~rc1")]);
        let bytes = catalog.encode().unwrap();
        assert_eq!(whole(&bytes), catalog);
    }

    #[test]
    fn a_change_on_its_base_is_the_catalog_and_costs_what_changed() {
        let mut base = catalog(many(5_000));
        let base_bytes = base.encode().unwrap();
        let repomd = Sha256::of(b"repomd.xml");

        let mut next = Catalog { base: base.base_of_next(repomd), revision: 8, ..base.clone() };
        let mut before = base.entries.clone();
        for (left, came) in [(17, "a.rpm"), (4_999, "zz.rpm"), (0, "é3-00500-9.rpm")] {
            next.entries = Entries::default();
            let at = before.lower_bound(came);
            for index in 0..=before.len() {
                if index == at {
                    next.entries.push(&entry(came, came, "1"));
                }
                if index < before.len() && index != left {
                    let lengths = [0, 1, 2].map(|document| &before.fragment_bytes(document)[index..=index]);
                    next.entries.push_kept(&before, index..index + 1, lengths);
                }
            }
            before = next.entries.clone();
        }
        let bytes = next.encode().unwrap();
        assert!(bytes.len() * 100 < base_bytes.len(), "{} of {}", bytes.len(), base_bytes.len());
        let Decoded::Delta(delta) = Catalog::decode(&bytes).unwrap() else { panic!("a whole one") };
        assert_eq!(delta.base(), repomd);
        assert_eq!(delta.on(&whole(&base_bytes)).unwrap(), next);

        let Decoded::Delta(delta) = Catalog::decode(&bytes).unwrap() else { panic!("a whole one") };
        assert!(delta.on(&catalog(many(10))).is_err(), "another base");
    }

    #[test]
    fn when_changes_have_cost_a_whole_catalog_the_next_is_whole() {
        let mut base = catalog(many(5_000));
        base.encode().unwrap();
        let spent = Base { sent_bytes: 5_000 * WHOLE_BYTES_PER_PACKAGE, ..base.base_of_next(Sha256::of(b"")).unwrap() };
        let mut next = Catalog { base: Some(spent), ..base };
        let bytes = next.encode().unwrap();
        assert_eq!((next.base, whole(&bytes)), (None, next));
    }

    #[test]
    fn how_primary_is_cut_in_its_own_folder_is_kept_and_costs_the_others_nothing() {
        let mut flat = catalog(many(3_000));
        let mut mirrored = Catalog { mirror: flat.files.as_ref().map(|[primary, ..]| primary.clone()), ..flat.clone() };
        let (flat_bytes, bytes) = (flat.encode().unwrap(), mirrored.encode().unwrap());
        assert_eq!((flat_bytes[7], bytes[7]), (2, 3), "without it, the version is the one before");
        assert_eq!((whole(&flat_bytes), whole(&bytes)), (flat, mirrored.clone()));
        // Also in a change, of whichever base.
        let mut next = Catalog { base: mirrored.base_of_next(Sha256::of(b"repomd.xml")), ..mirrored.clone() };
        let Decoded::Delta(delta) = Catalog::decode(&next.encode().unwrap()).unwrap() else { panic!("a whole one") };
        assert_eq!(delta.on(&whole(&flat_bytes)).unwrap(), next);
    }

    /// One of every kind, some of them side by side.
    fn labelled(count: usize) -> Vec<Entry<'static>> {
        let label = |at: usize| match at % 5 {
            0 | 1 => None,
            2 => Some("node:10:1:aaaa".into()),
            _ => Some("".into()),
        };
        many(count).into_iter().enumerate().map(|(at, entry)| Entry { module: label(at), ..entry }).collect()
    }

    #[test]
    fn labels_are_kept_in_whole_catalogs_and_in_changes_and_nobody_pays_for_none() {
        let mut base = catalog(labelled(5_000));
        let base_bytes = base.encode().unwrap();
        assert_eq!(whole(&base_bytes), base);
        let mut next = Catalog { base: base.base_of_next(Sha256::of(b"repomd.xml")), ..base.clone() };
        next.entries = next.entries.labelled(&[(0, "perl:5:1:bbbb".to_owned()), (4_995, String::new())]);
        assert_eq!((next.entries.module(0), next.entries.module(4_995)), (Some("perl:5:1:bbbb"), Some("")));
        assert_eq!((next.entries.module(1), next.entries.len()), (base.entries.module(1), 5_000));
        let Decoded::Delta(delta) = Catalog::decode(&next.encode().unwrap()).unwrap() else { panic!("a whole one") };
        assert_eq!(delta.on(&whole(&base_bytes)).unwrap(), next);

        let nobody_has_looked = many(5_000).into_iter().map(|entry| Entry { module: None, ..entry }).collect();
        let (mut without, mut unread) = (catalog(many(5_000)), catalog(nobody_has_looked));
        let bytes = [without.encode().unwrap().len(), unread.encode().unwrap().len()];
        assert!(bytes[0].abs_diff(bytes[1]) < 16, "{bytes:?}");
    }

    #[test]
    fn a_catalog_of_who_does_not_know_of_modules_is_read_and_its_labels_are_unknown() {
        let mut new = catalog(labelled(10));
        for mirrored in [false, true] {
            new.mirror = new.files.as_ref().filter(|_| mirrored).map(|[primary, ..]| primary.clone());
            let bytes = new.encode().unwrap();
            let (head, packed) = (&bytes[..8], &bytes[48..]);
            let mut raw = zstd::bulk::decompress(packed, MAX_RAW_BYTES >> 10).unwrap();
            let modules = Written { entries: &new.entries, only_new: false }.modules();
            let modules = postcard::to_stdvec(&modules).unwrap();
            assert!(raw.ends_with(&modules));
            raw.truncate(raw.len() - modules.len());
            let packed = zstd::bulk::compress(&raw, ZSTD_LEVEL).unwrap();
            let body = [&(raw.len() as u64).to_le_bytes()[..], &packed].concat();
            let old = [head, Sha256::of(&body).as_bytes(), &body].concat();
            let read = whole(&old);
            assert!((0..10).all(|at| read.entries.module(at).is_none()), "nobody has looked");
            let plain = |catalog: &Catalog| -> Vec<_> {
                catalog
                    .entries
                    .iter()
                    .map(|entry| Entry { module: None, ..entry })
                    .map(|entry| format!("{entry:?}"))
                    .collect()
            };
            assert_eq!((plain(&read), read.mirror.is_some()), (plain(&new), mirrored));
        }
    }

    #[test]
    fn damage_anywhere_is_noticed() {
        let good = catalog(vec![entry("a.rpm", "a", "1")]).encode().unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x40;
            assert!(Catalog::decode(&bad).is_err(), "byte {at}");
            assert!(Catalog::decode(&good[..at]).is_err(), "cut at {at}");
        }
    }
}
