//! `yrm package`: what an operator does with a package. [`super::search`] and [`super::show`] only look.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};

use super::beforehand::{Asked, BeforeTaking, Beforehand};
use super::context::{Context, DONE, Opened, Purpose};
use super::marks::{self, BlockArgs, HoldArgs};
use super::search::{SearchArgs, search};
use super::show::{ShowArgs, show};
use super::summary::summary;
use super::which::{Rules, Which, opened_to_change};
use crate::bucket::meant::{self, Meant};
use crate::error::{Error, ErrorKind, Result};
use crate::publish::Publisher;
use crate::publish::operations::errand::Promotion;
use crate::publish::operators::{Also, Hrefs};
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
    /// Put published packages into another folder too, or move them there
    Promote(PromoteArgs),
    /// Keep packages from being pruned, until they are released
    Hold(HoldArgs),
    /// Let packages be pruned again that were held, by somebody or by a rollback
    Unhold(HoldArgs),
    /// Keep packages from coming back; without arguments list what is blocked
    Block(BlockArgs),
    /// Let packages come back that were blocked
    Unblock(BlockArgs),
}

/// What `package remove` takes.
#[derive(Debug, Args)]
pub(super) struct RemoveArgs {
    #[command(flatten)]
    which: Which,
    /// Keep them from coming back to their repository too, as they are or rebuilt
    #[arg(long)]
    block: bool,
    /// Delete their bytes at once: who still has older metadata cannot install them any more
    #[arg(long)]
    purge: bool,
    #[command(flatten)]
    taking: BeforeTaking,
    #[command(flatten)]
    pub(super) rules: Rules,
}

/// What `package promote` takes.
#[derive(Debug, Args)]
pub(super) struct PromoteArgs {
    #[command(flatten)]
    which: Which,
    /// Where to: a folder below `repo/`, or the new path of one package. A folder keeps names, and what lies below a folder
    /// that was named keeps its place there
    #[arg(long, value_name = "PATH")]
    to: String,
    /// Only the newest version of each name and architecture
    #[arg(long)]
    latest: bool,
    /// Take them out of where they are, once they are where they are wanted
    #[arg(long = "move")]
    moves: bool,
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
        PackageVerb::Hold(args) => Box::pin(marks::hold(args, &opened_to_change(context).await?, context, true)).await,
        PackageVerb::Unhold(args) => {
            Box::pin(marks::hold(args, &opened_to_change(context).await?, context, false)).await
        }
        PackageVerb::Block(args) => Box::pin(marks::block(args, context)).await,
        PackageVerb::Unblock(args) => Box::pin(marks::unblock(args, context)).await,
        PackageVerb::Promote(args) => Box::pin(promote(args, &opened_to_change(context).await?, context)).await,
    }
}

async fn remove(args: &RemoveArgs, opened: &Opened, context: &Context) -> Result<u8> {
    let asked = Asked::by(context, opened, &args.rules.because);
    let texts = args.which.texts().await?;
    let also = Also { block: args.block, purge: args.purge };
    let report = asked.when_sure(&args.taking, async |publisher, run| {
        let texts = if args.purge { marks::not_purged(publisher.bucket(), &texts).await? } else { texts.clone() };
        let packages = meant::packages(publisher.bucket(), &args.which.folders, &texts).await?;
        publisher.remove_all(by_repository(&packages), also, run).await
    });
    context.output.data(&Box::pin(report).await?, summary)?;
    Ok(DONE)
}

/// The paths of packages, by repository.
fn by_repository(packages: &[Meant]) -> Vec<Hrefs> {
    let mut all: BTreeMap<RepositoryDir, Vec<String>> = BTreeMap::new();
    for package in packages {
        all.entry(package.repository.clone()).or_default().push(package.href.clone());
    }
    all.into_iter().collect()
}

async fn promote(args: &PromoteArgs, opened: &Opened, context: &Context) -> Result<u8> {
    let texts = args.which.texts().await?;
    let promote = async |publisher: &Publisher, run| {
        let packages = meant::packages(publisher.bucket(), &args.which.folders, &texts).await?;
        let packages = if args.latest { meant::newest(packages) } else { packages };
        let repo = publisher.bucket().policy.folders.repo_prefix();
        let to = args.to.strip_prefix(&repo).unwrap_or(&args.to);
        let promotions = promotions(&packages, to)?;
        if args.moves { publisher.relocate(&promotions, run).await } else { publisher.promote(&promotions, run).await }
    };
    let asked = Asked::by(context, opened, &args.rules.because);
    let report = Box::pin(asked.operate(&args.beforehand, promote)).await?;
    context.output.data(&report, summary)?;
    Ok(DONE)
}

/// Where each package goes. No two go to one path.
fn promotions(packages: &[Meant], to: &str) -> Result<Vec<Promotion>> {
    let doing = || format!("promoting to {to:?}");
    if let ([package], false) = (packages, is_folder(to)) {
        return Ok(vec![Promotion { from: package.path(), to: to.to_owned() }]);
    }
    if !is_folder(to) {
        return Err(Error::new(ErrorKind::Config, doing())
            .because(format!("{} packages are meant, and that is the path of one", packages.len()))
            .hint("nothing was changed; name a folder, with a slash at its end"));
    }
    let folder = RepositoryDir::new(if to == "." { "" } else { to });
    let mut taken: BTreeMap<String, String> = BTreeMap::new();
    let mut all = Vec::with_capacity(packages.len());
    for package in packages {
        let (from, to) = (package.path(), folder.path_of(&package.within));
        if let Some(other) = taken.insert(to.clone(), from.clone()) {
            return Err(Error::new(ErrorKind::Conflict, doing())
                .because(format!("both {other} and {from} would become {to}"))
                .hint(
                    "nothing was changed; name the folder above them (dev/), which keeps what lies below it in place",
                ));
        }
        if from != to {
            all.push(Promotion { from, to });
        }
    }
    Ok(all)
}

/// Whether a target is a folder: no package has such a name.
fn is_folder(to: &str) -> bool {
    to.ends_with('/') || !to.to_ascii_lowercase().ends_with(".rpm")
}

#[cfg(test)]
mod tests {
    use rpmmd::checksum::Sha256;
    use rpmmd::evr::Evr;
    use rpmmd::nevra::Nevra;

    use super::*;

    fn package(href: &str, within: &str) -> Meant {
        let evr = Evr { epoch: 0, version: "1".to_owned(), release: "1".to_owned() };
        let nevra = Nevra { name: "a".to_owned(), evr, arch: "noarch".to_owned() };
        let (repository, pkgid) = (RepositoryDir::new("dev"), Sha256::of(href.as_bytes()));
        Meant { repository, href: href.to_owned(), nevra, pkgid, within: within.to_owned() }
    }

    #[test]
    fn a_folder_keeps_names_and_places_and_a_path_is_for_one_package() {
        let (a, b) = (package("x/a.rpm", "x/a.rpm"), package("y/b.rpm", "b.rpm"));
        let to = |packages: &[Meant], to: &str| {
            promotions(packages, to).map(|all| all.into_iter().map(|one| one.to).collect::<Vec<_>>())
        };
        let both = [a.clone(), b];
        assert_eq!(to(&both, "prod/").unwrap(), ["prod/x/a.rpm", "prod/b.rpm"]);
        assert_eq!(to(&both, "prod").unwrap(), ["prod/x/a.rpm", "prod/b.rpm"]);
        assert_eq!(to(&both, "/").unwrap(), ["x/a.rpm", "b.rpm"]);
        assert_eq!(to(&both[..1], "prod/z.rpm").unwrap(), ["prod/z.rpm"]);
        assert_eq!(to(&both[..1], "dev/").unwrap(), [""; 0], "it is there");
        assert_eq!(to(&both, "prod/z.rpm").unwrap_err().kind(), ErrorKind::Config);
        let twins = [package("x/a.rpm", "a.rpm"), package("y/a.rpm", "a.rpm")];
        assert!(to(&twins, "prod/").unwrap_err().chain().contains("dev/x/a.rpm and dev/y/a.rpm"));
    }
}
