//! A queue in memory that behaves as badly as a queue may, by a seed: for tests and simulations.
//!
//! It loses messages, makes copies of them, delivers them late and out of order, delivers some
//! twice, and brings back what was received and not deleted. Its time is tokio's.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::queue::{BATCH, LONG_POLL, Message, Queue};
use crate::error::{Error, ErrorKind, Result};

/// How badly a queue behaves.
#[derive(Debug, Clone, Copy)]
pub struct Habits {
    /// Of a hundred messages sent, those that never arrive.
    pub lost_percent: u8,
    /// Messages that one message becomes, at most.
    pub copies: u32,
    /// How late a copy may be; each has its own delay, so that they overtake each other.
    pub latest: Duration,
    /// Of a hundred messages received, those that the next call may receive too.
    pub twice_percent: u8,
    /// When a message that was received and not deleted comes again.
    pub visibility: Duration,
}

impl Habits {
    /// A queue as one would like it.
    pub const GOOD: Self = Self {
        lost_percent: 0,
        copies: 1,
        latest: Duration::ZERO,
        twice_percent: 0,
        visibility: Duration::from_secs(30),
    };
}

/// See the module.
#[derive(Debug)]
pub struct MemoryQueue {
    habits: Habits,
    state: Mutex<State>,
    sent: Notify,
}

#[derive(Debug)]
struct State {
    random: StdRng,
    messages: Vec<Stored>,
    /// Numbers for ids and handles.
    next: u64,
    failing: Option<ErrorKind>,
}

#[derive(Debug)]
struct Stored {
    id: String,
    body: String,
    visible: Instant,
    /// The newest; older ones delete nothing, as SQS warns.
    handle: Option<String>,
}

impl MemoryQueue {
    /// An empty queue; the same seed and calls give the same answers.
    pub fn new(habits: Habits, seed: u64) -> Self {
        let state = State { random: StdRng::seed_from_u64(seed), messages: Vec::new(), next: 0, failing: None };
        Self { habits, state: Mutex::new(state), sent: Notify::new() }
    }

    /// Sends a message; when its first copy can be received, if any can.
    pub fn send(&self, body: &str) -> Option<Instant> {
        let Habits { lost_percent, copies, latest, .. } = self.habits;
        let mut state = self.lock();
        if state.chance(lost_percent) {
            return None;
        }
        let copies = state.random.random_range(1..=copies.max(1));
        let mut first = None;
        for _ in 0..copies {
            let visible = Instant::now() + latest.mul_f64(state.random.random_range(0.0..=1.0));
            first = Some(first.map_or(visible, |first: Instant| first.min(visible)));
            let id = state.number("message");
            state.messages.push(Stored { id, body: body.to_owned(), visible, handle: None });
        }
        drop(state);
        self.sent.notify_waiters();
        first
    }

    /// From now on every call fails so, or none.
    pub fn fail(&self, failing: Option<ErrorKind>) {
        self.lock().failing = failing;
        self.sent.notify_waiters();
    }

    /// Messages that are not deleted, whether or not they can be received now.
    pub fn left(&self) -> usize {
        self.lock().messages.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A test that panics leaves no half-made change that matters to another.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn chance(&mut self, percent: u8) -> bool {
        self.random.random_range(0..100) < percent
    }

    fn number(&mut self, what: &str) -> String {
        self.next += 1;
        format!("{what}-{}", self.next)
    }

    fn answers(&self) -> Result<()> {
        self.failing.map_or(Ok(()), |kind| Err(Error::new(kind, "asking the queue in memory")))
    }

    /// Some of what can be received now, in any order; else when there will be something.
    fn take(&mut self, habits: Habits) -> Result<Vec<Message>, Option<Instant>> {
        let now = Instant::now();
        let mut visible: Vec<usize> = (0..self.messages.len()).filter(|&at| self.messages[at].visible <= now).collect();
        let mut taken = Vec::new();
        while !visible.is_empty() && taken.len() < BATCH {
            let at = visible.swap_remove(self.random.random_range(0..visible.len()));
            let (handle, twice) = (self.number("handle"), self.chance(habits.twice_percent));
            let stored = &mut self.messages[at];
            stored.handle = Some(handle.clone());
            stored.visible = if twice { now } else { now + habits.visibility };
            taken.push(Message { id: stored.id.clone(), handle, body: stored.body.clone() });
        }
        if taken.is_empty() { Err(self.messages.iter().map(|stored| stored.visible).min()) } else { Ok(taken) }
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    async fn receive(&self) -> Result<Vec<Message>> {
        let patience = Instant::now() + LONG_POLL;
        loop {
            let sent = self.sent.notified();
            tokio::pin!(sent);
            // What is sent from here on is not missed.
            sent.as_mut().enable();
            let next = {
                let mut state = self.lock();
                state.answers()?;
                match state.take(self.habits) {
                    Ok(messages) => return Ok(messages),
                    Err(next) => next,
                }
            };
            if Instant::now() >= patience {
                return Ok(Vec::new());
            }
            tokio::select! {
                () = sent => {}
                () = tokio::time::sleep_until(next.map_or(patience, |next| next.min(patience))) => {}
            }
        }
    }

    async fn delete(&self, handles: &[String]) -> Result<()> {
        let mut state = self.lock();
        state.answers()?;
        state.messages.retain(|stored| stored.handle.as_ref().is_none_or(|handle| !handles.contains(handle)));
        Ok(())
    }
}
