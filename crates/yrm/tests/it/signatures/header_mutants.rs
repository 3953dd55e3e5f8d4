//! Signature headers that nobody writes: what rpm takes is published, and what it refuses is not. Seeded:
//! a difference found is found again.
//!
//! More of them: `YRM_MUTANTS=20000 YRM_MUTANTS_SEED=7 cargo test -p yrm --test it header_mutants`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;

use forge::{Rpm as Package, Value, tag};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rpmmd::compress::Compression;
use yrm::bucket::report::Report;
use yrm::config::{KeyringPlace, Level, Policy, Repositories, Trust};

use super::corpus::world;
use super::layout::Layout;
use super::mutations::{self, ALL};
use super::signers::{Rpm, Signer, Signers};
use crate::equality::{Repository, index};
use crate::hostile::mutants::{Theirs, from_environment};
use crate::publish::world::policy;

const MUTANTS: usize = 2_400;
const SEED: u64 = 1;
/// Every so-manieth is signed.
const SIGNED: usize = 4;
/// Files that rpm is asked about at once.
const ASKED_AT_ONCE: usize = 400;

/// Why a file is refused that rpm 4.18 takes, on purpose: `docs/design/headers.md` says why of each.
const STRICTER: [(&str, &[&str]); 6] = [
    (
        "the size that is stated is not the file's",
        &[" bytes, and its signature header says ", " bytes follow the end "],
    ),
    ("a tag stands twice on the same side of the region's end", &["occurs twice"]),
    (
        "a type that rpm 6 asks for",
        &["tag 278 of the signature header is damaged", "tag 279 of the signature header is damaged"],
    ),
    ("a SHA3-256, which rpm 6 compares", &["does not match its SHA3_256 digest"]),
    (
        "the region's trailer stands before the data",
        &["the region of the signature header is damaged: trailer outside"],
    ),
    (
        "an OpenPGP signature of rpm 6 that is none",
        &["a signature in it cannot be read", "its OPENPGP signature is no signature"],
    ),
];

/// What was done to a file, and the file.
struct Mutant {
    done: String,
    file: Vec<u8>,
}

fn base(random: &mut StdRng, name: &str) -> Package {
    let rpm = Package::new(name, "1.0", "1", "noarch").file("/usr/share/m").changelog(9, "a", "b");
    match random.random_range(0..4) {
        0 => rpm,
        1 => rpm.signature_tag(1008, Value::Bytes(vec![0; 200])),
        // As before rpm 4.14: the MD5 stands for the payload.
        2 => rpm
            .without_tag(tag::PAYLOADDIGEST)
            .without_tag(tag::PAYLOADDIGESTALGO)
            .without_tag(tag::PAYLOADDIGESTALT)
            .without_signature_tag(tag::SIG_SHA256),
        _ => rpm.without_tag(tag::PAYLOADDIGESTALT).archive_bytes(5 << 32),
    }
}

fn mutant(random: &mut StdRng, file: &[u8]) -> Mutant {
    let mut layout = Layout::of(file);
    let mut done = Vec::new();
    for _ in 0..*[1, 1, 1, 2, 3].choose(random).unwrap() {
        let (name, mutate) = *mutations::ALL.choose(random).unwrap();
        mutate(random, &mut layout);
        done.push(name);
    }
    let mut file = layout.build();
    match random.random_range(0..33) {
        0 => {
            done.push("cut");
            file.truncate(file.len() - random.random_range(1..40));
        }
        1 => {
            done.push("more bytes");
            file.extend_from_slice(b"more");
        }
        _ => {}
    }
    Mutant { done: done.join(", "), file }
}

/// The files below `folder` that this program finds nothing wrong with. It is asked about many at once, and
/// stops at none; what it says of one has its name.
fn taken(
    folder: &Path,
    paths: &[&String],
    ask: impl Fn() -> Command,
    is_bad: impl Fn(&str) -> bool,
) -> BTreeSet<String> {
    let mut taken: BTreeSet<String> = paths.iter().map(|path| (*path).clone()).collect();
    for paths in paths.chunks(ASKED_AT_ONCE) {
        let said = ask().current_dir(folder).args(paths.iter()).env("LC_ALL", "C").output().unwrap();
        assert!(said.status.code().is_some(), "it ended by a signal");
        for output in [&said.stdout, &said.stderr] {
            for line in String::from_utf8_lossy(output).lines().filter(|line| is_bad(line)) {
                for word in line.split([' ', ':']) {
                    taken.remove(word);
                }
            }
        }
    }
    taken
}

/// What rpm takes: it reads the headers, and finds the digests right; and the signatures, where it has keys.
fn taken_by_rpm(folder: &Path, paths: &[&String], keys: Option<&Rpm>) -> BTreeSet<String> {
    let options = if keys.is_some() { &[][..] } else { &["--nosignature"] };
    let level = if keys.is_some() { "_pkgverify_level all" } else { "_pkgverify_level digest" };
    let query = || {
        let mut rpm = Command::new("rpm");
        rpm.args(["-qp", "--queryformat", "%{NAME}\n", "--nosignature"]);
        rpm
    };
    let check = || {
        let mut rpmkeys = keys.map_or_else(|| Command::new("rpmkeys"), Rpm::rpmkeys);
        rpmkeys.args(["--define", level, "--checksig"]).args(options);
        rpmkeys
    };
    std::thread::scope(|scope| {
        let read = scope.spawn(|| taken(folder, paths, query, |line| line.starts_with("error: ")));
        let whole = taken(folder, paths, check, |line| line.contains("NOT OK") || line.contains("error: "));
        read.join().unwrap().intersection(&whole).cloned().collect()
    })
}

/// Publishes all of them; why each was refused, `None` where it was published.
async fn answers(mutants: &BTreeMap<String, Mutant>, trust: Trust) -> BTreeMap<String, Option<String>> {
    let world = world(Policy { trust, repositories: Repositories::Depth(1), ..policy() });
    // Payloads are read.
    world.hooked.copies_blindly.store(true, Ordering::Relaxed);
    for (path, mutant) in mutants {
        world.drop_bytes(path, mutant.file.clone()).await;
    }
    world.advance(Duration::from_mins(1));
    let report: Report = world.run().await;
    assert_eq!((&report.errors, &report.waiting), (&Vec::new(), &Vec::new()));
    let path = |key: &str| key.strip_prefix("inbox/").unwrap().to_owned();
    let published = report.published.iter().map(|published| (path(&published.inbox_key), None));
    let rejected = report.rejected.iter();
    let rejected = rejected.map(|rejected| (path(&rejected.inbox_key), Some(rejected.message.clone())));
    published.chain(rejected).collect()
}

/// What is compared, and what came of it.
#[derive(Default)]
struct Tally {
    taken: usize,
    refused: usize,
    stricter: BTreeMap<&'static str, usize>,
    wrong: Vec<String>,
}

impl Tally {
    fn count(&mut self, mutant: &Mutant, path: &str, answer: Option<&str>, rpm_takes_it: bool) {
        match (answer, rpm_takes_it) {
            (None, true) => self.taken += 1,
            (Some(_), false) => self.refused += 1,
            (None, false) => self.wrong.push(format!("{path}: {}: only we take it", mutant.done)),
            (Some(why), true) => {
                let known = STRICTER.iter().find(|(_, said)| said.iter().any(|said| why.contains(said)));
                match known {
                    Some((name, _)) => *self.stricter.entry(name).or_default() += 1,
                    None => self.wrong.push(format!("{path}: {}: only we refuse it: {why}", mutant.done)),
                }
            }
        }
    }
}

fn write(folder: &Path, mutants: &BTreeMap<String, Mutant>) {
    for (path, mutant) in mutants {
        let path = folder.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &mutant.file).unwrap();
    }
}

/// Of what is published, our words against createrepo_c's.
fn described_otherwise(folder: &Path, published: &[&String], mutants: &BTreeMap<String, Mutant>) -> Vec<String> {
    let flat = tempfile::tempdir().unwrap();
    let names: Vec<String> = published.iter().map(|path| path.replace('/', "-")).collect();
    for (path, name) in published.iter().zip(&names) {
        fs::hard_link(folder.join(path), flat.path().join(name))
            .or_else(|_| fs::copy(folder.join(path), flat.path().join(name)).map(drop))
            .unwrap();
    }
    let mut theirs = Theirs::default();
    names.chunks(100).for_each(|names| theirs.ask(flat.path(), names));
    let output = tempfile::tempdir().unwrap();
    index(flat.path(), output.path(), Compression::Gz);
    let ours = Repository::read(output.path()).unwrap();
    let differences = ours.differences(&theirs.repository);
    let of = |line: &str| {
        let name = line.split([' ', ':']).next().unwrap_or_default();
        mutants.iter().find(|(path, _)| path.replace('/', "-") == name).map_or("", |(_, mutant)| mutant.done.as_str())
    };
    differences.iter().map(|line| format!("{line}: {}", of(line))).collect()
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "how much was compared belongs into the test's record")]
async fn signature_headers_are_judged_as_rpm_judges_them() {
    let (count, seed) = (from_environment("YRM_MUTANTS", MUTANTS), from_environment("YRM_MUTANTS_SEED", SEED));
    let mut random = StdRng::seed_from_u64(seed);
    let by = Signers::of(&[Signer::Rsa, Signer::Ed25519]);
    let keys = Rpm::with_keys(&by.keyring());
    let signed: Vec<Vec<u8>> = (0..8)
        .map(|number| {
            let signer = if number % 2 == 0 { Signer::Rsa } else { Signer::Ed25519 };
            let options: &[&str] = if number % 4 < 2 { &[] } else { &["--rpmv3"] };
            by.rpmsign(signer, &base(&mut random, &format!("signed-{number}")).build(), options)
        })
        .collect();
    let (mut plain, mut with_signature) = (BTreeMap::new(), BTreeMap::new());
    for number in 0..count {
        if number % SIGNED == 0 {
            // One of each in a repository: other bytes of one package are a conflict.
            let (round, which) = (number / SIGNED / signed.len(), number / SIGNED % signed.len());
            with_signature.insert(format!("s{round:04}/m{which}.rpm"), mutant(&mut random, &signed[which]));
        } else {
            let file = base(&mut random, &format!("m{number:06}")).build();
            plain.insert(format!("plain/m{number:06}.rpm"), mutant(&mut random, &file));
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let (mut tally, mut kinds) = (Tally::default(), BTreeMap::<&str, usize>::new());
    for (mutants, keys) in [(&plain, None), (&with_signature, Some(&keys)), (&with_signature, None)] {
        write(folder.path(), mutants);
        let paths: Vec<&String> = mutants.keys().collect();
        let rpm = taken_by_rpm(folder.path(), &paths, keys);
        let trust = match keys {
            None => Trust::default(),
            Some(_) => Trust {
                signatures: Level::Require,
                keyrings: vec![KeyringPlace::Path(by.keyring())],
                ..Trust::default()
            },
        };
        let answers = answers(mutants, trust).await;
        for (path, mutant) in mutants {
            tally.count(mutant, path, answers[path].as_deref(), rpm.contains(path));
            for (name, _) in ALL.iter().filter(|(name, _)| mutant.done.contains(name)) {
                *kinds.entry(name).or_default() += 1;
            }
        }
        if keys.is_none() {
            // The same change twice makes the same bytes, which metadata has once.
            let mut files = BTreeSet::new();
            let published =
                mutants.iter().filter(|(path, mutant)| answers[*path].is_none() && files.insert(&mutant.file));
            let published: Vec<&String> = published.map(|(path, _)| path).collect();
            tally.wrong.extend(described_otherwise(folder.path(), &published, mutants));
        }
    }
    let Tally { taken, refused, stricter, wrong } = tally;
    println!("seed {seed}: {count} mutants, {taken} answers alike that publish, {refused} that refuse");
    println!("refused on purpose: {stricter:#?}");
    assert!(wrong.is_empty(), "seed {seed}: {} differences:\n{}", wrong.len(), wrong[..wrong.len().min(60)].join("\n"));
    // Else the damage is too great, or too small, to tell anything.
    assert!(taken * 5 > count && refused * 5 > count, "{taken} {refused}");
    assert_eq!(kinds.len(), ALL.len(), "{kinds:#?}");
    let unused: Vec<&str> =
        STRICTER.iter().map(|(name, _)| *name).filter(|name| !stricter.contains_key(name)).collect();
    assert!(unused.is_empty(), "no longer refused, or no longer made: {unused:?}");
}
