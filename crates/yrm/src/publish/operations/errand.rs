//! What operators want of a repository: take packages out, go back to an earlier generation, put
//! packages of one folder into another. They go down the same line as what the inbox brings, and
//! win or lose the same switch.

use std::sync::Arc;

use rpmmd::repomd::Record;
use ulid::Ulid;

use super::hold::Word;
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
    /// The same, and take out what was given from where it was in this repository, once it has its new place.
    Move,
    /// Put the last revision back where repomd.xml is gone or damaged, and take over what somebody else wrote.
    Mend,
    /// Take out the packages at these paths.
    Remove(Vec<String>),
    /// Take out all packages.
    Empty,
    /// Describe the packages anew, by their headers.
    Rebuild,
    /// Contain again what the generation with this revision did; on whose word.
    RollBack(u64, Word),
    /// Stay as it is, with a seal: the change of the layout with this id makes others of it.
    Seal(Ulid),
    /// Hold what others held.
    Become(Arc<Made>),
    /// Stay as it is, with what an earlier try of the change with this id may not have come to.
    Finish(Ulid),
}

impl Errand {
    /// What may become of a repomd.xml that is not the one that yrm wrote last.
    pub(crate) fn leave(&self) -> Leave {
        match self {
            Self::Publish | Self::Put | Self::Move | Self::Remove(_) | Self::Empty | Self::Rebuild => Leave::TakeOver,
            Self::Mend => Leave::Mend,
            Self::RollBack(..) => Leave::Replace,
            Self::Seal(_) | Self::Finish(_) => Leave::Begin,
            Self::Become(_) => Leave::Remake,
        }
    }

    /// The change of the layout that it is part of.
    pub(crate) fn change(&self) -> Option<Ulid> {
        match self {
            Self::Seal(change) | Self::Finish(change) => Some(*change),
            Self::Become(made) => Some(made.change),
            _ => None,
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
            Self::Publish
            | Self::Put
            | Self::Move
            | Self::Mend
            | Self::Remove(_)
            | Self::Rebuild
            | Self::Seal(_)
            | Self::Become(_)
            | Self::Finish(_) => Ok(()),
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

/// What may become of a repomd.xml that is not the one that yrm wrote last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leave {
    /// Another program's is taken over if little is lost by that; one that cannot be read is an error. What has no metadata
    /// is made of the files in its folder.
    TakeOver,
    /// The same, and the last revision takes the place of one that cannot be read.
    Mend,
    /// An earlier revision takes its place, whatever it says.
    Replace,
    /// It is taken over; what has no metadata begins empty.
    Begin,
    /// What is there does not matter.
    Remake,
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
