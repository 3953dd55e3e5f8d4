//! `yrm index`: metadata for the packages in a local directory, in place of createrepo_c.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;
use rpmmd::compress::Compression;
use serde_json::json;

use super::context::{Context, DONE};
use super::output::safe;
use crate::error::{Error, ErrorKind, Result};
use crate::index::{self, Indexed, Options, Remark};

/// What `index` takes.
#[derive(Debug, Args)]
pub(super) struct IndexArgs {
    /// The folder with the packages; they may be in folders below it
    dir: PathBuf,
    /// The compression of the metadata files: gz for every client, zstd for EL 8.4
    /// and later
    #[arg(long, value_enum, default_value_t = Method::Gz, value_name = "METHOD")]
    compression: Method,
    /// The compression level: gz 1-12 [default: 6], zstd 1-19 [default: 5]
    #[arg(long, value_name = "LEVEL")]
    compression_level: Option<u8>,
    /// Where `repodata/` goes [default: the folder with the packages]
    #[arg(short, long, value_name = "OUT")]
    outputdir: Option<PathBuf>,
}

/// [`Compression`] as it is typed.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Method {
    Gz,
    Zstd,
}

/// Exit code 6 when a package had to be left out; the others are indexed then too.
pub(super) async fn index(args: IndexArgs, context: &Context) -> Result<u8> {
    let (dir, output) = (args.dir.clone(), args.outputdir.unwrap_or(args.dir));
    let bar = if context.output.is_watched() { ProgressBar::new(0) } else { ProgressBar::hidden() };
    let style = ProgressStyle::with_template("{msg:<20} {bar:32} {pos}/{len}").expect("the template is fixed");
    let bar = bar.with_style(style).with_message("reading packages");
    let (shown, place) = (bar.clone(), output.join("repodata"));
    let compression = match args.compression {
        Method::Gz => Compression::Gz,
        Method::Zstd => Compression::Zstd,
    };
    let levels = compression.levels();
    let level = args.compression_level.unwrap_or(compression.default_level());
    if !levels.contains(&level) {
        let (first, last) = levels.into_inner();
        let refused = Error::new(ErrorKind::Config, format!("compressing at level {level}"));
        return Err(refused.because(format!("{} has levels {first} to {last}", compression.extension())));
    }
    let work = move || {
        let progress = |done: usize, total: usize| {
            shown.set_length(total as u64);
            shown.set_position(done as u64);
        };
        let now = Timestamp::now();
        index::index(&dir, &Options { output: &output, compression, level, now, progress: &progress })
    };
    let indexed = tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Error::new(ErrorKind::Internal, "indexing the packages").because(error))?;
    bar.finish_and_clear();
    let indexed = indexed?;
    for (what, remarks) in [("warning", &indexed.warnings), ("left out", &indexed.skipped)] {
        for remark in remarks {
            context.output.say(&format!("{what}: {}: {}", safe(&remark.href), safe(&remark.text)));
        }
    }
    context.output.data(&as_json(&indexed), |_| {
        let Indexed { packages, changed, skipped, .. } = &indexed;
        let change = if *changed { "" } else { ", nothing changed" };
        let noun = if *packages == 1 { "package" } else { "packages" };
        format!("{packages} {noun} in {}, {} left out{change}", place.display(), skipped.len())
    })?;
    Ok(if indexed.skipped.is_empty() { DONE } else { ErrorKind::Corrupt.exit_code() })
}

fn as_json(indexed: &Indexed) -> serde_json::Value {
    let remarks = |remarks: &[Remark]| -> Vec<_> {
        remarks.iter().map(|remark| json!({"file": remark.href, "why": remark.text})).collect()
    };
    json!({
        "packages": indexed.packages,
        "changed": indexed.changed,
        "warnings": remarks(&indexed.warnings),
        "skipped": remarks(&indexed.skipped),
    })
}
