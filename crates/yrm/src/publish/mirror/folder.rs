//! A generation's own folder: repomd.xml and its signature, and the files that it names. All but primary
//! are the repository's own, byte for byte; in primary the way to the packages stands before their hrefs.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use rpmmd::checksum::Sha256;
use rpmmd::repodata::Document;
use rpmmd::repomd::{AnyChecksum, Record, Repomd};

use crate::bucket::Bucket;
use crate::bucket::catalog::FileLayout;
use crate::bucket::listing::list_all;
use crate::bucket::mirrorlist::{REPOMD, SIGNATURE};
use crate::error::{Error, ErrorKind, Result};
use crate::publish::commit::pair;
use crate::publish::copying;
use crate::store::body::Body;
use crate::store::key::{self, Key, MirrorFolder, RepositoryDir};
use crate::store::settle::{self, Copied, Settled};
use crate::store::{Copy, PutIf};

/// Whose folder it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Home {
    /// A generation's own.
    Mirror(MirrorFolder),
    /// A tag's.
    Tag(String),
}

impl Home {
    fn key<'a>(&'a self, repository: &'a RepositoryDir, href: &'a str) -> Key<'a> {
        match self {
            Self::Mirror(folder) => Key::MirrorFile { repository, folder, href },
            Self::Tag(name) => Key::TagFile { repository, name, href },
        }
    }
}

/// What lies in a folder.
#[derive(Debug)]
pub(crate) struct Contents {
    home: Home,
    repomd: Bytes,
    /// What is copied from the repository: the hrefs, and the sizes as far as they are known.
    copied: BTreeMap<String, Option<u64>>,
}

impl Contents {
    /// Of the folder that is derived from a generation, in which primary is cut like this.
    pub(crate) fn of(home: Home, flat: &Repomd, primary: &FileLayout) -> Result<Self> {
        let repomd = derived(flat, primary)?;
        let copied = repomd.records.iter().filter(|record| record.base.is_none());
        let copied = copied.map(|record| (record.href.clone(), record.size)).collect();
        Ok(Self { home, repomd: repomd.write().into(), copied })
    }

    /// Puts all of it where it belongs; what is there stays.
    pub(crate) async fn put(&self, bucket: &Bucket, repository: &RepositoryDir, at: Timestamp) -> Result<()> {
        let copies: Vec<_> = self.copied.keys().map(|href| self.copy(bucket, repository, href)).collect();
        let copies = futures::stream::iter(copies).buffer_unordered(bucket.policy.concurrency).try_collect::<Vec<()>>();
        futures::future::try_join(copies, self.put_pair(bucket, repository, at)).await.map(drop)
    }

    async fn put_pair(&self, bucket: &Bucket, repository: &RepositoryDir, at: Timestamp) -> Result<()> {
        self.put_repomd(bucket, repository).await?;
        self.put_signature(bucket, repository, at).await
    }

    /// All of it again, in an order by which clients find nothing before it is whole: for a folder that nothing names. What
    /// is `made` is not the repository's, and is put.
    pub(crate) async fn put_in_order(
        &self,
        bucket: &Bucket,
        repository: &RepositoryDir,
        made: Option<(&str, &Body)>,
        at: Timestamp,
    ) -> Result<()> {
        if let Some((href, body)) = made {
            let key = self.home.key(repository, href);
            settle::assemble_fixed(bucket.store.as_ref(), &bucket.path(key), body, &[], &key.attributes()).await?;
        }
        let others = self.copied.keys().filter(|href| made.is_none_or(|(made, _)| made != href.as_str()));
        let copies: Vec<_> = others.map(|href| self.copy(bucket, repository, href)).collect();
        futures::stream::iter(copies).buffer_unordered(bucket.policy.concurrency).try_collect::<Vec<()>>().await?;
        self.put_signature(bucket, repository, at).await?;
        self.put_repomd(bucket, repository).await
    }

    async fn put_repomd(&self, bucket: &Bucket, repository: &RepositoryDir) -> Result<()> {
        let key = self.home.key(repository, REPOMD);
        settle::put_fixed(bucket.store.as_ref(), &bucket.path(key), &self.repomd, &key.attributes()).await.map(drop)
    }

    async fn put_signature(&self, bucket: &Bucket, repository: &RepositoryDir, at: Timestamp) -> Result<()> {
        let store = bucket.store.as_ref();
        let (Some(signer), Some(signature)) = (&bucket.signer, pair::sign(bucket, &self.repomd, at).await?) else {
            return Ok(());
        };
        let key = self.home.key(repository, SIGNATURE);
        let (path, attributes) = (bucket.path(key), key.attributes());
        if let Settled::Won(_) = settle::put_settled(store, &path, &signature, &attributes, &PutIf::Absent).await? {
            return Ok(());
        }
        // Two signatures over the same bytes differ, and one is as good as the other.
        match store.get(&path, None).await? {
            Some(there) if signer.has_signed(&self.repomd, &there.bytes) => Ok(()),
            Some(_) | None => settle::put_fixed(store, &path, &signature, &attributes).await.map(drop),
        }
    }

    /// Copies one file into the folder, inside the store where it can.
    async fn copy(&self, bucket: &Bucket, repository: &RepositoryDir, href: &str) -> Result<()> {
        let store = bucket.store.as_ref();
        let from = bucket.path(Key::Metadata { repository, href });
        let missing = || {
            Error::new(ErrorKind::Corrupt, format!("copying {from} into the revision's own folder"))
                .because("it is gone, or has changed")
                .hint("what repomd.xml names is missing; the next change makes primary, filelists and other anew")
        };
        let Some(source) = store.head(&from).await? else { return Err(missing()) };
        let key = self.home.key(repository, href);
        let (target, attributes) = (bucket.path(key), key.attributes());
        match copying::copy(bucket, Copy::of(&source, &target, &attributes)).await? {
            Copied::Done(_) | Copied::Found(_) => Ok(()),
            Copied::Occupied(there) if there.size_bytes == source.size_bytes => Ok(()),
            Copied::Occupied(_) => {
                let body = bucket.cache.fetch_unnamed(store, &from).await?.ok_or_else(missing)?;
                settle::assemble_fixed(store, &target, &body, &[], &attributes).await.map(drop)
            }
            Copied::SourceChanged | Copied::SourceMissing => Err(missing()),
        }
    }

    /// Whether all of it is there, by one listing.
    pub(crate) async fn are_there(&self, bucket: &Bucket, repository: &RepositoryDir) -> Result<bool> {
        let prefix = bucket.path(self.home.key(repository, ""));
        let listed = list_all(bucket.store.as_ref(), &prefix).await?;
        let there: BTreeMap<&str, u64> =
            listed.iter().map(|object| (&object.key[prefix.len()..], object.size_bytes)).collect();
        let is_there =
            |href: &str, size: Option<u64>| there.get(href).is_some_and(|there| size.is_none_or(|size| size == *there));
        Ok(self.copied.iter().all(|(href, size)| is_there(href, *size))
            && is_there(REPOMD, Some(self.repomd.len() as u64))
            && (bucket.signer.is_none() || is_there(SIGNATURE, None)))
    }
}

/// The folder's repomd.xml: the repository's own, but for primary. What lies outside of `repodata/` cannot
/// be reached from the folder and is left out.
fn derived(flat: &Repomd, primary: &FileLayout) -> Result<Repomd> {
    let mut repomd = flat.clone();
    repomd.records.retain(|record| record.base.is_some() || can_lie_in_a_folder(&record.href));
    let unnamed = || Error::new(ErrorKind::Corrupt, format!("reading the catalog: {:?} is no primary", primary.href));
    let sha256: Sha256 = primary
        .href
        .strip_prefix("repodata/")
        .and_then(|name| name.split_once('-')?.0.parse().ok())
        .ok_or_else(unnamed)?;
    let record = repomd.records.iter_mut().find(|record| record.kind == Document::Primary.name());
    let record = record.ok_or_else(unnamed)?;
    *record = Record {
        checksum: AnyChecksum::sha256(sha256),
        open_checksum: None,
        href: primary.href.clone(),
        size: Some(primary.layout.file_bytes()),
        open_size: Some(primary.layout.open_bytes()),
        ..record.clone()
    };
    Ok(repomd)
}

/// Whether the file that a repomd.xml names can be copied into a folder under the same name.
fn can_lie_in_a_folder(href: &str) -> bool {
    let name = href.strip_prefix("repodata/").unwrap_or_default();
    key::is_plain_path(name) && !name.contains('/') && ![REPOMD, SIGNATURE].contains(&href)
}
