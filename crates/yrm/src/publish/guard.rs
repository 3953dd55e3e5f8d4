//! Nothing silently empties: a commit after which too much would be gone is refused.

use crate::bucket::Bucket;
use crate::bucket::report::Names;
use crate::error::{Error, ErrorKind, Result};
use crate::publish::pass::Work;
use crate::store::key::RepositoryDir;

/// A repository that would lose more than this share of its packages in one commit, what
/// retention takes aside, is refused without `allow-shrink`.
const SHRINK_LIMIT_PERCENT: usize = 20;

/// One or two packages are what somebody has named, however small the repository is.
const TAKEN_AT_MOST: usize = 2;

/// Refuses to take more than a fifth of a repository out at once, by an operator's word or by the prune rule, unless
/// that was looked at beforehand, or is a dry run.
pub(crate) fn guard_taking(work: Work<'_>, doing: &str, before: usize, taken: usize) -> Result<()> {
    let Work { bucket, repository, pass, .. } = work;
    let is_little = taken <= TAKEN_AT_MOST || taken * 100 <= before * SHRINK_LIMIT_PERCENT;
    if bucket.policy.allow_shrink || pass.expected.is_some() || is_little {
        return Ok(());
    }
    let what = format!("{doing} {repository}: {taken} of its {before} packages would leave at once");
    Err(Error::new(ErrorKind::Conflict, what).because("that is more than a fifth").hint(
        "nothing was changed; look with --dry-run (yrm prune --dry-run for old versions), then give --expect PLAN, or \
         --allow-shrink once",
    ))
}

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
