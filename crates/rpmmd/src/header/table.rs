//! One header: index entries over a stretch of data, checked by librpm's rules before anything is used.

use super::entry::{ENTRY_BYTES, Entry, Limits, word};
use super::error::{Fault, HeaderError, Section};
use super::region::Region;
use super::value::{Integers, Kind, Texts};
use crate::tag::{self, Tag};

/// Magic, the version of the header's form, and what is reserved; librpm compares all of it.
pub(super) const HEADER_MAGIC: [u8; 8] = [0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0];
/// Magic, number of entries, bytes of data.
pub(super) const INTRO_BYTES: usize = 16;
/// librpm's `HEADER_I18NTABLE`: lower tags are regions and never data.
const FIRST_DATA_TAG: u32 = 100;
/// librpm's numbers have a sign.
const LAST_TAG: u32 = i32::MAX as u32;
const VALUES_MAX: u32 = 0xf_ffff;
/// An index that promises more data than this is looked at before the data is asked for.
const LARGE_DATA_BYTES: u32 = 1 << 20;

/// Longest start of a file that is read, both headers. librpm takes eight times as much, but a
/// header has to be in memory as a whole, and one upload must not cost what the others need.
pub const MAX_HEADERS_BYTES: u64 = 32 << 20;

/// One header: index entries over a stretch of data. All entries have been checked.
#[derive(Debug, Clone, Copy)]
pub struct Header<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) index: &'a [u8],
    pub(super) data: &'a [u8],
    pub(super) has_region: bool,
    /// So many entries stand in the region, or in the whole header where it has none; the region's own
    /// not counted.
    pub(super) in_region: usize,
}

pub(super) enum Piece<'a> {
    /// A header and the file offset of its end.
    Ready(Header<'a>, usize),
    /// Bytes needed from the file's start.
    Needs(usize),
}

impl<'a> Header<'a> {
    /// Parses the header that starts at `start` of the file.
    pub(super) fn parse(prefix: &'a [u8], start: usize, limits: &Limits) -> Result<Piece<'a>, HeaderError> {
        let error = |fault| limits.section.error(fault);
        let rest = prefix.get(start..).unwrap_or_default();
        if rest.iter().zip(HEADER_MAGIC).any(|(byte, magic)| *byte != magic) {
            return Err(error(Fault::BadMagic));
        }
        if rest.len() < INTRO_BYTES {
            return Ok(Piece::Needs(start + INTRO_BYTES));
        }
        let (entries, data_bytes) = (word(rest, 8), word(rest, 12));
        if entries == 0 {
            return Err(error(Fault::NoTags));
        }
        if entries > limits.entries {
            return Err(error(Fault::TooManyTags { count: entries, limit: limits.entries }));
        }
        if data_bytes > limits.data_bytes {
            return Err(error(Fault::TooMuchData { bytes: data_bytes, limit: limits.data_bytes }));
        }
        // Bounded by the limits: far from wrapping even where usize has 32 bits.
        let data_start = INTRO_BYTES + ENTRY_BYTES * entries as usize;
        let length = data_start + data_bytes as usize;
        if (start + length) as u64 > MAX_HEADERS_BYTES {
            return Err(error(Fault::TooLong { bytes: (start + length) as u64, limit: MAX_HEADERS_BYTES }));
        }
        let Some(index) = rest.get(INTRO_BYTES..data_start) else {
            let first = if data_bytes > LARGE_DATA_BYTES { data_start } else { length };
            return Ok(Piece::Needs(start + first));
        };
        let region = Region::of(index, data_bytes as usize, limits).map_err(error)?;
        let in_region = entries as usize - usize::from(region.is_some());
        let mut header = Self { bytes: &[], index, data: &[], has_region: region.is_some(), in_region };
        // As for librpm: the numbers of a signature header mean other things, and packages from
        // before rpm 4 were never so strict.
        let typed = region.is_some() && limits.section == Section::Main;
        let rules = Rules { data_bytes: data_bytes as usize, typed, region };
        header.check_entries(&rules, Kind::least_length).map_err(error)?;
        if limits.section == Section::Main {
            header.check_duplicates().map_err(error)?;
        }
        let Some(bytes) = rest.get(..length) else { return Ok(Piece::Needs(start + length)) };
        (header.bytes, header.data) = (bytes, &bytes[data_start..]);
        if let Some(region) = region {
            header.in_region = region.covered(index, header.data, limits).map_err(error)? - 1;
        }
        let read = |kind: Kind, entry: Entry, _| kind.length(entry, &header.data[entry.offset as usize..]);
        let joined = header.check_entries(&rules, read).map_err(error)?;
        if limits.section == Section::Signature {
            header.check_duplicates().map_err(error)?;
        }
        // librpm loads a header by joining its data, and wants it to come to the same length.
        if joined + if header.has_region { ENTRY_BYTES } else { 0 } != header.data.len() {
            return Err(error(Fault::BadRegion("data that no tag has")));
        }
        Ok(Piece::Ready(header, start + length))
    }

    /// Whether the tag is there, whatever its type.
    pub fn has(&self, tag: Tag) -> bool {
        self.find(tag).is_some()
    }

    /// The text of a tag: a string, the C locale's of a translated one, or the only one of a
    /// list. Bytes, since old packages are in any encoding; without the NUL.
    pub fn text(&self, tag: Tag) -> Option<&'a [u8]> {
        let (kind, entry) = self.find(tag)?;
        match kind {
            Kind::Text | Kind::Locales => self.texts(tag)?.next(),
            Kind::Texts if entry.count == 1 => self.texts(tag)?.next(),
            Kind::Texts | Kind::Bytes | Kind::Integer(_) => None,
        }
    }

    /// The texts of a list (or the one text of a string).
    pub fn texts(&self, tag: Tag) -> Option<Texts<'a>> {
        let (kind, entry) = self.find(tag)?;
        match kind {
            Kind::Text | Kind::Texts | Kind::Locales => {
                Some(Texts::new(&self.data[entry.offset as usize..], entry.count))
            }
            Kind::Bytes | Kind::Integer(_) => None,
        }
    }

    /// The texts of a list that is of that type.
    pub(super) fn strings(&self, tag: Tag) -> Option<Texts<'a>> {
        let (kind, entry) = self.find(tag)?;
        (kind == Kind::Texts).then(|| Texts::new(&self.data[entry.offset as usize..], entry.count))
    }

    /// The first of a tag's numbers, unsigned, of whatever width.
    pub fn integer(&self, tag: Tag) -> Option<u64> {
        self.integers(tag)?.next()
    }

    /// A tag's number, where it has one only.
    pub fn only_integer(&self, tag: Tag) -> Option<u64> {
        let mut numbers = self.integers(tag)?;
        if numbers.len() == 1 { numbers.next() } else { None }
    }

    /// A tag's numbers, unsigned, decoded as they are asked for.
    pub fn integers(&self, tag: Tag) -> Option<Integers<'a>> {
        self.integers_of(self.find(tag)?.1)
    }

    pub(super) fn integers_of(&self, entry: Entry) -> Option<Integers<'a>> {
        match Kind::of(entry.kind)? {
            Kind::Integer(width) => Some(Integers::new(self.value_bytes(entry, width), width)),
            Kind::Text | Kind::Texts | Kind::Locales | Kind::Bytes => None,
        }
    }

    /// The bytes of a binary tag, a signature for one.
    pub fn bytes(&self, tag: Tag) -> Option<&'a [u8]> {
        let (kind, entry) = self.find(tag)?;
        match kind {
            Kind::Bytes => Some(self.value_bytes(entry, 1)),
            Kind::Text | Kind::Texts | Kind::Locales | Kind::Integer(_) => None,
        }
    }

    /// The header as it stands in the file, from its magic to the end of its data: what
    /// digests and signatures cover.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    fn value_bytes(&self, entry: Entry, width: u8) -> &'a [u8] {
        let start = entry.offset as usize;
        &self.data[start..start + entry.count as usize * usize::from(width)]
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = Entry> + Clone {
        self.index.chunks_exact(ENTRY_BYTES).map(Entry::read).skip(usize::from(self.has_region))
    }

    fn find(&self, tag: Tag) -> Option<(Kind, Entry)> {
        let entry = self.entries().find(|entry| entry.tag == tag.number())?;
        Some((Kind::of(entry.kind)?, entry))
    }

    /// librpm's checks of every entry. Data must stand in the order of the entries without
    /// overlapping, so that checking all strings reads the data once at most. `length` tells how
    /// many of the so many bytes from its offset on an entry takes. Answers how
    /// many bytes they take when each is put after the one before.
    fn check_entries(
        &self,
        rules: &Rules,
        length: impl Fn(Kind, Entry, usize) -> Result<usize, &'static str>,
    ) -> Result<usize, Fault> {
        let (mut free_from, mut joined) = (0, 0usize);
        for entry in self.entries() {
            let bad = |problem| Fault::BadEntry { tag: entry.tag, problem };
            if entry.tag < FIRST_DATA_TAG {
                return Err(bad("a region's number in the middle"));
            }
            if entry.tag > LAST_TAG {
                return Err(bad("no number of a tag"));
            }
            let kind = Kind::of(entry.kind).ok_or(bad("unknown type"))?;
            if entry.count == 0 {
                return Err(bad("no value"));
            }
            if entry.count > VALUES_MAX && kind != Kind::Bytes {
                return Err(Fault::TooManyValues { tag: entry.tag, count: entry.count, limit: VALUES_MAX });
            }
            let offset = entry.offset as usize;
            if !offset.is_multiple_of(kind.alignment()) {
                return Err(bad("misaligned"));
            }
            if rules.typed && tag::kind(entry.tag).is_some_and(|known| !kind.is_like(known)) {
                return Err(bad("not of the type that rpm gives it"));
            }
            let available = rules.data_bytes.checked_sub(offset).ok_or(bad("starts outside the data"))?;
            if offset < free_from {
                return Err(bad("overlaps the entry before it"));
            }
            let bytes = length(kind, entry, available).map_err(bad)?;
            free_from = offset + bytes;
            if rules.region.is_some_and(|region| region.is_overlapped_by(offset, free_from)) {
                return Err(bad("overlaps the region's trailer"));
            }
            joined = joined.next_multiple_of(kind.alignment()) + bytes;
        }
        Ok(joined)
    }

    /// rpm never writes a tag twice, and which of two librpm would read is chance: a client
    /// might see another package than we do. Only what stands behind a region replaces what
    /// stands in it, by a rule of librpm's.
    fn check_duplicates(&self) -> Result<(), Fault> {
        let tags = self.entries().map(|entry| entry.tag);
        check_once(tags.clone().take(self.in_region))?;
        check_once(tags.skip(self.in_region))
    }
}

/// What the entries of a header are checked by.
struct Rules {
    data_bytes: usize,
    /// Whether a tag that rpm knows has to have the type that rpm gives it.
    typed: bool,
    region: Option<Region>,
}

/// Refuses a tag that occurs twice.
fn check_once(tags: impl Iterator<Item = u32> + Clone) -> Result<(), Fault> {
    if tags.clone().is_sorted_by(|tag, next| tag < next) {
        return Ok(());
    }
    let mut tags: Vec<u32> = tags.collect();
    tags.sort_unstable();
    match tags.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Fault::BadEntry { tag: pair[0], problem: "occurs twice" }),
        None => Ok(()),
    }
}
