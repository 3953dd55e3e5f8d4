//! What tags keep, and what is left of those that were taken away: their folders, and their lines in the list.

use jiff::Timestamp;

use crate::bucket::Bucket;
use crate::bucket::tags::{Tag, Tags};
use crate::error::Result;
use crate::publish::operations::document::change;
use crate::store::Object;
use crate::store::key::{Key, RepositoryDir};

/// The tags whose revisions are kept: also of those that were taken away, while clients may still read by them.
pub(crate) fn kept(tags: &Tags, expires: Timestamp) -> impl Iterator<Item = &Tag> {
    tags.tags.iter().filter(move |tag| !is_over(tag, expires))
}

fn is_over(tag: &Tag, expires: Timestamp) -> bool {
    tag.untagged.is_some_and(|at| at < expires)
}

/// What lies in the folders of tags that were taken away before `expires`. A name that was given again keeps its folder.
pub(crate) fn over<'a>(
    bucket: &Bucket,
    repository: &RepositoryDir,
    tags: &Tags,
    listed: &'a [Object],
    expires: Timestamp,
) -> Vec<&'a Object> {
    let is_given_again = |name: &str| kept(tags, expires).any(|tag| tag.name == name);
    let over = tags.tags.iter().filter(|tag| is_over(tag, expires) && !is_given_again(&tag.name));
    let folders: Vec<String> =
        over.map(|tag| bucket.path(Key::TagFile { repository, name: &tag.name, href: "" })).collect();
    listed.iter().filter(|object| folders.iter().any(|folder| object.key.starts_with(folder))).collect()
}

/// Forgets the tags that were taken away before `expires`, now that their folders are gone.
pub(crate) async fn forget(bucket: &Bucket, repository: &RepositoryDir, tags: &Tags, expires: Timestamp) -> Result<()> {
    if !tags.tags.iter().any(|tag| is_over(tag, expires)) {
        return Ok(());
    }
    change(bucket, Key::Tags { repository }, |tags: &mut Tags| tags.tags.retain(|tag| !is_over(tag, expires))).await
}
