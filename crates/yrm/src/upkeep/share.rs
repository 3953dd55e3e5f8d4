//! Several instances, many repositories: each works where no other holds the lease, begins somewhere
//! else than the others, and comes back for what they have left.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt as _;

use super::lease::Leases;
use crate::bucket::Bucket;
use crate::bucket::inbox::{self, Dropped, Listed};
use crate::bucket::report::Report;
use crate::error::Result;
use crate::publish::pass::Pass;
use crate::store::key::RepositoryDir;

/// Leases held at once, at least …
const LEASES_AT_ONCE: usize = 4;
/// … and one for so many calls in flight: whoever takes more than it can work on leaves nothing to the others.
const CALLS_FOR_A_LEASE: usize = 8;

/// How often it is looked whether the others have ended what they do, when nothing else is left to do.
const PATIENCE: u32 = 5;
/// How long before each such look.
const PAUSE: Duration = Duration::from_secs(1);

/// The uploads for one repository; `None` for what belongs to none.
type Share = (Option<RepositoryDir>, Vec<Dropped>);

/// What became of a share.
enum Shared {
    Done(Box<Report>),
    /// Another instance works there.
    Theirs(Share),
}

/// What publishes a share, once it is known that no other instance works there.
pub(crate) trait Publish: Sync {
    /// Publishes what was uploaded, and adds what came of it to the report.
    fn publish(&self, dropped: &[Dropped], pass: Pass<'_>, report: &mut Report) -> impl Future<Output = ()> + Send;
}

/// One instance's part of the work.
#[derive(Debug)]
pub(crate) struct Sharing<'a, P> {
    pub(crate) bucket: &'a Bucket,
    pub(crate) leases: &'a Leases,
    pub(crate) line: &'a P,
}

impl<P> Clone for Sharing<'_, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P> Copy for Sharing<'_, P> {}

/// Publishes the uploads, repository by repository, where no other instance does.
pub(crate) async fn publish_shares(
    sharing: Sharing<'_, impl Publish>,
    dropped: Vec<Dropped>,
    pass: Pass<'_>,
    report: &mut Report,
) {
    let mut shares = shares(sharing.bucket, dropped);
    // Instances that start together begin apart.
    let (count, seed) = (shares.len().max(1), usize::try_from(pass.run.id.random() & 0xFFFF).unwrap_or(0));
    shares.rotate_left(seed % count);
    let mut patience = PATIENCE;
    loop {
        let before = shares.len();
        let mut answers = futures::stream::iter(shares)
            .map(|share| share_one(sharing, share, pass))
            .buffer_unordered(leases_at_once(sharing.bucket));
        let mut theirs = Vec::new();
        while let Some(answer) = answers.next().await {
            match answer {
                Shared::Done(part) => report.absorb(*part),
                Shared::Theirs(share) => theirs.push(share),
            }
        }
        drop(answers);
        // As long as there was work for this instance there was time for the others to end theirs.
        if theirs.len() == before {
            tokio::time::sleep(PAUSE).await;
            patience -= 1;
        }
        if theirs.is_empty() || patience == 0 {
            for (repository, dropped) in theirs {
                let name = repository.map(|repository| repository.to_string()).unwrap_or_default();
                let why = format!("another instance is publishing in {name}");
                for dropped in &dropped {
                    report.wait(dropped, why.clone());
                }
            }
            return;
        }
        shares = theirs;
    }
}

fn leases_at_once(bucket: &Bucket) -> usize {
    LEASES_AT_ONCE.max(bucket.policy.concurrency / CALLS_FOR_A_LEASE)
}

fn shares(bucket: &Bucket, dropped: Vec<Dropped>) -> Vec<Share> {
    let mut shares: BTreeMap<Option<RepositoryDir>, Vec<Dropped>> = BTreeMap::new();
    for dropped in dropped {
        let repository = bucket.locator.locate(&dropped.path).map(|(repository, _)| repository);
        shares.entry(repository).or_default().push(dropped);
    }
    shares.into_iter().collect()
}

async fn share_one(sharing: Sharing<'_, impl Publish>, (repository, dropped): Share, pass: Pass<'_>) -> Shared {
    let Sharing { bucket, leases, line } = sharing;
    let mut report = Report::new(pass.run.id, pass.run.started);
    // What belongs to no repository is rejected by whoever is first.
    let Some(repository) = repository else {
        line.publish(&dropped, pass, &mut report).await;
        return Shared::Done(Box::new(report));
    };
    let held = match leases.take(bucket, &repository, pass.run.id).await {
        Ok(Some(held)) => Some(held),
        Ok(None) => return Shared::Theirs((Some(repository), dropped)),
        Err(error) => {
            tracing::warn!(%repository, error = error.chain(), "working without a lease");
            None
        }
    };
    let work = async {
        match still_dropped(bucket, &repository, &dropped, pass).await {
            Ok(dropped) => line.publish(&dropped, pass, &mut report).await,
            Err(error) => {
                report.fault(&format!("listing the uploads for {repository}"), &error);
                for dropped in &dropped {
                    report.wait(dropped, error.chain());
                }
            }
        }
    };
    match held {
        Some(held) => held.during(bucket, work).await,
        None => work.await,
    }
    Shared::Done(Box::new(report))
}

/// What is in the inbox of `dropped`, now that no other instance takes from it: some may have been
/// published since the inbox was listed.
async fn still_dropped(
    bucket: &Bucket,
    repository: &RepositoryDir,
    dropped: &[Dropped],
    pass: Pass<'_>,
) -> Result<Vec<Dropped>> {
    let known: BTreeSet<&str> = dropped.iter().map(Dropped::key).collect();
    let below = (repository.as_str(), pass.run.started);
    let Listed { dropped, .. } = inbox::list_below(bucket.store.as_ref(), &bucket.policy.folders, below).await?;
    Ok(dropped.into_iter().filter(|dropped| known.contains(dropped.key())).collect())
}
