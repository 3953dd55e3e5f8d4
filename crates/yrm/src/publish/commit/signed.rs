//! The way of a package with our signature to its place.

use bytes::BytesMut;
use rpmmd::checksum::{Sha256, Sha256Stream};

use crate::bucket::inbox::Dropped;
use crate::bucket::receipt;
use crate::bucket::verdict::{Candidate, Signed};
use crate::bucket::{Bucket, HASH_PIECE_BYTES, aside};
use crate::error::{Error, ErrorKind, Result};
use crate::publish::abilities::abilities;
use crate::publish::copying::{self, delete_seen};
use crate::store::body::Body;
use crate::store::key::Key;
use crate::store::settle::{self, Copied, TRIES};
use crate::store::{Attributes, Copy, LEAST_SENT_BYTES, Object, Reused};

/// A signed file up to this length is put whole: joining it would send as much.
const WHOLE_BYTES: u64 = 8 << 20;

/// Puts the signed file at a free target: joined inside the store under a key of its own, and copied from
/// there like any other. As with any other, it goes on only if its upload is still there.
pub(crate) async fn copy(
    bucket: &Bucket,
    candidate: &Candidate,
    signed: &Signed,
    (target, attributes): (&str, &Attributes),
) -> Result<Copied> {
    for attempt in 0..TRIES {
        settle::pause(bucket.store.as_ref(), attempt).await;
        let Some(source) = join(bucket, candidate, signed).await? else { return Ok(Copied::SourceChanged) };
        // To join a large file takes a while: what left the inbox meanwhile goes no further.
        let copied = match bucket.store.head(candidate.dropped.key()).await? {
            None => Copied::SourceMissing,
            Some(there) if there.etag != *candidate.dropped.etag() => Copied::SourceChanged,
            Some(_) => {
                let (judged, modified) = (candidate.pkgid, Some(candidate.dropped.modified()));
                match copying::copy(bucket, Copy { judged, modified, ..Copy::of(&source, target, attributes) }).await? {
                    // Another writer of the same upload was first with taking away what it had joined.
                    Copied::SourceMissing => continue,
                    // What lies there is not what was judged: it is joined anew.
                    Copied::SourceChanged => {
                        delete_seen(bucket, &source.key, &source.etag).await?;
                        continue;
                    }
                    copied => copied,
                }
            }
        };
        if let Err(error) = delete_seen(bucket, &source.key, &source.etag).await {
            tracing::warn!(
                key = source.key,
                error = error.chain(),
                "a signed package's first copy stays until a clean-up"
            );
        }
        return Ok(copied);
    }
    Err(Error::new(ErrorKind::Conflict, format!("putting the signed {target} in place"))
        .hint("something else deletes in .yrm/signed/; the next run tries again"))
}

/// The signed file under a key of its own; `None` when the upload is no longer what was inspected.
async fn join(bucket: &Bucket, candidate: &Candidate, signed: &Signed) -> Result<Option<Object>> {
    let dropped = &candidate.dropped;
    let pkgid =
        candidate.pkgid.ok_or_else(|| Error::new(ErrorKind::Internal, "placing a signed file of unknown bytes"))?;
    let upload = receipt::digest_of(&dropped.path, dropped.etag());
    let key = Key::Signed { digest: Sha256::of(format!("{upload}\n{pkgid}").as_bytes()) };
    let _piece = bucket.piece(signed.size_bytes).await?;
    let Some((body, sent_bytes)) = body(bucket, dropped, signed, pkgid).await? else { return Ok(None) };
    let from = signed.from + (sent_bytes - signed.start.len() as u64);
    let rest = Reused { at: sent_bytes..signed.size_bytes, object: &dropped.object, from };
    let reused = if body.is_whole() { &[][..] } else { std::slice::from_ref(&rest) };
    settle::join_own(bucket.store.as_ref(), &bucket.path(key), &body, reused, &key.attributes()).await
}

/// The signed file, or its beginning where the store can join the rest of it; and how much of it there is,
/// which is never less than its new start. `None` when the upload is no longer what was judged, as far as that can be
/// seen: of what a store joins by itself, the store looks where it can.
async fn body(bucket: &Bucket, dropped: &Dropped, signed: &Signed, pkgid: Sha256) -> Result<Option<(Body, u64)>> {
    let Signed { start, from, size_bytes, .. } = signed;
    let start_bytes = start.len() as u64;
    let piece = async |range: std::ops::Range<u64>| {
        let read = bucket.store.get(dropped.key(), Some(range.clone())).await?;
        let whole = |read: &crate::store::Read| {
            read.object.etag == *dropped.etag() && read.bytes.len() as u64 == range.end - range.start
        };
        Ok::<_, Error>(read.filter(whole).map(|read| read.bytes))
    };
    let joins = abilities(bucket).await?.range_copy;
    if *size_bytes <= WHOLE_BYTES || joins {
        let sent_bytes = if *size_bytes <= WHOLE_BYTES { *size_bytes } else { LEAST_SENT_BYTES.max(start_bytes) };
        let Some(bytes) = piece(*from..from + (sent_bytes - start_bytes)).await? else { return Ok(None) };
        let mut beginning = BytesMut::from(&start[..]);
        beginning.extend_from_slice(&bytes);
        let beginning = beginning.freeze();
        let length_bytes = *size_bytes;
        let is_all = sent_bytes == length_bytes;
        let bytes = beginning.clone();
        if is_all && aside("hashing a signed package", move || Sha256::of(&bytes)).await? != pkgid {
            return Ok(None);
        }
        let begun = |beginning| Body::Begun { beginning, length_bytes, judged: Some(pkgid) };
        let body = if is_all { Body::Memory(beginning) } else { begun(beginning) };
        return Ok(Some((body, sent_bytes)));
    }
    let mut spool = bucket.cache.spool(bucket.store.as_ref());
    let (mut next, mut at, end) = (start.clone(), *from, from + (size_bytes - start_bytes));
    let mut digest = Sha256Stream::default();
    loop {
        let write = move || {
            digest.update(&next);
            std::io::Write::write_all(&mut spool, &next).map(|()| (spool, digest))
        };
        (spool, digest) = aside("signing a package", write)
            .await?
            .map_err(|source| Error::new(ErrorKind::Unavailable, "writing a signed package").because(source))?;
        if at >= end {
            return Ok((digest.finish() == pkgid).then(|| (spool.finish(), *size_bytes)));
        }
        let Some(bytes) = piece(at..end.min(at + HASH_PIECE_BYTES)).await? else { return Ok(None) };
        at += bytes.len() as u64;
        next = bytes;
    }
}
