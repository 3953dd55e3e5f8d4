//! `yrm history`: the runs that did work, as the bucket remembers them, newest first.

use clap::Args;

use super::context::{Context, DONE, open_bucket};
use super::output::{safe, table, time};
use super::run::duration;
use crate::bucket::history::load;
use crate::bucket::report::Report;
use crate::error::Result;
use crate::store::key::RepositoryDir;

/// What `history` takes.
#[derive(Debug, Args)]
pub(super) struct HistoryArgs {
    /// How many runs
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
}

/// Reads only.
pub(super) async fn history(args: &HistoryArgs, context: &Context) -> Result<u8> {
    let bucket = open_bucket(&context.config()?).await?;
    let runs = load(&bucket, usize::from(args.limit)).await?;
    context.output.data(&runs, |runs| human(runs))?;
    Ok(DONE)
}

fn human(runs: &[Report]) -> String {
    if runs.is_empty() {
        return "no run has done work yet\n".to_owned();
    }
    let row = |run: &Report| {
        let counts = run.counts();
        [
            run.run.to_string(),
            time(run.started),
            duration(run.duration_ms),
            counts.published.to_string(),
            counts.rejected.to_string(),
            counts.waiting.to_string(),
            counts.retired.to_string(),
            run.swept.to_string(),
            counts.errors.to_string(),
        ]
    };
    let head = ["run", "started", "took", "published", "rejected", "waiting", "retired", "swept", "errors"];
    let mut lines = vec![table(head, runs.iter().map(row))];
    for run in runs {
        for one in &run.repositories {
            let Some(adoption) = &one.adoption else { continue };
            let folder = RepositoryDir::new(&one.repository);
            lines.push(format!("{}: {}: {}\n", run.run, safe(&folder.to_string()), safe(&adoption.to_string())));
        }
    }
    lines.concat()
}
