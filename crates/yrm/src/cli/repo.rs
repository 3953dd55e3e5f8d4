//! `yrm repo`: a repository's generations, and going back to one.

use clap::{Args, Subcommand};

use super::context::{Context, DONE, open_bucket, publisher};
use super::output::{table, time};
use super::package::Rules;
use super::run;
use crate::bucket::generations::repository_named;
use crate::bucket::log::{Generation, generations};
use crate::error::Result;
use crate::serve::new_run;

/// What can be done with a repository.
#[derive(Debug, Subcommand)]
pub(super) enum RepoVerb {
    /// Show the generations that are kept, newest first
    Log(LogArgs),
    /// Publish again what an earlier generation held
    Rollback(RollbackArgs),
}

/// What `repo log` takes.
#[derive(Debug, Args)]
pub(super) struct LogArgs {
    /// The repository's folder below `repo/`; without it the one at `repo/` itself
    #[arg(long = "in", value_name = "DIR", default_value = "")]
    repository: String,
}

/// What `repo rollback` takes.
#[derive(Debug, Args)]
pub(super) struct RollbackArgs {
    /// The generation's revision, as `yrm repo log` shows it
    revision: u64,
    /// The repository's folder below `repo/`; without it the one at `repo/` itself
    #[arg(long = "in", value_name = "DIR", default_value = "")]
    repository: String,
    #[command(flatten)]
    pub(super) rules: Rules,
}

/// Does what was asked.
pub(super) async fn execute(verb: &RepoVerb, context: &Context) -> Result<u8> {
    let config = context.config()?;
    match verb {
        RepoVerb::Log(args) => {
            let bucket = open_bucket(&config).await?;
            let log = generations(&bucket, &repository_named(&bucket, &args.repository).await?).await?;
            context.output.data(&log, |log| human(log))?;
        }
        RepoVerb::Rollback(args) => {
            let publisher = publisher(&config).await?;
            let repository = repository_named(publisher.bucket(), &args.repository).await?;
            let report = publisher.roll_back(&repository, args.revision, new_run()).await?;
            context.output.data(&report, run::summary)?;
        }
    }
    Ok(DONE)
}

fn human(log: &[Generation]) -> String {
    if log.is_empty() {
        return "there is no generation yet\n".to_owned();
    }
    let row = |generation: &Generation| {
        let packages = generation.packages.map_or_else(|| "unknown".to_owned(), |packages| packages.to_string());
        [generation.revision.to_string(), time(generation.since), packages]
    };
    table(["revision", "published", "packages"], log.iter().map(row))
}
