//! Arbitrary packages.

use std::borrow::Cow;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::checksum::Sha256;
use crate::evr::Evr;
use crate::nevra::Nevra;
use crate::package::{Changelog, Dependency, File, FileKind, Package, Sense, VersionBound};

/// Any text without the characters XML forbids, with more markup than chance would bring.
pub(super) fn text() -> impl Strategy<Value = Cow<'static, str>> {
    let character = prop_oneof![
        4 => proptest::char::range('a', 'z'),
        2 => proptest::sample::select(vec!['&', '<', '>', '"', '\'', '\n', '\r', '\t', ' ', ';', '#', ']', '-', '!']),
        2 => any::<char>().prop_filter("allowed in XML", |c| !crate::xml::is_forbidden(*c)),
    ];
    vec(character, 0..12).prop_map(|characters| Cow::Owned(characters.into_iter().collect()))
}

fn name() -> impl Strategy<Value = String> {
    text().prop_map(|text| format!("n{text}"))
}

fn dependency() -> impl Strategy<Value = Dependency<'static>> {
    let sense = proptest::sample::select(vec![
        Sense::Less,
        Sense::Greater,
        Sense::Equal,
        Sense::LessOrEqual,
        Sense::GreaterOrEqual,
    ]);
    let version = (sense, option::of(text()), option::of(text()), option::of(text()))
        .prop_map(|(sense, epoch, version, release)| VersionBound { sense, epoch, version, release });
    (text(), option::of(version), any::<bool>()).prop_map(|(name, version, pre)| Dependency { name, version, pre })
}

fn file() -> impl Strategy<Value = File<'static>> {
    let dir = prop_oneof![
        proptest::sample::select(vec!["", "/", "/etc/", "/usr/bin/", "/usr/lib/", "/opt/cabin/x/"])
            .prop_map(Cow::Borrowed),
        text().prop_map(|text| Cow::Owned(format!("/{text}/"))),
    ];
    let base = prop_oneof![
        proptest::sample::select(vec!["sendmail", "bin", ""]).prop_map(Cow::Borrowed),
        text().prop_map(|text| Cow::Owned(text.replace('/', "_"))),
    ];
    let kind = proptest::sample::select(vec![FileKind::Plain, FileKind::Dir, FileKind::Ghost]);
    (dir, base, kind).prop_map(|(dir, base, kind)| File { dir, base, kind })
}

fn changelog() -> impl Strategy<Value = Changelog<'static>> {
    (text(), any::<u64>(), text()).prop_map(|(author, date, text)| Changelog { author, date, text })
}

fn nevra() -> impl Strategy<Value = Nevra> {
    (name(), any::<u32>(), name(), name(), name()).prop_map(|(name, epoch, version, release, arch)| Nevra {
        name,
        evr: Evr { epoch, version, release },
        arch,
    })
}

/// Any package.
pub(super) fn package() -> impl Strategy<Value = Package<'static>> {
    let numbers = any::<[u64; 7]>();
    let texts = vec(text(), 9);
    let dependencies = vec(vec(dependency(), 0..4), 8);
    (nevra(), any::<[u8; 32]>(), name(), numbers, texts, dependencies, vec(file(), 0..6), vec(changelog(), 0..3))
        .prop_map(|(nevra, pkgid, href, numbers, texts, dependencies, files, changelogs)| {
            let [file_time, build_time, package_bytes, installed_bytes, archive_bytes, header_start, header_end] =
                numbers;
            let [summary, description, packager, url, license, vendor, group, buildhost, sourcerpm] =
                texts.try_into().unwrap();
            let [provides, requires, conflicts, obsoletes, suggests, enhances, recommends, supplements] =
                dependencies.try_into().unwrap();
            Package {
                nevra,
                pkgid: Sha256::from_bytes(pkgid),
                href: Cow::Owned(href),
                summary,
                description,
                packager,
                url,
                file_time,
                build_time,
                package_bytes,
                installed_bytes,
                archive_bytes,
                license,
                vendor,
                group,
                buildhost,
                sourcerpm,
                header_start,
                header_end,
                provides,
                requires,
                conflicts,
                obsoletes,
                suggests,
                enhances,
                recommends,
                supplements,
                files,
                changelogs,
            }
        })
}

/// A plain package that differs from others by number, with `files` files and a description of
/// `description_bytes`.
pub(super) fn numbered(number: u32, description_bytes: usize, files: usize) -> Package<'static> {
    let name = format!("package-{number}");
    let evr = Evr { epoch: 0, version: number.to_string(), release: "1".to_owned() };
    // Text that compresses about as well as prose.
    let word = |at: u32| ["install ", "the ", "package ", "version ", "of ", "library "][((number ^ at) % 6) as usize];
    let mut description: String = (0..).map(word).take(description_bytes / 7 + 1).collect();
    description.truncate(description_bytes);
    let file = |at: usize| File {
        dir: Cow::Borrowed(if at.is_multiple_of(4) { "/usr/bin/" } else { "/usr/share/doc/" }),
        base: Cow::Owned(format!("{name}-{at}")),
        kind: FileKind::Plain,
    };
    Package {
        href: Cow::Owned(format!("{name}.rpm")),
        pkgid: Sha256::of(name.as_bytes()),
        summary: Cow::Owned(name.clone()),
        description: Cow::Owned(description),
        packager: Cow::Borrowed(""),
        url: Cow::Borrowed(""),
        file_time: 1,
        build_time: 2,
        package_bytes: 3,
        installed_bytes: 4,
        archive_bytes: 5,
        license: Cow::Borrowed("MIT"),
        vendor: Cow::Borrowed(""),
        group: Cow::Borrowed(""),
        buildhost: Cow::Borrowed(""),
        sourcerpm: Cow::Borrowed(""),
        header_start: 6,
        header_end: 7,
        provides: Vec::new(),
        requires: Vec::new(),
        conflicts: Vec::new(),
        obsoletes: Vec::new(),
        suggests: Vec::new(),
        enhances: Vec::new(),
        recommends: Vec::new(),
        supplements: Vec::new(),
        files: (0..files).map(file).collect(),
        changelogs: Vec::new(),
        nevra: Nevra { name, evr, arch: "noarch".to_owned() },
    }
}
