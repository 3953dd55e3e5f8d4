//! What the judge holds mirrorlist mode to: whatever the list of mirrors names is whole and signed, holds
//! what a generation held, and stays for the grace period after the list went on; and the list only goes
//! forward.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use rpmmd::checksum::Sha256;
use rpmmd::repodata;
use rpmmd::repomd::Repomd;

use super::{Judge, Who, key_of};

/// Where clients are told to look.
pub(in crate::chaos) const PUBLIC_URL: &str = "https://packages.example/repo";

/// What the list of mirrors named for a while.
#[derive(Debug, Clone)]
pub(super) struct Pointed {
    revision: u64,
    until: Option<Timestamp>,
    /// Keys of everything in the folder.
    files: BTreeSet<String>,
    /// Keys of the packages.
    packages: BTreeSet<String>,
}

/// Whether the key is that of a list of mirrors; and the repository's.
pub(super) fn list_of(key: &str) -> Option<&str> {
    let repository = key.strip_prefix("repo/")?.strip_suffix("mirrorlist")?;
    (repository.is_empty() || repository.ends_with('/')).then(|| repository.trim_end_matches('/'))
}

/// Whether the key lies in a generation's own folder.
pub(super) fn is_in_a_folder(key: &str) -> bool {
    key.matches("repodata/").count() > 1
}

impl Judge {
    /// Whether the mode is on now.
    fn mirrored(&self) -> bool {
        self.policy.mirrors.on && !self.books().mirrors_off
    }

    /// From now on the mode is off.
    pub(in crate::chaos) fn mirrors_are_off(&self) {
        self.books().mirrors_off = true;
    }

    /// After something was written: nothing that the list names or named gets other bytes.
    pub(super) fn no_mirror_has_changed(&self, who: &Who, key: &str) {
        let named = self.books().pointed.values().flatten().any(|pointed| pointed.files.contains(key));
        if named {
            self.broken(format!("G6: {who:?} wrote {key}, which the list of mirrors names or named"));
        }
    }

    /// The list of mirrors was put.
    pub(super) fn pointed(&self, who: &Who, repository: &str) {
        let pointed = match self.read_mirror(repository) {
            Ok(pointed) => pointed,
            Err(why) => return self.broken(format!("G7: {who:?} named a folder of {repository:?}: {why}")),
        };
        let now = (self.clock)();
        let mut books = self.books();
        let history = books.pointed.entry(repository.to_owned()).or_default();
        let mut backward = None;
        if let Some(last) = history.last_mut().filter(|last| last.until.is_none()) {
            backward = (last.revision >= pointed.revision).then_some(last.revision);
            last.until = Some(now);
        }
        let to = pointed.revision;
        history.push(pointed);
        if let Some(from) = backward {
            books.violations.push(format!("G4: {who:?} put the list of {repository:?} from {from} to {to}"));
        }
    }

    /// The list of mirrors was removed.
    pub(super) fn unpointed(&self, who: &Who, repository: &str) {
        if self.mirrored() && !self.books().ended.contains_key(repository) && !matches!(who, Who::Deleting { .. }) {
            self.broken(format!("G7: {who:?} removed the list of {repository:?}, and mirrorlist is on"));
        }
        let now = (self.clock)();
        let mut books = self.books();
        if let Some(last) = books.pointed.get_mut(repository).and_then(|history| history.last_mut()) {
            last.until = Some(now);
        }
    }

    /// What clients of the list find, or what they would trip over.
    fn read_mirror(&self, repository: &str) -> Result<Pointed, String> {
        let list = self.bytes(&key_of(repository, "mirrorlist")).ok_or("no list")?;
        let list = String::from_utf8(list.to_vec()).map_err(|error| error.to_string())?;
        let folder = list.strip_prefix(PUBLIC_URL).and_then(|path| path.strip_suffix("/\n"));
        let folder = folder.ok_or_else(|| format!("{list:?}"))?.trim_start_matches('/');
        let key = |href: &str| format!("repo/{folder}/{href}");
        let get = |key: &str| self.bytes(key).ok_or_else(|| format!("{key} is not there"));
        let repomd = get(&key("repodata/repomd.xml"))?;
        let mut files = BTreeSet::from([key("repodata/repomd.xml")]);
        if let Some(public) = &self.key {
            let signature = key("repodata/repomd.xml.asc");
            if !public.has_signed(&repomd, &get(&signature)?) {
                return Err("its signature does not go with its repomd.xml".to_owned());
            }
            files.insert(signature);
        }
        let repomd = Repomd::read(&repomd).map_err(|error| error.to_string())?;
        let mut documents = Vec::new();
        for kind in ["primary", "filelists", "other"] {
            let record = repomd.record(kind).ok_or("a record is missing")?;
            let bytes = get(&key(&record.href))?;
            if record.size != Some(bytes.len() as u64) || record.checksum.as_sha256() != Some(Sha256::of(&bytes)) {
                return Err(format!("{} is not what repomd.xml says", record.href));
            }
            files.insert(key(&record.href));
            documents.push(bytes);
        }
        let listed = repodata::read(&documents[0], &documents[1], &documents[2]).map_err(|error| error.to_string())?;
        let mut packages = BTreeMap::new();
        for package in listed {
            // Two folders up from the one that the list names.
            let href = package.href.strip_prefix("../../").ok_or_else(|| format!("{:?}", package.href))?;
            if Sha256::of(&get(&key_of(repository, href))?) != package.pkgid {
                return Err(format!("{href} has other bytes"));
            }
            packages.insert(href.to_owned(), package.pkgid);
        }
        let revision: u64 = repomd.revision.parse().map_err(|_| "a revision that is no number")?;
        let books = self.books();
        let generations = books.generations.get(repository).map(Vec::as_slice).unwrap_or_default();
        let flat = generations.iter().find(|generation| generation.revision == revision).ok_or("no such generation")?;
        let held: BTreeMap<String, Sha256> =
            flat.packages.iter().map(|(href, named)| (href.clone(), named.sha256)).collect();
        if held != packages {
            return Err(format!("generation {revision} holds {:?}, and not {:?}", held.keys(), packages.keys()));
        }
        let packages = packages.keys().map(|href| key_of(repository, href)).collect();
        Ok(Pointed { revision, until: None, files, packages })
    }

    /// What readers of a folder may still hold (G3).
    pub(super) fn may_a_mirror_lose(&self, who: &Who, key: &str, now: Timestamp, grace: SignedDuration) -> Vec<String> {
        let books = self.books();
        let held = books.pointed.values().flatten().filter(|pointed| {
            let over = pointed.until.is_some_and(|until| now.duration_since(until) >= grace);
            !over && (pointed.files.contains(key) || pointed.packages.contains(key))
        });
        held.map(|pointed| {
            format!("G3: {who:?} swept {key}, which the list of mirrors named in generation {}", pointed.revision)
        })
        .collect()
    }

    /// Keys of what the lists name now, and of the packages there.
    pub(super) fn held_by_mirrors(&self) -> Vec<String> {
        let books = self.books();
        let current = books.pointed.values().filter_map(|history| history.last()).filter(|last| last.until.is_none());
        current.flat_map(|last| last.files.iter().chain(&last.packages).cloned()).collect()
    }

    /// The file for clients says what holds, and there is none where there is no repository.
    fn client_file_at_rest(&self, repository: &str, what: &str) {
        let Some(name) = &self.policy.mirrors.name else { return };
        let is_one = self.bytes(&key_of(repository, "repodata/repomd.xml")).is_some();
        let file = self.bytes(&key_of(repository, &format!("{name}.repo")));
        let file = file.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
        let says = |line: &str| file.as_ref().is_some_and(|file| file.lines().any(|there| there == line));
        let checked = if self.key.is_some() { "repo_gpgcheck=1" } else { "repo_gpgcheck=0" };
        let is_right = if is_one { says("enabled=1") && says(checked) } else { file.is_none() };
        if !is_right && !self.books().ended.contains_key(repository) {
            self.broken(format!("{what}: at rest the file for clients of {repository:?} is {file:?}"));
        }
    }

    /// When nobody is at work: every list names what is current, or is gone.
    pub(super) fn mirrors_at_rest(&self, what: &str) {
        let current: Vec<(String, u64)> = {
            let books = self.books();
            let last = |(repository, generations): (&String, &Vec<super::Generation>)| {
                Some((repository.clone(), generations.last()?.revision))
            };
            books.generations.iter().filter_map(last).collect()
        };
        for (repository, revision) in current {
            self.client_file_at_rest(&repository, what);
            // One that was deleted has none.
            if self.bytes(&key_of(&repository, "repodata/repomd.xml")).is_none() {
                continue;
            }
            let list = self.bytes(&key_of(&repository, "mirrorlist"));
            // An earlier layout's goes first of all.
            if list.is_none() && self.books().ended.contains_key(&repository) {
                continue;
            }
            if !self.mirrored() {
                if list.is_some() {
                    self.broken(format!("{what}: at rest {repository:?} has a list of mirrors, and mirrorlist is off"));
                }
                continue;
            }
            match self.read_mirror(&repository) {
                Ok(pointed) if pointed.revision == revision => {}
                Ok(pointed) => self.broken(format!(
                    "G12: {what}: at rest the list of {repository:?} names {}, and not {revision}",
                    pointed.revision
                )),
                Err(why) => self.broken(format!("G12: {what}: at rest the mirror of {repository:?}: {why}")),
            }
        }
    }
}
