//! Which repositories come and which go by another layout, and which packages each gets: a function of what is published
//! and of the names of the files. Only computes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rpmmd::checksum::Sha256;
use rpmmd::nevra::Nevra;
use rpmmd::repomd::Record;

use crate::bucket::catalog::Catalog;
use crate::bucket::href::is_outside;
use crate::bucket::locate::Locator;
use crate::bucket::report::Names;
use crate::publish::adopt::moved::Given;
use crate::store::key::RepositoryDir;

/// What was found in the bucket.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The repositories of the layout as it is, and whether each is sealed.
    pub(super) givers: Vec<Giver>,
    /// All folders that are repositories, or were.
    pub(super) known: BTreeSet<RepositoryDir>,
    /// Those that have a repomd.xml without a seal, and are no givers.
    pub(super) others: BTreeSet<RepositoryDir>,
    /// Those that have a sealed one, and are no givers.
    pub(super) sealed: BTreeSet<RepositoryDir>,
    /// The packages' files, below `repo/`.
    pub(super) files: Vec<String>,
}

/// A repository of the layout as it is.
#[derive(Debug)]
pub(super) struct Giver {
    pub(super) repository: RepositoryDir,
    pub(super) catalog: std::sync::Arc<Catalog>,
    pub(super) is_sealed: bool,
    /// The records of its repomd.xml that are about other files.
    pub(super) others: Vec<Record>,
}

/// The layouts that matter.
pub(super) struct Layouts {
    /// As it is.
    pub(super) from: Locator,
    /// As it will be.
    pub(super) to: Locator,
    /// Those that it was to be, and is not to be any more.
    pub(super) given_up: Vec<Locator>,
}

/// What has to be done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Repositories that get a seal before anything is made of them; some are not there, and must not come.
    pub(super) seal: BTreeSet<RepositoryDir>,
    /// Repositories to be made, and what each gets, in the order of the paths.
    pub(super) make: BTreeMap<RepositoryDir, Vec<Given>>,
    /// Packages that would be in no repository.
    pub(super) loose: Names,
    /// Packages of one name and other bytes that would meet in one repository.
    pub(super) clashes: Names,
    /// Other files of one kind that would meet in one repository.
    pub(super) records: Names,
}

impl Plan {
    pub(super) fn of(found: &Found, layouts: &Layouts) -> Self {
        let mut plan = Self::default();
        let Layouts { from, to, given_up } = layouts;
        // It is the same before and after: nothing is done there.
        let stays = |giver: &Giver| !giver.is_sealed && to.names(&giver.repository);
        let untouched: BTreeSet<&RepositoryDir> =
            found.givers.iter().filter(|giver| stays(giver)).map(|giver| &giver.repository).collect();
        let mut given: BTreeMap<RepositoryDir, BTreeMap<String, (usize, usize)>> = BTreeMap::new();
        for (number, giver) in found.givers.iter().enumerate().filter(|(_, giver)| !stays(giver)) {
            let entries = &giver.catalog.entries;
            for at in 0..entries.len() {
                let path = giver.repository.path_of(entries.href(at));
                let place = if is_outside(entries.href(at)) && to.names(&giver.repository) {
                    Some((giver.repository.clone(), entries.href(at).to_owned()))
                } else {
                    to.locate(&path).map(|(repository, href)| (repository, href.to_owned()))
                };
                match place {
                    Some((repository, href)) if !untouched.contains(&repository) => {
                        given.entry(repository).or_default().entry(href).or_insert((number, at));
                    }
                    Some((repository, href)) if found.holds(&repository, &href) => {}
                    Some(_) | None => plan.loose.add(path),
                }
            }
        }
        let of_files = |locator: &Locator| -> BTreeSet<RepositoryDir> {
            found.files.iter().filter_map(|path| locator.locate(path)).map(|(repository, _)| repository).collect()
        };
        // What the layout names, and holds nothing by what is published, has to say so: else files that were left there
        // would be taken for its packages.
        for repository in found.known.iter().cloned().chain(of_files(to)) {
            let is_new_anyway = from.names(&repository) && !found.known.contains(&repository);
            if to.names(&repository) && !untouched.contains(&repository) && !is_new_anyway {
                given.entry(repository).or_default();
            }
        }
        let named_before = |repository: &RepositoryDir| {
            from.names(repository) || given_up.iter().any(|layout| layout.names(repository))
        };
        let live = found.givers.iter().filter(|giver| !giver.is_sealed).map(|giver| &giver.repository);
        let live = live.chain(found.others.iter().filter(|repository| named_before(repository)));
        plan.seal.extend(live.filter(|repository| !to.names(repository)).cloned());
        // Whoever is about to publish the first package there has copied it by now: that must not win.
        let begun = of_files(from).into_iter().filter(|repository| !found.known.contains(repository));
        plan.seal.extend(begun.filter(|repository| !to.names(repository)));
        for (repository, packages) in given {
            let packages: Vec<Given> =
                packages.into_iter().map(|(href, (giver, at))| Given { giver, at, href }).collect();
            plan.clashes = std::mem::take(&mut plan.clashes).and(&clashes(found, &repository, &packages));
            plan.records = std::mem::take(&mut plan.records).and(&records(found, &packages));
            plan.make.insert(repository, packages);
        }
        plan
    }
}

impl Found {
    /// What an earlier try may have sealed, of which copies may be missing still.
    pub(super) fn sealed_before(&self, layouts: &Layouts) -> BTreeSet<RepositoryDir> {
        let Layouts { to, given_up, .. } = layouts;
        let givers = self.givers.iter().filter(|giver| giver.is_sealed).map(|giver| &giver.repository);
        let given_up = |repository: &&RepositoryDir| given_up.iter().any(|layout| layout.names(repository));
        let sealed = givers.chain(self.sealed.iter().filter(given_up));
        sealed.filter(|repository| !to.names(repository)).cloned().collect()
    }

    /// Whether a repository of the layout as it is names this path.
    fn holds(&self, repository: &RepositoryDir, href: &str) -> bool {
        let giver = self.givers.iter().find(|giver| giver.repository == *repository);
        giver.is_some_and(|giver| giver.catalog.entries.position(href).is_some())
    }
}

/// Other files of one kind that different givers have.
fn records(found: &Found, packages: &[Given]) -> Names {
    let givers: BTreeSet<usize> = packages.iter().map(|given| given.giver).collect();
    let mut seen: BTreeMap<&str, (&Record, &RepositoryDir)> = BTreeMap::new();
    let mut names = Names::default();
    for giver in givers.into_iter().map(|number| &found.givers[number]) {
        for record in &giver.others {
            match seen.get(record.kind.as_str()) {
                Some((other, of)) if other.checksum != record.checksum => {
                    names.add(format!("{} of {of} and of {}", record.kind, giver.repository));
                }
                Some(_) => {}
                None => drop(seen.insert(&record.kind, (record, &giver.repository))),
            }
        }
    }
    names
}

/// What another file of a repository is called in one that gets it too: by its digest, so that it never changes.
pub(super) fn own_name(record: &Record) -> String {
    let name = record.href.rsplit('/').next().unwrap_or_default();
    let digest = &record.checksum.hex;
    if name.contains(digest.as_str()) { format!("repodata/{name}") } else { format!("repodata/{digest}-{name}") }
}

/// Packages of different givers with one name and other bytes.
fn clashes(found: &Found, repository: &RepositoryDir, packages: &[Given]) -> Names {
    let mut names = Names::default();
    if packages.windows(2).all(|two| two[0].giver == two[1].giver) {
        return names;
    }
    let mut seen: HashMap<Nevra, (Sha256, usize, &str)> = HashMap::new();
    for Given { giver, at, href } in packages {
        let entry = found.givers[*giver].catalog.entries.get(*at);
        let (pkgid, nevra) = (entry.pkgid(), entry.nevra());
        match seen.get(&nevra) {
            Some((other, of, first)) if *other != pkgid && of != giver => {
                names.add(format!("{} and {}", repository.path_of(first), repository.path_of(href)));
            }
            Some(_) => {}
            None => drop(seen.insert(nevra, (pkgid, *giver, href))),
        }
    }
    names
}
