//! Verdicts on uploads, side by side.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use rpmmd::repodata::Document;

use super::archived::Archived;
use super::held::Held;
use super::long::LongReads;
use super::read::Inspector;
use crate::bucket::Bucket;
use crate::bucket::inbox::Dropped;
use crate::bucket::report::Report;
use crate::bucket::verdict::{Candidate, Rejection, Verdict};
use crate::error::{ErrorKind, Result};
use crate::publish::pass::{Pass, RunId, Step};
use crate::store::key::RepositoryDir;

/// Bytes of packages' XML judged and published together: a batch ends with the one that fills it.
const BATCH_BYTES: usize = 64 << 20;

/// What is known, from one run to the next, of files that could not be judged at once.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    /// What takes long to read.
    pub(crate) long: LongReads,
    /// What the store has put into an archive.
    pub(crate) archived: Archived,
}

/// What is thought of a batch.
pub(crate) struct Judged {
    pub(crate) accepted: BTreeMap<RepositoryDir, Vec<Candidate>>,
    pub(crate) rejections: Vec<Rejection>,
    /// How many of the batch were looked at.
    pub(crate) count: usize,
    /// What was put off: it takes long to read.
    pub(crate) long: Vec<Dropped>,
}

/// What is known of a file, or a look at it.
async fn verdict(pending: &Pending, dropped: &Dropped, inspector: &Inspector, run: RunId) -> Result<Verdict> {
    if let Some(known) = pending.archived.verdict(dropped, run.started) {
        return Ok(known);
    }
    let verdict = match pending.long.take(dropped) {
        Some(verdict) => verdict,
        None if pending.long.are_at(dropped) => Ok(Verdict::Long(dropped.clone())),
        None => inspector.inspect(dropped.clone()).await,
    };
    match verdict {
        Err(error) if error.kind() == ErrorKind::Archived => Ok(pending.archived.note(dropped, run.started)),
        verdict => verdict,
    }
}

/// Verdicts on a batch.
pub(crate) async fn judge(
    (bucket, pending): (&Bucket, &Pending),
    batch: &[Dropped],
    inspector: &Inspector,
    pass: Pass<'_>,
    report: &mut Report,
) -> Judged {
    let Pass { run, progress, .. } = pass;
    let inspections: Vec<_> =
        batch.iter().map(|dropped| async move { (dropped, verdict(pending, dropped, inspector, run).await) }).collect();
    let mut verdicts = futures::stream::iter(inspections).buffered(bucket.policy.concurrency);
    let (mut accepted, mut rejections, mut done) = (BTreeMap::<_, Vec<_>>::new(), Vec::new(), 0);
    let (mut long, mut held) = (Vec::new(), Held::of(bucket));
    let mut bytes = 0;
    while bytes < BATCH_BYTES
        && let Some((dropped, verdict)) = verdicts.next().await
    {
        done += 1;
        progress.step(Step::Inspect, done, batch.len());
        match verdict {
            Ok(Verdict::Accept(candidate)) => {
                bytes += Document::ALL.map(|document| candidate.fragments.get(document).len()).iter().sum::<usize>();
                accepted.entry(candidate.repository.clone()).or_default().push(*candidate);
            }
            Ok(Verdict::Reject(rejection)) => rejections.push(rejection),
            Ok(Verdict::Wait { dropped, why }) => report.wait(&dropped, why),
            Ok(Verdict::Long(dropped)) => long.push(dropped),
            Ok(Verdict::Held { dropped, why }) => held.add(&dropped, why, report),
            Ok(Verdict::Gone) => {}
            Err(error) => {
                report.fault(&format!("inspecting {}", dropped.key()), &error);
                report.wait(dropped, error.chain());
            }
        }
    }
    held.tell(report);
    Judged { accepted, rejections, count: done, long }
}
