//! Wake-ups: a message that says something has arrived in the inbox rings for a run at once.
//!
//! A message is a hint. What is published is what a run's own listing shows, so a lost message
//! costs an interval, and one that comes twice, late, out of order or from a liar costs a listing.
//! A message is deleted only after a run that started after it came has answered its keys; until
//! then the queue keeps it and brings it again. Nothing here touches the bucket, and a queue that
//! fails holds up nothing.

mod held;
pub mod memory;
pub mod message;
pub mod queue;
pub mod sqs;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use self::held::Held;
use self::message::{Inbox, Said};
use self::queue::{BATCH, Message, Queue};
use crate::bucket::report::Report;
use crate::bucket::uploaders::Uploaders;
use crate::error::{Error, ErrorKind};
use crate::metrics::{self, Heard, QueueCall};
use crate::sched::{Bell, Stop};

/// How long answered messages may still be deleted after the last run.
pub const LAST_DELETIONS: Duration = Duration::from_millis(500);
/// The pause after the first failure of a call; it doubles with each one after it.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// It doubles up to this.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// A queue that answers "nothing" without waiting is asked this often at most.
const EMPTY_PAUSE: Duration = Duration::from_secs(1);

/// A queue of hints, and the messages of it that wait for an answer.
#[derive(Debug)]
pub struct Events {
    queue: Arc<dyn Queue>,
    inbox: Inbox,
    /// Who answers uploaders looks here for who they are.
    uploaders: Uploaders,
    held: Mutex<Held>,
    /// There is something to delete, or nothing more will come.
    answered: Notify,
    /// Something that was held is held no more.
    room: Notify,
    /// A foreign message was complained of.
    complained: AtomicBool,
}

impl Events {
    /// What `queue` says of `inbox`.
    pub fn new(queue: Arc<dyn Queue>, inbox: Inbox) -> Self {
        Self {
            queue,
            inbox,
            uploaders: Uploaders::default(),
            held: Mutex::default(),
            answered: Notify::new(),
            room: Notify::new(),
            complained: AtomicBool::new(false),
        }
    }

    /// The same, telling `uploaders` who uploaded what.
    #[must_use]
    pub fn telling(mut self, uploaders: Uploaders) -> Self {
        self.uploaders = uploaders;
        self
    }

    /// Listens until `stop`, ringing `bell` for what has arrived, and deletes what is answered
    /// until [`Events::close`] and a little longer.
    pub async fn listen(&self, bell: &Bell, stop: Stop) {
        tokio::join!(self.receive(bell, stop), self.delete());
    }

    /// A run starts; call it before the run looks at the inbox.
    pub fn run_started(&self) {
        self.held().run_started();
    }

    /// The run that started last ended; `None` when it failed as a whole.
    pub fn run_ended(&self, report: Option<&Report>) {
        self.held().run_ended(report);
        self.answered.notify_one();
        self.room.notify_one();
    }

    /// No run will follow.
    pub fn close(&self) {
        self.held().close();
        self.answered.notify_one();
    }

    async fn receive(&self, bell: &Bell, mut stop: Stop) {
        let mut health = Health::of(QueueCall::Receive);
        loop {
            let messages = tokio::select! {
                biased;
                () = stop.requested() => return,
                messages = self.next(&mut health) => messages,
            };
            for message in messages {
                self.hear(message, bell);
            }
        }
    }

    /// The next messages; none after a long poll or a failure and its pause.
    async fn next(&self, health: &mut Health) -> Vec<Message> {
        while self.held().is_full() {
            self.room.notified().await;
        }
        let asked = Instant::now();
        match self.queue.receive().await {
            Ok(messages) => {
                health.well();
                if messages.is_empty() {
                    tokio::time::sleep_until(asked + EMPTY_PAUSE).await;
                }
                messages
            }
            Err(error) => {
                tokio::time::sleep(health.ill(&error)).await;
                Vec::new()
            }
        }
    }

    fn hear(&self, message: Message, bell: &Bell) {
        match self.inbox.said(&message.body) {
            Said::Arrived(keys) => {
                metrics::queue_message(Heard::Arrived);
                for upload in self.inbox.uploads(&message.body) {
                    self.uploaders.heard(&upload.key, &upload.etag, &upload.by);
                }
                tracing::debug!(message = message.id, keys = keys.len(), "something has arrived in the inbox");
                if self.held().take_in(message, keys) {
                    bell.ring();
                }
            }
            Said::Test => {
                metrics::queue_message(Heard::Test);
                tracing::info!(message = message.id, "a test event: S3 reaches the queue");
                self.let_go(message);
            }
            Said::NotOurs(why) => {
                metrics::queue_message(Heard::NotOurs);
                // One complaint: a bucket that tells of everything would repeat it with every write.
                if self.complained.swap(true, Ordering::Relaxed) {
                    tracing::debug!(message = message.id, why, "a message that is not for this inbox is deleted");
                } else {
                    tracing::warn!(
                        message = message.id,
                        why,
                        hint = "let S3 tell this queue of s3:ObjectCreated:* below the inbox only, and give the queue no other reader or writer",
                        "a message that is not for this inbox is deleted; more of them are logged at debug level"
                    );
                }
                self.let_go(message);
            }
        }
    }

    fn let_go(&self, message: Message) {
        self.held().let_go(message.handle);
        self.answered.notify_one();
    }

    async fn delete(&self) {
        let mut health = Health::of(QueueCall::Delete);
        let mut deadline = None;
        loop {
            let (handles, closed) = {
                let mut held = self.held();
                (held.next_done(BATCH), held.is_closed())
            };
            if closed && deadline.is_none() {
                deadline = Some(Instant::now() + LAST_DELETIONS);
            }
            if handles.is_empty() {
                if closed {
                    return;
                }
                self.answered.notified().await;
                continue;
            }
            self.room.notify_one();
            let deleting = self.delete_some(&handles, &mut health);
            match deadline {
                None => deleting.await,
                Some(deadline) => {
                    if tokio::time::timeout_at(deadline, deleting).await.is_err() {
                        tracing::debug!(
                            "some answered messages are left in the queue; whoever reads them next deletes them"
                        );
                        return;
                    }
                }
            }
        }
    }

    /// What cannot be deleted comes again, and then its keys are long answered.
    async fn delete_some(&self, handles: &[String], health: &mut Health) {
        match self.queue.delete(handles).await {
            Ok(()) => {
                health.well();
                metrics::queue_deleted(handles.len());
            }
            Err(error) => {
                let pause = health.ill(&error);
                // A stop must not wait for the pause of a queue that is away.
                if !self.held().is_closed() {
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Every change is complete before anything can panic.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How one of the queue's calls fares; tells when that changes.
#[derive(Debug)]
struct Health {
    call: QueueCall,
    known: bool,
    failing: Option<ErrorKind>,
    failures_in_a_row: u32,
}

impl Health {
    fn of(call: QueueCall) -> Self {
        Self { call, known: false, failing: None, failures_in_a_row: 0 }
    }

    fn well(&mut self) {
        let call = self.call.name();
        metrics::queue_call(self.call, None);
        match (self.known, self.failing) {
            (true, None) => {}
            (false, None) => tracing::debug!(call, "the queue answers"),
            (_, Some(_)) => tracing::info!(call, "the queue answers again"),
        }
        (self.known, self.failing, self.failures_in_a_row) = (true, None, 0);
    }

    /// How long to leave the queue alone.
    fn ill(&mut self, error: &Error) -> Duration {
        let (call, kind) = (self.call.name(), error.kind());
        metrics::queue_call(self.call, Some(kind.name()));
        if self.failing == Some(kind) {
            tracing::debug!(call, kind = kind.name(), "the queue still fails: {}", error.chain());
        } else {
            let hint = error.hint_text();
            tracing::error!(
                call,
                kind = kind.name(),
                hint,
                "the queue fails, and runs go on at every interval: {}",
                error.chain()
            );
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures_in_a_row.min(6)).min(LONGEST_PAUSE);
        (self.known, self.failing) = (true, Some(kind));
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        // Many instances must not come back all at once.
        pause.mul_f64(rand::random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests;
