//! Files as a whole: no packages, cut ones, packages with something behind them.

use std::io::Write as _;

use forge::Rpm;
use forge::header::lead;

use super::damage::main_header;
use super::{Accepted, Content, Entry, Ignored, Rejected, RejectedWhereRead, sound};

pub(super) const ENTRIES: &[Entry] = &[
    Entry { name: "0-bytes", expected: Ignored, make: |_| Vec::new().into() },
    Entry { name: "95-bytes", expected: Rejected("E_TRUNCATED"), make: |name| cut(name, |_| 95) },
    Entry { name: "lead-only", expected: Rejected("E_TRUNCATED"), make: |name| lead(name.as_bytes(), false).into() },
    Entry { name: "bad-lead-magic", expected: Rejected("E_NOT_RPM"), make: |name| sound(name).flip(0).into() },
    Entry { name: "lead-of-rpm-2", expected: Rejected("E_UNSUPPORTED"), make: lead_of_rpm_2 },
    Entry {
        name: "bad-signature-magic",
        expected: Rejected("E_HEADER_INVALID"),
        make: |name| sound(name).flip(96).into(),
    },
    Entry { name: "bad-header-magic", expected: Rejected("E_HEADER_INVALID"), make: bad_header_magic },
    Entry { name: "truncated-signature-header", expected: Rejected("E_TRUNCATED"), make: |name| cut(name, |_| 130) },
    Entry {
        name: "truncated-header",
        expected: Rejected("E_TRUNCATED"),
        make: |name| cut(name, |file| main_header(file).end - 1),
    },
    Entry {
        name: "truncated-payload",
        expected: Rejected("E_TRUNCATED"),
        make: |name| cut(name, |file| file.len() - 1),
    },
    Entry { name: "payload-digest-mismatch", expected: RejectedWhereRead("E_DIGEST_MISMATCH"), make: other_payload },
    Entry { name: "header-digest-mismatch", expected: Rejected("E_DIGEST_MISMATCH"), make: other_summary },
    Entry {
        name: "1-gib-of-trailing-bytes",
        expected: Rejected("E_HEADER_INVALID"),
        make: |name| Content { bytes: sound(name).build(), zeros: 1 << 30 },
    },
    Entry { name: "gzip-bomb-payload", expected: Accepted, make: |name| sound(name).payload(gzip_bomb()).into() },
    Entry { name: "deb", expected: Rejected("E_NOT_RPM"), make: |_| debian_package().into() },
    Entry {
        name: "zip",
        expected: Rejected("E_NOT_RPM"),
        make: |_| b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec().into(),
    },
    Entry {
        name: "html-error-page",
        expected: Rejected("E_NOT_RPM"),
        make: |_| b"<html><body><h1>502 Bad Gateway</h1></body></html>".to_vec().into(),
    },
    // Deltas of both kinds: of one with a package's headers, and of one without.
    Entry { name: "delta-rpm", expected: Rejected("E_UNSUPPORTED"), make: delta },
    Entry { name: "rpm-only-delta-rpm", expected: Rejected("E_NOT_RPM"), make: |_| b"drpm\0\x03DLT3".to_vec().into() },
    Entry { name: "larger-than-the-limit", expected: Rejected("E_TOO_LARGE"), make: larger },
    Entry { name: "same-bytes-first-key", expected: Accepted, make: |_| sound("same-bytes").into() },
    Entry { name: "same-bytes-second-key", expected: Accepted, make: |_| sound("same-bytes").into() },
    Entry { name: "same-nevra-first", expected: Accepted, make: |_| sound("same-nevra").into() },
    Entry {
        name: "same-nevra-other-bytes",
        expected: Rejected("E_CONFLICT"),
        make: |_| sound("same-nevra").description("rebuilt").into(),
    },
    Entry { name: "file-name-unlike-the-nevra", expected: Accepted, make: |_| sound("another-name").into() },
];

fn cut(name: &str, at: impl Fn(&[u8]) -> usize) -> Content {
    let mut file = sound(name).build();
    file.truncate(at(&file));
    file.into()
}

fn lead_of_rpm_2(name: &str) -> Content {
    let mut file = sound(name).build();
    file[4] = 2;
    file.into()
}

fn bad_header_magic(name: &str) -> Content {
    let file = sound(name).build();
    sound(name).flip(main_header(&file).start).into()
}

/// The last byte of the payload: what a lost packet or a patient attacker leaves.
fn other_payload(name: &str) -> Content {
    let length = sound(name).build().len();
    sound(name).flip(length - 1).into()
}

fn other_summary(name: &str) -> Content {
    let mut file = sound(name).build();
    let at = file.windows(5).position(|text| text == b"Sound").unwrap();
    file[at] = b's';
    file.into()
}

/// A GiB of zeros in a MiB: 16 members of 64 MiB.
fn gzip_bomb() -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mebibyte = vec![0; 1 << 20];
    for _ in 0..64 {
        encoder.write_all(&mebibyte).unwrap();
    }
    encoder.finish().unwrap().repeat(16)
}

fn debian_package() -> Vec<u8> {
    let mut file = b"!<arch>\n".to_vec();
    file.extend_from_slice(b"debian-binary   1700000000  0     0     100644  4         `\n2.0\n");
    file
}

fn delta(name: &str) -> Content {
    sound(name).tag(forge::tag::PAYLOADFORMAT, forge::Value::text("drpm")).into()
}

fn larger(name: &str) -> Content {
    let (over, size) = (super::MAX_PACKAGE_BYTES, |rpm: &Rpm| rpm.build().len() as u64);
    let headers = size(&sound(name).payload(Vec::new()));
    let rpm = sound(name).content_bytes(over + headers).payload(Vec::new());
    Content { bytes: rpm.build(), zeros: over }
}
