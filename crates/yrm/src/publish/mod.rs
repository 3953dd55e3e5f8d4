//! One run, in one straight line: observe → inspect → plan → admit → render → upload → switch →
//! tidy. Whatever ends a run half-way, the next one finishes it: before the switch only invisible
//! objects exist, and after it nothing is missing.
//!
//! Time and run ids come in as arguments. Locks only save work; correctness is in the switch.

pub mod abilities;
pub mod adopt;
pub(crate) mod clock;
pub mod commit;
mod copying;
mod guard;
pub mod history;
pub mod inbox;
pub mod inspect;
mod leftover;
pub mod mirror;
pub mod operations;
pub mod plan;
mod repository;
mod settlement;
mod share;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt as _;
use jiff::Timestamp;
use rpmmd::repodata::Document;
use tokio::time::Instant;
use ulid::Ulid;

use self::abilities::abilities;
use self::inspect::archived::Archived;
use self::inspect::long::LongReads;
use self::inspect::read::Inspector;
use self::operations::errand::Errand;
use self::repository::{STALE_AFTER, Work};
use self::settlement::Settlement;
use crate::bucket::Bucket;
use crate::bucket::generations;
use crate::bucket::inbox::Dropped;
use crate::bucket::report::Report;
use crate::bucket::state::State;
use crate::bucket::verdict::{Candidate, Rejection, Verdict};
use crate::config::Policy;
use crate::error::{ErrorKind, Result};
use crate::openpgp::sign::Signer;
use crate::store::cache::Cache;
use crate::store::counted::{Counted, Usage};
use crate::store::key::RepositoryDir;
use crate::store::pace::Paced;
use crate::store::{ETag, Store};
use crate::upkeep;
use crate::upkeep::lease::Leases;
use crate::upkeep::sweep::Due;

/// Inbox objects judged and published together, at most: one switch a repository.
const BATCH: usize = 1_000;
/// Bytes of packages' XML judged and published together: a batch ends with the one that fills it.
const BATCH_BYTES: usize = 64 << 20;

/// Which run this is and when it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunId {
    /// Unique, sortable by time.
    pub id: Ulid,
    /// By the local clock; nothing is retired or swept by it alone.
    pub started: Timestamp,
}

/// A step of the line, for those who watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Reading headers.
    Inspect,
    /// Putting packages in place.
    Admit,
    /// Rendering and uploading metadata.
    Upload,
    /// Answering, and emptying the inbox.
    Tidy,
}

/// Somebody who watches a run.
pub trait Progress: Send + Sync + fmt::Debug {
    /// `done` of `total` packages have passed `step`.
    fn step(&self, step: Step, done: usize, total: usize);
}

/// Nobody watches.
#[derive(Debug, Clone, Copy)]
pub struct Unwatched;

impl Progress for Unwatched {
    fn step(&self, _step: Step, _done: usize, _total: usize) {}
}

/// What is thought of a batch.
struct Judged {
    accepted: BTreeMap<RepositoryDir, Vec<Candidate>>,
    rejections: Vec<Rejection>,
    /// How many of the batch were looked at.
    count: usize,
    /// What was put off: it takes long to read.
    long: Vec<Dropped>,
}

/// What the steps of one run share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pass<'a> {
    pub(crate) run: RunId,
    pub(crate) progress: &'a dyn Progress,
    /// When the inbox was listed.
    pub(crate) listed: Instant,
}

/// The publisher of one bucket. Keeps what it knows of the repositories between runs; all of it
/// can be read again.
#[derive(Debug)]
pub struct Publisher {
    bucket: Bucket,
    counted: Arc<Counted>,
    known: Mutex<BTreeMap<RepositoryDir, State>>,
    retention_due: Mutex<BTreeMap<RepositoryDir, Option<Timestamp>>>,
    swept: Mutex<BTreeMap<RepositoryDir, Timestamp>>,
    /// Where a path waits for nothing but a sweep.
    sweep_wanted: Mutex<BTreeSet<RepositoryDir>>,
    /// What was found to have no receipt, and in which state of its repository.
    unanswered: Mutex<BTreeMap<RepositoryDir, leftover::Unanswered>>,
    leases: Leases,
    /// What takes long to read.
    long: LongReads,
    archived: Archived,
    /// Whether other instances work beside this one.
    shares: bool,
    /// Where the mirror is not that of the truth yet, or the truth lacks what it is made from.
    mirrors_owed: Mutex<BTreeSet<RepositoryDir>>,
    /// When every repository was last looked up, to retire and to sweep where nothing arrives.
    looked_round: Mutex<LookedRound>,
}

/// When the bucket's repositories were last listed, for each purpose.
#[derive(Debug, Default)]
struct LookedRound {
    retire: Option<Timestamp>,
    sweep: Option<Timestamp>,
    /// What no repository has for itself was last swept.
    sweep_shared: Option<Timestamp>,
    mend: Option<Timestamp>,
}

impl Publisher {
    /// A publisher for the bucket in `store`.
    pub fn new(store: Arc<dyn Store>, policy: Policy) -> Result<Self> {
        let counted = Arc::new(Counted::new(store));
        Ok(Self {
            bucket: Bucket::new(Arc::new(Paced::new(Arc::clone(&counted) as Arc<dyn Store>)), policy)?,
            counted,
            known: Mutex::default(),
            retention_due: Mutex::default(),
            swept: Mutex::default(),
            sweep_wanted: Mutex::default(),
            unanswered: Mutex::default(),
            leases: Leases::default(),
            long: LongReads::default(),
            archived: Archived::default(),
            shares: false,
            mirrors_owed: Mutex::default(),
            looked_round: Mutex::default(),
        })
    }

    /// The same publisher with a cache of metadata files on the local disk.
    #[must_use]
    pub fn with_cache(mut self, cache: Cache) -> Self {
        self.bucket = self.bucket.with_cache(cache);
        self
    }

    /// The same publisher, signing what it publishes.
    #[must_use]
    pub fn with_signer(mut self, signer: Option<Signer>) -> Self {
        self.bucket = self.bucket.with_signer(signer);
        self
    }

    /// The same publisher, sharing the repositories with other instances: each works where no other does.
    #[must_use]
    pub fn sharing(mut self, shares: bool) -> Self {
        self.shares = shares;
        self
    }

    /// The bucket it publishes in.
    pub fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    /// Requests and bytes since it was made.
    pub fn usage(&self) -> Usage {
        self.counted.usage()
    }

    /// One run. An error means that the inbox could not even be listed; anything less is in the
    /// report and does not stop the others.
    pub async fn run(&self, run: RunId, progress: &dyn Progress) -> Result<Report> {
        let (began, used) = (Instant::now(), self.usage());
        let mut report = Report::new(run.id, run.started);
        let listed = inbox::list_by_store_clock(&self.bucket, run.started).await?;
        for error in listed.errors() {
            report.fault("listing the inbox", &error);
        }
        let dropped = listed.dropped;
        report.found(dropped.iter().map(Dropped::key));
        // What is empty comes behind, out of order, and is never long.
        self.long.forget_but(&dropped[..dropped.partition_point(|dropped| dropped.object.size_bytes > 0)]);
        // Without conditional writes there is no lease, and one writer by agreement.
        let shares = !dropped.is_empty() && abilities(&self.bucket).await?.conditional_put && self.shares;
        let pass = Pass { run, progress, listed: began };
        self.mend_where_due(run, began + STALE_AFTER, &mut report).await;
        let mirrors_owed: Vec<RepositoryDir> = std::mem::take(&mut *lock(&self.mirrors_owed)).into_iter().collect();
        if shares {
            self.publish_shares(dropped, pass, &mut report).await;
        } else {
            self.batches(&dropped, pass, &mut report).await;
        }
        self.follow_where_owed(mirrors_owed, pass, &mut report).await;
        self.retire_where_due(pass, &mut report).await;
        self.sweep_where_due(run, &mut report).await;
        report.finish(began.elapsed(), self.usage() - used);
        self.name_uploaders(&mut report);
        if self.is_news(&report).await
            && let Err(error) = history::write(&self.bucket, &report).await
        {
            report.fault("writing the history", &error);
        }
        Ok(report)
    }

    /// Reads what takes long beside the runs, for as long as this is polled: without it a run reads that
    /// itself, after all else. `call` calls for a run, when something was read.
    pub async fn read_long(&self, call: impl Fn()) {
        // No run waits for a call that is made here.
        self.long.attend(&self.bucket.beside_runs(), call).await;
    }

    /// Says who uploaded what was answered, as far as it was heard.
    fn name_uploaders(&self, report: &mut Report) {
        let published = report.published.iter().map(|published| (&published.inbox_key, &published.etag));
        let rejected = report.rejected.iter().map(|rejected| (&rejected.inbox_key, &rejected.etag));
        let uploaders = &self.bucket.uploaders;
        let known = published
            .chain(rejected)
            .filter_map(|(key, etag)| Some((key.clone(), uploaders.of(key, &ETag::new(etag.as_str()))?)));
        report.uploaders = known.collect();
    }

    /// Whether the report says anything that the newest record does not: a file that cannot be read
    /// would else fill the history, minute by minute.
    async fn is_news(&self, report: &Report) -> bool {
        if report.changed() || report.errors.is_empty() {
            return report.changed();
        }
        let newest = crate::bucket::history::load(&self.bucket, 1).await.unwrap_or_default();
        newest.first().is_none_or(|newest| newest.errors != report.errors)
    }

    /// Judges and publishes what was dropped, some at a time; last what takes long to read, unless somebody
    /// attends to that.
    async fn batches(&self, mut rest: &[Dropped], pass: Pass<'_>, report: &mut Report) {
        let mut long = Vec::new();
        while !rest.is_empty() {
            let inspector = Inspector::new(self.bucket.clone(), pass.run.started).putting_off();
            let (judged, put_off) = self.batch(&rest[..rest.len().min(BATCH)], &inspector, pass, report).await;
            long.extend(put_off);
            rest = &rest[judged..];
        }
        long.sort_by_key(|dropped| dropped.object.size_bytes);
        if self.long.are_attended() {
            for dropped in long {
                report.wait(&dropped, inspect::long::BEING_READ.to_owned());
                self.long.want(dropped, pass.run.started);
            }
            return;
        }
        let mut rest = &long[..];
        while !rest.is_empty() {
            let inspector = Inspector::new(self.bucket.clone(), pass.run.started);
            let (judged, _) = self.batch(&rest[..inspect::long::together(rest)], &inspector, pass, report).await;
            rest = &rest[judged..];
        }
    }

    /// Judges and publishes some of what was dropped; how many, and which of them were put off.
    async fn batch(
        &self,
        batch: &[Dropped],
        inspector: &Inspector,
        pass: Pass<'_>,
        report: &mut Report,
    ) -> (usize, Vec<Dropped>) {
        let Judged { accepted, mut rejections, count, long } = self.judge(batch, inspector, pass, report).await;
        // What is good goes first: junk must not keep it waiting.
        for settlement in self.settle_all(accepted, pass).await {
            rejections.extend(self.take_in(settlement, report));
        }
        self.quarantine(rejections, report).await;
        (count, long)
    }

    /// Settles repositories, as many at once as calls may be in flight.
    async fn settle_all(
        &self,
        work: impl IntoIterator<Item = (RepositoryDir, Vec<Candidate>)>,
        pass: Pass<'_>,
    ) -> Vec<Settlement> {
        // Collected first: a stream over borrowing closures is not Send.
        let settling: Vec<_> = work
            .into_iter()
            .map(|(repository, candidates)| async move {
                self.settle(Work { repository: &repository, errand: &Errand::Publish, pass }, candidates).await
            })
            .collect();
        futures::stream::iter(settling).buffered(self.bucket.policy.concurrency).collect().await
    }

    /// What is known of a file, or a look at it.
    async fn verdict(&self, dropped: &Dropped, inspector: &Inspector, run: RunId) -> Result<Verdict> {
        if let Some(known) = self.archived.verdict(dropped, run.started) {
            return Ok(known);
        }
        let verdict = match self.long.take(dropped) {
            Some(verdict) => verdict,
            None if self.long.are_at(dropped) => Ok(Verdict::Long(dropped.clone())),
            None => inspector.inspect(dropped.clone()).await,
        };
        match verdict {
            Err(error) if error.kind() == ErrorKind::Archived => Ok(self.archived.note(dropped, run.started)),
            verdict => verdict,
        }
    }

    /// Verdicts on a batch.
    async fn judge(&self, batch: &[Dropped], inspector: &Inspector, pass: Pass<'_>, report: &mut Report) -> Judged {
        let Pass { run, progress, .. } = pass;
        let inspections: Vec<_> =
            batch.iter().map(|dropped| async move { (dropped, self.verdict(dropped, inspector, run).await) }).collect();
        let mut verdicts = futures::stream::iter(inspections).buffered(self.bucket.policy.concurrency);
        let (mut accepted, mut rejections, mut done) = (BTreeMap::<_, Vec<_>>::new(), Vec::new(), 0);
        let (mut long, mut held) = (Vec::new(), leftover::Held::of(&self.bucket));
        let mut bytes = 0;
        while bytes < BATCH_BYTES
            && let Some((dropped, verdict)) = verdicts.next().await
        {
            done += 1;
            progress.step(Step::Inspect, done, batch.len());
            match verdict {
                Ok(Verdict::Accept(candidate)) => {
                    bytes +=
                        Document::ALL.map(|document| candidate.fragments.get(document).len()).iter().sum::<usize>();
                    accepted.entry(candidate.repository.clone()).or_default().push(*candidate);
                }
                Ok(Verdict::Reject(rejection)) => rejections.push(rejection),
                Ok(Verdict::Wait { dropped, why }) => report.wait(&dropped, why),
                Ok(Verdict::Long(dropped)) => long.push(dropped),
                Ok(Verdict::Held { dropped, why }) => held.add(&dropped, why, report),
                Ok(Verdict::Gone) => {}
                Err(error) => {
                    report.fault(&format!("inspecting {}", dropped.key()), &error);
                    report.wait(dropped, error.chain());
                }
            }
        }
        held.tell(report);
        Judged { accepted, rejections, count: done, long }
    }

    /// Adds a repository's settlement to the report. Gives what it turned down, to be quarantined.
    fn take_in(&self, settlement: Settlement, report: &mut Report) -> Vec<Rejection> {
        let Settlement {
            repository,
            published,
            conflicts,
            waiting,
            gone: _,
            leftovers: _,
            retired,
            removed,
            replaced,
            errors,
            trouble,
            sweep,
        } = settlement;
        lock(&self.sweep_wanted).extend(sweep);
        report.repositories.extend(repository);
        report.published.extend(published);
        for waiting in waiting {
            report.leave(waiting);
        }
        report.retired.extend(retired);
        report.removed.extend(removed);
        report.replaced.extend(replaced);
        for line in errors {
            report.note_error(line);
        }
        report.trouble.and(trouble);
        conflicts
    }

    /// Settles repositories to which nothing was dropped, and adds that to the report. Answers which of them
    /// had errors.
    async fn settle_undropped(&self, repositories: &[RepositoryDir], pass: Pass<'_>, report: &mut Report) -> Vec<bool> {
        let work = repositories.iter().map(|repository| (repository.clone(), Vec::new()));
        let settlements = self.settle_all(work, pass).await;
        let failed = settlements.iter().map(|settlement| !settlement.errors.is_empty()).collect();
        let mut rejections = Vec::new();
        for settlement in settlements {
            rejections.extend(self.take_in(settlement, report));
        }
        self.quarantine(rejections, report).await;
        failed
    }

    /// Sets aside what was turned down.
    async fn quarantine(&self, rejections: Vec<Rejection>, report: &mut Report) {
        let moves: Vec<_> = rejections
            .iter()
            .map(|rejection| async move { (rejection, commit::tidy::quarantine(&self.bucket, rejection).await) })
            .collect();
        let mut moves = futures::stream::iter(moves).buffered(self.bucket.policy.concurrency);
        while let Some((rejection, moved)) = moves.next().await {
            match moved {
                Ok(Some(record)) => report.rejected.push(record),
                Ok(None) => {}
                Err(error) => {
                    let line = report.fault(&format!("setting {} aside", rejection.dropped.key()), &error);
                    report.trouble.unfinished(&error, &line);
                    report.wait(&rejection.dropped, error.chain());
                }
            }
        }
    }

    /// Retention runs whether or not the inbox has work: in every repository where, by what the
    /// last look said, something is due.
    async fn retire_where_due(&self, pass: Pass<'_>, report: &mut Report) {
        if self.bucket.policy.retention.is_none() {
            return;
        }
        let due = match self.retention_due_at(pass.run.started).await {
            Ok(due) => due,
            Err(error) => {
                report.fault("looking for repositories with old versions", &error);
                return;
            }
        };
        // Where something arrived the plan has looked at what is old already.
        let planned: BTreeSet<String> = report.repositories.iter().map(|settled| settled.repository.clone()).collect();
        let due: Vec<_> = due.into_iter().filter(|repository| !planned.contains(repository.as_str())).collect();
        self.settle_undropped(&due, pass, report).await;
    }

    /// The repositories to look at for retention: all of them the first time, and from time to
    /// time those that other instances have made.
    async fn retention_due_at(&self, now: Timestamp) -> Result<Vec<RepositoryDir>> {
        let last = lock(&self.looked_round).retire;
        if last.is_none_or(|last| self.interval_is_over(last, now)) {
            for repository in generations::repositories(&self.bucket).await? {
                lock(&self.retention_due).entry(repository).or_insert(Some(Timestamp::MIN));
            }
            lock(&self.looked_round).retire = Some(now);
        }
        let due = lock(&self.retention_due);
        Ok(due
            .iter()
            .filter(|(_, at)| at.is_some_and(|at| at <= now))
            .map(|(repository, _)| repository.clone())
            .collect())
    }

    fn interval_is_over(&self, last: Timestamp, now: Timestamp) -> bool {
        let interval = jiff::SignedDuration::try_from(self.bucket.policy.sweep_interval);
        // Also when the clock was set back: else nobody would look for as long.
        now.duration_since(last).abs() >= interval.unwrap_or(jiff::SignedDuration::MAX)
    }

    /// The repositories where something waits to be swept although nothing arrives any more.
    /// Looked up once an interval, the first time an interval after the start, so that an idle
    /// run asks for nothing but the inbox.
    async fn sweep_owed(&self, now: Timestamp) -> Result<Vec<RepositoryDir>> {
        let last = *lock(&self.looked_round).sweep.get_or_insert(now);
        if !self.interval_is_over(last, now) {
            return Ok(Vec::new());
        }
        let owed = upkeep::sweep::owed(&self.bucket, now).await?;
        lock(&self.looked_round).sweep = Some(now);
        Ok(owed)
    }

    /// Sweeps the repositories that this run changed and those that are owed a sweep, each at
    /// most once an interval.
    async fn sweep_where_due(&self, run: RunId, report: &mut Report) {
        let mut due: Vec<RepositoryDir> = report
            .repositories
            .iter()
            .filter(|repository| repository.revision_before != repository.revision_after)
            .map(|repository| RepositoryDir::new(&repository.repository))
            .collect();
        due.extend(std::mem::take(&mut *lock(&self.sweep_wanted)));
        match self.sweep_owed(run.started).await {
            Ok(owed) => due.extend(owed),
            Err(error) => drop(report.fault("looking for repositories to sweep", &error)),
        }
        due.sort_unstable();
        due.dedup();
        let sweeps: Vec<_> = due
            .into_iter()
            .map(|repository| async move {
                let last = lock(&self.swept).get(&repository).copied();
                let due = upkeep::sweep::sweep_if_due(&self.bucket, &repository, last, run.started).await;
                (repository, due)
            })
            .collect();
        let mut sweeps = futures::stream::iter(sweeps).buffered(self.bucket.policy.concurrency);
        let mut newest = None;
        while let Some((repository, due)) = sweeps.next().await {
            match due {
                Ok(Due::Theirs) => {}
                Ok(Due::NotYet(last)) => drop(lock(&self.swept).insert(repository, last)),
                Ok(Due::Swept(swept)) => {
                    report.swept += swept.deleted;
                    newest = newest.max(Some(swept.at));
                    lock(&self.swept).insert(repository, swept.at);
                }
                Err(error) => drop(report.fault(&format!("sweeping {repository}"), &error)),
            }
        }
        if let Some(now) = newest
            && let Err(error) = self.sweep_shared(now).await
        {
            report.fault("sweeping what all repositories share", &error);
        }
    }

    /// Where repositories were swept: what they share too, once an interval.
    async fn sweep_shared(&self, now: Timestamp) -> Result<()> {
        let last = lock(&self.looked_round).sweep_shared;
        if last.is_none_or(|last| self.interval_is_over(last, now)) {
            upkeep::sweep::sweep_shared(&self.bucket, now).await?;
            lock(&self.looked_round).sweep_shared = Some(now);
        }
        Ok(())
    }
}

/// A lock whose holder panicked still guards a plain map that can be read again from the store.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
