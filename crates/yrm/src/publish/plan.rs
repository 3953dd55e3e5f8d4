//! What a run will do to one repository: a pure function of the catalog, the candidates, the
//! rules and now. Nothing after it makes a choice; the store may still refuse.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use jiff::Timestamp;
use rpmmd::evr::EvrRef;
use rpmmd::nevra::Nevra;

use crate::bucket::catalog::{Catalog, Staying};
use crate::bucket::keeping::{FolderRules, Kept};
use crate::bucket::verdict::{Candidate, Standing};
use crate::config::OnConflict;
use crate::retention::{Module, Version};

/// What is to happen. The numbers are indexes of candidates, or of the catalog's entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Candidates to put in place.
    pub admit: Vec<usize>,
    /// Candidates whose bytes are already at their path: success without a change.
    pub already: Vec<usize>,
    /// Candidates to reject, and why.
    pub conflicts: Vec<Conflict>,
    /// Entries that are pruned.
    pub retire: Vec<usize>,
    /// Entries that an operator takes out, ascending.
    pub remove: Vec<usize>,
    /// Admitted candidates that other packages make room for.
    pub replace: Vec<Replacement>,
    /// Candidates that wait for another of this run, which they are to replace.
    pub later: Vec<usize>,
}

/// A candidate with the path or the name of packages of other bytes, which leave as it comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// The candidate.
    pub candidate: usize,
    /// The entries that leave.
    pub entries: Vec<usize>,
    /// Whether it goes under a path of its own: bytes never change under one.
    pub goes_apart: bool,
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
    pub fn goes_apart(&self, candidate: usize) -> bool {
        self.replace.iter().any(|replacement| replacement.candidate == candidate && replacement.goes_apart)
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

/// The entries of each full name that candidates bear too, in order.
fn published<'c>(catalog: &'c Catalog, candidates: &'c [Candidate]) -> HashMap<Name<'c>, Vec<usize>> {
    let mut wanted: HashMap<&str, HashSet<Name<'c>>> = HashMap::new();
    for Candidate { nevra, .. } in candidates {
        wanted.entry(&nevra.name).or_default().insert(name(nevra));
    }
    let mut found: HashMap<_, Vec<usize>> = HashMap::new();
    if wanted.is_empty() {
        return found;
    }
    for at in catalog.entries.named(wanted.keys().copied()) {
        let nevra = catalog.entries.nevra(at);
        if let Some(name) = wanted.get(nevra.0).and_then(|names| names.get(&nevra)) {
            found.entry(*name).or_default().push(at);
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
        let twins = named.get(&name(&candidate.nevra)).into_iter().flatten().copied();
        let others = there.into_iter().chain(twins.filter(|twin| Some(*twin) != there));
        let others = others.filter(|entry| candidate.pkgid != Some(catalog.entries.get(*entry).pkgid()));
        rivals.extend(others.map(|entry| (at, entry)));
    }
    rivals
}

/// What is published with other bytes under the full name of a candidate, in a folder for which another rule
/// holds: whether the one may touch the other is for their signatures to say. Numbers of candidates and of
/// entries.
pub fn strangers(catalog: &Catalog, candidates: &[Candidate], rules: FolderRules<'_>) -> Vec<(usize, usize)> {
    if !rules.gate.has_rules() {
        return Vec::new();
    }
    let named = published(catalog, candidates);
    let mut strangers = Vec::new();
    for (at, candidate) in candidates.iter().enumerate() {
        let own = rules.of(&candidate.href);
        let twins = named.get(&name(&candidate.nevra)).into_iter().flatten().copied();
        let others = twins.filter(|twin| candidate.pkgid != Some(catalog.entries.get(*twin).pkgid()));
        strangers.extend(others.filter(|twin| rules.of(catalog.entries.href(*twin)) != own).map(|twin| (at, twin)));
    }
    strangers
}

/// What is published with the full name of a candidate and other bytes.
#[derive(Default)]
struct Twins {
    /// In a folder with another rule, which the candidate does not meet.
    guarded: Option<usize>,
    /// In a folder with another rule, and would not be let into the candidate's: not in its way.
    outranked: Vec<usize>,
    /// The others.
    equal: Vec<usize>,
    /// Another candidate, which comes first.
    arriving: Option<usize>,
}

impl Twins {
    fn of(catalog: &Catalog, candidate: &Candidate, named: Option<&Vec<usize>>, rules: FolderRules<'_>) -> Self {
        let mut twins = Self::default();
        let is_other = |at: &usize| candidate.pkgid != Some(catalog.entries.get(*at).pkgid());
        for at in named.into_iter().flatten().copied().filter(is_other) {
            let href = catalog.entries.href(at);
            let standing = || candidate.standings.iter().find(|standing| standing.href == href);
            if rules.of(href) == rules.of(&candidate.href) {
                twins.equal.push(at);
                continue;
            }
            match standing() {
                Some(Standing { may_touch: true, outranks: true, .. }) => twins.outranked.push(at),
                Some(Standing { may_touch: true, .. }) => twins.equal.push(at),
                Some(_) | None => twins.guarded = twins.guarded.or(Some(at)),
            }
        }
        twins
    }
}

/// What the plan does with one candidate.
enum Step {
    Already,
    Admit,
    Replace { entries: Vec<usize>, goes_apart: bool },
    Later,
    Conflict { with: Option<usize>, message: String },
}

/// Decides. Candidates are in byte order of their keys; of two new ones with the same NEVRA and
/// different bytes the first is admitted, and before all others one whose folder asks for signatures.
pub fn plan(catalog: &Catalog, candidates: &[Candidate], on_conflict: OnConflict, rules: FolderRules<'_>) -> Plan {
    let mut plan = Plan::default();
    let named = published(catalog, candidates);
    let mut arriving: HashMap<Name<'_>, usize> = HashMap::new();
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    if rules.gate.has_rules() {
        order.sort_by_key(|&at| !rules.require(&candidates[at].href));
    }
    for at in order {
        let candidate = &candidates[at];
        let name = name(&candidate.nevra);
        let mut twins = Twins::of(catalog, candidate, named.get(&name), rules);
        let is_other = |first: &usize| candidates[*first].pkgid != candidate.pkgid || candidate.pkgid.is_none();
        twins.arriving = arriving.get(&name).copied().filter(is_other);
        let step = step(catalog, (candidates, at), twins, rules.on_conflict(&candidate.href, on_conflict));
        if matches!(step, Step::Admit | Step::Replace { .. }) {
            arriving.entry(name).or_insert(at);
        }
        match step {
            Step::Already => plan.already.push(at),
            Step::Later => plan.later.push(at),
            Step::Conflict { with, message } => plan.conflicts.push(Conflict { candidate: at, with, message }),
            Step::Admit => plan.admit.push(at),
            Step::Replace { entries, goes_apart } => {
                plan.replace.push(Replacement { candidate: at, entries, goes_apart });
                plan.admit.push(at);
            }
        }
    }
    give_way(catalog, candidates, &mut plan);
    let wanted = wanted(catalog, candidates, &plan);
    let (early, replace) = std::mem::take(&mut plan.replace)
        .into_iter()
        .partition::<Vec<_>, _>(|replacement| replacement.entries.iter().any(|entry| wanted.contains(entry)));
    plan.replace = replace;
    plan.later.extend(early.iter().map(|replacement| replacement.candidate));
    plan.admit.retain(|at| !early.iter().any(|replacement| replacement.candidate == *at));
    plan
}

fn step(catalog: &Catalog, (candidates, at): (&[Candidate], usize), twins: Twins, on_conflict: OnConflict) -> Step {
    let candidate = &candidates[at];
    let Candidate { href, nevra, pkgid, .. } = candidate;
    let same = candidate.same_as.as_ref().is_some_and(|href| catalog.entries.position(href).is_some());
    if same || candidate.own_hrefs().any(|own| catalog.entries.position(&own).is_some()) {
        return Step::Already;
    }
    let there = catalog.entries.position(href);
    if there.is_some_and(|there| *pkgid == Some(catalog.entries.get(there).pkgid())) {
        return Step::Already;
    }
    if let Some(guarded) = twins.guarded {
        let holder = catalog.entries.href(guarded);
        let message = format!(
            "{nevra} is already published with other bytes as {holder}, and this package would not be let into that folder"
        );
        return Step::Conflict { with: None, message };
    }
    let Twins { outranked, equal, arriving, .. } = twins;
    match (on_conflict, arriving) {
        (OnConflict::Replace, Some(_)) => Step::Later,
        (OnConflict::Replace, None) => {
            let twins = equal.into_iter().chain(outranked).filter(|twin| Some(*twin) != there);
            let mut entries: Vec<usize> = there.into_iter().chain(twins).collect();
            entries.sort_unstable();
            if entries.is_empty() { Step::Admit } else { Step::Replace { entries, goes_apart: true } }
        }
        (OnConflict::Reject, _) if there.is_some() => {
            Step::Conflict { with: None, message: format!("{href} is already published with other bytes") }
        }
        (OnConflict::Reject, arriving) => {
            let holder = equal.first().map(|&twin| (catalog.entries.href(twin), None));
            let holder = holder.or_else(|| arriving.map(|first| (candidates[first].href.as_str(), Some(first))));
            match holder {
                Some((holder, with)) => {
                    let message = format!("{nevra} is already published with other bytes as {holder}");
                    Step::Conflict { with, message }
                }
                None if outranked.is_empty() => Step::Admit,
                None => Step::Replace { entries: outranked, goes_apart: false },
            }
        }
    }
}

/// Whoever uploads again a file that is published does not keep one waiting that outranks it: its package leaves, and
/// the upload is in that one's way.
fn give_way(catalog: &Catalog, candidates: &[Candidate], plan: &mut Plan) {
    let outranked = |candidate: usize, entry: usize| {
        let href = catalog.entries.href(entry);
        candidates[candidate].standings.iter().any(|standing| standing.outranks && standing.href == href)
    };
    let entries = plan.replace.iter().flat_map(|replacement| {
        let candidate = replacement.candidate;
        replacement
            .entries
            .iter()
            .filter(move |&&entry| outranked(candidate, entry))
            .map(move |&entry| (entry, candidate))
    });
    let taken: HashMap<usize, usize> = entries.collect();
    if taken.is_empty() {
        return;
    }
    for at in std::mem::take(&mut plan.already) {
        let with = published_as(catalog, &candidates[at]).and_then(|entry| taken.get(&entry).copied());
        match with {
            None => plan.already.push(at),
            Some(with) => {
                let (nevra, holder) = (&candidates[at].nevra, &candidates[with].href);
                let message = format!("{nevra} is now published with other bytes as {holder}");
                plan.conflicts.push(Conflict { candidate: at, with: Some(with), message });
            }
        }
    }
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

/// The entries that somebody has uploaded again.
fn wanted(catalog: &Catalog, candidates: &[Candidate], plan: &Plan) -> HashSet<usize> {
    plan.already.iter().filter_map(|&at| published_as(catalog, &candidates[at])).collect()
}

/// What is pruned, once it is known which candidates are in place: only those count as newer
/// versions. Whoever uploads a package again is told that it is published: it leaves in a later run.
pub fn retirements(
    kept: Kept<'_>,
    candidates: &[Candidate],
    plan: &Plan,
    placed: &[usize],
    now: Timestamp,
) -> Vec<usize> {
    let wanted = wanted(kept.catalog, candidates, plan);
    let mut leaving = retiring(kept, candidates, placed, now);
    leaving.retain(|at| !wanted.contains(at));
    leaving
}

/// Retention looks at the repository as it will be: what arrives counts, and never leaves.
fn retiring(kept: Kept<'_>, candidates: &[Candidate], admit: &[usize], now: Timestamp) -> Vec<usize> {
    let arriving = admit.iter().map(|&at| {
        let Candidate { nevra: Nevra { name, evr, arch }, href, module, .. } = &candidates[at];
        let (rule, module) = (kept.rules.of(href), Module::of_label(module));
        Version { name, arch, evr: evr.borrowed(), first_published: Timestamp::MAX, rule, module }
    });
    let all: Vec<Version<'_>> = kept.versions().chain(arriving).collect();
    let mut leaving = kept.pruned.retire(&all, now);
    leaving.retain(|&at| at < kept.catalog.entries.len());
    leaving
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

/// The next generation in byte order of the hrefs: the catalog without what leaves, and what
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
    use crate::bucket::catalog::Entries;
    use crate::bucket::catalog::tests::{catalog, entry};

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
