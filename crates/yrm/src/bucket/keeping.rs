//! A repository as retention looks at it: which rule holds for which package, and what is due when. Only computes.

use jiff::Timestamp;

use super::catalog::Catalog;
use super::gate::Gate;
use crate::config::{Level, Retention};
use crate::retention::{self, Module, Version};
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
    /// What is kept.
    pub retention: Retention,
}

impl Kept<'_> {
    /// The entries whose module must be known before it can be said what leaves now. Looks at every package.
    pub fn unread(self, now: Timestamp) -> Vec<usize> {
        if !self.offers_modules {
            return Vec::new();
        }
        retention::unread(&self.versions().collect::<Vec<_>>(), self.retention, now)
    }

    /// When retention next has something to do in this repository. Looks at every package.
    pub fn next_retirement(self) -> Option<Timestamp> {
        retention::next_retirement(&self.versions().collect::<Vec<_>>(), self.retention)
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
