//! The advisory lease on a repository: it saves several instances double work, and nothing else.
//! Correctness is in the switch, so whatever goes wrong with a lease the work goes on.
//!
//! Taken by a conditional put, renewed while the work lasts, given back by a conditional delete. No two
//! clocks are compared: a lease is over when its ETag has stayed the same for a whole lifetime by the
//! onlooker's own monotonic clock. So a holder that dies costs the others one lifetime, and one that
//! was frozen and wakes up merely works beside its successor.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{self, Either};
use tokio::time::Instant;
use ulid::Ulid;

use crate::bucket::Bucket;
use crate::error::Result;
use crate::publish::memory::lock;
use crate::store::key::{Key, RepositoryDir};
use crate::store::settle::{self, Settled};
use crate::store::{ETag, PutIf};

/// How long a lease holds after it was last renewed.
pub const LIFETIME: Duration = Duration::from_secs(30);

/// What one instance knows of the leases of others.
#[derive(Debug, Default)]
pub struct Leases {
    seen: Mutex<BTreeMap<RepositoryDir, Seen>>,
}

/// A lease of somebody else, as it was first seen.
#[derive(Debug, Clone)]
struct Seen {
    etag: ETag,
    since: Instant,
}

/// A lease that this instance holds.
#[derive(Debug)]
pub struct Held {
    key: String,
    holder: Ulid,
    /// `None` when somebody else has it by now.
    etag: Option<ETag>,
    renewals: u32,
}

impl Leases {
    /// Takes the lease on `repository` for `holder`; `None` when another instance has it.
    pub async fn take(&self, bucket: &Bucket, repository: &RepositoryDir, holder: Ulid) -> Result<Option<Held>> {
        let key = bucket.path(Key::Lease { repository });
        let condition = match bucket.store.head(&key).await? {
            None => PutIf::Absent,
            Some(there) if self.is_over(repository, &there.etag) => PutIf::Matches(there.etag),
            Some(_) => return Ok(None),
        };
        let mut held = Held { key, holder, etag: None, renewals: 0 };
        if !held.put(bucket, condition).await? {
            return Ok(None);
        }
        lock(&self.seen).remove(repository);
        Ok(Some(held))
    }

    /// Whether the lease that was just seen has stayed as it is for a lifetime.
    fn is_over(&self, repository: &RepositoryDir, etag: &ETag) -> bool {
        let mut seen = lock(&self.seen);
        let now = Instant::now();
        match seen.get(repository) {
            Some(before) if before.etag == *etag => now.duration_since(before.since) >= LIFETIME,
            Some(_) | None => {
                seen.insert(repository.clone(), Seen { etag: etag.clone(), since: now });
                false
            }
        }
    }
}

impl Held {
    /// Does `work`, renewing the lease meanwhile, and gives it back. A lease that was lost ends nothing.
    pub async fn during<T>(mut self, bucket: &Bucket, work: impl Future<Output = T>) -> T {
        // Side by side: a store that takes its time over a renewal must not hold up the work.
        let done = match future::select(std::pin::pin!(work), std::pin::pin!(self.keep(bucket))).await {
            Either::Left((done, _)) => done,
            Either::Right((never, _)) => match never {},
        };
        self.give_back(bucket).await;
        done
    }

    async fn keep(&mut self, bucket: &Bucket) -> Infallible {
        loop {
            tokio::time::sleep(LIFETIME / 3).await;
            self.renew(bucket).await;
        }
    }

    async fn renew(&mut self, bucket: &Bucket) {
        let Some(etag) = self.etag.clone() else { return };
        self.renewals += 1;
        if let Err(error) = self.put(bucket, PutIf::Matches(etag)).await {
            self.etag = None;
            tracing::debug!(key = self.key, error = error.chain(), "the lease was not renewed; the work goes on");
        }
    }

    async fn give_back(self, bucket: &Bucket) {
        let Some(etag) = self.etag else { return };
        if let Err(error) = settle::delete_settled(bucket.store.as_ref(), &self.key, &etag).await {
            tracing::debug!(key = self.key, error = error.chain(), "the lease was not given back; it ends by itself");
        }
    }

    /// Puts it under `condition`; whether it is ours.
    async fn put(&mut self, bucket: &Bucket, condition: PutIf) -> Result<bool> {
        // Other bytes each time, and so another ETag.
        let bytes = Bytes::from(format!("{{\"holder\":\"{}\",\"renewals\":{}}}\n", self.holder, self.renewals));
        let attributes = Key::Lease { repository: &RepositoryDir::new("") }.attributes();
        let settled = settle::put_settled(bucket.store.as_ref(), &self.key, &bytes, &attributes, &condition).await?;
        self.etag = match settled {
            Settled::Won(stored) => Some(stored.etag),
            Settled::Lost => None,
        };
        Ok(self.etag.is_some())
    }
}
