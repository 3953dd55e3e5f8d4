//! Which old versions leave a repository. Pure: a function of what is there, the rule and now.
//!
//! A version leaves when it is not among the newest N EVRs of its name and architecture *and*
//! was first published longer ago than D. The newest never leaves.

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
}

/// The indexes of the versions that leave now, ascending.
pub fn retire(versions: &[Version<'_>], rule: Retention, now: Timestamp) -> Vec<usize> {
    let mut leaving: Vec<usize> =
        surplus(versions, rule.keep_at_least).filter(|&at| leaves_at(versions[at], rule) <= now).collect();
    leaving.sort_unstable();
    leaving
}

/// When the next version leaves if nothing else is published; `None` when none ever does.
pub fn next_retirement(versions: &[Version<'_>], rule: Retention) -> Option<Timestamp> {
    surplus(versions, rule.keep_at_least).map(|at| leaves_at(versions[at], rule)).min()
}

fn leaves_at(version: Version<'_>, rule: Retention) -> Timestamp {
    let age = SignedDuration::try_from(rule.older_than).unwrap_or(SignedDuration::MAX);
    version.first_published.checked_add(age).unwrap_or(Timestamp::MAX)
}

/// Those not among the newest `keep` EVRs of their name and architecture. Versions that compare
/// equal (the same EVR in two folders, or `1.0` and `1.00`) count once and stay or go together.
fn surplus(versions: &[Version<'_>], keep: usize) -> impl Iterator<Item = usize> {
    let name_and_arch = |at: usize| (versions[at].name, versions[at].arch);
    let mut all: Vec<usize> = (0..versions.len()).collect();
    // Nearly in order already: repositories are sorted by path, and paths begin with names.
    all.sort_by(|&a, &b| name_and_arch(a).cmp(&name_and_arch(b)));
    let mut surplus = Vec::new();
    for family in all.chunk_by_mut(|&a, &b| name_and_arch(a) == name_and_arch(b)) {
        if family.len() <= keep.max(1) {
            continue;
        }
        family.sort_by(|&a, &b| versions[b].evr.vercmp(versions[a].evr));
        let equals = family.chunk_by(|&a, &b| versions[a].evr.vercmp(versions[b].evr).is_eq());
        surplus.extend(equals.skip(keep.max(1)).flatten().copied());
    }
    surplus.into_iter()
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
        let versions = [
            Version { name: "a", arch: "noarch", evr: one.borrowed(), first_published: at(3) },
            Version { name: "a", arch: "noarch", evr: two.borrowed(), first_published: at(1) },
        ];
        let rule = Retention { keep_at_least: 1, older_than: Duration::from_hours(48) };
        assert_eq!(next_retirement(&versions, rule), Some(at(5)));
        assert_eq!(next_retirement(&versions[..1], rule), None);
    }
}
