//! Headers that lie about themselves: counts, offsets, types, regions.

use forge::header::{assemble, entry};
use forge::{Value, tag};

use super::damage::{Field, field_of, patched, whole, with_intro, with_main, with_trailer};
use super::{Accepted, Content, Entry, Rejected, RejectedWhereRead, sound};

const INVALID: super::Expected = Rejected("E_HEADER_INVALID");
const LIMIT: super::Expected = Rejected("E_HEADER_LIMIT");

/// Tags that mean nothing to anybody, at the end of the index.
const ODD: u32 = 20_000;

const FILE_SIGNATURES: u32 = 274;

const INT64: u32 = 5;
const TEXT: u32 = 6;
const BYTES: u32 = 7;
const TEXTS: u32 = 8;

pub(super) const ENTRIES: &[Entry] = &[
    Entry { name: "count-of-int64-2-32", expected: LIMIT, make: |name| raw(name, INT64, u32::MAX, &[0; 64]) },
    Entry { name: "count-of-strings-2-32", expected: LIMIT, make: |name| raw(name, TEXTS, u32::MAX, &[0; 64]) },
    Entry { name: "count-of-bytes-2-32", expected: INVALID, make: |name| raw(name, BYTES, u32::MAX, &[0; 64]) },
    Entry { name: "offset-beyond-the-data", expected: INVALID, make: |name| offset(name, |_| 0x00ff_0000) },
    Entry { name: "negative-offset", expected: INVALID, make: |name| offset(name, |_| 0xffff_fff0) },
    Entry { name: "overlapping-entries", expected: INVALID, make: |name| offset(name, |old| old - 4) },
    Entry { name: "tag-count-wraps-32-bits", expected: LIMIT, make: |name| intro(name, Some(0x1000_0001), None) },
    Entry { name: "tag-count-over-65535", expected: LIMIT, make: |name| intro(name, Some(0x1_0000), None) },
    Entry { name: "no-tags", expected: INVALID, make: |name| intro(name, Some(0), None) },
    Entry { name: "4-gib-of-data-in-200-bytes", expected: LIMIT, make: |name| cut_after_intro(name, u32::MAX) },
    Entry {
        name: "16-mib-of-data-in-200-bytes",
        expected: Rejected("E_TRUNCATED"),
        make: |name| cut_after_intro(name, 16 << 20),
    },
    Entry { name: "unsorted-tags", expected: Accepted, make: unsorted },
    Entry { name: "duplicate-tags", expected: INVALID, make: |name| retagged(name, tag::VERSION, tag::NAME) },
    Entry { name: "region-missing", expected: Accepted, make: |name| sound(name).without_region().into() },
    Entry { name: "region-of-a-wrong-type", expected: INVALID, make: |name| region(name, Field::Kind, TEXT) },
    Entry { name: "region-short", expected: INVALID, make: |name| region(name, Field::Count, 15) },
    Entry {
        name: "region-outside-the-data",
        expected: INVALID,
        make: |name| region(name, Field::Offset, u32::MAX - 8),
    },
    Entry { name: "region-before-the-end", expected: INVALID, make: |name| region(name, Field::Offset, 0) },
    Entry { name: "entries-after-the-region", expected: INVALID, make: |name| trailer(name, |bytes| bytes - 16) },
    Entry {
        name: "region-over-more-than-the-index",
        expected: INVALID,
        make: |name| trailer(name, |bytes| bytes + 16),
    },
    Entry {
        name: "region-in-the-middle",
        expected: INVALID,
        make: |name| retagged(name, tag::VERSION, tag::HEADERIMMUTABLE),
    },
    Entry { name: "unknown-type-255", expected: INVALID, make: |name| raw(name, 255, 1, &[0; 8]) },
    Entry { name: "type-null", expected: INVALID, make: |name| raw(name, 0, 1, &[0; 8]) },
    Entry { name: "no-value", expected: INVALID, make: |name| raw(name, TEXT, 0, &[0; 8]) },
    Entry { name: "misaligned-int64", expected: INVALID, make: misaligned },
    Entry { name: "string-without-an-end", expected: INVALID, make: string_without_an_end },
    Entry { name: "one-string-that-is-two", expected: INVALID, make: |name| raw(name, TEXT, 2, b"a\0b\0") },
    // rpm itself takes eight times as much; in memory it would be all that one package may take.
    Entry { name: "256-mib-header", expected: LIMIT, make: long_header },
    Entry { name: "signature-header-of-64-mib", expected: LIMIT, make: long_signature_header },
    Entry { name: "65500-tags", expected: Accepted, make: many_tags },
    // Signature headers have rules of their own.
    Entry { name: "signatures-behind-the-region", expected: Accepted, make: |name| file_signatures(name).into() },
    Entry {
        name: "signature-region-with-an-old-trailer",
        expected: Accepted,
        make: |name| file_signatures(name).signature_trailer(61).into(),
    },
    Entry {
        name: "signature-region-with-a-wrong-trailer",
        expected: INVALID,
        make: |name| file_signatures(name).signature_trailer(63).into(),
    },
    Entry {
        name: "signature-tag-in-the-region-and-behind-it",
        expected: Accepted,
        make: |name| sound(name).behind_signatures(tag::SIG_PAYLOADSIZE, Value::int32(7)).into(),
    },
    Entry {
        name: "signature-tag-twice-behind-the-region",
        expected: INVALID,
        make: |name| file_signatures(name).behind_signatures(FILE_SIGNATURES, Value::texts(["00"])).into(),
    },
    Entry {
        name: "file-signatures-that-are-bytes",
        expected: INVALID,
        make: |name| sound(name).behind_signatures(FILE_SIGNATURES, Value::Bytes(vec![3; 66])).into(),
    },
    Entry {
        name: "size-of-64-bits-under-the-tag-of-32",
        expected: INVALID,
        make: |name| sound(name).signature_tag(tag::SIG_SIZE, Value::Int64(vec![1])).into(),
    },
    Entry {
        name: "signature-tag-in-the-header",
        expected: INVALID,
        make: |name| sound(name).tag(tag::SIG_SHA1, Value::text("00")).into(),
    },
    Entry {
        name: "no-digest-of-the-header",
        expected: INVALID,
        make: |name| {
            let digests = [tag::SIG_SHA1, tag::SIG_SHA256, tag::SIG_MD5];
            digests.into_iter().fold(sound(name), forge::Rpm::without_signature_tag).into()
        },
    },
    Entry {
        name: "payload-digest-that-is-none",
        expected: INVALID,
        make: |name| sound(name).tag(tag::PAYLOADDIGEST, Value::texts(["none"])).into(),
    },
    Entry {
        name: "md5-mismatch",
        expected: RejectedWhereRead("E_DIGEST_MISMATCH"),
        make: |name| sound(name).signature_tag(tag::SIG_MD5, Value::Bytes(vec![0; 16])).into(),
    },
];

/// File signatures behind the signature header's region, where some signing servers put them.
fn file_signatures(name: &str) -> forge::Rpm {
    sound(name).behind_signatures(FILE_SIGNATURES, Value::texts(["0302ab"])).behind_signatures(275, Value::int32(3))
}

fn raw(name: &str, kind: u32, count: u32, data: &[u8]) -> Content {
    let align = if kind == INT64 { 8 } else { 1 };
    sound(name).tag(ODD, Value::Raw { kind, count, align, data: data.to_vec() }).into()
}

fn offset(name: &str, change: impl Fn(u32) -> u32) -> Content {
    patched(sound(name).build(), tag::RELEASE, Field::Offset, change).into()
}

fn intro(name: &str, entries: Option<u32>, data_bytes: Option<u32>) -> Content {
    with_intro(sound(name).build(), entries, data_bytes).into()
}

fn cut_after_intro(name: &str, data_bytes: u32) -> Content {
    // A signature header of the least that there can be, so that 200 bytes hold both intros.
    let main =
        with_intro(with_main(&assemble(1, &entry(tag::NAME, TEXT, 0, 1), name.as_bytes())), None, Some(data_bytes));
    let mut file = main;
    file.truncate(200);
    file.into()
}

fn retagged(name: &str, tag: u32, other: u32) -> Content {
    patched(sound(name).build(), tag, Field::Tag, |_| other).into()
}

fn region(name: &str, field: Field, number: u32) -> Content {
    patched(sound(name).build(), tag::HEADERIMMUTABLE, field, |_| number).into()
}

fn trailer(name: &str, index_bytes: impl Fn(u32) -> u32) -> Content {
    let file = sound(name).build();
    let main = super::damage::main_header(&file);
    let entries = u32::from_be_bytes(file[main.start + 8..main.start + 12].try_into().unwrap());
    let back = index_bytes(entries * 16).wrapping_neg();
    with_trailer(file, entry(tag::HEADERIMMUTABLE, BYTES, back, 16)).into()
}

fn misaligned(name: &str) -> Content {
    let file = sound(name).tag(ODD, Value::Int64(vec![1, 2])).build();
    let offset = field_of(&file, ODD, Field::Offset);
    patched(file, ODD, Field::Offset, |_| offset + 1).into()
}

/// At the end of the data, where no other string's end can be taken for its own.
fn string_without_an_end(name: &str) -> Content {
    let value = Value::Raw { kind: TEXT, count: 1, align: 1, data: b"for ever".to_vec() };
    sound(name).without_region().tag(ODD, value).into()
}

/// The least that a package needs, in an order that rpm never writes.
fn unsorted(name: &str) -> Content {
    let mut data = Vec::new();
    let mut index = Vec::new();
    let texts = [
        (tag::SOURCERPM, "x-1-1.src.rpm"),
        (tag::ARCH, "noarch"),
        (tag::RELEASE, "1"),
        (tag::VERSION, "1.0"),
        (tag::NAME, name),
    ];
    for (tag, text) in texts {
        index.extend(entry(tag, TEXT, u32::try_from(data.len()).unwrap(), 1));
        data.extend([text.as_bytes(), b"\0"].concat());
    }
    let region = entry(tag::HEADERIMMUTABLE, BYTES, u32::try_from(data.len()).unwrap(), 16);
    data.extend(entry(tag::HEADERIMMUTABLE, BYTES, 96u32.wrapping_neg(), 16));
    whole(&assemble(6, &[region.to_vec(), index].concat(), &data)).into()
}

/// Formally right: as many bytes as it says are there, in one tag that nobody reads.
fn long_header(name: &str) -> Content {
    let bytes = (256 << 20) - 4096;
    let index = [entry(tag::NAME, TEXT, 0, 1), entry(ODD, BYTES, 256, bytes)].concat();
    let mut data = name.as_bytes().to_vec();
    data.resize(256, 0);
    let file = with_intro(with_main(&assemble(2, &index, &data)), None, Some(bytes + 256));
    Content { bytes: file, zeros: u64::from(bytes) }
}

fn long_signature_header(name: &str) -> Content {
    let bytes = 63u32 << 20;
    let mut file = forge::header::lead(name.as_bytes(), false);
    let mut signature = assemble(1, &entry(tag::SIG_MD5, BYTES, 0, bytes), &[]);
    signature[12..16].copy_from_slice(&bytes.to_be_bytes());
    file.extend(signature);
    Content { bytes: file, zeros: u64::from(bytes) }
}

/// As many as librpm takes, nearly; looking up a tag looks at all of them.
fn many_tags(name: &str) -> Content {
    (ODD..).take(65_535 - 64).fold(sound(name), |rpm, tag| rpm.tag(tag, Value::Int8(vec![1]))).into()
}
