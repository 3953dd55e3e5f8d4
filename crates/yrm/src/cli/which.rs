//! Which packages an operator means, as it was typed, and the flags that all verbs share which change something.

use std::io::{self, Read as _};

use clap::Args;

use super::context::{Context, Opened, Purpose};
use super::flags::{Because, Flags, ForPublish, ForRepositories, ForSigning};
use crate::error::{Error, ErrorKind, Result};
use crate::secrets;

/// Which packages, as people name them.
#[derive(Debug, Args)]
pub(super) struct Which {
    /// Paths below `repo/`, folders with a slash at the end, names, NEVRAs and SHA-256 digests, with * and ? for what may be
    /// anything; - reads them from stdin, one a line
    #[arg(required = true, value_name = "PACKAGE")]
    packages: Vec<String>,
    /// The folder below `repo/` in which they are, or / for the root repository; may be given several times
    #[arg(long = "in", value_name = "DIR")]
    pub(super) folders: Vec<String>,
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

impl Which {
    /// What was typed, with the lines of stdin where that was asked for. Read once: a dry run may come before the real one.
    pub(super) async fn texts(&self) -> Result<Vec<String>> {
        let mut texts: Vec<String> = self.packages.iter().filter(|text| *text != STDIN).cloned().collect();
        if texts.len() < self.packages.len() {
            texts.extend(lines_of_stdin().await?);
        }
        if texts.is_empty() {
            return Err(
                Error::new(ErrorKind::Config, "reading the packages from stdin").because("there is no line in it")
            );
        }
        Ok(texts)
    }
}

/// What stands for the lines of stdin.
const STDIN: &str = "-";
/// More than this is no list of packages.
const MAX_STDIN_BYTES: u64 = 64 << 20;

async fn lines_of_stdin() -> Result<Vec<String>> {
    let failed = |source: &dyn std::fmt::Display| {
        Error::new(ErrorKind::Unavailable, "reading the packages from stdin").because(source.to_string())
    };
    let read = tokio::task::spawn_blocking(|| {
        let mut text = String::new();
        io::stdin().lock().take(MAX_STDIN_BYTES).read_to_string(&mut text).map(|_| text)
    });
    let text = read.await.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

/// The bucket, open for an operation, and what keeps secrets asked for them.
pub(super) async fn opened_to_change(context: &Context) -> Result<Opened> {
    let mut opened = context.open(Purpose::Changing).await?;
    secrets::fetch_all(&mut opened.config).await?;
    Ok(opened)
}
