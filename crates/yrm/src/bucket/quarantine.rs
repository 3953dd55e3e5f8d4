//! The rejected files, and why.

use std::collections::BTreeMap;

use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;

use super::Bucket;
use super::listing::list_all;
use super::report::Rejected;
use crate::error::{Error, ErrorKind, Result};
use crate::store::Object;
use crate::store::key::{Key, QUARANTINE_PREFIX, RECORD_SUFFIX, is_plain_path};

/// Records are at most so long: two keys, a message and what goes with them.
const MAX_RECORD_BYTES: u64 = 64 << 10;

/// A file in quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The file; `None` when only its record is left.
    pub file: Option<Object>,
    /// Its record; `None` when the run that rejected it ended half-way, or the record cannot be read.
    pub record: Option<Rejected>,
    /// The record's object.
    pub(crate) record_object: Option<Object>,
    /// The file's key.
    pub key: String,
}

impl Kept {
    /// The upload's id, which ends the key.
    pub fn id(&self) -> &str {
        self.key.rsplit('.').next().unwrap_or_default()
    }

    /// When it came here. In a directory a file may keep the time of its upload, so its record's counts.
    pub fn since(&self) -> Option<Timestamp> {
        self.record_object.as_ref().or(self.file.as_ref()).map(|object| object.modified)
    }
}

/// Everything in quarantine, in the order of the keys, without the records.
pub async fn list(bucket: &Bucket) -> Result<Vec<Kept>> {
    let objects = list_all(bucket.store.as_ref(), QUARANTINE_PREFIX).await?;
    let mut kept: BTreeMap<String, Kept> = BTreeMap::new();
    let new = |key: &str| Kept { file: None, record: None, record_object: None, key: key.to_owned() };
    for object in objects {
        // A rejected file's own key ends in an id, whatever its name was.
        match object.key.strip_suffix(RECORD_SUFFIX).map(str::to_owned) {
            Some(key) => kept.entry(key.clone()).or_insert_with(|| new(&key)).record_object = Some(object),
            None => kept.entry(object.key.clone()).or_insert_with(|| new(&object.key)).file = Some(object.clone()),
        }
    }
    Ok(kept.into_values().collect())
}

/// Pages of the listing that are read to measure the quarantine: 10,000 objects in S3.
const PAGES_MEASURED: usize = 10;

/// How much is in quarantine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// Files, without their records.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// How much is in quarantine: what the first [`PAGES_MEASURED`] pages of its listing hold.
pub async fn size(bucket: &Bucket) -> Result<Size> {
    let (mut size, mut after): (Size, Option<String>) = (Size::default(), None);
    for _ in 0..PAGES_MEASURED {
        let page = bucket.store.list(QUARANTINE_PREFIX, after.as_deref()).await?;
        for file in page.objects.iter().filter(|object| !object.key.ends_with(RECORD_SUFFIX)) {
            size.files += 1;
            size.bytes += file.size_bytes;
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    Ok(size)
}

/// The same with their records, where those can be read.
pub async fn with_records(bucket: &Bucket, kept: Vec<Kept>) -> Result<Vec<Kept>> {
    let reading = kept.into_iter().map(|kept| async move {
        let record = match &kept.record_object {
            Some(object) => record(bucket, object).await?,
            None => None,
        };
        Ok(Kept { record, ..kept })
    });
    // Collected first: a stream over borrowing closures is not Send.
    let reading: Vec<_> = reading.collect();
    futures::stream::iter(reading).buffered(bucket.policy.concurrency).try_collect().await
}

/// A record that can be read, and is about the file beside it.
async fn record(bucket: &Bucket, object: &Object) -> Result<Option<Rejected>> {
    if object.size_bytes > MAX_RECORD_BYTES {
        return Ok(None);
    }
    let Some(read) = bucket.store.get(&object.key, None).await? else { return Ok(None) };
    let record: Option<Rejected> = serde_json::from_slice(&read.bytes).ok();
    Ok(record.filter(|record| object.key.strip_suffix(RECORD_SUFFIX) == Some(record.quarantine_key.as_str())))
}

/// The one with this name: its key, with or without `quarantine/`, its id, or its path if no other file has that.
pub fn find(kept: &[Kept], name: &str) -> Result<Kept> {
    let called = |kept: &&Kept| {
        let path = kept.key.strip_prefix(QUARANTINE_PREFIX).unwrap_or(&kept.key);
        let without_id = path.strip_suffix(kept.id()).and_then(|path| path.strip_suffix('.'));
        kept.key == name || path == name || without_id == Some(name) || kept.id() == name
    };
    let mut found = kept.iter().filter(called);
    let none = |why: &str| {
        Error::new(ErrorKind::Conflict, format!("looking for {name:?} in quarantine"))
            .because(why.to_owned())
            .hint("`yrm quarantine list` shows what is there: name a file by its path, its key or its id")
    };
    match (found.next(), found.next()) {
        (Some(kept), None) => Ok(kept.clone()),
        (Some(_), Some(_)) => Err(none("several files have this name")),
        (None, _) => Err(none("no file there has this key, path or id")),
    }
}

/// The key in the inbox that a file came from, if it can go back there.
pub fn origin(bucket: &Bucket, kept: &Kept) -> Result<String> {
    origin_path(bucket, kept).map(|path| bucket.path(Key::Inbox { path: &path }))
}

pub(crate) fn origin_path(bucket: &Bucket, kept: &Kept) -> Result<String> {
    let doing = || format!("releasing {}", kept.key);
    let refuse = |why: &str, hint: &str| Error::new(ErrorKind::Conflict, doing()).because(why.to_owned()).hint(hint);
    if kept.file.is_none() {
        return Err(refuse("its file is gone", "`yrm quarantine drop` deletes the record"));
    }
    let from_record = kept.record.as_ref().and_then(|record| {
        let inbox = format!("{}/", bucket.policy.folders.inbox);
        record.inbox_key.strip_prefix(&inbox).map(str::to_owned)
    });
    // Without a record the path is in the key, unless that was odd.
    let from_key = || {
        let path = kept.key.strip_prefix(QUARANTINE_PREFIX)?.strip_suffix(kept.id())?.strip_suffix('.')?;
        (!path.starts_with("_odd/")).then(|| path.to_owned())
    };
    let path = from_record.or_else(from_key);
    match path.filter(|path| is_plain_path(path)) {
        Some(path) => Ok(path),
        None => Err(refuse(
            "nothing can be published under the key that it had",
            "copy the file to an ordinary path of the inbox yourself, then delete it here with `yrm quarantine drop`",
        )),
    }
}
