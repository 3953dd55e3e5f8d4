//! `yrm run`: one pass, for cron, CI and Lambda.

use clap::Args;

use super::beforehand::{Asked, Beforehand};
use super::context::{Context, DONE, outside};
use super::flags::{Because, Flags, ForPublish, ForRepositories, ForSigning};
use super::progress::Bars;
use super::summary::summary;
use super::which::opened_to_change;
use crate::bucket::report::Report;
use crate::error::{ErrorKind, Result};
use crate::serve;

/// What `run` takes.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    beforehand: Beforehand,
    #[command(flatten)]
    pub(super) repositories: Flags<ForRepositories>,
    #[command(flatten)]
    pub(super) publish: Flags<ForPublish>,
    #[command(flatten)]
    pub(super) signing: Flags<ForSigning>,
    #[command(flatten)]
    because: Because,
}

/// Publishes once. A rejected package is a verdict, not a failure: the exit code is 3 only when
/// something could not be done.
pub(super) async fn run(args: &RunArgs, context: &Context) -> Result<u8> {
    let opened = opened_to_change(context).await?;
    let asked = Asked::by(context, &opened, &args.because);
    let bars = Bars::new(context.output);
    let publish =
        async |run| asked.perform(&args.beforehand, run, async |publisher, run| publisher.run(run, &bars).await).await;
    let outcome = if args.beforehand.dry_run {
        publish(serve::new_run()).await
    } else {
        let outside = outside(&opened.config, 0).await?;
        let outcome = serve::pass(&outside, publish, serve::left_nothing_undone).await;
        outside.finish().await;
        outcome
    };
    bars.finish();
    let report = outcome?;
    context.output.data(&report, summary)?;
    Ok(exit_code(&report))
}

/// Done, unless something could not be done.
pub(super) fn exit_code(report: &Report) -> u8 {
    if report.errors.is_empty() { DONE } else { ErrorKind::Unavailable.exit_code() }
}
