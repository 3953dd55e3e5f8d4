//! Packages that nobody would think of: every list and text drawn at random from what is odd.
//! The seed is fixed, so a difference found is found again.

use forge::{Dependency, File, Rpm, Value, tag};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

/// Few names, so that they meet: repeats, own provides and own files decide the rules.
const NAMES: [&str; 15] = [
    "a",
    "b",
    "c",
    "/etc/a",
    "/usr/bin/b",
    "/usr/share/c",
    "libc.so.6",
    "libc.so.6()(64bit)",
    "libc.so.6(GLIBC_2.9)",
    "libc.so.6(GLIBC_2.10)(64bit)",
    "libc.so.6(GLIBC_2.10)",
    "libc.so.6(a1)(2)",
    "rpmlib(X)",
    "(a or b)",
    "random-0",
];
const VERSIONS: [&str; 18] = [
    "",
    "1",
    "1-1",
    "0:1-1",
    "1:1-1",
    "01:1",
    "1-",
    "-1",
    ":",
    ":1-1",
    "a:1",
    "1:",
    "1:-2",
    "1~2^3-4",
    " 2:1",
    "9-9-9",
    "\u{e9}",
    "18446744073709551616:1",
];
const PATHS: [&str; 10] = [
    "/etc/a",
    "/usr/bin/b",
    "/usr/share/c",
    "/usr/lib/sendmail",
    "/a",
    "/sbin",
    "/opt/cabin/x",
    "/etc",
    "/\u{fc}/<&>",
    "/ x /",
];
const TEXTS: [&[u8]; 8] = [
    b"",
    b" ",
    b"plain",
    b"a\tb\r\nc ",
    "\u{fc}\u{4e16}\u{1f389}".as_bytes(),
    b"latin \xe9\xff",
    b"half \xc3\xa9 \xe9\x85",
    b"<&>\"']]>",
];
/// Every bit that rpm gives a meaning in a dependency, but those on which the two createrepo_c
/// differ (%pretrans, %posttrans).
const FLAGS: [u32; 16] = [
    1 << 0,
    1 << 1,
    1 << 2,
    1 << 3,
    1 << 4,
    1 << 6,
    1 << 8,
    1 << 9,
    1 << 10,
    1 << 11,
    1 << 12,
    1 << 13,
    1 << 19,
    1 << 24,
    1 << 27,
    1 << 29,
];

/// `count` packages, each with its path.
pub(super) fn packages(count: usize) -> Vec<(String, Rpm)> {
    let mut random = StdRng::seed_from_u64(2);
    (0..count).map(|index| (format!("{}/{index}.rpm", index % 7), package(&mut random, index))).collect()
}

fn package(random: &mut StdRng, index: usize) -> Rpm {
    let pick = |random: &mut StdRng| *TEXTS.choose(random).expect("there are some");
    let mut rpm = Rpm::new(format!("random-{index}"), "1", "1", "noarch")
        .summary(pick(random))
        .description(pick(random))
        .vendor(pick(random))
        .url(pick(random));
    if random.random_bool(0.3) {
        rpm = rpm.epoch(random.random());
    }
    for add in [Rpm::provides, Rpm::conflicts, Rpm::obsoletes, Rpm::suggests, Rpm::enhances, Rpm::recommends] {
        for _ in 0..random.random_range(0..3) {
            rpm = add(rpm, dependency(random));
        }
    }
    for add in [Rpm::supplements, Rpm::old_suggests, Rpm::old_enhances] {
        for _ in 0..random.random_range(0..2) {
            rpm = add(rpm, dependency(random));
        }
    }
    for _ in 0..random.random_range(0..16) {
        rpm = rpm.requires(dependency(random));
    }
    for _ in 0..random.random_range(0..6) {
        rpm = rpm.file(file(random));
    }
    let mut time = 1_000_000;
    for _ in 0..random.random_range(0..14) {
        rpm = rpm.changelog(time, pick(random), pick(random));
        time = time.saturating_add_signed(random.random_range(-2..=1));
    }
    if random.random_bool(0.1) {
        let missing = [tag::FILEMODES, tag::FILEFLAGS, tag::BUILDTIME, tag::SIZE, tag::SUMMARY, tag::PROVIDEFLAGS];
        rpm = rpm.without_tag(*missing.choose(random).expect("there are some"));
    }
    if random.random_bool(0.1) {
        rpm = rpm.tag(tag::LONGSIZE, Value::Int64(vec![random.random::<u64>() >> 1]));
    }
    rpm
}

fn dependency(random: &mut StdRng) -> Dependency {
    let mut dependency = Dependency::new(NAMES.choose(random).expect("there are some"));
    for _ in 0..random.random_range(0..3) {
        dependency = dependency.flags(*FLAGS.choose(random).expect("there are some"));
    }
    if random.random_bool(0.6) {
        dependency = dependency.version(VERSIONS.choose(random).expect("there are some"));
    }
    dependency
}

fn file(random: &mut StdRng) -> File {
    let path = PATHS.choose(random).expect("there are some");
    let file = match random.random_range(0..4) {
        0 => File::dir(path),
        1 => File::symlink(path, "target"),
        2 => File::ghost(path),
        _ => File::new(path, "contents"),
    };
    file.flags(if random.random_bool(0.2) { 1 << 6 } else { 0 })
}
