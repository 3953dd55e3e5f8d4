//! What operators ask of a publisher: to take packages out, to put them into another folder too, to go back to an earlier
//! revision, to prune, to take over. Each is one operation, told in the history like a run.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use futures::{StreamExt as _, TryStreamExt as _};
use tokio::time::Instant;

use super::adopt::kept as keeping;
use super::guard::guard_taking;
use super::observe::state_of;
use super::operations::block::{self, Blocking};
use super::operations::errand::{Errand, Promotion};
use super::operations::hold::{Holdable, Word};
use super::operations::promote::{promoted, source_of};
use super::operations::whole::{self, Restoring};
use super::operations::{orphans, purge, rollback};
use super::pass::{Pass, RunId, STALE_AFTER, Unwatched};
use super::settlement::Settlement;
use super::{Publisher, commit, settings};
use crate::bucket::report::{Marked, Operation, Report, TakenOut};
use crate::bucket::state::State;
use crate::bucket::verdict::Candidate;
use crate::error::{Error, ErrorKind, Result};
use crate::store::counted::Usage;
use crate::store::key::{Key, RepositoryDir};

/// Packages of one repository, by their paths in it.
pub type Hrefs = (RepositoryDir, Vec<String>);

/// What else is done with packages that are taken out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Also {
    /// They do not come back to that repository.
    pub block: bool,
    /// Their bytes are deleted at once.
    pub purge: bool,
}

/// An operation that has begun, and what it has done so far.
struct Begun {
    report: Report,
    run: RunId,
    at: Instant,
    used: Usage,
    /// The first error; the rest goes on.
    failed: Option<Error>,
}

impl Begun {
    /// Notes marks that are not noted yet.
    fn mark(&mut self, marks: Vec<Marked>) {
        let noted: HashSet<String> = self.report.marked.iter().map(|one| one.name.clone()).collect();
        self.report.marked.extend(marks.into_iter().filter(|one| !noted.contains(&one.name)));
    }
}

impl Publisher {
    /// The packages that [`Self::remove`] would take out; the same error where it would take out none. Changes nothing.
    pub async fn removable(&self, repository: &RepositoryDir, hrefs: &[String], run: RunId) -> Result<Vec<TakenOut>> {
        // A look at a signed repository mends its signature.
        settings::agree(&self.bucket, run).await?;
        let state = state_of(&self.bucket, &self.memory, repository, run).await?;
        let entries = &state.catalog.entries;
        let found = |href: &String| {
            let entry = entries.position(href).map(|at| entries.get(at)).ok_or_else(|| {
                Error::new(ErrorKind::Conflict, format!("removing {href:?} from {repository}"))
                    .because("the repository has no package at that path")
                    .hint("nothing was changed; `yrm package search` shows the paths")
            })?;
            let nevra = entry.nevra().to_string();
            Ok(TakenOut { repository: repository.as_str().to_owned(), href: href.clone(), nevra, why: None })
        };
        let distinct: BTreeSet<&String> = hrefs.iter().collect();
        let found = distinct.into_iter().map(found).collect::<Result<Vec<_>>>()?;
        self.guard_taking(repository, &state, found.len(), run)?;
        Ok(found)
    }

    /// Refuses to begin what a commit would refuse later, when other repositories have changed already.
    fn guard_taking(&self, repository: &RepositoryDir, state: &State, taken: usize, run: RunId) -> Result<()> {
        let errand = Errand::Put;
        let work = self.work(repository, &errand, self.pass_of(run, Instant::now()));
        guard_taking(work, "removing from", state.catalog.entries.len(), taken)
    }

    fn pass_of(&self, run: RunId, listed: Instant) -> Pass<'_> {
        Pass { run, progress: &Unwatched, listed, expected: self.expected.as_ref() }
    }

    /// Takes packages out of a repository. Paths that it does not have are an error, and then
    /// nothing is changed; they are fetchable for the grace period still.
    pub async fn remove(&self, repository: &RepositoryDir, hrefs: Vec<String>, run: RunId) -> Result<Report> {
        self.remove_all(vec![(repository.clone(), hrefs)], Also::default(), run).await
    }

    /// The same in several repositories, as one operation: a commit in each. What is blocked too is blocked before that, so
    /// that it cannot come back in between; what is purged too is deleted after it.
    pub async fn remove_all(&self, packages: Vec<Hrefs>, also: Also, run: RunId) -> Result<Report> {
        let mut leaving = Vec::new();
        for (repository, hrefs) in &packages {
            leaving.extend(Box::pin(self.removable(repository, hrefs, run)).await?);
        }
        let mut begun = self.begin(Operation::Remove, run).await?;
        let word = self.word(run).await;
        if also.block {
            let blocked: Vec<Blocking> = leaving.iter().map(Blocking::of).collect();
            begun.report.marked.extend(block::block(&self.bucket, &blocked, &word).await?);
        }
        if also.purge {
            begun
                .report
                .marked
                .extend(purge::announce(&self.bucket, &self.memory_of(&packages, run).await?, &word).await?);
        }
        for (repository, hrefs) in packages {
            self.perform(&mut begun, &repository, Vec::new(), &Errand::Remove(hrefs)).await;
        }
        if let Err(error) = self.forget_spared(&begun.report.removed).await {
            begun.failed = begun.failed.take().or(Some(error));
        }
        if also.purge {
            match purge::finish(&self.bucket, run.started, Instant::now() + STALE_AFTER).await {
                Ok(done) => begun.mark(done),
                Err(error) => begun.failed = begun.failed.take().or(Some(error)),
            }
        }
        self.end(begun).await
    }

    /// What an operator has taken out goes like any other package, also where it had been spared before it was adopted.
    async fn forget_spared(&self, removed: &[TakenOut]) -> Result<()> {
        let key = |one: &TakenOut| {
            let repository = RepositoryDir::new(&one.repository);
            self.bucket.path(Key::Package { repository: &repository, href: &one.href })
        };
        let keys: BTreeSet<String> = removed.iter().map(key).collect();
        if keys.is_empty() { Ok(()) } else { keeping::forget(&self.bucket, &keys).await }
    }

    /// Packages with what is known of them.
    async fn memory_of(&self, packages: &[Hrefs], run: RunId) -> Result<Vec<(RepositoryDir, Holdable)>> {
        let mut all = Vec::new();
        for (repository, hrefs) in packages {
            let state = state_of(&self.bucket, &self.memory, repository, run).await?;
            let entries = &state.catalog.entries;
            let found = hrefs.iter().filter_map(|href| entries.at(href)).map(|entry| {
                let (href, nevra) = (entry.href.to_string(), entry.nevra().to_string());
                (repository.clone(), Holdable { href, nevra, pkgid: entry.pkgid().to_string() })
            });
            all.extend(found);
        }
        Ok(all)
    }

    /// Makes a repository hold again what it held in an earlier generation, but for what is blocked. What the prune rule
    /// would take of that is held from then on. What somebody had taken out on purpose says so.
    pub async fn roll_back(&self, repository: &RepositoryDir, revision: u64, run: RunId) -> Result<Report> {
        let word = Word { rolled_back_to: Some(revision), ..self.word(run).await };
        let mut begun = self.begin(Operation::Rollback, run).await?;
        self.perform(&mut begun, repository, Vec::new(), &Errand::RollBack(revision, word)).await;
        rollback::warn_of_removed(&self.bucket, revision, &mut begun.report.restored).await?;
        self.end(begun).await
    }

    /// Puts packages of one folder into another too, without moving their bytes, and prunes nothing there. What the other
    /// has already is a success; one that it has with other bytes is an error, and the rest is promoted.
    pub async fn promote(&self, promotions: &[Promotion], run: RunId) -> Result<Report> {
        let wanted = self.candidates(promotions, run).await?;
        let mut begun = self.begin(Operation::Promote, run).await?;
        for (repository, candidates) in wanted {
            self.perform(&mut begun, &repository, candidates, &Errand::Put).await;
        }
        self.end(begun).await
    }

    /// The same, and takes each package out of where it was, once it is where it is wanted. A crash leaves it in both, and
    /// the same again finishes that.
    pub async fn relocate(&self, promotions: &[Promotion], run: RunId) -> Result<Report> {
        let wanted = self.candidates(promotions, run).await?;
        let leaving = self.leaving(promotions, &wanted, run).await?;
        let mut begun = self.begin(Operation::Promote, run).await?;
        for (repository, candidates) in wanted {
            self.perform(&mut begun, &repository, candidates, &Errand::Move).await;
        }
        let published = &begun.report.published;
        let moved: HashSet<String> = published.iter().map(|one| one.inbox_key.clone()).collect();
        for (repository, mut hrefs) in leaving {
            let key = |href: &str| self.bucket.path(Key::Package { repository: &repository, href });
            hrefs.retain(|href| moved.contains(&key(href)));
            if !hrefs.is_empty() {
                self.perform(&mut begun, &repository, Vec::new(), &Errand::Remove(hrefs)).await;
            }
        }
        self.end(begun).await
    }

    /// What leaves other repositories than those it is wanted in.
    async fn leaving(&self, promotions: &[Promotion], wanted: &[Wanted], run: RunId) -> Result<Vec<Hrefs>> {
        let mut leaving: BTreeMap<RepositoryDir, BTreeSet<String>> = BTreeMap::new();
        for promotion in promotions {
            let (repository, href) = source_of(&self.bucket, promotion)?;
            let (target, _) = self.bucket.locator.locate(&promotion.to).unwrap_or_else(|| (repository.clone(), href));
            if target != repository {
                leaving.entry(repository).or_default().insert(href.to_owned());
            }
        }
        if let Some((both, _)) = wanted.iter().find(|(target, _)| leaving.contains_key(target)) {
            return Err(Error::new(ErrorKind::Conflict, "moving packages")
                .because(format!("some come to {both}, and others leave it"))
                .hint("nothing was changed; move them by two commands"));
        }
        let mut all = Vec::new();
        for (repository, hrefs) in leaving {
            let state = state_of(&self.bucket, &self.memory, &repository, run).await?;
            self.guard_taking(&repository, &state, hrefs.len(), run)?;
            all.push((repository, hrefs.into_iter().collect()));
        }
        Ok(all)
    }

    /// Published packages as candidates for where they are wanted.
    async fn candidates(&self, promotions: &[Promotion], run: RunId) -> Result<Vec<Wanted>> {
        settings::agree(&self.bucket, run).await?;
        let sources = promotions.iter().map(|promotion| source_of(&self.bucket, promotion));
        let sources: BTreeSet<RepositoryDir> = sources.map(|at| at.map(|(from, _)| from)).collect::<Result<_>>()?;
        let mut states: BTreeMap<RepositoryDir, State> = BTreeMap::new();
        for repository in sources {
            let state = state_of(&self.bucket, &self.memory, &repository, run).await?;
            states.insert(repository, state);
        }
        // Collected first: a stream over borrowing closures is not Send.
        let reads: Vec<_> =
            promotions.iter().map(|promotion| promoted(&self.bucket, &states, promotion, run)).collect();
        let candidates: Vec<Candidate> =
            futures::stream::iter(reads).buffered(self.bucket.policy.concurrency).try_collect().await?;
        Ok(by_repository(candidates))
    }

    /// Prunes what is old in these repositories, and does nothing else there.
    pub async fn prune(&self, repositories: Vec<RepositoryDir>, run: RunId) -> Result<Report> {
        self.operate(repositories, &Errand::Publish, (Operation::Prune, run)).await
    }

    /// Takes these repositories over where somebody else wrote their metadata, and does nothing else there.
    pub async fn adopt(&self, repositories: Vec<RepositoryDir>, run: RunId) -> Result<Report> {
        self.operate(repositories, &Errand::Put, (Operation::Adopt, run)).await
    }

    /// Takes files that lie below `repo/`, and that no metadata names, into their repositories.
    pub async fn adopt_files(&self, paths: &[String], run: RunId) -> Result<Report> {
        settings::agree(&self.bucket, run).await?;
        let mut candidates = Vec::new();
        for path in paths {
            candidates.push(Box::pin(orphans::adopted(&self.bucket, &self.memory, path, run)).await?);
        }
        let mut begun = self.begin(Operation::AdoptFile, run).await?;
        for (repository, candidates) in by_repository(candidates) {
            self.perform(&mut begun, &repository, candidates, &Errand::Put).await;
        }
        self.end(begun).await
    }

    /// Leaves such files to the next clean-up after their grace, also where they were spared.
    pub async fn drop_files(&self, paths: &[String], run: RunId) -> Result<Report> {
        let mut begun = self.begin(Operation::DropFile, run).await?;
        begun.report.deleted = Box::pin(orphans::let_go(&self.bucket, &self.memory, paths, run)).await?;
        self.end(begun).await
    }

    /// Makes the metadata of these repositories anew from the headers of the packages that they hold. What the rules of the
    /// folders would not let in today is left out.
    pub async fn rebuild(&self, repositories: Vec<RepositoryDir>, run: RunId) -> Result<Report> {
        self.operate(repositories, &Errand::Rebuild, (Operation::Rebuild, run)).await
    }

    /// Takes all packages out of a repository, and its repomd.xml away. The files stay for the grace period.
    pub async fn delete(&self, repository: &RepositoryDir, run: RunId) -> Result<Report> {
        let mut begun = self.begin(Operation::Delete, run).await?;
        self.perform(&mut begun, repository, Vec::new(), &Errand::Empty).await;
        if begun.failed.is_none() {
            begun.failed = whole::take_away(&self.bucket, repository).await.err();
            self.memory.forget(repository);
        }
        self.end(begun).await
    }

    /// Brings back the last revision that had packages of a repository that was deleted, or whose repomd.xml was lost.
    pub async fn restore(&self, repository: &RepositoryDir, run: RunId) -> Result<Report> {
        let mut begun = self.begin(Operation::Restore, run).await?;
        let errand = match whole::to_restore(&self.bucket, repository).await? {
            Restoring::PutBack => Errand::Mend,
            Restoring::RollBack(revision) => {
                Errand::RollBack(revision, Word { rolled_back_to: Some(revision), ..self.word(run).await })
            }
        };
        self.perform(&mut begun, repository, Vec::new(), &errand).await;
        self.end(begun).await
    }

    /// One operation that wants the same of each of these repositories.
    async fn operate(
        &self,
        repositories: Vec<RepositoryDir>,
        errand: &Errand,
        (operation, run): (Operation, RunId),
    ) -> Result<Report> {
        let mut begun = self.begin(operation, run).await?;
        for repository in repositories {
            self.perform(&mut begun, &repository, Vec::new(), errand).await;
        }
        self.end(begun).await
    }

    async fn begin(&self, operation: Operation, run: RunId) -> Result<Begun> {
        self.may_change(run).await?;
        let report = Report::new(run.id, run.started).of(operation);
        Ok(Begun { report, run, at: Instant::now(), used: self.usage(), failed: None })
    }

    /// One commit of an operation. What fails is kept for the end: the other repositories have theirs.
    async fn perform(
        &self,
        begun: &mut Begun,
        repository: &RepositoryDir,
        candidates: Vec<Candidate>,
        errand: &Errand,
    ) {
        let pass = self.pass_of(begun.run, begun.at);
        let mut settlement = Settlement::default();
        let done = Box::pin(commit(self.work(repository, errand, pass), candidates, &mut settlement)).await;
        let done = done.and(settlement.refuse_conflicts());
        self.tell(settlement, &mut begun.report);
        begun.failed = begun.failed.take().or(done.err());
    }

    /// Tells it in the history. The first error ends up here when the rest is done.
    async fn end(&self, begun: Begun) -> Result<Report> {
        let Begun { mut report, at, used, failed, .. } = begun;
        report.finish(at.elapsed(), self.usage() - used);
        // A rollback stands there even where it only brought back an earlier order of the same packages.
        let is_told = matches!(
            report.operation,
            Operation::Rollback | Operation::Rebuild | Operation::Delete | Operation::Restore
        );
        if report.did_work() || (is_told && failed.is_none()) {
            Box::pin(self.keep_in_history(&mut report)).await;
        }
        failed.map_or(Ok(report), Err)
    }
}

/// The candidates of each repository, in the order of the first ones.
fn by_repository(candidates: Vec<Candidate>) -> Vec<Wanted> {
    let mut wanted: Vec<Wanted> = Vec::new();
    for candidate in candidates {
        match wanted.iter_mut().find(|(repository, _)| *repository == candidate.repository) {
            Some((_, candidates)) => candidates.push(candidate),
            None => wanted.push((candidate.repository.clone(), vec![candidate])),
        }
    }
    wanted
}

/// Candidates for one repository.
type Wanted = (RepositoryDir, Vec<Candidate>);
