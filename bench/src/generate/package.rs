//! One name and its versions: the shape of real packages, drawn from dice.
//!
//! Versions of one name resemble each other as real ones do: the same files and dependencies,
//! other numbers.

use forge::{Dependency, File, Rpm};

use super::words::{AUTHORS, CHANGES, ENDINGS, FOLDERS, LICENSES, NAMES, PREFIXES, SUFFIXES, TEAMS, TEXT};
use crate::dice::Dice;

/// Versions of one name, at most.
pub(crate) const MAX_VERSIONS: usize = 12;
/// 2020-01-01T00:00:00Z.
const FIRST_BUILD: u32 = 1_577_836_800;
const WEEK: u32 = 7 * 24 * 3600;

/// A name with its versions.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) versions: usize,
    name: String,
    arch: &'static str,
    team: &'static str,
    payload_bytes: usize,
    dice: Dice,
}

impl Family {
    /// The family `number` of `seed`.
    pub(super) fn new(seed: u64, number: u64, payload_bytes: usize) -> Self {
        let mut dice = Dice::new(seed, number);
        let name = format!(
            "{}{}-{}{}{}",
            dice.pick(&PREFIXES),
            dice.pick(&NAMES),
            dice.pick(&NAMES),
            number,
            dice.pick(&SUFFIXES)
        );
        let arch = if dice.happens(30) { "noarch" } else { "x86_64" };
        let versions = dice.lognormal(3.0, 0.6, 1, MAX_VERSIONS);
        Self { versions, name, arch, team: dice.pick(&TEAMS), payload_bytes, dice }
    }

    /// Where its packages lie: `platform/l`.
    pub(super) fn folder(&self) -> String {
        format!("{}/{}", self.team, &self.name[..1])
    }

    /// The packages, oldest first.
    pub(super) fn packages(&self) -> impl Iterator<Item = Rpm> {
        let mut dice = self.dice.clone();
        let template = self.template(&mut dice);
        let (major, mut changes) = (dice.below(20), Vec::new());
        (0..self.versions).map(move |version| {
            let built = FIRST_BUILD + u32::try_from(version).expect("versions are few") * WEEK;
            let author = dice.pick(&AUTHORS);
            let release = format!("{}.el9", 1 + dice.below(5));
            changes.insert(0, (built, format!("{author} - {major}.{version}-{release}"), change(&mut dice)));
            let mut rpm = template.to_rpm(&format!("{major}.{version}"), &release, built, &mut dice);
            // Ten or so are what a spec file keeps; the reader keeps the newest ten in any case.
            for (at, who, what) in changes.iter().chain(&template.changes).take(12) {
                rpm = rpm.changelog(*at, who, what);
            }
            let mut payload = vec![0; dice.lognormal(median_of(self.payload_bytes), SPREAD, 64, usize::MAX)];
            dice.fill(&mut payload);
            rpm.payload(payload)
        })
    }

    fn template(&self, dice: &mut Dice) -> Template<'_> {
        let files = files(&self.name, dice);
        let mut requires = Vec::new();
        for _ in 0..dice.lognormal(12.0, 0.9, 4, 195) {
            requires.push(dependency(dice));
        }
        // rpmbuild sorts them and leaves repetitions out.
        requires.sort_unstable();
        requires.dedup();
        let changes = (0..dice.below(11)).map(|age| {
            let at = FIRST_BUILD - u32::try_from(age).expect("there are few") * 4 * WEEK;
            (at, format!("{} - 0.{}-1", dice.pick(&AUTHORS), 11 - age), change(dice))
        });
        let changes = changes.collect();
        let description = sentence(dice, 12) + ".\n" + &sentence(dice, 25) + ".";
        Template { family: self, files, requires, changes, summary: sentence(dice, 6), description }
    }
}

/// The standard deviation of the payload length's logarithm.
const SPREAD: f64 = 0.8;

/// The median of a lognormal number of this mean.
fn median_of(mean: usize) -> f64 {
    let mean = u32::try_from(mean).unwrap_or(u32::MAX);
    f64::from(mean) / (SPREAD * SPREAD / 2.0).exp()
}

/// What a family's versions have in common.
struct Template<'a> {
    family: &'a Family,
    files: Vec<(String, Kind)>,
    requires: Vec<String>,
    changes: Vec<(u32, String, String)>,
    summary: String,
    description: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Regular,
    Folder,
    Link,
    Ghost,
}

impl Template<'_> {
    fn to_rpm(&self, version: &str, release: &str, built: u32, dice: &mut Dice) -> Rpm {
        let name = &self.family.name;
        let mut rpm = Rpm::new(name, version, release, self.family.arch)
            .summary(&self.summary)
            .description(&self.description)
            .license(dice.pick(&LICENSES))
            .vendor("Example Distribution")
            .packager("Example Builders <builders@example.com>")
            .url(format!("https://example.com/projects/{name}"))
            .build_time(built)
            .archive_bytes(dice.lognormal(60_000.0, 1.5, 200, 1 << 30) as u64);
        if self.family.versions > 8 {
            rpm = rpm.epoch(1);
        }
        for (count, require) in self.requires.iter().enumerate() {
            rpm = match count {
                7 => rpm.recommends(require.as_str()),
                11 => rpm.conflicts(require.as_str()),
                13 => rpm.suggests(require.as_str()),
                _ => rpm.requires(require.as_str()),
            };
        }
        for interface in 0..self.requires.len() / 5 {
            rpm = rpm.provides(Dependency::new(format!("{name}(interface-{interface})")));
        }
        for (path, kind) in &self.files {
            rpm = rpm.file(match kind {
                Kind::Regular => {
                    // A few bytes of their own, so that digests differ; the payload is not them.
                    File::new(path, dice.next().to_le_bytes()).claimed_bytes(dice.below(200_000) as u64)
                }
                Kind::Folder => File::dir(path),
                Kind::Link => File::symlink(path, "../../target"),
                Kind::Ghost => File::ghost(path),
            });
        }
        rpm
    }
}

/// Sorted by path: rpm finds them by bisection.
fn files(name: &str, dice: &mut Dice) -> Vec<(String, Kind)> {
    let count = dice.lognormal(20.0, 1.2, 1, 3_000);
    let mut folders = vec![format!("/usr/share/doc/{name}")];
    // About ten files share a folder.
    for _ in 0..count.div_ceil(10) {
        let below = if dice.happens(60) { format!("/{name}") } else { String::new() };
        let deeper = if dice.happens(40) { format!("/{}", dice.pick(&NAMES)) } else { String::new() };
        folders.push(format!("{}{below}{deeper}", dice.pick(&FOLDERS)));
    }
    let mut files: Vec<(String, Kind)> = (0..count)
        .map(|number| {
            let folder = &folders[dice.below(folders.len())];
            let kind = match dice.below(100) {
                0..=5 => Kind::Folder,
                6..=9 => Kind::Link,
                10 => Kind::Ghost,
                _ => Kind::Regular,
            };
            let (word, ending) = (dice.pick(&NAMES), dice.pick(&ENDINGS));
            (format!("{folder}/{word}-{number}{ending}"), kind)
        })
        .collect();
    files.sort_unstable();
    files
}

fn dependency(dice: &mut Dice) -> String {
    let name = format!("{}{}", dice.pick(&PREFIXES), dice.pick(&NAMES));
    match dice.below(10) {
        0..=2 => format!("lib{name}.so.{}()(64bit)", dice.below(6)),
        3..=4 => format!("libc.so.6(GLIBC_2.{})(64bit)", dice.below(39)),
        5 => format!("/usr/bin/{}", dice.pick(&NAMES)),
        6 => format!("{name}-{} = {}.{}-1.el9", dice.pick(&NAMES), dice.below(9), dice.below(20)),
        7 => format!("({name} >= {}.0 if {})", dice.below(9), dice.pick(&NAMES)),
        8 => format!("pkgconfig({name}) >= {}.{}", dice.below(9), dice.below(30)),
        _ => format!("{name}-{}{}", dice.pick(&NAMES), dice.pick(&SUFFIXES)),
    }
}

fn change(dice: &mut Dice) -> String {
    let lines: Vec<&str> = (0..=dice.below(3)).map(|_| dice.pick(&CHANGES)).collect();
    lines.join("\n")
}

fn sentence(dice: &mut Dice, words: usize) -> String {
    let words: Vec<&str> = (0..words.max(2)).map(|_| dice.pick(&TEXT)).collect();
    words.join(" ")
}
