//! What operators do with a whole repository: delete it, and bring it back.
//!
//! A repository that was deleted has a last generation that holds nothing, and no repomd.xml. So a package that arrives
//! makes it anew, the clean-up takes its files when the grace period is over, and until then it can be brought back.

use rpmmd::repomd::Repomd;

use crate::bucket::Bucket;
use crate::bucket::generations;
use crate::bucket::mirrorlist;
use crate::bucket::observe::load_catalog;
use crate::error::{Error, ErrorKind, Result};
use crate::publish::client_file;
use crate::publish::copying::delete_seen;
use crate::store::key::{Key, MirrorFolder, RepositoryDir};

/// Takes away the repomd.xml of a repository that holds nothing any more, its signature and its list of mirrors.
pub(crate) async fn take_away(bucket: &Bucket, repository: &RepositoryDir) -> Result<()> {
    let path = bucket.path(Key::Repomd { repository });
    // Looked at first, and deleted as they were then: whoever publishes there anew puts others in their place.
    let signature = bucket.store.head(&bucket.path(Key::Signature { repository })).await?;
    let list = mirrorlist::read(bucket, repository).await?;
    if let Some(read) = bucket.store.get(&path, None).await? {
        let catalog = load_catalog(bucket, repository, &read.bytes).await?;
        if catalog.is_none_or(|catalog| !catalog.entries.is_empty()) {
            return Err(Error::new(ErrorKind::Conflict, format!("deleting {repository}"))
                .because("somebody published there meanwhile")
                .hint("its packages had left it, and are fetchable for the grace period; look at it, and try again"));
        }
        delete_seen(bucket, &path, &read.object.etag).await?;
    }
    if bucket.store.head(&path).await?.is_some() {
        return Ok(());
    }
    if let Some(there) = signature {
        delete_seen(bucket, &there.key, &there.etag).await?;
    }
    client_file::remove(bucket, repository).await?;
    if let Some(list) = list.filter(|list| MirrorFolder::named_by(&list.bytes).is_some()) {
        delete_seen(bucket, &bucket.path(Key::Mirrorlist { repository }), &list.object.etag).await?;
    }
    Ok(())
}

/// What has to be done to bring a repository back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Restoring {
    /// Its last generation is the one; its repomd.xml is missing or damaged.
    PutBack,
    /// This one was the last to hold anything.
    RollBack(u64),
}

/// Looks at what is left of a repository that was deleted or lost, or whose repomd.xml cannot be read.
pub(crate) async fn to_restore(bucket: &Bucket, repository: &RepositoryDir) -> Result<Restoring> {
    let refuse = |why: &str| Error::new(ErrorKind::Conflict, format!("restoring {repository}")).because(why.to_owned());
    let path = bucket.path(Key::Repomd { repository });
    let mut is_there = false;
    if let Some(read) = bucket.store.get(&path, None).await? {
        is_there = Repomd::read(&read.bytes).is_ok();
        let catalog = if is_there { load_catalog(bucket, repository, &read.bytes).await? } else { None };
        if is_there && catalog.is_none_or(|catalog| !catalog.entries.is_empty()) {
            return Err(refuse("it is there, and has packages").hint(
                "`yrm repo rollback` brings back an earlier revision, `yrm repo rebuild` makes its metadata anew",
            ));
        }
    }
    let mut copies = generations::generations(bucket, repository).await?.copies;
    copies.sort_by_key(|(revision, _)| std::cmp::Reverse(*revision));
    for (at, (revision, object)) in copies.iter().enumerate() {
        let Some(copy) = bucket.store.get(&object.key, None).await? else { continue };
        let Some(catalog) = load_catalog(bucket, repository, &copy.bytes).await? else { continue };
        if !catalog.entries.is_empty() {
            return Ok(if at == 0 && !is_there { Restoring::PutBack } else { Restoring::RollBack(*revision) });
        }
    }
    Err(refuse("no revision of it that had packages is kept").hint(
        "revisions are kept for the grace period; upload the packages again, or restore the bucket from a backup",
    ))
}
