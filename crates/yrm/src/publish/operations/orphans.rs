//! Files below `repo/` that no metadata names: an operator takes them into their repository, or leaves them to the
//! clean-up.
//!
//! A clean-up deletes what no kept revision names and what is old, but not what it is told to spare. So a file that comes
//! into the metadata is told to be spared first; and while a clean-up may be at work that does not know this yet, nothing
//! is done.

use std::collections::BTreeSet;

use jiff::SignedDuration;

use crate::bucket::Bucket;
use crate::bucket::inbox::Dropped;
use crate::bucket::kept::{self, Kept};
use crate::bucket::verdict::{Candidate, Rejection, Verdict};
use crate::error::{Error, ErrorKind, Result};
use crate::publish::adopt::kept as keeping;
use crate::publish::clock;
use crate::publish::inspect::again::learn_pkgid;
use crate::publish::inspect::read::Inspector;
use crate::publish::memory::Memory;
use crate::publish::observe::state_of;
use crate::publish::pass::RunId;
use crate::store::Object;
use crate::store::key::{Key, RepositoryDir};
use crate::upkeep::sweep::LONGEST_SWEEP;

/// A file that no metadata names, and whose it would be.
struct Orphan {
    repository: RepositoryDir,
    object: Object,
}

/// Such a file as a candidate for its own place. It is judged by the rules that hold there.
pub(crate) async fn adopted(bucket: &Bucket, memory: &Memory, path: &str, run: RunId) -> Result<Candidate> {
    let refuse = |why: &str| Error::new(ErrorKind::Conflict, format!("adopting {path:?}")).because(why.to_owned());
    let Orphan { repository, object, .. } = orphan(bucket, memory, (path, "adopting"), run).await?;
    let key = object.key.clone();
    let inspector = Inspector::new(bucket.clone(), run.started);
    let dropped = Dropped { path: path.to_owned(), object };
    let candidate = match inspector.inspect(dropped).await? {
        Verdict::Accept(candidate) if candidate.signed.is_some() => {
            return Err(refuse("packages are signed here, and this one is not signed yet")
                .hint("nothing was changed; upload the file into the inbox"));
        }
        Verdict::Accept(candidate) => *candidate,
        Verdict::Reject(Rejection { message, .. }) => return Err(refuse(&message)),
        Verdict::Wait { why, .. } | Verdict::Held { why, .. } => return Err(refuse(&why)),
        Verdict::Long(_) | Verdict::Gone => return Err(refuse("the file is gone, or being written")),
    };
    spare(bucket, &repository, &key).await?;
    if candidate.pkgid.is_some() {
        return Ok(candidate);
    }
    let pkgid = learn_pkgid(&inspector, &candidate.dropped).await?;
    let pkgid = pkgid.map_err(|_| refuse("the file is gone, or being written"))?;
    Ok(Candidate { pkgid: Some(pkgid), ..candidate })
}

/// Lets a clean-up delete files that it has spared, once their grace has expired; their keys.
pub(crate) async fn let_go(bucket: &Bucket, memory: &Memory, paths: &[String], run: RunId) -> Result<Vec<String>> {
    let mut orphans = Vec::new();
    for path in paths {
        orphans.push(orphan(bucket, memory, (path, "dropping"), run).await?);
    }
    let keys: BTreeSet<String> = orphans.into_iter().map(|orphan| orphan.object.key).collect();
    keeping::forget(bucket, &keys).await?;
    Ok(keys.into_iter().collect())
}

/// The file at a path below `repo/`, if no metadata names it.
async fn orphan(bucket: &Bucket, memory: &Memory, (path, doing): (&str, &str), run: RunId) -> Result<Orphan> {
    let refuse = |why: &str| {
        Error::new(ErrorKind::Conflict, format!("{doing} {path:?}"))
            .because(why.to_owned())
            .hint("nothing was changed; `yrm check` lists the files that no metadata names")
    };
    let (repository, href) = bucket.locator.locate(path).ok_or_else(|| refuse("it is in no repository"))?;
    let key = bucket.path(Key::Package { repository: &repository, href });
    let object = bucket.store.head(&key).await?.ok_or_else(|| refuse("there is no such file"))?;
    let state = state_of(bucket, memory, &repository, run).await?;
    if state.catalog.entries.at(href).is_some() {
        return Err(refuse("the metadata names it"));
    }
    Ok(Orphan { repository, object })
}

/// Has every clean-up spare the file from now on, and makes sure that none is at work that does not know it.
async fn spare(bucket: &Bucket, repository: &RepositoryDir, key: &str) -> Result<()> {
    let spared = kept::spared(bucket, repository).await?.contains(key);
    if !spared {
        let kept = Kept { not_offered: vec![key.to_owned()], ..Kept::default() };
        keeping::note(bucket, repository, &kept).await?;
    }
    let Some(swept) = bucket.store.head(&bucket.path(Key::Swept { repository })).await? else { return Ok(()) };
    let longest = SignedDuration::try_from(LONGEST_SWEEP).unwrap_or(SignedDuration::MAX);
    let since = clock::now(bucket).await?.duration_since(swept.modified);
    if spared || since > longest {
        return Ok(());
    }
    let minutes = (longest - since).as_mins() + 1;
    Err(Error::new(ErrorKind::Conflict, format!("adopting {key}"))
        .because("a clean-up that may be at work does not know yet that the file stays")
        .hint(format!("nothing was published; try again in {minutes} minutes")))
}
