//! The eight lists of dependencies.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;

use super::error::PackageError;
use super::files::even;
use super::origin::Origin;
use super::text::{Cleaner, Warning};
use super::{Dependency, File, Sense, VersionBound};
use crate::evr::rpmvercmp;
use crate::header::{Header, HeaderFile};
use crate::nevra::Nevra;
use crate::tag::{self, Tag};

// rpm's `RPMSENSE_…` bits.
const SENSE_MASK: u64 = 0xf;
const POSTTRANS: u64 = 1 << 5;
const PREREQ: u64 = 1 << 6;
const PRETRANS: u64 = 1 << 7;
const SCRIPT_PRE: u64 = 1 << 9;
const SCRIPT_POST: u64 = 1 << 10;
const MISSINGOK: u64 = 1 << 19;
const STRONG: u64 = 1 << 27;
/// What must be there before the package's scripts run. The two `TRANS` bits count since
/// createrepo_c 1.1.1.
const PRE: u64 = PREREQ | SCRIPT_PRE | SCRIPT_POST | POSTTRANS | PRETRANS;

/// How much of a libc requirement's name is compared. Real ones have 40 bytes; the highest is
/// compared with every other, and a hostile one may have megabytes.
const LIBC_NAME_BYTES: usize = 1024;

/// How much of a bad version a warning quotes.
const SHOWN_CHARACTERS: usize = 80;

/// All of a package's dependencies.
#[derive(Debug, Default)]
pub(super) struct Dependencies<'a> {
    pub(super) provides: Vec<Dependency<'a>>,
    pub(super) requires: Vec<Dependency<'a>>,
    pub(super) conflicts: Vec<Dependency<'a>>,
    pub(super) obsoletes: Vec<Dependency<'a>>,
    pub(super) suggests: Vec<Dependency<'a>>,
    pub(super) enhances: Vec<Dependency<'a>>,
    pub(super) recommends: Vec<Dependency<'a>>,
    pub(super) supplements: Vec<Dependency<'a>>,
}

/// The tags of one list: names, flags, versions.
#[derive(Clone, Copy)]
struct Tags {
    names: Tag,
    flags: Tag,
    versions: Tag,
}

macro_rules! tags {
    ($($list:ident = $names:ident $flags:ident $versions:ident;)*) => {
        $(const $list: Tags = Tags { names: tag::$names, flags: tag::$flags, versions: tag::$versions };)*
    };
}

tags! {
    PROVIDES = PROVIDENAME PROVIDEFLAGS PROVIDEVERSION;
    REQUIRES = REQUIRENAME REQUIREFLAGS REQUIREVERSION;
    CONFLICTS = CONFLICTNAME CONFLICTFLAGS CONFLICTVERSION;
    OBSOLETES = OBSOLETENAME OBSOLETEFLAGS OBSOLETEVERSION;
    SUGGESTS = SUGGESTNAME SUGGESTFLAGS SUGGESTVERSION;
    ENHANCES = ENHANCENAME ENHANCEFLAGS ENHANCEVERSION;
    RECOMMENDS = RECOMMENDNAME RECOMMENDFLAGS RECOMMENDVERSION;
    SUPPLEMENTS = SUPPLEMENTNAME SUPPLEMENTFLAGS SUPPLEMENTVERSION;
    OLD_SUGGESTS = OLDSUGGESTSNAME OLDSUGGESTSFLAGS OLDSUGGESTSVERSION;
    OLD_ENHANCES = OLDENHANCESNAME OLDENHANCESFLAGS OLDENHANCESVERSION;
}

/// A dependency as the header has it.
#[derive(Debug, Clone, Copy)]
struct Stated<'a> {
    name: &'a [u8],
    flags: u64,
    version: &'a [u8],
}

impl<'a> Stated<'a> {
    fn sense(self) -> Option<Sense> {
        match self.flags & SENSE_MASK {
            2 => Some(Sense::Less),
            4 => Some(Sense::Greater),
            8 => Some(Sense::Equal),
            10 => Some(Sense::LessOrEqual),
            12 => Some(Sense::GreaterOrEqual),
            _ => None,
        }
    }

    /// As metadata has it, without `pre`. `None` (and a warning) when the epoch is no number:
    /// createrepo_c leaves such a dependency out.
    fn shown(self, tags: Tags, cleaner: &mut Cleaner) -> Option<Dependency<'a>> {
        let Ok(evr) = split_version(self.version) else {
            let version = cleaner.clean(tags.versions, self.version).chars().take(SHOWN_CHARACTERS).collect();
            cleaner.warn(Warning::BadEpoch { tag: tags.versions, version });
            return None;
        };
        let mut clean = |part: Option<&'a [u8]>| part.map(|part| cleaner.clean(tags.versions, part));
        let version = self.sense().map(|sense| VersionBound {
            sense,
            epoch: clean(evr.epoch),
            version: clean(evr.version),
            release: clean(evr.release),
        });
        Some(Dependency { name: cleaner.clean(tags.names, self.name), version, pre: false })
    }
}

/// Reads all lists. `files` are the package's own.
pub(super) fn read<'a>(
    headers: &HeaderFile<'a>,
    origin: Origin,
    nevra: &Nevra,
    files: &[File<'a>],
    cleaner: &mut Cleaner,
) -> Result<Dependencies<'a>, PackageError> {
    let main = &headers.main;
    let provides = stated(main, PROVIDES)?;
    let requires = select_requires(&stated(main, REQUIRES)?, &provides, files, cleaner);
    let mut list = |tags| {
        let stated = stated(main, tags)?;
        Ok(stated.into_iter().filter_map(|one| Some((one.flags, one.shown(tags, cleaner)?))).collect::<Vec<_>>())
    };
    let plain = |list: Vec<(u64, Dependency<'a>)>| list.into_iter().map(|(_, one)| one);
    let mut all = Dependencies {
        provides: plain(list(PROVIDES)?).collect(),
        conflicts: plain(list(CONFLICTS)?).collect(),
        obsoletes: plain(list(OBSOLETES)?).collect(),
        suggests: plain(list(SUGGESTS)?).collect(),
        enhances: plain(list(ENHANCES)?).collect(),
        recommends: requires.recommended,
        supplements: plain(list(SUPPLEMENTS)?).collect(),
        requires: requires.required,
    };
    all.recommends.extend(plain(list(RECOMMENDS)?));
    // SUSE packages of before rpm 4.12 have weak dependencies of two strengths in one list.
    for (flags, one) in list(OLD_SUGGESTS)? {
        if flags & STRONG != 0 { all.recommends.push(one) } else { all.suggests.push(one) }
    }
    for (flags, one) in list(OLD_ENHANCES)? {
        if flags & STRONG != 0 { all.supplements.push(one) } else { all.enhances.push(one) }
    }
    if headers.is_v3() && origin != Origin::Source {
        provide_itself(main, nevra, &mut all.provides, cleaner);
    }
    Ok(all)
}

/// One list as the header has it, without entries that have no name.
fn stated<'a>(header: &Header<'a>, tags: Tags) -> Result<Vec<Stated<'a>>, PackageError> {
    let (Some(names), Some(flags), Some(versions)) =
        (header.texts(tags.names), header.integers(tags.flags), header.texts(tags.versions))
    else {
        return Ok(Vec::new());
    };
    even((tags.names, names.len()), (tags.flags, flags.len()))?;
    even((tags.names, names.len()), (tags.versions, versions.len()))?;
    let all = names.zip(flags).zip(versions);
    Ok(all
        .map(|((name, flags), version)| Stated { name, flags, version })
        .filter(|stated| !stated.name.is_empty())
        .collect())
}

struct Requires<'a> {
    required: Vec<Dependency<'a>>,
    /// Requirements that may be missing: recommendations in metadata's words.
    recommended: Vec<Dependency<'a>>,
}

/// createrepo_c's selection: what the package gives itself, what only rpm needs and what was
/// just said is left out. The order of the steps decides what is seen.
fn select_requires<'a>(
    stated: &[Stated<'a>],
    provides: &[Stated<'a>],
    files: &[File<'a>],
    cleaner: &mut Cleaner,
) -> Requires<'a> {
    let given: HashSet<_, RandomState> = provides.iter().map(|one| (one.name, one.sense(), one.version)).collect();
    let own_paths = own_paths(stated, files);
    // By name, the last requirement that was kept.
    let mut kept: HashMap<_, _, RandomState> = HashMap::with_capacity_and_hasher(stated.len(), RandomState::default());
    let mut libc: Option<(Stated<'a>, Dependency<'a>)> = None;
    let mut selected = Requires { required: Vec::new(), recommended: Vec::new() };
    for one in stated {
        if one.name.starts_with(b"rpmlib(")
            || own_paths.contains(one.name)
            || given.contains(&(one.name, one.sense(), one.version))
        {
            continue;
        }
        let pre = one.flags & PRE != 0;
        let said = (one.sense(), one.version, pre);
        if kept.get(one.name) == Some(&said) {
            continue;
        }
        let Some(dependency) = one.shown(REQUIRES, cleaner) else { continue };
        if one.flags & MISSINGOK != 0 {
            selected.recommended.push(dependency);
            continue;
        }
        let dependency = Dependency { pre, ..dependency };
        if one.name.starts_with(b"libc.so.6") {
            // The highest symbol version implies all the others.
            if libc.as_ref().is_none_or(|(highest, _)| compare_libc(highest.name, one.name) == Ordering::Less) {
                libc = Some((*one, dependency));
            }
            continue;
        }
        kept.insert(one.name, said);
        selected.required.push(dependency);
    }
    selected.required.extend(libc.map(|(_, dependency)| dependency));
    selected
}

/// The required paths that the package has itself, as far as primary shows them.
fn own_paths<'a>(stated: &[Stated<'a>], files: &[File<'_>]) -> HashSet<&'a [u8], RandomState> {
    let mut own = HashSet::default();
    let required: HashSet<_, RandomState> =
        stated.iter().map(|one| one.name).filter(|name| name.starts_with(b"/")).collect();
    if required.is_empty() {
        return own;
    }
    let mut path = Vec::new();
    for file in files.iter().filter(|file| file.is_primary()) {
        path.clear();
        path.extend_from_slice(file.dir.as_bytes());
        path.extend_from_slice(file.base.as_bytes());
        own.extend(required.get(path.as_slice()));
    }
    own
}

/// Orders `libc.so.6…` names: no parentheses, empty ones, then by the version in the first
/// ones, which starts at their first digit.
fn compare_libc(left: &[u8], right: &[u8]) -> Ordering {
    let (left, right) = (libc_symbols(left), libc_symbols(right));
    let rank = |symbols: Option<&[u8]>| symbols.map(|symbols| !symbols.is_empty());
    rank(left).cmp(&rank(right)).then_with(|| rpmvercmp(libc_version(left), libc_version(right)))
}

/// What stands in the first parentheses.
fn libc_symbols(name: &[u8]) -> Option<&[u8]> {
    let name = &name[..name.len().min(LIBC_NAME_BYTES)];
    let open = name.iter().position(|byte| *byte == b'(')?;
    name[open + 1..].split(|byte| *byte == b')').next()
}

fn libc_version(symbols: Option<&[u8]>) -> &[u8] {
    let symbols = symbols.unwrap_or_default();
    let digit = symbols.iter().position(u8::is_ascii_digit).unwrap_or(symbols.len());
    &symbols[digit..]
}

/// A version text in its parts, empty ones absent.
struct SplitVersion<'a> {
    epoch: Option<&'a [u8]>,
    version: Option<&'a [u8]>,
    release: Option<&'a [u8]>,
}

struct BadEpoch;

/// Splits `[epoch:]version[-release]`: at the first colon, and after it at the first dash. The
/// epoch stays as it is written.
fn split_version(text: &[u8]) -> Result<SplitVersion<'_>, BadEpoch> {
    if text.is_empty() {
        return Ok(SplitVersion { epoch: None, version: None, release: None });
    }
    let (epoch, rest) = match text.iter().position(|byte| *byte == b':') {
        Some(0) => (&b"0"[..], &text[1..]),
        Some(colon) if is_strtol_number(&text[..colon]) => (&text[..colon], &text[colon + 1..]),
        Some(_) => return Err(BadEpoch),
        None => (&b"0"[..], text),
    };
    let (version, release) = match rest.iter().position(|byte| *byte == b'-') {
        Some(dash) => (&rest[..dash], &rest[dash + 1..]),
        None => (rest, &b""[..]),
    };
    Ok(SplitVersion { epoch: Some(epoch), version: unless_empty(version), release: unless_empty(release) })
}

fn unless_empty(part: &[u8]) -> Option<&[u8]> {
    if part.is_empty() { None } else { Some(part) }
}

/// Whether C's `strtol` would read all of it: blanks, a sign, digits.
fn is_strtol_number(text: &[u8]) -> bool {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let text = &text[text.iter().take_while(|byte| blank(byte)).count()..];
    let digits = text.strip_prefix(b"+").or_else(|| text.strip_prefix(b"-")).unwrap_or(text);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

/// librpm lets a package from before rpm 4 provide its own name and version, even when it says
/// so itself (seen with 4.18), and takes provides without versions for unversioned.
fn provide_itself<'a>(header: &Header<'a>, nevra: &Nevra, provides: &mut Vec<Dependency<'a>>, cleaner: &mut Cleaner) {
    if !header.has(tag::PROVIDEVERSION)
        && let Some(names) = header.texts(tag::PROVIDENAME)
    {
        let names = cleaner.clean_all(tag::PROVIDENAME, names).into_iter().filter(|name| !name.is_empty());
        provides.extend(names.map(|name| Dependency { name, version: None, pre: false }));
    }
    let evr = &nevra.evr;
    let own = Dependency {
        name: Cow::Owned(nevra.name.clone()),
        version: Some(VersionBound {
            sense: Sense::Equal,
            epoch: Some(Cow::Owned(evr.epoch.to_string())),
            version: Some(Cow::Owned(evr.version.clone())),
            release: Some(Cow::Owned(evr.release.clone())),
        }),
        pre: false,
    };
    provides.push(own);
}
