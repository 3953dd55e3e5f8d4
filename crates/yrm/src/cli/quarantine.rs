//! `yrm quarantine`: the rejected files and why, and what an operator does with them.

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Serialize;

use super::context::{Context, DONE, Purpose, bucket_of};
use super::flags::Because;
use super::output::{Width, table, time, with_ids};
use crate::bucket::Bucket;
use crate::bucket::quarantine::{self, Kept};
use crate::bucket::report::{Operation, Rejected, Report};
use crate::error::Result;
use crate::publish::operations::release;
use crate::publish::{RunId, history};
use crate::serve::new_run;
use crate::store::key::QUARANTINE_PREFIX;
use crate::who::Who;

/// What can be done with rejected files.
#[derive(Debug, Subcommand)]
pub(super) enum QuarantineVerb {
    /// Show the files in quarantine, and why they were rejected
    List(ListArgs),
    /// Show all details of one file
    Show(ShowArgs),
    /// Move files back into the inbox; the next run checks them again
    Release(ChangeArgs),
    /// Delete files and their records
    Drop(ChangeArgs),
}

/// What `quarantine list` takes.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Only those with this reason code
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
}

/// What `quarantine show` takes.
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The file's path, key or id, as `yrm quarantine list` shows them
    #[arg(value_name = "FILE")]
    file: String,
}

/// What `quarantine release` and `quarantine drop` take.
#[derive(Debug, Args)]
pub(super) struct ChangeArgs {
    /// The files' paths, keys or ids, as `yrm quarantine list` shows them
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
    /// Only show what would be done
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    because: Because,
}

/// One rejected file.
#[derive(Debug, Serialize)]
struct QuarantinedFile {
    /// Where it is.
    quarantine_key: String,
    /// Its id, which ends the key.
    id: String,
    /// `false` when only its record is left.
    file_is_there: bool,
    /// Its size; `null` when the file is gone.
    size_bytes: Option<u64>,
    /// When it was rejected.
    rejected_at: Option<Timestamp>,
    /// Why it was rejected; left out when the record is missing or cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<Rejected>,
}

impl From<&Kept> for QuarantinedFile {
    fn from(kept: &Kept) -> Self {
        Self {
            quarantine_key: kept.key.clone(),
            id: kept.id().to_owned(),
            file_is_there: kept.file.is_some(),
            size_bytes: kept.file.as_ref().map(|file| file.size_bytes),
            rejected_at: kept.since(),
            record: kept.record.clone(),
        }
    }
}

/// What was done with one file, or would be.
#[derive(Debug, Serialize)]
struct Change {
    /// Where it was.
    quarantine_key: String,
    /// `released`, `deleted`, or what would be.
    state: &'static str,
    /// Where it is now, or would be.
    #[serde(skip_serializing_if = "Option::is_none")]
    inbox_key: Option<String>,
}

/// Does what was asked.
pub(super) async fn execute(verb: &QuarantineVerb, context: &Context) -> Result<u8> {
    let opened = context.open(Purpose::Looking).await?;
    let bucket = bucket_of(&opened)?;
    let kept = quarantine::list(&bucket).await?;
    match verb {
        QuarantineVerb::List(args) => {
            let kept = quarantine::with_records(&bucket, kept).await?;
            let mut rows: Vec<QuarantinedFile> = kept.iter().map(QuarantinedFile::from).collect();
            let code = |row: &QuarantinedFile| row.record.as_ref().map(|record| record.code.clone());
            rows.retain(|row| args.code.is_none() || code(row) == args.code);
            context.output.data(&rows, |rows| listed(rows, context.output.width()))?;
        }
        QuarantineVerb::Show(args) => {
            let kept = quarantine::with_records(&bucket, vec![quarantine::find(&kept, &args.file)?]).await?;
            let row = kept.first().map(QuarantinedFile::from).expect("one was found");
            context.output.data(&row, shown)?;
        }
        QuarantineVerb::Release(args) => {
            let files = quarantine::with_records(&bucket, found(&kept, args)?).await?;
            let changes = release(&bucket, &files, args.dry_run).await;
            let who = context.who(&opened.config, args.because.reason());
            record(&bucket, &who, Operation::Release, &changes.0, args.dry_run).await?;
            say(context, changes)?;
        }
        QuarantineVerb::Drop(args) => {
            let changes = drop_all(&bucket, &found(&kept, args)?, args.dry_run).await;
            let who = context.who(&opened.config, args.because.reason());
            record(&bucket, &who, Operation::Drop, &changes.0, args.dry_run).await?;
            say(context, changes)?;
        }
    }
    Ok(DONE)
}

/// What was done stands in the history, also where not all could be done.
async fn record(bucket: &Bucket, who: &Who, operation: Operation, changes: &[Change], dry_run: bool) -> Result<()> {
    if dry_run || changes.is_empty() {
        return Ok(());
    }
    let RunId { id, started } = new_run();
    let mut report = Report::new(id, started).of(operation);
    for change in changes {
        match &change.inbox_key {
            Some(key) => report.released.push(key.clone()),
            None => report.deleted.push(change.quarantine_key.clone()),
        }
    }
    history::keep(bucket, &mut report, who).await
}

/// Every name is known before anything is changed.
fn found(kept: &[Kept], args: &ChangeArgs) -> Result<Vec<Kept>> {
    args.files.iter().map(|file| quarantine::find(kept, file)).collect()
}

/// What was done before the first that could not be.
type Changes = (Vec<Change>, Result<()>);

/// What was done is told also where something could not be done.
fn say(context: &Context, (changes, outcome): Changes) -> Result<()> {
    if outcome.is_ok() || !changes.is_empty() {
        context.output.data(&changes, |changes| done(changes))?;
    }
    outcome
}

async fn release(bucket: &Bucket, files: &[Kept], dry_run: bool) -> Changes {
    let (moved, outcome) = if dry_run {
        let keys: Result<Vec<String>> = files.iter().map(|kept| quarantine::origin(bucket, kept)).collect();
        keys.map_or_else(|error| (Vec::new(), Err(error)), |keys| (keys, Ok(())))
    } else {
        release::release(bucket, files, Timestamp::now()).await
    };
    let state = if dry_run { "would be released" } else { "released" };
    let changes = files.iter().zip(moved);
    let changes =
        changes.map(|(kept, key)| Change { quarantine_key: kept.key.clone(), state, inbox_key: Some(key) }).collect();
    (changes, outcome)
}

async fn drop_all(bucket: &Bucket, files: &[Kept], dry_run: bool) -> Changes {
    let mut changes = Vec::new();
    for kept in files {
        let state = if dry_run { "would be deleted" } else { "deleted" };
        if !dry_run && let Err(error) = release::forget(bucket, kept).await {
            return (changes, Err(error));
        }
        changes.push(Change { quarantine_key: kept.key.clone(), state, inbox_key: None });
    }
    (changes, Ok(()))
}

fn listed(rows: &[QuarantinedFile], width: Width) -> String {
    if rows.is_empty() {
        return "nothing is in quarantine\n".to_owned();
    }
    let row = |row: &QuarantinedFile| {
        let of = |what: fn(&Rejected) -> &String| row.record.as_ref().map(what).cloned().unwrap_or_default();
        // A file is known by its path as well as by its id.
        let path = row.quarantine_key.strip_prefix(QUARANTINE_PREFIX).unwrap_or(&row.quarantine_key);
        [
            of(|record| &record.code),
            path.strip_suffix(&format!(".{}", row.id)).unwrap_or(path).to_owned(),
            of(|record| &record.message),
            row.rejected_at.map_or_else(|| "the file is gone".to_owned(), time),
            row.id.clone(),
        ]
    };
    with_ids(width, ["code", "file", "why", "rejected", "id"], rows.iter().map(row))
}

fn shown(row: &QuarantinedFile) -> String {
    let mut lines = vec![
        ["file".to_owned(), row.quarantine_key.clone()],
        ["id".to_owned(), row.id.clone()],
        ["bytes".to_owned(), row.size_bytes.map_or_else(|| "the file is gone".to_owned(), |bytes| bytes.to_string())],
        ["rejected".to_owned(), row.rejected_at.map(time).unwrap_or_default()],
    ];
    match &row.record {
        None => lines.push(["record".to_owned(), "there is none that can be read".to_owned()]),
        Some(record) => lines.extend([
            ["code".to_owned(), record.code.clone()],
            ["why".to_owned(), record.message.clone()],
            ["what to do".to_owned(), record.hint.clone()],
            ["came from".to_owned(), record.inbox_key.clone()],
            ["uploaded".to_owned(), time(record.first_seen)],
            ["ETag".to_owned(), record.etag.clone()],
            ["SHA-256".to_owned(), record.sha256.clone().unwrap_or_else(|| "not known".to_owned())],
        ]),
    }
    table(["", ""], lines)
}

fn done(changes: &[Change]) -> String {
    let row = |change: &Change| {
        [change.quarantine_key.clone(), change.state.to_owned(), change.inbox_key.clone().unwrap_or_default()]
    };
    table(["file", "", "inbox key"], changes.iter().map(row))
}
