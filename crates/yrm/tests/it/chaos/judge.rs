//! The judge: sits between every process and the bucket, lets each call through and looks at what it
//! did. Every promise that can be broken by one write is checked at that write (docs/guarantees.md).
//!
//! It knows nothing of how the publisher works: it reads repomd.xml and primary as a client would,
//! and keeps its own books of what was uploaded, published, removed and retired.

mod layouts;
mod leaving;
mod marks;
pub(crate) mod mirrors;
mod seat;
mod signed;
mod tokens;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use self::mirrors::{Pointed, is_in_a_folder, list_of};
use self::tokens::LetIn;
use super::world::{SECURE, team_key};
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use rpmmd::checksum::Sha256;
use rpmmd::header::{HeaderFile, Parsed};
use rpmmd::nevra::Nevra;
use rpmmd::repodata;
use rpmmd::repomd::Repomd;
use tokio::time::Instant;
use yrm::config::shape::BUCKET_FILE;
use yrm::config::{OnConflict, Policy, Retention, Shape};
use yrm::openpgp::key::PublicKey;
use yrm::openpgp::keyring::Keyring;
use yrm::openpgp::verify::{Trust, Verification};
use yrm::store::memory::MemoryStore;
use yrm::store::{Attributes, Outcome, PutIf, Store};

/// What the key of a signature ends in.
const SIGNATURE: &str = "repodata/repomd.xml.asc";

/// Settings are looked at once a minute, a switch by them begins within another, and a request arrives within 15.
const SETTINGS_ARRIVE: SignedDuration = SignedDuration::from_mins(18);

/// Who makes a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Who {
    /// A publisher.
    Manager(usize),
    /// An operator who wants these paths out of that repository.
    Removing { repository: String, hrefs: Vec<String> },
    /// An operator who wants that repository gone.
    Deleting { repository: String },
    /// An operator who wants that repository as it was in that generation.
    RollingBack { repository: String, revision: u64 },
    /// An operator who puts packages of one folder into another.
    Promoting,
    /// An operator who puts these packages of one folder into another and takes them out of the first.
    Moving { hrefs: Vec<String> },
    /// An operator who gives back to the inbox what is in quarantine.
    Releasing,
    /// An operator who changes the layout.
    LayingOut,
}

/// One generation, as a client reads it.
#[derive(Debug, Clone)]
struct Generation {
    revision: u64,
    since: Timestamp,
    packages: BTreeMap<String, Named>,
    /// Keys of its metadata files.
    files: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Named {
    sha256: Sha256,
    content: Sha256,
    nevra: Nevra,
    first_published: Timestamp,
    /// `name:stream` of the module that it is of.
    stream: Option<String>,
    /// Whether its folder takes what the team has signed, and nothing else.
    is_secure: bool,
    /// Whether the team has signed it, as it is published.
    is_signed_by_the_team: bool,
}

/// What lies in the inbox under one key.
#[derive(Debug, Clone)]
struct Upload {
    sha256: Sha256,
    content: Sha256,
    since: Timestamp,
    /// Whether its receipt says that it is published: then nothing more is to come of it.
    answered: bool,
}

/// When the bytes last left a repository, and whether an upload of them waited for its answer then.
#[derive(Debug, Clone, Copy)]
struct Gone {
    at: Timestamp,
    pending: bool,
}

#[derive(Debug, Default, Clone)]
struct Books {
    inbox: BTreeMap<String, Upload>,
    /// When this content was last uploaded.
    uploaded: BTreeMap<Sha256, Timestamp>,
    /// What of it was signed by the team.
    by_the_team: BTreeSet<Sha256>,
    generations: BTreeMap<String, Vec<Generation>>,
    gone: BTreeMap<(String, Sha256), Gone>,
    /// Who last wrote each repository's signature.
    signed: BTreeMap<String, Who>,
    /// Since when a repository's signature does not go with its repomd.xml, and the longest that took.
    mismatched: BTreeMap<String, Instant>,
    longest_gap: Duration,
    /// What each repository's list of mirrors named.
    pointed: BTreeMap<String, Vec<Pointed>>,
    mirrors_off: bool,
    /// Repositories whose last generation is sealed.
    sealed: BTreeSet<String>,
    /// Since when repositories are none any more.
    ended: BTreeMap<String, Timestamp>,
    /// When a repository's repomd.xml was deleted.
    dropped: BTreeMap<String, Timestamp>,
    /// What had left any repository when the layout last changed.
    gone_anywhere: BTreeMap<Sha256, Gone>,
    layouts_changed: u64,
    let_in: LetIn,
    violations: Vec<String>,
    trace: Vec<String>,
    writes: u64,
}

/// The judge of one bucket.
#[derive(Debug)]
pub(crate) struct Judge {
    pub(crate) memory: Arc<MemoryStore>,
    policy: Policy,
    /// The key that metadata is signed with, if it is.
    key: Option<PublicKey>,
    /// What packages are signed with, if they are.
    signs_packages: Option<Arc<Keyring>>,
    /// Packages whose signature was looked at and is good.
    signed: Mutex<BTreeSet<Sha256>>,
    clock: fn() -> Timestamp,
    books: Mutex<Books>,
}

/// One process's way to the bucket.
#[derive(Debug)]
pub(crate) struct Seat {
    judge: Arc<Judge>,
    who: Who,
    /// The settings that the process goes by.
    shape: Mutex<Option<Shape>>,
}

impl Seat {
    /// The process goes by these settings from now on.
    pub(crate) fn goes_by(&self, shape: Shape) {
        *self.shape.lock().unwrap() = Some(shape);
    }
}

impl Judge {
    pub(crate) fn new(policy: Policy, key: Option<PublicKey>, clock: fn() -> Timestamp) -> Arc<Self> {
        let memory = Arc::new(MemoryStore::with_clock(clock));
        let keyring = || Keyring::parse(key.as_ref().unwrap().armored().unwrap().as_bytes()).unwrap();
        let signs_packages = policy.trust.signs_packages().then(|| Arc::new(keyring()));
        let (signed, books) = (Mutex::default(), Mutex::default());
        Arc::new(Self { memory, policy, key, signs_packages, signed, clock, books })
    }

    /// Another judge, who has seen the same.
    pub(crate) fn fork(&self) -> Arc<Self> {
        let (memory, books) = (Arc::new(self.memory.fork(self.clock)), self.books().clone());
        assert!(books.mismatched.is_empty(), "what lasts is counted in a time that is over");
        Arc::new(Self {
            memory,
            policy: self.policy.clone(),
            key: self.key.clone(),
            signs_packages: self.signs_packages.clone(),
            signed: Mutex::new(self.signed.lock().unwrap().clone()),
            clock: self.clock,
            books: Mutex::new(books),
        })
    }

    pub(crate) fn seat(self: &Arc<Self>, who: Who) -> Arc<Seat> {
        Arc::new(Seat { judge: Arc::clone(self), who, shape: Mutex::default() })
    }

    /// Whoever switches goes by the bucket's settings, or has for as long as what it knew could still arrive (G16).
    fn goes_by_the_settings(&self, seat: &Seat, key: &str) {
        let is_switch = key.ends_with("/repodata/repomd.xml") && !is_in_a_folder(key);
        let Some(shape) = seat.shape.lock().unwrap().clone().filter(|_| is_switch) else { return };
        let who = &seat.who;
        let mut differs = None;
        for version in self.memory.versions(BUCKET_FILE).into_iter().rev() {
            let Some(version) = version else { break };
            let stored = Shape::parse(std::str::from_utf8(&version.bytes).unwrap()).unwrap();
            let differences = stored.differences(&shape);
            if differences.is_empty() {
                break;
            }
            differs = Some((version.modified, differences));
        }
        let is_stored = self.bytes(BUCKET_FILE).is_some();
        if !is_stored {
            self.broken(format!("G16: {who:?} switched {key} before the bucket had settings"));
        }
        if let Some((since, differences)) = differs
            && (self.clock)().duration_since(since) > SETTINGS_ARRIVE
        {
            self.broken(format!("G16: {who:?} switched {key}, and has differed since {since}: {differences:?}"));
        }
    }

    /// What an uploader does: whatever was under the key is replaced.
    pub(crate) async fn upload(&self, path: &str, bytes: Bytes) {
        let (key, sha256, since) = (format!("inbox/{path}"), Sha256::of(&bytes), (self.clock)());
        let content = self.content(&bytes);
        let by_the_team = !self.policy.trust.rules.is_empty() && is_signed_by_the_team(&bytes);
        let put = self.memory.put(&key, bytes, &Attributes::default(), PutIf::Always).await;
        assert!(matches!(put, Ok(Outcome::Done(_))), "{put:?}");
        let mut books = self.books();
        books.trace.push(format!("{since} upload {key} {sha256}"));
        books.inbox.insert(key, Upload { sha256, content, since, answered: false });
        books.uploaded.insert(content, since);
        books.by_the_team.extend(by_the_team.then_some(content));
    }

    /// What an uploader does who has thought better of it.
    pub(crate) async fn withdraw(&self, key: &str) {
        let Some(object) = self.memory.head(key).await.unwrap() else { return };
        self.memory.delete(key, &object.etag).await.unwrap();
        let mut books = self.books();
        books.trace.push(format!("{} withdraw {key}", (self.clock)()));
        books.inbox.remove(key);
    }

    /// Keys in the inbox that are work.
    pub(crate) fn inbox(&self) -> Vec<String> {
        self.books().inbox.keys().cloned().collect()
    }

    /// Whether the bytes left a repository less than `within` ago.
    pub(crate) fn left_lately(&self, bytes: &[u8], within: SignedDuration) -> bool {
        let (now, content) = ((self.clock)(), self.content(bytes));
        self.books().gone.iter().any(|((_, left), gone)| *left == content && now.duration_since(gone.at) < within)
    }

    /// The repositories and the paths of their packages, as clients see them.
    pub(crate) fn published(&self) -> BTreeMap<String, Vec<String>> {
        let books = self.books();
        let hrefs = |generations: &Vec<Generation>| {
            generations.last().map(|last| last.packages.keys().cloned().collect()).unwrap_or_default()
        };
        let is_live = |repository: &String| !books.ended.contains_key(repository) && !books.sealed.contains(repository);
        let live = books.generations.iter().filter(|(repository, _)| is_live(repository));
        live.map(|(repository, generations)| (repository.clone(), hrefs(generations))).collect()
    }

    /// The revisions of a repository's generations.
    pub(crate) fn revisions(&self, repository: &str) -> Vec<u64> {
        let books = self.books();
        books.generations.get(repository).into_iter().flatten().map(|generation| generation.revision).collect()
    }

    /// Everything that the newest generations name; and what a reader who came now would have to be
    /// able to fetch for the whole grace period.
    pub(crate) fn held(&self) -> Vec<(String, Option<Sha256>)> {
        let books = self.books();
        let mut held = Vec::new();
        let readable = |repository: &&String| !books.dropped.contains_key(*repository);
        for (repository, generations) in books.generations.iter().filter(|(repository, _)| readable(repository)) {
            let Some(last) = generations.last() else { continue };
            held.extend(last.files.iter().map(|key| (key.clone(), None)));
            held.extend(last.packages.iter().map(|(href, named)| (key_of(repository, href), Some(named.sha256))));
        }
        drop(books);
        held.extend(self.held_by_mirrors().into_iter().map(|key| (key, None)));
        held
    }

    /// Calls that changed something, so far.
    pub(crate) fn writes(&self) -> u64 {
        self.books().writes
    }

    /// What was broken, and everything that happened.
    pub(crate) fn verdict(&self) -> (Vec<String>, Vec<String>) {
        let books = self.books();
        (books.violations.clone(), books.trace.clone())
    }

    /// Notes that a promise was broken.
    pub(crate) fn broken(&self, what: String) {
        self.books().violations.push(what);
    }

    /// Packages that retention should have taken out long ago (G8).
    pub(crate) fn overdue(&self, since: SignedDuration) -> Vec<String> {
        let (books, Some(rule)) = (self.books(), self.policy.retention) else { return Vec::new() };
        let until = (self.clock)().checked_sub(since).unwrap();
        let mut overdue = Vec::new();
        let live = books.generations.iter().filter(|(repository, _)| !books.ended.contains_key(*repository));
        for (repository, generations) in live {
            let Some(last) = generations.last() else { continue };
            let all = last.packages.values().collect::<Vec<_>>();
            let due = last.packages.iter().filter(|(_, named)| may_retire(named, &all, rule, until));
            let due = due.filter(|(_, named)| !self.is_held(repository, named));
            overdue.extend(due.map(|(href, _)| format!("{repository}/{href}")));
        }
        overdue
    }

    /// What of an upload is published: all of it, or, where packages are signed, all but its start.
    fn content(&self, bytes: &[u8]) -> Sha256 {
        match HeaderFile::parse_prefix(bytes) {
            Ok(Parsed::Ready(file)) if self.signs_packages.is_some() => {
                Sha256::of(&bytes[usize::try_from(file.header_start).unwrap()..])
            }
            _ => Sha256::of(bytes),
        }
    }

    /// Whether a package has the signature that it should be published with.
    fn is_signed(&self, bytes: &[u8], pkgid: Sha256) -> bool {
        let Some(keyring) = self.signs_packages.clone() else { return true };
        let mut signed = self.signed.lock().unwrap();
        let Ok(Parsed::Ready(file)) = HeaderFile::parse_prefix(bytes) else { return false };
        // The key was made by the wall's clock, which is none of the story's.
        let now = Timestamp::from_second(4_000_000_000).unwrap();
        let trust = Trust { keyring, only: None, now };
        if !signed.contains(&pkgid) && Verification::begin(&file, trust).finish(false).is_ok() {
            signed.insert(pkgid);
        }
        signed.contains(&pkgid)
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap()
    }

    fn bytes(&self, key: &str) -> Option<Bytes> {
        self.memory.versions(key).pop().flatten().map(|version| version.bytes)
    }

    fn modified(&self, key: &str) -> Option<Timestamp> {
        self.memory.versions(key).pop().flatten().map(|version| version.modified)
    }

    /// Whether a write may go to this key at all (G10).
    fn confined(&self, who: &Who, what: &str, key: &str) {
        let allowed = ["repo/", "quarantine/", ".yrm/"];
        let gives_back = *who == Who::Releasing && what == "copy" && key.starts_with("inbox/");
        let may = gives_back || allowed.iter().any(|prefix| key.starts_with(prefix));
        if !may {
            self.broken(format!("G10: {who:?} wrote outside: {what} {key}"));
        }
    }

    /// Before a put: what is there may not be overwritten (G6), and the truth only conditionally (G4).
    fn before_put(&self, who: &Who, key: &str, condition: &PutIf) {
        self.confined(who, "put", key);
        let swapped = key.ends_with("/repodata/repomd.xml") || key.ends_with(SIGNATURE) || list_of(key).is_some();
        if swapped && *condition == PutIf::Always {
            self.broken(format!("G4: {who:?} switched {key} without a condition"));
        }
        if key.ends_with(SIGNATURE) && self.key.is_none() {
            self.broken(format!("G7: {who:?} put {key}, and signing is off"));
        }
        if key.starts_with("repo/") && key.to_ascii_lowercase().ends_with(".rpm") {
            self.broken(format!("G6: {who:?} put a package instead of copying it: {key}"));
        }
    }

    /// What an operator gave back was uploaded once more.
    fn given_back(&self, key: &str) {
        let (bytes, since) = (self.bytes(key).unwrap_or_default(), (self.clock)());
        let (sha256, content) = (Sha256::of(&bytes), self.content(&bytes));
        let mut books = self.books();
        books.inbox.insert(key.to_owned(), Upload { sha256, content, since, answered: false });
        books.uploaded.insert(content, since);
    }

    fn after_write(&self, who: &Who, what: &str, key: &str) {
        let digest = self.bytes(key).map(|bytes| Sha256::of(&bytes).to_string()[..8].to_owned());
        let line = format!("{} {who:?} {what} {key} {}", (self.clock)(), digest.unwrap_or_default());
        {
            let mut books = self.books();
            books.writes += 1;
            books.trace.push(line);
        }
        if what != "delete" {
            self.no_mirror_has_changed(who, key);
        }
        if what == "copy" && key.starts_with("inbox/") {
            self.given_back(key);
        }
        self.who_is_let_in(who, key);
        if key.starts_with(".yrm/receipts/") && what == "put" {
            self.answered(key);
        }
        if let Some(repository) = list_of(key) {
            match what {
                "delete" => self.unpointed(who, repository),
                _ => self.pointed(who, repository),
            }
        }
        if is_in_a_folder(key) {
            if what == "put"
                && let Some(broken) = self.incomplete_tag(key)
            {
                self.broken(broken);
            }
            return;
        }
        if what == "put"
            && let Some(repository) = key.strip_prefix("repo/").and_then(|key| key.strip_suffix("repodata/repomd.xml"))
        {
            let repository = repository.trim_end_matches('/');
            self.keeps_to_the_layout(who, repository);
            self.switched(who, repository);
            self.laid(who, repository);
        }
        if what == "delete"
            && let Some(repository) = key.strip_prefix("repo/").and_then(|key| key.strip_suffix("repodata/repomd.xml"))
        {
            let at = (self.clock)();
            self.books().dropped.insert(repository.trim_end_matches('/').to_owned(), at);
        }
        if let Some(repository) = key.strip_prefix("repo/").and_then(|key| key.strip_suffix(SIGNATURE)) {
            self.books().signed.insert(repository.trim_end_matches('/').to_owned(), who.clone());
        }
        if let Some((repository, _)) = key.strip_prefix("repo/").and_then(|key| key.split_once("repodata/repomd.xml")) {
            self.time_the_gap(repository.trim_end_matches('/'));
        }
    }

    /// An upload has its receipt. What lies there by now may be another of the same key.
    fn answered(&self, receipt: &str) {
        let bytes = self.bytes(receipt).unwrap_or_default();
        let receipt: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let Some(key) = receipt["published"]["inbox_key"].as_str() else { return };
        let there = self.memory.versions(key).pop().flatten();
        let is_it = there.is_some_and(|there| receipt["published"]["etag"] == there.etag().as_str());
        if let Some(upload) = self.books().inbox.get_mut(key).filter(|_| is_it) {
            upload.answered = true;
        }
    }

    /// A new generation of `repository` is the truth: everything about it.
    fn switched(&self, who: &Who, repository: &str) {
        let generation = match self.read(repository) {
            Ok(generation) => generation,
            Err(why) => return self.broken(format!("G2: {who:?} published {repository:?}: {why}")),
        };
        self.signed_before(who, repository);
        let mut books = self.books();
        let mut broken = Vec::new();
        let history = books.generations.entry(repository.to_owned()).or_default().clone();
        let nothing = BTreeMap::new();
        let before = history.last().map_or(&nothing, |last| &last.packages);
        if history.last().is_some_and(|last| last.revision >= generation.revision) {
            broken.push(format!("G4: the revision of {repository:?} went to {}", generation.revision));
        }
        let left: Vec<(&String, &Named)> =
            before.iter().filter(|(href, named)| generation.packages.get(*href) != Some(named)).collect();
        let came: Vec<(&String, &Named)> =
            generation.packages.iter().filter(|(href, named)| before.get(*href) != Some(named)).collect();
        let all: Vec<&Named> = before.values().chain(came.iter().map(|(_, named)| *named)).collect();
        for (href, named) in &left {
            let wanted = match who {
                Who::Removing { repository: of, hrefs } => of == repository && hrefs.contains(href),
                Who::RollingBack { repository: of, .. } | Who::Deleting { repository: of } => of == repository,
                Who::Releasing => false,
                // Gone from where it was when and only when it is where it is wanted.
                Who::Moving { hrefs } => {
                    hrefs.contains(href) && generation.packages.values().any(|there| there.sha256 == named.sha256)
                }
                // All of it is looked at by `laid`.
                Who::LayingOut => true,
                Who::Manager(_) | Who::Promoting => {
                    let rule = self.policy.retention;
                    rule.is_some_and(|rule| may_retire(named, &all, rule, generation.since))
                        || came.iter().any(|new| {
                            replaces(*new, (href, named))
                                && may_take_the_place_of(new.1, named, self.policy.on_conflict, &books.by_the_team)
                        })
                }
            };
            if !wanted {
                let kin = all.iter().filter(|other| other.nevra.name == named.nevra.name);
                let kin: Vec<String> = kin.map(|kin| format!("{} of {}", kin.nevra, kin.first_published)).collect();
                broken.push(format!(
                    "G1, G4, G8: {who:?} lost {href} of {repository:?} at {}: {kin:?}",
                    generation.since
                ));
            }
        }
        for (href, named) in &came {
            let uploaded = books.uploaded.get(&named.content);
            let gone = books.gone.get(&(repository.to_owned(), named.content)).into_iter();
            let gone = gone.chain(books.gone_anywhere.get(&named.content)).max_by_key(|gone| gone.at);
            let anew = uploaded.is_some_and(|at| gone.is_none_or(|gone| *at >= gone.at || gone.pending));
            let wanted = match who {
                Who::Manager(_) => anew,
                Who::Removing { .. } | Who::Deleting { .. } | Who::Releasing => false,
                Who::RollingBack { revision, .. } => {
                    history.iter().any(|old| old.revision == *revision && old.packages.get(*href) == Some(named))
                }
                Who::Promoting | Who::Moving { .. } => uploaded.is_some(),
                Who::LayingOut => true,
            };
            if !wanted {
                broken.push(format!("G5: {who:?} brought back {href} of {repository:?}"));
            }
        }
        broken.extend(self.against_marks(who, repository, (&left, &came), generation.since));
        if matches!(who, Who::Manager(_) | Who::Promoting | Who::Moving { .. }) {
            broken.extend(came.iter().flat_map(|(href, named)| {
                intrusions((href, named), &generation.packages, &books.by_the_team)
                    .map(|what| format!("{what} in {repository:?}, by {who:?}"))
            }));
        }
        books.dropped.remove(repository);
        let gone: Vec<Sha256> = left.iter().map(|(_, named)| named.content).collect();
        let still: BTreeSet<Sha256> = generation.packages.values().map(|named| named.content).collect();
        let is_moved = *who == Who::LayingOut;
        for content in gone.into_iter().filter(|content| !is_moved && !still.contains(content)) {
            let pending = books.inbox.values().any(|upload| upload.content == content && !upload.answered);
            books.gone.insert((repository.to_owned(), content), Gone { at: generation.since, pending });
        }
        books.generations.entry(repository.to_owned()).or_default().push(generation);
        books.violations.extend(broken);
    }

    /// The generation that clients find now, or what they would trip over (G2).
    fn read(&self, repository: &str) -> Result<Generation, String> {
        let key = key_of(repository, "repodata/repomd.xml");
        let repomd = Repomd::read(&self.bytes(&key).ok_or("no repomd.xml")?).map_err(|error| error.to_string())?;
        let (mut files, mut keys) = (Vec::new(), BTreeSet::new());
        for kind in ["primary", "filelists", "other"] {
            let record = repomd.record(kind).ok_or("a record is missing")?;
            let key = key_of(repository, &record.href);
            let bytes = self.bytes(&key).ok_or_else(|| format!("{key} is not there"))?;
            if record.size != Some(bytes.len() as u64) || record.checksum.as_sha256() != Some(Sha256::of(&bytes)) {
                return Err(format!("{key} is not what repomd.xml says"));
            }
            files.push(bytes);
            keys.insert(key);
        }
        let listed = repodata::read(&files[0], &files[1], &files[2]).map_err(|error| error.to_string())?;
        let mut packages = BTreeMap::new();
        for package in listed {
            let key = key_of(repository, &package.href);
            let bytes = self.bytes(&key).ok_or_else(|| format!("{key} is not there"))?;
            if Sha256::of(&bytes) != package.pkgid {
                return Err(format!("{key} has other bytes"));
            }
            let first_published = self.modified(&key).ok_or("gone")?;
            if !self.is_signed(&bytes, package.pkgid) {
                return Err(format!("{key} has no good signature of ours"));
            }
            let content = self.content(&bytes);
            let named = Named {
                sha256: package.pkgid,
                content,
                nevra: package.nevra,
                first_published,
                stream: stream_of(&bytes),
                is_secure: self.is_secure(repository, &package.href),
                is_signed_by_the_team: !self.policy.trust.rules.is_empty() && is_signed_by_the_team(&bytes),
            };
            if packages.insert(package.href.into_owned(), named).is_some() {
                return Err(format!("{key} is named twice"));
            }
        }
        let revision = repomd.revision.parse().map_err(|_| "a revision that is no number")?;
        Ok(Generation { revision, since: (self.clock)(), packages, files: keys })
    }

    /// Whether the one rule that there may be holds for a package.
    fn is_secure(&self, repository: &str, href: &str) -> bool {
        let path = key_of(repository, href);
        !self.policy.trust.rules.is_empty() && path.starts_with(&format!("repo/{SECURE}/"))
    }
}

/// Whether one package may take the other's place: by its name, or by its path but for the digits of
/// a path of its own.
fn replaces((new_href, new): (&String, &Named), (old_href, old): (&String, &Named)) -> bool {
    let plain = |href: &str| match href.strip_suffix(".rpm").and_then(|stem| stem.rsplit_once('.')) {
        Some((stem, digits)) if digits.len() == 16 => stem.to_owned(),
        _ => href.trim_end_matches(".rpm").to_owned(),
    };
    new.nevra == old.nevra || plain(new_href) == plain(old_href)
}

/// Whether one that came may take the place of one that had its name: as the policy says between those that
/// either folder lets in; never of one whose folder would not let it in; and always of one that its own folder
/// would not let in. An upload is judged as it came, what is published as it is.
fn may_take_the_place_of(new: &Named, old: &Named, on_conflict: OnConflict, by_the_team: &BTreeSet<Sha256>) -> bool {
    if new.is_secure == old.is_secure {
        return on_conflict == OnConflict::Replace;
    }
    let is_let_in = !old.is_secure || by_the_team.contains(&new.content);
    let outranks = new.nevra == old.nevra && new.is_secure && !old.is_signed_by_the_team;
    is_let_in && (on_conflict == OnConflict::Replace || outranks)
}

/// What a package that came must not have done: come into a folder that asks for more, or come beside one of
/// the same name whose folder would not let it in.
fn intrusions(
    (href, came): (&str, &Named),
    packages: &BTreeMap<String, Named>,
    by_the_team: &BTreeSet<Sha256>,
) -> impl Iterator<Item = String> {
    let is_signed = by_the_team.contains(&came.content);
    let unsigned = (came.is_secure && !is_signed).then(|| format!("SIGNED: {href}, which the team has not signed"));
    let is_guarded = |other: &Named| other.is_secure && !came.is_secure && !is_signed;
    let mut twins = packages.iter().filter(|(_, other)| other.nevra == came.nevra && other.content != came.content);
    let beside = twins.find(|(_, other)| is_guarded(other));
    let beside = beside.map(|(other, _)| format!("SIGNED: {href} beside {other}, whose folder would not let it in"));
    unsigned.into_iter().chain(beside)
}

fn is_signed_by_the_team(bytes: &[u8]) -> bool {
    let Ok(Parsed::Ready(file)) = HeaderFile::parse_prefix(bytes) else { return false };
    let keyring = Arc::new(Keyring::parse(team_key().key.armored().unwrap().as_bytes()).unwrap());
    let now = Timestamp::from_second(4_000_000_000).unwrap();
    Verification::begin(&file, Trust { keyring, only: None, now }).finish(false).is_ok()
}

/// The first two words of a package's label.
fn stream_of(bytes: &[u8]) -> Option<String> {
    let Ok(Parsed::Ready(file)) = HeaderFile::parse_prefix(bytes) else { return None };
    let label = String::from_utf8(file.main.text(rpmmd::tag::MODULARITYLABEL)?.to_vec()).unwrap();
    Some(label.split(':').take(2).collect::<Vec<_>>().join(":"))
}

fn key_of(repository: &str, href: &str) -> String {
    if let Some(beside) = href.strip_prefix("../") {
        return key_of(repository.rsplit_once('/').map_or("", |(above, _)| above), beside);
    }
    if repository.is_empty() { format!("repo/{href}") } else { format!("repo/{repository}/{href}") }
}

/// Retention's rule in other words than the product's: N newer versions exist, and it is old.
fn may_retire(named: &Named, all: &[&Named], rule: Retention, now: Timestamp) -> bool {
    let mut newer: Vec<&Named> = Vec::new();
    let kin = |other: &&&Named| {
        let same_name = other.nevra.name == named.nevra.name && other.nevra.arch == named.nevra.arch;
        same_name && other.is_secure == named.is_secure && other.stream == named.stream
    };
    for other in all.iter().filter(kin) {
        let is_newer = other.nevra.evr.vercmp(&named.nevra.evr).is_gt();
        if is_newer && !newer.iter().any(|known| known.nevra.evr.vercmp(&other.nevra.evr).is_eq()) {
            newer.push(other);
        }
    }
    let age = now.duration_since(named.first_published);
    newer.len() >= rule.keep_at_least.max(1) && age >= SignedDuration::try_from(rule.older_than).unwrap()
}
