//! Reads the start of an RPM file: lead, signature header, main header.
//!
//! Works on however many bytes of the file have arrived and says how many it needs. Copies
//! nothing, believes nothing: limits are librpm's and [`MAX_HEADERS_BYTES`], every offset and
//! count is checked before it is used (those in an index before its data is asked for), and no
//! memory is reserved for what a header merely claims. Never looks at the payload. What the
//! tags mean is [`crate::package`]'s business.

mod error;
mod merge;
mod region;
mod sign;
mod value;

#[cfg(test)]
mod tests;

use sha2::Digest as _;

pub use self::error::{Fault, HeaderError, Reason, Section};
use self::region::Region;
pub use self::sign::{HeaderSignature, Unsignable};
use self::value::Kind;
pub use self::value::{Integers, Texts};
use crate::checksum::Sha256;
use crate::tag::{self, Tag};

const LEAD_BYTES: usize = 96;
const LEAD_MAGIC: [u8; 4] = [0xed, 0xab, 0xee, 0xdb];
/// `RPMSIGTYPE_HEADERSIG`, the only kind of signature there has been since rpm 3.
const LEAD_HEADER_SIGNATURE: u16 = 5;
/// Magic, the version of the header's form, and what is reserved; librpm compares all of it.
const HEADER_MAGIC: [u8; 8] = [0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0];
/// Magic, number of entries, bytes of data.
const INTRO_BYTES: usize = 16;
const ENTRY_BYTES: usize = 16;
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

/// What librpm accepts at most of one header.
struct Limits {
    section: Section,
    region: Tag,
    entries: u32,
    data_bytes: u32,
}

const SIGNATURE_LIMITS: Limits =
    Limits { section: Section::Signature, region: tag::HEADERSIGNATURES, entries: 32, data_bytes: 64 << 20 };
const MAIN_LIMITS: Limits =
    Limits { section: Section::Main, region: tag::HEADERIMMUTABLE, entries: 0xffff, data_bytes: 256 << 20 };

/// The answer to a prefix of a file.
#[derive(Debug, Clone, Copy)]
pub enum Parsed<'a> {
    /// Both headers are there and sound.
    Ready(HeaderFile<'a>),
    /// So many bytes from the file's start are needed before more can be said: always more than
    /// were given. A file that is shorter than this is truncated.
    Needs(u64),
}

/// The two headers of a file, and where the main one stands.
#[derive(Debug, Clone, Copy)]
pub struct HeaderFile<'a> {
    /// The signature header: sizes, digests and signatures over what follows it.
    pub signature: Header<'a>,
    /// The main header: the package's description.
    pub main: Header<'a>,
    /// First byte of the main header in the file.
    pub header_start: u64,
    /// First byte after the main header: where the payload starts.
    pub header_end: u64,
    /// The first bytes, up to the signature header.
    lead: &'a [u8],
}

/// Digests that [`HeaderFile::verify_header_digests`] found in the signature header and found right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedDigests {
    /// SHA3-256 of the main header (version 6).
    pub sha3_256: bool,
    /// SHA-256 of the main header.
    pub sha256: bool,
    /// SHA-1 of the main header.
    pub sha1: bool,
}

impl<'a> HeaderFile<'a> {
    /// Parses the first bytes of a file. `prefix` may be longer than needed, or the whole file.
    pub fn parse_prefix(prefix: &'a [u8]) -> Result<Parsed<'a>, HeaderError> {
        check_lead(prefix)?;
        let (signature, signature_end) = match Header::parse(prefix, LEAD_BYTES, &SIGNATURE_LIMITS)? {
            Piece::Ready(header, end) => (header, end),
            Piece::Needs(bytes) => return Ok(Parsed::Needs(bytes as u64)),
        };
        // Only the signature header is padded.
        let header_start = signature_end.next_multiple_of(8);
        let (main, header_end) = match Header::parse(prefix, header_start, &MAIN_LIMITS)? {
            Piece::Ready(header, end) => (header, end),
            Piece::Needs(bytes) => return Ok(Parsed::Needs(bytes as u64)),
        };
        merge::check(&signature, &main)?;
        let (lead, header_start, header_end) = (&prefix[..LEAD_BYTES], header_start as u64, header_end as u64);
        Ok(Parsed::Ready(Self { signature, main, header_start, header_end, lead }))
    }

    /// How long the file should be: by its signature header (main header and payload, LONGSIZE
    /// or SIZE), or by its main header (payload, PAYLOADSIZE) in version 6; `None` when neither
    /// says or what they say is nonsense.
    pub fn expected_file_bytes(&self) -> Option<u64> {
        let signed = |tag| self.signature.loaded_integer(tag);
        match signed(tag::signature::LONGSIZE).or_else(|| signed(tag::signature::SIZE)) {
            Some(content) => self.header_start.checked_add(content),
            None => self.header_end.checked_add(self.main.integer(tag::PAYLOADSIZE)?),
        }
    }

    /// SHA-256 of the compressed payload, when the header has it (rpm 4.14 and later).
    pub fn payload_sha256(&self) -> Option<Sha256> {
        // OpenPGP's number of SHA-256; no other was ever written here.
        const SHA256: u64 = 8;
        if self.main.integer(tag::PAYLOADDIGESTALGO).unwrap_or(SHA256) != SHA256 {
            return None;
        }
        let mut digests =
            self.main.strings(tag::PAYLOADDIGEST)?.map(|text| std::str::from_utf8(text).ok()?.parse().ok());
        let first: Sha256 = digests.next()??;
        // rpm compares the payload with each.
        digests.all(|other| other == Some(first)).then_some(first)
    }

    /// The package has no immutable region: it was built before rpm 4.
    pub fn is_v3(&self) -> bool {
        !self.main.has_region
    }

    /// Compares the main header with the SHA3-256, SHA-256 and SHA-1 that the signature header has of it.
    /// One that is absent is not an error: the answer says what was there.
    pub fn verify_header_digests(&self) -> Result<VerifiedDigests, HeaderError> {
        let sha3_256 =
            self.verify(tag::signature::SHA3_256, |bytes| <sha3::Sha3_256 as sha3::Digest>::digest(bytes).to_vec())?;
        let sha256 = self.verify(tag::signature::SHA256, |bytes| sha2::Sha256::digest(bytes).to_vec())?;
        let sha1 = self.verify(tag::signature::SHA1, |bytes| sha1::Sha1::digest(bytes).to_vec())?;
        Ok(VerifiedDigests { sha3_256, sha256, sha1 })
    }

    /// Refuses what rpm does not install, whatever the bytes are: a header or a payload that no digest in
    /// the file stands for, and a payload digest that rpm cannot read.
    pub fn check_digests(&self) -> Result<(), HeaderError> {
        use tag::signature as tags;
        let refuse = |section: Section, problem| Err(section.error(Fault::NoDigest(problem)));
        let both = self.signature.has(tags::MD5);
        let header = [tags::SHA1, tags::SHA256, tags::SHA3_256].into_iter().any(|tag| self.signature.has(tag));
        if !header && !both {
            return refuse(Section::Signature, "no digest of the main header");
        }
        if !self.main.has(tag::PAYLOADDIGEST) {
            // Of what rpm compares with the payload as it lies there, and finds wrong.
            if self.main.has(tag::PAYLOADDIGESTALT) {
                return refuse(Section::Main, "a digest of the uncompressed payload alone");
            }
            // rpm 6 has digests by other hashes, and always this one or SHA-3 beside them.
            let later = [tag::PAYLOADSHA512, tag::PAYLOADSHA3_256].into_iter().any(|tag| self.main.has(tag));
            return if both || later { Ok(()) } else { refuse(Section::Main, "no digest of the payload") };
        }
        match self.payload_sha256() {
            Some(_) => Ok(()),
            None => refuse(Section::Main, "a payload digest that is no SHA-256"),
        }
    }

    fn verify(&self, tag: Tag, digest: impl Fn(&[u8]) -> Vec<u8>) -> Result<bool, HeaderError> {
        let Some(stated) = self.signature.text(tag) else { return Ok(false) };
        let actual = digest(self.main.bytes);
        let hex =
            actual.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| b"0123456789abcdef"[usize::from(digit)]);
        if stated.iter().map(u8::to_ascii_lowercase).eq(hex) {
            Ok(true)
        } else {
            Err(Section::Main.error(Fault::DigestMismatch { tag }))
        }
    }
}

/// Refuses what cannot be an RPM as soon as a byte shows it.
fn check_lead(prefix: &[u8]) -> Result<(), HeaderError> {
    if prefix.iter().zip(LEAD_MAGIC).any(|(byte, magic)| *byte != magic) {
        return Err(Section::Lead.error(Fault::NotRpm));
    }
    // rpm 6 writes what rpm 4 does here; librpm takes 3 and 4.
    if let Some(major) = prefix.get(4)
        && !(3..=4).contains(major)
    {
        return Err(Section::Lead.error(Fault::UnsupportedVersion { major: *major }));
    }
    if let Some(kind) = prefix.get(78..80)
        && kind != LEAD_HEADER_SIGNATURE.to_be_bytes()
    {
        return Err(Section::Lead.error(Fault::UnsupportedSignatureType));
    }
    Ok(())
}

/// One header: index entries over a stretch of data. All entries have been checked.
#[derive(Debug, Clone, Copy)]
pub struct Header<'a> {
    bytes: &'a [u8],
    index: &'a [u8],
    data: &'a [u8],
    has_region: bool,
    /// So many entries stand in the region, or in the whole header where it has none; the region's own
    /// not counted.
    in_region: usize,
}

enum Piece<'a> {
    /// A header and the file offset of its end.
    Ready(Header<'a>, usize),
    /// Bytes needed from the file's start.
    Needs(usize),
}

#[derive(Clone, Copy)]
struct Entry {
    tag: u32,
    kind: u32,
    offset: u32,
    count: u32,
}

impl Entry {
    fn read(bytes: &[u8]) -> Self {
        Self { tag: word(bytes, 0), kind: word(bytes, 4), offset: word(bytes, 8), count: word(bytes, 12) }
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes are four bytes"))
}

impl<'a> Header<'a> {
    /// Parses the header that starts at `start` of the file.
    fn parse(prefix: &'a [u8], start: usize, limits: &Limits) -> Result<Piece<'a>, HeaderError> {
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
    fn strings(&self, tag: Tag) -> Option<Texts<'a>> {
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

    fn integers_of(&self, entry: Entry) -> Option<Integers<'a>> {
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

    fn entries(&self) -> impl Iterator<Item = Entry> + Clone {
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
