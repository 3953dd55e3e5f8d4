//! One repository's part of a run: from its candidates to a won switch and tidied inbox objects,
//! starting again from what the winner wrote whenever the switch is lost.

use std::collections::HashMap;
use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use tokio::time::Instant;

use super::admit::{Admission, Placed, admit, put_back};
use super::adopt;
use super::bucket::{aside, guard_shrink};
use super::commit::{Switch, keep_copy, keep_copy_of_current, switch, upload};
use super::inbox::Dropped;
use super::inspect::{Inspector, learn_pkgid};
use super::observe::{Current, Observed, State, observe, read_published};
use super::plan::{Conflict, Plan, merge, plan, undecided};
use super::render::{Admitted, Generation, Rules, render};
use super::report::{Published, RepositoryReport, Retired, Waiting};
use super::settlement::{Settlement, published};
use super::verdict::{Candidate, Reason, Rejection};
use super::{Progress, Publisher, RunId, Step, lock, sweep, tidy};
use crate::error::{Error, ErrorKind, Result};
use crate::store::body::Body;
use crate::store::key::RepositoryDir;
use crate::store::settle;

/// Times a lost switch starts again before the packages are left for the next run.
const MAX_SWITCHES: u32 = 20;
/// A writer that has been at it for longer than this looks again before it switches: the sweep
/// must never be able to reach what it put in place.
const STALE_AFTER: Duration = Duration::from_mins(30);

/// What is at hand before the switch.
struct Prepared {
    state: State,
    plan: Plan,
    /// The candidates, and which of them are in place.
    candidates: Vec<Candidate>,
    placed: HashMap<usize, Placed>,
    /// Those of the plan's `already` that really are.
    already: Vec<usize>,
}

impl Publisher {
    /// Publishes `candidates` into `repository` and retires what is old. A failure leaves
    /// everything in the inbox and is told in the settlement.
    pub(super) async fn settle(
        &self,
        repository: RepositoryDir,
        candidates: Vec<Candidate>,
        run: RunId,
        progress: &dyn Progress,
    ) -> Settlement {
        let keys: Vec<String> = candidates.iter().map(|candidate| candidate.dropped.key().to_owned()).collect();
        let mut settlement = Settlement::default();
        if let Err(error) = self.try_settle(&repository, candidates, run, progress, &mut settlement).await {
            let line = format!("publishing {repository}: {}", error.chain());
            tracing::error!(run.id = %run.id, kind = error.kind().name(), hint = error.hint_text(), "part of the run failed: {line:?}");
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
            lock(&self.known).remove(&repository);
        }
        settlement
    }

    async fn try_settle(
        &self,
        repository: &RepositoryDir,
        mut candidates: Vec<Candidate>,
        run: RunId,
        progress: &dyn Progress,
        settlement: &mut Settlement,
    ) -> Result<()> {
        let mut in_place: HashMap<String, Placed> = HashMap::new();
        let mut began = Instant::now();
        for attempt in 1..=MAX_SWITCHES {
            if began.elapsed() > STALE_AFTER {
                (in_place, began) = (HashMap::new(), Instant::now());
            }
            let state = self.state_of(repository, run).await?;
            candidates = self.learn_pkgids(&state, candidates, run, settlement).await;
            let prepared = self.prepare(state, candidates, &mut in_place, run, progress, settlement).await?;
            let (before, revision_before) = (prepared.state.adopted(), prepared.state.revision());
            let packages_before = prepared.state.catalog.entries.len();
            let unchanged = prepared.placed.is_empty() && prepared.plan.retire.is_empty() && !before;
            let mut report = RepositoryReport {
                repository: repository.as_str().to_owned(),
                revision_before,
                revision_after: revision_before,
                packages: packages_before as u64,
                attempts: attempt,
                adopted: before,
            };
            if unchanged {
                self.note_retention(repository, &prepared.state);
                settlement.repository = Some(report);
                // Whoever switched to this generation may have died before its copy was made.
                if let Err(error) = keep_copy_of_current(&self.bucket, &prepared.state).await {
                    settlement.errors.push(format!("keeping a copy of the generation: {}", error.chain()));
                }
                self.tidy(&prepared, run, progress, settlement).await;
                return Ok(());
            }
            progress.step(Step::Upload, 0, prepared.placed.len());
            let (state, generation) = self.next_generation(&prepared, run).await?;
            upload(&self.bucket, &state, &generation).await?;
            let switched = if began.elapsed() > STALE_AFTER {
                Switch::Lost
            } else {
                switch(&self.bucket, &state, &generation, run.id).await?
            };
            match switched {
                Switch::Won(etag) => {
                    progress.step(Step::Upload, prepared.placed.len(), prepared.placed.len());
                    report.revision_after = Some(generation.catalog.revision);
                    report.packages = generation.catalog.entries.len() as u64;
                    settlement.repository = Some(report);
                    let kept = keep_copy(&self.bucket, repository, &generation).await;
                    if let Err(error) = &kept {
                        tracing::warn!(run.id = %run.id, %repository, error = error.chain(), "the generation has no copy yet; the next commit makes it");
                        settlement.errors.push(format!("keeping a copy of the generation: {}", error.chain()));
                    }
                    self.remember(repository, generation, etag, kept.is_ok()).await;
                    self.tidy(&prepared, run, progress, settlement).await;
                    return Ok(());
                }
                Switch::Lost => {
                    tracing::info!(run.id = %run.id, %repository, attempt, "another writer was first; starting again from its generation");
                    candidates = prepared.candidates;
                    settlement.forget(&candidates);
                    settle::pause(attempt).await;
                }
            }
        }
        Err(Error::new(ErrorKind::Conflict, format!("switching after {MAX_SWITCHES} tries"))
            .hint("other writers keep publishing here; the packages stay in the inbox for the next run"))
    }

    /// What the repository holds now, taken over first if nobody knows.
    async fn state_of(&self, repository: &RepositoryDir, run: RunId) -> Result<State> {
        let known = lock(&self.known).get(repository).cloned();
        match observe(&self.bucket, repository, known.as_ref()).await? {
            Observed::Known(state) => Ok(*state),
            Observed::Unexplained(current) => adopt::adopt(&self.bucket, repository, current, run.started).await,
            Observed::Missing => adopt::without_repomd(&self.bucket, repository, run.started).await,
        }
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
        state: State,
        mut candidates: Vec<Candidate>,
        in_place: &mut HashMap<String, Placed>,
        run: RunId,
        progress: &dyn Progress,
        settlement: &mut Settlement,
    ) -> Result<Prepared> {
        let now = self.retention_clock(&state, run).await?;
        let plan = plan(&state.catalog, &candidates, self.bucket.policy.retention, now);
        let mut placed = HashMap::new();
        let admissions: Vec<_> = plan
            .admit
            .iter()
            .map(|&at| {
                let candidate = &candidates[at];
                let known = in_place.get(&candidate.href).cloned();
                async move {
                    match known {
                        Some(placed) => (at, Ok(Admission::Placed(placed))),
                        None => (at, admit(&self.bucket, candidate, run.started).await),
                    }
                }
            })
            .collect();
        let mut admissions = futures::stream::iter(admissions).buffered(self.bucket.policy.concurrency);
        let mut done = 0;
        while let Some((at, admission)) = admissions.next().await {
            done += 1;
            progress.step(Step::Admit, done, plan.admit.len());
            match admission {
                Ok(Admission::Placed(there)) => {
                    placed.insert(at, there);
                }
                other => settlement.held_up(&candidates[at], other),
            }
        }
        drop(admissions);
        // Here, where nobody shares the XML yet: it need not be copied.
        for (&at, there) in &placed {
            candidates[at].fragments.set_pkgid(there.pkgid);
        }
        let already = self.confirm(&state, &plan, &candidates, settlement).await;
        for Conflict { candidate, with, message } in &plan.conflicts {
            let Candidate { dropped, pkgid: sha256, .. } = candidates[*candidate].clone();
            if with.is_some_and(|with| !placed.contains_key(&with)) {
                settlement.wait(&dropped, "another file of the same name and version is before it".to_owned());
                continue;
            }
            let message = message.clone();
            settlement.conflicts.push(Rejection { dropped, reason: Reason::Conflict, message, sha256 });
        }
        in_place.extend(placed.iter().map(|(&at, there)| (candidates[at].href.clone(), there.clone())));
        Ok(Prepared { state, plan, candidates, placed, already })
    }

    /// Which of the plan's `already` can be fetched, after what had vanished was put back.
    async fn confirm(
        &self,
        state: &State,
        plan: &Plan,
        candidates: &[Candidate],
        settlement: &mut Settlement,
    ) -> Vec<usize> {
        let looks = plan.already.iter().filter_map(|&at| Some((at, state.catalog.entries.at(&candidates[at].href)?)));
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
        let rebuilt = adopt::rebuild(&self.bucket, state.clone(), run.started).await?;
        self.render_from(rebuilt, None, prepared, run).await
    }

    /// Renders what `prepared` decided, with `state` for what stays.
    async fn render_from(
        &self,
        state: State,
        published: Option<[Body; 3]>,
        prepared: &Prepared,
        run: RunId,
    ) -> Result<(State, Generation)> {
        let before = prepared.state.catalog.entries.len() - prepared.plan.retire.len();
        let admitted: Vec<Admitted> =
            prepared.placed.iter().map(|(&at, there)| (prepared.candidates[at].clone(), there.clone())).collect();
        let retiring = prepared.plan.retire.iter().map(|&at| prepared.state.catalog.entries.href(at));
        let retire: Vec<usize> = retiring.filter_map(|href| state.catalog.entries.position(href)).collect();
        let all: Vec<Candidate> = admitted.iter().map(|(candidate, _)| candidate.clone()).collect();
        let every: Vec<usize> = (0..all.len()).collect();
        let origins = merge(&state.catalog, &retire, &all, &every);
        guard_shrink(&self.bucket, &state.repository, before, origins.len())?;
        let (bucket, rendered_from) = (self.bucket.clone(), state.clone());
        let rendered = aside("rendering", move || {
            let spool = || bucket.cache.spool(bucket.store.as_ref());
            let rules = Rules { compression: bucket.policy.compression, now: run.started, spool: &spool };
            render(&rendered_from, published.as_ref(), &origins, &admitted, rules)
        })
        .await?;
        // A cached file that cannot be read any more is fetched again next time.
        Ok((state, rendered.inspect_err(|_| self.bucket.cache.distrust())?))
    }

    /// Answers, and empties the inbox of what is published.
    async fn tidy(&self, prepared: &Prepared, run: RunId, progress: &dyn Progress, settlement: &mut Settlement) {
        let Prepared { state, plan, candidates, placed, already } = prepared;
        let entries = &state.catalog.entries;
        let already = already.iter().map(|&at| (at, entries.at(&candidates[at].href).map(|entry| entry.pkgid()), true));
        let new = placed.iter().map(|(&at, there)| (at, Some(there.pkgid), false));
        let done: Vec<(&Dropped, Published)> = already
            .chain(new)
            .map(|(at, pkgid, already_there)| {
                (&candidates[at].dropped, published(&candidates[at], pkgid, already_there))
            })
            .collect();
        let answers: Vec<_> =
            done.iter()
                .map(|(dropped, published)| async move {
                    (published, tidy::published(&self.bucket, dropped, published).await)
                })
                .collect();
        let mut answers = futures::stream::iter(answers).buffer_unordered(self.bucket.policy.concurrency);
        let mut count = 0;
        while let Some((published, tidied)) = answers.next().await {
            count += 1;
            progress.step(Step::Tidy, count, done.len());
            settlement.published.push(published.clone());
            if let Err(error) = tidied {
                tracing::warn!(run.id = %run.id, key = published.inbox_key, error = error.chain(),
                    "published, but not yet taken out of the inbox; the next run does it");
                settlement.errors.push(format!("tidying {}: {}", published.inbox_key, error.chain()));
            }
        }
        settlement.retired = plan
            .retire
            .iter()
            .map(|&at| state.catalog.entries.get(at))
            .map(|entry| Retired {
                repository: state.repository.as_str().to_owned(),
                href: entry.href.to_string(),
                nevra: entry.nevra().to_string(),
            })
            .collect();
    }

    /// Remembers the generation that was just made the truth.
    async fn remember(
        &self,
        repository: &RepositoryDir,
        generation: Generation,
        etag: crate::store::ETag,
        copied: bool,
    ) {
        let Generation { catalog, repomd, repomd_bytes, files, .. } = generation;
        for file in &files {
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
            lock(&self.retention_due).insert(repository.clone(), state.next_retirement(rule));
        }
    }

    /// The time retention goes by: the store's, asked for only when the local clock says that
    /// something may be due. A local clock that jumps ahead retires nothing early.
    async fn retention_clock(&self, state: &State, run: RunId) -> Result<Timestamp> {
        let due = self.bucket.policy.retention.and_then(|rule| state.next_retirement(rule));
        match due {
            Some(due) if due <= run.started => sweep::store_clock(&self.bucket).await,
            Some(_) | None => Ok(run.started),
        }
    }
}
