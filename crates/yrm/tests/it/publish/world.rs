//! A bucket in memory with its own time, a publisher, and a way to interfere between its calls.

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use forge::Rpm;
use jiff::Timestamp;
use rpmmd::compress::Compression;
use rpmmd::package::Package;
use rpmmd::repodata;
use rpmmd::repomd::Repomd;
use ulid::Ulid;
use yrm::check::{Depth, Findings, check};
use yrm::config::{Folders, Policy, Repositories};
use yrm::error::{Error, ErrorKind, Result};
use yrm::publish::report::Report;
use yrm::publish::{Publisher, RunId, Unwatched};
use yrm::store::memory::MemoryStore;
use yrm::store::{Abilities, Attributes, Copy, ETag, Object, Outcome, Page, PutIf, Read, Store, Stored};

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
        sweep_interval: DAY / 4,
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
        let hooked = Arc::new(Hooked {
            inner: Arc::clone(&memory),
            copies_blindly: AtomicBool::new(false),
            hooks: Mutex::default(),
            calls: AtomicUsize::new(0),
            trouble: Mutex::default(),
            shuffle: Mutex::default(),
            gets: Mutex::default(),
        });
        let publisher = Publisher::new(Arc::clone(&hooked) as Arc<dyn Store>, policy.clone()).unwrap();
        Self { memory, hooked, publisher, clock, policy }
    }

    /// Another publisher of the same bucket, with an empty memory.
    pub(crate) fn another(&self) -> Publisher {
        Publisher::new(Arc::clone(&self.memory) as Arc<dyn Store>, self.policy.clone()).unwrap()
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

    pub(crate) async fn run_by(&self, publisher: &Publisher) -> Report {
        let run = RunId { id: Ulid::new(), started: self.now() };
        publisher.run(run, &Unwatched).await.unwrap()
    }

    pub(crate) fn inbox(&self) -> Vec<String> {
        self.memory.keys().into_iter().filter(|key| key.starts_with("inbox/")).collect()
    }

    /// The packages a client sees in the repository at `dir` (`""`, or `el9/`).
    pub(crate) async fn packages(&self, dir: &str) -> Vec<Package<'static>> {
        let folder = format!("repo/{dir}");
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

/// A kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    List,
    Head,
    Get,
    Put,
    Copy,
    Delete,
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
    /// It never returns: the process dies here.
    Die,
}

/// A store between whose calls others act.
pub(crate) struct Hooked {
    inner: Arc<MemoryStore>,
    /// Copies whatever is there, as several servers do.
    pub(crate) copies_blindly: AtomicBool,
    hooks: Mutex<Vec<(Call, String, Effect)>>,
    /// Calls so far, and what happens at which of them.
    calls: AtomicUsize,
    trouble: Mutex<Option<(usize, Trouble)>>,
    /// How others' calls get in between: by this state of a random sequence.
    shuffle: Mutex<Option<u64>>,
    /// The keys of all gets, and whether only a range was asked for.
    gets: Mutex<Vec<(String, bool)>>,
}

/// What happens at the call with a certain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The process dies before it.
    DieBefore,
    /// The process dies after it has applied and before it is answered.
    DieAfter,
    /// It fails without having applied.
    FailBefore,
    /// It applies, and the answer is lost.
    FailAfter,
}

impl std::fmt::Debug for Hooked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hooked")
    }
}

enum Fate {
    Goes,
    LosesReply,
    LosesRequest,
    AppliesAndDies,
}

impl Hooked {
    /// At the next `call` whose key contains `part`.
    pub(crate) fn at(&self, call: Call, part: &str, effect: Effect) {
        self.hooks.lock().unwrap().push((call, part.to_owned(), effect));
    }

    /// All hooks have happened.
    pub(crate) fn all_happened(&self) -> bool {
        self.hooks.lock().unwrap().is_empty()
    }

    /// Trouble at the call with this number.
    pub(crate) fn trouble_at(&self, call: usize, trouble: Trouble) {
        *self.trouble.lock().unwrap() = Some((call, trouble));
    }

    /// Whether the trouble has been met. There is none any more.
    pub(crate) fn end_trouble(&self) -> bool {
        let calls = self.calls.load(Ordering::Relaxed);
        self.trouble.lock().unwrap().take().is_some_and(|(at, _)| at < calls)
    }

    /// All gets so far: their keys, and whether only a range was asked for.
    pub(crate) fn gets(&self) -> Vec<(String, bool)> {
        self.gets.lock().unwrap().clone()
    }

    /// From now on each call waits its random turn.
    pub(crate) fn shuffle(&self, seed: u64) {
        *self.shuffle.lock().unwrap() = Some(seed);
    }

    async fn interleave(&self) {
        let turns = {
            let mut state = self.shuffle.lock().unwrap();
            let Some(state) = state.as_mut() else { return };
            // A linear congruential generator: the upper bits are random enough.
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (*state >> 33) % 8
        };
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
    }

    async fn fate(&self, call: Call, key: &str) -> Result<Fate> {
        let effect = {
            let mut hooks = self.hooks.lock().unwrap();
            let found = hooks.iter().position(|(at, part, _)| *at == call && key.contains(part.as_str()));
            found.map(|at| hooks.remove(at).2)
        };
        self.interleave().await;
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let trouble = *self.trouble.lock().unwrap();
        if let Some((at, trouble)) = trouble.filter(|(at, _)| *at == number) {
            assert_eq!(at, number);
            let reads = matches!(call, Call::List | Call::Head | Call::Get);
            return match trouble {
                Trouble::DieBefore => std::future::pending().await,
                Trouble::DieAfter if reads => std::future::pending().await,
                Trouble::DieAfter => Ok(Fate::AppliesAndDies),
                Trouble::FailBefore | Trouble::FailAfter if reads => Err(lost()),
                Trouble::FailBefore => Ok(Fate::LosesRequest),
                Trouble::FailAfter => Ok(Fate::LosesReply),
            };
        }
        match effect {
            None => Ok(Fate::Goes),
            Some(Effect::Before(act)) => {
                act(Arc::clone(&self.inner)).await;
                Ok(Fate::Goes)
            }
            Some(Effect::LoseReply) => Ok(Fate::LosesReply),
            Some(Effect::LoseRequest) => Ok(Fate::LosesRequest),
            Some(Effect::Refuse) => Err(Error::new(ErrorKind::Denied, format!("calling for {key}"))),
            Some(Effect::Die) => std::future::pending().await,
        }
    }
}

fn lost() -> Error {
    Error::new(ErrorKind::Unavailable, "waiting for the answer")
}

async fn fated<T>(fate: Fate, call: impl Future<Output = Result<Outcome<T>>> + Send) -> Result<Outcome<T>> {
    match fate {
        Fate::Goes => call.await,
        Fate::LosesReply => {
            call.await?;
            Ok(Outcome::Ambiguous(lost()))
        }
        Fate::LosesRequest => Ok(Outcome::Ambiguous(lost())),
        Fate::AppliesAndDies => {
            call.await?;
            std::future::pending().await
        }
    }
}

#[async_trait]
impl Store for Hooked {
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page> {
        self.fate(Call::List, prefix).await?;
        self.inner.list(prefix, after).await
    }

    async fn head(&self, key: &str) -> Result<Option<Object>> {
        self.fate(Call::Head, key).await?;
        self.inner.head(key).await
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<Read>> {
        self.gets.lock().unwrap().push((key.to_owned(), range.is_some()));
        self.fate(Call::Get, key).await?;
        self.inner.get(key, range).await
    }

    async fn put(&self, key: &str, bytes: Bytes, attributes: &Attributes, condition: PutIf) -> Result<Outcome<Stored>> {
        let fate = self.fate(Call::Put, key).await?;
        fated(fate, self.inner.put(key, bytes, attributes, condition)).await
    }

    async fn put_file(&self, key: &str, file: &Path, attributes: &Attributes) -> Result<Stored> {
        self.inner.put_file(key, file, attributes).await
    }

    async fn copy(&self, copy: Copy<'_>) -> Result<Outcome<Stored>> {
        let fate = self.fate(Call::Copy, copy.target).await?;
        if self.copies_blindly.load(Ordering::Relaxed) {
            let source = self.inner.head(&copy.source.key).await?.expect("it is replaced and never deleted");
            return fated(fate, self.inner.copy(Copy { source: &source, ..copy })).await;
        }
        fated(fate, self.inner.copy(copy)).await
    }

    async fn delete(&self, key: &str, if_match: &ETag) -> Result<Outcome<()>> {
        let fate = self.fate(Call::Delete, key).await?;
        fated(fate, self.inner.delete(key, if_match)).await
    }

    fn abilities(&self) -> Option<Abilities> {
        let conditional_copy = !self.copies_blindly.load(Ordering::Relaxed);
        Some(Abilities { conditional_copy, copy_sha256: conditional_copy, ..Abilities::ALL })
    }

    fn uploads_are_atomic(&self) -> bool {
        self.inner.uploads_are_atomic()
    }
}
