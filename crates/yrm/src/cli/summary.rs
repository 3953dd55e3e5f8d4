//! A report for people: of a run, of an operation, or of a dry run, which says what would be done.

use super::output::table;
use crate::bucket::naming::path;
use crate::bucket::report::{LayoutChange, Operation, PackagesOf, Remark, Report, TakenOut};
use crate::store::key::RepositoryDir;

/// The sections that have something to say, and a line with the counts.
pub(super) fn summary(report: &Report) -> String {
    let mut parts = vec![came(report), went(report)];
    let taken_over = report.repositories.iter().filter_map(|one| Some((one, one.adoption.as_ref()?)));
    let rows =
        taken_over.map(|(one, adoption)| [RepositoryDir::new(&one.repository).to_string(), adoption.to_string()]);
    parts.push(section(report, ("Taken over", "Would be taken over"), ["repository", "what was found"], rows));
    let noticed = report.noticed.iter().map(|noticed| [noticed.to_string()]);
    parts.push(section(report, ("Changed by somebody else", "Changed by somebody else"), ["what was found"], noticed));
    parts.push(laid_out(report));
    let settings = report.settings.iter().map(|one| {
        let [before, after] = one.values().map(str::to_owned);
        [one.setting.clone(), before, after]
    });
    parts.push(section(report, ("Settings", "Settings"), ["setting", "before", "after"], settings));
    let errors = report.errors.iter().map(|error| [error.clone()]);
    parts.push(section(report, ("Errors", "Errors"), ["what went wrong"], errors));
    parts.push(counts(report));
    if let Some(plan) = &report.plan {
        parts.push(format!("the plan is {plan}: with --expect {plan} this is done, or nothing\n"));
    }
    parts.concat()
}

/// A title, by whether it was done or would be, and a table; nothing without rows.
fn section<const N: usize>(
    report: &Report,
    (done, would): (&str, &str),
    columns: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> String {
    let rows: Vec<[String; N]> = rows.collect();
    let title = if report.plan.is_some() { would } else { done };
    if rows.is_empty() { String::new() } else { format!("{title}\n{}", table(columns, rows.into_iter())) }
}

/// Which repositories came and went by another layout.
fn laid_out(report: &Report) -> String {
    let Some(LayoutChange { from, to, comes, goes }) = &report.layout else { return String::new() };
    let row = |one: &PackagesOf, what: &str| {
        [RepositoryDir::new(&one.repository).to_string(), one.packages.to_string(), what.to_owned()]
    };
    let comes = comes.iter().map(|one| row(one, "comes"));
    let goes = goes.iter().map(|one| row(one, "goes: readable for the grace period"));
    let title = |verb: &str| format!("{verb}: repositories = {from:?} becomes {to:?}");
    let titles = (title("The layout was changed"), title("The layout would be changed"));
    let rows = comes.chain(goes);
    section(report, (&titles.0, &titles.1), ["repository", "packages", ""], rows)
}

/// What was uploaded, and what became of it.
fn came(report: &Report) -> String {
    let published = report.published.iter().map(|package| {
        let there = package.already_there.then(|| "was there already".to_owned());
        let signed = package.signed_with.as_ref().map(|key| format!("signed with {key}"));
        let notes: Vec<String> = there.into_iter().chain(signed).chain(package.remarks.iter().map(remark)).collect();
        [package.nevra.clone(), path(&package.repository, &package.href), notes.join("; ")]
    });
    let rejected = report
        .rejected
        .iter()
        .map(|file| [file.inbox_key.clone(), file.code.clone(), file.message.clone(), file.hint.clone()]);
    let waiting = report.waiting.iter().map(|file| [file.inbox_key.clone(), file.reason.clone()]);
    let more = report.counts().waiting - report.waiting.len();
    [
        section(report, ("Published", "Would be published"), ["package", "path", ""], published),
        section(
            report,
            (
                "Rejected: in quarantine/ now, each with its reason beside it",
                "Would be rejected: moved to quarantine/, each with its reason beside it",
            ),
            ["file", "code", "why", "what to do"],
            rejected,
        ),
        section(report, ("Waiting", "Would wait"), ["file", "why"], waiting),
        if more == 0 { String::new() } else { format!("and {more} more\n") },
    ]
    .concat()
}

/// What left a repository or quarantine, or came back.
fn went(report: &Report) -> String {
    let row = |package: &TakenOut| [package.nevra.clone(), path(&package.repository, &package.href)];
    let pruned = report.pruned.iter().map(|package| {
        let [nevra, path] = row(package);
        [nevra, path, package.why.clone().unwrap_or_default()]
    });
    let mut parts = vec![section(report, ("Pruned", "Would be pruned"), ["package", "path", "why"], pruned)];
    for (titles, gone) in [
        (("Removed", "Would be removed"), &report.removed),
        (("Replaced", "Would be replaced"), &report.replaced),
        (("Brought back", "Would be brought back"), &report.restored),
    ] {
        // What a rollback brings back although somebody had taken it out says so.
        if gone.iter().all(|package| package.why.is_none()) {
            parts.push(section(report, titles, ["package", "path"], gone.iter().map(row)));
            continue;
        }
        let rows = gone.iter().map(|package| {
            let [nevra, path] = row(package);
            [nevra, path, package.why.clone().unwrap_or_default()]
        });
        parts.push(section(report, titles, ["package", "path", "but"], rows));
    }
    let marks = report.marked.iter().map(|one| {
        let of = one.nevra.clone().or_else(|| Some(format!("revision {}", one.revision?)));
        let repository = one.repository.as_ref().map_or_else(|| "everywhere".to_owned(), ToString::to_string);
        [
            one.mark.name().to_owned(),
            one.name.clone(),
            of.unwrap_or_default(),
            repository,
            one.why.clone().unwrap_or_default(),
        ]
    });
    parts.push(section(report, ("Marked", "Would be marked"), ["mark", "name", "of", "repository", ""], marks));
    let held = report.held.iter().map(|package| {
        let [nevra, path] = row(package);
        [nevra, path, package.why.clone().unwrap_or_default()]
    });
    parts.push(section(
        report,
        ("Held, and not pruned", "Held, and would not be pruned"),
        ["package", "path", "why"],
        held,
    ));
    let deleted = match report.operation {
        Operation::DropFile => ("Left to the next clean-up", "Would be left to the next clean-up"),
        _ => ("Deleted from quarantine", "Would be deleted from quarantine"),
    };
    for (titles, keys) in [(("Released", "Would be released"), &report.released), (deleted, &report.deleted)] {
        parts.push(section(report, titles, ["file"], keys.iter().map(|key| [key.clone()])));
    }
    parts.concat()
}

fn counts(report: &Report) -> String {
    let counts = report.counts();
    let some = |count: usize, what: &str| if count == 0 { String::new() } else { format!("{count} {what}, ") };
    format!(
        "{}{} published, {}{} rejected, {} waiting, {}{}{}{}{}{}{} pruned, {} cleaned up, in {}\n",
        if report.plan.is_some() { "dry run, nothing was changed: " } else { "" },
        counts.published,
        some(counts.already_there, "there already"),
        counts.rejected,
        counts.waiting,
        some(counts.removed, "removed"),
        some(counts.replaced, "replaced"),
        some(counts.restored, "brought back"),
        some(counts.released, "released"),
        some(
            counts.deleted,
            if report.operation == Operation::DropFile { "left to the clean-up" } else { "deleted from quarantine" }
        ),
        some(counts.marked, "marked"),
        counts.pruned,
        report.cleaned_up,
        duration(report.duration_ms),
    )
}

/// `E_UNSIGNED: it is not signed`.
pub(super) fn remark(remark: &Remark) -> String {
    format!("{}: {}", remark.code, remark.message)
}

/// `38 ms`, `1.5 s`, `93 s`.
pub(super) fn duration(milliseconds: u64) -> String {
    match milliseconds {
        0..1_000 => format!("{milliseconds} ms"),
        1_000..60_000 => format!("{}.{} s", milliseconds / 1_000, milliseconds % 1_000 / 100),
        60_000.. => format!("{} s", milliseconds / 1_000),
    }
}
