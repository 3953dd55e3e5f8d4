//! Signed packages of every kind: what has to become of each where signatures are required, and
//! what rpm says of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use forge::{Rpm as Package, Value, tag};
use rpmmd::tag::signature as tags;
use yrm::config::{KeyringPlace, Level, Policy, Trust};

use super::signers::{Rpm, Signer, Signers, parts};
use crate::publish::world::{World, policy};

/// What rpm says: `Some(true)` when it takes the package; `None` where this rpm knows too little.
type Says = Option<bool>;

struct Entry {
    name: &'static str,
    /// `published`, or a code.
    expected: &'static str,
    rpm: Says,
    make: fn(&str, &Signers) -> Vec<u8>,
}

const YES: Says = Some(true);
const NO: Says = Some(false);

/// What rpm 4.18 says `YES` to although it is turned away here is what newer ones (Fedora 38 and
/// EL 9 on, with Sequoia) turn away too.
const ENTRIES: &[Entry] = &[
    Entry {
        name: "rsa-4096",
        expected: "published",
        rpm: YES,
        make: |name, by| by.rpmsign(Signer::Rsa, &plain(name), &[]),
    },
    Entry {
        name: "rsa-4096-and-rpm-3",
        expected: "published",
        rpm: YES,
        make: |name, by| by.rpmsign(Signer::Rsa, &plain(name), &["--rpmv3"]),
    },
    Entry {
        name: "ed25519",
        expected: "published",
        rpm: YES,
        make: |name, by| by.rpmsign(Signer::Ed25519, &plain(name), &[]),
    },
    Entry {
        name: "ecdsa",
        expected: "published",
        rpm: None,
        make: |name, by| header_signed(name, by, Signer::Ecdsa, &[]),
    },
    Entry {
        name: "subkey",
        expected: "published",
        rpm: YES,
        make: |name, by| header_signed(name, by, Signer::Subkey, &[]),
    },
    Entry {
        name: "built-by-rpmbuild",
        expected: "published",
        rpm: YES,
        make: |_, by| {
            by.rpmsign(Signer::Rsa, include_bytes!("../../../demo/packages/tools/greeter-1.0-1.noarch.rpm"), &[])
        },
    },
    Entry {
        name: "by-an-expired-subkey",
        expected: "E_KEY_EXPIRED",
        rpm: YES,
        make: |name, by| header_signed(name, by, Signer::OldSubkey, &[]),
    },
    Entry {
        name: "openpgp-version-3",
        expected: "published",
        rpm: YES,
        make: |name, by| with(name, tags::RSA.number(), by.sign_in_version_3(Signer::Rsa, parts(&plain(name)).0)),
    },
    Entry { name: "rpm-3-only", expected: "published", rpm: None, make: rpm_3_only },
    Entry { name: "version-6", expected: "published", rpm: None, make: |name, by| version_6(name, by, &[Signer::Rsa]) },
    Entry {
        name: "version-6-by-one-unknown-and-one-known",
        expected: "published",
        rpm: None,
        make: |name, by| version_6(name, by, &[Signer::Unknown, Signer::Ed25519]),
    },
    Entry {
        name: "version-6-by-twenty",
        expected: "E_BAD_SIGNATURE",
        rpm: None,
        make: |name, by| version_6(name, by, &[Signer::Ed25519; 20]),
    },
    Entry { name: "unsigned", expected: "E_UNSIGNED", rpm: NO, make: |name, _| plain(name) },
    Entry {
        name: "by-an-unknown-key",
        expected: "E_UNKNOWN_KEY",
        rpm: NO,
        make: |name, by| by.rpmsign(Signer::Unknown, &plain(name), &[]),
    },
    Entry {
        name: "by-an-expired-key",
        expected: "E_KEY_EXPIRED",
        rpm: YES,
        make: |name, by| by.rpmsign(Signer::Expired, &plain(name), &[]),
    },
    Entry {
        name: "by-a-revoked-key",
        expected: "E_KEY_EXPIRED",
        rpm: YES,
        make: |name, by| by.rpmsign(Signer::Revoked, &plain(name), &[]),
    },
    Entry {
        name: "by-a-key-to-come",
        expected: "E_KEY_EXPIRED",
        rpm: YES,
        make: |name, by| by.rpmsign(Signer::Early, &plain(name), &[]),
    },
    Entry { name: "expired-signature", expected: "E_KEY_EXPIRED", rpm: NO, make: expired_signature },
    Entry {
        name: "rsa-1024",
        expected: "E_WEAK_ALGORITHM",
        rpm: YES,
        make: |name, by| by.rpmsign(Signer::Weak, &plain(name), &[]),
    },
    Entry {
        name: "sha-1",
        expected: "E_WEAK_ALGORITHM",
        rpm: YES,
        make: |name, by| by.rpmsign(Signer::Rsa, &plain(name), &["--define", "_gpg_digest_algo sha1"]),
    },
    Entry {
        name: "md5",
        expected: "E_WEAK_ALGORITHM",
        rpm: YES,
        make: |name, by| header_signed(name, by, Signer::Rsa, &["--digest-algo", "MD5"]),
    },
    Entry {
        name: "text-signature",
        expected: "E_BAD_SIGNATURE",
        rpm: None,
        make: |name, by| header_signed(name, by, Signer::Rsa, &["--textmode"]),
    },
    Entry {
        name: "garbage",
        expected: "E_BAD_SIGNATURE",
        rpm: NO,
        make: |name, _| with(name, tags::RSA.number(), vec![7; 300]),
    },
    Entry {
        name: "signature-that-is-a-text",
        expected: "E_HEADER_INVALID",
        rpm: None,
        make: |name, _| package(name).signature_tag(tags::RSA.number(), Value::text("signed, honestly")).build(),
    },
    Entry { name: "header-changed", expected: "E_BAD_SIGNATURE", rpm: NO, make: header_changed },
    Entry { name: "header-changed-and-digests-left", expected: "E_DIGEST_MISMATCH", rpm: NO, make: one_letter_changed },
    Entry { name: "payload-swapped", expected: "E_DIGEST_MISMATCH", rpm: NO, make: payload_swapped },
    Entry { name: "payload-swapped-without-digest", expected: "E_BAD_SIGNATURE", rpm: NO, make: payload_swapped_rpm_3 },
    Entry {
        name: "payload-swapped-under-an-md5",
        expected: "E_DIGEST_MISMATCH",
        rpm: NO,
        make: payload_swapped_under_an_md5,
    },
    Entry { name: "good-header-and-bad-whole", expected: "E_BAD_SIGNATURE", rpm: NO, make: good_and_bad },
    Entry { name: "payload-not-signed", expected: "E_UNSIGNED", rpm: NO, make: payload_not_signed },
    Entry { name: "no-region", expected: "E_UNSIGNED", rpm: None, make: no_region },
    Entry { name: "trailing-bytes", expected: "E_DIGEST_MISMATCH", rpm: NO, make: trailing_bytes },
];

fn package(name: &str) -> Package {
    Package::new(name, "1.0", "1", "noarch").summary("Sound").file("/usr/share/sound")
}

fn plain(name: &str) -> Vec<u8> {
    package(name).build()
}

/// A package with these bytes as a signature.
fn with(name: &str, tag: u32, signature: Vec<u8>) -> Vec<u8> {
    package(name).signature_tag(tag, Value::Bytes(signature)).build()
}

fn header_signed(name: &str, by: &Signers, signer: Signer, options: &[&str]) -> Vec<u8> {
    let signature = by.sign(signer, parts(&plain(name)).0, options);
    let rsa = matches!(signer, Signer::Rsa | Signer::Weak);
    with(name, if rsa { tags::RSA } else { tags::DSA }.number(), signature)
}

/// As before rpm 4: one signature over header and payload, no digest of either.
fn old(name: &str) -> Package {
    package(name)
        .without_tag(tag::PAYLOADDIGEST)
        .without_tag(tag::PAYLOADDIGESTALGO)
        .without_tag(tag::PAYLOADDIGESTALT)
        .without_signature_tag(tag::SIG_SHA256)
}

fn rpm_3_only(name: &str, by: &Signers) -> Vec<u8> {
    let file = old(name).build();
    let (header, payload) = parts(&file);
    let signature = by.sign(Signer::Rsa, &[header, payload].concat(), &[]);
    old(name).signature_tag(tags::PGP.number(), Value::Bytes(signature)).build()
}

fn version_6(name: &str, by: &Signers, signers: &[Signer]) -> Vec<u8> {
    const PAYLOADSIZE: u32 = 5112;
    const RPMFORMAT: u32 = 5114;
    let gone = [tag::SIG_SIZE, tag::SIG_PAYLOADSIZE, tag::SIG_MD5, tag::SIG_SHA1];
    let sized =
        package(name).tag(RPMFORMAT, Value::int32(6)).tag(PAYLOADSIZE, Value::Int64(vec![1000])).payload(vec![0; 1000]);
    let unsigned = gone.into_iter().fold(sized, Package::without_signature_tag);
    let file = unsigned.build();
    let mut texts: Vec<String> = Vec::new();
    for (at, signer) in signers.iter().enumerate() {
        // One by the same signer will do again.
        let same = at > 0 && signers[at - 1] == *signer;
        texts.push(if same { texts[at - 1].clone() } else { BASE64.encode(by.sign(*signer, parts(&file).0, &[])) });
    }
    unsigned.signature_tag(tags::OPENPGP.number(), Value::texts(texts)).build()
}

fn expired_signature(name: &str, by: &Signers) -> Vec<u8> {
    // Longer ago than the key is old would be another fault: this one lasts for a second.
    let options = ["--default-sig-expire", "seconds=1"];
    let file = header_signed(name, by, Signer::Rsa, &options);
    std::thread::sleep(std::time::Duration::from_millis(2100));
    file
}

/// Another header under the signature of the first.
fn header_changed(name: &str, by: &Signers) -> Vec<u8> {
    let signature = by.sign(Signer::Rsa, parts(&plain(name)).0, &[]);
    package(name).summary("Sount").signature_tag(tags::RSA.number(), Value::Bytes(signature)).build()
}

fn one_letter_changed(name: &str, by: &Signers) -> Vec<u8> {
    let mut file = by.rpmsign(Signer::Rsa, &plain(name), &[]);
    let at = file.windows(5).position(|text| text == b"Sound").unwrap();
    file[at] = b's';
    file
}

fn payload_swapped(name: &str, by: &Signers) -> Vec<u8> {
    let mut file = by.rpmsign(Signer::Rsa, &plain(name), &[]);
    *file.last_mut().unwrap() ^= 0xff;
    file
}

/// Another payload, with an MD5 of its own, under the signature over the first.
fn payload_swapped_rpm_3(name: &str, by: &Signers) -> Vec<u8> {
    let file = old(name).build();
    let (header, payload) = parts(&file);
    let signature = by.sign(Signer::Rsa, &[header, payload].concat(), &[]);
    old(name).payload(vec![1; 500]).signature_tag(tags::PGP.number(), Value::Bytes(signature)).build()
}

fn payload_swapped_under_an_md5(name: &str, by: &Signers) -> Vec<u8> {
    let mut file = rpm_3_only(name, by);
    *file.last_mut().unwrap() ^= 0xff;
    file
}

/// The header is signed as it is, and another payload with it.
fn good_and_bad(name: &str, by: &Signers) -> Vec<u8> {
    let file = plain(name);
    let (header, payload) = parts(&file);
    let good = by.sign(Signer::Rsa, header, &[]);
    let bad = by.sign(Signer::Rsa, &[header, payload, b"!"].concat(), &[]);
    package(name)
        .signature_tag(tags::RSA.number(), Value::Bytes(good))
        .signature_tag(tags::PGP.number(), Value::Bytes(bad))
        .build()
}

fn payload_not_signed(name: &str, by: &Signers) -> Vec<u8> {
    let signature = by.sign(Signer::Rsa, parts(&old(name).build()).0, &[]);
    old(name).signature_tag(tags::RSA.number(), Value::Bytes(signature)).build()
}

fn no_region(name: &str, by: &Signers) -> Vec<u8> {
    let bare = package(name).without_region();
    let signature = by.sign(Signer::Rsa, parts(&bare.build()).0, &[]);
    bare.signature_tag(tags::RSA.number(), Value::Bytes(signature)).build()
}

/// The signature header, which nobody signs, says how long the file is.
fn trailing_bytes(name: &str, by: &Signers) -> Vec<u8> {
    let file = plain(name);
    let (header, payload) = parts(&file);
    let signature = by.sign(Signer::Rsa, header, &[]);
    let longer = package(name)
        .content_bytes((header.len() + payload.len() + 5) as u64)
        .signature_tag(tags::RSA.number(), Value::Bytes(signature));
    [longer.build(), b"extra".to_vec()].concat()
}

/// What packages are published by, where every folder asks for signatures.
fn require(by: &Signers) -> Policy {
    let trust =
        Trust { signatures: Level::Require, keyrings: vec![KeyringPlace::Path(by.keyring())], ..Trust::default() };
    Policy { trust, ..policy() }
}

/// A bucket whose clock shows the time at which gpg signs.
pub(super) fn world(policy: Policy) -> World {
    let world = World::new(policy);
    let now = jiff::Timestamp::now().duration_since(world.now());
    world.advance(now.try_into().unwrap());
    world
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "what rpm says of each belongs into the test's record")]
async fn every_signed_package_gets_its_answer_and_what_is_published_rpm_takes() {
    let by = Signers::all();
    let rpm = Rpm::with_keys(&by.keyring());
    let world = world(require(&by));
    let mut wrong = Vec::new();
    for entry in ENTRIES {
        let file = (entry.make)(entry.name, &by);
        let (takes, said) = rpm.takes(&file);
        if entry.rpm.is_some_and(|says| says != takes) {
            wrong.push(format!("{}: rpm takes it: {takes}\n{said}", entry.name));
        }
        println!("| {} | {} | {takes} |", entry.name, entry.expected);
        world.drop_bytes(&format!("{}.rpm", entry.name), file).await;
    }
    world.advance(std::time::Duration::from_mins(1));
    let report = world.run().await;
    assert_eq!((report.errors.clone(), report.waiting.clone()), (Vec::new(), Vec::new()));
    for entry in ENTRIES {
        let key = format!("inbox/{}.rpm", entry.name);
        let published = report.published.iter().find(|published| published.inbox_key == key);
        let rejected = report.rejected.iter().find(|rejected| rejected.inbox_key == key);
        let answer = match (published, rejected) {
            (Some(published), None) if published.signed_by.is_some() && published.remarks.is_empty() => "published",
            (None, Some(rejected)) => rejected.code.as_str(),
            _ => "nothing that can be",
        };
        if answer != entry.expected {
            wrong.push(format!("{}: {answer} {rejected:?} {published:?}", entry.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    world.assert_clean().await;
}

#[tokio::test]
async fn where_signatures_are_not_asked_for_they_are_not_looked_at() {
    let by = Signers::of(&[Signer::Unknown]);
    let world = world(policy());
    world.drop_bytes("unknown.rpm", by.rpmsign(Signer::Unknown, &plain("unknown"), &[])).await;
    world.drop_bytes("garbage.rpm", with("garbage", tags::RSA.number(), vec![7; 300])).await;
    let report = world.run().await;
    assert_eq!(report.published.len(), 2, "{report:?}");
    assert!(report.published.iter().all(|published| published.signed_by.is_none() && published.remarks.is_empty()));
}
