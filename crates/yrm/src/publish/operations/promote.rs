//! Putting a published package into another folder too: it becomes a candidate there, and is judged by the rules that hold
//! there.

use super::errand::Promotion;
use crate::bucket::Bucket;
use crate::bucket::inbox::Dropped;
use crate::bucket::verdict::{Candidate, Rejection, Verdict};
use crate::error::{Error, ErrorKind, Result};
use crate::publish::inspect::read::Inspector;
use crate::publish::memory::Memory;
use crate::publish::observe::state_of;
use crate::publish::pass::RunId;
use crate::store::key::Key;

/// A published package as a candidate for its new place.
pub(crate) async fn promoted(bucket: &Bucket, memory: &Memory, promotion: &Promotion, run: RunId) -> Result<Candidate> {
    let Promotion { from, to } = promotion;
    let doing = || format!("promoting {from:?} to {to:?}");
    let refuse = |why: &str| Error::new(ErrorKind::Conflict, doing()).because(why.to_owned());
    let (repository, href) = bucket.locator.locate(from).ok_or_else(|| refuse("it is in no repository"))?;
    let state = state_of(bucket, memory, &repository, run).await?;
    let entry = state.catalog.entries.at(href).ok_or_else(|| refuse("no metadata names that package"))?;
    let key = bucket.path(Key::Package { repository: &repository, href });
    let object = bucket.store.head(&key).await?.ok_or_else(|| refuse("the package is gone"))?;
    let inspector = Inspector::new(bucket.clone(), run.started);
    match inspector.inspect(Dropped { path: to.clone(), object }).await? {
        // One that is signed here becomes other bytes.
        Verdict::Accept(candidate) if candidate.signed.is_some() => Ok(*candidate),
        Verdict::Accept(candidate) => Ok(Candidate { pkgid: Some(entry.pkgid()), ..*candidate }),
        Verdict::Reject(Rejection { message, .. }) => Err(refuse(&message)),
        Verdict::Wait { why, .. } | Verdict::Held { why, .. } => Err(refuse(&why)),
        Verdict::Long(_) | Verdict::Gone => Err(refuse("the package is gone")),
    }
}
