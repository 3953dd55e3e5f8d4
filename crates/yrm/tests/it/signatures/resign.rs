//! Packages that are signed here: which of them, with what, and which never.

use std::sync::Arc;
use std::time::Duration;

use forge::{Rpm as Package, Value, tag};
use rpmmd::checksum::Sha256;
use rpmmd::header::{HeaderFile, Parsed};
use rpmmd::tag::signature as tags;
use yrm::bucket::receipt::{self, Receipt};
use yrm::bucket::report::Report;
use yrm::config::{KeyringPlace, OnConflict, Policy, Repositories, Rule, SignPackages, SignWith, Trust};
use yrm::openpgp::key::SecretKey;
use yrm::openpgp::sign;
use yrm::publish::operations::errand::Promotion;
use yrm::publish::{Publisher, RunId};
use yrm::store::key::RepositoryDir;
use yrm::upkeep::sweep;

use super::corpus::world;
use super::signers::{Rpm, Signer, Signers, parts};
use crate::publish::world::{Call, Effect, World, policy, put};

/// What rpmbuild made, unsigned.
pub(super) const BUILT: &[u8] = include_bytes!("../../../demo/packages/tools/greeter-1.0-1.noarch.rpm");

fn package(name: &str) -> Package {
    Package::new(name, "1.0", "1", "noarch").payload(vec![5; 20_000])
}

pub(super) fn signing(which: SignPackages) -> Policy {
    Policy { trust: Trust { sign_packages: which, ..Trust::default() }, ..policy() }
}

/// The publisher of `world` from now on signs with these keys of gpg's.
pub(super) fn sign_with(world: &mut World, policy: Policy, by: &Signers, keys: &[Signer]) {
    let read = |signer: &Signer| SecretKey::read(&by.secret_key(*signer), None).unwrap();
    let keys = keys.iter().map(read).collect();
    let signer = sign::Signer::new(keys, SignWith::First, "tests".to_owned()).unwrap();
    let store = Arc::clone(&world.hooked) as Arc<dyn yrm::store::Store>;
    world.publisher = Publisher::new(store, policy).unwrap().with_signer(Some(signer));
}

fn world_of(policy: Policy, by: &Signers, keys: &[Signer]) -> World {
    let mut world = world(policy.clone());
    sign_with(&mut world, policy, by, keys);
    world
}

async fn run(world: &World) -> Report {
    world.advance(Duration::from_mins(1));
    let report = world.run().await;
    assert_eq!(report.errors, Vec::<String>::new());
    report
}

async fn published(world: &World, href: &str) -> Vec<u8> {
    world.bytes(&format!("repo/{href}")).await.unwrap().to_vec()
}

fn ready(file: &[u8]) -> HeaderFile<'_> {
    match HeaderFile::parse_prefix(file).unwrap() {
        Parsed::Ready(headers) => headers,
        Parsed::Needs(bytes) => panic!("needs {bytes} of {}", file.len()),
    }
}

/// Where a signature over the header stands, and what else does, but for what gives it room.
fn structure(file: &[u8]) -> String {
    let headers = ready(file);
    let signature = &headers.signature;
    let others = [tags::SIZE, tags::LONGSIZE, tags::PAYLOADSIZE, tags::LONGARCHIVESIZE];
    let numbers = others.map(|tag| signature.integer(tag));
    let bytes = [tags::MD5, tags::PGP, tags::GPG].map(|tag| signature.bytes(tag).map(<[u8]>::to_vec));
    let texts = [tags::SHA1, tags::SHA256, tags::OPENPGP].map(|tag| signature.text(tag).map(<[u8]>::to_vec));
    let reserved = signature.bytes(tags::RESERVEDSPACE).map_or(0, <[u8]>::len);
    let places = [tags::RSA, tags::DSA].map(|tag| signature.has(tag));
    format!("{places:?} {} {numbers:?} {bytes:?} {texts:?} {reserved}", headers.header_start)
}

#[tokio::test]
async fn what_is_signed_here_is_what_rpmsign_would_make_of_it() {
    let by = Signers::of(&[Signer::Rsa, Signer::Ed25519, Signer::Subkey]);
    let rpm = Rpm::with_keys(&by.keyring());
    for signer in [Signer::Rsa, Signer::Ed25519, Signer::Subkey] {
        let world = world_of(signing(SignPackages::Always), &by, &[signer]);
        // Built by rpmbuild with room for a signature; without such room; and signed by rpmsign before.
        let others = by.rpmsign(Signer::Rsa, BUILT, &["--rpmv3"]);
        let forged = package("forged").build();
        for (href, before) in [("built.rpm", BUILT), ("forged.rpm", &forged)] {
            world.drop_bytes(href, before.to_vec()).await;
            let report = run(&world).await;
            assert_eq!(report.published[0].signed_with, Some(by.fingerprint(signer)), "{href}");
            let (ours, theirs) = (published(&world, href).await, by.rpmsign(signer, before, &[]));
            // A number in a signature may be a byte shorter, which is one in 256.
            let lengths = [&ours, &theirs].map(|file| {
                let signature = ready(file).signature;
                signature.bytes(tags::RSA).or(signature.bytes(tags::DSA)).unwrap().len()
            });
            if lengths[0] == lengths[1] {
                assert_eq!(structure(&ours), structure(&theirs), "{signer:?} {href}");
                assert_eq!(ours.len(), theirs.len());
            }
            assert_eq!(parts(&ours), parts(before), "nothing else changed");
            let (takes, said) = rpm.takes(&ours);
            assert!(takes, "{signer:?} {href}: {said}");
            assert!(!rpm.takes(before).0, "unsigned before");
        }
        world.assert_clean().await;
        if signer != Signer::Ed25519 {
            continue;
        }
        let replaced = world_of(signing(SignPackages::Always), &by, &[signer]);
        replaced.drop_bytes("signed.rpm", others.clone()).await;
        run(&replaced).await;
        let ours = published(&replaced, "signed.rpm").await;
        let has = |file: &[u8]| [tags::RSA, tags::PGP, tags::DSA].map(|tag| ready(file).signature.has(tag));
        assert_eq!((has(&others), has(&ours)), ([true, true, false], [false, false, true]));
        assert!(rpm.takes(&ours).0);
    }
}

#[tokio::test]
async fn a_package_that_is_signed_well_is_left_alone_as_the_mode_says() {
    let by = Signers::of(&[Signer::Ed25519, Signer::Rsa, Signer::Ecdsa, Signer::Unknown, Signer::Weak]);
    let ours = by.fingerprint(Signer::Ed25519);
    let cases = [
        ("unsigned", package("unsigned").build(), true, true),
        ("first", by.rpmsign(Signer::Ed25519, &package("first").build(), &[]), false, false),
        ("next", by.rpmsign(Signer::Rsa, &package("next").build(), &[]), false, true),
        ("trusted", by.rpmsign(Signer::Rsa, &package("trusted").build(), &["--rpmv3"]), false, true),
        ("unknown", by.rpmsign(Signer::Unknown, &package("unknown").build(), &[]), true, true),
        ("weak", by.rpmsign(Signer::Weak, &package("weak").build(), &[]), true, true),
    ];
    for (which, signed) in [(SignPackages::Missing, 0), (SignPackages::Always, 1), (SignPackages::Off, 2)] {
        let keyrings = vec![KeyringPlace::Path(by.keyring())];
        let trust = Trust { sign_packages: which, keyrings, ..Trust::default() };
        let world = world_of(Policy { trust, ..policy() }, &by, &[Signer::Ed25519, Signer::Rsa]);
        for (name, bytes, ..) in &cases {
            world.drop_bytes(&format!("{name}.rpm"), bytes.clone()).await;
        }
        let report = run(&world).await;
        assert_eq!(report.published.len(), cases.len(), "{report:?}");
        for (name, bytes, if_missing, if_always) in &cases {
            let expected = [*if_missing, *if_always, false][signed];
            let found = report.published.iter().find(|found| found.href == format!("{name}.rpm")).unwrap();
            assert_eq!(found.signed_with.as_ref(), expected.then_some(&ours), "{which:?} {name}");
            let now = published(&world, &found.href).await;
            assert_eq!(now != *bytes, expected, "{which:?} {name}");
            assert_eq!((found.pkgid.clone(), found.size_bytes), (Sha256::of(&now).to_string(), now.len() as u64));
            let uploaded = expected.then(|| Sha256::of(bytes).to_string());
            assert_eq!(found.uploaded_sha256, uploaded);
        }
        assert_eq!(world.inbox(), Vec::<String>::new());
        world.assert_clean().await;
    }
}

/// Whether anything that was ever in the bucket has a signature of ours over a header.
fn ever_signed(world: &World, key: &str) -> bool {
    let ours = |bytes: &[u8]| {
        let Ok(Parsed::Ready(file)) = HeaderFile::parse_prefix(bytes) else { return false };
        file.signature.has(tags::RSA) || file.signature.has(tags::DSA)
    };
    let of_it = |bytes: &[u8]| ours(bytes) && String::from_utf8_lossy(bytes).contains(key);
    let keys = world.memory.keys_ever();
    keys.iter().any(|at| world.memory.versions(at).into_iter().flatten().any(|version| of_it(&version.bytes)))
}

#[tokio::test]
async fn what_was_tampered_with_or_cannot_be_covered_is_turned_away_and_never_signed() {
    let by = Signers::of(&[Signer::Ed25519, Signer::Rsa]);
    let last = |bytes: Vec<u8>| {
        let mut bytes = bytes;
        *bytes.last_mut().unwrap() ^= 1;
        bytes
    };
    let md5 = tags::MD5.number();
    let without_digests =
        |rpm: Package| rpm.without_signature_tag(tags::SHA1.number()).without_signature_tag(tags::SHA256.number());
    let mut swapped = by.rpmsign(Signer::Rsa, &package("swapped").build(), &[]);
    let other = package("swapped").summary("B test package").build();
    let start = usize::try_from(ready(&swapped).header_start).unwrap();
    swapped.truncate(start);
    swapped.extend_from_slice(&other[usize::try_from(ready(&other).header_start).unwrap()..]);
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("payload", last(package("payload").build()), "E_DIGEST_MISMATCH"),
        ("md5", package("md5").signature_tag(md5, Value::Bytes(vec![7; 16])).build(), "E_DIGEST_MISMATCH"),
        (
            "sha256",
            package("sha256").signature_tag(tags::SHA256.number(), Value::text("0".repeat(64))).build(),
            "E_DIGEST_MISMATCH",
        ),
        ("swapped", swapped, "E_DIGEST_MISMATCH"),
        ("digests", without_digests(package("digests")).build(), "E_UNSUPPORTED"),
        ("old", package("old").without_tag(tag::PAYLOADDIGEST).build(), "E_UNSUPPORTED"),
        ("older", package("older").without_region().build(), "E_UNSUPPORTED"),
        ("newer", package("newer").tag(5114, Value::int32(6)).build(), "E_UNSUPPORTED"),
    ];
    for which in [SignPackages::Missing, SignPackages::Always] {
        let keyrings = vec![KeyringPlace::Path(by.keyring())];
        let trust = Trust { sign_packages: which, keyrings, ..Trust::default() };
        let world = world_of(Policy { trust, ..policy() }, &by, &[Signer::Ed25519]);
        for (name, bytes, _) in &cases {
            world.drop_bytes(&format!("{name}.rpm"), bytes.clone()).await;
        }
        let report = run(&world).await;
        assert_eq!(report.published, []);
        for (name, bytes, code) in &cases {
            let key = format!("inbox/{name}.rpm");
            let rejected = report.rejected.iter().find(|rejected| rejected.inbox_key == key).unwrap();
            assert_eq!(rejected.code, *code, "{which:?} {name}: {}", rejected.message);
            assert_eq!(world.bytes(&rejected.quarantine_key).await.unwrap(), bytes[..], "as it came");
        }
        for (name, ..) in cases.iter().filter(|(name, ..)| *name != "swapped") {
            assert!(!ever_signed(&world, name), "{which:?} {name}");
        }
        assert!(world.memory.keys_ever().iter().all(|key| !key.starts_with(".yrm/signed/")));
    }
}

#[tokio::test]
async fn one_that_names_a_key_and_is_not_its_is_turned_away() {
    let by = Signers::of(&[Signer::Ed25519, Signer::Rsa]);
    let mut forged = package("forged");
    let signature = by.sign(Signer::Rsa, b"something else", &[]);
    forged = forged.signature_tag(tags::RSA.number(), Value::Bytes(signature));
    let keyrings = vec![KeyringPlace::Path(by.keyring())];
    let trust = Trust { sign_packages: SignPackages::Missing, keyrings, ..Trust::default() };
    let world = world_of(Policy { trust, ..policy() }, &by, &[Signer::Ed25519]);
    world.drop_rpm("forged.rpm", &forged).await;
    let report = run(&world).await;
    assert_eq!(report.rejected[0].code, "E_BAD_SIGNATURE");
}

#[tokio::test]
async fn the_same_upload_again_is_there_already_whatever_key_signs_by_now() {
    let by = Signers::of(&[Signer::Ed25519, Signer::Rsa, Signer::Ecdsa]);
    for (first, then) in [
        (Some(Signer::Ed25519), Signer::Ed25519),
        (Some(Signer::Rsa), Signer::Rsa),
        (Some(Signer::Ecdsa), Signer::Ecdsa),
        (Some(Signer::Ed25519), Signer::Rsa),
        (None, Signer::Ed25519),
    ] {
        let always = signing(SignPackages::Always);
        let mut world = world_of(policy(), &by, &[then]);
        if let Some(first) = first {
            sign_with(&mut world, always.clone(), &by, &[first]);
        }
        world.drop_bytes("a.rpm", package("a").build()).await;
        run(&world).await;
        let before = published(&world, "a.rpm").await;
        assert_eq!(before == package("a").build(), first.is_none());

        // The key is changed, or packages are signed from now on: what is published stays as it is.
        sign_with(&mut world, always, &by, &[then]);
        run(&world).await;
        let report = run(&world).await;
        assert_eq!((report.usage.writes, report.published.len()), (0, 0), "{first:?} {then:?}");

        world.drop_bytes("a.rpm", package("a").build()).await;
        let report = run(&world).await;
        let [again] = &report.published[..] else { panic!("{first:?} {then:?}: {report:?}") };
        assert_eq!((again.already_there, again.href.as_str()), (true, "a.rpm"));
        assert_eq!((&again.pkgid, again.size_bytes), (&Sha256::of(&before).to_string(), before.len() as u64));
        assert_eq!(published(&world, "a.rpm").await, before);
        assert_eq!(world.inbox(), Vec::<String>::new());
        world.drop_rpm("a.rpm", &package("a").summary("another build")).await;
        assert_eq!(run(&world).await.rejected[0].code, "E_CONFLICT");
        world.assert_clean().await;
    }
}

#[tokio::test]
async fn a_published_package_that_vanished_is_put_back_as_it_was() {
    let by = Signers::of(&[Signer::Ed25519, Signer::Rsa]);
    for (first, then, comes_back) in [
        (Some(Signer::Ed25519), Signer::Ed25519, true),
        (None, Signer::Ed25519, true),
        (Some(Signer::Rsa), Signer::Ed25519, false),
    ] {
        let always = signing(SignPackages::Always);
        let mut world = world_of(policy(), &by, &[then]);
        if let Some(first) = first {
            sign_with(&mut world, always.clone(), &by, &[first]);
        }
        world.drop_bytes("a.rpm", package("a").build()).await;
        run(&world).await;
        let before = published(&world, "a.rpm").await;
        world.remove("repo/a.rpm").await;
        sign_with(&mut world, always, &by, &[then]);
        world.drop_bytes("a.rpm", package("a").build()).await;
        let report = run(&world).await;
        assert_eq!(report.published.len(), usize::from(comes_back), "{first:?} {then:?}: {report:?}");
        if comes_back {
            assert_eq!(published(&world, "a.rpm").await, before);
            world.assert_clean().await;
        } else {
            // With another signature it would be other bytes.
            assert_eq!(report.rejected[0].code, "E_CONFLICT");
        }
    }
}

#[tokio::test]
async fn uploading_again_is_how_a_package_gets_a_new_signature_where_the_newest_replaces() {
    let by = Signers::of(&[Signer::Ed25519, Signer::Rsa]);
    let replacing = Policy { on_conflict: OnConflict::Replace, ..signing(SignPackages::Always) };
    let mut world = world_of(Policy { on_conflict: OnConflict::Replace, ..policy() }, &by, &[Signer::Rsa]);
    let (rsa, ed25519) = (Some(Signer::Rsa), Some(Signer::Ed25519));
    for (signer, replaced) in [(None, 0), (rsa, 1), (rsa, 0), (ed25519, 1), (ed25519, 0)] {
        if let Some(signer) = signer {
            sign_with(&mut world, replacing.clone(), &by, &[signer]);
        }
        world.drop_bytes("a.rpm", package("a").build()).await;
        let report = run(&world).await;
        assert_eq!((report.replaced.len(), report.published.len()), (replaced, 1), "{signer:?}: {report:?}");
        assert_eq!(report.published[0].signed_with, signer.map(|signer| by.fingerprint(signer)));
        if signer.is_some() {
            let now = published(&world, &report.published[0].href).await;
            assert!(Rpm::with_keys(&by.keyring()).takes(&now).0);
        }
    }
    world.assert_clean().await;
}

#[tokio::test]
async fn a_rule_says_where_packages_are_signed_and_a_promotion_goes_by_it() {
    let by = Signers::of(&[Signer::Ed25519]);
    let rule =
        Rule { folders: vec!["stable".to_owned()], sign_packages: Some(SignPackages::Missing), ..Rule::default() };
    let trust = Trust { rules: vec![rule], ..Trust::default() };
    let rules = Policy { trust, repositories: Repositories::Depth(1), ..policy() };
    let world = world_of(rules, &by, &[Signer::Ed25519]);
    world.drop_rpm("testing/a.rpm", &package("a")).await;
    world.drop_rpm("stable/b.rpm", &package("b")).await;
    let report = run(&world).await;
    let signed: Vec<bool> = report.published.iter().map(|published| published.signed_with.is_some()).collect();
    assert_eq!(signed, [true, false]);
    let promotion = Promotion { from: "testing/a.rpm".to_owned(), to: "stable/a.rpm".to_owned() };
    let id = RunId { id: ulid::Ulid::new(), started: world.now() };
    let report = world.publisher.promote(&[promotion], id).await.unwrap();
    assert_eq!(report.published[0].signed_with, Some(by.fingerprint(Signer::Ed25519)));
    let (before, now) = (published(&world, "testing/a.rpm").await, published(&world, "stable/a.rpm").await);
    assert_eq!((parts(&before), before == package("a").build()), (parts(&now), true));
    assert!(Rpm::with_keys(&by.keyring()).takes(&now).0);
    world.assert_clean().await;
}

#[tokio::test]
async fn a_receipt_names_the_key_and_both_files() {
    let by = Signers::of(&[Signer::Ed25519]);
    let world = world_of(signing(SignPackages::Missing), &by, &[Signer::Ed25519]);
    let etag = world.drop_rpm("a.rpm", &package("a")).await;
    run(&world).await;
    let receipt = receipt::read(world.publisher.bucket(), "a.rpm", &etag).await.unwrap();
    let Some(Receipt::Published(told)) = receipt else { panic!("{receipt:?}") };
    assert_eq!(told.signed_with, Some(by.fingerprint(Signer::Ed25519)));
    assert_eq!(told.uploaded_sha256, Some(Sha256::of(&package("a").build()).to_string()));
    assert_eq!(told.pkgid, Sha256::of(&published(&world, "a.rpm").await).to_string());
}

/// Over what is put whole.
fn large(fill: u8) -> Vec<u8> {
    Package::new("large", "1", "1", "noarch").payload(vec![fill; 9 << 20]).build()
}

#[tokio::test]
async fn a_large_package_is_joined_in_the_store_and_only_while_it_is_what_was_judged() {
    let by = Signers::of(&[Signer::Ed25519]);
    let rpm = Rpm::with_keys(&by.keyring());
    // Whoever replaces it while it is copied is as late as who does so afterwards.
    let gaps = [
        ("inbox/large", Call::Get, false),
        (".yrm/signed/", Call::Put, false),
        ("inbox/large", Call::Head, false),
        ("repo/large", Call::Copy, true),
    ];
    for (at, call, too_late) in gaps {
        let world = world_of(signing(SignPackages::Always), &by, &[Signer::Ed25519]);
        world.drop_bytes("large.rpm", large(1)).await;
        let replace = |memory: Arc<yrm::store::memory::MemoryStore>| -> futures::future::BoxFuture<'static, ()> {
            Box::pin(async move { drop(put(memory.as_ref(), "inbox/large.rpm", large(2)).await) })
        };
        world.hooked.at(call, at, Effect::Before(Box::new(replace)));
        let first = run(&world).await;
        assert!(world.hooked.all_happened());
        assert_eq!((first.published.len(), first.rejected.len()), (usize::from(too_late), 0), "{call:?}");
        // What was judged is not what is there: the next run judges that.
        let second = run(&world).await;
        assert_eq!((second.published.len(), second.rejected.len()), (usize::from(!too_late), usize::from(too_late)));
        let now = published(&world, &world.hrefs("").await[0]).await;
        assert!(parts(&now) == parts(&large(if too_late { 1 } else { 2 })), "{call:?}");
        assert!(rpm.takes(&now).0);
        let keys = world.memory.keys();
        assert!(!keys.iter().any(|key| key.starts_with("inbox/") || key.starts_with(".yrm/signed/")), "{keys:?}");
        world.assert_clean().await;
    }
    let fresh = world_of(signing(SignPackages::Always), &by, &[Signer::Ed25519]);
    fresh.drop_bytes("large.rpm", large(3)).await;
    let report = run(&fresh).await;
    let usage = report.usage;
    assert!(usage.bytes_in < (9 << 20) + (6 << 20), "read once, and what is sent: {usage:?}");
    assert!(usage.bytes_out < 6 << 20, "{usage:?}");
}

#[tokio::test]
async fn what_a_dead_process_left_on_its_way_is_used_or_swept() {
    let by = Signers::of(&[Signer::Ed25519]);
    let world = Arc::new(world_of(signing(SignPackages::Always), &by, &[Signer::Ed25519]));
    let left = |world: &World| world.memory.keys().iter().filter(|key| key.starts_with(".yrm/signed/")).count();
    for name in ["a", "b"] {
        world.drop_rpm(&format!("{name}.rpm"), &package(name)).await;
        world.hooked.at(Call::Copy, &format!("repo/{name}"), Effect::Die);
        let died = tokio::time::timeout(Duration::from_millis(500), world.run()).await;
        assert!(died.is_err() && left(&world) == 1, "{name}");
        if name == "a" {
            assert_eq!(run(&world).await.published.len(), 1);
            assert_eq!(left(&world), 0, "used, and taken away");
        }
    }
    // Its uploader has thought better of it.
    world.remove("inbox/b.rpm").await;
    let sweep = async || sweep::sweep(world.publisher.bucket(), &RepositoryDir::new("")).await.unwrap();
    world.advance(Duration::from_hours(23));
    sweep().await;
    assert_eq!(left(&world), 1, "somebody slow may want it");
    world.advance(Duration::from_hours(2));
    sweep().await;
    assert_eq!(left(&world), 0);
    world.assert_clean().await;
}
