//! Which old versions leave a repository. Pure: a function of what is there, the rule and now.
//!
//! A version leaves when it is not among the newest N of its family *and* was first published longer ago
//! than D. The newest never leaves. A family is what clients would update from one to the other, and what
//! the same people may publish: one name and architecture, in folders for which one rule holds, in one
//! module stream.

use std::cmp::Ordering;

use jiff::{SignedDuration, Timestamp};
use rpmmd::evr::EvrRef;

use crate::config::Retention;

/// What the rule needs to know of a package.
#[derive(Debug, Clone, Copy)]
pub struct Version<'a> {
    /// NAME.
    pub name: &'a str,
    /// ARCH.
    pub arch: &'a str,
    /// Epoch, version, release.
    pub evr: EvrRef<'a>,
    /// By the store's clock.
    pub first_published: Timestamp,
    /// Which of the configuration's rules holds for its folder.
    pub rule: Option<usize>,
    /// What module it is of.
    pub module: Module<'a>,
}

/// The module that a package is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Module<'a> {
    /// None.
    None,
    /// One of these: `name:stream`, and the module's version if it is a number.
    Stream(&'a str, Option<u64>),
    /// Nobody has looked: it may be of any, so nothing that it may belong to leaves.
    Unread,
}

impl<'a> Module<'a> {
    /// What a MODULARITYLABEL (`name:stream:version:context`) says.
    pub fn of_label(label: &'a str) -> Self {
        if label.is_empty() {
            return Self::None;
        }
        let colons: Vec<usize> = label.match_indices(':').map(|(at, _)| at).collect();
        let Some(end) = colons.get(1) else { return Self::Stream(label, None) };
        let version = &label[end + 1..colons.get(2).copied().unwrap_or(label.len())];
        Self::Stream(&label[..*end], version.parse().ok())
    }

    fn stream(self) -> &'a str {
        match self {
            Self::None | Self::Unread => "",
            Self::Stream(stream, _) => stream,
        }
    }

    fn version(self) -> Option<u64> {
        match self {
            Self::None | Self::Unread => None,
            Self::Stream(_, version) => version,
        }
    }
}

/// The indexes of the versions that leave now, ascending.
pub fn retire(versions: &[Version<'_>], rule: Retention, now: Timestamp) -> Vec<usize> {
    let mut leaving: Vec<usize> =
        surplus(versions, rule.keep_at_least).filter(|&at| leaves_at(versions[at], rule) <= now).collect();
    leaving.sort_unstable();
    leaving
}

/// The versions whose module must be known before it can be said what leaves now, ascending.
pub fn unread(versions: &[Version<'_>], rule: Retention, now: Timestamp) -> Vec<usize> {
    let is_due = |clan: &&Vec<usize>| clan.iter().any(|&at| leaves_at(versions[at], rule) <= now);
    let mut unread: Vec<usize> =
        doubtful(versions, rule.keep_at_least).iter().filter(is_due).flatten().copied().collect();
    unread.retain(|&at| versions[at].module == Module::Unread);
    unread.sort_unstable();
    unread
}

/// When there is next something to do if nothing else is published: a version leaves, or a module must be
/// known; `None` when there never is.
pub fn next_retirement(versions: &[Version<'_>], rule: Retention) -> Option<Timestamp> {
    let doubtful = doubtful(versions, rule.keep_at_least);
    let next = surplus(versions, rule.keep_at_least).chain(doubtful.into_iter().flatten());
    next.map(|at| leaves_at(versions[at], rule)).min()
}

/// What becomes of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is among the newest of its family.
    Stays,
    /// It leaves then, if nothing else is published.
    Leaves(Timestamp),
    /// The modules of its name and architecture must be read first.
    Unread,
}

/// What becomes of each of these.
pub fn fates(versions: &[Version<'_>], rule: Retention) -> Vec<Fate> {
    let mut fates = vec![Fate::Stays; versions.len()];
    for at in surplus(versions, rule.keep_at_least) {
        fates[at] = Fate::Leaves(leaves_at(versions[at], rule));
    }
    for at in doubtful(versions, rule.keep_at_least).into_iter().flatten() {
        fates[at] = Fate::Unread;
    }
    fates
}

fn leaves_at(version: Version<'_>, rule: Retention) -> Timestamp {
    let age = SignedDuration::try_from(rule.older_than).unwrap_or(SignedDuration::MAX);
    version.first_published.checked_add(age).unwrap_or(Timestamp::MAX)
}

/// The versions of one name and architecture under one rule, whatever their modules.
fn clans(versions: &[Version<'_>]) -> Vec<usize> {
    let clan = |at: usize| clan_of(versions[at]);
    let mut all: Vec<usize> = (0..versions.len()).collect();
    // Nearly in order already: repositories are sorted by path, and paths begin with names.
    all.sort_by(|&a, &b| clan(a).cmp(&clan(b)));
    all
}

fn clan_of(version: Version<'_>) -> (&str, &str, Option<usize>) {
    (version.name, version.arch, version.rule)
}

fn is_doubtful(versions: &[Version<'_>], clan: &[usize]) -> bool {
    clan.iter().any(|&at| versions[at].module == Module::Unread)
}

/// The clans that may have more than they keep, and nobody knows what modules they are of.
fn doubtful(versions: &[Version<'_>], keep: usize) -> Vec<Vec<usize>> {
    let all = clans(versions);
    let clans = all.chunk_by(|&a, &b| clan_of(versions[a]) == clan_of(versions[b]));
    clans.filter(|clan| clan.len() > keep.max(1) && is_doubtful(versions, clan)).map(<[usize]>::to_vec).collect()
}

/// Those not among the newest `keep` of their family. Versions that compare equal (the same EVR in two
/// folders, `1.0` and `1.00`, the contexts of one module version) count once and stay or go together.
fn surplus(versions: &[Version<'_>], keep: usize) -> impl Iterator<Item = usize> {
    let mut all = clans(versions);
    let mut surplus = Vec::new();
    for clan in all.chunk_by_mut(|&a, &b| clan_of(versions[a]) == clan_of(versions[b])) {
        if clan.len() <= keep.max(1) || is_doubtful(versions, clan) {
            continue;
        }
        let stream = |at: usize| versions[at].module.stream();
        clan.sort_by(|&a, &b| stream(a).cmp(stream(b)));
        for family in clan.chunk_by_mut(|&a, &b| stream(a) == stream(b)) {
            let order = order_of(versions, family);
            family.sort_by(|&a, &b| order(b, a));
            let equals = family.chunk_by(|&a, &b| order(a, b).is_eq());
            surplus.extend(equals.skip(keep.max(1)).flatten().copied());
        }
    }
    surplus.into_iter()
}

/// How the versions of a family are ordered: in a module stream by the module's version, as modules are
/// made and offered as a whole; else by their own.
fn order_of<'v>(versions: &'v [Version<'v>], family: &[usize]) -> impl Fn(usize, usize) -> Ordering + use<'v> {
    let by_module = family.iter().all(|&at| versions[at].module.version().is_some());
    move |a: usize, b: usize| {
        let (a, b) = (versions[a], versions[b]);
        if by_module { a.module.version().cmp(&b.module.version()) } else { a.evr.vercmp(b.evr) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rpmmd::evr::Evr;

    use super::*;

    const DAY: i64 = 86_400;

    fn evr(version: &str) -> Evr {
        Evr { epoch: 0, version: version.to_owned(), release: "1".to_owned() }
    }

    /// Versions of one package, each first published on its day; what leaves on day `today`.
    fn leaving(keep: usize, days: u64, today: i64, versions: &[(&str, i64)]) -> Vec<usize> {
        let evrs: Vec<Evr> = versions.iter().map(|(version, _)| evr(version)).collect();
        let versions: Vec<Version<'_>> = versions
            .iter()
            .zip(&evrs)
            .map(|((_, day), evr)| Version {
                name: "a",
                arch: "noarch",
                evr: evr.borrowed(),
                first_published: Timestamp::from_second(day * DAY).unwrap(),
                rule: None,
                module: Module::None,
            })
            .collect();
        let rule = Retention { keep_at_least: keep, older_than: Duration::from_hours(24 * days) };
        retire(&versions, rule, Timestamp::from_second(today * DAY).unwrap())
    }

    #[test]
    fn a_version_leaves_only_when_surplus_and_old() {
        let versions = [("1", 0), ("2", 0), ("3", 0), ("10", 0)];
        assert_eq!(leaving(2, 60, 59, &versions), Vec::<usize>::new());
        assert_eq!(leaving(2, 60, 60, &versions), [0, 1]);
        assert_eq!(leaving(4, 60, 600, &versions), Vec::<usize>::new());
    }

    #[test]
    fn age_counts_from_publication_not_from_the_version() {
        assert_eq!(leaving(1, 10, 15, &[("2", 0), ("1", 10)]), Vec::<usize>::new());
        assert_eq!(leaving(1, 10, 20, &[("2", 0), ("1", 10)]), [1]);
    }

    #[test]
    fn the_newest_never_leaves_even_when_asked_to_keep_none() {
        assert_eq!(leaving(0, 0, 900, &[("1~rc1", 0), ("1", 0)]), [0]);
    }

    #[test]
    fn equal_versions_count_once_and_go_together() {
        assert_eq!(leaving(1, 1, 9, &[("1.0", 0), ("1.00", 0), ("2", 0)]), [0, 1]);
        assert_eq!(leaving(2, 1, 9, &[("1.0", 0), ("1.00", 0), ("2", 0)]), Vec::<usize>::new());
    }

    #[test]
    fn the_next_retirement_is_when_the_first_surplus_version_is_old_enough() {
        let (one, two) = (evr("1"), evr("2"));
        let at = |day: i64| Timestamp::from_second(day * DAY).unwrap();
        let versions = [version(&one, at(3), None, Module::None), version(&two, at(1), None, Module::None)];
        let rule = Retention { keep_at_least: 1, older_than: Duration::from_hours(48) };
        assert_eq!(next_retirement(&versions, rule), Some(at(5)));
        assert_eq!(next_retirement(&versions[..1], rule), None);
    }

    #[test]
    fn the_fate_of_a_version_is_what_will_be_done_with_it() {
        let (one, two) = (evr("1"), evr("2"));
        let at = |day: i64| Timestamp::from_second(day * DAY).unwrap();
        let versions = [version(&one, at(3), None, Module::None), version(&two, at(1), None, Module::None)];
        let rule = Retention { keep_at_least: 1, older_than: Duration::from_hours(48) };
        assert_eq!(fates(&versions, rule), [Fate::Leaves(at(5)), Fate::Stays]);
        let unread = [versions[0], version(&two, at(1), None, Module::Unread)];
        assert_eq!(fates(&unread, rule), [Fate::Unread, Fate::Unread]);
    }

    fn version<'a>(evr: &'a Evr, first_published: Timestamp, rule: Option<usize>, module: Module<'a>) -> Version<'a> {
        Version { name: "a", arch: "noarch", evr: evr.borrowed(), first_published, rule, module }
    }

    /// What leaves of old versions of one package that are of these rules and modules.
    fn leaving_of(keep: usize, versions: &[(&str, Option<usize>, Module<'_>)]) -> Vec<usize> {
        let evrs: Vec<Evr> = versions.iter().map(|(version, ..)| evr(version)).collect();
        let old = Timestamp::UNIX_EPOCH;
        let versions: Vec<_> =
            versions.iter().zip(&evrs).map(|((_, rule, module), evr)| version(evr, old, *rule, *module)).collect();
        let rule = Retention { keep_at_least: keep, older_than: Duration::ZERO };
        retire(&versions, rule, Timestamp::from_second(1).unwrap())
    }

    #[test]
    fn versions_count_per_rule_and_per_module_stream() {
        let of = Module::of_label;
        assert_eq!(
            leaving_of(1, &[("1", None, of("")), ("2", Some(0), of("")), ("3", Some(1), of(""))]),
            Vec::<usize>::new()
        );
        assert_eq!(leaving_of(1, &[("1", Some(0), of("")), ("2", Some(0), of("")), ("3", None, of(""))]), [0]);
        let streams = [("10.1", None, of("node:10:1:a")), ("12.1", None, of("node:12:1:a")), ("9", None, of(""))];
        assert_eq!(leaving_of(1, &streams), Vec::<usize>::new());
        let two =
            [("10.2", None, of("node:10:2:a")), ("10.1", None, of("node:10:1:a")), ("12", None, of("node:12:1:a"))];
        assert_eq!(leaving_of(1, &two), [1]);
    }

    #[test]
    fn in_a_stream_the_module_s_version_counts_and_its_contexts_go_together() {
        let of = Module::of_label;
        let contexts = [("1", None, of("perl:5:2:aa")), ("3", None, of("perl:5:2:bb")), ("2", None, of("perl:5:1:aa"))];
        assert_eq!(leaving_of(1, &contexts), [2]);
        let no_number = [("1", None, of("perl:5:x:aa")), ("3", None, of("perl:5:2:bb")), ("2", None, of("perl:5"))];
        assert_eq!(leaving_of(1, &no_number), [0, 2], "by their own versions then");
    }

    #[test]
    fn while_a_module_is_unread_nothing_that_it_may_belong_to_leaves() {
        let (one, two, three) = (evr("1"), evr("2"), evr("3"));
        let old = Timestamp::UNIX_EPOCH;
        let now = Timestamp::from_second(1).unwrap();
        let versions = [
            version(&one, old, None, Module::Unread),
            version(&two, old, None, Module::None),
            version(&three, old, None, Module::of_label("node:10:1:a")),
            version(&one, old, Some(0), Module::Unread),
        ];
        let rule = Retention { keep_at_least: 1, older_than: Duration::ZERO };
        assert_eq!((retire(&versions, rule, now), unread(&versions, rule, now)), (vec![], vec![0]));
        assert_eq!(next_retirement(&versions, rule), Some(old), "somebody has to look");
        let young = Retention { older_than: Duration::from_secs(5), ..rule };
        assert_eq!(unread(&versions, young, now), Vec::<usize>::new());
    }
}
