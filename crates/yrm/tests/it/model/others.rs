//! Who else acts on the model's bucket: the operator, and the sweep.

use super::bucket::{Bucket, Generation, PATHS, Put};
use super::{Break, Protocol};

/// An operator who removes a package, between looking and switching.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Removal {
    path: usize,
    read: Generation,
}

impl Removal {
    /// Reads repomd.xml, and takes out of the inbox the upload that it is to undo: a run that
    /// published it may have died before it did.
    pub(super) fn begin(path: usize, bucket: &mut Bucket, protocol: &Protocol) -> Option<Self> {
        let read = bucket.current;
        let bytes = read.packages[path]?;
        if bucket.inbox[path].is_some_and(|there| there.bytes == bytes) && !protocol.breaks(Break::LeaveTheTwin) {
            bucket.inbox[path] = None;
        }
        Some(Self { path, read })
    }

    /// The same switch as a writer's. Whether it was won.
    pub(super) fn switch(self, bucket: &mut Bucket, protocol: &Protocol) -> bool {
        let mut next = Generation { revision: self.read.revision + 1, ..self.read };
        next.packages[self.path] = None;
        bucket.put_metadata(next, protocol);
        bucket.switch(Put { if_match: self.read, next }, protocol)
    }
}

/// A sweep: `upkeep/sweep.rs`, with the current generation as the only one that is retained.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(super) struct Sweep {
    /// What was listed and is old.
    listed: Option<(Vec<usize>, Vec<Generation>)>,
    /// The repomd.xml that judges.
    judge: Option<Generation>,
}

impl Sweep {
    pub(super) fn is_at_work(&self) -> bool {
        *self != Self::default()
    }

    /// A sweep takes half an hour at most, from its last look at repomd.xml.
    pub(super) fn end_if_deleting(&mut self) {
        if self.listed.is_some() && self.judge.is_some() {
            *self = Self::default();
        }
    }

    pub(super) fn act(&mut self, bucket: &mut Bucket, protocol: &Protocol) {
        match self {
            Self { judge: None, .. } if self.listed.is_some() || protocol.breaks(Break::SweepByAnOlderRead) => {
                self.judge = Some(bucket.current);
            }
            Self { listed: None, .. } => {
                let packages = (0..PATHS).filter(|&path| bucket.repo[path].is_some_and(|package| package.old));
                let generations = bucket.metadata.iter().filter(|file| file.old).map(|file| file.what);
                self.listed = Some((packages.collect(), generations.collect()));
            }
            Self { listed: Some((packages, generations)), judge: Some(judge) } => {
                packages.retain(|&path| judge.packages[path].is_none());
                generations.retain(|generation| generation != judge);
                // One look at its age before each delete, as if both were one call.
                let is_old = |old: bool| old || protocol.breaks(Break::SweepWhatWasListed);
                if let Some(path) = packages.pop() {
                    bucket.repo[path] = bucket.repo[path].filter(|package| !is_old(package.old));
                } else if let Some(generation) = generations.pop() {
                    bucket.metadata.retain(|file| file.what != generation || !is_old(file.old));
                } else {
                    *self = Self::default();
                }
            }
            Self { listed: Some(_), judge: None } => unreachable!("the first arm"),
        }
    }
}
