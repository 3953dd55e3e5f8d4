//! `yrm publish`: uploads packages into the inbox and, with `--wait`, waits for the answers.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tokio::time::Instant;

use super::context::{Context, DONE, Purpose, REJECTED, bucket_of};
use super::output::table;
use super::summary::remark;
use crate::bucket::Bucket;
use crate::bucket::receipt::{self, Receipt};
use crate::config::{Config, Policy, parse};
use crate::error::{Error, ErrorKind, Result};
use crate::publish::inspect::preview::{Preview, preview};
use crate::store::ETag;
use crate::store::key::{Key, MAX_KEY_BYTES, RepositoryDir, is_publishable_path};
use crate::store::memory::MemoryStore;

/// Between two looks at the receipts: at first, and at most.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// What `publish` takes.
#[derive(Debug, Args)]
pub(super) struct PublishArgs {
    /// RPM files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The folder below the inbox, and later below the repo folder
    #[arg(long, value_name = "DIR", default_value = "", hide_default_value = true)]
    to: String,
    /// Wait until each file is published or rejected; exit code 7 when one is
    /// rejected
    #[arg(long)]
    wait: bool,
    /// With --wait: the longest time to wait
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration)]
    timeout: Duration,
    /// Only read the files and show what would be put where; exit code 7 when one
    /// would be rejected
    #[arg(long)]
    dry_run: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    parse::duration(text).map_err(|complaint| complaint.message)
}

/// What became of one file.
#[derive(Debug, Serialize)]
struct Delivery {
    /// The file, as it was typed.
    file: PathBuf,
    /// Where it is uploaded to.
    inbox_key: String,
    /// What became of it.
    state: State,
    /// The upload's ETag; left out when nothing was uploaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<ETag>,
    /// `published` or `rejected`, with the details; left out when there is no answer yet.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    receipt: Option<Receipt>,
    /// With --dry-run, where it would be published, as far as the file itself tells.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    place: Option<Place>,
    /// With --dry-run, why it would be rejected.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    objection: Option<Objection>,
    /// Below the inbox.
    #[serde(skip)]
    path: String,
}

/// Where a file would be published.
#[derive(Debug, Serialize)]
struct Place {
    /// The repository's folder below `repo/`; `/` is the root repository.
    repository: RepositoryDir,
    /// Its path in the repository.
    href: String,
    /// Name, EVR and architecture.
    nevra: String,
}

/// Why a file would be rejected.
#[derive(Debug, Serialize)]
struct Objection {
    /// The reason code.
    code: String,
    /// What is wrong.
    message: String,
    /// What to do about it.
    hint: String,
}

/// Judges the files without a bucket: nothing is asked of one.
fn look_ahead(config: &Config, deliveries: &mut [Delivery]) -> Result<()> {
    // Names are for their folders or not; whose signatures count is told by keys that may be the publisher's alone.
    let trust = config.policy.trust.without_keys();
    let bucket = Bucket::new(Arc::new(MemoryStore::new()), Policy { trust, ..config.policy.clone() })?;
    for delivery in deliveries {
        match preview(&bucket, &delivery.file, &delivery.path)? {
            Ok(Preview { repository, href, nevra }) => {
                delivery.place = Some(Place { repository, href, nevra: nevra.to_string() });
            }
            Err((reason, message)) => {
                let (code, hint) = (reason.code().to_owned(), reason.hint().to_owned());
                delivery.objection = Some(Objection { code, message, hint });
                delivery.state = State::WouldBeRejected;
            }
        }
    }
    Ok(())
}

/// What has become of a file by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    /// With --dry-run: it would be published, as far as the file tells.
    WouldBePublished,
    /// With --dry-run: it would be rejected.
    WouldBeRejected,
    /// It has no answer yet.
    InTheInbox,
    /// Clients can install it.
    Published,
    /// It is in quarantine.
    Rejected,
}

impl State {
    /// For people.
    fn shown(self) -> &'static str {
        match self {
            Self::WouldBePublished => "would be published",
            Self::WouldBeRejected => "would be rejected",
            Self::InTheInbox => "in the inbox",
            Self::Published => "published",
            Self::Rejected => "rejected",
        }
    }
}

/// Uploads, then waits if asked to.
pub(super) async fn publish(args: &PublishArgs, context: &Context) -> Result<u8> {
    if args.dry_run {
        let config = context.config()?;
        let mut deliveries = args.deliveries(&config.policy.folders)?;
        look_ahead(&config, &mut deliveries)?;
        context.output.data(&deliveries, |deliveries| rows(deliveries))?;
        let rejected = deliveries.iter().any(|delivery| delivery.state == State::WouldBeRejected);
        return Ok(if rejected { REJECTED } else { DONE });
    }
    let bucket = bucket_of(&context.open(Purpose::Looking).await?)?;
    let mut deliveries = args.deliveries(&bucket.policy.folders)?;
    for delivery in &mut deliveries {
        let attributes = Key::Inbox { path: &delivery.path }.attributes();
        let stored = bucket.store.put_file(&delivery.inbox_key, &delivery.file, &attributes).await?;
        delivery.etag = Some(stored.etag);
        delivery.state = State::InTheInbox;
        if context.output.is_watched() {
            context.output.say(&format!("uploaded {}", delivery.inbox_key));
        }
    }
    let unanswered = if args.wait { wait(&bucket, &mut deliveries, args.timeout).await? } else { 0 };
    context.output.data(&deliveries, |deliveries| rows(deliveries))?;
    if unanswered > 0 {
        let waited = args.timeout.as_secs();
        return Err(Error::new(
            ErrorKind::Unavailable,
            format!("waiting {waited} s for {unanswered} of the files to be published"),
        )
        .hint("the files are in the inbox; is `yrm serve` running on this bucket? `yrm run` does one pass"));
    }
    let rejected = deliveries.iter().any(|delivery| delivery.state == State::Rejected);
    Ok(if rejected { REJECTED } else { DONE })
}

impl PublishArgs {
    /// Where each file goes; everything that is wrong with the names is found before the first upload.
    fn deliveries(&self, folders: &crate::config::Folders) -> Result<Vec<Delivery>> {
        let mut taken = BTreeSet::new();
        let mut deliveries = Vec::with_capacity(self.files.len());
        for file in &self.files {
            let refuse = |why: &str| {
                Err(Error::new(ErrorKind::Config, format!("publishing {}", file.display())).because(why.to_owned()))
            };
            match std::fs::metadata(file) {
                Ok(meta) if !meta.is_file() => return refuse("it is not a file"),
                Ok(meta) if meta.len() == 0 => return refuse("it is empty"),
                Ok(_) => {}
                Err(error) => return refuse(&error.to_string()),
            }
            let Some(name) = file.file_name().and_then(|name| name.to_str()) else {
                return refuse("its name is not UTF-8");
            };
            let path = joined(&self.to, name);
            let inbox_key = Key::Inbox { path: &path }.path(folders);
            if !is_publishable_path(&path) || inbox_key.len() > MAX_KEY_BYTES {
                return refuse(
                    "the folder and the name make no path of at most 1024 bytes that can be published; see docs/reference/reason-codes.md",
                );
            }
            if !taken.insert(inbox_key.clone()) {
                return refuse("another of the files has the same name");
            }
            deliveries.push(Delivery {
                file: file.clone(),
                inbox_key,
                state: State::WouldBePublished,
                etag: None,
                receipt: None,
                place: None,
                objection: None,
                path,
            });
        }
        Ok(deliveries)
    }
}

fn joined(to: &str, name: &str) -> String {
    match to.trim_matches('/') {
        "" => name.to_owned(),
        folder => format!("{folder}/{name}"),
    }
}

/// Waits until every file has its answer; how many have none when the time has passed.
async fn wait(bucket: &Bucket, deliveries: &mut [Delivery], timeout: Duration) -> Result<usize> {
    let end = Instant::now() + timeout;
    let mut pause = LOOK_AGAIN.0;
    loop {
        let mut unanswered = 0;
        for delivery in deliveries.iter_mut().filter(|delivery| delivery.receipt.is_none()) {
            delivery.receipt = answer(bucket, delivery).await?;
            delivery.state = match &delivery.receipt {
                Some(Receipt::Published(_)) => State::Published,
                Some(Receipt::Rejected(_)) => State::Rejected,
                None => delivery.state,
            };
            unanswered += usize::from(delivery.receipt.is_none());
        }
        let now = Instant::now();
        if unanswered == 0 || now >= end {
            return Ok(unanswered);
        }
        tokio::time::sleep(pause.min(end - now)).await;
        pause = (pause * 2).min(LOOK_AGAIN.1);
    }
}

/// The answer to this upload. The same bytes at the same path may have an answer from long ago,
/// so one counts only once the upload has left the inbox.
async fn answer(bucket: &Bucket, delivery: &Delivery) -> Result<Option<Receipt>> {
    let Some(etag) = &delivery.etag else { return Ok(None) };
    let there = bucket.store.head(&delivery.inbox_key).await?;
    if there.is_some_and(|object| object.etag == *etag) {
        return Ok(None);
    }
    receipt::read(bucket, &delivery.path, etag).await
}

fn rows(deliveries: &[Delivery]) -> String {
    let row = |delivery: &Delivery| {
        let problem = |code: &str, message: &str, hint: &str| format!("{code}: {message} ({hint})");
        let detail = match (&delivery.receipt, &delivery.place, &delivery.objection) {
            (Some(Receipt::Published(package)), ..) => {
                let remarks = package.remarks.iter().map(remark);
                std::iter::once(package.nevra.clone()).chain(remarks).collect::<Vec<_>>().join("; ")
            }
            (Some(Receipt::Rejected(file)), ..) => problem(&file.code, &file.message, &file.hint),
            (None, Some(Place { repository, href, nevra }), _) => format!("{nevra} at {}", repository.path_of(href)),
            (None, None, Some(Objection { code, message, hint })) => problem(code, message, hint),
            (None, None, None) => String::new(),
        };
        let state = delivery.state.shown().to_owned();
        [Path::display(&delivery.file).to_string(), delivery.inbox_key.clone(), state, detail]
    };
    table(["file", "inbox key", "state", ""], deliveries.iter().map(row))
}
