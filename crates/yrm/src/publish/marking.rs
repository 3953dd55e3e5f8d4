//! What operators put on packages and revisions, and take off again: holds, blocks, tags. None of it changes what clients
//! see; each is one operation, told in the history like a run.

use std::collections::BTreeMap;

use super::operations::block::{self, Blocking};
use super::operations::hold::{self, Holdable, Word};
use super::operations::tag;
use super::operations::token::{self, Granting};
use super::pass::RunId;
use super::{Publisher, settings};
use crate::bucket::meant::Meant;
use crate::bucket::report::{Marked, Operation, Report};
use crate::error::Result;
use crate::publish::abilities::abilities;
use crate::store::key::RepositoryDir;

impl Publisher {
    /// Holds packages: no pruning takes them until they are released.
    pub async fn hold(&self, packages: &[Meant], run: RunId) -> Result<Report> {
        self.may_change(run).await?;
        let word = self.word(run).await;
        let mut marked = Vec::new();
        for (repository, packages) in by_repository(packages) {
            marked.extend(hold::hold(&self.bucket, &repository, &packages, &word).await?);
        }
        self.marked(Operation::Hold, run, marked).await
    }

    /// Releases packages that were held, by an operator or by a rollback.
    pub async fn unhold(&self, packages: &[Meant], run: RunId) -> Result<Report> {
        self.may_change(run).await?;
        let mut marked = Vec::new();
        for (repository, packages) in by_repository(packages) {
            marked.extend(hold::unhold(&self.bucket, &repository, &packages).await?);
        }
        self.marked(Operation::Unhold, run, marked).await
    }

    /// Blocks packages: no upload, promotion or rollback brings them in from now on. What is published stays.
    pub async fn block(&self, wanted: &[Blocking], run: RunId) -> Result<Report> {
        self.may_change(run).await?;
        let word = self.word(run).await;
        let marked = block::block(&self.bucket, wanted, &word).await?;
        self.marked(Operation::Block, run, marked).await
    }

    /// Lets come back what was blocked by these words.
    pub async fn unblock(&self, wanted: &[Blocking], run: RunId) -> Result<Report> {
        self.may_change(run).await?;
        let marked = block::unblock(&self.bucket, wanted).await?;
        self.marked(Operation::Unblock, run, marked).await
    }

    /// Tags a revision of a repository: it is kept, and clients can install by its name, until it is untagged.
    pub async fn tag(&self, repository: &RepositoryDir, (revision, name): (u64, &str), run: RunId) -> Result<Report> {
        self.may_change(run).await?;
        let word = self.word(run).await;
        let marked = Box::pin(tag::tag(&self.bucket, repository, (revision, name), (run.id, &word))).await?;
        self.marked(Operation::Tag, run, marked).await
    }

    /// Takes a tag away.
    pub async fn untag(&self, repository: &RepositoryDir, name: &str, run: RunId) -> Result<Report> {
        self.may_change(run).await?;
        let marked = tag::untag(&self.bucket, repository, name).await?;
        self.marked(Operation::Untag, run, marked).await
    }

    /// Lets somebody in through the gateway.
    pub async fn grant(&self, wanted: &Granting, run: RunId) -> Result<Report> {
        self.may_change(run).await?;
        let word = self.word(run).await;
        let marked = token::grant(&self.bucket, wanted, &word).await?;
        self.marked(Operation::Token, run, marked).await
    }

    /// Lets nobody in by these names any more.
    pub async fn revoke(&self, names: &[String], run: RunId) -> Result<Report> {
        self.may_change(run).await?;
        let word = self.word(run).await;
        let marked = token::revoke(&self.bucket, names, &word).await?;
        self.marked(Operation::Revoke, run, marked).await
    }

    /// Whoever acts, and why.
    pub(crate) async fn word(&self, run: RunId) -> Word {
        Word::of(&self.who, run.started).await
    }

    /// The report of an operation that only marked something.
    async fn marked(&self, operation: Operation, run: RunId, marked: Vec<Marked>) -> Result<Report> {
        let mut report = Report::new(run.id, run.started).of(operation);
        report.marked = marked;
        if report.did_work() {
            Box::pin(self.keep_in_history(&mut report)).await;
        }
        Ok(report)
    }

    /// Whether the bucket may be changed by this publisher at all.
    pub(crate) async fn may_change(&self, run: RunId) -> Result<()> {
        settings::agree(&self.bucket, run).await?;
        abilities(&self.bucket).await.map(drop)
    }
}

fn by_repository(packages: &[Meant]) -> BTreeMap<RepositoryDir, Vec<Holdable>> {
    let mut all: BTreeMap<RepositoryDir, Vec<Holdable>> = BTreeMap::new();
    for Meant { repository, href, nevra, pkgid, .. } in packages {
        let package = Holdable { href: href.clone(), nevra: nevra.to_string(), pkgid: pkgid.to_string() };
        all.entry(repository.clone()).or_default().push(package);
    }
    all
}
