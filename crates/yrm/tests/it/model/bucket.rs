//! The model's bucket: what lies in it, and the calls that change it. A call is one step: it
//! happens as a whole, as in the store.

use super::{Break, Protocol};

/// Packages that the model knows, each with a path of its own.
pub(super) const PATHS: usize = 2;

/// The bytes of a file, and so its ETag: equal bytes have equal ETags.
pub(super) type Bytes = u8;

/// An object in the inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Upload {
    pub(super) bytes: Bytes,
    /// Which of all uploads it is: what a store tells by the time of the last change.
    pub(super) number: u8,
}

/// An object whose name is fixed: a package under `repo/`, or a generation's metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Fixed<T> {
    pub(super) what: T,
    /// Older than the grace period, so that the sweep may take it.
    pub(super) old: bool,
}

/// repomd.xml with all that it names, and so its ETag too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(super) struct Generation {
    pub(super) revision: u8,
    pub(super) packages: [Option<Bytes>; PATHS],
}

/// A put of repomd.xml that nobody knows the end of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(super) struct Put {
    pub(super) if_match: Generation,
    pub(super) next: Generation,
}

/// What no part of the program knows: what uploaders and clients are entitled to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Due {
    /// Uploads (path, bytes) that have not been visible to clients since they were made.
    pub(super) unseen: Vec<(usize, Bytes)>,
    /// Uploads that no switch has published yet: the only ones that may enter a generation.
    pub(super) unspent: Vec<(usize, Bytes)>,
    /// Uploads that were set aside, and what is in their way is still published: the same again
    /// has its answer.
    pub(super) refused: Vec<(usize, Bytes)>,
    /// What every switch that was won, and nothing else, has made of the repository.
    pub(super) packages: [Option<Bytes>; PATHS],
    /// Switches that were won.
    pub(super) switches: u8,
    /// A package entered a generation and no upload asked for it.
    pub(super) resurrected: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Bucket {
    pub(super) inbox: [Option<Upload>; PATHS],
    pub(super) repo: [Option<Fixed<Bytes>>; PATHS],
    pub(super) metadata: Vec<Fixed<Generation>>,
    pub(super) current: Generation,
    pub(super) in_flight: Vec<Put>,
    pub(super) due: Due,
}

impl Bucket {
    pub(super) fn drop_off(&mut self, path: usize, upload: Upload) {
        let bytes = upload.bytes;
        // Whoever replaces a file takes the one before back.
        self.due.unseen.retain(|&(p, b)| p != path || b == bytes);
        insert(&mut self.due.unspent, (path, bytes));
        if self.current.packages[path] != Some(bytes) && !self.due.refused.contains(&(path, bytes)) {
            insert(&mut self.due.unseen, (path, bytes));
        }
        self.inbox[path] = Some(upload);
    }

    /// The copy inbox → repo, `If-Match` on the source and `If-None-Match: *` on the target.
    pub(super) fn copy(&mut self, path: usize, judged: Upload, protocol: &Protocol) -> bool {
        let Some(source) = self.inbox[path] else { return false };
        let changed = source.bytes != judged.bytes && !protocol.breaks(Break::CopyWhateverIsThere);
        let occupied = self.repo[path].is_some() && !protocol.breaks(Break::CopyOver);
        if !changed && !occupied {
            self.repo[path] = Some(Fixed { what: source.bytes, old: false });
        }
        !changed && !occupied
    }

    pub(super) fn put_metadata(&mut self, generation: Generation, protocol: &Protocol) {
        let there = self.metadata.iter().position(|file| file.what == generation);
        match there {
            // Present is done: the same name. In truth its time in the name makes a new one of it.
            Some(_) if protocol.breaks(Break::RevisionStandsStill) => {}
            Some(at) => self.metadata[at].old = false,
            None => insert(&mut self.metadata, Fixed { what: generation, old: false }),
        }
    }

    /// The put of repomd.xml: the only moment that the truth changes.
    pub(super) fn switch(&mut self, put: Put, protocol: &Protocol) -> bool {
        let Put { if_match, next } = put;
        if self.current != if_match && !protocol.breaks(Break::SwitchUnconditionally) {
            return false;
        }
        for path in 0..PATHS {
            match next.packages[path] {
                Some(bytes) if if_match.packages[path] != Some(bytes) => {
                    let upload = (path, bytes);
                    self.due.resurrected |= !self.due.unspent.contains(&upload);
                    self.due.forget(|other| other == upload);
                    self.due.packages[path] = Some(bytes);
                }
                None if if_match.packages[path].is_some() => {
                    self.due.packages[path] = None;
                    self.due.refused.retain(|&(p, _)| p != path);
                }
                Some(_) | None => {}
            }
        }
        self.due.switches += 1;
        self.current = next;
        true
    }

    /// The copy inbox → quarantine, `If-Match` on the source: its uploader is told.
    pub(super) fn quarantine(&mut self, path: usize, judged: Upload) -> bool {
        let unchanged = self.inbox[path].is_some_and(|there| there.bytes == judged.bytes);
        if unchanged {
            let upload = (path, judged.bytes);
            self.due.forget(|other| other == upload);
            insert(&mut self.due.refused, upload);
        }
        unchanged
    }

    /// The delete in the inbox, `If-Match`.
    pub(super) fn take_out(&mut self, path: usize, judged: Upload, protocol: &Protocol) {
        let judged_is_there = self.inbox[path].is_some_and(|there| {
            // One look before the delete, as if both were one call.
            let same_upload = there.number == judged.number || protocol.breaks(Break::KnowUploadsByBytes);
            there.bytes == judged.bytes && same_upload
        });
        if judged_is_there || protocol.breaks(Break::DeleteUnconditionally) {
            self.inbox[path] = None;
        }
    }

    /// Everything that the current generation names is there.
    pub(super) fn is_closed(&self) -> bool {
        let Generation { revision, packages } = self.current;
        let described = revision == 0 || self.metadata.iter().any(|file| file.what == self.current);
        let packages_there =
            (0..PATHS).all(|path| packages[path].is_none_or(|bytes| self.repo[path].is_some_and(|p| p.what == bytes)));
        described && packages_there
    }

    pub(super) fn loses_no_upload(&self) -> bool {
        self.due.unseen.iter().all(|&(path, bytes)| self.inbox[path].is_some_and(|there| there.bytes == bytes))
    }

    pub(super) fn is_one_chain(&self) -> bool {
        self.current.packages == self.due.packages && self.current.revision == self.due.switches
    }
}

impl Due {
    fn forget(&mut self, which: impl Fn((usize, Bytes)) -> bool) {
        self.unseen.retain(|&upload| !which(upload));
        self.unspent.retain(|&upload| !which(upload));
    }
}

/// Keeps sets as sorted lists: equal sets are equal states.
pub(super) fn insert<T: Ord>(set: &mut Vec<T>, member: T) {
    if let Err(at) = set.binary_search(&member) {
        set.insert(at, member);
    }
}
