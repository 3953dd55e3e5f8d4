//! Which module a published package is of: its header says so, and no metadata does. Packages that were taken
//! over are asked once, when retention is about to count them. Never writes; the next generation's catalog
//! keeps what was learnt.

use futures::StreamExt as _;
use jiff::Timestamp;
use rpmmd::header::{HeaderFile, Parsed};

use super::again::read_header;
use super::describe::label_of;
use super::read::Inspector;
use crate::bucket::Bucket;
use crate::bucket::catalog::Entry;
use crate::bucket::inbox::Dropped;
use crate::bucket::state::State;
use crate::error::Result;
use crate::publish::settlement::Settlement;
use crate::store::key::Key;

/// The state with the labels that retention has to know. What cannot be read stays unknown: it and its
/// kin do not retire then, and the next run asks again.
pub(crate) async fn learn_modules(bucket: &Bucket, state: State, now: Timestamp, settlement: &mut Settlement) -> State {
    if !bucket.pruned.is_on() {
        return state;
    }
    let unread = state.kept(&bucket.gate, &bucket.pruned).unread(now);
    if unread.is_empty() {
        return state;
    }
    tracing::info!(repository = %state.repository, packages = unread.len(), "reading which modules packages are of");
    let inspector = Inspector::new(bucket.clone(), now).of_published();
    let reads: Vec<_> = unread
        .into_iter()
        .map(|at| {
            let (state, inspector) = (&state, &inspector);
            async move { (at, published_label(bucket, inspector, state, &state.catalog.entries.get(at)).await) }
        })
        .collect();
    let mut reads = futures::stream::iter(reads).buffered(bucket.policy.concurrency);
    let (mut labels, mut failed) = (Vec::new(), None);
    while let Some((at, label)) = reads.next().await {
        match label {
            Ok(label) => labels.push((at, label)),
            Err(error) => failed = Some(error),
        }
    }
    drop(reads);
    if let Some(error) = failed {
        settlement.errors.push(format!("reading which modules packages are of: {}", error.chain()));
    }
    if labels.is_empty() { state } else { state.labelled(&labels) }
}

/// What is gone or no package is of no module: nothing can be offered of it.
async fn published_label(bucket: &Bucket, inspector: &Inspector, state: &State, entry: &Entry<'_>) -> Result<String> {
    let key = bucket.path(Key::Package { repository: &state.repository, href: &entry.href });
    let Some(object) = bucket.store.head(&key).await? else { return Ok(String::new()) };
    let dropped = Dropped { path: entry.href.to_string(), object };
    let Some(prefix) = read_header(inspector, &dropped).await? else { return Ok(String::new()) };
    Ok(match HeaderFile::parse_prefix(&prefix) {
        Ok(Parsed::Ready(file)) => label_of(&file),
        Ok(Parsed::Needs(_)) | Err(_) => String::new(),
    })
}
