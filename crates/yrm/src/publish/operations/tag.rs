//! Giving a revision a name, by which it is kept and by which clients install, and taking the name away.
//!
//! The name is written down first: from then on no clean-up takes what the revision needs. Then comes the tag's folder, and
//! at its end the repomd.xml by which clients find it. Taken away, the name goes first and then that repomd.xml; what is
//! left goes by the clean-up, when the grace period is over.

use std::collections::HashSet;

use jiff::Timestamp;
use rpmmd::repomd::Repomd;
use ulid::Ulid;

use super::document::change;
use super::hold::Word;
use super::rollback::near_enough;
use crate::bucket::catalog::FileLayout;
use crate::bucket::href::is_outside;
use crate::bucket::mirrorlist::{REPOMD, SIGNATURE};
use crate::bucket::observe::{load_catalog, read_published};
use crate::bucket::report::{Mark, Marked};
use crate::bucket::state::{Current, State};
use crate::bucket::tags::{Tag, Tags, check_name};
use crate::bucket::{Bucket, aside};
use crate::error::{Error, ErrorKind, Result};
use crate::publish::clock;
use crate::publish::commit::render::primary_in_a_folder;
use crate::publish::copying::delete_seen;
use crate::publish::mirror::folder::{Contents, Home};
use crate::store::body::Body;
use crate::store::key::{self, Key, RepositoryDir};

/// Tags a revision, or ends what an earlier try began. `id` is the tag's, if it is a new one.
pub(crate) async fn tag(
    bucket: &Bucket,
    repository: &RepositoryDir,
    (revision, name): (u64, &str),
    (id, word): (Ulid, &Word),
) -> Result<Vec<Marked>> {
    check_name(name)?;
    let refuse =
        |why: String| Error::new(ErrorKind::Conflict, format!("tagging {revision} of {repository}")).because(why);
    let tags = Tags::of(bucket, repository).await?;
    if let Some(other) = tags.named(name).filter(|other| other.revision != revision) {
        return Err(refuse(format!("{name} is the name of {}", other.revision))
            .hint(format!("nothing was changed; take another name, or `yrm repo untag {name}` first")));
    }
    let state = revision_of(bucket, repository, revision).await?;
    if !tags.keep(revision) && !is_current(bucket, repository, &state).await? {
        near_enough(bucket, repository, revision).await?;
    }
    refuse_incomplete(bucket, &state).await?;
    let fresh = Tag {
        id,
        name: name.to_owned(),
        revision,
        since: word.at,
        by: word.by.clone(),
        reason: word.reason.clone(),
        is_whole: false,
        untagged: None,
    };
    let wanted = change(bucket, Key::Tags { repository }, |tags: &mut Tags| match tags.named(name).cloned() {
        Some(there) if there.revision == revision => Some(there),
        Some(_) => None,
        None => {
            tags.tags.push(fresh.clone());
            Some(fresh.clone())
        }
    });
    let tag = wanted.await?.ok_or_else(|| refuse(format!("somebody else has just taken the name {name}")))?;
    if tag.is_whole {
        return Ok(Vec::new());
    }
    put_folder(bucket, &state, &tag, word.at).await?;
    change(bucket, Key::Tags { repository }, |tags: &mut Tags| {
        for there in tags.tags.iter_mut().filter(|there| there.id == tag.id) {
            there.is_whole = true;
        }
    })
    .await?;
    Ok(vec![marking(Mark::Tag, repository, &tag)])
}

/// Takes a name away, or ends what an earlier try began.
pub(crate) async fn untag(bucket: &Bucket, repository: &RepositoryDir, name: &str) -> Result<Vec<Marked>> {
    let tags = Tags::of(bucket, repository).await?;
    if !tags.tags.iter().any(|tag| tag.name == name) {
        return Err(Error::new(ErrorKind::Conflict, format!("untagging {name:?}"))
            .because(format!("{repository} has no tag of that name"))
            .hint("nothing was changed; `yrm repo tags` lists them"));
    }
    let now = clock::store_clock(bucket).await?;
    let marked = change(bucket, Key::Tags { repository }, |tags: &mut Tags| {
        let mut marked = Vec::new();
        for tag in tags.tags.iter_mut().filter(|tag| tag.name == name && tag.untagged.is_none()) {
            tag.untagged = Some(now);
            marked.push(marking(Mark::Untag, repository, tag));
        }
        marked
    });
    let marked = marked.await?;
    for href in [REPOMD, SIGNATURE] {
        let path = bucket.path(Key::TagFile { repository, name, href });
        if let Some(there) = bucket.store.head(&path).await? {
            delete_seen(bucket, &path, &there.etag).await?;
        }
    }
    Ok(marked)
}

fn marking(mark: Mark, repository: &RepositoryDir, tag: &Tag) -> Marked {
    let (name, revision) = (tag.name.clone(), Some(tag.revision));
    Marked { mark, repository: Some(repository.clone()), name, nevra: None, revision, why: None }
}

/// A revision that is kept, as if it were the current one.
async fn revision_of(bucket: &Bucket, repository: &RepositoryDir, revision: u64) -> Result<State> {
    let doing = || format!("reading the revision {revision} of {repository}");
    let copy = bucket.path(Key::Generation { repository, revision });
    let Some(copy) = bucket.store.get(&copy, None).await? else {
        return Err(Error::new(ErrorKind::Conflict, doing())
            .because("it is not kept, or never was")
            .hint("`yrm repo log` lists the revisions that are kept"));
    };
    let damaged = |why: String| Error::new(ErrorKind::Corrupt, doing()).because(why);
    let repomd = Repomd::read(&copy.bytes).map_err(|source| damaged(source.to_string()))?;
    let catalog = load_catalog(bucket, repository, &copy.bytes).await?;
    let catalog = catalog.ok_or_else(|| damaged("its catalog is gone".to_owned()))?;
    let current = Current { etag: None, bytes: copy.bytes, repomd, copied: true };
    Ok(State::published(repository.clone(), current, catalog))
}

async fn is_current(bucket: &Bucket, repository: &RepositoryDir, state: &State) -> Result<bool> {
    let now = bucket.store.get(&bucket.path(Key::Repomd { repository }), None).await?;
    let bytes = state.current.as_ref().map(|current| &current.bytes);
    Ok(now.is_some_and(|now| Some(&now.bytes) == bytes))
}

/// Refuses a revision of which a package is gone: it was deleted by hand, or purged.
async fn refuse_incomplete(bucket: &Bucket, state: &State) -> Result<()> {
    let repository = &state.repository;
    let prefix = key::repository_prefix(&bucket.policy.folders, repository);
    let listed = bucket.list_repo(&prefix).await?;
    let there: HashSet<&str> = listed.iter().filter_map(|object| object.key.strip_prefix(&prefix)).collect();
    let entries = &state.catalog.entries;
    let gone = (0..entries.len()).map(|at| entries.href(at)).find(|href| !is_outside(href) && !there.contains(href));
    gone.map_or(Ok(()), |gone| {
        Err(Error::new(ErrorKind::Conflict, format!("tagging {} of {repository}", state.catalog.revision))
            .because(format!("{gone}, which it names, is gone"))
            .hint("nothing was changed; tag a later revision"))
    })
}

/// Puts the tag's folder, its repomd.xml at the end.
async fn put_folder(bucket: &Bucket, state: &State, tag: &Tag, at: Timestamp) -> Result<()> {
    let damaged = || Error::new(ErrorKind::Corrupt, format!("tagging {} of {}", tag.revision, state.repository));
    let repomd = state.current.as_ref().map(|current| &current.repomd).ok_or_else(damaged)?;
    let files = read_published(bucket, state).await?;
    let [primary, ..] = files.files;
    let (catalog, writer) = (state.catalog.clone(), (tag.id.0, bucket.mirror_rules.address_of(&state.repository)));
    let spool = bucket.cache.spool(bucket.store.as_ref());
    let made = aside("rendering", move || primary_in_a_folder(&catalog, &primary, writer, spool)).await?;
    let (layout, body): (FileLayout, Body) = made?;
    let contents = Contents::of(Home::Tag(tag.name.clone()), repomd, &layout)?;
    contents.put_in_order(bucket, &state.repository, Some((&layout.href, &body)), at).await
}
