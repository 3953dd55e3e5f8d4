//! What a run will do to one repository: a pure function of the catalog, the candidates, the
//! rules and now. Nothing after it makes a choice; the store may still refuse.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use rpmmd::checksum::Sha256;
use rpmmd::evr::Evr;
use rpmmd::nevra::Nevra;

use super::catalog::{Catalog, Entry};
use super::verdict::Candidate;
use crate::config::Retention;
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

/// The candidates whose SHA-256 must be known before a plan can be made: their path or their
/// NEVRA is in the catalog or among the other candidates.
pub fn undecided(catalog: &Catalog, candidates: &[Candidate]) -> Vec<usize> {
    let published: HashSet<Nevra> = catalog.entries.iter().map(Entry::nevra).collect();
    let mut arriving: HashMap<&Nevra, usize> = HashMap::new();
    for candidate in candidates {
        *arriving.entry(&candidate.nevra).or_default() += 1;
    }
    let clashes = |candidate: &Candidate| {
        catalog.at(&candidate.href).is_some()
            || published.contains(&candidate.nevra)
            || arriving.get(&candidate.nevra).is_some_and(|&count| count > 1)
    };
    (0..candidates.len()).filter(|&at| candidates[at].pkgid.is_none() && clashes(&candidates[at])).collect()
}

/// Decides. Candidates are in byte order of their keys; of two new ones with the same NEVRA and
/// different bytes the first is admitted.
pub fn plan(catalog: &Catalog, candidates: &[Candidate], retention: Option<Retention>, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    let mut holders: HashMap<Nevra, (Option<Sha256>, &str, Option<usize>)> = HashMap::new();
    for entry in &catalog.entries {
        holders.entry(entry.nevra()).or_insert((Some(entry.pkgid()), &entry.href, None));
    }
    for (at, candidate) in candidates.iter().enumerate() {
        if let Some(entry) = catalog.at(&candidate.href) {
            if candidate.pkgid == Some(entry.pkgid()) {
                plan.already.push(at);
            } else {
                let message = format!("{} is already published with other bytes", candidate.href);
                plan.conflicts.push(Conflict { candidate: at, with: None, message });
            }
            continue;
        }
        match holders.get(&candidate.nevra) {
            Some((pkgid, holder, with)) if *pkgid != candidate.pkgid || pkgid.is_none() => {
                let message = format!("{} is already published with other bytes as {holder}", candidate.nevra);
                plan.conflicts.push(Conflict { candidate: at, with: *with, message });
            }
            Some(_) | None => {
                holders.entry(candidate.nevra.clone()).or_insert((candidate.pkgid, &candidate.href, Some(at)));
                plan.admit.push(at);
            }
        }
    }
    if let Some(rule) = retention {
        plan.retire = retiring(catalog, candidates, &plan.admit, rule, now);
        // Who drops a package again is told that it is published: it leaves in a later run.
        let wanted: HashSet<&str> = plan.already.iter().map(|&at| candidates[at].href.as_str()).collect();
        plan.retire.retain(|&at| !wanted.contains(catalog.entries[at].href.as_str()));
    }
    plan
}

/// Retention looks at the repository as it will be: what arrives counts, and never leaves.
fn retiring(
    catalog: &Catalog,
    candidates: &[Candidate],
    admit: &[usize],
    rule: Retention,
    now: Timestamp,
) -> Vec<usize> {
    let evrs: Vec<Evr> = catalog.entries.iter().map(Entry::evr).collect();
    let staying = versions(catalog, &evrs);
    let arriving = admit.iter().map(|&at| {
        let Nevra { name, evr, arch } = &candidates[at].nevra;
        Version { name, arch, evr, first_published: Timestamp::MAX }
    });
    let all: Vec<Version<'_>> = staying.into_iter().chain(arriving).collect();
    let mut leaving = retire(&all, rule, now);
    leaving.retain(|&at| at < catalog.entries.len());
    leaving
}

/// When retention next has something to do in this repository.
pub fn next_retirement_of(catalog: &Catalog, rule: Retention) -> Option<Timestamp> {
    let evrs: Vec<Evr> = catalog.entries.iter().map(Entry::evr).collect();
    next_retirement(&versions(catalog, &evrs), rule)
}

fn versions<'a>(catalog: &'a Catalog, evrs: &'a [Evr]) -> Vec<Version<'a>> {
    catalog
        .entries
        .iter()
        .zip(evrs)
        .map(|(entry, evr)| Version {
            name: &entry.name,
            arch: &entry.arch,
            evr,
            first_published: entry.first_published(),
        })
        .collect()
}

/// Where each package of the next generation comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The catalog's entry with this index.
    Kept(usize),
    /// The candidate with this index.
    Admitted(usize),
}

/// The next generation in byte order of the hrefs: the catalog without what retires, and what
/// was put in place.
pub fn merge(catalog: &Catalog, retire: &[usize], candidates: &[Candidate], placed: &[usize]) -> Vec<Origin> {
    let retired: HashSet<usize> = retire.iter().copied().collect();
    let mut next: BTreeMap<&[u8], Origin> = BTreeMap::new();
    for (at, entry) in catalog.entries.iter().enumerate().filter(|(at, _)| !retired.contains(at)) {
        next.insert(entry.href.as_bytes(), Origin::Kept(at));
    }
    for &at in placed {
        next.insert(candidates[at].href.as_bytes(), Origin::Admitted(at));
    }
    next.into_values().collect()
}
