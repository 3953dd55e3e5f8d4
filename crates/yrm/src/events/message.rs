//! One message's body → what it says. Pure: no queue, no clock, no bucket.
//!
//! S3 tells of an upload in two shapes: its own notification (`Records`, their keys form-encoded)
//! and EventBridge's (`detail`, its key as it is). Either may come in an SNS envelope. Anybody who
//! may write to the queue chooses the bytes, so nothing here trusts them: a body is bounded, and
//! what is understood is never more than a list of keys.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;

use crate::config::access_point::is_access_point;
use crate::config::parse::percent_decoded;
use crate::config::{BucketUrl, Folders};

/// SQS's own limit for a message, in bytes.
pub const MAX_BODY_BYTES: usize = 1 << 20;

/// What a message says to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Something was put under these keys of the inbox (relative to the bucket's prefix).
    Arrived(Vec<String>),
    /// S3 tries out whether it reaches the queue.
    Test,
    /// Nothing that concerns this inbox, and why.
    NotOurs(&'static str),
}

/// Somebody put these bytes under this key of the inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Relative to the bucket's prefix.
    pub key: String,
    /// The state of the bytes.
    pub etag: String,
    /// Who, in S3's words: a principal's id and the name of its session, or an account.
    pub by: String,
}

/// Which uploads are ours: those into this inbox of this bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inbox {
    /// The bucket's own name; `None` where only an access point's is known.
    bucket: Option<String>,
    /// The bucket URL's prefix: empty, or with a slash at its end.
    prefix: String,
    /// With a slash at its end.
    folder: String,
}

impl Inbox {
    /// The inbox of an S3 bucket; `None` for a directory, of which nobody tells.
    pub fn of(bucket: &BucketUrl, folders: &Folders) -> Option<Self> {
        match bucket {
            BucketUrl::S3 { name, prefix } => Some(Self {
                bucket: (!is_access_point(name)).then(|| name.clone()),
                prefix: if prefix.is_empty() { String::new() } else { format!("{prefix}/") },
                folder: format!("{}/", folders.inbox),
            }),
            BucketUrl::Directory(_) => None,
        }
    }

    /// What `body` says.
    pub fn said(&self, body: &str) -> Said {
        if body.len() > MAX_BODY_BYTES {
            return Said::NotOurs("it is longer than a message of SQS can be");
        }
        let Some(event) = read(body) else { return Said::NotOurs(UNKNOWN) };
        let Some(enclosed) = event.message else { return self.heard(event) };
        // One envelope, not a chain of them.
        read(&enclosed).map_or(Said::NotOurs(UNKNOWN), |event| self.heard(event))
    }

    /// Who uploaded what, where `body` says so: key, ETag and S3's name for somebody.
    pub fn uploads(&self, body: &str) -> Vec<Upload> {
        let Some(event) = (body.len() <= MAX_BODY_BYTES).then(|| read(body)).flatten() else { return Vec::new() };
        match event.message {
            Some(enclosed) => read(&enclosed).map(|event| self.uploads_of(&event)).unwrap_or_default(),
            None => self.uploads_of(&event),
        }
    }

    fn uploads_of(&self, event: &Event<'_>) -> Vec<Upload> {
        let bridged = event.detail.iter().filter_map(|subject| {
            let by = subject.requester.as_ref()?.as_str()?.to_owned();
            Some(Upload { key: self.own(subject, Cow::clone)?, etag: subject.object.as_ref()?.etag()?, by })
        });
        let notified = event.records.iter().flatten().filter(|record| record.is_upload()).filter_map(|record| {
            let subject = record.subject.as_ref()?;
            let by = record.identity.as_ref()?.get("principalId")?.as_str()?.to_owned();
            let key = self.own(subject, |key| Cow::Owned(form_decoded(key)))?;
            Some(Upload { key, etag: subject.object.as_ref()?.etag()?, by })
        });
        bridged.chain(notified).collect()
    }

    fn heard(&self, event: Event<'_>) -> Said {
        if event.test.as_deref() == Some("s3:TestEvent") {
            return Said::Test;
        }
        if event.records.is_none() && event.detail.is_none() {
            return Said::NotOurs(UNKNOWN);
        }
        let is_created = event.detail_type.as_deref() == Some("Object Created");
        let bridged = event.detail.filter(|_| is_created).and_then(|subject| self.own(&subject, Cow::clone));
        let records = event.records.unwrap_or_default();
        let notified = records
            .iter()
            .filter(|record| record.is_upload())
            .filter_map(|record| self.own(record.subject.as_ref()?, |key| Cow::Owned(form_decoded(key))));
        let keys: Vec<String> = bridged.into_iter().chain(notified).collect();
        if keys.is_empty() { Said::NotOurs("it tells of no upload into this inbox") } else { Said::Arrived(keys) }
    }

    /// The subject's key, if it is one of this inbox.
    fn own<'a>(&self, subject: &'a Subject<'_>, decode: impl Fn(&'a Cow<'a, str>) -> Cow<'a, str>) -> Option<String> {
        let (bucket, object) = (subject.bucket.as_ref()?, subject.object.as_ref()?);
        if self.bucket.as_ref().is_some_and(|ours| bucket.name != *ours) {
            return None;
        }
        let key = decode(&object.key);
        let key = key.strip_prefix(self.prefix.as_str())?;
        key.starts_with(self.folder.as_str()).then(|| key.to_owned())
    }
}

const UNKNOWN: &str = "it is no event of S3";

/// A name's `+` is a space and its `%XX` a byte. A broken escape is left as it stands: the key may
/// still wake a run, which looks for itself.
fn form_decoded(key: &str) -> String {
    let spaced = key.replace('+', " ");
    percent_decoded(&spaced).unwrap_or(spaced)
}

/// serde_json's own limit on nesting holds, and what is not asked for is skipped, not kept.
fn read(body: &str) -> Option<Event<'_>> {
    serde_json::from_str(body).ok()
}

/// All shapes at once: each has fields of its own.
#[derive(Debug, Deserialize)]
struct Event<'a> {
    /// S3's notification.
    #[serde(rename = "Records", borrow)]
    records: Option<Vec<Record<'a>>>,
    /// S3's test.
    #[serde(rename = "Event", borrow)]
    test: Option<Cow<'a, str>>,
    /// EventBridge's.
    #[serde(rename = "detail-type", borrow)]
    detail_type: Option<Cow<'a, str>>,
    #[serde(borrow)]
    detail: Option<Subject<'a>>,
    /// SNS's envelope.
    #[serde(rename = "Message")]
    message: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Record<'a> {
    #[serde(rename = "eventName", borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(rename = "s3", borrow)]
    subject: Option<Subject<'a>>,
    // Whatever stands there: a name that cannot be read is no reason to miss an upload.
    #[serde(rename = "userIdentity")]
    identity: Option<Value>,
}

impl Record<'_> {
    /// S3 writes `ObjectCreated:Put`, some servers `s3:ObjectCreated:Put`.
    fn is_upload(&self) -> bool {
        let name = self.name.as_deref().unwrap_or_default();
        name.strip_prefix("s3:").unwrap_or(name).starts_with("ObjectCreated:")
    }
}

/// What an event is about; the two shapes agree on this much.
#[derive(Debug, Deserialize)]
struct Subject<'a> {
    #[serde(borrow)]
    bucket: Option<Named<'a>>,
    #[serde(borrow)]
    object: Option<Keyed<'a>>,
    requester: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
struct Keyed<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    /// S3's spelling.
    #[serde(rename = "eTag")]
    notified: Option<Value>,
    /// EventBridge's.
    #[serde(rename = "etag")]
    bridged: Option<Value>,
}

impl Keyed<'_> {
    fn etag(&self) -> Option<String> {
        let text = self.notified.as_ref().or(self.bridged.as_ref())?.as_str()?;
        Some(text.trim_matches('"').to_owned())
    }
}

#[cfg(test)]
mod tests;
