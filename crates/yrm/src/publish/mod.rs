//! One run, in one straight line: observe → inspect → plan → admit → render → sign → upload → switch → mirror → answer →
//! tidy. Whatever ends a run half-way, the next one finishes it: before the switch only invisible objects exist, and after
//! it nothing is missing.
//!
//! [`Publisher`] finds the work, repository by repository; the function `commit` is the line. Every step is a function of
//! values in a file of its own, and none of them knows of this one.
//!
//! Time and run ids come in as arguments. Locks only save work; correctness is in the switch.

pub mod abilities;
pub mod adopt;
pub(crate) mod client_file;
pub(crate) mod clock;
pub mod commit;
pub(crate) mod copying;
pub mod expected;
mod guard;
pub mod history;
mod inbox;
pub mod inspect;
pub mod layout;
mod leftover;
mod marking;
pub(crate) mod memory;
pub mod mirror;
mod observe;
pub mod operations;
pub mod operators;
pub(crate) mod pass;
pub mod plan;
pub mod settings;
mod settlement;
pub(crate) mod watched;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::StreamExt as _;
use futures::future;
use tokio::time::Instant;

use self::abilities::abilities;
use self::adopt::{kept, rebuild_through_the_gate as rebuild};
use self::commit::answers::answer;
use self::commit::copies::keep_copy_of_current;
use self::commit::keep::keep;
use self::commit::next::next_generation;
use self::commit::pair;
use self::commit::prepare::{Prepared, noticed, prepare, repository_report};
use self::commit::render::Generation;
use self::commit::switch::{Ready, Switch, switch};
use self::commit::tidy::quarantine_all;
use self::commit::upload::upload;
use self::expected::Expected;
use self::inspect::beside::look_beside;
use self::inspect::blocked::blocks_for;
use self::inspect::judge::{Judged, Pending, judge};
use self::inspect::long;
use self::inspect::read::Inspector;
use self::memory::{Memory, lock};
use self::mirror::follow_up;
use self::observe::observed_for;
use self::operations::errand::Errand;
use self::operations::hold;
use self::operations::rollback::start_from;
use self::pass::{Pass, STALE_AFTER, Work};
pub use self::pass::{Progress, RunId, Step, Unwatched};
use self::settings::Sight;
use self::settlement::Settlement;
use self::watched::Strange;
use crate::bucket::Bucket;
use crate::bucket::inbox::Dropped;
use crate::bucket::report::{KeySet, Report, Waiting};
use crate::bucket::signature::Signature;
use crate::bucket::verdict::{Candidate, Rejection};
use crate::config::Policy;
use crate::error::{Error, ErrorKind, Result};
use crate::openpgp::sign::Signer;
use crate::store::cache::Cache;
use crate::store::counted::{Counted, Usage};
use crate::store::key::RepositoryDir;
use crate::store::pace::Paced;
use crate::store::{ETag, Store, settle};
use crate::upkeep::lease::Leases;
use crate::upkeep::mend::mend_where_due;
use crate::upkeep::round::{is_something_due, retention_due_at, sweep_where_due};
use crate::upkeep::share::{self, Sharing, publish_shares};
use crate::upkeep::watch;
use crate::who::Who;

/// Inbox objects judged and published together, at most: one switch a repository.
const BATCH: usize = 1_000;
/// An upload that waits for so long is worth a record.
const LINGERS: jiff::SignedDuration = jiff::SignedDuration::from_mins(5);
/// Times a lost switch starts again before the packages are left for the next run.
const MAX_SWITCHES: u32 = 20;

/// One commit: from its candidates to a won switch and a tidied inbox. Tried again from the winner's generation whenever
/// another writer was first.
async fn commit(work: Work<'_>, mut candidates: Vec<Candidate>, settlement: &mut Settlement) -> Result<()> {
    let Work { bucket, repository, errand, pass: Pass { run, progress, expected, .. }, .. } = work;
    let (mut in_place, mut began) = (BTreeMap::new(), Instant::now());
    for attempt in 1..=MAX_SWITCHES {
        if began.elapsed() > STALE_AFTER {
            (in_place, began) = (BTreeMap::new(), Instant::now());
        }
        let until = began + STALE_AFTER;
        // Observe.
        let state = observed_for(work).await?;
        let observed = Instant::now();
        let state = start_from(errand, bucket, state, run.started).await?;
        let state = if matches!(errand, Errand::Rebuild) { rebuild(bucket, state, run.started).await? } else { state };
        let _room = bucket.room_for(state.catalog.entries.len()).await?;
        // Inspect, beside what is published: what only files can tell is read before the plan, which computes.
        let blocks = blocks_for(work, &candidates, &mut in_place).await?;
        let (state, inspected) = look_beside(work, state, candidates, &blocks, settlement).await;
        // Plan, and admit.
        let prepared = prepare(work, state, inspected, &mut in_place, settlement).await?;
        if let Some(expected) = expected {
            expected.admit(repository, &prepared.about_to())?;
        }
        let mirrored = bucket.mirror_rules.is_on(repository);
        if !mirrored && prepared.state.catalog.mirror.is_some() {
            mirror::remove(bucket, repository).await?;
        }
        if prepared.is_unchanged(mirrored) {
            settlement.repository = Some(repository_report(&prepared.state, attempt));
            leave_as_it_is(work, &prepared, until, settlement).await;
            return Ok(());
        }
        if let Errand::RollBack(_, word) = errand {
            let at_risk = hold::at_risk(bucket, &prepared.state);
            settlement.marked.extend(hold::hold(bucket, repository, &at_risk, word).await?);
        }
        progress.step(Step::Upload, 0, prepared.placed.len());
        if let Some(won) = make_the_truth(work, &prepared, (observed, until)).await? {
            progress.step(Step::Upload, prepared.placed.len(), prepared.placed.len());
            follow_the_switch(work, &prepared, (won, attempt), settlement).await;
            return Ok(());
        }
        tracing::info!(run.id = %run.id, %repository, attempt, "another writer was first; starting again from its revision");
        errand.may_start_again()?;
        candidates = prepared.candidates;
        settlement.forget(&candidates);
        settle::pause(bucket.store.as_ref(), attempt).await;
    }
    Err(Error::new(ErrorKind::Conflict, format!("switching after {MAX_SWITCHES} tries"))
        .hint("other writers keep publishing here; the packages stay in the inbox for the next run"))
}

/// A generation that is the truth by now, its repomd.xml's ETag, and the signature that was put before it.
type Won = (Generation, ETag, Option<Signature>);

/// Render, sign, upload, switch. `None` when another writer was first. Nothing is switched to after `until`.
async fn make_the_truth(
    work: Work<'_>,
    prepared: &Prepared,
    (observed, until): (Instant, Instant),
) -> Result<Option<Won>> {
    let Work { bucket, repository, errand, pass: Pass { run, .. }, .. } = work;
    let (state, generation) = next_generation(bucket, prepared, run).await?;
    // First of all: what cannot be signed is not uploaded, run after run.
    let signature = pair::sign(bucket, &generation.repomd_bytes, run.started).await?;
    if let Some(taken_over) = &state.taken_over {
        kept::note(bucket, repository, &taken_over.kept).await?;
    }
    upload(bucket, &state, &generation).await?;
    let ready = Ready { generation: &generation, signature };
    let sight = errand.change().map_or_else(|| Sight::of(&prepared.state, observed), Sight::Migrating);
    let until = until.min(settings::before_switch(bucket, run, sight).await?);
    Ok(match switch(bucket, &state, ready, run, until).await? {
        Switch::Won { etag, put } => Some((generation, etag, put)),
        Switch::Lost => None,
    })
}

/// Mirror, answer and tidy, after a switch that was won.
async fn follow_the_switch(
    work: Work<'_>,
    prepared: &Prepared,
    (won, attempt): (Won, u32),
    settlement: &mut Settlement,
) {
    let mut report = repository_report(&prepared.state, attempt);
    report.revision_after = Some(won.0.catalog.revision);
    report.packages = won.0.catalog.entries.len() as u64;
    settlement.repository = Some(report);
    settlement.noticed = noticed(&prepared.state);
    let mut apart = Settlement::default();
    let keep = keep(work, won, &mut apart);
    let answer = answer(work.bucket, work.pass, prepared, settlement);
    if work.bucket.mirror_rules.is_on(work.repository) {
        // Nobody is told that clients see it before the list of mirrors says so.
        keep.await;
        answer.await;
    } else {
        future::join(keep, answer).await;
    }
    settlement.went_wrong_too(apart);
}

/// Mirror, answer and tidy, where clients see already what was wanted.
async fn leave_as_it_is(work: Work<'_>, prepared: &Prepared, until: Instant, settlement: &mut Settlement) {
    let Work { bucket, memory, .. } = work;
    memory.note_retention(bucket, &prepared.state);
    // Whoever switched to this generation may have died before its copy was made.
    if let Err(error) = keep_copy_of_current(bucket, &prepared.state).await {
        settlement.errors.push(format!("keeping a copy of the revision: {}", error.chain()));
    }
    follow_up(work, prepared.truth(), until, settlement).await;
    client_file::follow_up(work, settlement).await;
    answer(bucket, work.pass, prepared, settlement).await;
}

/// The uploads that have been there for so long that it is worth a record why.
fn dropped_long_ago(dropped: &[Dropped], now: jiff::Timestamp) -> KeySet {
    let is_old = |dropped: &&Dropped| now.duration_since(dropped.modified()) >= LINGERS;
    KeySet::of(dropped.iter().filter(is_old).map(Dropped::key))
}

/// The publisher of one bucket. Keeps what it knows of the repositories between runs; all of it
/// can be read again.
#[derive(Debug)]
pub struct Publisher {
    bucket: Bucket,
    counted: Arc<Counted>,
    memory: Memory,
    pending: Pending,
    leases: Leases,
    /// Whether other instances work beside this one.
    shares: bool,
    /// All that it may do, where that was looked at beforehand.
    expected: Option<Expected>,
    who: Who,
}

impl Publisher {
    /// A publisher for the bucket in `store`.
    pub fn new(store: Arc<dyn Store>, policy: Policy) -> Result<Self> {
        let counted = Arc::new(Counted::new(store));
        Ok(Self {
            bucket: Bucket::new(Arc::new(Paced::new(Arc::clone(&counted) as Arc<dyn Store>)), policy)?,
            counted,
            memory: Memory::default(),
            pending: Pending::default(),
            leases: Leases::default(),
            shares: false,
            expected: None,
            who: Who::default(),
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

    /// The same publisher, held to what was seen beforehand: it does that, or nothing where anything changed since.
    #[must_use]
    pub fn held_to(mut self, expected: Expected) -> Self {
        self.expected = Some(expected);
        self
    }

    /// The same publisher, acting for somebody: who it is and why stands beside every change.
    #[must_use]
    pub fn acting_for(mut self, who: Who) -> Self {
        self.who = who;
        self
    }

    /// The same publisher, going by other settings of the bucket. What it knew of the repositories is read again.
    pub fn going_by(&self, policy: Policy, signer: Option<Signer>) -> Result<Self> {
        Ok(Self {
            bucket: self.bucket.going_by(policy, signer)?,
            counted: Arc::clone(&self.counted),
            memory: Memory::default(),
            pending: Pending::default(),
            leases: Leases::default(),
            shares: self.shares,
            expected: None,
            who: self.who.clone(),
        })
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
        let mut dropped = listed.dropped;
        if let Some(expected) = &self.expected {
            dropped.retain(|dropped| expected.answers(dropped));
        }
        report.found(dropped.iter().map(Dropped::key));
        let lingering = dropped_long_ago(&dropped, run.started);
        report.oldest_upload = dropped.iter().map(Dropped::modified).min();
        // What is empty comes behind, out of order, and is never long.
        self.pending.long.forget_but(&dropped[..dropped.partition_point(|dropped| dropped.object.size_bytes > 0)]);
        if !dropped.is_empty() || is_something_due(&self.bucket, &self.memory, run.started) {
            settings::agree(&self.bucket, run).await?;
        }
        // Without conditional writes there is no lease, and one writer by agreement.
        let shares = !dropped.is_empty() && abilities(&self.bucket).await?.conditional_put && self.shares;
        let pass = Pass { run, progress, listed: began, expected: self.expected.as_ref() };
        Box::pin(mend_where_due(&self.bucket, &self.memory, (run, began + STALE_AFTER), &mut report)).await;
        Box::pin(self.watch_where_due(pass, &mut report)).await;
        let mirrors_owed = std::mem::take(&mut *lock(&self.memory.mirrors_owed));
        if shares {
            let sharing = Sharing { bucket: &self.bucket, leases: &self.leases, line: self };
            Box::pin(publish_shares(sharing, dropped, pass, &mut report)).await;
        } else {
            Box::pin(self.batches(&dropped, pass, &mut report)).await;
        }
        Box::pin(self.settle_owed(mirrors_owed, pass, &mut report)).await;
        Box::pin(self.retire_where_due(pass, &mut report)).await;
        Box::pin(sweep_where_due(&self.bucket, &self.memory, run, &mut report)).await;
        report.finish(began.elapsed(), self.usage() - used);
        history::name_uploaders(&self.bucket, &mut report);
        if history::is_news(&self.bucket, &report, &lingering, &self.memory.waiting_told).await {
            Box::pin(self.keep_in_history(&mut report)).await;
        }
        Ok(report)
    }

    async fn keep_in_history(&self, report: &mut Report) {
        if let Err(error) = history::keep(&self.bucket, report, &self.who).await {
            report.fault("writing the history", &error);
        }
    }

    /// Reads what takes long beside the runs, for as long as this is polled: without it a run reads that
    /// itself, after all else. `call` calls for a run, when something was read.
    pub async fn read_long(&self, call: impl Fn()) {
        // No run waits for a call that is made here.
        self.pending.long.attend(&self.bucket.beside_runs(), call).await;
    }

    /// Judges and publishes what was uploaded, some at a time; last what takes long to read, unless somebody
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
        if self.pending.long.are_attended() {
            for dropped in long {
                report.wait(&dropped, long::BEING_READ.to_owned());
                self.pending.long.want(dropped, pass.run.started);
            }
            return;
        }
        let mut rest = &long[..];
        while !rest.is_empty() {
            let inspector = Inspector::new(self.bucket.clone(), pass.run.started);
            let (judged, _) = self.batch(&rest[..long::together(rest)], &inspector, pass, report).await;
            rest = &rest[judged..];
        }
    }

    /// Judges and publishes some of what was uploaded; how many, and which of them were put off.
    async fn batch(
        &self,
        batch: &[Dropped],
        inspector: &Inspector,
        pass: Pass<'_>,
        report: &mut Report,
    ) -> (usize, Vec<Dropped>) {
        let Judged { accepted, mut rejections, count, long } =
            judge((&self.bucket, &self.pending), batch, inspector, pass, report).await;
        // What is good goes first: junk must not keep it waiting.
        for settlement in self.settle_all(accepted, pass).await {
            rejections.extend(self.tell(settlement, report));
        }
        quarantine_all(&self.bucket, rejections, report).await;
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
                self.settle(self.work(&repository, &Errand::Publish, pass), candidates).await
            })
            .collect();
        futures::stream::iter(settling).buffered(self.bucket.policy.concurrency).collect().await
    }

    /// Publishes `candidates` into `repository` and prunes what is old. A failure leaves
    /// everything in the inbox and is told in the settlement.
    async fn settle(&self, work: Work<'_>, candidates: Vec<Candidate>) -> Settlement {
        let Work { repository, pass: Pass { run, .. }, .. } = work;
        let keys: Vec<String> = candidates.iter().map(|candidate| candidate.dropped.key().to_owned()).collect();
        let mut settlement = Settlement::default();
        if let Err(error) = Box::pin(commit(work, candidates, &mut settlement)).await {
            let line = format!("publishing {repository}: {}", error.chain());
            tracing::error!(run.id = %run.id, kind = error.kind().name(), hint = error.hint_text(), "part of the run failed: {line:?}");
            if !keys.is_empty() {
                settlement.trouble.undone(&line);
            }
            settlement.errors.push(line);
            let done = |key: &String| settlement.published.iter().any(|published| published.inbox_key == *key);
            let left: Vec<Waiting> = keys
                .into_iter()
                .filter(|key| !done(key))
                .map(|inbox_key| Waiting { inbox_key, reason: error.chain() })
                .collect();
            settlement.waiting = left;
            // What was about to be rejected is judged again next time.
            settlement.conflicts.clear();
            self.memory.forget(repository);
        }
        settlement
    }

    fn work<'a>(&'a self, repository: &'a RepositoryDir, errand: &'a Errand, pass: Pass<'a>) -> Work<'a> {
        Work { bucket: &self.bucket, memory: &self.memory, repository, errand, pass }
    }

    /// Adds a repository's settlement to the report. Gives what it turned down, to be quarantined.
    fn tell(&self, settlement: Settlement, report: &mut Report) -> Vec<Rejection> {
        let (rejections, sweep) = settlement.tell(report);
        lock(&self.memory.sweep_wanted).extend(sweep);
        rejections
    }

    /// Makes the mirrors that are missing where nothing else was to do: by a generation that has what is
    /// needed if need be.
    async fn settle_owed(&self, owed: BTreeSet<RepositoryDir>, pass: Pass<'_>, report: &mut Report) {
        let failed = self.settle_undropped(owed, pass, report).await;
        lock(&self.memory.mirrors_owed).extend(failed);
    }

    /// Looks from time to time whether each repomd.xml is the one that was written here last, and mends what is not.
    async fn watch_where_due(&self, pass: Pass<'_>, report: &mut Report) {
        let now = pass.run.started;
        if watch::is_due(&self.bucket, &self.memory, now) {
            match watch::look(&self.bucket, &self.memory, now).await {
                Ok(watch::Looked { steady, failed }) => {
                    if let Some(error) = failed {
                        report.fault("looking at a repository's repomd.xml", &error);
                    }
                    let mending = steady.into_iter().map(|(repository, sight)| self.mend(repository, sight, pass));
                    let mending: Vec<_> = mending.collect();
                    let mut mending = futures::stream::iter(mending).buffered(self.bucket.policy.concurrency);
                    while let Some(settlement) = mending.next().await {
                        self.tell(settlement, report);
                    }
                }
                Err(error) => drop(report.fault("looking at the repositories' repomd.xml", &error)),
            }
        }
        // In each run: the service is not ready as long as something is not mended.
        lock(&self.memory.watched).left().for_each(|why| report.trouble.unmended(why));
    }

    async fn mend(&self, repository: RepositoryDir, sight: Strange, pass: Pass<'_>) -> Settlement {
        let mut settlement = Settlement::default();
        let work = self.work(&repository, &Errand::Mend, pass);
        match Box::pin(commit(work, Vec::new(), &mut settlement)).await {
            Ok(()) => lock(&self.memory.watched).mended(&repository),
            Err(error) => {
                let noticed = lock(&self.memory.watched).leave(repository, &sight, error.chain());
                settlement.noticed = noticed;
            }
        }
        settlement
    }

    /// Retention runs whether or not the inbox has work: in every repository where, by what the
    /// last look said, something is due.
    async fn retire_where_due(&self, pass: Pass<'_>, report: &mut Report) {
        match retention_due_at(&self.bucket, &self.memory, pass.run.started).await {
            Ok(due) => drop(self.settle_undropped(due, pass, report).await),
            Err(error) => drop(report.fault("looking for repositories with old versions", &error)),
        }
    }

    /// Settles those of these repositories that this run has not settled yet, which looks at all that is due there, and
    /// adds that to the report. Answers which of them had errors.
    async fn settle_undropped(
        &self,
        repositories: impl IntoIterator<Item = RepositoryDir>,
        pass: Pass<'_>,
        report: &mut Report,
    ) -> Vec<RepositoryDir> {
        let settled: BTreeSet<String> = report.repositories.iter().map(|settled| settled.repository.clone()).collect();
        let rest = repositories.into_iter().filter(|repository| !settled.contains(repository.as_str()));
        let rest: Vec<RepositoryDir> = rest.collect();
        let settlements = self.settle_all(rest.iter().map(|repository| (repository.clone(), Vec::new())), pass).await;
        let failed = rest.into_iter().zip(&settlements).filter(|(_, settlement)| !settlement.errors.is_empty());
        let failed = failed.map(|(repository, _)| repository).collect();
        let mut rejections = Vec::new();
        for settlement in settlements {
            rejections.extend(self.tell(settlement, report));
        }
        quarantine_all(&self.bucket, rejections, report).await;
        failed
    }

    /// Whether the bucket's settings are not those that this publisher goes by, as far as it knows.
    pub fn is_at_odds(&self) -> bool {
        self.bucket.settings.is_at_odds()
    }

    /// Whether this publisher has stored the first settings of a bucket that had none.
    pub fn has_stored_settings(&self) -> bool {
        self.bucket.settings.has_stored()
    }
}

impl share::Publish for Publisher {
    async fn publish(&self, dropped: &[Dropped], pass: Pass<'_>, report: &mut Report) {
        self.batches(dropped, pass, report).await;
    }
}
