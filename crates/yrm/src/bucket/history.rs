//! What changed the bucket, one JSON object for each run and operation, newest first in a listing.
//!
//! The key of a record says when it was, so that only as much is listed and read as was asked for.

use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use ulid::Ulid;

use super::Bucket;
use super::report::Report;
use crate::error::{Error, ErrorKind, Result};
use crate::store::Object;
use crate::store::key::{HISTORY_PREFIX, Key};

/// A longer record is not read: this version writes none, and earlier ones only where very much waited.
const MAX_READ_BYTES: u64 = 8 << 20;
/// Pages of the listing that one look goes through: ten million records.
const MAX_PAGES: usize = 10_000;

/// A run that took longer is not found by what it published.
const A_LONG_RUN: SignedDuration = SignedDuration::from_hours(24);
/// The store's clock and the writer's are not further apart.
const CLOCKS_APART: SignedDuration = SignedDuration::from_mins(15);
/// Records that are looked at for one thing that was published.
const MOST_AROUND: usize = 500;

/// Which records are wanted.
#[derive(Debug, Clone, Copy)]
pub struct Range {
    /// None that started earlier.
    pub since: Option<Timestamp>,
    /// None that started later.
    pub until: Option<Timestamp>,
    /// So many at most.
    pub limit: usize,
    /// No more than so many are looked at.
    pub most_read: usize,
}

impl Range {
    /// The newest.
    pub fn newest(limit: usize) -> Self {
        Self { since: None, until: None, limit, most_read: usize::MAX }
    }

    /// The newest since then.
    #[must_use]
    pub fn since(self, since: Option<Timestamp>) -> Self {
        Self { since, ..self }
    }

    /// Around a moment at which something was published, as far as clocks and long runs may be apart.
    pub fn around(moment: Timestamp) -> Self {
        let since = moment.checked_sub(A_LONG_RUN).ok();
        let until = moment.checked_add(CLOCKS_APART).ok();
        Self { since, until, limit: 1, most_read: MOST_AROUND }
    }
}

/// Gives `take` the newest records of `range` that it wants, newest first; it answers whether it took one. What is not
/// asked for is not read, and never more than a few records are in memory.
pub async fn each(bucket: &Bucket, range: Range, mut take: impl FnMut(Report) -> Result<bool>) -> Result<()> {
    let mut after = range.until.and_then(|until| until.checked_add(SignedDuration::from_millis(1)).ok()).map(before);
    let (mut looked_at, mut taken) = (0, 0);
    for _ in 0..MAX_PAGES {
        let page = bucket.store.list(HISTORY_PREFIX, after.as_deref()).await?;
        let listed = page.objects.len();
        let wanted: Vec<Object> =
            page.objects.into_iter().take_while(|object| is_since(&object.key, range.since)).collect();
        let is_last = wanted.len() < listed || page.next.is_none();
        // Where each is taken, none is read in vain.
        let ahead = bucket.policy.concurrency.min(range.limit.saturating_sub(taken)).max(1);
        let reads: Vec<_> = wanted.into_iter().map(|object| read(bucket, object)).collect();
        let mut reads = futures::stream::iter(reads).buffered(ahead);
        while taken < range.limit && looked_at < range.most_read {
            looked_at += 1;
            let Some(report) = reads.next().await else { break };
            if let Some(report) = report? {
                taken += usize::from(take(report)?);
            }
        }
        if is_last || taken >= range.limit || looked_at >= range.most_read {
            return Ok(());
        }
        after = page.next;
    }
    Ok(())
}

/// The newest records, at most `limit`, newest first.
pub async fn load(bucket: &Bucket, limit: usize) -> Result<Vec<Report>> {
    let mut newest = Vec::new();
    let take = |report| {
        newest.push(report);
        Ok(true)
    };
    each(bucket, Range::newest(limit), take).await?;
    Ok(newest)
}

/// The newest record of `range` of which `is_it` holds.
pub async fn first(bucket: &Bucket, range: Range, is_it: impl Fn(&Report) -> bool) -> Result<Option<Report>> {
    let mut found = None;
    let take = |report| {
        let holds = is_it(&report);
        if holds {
            found = Some(report);
        }
        Ok(holds)
    };
    each(bucket, Range { limit: 1, ..range }, take).await?;
    Ok(found)
}

/// The record of one run or operation.
pub async fn find(bucket: &Bucket, run: Ulid) -> Result<Report> {
    let key = bucket.path(Key::Run { started_ms: run.timestamp_ms(), id: run });
    let doing = || format!("looking for {run} in the history");
    let hint = "`yrm history --wide` shows the ids of runs and operations";
    let Some(there) = bucket.store.head(&key).await? else {
        let why = "there is no such record: it never was, or it was older than history-days";
        return Err(Error::new(ErrorKind::Conflict, doing()).because(why).hint(hint));
    };
    read(bucket, there).await?.ok_or_else(|| Error::new(ErrorKind::Corrupt, doing()).because("it cannot be read"))
}

/// When what the record with this key tells of started.
pub(crate) fn started_ms(key: &str) -> Option<u64> {
    let (turned, _) = key.strip_prefix(HISTORY_PREFIX)?.split_once('-')?;
    turned.parse::<u64>().ok().map(|turned| u64::MAX - turned)
}

/// The key behind which only records are listed that started before `limit`.
pub(crate) fn before(limit: Timestamp) -> String {
    let limit_ms = u64::try_from(limit.as_millisecond()).unwrap_or(0);
    // What started in this very millisecond comes after it.
    format!("{HISTORY_PREFIX}{:020}-", u64::MAX - limit_ms.saturating_sub(1))
}

fn is_since(key: &str, since: Option<Timestamp>) -> bool {
    let since_ms = since.map_or(0, |since| u64::try_from(since.as_millisecond()).unwrap_or(0));
    // What is no record is told of when it is read.
    started_ms(key).is_none_or(|started_ms| started_ms >= since_ms)
}

/// A record; `None` with a warning where it cannot be read: history is a help, not a truth.
async fn read(bucket: &Bucket, object: Object) -> Result<Option<Report>> {
    if object.size_bytes > MAX_READ_BYTES {
        tracing::warn!(
            key = object.key,
            size_bytes = object.size_bytes,
            "a record of the history is too long to be read"
        );
        return Ok(None);
    }
    let _piece = bucket.piece(object.size_bytes).await?;
    let Some(read) = bucket.store.get(&object.key, None).await? else { return Ok(None) };
    Ok(match serde_json::from_slice::<Report>(&read.bytes) {
        Ok(report) => Some(report.abridged()),
        Err(error) => {
            tracing::warn!(key = object.key, %error, "a record of the history cannot be read");
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_says_when_it_was_and_older_ones_come_behind() {
        let folders = crate::config::Folders { inbox: "inbox".to_owned(), repo: "repo".to_owned() };
        let at = |ms: u64| Key::Run { started_ms: ms, id: Ulid::from_parts(ms, 7) }.path(&folders);
        assert_eq!(started_ms(&at(1_795_377_600_123)), Some(1_795_377_600_123));
        let limit = before(Timestamp::from_millisecond(1_000).unwrap());
        assert!(at(1_001) < limit && at(1_000) < limit && limit < at(999), "{limit}");
        let since = Some(Timestamp::from_millisecond(1_000).unwrap());
        assert!(is_since(&at(1_000), since) && !is_since(&at(999), since) && is_since(&at(0), None));
    }
}
