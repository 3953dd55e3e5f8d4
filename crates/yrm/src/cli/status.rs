//! `yrm status`: the repositories, the inbox and the last run, as they are in the bucket.

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::context::{Context, DONE, open_bucket};
use super::flags::{Flags, ForRepositories};
use super::history::what_changed;
use super::output::{Width, fitted, safe, time};
use crate::bucket::Bucket;
use crate::bucket::report::Report;
use crate::bucket::{generations, history, inbox, observe};
use crate::error::Result;
use crate::store::key::{Key, RepositoryDir};

/// What `status` takes.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    pub(super) repositories: Flags<ForRepositories>,
}

/// The state of a bucket.
#[derive(Debug, Serialize)]
struct Status {
    /// The bucket, as `--bucket` names it.
    bucket: String,
    /// Every repository that has been published.
    repositories: Vec<RepositoryStatus>,
    /// What waits in the inbox.
    inbox: Inbox,
    /// The last run or operation that changed something.
    last_run: Option<Report>,
}

/// One repository.
#[derive(Debug, Serialize)]
struct RepositoryStatus {
    /// Its folder below `repo/`; `/` is the root repository.
    repository: RepositoryDir,
    /// When this revision was published; `null` when `repomd.xml` is missing.
    published: Option<Timestamp>,
    /// `null` when another program wrote the metadata (the next run takes it over).
    revision: Option<u64>,
    /// How many packages it holds; `null` when that is unknown.
    packages: Option<usize>,
}

/// The files in the inbox.
#[derive(Debug, Serialize)]
struct Inbox {
    /// How many files.
    files: usize,
    /// Their size together.
    bytes: u64,
    /// When the oldest was uploaded.
    oldest: Option<Timestamp>,
}

/// Reads only.
pub(super) async fn status(_args: &StatusArgs, context: &Context) -> Result<u8> {
    let config = context.config()?;
    let bucket = open_bucket(&config).await?;
    let dropped = inbox::list(bucket.store.as_ref(), &bucket.policy.folders, Timestamp::now()).await?.dropped;
    let mut repositories = Vec::new();
    for repository in generations::repositories(&bucket).await? {
        repositories.push(repository_status(&bucket, repository).await?);
    }
    let status = Status {
        bucket: config.bucket.to_string(),
        repositories,
        inbox: Inbox {
            files: dropped.len(),
            bytes: dropped.iter().map(|dropped| dropped.object.size_bytes).sum(),
            oldest: dropped.iter().map(|dropped| dropped.object.modified).min(),
        },
        last_run: history::load(&bucket, 1).await?.into_iter().next(),
    };
    context.output.data(&status, |status| human(status, context.output.width()))?;
    Ok(DONE)
}

async fn repository_status(bucket: &Bucket, repository: RepositoryDir) -> Result<RepositoryStatus> {
    let key = bucket.path(Key::Repomd { repository: &repository });
    let Some(read) = bucket.store.get(&key, None).await? else {
        return Ok(RepositoryStatus { repository, published: None, revision: None, packages: None });
    };
    let catalog = observe::load_catalog(bucket, &repository, &read.bytes).await?;
    Ok(RepositoryStatus {
        repository,
        published: Some(read.object.modified),
        revision: catalog.as_ref().map(|catalog| catalog.revision),
        packages: catalog.as_ref().map(|catalog| catalog.entries.len()),
    })
}

fn human(status: &Status, width: Width) -> String {
    let row = |repository: &RepositoryStatus| {
        let unknown = || "unknown".to_owned();
        [
            repository.repository.to_string(),
            repository.revision.map_or_else(unknown, |revision| revision.to_string()),
            repository.packages.map_or_else(unknown, |packages| packages.to_string()),
            repository.published.map_or_else(|| "repomd.xml is missing".to_owned(), time),
        ]
    };
    let repositories = if status.repositories.is_empty() {
        "Nothing has been published yet\n".to_owned()
    } else {
        fitted(width, ["repository", "revision", "packages", "published"], status.repositories.iter().map(row))
    };
    let inbox = &status.inbox;
    let oldest = inbox.oldest.map_or_else(String::new, |oldest| format!(", the oldest since {}", time(oldest)));
    let last_run = match &status.last_run {
        None => "No run has changed anything yet".to_owned(),
        Some(run) => format!("Last change: {}: {}", time(run.started), what_changed(run)),
    };
    format!(
        "Bucket {}\n{repositories}Inbox: {} files, {} bytes{oldest}\n{last_run}\n",
        safe(&status.bucket),
        inbox.files,
        inbox.bytes
    )
}
