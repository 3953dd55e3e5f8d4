//! File signatures (IMA, fs-verity) as signing servers leave them: in the signature header, behind its
//! region. And regions that end with the number of another one, as in old packages.

use std::fs;
use std::path::Path;
use std::process::Command;

use forge::{Rpm as Package, Value, tag};
use rpmmd::compress::Compression;
use rpmmd::tag::signature as tags;
use yrm::config::{KeyringPlace, Level, Policy, SignPackages, Trust};

use super::corpus::world;
use super::layout::{Layout, Raw};
use super::resign::{BUILT, sign_with, signing};
use super::signers::{Rpm, Signer, Signers, parts};
use crate::equality::{Reference, Repository, index, succeed};
use crate::publish::world::policy;

const TEXTS: u32 = 8;
const INT32: u32 = 4;

/// A signature as IMA has it, in hexadecimal digits.
fn signature() -> String {
    format!("0302{}", "ab".repeat(64))
}

/// The file with file signatures behind its region, as some signing servers put them there last.
fn with_file_signatures(file: &[u8]) -> Vec<u8> {
    let mut layout = Layout::of(file);
    let text = [signature().as_bytes(), b"\0"].concat();
    let length = u32::try_from(text.len() / 2).unwrap();
    layout.behind = vec![
        Raw::new(tags::FILESIGNATURES.number(), TEXTS, 1, text),
        Raw::new(tags::FILESIGNATURELENGTH.number(), INT32, 1, length.to_be_bytes()),
    ];
    layout.build()
}

fn with_image_trailer(file: &[u8]) -> Vec<u8> {
    let mut layout = Layout::of(file);
    layout.region.as_mut().unwrap().trailer[0] = 61;
    layout.build()
}

fn forged(name: &str) -> Package {
    Package::new(name, "1.0", "1", "noarch").file("/usr/share/file").changelog(5, "me", "text")
}

/// Name, the file, and the file signatures that rpm reads from it.
type Entry = (&'static str, Vec<u8>, String);

fn entries(by: &Signers) -> Vec<Entry> {
    let renamed = |name: &str| by.rpmsign(Signer::Rsa, &forged(name).build(), &[]);
    let both = |name: &str| {
        forged(name)
            .behind_signatures(tags::FILESIGNATURES.number(), Value::texts([signature(), signature()]))
            .behind_signatures(tags::FILESIGNATURELENGTH.number(), Value::int32(66))
            .behind_signatures(tags::VERITYSIGNATURES.number(), Value::texts(["c2ln"]))
            .behind_signatures(tags::VERITYSIGNATUREALGO.number(), Value::int32(1))
            .signature_trailer(61)
            .build()
    };
    vec![
        ("built", with_file_signatures(BUILT), format!("{}\n", signature())),
        ("signed", with_file_signatures(&renamed("signed")), format!("{}\n", signature())),
        ("signed-old-trailer", with_image_trailer(&renamed("signed-old-trailer")), String::new()),
        ("all-of-it", both("all-of-it"), format!("{0}\n{0}\n", signature())),
        // What a client reads of two: what stands behind the region.
        (
            "twice",
            forged("twice")
                .signature_tag(tags::FILESIGNATURES.number(), Value::texts(["00"]))
                .signature_tag(tag::SIG_PAYLOADSIZE, Value::int32(7))
                .behind_signatures(tag::SIG_PAYLOADSIZE, Value::int32(8))
                .behind_signatures(tags::FILESIGNATURES.number(), Value::texts([signature()]))
                .build(),
            format!("{}\n", signature()),
        ),
    ]
}

fn file_signatures(path: &Path) -> String {
    let mut rpm = Command::new("rpm");
    succeed(rpm.args(["-qp", "--nosignature", "--queryformat", "[%{FILESIGNATURES}\n]"]).arg(path))
        .replace("(none)\n", "")
}

/// What `yrm index` says of the packages in this folder is what both createrepo_c say.
fn assert_described_alike(folder: &Path, packages: usize) {
    let ours = tempfile::tempdir().unwrap();
    let indexed = index(folder, ours.path(), Compression::Gz);
    assert_eq!((indexed.skipped, indexed.packages), (Vec::new(), packages));
    let ours = Repository::read(ours.path()).unwrap();
    for reference in Reference::ALL {
        let theirs = tempfile::tempdir().unwrap();
        let (code, said) = reference.index(folder, theirs.path());
        assert_eq!(code, Some(0), "{said}");
        let theirs = Repository::read(theirs.path()).unwrap();
        assert_eq!(ours.differences(&theirs), Vec::<String>::new(), "{reference:?}");
        assert_eq!(theirs.packages.len(), packages);
    }
}

#[tokio::test]
async fn file_signatures_behind_the_region_are_no_damage() {
    let by = Signers::of(&[Signer::Rsa, Signer::Ed25519]);
    let rpm = Rpm::with_keys(&by.keyring());
    let entries = entries(&by);
    let folder = tempfile::tempdir().unwrap();
    for (name, file, says) in &entries {
        let path = folder.path().join(format!("{name}.rpm"));
        fs::write(&path, file).unwrap();
        assert_eq!(file_signatures(&path), *says, "{name}");
        assert!(rpm.is_whole(file), "{name}");
    }
    assert_described_alike(folder.path(), entries.len());

    // Published as they came.
    let plain = world(policy());
    for (name, file, _) in &entries {
        plain.drop_bytes(&format!("{name}.rpm"), file.clone()).await;
    }
    plain.advance(std::time::Duration::from_mins(1));
    let report = plain.run().await;
    assert_eq!((report.published.len(), &report.rejected), (entries.len(), &Vec::new()));
    for (name, file, _) in &entries {
        assert_eq!(plain.bytes(&format!("repo/{name}.rpm")).await.unwrap(), file, "{name}");
    }
    plain.assert_clean().await;

    // Verified as rpmkeys does: what is behind the region says nothing of who signed.
    let keyrings = vec![KeyringPlace::Path(by.keyring())];
    let asking =
        world(Policy { trust: Trust { signatures: Level::Require, keyrings, ..Trust::default() }, ..policy() });
    for (name, file, _) in &entries {
        asking.drop_bytes(&format!("{name}.rpm"), file.clone()).await;
    }
    asking.advance(std::time::Duration::from_mins(1));
    let report = asking.run().await;
    for (name, file, _) in &entries {
        let is_published = report.published.iter().any(|published| published.inbox_key == format!("inbox/{name}.rpm"));
        assert_eq!(is_published, rpm.takes(file).0, "{name}: {:?}", report.rejected);
    }
    assert_eq!(report.published.len(), 2);
}

#[tokio::test]
async fn file_signatures_stay_in_a_package_that_is_signed_here() {
    let by = Signers::of(&[Signer::Rsa, Signer::Ed25519]);
    let rpm = Rpm::with_keys(&by.keyring());
    for signer in [Signer::Rsa, Signer::Ed25519] {
        let mut world = world(signing(SignPackages::Always));
        sign_with(&mut world, signing(SignPackages::Always), &by, &[signer]);
        let entries = entries(&by);
        for (name, file, _) in &entries {
            world.drop_bytes(&format!("{name}.rpm"), file.clone()).await;
        }
        world.advance(std::time::Duration::from_mins(1));
        let report = world.run().await;
        assert_eq!((report.published.len(), &report.rejected), (entries.len(), &Vec::new()));
        let folder = tempfile::tempdir().unwrap();
        for (name, file, says) in &entries {
            let ours = world.bytes(&format!("repo/{name}.rpm")).await.unwrap();
            let path = folder.path().join(format!("{name}.rpm"));
            fs::write(&path, &ours).unwrap();
            let (takes, said) = rpm.takes(&ours);
            assert!(takes, "{signer:?} {name}: {said}");
            assert_eq!(file_signatures(&path), *says, "{signer:?} {name}");
            assert_eq!(parts(&ours), parts(file), "nothing else changed");
        }
        assert_described_alike(folder.path(), entries.len());
        world.assert_clean().await;
    }
}
