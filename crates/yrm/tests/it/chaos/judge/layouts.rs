//! What the judge holds a change of the layout to: no package is lost or comes back by it (G1, G5), nobody else publishes
//! while it goes on, and who reads by the old layout reads on for the grace period (G3).

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use rpmmd::checksum::Sha256;
use yrm::bucket::locate::Locator;
use yrm::config::shape::{BUCKET_FILE, layout_of};
use yrm::config::{Repositories, Shape};
use yrm::store::key::RepositoryDir;

use super::{Books, Judge, Who, key_of};

/// What the end of a repomd.xml says whose repository has become part of others.
const SEAL: &[u8] = b"<!-- yrm: sealed by ";

impl Judge {
    /// The bucket's settings.
    fn shape(&self) -> Option<Shape> {
        let bytes = self.bytes(BUCKET_FILE)?;
        Some(Shape::parse(std::str::from_utf8(&bytes).unwrap()).unwrap())
    }

    /// The layout that holds.
    pub(crate) fn layout(&self) -> Option<Repositories> {
        layout_of(self.shape()?.layout()).ok()
    }

    /// Whether a change of it is going on.
    pub(crate) fn is_migrating(&self) -> bool {
        self.shape().is_some_and(|shape| shape.migration.is_some())
    }

    pub(super) fn is_sealed(&self, repository: &str) -> bool {
        let repomd = self.bytes(&key_of(repository, "repodata/repomd.xml")).unwrap_or_default();
        repomd.windows(SEAL.len()).any(|window| window == SEAL)
    }

    /// Who publishes goes by the layout that holds at that very moment, and not while it is being changed: sealed
    /// repositories stay as they are.
    pub(super) fn keeps_to_the_layout(&self, who: &Who, repository: &str) {
        let Some(shape) = self.shape().filter(|_| !matches!(who, Who::LayingOut)) else { return };
        // A publisher that insists on other settings is seen elsewhere, and later.
        let Ok(layout) = layout_of(shape.layout()).map(|layout| Locator::new(&layout).unwrap()) else { return };
        let is_changed = self.books().layouts_changed > 0;
        let is_named = layout.names(&RepositoryDir::new(repository));
        if !is_named && is_changed {
            self.broken(format!("G4: {who:?} switched {repository:?}, which is no repository by {:?}", shape.layout()));
        }
        if shape.migration.is_some() && is_named && self.is_going(&shape, repository) {
            self.broken(format!("G1: {who:?} switched {repository:?} while the layout is being changed"));
        }
    }

    /// Whether a repository is sealed, or will be none by the layout that is being made.
    fn is_going(&self, shape: &Shape, repository: &str) -> bool {
        let to = shape.migration.as_ref().and_then(|going_on| layout_of(&going_on.to).ok());
        let names = to.is_some_and(|to| Locator::new(&to).unwrap().names(&RepositoryDir::new(repository)));
        !names && self.books().sealed.contains(repository)
    }

    /// A generation by a change of the layout: it holds what the layout that holds says, or what that says is to be there.
    pub(super) fn laid(&self, who: &Who, repository: &str) {
        if *who != Who::LayingOut {
            self.books().sealed.remove(repository);
            return;
        }
        if self.is_sealed(repository) {
            self.books().sealed.insert(repository.to_owned());
            return;
        }
        self.books().sealed.remove(repository);
        let Some(shape) = self.shape() else { return };
        let Some(to) = shape.migration.as_ref().map(|going_on| layout_of(&going_on.to).unwrap()) else { return };
        let (from, to) = (layout_of(shape.layout()).unwrap(), Locator::new(&to).unwrap());
        let wanted = self
            .truth(&from, Some(repository))
            .into_iter()
            .filter(|(path, _)| to.locate(path).is_some_and(|(found, _)| found.as_str() == repository));
        let wanted: BTreeMap<String, Sha256> = wanted.collect();
        let made = packages_of(&self.books(), repository);
        if made != wanted {
            self.broken(format!("G1, G5: {repository:?} was made with {made:?} and not with {wanted:?}"));
        }
    }

    /// What is published by a layout: paths below `repo/`. Of the repository that was just made, what it held before.
    fn truth(&self, layout: &Repositories, just_made: Option<&str>) -> BTreeMap<String, Sha256> {
        let (layout, books) = (Locator::new(layout).unwrap(), self.books());
        let named = books.generations.keys().filter(|repository| layout.names(&RepositoryDir::new(repository)));
        named.flat_map(|repository| packages_before(&books, repository, just_made == Some(repository))).collect()
    }

    /// Before the settings are put: what is published by them.
    pub(super) fn before_settings(&self) -> Option<(String, BTreeMap<String, Sha256>)> {
        let shape = self.shape()?;
        Some((shape.layout().to_owned(), self.truth(&layout_of(shape.layout()).unwrap(), None)))
    }

    /// After it: the same, if it is another layout.
    pub(super) fn after_settings(&self, before: Option<(String, BTreeMap<String, Sha256>)>) {
        let (Some((from, truth)), Some(shape)) = (before, self.shape()) else { return };
        if shape.layout() == from {
            return;
        }
        let to = layout_of(shape.layout()).unwrap();
        let after = self.truth(&to, None);
        if after != truth {
            let (came, went) = (difference(&after, &truth), difference(&truth, &after));
            self.broken(format!(
                "G1, G5: by {:?} instead of {from:?}: lost {went:?}, brought {came:?}",
                shape.layout()
            ));
        }
        let (now, to) = ((self.clock)(), Locator::new(&to).unwrap());
        let mut books = self.books();
        books.layouts_changed += 1;
        books.trace.push(format!("{now} the layout is {}", shape.layout()));
        let all: Vec<String> = books.generations.keys().cloned().collect();
        for repository in all {
            if to.names(&RepositoryDir::new(&repository)) {
                books.ended.remove(&repository);
            } else {
                books.ended.entry(repository).or_insert(now);
            }
        }
        // What was removed somewhere comes back nowhere.
        let Books { gone, gone_anywhere, .. } = &mut *books;
        for ((_, content), gone) in gone {
            let known = gone_anywhere.entry(*content).or_insert(*gone);
            if known.at < gone.at {
                *known = *gone;
            }
        }
    }

    /// Before a repomd.xml goes: its repository is none any more, for the grace period.
    pub(super) fn may_end(&self, who: &Who, key: &str, repository: &str) -> Vec<String> {
        let (now, grace) = ((self.clock)(), SignedDuration::try_from(self.policy.grace).unwrap());
        let layout = self.layout().map(|layout| Locator::new(&layout).unwrap());
        let is_named = layout.is_none_or(|layout| layout.names(&RepositoryDir::new(repository)));
        let is_young = self.modified(key).is_some_and(|sealed| now.duration_since(sealed) < grace);
        let why = match (is_named, self.is_sealed(repository), is_young) {
            (true, ..) => "is a repository",
            (_, false, _) => "is not sealed",
            (.., true) => "was sealed less than the grace period ago",
            _ => return Vec::new(),
        };
        vec![format!("G3, G14: {who:?} deleted {key}, and {repository:?} {why}")]
    }
}

fn packages_of(books: &Books, repository: &str) -> BTreeMap<String, Sha256> {
    packages_before(books, repository, false)
}

/// What a repository holds, or held before.
fn packages_before(books: &Books, repository: &str, before: bool) -> BTreeMap<String, Sha256> {
    let generations = books.generations.get(repository).into_iter().flatten().rev();
    let last = generations.into_iter().nth(usize::from(before));
    let packages = last.map(|last| &last.packages).into_iter().flatten();
    packages.map(|(href, named)| (key_of(repository, href)["repo/".len()..].to_owned(), named.sha256)).collect()
}

fn difference(a: &BTreeMap<String, Sha256>, b: &BTreeMap<String, Sha256>) -> BTreeSet<String> {
    a.iter().filter(|(path, sha256)| b.get(*path) != Some(sha256)).map(|(path, _)| path.clone()).collect()
}
