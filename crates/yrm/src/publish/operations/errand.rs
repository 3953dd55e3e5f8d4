//! What operators want of a repository: take packages out, go back to an earlier generation, put
//! packages of one folder into another. They go down the same line as what the inbox brings, and
//! win or lose the same switch.

use super::rollback;
use crate::bucket::Bucket;
use crate::bucket::inbox::Dropped;
use crate::bucket::report::Report;
use crate::bucket::state::State;
use crate::bucket::verdict::{Candidate, Rejection, Verdict};
use crate::error::{Error, ErrorKind, Result};
use crate::publish::abilities::abilities;
use crate::publish::inspect::read::Inspector;
use crate::publish::repository::Work;
use crate::publish::settlement::Settlement;
use crate::publish::{Pass, Publisher, RunId, Unwatched, history};
use crate::store::key::{Key, RepositoryDir};

/// What is wanted of one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Errand {
    /// Publish what was dropped, and retire what is old.
    Publish,
    /// Take out the packages at these paths.
    Remove(Vec<String>),
    /// Hold again what the generation with this revision held.
    RollBack(u64),
}

impl Errand {
    /// The state that the next generation is made from.
    pub(crate) async fn start_from(&self, bucket: &Bucket, state: State) -> Result<State> {
        match self {
            Self::Publish | Self::Remove(_) => Ok(state),
            Self::RollBack(revision) => rollback::to(bucket, state, *revision).await,
        }
    }

    /// Whether it is still wanted when another writer was first. What was published meanwhile would
    /// be lost by going back: that is the operator's to decide.
    pub(crate) fn may_start_again(&self) -> Result<()> {
        match self {
            Self::Publish | Self::Remove(_) => Ok(()),
            Self::RollBack(revision) => Err(Error::new(ErrorKind::Conflict, format!("rolling back to {revision}"))
                .because("somebody published meanwhile")
                .hint("nothing was changed; look at `yrm repo log` and try again")),
        }
    }
}

/// A package to put into another folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promotion {
    /// Its path below `repo/` now.
    pub from: String,
    /// Its path below `repo/` then.
    pub to: String,
}

impl Publisher {
    /// Takes packages out of a repository. Paths that it does not have are an error, and then
    /// nothing is changed; they are fetchable for the grace period still.
    pub async fn remove(&self, repository: &RepositoryDir, hrefs: Vec<String>, run: RunId) -> Result<Report> {
        let state = self.state_of(repository, run).await?;
        if let Some(unknown) = hrefs.iter().find(|href| state.catalog.entries.position(href).is_none()) {
            return Err(Error::new(ErrorKind::Conflict, format!("removing {unknown:?} from {repository}"))
                .because("the repository has no package at that path")
                .hint("`yrm package search` shows the paths"));
        }
        self.errand(repository, Vec::new(), &Errand::Remove(hrefs), run).await
    }

    /// Makes a repository hold again what it held in an earlier generation.
    pub async fn roll_back(&self, repository: &RepositoryDir, revision: u64, run: RunId) -> Result<Report> {
        self.errand(repository, Vec::new(), &Errand::RollBack(revision), run).await
    }

    /// Puts packages of one folder into another too, without moving their bytes. What the other has
    /// already is a success; one that it has with other bytes is an error, and the rest is promoted.
    pub async fn promote(&self, promotions: &[Promotion], run: RunId) -> Result<Report> {
        let mut wanted: Vec<(RepositoryDir, Vec<Candidate>)> = Vec::new();
        for promotion in promotions {
            let candidate = self.promoted(promotion, run).await?;
            match wanted.iter_mut().find(|(repository, _)| *repository == candidate.repository) {
                Some((_, candidates)) => candidates.push(candidate),
                None => wanted.push((candidate.repository.clone(), vec![candidate])),
            }
        }
        let mut report = Report::new(run.id, run.started);
        for (repository, candidates) in wanted {
            let one = self.errand(&repository, candidates, &Errand::Publish, run).await?;
            report.published.extend(one.published);
            report.retired.extend(one.retired);
            report.repositories.extend(one.repositories);
            for line in one.errors {
                report.note_error(line);
            }
        }
        Ok(report)
    }

    /// A published package as a candidate for its new place.
    async fn promoted(&self, promotion: &Promotion, run: RunId) -> Result<Candidate> {
        let Promotion { from, to } = promotion;
        let doing = || format!("promoting {from:?} to {to:?}");
        let refuse = |why: &str| Error::new(ErrorKind::Conflict, doing()).because(why.to_owned());
        let (repository, href) = self.bucket.locator.locate(from).ok_or_else(|| refuse("it is in no repository"))?;
        let state = self.state_of(&repository, run).await?;
        let entry = state.catalog.entries.at(href).ok_or_else(|| refuse("no metadata names that package"))?;
        let key = self.bucket.path(Key::Package { repository: &repository, href });
        let object = self.bucket.store.head(&key).await?.ok_or_else(|| refuse("the package is gone"))?;
        let inspector = Inspector::new(self.bucket.clone(), run.started);
        match inspector.inspect(Dropped { path: to.clone(), object }).await? {
            // One that is signed here becomes other bytes.
            Verdict::Accept(candidate) if candidate.signed.is_some() => Ok(*candidate),
            Verdict::Accept(candidate) => Ok(Candidate { pkgid: Some(entry.pkgid()), ..*candidate }),
            Verdict::Reject(Rejection { message, .. }) => Err(refuse(&message)),
            Verdict::Wait { why, .. } | Verdict::Held { why, .. } => Err(refuse(&why)),
            Verdict::Long(_) | Verdict::Gone => Err(refuse("the package is gone")),
        }
    }

    /// One errand, told in the history like a run.
    async fn errand(
        &self,
        repository: &RepositoryDir,
        candidates: Vec<Candidate>,
        errand: &Errand,
        run: RunId,
    ) -> Result<Report> {
        abilities(&self.bucket).await?;
        let used = self.usage();
        let mut settlement = Settlement::default();
        let began = tokio::time::Instant::now();
        let work = Work { repository, errand, pass: Pass { run, progress: &Unwatched, listed: began } };
        Box::pin(self.try_settle(work, candidates, &mut settlement)).await?;
        if let Some(conflict) = settlement.conflicts.first() {
            let doing = format!("promoting {}", conflict.dropped.key());
            return Err(Error::new(ErrorKind::Conflict, doing).because(conflict.message.clone()));
        }
        let mut report = Report::new(run.id, run.started);
        let rejections = self.take_in(settlement, &mut report);
        self.quarantine(rejections, &mut report).await;
        report.finish(began.elapsed(), self.usage() - used);
        if report.did_work()
            && let Err(error) = history::write(&self.bucket, &report).await
        {
            report.fault("writing the history", &error);
        }
        Ok(report)
    }
}
