//! What yrm published last, where somebody else has written a repository's metadata since. What it had taken out or pruned
//! by then stays out (whoever writes metadata from the files of a folder names what only waits for the clean-up), and little
//! of the rest may be lost.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;

use super::described::Described;
use super::folder::Present;
use crate::bucket::Bucket;
use crate::bucket::catalog::Catalog;
use crate::bucket::generations::generations;
use crate::bucket::observe::load_catalog;
use crate::bucket::report::Names;
use crate::bucket::state::Current;
use crate::error::Result;
use crate::store::key::{self, RepositoryDir};
use crate::store::{ETag, Object};

/// The newest revision of which yrm knows what it held.
pub(crate) struct Before {
    /// Its number.
    pub(super) revision: u64,
    /// When it was published.
    since: Timestamp,
    /// What it held.
    pub(super) catalog: Catalog,
    /// The copies of the revisions before it, the newest first.
    earlier: Vec<Object>,
}

impl Before {
    /// What was published before `current`; `None` where nothing was, and where `current` is a revision of ours whose
    /// catalog is lost.
    pub(crate) async fn of(bucket: &Bucket, repository: &RepositoryDir, current: &Current) -> Result<Option<Self>> {
        let prefix = key::generations_prefix(repository);
        let mut copies = generations(bucket, repository).await?.copies;
        copies.sort_by_key(|(revision, _)| *revision);
        while let Some((revision, copy)) = copies.pop() {
            // What was kept under its hash was never ours.
            if copy.key[prefix.len()..].contains('-') {
                continue;
            }
            let Some(read) = bucket.store.get(&copy.key, None).await? else { continue };
            if read.bytes == current.bytes {
                return Ok(None);
            }
            let Some(catalog) = load_catalog(bucket, repository, &read.bytes).await? else { continue };
            let earlier = copies.into_iter().rev().map(|(_, copy)| copy).collect();
            return Ok(Some(Self { revision, since: copy.modified, catalog, earlier }));
        }
        Ok(None)
    }

    /// Leaves out what had left by then and has not been written again since; the names of that.
    pub(super) async fn leave_out(
        &self,
        bucket: &Bucket,
        repository: &RepositoryDir,
        there: &mut Present,
    ) -> Result<Names> {
        let mut suspects = there.found(|href| self.catalog.entries.position(href).is_none(), self.since);
        let mut had_left = BTreeSet::new();
        for copy in &self.earlier {
            if suspects.is_empty() {
                break;
            }
            let Some(read) = bucket.store.get(&copy.key, None).await? else { continue };
            let Some(catalog) = load_catalog(bucket, repository, &read.bytes).await? else { continue };
            had_left.extend(held(&catalog, &mut suspects));
        }
        there.leave_out(&had_left);
        Ok(had_left.into_iter().collect())
    }

    /// The packages that it held and that are named no more.
    pub(super) fn lost(&self, described: &Described) -> Names {
        let hrefs = (0..self.catalog.entries.len()).map(|at| self.catalog.entries.href(at));
        hrefs.filter(|href| described.position(href).is_none()).map(str::to_owned).collect()
    }
}

/// Takes those out of `suspects` that a revision held, with the same bytes.
fn held(catalog: &Catalog, suspects: &mut HashMap<String, ETag>) -> Vec<String> {
    let mut found = Vec::new();
    suspects.retain(|href, etag| {
        let was_there = catalog.entries.at(href).is_some_and(|entry| entry.etag == etag.as_str());
        if was_there {
            found.push(href.clone());
        }
        !was_there
    });
    found
}
