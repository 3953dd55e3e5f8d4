//! Writing the history: one record for each run that did work.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Mutex;

use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use ulid::Ulid;

use crate::bucket::Bucket;
use crate::bucket::history::{before, load};
use crate::bucket::record::to_json;
use crate::bucket::report::{KeySet, Report};
use crate::error::Result;
use crate::publish::memory::lock;
use crate::store::key::{HISTORY_PREFIX, Key};
use crate::store::{ETag, settle};
use crate::who::Who;

/// Pages of old records that one clean-up deletes; the next goes on.
const MAX_PAGES: usize = 20;

/// Says who uploaded what was answered, as far as it was heard.
pub(crate) fn name_uploaders(bucket: &Bucket, report: &mut Report) {
    let published = report.published.iter().map(|published| (&published.inbox_key, &published.etag));
    let rejected = report.rejected.iter().map(|rejected| (&rejected.inbox_key, &rejected.etag));
    let uploaders = &bucket.uploaders;
    let known = published
        .chain(rejected)
        .filter_map(|(key, etag)| Some((key.clone(), uploaders.of(key, &ETag::new(etag.as_str()))?)));
    report.uploaders = known.collect();
}

/// Whether the report says anything that the newest record does not: a file that cannot be read, or that waits, would
/// else fill the history, minute by minute. `lingering` is what has waited for long; `told` is what was last said of that.
pub(crate) async fn is_news(bucket: &Bucket, report: &Report, lingering: &KeySet, told: &Mutex<u64>) -> bool {
    let waiting = |report: &Report| {
        let long = report.waiting.iter().filter(|waiting| lingering.may_hold(&waiting.inbox_key));
        let mut long: Vec<(&str, &str)> =
            long.map(|waiting| (waiting.inbox_key.as_str(), waiting.reason.as_str())).collect();
        long.sort_unstable();
        (!long.is_empty()).then(|| digest(&long))
    };
    let now = waiting(report);
    let is_new = now.is_some_and(|now| now != std::mem::replace(&mut *lock(told), now));
    if report.changed() || (report.errors.is_empty() && !is_new) {
        return report.changed();
    }
    let newest = load(bucket, 1).await.unwrap_or_default();
    newest.first().is_none_or(|newest| newest.errors != report.errors || (is_new && waiting(newest) != now))
}

/// What is said of files that wait, in eight bytes. How long it takes is no part of it.
fn digest(waiting: &[(&str, &str)]) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (key, reason) in waiting {
        key.hash(&mut hasher);
        reason.chars().filter(|c| !c.is_ascii_digit()).for_each(|c| c.hash(&mut hasher));
    }
    hasher.finish()
}

/// Says who did it and why, and writes the record. Who it is is asked only here: an idle run asks nobody.
pub async fn keep(bucket: &Bucket, report: &mut Report, who: &Who) -> Result<()> {
    report.by = who.name().await.map(str::to_owned);
    report.reason = who.reason().map(str::to_owned);
    write(bucket, report).await
}

/// Writes the run's record: the first things of each list, and how many there were.
pub async fn write(bucket: &Bucket, report: &Report) -> Result<()> {
    let (key, record) = (key_of(report), to_json(&report.abridged())?);
    settle::put_always(bucket.store.as_ref(), &bucket.path(key), &record, &key.attributes()).await
}

/// Deletes records that are older than the policy keeps them; how many there were. `now` is the store's time.
pub async fn trim(bucket: &Bucket, now: Timestamp) -> Result<u64> {
    let kept = SignedDuration::try_from(bucket.policy.history).unwrap_or(SignedDuration::MAX);
    let Ok(limit) = now.checked_sub(kept) else { return Ok(0) };
    let (mut after, mut removed) = (before(limit), 0);
    for _ in 0..MAX_PAGES {
        let page = bucket.store.list(HISTORY_PREFIX, Some(&after)).await?;
        let deletes: Vec<_> =
            page.objects.iter().map(|object| bucket.store.delete(&object.key, &object.etag)).collect();
        let mut deletes = futures::stream::iter(deletes).buffer_unordered(bucket.policy.concurrency);
        while let Some(outcome) = deletes.next().await {
            outcome?;
            removed += 1;
        }
        let Some(next) = page.next else { break };
        after = next;
    }
    Ok(removed)
}

fn key_of(report: &Report) -> Key<'static> {
    let started_ms = u64::try_from(report.started.as_millisecond()).unwrap_or(0);
    let id: Ulid = report.run;
    Key::Run { started_ms, id }
}
