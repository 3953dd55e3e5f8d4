//! How much of a run is kept: the first things of each list, and how many there were. What waits in the
//! inbox is somebody else's to decide, and it is told by every run; nothing that outlives a run may grow
//! with it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::counts::{Counts, KeySet};
use super::inbox::Dropped;
use super::report::{LayoutChange, Published, Report, Trouble, Usage, Waiting};
use crate::error::{Error, ErrorKind};

/// Things that a list of a report holds at most, where it grows with what waits; and of every list in a
/// record of the history.
pub const LISTED: usize = 1_000;
/// Errors that a report holds at most. Each is a line of the log, too.
pub const ERRORS_LISTED: usize = 100;
/// Bytes of one error, at most.
const MAX_ERROR_BYTES: usize = 2_000;
/// Bytes of JSON that all lists of a record of the history hold at most.
const MAX_RECORD_BYTES: usize = 1 << 20;

impl Report {
    /// How many things its lists stand for.
    pub fn counts(&self) -> Counts {
        let more = &self.left_out;
        let already_there = already_there(&self.published);
        Counts {
            inbox_keys: self.inbox_keys.len() + more.inbox_keys,
            skipped_keys: self.skipped_keys.len() + more.skipped_keys,
            published: self.published.len() - already_there + more.published,
            already_there: already_there + more.already_there,
            rejected: self.rejected.len() + more.rejected,
            waiting: self.waiting.len() + more.waiting,
            pruned: self.pruned.len() + more.pruned,
            removed: self.removed.len() + more.removed,
            replaced: self.replaced.len() + more.replaced,
            restored: self.restored.len() + more.restored,
            released: self.released.len() + more.released,
            deleted: self.deleted.len() + more.deleted,
            noticed: self.noticed.len() + more.noticed,
            marked: self.marked.len() + more.marked,
            held: self.held.len() + more.held,
            repositories: self.repositories.len() + more.repositories,
            errors: self.errors.len() + more.errors,
        }
    }

    /// Notes what the inbox held: the first keys, and of the others that they were there.
    pub(crate) fn found<'a>(&mut self, keys: impl Iterator<Item = &'a str> + Clone) {
        self.inbox_keys = keys.clone().take(LISTED).map(str::to_owned).collect();
        self.beyond = KeySet::of(keys.clone().skip(LISTED));
        self.left_out.inbox_keys = keys.count().saturating_sub(LISTED);
    }

    /// Notes a file that stays in the inbox, or counts it.
    pub(crate) fn leave(&mut self, waiting: Waiting) {
        if self.waiting.len() < LISTED {
            self.waiting.push(waiting);
        } else {
            self.left_out.waiting += 1;
        }
    }

    /// Notes something that went wrong, or counts it; whether it was noted.
    pub(crate) fn note_error(&mut self, mut line: String) -> bool {
        if self.errors.len() >= ERRORS_LISTED {
            self.left_out.errors += 1;
            return false;
        }
        shorten(&mut line, MAX_ERROR_BYTES);
        self.errors.push(line);
        true
    }

    /// Notes an upload that stays in the inbox, and why.
    pub(crate) fn wait(&mut self, dropped: &Dropped, reason: String) {
        self.leave(Waiting { inbox_key: dropped.key().to_owned(), reason });
    }

    /// Notes what went wrong, and gives it back; the run goes on. What goes wrong for thousands is logged for the first.
    pub(crate) fn fault(&mut self, doing: &str, error: &Error) -> String {
        let line = format!("{doing}: {}", error.chain());
        if self.note_error(line.clone()) {
            tracing::error!(run.id = %self.run, kind = error.kind().name(), hint = error.hint_text(), "part of the run failed: {line:?}");
        }
        line
    }

    /// Ends the report.
    pub(crate) fn finish(&mut self, took: std::time::Duration, usage: Usage) {
        self.duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        self.usage = usage;
        self.skip();
        self.published.sort_by(|a, b| a.inbox_key.cmp(&b.inbox_key));
    }

    /// Adds what a part of the run did. What is said of the run as a whole is said by the whole.
    pub(crate) fn absorb(&mut self, part: Self) {
        let Self {
            published,
            rejected,
            waiting,
            pruned,
            removed,
            replaced,
            restored,
            released,
            deleted,
            marked,
            held,
            repositories,
            settings,
            layout,
            cleaned_up,
            errors,
            left_out,
            trouble,
            noticed,
            // Each named: what a report learns to say later is not to be forgotten here.
            run: _,
            started: _,
            plan: _,
            duration_ms: _,
            operation: _,
            by: _,
            reason: _,
            inbox_keys: _,
            oldest_upload: _,
            skipped_keys: _,
            uploaders: _,
            usage: _,
            beyond: _,
        } = part;
        self.published.extend(published);
        self.rejected.extend(rejected);
        for waiting in waiting {
            self.leave(waiting);
        }
        self.left_out.waiting += left_out.waiting;
        self.pruned.extend(pruned);
        self.removed.extend(removed);
        self.replaced.extend(replaced);
        self.restored.extend(restored);
        self.released.extend(released);
        self.deleted.extend(deleted);
        self.marked.extend(marked);
        self.held.extend(held);
        self.repositories.extend(repositories);
        self.settings.extend(settings);
        self.layout = layout.or(self.layout.take());
        self.cleaned_up += cleaned_up;
        for line in errors {
            self.note_error(line);
        }
        self.left_out.errors += left_out.errors;
        self.trouble.and(trouble);
        self.noticed.extend(noticed);
    }

    /// Says what was not published: the first keys of it.
    pub(crate) fn skip(&mut self) {
        let rejected = self.rejected.iter().map(|rejected| &rejected.inbox_key);
        let mut skipped: Vec<&String> = rejected.chain(self.waiting.iter().map(|waiting| &waiting.inbox_key)).collect();
        skipped.sort_unstable();
        let more = skipped.len().saturating_sub(LISTED);
        self.skipped_keys = skipped.into_iter().take(LISTED).cloned().collect();
        self.left_out.skipped_keys = more + self.left_out.waiting;
    }

    /// As the history keeps it: the first things of each list, and how many there were.
    #[must_use]
    pub fn abridged(&self) -> Self {
        let mut room = MAX_RECORD_BYTES;
        let mut left_out = self.left_out;
        // What cannot be learnt elsewhere goes first.
        let errors = first(&self.errors, &mut room, &mut left_out.errors);
        let noticed = first(&self.noticed, &mut room, &mut left_out.noticed);
        let repositories = first(&self.repositories, &mut room, &mut left_out.repositories);
        let removed = first(&self.removed, &mut room, &mut left_out.removed);
        let replaced = first(&self.replaced, &mut room, &mut left_out.replaced);
        let restored = first(&self.restored, &mut room, &mut left_out.restored);
        let released = first(&self.released, &mut room, &mut left_out.released);
        let deleted = first(&self.deleted, &mut room, &mut left_out.deleted);
        let marked = first(&self.marked, &mut room, &mut left_out.marked);
        let held = first(&self.held, &mut room, &mut left_out.held);
        let pruned = first(&self.pruned, &mut room, &mut left_out.pruned);
        let rejected = first(&self.rejected, &mut room, &mut left_out.rejected);
        let mut unlisted = 0;
        let published = first(&self.published, &mut room, &mut unlisted);
        let unlisted_there = already_there(&self.published[published.len()..]);
        left_out.published += unlisted - unlisted_there;
        left_out.already_there += unlisted_there;
        let waiting = first(&self.waiting, &mut room, &mut left_out.waiting);
        let skipped_keys = first(&self.skipped_keys, &mut room, &mut left_out.skipped_keys);
        let inbox_keys = first(&self.inbox_keys, &mut room, &mut left_out.inbox_keys);
        let mut more = 0;
        let layout = self.layout.as_ref().map(|layout| LayoutChange {
            comes: first(&layout.comes, &mut room, &mut more),
            goes: first(&layout.goes, &mut room, &mut more),
            ..layout.clone()
        });
        let answered = published.iter().map(|published| &published.inbox_key);
        let answered = answered.chain(rejected.iter().map(|rejected| &rejected.inbox_key));
        let uploaders: BTreeMap<String, String> =
            answered.filter_map(|key| Some((key.clone(), self.uploaders.get(key)?.clone()))).collect();
        Self {
            run: self.run,
            started: self.started,
            plan: self.plan.clone(),
            duration_ms: self.duration_ms,
            operation: self.operation,
            by: self.by.clone(),
            reason: self.reason.clone(),
            inbox_keys,
            oldest_upload: self.oldest_upload,
            skipped_keys,
            published,
            rejected,
            waiting,
            pruned,
            removed,
            replaced,
            restored,
            released,
            deleted,
            marked,
            held,
            repositories,
            settings: self.settings.clone(),
            layout,
            cleaned_up: self.cleaned_up,
            uploaders,
            errors,
            usage: self.usage,
            left_out,
            trouble: self.trouble.clone(),
            noticed,
            beyond: KeySet::default(),
        }
    }
}

/// How many of these were where they are before.
fn already_there(published: &[Published]) -> usize {
    published.iter().filter(|published| published.already_there).count()
}

/// The first things of `list` as far as there is room; counts the others.
fn first<T: Clone + Serialize>(list: &[T], room: &mut usize, left_out: &mut usize) -> Vec<T> {
    let fits = |thing: &&T| {
        let bytes = serde_json::to_vec(thing).map_or(usize::MAX, |json| json.len());
        let rest = room.checked_sub(bytes);
        *room = rest.unwrap_or(*room);
        rest.is_some()
    };
    let kept: Vec<T> = list.iter().take(LISTED).take_while(fits).cloned().collect();
    *left_out += list.len() - kept.len();
    kept
}

/// Cuts `text` to at most so many bytes, at a character's end.
pub fn shorten(text: &mut String, most_bytes: usize) {
    if text.len() > most_bytes {
        text.truncate(text.floor_char_boundary(most_bytes - '…'.len_utf8()));
        text.push('…');
    }
}

impl Trouble {
    /// Nothing of the kind.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Something that is sound was not published, or is not finished.
    pub(crate) fn undone(&mut self, why: &str) {
        note(&mut self.undone, why);
    }

    /// Something that is to be deleted could not be.
    pub(crate) fn undeleted(&mut self, why: &str) {
        note(&mut self.undeleted, why);
    }

    /// Something that was decided could not be finished. What is refused stays refused; all else may pass.
    pub(crate) fn unfinished(&mut self, error: &Error, why: &str) {
        match error.kind() {
            ErrorKind::Denied | ErrorKind::Internal | ErrorKind::Corrupt | ErrorKind::Config => self.undeleted(why),
            ErrorKind::Unavailable | ErrorKind::Conflict | ErrorKind::Archived => self.undone(why),
        }
    }

    /// A repository that somebody else has changed is as it was found.
    pub(crate) fn unmended(&mut self, why: &str) {
        note(&mut self.unmended, why);
    }

    /// What another part of the run met.
    pub(crate) fn and(&mut self, other: Self) {
        let Self { undone, undeleted, unmended } = other;
        undone.inspect(|why| self.undone(why));
        undeleted.inspect(|why| self.undeleted(why));
        unmended.inspect(|why| self.unmended(why));
    }
}

/// The first of them is enough.
fn note(place: &mut Option<String>, why: &str) {
    place.get_or_insert_with(|| {
        let mut why = why.to_owned();
        shorten(&mut why, MAX_ERROR_BYTES);
        why
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::tests::report;

    fn waiting(at: usize) -> Waiting {
        Waiting { inbox_key: format!("inbox/{at:06}{}.rpm", "x".repeat(200)), reason: "it is not complete".to_owned() }
    }

    #[test]
    fn what_waits_is_counted_and_the_first_of_it_is_listed() {
        let keys: Vec<String> = (0..100_000).map(|at| waiting(at).inbox_key).collect();
        let mut run = report(0, &[], &[]);
        run.found(keys.iter().map(String::as_str));
        (0..keys.len()).for_each(|at| run.leave(waiting(at)));
        run.skip();
        assert_eq!((run.inbox_keys.len(), run.waiting.len(), run.skipped_keys.len()), (LISTED, LISTED, LISTED));
        let counts = run.counts();
        assert_eq!((counts.inbox_keys, counts.waiting, counts.skipped_keys), (100_000, 100_000, 100_000));
        assert!(run.beyond.may_hold(&keys[99_999]) && !run.beyond.may_hold("inbox/another.rpm"));
        let record = run.abridged();
        assert_eq!(record.counts(), counts, "an abridged report counts the same");
        assert!(serde_json::to_vec(&record).unwrap().len() < MAX_RECORD_BYTES + (64 << 10));
    }

    #[test]
    fn a_report_of_an_ordinary_run_is_its_own_abridgement_and_reads_as_before() {
        let mut run = report(0, &["inbox/a.rpm"], &["inbox/a.rpm"]);
        run.leave(waiting(1));
        assert_eq!(run.abridged(), run);
        let json = serde_json::to_value(&run).unwrap();
        assert_eq!((json.get("left_out"), json.get("trouble")), (None, None));
    }

    #[test]
    fn errors_are_counted_beyond_the_first_and_cut_where_a_character_ends() {
        let mut run = report(0, &[], &[]);
        let noted = (0..300).filter(|at| run.note_error(format!("{at}: {}", "ä".repeat(5_000)))).count();
        assert_eq!((noted, run.errors.len(), run.counts().errors), (ERRORS_LISTED, ERRORS_LISTED, 300));
        assert!(run.errors.iter().all(|line| line.len() <= MAX_ERROR_BYTES && line.ends_with('…')));
    }
}
