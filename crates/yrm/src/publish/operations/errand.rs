//! What operators want of a repository: take packages out, go back to an earlier generation, put
//! packages of one folder into another. They go down the same line as what the inbox brings, and
//! win or lose the same switch.

use std::sync::Arc;

use rpmmd::repomd::Record;
use ulid::Ulid;

use super::rollback;
use crate::bucket::Bucket;
use crate::bucket::catalog::Catalog;
use crate::bucket::state::{Rerendered, State};
use crate::error::{Error, ErrorKind, Result};

/// What is wanted of one repository.
#[derive(Debug, Clone)]
pub enum Errand {
    /// Publish what was uploaded, and prune what is old.
    Publish,
    /// Publish what is given, if anything is, and prune nothing: what is taken over stays whole.
    Put,
    /// Take out the packages at these paths.
    Remove(Vec<String>),
    /// Hold again what the generation with this revision held.
    RollBack(u64),
    /// Stay as it is, with a seal: the change of the layout with this id makes others of it.
    Seal(Ulid),
    /// Hold what others held.
    Become(Arc<Made>),
    /// Stay as it is, with what an earlier try of the change with this id may not have come to.
    Finish(Ulid),
}

impl Errand {
    /// The state that the next generation is made from.
    pub(crate) async fn start_from(&self, bucket: &Bucket, state: State) -> Result<State> {
        match self {
            Self::Publish | Self::Put | Self::Remove(_) | Self::Seal(_) | Self::Finish(_) => Ok(state),
            Self::RollBack(revision) => rollback::to(bucket, state, *revision).await,
            // Whoever else is at the same change may have been first.
            Self::Become(made) if state.holds(&made.catalog) && !state.is_sealed() => Ok(state),
            Self::Become(made) => {
                Ok(state.made_of_others(made.catalog.clone(), Arc::clone(&made.files), made.others.clone()))
            }
        }
    }

    /// The change of the layout that it is part of.
    pub(crate) fn change(&self) -> Option<Ulid> {
        match self {
            Self::Seal(change) | Self::Finish(change) => Some(*change),
            Self::Become(made) => Some(made.change),
            Self::Publish | Self::Put | Self::Remove(_) | Self::RollBack(_) => None,
        }
    }

    /// The seal that the next generation gets, if it gets one and the present one has none.
    pub(crate) fn seals(&self, state: &State) -> Option<Ulid> {
        match self {
            Self::Seal(change) if !state.is_sealed() => Some(*change),
            _ => None,
        }
    }

    /// Whether it is still wanted when another writer was first. What was published meanwhile would
    /// be lost by going back: that is the operator's to decide.
    pub(crate) fn may_start_again(&self) -> Result<()> {
        match self {
            Self::Publish | Self::Put | Self::Remove(_) | Self::Seal(_) | Self::Become(_) | Self::Finish(_) => Ok(()),
            Self::RollBack(revision) => Err(Error::new(ErrorKind::Conflict, format!("rolling back to {revision}"))
                .because("somebody published meanwhile")
                .hint("nothing was changed; look at `yrm repo log` and try again")),
        }
    }
}

/// A repository that was made of what others hold, by a change of the layout.
#[derive(Debug)]
pub struct Made {
    /// Which change.
    pub change: Ulid,
    /// What it holds.
    pub catalog: Catalog,
    /// Its metadata.
    pub files: Arc<[Rerendered; 3]>,
    /// The records of other files of its repomd.xml.
    pub others: Vec<Record>,
}

/// A package to put into another folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promotion {
    /// Its path below `repo/` now.
    pub from: String,
    /// Its path below `repo/` then.
    pub to: String,
}
