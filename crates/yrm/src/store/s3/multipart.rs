//! What is too large for one call: files and copies in parts. An upload that does not complete is
//! aborted, so that no invisible parts are paid for; a bucket's lifecycle rule catches the rest.
//!
//! Every part has its SHA-256: buckets with Object Lock refuse parts without a checksum. S3 takes it only
//! where the upload was begun with that algorithm, and then wants it again of each part at the end.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};

use super::answer::Answer;
use super::client::{S3Store, copying, sha256_of, stored, user_metadata};
use super::spelling::{copy_source, digest, quoted};
use super::written::say;
use crate::error::{Error, ErrorKind, Result};
use crate::store::{Attributes, Copy, Object, Outcome, PutIf, Stored};

/// S3 takes no more parts.
const MAX_PARTS: u64 = 10_000;

/// Parts in flight: each uploaded one is held in memory.
pub(super) const UPLOADS_AT_ONCE: usize = 4;

/// Copied parts in flight.
const COPIES_AT_ONCE: usize = 8;

/// One part: its number from 1 on, and its bytes `start..end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    number: i32,
    start: u64,
    end: u64,
}

/// Cuts `size_bytes` into at most [`MAX_PARTS`] parts of at least `part_bytes` (but the last).
fn parts(size_bytes: u64, part_bytes: u64) -> Vec<Part> {
    let part_bytes = part_bytes.max(size_bytes.div_ceil(MAX_PARTS)).max(1);
    (1..)
        .zip((0..size_bytes).step_by(usize::try_from(part_bytes).unwrap_or(usize::MAX)))
        .map(|(number, start)| Part { number, start, end: size_bytes.min(start.saturating_add(part_bytes)) })
        .collect()
}

impl S3Store {
    /// Uploads a file, whatever was there.
    pub(super) async fn upload_in_parts(
        &self,
        key: &str,
        file: &Path,
        size_bytes: u64,
        attributes: &Attributes,
    ) -> Result<Outcome<Stored>> {
        let doing = format!("uploading {} to {key:?}", file.display());
        let source = File::open(file).map_err(|error| {
            Error::new(ErrorKind::Unavailable, format!("opening {}", file.display())).because(error)
        })?;
        let source = Arc::new(source);
        let upload = self.begin(key, attributes, &doing).await?;
        let sent = futures::stream::iter(parts(size_bytes, self.limits.part_bytes))
            .map(|part| self.upload_part(key, &upload, &source, part, &doing))
            .buffer_unordered(UPLOADS_AT_ONCE)
            .try_collect()
            .await;
        let outcome = match sent {
            Ok(sent) => self.complete(key, &upload, sent, PutIf::Always, &doing).await,
            Err(error) => Err(error),
        };
        self.abort_unless_done(key, &upload, &outcome).await;
        outcome
    }

    /// Copies an object over S3's limit for one call.
    pub(super) async fn copy_in_parts(&self, copy: Copy<'_>) -> Result<Outcome<Stored>> {
        let doing = copying(copy);
        let upload = self.begin(copy.target, copy.attributes, &doing).await?;
        let sent: Result<Vec<CompletedPart>, Answer> =
            futures::stream::iter(parts(copy.source.size_bytes, self.limits.copy_part_bytes))
                .map(|part| self.copy_part(copy.source, copy.target, &upload, part.number, part.start..part.end))
                .buffer_unordered(COPIES_AT_ONCE)
                .try_collect()
                .await;
        let outcome = match sent {
            Ok(sent) => self.complete(copy.target, &upload, sent, PutIf::Absent, &doing).await,
            Err(answer) => answer.outcome(&doing),
        };
        self.abort_unless_done(copy.target, &upload, &outcome).await;
        outcome
    }

    pub(super) async fn begin(&self, key: &str, attributes: &Attributes, doing: &str) -> Result<String> {
        let call = self
            .patient
            .create_multipart_upload()
            .bucket(&self.bucket)
            .set_request_payer(self.payer.clone())
            .key(self.full(key))
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .checksum_type(ChecksumType::Composite)
            .content_type(attributes.content_type)
            .set_cache_control(attributes.cache_control.map(str::to_owned))
            .set_metadata(user_metadata(attributes));
        let answer = say!(call, self.headers(attributes)).send().await;
        let output = answer.map_err(|error| Answer::of(&error, doing).error(doing))?;
        let id = output.upload_id().map(str::to_owned);
        id.ok_or_else(|| Error::new(ErrorKind::Unavailable, doing).because("the answer has no upload id"))
    }

    async fn upload_part(
        &self,
        key: &str,
        upload: &str,
        source: &Arc<File>,
        part: Part,
        doing: &str,
    ) -> Result<CompletedPart> {
        let source = Arc::clone(source);
        let read = tokio::task::spawn_blocking(move || {
            let length = usize::try_from(part.end - part.start).map_err(std::io::Error::other)?;
            let mut bytes = vec![0; length];
            source.read_exact_at(&mut bytes, part.start)?;
            Ok::<_, std::io::Error>(bytes)
        });
        let bytes = read
            .await
            .map_err(|error| Error::new(ErrorKind::Internal, doing).because(error))?
            .map_err(|error| Error::new(ErrorKind::Unavailable, doing).because(error))?;
        self.send_part(key, upload, part.number, bytes.into()).await.map_err(|answer| answer.error(doing))
    }

    /// Uploads one part.
    pub(super) async fn send_part(
        &self,
        key: &str,
        upload: &str,
        number: i32,
        bytes: Bytes,
    ) -> Result<CompletedPart, Answer> {
        let sha256 = digest(&sha256_of(&bytes).await.map_err(Answer::Failed)?);
        let answer = self
            .patient
            .upload_part()
            .bucket(&self.bucket)
            .set_request_payer(self.payer.clone())
            .key(self.full(key))
            .upload_id(upload)
            .part_number(number)
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .checksum_sha256(&sha256)
            .body(bytes.into())
            .send()
            .await;
        let output = answer.map_err(|error| Answer::of(&error, format!("uploading a part of {key:?}")))?;
        let part = CompletedPart::builder().part_number(number).checksum_sha256(sha256);
        Ok(part.set_e_tag(output.e_tag().map(str::to_owned)).build())
    }

    /// Copies a range of an object, as it was seen, to one part.
    pub(super) async fn copy_part(
        &self,
        source: &Object,
        target: &str,
        upload: &str,
        number: i32,
        range: Range<u64>,
    ) -> Result<CompletedPart, Answer> {
        // Retrying is safe: a part has no condition on the target, and it is not visible yet.
        let answer = self
            .patient
            .upload_part_copy()
            .bucket(&self.bucket)
            .set_request_payer(self.payer.clone())
            .key(self.full(target))
            .upload_id(upload)
            .part_number(number)
            .copy_source(copy_source(&self.bucket, &self.full(&source.key)))
            .copy_source_if_match(quoted(&source.etag))
            .copy_source_range(format!("bytes={}-{}", range.start, range.end - 1))
            .send()
            .await;
        let output = answer.map_err(|error| Answer::of(&error, format!("copying a part to {target:?}")))?;
        let result = output.copy_part_result();
        let etag = result.and_then(|result| result.e_tag()).map(str::to_owned);
        // S3 has computed it. A store that has not does not ask for it at the end either.
        let sha256 = result.and_then(|result| result.checksum_sha256()).map(str::to_owned);
        Ok(CompletedPart::builder().part_number(number).set_e_tag(etag).set_checksum_sha256(sha256).build())
    }

    pub(super) async fn complete(
        &self,
        key: &str,
        upload: &str,
        mut sent: Vec<CompletedPart>,
        condition: PutIf,
        doing: &str,
    ) -> Result<Outcome<Stored>> {
        sent.sort_by_key(CompletedPart::part_number);
        let (client, if_none_match, if_match) = self.conditional(&condition);
        let answer = client
            .complete_multipart_upload()
            .bucket(&self.bucket)
            .set_request_payer(self.payer.clone())
            .checksum_type(ChecksumType::Composite)
            .key(self.full(key))
            .upload_id(upload)
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(sent)).build())
            .set_if_none_match(if_none_match)
            .set_if_match(if_match)
            .send()
            .await;
        match answer {
            // A checksum of parts is composite: nobody knows the whole object's SHA-256.
            Ok(output) => Ok(stored(output.e_tag(), None, doing)),
            Err(error) => Answer::of(&error, doing).outcome(doing),
        }
    }

    /// Forgets an upload and its parts.
    pub(super) async fn abort(&self, key: &str, upload: &str) -> Result<()> {
        const DOING: &str = "aborting an upload in parts";
        let call = self.patient.abort_multipart_upload().bucket(&self.bucket).set_request_payer(self.payer.clone());
        let answer = call.key(self.full(key)).upload_id(upload).send().await;
        answer.map(drop).map_err(|error| Answer::of(&error, DOING).error(DOING))
    }

    /// After an ambiguous completion too: had it applied, there is no upload left to abort.
    pub(super) async fn abort_unless_done(&self, key: &str, upload: &str, outcome: &Result<Outcome<Stored>>) {
        if matches!(outcome, Ok(Outcome::Done(_))) {
            return;
        }
        if let Err(error) = self.abort(key, upload).await {
            tracing::debug!(key, error = error.chain(), "the parts of an unfinished upload may be left");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_every_byte_once_and_are_never_too_many() {
        for (size_bytes, part_bytes) in [(1, 5), (10, 5), (11, 5), (5 << 40, 16 << 20), (100_001, 1)] {
            let parts = parts(size_bytes, part_bytes);
            assert!(parts.len() as u64 <= MAX_PARTS);
            assert_eq!((parts[0].start, parts[parts.len() - 1].end), (0, size_bytes));
            assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start && pair[0].number + 1 == pair[1].number));
        }
    }
}
