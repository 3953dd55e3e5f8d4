//! What a package's description will take in memory, told before it takes it.
//!
//! A header's length bounds little: one directory can be named once and have a million files, a
//! dependency of seven bytes becomes some hundreds, and a blank line of control characters grows
//! sevenfold on its way to the metadata. Only counts; never builds what it counts.

use super::error::PackageError;
use super::{Changelog, Dependency, File};
use crate::header::{Header, HeaderFile, Texts};
use crate::tag::{self, Tag};

/// Most memory that one package may take until its metadata is written: its headers, its lists
/// and its XML. Far beyond any real package (150,000 files), and what one upload may cost others.
pub const MAX_PACKAGE_MEMORY_BYTES: u64 = 56 << 20;

/// A file beyond its path: the value, and its line in filelists.
const FILE_BYTES: u64 = size_of::<File<'_>>() as u64 + 24;
/// A dependency beyond its texts: the value (twice, while lists are sorted out), what is
/// remembered to find repetitions, and its line in primary.
const DEPENDENCY_BYTES: u64 = 2 * size_of::<Dependency<'_>>() as u64 + 288;
const CHANGELOG_BYTES: u64 = size_of::<Changelog<'_>>() as u64 + 64;

/// A byte as text and as XML, at worst: `"` in a text that is not UTF-8.
const WORST_FACTOR: u64 = 8;

const NAMES: [Tag; 10] = [
    tag::PROVIDENAME,
    tag::REQUIRENAME,
    tag::CONFLICTNAME,
    tag::OBSOLETENAME,
    tag::SUGGESTNAME,
    tag::ENHANCENAME,
    tag::RECOMMENDNAME,
    tag::SUPPLEMENTNAME,
    tag::OLDSUGGESTSNAME,
    tag::OLDENHANCESNAME,
];
const VERSIONS: [Tag; 10] = [
    tag::PROVIDEVERSION,
    tag::REQUIREVERSION,
    tag::CONFLICTVERSION,
    tag::OBSOLETEVERSION,
    tag::SUGGESTVERSION,
    tag::ENHANCEVERSION,
    tag::RECOMMENDVERSION,
    tag::SUPPLEMENTVERSION,
    tag::OLDSUGGESTSVERSION,
    tag::OLDENHANCESVERSION,
];
const SINGLE: [Tag; 9] = [
    tag::SUMMARY,
    tag::DESCRIPTION,
    tag::PACKAGER,
    tag::URL,
    tag::LICENSE,
    tag::VENDOR,
    tag::GROUP,
    tag::BUILDHOST,
    tag::SOURCERPM,
];

/// Refuses a package that would take more than [`MAX_PACKAGE_MEMORY_BYTES`].
pub(super) fn check(headers: &HeaderFile<'_>, changelog_limit: Option<usize>) -> Result<(), PackageError> {
    let limit = MAX_PACKAGE_MEMORY_BYTES;
    // Nearly every package is seen to be small without a look at its texts.
    let bytes = match bytes(headers, changelog_limit, |text| text.len() as u64 * WORST_FACTOR) {
        small if small <= limit => return Ok(()),
        _ => bytes(headers, changelog_limit, text_bytes),
    };
    if bytes <= limit { Ok(()) } else { Err(PackageError::TooMuchMemory { bytes, limit }) }
}

/// Bytes of the package, where a text's are `of`.
fn bytes(headers: &HeaderFile<'_>, changelog_limit: Option<usize>, of: impl Fn(&[u8]) -> u64 + Copy) -> u64 {
    let main = &headers.main;
    let sum = |texts: Texts<'_>, each: u64| texts.fold(0u64, |sum, text| sum.saturating_add(of(text) + each));
    let list = |tag, each| sum(main.texts(tag).unwrap_or_default(), each);
    let limit = changelog_limit.unwrap_or(usize::MAX);
    let changelogs = [tag::CHANGELOGNAME, tag::CHANGELOGTEXT]
        .map(|tag| main.texts(tag).unwrap_or_default().take(limit).map(|text| of(text) + CHANGELOG_BYTES).sum::<u64>());
    let held = (headers.signature.as_bytes().len() + main.as_bytes().len()) as u64;
    [
        held,
        NAMES.map(|tag| list(tag, DEPENDENCY_BYTES)).iter().sum(),
        VERSIONS.map(|tag| list(tag, 0)).iter().sum(),
        SINGLE.map(|tag| main.text(tag).map_or(0, of)).iter().sum(),
        changelogs.iter().sum(),
        files(main, of),
    ]
    .into_iter()
    .fold(0, u64::saturating_add)
}

/// Every file has its directory's text to itself in the metadata; primary shows some again.
fn files(main: &Header<'_>, of: impl Fn(&[u8]) -> u64 + Copy) -> u64 {
    let cost = |text: &[u8]| of(text) * if shown_in_primary(text) { 2 } else { 1 };
    let each = |base: &[u8]| FILE_BYTES + cost(base);
    let old = main.texts(tag::OLDFILENAMES).unwrap_or_default().map(each).fold(0, u64::saturating_add);
    let dirs: Vec<u64> = main.texts(tag::DIRNAMES).unwrap_or_default().map(cost).collect();
    let (Some(bases), Some(indexes)) = (main.texts(tag::BASENAMES), main.integers(tag::DIRINDEXES)) else {
        return old.saturating_add(dirs.iter().sum());
    };
    let dir = |index: u64| usize::try_from(index).ok().and_then(|index| dirs.get(index)).copied().unwrap_or(0);
    let new = bases.zip(indexes).map(|(base, index)| each(base) + dir(index)).fold(0u64, u64::saturating_add);
    // The directories' own list.
    new.saturating_add(old).saturating_add(dirs.iter().map(|bytes| bytes + size_of::<u64>() as u64).sum())
}

/// Whether primary may show a path with this part.
fn shown_in_primary(part: &[u8]) -> bool {
    part.starts_with(b"/etc/") || part.contains(&b'/') && memchr::memmem::find(part, b"bin/").is_some()
}

/// One text as it is kept when it must be changed, and as XML.
fn text_bytes(text: &[u8]) -> u64 {
    let (mut special, mut changed) = (0, std::str::from_utf8(text).is_err());
    for byte in text {
        special += u64::from(matches!(byte, 0..=0x1f | b'"' | b'&' | b'<' | b'>'));
        changed |= matches!(byte, 0..=8 | 11 | 12 | 14..=31 | 0xef);
    }
    let length = text.len() as u64;
    // U+FFFD has three bytes and replaces one at least; Latin-1 becomes two.
    let kept = if changed { length * 2 + special } else { 0 };
    kept + if changed { length * 2 } else { length } + special * 5
}
