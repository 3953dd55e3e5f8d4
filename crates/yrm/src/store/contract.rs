//! What is asked of a store: the calls, their conditions, and their answers.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use rpmmd::checksum::Sha256;

use super::body::Body;
use crate::config::{Folders, ObjectClass};
use crate::error::{Error, Result};

/// The store's name for one state of an object's bytes. Opaque: compare, never parse.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct ETag(String);

impl ETag {
    /// As the store spelt it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// As the store spelt it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a listing or a head says of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its key, relative to the bucket's prefix.
    pub key: String,
    /// The state of its bytes.
    pub etag: ETag,
    /// Length in bytes.
    pub size_bytes: u64,
    /// Last change, by the store's clock. In a directory whoever owns a file can set it, and a package keeps the
    /// time of its upload.
    pub modified: Timestamp,
    /// Since when the store has it as it is, by the store's clock, or later: never earlier, and nobody can set it.
    pub since: Timestamp,
    /// SHA-256 of the whole object, when the store knows it (heads only).
    pub sha256: Option<Sha256>,
    /// User metadata (heads and gets only).
    pub user: BTreeMap<String, String>,
}

/// One page of a listing, in byte order of the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The objects.
    pub objects: Vec<Object>,
    /// Where the next page starts; `None` on the last.
    pub next: Option<String>,
    /// What belongs on the page and cannot be read: a page with any is partial. Only a directory has such.
    pub unreadable: Vec<Unreadable>,
}

/// A folder that a listing could not go into, or a file that could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unreadable {
    /// Its key; a folder's ends with `/`.
    pub key: String,
    /// What the operating system said.
    pub why: String,
}

/// An object's bytes, or the part that was asked for. `object.size_bytes` is the whole size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// What it was read from.
    pub object: Object,
    /// The bytes.
    pub bytes: Bytes,
}

/// When a put applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutIf {
    /// Always (never for anything that two writers share).
    Always,
    /// Only when there is no object under the key.
    Absent,
    /// Only when the object there still has this ETag.
    Matches(ETag),
}

/// What is stored beside the bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Content-Type.
    pub content_type: &'static str,
    /// Cache-Control, if any.
    pub cache_control: Option<&'static str>,
    /// User metadata: lowercase names, ASCII values.
    pub user: BTreeMap<String, String>,
    /// What it is for, where a store keeps classes of objects apart.
    pub class: Option<ObjectClass>,
}

/// A server-side copy: `source` as it was seen, to `target`, which must not exist.
#[derive(Debug, Clone, Copy)]
pub struct Copy<'a> {
    /// What to copy; the copy is refused when its ETag has changed.
    pub source: &'a Object,
    /// Where to; the copy is refused when something is there.
    pub target: &'a str,
    /// What to store beside it.
    pub attributes: &'a Attributes,
    /// Whether the copy of a large file may be the source by another name, where a store has such, and of bytes that
    /// nobody compares with what was judged: only where nobody relies on them, which an uploader may still be writing.
    pub may_share: bool,
    /// SHA-256 of the bytes that were judged. A store through which the bytes pass (a directory, memory) hashes them
    /// once more and refuses others, before they have a name at the target: `Lost`. In S3 the bytes under an ETag
    /// never change, and the copy's digest is the caller's to compare.
    pub judged: Option<Sha256>,
    /// The time of last change that the copy gets, to the second, where a store can set it; else it is now.
    pub modified: Option<Timestamp>,
}

impl<'a> Copy<'a> {
    /// Of `source`, as it was seen, to `target`, with nothing known of its bytes.
    pub fn of(source: &'a Object, target: &'a str, attributes: &'a Attributes) -> Self {
        Self { source, target, attributes, may_share: false, judged: None, modified: None }
    }
}

/// What a put or a copy made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The new object's ETag.
    pub etag: ETag,
    /// Its SHA-256, when the store computed it over the whole object.
    pub sha256: Option<Sha256>,
    /// Since when it is there, by the store's clock, when the answer said so.
    pub since: Option<Timestamp>,
}

/// A range of a body that an object of the same bucket holds already.
#[derive(Debug, Clone)]
pub struct Reused<'a> {
    /// Where in the body.
    pub at: Range<u64>,
    /// The object, as it was seen.
    pub object: &'a Object,
    /// Where in the object the range begins.
    pub from: u64,
}

/// What [`Store::assemble`] made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assembled {
    /// The object.
    pub stored: Stored,
    /// Bytes that had to be sent.
    pub sent_bytes: u64,
}

/// The answer to a conditional call.
#[derive(Debug)]
pub enum Outcome<T> {
    /// It applied.
    Done(T),
    /// 412: the condition did not hold (for a copy: the source changed or the target exists).
    Lost,
    /// 409: another conditional call was in flight; nothing was applied; try again.
    Conflict,
    /// 404: the object that the condition (or the copy) names does not exist.
    Missing,
    /// Nobody knows: a timeout, a lost connection or a 5xx. It may have applied, or may yet.
    Ambiguous(Error),
}

impl<T> Outcome<T> {
    /// The same answer about something else.
    pub fn map<U>(self, made: impl FnOnce(T) -> U) -> Outcome<U> {
        match self {
            Self::Done(done) => Outcome::Done(made(done)),
            Self::Lost => Outcome::Lost,
            Self::Conflict => Outcome::Conflict,
            Self::Missing => Outcome::Missing,
            Self::Ambiguous(error) => Outcome::Ambiguous(error),
        }
    }
}

/// What a store has been seen to do; `store::probe` fills it in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "a row of independent facts about a store")]
pub struct Abilities {
    /// `PutIf` is kept, also between racing writers.
    pub conditional_put: bool,
    /// A copy is refused when its target exists or its source has changed.
    pub conditional_copy: bool,
    /// A delete is refused when the ETag has changed.
    pub conditional_delete: bool,
    /// A copy answers with the whole object's SHA-256.
    pub copy_sha256: bool,
    /// `+ ~ ^ %` and spaces in keys survive put, copy, list and get.
    pub odd_keys: bool,
    /// A new object can be joined from ranges of others.
    pub range_copy: bool,
}

impl Abilities {
    /// Everything this program asks of a store.
    pub const ALL: Self = Self {
        conditional_put: true,
        conditional_copy: true,
        conditional_delete: true,
        copy_sha256: true,
        odd_keys: true,
        range_copy: true,
    };
}

/// What is sent before a range that is joined to it is at least so long: S3 takes no shorter parts.
pub const LEAST_SENT_BYTES: u64 = 5 << 20;

/// Objects in one page of a listing, at most: S3's own limit.
pub const PAGE_OBJECTS: usize = 1000;

/// A bucket. Keys are raw strings relative to its prefix, at most 1024 bytes of UTF-8.
///
/// Missing objects are `None`; a refusal (403) is an error of kind `Denied` and never "absent".
/// Reads and unconditional calls are retried inside; conditional ones never are.
///
/// No method has a default: a wrapper that forgot one would answer for the store that it wraps.
#[async_trait]
pub trait Store: Send + Sync + fmt::Debug {
    /// One page (at most 1,000 objects) of the keys that start with `prefix`. `after` is the `next` of the page before,
    /// or a key: then the page has what comes behind it.
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page>;

    /// What is stored under `key`.
    async fn head(&self, key: &str) -> Result<Option<Object>>;

    /// The bytes under `key`, or the part of them in `range` (clipped to the object's end; an
    /// empty object or a range past the end gives no bytes).
    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<Read>>;

    /// Stores `bytes` under `key` if the condition holds.
    async fn put(&self, key: &str, bytes: Bytes, attributes: &Attributes, condition: PutIf) -> Result<Outcome<Stored>>;

    /// Stores a local file under `key`, whatever was there: how a package enters the inbox. Large
    /// files go in parts and are never held in memory.
    async fn put_file(&self, key: &str, file: &Path, attributes: &Attributes) -> Result<Stored>;

    /// Stores `body` under `key` if the condition holds. Its `reused` ranges (in order, and apart)
    /// hold the same bytes as those objects: a store that can join them by itself need not be
    /// sent them. `Lost` may also mean that one of those objects has changed, `Missing` that one
    /// is gone. A store that cannot join (`Abilities::range_copy`) is given no body that is only begun.
    async fn assemble(
        &self,
        key: &str,
        body: &Body,
        reused: &[Reused<'_>],
        attributes: &Attributes,
        condition: PutIf,
    ) -> Result<Outcome<Assembled>>;

    /// The object as a local file, where objects are local files.
    async fn open_local(&self, key: &str) -> Result<Option<File>>;

    /// A local folder from which `assemble` takes files without copying them, if there is one.
    fn scratch(&self) -> Option<PathBuf>;

    /// Copies inside the bucket without moving the bytes through this process (where the store can).
    async fn copy(&self, copy: Copy<'_>) -> Result<Outcome<Stored>>;

    /// Deletes the object if it still has this ETag. `Missing` when there is none.
    async fn delete(&self, key: &str, if_match: &ETag) -> Result<Outcome<()>>;

    /// Why this process may not delete `key`, where that can be told without trying: what it may not take out of
    /// the inbox must not be published, or it comes back after an operator has removed it. `None` when nothing
    /// is known to be in the way, and when the key is gone. Only a directory has such: S3 is not asked.
    async fn delete_hindrance(&self, key: &str) -> Result<Option<String>>;

    /// What an operator should know of where the bucket lies, one row a fact; nothing where that is a service.
    async fn examine(&self, folders: &Folders) -> Result<Vec<ProbeRow>>;

    /// A random number from 0 to 1, by which writers that collided once do not meet again.
    fn jitter(&self) -> f64;

    /// What this store can do, where that is known; `None` where it must be probed.
    fn abilities(&self) -> Option<Abilities>;

    /// Whether objects appear only when complete (S3). In a directory a file may be in the
    /// middle of being copied in.
    fn uploads_are_atomic(&self) -> bool;
}

/// One thing that is known of a store: tried, or looked at.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ProbeRow {
    /// What the store should do.
    pub name: &'static str,
    /// Whether it did.
    pub ok: bool,
    /// What was seen.
    pub seen: String,
}

/// `range` within an object of `size_bytes`: clipped to its end, empty past it.
pub(super) fn clip(range: Option<Range<u64>>, size_bytes: u64) -> Range<u64> {
    let Range { start, end } = range.unwrap_or(0..size_bytes);
    let start = start.min(size_bytes);
    start..end.clamp(start, size_bytes)
}
