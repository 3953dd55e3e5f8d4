//! `yrm repo`: a repository's revisions, and rolling back to one.

use clap::{Args, Subcommand};

use super::beforehand::{Asked, BeforeTaking};
use super::compare::{self, DiffArgs, ShowArgs};
use super::context::{Context, DONE, Purpose, bucket_of};
use super::orphans::{self, AdoptFileArgs, DropFileArgs};
use super::output::{Width, fitted, time};
use super::package::{Rules, opened_to_change};
use super::summary::summary;
use crate::bucket::generations::repository_named;
use crate::bucket::log::{Generation, generations};
use crate::error::Result;

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
    /// The revision, as `yrm repo log` shows it
    revision: u64,
    /// The repository's folder below `repo/`; without it the root repository `/`
    #[arg(long = "in", value_name = "DIR", default_value = "", hide_default_value = true)]
    repository: String,
    #[command(flatten)]
    taking: BeforeTaking,
    #[command(flatten)]
    pub(super) rules: Rules,
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
                publisher.roll_back(&repository, args.revision, run).await
            });
            context.output.data(&Box::pin(report).await?, summary)?;
        }
    }
    Ok(DONE)
}

fn human(log: &[Generation], width: Width) -> String {
    if log.is_empty() {
        return "this repository has no revision yet\n".to_owned();
    }
    let row = |generation: &Generation| {
        let packages = generation.packages.map_or_else(|| "unknown".to_owned(), |packages| packages.to_string());
        [generation.revision.to_string(), time(generation.since), packages]
    };
    fitted(width, ["revision", "published", "packages"], log.iter().map(row))
}
