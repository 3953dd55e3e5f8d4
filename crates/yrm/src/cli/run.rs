//! `yrm run`: one pass, for cron, CI and Lambda.

use clap::Args;

use super::context::{Context, DONE, Purpose, outside, publisher};
use super::flags::{Flags, ForPublish, ForRepositories, ForSigning};
use super::output::table;
use super::progress::Bars;
use crate::bucket::report::{Remark, Report};
use crate::error::{ErrorKind, Result};
use crate::secrets;
use crate::serve;
use crate::store::key::RepositoryDir;

/// What `run` takes.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    pub(super) repositories: Flags<ForRepositories>,
    #[command(flatten)]
    pub(super) publish: Flags<ForPublish>,
    #[command(flatten)]
    pub(super) signing: Flags<ForSigning>,
}

/// Publishes once. A rejected package is a verdict, not a failure: the exit code is 3 only when
/// something could not be done.
pub(super) async fn run(_args: &RunArgs, context: &Context) -> Result<u8> {
    let mut opened = context.open(Purpose::Changing).await?;
    secrets::fetch_all(&mut opened.config).await?;
    let publisher = publisher(&opened).await?;
    let outside = outside(&opened.config, 0).await?;
    let bars = Bars::new(context.output);
    let outcome = serve::pass(&outside, async |run| publisher.run(run, &bars).await, serve::left_nothing_undone).await;
    bars.finish();
    outside.finish().await;
    let report = outcome?;
    context.output.data(&report, summary)?;
    Ok(if report.errors.is_empty() { DONE } else { ErrorKind::Unavailable.exit_code() })
}

/// A run for people.
pub(super) fn summary(report: &Report) -> String {
    let mut parts = Vec::new();
    let mut list = |title: &str, rows: String, count: usize| {
        if count > 0 {
            parts.push(format!("{title}\n{rows}"));
        }
    };
    let published = report.published.iter().map(|package| {
        let there = package.already_there.then(|| "was there already".to_owned());
        let signed = package.signed_with.as_ref().map(|key| format!("signed with {key}"));
        let notes: Vec<String> = there.into_iter().chain(signed).chain(package.remarks.iter().map(remark)).collect();
        [package.nevra.clone(), place(&package.repository, &package.href), notes.join("; ")]
    });
    list("Published", table(["package", "path in the repository", ""], published), report.published.len());
    let rejected = report
        .rejected
        .iter()
        .map(|file| [file.inbox_key.clone(), file.code.clone(), file.message.clone(), file.hint.clone()]);
    list(
        "Rejected: in quarantine/ now, each with its reason beside it",
        table(["file", "code", "why", "what to do"], rejected),
        report.rejected.len(),
    );
    let waiting = report.waiting.iter().map(|file| [file.inbox_key.clone(), file.reason.clone()]);
    let counts = report.counts();
    let more = counts.waiting - report.waiting.len();
    let more = if more == 0 { String::new() } else { format!("and {more} more\n") };
    list("Waiting", format!("{}{more}", table(["file", "why"], waiting)), report.waiting.len());
    let pruned = report.pruned.iter().map(|package| [package.nevra.clone(), place(&package.repository, &package.href)]);
    list("Pruned", table(["package", "path in the repository"], pruned), report.pruned.len());
    for (title, gone) in
        [("Removed", &report.removed), ("Replaced", &report.replaced), ("Brought back", &report.restored)]
    {
        let rows = gone.iter().map(|package| [package.nevra.clone(), place(&package.repository, &package.href)]);
        list(title, table(["package", "path in the repository"], rows), gone.len());
    }
    let taken_over = report.repositories.iter().filter_map(|one| Some((one, one.adoption.as_ref()?)));
    let rows: Vec<[String; 2]> = taken_over
        .map(|(one, adoption)| [RepositoryDir::new(&one.repository).to_string(), adoption.to_string()])
        .collect();
    list("Taken over", table(["repository", "what was found"], rows.clone()), rows.len());
    let errors = report.errors.iter().map(|error| [error.clone()]);
    list("Errors", table(["what went wrong"], errors), report.errors.len());
    let some = |count: usize, what: &str| if count == 0 { String::new() } else { format!("{count} {what}, ") };
    parts.push(format!(
        "{} published, {}{} rejected, {} waiting, {}{}{}{} pruned, {} cleaned up, in {}\n",
        counts.published,
        some(counts.already_there, "there already"),
        counts.rejected,
        counts.waiting,
        some(counts.removed, "removed"),
        some(counts.replaced, "replaced"),
        some(counts.restored, "brought back"),
        counts.pruned,
        report.cleaned_up,
        duration(report.duration_ms),
    ));
    parts.concat()
}

/// `E_UNSIGNED: it is not signed`.
pub(super) fn remark(remark: &Remark) -> String {
    format!("{}: {}", remark.code, remark.message)
}

/// `el9/a.rpm`, or `a.rpm` in the one repository.
fn place(repository: &str, href: &str) -> String {
    if repository.is_empty() { href.to_owned() } else { format!("{repository}/{href}") }
}

/// `38 ms`, `1.5 s`, `93 s`.
pub(super) fn duration(milliseconds: u64) -> String {
    match milliseconds {
        0..1_000 => format!("{milliseconds} ms"),
        1_000..60_000 => format!("{}.{} s", milliseconds / 1_000, milliseconds % 1_000 / 100),
        60_000.. => format!("{} s", milliseconds / 1_000),
    }
}
