//! What lies in the folder of a repository that is taken over, and which of it is whose.

use std::collections::HashSet;

use futures::{StreamExt as _, TryStreamExt as _};
use tokio::sync::OwnedSemaphorePermit;

use super::described::Described;
use crate::bucket::catalog::Entries;
use crate::bucket::generations;
use crate::bucket::href::is_outside;
use crate::bucket::listing::list_all;
use crate::bucket::report::Names;
use crate::bucket::{Bucket, Share};
use crate::error::Result;
use crate::store::Object;
use crate::store::key::{self, Key, RepositoryDir};

/// A package that is there.
pub(super) struct There {
    /// Its path, where it lies beside the folder.
    beside: Option<String>,
    pub(super) object: Object,
}

impl There {
    /// Its path in the repository, whose keys begin with so many bytes.
    pub(super) fn href(&self, prefix_bytes: usize) -> &str {
        self.beside.as_deref().unwrap_or_else(|| &self.object.key[prefix_bytes..])
    }

    /// Whether it lies beside the folder.
    pub(super) fn is_beside(&self) -> bool {
        self.beside.is_some()
    }
}

/// The folder, as listed.
pub(super) struct Folder {
    prefix: String,
    /// In byte order.
    objects: Vec<Object>,
    /// Folders below that are repositories of their own.
    nested: HashSet<String>,
}

impl Folder {
    pub(super) async fn list(bucket: &Bucket, repository: &RepositoryDir) -> Result<Self> {
        let prefix = key::repository_prefix(&bucket.policy.folders, repository);
        let objects = list_all(bucket.store.as_ref(), &prefix).await?;
        Ok(Self::of(prefix, objects))
    }

    /// The same, and leave to take so much over.
    pub(super) async fn list_with_leave(
        bucket: &Bucket,
        repository: &RepositoryDir,
    ) -> Result<(Self, Option<OwnedSemaphorePermit>)> {
        let prefix = key::repository_prefix(&bucket.policy.folders, repository);
        let (objects, room) = bucket.list_with_leave(&prefix, Share::One).await?;
        Ok((Self::of(prefix, objects), room))
    }

    fn of(prefix: String, mut objects: Vec<Object>) -> Self {
        // It is, but for stores that list in an order of their own.
        objects.sort_by(|a, b| a.key.cmp(&b.key));
        let nested =
            objects.iter().filter_map(|object| generations::inner_repository(&object.key[prefix.len()..])).collect();
        Self { prefix, objects, nested }
    }

    /// How many bytes come before a path in it.
    pub(super) fn prefix_bytes(&self) -> usize {
        self.prefix.len()
    }

    /// Whether something lies at a path in it.
    pub(super) fn holds(&self, href: &str) -> bool {
        self.position(href).is_some()
    }

    fn position(&self, href: &str) -> Option<usize> {
        self.objects.binary_search_by(|object| object.key[self.prefix.len()..].cmp(href)).ok()
    }

    /// The files in `repodata/` that are called as primary is, with or without their digest.
    pub(super) fn primaries(&self) -> impl Iterator<Item = &Object> {
        self.objects.iter().filter(|object| {
            let name = object.key[self.prefix.len()..].strip_prefix("repodata/");
            let name = name.map(|name| name.split_once('-').map_or(name, |(_, name)| name));
            name.is_some_and(|name| name.starts_with("primary.xml") && !name.contains('/'))
        })
    }

    /// Whether this is a package of this repository and of none below.
    fn is_its_package(&self, bucket: &Bucket, repository: &RepositoryDir, object: &Object) -> bool {
        let path = &object.key[bucket.policy.folders.repo.len() + 1..];
        let located = bucket.locator.locate(path);
        let is_its =
            located.is_some_and(|(dir, href)| dir == *repository && href.to_ascii_lowercase().ends_with(".rpm"));
        let href = &object.key[self.prefix.len()..];
        is_its && object.size_bytes > 0 && !generations::folders(href).any(|folder| self.nested.contains(folder))
    }

    /// All its packages.
    pub(super) fn packages(self, bucket: &Bucket, repository: &RepositoryDir) -> Vec<There> {
        let mut objects = self.objects;
        let folder = Self { objects: Vec::new(), ..self };
        objects.retain(|object| folder.is_its_package(bucket, repository, object));
        objects.into_iter().map(|object| There { beside: None, object }).collect()
    }

    /// What `named` names and is there, in the order of its paths; the paths that are not there; and the keys of this
    /// repository's packages that it does not name.
    pub(super) async fn part(self, bucket: &Bucket, repository: &RepositoryDir, named: &impl Paths) -> Result<Parts> {
        let mut parts = Parts::default();
        let mut is_there = vec![false; named.count()];
        let Self { prefix, objects, nested } = self;
        let folder = Self { prefix, objects: Vec::new(), nested };
        for object in objects {
            if let Some(at) = named.position_of(&object.key[folder.prefix.len()..]) {
                is_there[at] = true;
                parts.there.push(There { beside: None, object });
            } else if folder.is_its_package(bucket, repository, &object) {
                parts.unnamed.push(object.key);
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
        while let Some((at, href, object)) = looks.try_next().await? {
            let Some(object) = object else { continue };
            is_there[at] = true;
            parts.there.push(There { beside: Some(href.to_owned()), object });
        }
        let prefix_bytes = folder.prefix.len();
        parts.there.sort_by(|a, b| a.href(prefix_bytes).cmp(b.href(prefix_bytes)));
        for at in (0..named.count()).filter(|at| !is_there[*at]) {
            parts.missing.add(named.path(at).to_owned());
        }
        Ok(parts)
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
#[derive(Default)]
pub(super) struct Parts {
    pub(super) there: Vec<There>,
    pub(super) missing: Names,
    pub(super) unnamed: Vec<String>,
}
