//! `yrm history`: the runs and operations that changed something, newest first.

use clap::Args;

use super::context::{Context, DONE, Purpose, bucket_of};
use super::output::{Width, safe, time, with_ids};
use super::run::duration;
use crate::bucket::history::load;
use crate::bucket::report::Report;
use crate::error::Result;
use crate::store::key::RepositoryDir;

/// What `history` takes.
#[derive(Debug, Args)]
pub(super) struct HistoryArgs {
    /// How many runs and operations
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
}

/// Reads only.
pub(super) async fn history(args: &HistoryArgs, context: &Context) -> Result<u8> {
    let bucket = bucket_of(&context.open(Purpose::Looking).await?)?;
    let runs = load(&bucket, usize::from(args.limit)).await?;
    context.output.data(&runs, |runs| human(runs, context.output.width()))?;
    Ok(DONE)
}

fn human(runs: &[Report], width: Width) -> String {
    if runs.is_empty() {
        return "no run has changed anything yet\n".to_owned();
    }
    let row = |run: &Report| [time(run.started), what_changed(run), duration(run.duration_ms), run.run.to_string()];
    let mut lines = vec![with_ids(width, ["started", "what changed", "took", "run"], runs.iter().map(row))];
    for run in runs {
        for one in &run.repositories {
            let Some(adoption) = &one.adoption else { continue };
            let folder = RepositoryDir::new(&one.repository);
            lines.push(format!(
                "{}: {}: {}\n",
                time(run.started),
                safe(&folder.to_string()),
                safe(&adoption.to_string())
            ));
        }
    }
    lines.concat()
}

/// `3 published, 1 rejected`: what there is none of is not said.
pub(super) fn what_changed(run: &Report) -> String {
    let counts = run.counts();
    let cleaned_up = usize::try_from(run.cleaned_up).unwrap_or(usize::MAX);
    let parts = [
        (counts.published, "published"),
        (counts.rejected, "rejected"),
        (counts.removed, "removed"),
        (counts.replaced, "replaced"),
        (counts.pruned, "pruned"),
        (cleaned_up, "cleaned up"),
        (counts.waiting, "waiting"),
        (counts.errors, "errors"),
    ];
    let said = parts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    said.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::tests::report;
    use crate::bucket::report::Trouble;

    #[test]
    fn a_row_of_the_history_fits_80_columns() {
        let errors: Vec<String> = (0..100).map(|at| format!("error {at}")).collect();
        let mut run =
            Report { cleaned_up: 12_345, errors, trouble: Trouble::default(), ..report(0, &["inbox/a"], &[]) };
        run.left_out.published = 100_000;
        run.left_out.waiting = 100_000;
        let text = human(std::slice::from_ref(&run), Width::Columns(80));
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.contains("100000 published") && text.contains("errors") && text.contains("--wide"), "{text}");
        run.left_out.waiting = 0;
        let text = human(&[run], Width::Whole);
        assert!(text.contains("100000 published, 12345 cleaned up, 100 errors  1.5 s  01"), "{text}");
    }
}
