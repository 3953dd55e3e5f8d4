//! `yrm history`: the runs and operations that changed something, newest first: what, by whom and why.

use clap::{Args, Subcommand};
use jiff::{SignedDuration, Timestamp};
use ulid::Ulid;

use super::context::{Context, DONE, Purpose, bucket_of};
use super::output::{Format, Width, safe, table, time, with_ids};
use super::summary::summary;
use crate::bucket::generations::repository_named;
use crate::bucket::history::{Range, each, find};
use crate::bucket::naming::PackageGlob;
use crate::bucket::report::Report;
use crate::bucket::{Bucket, naming};
use crate::config::parse;
use crate::error::{Error, ErrorKind, Result};
use crate::store::key::RepositoryDir;

/// Records shown when nobody says how many, nor since when.
const USUAL_LIMIT: u32 = 20;

/// What `history` takes.
#[derive(Debug, Args)]
pub(super) struct HistoryArgs {
    #[command(subcommand)]
    verb: Option<HistoryVerb>,
    /// How many runs and operations; 20 unless --since is given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Only what started then or later: a date, a time, or how long ago (2026-11-01, 7d, 12h)
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Only what changed such a package: its name, NEVRA or path, with * and ? for the rest
    #[arg(long, value_name = "GLOB")]
    package: Option<String>,
    /// Only what changed this repository: its folder below `repo/`; --repo is the same here
    #[arg(long = "in", value_name = "DIR")]
    repository: Option<String>,
    /// Only what somebody did whose name contains this text
    #[arg(long, value_name = "WHO")]
    by: Option<String>,
}

/// What can be done with one record.
#[derive(Debug, Subcommand)]
enum HistoryVerb {
    /// Show all of one run or operation
    Show(ShowArgs),
}

/// What `history show` takes.
#[derive(Debug, Args)]
struct ShowArgs {
    /// Its id, as `yrm history --wide` shows it
    #[arg(value_name = "RUN")]
    run: String,
}

impl HistoryArgs {
    /// `--repo` is a setting elsewhere. Here, where nothing else needs it, it says which repository.
    pub(super) fn take_repository(&mut self, folder: &str) {
        self.repository.get_or_insert_with(|| folder.to_owned());
    }
}

/// Which records are shown.
struct Wanted {
    inbox: String,
    package: Option<PackageGlob>,
    repository: Option<RepositoryDir>,
    /// In small letters.
    by: Option<String>,
}

impl Wanted {
    async fn of(args: &HistoryArgs, bucket: &Bucket) -> Result<Self> {
        let repository = match &args.repository {
            Some(name) => Some(repository_named(bucket, name).await?),
            None => None,
        };
        Ok(Self {
            inbox: format!("{}/", bucket.policy.folders.inbox),
            package: args.package.as_deref().map(PackageGlob::new).transpose()?,
            repository,
            by: args.by.as_deref().map(str::to_lowercase),
        })
    }

    fn holds(&self, run: &Report) -> bool {
        let by = run.by.as_deref().map(str::to_lowercase);
        let is_by = self.by.as_ref().is_none_or(|wanted| by.is_some_and(|by| by.contains(wanted.as_str())));
        is_by && (self.package.is_none() && self.repository.is_none() || self.changed(run))
    }

    /// Whether a package came or went that fits, in the repository that is wanted.
    fn changed(&self, run: &Report) -> bool {
        let fits = |repository: &str, href: &str, nevra: &str| {
            let is_there = self.repository.as_ref().is_none_or(|wanted| wanted.as_str() == repository);
            is_there && self.package.as_ref().is_none_or(|glob| glob.fits(nevra, &naming::path(repository, href)))
        };
        let left = run.pruned.iter().chain(&run.removed).chain(&run.replaced).chain(&run.restored);
        let uploads = run.rejected.iter().map(|file| &file.inbox_key).chain(&run.released).chain(&run.deleted);
        let uploads = uploads.map(|key| key.strip_prefix(&self.inbox).unwrap_or(key));
        let took_over = run.repositories.iter().filter(|one| one.revision_before != one.revision_after);
        run.published.iter().any(|one| fits(&one.repository, &one.href, &one.nevra))
            || left.into_iter().any(|one| fits(&one.repository, &one.href, &one.nevra))
            || uploads.into_iter().any(|path| self.is_upload(path))
            || self.package.is_none() && run.noticed.iter().any(|one| fits(&one.repository, "", ""))
            || self.package.is_none() && took_over.into_iter().any(|one| fits(&one.repository, "", ""))
    }

    /// Of what was not published only the path is known.
    fn is_upload(&self, path: &str) -> bool {
        let below = |dir: &RepositoryDir| {
            dir.as_str().is_empty() || path.strip_prefix(dir.as_str()).is_some_and(|rest| rest.starts_with('/'))
        };
        self.repository.as_ref().is_none_or(below) && self.package.as_ref().is_none_or(|glob| glob.fits("", path))
    }
}

/// Reads only.
pub(super) async fn history(args: &HistoryArgs, context: &Context) -> Result<u8> {
    let bucket = bucket_of(&context.open(Purpose::Looking).await?)?;
    if let Some(HistoryVerb::Show(args)) = &args.verb {
        return show(args, &bucket, context).await;
    }
    let since = args.since.as_deref().map(|when| moment(when, Timestamp::now())).transpose()?;
    let limit = args.limit.or_else(|| since.is_none().then_some(USUAL_LIMIT)).unwrap_or(u32::MAX);
    let range = Range::newest(usize::try_from(limit).unwrap_or(usize::MAX)).since(since);
    let wanted = Wanted::of(args, &bucket).await?;
    match context.output.format() {
        Format::Json => {
            let mut list = context.output.json_list();
            each(&bucket, range, |run| {
                let holds = wanted.holds(&run);
                if holds {
                    list.push(&run)?;
                }
                Ok(holds)
            })
            .await?;
            list.end()?;
        }
        Format::Human => {
            let mut told = Told::default();
            each(&bucket, range, |run| {
                let holds = wanted.holds(&run);
                if holds {
                    told.tell(&run);
                }
                Ok(holds)
            })
            .await?;
            let is_whole = wanted.by.is_none() && wanted.package.is_none() && wanted.repository.is_none();
            let is_whole = is_whole && since.is_none();
            context.output.data(&(), |()| told.text(context.output.width(), is_whole))?;
        }
    }
    Ok(DONE)
}

async fn show(args: &ShowArgs, bucket: &Bucket, context: &Context) -> Result<u8> {
    let run: Ulid = args.run.parse().map_err(|_| {
        Error::new(ErrorKind::Config, format!("reading the id {:?}", args.run))
            .because("an id has 26 letters and digits")
            .hint("`yrm history --wide` shows the ids of runs and operations")
    })?;
    let report = find(bucket, run).await?;
    context.output.data(&report, details)?;
    Ok(DONE)
}

/// All of one record, for people.
fn details(run: &Report) -> String {
    let unknown = || "unknown".to_owned();
    let rows = [
        ["operation".to_owned(), run.operation.name().to_owned()],
        ["started".to_owned(), time(run.started)],
        ["by".to_owned(), run.by.clone().unwrap_or_else(unknown)],
        ["reason".to_owned(), run.reason.clone().unwrap_or_else(|| "none was given".to_owned())],
        ["id".to_owned(), run.run.to_string()],
    ];
    let changed = run.repositories.iter().filter(|one| one.revision_before != one.revision_after);
    let revision = |revision: Option<u64>| revision.map_or_else(|| "none".to_owned(), |revision| revision.to_string());
    let revisions = changed.map(|one| {
        let change = format!("{} to {}", revision(one.revision_before), revision(one.revision_after));
        [format!("revision of {}", RepositoryDir::new(&one.repository)), change]
    });
    format!("{}{}", table(["", ""], rows.into_iter().chain(revisions)).trim_start_matches('\n'), summary(run))
}

/// When `--since` means: a moment, the start of a day (UTC), or so long before `now`.
fn moment(text: &str, now: Timestamp) -> Result<Timestamp> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    let civil = text.parse::<jiff::civil::DateTime>().ok();
    if let Some(moment) = civil.and_then(|civil| civil.to_zoned(jiff::tz::TimeZone::UTC).ok()) {
        return Ok(moment.timestamp());
    }
    let ago = parse::duration(text).ok().and_then(|ago| SignedDuration::try_from(ago).ok());
    ago.and_then(|ago| now.checked_sub(ago).ok()).ok_or_else(|| {
        Error::new(ErrorKind::Config, format!("reading --since {text:?}"))
            .because("it is neither a date, nor a time, nor a duration")
            .hint("write 2026-11-01, 2026-11-01T12:00:00Z, 7d or 12h")
    })
}

/// Rows for people; a record is not kept longer than its row is made.
#[derive(Default)]
struct Told {
    rows: Vec<[String; 5]>,
    taken_over: Vec<String>,
}

impl Told {
    fn tell(&mut self, run: &Report) {
        let by = run.by.clone().unwrap_or_default();
        let what = what_changed(run);
        self.rows.push([time(run.started), run.operation.name().to_owned(), what, by, run.run.to_string()]);
        for one in &run.repositories {
            let Some(adoption) = &one.adoption else { continue };
            let folder = RepositoryDir::new(&one.repository);
            let (folder, adoption) = (safe(&folder.to_string()), safe(&adoption.to_string()));
            self.taken_over.push(format!("{}: {folder}: {adoption}\n", time(run.started)));
        }
    }

    fn text(self, width: Width, is_whole: bool) -> String {
        if self.rows.is_empty() {
            let nothing = if is_whole { "no run has changed anything yet" } else { "no run or operation fits" };
            return format!("{nothing}\n");
        }
        let table = with_ids(width, ["started", "operation", "what changed", "by", "run"], self.rows);
        format!("{table}{}", self.taken_over.concat())
    }
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
        (counts.restored, "brought back"),
        (counts.released, "released"),
        (counts.deleted, "deleted from quarantine"),
        (counts.pruned, "pruned"),
        (cleaned_up, "cleaned up"),
        (counts.noticed, "changed by somebody else"),
        (run.settings.len(), "settings changed"),
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

    fn text(run: &Report, width: Width) -> String {
        let mut told = Told::default();
        told.tell(run);
        told.text(width, true)
    }

    #[test]
    fn a_row_of_the_history_fits_80_columns() {
        let errors: Vec<String> = (0..100).map(|at| format!("error {at}")).collect();
        let mut run =
            Report { cleaned_up: 12_345, errors, trouble: Trouble::default(), ..report(0, &["inbox/a"], &[]) };
        run.left_out.published = 100_000;
        run.left_out.waiting = 100_000;
        run.by = Some("https://github.com/example/tool/actions/runs/17 (ada)".to_owned());
        let cut = text(&run, Width::Columns(80));
        assert!(cut.lines().all(|line| line.chars().count() <= 80), "{cut}");
        assert!(cut.contains("100000 p") && cut.contains("--wide"), "{cut}");
        run.left_out.waiting = 0;
        let whole = text(&run, Width::Whole);
        assert!(whole.contains("run        100000 published, 12345 cleaned up, 100 errors  https://git"), "{whole}");
        assert!(whole.contains("runs/17 (ada)  01"), "{whole}");
    }

    #[test]
    fn since_is_a_day_a_moment_or_a_duration() {
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("2026-11-01", "2026-11-01T00:00:00Z"),
            ("2026-11-01T10:30:00", "2026-11-01T10:30:00Z"),
            ("2026-11-01T10:30:00+02:00", "2026-11-01T08:30:00Z"),
            ("7d", "2026-11-16T12:00:00Z"),
            ("90s", "2026-11-23T11:58:30Z"),
        ] {
            assert_eq!(moment(text, now).unwrap().to_string(), expected, "{text}");
        }
        for wrong in ["", "yesterday-ish", "-3d", "2026-13-01"] {
            let error = moment(wrong, now).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config, "{wrong}");
        }
    }
}
