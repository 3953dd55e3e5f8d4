//! `yrm adopt`: takes over repositories whose metadata somebody else wrote.

use clap::Args;

use super::beforehand::{Asked, Beforehand};
use super::context::Context;
use super::run::exit_code;
use super::summary::summary;
use super::which::{Rules, opened_to_change};
use crate::bucket::generations::repository_named;
use crate::error::Result;
use crate::publish::{Publisher, RunId};

/// What `adopt` takes.
#[derive(Debug, Args)]
pub(super) struct AdoptArgs {
    /// The repository's folder below `repo/`; without it the root repository `/`
    #[arg(long = "in", value_name = "DIR", default_value = "", hide_default_value = true)]
    repository: String,
    #[command(flatten)]
    beforehand: Beforehand,
    #[command(flatten)]
    pub(super) rules: Rules,
}

/// Takes a repository over, or shows what that would find.
pub(super) async fn adopt(args: &AdoptArgs, context: &Context) -> Result<u8> {
    let opened = opened_to_change(context).await?;
    let operation = async |publisher: &Publisher, run: RunId| {
        let repository = repository_named(publisher.bucket(), &args.repository).await?;
        publisher.adopt(vec![repository], run).await
    };
    let asked = Asked::by(context, &opened, &args.rules.because);
    let report = Box::pin(asked.operate(&args.beforehand, operation)).await?;
    context.output.data(&report, summary)?;
    Ok(exit_code(&report))
}
