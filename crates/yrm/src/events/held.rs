//! The messages that were received and not deleted yet: which run answers them, and when they may
//! go. Only computes.

use std::collections::{HashMap, HashSet};

use super::queue::Message;
use crate::bucket::report::Report;

/// Bytes of messages that are held at once; more stay in the queue.
const MAX_BYTES: usize = 16 << 20;
/// What a held message costs besides its texts.
const OVERHEAD_BYTES: usize = 256;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// Until their run has ended, by id.
    waiting: HashMap<String, Waiting>,
    /// Handles of messages that may go.
    done: Vec<String>,
    /// Runs that have started.
    runs: u64,
    bytes: usize,
    closed: bool,
}

#[derive(Debug)]
struct Waiting {
    handle: String,
    keys: Vec<String>,
    /// The first run that started after the message came: its listing shows what it tells of.
    run: u64,
}

impl Waiting {
    fn cost_bytes(&self) -> usize {
        self.keys.iter().map(String::len).sum::<usize>() + cost_bytes(&self.handle)
    }
}

fn cost_bytes(handle: &str) -> usize {
    handle.len() + OVERHEAD_BYTES
}

impl Held {
    /// Holds a message that tells of `keys`; whether it is news. One that comes again before its
    /// run has ended is none, but only its newest handle is sure to delete it.
    pub(super) fn take_in(&mut self, message: Message, keys: Vec<String>) -> bool {
        let earlier = self.waiting.remove(&message.id);
        self.bytes -= earlier.as_ref().map_or(0, Waiting::cost_bytes);
        let run = earlier.as_ref().map_or(self.runs + 1, |earlier| earlier.run);
        let waiting = Waiting { handle: message.handle, keys, run };
        self.bytes += waiting.cost_bytes();
        self.waiting.insert(message.id, waiting);
        earlier.is_none()
    }

    /// A message that needs no answer may go.
    pub(super) fn let_go(&mut self, handle: String) {
        self.bytes += cost_bytes(&handle);
        self.done.push(handle);
    }

    /// A run starts: what is held now is its business.
    pub(super) fn run_started(&mut self) {
        self.runs += 1;
    }

    /// The run ended, with a report or as a failure. Messages whose keys it answered may go; the
    /// others are forgotten here, and the queue brings them again.
    pub(super) fn run_ended(&mut self, report: Option<&Report>) {
        let answers = report.map(Answers::of);
        let runs = self.runs;
        let ended: Vec<Waiting> =
            self.waiting.extract_if(|_, waiting| waiting.run <= runs).map(|(_, waiting)| waiting).collect();
        for waiting in ended {
            self.bytes -= waiting.cost_bytes();
            let answered = |key: &String| answers.as_ref().is_some_and(|answers| answers.settle(key));
            if waiting.keys.iter().all(answered) {
                self.let_go(waiting.handle);
            }
        }
    }

    /// Up to `limit` handles to delete.
    pub(super) fn next_done(&mut self, limit: usize) -> Vec<String> {
        let handles: Vec<String> = self.done.drain(..self.done.len().min(limit)).collect();
        self.bytes -= handles.iter().map(|handle| cost_bytes(handle)).sum::<usize>();
        handles
    }

    /// Whether no more should be received for now.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= MAX_BYTES
    }

    /// No run will follow.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }
}

/// What became of keys in a run.
struct Answers<'a> {
    report: &'a Report,
    listed: HashSet<&'a str>,
    answered: HashSet<&'a str>,
}

impl<'a> Answers<'a> {
    fn of(report: &'a Report) -> Self {
        let listed = report.inbox_keys.iter().map(String::as_str).collect();
        // Where something went wrong, what is published may still lack its receipt: the next delivery will tell.
        let told = if report.errors.is_empty() { (&*report.published, &*report.rejected) } else { Default::default() };
        let published = told.0.iter().map(|published| published.inbox_key.as_str());
        let answered = published.chain(told.1.iter().map(|rejected| rejected.inbox_key.as_str())).collect();
        Self { report, listed, answered }
    }

    /// Whether the run leaves nothing to say of `key`. What its listing did not show has left the inbox
    /// with an answer, or was taken out by its uploader.
    fn settle(&self, key: &str) -> bool {
        let found = self.listed.contains(key) || self.report.beyond.may_hold(key);
        self.answered.contains(key) || !found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::tests::report;
    use crate::bucket::report::{Published, Waiting as Left};

    fn message(id: &str, handle: &str) -> Message {
        Message { id: id.to_owned(), handle: handle.to_owned(), body: String::new() }
    }

    fn keys(keys: &[&str]) -> Vec<String> {
        keys.iter().map(|key| (*key).to_owned()).collect()
    }

    fn published(key: &str) -> Published {
        Published {
            inbox_key: key.to_owned(),
            etag: String::new(),
            repository: String::new(),
            href: String::new(),
            nevra: String::new(),
            pkgid: String::new(),
            size_bytes: 1,
            already_there: false,
            way: None,
            signed_by: None,
            signed_with: None,
            uploaded_sha256: None,
            remarks: Vec::new(),
        }
    }

    #[test]
    fn a_message_goes_after_the_first_run_that_started_after_it_came() {
        let mut held = Held::default();
        held.run_started();
        assert!(held.take_in(message("1", "a"), keys(&["inbox/a.rpm"])));
        held.run_ended(Some(&report(0, &[], &[])));
        assert_eq!(held.next_done(10), Vec::<String>::new(), "that run may have listed before the upload");
        held.run_started();
        held.run_ended(Some(&report(1, &[], &[])));
        assert_eq!(held.next_done(10), ["a"]);
        assert_eq!(held.bytes, 0);
    }

    #[test]
    fn a_message_stays_in_the_queue_while_any_of_its_keys_has_no_answer() {
        let mut done = report(0, &["inbox/done.rpm", "inbox/late.rpm", "inbox/lost.rpm"], &[]);
        done.published.push(published("inbox/done.rpm"));
        done.waiting.push(Left { inbox_key: "inbox/late.rpm".to_owned(), reason: String::new() });
        let mut held = Held::default();
        held.take_in(message("1", "done"), keys(&["inbox/done.rpm"]));
        held.take_in(message("2", "late"), keys(&["inbox/done.rpm", "inbox/late.rpm"]));
        held.take_in(message("3", "lost"), keys(&["inbox/lost.rpm"]));
        held.take_in(message("4", "gone"), keys(&["inbox/gone.rpm", "inbox/folder/"]));
        held.run_started();
        held.run_ended(Some(&done));
        let mut handles = held.next_done(10);
        handles.sort_unstable();
        assert_eq!(handles, ["done", "gone"]);
        assert_eq!((held.bytes, held.waiting.len()), (0, 0), "the others are forgotten");
    }

    #[test]
    fn a_message_of_a_key_that_a_long_report_does_not_list_stays_in_the_queue_too() {
        let mut run = report(0, &["inbox/a.rpm"], &[]);
        run.beyond = crate::bucket::report::KeySet::of(["inbox/z.rpm"]);
        run.left_out.inbox_keys = 1;
        let mut held = Held::default();
        held.take_in(message("1", "unlisted"), keys(&["inbox/z.rpm"]));
        held.take_in(message("2", "gone"), keys(&["inbox/y.rpm"]));
        held.run_started();
        held.run_ended(Some(&run));
        assert_eq!(held.next_done(10), ["gone"]);
    }

    #[test]
    fn a_run_that_failed_answers_nothing_and_one_with_trouble_only_what_was_not_there() {
        let mut troubled = report(0, &["inbox/a.rpm"], &[]);
        troubled.published.push(published("inbox/a.rpm"));
        troubled.errors.push("tidying inbox/a.rpm: a timeout".to_owned());
        let answered = |report: Option<&Report>| {
            let mut held = Held::default();
            held.take_in(message("1", "a"), keys(&["inbox/a.rpm"]));
            held.take_in(message("2", "b"), keys(&["inbox/b.rpm"]));
            held.run_started();
            held.run_ended(report);
            held.next_done(10)
        };
        assert_eq!(answered(None), Vec::<String>::new());
        assert_eq!(answered(Some(&troubled)), ["b"]);
    }

    #[test]
    fn a_message_that_comes_again_is_no_news_and_goes_by_its_newest_handle() {
        let mut held = Held::default();
        assert!(held.take_in(message("1", "old"), keys(&["inbox/a.rpm"])));
        held.run_started();
        assert!(!held.take_in(message("1", "new"), keys(&["inbox/a.rpm"])));
        held.run_ended(Some(&report(0, &[], &[])));
        assert_eq!(held.next_done(10), ["new"]);
    }

    #[test]
    fn what_is_held_is_bounded() {
        let mut held = Held::default();
        for number in 0..16 {
            assert!(!held.is_full());
            held.take_in(message(&number.to_string(), "h"), vec!["k".repeat(1 << 20)]);
        }
        assert!(held.is_full());
        held.run_started();
        held.run_ended(None);
        assert!(!held.is_full());
    }
}
