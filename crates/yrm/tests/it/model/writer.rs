//! The model's writer: `publish/` with one repository and what it remembers of a run. Each step
//! is at most one call of the store, and packages are worked on in the order of their paths.

use super::bucket::{Bucket, Generation, PATHS, Put, Upload};
use super::{Break, Protocol};

/// The call that comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(super) enum Step {
    /// Between two runs: `inbox::list`.
    #[default]
    List,
    /// `observe`: repomd.xml and its catalog. Then `plan`, which only computes.
    Read,
    /// `admit` of the package with this path.
    Admit(usize),
    /// `commit::upload`.
    Upload,
    /// `commit::switch`: the put.
    Switch,
    /// `commit::switch` after an answer that was lost: the look of `settle::put_settled`.
    Look,
    /// `tidy::quarantine`: the copy.
    SetAside(usize),
    /// `tidy::take_out`: the delete.
    TakeOut(usize),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(super) struct Writer {
    pub(super) step: Step,
    /// The candidates.
    pub(super) listed: [Option<Upload>; PATHS],
    /// Those that are in place (`in_place`), also over a lost switch.
    pub(super) placed: [bool; PATHS],
    /// What was read, and what is to follow.
    pub(super) state: Put,
    /// An earlier try of this switch may have applied.
    doubt: bool,
    /// What an earlier run left the repository as, where that is believed without a look.
    known: Option<Generation>,
}

impl Writer {
    /// Whether anything is in the works.
    pub(super) fn is_at_work(&self) -> bool {
        self.step != Step::List
    }

    /// A kill: what was in memory is gone.
    pub(super) fn crash(&mut self) {
        *self = Self::default();
    }

    /// Whether the sweep must not reach this package, or this generation, because of us.
    pub(super) fn relies_on(&self, path: usize) -> bool {
        self.placed[path]
    }

    pub(super) fn made(&self, generation: Generation) -> bool {
        matches!(self.step, Step::Switch | Step::Look) && self.state.next == generation
    }

    /// The next call. `false` when there is nothing to do.
    pub(super) fn act(&mut self, bucket: &mut Bucket, protocol: &Protocol) -> bool {
        match self.step {
            Step::List => {
                self.listed = bucket.inbox;
                if self.listed == [None; PATHS] {
                    return false;
                }
                self.step = Step::Read;
            }
            Step::Read => {
                self.state.if_match = self.known.take().unwrap_or(bucket.current);
                self.admit_from(0, protocol);
            }
            Step::Admit(path) => self.admit(path, bucket, protocol),
            Step::Upload => {
                if !protocol.breaks(Break::SwitchBeforeUpload) {
                    bucket.put_metadata(self.state.next, protocol);
                }
                self.step = Step::Switch;
            }
            Step::Switch => {
                let won = bucket.switch(self.state, protocol);
                let ours = self.doubt && bucket.current == self.state.next;
                self.after_switch(won || ours, protocol);
            }
            Step::Look => match bucket.current {
                now if now == self.state.next => self.after_switch(true, protocol),
                // As it was: the condition makes another try safe.
                now if now == self.state.if_match => self.step = Step::Switch,
                _ => self.after_switch(false, protocol),
            },
            Step::SetAside(path) => {
                if bucket.quarantine(path, self.listed[path].expect("it is a conflict")) {
                    self.step = Step::TakeOut(path);
                } else {
                    self.tidy_from(path + 1, protocol);
                }
            }
            Step::TakeOut(path) => {
                bucket.take_out(path, self.listed[path].expect("it is published or a conflict"), protocol);
                self.tidy_from(path + 1, protocol);
            }
        }
        true
    }

    /// The switch is sent, and its answer never comes.
    pub(super) fn lose_reply(&mut self, protocol: &Protocol) -> Put {
        self.doubt = true;
        if protocol.breaks(Break::TakeSilenceForWon) {
            self.after_switch(true, protocol);
        } else {
            self.step = Step::Look;
        }
        self.state
    }

    fn admit(&mut self, path: usize, bucket: &mut Bucket, protocol: &Protocol) {
        let judged = self.listed[path].expect("it is a candidate");
        let in_inbox = bucket.inbox[path].is_some_and(|there| there.bytes == judged.bytes);
        // That it lies in place does not say that it is still wanted.
        let wanted = in_inbox || protocol.breaks(Break::BelieveTheListing);
        self.placed[path] = if self.placed[path] {
            wanted
        } else {
            // Occupied: the same bytes are taken as they are, unless the sweep may be near them.
            let usable = |old: bool| !old || protocol.breaks(Break::ReuseWhatIsOld);
            let same = bucket.repo[path].is_some_and(|there| there.what == judged.bytes && usable(there.old));
            bucket.copy(path, judged, protocol) || same && wanted
        };
        if !self.placed[path] {
            self.listed[path] = None;
        }
        self.admit_from(path + 1, protocol);
    }

    fn admit_from(&mut self, first: usize, protocol: &Protocol) {
        let (listed, read) = (self.listed, self.state.if_match);
        let new = |path: &usize| listed[*path].is_some() && read.packages[*path].is_none();
        if let Some(path) = (first..PATHS).find(new) {
            self.step = Step::Admit(path);
            return;
        }
        let Generation { revision, mut packages } = read;
        for path in (0..PATHS).filter(new) {
            packages[path] = listed[path].map(|upload| upload.bytes);
        }
        if packages == read.packages {
            self.state.next = read;
            self.tidy_from(0, protocol);
        } else {
            self.state.next = Generation { revision: revision + 1, packages };
            self.step = Step::Upload;
        }
    }

    fn after_switch(&mut self, won: bool, protocol: &Protocol) {
        self.doubt = false;
        if won || protocol.breaks(Break::TakeLostForWon) {
            self.tidy_from(0, protocol);
        } else {
            // Again from what the winner wrote, with the same candidates.
            self.state = Put::default();
            self.step = Step::Read;
        }
    }

    /// On to the next candidate that leaves the inbox: published, or a conflict.
    fn tidy_from(&mut self, first: usize, protocol: &Protocol) {
        let Some((path, upload)) = (first..PATHS).find_map(|path| Some((path, self.listed[path]?))) else {
            let known = protocol.breaks(Break::BelieveMemory).then_some(self.state.next);
            *self = Self { known, ..Self::default() };
            return;
        };
        let published = self.state.next.packages[path] == Some(upload.bytes);
        self.step = if published { Step::TakeOut(path) } else { Step::SetAside(path) };
    }
}
