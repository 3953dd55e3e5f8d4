//! What lies in the folder of a repository that is taken over, and which of it is whose.

use std::collections::{BTreeSet, HashMap, HashSet};

use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use tokio::sync::OwnedSemaphorePermit;

use super::described::Described;
use super::listed::Listed;
use crate::bucket::catalog::Entries;
use crate::bucket::generations;
use crate::bucket::href::is_outside;
use crate::bucket::report::Names;
use crate::bucket::{Bucket, Share};
use crate::error::Result;
use crate::store::key::{self, Key, RepositoryDir};
use crate::store::{ETag, Object};

/// A package that is there.
pub(super) struct There {
    /// Its path in the repository.
    pub(super) href: String,
    /// Whether it lies beside the folder.
    pub(super) is_beside: bool,
    pub(super) object: Object,
}

/// The folder, as listed.
pub(super) struct Folder {
    listed: Listed,
    /// Folders below that are repositories of their own.
    nested: HashSet<String>,
}

impl Folder {
    pub(super) async fn list(bucket: &Bucket, repository: &RepositoryDir) -> Result<Self> {
        let prefix = key::repository_prefix(&bucket.policy.folders, repository);
        let mut listed = Listed::below(prefix.clone());
        bucket.each_of_repo(&prefix, |object| listed.push(&object)).await?;
        Ok(Self::of(listed))
    }

    /// The same, and leave to take so much over.
    pub(super) async fn list_with_leave(
        bucket: &Bucket,
        repository: &RepositoryDir,
    ) -> Result<(Self, Option<OwnedSemaphorePermit>)> {
        let prefix = key::repository_prefix(&bucket.policy.folders, repository);
        let mut listed = Listed::below(prefix.clone());
        let room = bucket.each_with_leave(&prefix, Share::One, |object| listed.push(&object)).await?;
        Ok((Self::of(listed), room))
    }

    fn of(listed: Listed) -> Self {
        let listed = listed.sorted();
        let nested = (0..listed.len()).filter_map(|at| generations::inner_repository(listed.href(at))).collect();
        Self { listed, nested }
    }

    /// How many bytes come before a path in it.
    pub(super) fn prefix_bytes(&self) -> usize {
        self.listed.prefix().len()
    }

    /// Whether something lies at a path in it.
    pub(super) fn holds(&self, href: &str) -> bool {
        self.listed.position(href).is_some()
    }

    /// The files in `repodata/` that are called as primary is, with or without their digest.
    pub(super) fn primaries(&self) -> impl Iterator<Item = Object> {
        let is_primary = |at: &usize| {
            let name = self.listed.href(*at).strip_prefix("repodata/");
            let name = name.map(|name| name.split_once('-').map_or(name, |(_, name)| name));
            name.is_some_and(|name| name.starts_with("primary.xml") && !name.contains('/'))
        };
        (0..self.listed.len()).filter(is_primary).map(|at| self.listed.object(at))
    }

    /// Whether this is a package of this repository and of none below.
    fn is_its_package(&self, bucket: &Bucket, repository: &RepositoryDir, at: usize) -> bool {
        let (key, href) = (self.listed.key(at), self.listed.href(at));
        let located = bucket.policy.folders.below_repo(&key).and_then(|path| bucket.locator.locate(path));
        let is_its =
            located.is_some_and(|(dir, href)| dir == *repository && href.to_ascii_lowercase().ends_with(".rpm"));
        let is_below = || generations::folders(href).any(|folder| self.nested.contains(folder));
        is_its && self.listed.size_bytes(at) > 0 && !is_below()
    }

    /// All its packages.
    pub(super) fn packages(self, bucket: &Bucket, repository: &RepositoryDir) -> Present {
        let order = (0..self.listed.len()).filter(|at| self.is_its_package(bucket, repository, *at));
        let order = order.map(Spot::Inside).collect();
        Present { listed: self.listed, beside: Vec::new(), order }
    }

    /// What `named` names and is there, in the order of its paths; the paths that are not there; and the keys of this
    /// repository's packages that it does not name.
    pub(super) async fn part(self, bucket: &Bucket, repository: &RepositoryDir, named: &impl Paths) -> Result<Parts> {
        let mut is_there = vec![false; named.count()];
        let (mut order, mut unnamed) = (Vec::new(), Vec::new());
        for at in 0..self.listed.len() {
            if let Some(named_at) = named.position_of(self.listed.href(at)) {
                is_there[named_at] = true;
                order.push(Spot::Inside(at));
            } else if self.is_its_package(bucket, repository, at) {
                unnamed.push(self.listed.key(at));
            }
        }
        let beside = (0..named.count()).filter(|at| is_outside(named.path(*at)));
        let looks = beside.map(|at| {
            let href = named.path(at);
            let key = bucket.path(Key::Package { repository, href });
            async move { Ok::<_, crate::error::Error>((at, href, bucket.store.head(&key).await?)) }
        });
        let looks: Vec<_> = looks.collect();
        let mut looks = futures::stream::iter(looks).buffered(bucket.policy.concurrency);
        let mut beside = Vec::new();
        while let Some((at, href, object)) = looks.try_next().await? {
            let Some(object) = object else { continue };
            is_there[at] = true;
            order.push(Spot::Beside(beside.len()));
            beside.push((href.to_owned(), object));
        }
        let mut there = Present { listed: self.listed, beside, order };
        there.sort();
        let mut missing = Names::default();
        for at in (0..named.count()).filter(|at| !is_there[*at]) {
            missing.add(named.path(at).to_owned());
        }
        Ok(Parts { there, missing, unnamed })
    }
}

/// Packages that are there, in the order of their paths.
pub(super) struct Present {
    listed: Listed,
    /// Those beside the folder, with their paths.
    beside: Vec<(String, Object)>,
    order: Vec<Spot>,
}

/// Where a package is.
#[derive(Clone, Copy)]
enum Spot {
    Inside(usize),
    Beside(usize),
}

impl Present {
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Those in the folder that are called so and are as old: their paths and ETags.
    pub(super) fn found(&self, is_wanted: impl Fn(&str) -> bool, before: Timestamp) -> HashMap<String, ETag> {
        let inside = self.order.iter().filter_map(|spot| match *spot {
            Spot::Inside(at) => Some(at),
            Spot::Beside(_) => None,
        });
        let wanted = inside.filter(|at| is_wanted(self.listed.href(*at)));
        let objects = wanted.map(|at| (self.listed.href(at), self.listed.object(at)));
        objects
            .filter(|(_, object)| object.since < before)
            .map(|(href, object)| (href.to_owned(), object.etag))
            .collect()
    }

    /// Leaves these out.
    pub(super) fn leave_out(&mut self, hrefs: &BTreeSet<String>) {
        let Self { listed, order, .. } = self;
        order.retain(|spot| match *spot {
            Spot::Inside(at) => !hrefs.contains(listed.href(at)),
            Spot::Beside(_) => true,
        });
    }

    /// The keys of those beside the folder.
    pub(super) fn keys_beside(&self) -> impl Iterator<Item = &str> {
        self.beside.iter().map(|(_, object)| object.key.as_str())
    }

    /// One after the other.
    pub(super) fn into_packages(self) -> impl Iterator<Item = There> {
        let Self { listed, beside, order } = self;
        order.into_iter().map(move |spot| match spot {
            Spot::Inside(at) => There { href: listed.href(at).to_owned(), is_beside: false, object: listed.object(at) },
            Spot::Beside(at) => {
                let (href, object) = beside[at].clone();
                There { href, is_beside: true, object }
            }
        })
    }

    fn sort(&mut self) {
        let Self { listed, beside, order } = self;
        let href = |spot: &Spot| match *spot {
            Spot::Inside(at) => listed.href(at),
            Spot::Beside(at) => &beside[at].0,
        };
        order.sort_by(|a, b| href(a).cmp(href(b)));
    }
}

/// Paths that something names, in byte order.
pub(super) trait Paths {
    fn count(&self) -> usize;
    fn path(&self, at: usize) -> &str;
    fn position_of(&self, href: &str) -> Option<usize>;
}

impl Paths for Described {
    fn count(&self) -> usize {
        self.len()
    }

    fn path(&self, at: usize) -> &str {
        self.href(at)
    }

    fn position_of(&self, href: &str) -> Option<usize> {
        self.position(href)
    }
}

impl Paths for Entries {
    fn count(&self) -> usize {
        self.len()
    }

    fn path(&self, at: usize) -> &str {
        self.href(at)
    }

    fn position_of(&self, href: &str) -> Option<usize> {
        self.position(href)
    }
}

/// A folder, by what is named of it.
pub(super) struct Parts {
    pub(super) there: Present,
    pub(super) missing: Names,
    pub(super) unnamed: Vec<String>,
}
