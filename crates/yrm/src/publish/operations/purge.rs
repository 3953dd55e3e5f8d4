//! Deleting the bytes of packages at once, before the grace period is over: what must not be read any more, by anybody.
//!
//! It is announced before the packages leave the metadata, and done after that; whoever is about to publish the same bytes
//! under the same path finds the announcement and waits. So a crash in between leaves an announcement, and the next
//! clean-up, or the same command again, deletes the bytes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rpmmd::checksum::Sha256;
use tokio::time::Instant;

use super::document::change;
use super::hold::{Holdable, Word};
use crate::bucket::blocks::{Blocks, Purge};
use crate::bucket::observe::load_catalog;
use crate::bucket::report::{Mark, Marked};
use crate::bucket::tags::Tags;
use crate::bucket::{Bucket, document, generations, kept, mirrorlist};
use crate::error::{Error, ErrorKind, Result};
use crate::publish::copying::delete_seen;
use crate::publish::mirror::{self, Terms};
use crate::store::key::{Key, MirrorFolder, RepositoryDir};

/// Revisions that are named where a purge is announced.
const NAMED: usize = 5;

/// Announces the purge of packages, and says who may miss them.
pub(crate) async fn announce(
    bucket: &Bucket,
    packages: &[(RepositoryDir, Holdable)],
    word: &Word,
) -> Result<Vec<Marked>> {
    let mut marked = Vec::new();
    for (repository, package) in packages {
        refuse_shared(bucket, repository, package).await?;
        let (name, nevra) = (repository.path_of(&package.href), Some(package.nevra.clone()));
        let why = None;
        marked.push(Marked {
            mark: Mark::Purge,
            repository: Some(repository.clone()),
            name,
            nevra,
            revision: None,
            why,
        });
    }
    let who = naming(bucket, packages).await?;
    for (one, (repository, package)) in marked.iter_mut().zip(packages) {
        one.why = who.get(&(repository.clone(), package.href.clone())).map(|who| told(who));
    }
    change(bucket, Key::Blocks, |blocks: &mut Blocks| {
        for (repository, package) in packages {
            if blocks.is_being_purged(repository, &package.href) {
                continue;
            }
            blocks.purges.push(Purge {
                repository: repository.clone(),
                href: package.href.clone(),
                nevra: package.nevra.clone(),
                pkgid: package.pkgid.clone(),
                since: word.at,
                by: word.by.clone(),
                reason: word.reason.clone(),
                done: None,
            });
        }
    })
    .await?;
    Ok(marked)
}

/// A package that the metadata of another folder names too is not this repository's alone.
async fn refuse_shared(bucket: &Bucket, repository: &RepositoryDir, package: &Holdable) -> Result<()> {
    let key = bucket.path(Key::Package { repository, href: &package.href });
    if !kept::named_beside(bucket).await?.contains(&key) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Conflict, format!("purging {key}"))
        .because("the metadata of another folder names it too")
        .hint("nothing was changed; remove it there first, and delete the file by hand"))
}

/// The revisions, newest first, that are kept and name each of these packages.
async fn naming(
    bucket: &Bucket,
    packages: &[(RepositoryDir, Holdable)],
) -> Result<BTreeMap<(RepositoryDir, String), Vec<String>>> {
    let mut hrefs: BTreeMap<&RepositoryDir, Vec<&str>> = BTreeMap::new();
    for (repository, package) in packages {
        hrefs.entry(repository).or_default().push(&package.href);
    }
    let mut naming: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for (repository, hrefs) in hrefs {
        let mut copies = generations::generations(bucket, repository).await?.copies;
        let tags = Tags::of(bucket, repository).await?;
        copies.sort_by_key(|(revision, _)| std::cmp::Reverse(*revision));
        for (revision, object) in copies {
            let Some(copy) = bucket.store.get(&object.key, None).await? else { continue };
            let Some(catalog) = load_catalog(bucket, repository, &copy.bytes).await? else { continue };
            let names: Vec<&str> =
                tags.live().filter(|tag| tag.revision == revision).map(|tag| tag.name.as_str()).collect();
            let of_tags = if names.is_empty() { String::new() } else { format!(" (tagged {})", names.join(", ")) };
            for href in hrefs.iter().filter(|href| catalog.entries.position(href).is_some()) {
                let revision = format!("{revision}{of_tags}");
                naming.entry((repository.clone(), (*href).to_owned())).or_default().push(revision);
            }
        }
    }
    Ok(naming)
}

fn told(revisions: &[String]) -> String {
    // Tags are kept for long, and clients are pointed at them: they are named first.
    let (tagged, others): (Vec<&String>, Vec<&String>) = revisions.iter().partition(|one| one.contains(' '));
    let named: Vec<&str> = tagged.into_iter().chain(others).take(NAMED).map(String::as_str).collect();
    let more = revisions.len().saturating_sub(NAMED);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!(
        "deleted at once: clients whose metadata is of revision {}{more} cannot install it any more, and no rollback brings \
         it back",
        named.join(", ")
    )
}

/// Deletes the bytes of what is announced and named no more, and says what that was. `now` is only written down; after `until`
/// no list of mirrors is put any more.
pub(crate) async fn finish(bucket: &Bucket, now: Timestamp, until: Instant) -> Result<Vec<Marked>> {
    let (blocks, Some(said)) = document::load::<Blocks>(bucket, Key::Blocks).await? else { return Ok(Vec::new()) };
    let mut done = Vec::new();
    for purge in blocks.purges.iter().filter(|purge| purge.done.is_none()) {
        if !is_named(bucket, purge, (now, until)).await? {
            delete(bucket, purge, said.modified).await?;
            done.push(purge.clone());
        }
    }
    if done.is_empty() {
        return Ok(Vec::new());
    }
    change(bucket, Key::Blocks, |blocks: &mut Blocks| {
        for purge in blocks.purges.iter_mut().filter(|purge| done.contains(purge)) {
            purge.done = Some(now);
        }
    })
    .await?;
    let marked = done.into_iter().map(|purge| {
        let (name, nevra) = (purge.repository.path_of(&purge.href), Some(purge.nevra));
        Marked { mark: Mark::Purge, repository: Some(purge.repository), name, nevra, revision: None, why: None }
    });
    Ok(marked.collect())
}

/// Whether clients are still told of it: then it has not been taken out yet.
async fn is_named(bucket: &Bucket, purge: &Purge, (at, until): (Timestamp, Instant)) -> Result<bool> {
    let repository = &purge.repository;
    let Some(read) = bucket.store.get(&bucket.path(Key::Repomd { repository }), None).await? else { return Ok(false) };
    let catalog = load_catalog(bucket, repository, &read.bytes).await?;
    // What another program has written is taken over first.
    if catalog.is_none_or(|catalog| catalog.entries.position(&purge.href).is_some()) {
        return Ok(true);
    }
    // Who comes by the list of mirrors is told of what that names, which may not be the truth yet.
    let repomd = Sha256::of(&read.bytes);
    if !lists_another(bucket, repository, repomd).await? {
        return Ok(false);
    }
    let terms = Terms { at, until, look_inside: false };
    mirror::follow(bucket, repository, None, terms).await?;
    lists_another(bucket, repository, repomd).await
}

/// Whether the list of mirrors names another generation than the one with this repomd.xml.
async fn lists_another(bucket: &Bucket, repository: &RepositoryDir, repomd: Sha256) -> Result<bool> {
    let list = mirrorlist::read(bucket, repository).await?;
    let named = list.and_then(|list| MirrorFolder::named_by(&list.bytes));
    Ok(named.is_some_and(|named| named.repomd != repomd))
}

/// Deletes what was there when the announcement was read, at a time by the store's clock. What came later was published
/// anew, when somebody else had ended this purge.
async fn delete(bucket: &Bucket, purge: &Purge, read: Timestamp) -> Result<()> {
    let key = bucket.path(Key::Package { repository: &purge.repository, href: &purge.href });
    match bucket.store.head(&key).await? {
        Some(object) if object.modified <= read => delete_seen(bucket, &key, &object.etag).await,
        Some(_) | None => Ok(()),
    }
}
