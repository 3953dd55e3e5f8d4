//! A repository as retention looks at it: which rule holds for which package, and what is due when. Only computes.

use jiff::Timestamp;

use super::catalog::Catalog;
use super::gate::Gate;
use crate::config::{Level, OnConflict, Policy, Pruning, Retention, Rule};
use crate::retention::{self, Fate, Module, Version};
use crate::store::key::RepositoryDir;

/// Which of the configuration's rules holds where in one repository.
#[derive(Debug, Clone, Copy)]
pub struct FolderRules<'a> {
    /// The rules.
    pub gate: &'a Gate,
    /// The repository.
    pub repository: &'a RepositoryDir,
}

impl FolderRules<'_> {
    /// The number of the rule that holds for the package at `href`.
    pub fn of(self, href: &str) -> Option<usize> {
        self.gate.rule_of(&self.path(href))
    }

    /// Whether a package at `href` must have a signature that counts.
    pub fn require(self, href: &str) -> bool {
        self.gate.demands(&self.path(href)).level == Level::Require
    }

    /// What becomes of a package at `href` whose path or name other bytes have; `elsewhere` where no rule says.
    pub fn on_conflict(self, href: &str, elsewhere: OnConflict) -> OnConflict {
        self.gate.on_conflict(&self.path(href)).unwrap_or(elsewhere)
    }

    /// A package's path below the inbox, or below `repo/`.
    pub fn path(self, href: &str) -> String {
        self.repository.path_of(href)
    }
}

/// A repository as retention looks at it.
#[derive(Debug, Clone, Copy)]
pub struct Kept<'a> {
    /// What it holds.
    pub catalog: &'a Catalog,
    /// Whose folders are whose.
    pub rules: FolderRules<'a>,
    /// Whether its metadata offers modules. Where it offers none, no client knows of a stream, and nobody
    /// need look whether a package is of one.
    pub offers_modules: bool,
    /// Which old versions leave where.
    pub pruned: &'a Pruned,
}

/// Which old versions leave: in the folders of each of the configuration's rules, and elsewhere.
#[derive(Debug, Clone, Default)]
pub struct Pruned {
    elsewhere: Option<Retention>,
    of_rules: Vec<Option<Retention>>,
}

impl Pruned {
    /// As the policy says.
    pub fn new(policy: &Policy) -> Self {
        let elsewhere = policy.retention;
        let of_rule = |rule: &Rule| match rule.pruning {
            Some(Pruning::Never) => None,
            Some(Pruning::By(retention)) => Some(retention),
            None => elsewhere,
        };
        Self { elsewhere, of_rules: policy.trust.rules.iter().map(of_rule).collect() }
    }

    /// Whether anything ever leaves.
    pub fn is_on(&self) -> bool {
        self.all().next().is_some()
    }

    /// What holds under the rule of this number, or under none.
    fn of(&self, rule: Option<usize>) -> Option<Retention> {
        rule.map_or(self.elsewhere, |rule| self.of_rules.get(rule).copied().flatten())
    }

    /// What holds for the package at a path of a repository.
    pub fn at(&self, rules: FolderRules<'_>, href: &str) -> Option<Retention> {
        self.of(rules.of(href))
    }

    fn all(&self) -> impl Iterator<Item = Retention> {
        [self.elsewhere].into_iter().chain(self.of_rules.iter().copied()).flatten()
    }

    /// What `look` finds among the versions for which the same holds; indexes of `versions`.
    fn each<T>(&self, versions: &[Version<'_>], look: impl Fn(&[Version<'_>], Retention) -> T) -> Vec<(T, Vec<usize>)> {
        let mut kinds: Vec<Retention> = Vec::new();
        self.all().for_each(|kind| {
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        });
        let part = |kind: Retention| {
            let at: Vec<usize> = (0..versions.len()).filter(|&at| self.of(versions[at].rule) == Some(kind)).collect();
            let part: Vec<Version<'_>> = at.iter().map(|&at| versions[at]).collect();
            (look(&part, kind), at)
        };
        kinds.into_iter().map(part).collect()
    }

    /// The indexes of the versions that leave now, ascending.
    pub fn retire(&self, versions: &[Version<'_>], now: Timestamp) -> Vec<usize> {
        self.found(versions, |part, kind| retention::retire(part, kind, now))
    }

    fn found(&self, versions: &[Version<'_>], look: impl Fn(&[Version<'_>], Retention) -> Vec<usize>) -> Vec<usize> {
        let parts = self.each(versions, look).into_iter();
        let mut found: Vec<usize> = parts.flat_map(|(found, at)| found.into_iter().map(move |one| at[one])).collect();
        found.sort_unstable();
        found
    }
}

impl Kept<'_> {
    /// The entries whose module must be known before it can be said what leaves now. Looks at every package.
    pub fn unread(self, now: Timestamp) -> Vec<usize> {
        if !self.offers_modules {
            return Vec::new();
        }
        let versions: Vec<Version<'_>> = self.versions().collect();
        self.pruned.found(&versions, |part, kind| retention::unread(part, kind, now))
    }

    /// What becomes of each package. Looks at every one.
    pub fn fates(self) -> Vec<Fate> {
        let versions: Vec<Version<'_>> = self.versions().collect();
        let mut fates = vec![Fate::Stays; versions.len()];
        for (part, at) in self.pruned.each(&versions, retention::fates) {
            for (fate, at) in part.into_iter().zip(at) {
                fates[at] = fate;
            }
        }
        fates
    }

    /// When retention next has something to do in this repository. Looks at every package.
    pub fn next_retirement(self) -> Option<Timestamp> {
        let versions: Vec<Version<'_>> = self.versions().collect();
        self.pruned.each(&versions, retention::next_retirement).into_iter().filter_map(|(next, _)| next).min()
    }

    /// Its packages, as retention counts them.
    pub(crate) fn versions(&self) -> impl Iterator<Item = Version<'_>> {
        let entries = &self.catalog.entries;
        // Packages of one folder mostly lie side by side.
        let mut known: Option<(&str, Option<usize>)> = None;
        (0..entries.len()).map(move |at| {
            let (name, evr, arch) = entries.nevra(at);
            let href = entries.href(at);
            let folder = href.rsplit_once('/').map_or("", |(folder, _)| folder);
            let rule = known.filter(|(last, _)| *last == folder).map_or_else(|| self.rules.of(href), |(_, rule)| rule);
            known = Some((folder, rule));
            let module = match entries.module(at) {
                Some(label) => Module::of_label(label),
                None if self.offers_modules => Module::Unread,
                None => Module::None,
            };
            Version { name, arch, evr, first_published: entries.get(at).first_published(), rule, module }
        })
    }
}
