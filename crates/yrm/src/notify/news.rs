//! What a run has to tell: a pure function of its outcome and of how the runs before it ended.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use ulid::Ulid;

use crate::bucket::report::Report;
use crate::config::NotifyOn;
use crate::error::Error;
use crate::legible;
use crate::store::key::RepositoryDir;

/// Packages, files or errors listed in one notice; how many more there are is said. SNS takes 256 KiB.
const MOST: usize = 50;
/// Bytes of the longest notice: lists are cut until it fits.
const LONGEST: usize = 200 << 10;

/// Packages can be installed.
pub const PUBLISHED: &str = "published";
/// Files were rejected.
pub const REJECTED: &str = "rejected";
/// Runs fail, as a whole or in part.
pub const FAILING: &str = "failing";
/// They do no longer.
pub const RECOVERED: &str = "recovered";

/// Whether somebody wants to hear of `event`.
pub fn is_wanted(on: NotifyOn, event: &str) -> bool {
    match event {
        PUBLISHED => on.published,
        REJECTED => on.rejected,
        _ => on.failing,
    }
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

/// What there is to tell of a run.
pub fn of(facts: Facts<'_>, outcome: Result<&Report, &Error>, health: &mut Health) -> Vec<Notice> {
    let mut notices = Vec::new();
    if let Ok(report) = outcome {
        let uploader = |key: &String| report.uploaders.get(key);
        let published = report.published.iter().filter(|package| !package.already_there);
        let packages: Vec<Value> = published
            .map(|package| {
                json!({
                    "nevra": package.nevra, "repository": RepositoryDir::new(&package.repository), "href": package.href,
                    "pkgid": package.pkgid, "size_bytes": package.size_bytes, "inbox_key": package.inbox_key,
                    "uploader": uploader(&package.inbox_key),
                })
            })
            .collect();
        notices.extend(notice(facts, PUBLISHED, "packages", &packages));
        let rejected = report.rejected.iter().map(|file| {
            json!({
                "inbox_key": file.inbox_key, "code": file.code, "message": file.message, "hint": file.hint,
                "quarantine_key": file.quarantine_key, "uploader": uploader(&file.inbox_key),
            })
        });
        notices.extend(notice(facts, REJECTED, "files", &rejected.collect::<Vec<_>>()));
    }
    let errors = match outcome {
        Ok(report) => report.errors.clone(),
        Err(error) => vec![error.chain()],
    };
    match health.ended(errors.is_empty()) {
        Some(RECOVERED) => notices.push(written(facts, RECOVERED, "errors", &[], 0)),
        Some(event) => notices.extend(notice(facts, event, "errors", &errors)),
        None => {}
    }
    notices
}

/// A notice of what `list` holds, if it holds anything.
fn notice<T: Serialize>(facts: Facts<'_>, event: &'static str, name: &str, list: &[T]) -> Option<Notice> {
    if list.is_empty() {
        return None;
    }
    let list: Vec<Value> = list.iter().filter_map(|item| serde_json::to_value(item).ok()).collect();
    let mut shown = list.len().min(MOST);
    loop {
        let notice = written(facts, event, name, &list[..shown], list.len() - shown);
        if notice.body.len() <= LONGEST || shown == 0 {
            return Some(notice);
        }
        shown /= 2;
    }
}

fn written(facts: Facts<'_>, event: &'static str, name: &str, list: &[Value], more: usize) -> Notice {
    let Facts { bucket, run, at } = facts;
    let body = json!({
        "event": event, "id": format!("{run}-{event}"), "at": at, "bucket": bucket, "run": run,
        name: list, "more": more,
    });
    let count = list.len() + more;
    let subject = match event {
        PUBLISHED => format!("yrm: {count} published"),
        REJECTED => format!("yrm: {count} rejected"),
        FAILING => "yrm: runs fail".to_owned(),
        _ => "yrm: runs succeed again".to_owned(),
    };
    Notice { event, at, subject, body: legible::safe_json(&body.to_string()) }
}
