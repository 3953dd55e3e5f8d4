//! `yrm demo`: a bucket in a local directory, sample packages uploaded into its inbox, one run,
//! and the service, so that dnf can install from it. Reads no configuration and touches nothing
//! but its directory.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;

use super::context::{Context, DONE, Opened, open, publisher};
use super::progress::Bars;
use super::serve::run_service;
use super::summary::summary;
use crate::config::settings::setting;
use crate::config::{Config, Low, Typed};
use crate::error::{Error, ErrorKind, Result};
use crate::http;
use crate::serve::{self, Current, Outside};
use crate::telemetry::{self, Logging};

/// What `demo` takes.
#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// The directory to make the bucket in
    #[arg(long, value_name = "DIR", default_value = "./yrm-demo")]
    dir: PathBuf,
    /// The address and port for HTTP
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:5000")]
    listen: SocketAddr,
    /// Publish, then stop
    #[arg(long)]
    once: bool,
}

macro_rules! sample {
    ($path:literal) => {
        ($path, include_bytes!(concat!("../../demo/packages/", $path)))
    };
}

/// The sample packages, built by `demo/build`, and where they are uploaded to: a dependency between
/// two of them, two versions of one, a `+` in a name and a `~` in a version.
const SAMPLES: [(&str, &[u8]); 4] = [
    sample!("libs/greeter-lib-1.0-1.noarch.rpm"),
    sample!("libs/libgreet++-2.0~rc1-1.noarch.rpm"),
    sample!("tools/greeter-1.0-1.noarch.rpm"),
    sample!("tools/greeter-1.1-1.noarch.rpm"),
];

pub(super) async fn demo(args: &DemoArgs, context: &Context) -> Result<u8> {
    let config = config(args)?;
    let DemoArgs { dir, .. } = args;
    // Before anything is made: nobody wants half a demo.
    let listener = if args.once { None } else { Some(http::bind(config.service.listen)?) };
    drop_samples(dir)?;
    let inbox = dir.join("inbox");
    context.output.say(&format!("Uploaded {} sample packages into {}", SAMPLES.len(), inbox.display()));

    let store = open(&config).await?;
    let opened = Opened { config, store };
    let publisher = publisher(&opened).await?;
    let config = &opened.config;
    let bars = Bars::new(context.output);
    let outcome =
        serve::pass(&Outside::default(), async |run| publisher.run(run, &bars).await, serve::left_nothing_undone).await;
    bars.finish();
    let report = outcome?;
    context.output.data(&report, summary)?;
    if !report.errors.is_empty() || !report.rejected.is_empty() {
        return Err(Error::new(ErrorKind::Internal, "publishing the sample packages")
            .hint(format!("remove {} and try again", dir.display())));
    }
    let current = Current::new(publisher);
    let Some(listener) = listener else {
        let repo = dir.canonicalize().unwrap_or_else(|_| dir.clone()).join("repo");
        context.output.say(&install(&format!("file://{}", repo.display())));
        return Ok(DONE);
    };
    telemetry::start(&Logging {
        verbosity: context.verbosity,
        filter: context.log_filter.as_deref(),
        format: config.service.log_format,
        file: None,
    })?;
    Box::pin(run_service(config, (&current, context), listener, async |listen| {
        context.output.say(&install(&format!("http://{listen}/repo")));
        context.output.say(&format!(
            "\nCopy packages of your own into {}: yrm publishes each within {} seconds, or moves it to {} with \
             the reason.\nHistory: http://{listen}/history\nCtrl-C stops the service; {} stays.",
            inbox.display(),
            config.service.interval.as_secs(),
            dir.join("quarantine").display(),
            dir.display(),
        ));
        Ok(())
    }))
    .await?;
    Ok(DONE)
}

/// Everything by default, in that directory.
fn config(args: &DemoArgs) -> Result<Config> {
    // A plain name would be a bucket in S3.
    let is_plain = args.dir.is_relative() && !args.dir.starts_with(".") && !args.dir.starts_with("..");
    let bucket = if is_plain { Path::new(".").join(&args.dir) } else { args.dir.clone() };
    let given =
        [("bucket", bucket.display().to_string()), ("listen", args.listen.to_string()), ("time-interval", "5".into())];
    let flags = given.into_iter().map(|(name, text)| (setting(name).expect("it is in the table"), text)).collect();
    let (config, _warnings) = Config::of(&Low::gather(&Typed { file: None, environment: Vec::new(), flags }))?;
    Ok(config)
}

/// Puts the samples into the inbox, as an uploader would: written under another name first.
fn drop_samples(dir: &Path) -> Result<()> {
    let inbox = dir.join("inbox");
    let is_ours = inbox.is_dir() || fs::read_dir(dir).map_or(true, |mut entries| entries.next().is_none());
    if !is_ours {
        return Err(Error::new(ErrorKind::Config, format!("making a bucket in {}", dir.display()))
            .because("something else is there")
            .hint("choose another directory with --dir"));
    }
    for (path, bytes) in SAMPLES {
        let path = inbox.join(path);
        let draft = path.with_extension("part");
        let written = fs::create_dir_all(path.parent().unwrap_or(&inbox))
            .and_then(|()| fs::write(&draft, bytes))
            .and_then(|()| fs::rename(&draft, &path));
        written.map_err(|error| {
            Error::new(ErrorKind::Config, format!("writing {}", path.display()))
                .because(error)
                .hint("choose another directory with --dir")
        })?;
    }
    Ok(())
}

/// What to type to install from `repo`.
fn install(repo: &str) -> String {
    let sudo = if rustix::process::geteuid().is_root() { "" } else { "sudo " };
    let root = std::env::temp_dir().join("yrm-demo-root");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let has_dnf = std::env::split_paths(&path).any(|folder| folder.join("dnf").is_file());
    let lacks = if has_dnf { "" } else { "\n(There is no dnf on this machine; on Debian: apt-get install dnf)" };
    format!(
        "\nInstall from it, into a root of its own:\n\n  {sudo}dnf -y --repofrompath=yrm-demo,{repo} --repo=yrm-demo \
         --setopt=yrm-demo.gpgcheck=0 --installroot={} --releasever=1 install greeter\n{lacks}",
        root.display()
    )
}
