//! Nothing silently empties: a commit after which too much would be gone is refused.

use crate::bucket::Bucket;
use crate::bucket::report::Names;
use crate::error::{Error, ErrorKind, Result};
use crate::store::key::RepositoryDir;

/// A repository that would lose more than this share of its packages in one commit, what
/// retention takes aside, is refused without `allow-shrink`.
const SHRINK_LIMIT_PERCENT: usize = 20;

/// Refuses a commit that would quietly empty a repository.
pub(crate) fn guard_shrink(bucket: &Bucket, repository: &RepositoryDir, before: usize, after: usize) -> Result<()> {
    refuse_loss(bucket, repository, before, before.saturating_sub(after), None)
}

/// The same, of packages that are known by name.
pub(crate) fn guard_loss(bucket: &Bucket, repository: &RepositoryDir, before: usize, lost: &Names) -> Result<()> {
    refuse_loss(bucket, repository, before, lost.len(), Some(lost))
}

fn refuse_loss(
    bucket: &Bucket,
    repository: &RepositoryDir,
    before: usize,
    lost: usize,
    names: Option<&Names>,
) -> Result<()> {
    if bucket.policy.allow_shrink || lost * 100 <= before * SHRINK_LIMIT_PERCENT {
        return Ok(());
    }
    let names = names.map(|names| format!(": {names}")).unwrap_or_default();
    let what = format!("publishing {repository}: {lost} of its {before} packages would disappear{names}");
    Err(Error::new(ErrorKind::Corrupt, what)
        .hint("nothing was changed; find out who deleted them, or accept it once with --allow-shrink"))
}
