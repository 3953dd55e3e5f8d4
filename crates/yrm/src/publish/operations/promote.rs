//! Putting a published package into another folder too: it becomes a candidate there, and is judged by the rules that hold
//! there.

use std::collections::BTreeMap;

use super::errand::Promotion;
use crate::bucket::Bucket;
use crate::bucket::inbox::Dropped;
use crate::bucket::state::State;
use crate::bucket::verdict::{Candidate, Rejection, Verdict};
use crate::error::{Error, ErrorKind, Result};
use crate::publish::inspect::read::Inspector;
use crate::publish::pass::RunId;
use crate::store::key::{Key, RepositoryDir};

/// Where a package is that is to be promoted: its repository, and its path in it.
pub(crate) fn source_of<'p>(bucket: &Bucket, promotion: &'p Promotion) -> Result<(RepositoryDir, &'p str)> {
    bucket.locator.locate(&promotion.from).ok_or_else(|| refuse(promotion, "it is in no repository"))
}

fn refuse(Promotion { from, to }: &Promotion, why: &str) -> Error {
    Error::new(ErrorKind::Conflict, format!("promoting {from:?} to {to:?}")).because(why.to_owned())
}

/// A published package as a candidate for its new place. `states` has every repository that one comes from.
pub(crate) async fn promoted(
    bucket: &Bucket,
    states: &BTreeMap<RepositoryDir, State>,
    promotion: &Promotion,
    run: RunId,
) -> Result<Candidate> {
    let refuse = |why: &str| refuse(promotion, why);
    let (repository, href) = source_of(bucket, promotion)?;
    let entry = states.get(&repository).and_then(|state| state.catalog.entries.at(href));
    let entry = entry.ok_or_else(|| refuse("no metadata names that package"))?;
    let key = bucket.path(Key::Package { repository: &repository, href });
    let object = bucket.store.head(&key).await?.ok_or_else(|| refuse("the package is gone"))?;
    let inspector = Inspector::new(bucket.clone(), run.started);
    match inspector.inspect(Dropped { path: promotion.to.clone(), object }).await? {
        // One that is signed here becomes other bytes.
        Verdict::Accept(candidate) if candidate.signed.is_some() => Ok(*candidate),
        Verdict::Accept(candidate) => Ok(Candidate { pkgid: Some(entry.pkgid()), ..*candidate }),
        Verdict::Reject(Rejection { message, .. }) => Err(refuse(&message)),
        Verdict::Wait { why, .. } | Verdict::Held { why, .. } => Err(refuse(&why)),
        Verdict::Long(_) | Verdict::Gone => Err(refuse("the package is gone")),
    }
}
