//! Objects joined from what is sent and from ranges of objects that are there: a new metadata
//! file is mostly its predecessor.
//!
//! S3 wants parts of 5 MiB, but for the last. So what lies between two copied ranges is sent
//! together with as much of what could have been copied as is missing.

use std::ops::Range;

use aws_sdk_s3::types::CompletedPart;
use futures::{StreamExt as _, TryStreamExt as _};
use rpmmd::repodata::ReadRange as _;

use super::answer::Answer;
use super::client::{Limits, S3Store};
use super::multipart::UPLOADS_AT_ONCE;
use crate::error::{Error, ErrorKind, Result};
use crate::store::body::Body;
use crate::store::{Assembled, Attributes, Object, Outcome, PutIf, Reused, Store as _};

/// Where a part's bytes come from.
#[derive(Debug, Clone, Copy)]
enum From<'a> {
    /// From here.
    Body,
    /// From an object, from this offset on.
    Object(&'a Object, u64),
}

/// One part: its range of the body.
#[derive(Debug, Clone)]
struct Part<'a> {
    at: Range<u64>,
    from: From<'a>,
}

/// Cuts a body into parts that S3 takes.
fn plan<'a>(size_bytes: u64, reused: &[Reused<'a>], limits: &Limits) -> Vec<Part<'a>> {
    let mut parts = Vec::new();
    let mut sent_to = 0;
    for Reused { at, object, from } in reused {
        // The part sent before must be long enough.
        let start = if at.start == sent_to { at.start } else { at.start.max(sent_to + limits.min_part_bytes) };
        let long_enough = at.end == size_bytes || at.end.saturating_sub(start) >= limits.min_part_bytes;
        if at.start < sent_to || start >= at.end || !long_enough {
            continue;
        }
        send(&mut parts, sent_to..start, limits);
        copy(&mut parts, Reused { at: start..at.end, object, from: from + (start - at.start) }, limits);
        sent_to = at.end;
    }
    send(&mut parts, sent_to..size_bytes, limits);
    parts
}

fn send(parts: &mut Vec<Part<'_>>, range: Range<u64>, limits: &Limits) {
    parts.extend(even(range, limits.part_bytes).map(|at| Part { at, from: From::Body }));
}

fn copy<'a>(parts: &mut Vec<Part<'a>>, reused: Reused<'a>, limits: &Limits) {
    let Reused { at, object, from } = reused;
    let start = at.start;
    parts.extend(
        even(at, limits.copy_part_bytes).map(|at| Part { from: From::Object(object, from + (at.start - start)), at }),
    );
}

/// A range in pieces of about the same length, at most `limit` each.
fn even(range: Range<u64>, limit: u64) -> impl Iterator<Item = Range<u64>> {
    let length = range.end - range.start;
    let pieces = length.div_ceil(limit);
    (0..pieces).map(move |piece| range.start + length * piece / pieces..range.start + length * (piece + 1) / pieces)
}

impl S3Store {
    pub(super) async fn join(
        &self,
        key: &str,
        body: &Body,
        reused: &[Reused<'_>],
        attributes: &Attributes,
        condition: PutIf,
    ) -> Result<Outcome<Assembled>> {
        let doing = format!("putting {key:?}");
        let size_bytes = body.length_bytes();
        let parts = plan(size_bytes, reused, &self.limits);
        let sent_bytes =
            parts.iter().filter(|part| matches!(part.from, From::Body)).map(|part| part.at.end - part.at.start).sum();
        // One call is simpler and tells the SHA-256, but sends everything.
        let at_once = size_bytes <= self.limits.single_assemble_bytes && sent_bytes > 0 && body.is_whole();
        if at_once || size_bytes == 0 {
            return self.put_body(key, body, attributes, condition).await;
        }
        let upload = self.begin(key, attributes, &doing).await?;
        let parts: Vec<_> =
            (1..).zip(parts).map(|(number, part)| self.part(key, &upload, number, body, part)).collect();
        let sent: Result<Vec<CompletedPart>, Answer> =
            futures::stream::iter(parts).buffer_unordered(UPLOADS_AT_ONCE).try_collect().await;
        let outcome = match sent {
            Ok(sent) => self.complete(key, &upload, sent, condition, &doing).await,
            Err(answer) => answer.outcome(&doing),
        };
        self.abort_unless_done(key, &upload, &outcome).await;
        Ok(outcome?.map(|stored| Assembled { stored, sent_bytes }))
    }

    async fn part(
        &self,
        key: &str,
        upload: &str,
        number: i32,
        body: &Body,
        Part { at, from }: Part<'_>,
    ) -> Result<CompletedPart, Answer> {
        match from {
            From::Object(object, start) => {
                let range = start..start + (at.end - at.start);
                self.copy_part(object, key, upload, number, range).await
            }
            From::Body => {
                let unreadable = |source: std::io::Error| {
                    Answer::Failed(
                        Error::new(ErrorKind::Unavailable, format!("reading what becomes {key:?}")).because(source),
                    )
                };
                let body = body.clone();
                let read = tokio::task::spawn_blocking(move || body.read(at)).await;
                let bytes = read.map_err(|source| unreadable(std::io::Error::other(source)))?.map_err(unreadable)?;
                self.send_part(key, upload, number, bytes).await
            }
        }
    }

    async fn put_body(
        &self,
        key: &str,
        body: &Body,
        attributes: &Attributes,
        condition: PutIf,
    ) -> Result<Outcome<Assembled>> {
        let bytes = body.whole().map_err(|source| {
            Error::new(ErrorKind::Unavailable, format!("reading what becomes {key:?}")).because(source)
        })?;
        let sent_bytes = bytes.len() as u64;
        Ok(self.put(key, bytes, attributes, condition).await?.map(|stored| Assembled { stored, sent_bytes }))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;

    use super::*;
    use crate::store::ETag;

    const MIB: u64 = 1 << 20;

    fn before() -> Object {
        Object {
            key: "before".to_owned(),
            etag: ETag::new("e"),
            size_bytes: 1000 * MIB,
            modified: Timestamp::UNIX_EPOCH,
            since: Timestamp::UNIX_EPOCH,
            sha256: None,
            user: BTreeMap::new(),
        }
    }

    /// (start, end, whether copied) of each part, in MiB; and that they follow each other.
    fn parts(size_mib: u64, reused_mib: &[(u64, u64)]) -> Vec<(u64, u64, bool)> {
        let object = before();
        let reused: Vec<Reused<'_>> = reused_mib
            .iter()
            .map(|(start, end)| Reused { at: start * MIB..end * MIB, object: &object, from: start * MIB + 7 })
            .collect();
        let parts = plan(size_mib * MIB, &reused, &Limits::default());
        let mut end = 0;
        for (number, part) in parts.iter().enumerate() {
            assert_eq!(part.at.start, end);
            end = part.at.end;
            assert!(part.at.end - part.at.start >= 5 * MIB || number + 1 == parts.len(), "{part:?}");
            if let From::Object(_, from) = part.from {
                assert_eq!(from, part.at.start + 7);
            }
        }
        assert_eq!(end, size_mib * MIB);
        let copied = |part: &Part<'_>| matches!(part.from, From::Object(..));
        parts.iter().map(|part| (part.at.start / MIB, part.at.end / MIB, copied(part))).collect()
    }

    #[test]
    fn what_is_reused_is_copied_and_the_rest_is_sent_in_parts_that_s3_takes() {
        assert_eq!(parts(100, &[(1, 50), (51, 100)]), [(0, 5, false), (5, 50, true), (50, 55, false), (55, 100, true)]);
        assert_eq!(parts(100, &[(0, 99)]), [(0, 99, true), (99, 100, false)]);
    }

    #[test]
    fn ranges_too_short_to_copy_are_sent() {
        assert_eq!(parts(12, &[(1, 8), (9, 11)]), [(0, 12, false)]);
        assert_eq!(parts(40, &[(1, 8), (20, 40)]), [(0, 10, false), (10, 20, false), (20, 40, true)]);
    }

    #[test]
    fn a_body_that_is_all_there_is_copied_whatever_its_size() {
        assert_eq!(parts(1, &[(0, 1)]), [(0, 1, true)]);
    }

    #[test]
    fn long_ranges_are_several_parts() {
        assert_eq!(parts(33, &[]), [(0, 11, false), (11, 22, false), (22, 33, false)]);
        assert_eq!(parts(600, &[(0, 600)]), [(0, 300, true), (300, 600, true)]);
    }
}
