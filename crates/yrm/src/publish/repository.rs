//! One repository's part of a run: from its candidates to a won switch and tidied inbox objects,
//! starting again from what the winner wrote whenever the switch is lost.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future;
use tokio::time::Instant;

use super::adopt;
use super::adopt::kept;
use super::commit::admit::{Admission, Placed, admit, put_back, way_of};
use super::commit::copies::{keep_copy, keep_copy_of_current};
use super::commit::pair::{self, Look};
use super::commit::render::{Admitted, Generation, Rules, render};
use super::commit::switch::{Ready, Switch, switch};
use super::commit::tidy;
use super::commit::upload::upload;
use super::guard::guard_shrink;
use super::inspect::read::{Inspector, OwnPaths, learn_pkgid};
use super::mirror::{self, Truth};
use super::operations::errand::Errand;
use super::plan::{Conflict, Origin, Plan, merge, published_as, retirements, undecided};
use super::settlement::{Settlement, published};
use super::{Pass, Publisher, RunId, Step, clock, lock};
use crate::bucket::aside;
use crate::bucket::catalog::{Catalog, Entry};
use crate::bucket::inbox::Dropped;
use crate::bucket::observe::{Observed, PublishedFiles, observe, read_published};
use crate::bucket::receipt;
use crate::bucket::report::{Published, RepositoryReport, Retired, Waiting};
use crate::bucket::signature::Signature;
use crate::bucket::state::{Current, State};
use crate::bucket::verdict::{Candidate, Reason, Rejection, Verdict};
use crate::error::{Error, ErrorKind, Result};
use crate::store::ETag;
use crate::store::key::RepositoryDir;
use crate::store::settle;

/// Times a lost switch starts again before the packages are left for the next run.
const MAX_SWITCHES: u32 = 20;
/// A writer that has been at it for longer than this looks again before it switches: the sweep
/// must never be able to reach what it put in place.
pub(crate) const STALE_AFTER: Duration = Duration::from_mins(30);

/// The catalog's entry of a candidate that is published already.
fn entry_of<'c>(catalog: &'c Catalog, candidate: &Candidate) -> Option<Entry<'c>> {
    published_as(catalog, candidate).map(|at| catalog.entries.get(at))
}

/// What is at hand before the switch.
struct Prepared {
    state: State,
    plan: Plan,
    /// The candidates, and which of them are in place.
    candidates: Vec<Candidate>,
    placed: BTreeMap<usize, Placed>,
    /// Those of the plan's `already` that really are.
    already: Vec<usize>,
}

impl Prepared {
    /// The entries that are not in the next generation.
    fn leaving(&self) -> Vec<usize> {
        self.plan.leaving(|candidate| self.placed.contains_key(&candidate))
    }

    /// Whether clients see already what was wanted. With mirrors they do not while the generation lacks
    /// what its own folder is made from.
    fn is_unchanged(&self, mirrored: bool) -> bool {
        let lacking = mirrored && self.state.current.is_some() && self.state.catalog.mirror.is_none();
        self.placed.is_empty() && self.leaving().is_empty() && !self.state.is_news() && !lacking
    }

    /// The generation that was found, as a mirror is made from it.
    fn truth(&self) -> Option<Truth> {
        let current = self.state.current.as_ref()?;
        Some(Truth::new(current.etag.as_ref()?, &current.bytes, &current.repomd, &self.state.catalog))
    }
}

/// What became of putting a candidate in place, and the candidate as it is called there if that is
/// not the path it came with.
type Placement = (Admission, Option<Candidate>);

/// One commit's work.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work<'a> {
    pub(crate) repository: &'a RepositoryDir,
    pub(crate) errand: &'a Errand,
    pub(crate) pass: Pass<'a>,
}

/// The report of a repository that was only looked at yet.
fn repository_report(state: &State, attempts: u32) -> RepositoryReport {
    RepositoryReport {
        repository: state.repository.as_str().to_owned(),
        revision_before: state.revision(),
        revision_after: state.revision(),
        packages: state.catalog.entries.len() as u64,
        attempts,
        adopted: state.adopted(),
        adoption: state.taken_over.as_ref().map(|taken_over| taken_over.told.clone()),
    }
}

impl Publisher {
    /// Publishes `candidates` into `repository` and retires what is old. A failure leaves
    /// everything in the inbox and is told in the settlement.
    pub(crate) async fn settle(&self, work: Work<'_>, candidates: Vec<Candidate>) -> Settlement {
        let Work { repository, pass: Pass { run, .. }, .. } = work;
        let keys: Vec<String> = candidates.iter().map(|candidate| candidate.dropped.key().to_owned()).collect();
        let mut settlement = Settlement::default();
        if let Err(error) = Box::pin(self.try_settle(work, candidates, &mut settlement)).await {
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
            // What was about to be set aside is judged again next time.
            settlement.conflicts.clear();
            lock(&self.known).remove(repository);
        }
        settlement
    }

    /// One commit, tried again from the winner's generation whenever another writer was first.
    pub(crate) async fn try_settle(
        &self,
        work: Work<'_>,
        mut candidates: Vec<Candidate>,
        settlement: &mut Settlement,
    ) -> Result<()> {
        let Work { repository, errand, pass: Pass { run, progress, .. } } = work;
        let mut in_place: BTreeMap<String, Placed> = BTreeMap::new();
        let mut began = Instant::now();
        for attempt in 1..=MAX_SWITCHES {
            if began.elapsed() > STALE_AFTER {
                (in_place, began) = (BTreeMap::new(), Instant::now());
            }
            let state = self.state_of(repository, run).await?;
            let mut state = errand.start_from(&self.bucket, state).await?;
            let _room = self.bucket.room_for(state.catalog.entries.len()).await?;
            // What is taken over is not pruned yet: its modules are for the next run to learn.
            if *errand == Errand::Publish && !state.adopted() {
                state = self.learn_modules(state, run.started, settlement).await;
            }
            candidates = self.learn_pkgids(&state, candidates, run, settlement).await;
            candidates = self.weigh(&state, candidates, run, settlement).await;
            candidates = self.recognize(&state, candidates, run, settlement).await;
            let prepared = self.prepare(work, state, candidates, &mut in_place, settlement).await?;
            let mut report = repository_report(&prepared.state, attempt);
            let mirrored = self.bucket.mirror_rules.is_on(repository);
            if !mirrored && prepared.state.catalog.mirror.is_some() {
                mirror::remove(&self.bucket, repository).await?;
            }
            if prepared.is_unchanged(mirrored) {
                self.note_retention(repository, &prepared.state);
                settlement.repository = Some(report);
                // Whoever switched to this generation may have died before its copy was made.
                if let Err(error) = keep_copy_of_current(&self.bucket, &prepared.state).await {
                    settlement.errors.push(format!("keeping a copy of the generation: {}", error.chain()));
                }
                self.follow(work, prepared.truth(), began + STALE_AFTER, settlement).await;
                self.tidy(work.pass, &prepared, settlement).await;
                return Ok(());
            }
            progress.step(Step::Upload, 0, prepared.placed.len());
            let (state, generation) = self.next_generation(&prepared, run).await?;
            // First of all: what cannot be signed is not uploaded, run after run.
            let signature = pair::sign(&self.bucket, &generation.repomd_bytes, run.started).await?;
            if let Some(taken_over) = &state.taken_over {
                kept::note(&self.bucket, repository, &taken_over.kept).await?;
            }
            upload(&self.bucket, &state, &generation).await?;
            let ready = Ready { generation: &generation, signature };
            match switch(&self.bucket, &state, ready, run, began + STALE_AFTER).await? {
                Switch::Won { etag, put } => {
                    progress.step(Step::Upload, prepared.placed.len(), prepared.placed.len());
                    report.revision_after = Some(generation.catalog.revision);
                    report.packages = generation.catalog.entries.len() as u64;
                    settlement.repository = Some(report);
                    let mut apart = Settlement::default();
                    let keep = self.keep(work, (generation, etag, put), &mut apart);
                    if mirrored {
                        // Nobody is told that clients see it before the list of mirrors says so.
                        keep.await;
                        self.tidy(work.pass, &prepared, settlement).await;
                    } else {
                        future::join(keep, self.tidy(work.pass, &prepared, settlement)).await;
                    }
                    settlement.went_wrong_too(apart);
                    return Ok(());
                }
                Switch::Lost => {
                    tracing::info!(run.id = %run.id, %repository, attempt, "another writer was first; starting again from its generation");
                    errand.may_start_again()?;
                    candidates = prepared.candidates;
                    settlement.forget(&candidates);
                    settle::pause(self.bucket.store.as_ref(), attempt).await;
                }
            }
        }
        Err(Error::new(ErrorKind::Conflict, format!("switching after {MAX_SWITCHES} tries"))
            .hint("other writers keep publishing here; the packages stay in the inbox for the next run"))
    }

    /// What the repository holds now, taken over first if nobody knows.
    pub(crate) async fn state_of(&self, repository: &RepositoryDir, run: RunId) -> Result<State> {
        let known = lock(&self.known).get(repository).cloned();
        for attempt in 0..settle::TRIES {
            settle::pause(self.bucket.store.as_ref(), attempt).await;
            let observed = observe(&self.bucket, repository, known.as_ref()).await?;
            let look = pair::look(&self.bucket, repository, observed.current(), run.started);
            let (looked, state) = match observed {
                Observed::Known(ref state) => (look.await?, Box::clone(state)),
                // Rarely taken, and their futures are long.
                Observed::Unexplained(ref current) => {
                    // What may have moved is not taken over in vain.
                    let looked @ Look::Pair(_) = look.await? else { continue };
                    let adopted = adopt::adopt(&self.bucket, repository, current.clone(), run.started);
                    (looked, Box::new(Box::pin(adopted).await?))
                }
                Observed::Missing => {
                    let state = Box::pin(adopt::without_repomd(&self.bucket, repository, run.started));
                    let (looked, state) = future::try_join(look, state).await?;
                    (looked, Box::new(state))
                }
            };
            let Look::Pair(signature) = looked else { continue };
            return Ok(state.beside(signature));
        }
        Err(Error::new(ErrorKind::Conflict, format!("reading {repository}"))
            .hint("other writers keep publishing here; the next run looks again"))
    }

    /// After a won switch: keeps copies, makes the mirror, and remembers the generation.
    async fn keep(
        &self,
        work: Work<'_>,
        (generation, etag, put): (Generation, ETag, Option<Signature>),
        settlement: &mut Settlement,
    ) {
        let copied = self.keep_copies(work, &generation, (&etag, put), settlement).await;
        let Generation { repomd_bytes, repomd, catalog, .. } = &generation;
        let truth = Truth::new(&etag, repomd_bytes, repomd, catalog);
        self.follow(work, Some(truth), Instant::now() + STALE_AFTER, settlement).await;
        self.remember(work.repository, generation, etag, copied).await;
    }

    /// After a won switch: makes sure of its signature and keeps copies of both. Whether that was done.
    async fn keep_copies(
        &self,
        work: Work<'_>,
        generation: &Generation,
        (etag, put): (&ETag, Option<Signature>),
        settlement: &mut Settlement,
    ) -> bool {
        let Work { repository, pass: Pass { run, .. }, .. } = work;
        let signature = match pair::confirm(&self.bucket, repository, etag, put, run.started).await {
            Ok(signature) => signature,
            Err(error) => {
                settlement.errors.push(format!("making sure of the signature: {}", error.chain()));
                None
            }
        };
        let kept = keep_copy(&self.bucket, repository, generation, signature.as_ref()).await;
        if let Err(error) = &kept {
            tracing::warn!(run.id = %run.id, %repository, error = error.chain(), "the generation has no copy yet; the next commit makes it");
            settlement.errors.push(format!("keeping a copy of the generation: {}", error.chain()));
        }
        kept.is_ok()
    }

    /// Reads whole those files whose path or name is taken: only their bytes can tell.
    async fn learn_pkgids(
        &self,
        state: &State,
        mut candidates: Vec<Candidate>,
        run: RunId,
        settlement: &mut Settlement,
    ) -> Vec<Candidate> {
        let inspector = Inspector::new(self.bucket.clone(), run.started);
        // Backwards, so that removing one leaves the indexes of those still to do alone.
        for at in undecided(&state.catalog, &candidates).into_iter().rev() {
            match learn_pkgid(&inspector, &candidates[at].dropped).await {
                Ok(Ok(pkgid)) => candidates[at].pkgid = Some(pkgid),
                Ok(Err(verdict)) => {
                    let candidate = candidates.remove(at);
                    settlement.turned_away(&candidate.dropped, verdict);
                }
                // One file that cannot be read holds up nobody else.
                Err(error) => {
                    let candidate = candidates.remove(at);
                    settlement.held_up(&candidate, Err(error));
                }
            }
        }
        candidates
    }

    /// Plans, and puts in place what the plan admits.
    async fn prepare(
        &self,
        work: Work<'_>,
        state: State,
        mut candidates: Vec<Candidate>,
        in_place: &mut BTreeMap<String, Placed>,
        settlement: &mut Settlement,
    ) -> Result<Prepared> {
        let Work { errand, pass: Pass { run, progress, .. }, .. } = work;
        let mut plan = match errand {
            Errand::Publish => self.plan_unanswered(&state, &mut candidates, settlement).await?,
            Errand::Remove(hrefs) => Plan::removing(&state.catalog, hrefs),
            Errand::RollBack(_) => Plan::default(),
        };
        let mut placed = BTreeMap::new();
        let admissions: Vec<_> = plan
            .admit
            .iter()
            .map(|&at| {
                let (candidate, known) = (&candidates[at], in_place.get(&candidates[at].href));
                let apart = plan.goes_apart(at);
                async move {
                    let outcome = match known {
                        Some(placed) => self.still_in_place(candidate, placed).await,
                        None if apart => self.put_apart(candidate, run).await,
                        None => self.put_in_place(candidate, run).await,
                    };
                    (at, outcome)
                }
            })
            .collect();
        let mut admissions = futures::stream::iter(admissions).buffered(self.bucket.policy.concurrency);
        let (mut done, mut renamed) = (0, Vec::new());
        while let Some((at, outcome)) = admissions.next().await {
            done += 1;
            progress.step(Step::Admit, done, plan.admit.len());
            match outcome {
                Ok((Admission::Placed(there), own)) => {
                    placed.insert(at, there);
                    renamed.extend(own.map(|own| (at, own)));
                }
                other => settlement.held_up(&candidates[at], other.map(|(admission, _)| admission)),
            }
        }
        drop(admissions);
        for (at, own) in renamed {
            candidates[at] = own;
        }
        // Here, where nobody shares the XML yet: it need not be copied.
        for (&at, there) in &placed {
            candidates[at].fragments.set_pkgid(there.pkgid);
        }
        // Nobody has seen yet what was taken over: nothing leaves with it.
        if let (Errand::Publish, Some(rule), false) = (errand, self.bucket.policy.retention, state.adopted()) {
            let newer: Vec<usize> = placed.keys().copied().collect();
            let kept = state.kept(&self.bucket.gate, rule);
            let due_at = |now| retirements(kept, &candidates, &plan, &newer, now);
            // The local clock may be ahead: the store's is asked before anything leaves by it.
            let some_may_be_due = !due_at(run.started).is_empty();
            let due = if some_may_be_due { due_at(clock::store_clock(&self.bucket).await?) } else { Vec::new() };
            plan.retire = due;
        }
        let already = self.confirm(&state, &plan, &candidates, settlement).await;
        for &at in &plan.later {
            settlement.wait(&candidates[at].dropped, "it replaces another file of this run, in the next".to_owned());
        }
        for Conflict { candidate, with, message } in &plan.conflicts {
            let sha256 = candidates[*candidate].uploaded_sha256();
            let dropped = candidates[*candidate].dropped.clone();
            if with.is_some_and(|with| !placed.contains_key(&with)) {
                settlement.wait(&dropped, "another file of the same name and version is before it".to_owned());
                continue;
            }
            let message = message.clone();
            settlement.conflicts.push(Rejection { dropped, reason: Reason::Conflict, message, sha256 });
        }
        self.take_out_leftovers(settlement).await;
        in_place.extend(placed.iter().map(|(&at, there)| (candidates[at].href.clone(), there.clone())));
        Ok(Prepared { state, plan, candidates, placed, already })
    }

    /// What an earlier try put in place. Since then another writer may have published it and an
    /// operator have removed it: it goes on only while its upload is there.
    async fn still_in_place(&self, candidate: &Candidate, placed: &Placed) -> Result<Placement> {
        let there = self.bucket.store.head(candidate.dropped.key()).await?;
        let is_it = there.is_some_and(|object| object.etag == *candidate.dropped.etag());
        if is_it && receipt::says_published(&self.bucket, &candidate.dropped).await? {
            return Ok((Admission::Answered, None));
        }
        Ok((if is_it { Admission::Placed(placed.clone()) } else { Admission::Gone }, None))
    }

    /// Puts one candidate in place, apart if its path holds what nobody published.
    async fn put_in_place(&self, candidate: &Candidate, run: RunId) -> Result<Placement> {
        match admit(&self.bucket, candidate).await? {
            Admission::Taken { reason, overdue } => match self.put_apart(candidate, run).await? {
                (Admission::Taken { .. }, _) => Ok((Admission::Taken { reason, overdue }, None)),
                placement => Ok(placement),
            },
            admission => Ok((admission, None)),
        }
    }

    /// Puts one candidate in place under the path that its bytes alone can have.
    async fn put_apart(&self, candidate: &Candidate, run: RunId) -> Result<Placement> {
        let inspector = Inspector::new(self.bucket.clone(), run.started);
        let own_paths = match OwnPaths::of(&inspector, candidate).await? {
            Ok(own_paths) => own_paths,
            Err(Verdict::Wait { why, .. } | Verdict::Held { why, .. }) => return Ok((Admission::Wait(why), None)),
            // The next run says what is wrong with it.
            Err(Verdict::Gone | Verdict::Long(_) | Verdict::Reject(_) | Verdict::Accept(_)) => {
                return Ok((Admission::Gone, None));
            }
        };
        for own in own_paths {
            let Ok(own) = own? else { return Ok((Admission::Gone, None)) };
            let admission = admit(&self.bucket, &own).await?;
            if !matches!(admission, Admission::Taken { .. }) {
                return Ok((admission, Some(own)));
            }
        }
        let reason = "its path is taken, and there is none of its own that is short enough and free".to_owned();
        Ok((Admission::Taken { reason, overdue: false }, None))
    }

    /// Which of the plan's `already` can be fetched, after what had vanished was put back.
    async fn confirm(
        &self,
        state: &State,
        plan: &Plan,
        candidates: &[Candidate],
        settlement: &mut Settlement,
    ) -> Vec<usize> {
        let looks = plan.already.iter().filter_map(|&at| Some((at, entry_of(&state.catalog, &candidates[at])?)));
        let looks: Vec<_> = looks
            .map(|(at, entry)| async move { (at, put_back(&self.bucket, &candidates[at], &entry).await) })
            .collect();
        let mut looks = futures::stream::iter(looks).buffered(self.bucket.policy.concurrency);
        let mut already = Vec::with_capacity(plan.already.len());
        while let Some((at, found)) = looks.next().await {
            match found {
                Ok(Admission::Placed(_)) => already.push(at),
                other => settlement.held_up(&candidates[at], other),
            }
        }
        already
    }

    /// Renders the next generation. When a published file turns out to be gone or damaged, the
    /// repository is read again from its packages and rendered from that.
    async fn next_generation(&self, prepared: &Prepared, run: RunId) -> Result<(State, Generation)> {
        let state = &prepared.state;
        if state.adopted() || state.catalog.files.is_none() {
            return self.render_from(state.clone(), None, prepared, run).await;
        }
        let damage = match read_published(&self.bucket, state).await {
            Ok(files) => match self.render_from(state.clone(), Some(files), prepared, run).await {
                Err(error) if error.kind() == ErrorKind::Corrupt => error,
                rendered => return rendered,
            },
            Err(error) if error.kind() == ErrorKind::Corrupt => error,
            Err(error) => return Err(error),
        };
        tracing::warn!(repository = %state.repository, "{}; reading the packages again", damage.chain());
        let rebuilt = Box::pin(adopt::rebuild(&self.bucket, state.clone(), run.started)).await?;
        self.render_from(rebuilt, None, prepared, run).await
    }

    /// Renders what `prepared` decided, with `state` for what stays.
    async fn render_from(
        &self,
        state: State,
        published: Option<PublishedFiles>,
        prepared: &Prepared,
        run: RunId,
    ) -> Result<(State, Generation)> {
        let leaving = prepared.leaving();
        let before = prepared.state.catalog.entries.len() - leaving.len();
        let admitted: Vec<Admitted> =
            prepared.placed.iter().map(|(&at, there)| (prepared.candidates[at].clone(), there.clone())).collect();
        let leaving = leaving.into_iter().map(|at| prepared.state.catalog.entries.href(at));
        let leaving: Vec<usize> = leaving.filter_map(|href| state.catalog.entries.position(href)).collect();
        let all: Vec<Candidate> = admitted.iter().map(|(candidate, _)| candidate.clone()).collect();
        let every: Vec<usize> = (0..all.len()).collect();
        let origins = merge(&state.catalog, &leaving, &all, &every);
        let after = origins.iter().map(Origin::packages).sum();
        guard_shrink(&self.bucket, &state.repository, before, after)?;
        let (bucket, rendered_from) = (self.bucket.clone(), state.clone());
        let rendered = aside("rendering", move || {
            let spool = || bucket.cache.spool(bucket.store.as_ref());
            let mirrored = bucket.mirror_rules.is_on(&rendered_from.repository);
            let rules = Rules { compression: bucket.policy.compression, mirrored, run, spool: &spool };
            render(&rendered_from, published.as_ref(), &origins, &admitted, rules)
        })
        .await?;
        // A cached file that cannot be read any more is fetched again next time.
        Ok((state, rendered.inspect_err(|_| self.bucket.cache.distrust())?))
    }

    /// Answers, and empties the inbox of what is published.
    async fn tidy(&self, pass: Pass<'_>, prepared: &Prepared, settlement: &mut Settlement) {
        let Pass { run, progress, listed } = pass;
        let Prepared { state, plan, candidates, placed, already } = prepared;
        let entries = &state.catalog.entries;
        let already = already.iter().filter_map(|&at| Some((at, entry_of(&state.catalog, &candidates[at])?)));
        let already = already.map(|(at, entry)| {
            let way = way_of(&candidates[at]);
            (at, (entry.pkgid(), way), (entry.href.into_owned(), entry.size_bytes), true)
        });
        let new = placed.iter().map(|(&at, there)| {
            (at, (there.pkgid, there.way), (candidates[at].href.clone(), candidates[at].size_bytes()), false)
        });
        let done: Vec<(&Dropped, Published)> = already
            .chain(new)
            .map(|(at, (pkgid, way), (href, size_bytes), already_there)| {
                let published = Published { href, size_bytes, already_there, ..published(&candidates[at], pkgid, way) };
                (&candidates[at].dropped, published)
            })
            .collect();
        let answers: Vec<_> = done
            .iter()
            .map(|(dropped, published)| async move {
                (published, tidy::published(&self.bucket, dropped, published, listed).await)
            })
            .collect();
        let mut answers = futures::stream::iter(answers).buffer_unordered(self.bucket.policy.concurrency);
        let mut count = 0;
        while let Some((published, tidied)) = answers.next().await {
            count += 1;
            progress.step(Step::Tidy, count, done.len());
            let is_news = !tidied.as_ref().is_err_and(|untidied| untidied.answered_before);
            if is_news {
                settlement.published.push(published.clone());
            }
            if let Err(tidy::Untidied { error, .. }) = tidied {
                if !is_news {
                    let reason = format!("it is published; taking it out of the inbox fails: {}", error.chain());
                    settlement.waiting.push(Waiting { inbox_key: published.inbox_key.clone(), reason });
                }
                tracing::warn!(run.id = %run.id, key = published.inbox_key, error = error.chain(),
                    "published, but not yet taken out of the inbox; the next run does it");
                let line = format!("tidying {}: {}", published.inbox_key, error.chain());
                settlement.trouble.unfinished(&error, &line);
                settlement.errors.push(line);
            }
        }
        let left = |leaving: &[usize]| {
            let entries = leaving.iter().map(|&at| entries.get(at));
            entries
                .map(|entry| Retired {
                    repository: state.repository.as_str().to_owned(),
                    href: entry.href.to_string(),
                    nevra: entry.nevra().to_string(),
                })
                .collect()
        };
        let replaced: Vec<usize> = plan.replaced(|candidate| placed.contains_key(&candidate)).collect();
        settlement.retired = left(&plan.retire);
        settlement.removed = left(&plan.remove);
        settlement.replaced = left(&replaced);
    }

    /// Remembers the generation that was just made the truth.
    async fn remember(&self, repository: &RepositoryDir, generation: Generation, etag: ETag, copied: bool) {
        let Generation { catalog, repomd, repomd_bytes, files, mirror, .. } = generation;
        for file in files.iter().chain(&mirror) {
            if let Err(error) = self.bucket.cache.keep(&file.body, file.sha256).await {
                tracing::warn!(%repository, error = error.chain(), "a metadata file was not kept in the cache");
            }
        }
        let current = Current { etag: Some(etag), bytes: repomd_bytes, repomd, copied };
        let state = State::published(repository.clone(), current, catalog);
        self.note_retention(repository, &state);
        lock(&self.known).insert(repository.clone(), state);
    }

    fn note_retention(&self, repository: &RepositoryDir, state: &State) {
        if let Some(rule) = self.bucket.policy.retention {
            lock(&self.retention_due)
                .insert(repository.clone(), state.next_retirement(state.kept(&self.bucket.gate, rule)));
        }
    }
}
