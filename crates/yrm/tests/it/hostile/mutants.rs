//! Well-formed packages with a little damage: what rpm and createrepo_c take, we describe as they
//! do; what they refuse, we refuse. Seeded: a difference found is found again.
//!
//! More of them: `YRM_MUTANTS=20000 YRM_MUTANTS_SEED=7 cargo test -p yrm --test it mutants`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use forge::{Dependency, File, Rpm, Value, tag};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rpmmd::compress::Compression;
use rpmmd::header::{HeaderFile, Parsed};

use crate::equality::{Reference, Repository, index};

const MUTANTS: usize = 600;
const SEED: u64 = 1;

/// A number from the environment, for longer runs.
pub(crate) fn from_environment<T: std::str::FromStr>(name: &str, otherwise: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn base(random: &mut StdRng, name: &str) -> Rpm {
    let rpm = Rpm::new(name, "1.0", "1", "noarch").summary("A mutant").description("It was well.");
    match random.random_range(0..3) {
        0 => rpm,
        1 => rpm
            .file("/etc/m")
            .file(File::dir("/usr/share/m"))
            .file("/usr/share/m/f")
            .changelog(9, "a", "b")
            .changelog(9, "c", "d"),
        _ => rpm
            .epoch(3)
            .requires("a >= 1:2-3")
            .requires("/bin/sh")
            .conflicts("c")
            .suggests(Dependency::new("s").flags(8).version("1"))
            .recommends("r")
            .file("/usr/bin/m")
            .tag(tag::LONGSIZE, Value::Int64(vec![5 << 32])),
    }
}

/// What was done to a package, and the package.
fn mutant(random: &mut StdRng, name: &str) -> (String, Vec<u8>) {
    let rpm = base(random, name);
    if random.random_bool(0.3) {
        return edited(random, rpm);
    }
    let mut file = rpm.build();
    let headers = headers_end(&file);
    // Digests of the header would tell of every change: without them each is met where it is.
    let mut done = String::new();
    for _ in 0..random.random_range(1..4) {
        let at =
            if random.random_bool(0.8) { random.random_range(96..headers) } else { random.random_range(0..file.len()) };
        let byte = if random.random_bool(0.5) { file[at] ^ 1 << random.random_range(0..8) } else { random.random() };
        write!(done, " {at}:{:02x}>{byte:02x}", file[at]).unwrap();
        file[at] = byte;
    }
    if random.random_bool(0.1) {
        file.truncate(random.random_range(0..file.len()));
        write!(done, " cut {}", file.len()).unwrap();
    }
    (done, file)
}

fn headers_end(file: &[u8]) -> usize {
    match HeaderFile::parse_prefix(file).unwrap() {
        Parsed::Ready(headers) => usize::try_from(headers.header_end).unwrap(),
        Parsed::Needs(bytes) => panic!("needs {bytes}"),
    }
}

/// A tag with another value, or without.
fn edited(random: &mut StdRng, rpm: Rpm) -> (String, Vec<u8>) {
    const TAGS: [u32; 31] = [
        tag::NAME,
        tag::VERSION,
        tag::RELEASE,
        tag::EPOCH,
        tag::SUMMARY,
        tag::BUILDTIME,
        tag::SIZE,
        tag::LONGSIZE,
        tag::ARCH,
        tag::SOURCERPM,
        tag::FILEMODES,
        tag::FILEFLAGS,
        tag::FILEDIGESTS,
        tag::DIRINDEXES,
        tag::BASENAMES,
        tag::DIRNAMES,
        tag::PROVIDENAME,
        tag::PROVIDEFLAGS,
        tag::PROVIDEVERSION,
        tag::REQUIRENAME,
        tag::REQUIREFLAGS,
        tag::CHANGELOGTIME,
        tag::CHANGELOGNAME,
        tag::HEADERI18NTABLE,
        tag::SOURCEPACKAGE,
        20_000,
        // Of the signature header, or of either.
        tag::SIG_SHA1,
        tag::SIG_LONGSIZE,
        257,
        1046,
        5090,
    ];
    let tag = *TAGS.choose(random).expect("there are some");
    let count = random.random_range(1..4);
    let named = [tag::PROVIDENAME, tag::REQUIRENAME].contains(&tag);
    // What createrepo_c takes for negative numbers or ends in 2038 is left out, and lists of
    // translations, of which librpm gives it the first only.
    let translated = [tag::SUMMARY, tag::NAME].contains(&tag);
    let value = match random.random_range(0..8) {
        0 => Value::Int16(vec![random.random(); count]),
        1 => Value::Int32(vec![random.random::<u32>() >> 1; count]),
        2 => Value::Int32((0..3).take(count).collect()),
        3 => Value::Int64(vec![random.random::<u64>() >> 1; count]),
        // No empty names: createrepo_c leaves such a dependency out and its list's element there.
        4 => Value::text(["x", "", "a\0b", "caf\u{e9}"][usize::from(!named) * random.random_range(0..4)]),
        5 => Value::Texts(vec![b"t".to_vec(); count]),
        6 if translated => Value::Locales(vec![b"l".to_vec(); count]),
        _ => return (format!(" without {tag}"), rpm.without_tag(tag).build()),
    };
    (format!(" {tag} is {value:?}"), rpm.tag(tag, value).build())
}

/// The files that rpm does not complain about. It is asked about many at once, and stops at none.
fn taken_by_rpm(folder: &Path, names: &[String]) -> BTreeSet<String> {
    let mut taken = BTreeSet::new();
    for names in names.chunks(500) {
        let mut rpm = Command::new("rpm");
        rpm.args(["-qp", "--nosignature", "--nodigest", "--queryformat", "%{NAME}\n"]).current_dir(folder);
        let said = rpm.args(names).env("LC_ALL", "C").output().unwrap();
        assert!(said.status.code().is_some(), "rpm ended by a signal");
        let said = String::from_utf8_lossy(&said.stderr).into_owned();
        taken.extend(names.iter().filter(|name| !said.contains(name.as_str())).cloned());
    }
    taken
}

/// What createrepo_c says of these files.
#[derive(Default)]
pub(crate) struct Theirs {
    pub(crate) repository: Repository,
    /// Files that it does not survive, or makes metadata of that cannot be read.
    broken: BTreeSet<String>,
}

impl Theirs {
    /// Asks about many at once, and about halves of them when that goes wrong.
    pub(crate) fn ask(&mut self, folder: &Path, names: &[String]) {
        let (some, output) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for name in names {
            fs::hard_link(folder.join(name), some.path().join(name)).unwrap();
        }
        let (code, _) = Reference::Newest.index(some.path(), output.path());
        match code.map(|_| Repository::read(output.path())) {
            Some(Ok(repository)) => self.repository.packages.extend(repository.packages),
            Some(Err(_)) | None if names.len() == 1 => drop(self.broken.insert(names[0].clone())),
            Some(Err(_)) | None => {
                let (first, second) = names.split_at(names.len() / 2);
                self.ask(folder, first);
                self.ask(folder, second);
            }
        }
    }
}

/// createrepo_c writes a version that is not UTF-8 into primary as it does every text, and into the
/// other documents otherwise.
fn is_at_odds_with_itself(difference: &str) -> bool {
    difference.contains("/version@") && !difference.contains(" primary/") && !difference.is_ascii()
}

/// Why we refuse what rpm takes: each is a package that no client could use, or a file that is
/// not the one that was built.
fn may_be_refused(why: &str) -> bool {
    const REASONS: [&str; 9] = [
        "truncated: ",
        "the file is empty",
        "the header has no ",
        " has ",
        "a file is in directory ",
        "occurs twice",
        "signatures as before rpm 3",
        "the signature header is damaged",
        "describing the package takes",
    ];
    REASONS.iter().any(|reason| why.contains(reason))
}

#[test]
#[expect(clippy::print_stdout, reason = "how much was compared belongs into the test's record")]
fn a_little_damage_is_judged_as_rpm_and_createrepo_c_judge_it() {
    let (count, seed) = (from_environment("YRM_MUTANTS", MUTANTS), from_environment("YRM_MUTANTS_SEED", SEED));
    let mut random = StdRng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let mut damage = BTreeMap::new();
    for number in 0..count {
        let name = format!("mutant-{number:06}");
        let (done, file) = mutant(&mut random, &name);
        fs::write(folder.path().join(format!("{name}.rpm")), file).unwrap();
        damage.insert(format!("{name}.rpm"), done);
    }
    let names: Vec<String> = damage.keys().cloned().collect();
    let rpm = taken_by_rpm(folder.path(), &names);

    let mut theirs = Theirs::default();
    names.chunks(100).for_each(|names| theirs.ask(folder.path(), names));
    let ours = tempfile::tempdir().unwrap();
    let indexed = index(folder.path(), ours.path(), Compression::Gz);
    let ours = Repository::read(ours.path()).unwrap();
    let refused: BTreeMap<&str, &str> =
        indexed.skipped.iter().map(|remark| (remark.href.as_str(), remark.text.as_str())).collect();

    let mut wrong = Vec::new();
    // Characters that XML forbids: createrepo_c drops the package, we replace them.
    let cleaned: BTreeSet<&str> = indexed.warnings.iter().map(|remark| remark.href.as_str()).collect();
    let (mut taken, mut both_refuse, mut apart) = (0, 0, 0);
    let mut we_alone = BTreeMap::<&str, usize>::new();
    for (name, done) in &damage {
        let in_metadata = theirs.repository.packages.contains_key(name);
        if theirs.broken.contains(name) || !in_metadata && rpm.contains(name) && cleaned.contains(name.as_str()) {
            apart += 1;
            continue;
        }
        let taken_by_them = in_metadata && rpm.contains(name);
        match (refused.get(name.as_str()), taken_by_them) {
            (None, true) => taken += 1,
            (Some(_), false) => both_refuse += 1,
            (Some(why), true) if may_be_refused(why) => *we_alone.entry(why).or_default() += 1,
            (Some(why), true) => wrong.push(format!("{name}:{done}: only we refuse it: {why}")),
            (None, false) => wrong.push(format!("{name}:{done}: only we take it")),
        }
    }
    let differences = ours.differences(&theirs.repository);
    let of = |line: &str| damage.get(line.split_whitespace().next().unwrap_or_default()).cloned().unwrap_or_default();
    let differences = differences.into_iter().filter(|line| !line.contains(": only in the "));
    let differences = differences.filter(|line| !is_at_odds_with_itself(line));
    wrong.extend(differences.map(|line| format!("{line}:{}", of(&line))));
    let broken = theirs.broken.len();
    println!(
        "seed {seed}: {count} mutants, {taken} taken by all, {both_refuse} refused by all, {apart} set apart (characters"
    );
    println!("that createrepo_c drops, {broken} files that it does not survive); alone we refuse {we_alone:#?}");
    assert!(wrong.is_empty(), "seed {seed}: {} differences:\n{}", wrong.len(), wrong[..wrong.len().min(40)].join("\n"));
    // Else the damage is too great, or too small, to tell anything.
    assert!(taken * 10 > count && both_refuse * 10 > count);
}
