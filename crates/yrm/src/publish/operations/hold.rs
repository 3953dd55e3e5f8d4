//! Holding packages, so that pruning leaves them alone, and releasing them.

use jiff::Timestamp;

use super::document::change;
use crate::bucket::Bucket;
use crate::bucket::holds::{Hold, Holds};
use crate::bucket::keeping::Kept;
use crate::bucket::report::{Mark, Marked};
use crate::bucket::state::State;
use crate::error::Result;
use crate::retention::Fate;
use crate::store::key::{Key, RepositoryDir};
use crate::who::Who;

/// A package that is to be held or released: where it is, its name and its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holdable {
    /// Its path in the repository.
    pub href: String,
    /// Name, EVR and architecture.
    pub nevra: String,
    /// SHA-256 of the file.
    pub pkgid: String,
}

/// On whose word, when, and for which rollback if for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// When.
    pub at: Timestamp,
    /// Who, if anybody knows.
    pub by: Option<String>,
    /// Why, if that was said.
    pub reason: Option<String>,
    /// The revision that is rolled back to.
    pub rolled_back_to: Option<u64>,
}

impl Word {
    /// Of whoever acts.
    pub(crate) async fn of(who: &Who, at: Timestamp) -> Self {
        let (by, reason) = (who.name().await.map(str::to_owned), who.reason().map(str::to_owned));
        Self { at, by, reason, rolled_back_to: None }
    }
}

/// Holds packages. What is held already stays held as it is, unless an operator now holds what a rollback held.
pub(crate) async fn hold(
    bucket: &Bucket,
    repository: &RepositoryDir,
    packages: &[Holdable],
    word: &Word,
) -> Result<Vec<Marked>> {
    change(bucket, Key::Holds { repository }, |holds: &mut Holds| {
        let mut marked = Vec::new();
        for package in packages {
            let before = holds.holds.iter().position(|hold| hold.pkgid == package.pkgid);
            if before.is_some_and(|at| word.rolled_back_to.is_some() || holds.holds[at].rolled_back_to.is_none()) {
                continue;
            }
            before.map(|at| holds.holds.remove(at));
            holds.holds.push(Hold {
                pkgid: package.pkgid.clone(),
                nevra: package.nevra.clone(),
                href: package.href.clone(),
                since: word.at,
                by: word.by.clone(),
                reason: word.reason.clone(),
                rolled_back_to: word.rolled_back_to,
            });
            marked.push(marking(Mark::Hold, repository, package, None));
        }
        holds.holds.sort_by(|a, b| (&a.href, &a.pkgid).cmp(&(&b.href, &b.pkgid)));
        marked
    })
    .await
}

/// Holds packages as they are held elsewhere. What is held already stays so.
pub(crate) async fn carry(bucket: &Bucket, repository: &RepositoryDir, carried: &[Hold]) -> Result<()> {
    if carried.is_empty() {
        return Ok(());
    }
    change(bucket, Key::Holds { repository }, |holds: &mut Holds| {
        for hold in carried {
            if holds.holds.iter().all(|there| there.pkgid != hold.pkgid) {
                holds.holds.push(hold.clone());
            }
        }
        holds.holds.sort_by(|a, b| (&a.href, &a.pkgid).cmp(&(&b.href, &b.pkgid)));
    })
    .await
}

/// Releases packages; what is not held is none.
pub(crate) async fn unhold(bucket: &Bucket, repository: &RepositoryDir, packages: &[Holdable]) -> Result<Vec<Marked>> {
    change(bucket, Key::Holds { repository }, |holds: &mut Holds| {
        let mut marked = Vec::new();
        for package in packages {
            let Some(at) = holds.holds.iter().position(|hold| hold.pkgid == package.pkgid) else { continue };
            let hold = holds.holds.remove(at);
            marked.push(marking(Mark::Unhold, repository, package, Some(hold.told())));
        }
        marked
    })
    .await
}

fn marking(mark: Mark, repository: &RepositoryDir, package: &Holdable, why: Option<String>) -> Marked {
    let Holdable { href, nevra, .. } = package;
    let (name, nevra) = (repository.path_of(href), Some(nevra.clone()));
    Marked { mark, repository: Some(repository.clone()), name, nevra, revision: None, why }
}

/// What the prune rule takes of a revision, now or later, if nothing else is published: a rollback to it holds that, so
/// that pruning does not undo it.
pub(crate) fn at_risk(bucket: &Bucket, state: &State) -> Vec<Holdable> {
    if !bucket.pruned.is_on() {
        return Vec::new();
    }
    let kept: Kept<'_> = state.kept(&bucket.gate, &bucket.pruned);
    let entries = &state.catalog.entries;
    let leaves = |(at, fate): (usize, Fate)| match fate {
        Fate::Stays => None,
        Fate::Leaves(_) | Fate::Unread => {
            let entry = entries.get(at);
            let (href, nevra) = (entry.href.to_string(), entry.nevra().to_string());
            Some(Holdable { href, nevra, pkgid: entry.pkgid().to_string() })
        }
    };
    kept.fates().into_iter().enumerate().filter_map(leaves).collect()
}
