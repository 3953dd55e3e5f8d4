//! The queue seam: what is asked of a queue, and nothing of what its messages say.
//!
//! A queue may deliver a message twice, late, out of order or never; a message that was received
//! and not deleted comes again after a while.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::error::Result;

/// Messages that one call receives or deletes, at most: SQS's own limit.
pub const BATCH: usize = 10;
/// How long a call waits for the first message: SQS's own limit.
pub const LONG_POLL: Duration = Duration::from_secs(20);

/// A message as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The same each time this message comes.
    pub id: String,
    /// Deletes it; another one each time.
    pub handle: String,
    /// Its text.
    pub body: String,
}

/// A queue.
#[async_trait]
pub trait Queue: Send + Sync + fmt::Debug {
    /// Up to [`BATCH`] messages, as soon as there is one; none after [`LONG_POLL`].
    async fn receive(&self) -> Result<Vec<Message>>;

    /// Deletes up to [`BATCH`] received messages by their handles. What was not deleted, for
    /// whatever reason, comes again.
    async fn delete(&self, handles: &[String]) -> Result<()>;
}
