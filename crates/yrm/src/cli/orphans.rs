//! `yrm repo adopt-file` and `yrm repo drop-file`: what becomes of files below `repo/` that no metadata names.

use clap::Args;

use super::beforehand::{Asked, BeforeTaking, Beforehand};
use super::context::{Context, DONE};
use super::summary::summary;
use super::which::{Rules, opened_to_change};
use crate::bucket::Bucket;
use crate::bucket::naming::bare;
use crate::error::Result;
use crate::publish::{Publisher, RunId};

/// What `repo adopt-file` takes.
#[derive(Debug, Args)]
pub(super) struct AdoptFileArgs {
    /// Paths below `repo/`, as `yrm check` shows them
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    #[command(flatten)]
    beforehand: Beforehand,
    #[command(flatten)]
    pub(super) rules: Rules,
}

/// What `repo drop-file` takes.
#[derive(Debug, Args)]
pub(super) struct DropFileArgs {
    /// Paths below `repo/`, as `yrm check` shows them
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    #[command(flatten)]
    taking: BeforeTaking,
    #[command(flatten)]
    pub(super) rules: Rules,
}

/// Publishes files where they lie.
pub(super) async fn adopt(args: &AdoptFileArgs, context: &Context) -> Result<u8> {
    let opened = opened_to_change(context).await?;
    let asked = Asked::by(context, &opened, &args.rules.because);
    let adopt = async |publisher: &Publisher, run: RunId| {
        publisher.adopt_files(&below(publisher.bucket(), &args.paths), run).await
    };
    let report = Box::pin(asked.operate(&args.beforehand, adopt)).await?;
    context.output.data(&report, summary)?;
    Ok(DONE)
}

/// Leaves files to the clean-up.
pub(super) async fn give_up(args: &DropFileArgs, context: &Context) -> Result<u8> {
    let opened = opened_to_change(context).await?;
    let asked = Asked::by(context, &opened, &args.rules.because);
    let report = asked.when_sure(&args.taking, async |publisher, run| {
        publisher.drop_files(&below(publisher.bucket(), &args.paths), run).await
    });
    context.output.data(&Box::pin(report).await?, summary)?;
    Ok(DONE)
}

/// Paths below `repo/`, without the name of that folder in front.
fn below(bucket: &Bucket, paths: &[String]) -> Vec<String> {
    paths.iter().map(|path| bare(&bucket.policy.folders, path).to_owned()).collect()
}
