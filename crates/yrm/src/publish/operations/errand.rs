//! What operators want of a repository: take packages out, go back to an earlier generation, put
//! packages of one folder into another. They go down the same line as what the inbox brings, and
//! win or lose the same switch.

use super::hold::Word;
use super::rollback;
use crate::bucket::Bucket;
use crate::bucket::state::State;
use crate::error::{Error, ErrorKind, Result};

/// What is wanted of one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Errand {
    /// Publish what was uploaded, and prune what is old.
    Publish,
    /// Publish what is given, if anything is, and prune nothing: what is taken over stays whole.
    Put,
    /// The same, and take out what was given from where it was in this repository, once it has its new place.
    Move,
    /// Take out the packages at these paths.
    Remove(Vec<String>),
    /// Take out all packages.
    Empty,
    /// Describe the packages anew, by their headers.
    Rebuild,
    /// Contain again what the generation with this revision did; on whose word.
    RollBack(u64, Word),
}

impl Errand {
    /// The state that the next generation is made from.
    pub(crate) async fn start_from(&self, bucket: &Bucket, state: State) -> Result<State> {
        match self {
            Self::Publish | Self::Put | Self::Move | Self::Remove(_) | Self::Empty | Self::Rebuild => Ok(state),
            Self::RollBack(revision, _) => rollback::to(bucket, state, *revision).await,
        }
    }

    /// Whether it is still wanted when another writer was first. What was published meanwhile would
    /// be lost by going back: that is the operator's to decide.
    pub(crate) fn may_start_again(&self) -> Result<()> {
        match self {
            Self::Publish | Self::Put | Self::Move | Self::Remove(_) | Self::Rebuild => Ok(()),
            Self::Empty => Err(published_meanwhile("deleting a repository")),
            Self::RollBack(revision, _) => Err(published_meanwhile(&format!("rolling back to {revision}"))),
        }
    }
}

fn published_meanwhile(doing: &str) -> Error {
    Error::new(ErrorKind::Conflict, doing)
        .because("somebody published meanwhile")
        .hint("nothing was changed; look at `yrm repo log` and try again")
}

/// A package to put into another folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promotion {
    /// Its path below `repo/` now.
    pub from: String,
    /// Its path below `repo/` then.
    pub to: String,
}
