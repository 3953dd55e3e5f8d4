//! `yrm check`: does the bucket hold everything that repomd.xml names? Changes nothing.

use clap::Args;

use super::context::{Context, DONE, Purpose, bucket_of, signer};
use super::flags::{Flags, ForRepositories, ForSigning};
use super::output::{Width, fitted, safe};
use crate::check::{Depth, Findings, Why, check as look};
use crate::error::{ErrorKind, Result};

/// Files that no metadata names and that are listed for people.
const ORPHANS_TOLD: usize = 20;

/// What `check` takes.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    pub(super) repositories: Flags<ForRepositories>,
    #[command(flatten)]
    pub(super) signing: Flags<ForSigning>,
    /// Read every package and compare its SHA-256
    #[arg(long)]
    deep: bool,
}

/// Exit code 6 when a client could trip over something.
pub(super) async fn check(args: &CheckArgs, context: &Context) -> Result<u8> {
    let opened = context.open(Purpose::Looking).await?;
    let bucket = bucket_of(&opened)?.with_signer(signer(&opened.config).await?);
    let depth = if args.deep { Depth::Deep } else { Depth::Shallow };
    let findings = look(&bucket, depth).await?;
    context.output.data(&findings, |findings| human(findings, context.output.width()))?;
    Ok(if findings.clean() { DONE } else { ErrorKind::Corrupt.exit_code() })
}

fn human(findings: &Findings, width: Width) -> String {
    if findings.repositories.is_empty() {
        return "there is no repository yet\n".to_owned();
    }
    let row = |found: &crate::check::RepositoryFindings| {
        let state = match found.problems.len() {
            0 => "clean".to_owned(),
            1 => "1 problem".to_owned(),
            count => format!("{count} problems"),
        };
        let revision = found.revision.map_or_else(|| "unknown".to_owned(), |revision| revision.to_string());
        [found.repository.to_string(), revision, found.packages.to_string(), found.hashed.to_string(), state]
    };
    let head = ["repository", "revision", "packages", "hashed", "state"];
    let mut lines = vec![fitted(width, head, findings.repositories.iter().map(row))];
    for found in &findings.repositories {
        let folder = &found.repository;
        // A key in a problem may hold line ends.
        lines.extend(found.problems.iter().map(|problem| format!("{folder}: problem: {}\n", safe(problem))));
        let (waiting, others): (Vec<_>, Vec<_>) =
            found.orphans.iter().partition(|orphan| orphan.why == Why::EarlierRevision);
        let told = others
            .iter()
            .take(ORPHANS_TOLD)
            .map(|orphan| format!("{folder}: no metadata names {}: {}\n", safe(&orphan.path), orphan.why.in_words()));
        lines.extend(told);
        if let Some(more @ 1..) = others.len().checked_sub(ORPHANS_TOLD) {
            lines.push(format!("{folder}: and {more} more files that no metadata names; --output json names all\n"));
        }
        if !others.is_empty() {
            lines.push(format!(
                "{folder}: `yrm repo adopt-file PATH` publishes one, `yrm repo drop-file PATH` gives it up\n"
            ));
        }
        if !waiting.is_empty() {
            let count = waiting.len();
            lines.push(format!("{folder}: {count} files that only earlier revisions name wait for the clean-up\n"));
        }
        lines.extend(found.notes.iter().map(|note| format!("{folder}: note: {}\n", safe(note))));
    }
    lines.concat()
}
