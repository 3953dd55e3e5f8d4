//! `yrm repo show` and `yrm repo diff`: what a revision holds, and what is different in another.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use clap::Args;
use jiff::Timestamp;
use rpmmd::nevra::Nevra;
use serde::Serialize;
use ulid::Ulid;

use super::context::Context;
use super::output::{Width, fitted, safe, table, time};
use super::search::{newest_first, remark};
use crate::bucket::Bucket;
use crate::bucket::contents::{self, Contents, Shown};
use crate::bucket::generations::repository_named;
use crate::bucket::history::{self, Range};
use crate::bucket::report::{Operation, Report};
use crate::bucket::tags::{CURRENT, Tags, revision_named};
use crate::error::{Error, ErrorKind, Result};
use crate::store::key::RepositoryDir;

/// What `repo show` takes.
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The revision, as `yrm repo log` shows it, its tag, or `current`
    #[arg(value_name = "REV")]
    revision: String,
    /// The repository's folder below `repo/`; without it the root repository `/`
    #[arg(long = "in", value_name = "DIR", default_value = "", hide_default_value = true)]
    repository: String,
}

/// What `repo diff` takes.
#[derive(Debug, Args)]
pub(super) struct DiffArgs {
    /// A revision, its tag, `current`, or a repository's folder below `repo/`
    #[arg(value_name = "A")]
    from: String,
    /// The same, to compare with it
    #[arg(value_name = "B")]
    to: String,
    /// The repository of revisions; without it the root repository `/`
    #[arg(long = "in", value_name = "DIR", default_value = "", hide_default_value = true)]
    repository: String,
}

/// What a revision holds.
#[derive(Debug, Serialize)]
struct RevisionShown {
    /// The repository's folder below `repo/`; `/` is the root repository.
    repository: RepositoryDir,
    /// The revision; `null` where another program gave none that is a number.
    revision: Option<u64>,
    /// When it was published.
    published: Timestamp,
    /// Whether another program wrote the metadata.
    written_by_others: bool,
    /// What published it; `null` where the history does not say.
    operation: Option<Operation>,
    /// Who published it; `null` where the history does not say.
    by: Option<String>,
    /// Why, if whoever published it said so.
    reason: Option<String>,
    /// The run or operation that published it; `null` where the history does not say.
    run: Option<Ulid>,
    /// Its packages: by name, the newest version first.
    packages: Vec<RevisionPackage>,
}

/// A package of a revision.
#[derive(Debug, Clone, Serialize)]
struct RevisionPackage {
    /// Its path below `repo/`.
    package: String,
    /// Name, epoch, version, release and architecture.
    nevra: String,
    /// SHA-256 of the file.
    pkgid: String,
    /// Its size.
    size_bytes: u64,
}

/// What is different between two revisions.
#[derive(Debug, Serialize)]
struct RevisionDiff {
    /// The first.
    from: Side,
    /// The second.
    to: Side,
    /// What is different, by name and architecture.
    changes: Vec<Difference>,
    /// Names and architectures of which both hold the same.
    unchanged: usize,
}

/// One side of a comparison.
#[derive(Debug, Serialize)]
struct Side {
    /// The repository's folder below `repo/`; `/` is the root repository.
    repository: RepositoryDir,
    /// The revision; `null` where another program gave none that is a number.
    revision: Option<u64>,
    /// How many packages it holds.
    packages: usize,
}

/// What is different in the packages of one name and architecture.
#[derive(Debug, Serialize)]
struct Difference {
    /// The name.
    name: String,
    /// The architecture.
    arch: String,
    /// What clients see of it, who take the newest version.
    change: Kind,
    /// The newest version of the first side, as epoch:version-release; `null` where it has none.
    from: Option<String>,
    /// The newest version of the second side; `null` where it has none.
    to: Option<String>,
    /// Packages of the second side that the first has not, the newest first.
    added: Vec<RevisionPackage>,
    /// Packages of the first side that the second has not, the newest first.
    removed: Vec<RevisionPackage>,
}

/// What became of a name and architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    /// Only the second side has it.
    Added,
    /// Only the first side has it.
    Removed,
    /// The second side's newest version is newer.
    Upgraded,
    /// The second side's newest version is older.
    Downgraded,
    /// The newest version is the same, with other bytes.
    Rebuilt,
    /// The newest version is the same; older ones came or went.
    OlderVersions,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Upgraded => "upgraded",
            Self::Downgraded => "downgraded",
            Self::Rebuilt => "rebuilt",
            Self::OlderVersions => "older versions",
        }
    }
}

/// Reads only.
pub(super) async fn show(args: &ShowArgs, bucket: &Bucket, context: &Context) -> Result<()> {
    let repository = repository_named(bucket, &args.repository).await?;
    let held = held(bucket, &repository, &args.revision).await?;
    remark(&held, context);
    let record = record_of(bucket, &held).await?;
    let mut packages: Vec<&Shown> = held.packages.iter().collect();
    packages.sort_by(|a, b| newest_first(&a.nevra, &b.nevra).then_with(|| a.href.cmp(&b.href)));
    let shown = RevisionShown {
        revision: held.revision,
        published: held.since,
        written_by_others: held.catalog.is_none(),
        operation: record.as_ref().map(|run| run.operation),
        by: record.as_ref().and_then(|run| run.by.clone()),
        reason: record.as_ref().and_then(|run| run.reason.clone()),
        run: record.map(|run| run.run),
        packages: packages.into_iter().map(|one| RevisionPackage::of(&repository, one)).collect(),
        repository,
    };
    context.output.data(&shown, |shown| revision(shown, context.output.width()))
}

/// Reads only.
pub(super) async fn diff(args: &DiffArgs, bucket: &Bucket, context: &Context) -> Result<()> {
    let mut sides = Vec::with_capacity(2);
    for named in [&args.from, &args.to] {
        let side = side(bucket, &args.repository, named).await?;
        remark(&side, context);
        sides.push(side);
    }
    let [from, to] = <[Contents; 2]>::try_from(sides).expect("two were pushed");
    let diff = difference(&from, &to);
    context.output.data(&diff, |diff| differences(diff, context.output.width()))
}

/// What a revision, `current`, or a folder means.
async fn side(bucket: &Bucket, repository: &str, named: &str) -> Result<Contents> {
    if named == CURRENT || named.parse::<u64>().is_ok() {
        let repository = repository_named(bucket, repository).await?;
        return held(bucket, &repository, named).await;
    }
    if let Ok(repository) = repository_named(bucket, repository).await
        && Tags::of(bucket, &repository).await?.named(named).is_some()
    {
        return held(bucket, &repository, named).await;
    }
    let repository = repository_named(bucket, named).await?;
    held(bucket, &repository, CURRENT).await
}

async fn held(bucket: &Bucket, repository: &RepositoryDir, revision: &str) -> Result<Contents> {
    if revision == CURRENT {
        return contents::current(bucket, repository).await?.ok_or_else(|| {
            Error::new(ErrorKind::Conflict, format!("reading {repository}"))
                .because("it has no revision: its repomd.xml does not exist")
                .hint("`yrm repo log` lists the revisions that are kept")
        });
    }
    let number = revision_named(bucket, repository, revision).await?;
    contents::of_revision(bucket, repository, number).await
}

/// The record of what published it, if the history has it.
async fn record_of(bucket: &Bucket, held: &Contents) -> Result<Option<Report>> {
    let Some(revision) = held.revision.filter(|_| held.catalog.is_some()) else { return Ok(None) };
    let made_it = |run: &Report| {
        let made = |one: &crate::bucket::report::RepositoryReport| {
            one.revision_after == Some(revision) && one.revision_before != Some(revision)
        };
        run.repositories.iter().any(|one| one.repository == held.repository.as_str() && made(one))
    };
    history::first(bucket, Range::around(held.since), made_it).await
}

impl RevisionPackage {
    fn of(repository: &RepositoryDir, shown: &Shown) -> Self {
        Self {
            package: repository.path_of(&shown.href),
            nevra: shown.nevra.to_string(),
            pkgid: shown.pkgid.to_string(),
            size_bytes: shown.size_bytes,
        }
    }
}

/// What two revisions hold, by name and architecture.
fn difference(from: &Contents, to: &Contents) -> RevisionDiff {
    let mut families: BTreeMap<(&str, &str), [Vec<&Shown>; 2]> = BTreeMap::new();
    for (side, contents) in [from, to].into_iter().enumerate() {
        for shown in &contents.packages {
            let Nevra { name, arch, .. } = &shown.nevra;
            families.entry((name, arch)).or_default()[side].push(shown);
        }
    }
    let total = families.len();
    let mut changes = Vec::new();
    for ((name, arch), [mut before, mut after]) in families {
        for side in [&mut before, &mut after] {
            side.sort_by(|a, b| newest_first(&a.nevra, &b.nevra).then_with(|| a.href.cmp(&b.href)));
        }
        let Some(change) = kind(&before, &after) else { continue };
        let evr = |side: &[&Shown]| side.first().map(|shown| shown.nevra.evr.to_string());
        changes.push(Difference {
            name: name.to_owned(),
            arch: arch.to_owned(),
            change,
            from: evr(&before),
            to: evr(&after),
            added: beyond(&to.repository, &after, &before),
            removed: beyond(&from.repository, &before, &after),
        });
    }
    let unchanged = total - changes.len();
    let side = |contents: &Contents| Side {
        repository: contents.repository.clone(),
        revision: contents.revision,
        packages: contents.packages.len(),
    };
    RevisionDiff { from: side(from), to: side(to), changes, unchanged }
}

/// The packages of one side whose bytes the other has not.
fn beyond(repository: &RepositoryDir, side: &[&Shown], other: &[&Shown]) -> Vec<RevisionPackage> {
    let is_new = |shown: &&&Shown| !other.iter().any(|there| there.pkgid == shown.pkgid);
    side.iter().filter(is_new).map(|shown| RevisionPackage::of(repository, shown)).collect()
}

/// What became of a family, each side's newest first; `None` where both hold the same.
fn kind(before: &[&Shown], after: &[&Shown]) -> Option<Kind> {
    let (Some(old), Some(new)) = (before.first(), after.first()) else {
        return Some(if before.is_empty() { Kind::Added } else { Kind::Removed });
    };
    match new.nevra.evr.vercmp(&old.nevra.evr) {
        Ordering::Greater => return Some(Kind::Upgraded),
        Ordering::Less => return Some(Kind::Downgraded),
        Ordering::Equal => {}
    }
    let lacks = |side: &[&Shown], shown: &Shown| !side.iter().any(|there| there.pkgid == shown.pkgid);
    if lacks(before, new) || lacks(after, old) {
        return Some(Kind::Rebuilt);
    }
    let is_other = after.iter().any(|one| lacks(before, one)) || before.iter().any(|one| lacks(after, one));
    is_other.then_some(Kind::OlderVersions)
}

fn named(revision: Option<u64>) -> String {
    revision.map_or_else(|| "without a number".to_owned(), |revision| revision.to_string())
}

fn revision(shown: &RevisionShown, width: Width) -> String {
    let unknown = || "unknown".to_owned();
    let rows = [
        ["repository".to_owned(), shown.repository.to_string()],
        ["revision".to_owned(), named(shown.revision)],
        ["published".to_owned(), time(shown.published)],
        ["by".to_owned(), shown.by.clone().unwrap_or_else(unknown)],
        ["operation".to_owned(), shown.operation.map_or_else(unknown, |operation| operation.name().to_owned())],
        ["reason".to_owned(), shown.reason.clone().unwrap_or_else(|| "none was given".to_owned())],
        ["packages".to_owned(), shown.packages.len().to_string()],
    ];
    let packages =
        shown.packages.iter().map(|one| [one.nevra.clone(), one.package.clone(), one.size_bytes.to_string()]);
    let packages = fitted(width, ["package", "path", "bytes"], packages);
    format!("{}\n{packages}", table(["", ""], rows).trim_start_matches('\n'))
}

fn differences(diff: &RevisionDiff, width: Width) -> String {
    let side = |side: &Side| format!("{} at {} ({} packages)", side.repository, named(side.revision), side.packages);
    let head = format!("From {}\nto {}\n", safe(&side(&diff.from)), safe(&side(&diff.to)));
    if diff.changes.is_empty() {
        return format!("{head}no package is different\n");
    }
    let row = |change: &Difference| {
        let none = || "–".to_owned();
        [
            change.change.name().to_owned(),
            format!("{}.{}", change.name, change.arch),
            change.from.clone().unwrap_or_else(none),
            change.to.clone().unwrap_or_else(none),
            format!("+{} -{}", change.added.len(), change.removed.len()),
        ]
    };
    let table = fitted(width, ["change", "package", "from", "to", "files"], diff.changes.iter().map(row));
    format!("{head}{table}{} names with nothing different\n", diff.unchanged)
}
