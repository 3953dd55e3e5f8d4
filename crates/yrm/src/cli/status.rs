//! `yrm status`: the repositories, the inbox and the last run, as they are in the bucket.

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::context::{Context, DONE, Purpose, bucket_of};
use super::flags::{Flags, ForRepositories};
use super::history::what_changed;
use super::output::{Width, fitted, safe, time};
use super::search::remark;
use crate::bucket::Bucket;
use crate::bucket::generations::repository_named;
use crate::bucket::inbox::Dropped;
use crate::bucket::report::{Operation, Report};
use crate::bucket::{contents, deleted, generations, history, inbox};
use crate::error::{Error, ErrorKind, Result};
use crate::store::key::{Key, RepositoryDir};

/// What `status` takes.
#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    /// Only this repository: its folder below `repo/`, or / for the root repository
    #[arg(long = "in", value_name = "DIR")]
    repository: Option<String>,
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
    /// When this revision was published; `null` when `repomd.xml` is missing, or the repository was deleted.
    published: Option<Timestamp>,
    /// `null` when `repomd.xml` is missing or cannot be read, or when its revision is no number.
    revision: Option<u64>,
    /// How many packages it holds: 0 when it was deleted, and `null` when `repomd.xml` is missing or cannot be read.
    packages: Option<usize>,
    /// Whether another program wrote the metadata; the next run takes it over.
    written_by_others: bool,
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
    /// The oldest of them, at most 20, and why they wait.
    waiting: Vec<WaitingFile>,
}

/// A file that waits.
#[derive(Debug, Serialize)]
struct WaitingFile {
    /// Its key.
    inbox_key: String,
    /// When it was uploaded.
    uploaded: Timestamp,
    /// Its size.
    size_bytes: u64,
    /// Why it waits, as a run has said; `null` where none has yet.
    reason: Option<String>,
}

/// Files that are named.
const NAMED: usize = 20;
/// Records of the history that may say why a file waits.
const RECORDS: usize = 50;

/// Reads only.
pub(super) async fn status(args: &StatusArgs, context: &Context) -> Result<u8> {
    let opened = context.open(Purpose::Looking).await?;
    let (config, bucket) = (&opened.config, bucket_of(&opened)?);
    let dropped = inbox::list(bucket.store.as_ref(), &bucket.policy.folders, Timestamp::now()).await?.dropped;
    let mut repositories = Vec::new();
    let wanted = match &args.repository {
        Some(name) => vec![repository_named(&bucket, name).await?],
        None => generations::there(&bucket).await?,
    };
    for repository in wanted {
        repositories.push(repository_status(&bucket, repository, context).await?);
    }
    let newest = history::load(&bucket, RECORDS).await?;
    let status = Status {
        bucket: config.bucket.to_string(),
        repositories,
        inbox: Inbox {
            files: dropped.len(),
            bytes: dropped.iter().map(|dropped| dropped.object.size_bytes).sum(),
            oldest: dropped.iter().map(|dropped| dropped.object.modified).min(),
            waiting: waiting(dropped, &newest),
        },
        last_run: newest.into_iter().next(),
    };
    context.output.data(&status, |status| human(status, context.output.width()))?;
    let is_lost = !status.repositories.is_empty() && status.repositories.iter().all(|one| one.published.is_none());
    if is_lost && args.repository.is_none() {
        look_for_the_folder(&bucket).await?;
    }
    Ok(DONE)
}

/// Where something was published, and there is nothing of it, the whole folder may be missing, or be called otherwise.
async fn look_for_the_folder(bucket: &Bucket) -> Result<()> {
    let folder = bucket.policy.folders.repo_prefix();
    if !bucket.store.list(&folder, None).await?.objects.is_empty() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Conflict, format!("looking at the folder {folder}"))
        .because("the bucket has no such folder, and something has been published")
        .hint(
            "is it the folder that clients install from (--repo)? If its files were deleted, docs/tasks/restore.md brings \
             them back",
        ))
}

/// The files that have waited longest, and why: as the newest run said that has seen them.
fn waiting(mut dropped: Vec<Dropped>, newest: &[Report]) -> Vec<WaitingFile> {
    dropped.sort_by_key(Dropped::modified);
    dropped.truncate(NAMED);
    let reason = |dropped: &Dropped| {
        let runs = newest.iter().filter(|run| run.operation == Operation::Run && run.started >= dropped.modified());
        let mut said = runs.flat_map(|run| &run.waiting).filter(|waiting| waiting.inbox_key == dropped.key());
        said.next().map(|waiting| waiting.reason.clone())
    };
    let file = |dropped: &Dropped| WaitingFile {
        inbox_key: dropped.key().to_owned(),
        uploaded: dropped.modified(),
        size_bytes: dropped.object.size_bytes,
        reason: reason(dropped),
    };
    dropped.iter().map(file).collect()
}

async fn repository_status(bucket: &Bucket, repository: RepositoryDir, context: &Context) -> Result<RepositoryStatus> {
    // One repository's damage is its own.
    let now = match contents::current(bucket, &repository).await {
        Err(error) if error.kind() == ErrorKind::Corrupt => {
            context.output.say(&format!("note: {}", error.chain()));
            let key = bucket.path(Key::Repomd { repository: &repository });
            let published = bucket.store.head(&key).await?.map(|object| object.modified);
            return Ok(RepositoryStatus {
                repository,
                published,
                revision: None,
                packages: None,
                written_by_others: true,
            });
        }
        now => now?,
    };
    let Some(now) = now else {
        let deleted = deleted::last_of(bucket, &repository).await?.map(|(revision, _)| revision);
        return Ok(RepositoryStatus {
            repository,
            published: None,
            revision: deleted,
            packages: deleted.map(|_| 0),
            written_by_others: false,
        });
    };
    remark(&now, context);
    Ok(RepositoryStatus {
        repository,
        published: Some(now.since),
        revision: now.revision,
        packages: Some(now.packages.len()),
        written_by_others: now.catalog.is_none(),
    })
}

/// What became of a repository without repomd.xml.
fn gone(repository: &RepositoryStatus) -> &'static str {
    if repository.packages == Some(0) { "deleted" } else { "repomd.xml is missing" }
}

fn human(status: &Status, width: Width) -> String {
    let row = |repository: &RepositoryStatus| {
        let unknown = || "unknown".to_owned();
        [
            repository.repository.to_string(),
            repository.revision.map_or_else(unknown, |revision| revision.to_string()),
            repository.packages.map_or_else(unknown, |packages| packages.to_string()),
            repository.published.map_or_else(|| gone(repository).to_owned(), time),
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
    let not_yet = "no run has said why yet; `yrm serve` or `yrm run` publishes it";
    let row = |file: &WaitingFile| {
        let why = file.reason.clone().unwrap_or_else(|| not_yet.to_owned());
        [file.inbox_key.clone(), time(file.uploaded), why]
    };
    let waiting = match inbox.waiting.as_slice() {
        [] => String::new(),
        files => fitted(width, ["waiting", "uploaded", "why"], files.iter().map(row)),
    };
    format!(
        "Bucket {}\n{repositories}Inbox: {} files, {} bytes{oldest}\n{waiting}{last_run}\n",
        safe(&status.bucket),
        inbox.files,
        inbox.bytes
    )
}
