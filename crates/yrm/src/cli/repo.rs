//! `yrm repo`: a repository's revisions, rolling back to one, and their tags.

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Serialize;

use super::beforehand::{Asked, BeforeTaking, Beforehand};
use super::compare::{self, DiffArgs, ShowArgs};
use super::context::{Context, DONE, Purpose, bucket_of};
use super::orphans::{self, AdoptFileArgs, DropFileArgs};
use super::output::{Width, fitted, time};
use super::summary::summary;
use super::which::{Rules, opened_to_change};
use crate::bucket::generations::repository_named;
use crate::bucket::log::{Generation, generations};
use crate::bucket::report::Report;
use crate::bucket::tags::{CURRENT, Tag, Tags, revision_named};
use crate::bucket::{Bucket, contents};
use crate::error::{Error, ErrorKind, Result};
use crate::publish::{Publisher, RunId};
use crate::store::key::{Key, RepositoryDir};

/// What can be done with a repository.
#[derive(Debug, Subcommand)]
pub(super) enum RepoVerb {
    /// Show the revisions that are kept, newest first
    Log(LogArgs),
    /// Show what a revision holds, and who published it when and why
    Show(ShowArgs),
    /// Compare two revisions, or two repositories
    Diff(DiffArgs),
    /// Publish again the packages of an earlier revision
    Rollback(RollbackArgs),
    /// Publish a file in `repo/` that no metadata names
    AdoptFile(AdoptFileArgs),
    /// Let the clean-up delete a file in `repo/` that no metadata names
    DropFile(DropFileArgs),
    /// Keep a revision under a name, by which clients can install
    Tag(TagArgs),
    /// Take a tag away
    Untag(UntagArgs),
    /// Show the tags, and where clients find them
    Tags(LogArgs),
    /// Make the metadata anew from the packages that it names
    Rebuild(RebuildArgs),
    /// Take all packages out of a repository, and its metadata away
    Delete(WholeArgs),
    /// Bring back a repository that was deleted, or whose repomd.xml was lost
    Restore(WholeArgs),
}

/// What `repo log` takes.
#[derive(Debug, Args)]
pub(super) struct LogArgs {
    /// The repository's folder below `repo/`; without it the root repository `/`
    #[arg(long = "in", value_name = "DIR", default_value = "", hide_default_value = true)]
    repository: String,
}

/// What `repo rollback` takes.
#[derive(Debug, Args)]
pub(super) struct RollbackArgs {
    /// The revision, as `yrm repo log` shows it, or its tag
    #[arg(value_name = "REV")]
    revision: String,
    /// The repository's folder below `repo/`; without it the root repository `/`
    #[arg(long = "in", value_name = "DIR", default_value = "", hide_default_value = true)]
    repository: String,
    #[command(flatten)]
    taking: BeforeTaking,
    #[command(flatten)]
    pub(super) rules: Rules,
}

/// What `repo tag` takes.
#[derive(Debug, Args)]
pub(super) struct TagArgs {
    /// The revision, as `yrm repo log` shows it, another tag of it, or `current`
    #[arg(value_name = "REV")]
    revision: String,
    /// The name: letters, digits, dots, hyphens and underscores
    #[arg(value_name = "NAME")]
    name: String,
    /// The repository's folder below `repo/`; without it the root repository `/`
    #[arg(long = "in", value_name = "DIR", default_value = "", hide_default_value = true)]
    repository: String,
    #[command(flatten)]
    beforehand: Beforehand,
    #[command(flatten)]
    pub(super) rules: Rules,
}

/// What `repo untag` takes.
#[derive(Debug, Args)]
pub(super) struct UntagArgs {
    /// The tag, as `yrm repo tags` shows it
    #[arg(value_name = "NAME")]
    name: String,
    /// The repository's folder below `repo/`; without it the root repository `/`
    #[arg(long = "in", value_name = "DIR", default_value = "", hide_default_value = true)]
    repository: String,
    #[command(flatten)]
    beforehand: Beforehand,
    #[command(flatten)]
    pub(super) rules: Rules,
}

/// What `repo rebuild` takes.
#[derive(Debug, Args)]
pub(super) struct RebuildArgs {
    /// The repository's folder below `repo/`; without it the root repository `/`
    #[arg(long = "in", value_name = "DIR", default_value = "", hide_default_value = true)]
    repository: String,
    #[command(flatten)]
    taking: BeforeTaking,
    #[command(flatten)]
    pub(super) rules: Rules,
}

/// What `repo delete` and `repo restore` take.
#[derive(Debug, Args)]
pub(super) struct WholeArgs {
    /// The repository's folder below `repo/`, or / for the root repository
    #[arg(value_name = "DIR")]
    repository: String,
    #[command(flatten)]
    taking: BeforeTaking,
    #[command(flatten)]
    pub(super) rules: Rules,
}

/// A tag.
#[derive(Debug, Serialize)]
struct TagShown {
    /// The name.
    tag: String,
    /// The repository's folder below `repo/`; `/` is the root repository.
    repository: RepositoryDir,
    /// The revision that it is of.
    revision: u64,
    /// The folder below `repo/` that is the `baseurl` of clients that install by it.
    folder: String,
    /// Since when.
    since: Timestamp,
    /// By whom; `null` where nobody knows.
    by: Option<String>,
    /// Why, if that was said.
    reason: Option<String>,
    /// Whether clients can install by it; not where making it was interrupted.
    is_whole: bool,
}

/// Does what was asked.
pub(super) async fn execute(verb: &RepoVerb, context: &Context) -> Result<u8> {
    match verb {
        RepoVerb::Log(args) => {
            let bucket = bucket_of(&context.open(Purpose::Looking).await?)?;
            let log = generations(&bucket, &repository_named(&bucket, &args.repository).await?).await?;
            context.output.data(&log, |log| human(log, context.output.width()))?;
        }
        RepoVerb::Show(args) => {
            compare::show(args, &bucket_of(&context.open(Purpose::Looking).await?)?, context).await?;
        }
        RepoVerb::Diff(args) => {
            compare::diff(args, &bucket_of(&context.open(Purpose::Looking).await?)?, context).await?;
        }
        RepoVerb::AdoptFile(args) => return orphans::adopt(args, context).await,
        RepoVerb::DropFile(args) => return orphans::give_up(args, context).await,
        RepoVerb::Rollback(args) => {
            let opened = opened_to_change(context).await?;
            let asked = Asked::by(context, &opened, &args.rules.because);
            let report = asked.when_sure(&args.taking, async |publisher, run| {
                let repository = repository_named(publisher.bucket(), &args.repository).await?;
                let revision = revision_named(publisher.bucket(), &repository, &args.revision).await?;
                publisher.roll_back(&repository, revision, run).await
            });
            context.output.data(&Box::pin(report).await?, summary)?;
        }
        RepoVerb::Tag(args) => {
            let opened = opened_to_change(context).await?;
            let asked = Asked::by(context, &opened, &args.rules.because);
            let report = asked.operate(&args.beforehand, async |publisher, run| {
                let repository = repository_named(publisher.bucket(), &args.repository).await?;
                let revision = tagged_revision(publisher.bucket(), &repository, &args.revision).await?;
                publisher.tag(&repository, (revision, &args.name), run).await
            });
            context.output.data(&Box::pin(report).await?, summary)?;
        }
        RepoVerb::Untag(args) => {
            let opened = opened_to_change(context).await?;
            let asked = Asked::by(context, &opened, &args.rules.because);
            let report = asked.operate(&args.beforehand, async |publisher, run| {
                let repository = repository_named(publisher.bucket(), &args.repository).await?;
                publisher.untag(&repository, &args.name, run).await
            });
            context.output.data(&Box::pin(report).await?, summary)?;
        }
        RepoVerb::Rebuild(RebuildArgs { repository, taking, rules }) => {
            whole(context, (repository, taking, rules), async |publisher, repository, run| {
                publisher.rebuild(vec![repository], run).await
            })
            .await?;
        }
        RepoVerb::Delete(WholeArgs { repository, taking, rules }) => {
            whole(context, (repository, taking, rules), async |publisher, repository, run| {
                publisher.delete(&repository, run).await
            })
            .await?;
        }
        RepoVerb::Restore(WholeArgs { repository, taking, rules }) => {
            whole(context, (repository, taking, rules), async |publisher, repository, run| {
                publisher.restore(&repository, run).await
            })
            .await?;
        }
        RepoVerb::Tags(args) => {
            let bucket = bucket_of(&context.open(Purpose::Looking).await?)?;
            let rows = tags(&bucket, repository_named(&bucket, &args.repository).await?).await?;
            context.output.data(&rows, |rows| tags_listed(rows, context.output.width()))?;
        }
    }
    Ok(DONE)
}

/// Does something with a whole repository, once whoever is at a terminal is sure.
async fn whole(
    context: &Context,
    (repository, taking, rules): (&str, &BeforeTaking, &Rules),
    operation: impl AsyncFn(&Publisher, RepositoryDir, RunId) -> Result<Report>,
) -> Result<()> {
    let opened = opened_to_change(context).await?;
    let asked = Asked::by(context, &opened, &rules.because);
    let report = asked.when_sure(taking, async |publisher, run| {
        let repository = repository_named(publisher.bucket(), repository).await?;
        operation(publisher, repository, run).await
    });
    context.output.data(&Box::pin(report).await?, summary)
}

/// The revision to tag: what clients see now has no number that people know.
async fn tagged_revision(bucket: &Bucket, repository: &RepositoryDir, text: &str) -> Result<u64> {
    if text != CURRENT {
        return revision_named(bucket, repository, text).await;
    }
    let now = contents::current(bucket, repository).await?;
    now.filter(|now| now.catalog.is_some()).and_then(|now| now.revision).ok_or_else(|| {
        Error::new(ErrorKind::Conflict, format!("looking for the current revision of {repository}"))
            .because("yrm has published none yet")
            .hint("nothing was changed; `yrm run` publishes, and takes over what another program wrote")
    })
}

async fn tags(bucket: &Bucket, repository: RepositoryDir) -> Result<Vec<TagShown>> {
    let tags = Tags::of(bucket, &repository).await?;
    let repo = bucket.policy.folders.repo_prefix();
    let row = |tag: &Tag| {
        let folder = bucket.path(Key::TagFile { repository: &repository, name: &tag.name, href: "" });
        TagShown {
            tag: tag.name.clone(),
            repository: repository.clone(),
            revision: tag.revision,
            folder: folder.strip_prefix(&repo).unwrap_or(&folder).to_owned(),
            since: tag.since,
            by: tag.by.clone(),
            reason: tag.reason.clone(),
            is_whole: tag.is_whole,
        }
    };
    Ok(tags.live().map(row).collect())
}

fn tags_listed(rows: &[TagShown], width: Width) -> String {
    if rows.is_empty() {
        return "this repository has no tag\n".to_owned();
    }
    let row = |row: &TagShown| {
        let folder = if row.is_whole { row.folder.clone() } else { "not made yet: tag it again".to_owned() };
        [row.tag.clone(), row.revision.to_string(), time(row.since), row.by.clone().unwrap_or_default(), folder]
    };
    fitted(width, ["tag", "revision", "since", "by", "folder below repo/"], rows.iter().map(row))
}

fn human(log: &[Generation], width: Width) -> String {
    if log.is_empty() {
        return "this repository has no revision yet\n".to_owned();
    }
    let row = |generation: &Generation| {
        let packages = generation.packages.map_or_else(|| "unknown".to_owned(), |packages| packages.to_string());
        [generation.revision.to_string(), time(generation.since), packages, generation.tags.join(", ")]
    };
    fitted(width, ["revision", "published", "packages", "tags"], log.iter().map(row))
}
