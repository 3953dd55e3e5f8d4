//! `yrm package search`: the packages that clients can install, by name, NEVRA, path, and by what they provide or hold.

use std::cmp::Ordering;
use std::collections::HashSet;

use clap::Args;
use globset::{GlobBuilder, GlobMatcher};
use jiff::Timestamp;
use rpmmd::checksum::Sha256;
use rpmmd::nevra::Nevra;
use serde::Serialize;

use super::context::{Context, DONE, Opened, bucket_of};
use super::output::{Width, fitted};
use crate::bucket::Bucket;
use crate::bucket::contents::{self, Contents, Having, Shown};
use crate::bucket::generations::{self, repository_named};
use crate::bucket::naming::PackageGlob;
use crate::error::{Error, ErrorKind, Result};
use crate::store::key::RepositoryDir;

/// What `package search` takes.
#[derive(Debug, Args)]
pub(super) struct SearchArgs {
    /// Part of a path or of a NEVRA, or with * and ? a pattern for name, NEVRA or path; without it all packages
    #[arg(default_value = "")]
    text: String,
    /// Only in this repository: its folder below `repo/`, or / for the root repository
    #[arg(long = "in", value_name = "DIR")]
    repository: Option<String>,
    /// Only the newest version of each name and architecture in each repository
    #[arg(long)]
    latest: bool,
    /// Only packages that provide this, such as webserver or libfoo.so.1
    #[arg(long, value_name = "CAPABILITY")]
    provides: Option<String>,
    /// Only packages with this file, such as /usr/bin/foo
    #[arg(long, value_name = "PATH")]
    file: Option<String>,
}

/// One published package.
#[derive(Debug, Serialize)]
pub(super) struct FoundPackage {
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
    #[serde(skip)]
    order: Nevra,
}

impl FoundPackage {
    fn of(repository: &RepositoryDir, shown: Shown) -> Self {
        Self {
            package: repository.path_of(&shown.href),
            repository: repository.clone(),
            path: shown.href,
            nevra: shown.nevra.to_string(),
            pkgid: shown.pkgid.to_string(),
            size_bytes: shown.size_bytes,
            first_published: shown.first_published,
            order: shown.nevra,
        }
    }
}

/// By name, then the newest version first.
pub(super) fn newest_first(a: &Nevra, b: &Nevra) -> Ordering {
    a.name.cmp(&b.name).then_with(|| b.evr.vercmp(&a.evr)).then_with(|| a.arch.cmp(&b.arch))
}

/// Which packages are meant.
enum Meant {
    /// Those with this in their path or NEVRA, in small letters.
    Part(String),
    Glob(PackageGlob),
}

impl Meant {
    fn of(text: &str, repo: &str) -> Result<Self> {
        let bare = text.trim_start_matches('/');
        let bare = bare.strip_prefix(repo).unwrap_or(bare);
        if PackageGlob::is_pattern(bare) {
            return PackageGlob::new(bare).map(Self::Glob);
        }
        Ok(Self::Part(bare.to_lowercase()))
    }

    fn holds(&self, row: &FoundPackage) -> bool {
        match self {
            Self::Part(part) => {
                row.package.to_lowercase().contains(part.as_str())
                    || row.nevra.to_lowercase().contains(part.as_str())
                    || row.pkgid == *part
            }
            Self::Glob(glob) => glob.fits(&row.nevra, &row.package) || glob.fits(&row.nevra, &row.path),
        }
    }
}

/// Reads only.
pub(super) async fn search(args: &SearchArgs, opened: &Opened, context: &Context) -> Result<u8> {
    let bucket = bucket_of(opened)?;
    let meant = Meant::of(&args.text, &bucket.policy.folders.repo_prefix())?;
    let wanted = having(args)?;
    let mut rows = Vec::new();
    for repository in chosen(&bucket, args.repository.as_deref()).await? {
        let mut found = rows_of(&bucket, &repository, context).await?;
        found.retain(|row| meant.holds(row));
        for wanted in &wanted {
            let have: HashSet<Sha256> = contents::having(&bucket, &repository, wanted.clone()).await?;
            found.retain(|row| row.pkgid.parse().is_ok_and(|pkgid| have.contains(&pkgid)));
        }
        if args.latest {
            keep_newest(&mut found);
        }
        rows.extend(found);
    }
    rows.sort_by(|a, b| newest_first(&a.order, &b.order).then_with(|| a.package.cmp(&b.package)));
    context.output.data(&rows, |rows| listed(rows, context.output.width()))?;
    Ok(DONE)
}

/// The repository that is named, or all there are.
pub(super) async fn chosen(bucket: &Bucket, name: Option<&str>) -> Result<Vec<RepositoryDir>> {
    match name {
        Some(name) => Ok(vec![repository_named(bucket, name).await?]),
        None => generations::there(bucket).await,
    }
}

fn having(args: &SearchArgs) -> Result<Vec<Having>> {
    let provides = args.provides.as_deref().map(|text| glob(text).map(Having::Provides)).transpose()?;
    let file = args.file.as_deref().map(|text| glob(text).map(Having::File)).transpose()?;
    Ok(provides.into_iter().chain(file).collect())
}

/// A capability or a file: `*` and `?` stand for anything, and all else for itself.
fn glob(text: &str) -> Result<GlobMatcher> {
    let plain: String = text
        .chars()
        .flat_map(|c| if matches!(c, '[' | ']' | '{' | '}' | '\\') { vec!['\\', c] } else { vec![c] })
        .collect();
    let glob = GlobBuilder::new(&plain)
        .backslash_escape(true)
        .build()
        .map_err(|source| Error::new(ErrorKind::Config, format!("reading the pattern {text:?}")).because(source))?;
    Ok(glob.compile_matcher())
}

/// Of each name and architecture the newest.
fn keep_newest(rows: &mut Vec<FoundPackage>) {
    rows.sort_by(|a, b| {
        let family = |row: &FoundPackage| (row.order.name.clone(), row.order.arch.clone());
        family(a).cmp(&family(b)).then_with(|| b.order.evr.vercmp(&a.order.evr))
    });
    rows.dedup_by(|other, newest| {
        (&other.order.name, &other.order.arch) == (&newest.order.name, &newest.order.arch)
            && other.order.evr.vercmp(&newest.order.evr).is_lt()
    });
}

/// What a repository holds now. Where that was not read from the catalog, it is said.
pub(super) async fn rows_of(
    bucket: &Bucket,
    repository: &RepositoryDir,
    context: &Context,
) -> Result<Vec<FoundPackage>> {
    let Some(now) = contents::current(bucket, repository).await? else { return Ok(Vec::new()) };
    remark(&now, context);
    Ok(now.packages.into_iter().map(|shown| FoundPackage::of(repository, shown)).collect())
}

/// Says where something was read, if that was not the catalog.
pub(super) fn remark(contents: &Contents, context: &Context) {
    if let Some(remark) = contents.remark() {
        context.output.say(&format!("note: {remark}"));
    }
}

/// Packages for people.
pub(super) fn listed(rows: &[FoundPackage], width: Width) -> String {
    if rows.is_empty() {
        return "no package fits\n".to_owned();
    }
    let row = |row: &FoundPackage| [row.nevra.clone(), row.package.clone(), row.size_bytes.to_string()];
    fitted(width, ["package", "path", "bytes"], rows.iter().map(row))
}
