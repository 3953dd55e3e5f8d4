//! After the switch: answers, quarantine, and the inbox. Nothing here is needed for a reader to
//! be right, and the next run finishes what a crash leaves undone.
//!
//! An inbox object goes only while it has the ETag that was published or rejected; a file that
//! replaced it meanwhile stays for the next run.

use std::time::Duration;

use futures::StreamExt as _;
use rpmmd::checksum::Sha256;
use tokio::time::Instant;
use ulid::Ulid;

use super::answer;
use crate::bucket::Bucket;
use crate::bucket::inbox::Dropped;
use crate::bucket::receipt::Receipt;
use crate::bucket::report::{Published, Rejected, Report};
use crate::bucket::verdict::Rejection;
use crate::bucket::{receipt, record};
use crate::error::{Error, Result};
use crate::publish::copying;
use crate::store::key::Key;
use crate::store::settle::{self, Copied};
use crate::store::{Copy, ETag, Object};

/// After this long the inbox is looked at again before anything is taken out of it: somebody may
/// have published the file, and have uploaded the same bytes anew after an operator removed them.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// Answers the uploader and takes the published object out of the inbox. `listed` is when that was
/// seen. What was not uploaded (a promoted package) is nobody's to answer or to take out.
pub(crate) async fn published(
    bucket: &Bucket,
    dropped: &Dropped,
    published: &Published,
    listed: Instant,
) -> Result<(), Untidied> {
    if !dropped.is_in_inbox(&bucket.policy.folders) {
        return Ok(());
    }
    let answered_before = published.already_there && receipt::says_published(bucket, dropped).await?;
    let tidied = async {
        let is_late = listed.elapsed() > LOOK_AGAIN_AFTER;
        let there = if is_late { bucket.store.head(dropped.key()).await? } else { None };
        // Its answer would take the place of the one to the upload that came after it.
        let is_dropped_anew =
            there.as_ref().is_some_and(|there| there.etag == *dropped.etag() && there.modified != dropped.modified());
        if !answered_before && !is_dropped_anew {
            answer::write(bucket, dropped, &Receipt::Published(published.clone())).await?;
        }
        if is_late && there.is_none_or(|there| is_other(&there, dropped)) {
            return Ok(());
        }
        take_out(bucket, dropped).await
    };
    tidied.await.map_err(|error| Untidied { error, answered_before })
}

/// A published upload that is still in the inbox.
#[derive(Debug)]
pub(crate) struct Untidied {
    /// Why.
    pub(crate) error: Error,
    /// Whether an earlier run has answered it, and only this was left to do.
    pub(crate) answered_before: bool,
}

impl From<Error> for Untidied {
    fn from(error: Error) -> Self {
        Self { error, answered_before: false }
    }
}

/// Whether the inbox object is another than the one that was judged, be it of the same bytes.
async fn is_another_upload(bucket: &Bucket, dropped: &Dropped) -> Result<bool> {
    let there = bucket.store.head(dropped.key()).await?;
    Ok(there.is_none_or(|there| is_other(&there, dropped)))
}

fn is_other(there: &Object, dropped: &Dropped) -> bool {
    there.etag != *dropped.etag() || there.modified != dropped.modified()
}

/// Sets aside what was turned down, and tells it.
pub(crate) async fn quarantine_all(bucket: &Bucket, rejections: Vec<Rejection>, report: &mut Report) {
    let moves: Vec<_> =
        rejections.iter().map(|rejection| async move { (rejection, quarantine(bucket, rejection).await) }).collect();
    let mut moves = futures::stream::iter(moves).buffered(bucket.policy.concurrency);
    while let Some((rejection, moved)) = moves.next().await {
        match moved {
            Ok(Some(record)) => report.rejected.push(record),
            Ok(None) => {}
            Err(error) => {
                let line = report.fault(&format!("moving {} to quarantine", rejection.dropped.key()), &error);
                report.trouble.unfinished(&error, &line);
                report.wait(&rejection.dropped, error.chain());
            }
        }
    }
}

/// Moves a rejected file to quarantine, with its record. `None` when it had left the inbox or
/// changed: then it is not what was judged.
async fn quarantine(bucket: &Bucket, rejection: &Rejection) -> Result<Option<Rejected>> {
    let dropped = &rejection.dropped;
    let id = quarantine_id(dropped);
    let target = Key::Quarantined { path: &dropped.path, id };
    let quarantine_key = bucket.path(target);
    let attributes = target.attributes();
    // Nobody installs from there, and what is released is judged anew. What an operator is shown is what was judged, but
    // for a large file: to read that once more would keep the next uploads waiting.
    let judged = rejection.sha256;
    let copy = Copy { may_share: true, judged, ..Copy::of(&dropped.object, &quarantine_key, &attributes) };
    let another_try = match copying::copy(bucket, copy).await? {
        Copied::Done(_) => false,
        // The name is this upload's own: if it is taken, another try put the same file there.
        Copied::Found(_) | Copied::Occupied(_) => true,
        Copied::SourceChanged | Copied::SourceMissing => return Ok(None),
    };
    let rejected = Rejected {
        inbox_key: dropped.key().to_owned(),
        etag: dropped.etag().to_string(),
        code: rejection.reason.code().to_owned(),
        message: rejection.message.clone(),
        hint: rejection.reason.hint().to_owned(),
        size_bytes: dropped.object.size_bytes,
        sha256: rejection.sha256.map(|digest| digest.to_string()),
        quarantine_key,
        first_seen: dropped.modified(),
    };
    if another_try && let Some(said) = answer_of(bucket, &rejected, &dropped.path).await {
        take_out(bucket, dropped).await?;
        return Ok(Some(said));
    }
    let record = Key::QuarantineRecord { path: &dropped.path, id };
    let bytes = record::attributed(bucket, &dropped.path, dropped.etag(), &rejected)?;
    let (record_key, attributes) = (bucket.path(record), record.attributes());
    // One after the other: whoever finds the receipt relies on the record.
    settle::put_fixed(bucket.store.as_ref(), &record_key, &bytes, &attributes).await?;
    answer::write(bucket, dropped, &Receipt::Rejected(rejected.clone())).await?;
    take_out(bucket, dropped).await?;
    Ok(Some(rejected))
}

/// What an earlier try has answered this very upload: that stands, whatever another publisher would say of it. Only the
/// inbox object is left to take out, and an idle run writes nothing.
async fn answer_of(bucket: &Bucket, rejected: &Rejected, path: &str) -> Option<Rejected> {
    match receipt::read(bucket, path, &ETag::new(rejected.etag.as_str())).await {
        Ok(Some(Receipt::Rejected(said))) if said.quarantine_key == rejected.quarantine_key => Some(said),
        _ => None,
    }
}

/// Takes out an upload that was published before, and whose package has been removed since. Somebody may have
/// uploaded the same bytes anew, to have them published again: in S3 only their time tells.
pub(crate) async fn take_out_leftover(bucket: &Bucket, dropped: &Dropped) -> Result<()> {
    if is_another_upload(bucket, dropped).await? {
        return Ok(());
    }
    take_out(bucket, dropped).await
}

/// Deletes the inbox object if it is still the one that was judged.
pub(crate) async fn take_out(bucket: &Bucket, dropped: &Dropped) -> Result<()> {
    copying::delete_seen(bucket, dropped.key(), dropped.etag()).await
}

/// The id under which an upload is quarantined: of the time it arrived and what it is, so that
/// two instances, or two tries, that reject the same upload make one object of it.
fn quarantine_id(dropped: &Dropped) -> Ulid {
    let arrived_ms = u64::try_from(dropped.modified().as_millisecond()).unwrap_or(0);
    let digest = Sha256::of(format!("{}\n{}", dropped.key(), dropped.etag()).as_bytes());
    let (random, _) = digest.as_bytes().split_first_chunk::<16>().expect("a digest has 32 bytes");
    Ulid::from_parts(arrived_ms, u128::from_be_bytes(*random))
}
