//! Changing a small document of the bucket by a conditional put, again where somebody else was first.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bucket::record::to_json;
use crate::bucket::{Bucket, document};
use crate::error::{Error, ErrorKind, Result};
use crate::store::PutIf;
use crate::store::key::Key;
use crate::store::settle::{self, Settled};

/// Changes the document under `key` as `change` does, which is asked again from what somebody else made of it meanwhile.
/// What it leaves as it is is not written.
pub(crate) async fn change<T, A>(bucket: &Bucket, key: Key<'_>, mut change: impl FnMut(&mut T) -> A) -> Result<A>
where
    T: DeserializeOwned + Serialize + Default + Clone + PartialEq,
{
    let path = bucket.path(key);
    for attempt in 0..settle::TRIES {
        settle::pause(bucket.store.as_ref(), attempt).await;
        let (before, there): (T, _) = document::load(bucket, key).await?;
        let mut after = before.clone();
        let answer = change(&mut after);
        if after == before {
            return Ok(answer);
        }
        let condition = there.map_or(PutIf::Absent, |there| PutIf::Matches(there.etag));
        let (bytes, attributes) = (to_json(&after)?, key.attributes());
        let put = settle::put_settled(bucket.store.as_ref(), &path, &bytes, &attributes, &condition);
        if let Settled::Won(_) = put.await? {
            return Ok(answer);
        }
    }
    Err(Error::new(ErrorKind::Conflict, format!("changing {path}"))
        .because("others keep changing it")
        .hint("nothing was changed; try again"))
}
