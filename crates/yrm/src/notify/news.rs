//! What a run or an operation has to tell: a pure function of its outcome and of how the runs before it ended.

use jiff::Timestamp;
use serde_json::{Value, json};
use ulid::Ulid;

use crate::bucket::bounds::shorten;
use crate::bucket::naming::path;
use crate::bucket::report::{Marked, Noticed, Operation, Published, Rejected, Report, TakenOut};
use crate::config::NotifyOn;
use crate::config::shape::Changed;
use crate::error::Error;
use crate::legible;
use crate::store::key::RepositoryDir;

/// Packages, files or errors listed in one notice; how many more there are is said. SNS takes 256 KiB.
const MOST: usize = 50;
/// Bytes of the longest notice: lists are cut until it fits.
const LONGEST: usize = 200 << 10;
/// The same for people: they read the first, and Teams takes 28 KiB.
const MOST_IN_WORDS: usize = 20;
/// Bytes of a line for people.
const LONGEST_LINE: usize = 400;

/// Packages can be installed.
pub const PUBLISHED: &str = "published";
/// Files were rejected.
pub const REJECTED: &str = "rejected";
/// Runs fail, as a whole or in part.
pub const FAILING: &str = "failing";
/// They do no longer.
pub const RECOVERED: &str = "recovered";

/// An operator took packages out.
pub const REMOVED: &str = "removed";
/// Old versions left by the prune rule.
pub const PRUNED: &str = "pruned";
/// A repository holds again what it held before.
pub const ROLLED_BACK: &str = "rolled_back";
/// Packages were put into another folder, too.
pub const PROMOTED: &str = "promoted";
/// Somebody else has changed a repository's repomd.xml.
pub const FOREIGN: &str = "foreign";
/// Packages were held, blocked or purged, or revisions tagged; or are so no more.
pub const MARKED: &str = "marked";
/// The bucket's settings changed.
pub const SETTINGS: &str = "settings";

/// Whether somebody wants to hear of `event`. Whoever hears that runs fail hears that they work again.
pub fn is_wanted(on: NotifyOn, event: &str) -> bool {
    on.has(if event == RECOVERED { FAILING } else { event })
}

/// One notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What happened.
    pub event: &'static str,
    /// When.
    pub at: Timestamp,
    /// For people, in a few words.
    pub subject: String,
    /// JSON on one line.
    pub body: String,
    /// The same for people, line by line: where, who, why, and what. What others wrote in it is legible, and not escaped
    /// for anything.
    pub lines: Vec<String>,
}

/// Which run it is about.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The bucket's URL.
    pub bucket: &'a str,
    /// The run.
    pub run: Ulid,
    /// When it started.
    pub at: Timestamp,
    /// Who did it, if it is known.
    pub by: Option<&'a str>,
    /// Why, if it is known.
    pub reason: Option<&'a str>,
}

/// A thing that a notice lists: for programs and for people.
struct Item {
    json: Value,
    line: String,
}

/// How runs have ended until now. One that fails heals by itself in the next, so some are waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    patience: u32,
    failed_in_a_row: u32,
    told: bool,
}

impl Health {
    /// All is well. That runs fail is told when `patience` more than one have in a row.
    pub fn new(patience: u32) -> Self {
        Self { patience, failed_in_a_row: 0, told: false }
    }

    /// Another run ended; what there is to tell of it.
    fn ended(&mut self, well: bool) -> Option<&'static str> {
        if well {
            self.failed_in_a_row = 0;
            return std::mem::take(&mut self.told).then_some(RECOVERED);
        }
        self.failed_in_a_row = self.failed_in_a_row.saturating_add(1);
        if self.told || self.failed_in_a_row <= self.patience {
            return None;
        }
        self.told = true;
        Some(FAILING)
    }
}

/// What there is to tell of a run or of an operation.
pub fn of(facts: Facts<'_>, outcome: Result<&Report, &Error>, health: &mut Health) -> Vec<Notice> {
    let mut notices = Vec::new();
    if let Ok(report) = outcome {
        let facts = Facts { by: report.by.as_deref(), reason: report.reason.as_deref(), ..facts };
        notices.extend(changes(facts, report));
        // Whether runs succeed is not for an operation to say.
        if report.operation != Operation::Run {
            return notices;
        }
    }
    let errors = match outcome {
        Ok(report) => report.errors.clone(),
        Err(error) => vec![error.chain()],
    };
    match health.ended(errors.is_empty()) {
        Some(RECOVERED) => notices.push(written(facts, RECOVERED, "errors", &[], 0)),
        Some(event) => notices.extend(notice(facts, event, "errors", &errors.iter().map(failed).collect::<Vec<_>>())),
        None => {}
    }
    notices
}

/// What changed.
fn changes(facts: Facts<'_>, report: &Report) -> Vec<Notice> {
    let came: Vec<Item> = report.published.iter().filter(|package| !package.already_there).map(came(report)).collect();
    let left = |list: &[TakenOut]| list.iter().map(|package| left(package, None)).collect::<Vec<_>>();
    let packages = |event, items: &[Item]| notice(facts, event, "packages", items);
    let mut notices = Vec::new();
    match report.operation {
        Operation::Remove | Operation::Delete => notices.extend(packages(REMOVED, &left(&report.removed))),
        Operation::Promote => {
            notices.extend(packages(PROMOTED, &came));
            notices.extend(packages(REMOVED, &left(&report.removed)));
        }
        Operation::Rollback | Operation::Restore => notices.push(rolled_back(facts, report)),
        Operation::Hold
        | Operation::Unhold
        | Operation::Block
        | Operation::Unblock
        | Operation::Tag
        | Operation::Untag
        | Operation::Token
        | Operation::Revoke
        | Operation::Rebuild => {}
        Operation::Settings => notices.push(settings(facts, report)),
        Operation::Run
        | Operation::Adopt
        | Operation::AdoptFile
        | Operation::DropFile
        | Operation::Prune
        | Operation::Release
        | Operation::Drop
        | Operation::Other => {
            notices.extend(packages(PUBLISHED, &came));
            let rejected: Vec<Item> = report.rejected.iter().map(rejected(report)).collect();
            notices.extend(notice(facts, REJECTED, "files", &rejected));
        }
    }
    notices.extend(packages(PRUNED, &left(&report.pruned)));
    let strange: Vec<Item> = report.noticed.iter().map(noticed).collect();
    notices.extend(notice(facts, FOREIGN, "repositories", &strange));
    notices.extend(notice(facts, MARKED, "marks", &report.marked.iter().map(marked).collect::<Vec<_>>()));
    notices
}

/// Told also where only repositories came or went.
fn settings(facts: Facts<'_>, report: &Report) -> Notice {
    let item = |one: &Changed| Item { json: json!(one), line: one.to_string() };
    let items: Vec<Item> = report.settings.iter().map(item).collect();
    notice(facts, SETTINGS, "changes", &items).unwrap_or_else(|| written(facts, SETTINGS, "changes", &[], 0))
}

/// Told also where only the order of packages changed.
fn rolled_back(facts: Facts<'_>, report: &Report) -> Notice {
    let came = report.restored.iter().map(|package| left(package, Some("restored")));
    let gone = report.removed.iter().map(|package| left(package, Some("removed")));
    let items: Vec<Item> = came.chain(gone).collect();
    notice(facts, ROLLED_BACK, "packages", &items).unwrap_or_else(|| written(facts, ROLLED_BACK, "packages", &[], 0))
}

fn came(report: &Report) -> impl Fn(&Published) -> Item {
    |package| {
        let uploader = report.uploaders.get(&package.inbox_key);
        let json = json!({
            "nevra": package.nevra, "repository": RepositoryDir::new(&package.repository), "href": package.href,
            "pkgid": package.pkgid, "size_bytes": package.size_bytes, "inbox_key": package.inbox_key,
            "uploader": uploader,
        });
        let from = uploader.map_or_else(String::new, |uploader| format!(", uploaded by {uploader}"));
        let line = format!("{} at {}{from}", package.nevra, path(&package.repository, &package.href));
        Item { json, line }
    }
}

fn rejected(report: &Report) -> impl Fn(&Rejected) -> Item {
    |file| {
        let uploader = report.uploaders.get(&file.inbox_key);
        let json = json!({
            "inbox_key": file.inbox_key, "code": file.code, "message": file.message, "hint": file.hint,
            "quarantine_key": file.quarantine_key, "uploader": uploader,
        });
        let from = uploader.map_or_else(String::new, |uploader| format!(", uploaded by {uploader}"));
        Item { json, line: format!("{}: {}: {}{from}", file.inbox_key, file.code, file.message) }
    }
}

fn left(package: &TakenOut, change: Option<&str>) -> Item {
    let mut json = json!({
        "nevra": package.nevra, "repository": RepositoryDir::new(&package.repository), "href": package.href,
    });
    let mut line = format!("{} at {}", package.nevra, path(&package.repository, &package.href));
    if let Some(change) = change {
        json["change"] = change.into();
        line = format!("{change}: {line}");
    }
    Item { json, line }
}

fn noticed(noticed: &Noticed) -> Item {
    let json = serde_json::to_value(noticed).unwrap_or_default();
    Item { json, line: noticed.to_string() }
}

fn marked(one: &Marked) -> Item {
    let line = match &one.repository {
        Some(repository) => format!("{}: {} in {repository}", one.mark.name(), one.name),
        None => format!("{}: {}", one.mark.name(), one.name),
    };
    Item { json: json!(one), line }
}

fn failed(error: impl AsRef<str>) -> Item {
    Item { json: error.as_ref().into(), line: error.as_ref().to_owned() }
}

/// A notice of what `list` holds, if it holds anything.
fn notice(facts: Facts<'_>, event: &'static str, name: &str, list: &[Item]) -> Option<Notice> {
    if list.is_empty() {
        return None;
    }
    let mut shown = list.len().min(MOST);
    loop {
        let notice = written(facts, event, name, &list[..shown], list.len() - shown);
        if notice.body.len() <= LONGEST || shown == 0 {
            return Some(notice);
        }
        shown /= 2;
    }
}

fn written(facts: Facts<'_>, event: &'static str, name: &str, list: &[Item], more: usize) -> Notice {
    let Facts { bucket, run, at, by, reason } = facts;
    let items: Vec<&Value> = list.iter().map(|item| &item.json).collect();
    let mut body = json!({
        "event": event, "id": format!("{run}-{event}"), "at": at, "bucket": bucket, "run": run,
        name: items, "more": more,
    });
    for (name, said) in [("by", by), ("reason", reason)] {
        if let Some(said) = said {
            body[name] = said.into();
        }
    }
    let count = list.len() + more;
    let subject = match event {
        PUBLISHED | REJECTED | REMOVED | PRUNED | PROMOTED => format!("yrm: {count} {event}"),
        ROLLED_BACK => "yrm: a repository was rolled back".to_owned(),
        FOREIGN => "yrm: somebody else changed a repository".to_owned(),
        MARKED => format!("yrm: {count} held, blocked, tagged or purged, or no more"),
        SETTINGS => "yrm: the bucket's settings changed".to_owned(),
        FAILING => "yrm: runs fail".to_owned(),
        _ => "yrm: runs succeed again".to_owned(),
    };
    let lines = lines((bucket, by, reason), list, more);
    Notice { event, at, subject, body: legible::safe_json(&body.to_string()), lines }
}

/// Things and how many more, told in words.
fn lines((bucket, by, reason): (&str, Option<&str>, Option<&str>), list: &[Item], more: usize) -> Vec<String> {
    let said = [("Bucket", Some(bucket)), ("By", by), ("Reason", reason)];
    let said = said.into_iter().filter_map(|(what, said)| Some(format!("{what}: {}", said?)));
    let (shown, rest) = list.split_at(list.len().min(MOST_IN_WORDS));
    let shown = shown.iter().map(|item| item.line.clone());
    let more = more + rest.len();
    let more = (more > 0).then(|| format!("and {more} more"));
    let legible = |line: String| {
        let mut line = legible::safe(&line);
        shorten(&mut line, LONGEST_LINE);
        line
    };
    said.chain(shown).chain(more).map(legible).collect()
}
