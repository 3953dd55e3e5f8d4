//! `yrm package`: what the repositories hold, and what an operator does with a package.

use clap::{Args, Subcommand};
use serde::Serialize;

use super::context::{Context, DONE, Purpose, bucket_of, publisher};
use super::flags::{Flags, ForPublish, ForRepositories, ForSigning};
use super::output::{Width, fitted};
use super::run;
use crate::bucket::Bucket;
use crate::bucket::generations::repository_named;
use crate::bucket::{generations, observe};
use crate::error::Result;
use crate::publish::operations::errand::Promotion;
use crate::serve::new_run;
use crate::store::key::{Key, RepositoryDir};

/// What can be done with packages.
#[derive(Debug, Subcommand)]
pub(super) enum PackageVerb {
    /// Show the packages whose path or NEVRA contains a text
    Search(SearchArgs),
    /// Remove packages from a repository; cached metadata keeps working for the grace period
    Remove(RemoveArgs),
    /// Put a published package into another folder too
    Promote(PromoteArgs),
}

/// Flags of all that change something.
#[derive(Debug, Args)]
pub(super) struct Rules {
    #[command(flatten)]
    pub(super) repositories: Flags<ForRepositories>,
    #[command(flatten)]
    pub(super) publish: Flags<ForPublish>,
    #[command(flatten)]
    pub(super) signing: Flags<ForSigning>,
}

/// What `package search` takes.
#[derive(Debug, Args)]
pub(super) struct SearchArgs {
    /// Part of a path or of a NEVRA; without it all packages
    #[arg(default_value = "")]
    text: String,
    /// Only in this repository: its folder below `repo/`, or / for the root repository
    #[arg(long = "in", value_name = "DIR")]
    repository: Option<String>,
}

/// What `package remove` takes.
#[derive(Debug, Args)]
pub(super) struct RemoveArgs {
    /// Paths in the repository, as `yrm package search` shows them
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// The repository's folder below `repo/`; without it the root repository `/`
    #[arg(long = "in", value_name = "DIR", default_value = "", hide_default_value = true)]
    repository: String,
    /// Only show what would be removed
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    pub(super) rules: Rules,
}

/// What `package promote` takes.
#[derive(Debug, Args)]
pub(super) struct PromoteArgs {
    /// Its path below `repo/`
    #[arg(value_name = "PATH")]
    from: String,
    /// Its new path below `repo/`; a folder, with a slash at its end, keeps the file's name
    #[arg(long, value_name = "PATH")]
    to: String,
    #[command(flatten)]
    pub(super) rules: Rules,
}

/// One published package.
#[derive(Debug, Serialize)]
struct FoundPackage {
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
}

/// Does what was asked.
pub(super) async fn execute(verb: &PackageVerb, context: &Context) -> Result<u8> {
    match verb {
        PackageVerb::Search(args) => search(args, context).await,
        PackageVerb::Remove(args) => remove(args, context).await,
        PackageVerb::Promote(args) => promote(args, context).await,
    }
}

async fn search(args: &SearchArgs, context: &Context) -> Result<u8> {
    let bucket = bucket_of(&context.open(Purpose::Looking).await?)?;
    let mut rows = Vec::new();
    let repositories = match &args.repository {
        Some(name) => vec![repository_named(&bucket, name).await?],
        None => generations::repositories(&bucket).await?,
    };
    for repository in repositories {
        rows.extend(rows_of(&bucket, &repository).await?);
    }
    rows.retain(|row| row.path.contains(&args.text) || row.nevra.contains(&args.text));
    context.output.data(&rows, |rows| human(rows, context.output.width()))?;
    Ok(DONE)
}

async fn rows_of(bucket: &Bucket, repository: &RepositoryDir) -> Result<Vec<FoundPackage>> {
    let key = bucket.path(Key::Repomd { repository });
    let Some(read) = bucket.store.get(&key, None).await? else { return Ok(Vec::new()) };
    let catalog = observe::load_catalog(bucket, repository, &read.bytes).await?;
    let entries = catalog.iter().flat_map(|catalog| catalog.entries.iter());
    let row = |entry: crate::bucket::catalog::Entry<'_>| FoundPackage {
        repository: repository.clone(),
        path: entry.href.to_string(),
        nevra: entry.nevra().to_string(),
        pkgid: entry.pkgid().to_string(),
        size_bytes: entry.size_bytes,
    };
    Ok(entries.map(row).collect())
}

fn human(rows: &[FoundPackage], width: Width) -> String {
    if rows.is_empty() {
        return "no package fits\n".to_owned();
    }
    let row = |row: &FoundPackage| {
        [row.nevra.clone(), row.repository.to_string(), row.path.clone(), row.size_bytes.to_string()]
    };
    fitted(width, ["package", "repository", "path", "bytes"], rows.iter().map(row))
}

async fn remove(args: &RemoveArgs, context: &Context) -> Result<u8> {
    let publisher = publisher(&context.open(Purpose::Changing).await?).await?;
    let repository = repository_named(publisher.bucket(), &args.repository).await?;
    if args.dry_run {
        publisher.removable(&repository, &args.paths, new_run()).await?;
        let mut rows = rows_of(publisher.bucket(), &repository).await?;
        rows.retain(|row| args.paths.contains(&row.path));
        context.output.data(&rows, |rows| human(rows, context.output.width()))?;
        return Ok(DONE);
    }
    let report = publisher.remove(&repository, args.paths.clone(), new_run()).await?;
    context.output.data(&report, run::summary)?;
    Ok(DONE)
}

/// The new path: a folder, which ends with a slash, gets the package under the name that it has.
fn target(from: &str, to: &str) -> String {
    let name = from.rsplit('/').next().unwrap_or(from);
    match to.strip_suffix('/').map(|folder| folder.trim_matches('/')) {
        None => to.to_owned(),
        Some("" | ".") => name.to_owned(),
        Some(folder) => format!("{folder}/{name}"),
    }
}

async fn promote(args: &PromoteArgs, context: &Context) -> Result<u8> {
    let promotion = Promotion { from: args.from.clone(), to: target(&args.from, &args.to) };
    let report = publisher(&context.open(Purpose::Changing).await?).await?.promote(&[promotion], new_run()).await?;
    context.output.data(&report, run::summary)?;
    Ok(DONE)
}
