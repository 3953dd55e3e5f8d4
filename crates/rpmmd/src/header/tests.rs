//! Good headers, every prefix of one, hostile ones, and random damage.

use forge::header::{assemble, entry, lead};
use forge::{Rpm, Value};
use proptest::prelude::*;

use super::*;

const INT32: u32 = 4;
const INT64: u32 = 5;
const TEXT: u32 = 6;
const BYTES: u32 = 7;
const TEXTS: u32 = 8;

fn ready(file: &[u8]) -> HeaderFile<'_> {
    match HeaderFile::parse_prefix(file).unwrap() {
        Parsed::Ready(headers) => headers,
        Parsed::Needs(bytes) => panic!("needs {bytes} of {}", file.len()),
    }
}

fn small() -> Rpm {
    Rpm::new("small", "1", "2", "noarch").file("/etc/small").changelog(5, "me", "text")
}

/// A good lead and signature header, then `main`.
fn with_main(main: &[u8]) -> Vec<u8> {
    let mut signature = forge::header::Header::default();
    signature.set(forge::tag::SIG_SIZE, Value::int32(1));
    let mut file = lead(b"x", false);
    file.extend(signature.bytes(Some(62)));
    file.resize(file.len().next_multiple_of(8), 0);
    file.extend_from_slice(main);
    file
}

fn with_signature(signature: &[u8]) -> Vec<u8> {
    let mut file = lead(b"x", false);
    file.extend_from_slice(signature);
    file
}

fn fault(file: &[u8]) -> Fault {
    HeaderFile::parse_prefix(file).unwrap_err().fault
}

/// A main header of one entry without a region.
fn lone(kind: u32, offset: u32, count: u32, data: &[u8]) -> Vec<u8> {
    with_main(&assemble(1, &entry(1000, kind, offset, count), data))
}

#[test]
fn a_good_file_gives_its_tags() {
    let file = small()
        .epoch(7)
        .tag(tag::FILEMODES.number(), Value::Int16(vec![0o100_644]))
        .tag(20_000, Value::Int8(vec![1, 2]))
        .tag(tag::LONGSIZE.number(), Value::Int64(vec![1 << 40]))
        .tag(20_001, Value::Bytes(vec![9, 0, 9]))
        .tag(tag::SUMMARY.number(), Value::Locales(vec![b"C".to_vec(), b"de".to_vec()]))
        .build();
    let headers = ready(&file);
    let main = headers.main;
    assert_eq!(main.text(tag::NAME), Some(&b"small"[..]));
    assert_eq!(main.text(tag::SUMMARY), Some(&b"C"[..]));
    assert_eq!(main.texts(tag::SUMMARY).unwrap().collect::<Vec<_>>(), [&b"C"[..], b"de"]);
    assert_eq!(main.text(tag::DIRNAMES), Some(&b"/etc/"[..]));
    assert_eq!(main.integer(tag::EPOCH), Some(7));
    assert_eq!(main.integer(tag::FILEMODES), Some(0o100_644));
    assert_eq!(main.integer(tag::LONGSIZE), Some(1 << 40));
    assert_eq!(main.text(tag::EPOCH), None);
    assert_eq!(main.integer(tag::NAME), None);
    assert_eq!(main.bytes(tag::NAME), None);
    assert!(main.has(tag::PROVIDENAME) && !main.has(tag::OBSOLETENAME));
    assert_eq!(headers.expected_file_bytes(), Some(file.len() as u64));
    let payload = &file[usize::try_from(headers.header_end).unwrap()..];
    assert_eq!(headers.payload_sha256(), Some(Sha256::of(payload)));
    assert!(!headers.is_v3());
}

#[test]
fn long_sizes_win_over_short_ones() {
    let file = small().content_bytes(5 << 30).build();
    let headers = ready(&file);
    assert_eq!(headers.expected_file_bytes(), Some(headers.header_start + (5 << 30)));
    let file = small().signature_tag(270, Value::Int64(vec![u64::MAX])).build();
    assert_eq!(ready(&file).expected_file_bytes(), None);
}

#[test]
fn version_6_packages_say_their_size_in_the_main_header() {
    let file = small().without_signature_tag(1000).tag(5112, Value::Int64(vec![77])).build();
    let headers = ready(&file);
    assert_eq!(headers.expected_file_bytes(), Some(headers.header_end + 77));
    assert_eq!(ready(&small().without_signature_tag(1000).build()).expected_file_bytes(), None);
}

#[test]
fn every_prefix_asks_for_more_until_it_is_enough() {
    let file = small().build();
    let end = ready(&file).header_end;
    for length in 0..=file.len() {
        match HeaderFile::parse_prefix(&file[..length]).unwrap() {
            Parsed::Ready(headers) => assert!(headers.header_end == end && length as u64 >= end),
            Parsed::Needs(bytes) => assert!(bytes > length as u64 && bytes <= end, "{bytes} at {length}"),
        }
    }
}

#[test]
fn asking_for_what_is_needed_takes_four_steps_at_most() {
    let file = small().build();
    let (mut length, mut steps) = (0, 0);
    while let Parsed::Needs(bytes) = HeaderFile::parse_prefix(&file[..length]).unwrap() {
        (length, steps) = (usize::try_from(bytes).unwrap(), steps + 1);
    }
    assert_eq!(length as u64, ready(&file).header_end);
    assert!(steps <= 4);
}

#[test]
fn header_digests_are_verified() {
    let headers = |file: &[u8]| ready(file).verify_header_digests();
    let good = small().build();
    assert_eq!(headers(&good), Ok(VerifiedDigests { sha3_256: false, sha256: true, sha1: true }));
    assert_eq!(
        headers(&small().without_signature_tag(273).build()),
        Ok(VerifiedDigests { sha3_256: false, sha256: false, sha1: true })
    );
    let wrong = small().signature_tag(269, Value::text("00")).build();
    assert_eq!(headers(&wrong).unwrap_err().to_string(), "the main header does not match its SHA1 digest");
    // One letter of the summary.
    let at = good.windows(14).position(|text| text == b"A test package").unwrap();
    let mut changed = good.clone();
    changed[at] = b'B';
    assert_eq!(headers(&changed).unwrap_err().reason(), Reason::Digest);
}

#[test]
fn what_is_no_rpm_is_refused_at_once() {
    for bytes in [&b"<html>"[..], b"PK\x03\x04", b"!<arch>\ndebian-binary", b"\xed\xab\xee\xda", &[0; 95]] {
        assert_eq!(HeaderFile::parse_prefix(bytes).unwrap_err().reason(), Reason::NotRpm, "{bytes:?}");
    }
    let mut file = small().build();
    file[4] = 2;
    assert_eq!(HeaderFile::parse_prefix(&file).unwrap_err().reason(), Reason::Unsupported);
    file[4] = 3;
    file[79] = 1;
    assert_eq!(HeaderFile::parse_prefix(&file).unwrap_err().reason(), Reason::Unsupported);
    file[79] = 5;
    file[96] = 0;
    assert_eq!(HeaderFile::parse_prefix(&file).unwrap_err().to_string(), "no signature header where it should start");
}

#[test]
fn claims_beyond_the_limits_are_refused_before_they_are_read() {
    let intro = |entries: u32, bytes: u32| {
        let mut intro = vec![0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0];
        intro.extend(entries.to_be_bytes());
        intro.extend(bytes.to_be_bytes());
        intro
    };
    // 128 bytes in all, as the file that makes other readers reserve 32 GiB.
    let mut hostile = with_signature(&intro(u32::MAX, u32::MAX));
    hostile.resize(128, 0xff);
    assert_eq!(fault(&hostile), Fault::TooManyTags { count: u32::MAX, limit: 32 });
    assert_eq!(fault(&with_signature(&intro(33, 0))), Fault::TooManyTags { count: 33, limit: 32 });
    // Times 16 it wraps 32 bits to 16.
    assert_eq!(fault(&with_main(&intro(0x1000_0001, 0))), Fault::TooManyTags { count: 0x1000_0001, limit: 0xffff });
    assert_eq!(fault(&with_main(&intro(0x1_0000, 0))), Fault::TooManyTags { count: 0x1_0000, limit: 0xffff });
    let limit = 256 << 20;
    assert_eq!(fault(&with_main(&intro(1, u32::MAX))), Fault::TooMuchData { bytes: u32::MAX, limit });
    assert_eq!(fault(&with_main(&intro(1, limit + 1))), Fault::TooMuchData { bytes: limit + 1, limit });
    let limit = 64 << 20;
    assert_eq!(fault(&with_signature(&intro(1, limit + 1))), Fault::TooMuchData { bytes: limit + 1, limit });
    assert_eq!(fault(&with_main(&intro(0, 0))), Fault::NoTags);
    let many = |kind, count| fault(&lone(kind, 0, count, &[0; 64]));
    let limit = 0xf_ffff;
    assert_eq!(many(INT64, u32::MAX), Fault::TooManyValues { tag: 1000, count: u32::MAX, limit });
    assert_eq!(many(TEXTS, u32::MAX), Fault::TooManyValues { tag: 1000, count: u32::MAX, limit });
    assert_eq!(many(TEXTS, 0x10_0000), Fault::TooManyValues { tag: 1000, count: 0x10_0000, limit });
    // What librpm would take and memory would not.
    let bytes = with_main(&intro(1, 0)).len() as u64 + 16 + (256 << 20);
    assert_eq!(fault(&with_main(&intro(1, 256 << 20))), Fault::TooLong { bytes, limit: MAX_HEADERS_BYTES });
}

fn needs(file: &[u8]) -> u64 {
    match HeaderFile::parse_prefix(file).unwrap() {
        Parsed::Needs(bytes) => bytes,
        Parsed::Ready(_) => panic!("it is complete"),
    }
}

#[test]
fn an_index_is_judged_before_its_data_is_asked_for() {
    let claimed = |kind, count| {
        let mut main = assemble(1, &entry(1000, kind, 0, count), &[]);
        main[12..16].copy_from_slice(&(20u32 << 20).to_be_bytes());
        with_main(&main)
    };
    // As many strings as librpm takes at most, and one more: 20 MiB are asked for or spared.
    let whole = claimed(TEXTS, 0xf_ffff);
    assert_eq!(needs(&whole), whole.len() as u64 + (20 << 20));
    assert_eq!(
        fault(&claimed(TEXTS, 0x10_0000)),
        Fault::TooManyValues { tag: 1000, count: 0x10_0000, limit: 0xf_ffff }
    );
    assert!(matches!(fault(&claimed(INT64, 0xf_ffff + 1)), Fault::TooManyValues { .. }));
    assert_eq!(fault(&claimed(BYTES, 21 << 20)), Fault::BadEntry { tag: 1000, problem: "ends outside the data" });
    // Without the index, of a large header only the index is asked for.
    assert_eq!(needs(&whole[..whole.len() - 1]), whole.len() as u64);
}

#[test]
fn entries_that_cannot_be_are_refused() {
    for (problem, kind, offset, count, data) in [
        ("unknown type", 0, 0, 1, &b"12345678"[..]),
        ("unknown type", 10, 0, 1, b"12345678"),
        ("unknown type", 255, 0, 1, b"12345678"),
        ("no value", INT32, 0, 0, b"12345678"),
        ("misaligned", INT32, 2, 1, b"12345678"),
        ("misaligned", INT64, 4, 1, b"123456789012"),
        ("starts outside the data", TEXT, 9, 1, b"1234567\0"),
        ("starts outside the data", TEXT, u32::MAX, 1, b"1234567\0"),
        ("starts outside the data", INT32, 0x8000_0000, 1, b"12345678"),
        ("ends outside the data", INT32, 4, 2, b"12345678"),
        ("ends outside the data", INT64, 8, 1, b"12345678"),
        ("ends outside the data", BYTES, 0, u32::MAX, b"12345678"),
        ("ends outside the data", BYTES, 1, 8, b"12345678"),
        ("a string without an end", TEXT, 0, 1, b"12345678"),
        ("a string without an end", TEXT, 8, 1, b"1234567\0"),
        ("a string without an end", TEXTS, 0, 3, b"123\x00567\0"),
        ("a string that is more than one", TEXT, 0, 2, b"123\x00567\0"),
    ] {
        assert_eq!(fault(&lone(kind, offset, count, data)), Fault::BadEntry { tag: 1000, problem }, "{kind} {offset}");
    }
    let pair =
        |first: [u8; 16], second: [u8; 16]| fault(&with_main(&assemble(2, &[first, second].concat(), b"ab\0c\0")));
    let overlap = pair(entry(1000, TEXT, 0, 1), entry(1001, TEXT, 1, 1));
    assert_eq!(overlap, Fault::BadEntry { tag: 1001, problem: "overlaps the entry before it" });
    let twice = pair(entry(1000, TEXT, 0, 1), entry(1000, TEXT, 3, 1));
    assert_eq!(twice, Fault::BadEntry { tag: 1000, problem: "occurs twice" });
    let low = pair(entry(1000, TEXT, 0, 1), entry(63, TEXT, 3, 1));
    assert_eq!(low, Fault::BadEntry { tag: 63, problem: "a region's number in the middle" });
}

#[test]
fn data_that_overlaps_a_region_s_trailer_is_refused() {
    let index = [entry(63, BYTES, 2, 16), entry(20_000, BYTES, 0, 4)].concat();
    let data = [&b"n\0"[..], &entry(63, BYTES, 32u32.wrapping_neg(), 16)].concat();
    let overlap = Fault::BadEntry { tag: 20_000, problem: "overlaps the region's trailer" };
    assert_eq!(fault(&with_main(&assemble(2, &index, &data))), overlap);
}

#[test]
fn unsorted_entries_are_read_as_librpm_does() {
    let index = [entry(1001, TEXT, 0, 1), entry(1000, TEXT, 2, 1)].concat();
    let file = with_main(&assemble(2, &index, b"v\0n\0"));
    assert_eq!(ready(&file).main.text(tag::NAME), Some(&b"n"[..]));
    assert!(ready(&file).is_v3());
}

#[test]
fn regions_that_do_not_cover_the_header_are_refused() {
    let trailer = |kind, back: u32, count| entry(63, kind, back.wrapping_neg(), count).to_vec();
    let with_region = |region: [u8; 16], data: &[u8]| {
        fault(&with_main(&assemble(2, &[region, entry(1000, TEXT, 0, 1)].concat(), data)))
    };
    let data = |trailer: Vec<u8>| [b"n\0".to_vec(), trailer].concat();
    let good = entry(63, BYTES, 2, 16);
    for (problem, region, data) in [
        ("wrong type or size", entry(63, TEXT, 2, 16), data(trailer(BYTES, 32, 16))),
        ("wrong type or size", entry(63, BYTES, 2, 15), data(trailer(BYTES, 32, 16))),
        ("trailer outside the data", entry(63, BYTES, 3, 16), data(trailer(BYTES, 32, 16))),
        ("trailer outside the data", entry(63, BYTES, u32::MAX - 8, 16), data(trailer(BYTES, 32, 16))),
        ("data after its end", good, [data(trailer(BYTES, 32, 16)), vec![0]].concat()),
        ("wrong trailer", good, data(trailer(TEXT, 32, 16))),
        ("wrong trailer", good, data(entry(62, BYTES, 32u32.wrapping_neg(), 16).to_vec())),
        ("covers another number of entries", good, data(trailer(BYTES, 16, 16))),
        ("covers another number of entries", good, data(trailer(BYTES, 33, 16))),
        ("covers another number of entries", good, data(trailer(BYTES, 0x8000_0000, 16))),
    ] {
        assert_eq!(with_region(region, &data), Fault::BadRegion(problem));
    }
}

#[test]
fn what_librpm_does_not_load_is_refused() {
    let fault = |rpm: Rpm| fault(&rpm.build());
    let other_type = Fault::BadEntry { tag: 1006, problem: "not of the type that rpm gives it" };
    assert_eq!(fault(small().tag(1006, Value::Int64(vec![1]))), other_type);
    assert_ne!(fault(small().tag(1116, Value::Int16(vec![0]))), other_type);
    // Strings of all types are alike, and so are tags that nobody knows.
    ready(&small().tag(tag::NAME.number(), Value::texts(["small"])).tag(20_000, Value::Int16(vec![0])).build());
    let hole = Fault::BadRegion("data that no tag has");
    assert_eq!(fault(small().tag(tag::NAME.number(), Value::text("a\0bcdefghi"))), hole);
    let last = Value::Raw { kind: TEXT, count: 1, align: 1, data: b"a\0bcdefghi".to_vec() };
    assert_eq!(fault(small().tag(20_000, last.clone())), hole);
    // In old packages and in signature headers, too.
    assert_eq!(fault(small().tag(20_000, last.clone()).without_region()), hole);
    assert_eq!(fault(small().signature_tag(20_000, last.clone())), hole);
    assert_eq!(fault(small().behind_signatures(20_000, last)), hole);
}

/// A good file whose signature header is this one: tags in the region, where its trailer points and what it is,
/// tags behind it.
fn with_signature_header(inside: &[(u32, u32)], trailer: u32, covered: u32, behind: &[(u32, u32)]) -> Vec<u8> {
    let (mut index, mut data) = (Vec::new(), Vec::new());
    for (tag, number) in inside {
        index.extend(entry(*tag, INT32, u32::try_from(data.len()).unwrap(), 1));
        data.extend(number.to_be_bytes());
    }
    index.splice(0..0, entry(62, BYTES, u32::try_from(data.len()).unwrap(), 16));
    data.extend(entry(trailer, BYTES, (16 * covered).wrapping_neg(), 16));
    for (tag, number) in behind {
        index.extend(entry(*tag, INT32, u32::try_from(data.len()).unwrap(), 1));
        data.extend(number.to_be_bytes());
    }
    let mut file = with_signature(&assemble(u32::try_from(index.len() / 16).unwrap(), &index, &data));
    file.resize(file.len().next_multiple_of(8), 0);
    let good = small().build();
    file.extend_from_slice(ready(&good).main.as_bytes());
    file
}

#[test]
fn a_signature_header_may_have_entries_behind_its_region() {
    let file = with_signature_header(&[(1000, 5), (20_000, 6)], 62, 3, &[(1007, 7), (275, 66)]);
    let headers = ready(&file);
    assert_eq!(headers.signature.integer(tag::signature::SIZE), Some(5));
    assert_eq!(headers.signature.integer(tag::signature::PAYLOADSIZE), Some(7));
    assert_eq!(headers.expected_file_bytes(), Some(headers.header_start + 5));
    assert!(headers.header_start.is_multiple_of(8));
    // What its trailer says: old packages use the image region's number, and some cover fewer or more
    // entries than stand before it.
    for (trailer, covered) in [(61, 3), (62, 1), (62, 2), (62, 5)] {
        ready(&with_signature_header(&[(1000, 5), (20_000, 6)], trailer, covered, &[(1007, 7), (275, 66)]));
    }
    for (trailer, covered) in [(63, 3), (62, 0), (62, 6), (62, u32::MAX / 16)] {
        let file = with_signature_header(&[(1000, 5), (20_000, 6)], trailer, covered, &[(1007, 7), (275, 66)]);
        assert!(matches!(fault(&file), Fault::BadRegion(_)), "{trailer} {covered}");
    }
}

#[test]
fn what_stands_behind_a_region_replaces_what_stands_in_it() {
    let twice =
        |inside: &[(u32, u32)], covered, behind: &[(u32, u32)]| with_signature_header(inside, 62, covered, behind);
    let file = twice(&[(1000, 5), (1007, 6)], 3, &[(1000, 8)]);
    let headers = ready(&file);
    assert_eq!(headers.signature.loaded_integer(tag::signature::SIZE), Some(8));
    assert_eq!(headers.signature.loaded_integer(tag::signature::PAYLOADSIZE), Some(6));
    // What is judged is the first.
    assert_eq!(headers.signature.integer(tag::signature::SIZE), Some(5));
    let again = Fault::BadEntry { tag: 1000, problem: "occurs twice" };
    assert_eq!(fault(&twice(&[(1000, 5), (1000, 5)], 3, &[])), again);
    assert_eq!(fault(&twice(&[], 1, &[(1000, 5), (1000, 5)])), again);
    // The trailer says where the region ends, not where it stands.
    assert_eq!(fault(&twice(&[(1000, 5)], 3, &[(1000, 5)])), again);
    ready(&twice(&[(1000, 5), (1000, 5)], 2, &[]));
    // Before all data it stands for all.
    assert_eq!(fault(&twice(&[], 2, &[(1000, 5), (1000, 5)])), again);
}

#[test]
fn what_rpm_reads_of_a_signature_header_has_its_type() {
    let other_type = |tag| Fault::BadEntry { tag, problem: "not of the type that rpm gives it" };
    let other_count = |tag| Fault::BadEntry { tag, problem: "not as many values as rpm wants" };
    let refused = |tag, value| fault(&small().signature_tag(tag, value).build());
    assert_eq!(refused(1000, Value::Int64(vec![1])), other_type(1000));
    assert_eq!(refused(1000, Value::Int32(vec![1, 2])), other_count(1000));
    assert_eq!(refused(270, Value::int32(1)), other_type(270));
    assert_eq!(refused(273, Value::texts(["00"])), other_type(273));
    assert_eq!(refused(1004, Value::Bytes(vec![0; 17])), other_count(1004));
    assert_eq!(refused(274, Value::text("00")), other_type(274));
    assert_eq!(refused(268, Value::text("signed")), other_type(268));
    // Behind the region too; and what is replaced there is looked at no more, but for digests.
    let behind = |tag, value| small().behind_signatures(tag, value);
    assert_eq!(fault(&behind(275, Value::Int64(vec![1])).build()), other_type(275));
    ready(&behind(1007, Value::int32(1)).signature_tag(1007, Value::text("1")).build());
    let twice = behind(269, Value::text("00")).signature_tag(269, Value::texts(["00"]));
    assert_eq!(fault(&twice.build()), other_type(269));
    // What nobody reads may be anything.
    ready(&small().signature_tag(1008, Value::text("room")).signature_tag(999, Value::int32(1)).build());
}

#[test]
fn a_tag_of_the_signature_header_has_no_place_in_the_main_one() {
    let refused = |rpm: Rpm| HeaderFile::parse_prefix(&rpm.build()).unwrap_err().to_string();
    let misplaced = "tag 269 of the main header is damaged: a tag of the signature header";
    assert_eq!(refused(small().tag(269, Value::text("00"))), misplaced);
    let both = "tag 1046 of the main header is damaged: it is in both headers";
    assert_eq!(refused(small().tag(1046, Value::int32(1))), both);
    ready(&small().tag(1046, Value::int32(1)).without_signature_tag(1007).build());
}

#[test]
fn what_no_digest_stands_for_is_told() {
    let said = |rpm: Rpm| ready(&rpm.build()).check_digests().map_err(|error| error.to_string());
    let without = |tags: &[u32]| tags.iter().fold(small(), |rpm, tag| rpm.without_signature_tag(*tag));
    assert_eq!(said(small()), Ok(()));
    for few in [&[269, 273][..], &[269, 1004], &[273, 1004]] {
        assert_eq!(said(without(few)), Ok(()), "{few:?}");
    }
    let none = "the signature header has no digest of the main header, and rpm does not install it";
    assert_eq!(said(without(&[269, 273, 1004])), Err(none.to_owned()));
    let old = |rpm: Rpm| rpm.without_tag(5092).without_tag(5097);
    assert_eq!(said(old(small())), Ok(()));
    assert!(said(old(without(&[1004]))).unwrap_err().contains("no digest of the payload"));
    assert!(said(small().without_tag(5092)).unwrap_err().contains("uncompressed payload alone"));
    let good = Sha256::of(b"").to_string();
    for bad in [Value::texts(["00"]), Value::text(&good), Value::texts([good.as_str(), "00"])] {
        assert!(said(small().tag(5092, bad)).unwrap_err().contains("no SHA-256"));
    }
    assert_eq!(said(small().tag(5092, Value::texts([&good, &good]))), Ok(()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Any damage gives an answer, and what is answered can be read to its end.
    #[test]
    fn random_damage_never_panics(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut file = small().requires("a = 1").build();
        for (place, byte) in changes {
            let place = place.index(file.len());
            file[place] = byte;
        }
        let length = file.len() / 2 + cut.index(file.len() / 2);
        for bytes in [&file[..], &file[..length]] {
            match HeaderFile::parse_prefix(bytes) {
                Ok(Parsed::Ready(headers)) => read_everything(&headers),
                Ok(Parsed::Needs(needed)) => prop_assert!(needed > bytes.len() as u64),
                Err(error) => prop_assert!(!error.to_string().is_empty()),
            }
        }
    }
}

fn read_everything(headers: &HeaderFile<'_>) {
    let _ = (headers.expected_file_bytes(), headers.payload_sha256(), headers.verify_header_digests().is_ok());
    for tag in [tag::NAME, tag::SUMMARY, tag::DIRNAMES, tag::DIRINDEXES, tag::REQUIREFLAGS, tag::EPOCH] {
        let _ = (headers.main.text(tag), headers.main.bytes(tag));
        let _ = (headers.main.texts(tag).map(Iterator::count), headers.main.integers(tag).map(Iterator::sum::<u64>));
    }
}
