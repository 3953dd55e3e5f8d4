//! What every story plays in: a judged bucket, its time, packages to drop, and publishers that meet
//! what a script says.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use forge::{Rpm, Value};
use jiff::{SignedDuration, Timestamp};
use rpmmd::compress::Compression;
use rpmmd::header::{HeaderFile, HeaderSignature, Parsed};
use tokio::time::Instant;
use ulid::Ulid;
use yrm::bucket::report::Report;
use yrm::bucket::settings;
use yrm::check::{Depth, check};
use yrm::config::shape::Change;
use yrm::config::{Folders, KeyringPlace, Level, Mirrors, OnConflict, Policy, Repositories, Retention, Rule};
use yrm::config::{SignPackages, SignWith, Trust};
use yrm::openpgp::key::{Algorithm, Made, SecretKey, generate};
use yrm::openpgp::sign::Signer;
use yrm::publish::operations::settings::Asked;
use yrm::publish::settings::own;
use yrm::publish::{Publisher, RunId, Unwatched, operations};
use yrm::store::fault::{FaultStore, Script};
use yrm::store::memory::MemoryStore;
use yrm::store::{Attributes, PutIf, Store};

use super::judge::mirrors::PUBLIC_URL;
use super::judge::{Judge, Seat, Who};
use super::rooted::Rooted;
use super::stories::Story;

/// When the story begins, by the store's clock: long after now. The keys' signatures on themselves are made by
/// the wall's clock, and have to count in the story.
const FIRST_SECOND: i64 = 4_000_000_000;
/// When the keys are made.
const KEY_SECOND: i64 = 1_767_225_599;

/// The publisher that may have other settings.
pub(crate) const OTHER: usize = 2;

pub(crate) const MINUTE: Duration = Duration::from_mins(1);
pub(crate) const HOUR: Duration = Duration::from_hours(1);
pub(crate) const GRACE: Duration = Duration::from_hours(6);
/// Younger packages are never retired.
pub(crate) const RETIRED_AFTER: Duration = Duration::from_hours(2);

/// By the story, how it signs, and whether the repository is the bucket's root.
type Prepared = HashMap<(Story, Signing, bool), (Rc<World>, Duration)>;

thread_local! {
    /// Whether the repository of this thread's stories is the bucket's root.
    pub(crate) static AT_ROOT: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    /// When this thread's story began, in its own time.
    static BEGAN: std::cell::Cell<Option<Instant>> = const { std::cell::Cell::new(None) };
    /// Buckets as stories find them, and how long it took to get there.
    static PREPARED: RefCell<Prepared> = RefCell::default();
}

/// The store's clock: whole seconds, as S3 tells them.
pub(crate) fn store_clock() -> Timestamp {
    let began = BEGAN.get().expect("the story has begun");
    Timestamp::from_second(FIRST_SECOND + i64::try_from(began.elapsed().as_secs()).unwrap()).unwrap()
}

/// The rules of most stories.
pub(crate) fn policy() -> Policy {
    Policy {
        folders: Folders::default(),
        repositories: Repositories::Single,
        compression: Compression::Gz,
        retention: None,
        grace: GRACE,
        max_package_bytes: 1 << 30,
        concurrency: 4,
        single_writer: false,
        allow_shrink: false,
        history: std::time::Duration::from_hours(400 * 24),
        on_conflict: OnConflict::Reject,
        trust: Trust::default(),
        mirrors: Mirrors::default(),
        sweep_interval: HOUR,
        audit_interval: HOUR,
    }
}

/// The same with retention.
pub(crate) fn retaining() -> Policy {
    let retention = Some(Retention { keep_at_least: 1, older_than: RETIRED_AFTER });
    Policy { retention, allow_shrink: true, ..policy() }
}

/// The folder for which a rule holds where there are two.
pub(crate) const SECURE: &str = "secure";
/// Where the keys of those lie who may publish there.
const KEYS: &str = "keys";

/// The same policy; in one folder packages must be signed by the team.
pub(crate) fn two_rules(policy: Policy) -> Policy {
    let signatures = Some(Level::Require);
    let rules = vec![Rule { folders: vec![SECURE.to_owned()], signatures, ..Rule::default() }];
    let keyrings = vec![KeyringPlace::Bucket(KEYS.to_owned())];
    Policy { trust: Trust { keyrings, rules, ..Trust::default() }, ..policy }
}

/// Replaces, prunes, and has two rules: all by which one folder could decide for another.
pub(crate) fn two_rules_and_all_that_removes() -> Policy {
    Policy { on_conflict: OnConflict::Replace, ..two_rules(retaining()) }
}

/// What is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Signing {
    Off,
    /// Metadata.
    On,
    /// Metadata, and every package before it is published.
    Packages,
    /// Metadata, and every generation has a folder of its own too.
    Mirrored,
}

impl Signing {
    pub(crate) const ALL: [Self; 4] = [Self::Off, Self::On, Self::Packages, Self::Mirrored];

    fn is_on(self) -> bool {
        self != Self::Off
    }
}

/// The key of all stories: made once a process, for its bytes do not matter.
fn signing_key() -> &'static Made {
    static MADE: LazyLock<Made> = LazyLock::new(|| made("the stories"));
    &MADE
}

/// The key of the team that may publish in [`SECURE`].
pub(crate) fn team_key() -> &'static Made {
    static MADE: LazyLock<Made> = LazyLock::new(|| made("the team"));
    &MADE
}

fn made(by: &str) -> Made {
    let before_all = Timestamp::from_second(KEY_SECOND).unwrap();
    generate(Algorithm::Ed25519, by, before_all, None).unwrap()
}

fn signer_with(key: &Made) -> Signer {
    let key = SecretKey::read(key.secret.as_bytes(), None).unwrap();
    Signer::new(vec![key], SignWith::First, "stories".to_owned()).unwrap()
}

pub(crate) fn signer() -> Signer {
    signer_with(signing_key())
}

/// The package, signed by the team.
pub(crate) async fn signed_by_the_team(rpm: &Rpm) -> Bytes {
    let bytes = rpm.build();
    let Ok(Parsed::Ready(file)) = HeaderFile::parse_prefix(&bytes) else { panic!("a package that forge made") };
    let (signer, now) = (signer_with(team_key()), Timestamp::from_second(FIRST_SECOND).unwrap());
    let draft = signer.begin_package(file.main.as_bytes(), now, now).unwrap();
    let signature = signer.finish_package(draft).await.unwrap();
    let start = file.start_with_signature(HeaderSignature::Other(&signature.packet)).unwrap();
    [&start, &bytes[usize::try_from(file.header_start).unwrap()..]].concat().into()
}

/// A story's bucket.
pub(crate) struct World {
    pub(crate) judge: Arc<Judge>,
    pub(crate) policy: Policy,
    pub(crate) signing: Signing,
    mirrors_off: AtomicBool,
    /// What the publisher [`OTHER`] goes by, if not by the same.
    pub(crate) other: Option<Policy>,
    runs: AtomicU64,
    seed: u64,
}

impl World {
    /// A new bucket; time begins. Needs a runtime of one thread whose clock is paused.
    pub(crate) fn new(policy: Policy, signing: Signing, seed: u64) -> Self {
        BEGAN.set(Some(Instant::now()));
        let key = signing.is_on().then(|| signing_key().key.clone());
        let is_mirrored = signing == Signing::Mirrored;
        let name = is_mirrored.then(|| "ours".to_owned());
        let mirrors = Mirrors { on: is_mirrored, public_urls: vec![PUBLIC_URL.to_owned()], name };
        let mut policy = Policy { mirrors, ..policy };
        if signing == Signing::Packages {
            policy.trust.sign_packages = SignPackages::Always;
        }
        let mirrors_off = AtomicBool::new(false);
        Self {
            mirrors_off,
            other: None,
            judge: Judge::new(policy.clone(), key, store_clock),
            policy,
            signing,
            runs: AtomicU64::new(0),
            seed,
        }
    }

    /// The same bucket once more, in a runtime of its own in which as much time has passed.
    async fn fork(&self, elapsed: Duration) -> Self {
        BEGAN.set(Some(Instant::now()));
        tokio::time::sleep(elapsed).await;
        Self {
            judge: self.judge.fork(),
            policy: self.policy.clone(),
            signing: self.signing,
            mirrors_off: AtomicBool::new(self.mirrors_off.load(Ordering::Relaxed)),
            other: self.other.clone(),
            runs: AtomicU64::new(self.runs.load(Ordering::Relaxed)),
            seed: self.seed,
        }
    }

    /// A story's bucket, prepared. That takes longer than most stories and is always the same, so a thread does it once.
    pub(crate) async fn of(story: Story, signing: Signing) -> Self {
        let which = (story, signing, AT_ROOT.get());
        let prepared = PREPARED.with_borrow(|prepared| prepared.get(&which).cloned());
        if let Some((world, elapsed)) = prepared {
            return world.fork(elapsed).await;
        }
        let world = Self::new(story.policy(), signing, 1);
        story.prepare(&world).await;
        let elapsed = BEGAN.get().expect("the story has begun").elapsed();
        let kept = Rc::new(world);
        PREPARED.with_borrow_mut(|prepared| prepared.insert(which, (Rc::clone(&kept), elapsed)));
        kept.fork(elapsed).await
    }

    /// A publisher that meets what `script` says.
    pub(crate) fn publisher(&self, who: Who, script: impl Script + 'static) -> (Publisher, Arc<FaultStore>) {
        let (publisher, store, _) = self.started(who, script);
        (publisher, store)
    }

    /// The same, and the judge's place between it and the bucket.
    pub(crate) fn seated(&self, who: Who, script: impl Script + 'static) -> (Publisher, Arc<Seat>) {
        let (publisher, _, seat) = self.started(who, script);
        (publisher, seat)
    }

    fn started(&self, who: Who, script: impl Script + 'static) -> (Publisher, Arc<FaultStore>, Arc<Seat>) {
        let number = self.runs.fetch_add(1, Ordering::Relaxed);
        let is_other = who == Who::Manager(OTHER);
        let seat = self.judge.seat(who);
        let store = Arc::new(FaultStore::new(Arc::clone(&seat) as _, self.seed ^ (number << 32), script));
        let other = self.other.as_ref().filter(|_| is_other);
        let mut policy = other.unwrap_or(&self.policy).clone();
        if let Some(layout) = self.judge.layout().filter(|_| other.is_none()) {
            policy.repositories = layout;
        }
        policy.mirrors.on &= !self.mirrors_off.load(Ordering::Relaxed);
        let mut seen: Arc<dyn Store> = Arc::clone(&store) as _;
        if AT_ROOT.get() {
            policy.folders.repo.clear();
            seen = Arc::new(Rooted(seen));
        }
        let publisher = Publisher::new(seen, policy).unwrap();
        let publisher = publisher.with_signer((self.signing.is_on() && other.is_none()).then(signer));
        seat.goes_by(own(publisher.bucket()));
        (publisher.sharing(self.shares()), store, seat)
    }

    /// Whether the publishers of this story share by leases.
    fn shares(&self) -> bool {
        self.seed % 8 >= 4
    }

    /// Publishers that start from now on are not in mirrorlist mode, as the bucket says from now on.
    pub(crate) async fn turn_mirrors_off(&self) {
        self.mirrors_off.store(true, Ordering::Relaxed);
        self.judge.mirrors_are_off();
        if self.policy.mirrors.on {
            self.set("mirrorlist", "false").await;
        }
    }

    /// What an operator does who changes the bucket's settings.
    pub(crate) async fn set(&self, key: &str, value: &str) {
        let (store, run) = (self.judge.memory.as_ref(), self.run_id(SignedDuration::ZERO));
        let Some(stored) = settings::load(store).await.unwrap() else { return };
        let change = Change { key: key.to_owned(), value: Some(value.to_owned()), folder: None };
        let after = stored.shape.changed(&change).unwrap();
        let asked = Asked { id: run.id, at: run.started, by: Some("the operator"), reason: None };
        operations::settings::change(store, Some(&stored), after, asked).await.unwrap();
    }

    /// A publisher that meets nothing.
    pub(crate) fn calm(&self, who: Who) -> Publisher {
        self.publisher(who, |_: yrm::store::fault::Call<'_>| yrm::store::fault::Turn::default()).0
    }

    /// What a publisher does that finds another layout in the bucket: it goes by that.
    pub(crate) fn takes_over_the_layout(&self, publisher: &Publisher, seat: &Seat) -> Publisher {
        let repositories = self.judge.layout().unwrap_or_else(|| self.policy.repositories.clone());
        let policy = Policy { repositories, ..self.policy.clone() };
        let after = publisher.going_by(policy, self.signing.is_on().then(signer)).unwrap();
        seat.goes_by(own(after.bucket()));
        after
    }

    /// The next run, whose starter's clock is `ahead` of the store's.
    pub(crate) fn run_id(&self, ahead: SignedDuration) -> RunId {
        let started = store_clock() + ahead;
        let number = self.runs.fetch_add(1, Ordering::Relaxed);
        let id = Ulid::from_parts(
            u64::try_from(started.as_millisecond()).unwrap(),
            u128::from(self.seed) << 16 | u128::from(number),
        );
        RunId { id, started }
    }

    pub(crate) async fn run_by(&self, publisher: &Publisher) -> yrm::error::Result<Report> {
        publisher.run(self.run_id(SignedDuration::ZERO), &Unwatched).await
    }

    pub(crate) async fn drop_rpm(&self, path: &str, rpm: &Rpm) {
        self.judge.upload(path, rpm.build().into()).await;
    }

    /// Puts the team's key where publishers look for it.
    pub(crate) async fn publish_team_key(&self) {
        let key = Bytes::from(team_key().key.armored().unwrap());
        self.judge.memory.put(&format!("{KEYS}/team.asc"), key, &Attributes::default(), PutIf::Always).await.unwrap();
    }

    pub(crate) async fn drop_signed(&self, path: &str, rpm: &Rpm) {
        self.judge.upload(path, signed_by_the_team(rpm).await).await;
    }

    pub(crate) async fn drop_bytes(&self, path: &str, bytes: &'static str) {
        self.judge.upload(path, Bytes::from_static(bytes.as_bytes())).await;
    }

    /// What is published: paths in the one repository, or below each of several.
    pub(crate) fn hrefs(&self) -> Vec<String> {
        let below = |repository: &str, href: String| match repository {
            "" => href,
            repository => format!("{repository}/{href}"),
        };
        let published = self.judge.published().into_iter();
        published.flat_map(|(repository, hrefs)| hrefs.into_iter().map(move |href| below(&repository, href))).collect()
    }

    /// Publishes these in a bucket that nobody judges: what is there then may be put where it is to be found.
    pub(crate) async fn made_elsewhere(&self, packages: &[(&str, Rpm)]) -> Arc<MemoryStore> {
        let memory = Arc::new(MemoryStore::with_clock(store_clock));
        for (path, package) in packages {
            let (key, bytes) = (format!("inbox/{path}"), package.build());
            memory.put(&key, bytes.into(), &Attributes::default(), PutIf::Always).await.unwrap();
        }
        let publisher = Publisher::new(Arc::clone(&memory) as _, self.policy.clone()).unwrap();
        self.run_by(&publisher.with_signer(self.signing.is_on().then(signer))).await.unwrap();
        memory
    }

    /// After the faults: two good runs publish what is left (G12), a third writes nothing (G9), and
    /// what clients see is whole.
    pub(crate) async fn heal(&self, what: &str) {
        let publisher = self.calm(Who::Manager(9));
        let mut waiting = Vec::new();
        for _ in 0..2 {
            // Whoever held a lease and is no more has held it long enough then.
            if self.shares() {
                tokio::time::sleep(MINUTE).await;
            }
            let report = self.run_by(&publisher).await.unwrap();
            if !report.errors.is_empty() {
                self.judge.broken(format!("G12: {what}: {:?}", report.errors));
            }
            waiting = report.waiting;
        }
        if !self.judge.inbox().is_empty() {
            self.judge.broken(format!("G12: {what}: left in the inbox: {:?}, {waiting:?}", self.judge.inbox()));
        }
        let writes = self.judge.writes();
        self.run_by(&publisher).await.unwrap();
        if self.judge.writes() != writes {
            self.judge.broken(format!("G9: {what}: an idle run wrote"));
        }
        let findings = check(publisher.bucket(), Depth::Deep).await.unwrap();
        if !findings.clean() {
            self.judge.broken(format!("G2, G7: {what}: {findings:?}"));
        }
        self.judge.at_rest(what);
    }

    /// Panics when the judge has seen a promise broken.
    pub(crate) fn assert_kept(&self, what: &str) {
        let (violations, trace) = self.judge.verdict();
        if !violations.is_empty() {
            let tail: Vec<&String> = trace.iter().rev().take(60).rev().collect();
            panic!("{what}:\n{}\nthe last writes:\n{tail:#?}", violations.join("\n"));
        }
    }
}

/// The same of a module.
pub(crate) fn modular(name: &str, version: &str, label: &str) -> Rpm {
    rpm(name, version, 0).tag(MODULARITYLABEL, Value::Text(label.into()))
}

/// RPM's number of the tag.
const MODULARITYLABEL: u32 = 5096;

/// A small package. `build` makes other bytes of the same name.
pub(crate) fn rpm(name: &str, version: &str, build: u32) -> Rpm {
    Rpm::new(name, version, "1", "noarch").build_time(1_700_000_000 + build)
}
