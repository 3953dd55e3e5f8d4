//! Writing the history: one record for each run that did work.

use futures::StreamExt as _;
use ulid::Ulid;

use crate::bucket::Bucket;
use crate::bucket::history::load;
use crate::bucket::listing::list_all;
use crate::bucket::record::to_json;
use crate::bucket::report::Report;
use crate::error::Result;
use crate::store::key::{HISTORY_PREFIX, Key};
use crate::store::{ETag, settle};

/// Records kept in the bucket; the sweep removes older ones.
pub const KEPT_RUNS: usize = 500;

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

/// Whether the report says anything that the newest record does not: a file that cannot be read
/// would else fill the history, minute by minute.
pub(crate) async fn is_news(bucket: &Bucket, report: &Report) -> bool {
    if report.changed() || report.errors.is_empty() {
        return report.changed();
    }
    let newest = load(bucket, 1).await.unwrap_or_default();
    newest.first().is_none_or(|newest| newest.errors != report.errors)
}

/// Writes the run's record: the first things of each list, and how many there were.
pub async fn write(bucket: &Bucket, report: &Report) -> Result<()> {
    let (key, record) = (key_of(report), to_json(&report.abridged())?);
    settle::put_always(bucket.store.as_ref(), &bucket.path(key), &record, &key.attributes()).await
}

/// Removes all but the newest [`KEPT_RUNS`].
pub async fn trim(bucket: &Bucket) -> Result<u64> {
    let runs = list_all(bucket.store.as_ref(), HISTORY_PREFIX).await?;
    let deletes: Vec<_> =
        runs.iter().skip(KEPT_RUNS).map(|object| bucket.store.delete(&object.key, &object.etag)).collect();
    let mut deletes = futures::stream::iter(deletes).buffer_unordered(bucket.policy.concurrency);
    let mut removed = 0;
    while let Some(outcome) = deletes.next().await {
        outcome?;
        removed += 1;
    }
    Ok(removed)
}

fn key_of(report: &Report) -> Key<'static> {
    let started_ms = u64::try_from(report.started.as_millisecond()).unwrap_or(0);
    let id: Ulid = report.run;
    Key::Run { started_ms, id }
}
