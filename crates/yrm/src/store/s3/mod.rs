//! A bucket in S3, through the official SDK: its whole credential chain, endpoints, path style.
//!
//! Conditional calls go through a client that never retries: a retry would turn our own success
//! into 412. Reads, listings and unconditional calls are retried by the SDK. No answer of a store
//! is read as "empty" unless it says so.
//!
//! HEAD has no body, so a missing bucket looks like a missing key there; a listing and a GET tell
//! them apart, and every run begins with a listing.

mod answer;
mod assemble;
mod client;
mod links;
mod multipart;
mod rights;
mod spelling;
mod written;

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumMode, EncodingType, MetadataDirective, TaggingDirective};
use bytes::Bytes;
use jiff::Timestamp;

use self::answer::Answer;
pub use self::client::{Limits, S3Store};
use self::client::{copying, sha256_of, stored, user_metadata};
pub use self::links::S3Links;
use self::spelling::{copy_source, digest, etag, listed_key, quoted, timestamp, whole_sha256};
use self::written::say;
use super::body::Body;
use super::{
    Abilities, Assembled, Attributes, Copy, ETag, Object, Outcome, PAGE_OBJECTS, Page, ProbeRow, PutIf, Read, Reused,
    Store, Stored,
};
use crate::config::Folders;
use crate::error::{Error, ErrorKind, Result};

/// A read whose body breaks off starts again so often in all; the SDK repeats only what fails
/// before the body.
const BODY_ATTEMPTS: u32 = 3;
/// What a page's `next` begins with, which else is S3's own word for the place: no key of ours begins so.
const PAGE: &str = "\u{1}";

impl S3Store {
    async fn copy_at_once(&self, copy: Copy<'_>) -> Result<Outcome<Stored>> {
        let doing = copying(copy);
        let attributes = copy.attributes;
        let call = self
            .once
            .copy_object()
            .bucket(&self.bucket)
            .set_request_payer(self.payer.clone())
            .key(self.full(copy.target))
            .if_none_match("*")
            .copy_source(copy_source(&self.bucket, &self.full(&copy.source.key)))
            .copy_source_if_match(quoted(&copy.source.etag))
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .metadata_directive(MetadataDirective::Replace)
            // An uploader's tags would need one more permission.
            .tagging_directive(TaggingDirective::Replace)
            .content_type(attributes.content_type)
            .set_cache_control(attributes.cache_control.map(str::to_owned))
            .set_metadata(user_metadata(attributes));
        let output = match say!(call, self.headers(attributes)).send().await {
            Ok(output) => output,
            Err(error) => return Answer::of(&error, &doing).outcome(&doing),
        };
        let result = output.copy_object_result();
        let sha256 = result.and_then(|result| whole_sha256(result.checksum_sha256(), result.checksum_type()));
        let since = result.and_then(|result| timestamp(result.last_modified()?));
        let outcome = stored(result.and_then(|result| result.e_tag()), sha256, &doing);
        Ok(outcome.map(|stored| Stored { since, ..stored }))
    }

    async fn get_once(&self, key: &str, range: Option<&Range<u64>>) -> Result<Got> {
        let doing = format!("reading {key:?}");
        let answer = self
            .patient
            .get_object()
            .bucket(&self.bucket)
            .set_request_payer(self.payer.clone())
            .key(self.full(key))
            .set_range(range.map(|range| format!("bytes={}-{}", range.start, range.end - 1)))
            .send()
            .await;
        let mut output = match answer {
            Ok(output) => output,
            Err(error) => {
                return match Answer::of(&error, &doing) {
                    Answer::PastEnd => Ok(Got::PastEnd),
                    other => other.absent::<()>(&doing).map(|_| Got::Absent),
                };
            }
        };
        let body = std::mem::take(&mut output.body);
        let object = read_object(key, &output)?;
        match body.collect().await {
            Ok(bytes) => Ok(Got::Read(Read { object, bytes: bytes.into_bytes() })),
            Err(error) => Ok(Got::Broken(Error::new(ErrorKind::Unavailable, doing).because(error))),
        }
    }
}

enum Got {
    Read(Read),
    Absent,
    PastEnd,
    Broken(Error),
}

#[async_trait]
impl Store for S3Store {
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page> {
        let doing = format!("listing {prefix:?}");
        let token = after.and_then(|after| after.strip_prefix(PAGE));
        let behind = after.filter(|_| token.is_none());
        let answer = self
            .patient
            .list_objects_v2()
            .bucket(&self.bucket)
            .set_request_payer(self.payer.clone())
            .prefix(self.full(prefix))
            // XML cannot hold every key; one bad key must not fail the listing.
            .encoding_type(EncodingType::Url)
            .max_keys(i32::try_from(PAGE_OBJECTS).expect("a thousand fits"))
            .set_continuation_token(token.map(str::to_owned))
            .set_start_after(behind.map(|key| self.full(key)))
            .send()
            .await;
        let output = answer.map_err(|error| Answer::of(&error, &doing).error(&doing))?;
        let mut objects = Vec::with_capacity(output.contents().len());
        for entry in output.contents() {
            let text = entry.key().unwrap_or_default();
            let Some(key) = listed_key(text).and_then(|key| Some(key.strip_prefix(&self.prefix)?.to_owned())) else {
                tracing::warn!(key = text, "left out of the listing: its key is not UTF-8");
                continue;
            };
            // The folder marker of the bucket's own prefix.
            if key.is_empty() {
                continue;
            }
            objects.push(object(key, entry.e_tag(), entry.size(), entry.last_modified())?);
        }
        let next = output.next_continuation_token().filter(|_| output.is_truncated() == Some(true));
        let next = next.map(|token| [PAGE, token].concat());
        if output.is_truncated() == Some(true) && next.is_none() {
            return Err(Error::new(ErrorKind::Corrupt, doing).hint("the store says there is more but not where"));
        }
        Ok(Page { objects, next, unreadable: Vec::new() })
    }

    async fn head(&self, key: &str) -> Result<Option<Object>> {
        let doing = format!("looking at {key:?}");
        let answer = self
            .patient
            .head_object()
            .bucket(&self.bucket)
            .set_request_payer(self.payer.clone())
            .key(self.full(key))
            .checksum_mode(ChecksumMode::Enabled)
            .send()
            .await;
        let output = match answer {
            Ok(output) => output,
            Err(error) => return Answer::of(&error, &doing).absent(&doing),
        };
        let head = object(key.to_owned(), output.e_tag(), output.content_length(), output.last_modified())?;
        let sha256 = whole_sha256(output.checksum_sha256(), output.checksum_type());
        Ok(Some(Object { sha256, user: user(output.metadata()), ..head }))
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<Read>> {
        if range.as_ref().is_some_and(Range::is_empty) {
            return Ok(self.head(key).await?.map(no_bytes));
        }
        let mut attempt = 1;
        loop {
            match self.get_once(key, range.as_ref()).await? {
                Got::Read(read) => return Ok(Some(read)),
                Got::Absent => return Ok(None),
                Got::PastEnd => return Ok(self.head(key).await?.map(no_bytes)),
                Got::Broken(error) if attempt == BODY_ATTEMPTS => return Err(error),
                Got::Broken(_) => attempt += 1,
            }
        }
    }

    async fn put(&self, key: &str, bytes: Bytes, attributes: &Attributes, condition: PutIf) -> Result<Outcome<Stored>> {
        let doing = format!("putting {key:?}");
        let (client, if_none_match, if_match) = self.conditional(&condition);
        let call = client
            .put_object()
            .bucket(&self.bucket)
            .set_request_payer(self.payer.clone())
            .key(self.full(key))
            .set_if_none_match(if_none_match)
            .set_if_match(if_match)
            // Buckets with Object Lock take nothing without a checksum.
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .checksum_sha256(digest(&sha256_of(&bytes).await?))
            .content_type(attributes.content_type)
            .set_cache_control(attributes.cache_control.map(str::to_owned))
            .set_metadata(user_metadata(attributes))
            .body(bytes.into());
        let output = match say!(call, self.headers(attributes)).send().await {
            Ok(output) => output,
            Err(error) => return Answer::of(&error, &doing).outcome(&doing),
        };
        let sha256 = whole_sha256(output.checksum_sha256(), output.checksum_type());
        Ok(stored(output.e_tag(), sha256, &doing))
    }

    async fn put_file(&self, key: &str, file: &Path, attributes: &Attributes) -> Result<Stored> {
        let unreadable =
            |error| Error::new(ErrorKind::Unavailable, format!("reading {}", file.display())).because(error);
        let size_bytes = tokio::fs::metadata(file).await.map_err(unreadable)?.len();
        let outcome = if size_bytes <= self.limits.single_put_bytes {
            let bytes = tokio::fs::read(file).await.map_err(unreadable)?;
            self.put(key, bytes.into(), attributes, PutIf::Always).await?
        } else {
            self.upload_in_parts(key, file, size_bytes, attributes).await?
        };
        let doing = format!("uploading {key:?}");
        match outcome {
            Outcome::Done(stored) => Ok(stored),
            Outcome::Ambiguous(error) => Err(error),
            Outcome::Lost => Err(Answer::Lost.error(&doing)),
            Outcome::Conflict => Err(Answer::Conflict.error(&doing)),
            Outcome::Missing => Err(Answer::Missing.error(&doing)),
        }
    }

    async fn assemble(
        &self,
        key: &str,
        body: &Body,
        reused: &[Reused<'_>],
        attributes: &Attributes,
        condition: PutIf,
    ) -> Result<Outcome<Assembled>> {
        self.join(key, body, reused, attributes, condition).await
    }

    async fn open_local(&self, _key: &str) -> Result<Option<File>> {
        Ok(None)
    }

    fn scratch(&self) -> Option<PathBuf> {
        None
    }

    async fn copy(&self, copy: Copy<'_>) -> Result<Outcome<Stored>> {
        if copy.source.size_bytes <= self.limits.single_copy_bytes {
            self.copy_at_once(copy).await
        } else {
            self.copy_in_parts(copy).await
        }
    }

    async fn delete(&self, key: &str, if_match: &ETag) -> Result<Outcome<()>> {
        let doing = format!("deleting {key:?}");
        let call = self.once.delete_object().bucket(&self.bucket).set_request_payer(self.payer.clone());
        match call.key(self.full(key)).if_match(quoted(if_match)).send().await {
            Ok(_) => Ok(Outcome::Done(())),
            Err(error) => Answer::of(&error, &doing).outcome(&doing),
        }
    }

    async fn delete_hindrance(&self, _key: &str) -> Result<Option<String>> {
        Ok(None)
    }

    async fn examine(&self, _folders: &Folders) -> Result<Vec<ProbeRow>> {
        Ok(Vec::new())
    }

    fn jitter(&self) -> f64 {
        rand::random()
    }

    /// Servers that speak S3 differ, and bucket policies do: see `store::probe`.
    fn abilities(&self) -> Option<Abilities> {
        None
    }

    fn uploads_are_atomic(&self) -> bool {
        true
    }
}

/// An object from an answer's parts. A part that is missing is an error, never a default: a
/// missing time would look ancient to the sweep.
fn object(key: String, etag_text: Option<&str>, size: Option<i64>, modified: Option<&DateTime>) -> Result<Object> {
    let parts = || -> Option<(ETag, u64, Timestamp)> {
        Some((etag(etag_text?), u64::try_from(size?).ok()?, timestamp(modified?)?))
    };
    let Some((etag, size_bytes, modified)) = parts() else {
        return Err(Error::new(ErrorKind::Corrupt, format!("reading what the store says of {key:?}"))
            .hint("the answer lacks the ETag, the size or the time"));
    };
    Ok(Object { key, etag, size_bytes, modified, since: modified, sha256: None, user: BTreeMap::new() })
}

/// The object a GET answered from; of a part, the whole size is in `Content-Range`.
fn read_object(key: &str, output: &GetObjectOutput) -> Result<Object> {
    let whole = output.content_range().and_then(|range| range.rsplit_once('/')?.1.parse().ok());
    let size = whole.or(output.content_length());
    let object = object(key.to_owned(), output.e_tag(), size, output.last_modified())?;
    Ok(Object { user: user(output.metadata()), ..object })
}

fn no_bytes(object: Object) -> Read {
    Read { object: Object { sha256: None, ..object }, bytes: Bytes::new() }
}

fn user(metadata: Option<&HashMap<String, String>>) -> BTreeMap<String, String> {
    metadata.into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())).collect()
}
