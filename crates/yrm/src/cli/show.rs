//! `yrm package show`: all versions of a package: where they are, since when, by whom, and what pruning will do.

use clap::Args;
use jiff::Timestamp;
use rpmmd::checksum::Sha256;
use serde::Serialize;
use ulid::Ulid;

use super::context::{Context, DONE, Opened, bucket_of};
use super::output::{Width, fitted, time};
use super::search::{chosen, newest_first, remark};
use crate::bucket::Bucket;
use crate::bucket::contents::{self, Contents, Shown};
use crate::bucket::history::{self, Range};
use crate::bucket::holds::{Hold, Holds};
use crate::bucket::keeping::{FolderRules, Kept};
use crate::bucket::naming::PackageGlob;
use crate::bucket::report::{Published, Report};
use crate::config::Retention;
use crate::error::{Error, ErrorKind, Result};
use crate::retention::Fate;
use crate::store::key::RepositoryDir;

/// Versions whose records are looked for in the history, the newest ones: each may take some hundred reads.
const MOST_LOOKED_UP: usize = 50;

/// What `package show` takes.
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// Its name, NEVRA, SHA-256 or path below `repo/`; * and ? stand for the rest
    #[arg(value_name = "NAME|PATH")]
    package: String,
    /// Only in this repository: its folder below `repo/`, or / for the root repository
    #[arg(long = "in", value_name = "DIR")]
    repository: Option<String>,
}

/// One version of a package, in one place.
#[derive(Debug, Serialize)]
struct PackageVersion {
    /// Its path below `repo/`: what every command takes for it.
    package: String,
    /// Its repository's folder below `repo/`; `/` is the root repository.
    repository: RepositoryDir,
    /// Its path in the repository.
    path: String,
    /// Name, epoch, version, release and architecture.
    nevra: String,
    /// SHA-256 of the file.
    pkgid: String,
    /// Its size.
    size_bytes: u64,
    /// When the store first had it there; `null` where another program wrote the metadata.
    first_published: Option<Timestamp>,
    /// Who published it; `null` where the history does not say.
    by: Option<String>,
    /// Why, if whoever published it said so.
    reason: Option<String>,
    /// Who uploaded it; `null` where no queue has told.
    uploader: Option<String>,
    /// The primary key that had signed it when it was uploaded; `null` where nobody looked.
    signed_by: Option<String>,
    /// The primary key that yrm signed it with; `null` where it did not.
    signed_with: Option<String>,
    /// The run or operation that published it; `null` where the history does not say.
    run: Option<Ulid>,
    /// What pruning will do.
    prune: PruneForecast,
    /// Who holds it, so that it is not pruned; `null` where nobody does.
    held: Option<Hold>,
}

/// What pruning will do with a package.
#[derive(Debug, Serialize)]
struct PruneForecast {
    /// From when on it leaves if nothing else is published; `null` when it stays.
    at: Option<Timestamp>,
    /// Why it leaves or stays.
    why: String,
}

/// A version on its way to be shown.
struct Version {
    repository: RepositoryDir,
    shown: Shown,
    prune: PruneForecast,
    held: Option<Hold>,
    told: Option<(Report, Published)>,
}

/// Reads only.
pub(super) async fn show(args: &ShowArgs, opened: &Opened, context: &Context) -> Result<u8> {
    let bucket = bucket_of(opened)?;
    let text = args.package.trim_start_matches('/');
    let below = text.strip_prefix(&bucket.policy.folders.repo_prefix()).unwrap_or(text);
    let globs = [PackageGlob::new(text)?, PackageGlob::new(below)?];
    let mut versions = Vec::new();
    for repository in chosen(&bucket, args.repository.as_deref()).await? {
        let Some(now) = contents::current(&bucket, &repository).await? else { continue };
        remark(&now, context);
        let holds = Holds::of(&bucket, &repository).await?;
        versions.extend(fitting(&bucket, now, (&globs, text.parse().ok()), &holds));
    }
    if versions.is_empty() {
        return Err(Error::new(ErrorKind::Conflict, format!("looking for the package {:?}", args.package))
            .because("no repository has a package of that name, NEVRA or path")
            .hint("`yrm package search TEXT` finds packages by parts of their names and paths"));
    }
    versions.sort_by(|a, b| newest_first(&a.shown.nevra, &b.shown.nevra).then_with(|| a.repository.cmp(&b.repository)));
    for version in versions.iter_mut().take(MOST_LOOKED_UP) {
        version.told = record_of(&bucket, version).await?;
    }
    let rows: Vec<PackageVersion> = versions.into_iter().map(PackageVersion::of).collect();
    context.output.data(&rows, |rows| human(rows, context.output.width()))?;
    Ok(DONE)
}

/// The versions that are meant, with what becomes of them.
fn fitting(
    bucket: &Bucket,
    now: Contents,
    (globs, digest): (&[PackageGlob], Option<Sha256>),
    holds: &Holds,
) -> Vec<Version> {
    let by_pkgid = holds.by_pkgid();
    let fates = forecast(bucket, &now);
    let Contents { repository, packages, .. } = now;
    let fits = |shown: &Shown| {
        let (nevra, path) = (shown.nevra.to_string(), repository.path_of(&shown.href));
        let is_it = |glob: &PackageGlob| glob.fits(&nevra, &path) || glob.fits(&nevra, &shown.href);
        digest.map_or_else(|| globs.iter().any(is_it), |digest| shown.pkgid == digest)
    };
    let meant = packages.into_iter().enumerate().filter(|(_, shown)| fits(shown));
    let version = |(at, shown): (usize, Shown)| {
        let rules = FolderRules { gate: &bucket.gate, repository: &repository };
        let rule = bucket.pruned.at(rules, &shown.href);
        let prune = told(fates.as_ref().map(|fates| fates[at]), rule, now.catalog.is_none());
        let hold = by_pkgid.get(shown.pkgid.to_string().as_str()).map(|hold| Hold::clone(hold));
        let prune = match &hold {
            Some(hold) => PruneForecast { at: None, why: hold.told() },
            None => prune,
        };
        Version { repository: repository.clone(), shown, prune, held: hold, told: None }
    };
    meant.map(version).collect()
}

/// What becomes of each package; `None` where nothing is pruned, or nothing is known.
fn forecast(bucket: &Bucket, now: &Contents) -> Option<Vec<Fate>> {
    let catalog = now.catalog.as_ref().filter(|_| bucket.pruned.is_on())?;
    let rules = FolderRules { gate: &bucket.gate, repository: &now.repository };
    Some(Kept { catalog, rules, offers_modules: now.offers_modules, pruned: &bucket.pruned }.fates())
}

fn told(fate: Option<Fate>, rule: Option<Retention>, is_foreign: bool) -> PruneForecast {
    let days = |rule: Retention| rule.older_than.as_secs() / 86_400;
    let (at, why) = match (fate, rule) {
        (_, None) => (None, "nothing is pruned: keep-at-least and prune-age-days are not set".to_owned()),
        (None, Some(_)) if is_foreign => (None, "not known before the next run takes the repository over".to_owned()),
        (Some(Fate::Stays) | None, Some(rule)) => {
            (None, format!("it is among the newest {} of its name and architecture", rule.keep_at_least.max(1)))
        }
        (Some(Fate::Unread), Some(_)) => (None, "the module that it may belong to must be read first".to_owned()),
        (Some(Fate::Leaves(at)), Some(rule)) => {
            let newer = rule.keep_at_least.max(1);
            (Some(at), format!("{newer} newer versions are there, and it will be {} days old", days(rule)))
        }
    };
    PruneForecast { at, why }
}

/// The record of its publication, if the history has it.
async fn record_of(bucket: &Bucket, version: &Version) -> Result<Option<(Report, Published)>> {
    let Some(moment) = version.shown.first_published else { return Ok(None) };
    let pkgid = version.shown.pkgid.to_string();
    let is_it = |one: &Published| {
        one.pkgid == pkgid && one.repository == version.repository.as_str() && one.href == version.shown.href
    };
    let found = history::first(bucket, Range::around(moment), |run| run.published.iter().any(is_it)).await?;
    Ok(found.and_then(|run| run.published.iter().find(|one| is_it(one)).cloned().map(|one| (run, one))))
}

impl PackageVersion {
    fn of(version: Version) -> Self {
        let Version { repository, shown, prune, held, told } = version;
        let (run, one) = told.unzip();
        let uploader = run.as_ref().zip(one.as_ref());
        let uploader = uploader.and_then(|(run, one)| run.uploaders.get(&one.inbox_key).cloned());
        Self {
            package: repository.path_of(&shown.href),
            repository,
            path: shown.href,
            nevra: shown.nevra.to_string(),
            pkgid: shown.pkgid.to_string(),
            size_bytes: shown.size_bytes,
            first_published: shown.first_published,
            by: run.as_ref().and_then(|run| run.by.clone()),
            reason: run.as_ref().and_then(|run| run.reason.clone()),
            uploader,
            signed_by: one.as_ref().and_then(|one| one.signed_by.clone()),
            signed_with: one.and_then(|one| one.signed_with),
            run: run.map(|run| run.run),
            prune,
            held,
        }
    }
}

fn human(rows: &[PackageVersion], width: Width) -> String {
    let row = |row: &PackageVersion| {
        let by = row.uploader.clone().or_else(|| row.by.clone()).unwrap_or_default();
        let stays = if row.held.is_some() { "held" } else { "stays" };
        let prune = row.prune.at.map_or_else(|| stays.to_owned(), |at| format!("from {}", time(at)));
        let key = row.signed_with.clone().or_else(|| row.signed_by.clone()).unwrap_or_default();
        [
            row.nevra.clone(),
            row.package.clone(),
            row.first_published.map(time).unwrap_or_default(),
            by,
            key,
            row.size_bytes.to_string(),
            prune,
        ]
    };
    let head = ["package", "path", "published", "by", "signed by", "bytes", "prune"];
    let table = fitted(width, head, rows.iter().map(row));
    let mut whys: Vec<String> = rows.iter().map(|row| row.prune.why.clone()).collect();
    whys.sort_unstable();
    whys.dedup();
    let whys: Vec<String> = whys.into_iter().map(|why| format!("prune: {why}\n")).collect();
    format!("{table}{}", whys.concat())
}
