//! What a run will do to one repository: a pure function of the catalog, the candidates, the
//! rules and now. Nothing after it makes a choice; the store may still refuse.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use jiff::Timestamp;
use rpmmd::checksum::Sha256;
use rpmmd::evr::EvrRef;
use rpmmd::nevra::Nevra;

use super::catalog::{Catalog, Staying};
use super::verdict::Candidate;
use crate::config::{OnConflict, Retention};
use crate::retention::{Version, next_retirement, retire};

/// What is to happen. The numbers are indexes of candidates, or of the catalog's entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Candidates to put in place.
    pub admit: Vec<usize>,
    /// Candidates whose bytes are already at their path: success without a change.
    pub already: Vec<usize>,
    /// Candidates to set aside, and why.
    pub conflicts: Vec<Conflict>,
    /// Entries that retention takes out.
    pub retire: Vec<usize>,
    /// Entries that an operator takes out, ascending.
    pub remove: Vec<usize>,
    /// Admitted candidates that other packages make room for.
    pub replace: Vec<Replacement>,
    /// Candidates that wait for another of this run, which they are to replace.
    pub later: Vec<usize>,
}

/// A candidate with the path or the name of packages of other bytes, which leave as it comes. It goes
/// under a path of its own: bytes never change under one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// The candidate.
    pub candidate: usize,
    /// The entries that leave.
    pub entries: Vec<usize>,
}

impl Plan {
    /// The plan of an operator who takes these paths out, and wants nothing else.
    pub fn removing(catalog: &Catalog, hrefs: &[String]) -> Self {
        let mut remove: Vec<usize> = hrefs.iter().filter_map(|href| catalog.entries.position(href)).collect();
        remove.sort_unstable();
        remove.dedup();
        Self { remove, ..Self::default() }
    }

    /// The entries that leave when these candidates are in place, ascending.
    pub fn leaving(&self, is_placed: impl Fn(usize) -> bool) -> Vec<usize> {
        let replaced = self.replaced(is_placed);
        let mut leaving: Vec<usize> = self.retire.iter().chain(&self.remove).copied().chain(replaced).collect();
        leaving.sort_unstable();
        leaving.dedup();
        leaving
    }

    /// The entries that candidates replace which are in place.
    pub fn replaced(&self, is_placed: impl Fn(usize) -> bool) -> impl Iterator<Item = usize> {
        let placed = self.replace.iter().filter(move |replacement| is_placed(replacement.candidate));
        placed.flat_map(|replacement| replacement.entries.iter().copied())
    }

    /// Whether this candidate goes under a path of its own.
    pub fn replaces(&self, candidate: usize) -> bool {
        self.replace.iter().any(|replacement| replacement.candidate == candidate)
    }
}

/// A candidate whose path or name other bytes have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The candidate.
    pub candidate: usize,
    /// The candidate that has the name, if it is none of the catalog's: should that one not get in
    /// after all, this one is no conflict.
    pub with: Option<usize>,
    /// What is in the way.
    pub message: String,
}

/// A package's full name, borrowed from where it lies.
type Name<'a> = (&'a str, EvrRef<'a>, &'a str);

fn name(nevra: &Nevra) -> Name<'_> {
    (&nevra.name, nevra.evr.borrowed(), &nevra.arch)
}

/// The first entry of each full name that candidates bear too.
fn published<'c>(catalog: &'c Catalog, candidates: &'c [Candidate]) -> HashMap<Name<'c>, usize> {
    let mut wanted: HashMap<&str, HashSet<Name<'c>>> = HashMap::new();
    for Candidate { nevra, .. } in candidates {
        wanted.entry(&nevra.name).or_default().insert(name(nevra));
    }
    let mut found = HashMap::new();
    if wanted.is_empty() {
        return found;
    }
    for at in catalog.entries.named(wanted.keys().copied()) {
        let nevra = catalog.entries.nevra(at);
        if let Some(name) = wanted.get(nevra.0).and_then(|names| names.get(&nevra)) {
            found.entry(*name).or_insert(at);
        }
    }
    found
}

/// The candidates whose SHA-256 must be known before a plan can be made: their path or their
/// NEVRA is in the catalog or among the other candidates.
pub fn undecided(catalog: &Catalog, candidates: &[Candidate]) -> Vec<usize> {
    let published = published(catalog, candidates);
    let mut arriving: HashMap<Name<'_>, usize> = HashMap::new();
    for candidate in candidates {
        *arriving.entry(name(&candidate.nevra)).or_default() += 1;
    }
    let clashes = |candidate: &Candidate| {
        catalog.entries.position(&candidate.href).is_some()
            || published.contains_key(&name(&candidate.nevra))
            || arriving.get(&name(&candidate.nevra)).is_some_and(|&count| count > 1)
    };
    (0..candidates.len()).filter(|&at| candidates[at].pkgid.is_none() && clashes(&candidates[at])).collect()
}

/// What is published with other bytes under the path or the full name of a candidate that is signed here:
/// it may be the same package but for its signatures. Numbers of candidates and of entries.
pub fn rivals(catalog: &Catalog, candidates: &[Candidate]) -> Vec<(usize, usize)> {
    let signed = || candidates.iter().enumerate().filter(|(_, candidate)| candidate.signed.is_some());
    if signed().next().is_none() {
        return Vec::new();
    }
    let named = published(catalog, candidates);
    let mut rivals = Vec::new();
    for (at, candidate) in signed() {
        let there = catalog.entries.position(&candidate.href);
        let holder = named.get(&name(&candidate.nevra)).copied();
        let others = there.into_iter().chain(holder.filter(|holder| Some(*holder) != there));
        let others = others.filter(|entry| candidate.pkgid != Some(catalog.entries.get(*entry).pkgid()));
        rivals.extend(others.map(|entry| (at, entry)));
    }
    rivals
}

/// Decides. Candidates are in byte order of their keys; of two new ones with the same NEVRA and
/// different bytes the first is admitted.
pub fn plan(catalog: &Catalog, candidates: &[Candidate], on_conflict: OnConflict) -> Plan {
    let mut plan = Plan::default();
    let held = |at: usize| (Some(catalog.entries.get(at).pkgid()), catalog.entries.href(at), None);
    let mut holders: HashMap<Name<'_>, (Option<Sha256>, &str, Option<usize>)> =
        published(catalog, candidates).into_iter().map(|(name, at)| (name, held(at))).collect();
    for (at, candidate) in candidates.iter().enumerate() {
        let same = candidate.same_as.as_ref().is_some_and(|href| catalog.entries.position(href).is_some());
        if same || candidate.own_hrefs().any(|own| catalog.entries.position(&own).is_some()) {
            plan.already.push(at);
            continue;
        }
        let there = catalog.entries.position(&candidate.href);
        if there.is_some_and(|there| candidate.pkgid == Some(catalog.entries.get(there).pkgid())) {
            plan.already.push(at);
            continue;
        }
        let holder = holders.get(&name(&candidate.nevra)).copied();
        let other = holder.filter(|(pkgid, ..)| *pkgid != candidate.pkgid || pkgid.is_none());
        match (there, other, on_conflict) {
            (None, None, _) => plan.admit.push(at),
            (_, Some((.., Some(_))), OnConflict::Replace) => {
                plan.later.push(at);
                continue;
            }
            (_, _, OnConflict::Replace) => {
                let entries = of_other_bytes(catalog, candidate).collect();
                plan.replace.push(Replacement { candidate: at, entries });
                plan.admit.push(at);
            }
            (Some(_), _, OnConflict::Reject) => {
                let message = format!("{} is already published with other bytes", candidate.href);
                plan.conflicts.push(Conflict { candidate: at, with: None, message });
                continue;
            }
            (None, Some((_, holder, with)), OnConflict::Reject) => {
                let message = format!("{} is already published with other bytes as {holder}", candidate.nevra);
                plan.conflicts.push(Conflict { candidate: at, with, message });
                continue;
            }
        }
        let itself = (candidate.pkgid, candidate.href.as_str(), Some(at));
        match on_conflict {
            OnConflict::Replace => drop(holders.insert(name(&candidate.nevra), itself)),
            OnConflict::Reject => drop(holders.entry(name(&candidate.nevra)).or_insert(itself)),
        }
    }
    let wanted = wanted(catalog, candidates, &plan);
    let (early, replace) = std::mem::take(&mut plan.replace)
        .into_iter()
        .partition::<Vec<_>, _>(|replacement| replacement.entries.iter().any(|entry| wanted.contains(entry)));
    plan.replace = replace;
    plan.later.extend(early.iter().map(|replacement| replacement.candidate));
    plan.admit.retain(|at| !early.iter().any(|replacement| replacement.candidate == *at));
    plan
}

/// The entry of a candidate that is published already: at its path, or at its own, or signed otherwise.
pub fn published_as(catalog: &Catalog, candidate: &Candidate) -> Option<usize> {
    let same = candidate.same_as.as_ref().and_then(|href| catalog.entries.position(href));
    if same.is_some() {
        return same;
    }
    let own = candidate.own_hrefs().find_map(|own| catalog.entries.position(&own));
    own.or_else(|| catalog.entries.position(&candidate.href))
}

/// The entries with a candidate's path or full name and other bytes. Looks at every package.
fn of_other_bytes<'c>(catalog: &'c Catalog, candidate: &'c Candidate) -> impl Iterator<Item = usize> + 'c {
    let wanted = name(&candidate.nevra);
    (0..catalog.entries.len()).filter(move |&at| {
        let is_its = catalog.entries.href(at) == candidate.href || catalog.entries.nevra(at) == wanted;
        is_its && candidate.pkgid != Some(catalog.entries.get(at).pkgid())
    })
}

/// The entries that somebody has dropped again.
fn wanted(catalog: &Catalog, candidates: &[Candidate], plan: &Plan) -> HashSet<usize> {
    plan.already.iter().filter_map(|&at| published_as(catalog, &candidates[at])).collect()
}

/// What retention takes out, once it is known which candidates are in place: only those count as newer
/// versions. Who drops a package again is told that it is published: it leaves in a later run.
pub fn retirements(
    catalog: &Catalog,
    candidates: &[Candidate],
    plan: &Plan,
    placed: &[usize],
    (rule, now): (Retention, Timestamp),
) -> Vec<usize> {
    let wanted = wanted(catalog, candidates, plan);
    let mut leaving = retiring(catalog, candidates, placed, rule, now);
    leaving.retain(|at| !wanted.contains(at));
    leaving
}

/// Retention looks at the repository as it will be: what arrives counts, and never leaves.
fn retiring(
    catalog: &Catalog,
    candidates: &[Candidate],
    admit: &[usize],
    rule: Retention,
    now: Timestamp,
) -> Vec<usize> {
    let staying = versions(catalog);
    let arriving = admit.iter().map(|&at| {
        let Nevra { name, evr, arch } = &candidates[at].nevra;
        Version { name, arch, evr: evr.borrowed(), first_published: Timestamp::MAX }
    });
    let all: Vec<Version<'_>> = staying.chain(arriving).collect();
    let mut leaving = retire(&all, rule, now);
    leaving.retain(|&at| at < catalog.entries.len());
    leaving
}

/// When retention next has something to do in this repository. Looks at every package.
pub fn next_retirement_of(catalog: &Catalog, rule: Retention) -> Option<Timestamp> {
    next_retirement(&versions(catalog).collect::<Vec<_>>(), rule)
}

fn versions(catalog: &Catalog) -> impl Iterator<Item = Version<'_>> {
    let version = |at: usize| {
        let (name, evr, arch) = catalog.entries.nevra(at);
        Version { name, arch, evr, first_published: catalog.entries.get(at).first_published() }
    };
    (0..catalog.entries.len()).map(version)
}

/// Where packages of the next generation come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The catalog's entries with these indexes.
    Kept(Range<usize>),
    /// The candidate with this index.
    Admitted(usize),
}

impl Origin {
    /// How many packages.
    pub fn packages(&self) -> usize {
        match self {
            Self::Kept(entries) => entries.len(),
            Self::Admitted(_) => 1,
        }
    }
}

/// The next generation in byte order of the hrefs: the catalog without what retires, and what
/// was put in place.
pub fn merge(catalog: &Catalog, retire: &[usize], candidates: &[Candidate], placed: &[usize]) -> Vec<Origin> {
    let mut retired = retire.to_vec();
    retired.sort_unstable();
    retired.dedup();
    let mut arriving = placed.to_vec();
    arriving.sort_unstable_by(|&a, &b| candidates[a].href.as_bytes().cmp(candidates[b].href.as_bytes()));

    let entries = &catalog.entries;
    let mut next = Vec::with_capacity(2 * (retired.len() + arriving.len()) + 1);
    let mut staying = Staying::without(retired);
    for candidate in arriving {
        let href = &candidates[candidate].href;
        let place = entries.lower_bound(href);
        next.extend(std::iter::from_fn(|| staying.before(place)).map(Origin::Kept));
        if place < entries.len() && entries.href(place) == href {
            // It takes that one's place.
            staying.before(place + 1);
        }
        next.push(Origin::Admitted(candidate));
    }
    next.extend(std::iter::from_fn(|| staying.before(entries.len())).map(Origin::Kept));
    next
}

#[cfg(test)]
mod tests {
    use rpmmd::compress::Compression;

    use super::*;
    use crate::publish::catalog::Entries;
    use crate::publish::catalog::tests::{catalog, entry};

    #[test]
    fn what_stays_side_by_side_is_one_range_and_what_leaves_parts_it() {
        let hrefs = ["b", "d", "f", "h"].map(|name| format!("{name}.rpm"));
        let catalog = catalog(hrefs.iter().map(|href| entry(href, href, "1")).collect());
        let kept = |range| Origin::Kept(range);
        let without = |retire: &[usize]| merge(&catalog, retire, &[], &[]);
        assert_eq!(without(&[]), [kept(0..4)]);
        assert_eq!(without(&[2, 1]), [kept(0..1), kept(3..4)]);
        assert_eq!(without(&[0, 3, 3]), [kept(1..3)]);
        assert_eq!(without(&[0, 1, 2, 3]), []);
        let none = Catalog { entries: Entries::default(), compression: Compression::Gz, ..catalog.clone() };
        assert_eq!(merge(&none, &[], &[], &[]), []);
    }
}
