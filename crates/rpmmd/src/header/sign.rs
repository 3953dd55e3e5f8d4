//! Putting another signature into a package: what `rpmsign` does to its start, without a look at its
//! payload. Makes no signature and judges none: it only finds them their place.
//!
//! Everything else that stands in the signature header stays, and comes into one region over all of it,
//! whether it stood in one before or not. (rpmsign 4.18 loses what stands behind the region, and the
//! package's main header with it.) The main header and the payload are not touched, so the digests and
//! sizes there go on being right.

use std::collections::BTreeMap;
use std::fmt;

use super::entry::{ENTRY_BYTES, Entry};
use super::error::{Fault, HeaderError, Section};
use super::merge::JUDGED;
use super::table::{HEADER_MAGIC, Header, INTRO_BYTES, MAX_HEADERS_BYTES, Piece};
use super::value::Kind;
use super::{HeaderFile, SIGNATURE_LIMITS};
use crate::tag::{self, signature as tags};

/// The signatures that a package can have, by the tags they stand under.
const SIGNATURES: [tag::Tag; 6] = [tags::DSA, tags::RSA, tags::OPENPGP, tags::PGP, tags::GPG, tags::PGP5];
/// The number that RPMFORMAT has in packages of version 6.
const VERSION_6: u64 = 6;

/// An OpenPGP signature over a main header, as bytes; it stands under a tag that its key decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderSignature<'s> {
    /// By an RSA key.
    Rsa(&'s [u8]),
    /// By any other: rpm has one tag for DSA, ECDSA and Ed25519.
    Other(&'s [u8]),
}

impl<'s> HeaderSignature<'s> {
    fn parts(self) -> (tag::Tag, &'s [u8]) {
        match self {
            Self::Rsa(packet) => (tags::RSA, packet),
            Self::Other(packet) => (tags::DSA, packet),
        }
    }
}

/// Why a signature over its main header would not say enough about a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsignable {
    /// Its main header has no immutable region.
    NoRegion,
    /// It is of version 6, whose signatures have rules of their own.
    Version6,
    /// Nothing in its main header stands for the payload.
    NoPayloadDigest,
    /// Nothing in its signature header stands for the main header.
    NoHeaderDigest,
}

impl fmt::Display for Unsignable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRegion => "its header has no region, as packages from before rpm 4",
            Self::Version6 => "it is of version 6",
            Self::NoPayloadDigest => "its header has no SHA-256 of the payload, as packages from before rpm 4.14",
            Self::NoHeaderDigest => "it has no digest of its header",
        })
    }
}

/// An entry's type, how many values it has, and their bytes.
type Raw<'a> = (u32, u32, &'a [u8]);

impl HeaderFile<'_> {
    /// Why the package cannot be signed by a signature over its main header; `None` when it can.
    /// That its digests are right is for others to see.
    pub fn unsignable(&self) -> Option<Unsignable> {
        let digests = [tags::SHA1, tags::SHA256, tags::SHA3_256];
        if self.is_v3() {
            Some(Unsignable::NoRegion)
        } else if self.main.integer(tag::RPMFORMAT).is_some_and(|format| format >= VERSION_6) {
            Some(Unsignable::Version6)
        } else if self.payload_sha256().is_none() {
            Some(Unsignable::NoPayloadDigest)
        } else if !digests.iter().any(|tag| self.signature.text(*tag).is_some()) {
            Some(Unsignable::NoHeaderDigest)
        } else {
            None
        }
    }

    /// The file's start up to its main header, with this signature in place of all that it has: what
    /// stands before byte [`HeaderFile::header_start`] in the signed file.
    pub fn start_with_signature(&self, signature: HeaderSignature<'_>) -> Result<Vec<u8>, HeaderError> {
        let mut entries: BTreeMap<u32, Raw<'_>> = BTreeMap::new();
        for entry in self.signature.entries().filter(|entry| !is_signature(entry.tag)) {
            let data = &self.signature.data[entry.offset as usize..];
            let fault = |problem| Section::Signature.error(Fault::BadEntry { tag: entry.tag, problem });
            let kind = Kind::of(entry.kind).ok_or_else(|| fault("unknown type"))?;
            let length = kind.length(entry, data).map_err(fault)?;
            let value = (entry.kind, entry.count, &data[..length]);
            // What rpm reads of two goes on, so that it reads the same: of a digest the first, of all else
            // what stands behind the region.
            if JUDGED.iter().any(|tag| tag.number() == entry.tag) {
                entries.entry(entry.tag).or_insert(value);
            } else {
                entries.insert(entry.tag, value);
            }
        }
        let (tag, packet) = signature.parts();
        let count = u32::try_from(packet.len()).unwrap_or(u32::MAX);
        entries.insert(tag.number(), (Kind::BYTES, count, packet));
        keep_length(&mut entries, self.signature.bytes.len());
        let mut start = self.lead.to_vec();
        start.extend(written(&entries)?);
        start.resize(start.len().next_multiple_of(8), 0);
        // What is not read back is not handed out; librpm's limits are kept that way too.
        match Header::parse(&start, self.lead.len(), &SIGNATURE_LIMITS)? {
            Piece::Ready(..) if (start.len() + self.main.bytes.len()) as u64 <= MAX_HEADERS_BYTES => Ok(start),
            Piece::Ready(..) | Piece::Needs(_) => {
                let bytes = (start.len() + self.main.bytes.len()) as u64;
                Err(Section::Signature.error(Fault::TooLong { bytes, limit: MAX_HEADERS_BYTES }))
            }
        }
    }
}

fn is_signature(number: u32) -> bool {
    SIGNATURES.iter().any(|tag| tag.number() == number)
}

/// rpmbuild leaves room for a signature, and rpmsign takes it from there: so the main header stays
/// where it was.
fn keep_length(entries: &mut BTreeMap<u32, Raw<'_>>, before: usize) {
    let Some(more) = length(entries).checked_sub(before) else { return };
    if let Some((Kind::BYTES, count, data)) = entries.get_mut(&tags::RESERVEDSPACE.number())
        && more < data.len()
    {
        *data = &data[..data.len() - more];
        *count = u32::try_from(data.len()).unwrap_or(u32::MAX);
    }
}

/// Bytes of a header with these entries, in a region.
fn length(entries: &BTreeMap<u32, Raw<'_>>) -> usize {
    let joined = entries.values().fold(0usize, |at, (kind, _, data)| aligned(at, *kind) + data.len());
    INTRO_BYTES + ENTRY_BYTES * (entries.len() + 1) + joined + ENTRY_BYTES
}

fn aligned(at: usize, kind: u32) -> usize {
    at.next_multiple_of(Kind::of(kind).map_or(1, Kind::alignment))
}

/// A signature header with these entries, in the order of their numbers, in a region over all.
fn written(entries: &BTreeMap<u32, Raw<'_>>) -> Result<Vec<u8>, HeaderError> {
    let region = SIGNATURE_LIMITS.region.number();
    let (mut index, mut data) = (Vec::new(), Vec::new());
    for (tag, (kind, count, bytes)) in entries {
        data.resize(aligned(data.len(), *kind), 0);
        write(&mut index, Entry { tag: *tag, kind: *kind, offset: word(data.len())?, count: *count });
        data.extend_from_slice(bytes);
    }
    let trailer = Entry { tag: region, kind: Kind::BYTES, offset: word(data.len())?, count: word(ENTRY_BYTES)? };
    let mut first = Vec::new();
    write(&mut first, trailer);
    index.splice(0..0, first);
    // It points back over the index that it covers.
    write(&mut data, Entry { offset: word(index.len())?.wrapping_neg(), ..trailer });
    let mut header = HEADER_MAGIC.to_vec();
    header.extend(word(index.len() / ENTRY_BYTES)?.to_be_bytes());
    header.extend(word(data.len())?.to_be_bytes());
    header.extend(index);
    header.extend(data);
    Ok(header)
}

fn word(length: usize) -> Result<u32, HeaderError> {
    let limit = SIGNATURE_LIMITS.data_bytes;
    let too_long = || Section::Signature.error(Fault::TooMuchData { bytes: u32::MAX, limit });
    u32::try_from(length).map_err(|_| too_long())
}

fn write(to: &mut Vec<u8>, Entry { tag, kind, offset, count }: Entry) {
    to.extend([tag, kind, offset, count].into_iter().flat_map(u32::to_be_bytes));
}

#[cfg(test)]
mod tests {
    use forge::{Rpm, Value};
    use proptest::prelude::*;

    use super::*;
    use crate::header::Parsed;

    fn ready(file: &[u8]) -> HeaderFile<'_> {
        match HeaderFile::parse_prefix(file).unwrap() {
            Parsed::Ready(headers) => headers,
            Parsed::Needs(bytes) => panic!("needs {bytes} of {}", file.len()),
        }
    }

    /// The file with this signature.
    fn signed(file: &[u8], signature: HeaderSignature<'_>) -> Vec<u8> {
        let before = ready(file);
        let mut after = before.start_with_signature(signature).unwrap();
        after.extend_from_slice(&file[usize::try_from(before.header_start).unwrap()..]);
        after
    }

    fn entries(header: &Header<'_>) -> BTreeMap<u32, (u32, Vec<u8>)> {
        let value = |entry: Entry| {
            let data = &header.data[entry.offset as usize..];
            (entry.count, data[..Kind::of(entry.kind).unwrap().length(entry, data).unwrap()].to_vec())
        };
        header.entries().map(|entry| (entry.tag, value(entry))).collect()
    }

    #[test]
    fn a_signature_takes_the_place_of_all_others_and_nothing_else_changes() {
        let all = Rpm::new("a", "1", "1", "noarch")
            .signature_tag(tags::RSA.number(), Value::Bytes(vec![1; 300]))
            .signature_tag(tags::DSA.number(), Value::Bytes(vec![2; 30]))
            .signature_tag(tags::PGP.number(), Value::Bytes(vec![3; 30]))
            .signature_tag(tags::GPG.number(), Value::Bytes(vec![4; 30]))
            .signature_tag(tags::PGP5.number(), Value::Bytes(vec![5; 30]))
            .signature_tag(tags::OPENPGP.number(), Value::texts(["AAAA"]))
            .signature_tag(20_000, Value::Int64(vec![7, 8]))
            .build();
        let plain = Rpm::new("a", "1", "1", "noarch").signature_tag(20_000, Value::Int64(vec![7, 8])).build();
        for (signature, tag) in [(HeaderSignature::Rsa(b"new"), tags::RSA), (HeaderSignature::Other(b"new"), tags::DSA)]
        {
            let after = signed(&all, signature);
            let (before, now) = (ready(&plain), ready(&after));
            let mut expected = entries(&before.signature);
            expected.insert(tag.number(), (3, b"new".to_vec()));
            assert_eq!(entries(&now.signature), expected);
            assert_eq!(now.main.as_bytes(), before.main.as_bytes());
            assert!(now.header_start.is_multiple_of(8));
            assert_eq!(now.expected_file_bytes(), Some(after.len() as u64));
            assert_eq!(after, signed(&plain, signature), "whatever it was signed with before");
        }
    }

    #[test]
    fn reserved_space_gives_room_while_there_is_enough() {
        let file = |reserved: usize| {
            let reserved = Value::Bytes(vec![0; reserved]);
            Rpm::new("a", "1", "1", "noarch").signature_tag(tags::RESERVEDSPACE.number(), reserved).build()
        };
        let packet = [9; 500];
        let (roomy, tight) = (file(4_000), file(500));
        let (after, before) = (signed(&roomy, HeaderSignature::Rsa(&packet)), ready(&roomy));
        assert_eq!((ready(&after).header_start, after.len()), (before.header_start, roomy.len()));
        // One more entry in the index, and its data.
        assert_eq!(ready(&after).signature.bytes(tags::RESERVEDSPACE).unwrap().len(), 4_000 - 500 - 16);
        let after = signed(&tight, HeaderSignature::Rsa(&packet));
        assert_eq!(ready(&after).signature.bytes(tags::RESERVEDSPACE).unwrap().len(), 500);
        assert!(after.len() > tight.len());
    }

    #[test]
    fn what_a_signature_would_not_cover_is_named() {
        let rpm = || Rpm::new("a", "1", "1", "noarch");
        let why = |rpm: Rpm| ready(&rpm.build()).unsignable();
        assert_eq!(why(rpm()), None);
        assert_eq!(why(rpm().without_region()), Some(Unsignable::NoRegion));
        assert_eq!(why(rpm().tag(tag::RPMFORMAT.number(), Value::int32(6))), Some(Unsignable::Version6));
        assert_eq!(why(rpm().without_tag(tag::PAYLOADDIGEST.number())), Some(Unsignable::NoPayloadDigest));
        let sha512 = rpm().tag(tag::PAYLOADDIGESTALGO.number(), Value::int32(10));
        assert_eq!(why(sha512), Some(Unsignable::NoPayloadDigest));
        let without = rpm().without_signature_tag(tags::SHA1.number()).without_signature_tag(tags::SHA256.number());
        assert_eq!(why(without), Some(Unsignable::NoHeaderDigest));
    }

    #[test]
    fn librpms_limits_hold_for_what_is_written() {
        let many = (0..40).fold(Rpm::new("a", "1", "1", "noarch"), |rpm, number| {
            rpm.signature_tag(20_000 + number, Value::int32(number))
        });
        // A good one is full with the region, five tags of its own and 26 more.
        let full = (0..26).fold(Rpm::new("a", "1", "1", "noarch"), |rpm, number| {
            rpm.signature_tag(20_000 + number, Value::int32(number))
        });
        assert!(HeaderFile::parse_prefix(&many.build()).is_err());
        let full = full.build();
        let refused = ready(&full).start_with_signature(HeaderSignature::Rsa(b"one too many"));
        assert!(refused.unwrap_err().to_string().contains("tags"));
        let huge = vec![0; (64 << 20) + 1];
        let plain = Rpm::new("a", "1", "1", "noarch").build();
        assert!(ready(&plain).start_with_signature(HeaderSignature::Rsa(&huge)).is_err());
    }

    proptest! {
        #[test]
        fn whatever_stands_in_a_signature_header_stays(
            tags in prop::collection::btree_map(20_000u32..20_040, 0u8..6, 0..12),
            reserved in prop::option::of(1usize..900),
            packet in prop::collection::vec(any::<u8>(), 1..700),
            is_rsa in any::<bool>(),
        ) {
            let value = |tag: u32, kind: u8| match kind {
                0 => Value::Int8(vec![1; 1 + tag as usize % 3]),
                1 => Value::Int16(vec![2; 1 + tag as usize % 3]),
                2 => Value::Int32(vec![tag; 2]),
                3 => Value::Int64(vec![u64::from(tag)]),
                4 => Value::texts(["a", "bc", ""]),
                _ => Value::Bytes(vec![0; tag as usize % 7 + 1]),
            };
            let mut rpm = Rpm::new("a", "1", "1", "noarch");
            for (tag, kind) in &tags {
                rpm = rpm.signature_tag(*tag, value(*tag, *kind));
            }
            if let Some(bytes) = reserved {
                rpm = rpm.signature_tag(super::tags::RESERVEDSPACE.number(), Value::Bytes(vec![0; bytes]));
            }
            let file = rpm.build();
            let signature = if is_rsa { HeaderSignature::Rsa(&packet) } else { HeaderSignature::Other(&packet) };
            let after = signed(&file, signature);
            let (before, now) = (ready(&file), ready(&after));
            let (mut expected, mut found) = (entries(&before.signature), entries(&now.signature));
            for entries in [&mut expected, &mut found] {
                entries.remove(&super::tags::RESERVEDSPACE.number());
            }
            let tag = if is_rsa { super::tags::RSA } else { super::tags::DSA };
            expected.insert(tag.number(), (u32::try_from(packet.len()).unwrap(), packet.clone()));
            prop_assert_eq!(found, expected);
            prop_assert_eq!(now.main.as_bytes(), before.main.as_bytes());
            prop_assert_eq!(now.expected_file_bytes(), Some(after.len() as u64));
            prop_assert!(after.len() >= file.len());
            // Signed again by the same, it is the same.
            prop_assert_eq!(&signed(&after, signature), &after);
        }

        #[test]
        fn a_damaged_file_that_can_be_read_can_be_read_with_a_signature_too(
            flips in prop::collection::vec((96usize..700, any::<u8>()), 1..4),
        ) {
            let mut file = Rpm::new("a", "1", "1", "noarch").build();
            let length = file.len();
            for (at, with) in flips {
                file[at % length] ^= with;
            }
            if let Ok(Parsed::Ready(before)) = HeaderFile::parse_prefix(&file)
                && before.start_with_signature(HeaderSignature::Rsa(b"new")).is_ok()
            {
                let after = signed(&file, HeaderSignature::Rsa(b"new"));
                prop_assert_eq!(ready(&after).main.as_bytes(), before.main.as_bytes());
            }
        }
    }
}
