//! A bucket in memory with its own time, a publisher, and a way to interfere between its calls.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use forge::Rpm;
use futures::FutureExt as _;
use jiff::Timestamp;
use rpmmd::compress::Compression;
use rpmmd::package::Package;
use rpmmd::repodata;
use rpmmd::repomd::Repomd;
use ulid::Ulid;
use yrm::bucket::report::Report;
use yrm::bucket::settings;
use yrm::check::{Depth, Findings, check};
use yrm::config::{Folders, Policy, Repositories};
use yrm::error::{Error, ErrorKind, Result};
use yrm::publish::operations::settings::{Asked, change};
use yrm::publish::settings::own;
use yrm::publish::{Publisher, RunId, Unwatched};
use yrm::store::ProbeRow;
use yrm::store::body::Body;
pub(crate) use yrm::store::fault::Verb as Call;
use yrm::store::fault::{Fate, FaultStore, Turn};
use yrm::store::memory::MemoryStore;
use yrm::store::{
    Abilities, Assembled, Attributes, Copy, ETag, Object, Outcome, Page, PutIf, Read, Reused, Store, Stored,
};

pub(crate) const DAY: Duration = Duration::from_hours(24);

/// What a publisher of these tests goes by.
pub(crate) fn policy() -> Policy {
    Policy {
        folders: Folders::default(),
        repositories: Repositories::Single,
        compression: Compression::Gz,
        retention: None,
        grace: 3 * DAY,
        max_package_bytes: 1 << 30,
        concurrency: 4,
        single_writer: false,
        allow_shrink: false,
        history: std::time::Duration::from_hours(400 * 24),
        on_conflict: yrm::config::OnConflict::Reject,
        trust: yrm::config::Trust::default(),
        mirrors: yrm::config::Mirrors::default(),
        sweep_interval: DAY / 4,
        audit_interval: Duration::from_mins(10),
    }
}

/// A bucket and one publisher of it.
pub(crate) struct World {
    pub(crate) memory: Arc<MemoryStore>,
    pub(crate) hooked: Arc<Hooked>,
    pub(crate) publisher: Publisher,
    clock: Arc<AtomicI64>,
    policy: Policy,
}

impl World {
    pub(crate) fn new(policy: Policy) -> Self {
        // The store's clock; it also gains a second with every write, as times do.
        let clock = Arc::new(AtomicI64::new(1_767_225_600));
        let ticking = Arc::clone(&clock);
        let memory = Arc::new(MemoryStore::with_clock(move || {
            Timestamp::from_second(ticking.fetch_add(1, Ordering::Relaxed)).unwrap()
        }));
        let hooked = Arc::new(Hooked::new(&memory));
        let publisher = Publisher::new(Arc::clone(&hooked) as Arc<dyn Store>, policy.clone()).unwrap();
        Self { memory, hooked, publisher, clock, policy }
    }

    /// Another publisher of the same bucket, with an empty memory.
    pub(crate) fn another(&self) -> Publisher {
        Publisher::new(Arc::clone(&self.memory) as Arc<dyn Store>, self.policy.clone()).unwrap()
    }

    /// One that goes by this.
    pub(crate) fn another_by(&self, policy: Policy) -> Publisher {
        Publisher::new(Arc::clone(&self.memory) as Arc<dyn Store>, policy).unwrap()
    }

    /// The same bucket after a restart.
    pub(crate) fn restart(&mut self) {
        self.publisher = Publisher::new(Arc::clone(&self.hooked) as Arc<dyn Store>, self.policy.clone()).unwrap();
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_second(self.clock.load(Ordering::Relaxed)).unwrap()
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.clock.fetch_add(i64::try_from(by.as_secs()).unwrap(), Ordering::Relaxed);
    }

    /// What an uploader does.
    pub(crate) async fn drop_bytes(&self, path: &str, bytes: impl Into<Bytes>) -> ETag {
        put(self.memory.as_ref(), &format!("inbox/{path}"), bytes).await
    }

    pub(crate) async fn drop_rpm(&self, path: &str, rpm: &Rpm) -> ETag {
        self.drop_bytes(path, rpm.build()).await
    }

    pub(crate) async fn run(&self) -> Report {
        self.run_by(&self.publisher).await
    }

    /// A run of this publisher. If it goes by others than the bucket's settings, an operator has changed these before.
    pub(crate) async fn run_by(&self, publisher: &Publisher) -> Report {
        let stored = settings::load(self.memory.as_ref()).await.unwrap();
        if stored.is_some_and(|stored| !stored.shape.differences(&own(publisher.bucket())).is_empty()) {
            settle_for(self.memory.as_ref(), publisher).await;
        }
        let run = RunId { id: Ulid::new(), started: self.now() };
        publisher.run(run, &Unwatched).await.unwrap()
    }

    pub(crate) fn inbox(&self) -> Vec<String> {
        self.memory.keys().into_iter().filter(|key| key.starts_with("inbox/")).collect()
    }

    /// What the keys of the repository at `dir` begin with.
    pub(crate) fn folder(&self, dir: &str) -> String {
        self.policy.folders.repo_prefix() + dir
    }

    /// The packages a client sees in the repository at `dir` (`""`, or `el9/`).
    pub(crate) async fn packages(&self, dir: &str) -> Vec<Package<'static>> {
        let folder = self.folder(dir);
        let repomd = self.bytes(&format!("{folder}repodata/repomd.xml")).await.unwrap();
        let repomd = Repomd::read(&repomd).unwrap();
        let mut files = Vec::new();
        for kind in ["primary", "filelists", "other"] {
            let href = &repomd.record(kind).unwrap().href;
            files.push(self.bytes(&format!("{folder}{href}")).await.unwrap());
        }
        repodata::read(&files[0], &files[1], &files[2]).unwrap()
    }

    pub(crate) async fn hrefs(&self, dir: &str) -> Vec<String> {
        self.packages(dir).await.into_iter().map(|package| package.href.into_owned()).collect()
    }

    pub(crate) async fn bytes(&self, key: &str) -> Option<Bytes> {
        self.memory.get(key, None).await.unwrap().map(|read| read.bytes)
    }

    pub(crate) async fn remove(&self, key: &str) {
        let object = self.memory.head(key).await.unwrap().expect("the key exists");
        self.memory.delete(key, &object.etag).await.unwrap();
    }

    /// Everything a client could trip over, the packages' bytes included.
    pub(crate) async fn check(&self) -> Findings {
        check(self.publisher.bucket(), Depth::Deep).await.unwrap()
    }

    pub(crate) async fn assert_clean(&self) {
        let findings = self.check().await;
        assert!(findings.clean(), "{findings:#?}");
    }
}

/// What an operator does who lets the bucket say what this publisher goes by.
pub(crate) async fn settle_for(store: &dyn Store, publisher: &Publisher) {
    let stored = settings::load(store).await.unwrap();
    let asked = Asked { id: Ulid::new(), at: Timestamp::UNIX_EPOCH, by: Some("the operator"), reason: None };
    change(store, stored.as_ref(), own(publisher.bucket()), asked).await.unwrap();
}

/// A small package.
pub(crate) fn rpm(name: &str, version: &str) -> Rpm {
    Rpm::new(name, version, "1", "noarch").summary(format!("The {name} of the tests"))
}

pub(crate) async fn put(store: &dyn Store, key: &str, bytes: impl Into<Bytes>) -> ETag {
    match store.put(key, bytes.into(), &Attributes::default(), PutIf::Always).await.unwrap() {
        Outcome::Done(stored) => stored.etag,
        other => panic!("putting {key}: {other:?}"),
    }
}

/// What happens at a call, once.
pub(crate) enum Effect {
    /// Something else happens first.
    Before(Box<dyn FnOnce(Arc<MemoryStore>) -> futures::future::BoxFuture<'static, ()> + Send>),
    /// It applies, and the answer is lost.
    LoseReply,
    /// It does not apply, and nobody knows.
    LoseRequest,
    /// The store refuses (403).
    Refuse,
    /// The object is in an archive.
    Archive,
    /// It never returns: the process dies here.
    Die,
}

/// A store between whose calls others act.
#[derive(Debug)]
pub(crate) struct Hooked {
    store: FaultStore,
    memory: Arc<MemoryStore>,
    /// Copies whatever is there, as several servers do.
    pub(crate) copies_blindly: AtomicBool,
    /// Refuses every delete in the inbox, as a bucket policy may.
    pub(crate) keeps_uploads: AtomicBool,
    hooks: Hooks,
    /// The keys of all gets, and whether only a range was asked for.
    gets: Mutex<Vec<(String, bool)>>,
}

/// What is still to happen: at which call, to which keys.
#[derive(Clone, Default)]
struct Hooks(Arc<Mutex<Vec<(Call, String, Effect)>>>);

impl std::fmt::Debug for Hooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hooks")
    }
}

impl Hooks {
    /// The first effect that waits for this call.
    fn turn(&self, memory: &Arc<MemoryStore>, verb: Call, key: &str) -> Turn {
        let mut hooks = self.0.lock().unwrap();
        let Some(found) = hooks.iter().position(|(at, part, _)| *at == verb && key.contains(part.as_str())) else {
            return Turn::default();
        };
        match hooks.remove(found).2 {
            Effect::Before(act) => Turn { before: Some(act(Arc::clone(memory))), ..Turn::default() },
            Effect::LoseReply => Fate::Unanswered.into(),
            Effect::LoseRequest => Fate::Lost.into(),
            Effect::Refuse => Fate::Refused.into(),
            Effect::Archive => Fate::Archived.into(),
            Effect::Die => Fate::DiesBefore.into(),
        }
    }
}

impl Hooked {
    fn new(memory: &Arc<MemoryStore>) -> Self {
        let (hooks, below) = (Hooks::default(), Arc::clone(memory));
        let script = {
            let hooks = hooks.clone();
            move |call: yrm::store::fault::Call<'_>| hooks.turn(&below, call.verb, call.key)
        };
        let store = FaultStore::new(Arc::clone(memory) as Arc<dyn Store>, 1, script);
        Self {
            store,
            memory: Arc::clone(memory),
            copies_blindly: AtomicBool::new(false),
            keeps_uploads: AtomicBool::new(false),
            hooks,
            gets: Mutex::default(),
        }
    }

    /// At the next `call` whose key contains `part`.
    pub(crate) fn at(&self, call: Call, part: &str, effect: Effect) {
        self.hooks.0.lock().unwrap().push((call, part.to_owned(), effect));
    }

    /// At the next such call another one publishes `c.rpm` first.
    pub(crate) fn another_publishes_at(&self, call: Call, part: &str, (other, now): (Publisher, Timestamp)) {
        let publish = move |memory: Arc<MemoryStore>| {
            async move {
                put(memory.as_ref(), "inbox/c.rpm", rpm("c", "1").build()).await;
                other.run(RunId { id: Ulid::new(), started: now }, &Unwatched).await.unwrap();
            }
            .boxed()
        };
        self.at(call, part, Effect::Before(Box::new(publish)));
    }

    /// All hooks have happened.
    pub(crate) fn all_happened(&self) -> bool {
        self.hooks.0.lock().unwrap().is_empty()
    }

    /// All gets so far: their keys, and whether only a range was asked for.
    pub(crate) fn gets(&self) -> Vec<(String, bool)> {
        self.gets.lock().unwrap().clone()
    }
}

#[async_trait]
impl Store for Hooked {
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page> {
        self.store.list(prefix, after).await
    }

    async fn head(&self, key: &str) -> Result<Option<Object>> {
        self.store.head(key).await
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<Read>> {
        self.gets.lock().unwrap().push((key.to_owned(), range.is_some()));
        self.store.get(key, range).await
    }

    async fn put(&self, key: &str, bytes: Bytes, attributes: &Attributes, condition: PutIf) -> Result<Outcome<Stored>> {
        self.store.put(key, bytes, attributes, condition).await
    }

    async fn put_file(&self, key: &str, file: &Path, attributes: &Attributes) -> Result<Stored> {
        self.store.put_file(key, file, attributes).await
    }

    async fn assemble(
        &self,
        key: &str,
        body: &Body,
        reused: &[Reused<'_>],
        attributes: &Attributes,
        condition: PutIf,
    ) -> Result<Outcome<Assembled>> {
        self.store.assemble(key, body, reused, attributes, condition).await
    }

    async fn open_local(&self, key: &str) -> Result<Option<File>> {
        self.store.open_local(key).await
    }

    fn scratch(&self) -> Option<PathBuf> {
        self.store.scratch()
    }

    async fn copy(&self, copy: Copy<'_>) -> Result<Outcome<Stored>> {
        if self.copies_blindly.load(Ordering::Relaxed) {
            let source = self.memory.head(&copy.source.key).await?.expect("it is replaced and never deleted");
            return self.store.copy(Copy { source: &source, ..copy }).await;
        }
        self.store.copy(copy).await
    }

    async fn delete(&self, key: &str, if_match: &ETag) -> Result<Outcome<()>> {
        if self.keeps_uploads.load(Ordering::Relaxed) && key.starts_with("inbox/") {
            return Err(Error::new(ErrorKind::Denied, format!("deleting {key:?}")));
        }
        self.store.delete(key, if_match).await
    }

    async fn delete_hindrance(&self, key: &str) -> Result<Option<String>> {
        self.store.delete_hindrance(key).await
    }

    async fn examine(&self, folders: &Folders) -> Result<Vec<ProbeRow>> {
        self.store.examine(folders).await
    }

    fn jitter(&self) -> f64 {
        self.store.jitter()
    }

    fn abilities(&self) -> Option<Abilities> {
        let conditional_copy = !self.copies_blindly.load(Ordering::Relaxed);
        Some(Abilities { conditional_copy, copy_sha256: conditional_copy, ..Abilities::ALL })
    }

    fn uploads_are_atomic(&self) -> bool {
        self.store.uploads_are_atomic()
    }
}
