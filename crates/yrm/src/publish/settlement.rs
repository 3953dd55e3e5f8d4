//! What became of one repository's part of a run: collected on the way, judged by nobody.

use std::collections::HashSet;

use rpmmd::checksum::Sha256;

use super::commit::admit::Admission;
use crate::bucket::inbox::Dropped;
use crate::bucket::receipt::Answered;
use crate::bucket::report::{Marked, Noticed, Published, Report, RepositoryReport, TakenOut, Trouble, Waiting, Way};
use crate::bucket::verdict::{Candidate, Rejection, Verdict};
use crate::error::{Error, ErrorKind, Result};
use crate::store::key::RepositoryDir;

/// What became of one repository's part.
#[derive(Debug, Default)]
pub(crate) struct Settlement {
    pub(crate) repository: Option<RepositoryReport>,
    pub(crate) published: Vec<Published>,
    pub(crate) conflicts: Vec<Rejection>,
    pub(crate) waiting: Vec<Waiting>,
    pub(crate) gone: usize,
    /// Uploads that have their answer and are there still: published ones whose packages have been taken out, and
    /// rejected ones that would be published now.
    pub(crate) leftovers: Vec<(Dropped, Answered)>,
    pub(crate) pruned: Vec<TakenOut>,
    pub(crate) removed: Vec<TakenOut>,
    pub(crate) replaced: Vec<TakenOut>,
    pub(crate) restored: Vec<TakenOut>,
    pub(crate) marked: Vec<Marked>,
    pub(crate) held: Vec<TakenOut>,
    pub(crate) errors: Vec<String>,
    pub(crate) trouble: Trouble,
    /// What somebody else had made of repomd.xml, and what came of it.
    pub(crate) noticed: Option<Noticed>,
    /// The repository, when a path in it waits for nothing but a sweep.
    pub(crate) sweep: Option<RepositoryDir>,
}

impl Settlement {
    pub(crate) fn wait(&mut self, dropped: &Dropped, reason: String) {
        self.waiting.push(Waiting { inbox_key: dropped.key().to_owned(), reason });
    }

    pub(crate) fn turned_away(&mut self, dropped: &Dropped, verdict: Verdict) {
        match verdict {
            Verdict::Wait { why, .. } | Verdict::Held { why, .. } => self.wait(dropped, why),
            Verdict::Reject(rejection) => self.conflicts.push(rejection),
            Verdict::Gone | Verdict::Long(_) | Verdict::Accept(_) => self.gone += 1,
        }
    }

    /// A candidate that did not get to its place.
    pub(crate) fn held_up(&mut self, candidate: &Candidate, admission: Result<Admission>) {
        let dropped = &candidate.dropped;
        match admission {
            Ok(Admission::Wait(reason)) => self.wait(dropped, reason),
            Ok(Admission::Taken { reason, overdue }) => {
                self.wait(dropped, reason);
                if overdue {
                    self.sweep = Some(candidate.repository.clone());
                }
            }
            Ok(Admission::Answered) => self.leftovers.push((dropped.clone(), Answered::Published)),
            Ok(Admission::Placed(_) | Admission::Gone) => self.gone += 1,
            Err(error) => {
                tracing::error!(
                    key = dropped.key(),
                    kind = error.kind().name(),
                    hint = error.hint_text(),
                    error = error.chain(),
                    "left in the inbox"
                );
                self.trouble.undone(&error.chain());
                self.errors.push(error.chain());
                self.wait(dropped, error.chain());
            }
        }
    }

    /// Takes out candidates for which something could not be read: one of them holds up nobody else. The
    /// errors are in the candidates' order, and there may be several for one.
    pub(crate) fn leave_out(&mut self, candidates: &mut Vec<Candidate>, mut unread: Vec<(usize, Error)>) {
        unread.dedup_by_key(|(at, _)| *at);
        // Backwards, so that removing one leaves the indexes of those still to do alone.
        for (at, error) in unread.into_iter().rev() {
            let candidate = candidates.remove(at);
            self.held_up(&candidate, Err(error));
        }
    }

    /// The error of an operation whose packages are in the way of others. They stay where they are.
    pub(crate) fn refuse_conflicts(&mut self) -> Result<()> {
        match std::mem::take(&mut self.conflicts).into_iter().next() {
            None => Ok(()),
            Some(conflict) => {
                let doing = format!("promoting {}", conflict.dropped.key());
                Err(Error::new(ErrorKind::Conflict, doing).because(conflict.message))
            }
        }
    }

    /// Adds what went wrong beside the rest.
    pub(crate) fn went_wrong_too(&mut self, apart: Self) {
        self.errors.extend(apart.errors);
        self.trouble.and(apart.trouble);
    }

    /// Adds all of it to the report of a run. Gives what it turned down, to be quarantined, and the repository, when a path
    /// in it waits for nothing but a sweep.
    pub(crate) fn tell(self, report: &mut Report) -> (Vec<Rejection>, Option<RepositoryDir>) {
        let Self {
            repository,
            published,
            conflicts,
            waiting,
            gone: _,
            leftovers: _,
            pruned,
            removed,
            replaced,
            restored,
            marked,
            held,
            errors,
            trouble,
            noticed,
            sweep,
        } = self;
        if let Some(noticed) = &noticed {
            tracing::warn!(run.id = %report.run, "{noticed}");
        }
        let noticed = noticed.into_iter().collect();
        let repositories = repository.into_iter().collect();
        let empty = Report::new(report.run, report.started);
        report.absorb(Report {
            published,
            waiting,
            pruned,
            removed,
            replaced,
            restored,
            marked,
            held,
            repositories,
            errors,
            trouble,
            noticed,
            ..empty
        });
        (conflicts, sweep)
    }

    /// After a lost switch everything is judged again, except what has left the line already.
    pub(crate) fn forget(&mut self, again: &[Candidate]) {
        let again: HashSet<&str> = again.iter().map(|candidate| candidate.dropped.key()).collect();
        self.conflicts.retain(|rejection| !again.contains(rejection.dropped.key()));
        self.waiting.retain(|waiting| !again.contains(waiting.inbox_key.as_str()));
    }
}

/// The report of one package that clients can install.
pub(crate) fn published(candidate: &Candidate, pkgid: Sha256, way: Way) -> Published {
    let signed = candidate.signed.as_ref();
    Published {
        inbox_key: candidate.dropped.key().to_owned(),
        etag: candidate.dropped.etag().to_string(),
        repository: candidate.repository.as_str().to_owned(),
        href: candidate.href.clone(),
        nevra: candidate.nevra.to_string(),
        pkgid: pkgid.to_string(),
        size_bytes: candidate.size_bytes(),
        already_there: false,
        way: Some(way),
        signed_by: candidate.signing.signed_by.clone(),
        signed_with: signed.filter(|_| candidate.pkgid == Some(pkgid)).map(|signed| signed.by.clone()),
        uploaded_sha256: signed.filter(|signed| signed.uploaded != pkgid).map(|signed| signed.uploaded.to_string()),
        remarks: candidate.signing.remarks.clone(),
    }
}
