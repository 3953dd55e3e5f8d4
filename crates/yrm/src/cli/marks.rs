//! `yrm package hold`, `unhold`, `block` and `unblock`: what is put on packages, so that they stay, or do not come back.

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::beforehand::{Asked, Beforehand};
use super::context::{Context, DONE, Opened, Purpose, bucket_of};
use super::output::{Width, fitted, time};
use super::summary::summary;
use super::which::{Rules, Which, opened_to_change};
use crate::bucket::blocks::Blocks;
use crate::bucket::meant;
use crate::bucket::naming::{PackageGlob, bare};
use crate::bucket::{Bucket, contents, generations};
use crate::error::{Error, ErrorKind, Result};
use crate::publish::Publisher;
use crate::publish::operations::block::Blocking;
use crate::store::key::is_plain_path;

/// What `package hold` and `unhold` take.
#[derive(Debug, Args)]
pub(super) struct HoldArgs {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    beforehand: Beforehand,
    #[command(flatten)]
    pub(super) rules: Rules,
}

/// What `package block` and `unblock` take.
#[derive(Debug, Args)]
pub(super) struct BlockArgs {
    /// Names, NEVRAs and paths below `repo/`, with * and ? for what may be anything; or SHA-256 digests
    #[arg(value_name = "PATTERN")]
    patterns: Vec<String>,
    /// Only in this folder below `repo/`; may be given several times
    #[arg(long = "in", value_name = "DIR")]
    folders: Vec<String>,
    #[command(flatten)]
    beforehand: Beforehand,
    #[command(flatten)]
    pub(super) rules: Rules,
}

/// Something that is blocked.
#[derive(Debug, Serialize)]
struct BlockedPattern {
    /// A name, NEVRA or path below `repo/`, with * and ? for what may be anything; or a SHA-256.
    pattern: String,
    /// Only in this folder below `repo/`; `null` everywhere.
    folder: Option<String>,
    /// Since when.
    since: Timestamp,
    /// By whom; `null` where nobody knows.
    by: Option<String>,
    /// Why, if that was said.
    reason: Option<String>,
}

pub(super) async fn hold(args: &HoldArgs, opened: &Opened, context: &Context, holds: bool) -> Result<u8> {
    let texts = args.which.texts().await?;
    let asked = Asked::by(context, opened, &args.rules.because);
    let operation = async |publisher: &Publisher, run| {
        let packages = meant::packages(publisher.bucket(), &args.which.folders, &texts).await?;
        if holds { publisher.hold(&packages, run).await } else { publisher.unhold(&packages, run).await }
    };
    let report = Box::pin(asked.operate(&args.beforehand, operation)).await?;
    context.output.data(&report, summary)?;
    Ok(DONE)
}

/// Without patterns: what is blocked.
pub(super) async fn block(args: &BlockArgs, context: &Context) -> Result<u8> {
    if args.patterns.is_empty() {
        return list(&bucket_of(&context.open(Purpose::Looking).await?)?, context).await;
    }
    change(args, context, true).await
}

pub(super) async fn unblock(args: &BlockArgs, context: &Context) -> Result<u8> {
    if args.patterns.is_empty() {
        return Err(Error::new(ErrorKind::Config, "unblocking packages")
            .because("no pattern was given")
            .hint("`yrm package block` without arguments lists what is blocked"));
    }
    change(args, context, false).await
}

async fn change(args: &BlockArgs, context: &Context, blocks: bool) -> Result<u8> {
    let opened = opened_to_change(context).await?;
    let asked = Asked::by(context, &opened, &args.rules.because);
    let operation = async |publisher: &Publisher, run| {
        let mut wanted = wanted(publisher.bucket(), &args.patterns, &args.folders)?;
        if blocks {
            learn_sizes(publisher.bucket(), &mut wanted).await?;
            return publisher.block(&wanted, run).await;
        }
        publisher.unblock(&wanted, run).await
    };
    let report = Box::pin(asked.operate(&args.beforehand, operation)).await?;
    context.output.data(&report, summary)?;
    Ok(DONE)
}

/// What was typed, as it is kept.
fn wanted(bucket: &Bucket, patterns: &[String], folders: &[String]) -> Result<Vec<Blocking>> {
    let bare = |text: &str| bare(&bucket.policy.folders, text).to_owned();
    let folder = |text: &String| {
        let folder = bare(&format!("{}/", text.trim_end_matches('/'))).trim_end_matches('/').to_owned();
        let is_root = folder.is_empty() || folder == ".";
        if !is_root && !is_plain_path(&folder) {
            return Err(Error::new(ErrorKind::Config, format!("reading the folder {text:?}")).because("it is no path"));
        }
        Ok((!is_root).then_some(folder))
    };
    let mut places = folders.iter().map(folder).collect::<Result<Vec<_>>>()?;
    if places.is_empty() {
        places.push(None);
    }
    let mut wanted = Vec::new();
    for text in patterns {
        let pattern = bare(text);
        PackageGlob::new(&pattern)?;
        for folder in &places {
            wanted.push(match pattern.strip_suffix('/') {
                Some(all) => Blocking { pattern: "*".to_owned(), folder: Some(all.to_owned()), size_bytes: None },
                None => Blocking { pattern: pattern.clone(), folder: folder.clone(), size_bytes: None },
            });
        }
    }
    Ok(wanted)
}

/// Looks how long the files are that are blocked by their digests: then others need not be read to tell.
async fn learn_sizes(bucket: &Bucket, wanted: &mut [Blocking]) -> Result<()> {
    let is_digest = |one: &Blocking| one.pattern.parse::<rpmmd::checksum::Sha256>().is_ok();
    if !wanted.iter().any(is_digest) {
        return Ok(());
    }
    for repository in generations::there(bucket).await? {
        let Some(now) = contents::current(bucket, &repository).await? else { continue };
        for one in wanted.iter_mut().filter(|one| is_digest(one)) {
            let shown = now.packages.iter().find(|shown| shown.pkgid.to_string() == one.pattern);
            one.size_bytes = one.size_bytes.or(shown.map(|shown| shown.size_bytes));
        }
    }
    Ok(())
}

async fn list(bucket: &Bucket, context: &Context) -> Result<u8> {
    let blocks = Blocks::of(bucket).await?.blocks.into_iter();
    let rows: Vec<BlockedPattern> = blocks
        .map(|block| BlockedPattern {
            pattern: block.pattern,
            folder: block.folder,
            since: block.since,
            by: block.by,
            reason: block.reason,
        })
        .collect();
    context.output.data(&rows, |rows| listed(rows, context.output.width()))?;
    Ok(DONE)
}

fn listed(rows: &[BlockedPattern], width: Width) -> String {
    if rows.is_empty() {
        return "nothing is blocked\n".to_owned();
    }
    let row = |row: &BlockedPattern| {
        [
            row.pattern.clone(),
            row.folder.clone().unwrap_or_else(|| "everywhere".to_owned()),
            time(row.since),
            row.by.clone().unwrap_or_default(),
            row.reason.clone().unwrap_or_default(),
        ]
    };
    fitted(width, ["pattern", "folder", "since", "by", "reason"], rows.iter().map(row))
}

/// Those of these packages that were not taken out before, to be purged: a purge that was interrupted is ended with the
/// same words.
pub(super) async fn not_purged(bucket: &Bucket, texts: &[String]) -> Result<Vec<String>> {
    let blocks = Blocks::of(bucket).await?;
    let mut all = Vec::with_capacity(texts.len());
    for text in texts {
        let glob = PackageGlob::new(bare(&bucket.policy.folders, text))?;
        let was = blocks.purges.iter().any(|purge| {
            let path = purge.repository.path_of(&purge.href);
            purge.done.is_none() && (glob.fits(&purge.nevra, &path) || glob.fits(&purge.nevra, &purge.href))
        });
        if !was || meant::packages(bucket, &[], std::slice::from_ref(text)).await.is_ok() {
            all.push(text.clone());
        }
    }
    Ok(all)
}
