//! `yrm package`: what an operator does with a package. [`super::search`] and [`super::show`] only look.

use std::collections::{BTreeMap, HashSet};

use clap::{Args, Subcommand};

use super::beforehand::{Asked, BeforeTaking, Beforehand};
use super::context::{Context, DONE, Opened, Purpose};
use super::flags::{Because, Flags, ForPublish, ForRepositories, ForSigning};
use super::search::{SearchArgs, search};
use super::show::{ShowArgs, show};
use super::summary::summary;
use crate::bucket::generations::repository_named;
use crate::bucket::{Bucket, contents};
use crate::error::{Error, ErrorKind, Result};
use crate::publish::Publisher;
use crate::publish::operations::errand::Promotion;
use crate::secrets;
use crate::store::key::RepositoryDir;

/// What can be done with packages.
#[derive(Debug, Subcommand)]
pub(super) enum PackageVerb {
    /// Show the packages that fit, newest first
    Search(SearchArgs),
    /// Show all versions of a package: where, since when, by whom, and when they are pruned
    Show(ShowArgs),
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
    #[command(flatten)]
    pub(super) because: Because,
}

/// What `package remove` takes.
#[derive(Debug, Args)]
pub(super) struct RemoveArgs {
    /// Paths below `repo/`, as `yrm package search` shows them; with --in, paths in that repository
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// The repository's folder below `repo/`, or / for the root repository; without it the paths say which
    #[arg(long = "in", value_name = "DIR")]
    repository: Option<String>,
    #[command(flatten)]
    taking: BeforeTaking,
    #[command(flatten)]
    pub(super) rules: Rules,
}

/// What `package promote` takes.
#[derive(Debug, Args)]
pub(super) struct PromoteArgs {
    /// Its path below `repo/`, as `yrm package search` shows it
    #[arg(value_name = "PATH")]
    from: String,
    /// Its new path below `repo/`; a folder, with a slash at its end, keeps the file's name
    #[arg(long, value_name = "PATH")]
    to: String,
    #[command(flatten)]
    beforehand: Beforehand,
    #[command(flatten)]
    pub(super) rules: Rules,
}

/// Does what was asked.
pub(super) async fn execute(verb: &PackageVerb, context: &Context) -> Result<u8> {
    match verb {
        PackageVerb::Search(args) => search(args, &context.open(Purpose::Looking).await?, context).await,
        PackageVerb::Show(args) => show(args, &context.open(Purpose::Looking).await?, context).await,
        PackageVerb::Remove(args) => Box::pin(remove(args, &opened_to_change(context).await?, context)).await,
        PackageVerb::Promote(args) => Box::pin(promote(args, &opened_to_change(context).await?, context)).await,
    }
}

/// The bucket, open for an operation, and what keeps secrets asked for them.
pub(super) async fn opened_to_change(context: &Context) -> Result<Opened> {
    let mut opened = context.open(Purpose::Changing).await?;
    secrets::fetch_all(&mut opened.config).await?;
    Ok(opened)
}

async fn remove(args: &RemoveArgs, opened: &Opened, context: &Context) -> Result<u8> {
    let asked = Asked::by(context, opened, &args.rules.because);
    let report = asked.when_sure(&args.taking, async |publisher, run| {
        let (repository, paths) = meant(publisher.bucket(), args.repository.as_deref(), &args.paths).await?;
        publisher.remove(&repository, paths, run).await
    });
    context.output.data(&Box::pin(report).await?, summary)?;
    Ok(DONE)
}

/// The packages that paths mean: below `repo/`, with or without that name in front, or with `dir` in that repository. What
/// no repository has is looked for by whoever uses it, who says so.
async fn meant(bucket: &Bucket, dir: Option<&str>, paths: &[String]) -> Result<(RepositoryDir, Vec<String>)> {
    let named = match dir {
        Some(dir) => Some(repository_named(bucket, dir).await?),
        None => None,
    };
    let mut known: BTreeMap<RepositoryDir, HashSet<String>> = BTreeMap::new();
    let mut found: Vec<(RepositoryDir, String)> = Vec::new();
    for path in paths {
        let mut places = places(bucket, named.as_ref(), path);
        let mut at = 0;
        for (place, (repository, href)) in places.iter().enumerate() {
            if !known.contains_key(repository) {
                let now = contents::current(bucket, repository).await?;
                let hrefs = now.into_iter().flat_map(|now| now.packages).map(|package| package.href).collect();
                known.insert(repository.clone(), hrefs);
            }
            if known[repository].contains(href) {
                at = place;
                break;
            }
        }
        if places.is_empty() {
            // The root repository, or an error that names those there are.
            places.push((repository_named(bucket, "").await?, path.clone()));
        }
        found.push(places.swap_remove(at));
    }
    let repository = found.first().map_or_else(|| RepositoryDir::new(""), |(repository, _)| repository.clone());
    if found.iter().any(|(other, _)| *other != repository) {
        return Err(Error::new(ErrorKind::Conflict, "looking for the packages")
            .because("they are in several repositories")
            .hint("nothing was changed; name packages of one repository at a time"));
    }
    let there = named.is_some() || !known.get(&repository).is_some_and(HashSet::is_empty);
    let repository = if there { repository } else { repository_named(bucket, repository.as_str()).await? };
    Ok((repository, found.into_iter().map(|(_, href)| href).collect()))
}

/// Where a path may point, the likeliest first.
fn places(bucket: &Bucket, named: Option<&RepositoryDir>, path: &str) -> Vec<(RepositoryDir, String)> {
    let path = path.strip_prefix("./").unwrap_or(path).trim_start_matches('/');
    let repo = format!("{}/", bucket.policy.folders.repo);
    let spelt: Vec<&str> = std::iter::once(path).chain(path.strip_prefix(&repo)).collect();
    let Some(repository) = named else {
        let located = spelt.iter().filter_map(|path| bucket.locator.locate(path));
        return located.map(|(repository, href)| (repository, href.to_owned())).collect();
    };
    let below = |path: &&str| path.strip_prefix(repository.as_str())?.strip_prefix('/').map(str::to_owned);
    let below: Vec<String> = spelt.iter().filter_map(below).collect();
    let hrefs = spelt.iter().map(|path| (*path).to_owned()).chain(below);
    hrefs.map(|href| (repository.clone(), href)).collect()
}

/// A path below `repo/` without the name of that folder in front, unless a package is called so.
async fn bare(bucket: &Bucket, path: &str) -> Result<String> {
    if places(bucket, None, path).is_empty() {
        return Ok(path.to_owned());
    }
    let (repository, mut hrefs) = meant(bucket, None, &[path.to_owned()]).await?;
    Ok(hrefs.pop().map_or_else(|| path.to_owned(), |href| repository.path_of(&href)))
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

async fn promote(args: &PromoteArgs, opened: &Opened, context: &Context) -> Result<u8> {
    let promote = async |publisher: &Publisher, run| {
        let from = bare(publisher.bucket(), &args.from).await?;
        let repo = format!("{}/", publisher.bucket().policy.folders.repo);
        let to = args.to.strip_prefix(&repo).unwrap_or(&args.to);
        publisher.promote(&[Promotion { to: target(&from, to), from }], run).await
    };
    let asked = Asked::by(context, opened, &args.rules.because);
    let report = Box::pin(asked.operate(&args.beforehand, promote)).await?;
    context.output.data(&report, summary)?;
    Ok(DONE)
}
