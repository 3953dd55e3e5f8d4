//! From a bucket and a key to a presigned address: whether it is one that is signed for, where the bucket is, who signs,
//! and for how long.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_credential_types::Credentials;

use crate::bucket::{Bucket, BucketName, Region};
use crate::chain::{Chain, Surroundings};
use crate::complaint::{Complaint, Result};
use crate::keeper::{Clock as _, Keeper, MachineClock};
use crate::key::Key;
use crate::presign::{Unsigned, lifetime, presign};
use crate::{log, regions};

/// S3 is asked again in which region a bucket is: after so long, or, if it did not say, after so short a time.
const REGION_HOLDS: Duration = Duration::from_hours(24);
const ASK_REGION_AGAIN: Duration = Duration::from_mins(1);
/// A bucket that is not signed for is told of once; no more of them are kept in mind.
const MAX_TOLD: usize = 32;

/// Why there is no address.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The bucket or the key is none that is signed for.
    Foreign(String),
    /// There are no credentials, or something is wrong with the machine's configuration.
    Unable(Complaint),
}

/// Signs for its buckets.
#[derive(Debug)]
pub(crate) struct Signer {
    buckets: Vec<Bucket>,
    expires: Duration,
    chain: Arc<Chain>,
    keeper: Keeper<Arc<Chain>>,
    regions: Mutex<BTreeMap<BucketName, (Region, Instant, Duration)>>,
    told: Mutex<BTreeSet<String>>,
}

impl Signer {
    pub(crate) fn new(buckets: Vec<Bucket>, chain: Chain, expires: Duration) -> Self {
        let chain = Arc::new(chain);
        let keeper = Keeper::new(Arc::clone(&chain), MachineClock);
        Self { buckets, expires, chain, keeper, regions: Mutex::default(), told: Mutex::default() }
    }

    pub(crate) fn buckets(&self) -> &[Bucket] {
        &self.buckets
    }

    pub(crate) fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Credentials that are good now.
    pub(crate) async fn credentials(&self) -> Result<Credentials> {
        self.keeper.credentials().await
    }

    /// The address of an object, signed for one method.
    pub(crate) async fn address(&self, method: &str, bucket: &str, key: &Key) -> Result<String, Refusal> {
        let bucket = self.bucket(bucket, key).map_err(|why| self.foreign(why))?;
        self.signed(method, bucket, key).await.map_err(Refusal::Unable)
    }

    /// The same, for a bucket that is known to be one.
    pub(crate) async fn signed(&self, method: &str, bucket: &Bucket, key: &Key) -> Result<String> {
        let (surroundings, region) = self.place(bucket).await?;
        let address = format!("{}/{}", surroundings.store.address(&bucket.name, &region), key.encoded());
        let credentials = self.keeper.credentials().await?;
        // After the credentials, which may have been waited for.
        let now = self.keeper.clock().wall();
        let lifetime = lifetime(&credentials, now, self.expires)
            .ok_or_else(|| Complaint::new("the credentials of this machine have just expired"))?;
        presign(Unsigned { method, address: &address, service: "s3", region: &region }, &credentials, now, lifetime)
    }

    /// Where a bucket is.
    pub(crate) async fn place(&self, bucket: &Bucket) -> Result<(Surroundings, Region)> {
        let surroundings = self.chain.surroundings().await?;
        if let Some(region) = bucket.region.as_ref().or(self.chain.typed().region.as_ref()) {
            return Ok((surroundings, region.clone()));
        }
        let before = self.regions().get(&bucket.name).cloned();
        if let Some((region, since, holds)) = &before
            && since.elapsed() < *holds
        {
            return Ok((surroundings, region.clone()));
        }
        let nearby = surroundings.region.clone().unwrap_or_else(Region::usual);
        let said = regions::ask(self.chain.outgoing().await?, &surroundings.store, &bucket.name, &nearby).await;
        let known = before.map_or(nearby, |(region, ..)| region);
        let (region, holds) = match said {
            Ok(Some(region)) => (region, REGION_HOLDS),
            Ok(None) => (known, REGION_HOLDS),
            Err(complaint) => {
                log::warn(&format!("the region of {} cannot be found, {known} is used: {complaint}", bucket.name));
                (known, ASK_REGION_AGAIN)
            }
        };
        self.regions().insert(bucket.name.clone(), (region.clone(), Instant::now(), holds));
        Ok((surroundings, region))
    }

    fn regions(&self) -> std::sync::MutexGuard<'_, BTreeMap<BucketName, (Region, Instant, Duration)>> {
        self.regions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bucket(&self, name: &str, key: &Key) -> Result<&Bucket, String> {
        let mut named = self.buckets.iter().filter(|bucket| bucket.name.as_str() == name).peekable();
        if named.peek().is_none() {
            let name: String = name.chars().take(64).filter(char::is_ascii_graphic).collect();
            return Err(format!("the bucket \"{name}\" is not allowed here, only {}", self.listed()));
        }
        named
            .find(|bucket| bucket.covers(key))
            .ok_or_else(|| format!("this key of {name} is not allowed here, only {}", self.listed()))
    }

    /// All buckets, for people.
    pub(crate) fn listed(&self) -> String {
        let all: Vec<String> = self.buckets.iter().map(ToString::to_string).collect();
        all.join(", ")
    }

    /// dnf shows the status of an answer and not what it says: so it is told here, too.
    fn foreign(&self, why: String) -> Refusal {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() < MAX_TOLD && told.insert(why.clone()) {
            log::warn(&why);
        }
        Refusal::Foreign(why)
    }
}
