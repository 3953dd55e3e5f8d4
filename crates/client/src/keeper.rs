//! Keeps the machine's credentials: asked for when somebody needs them, by one request at a time, and asked for anew
//! before they expire.
//!
//! The wall clock is looked at on every request, because credentials expire by it, also while a machine sleeps. Where it
//! and the steady clock disagree about how long ago something was, one of them was set or stood still: then nothing that
//! was reckoned before counts, and the credentials are asked for anew.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use aws_credential_types::Credentials;
use aws_smithy_types::date_time::{DateTime, Format};

use crate::complaint::Complaint;
use crate::log;

/// From here on new credentials are asked for, while the old ones are used. EC2 has new ones five minutes before.
const RENEW_BEFORE: Duration = Duration::from_mins(5);
/// From here on a request waits for new ones.
const WAIT_BEFORE: Duration = Duration::from_mins(1);
/// Credentials that do not say when they expire: somebody may have changed the file they are in.
const READ_AGAIN_AFTER: Duration = Duration::from_mins(15);
/// How far the clocks may disagree.
const STEP: Duration = Duration::from_secs(30);
/// While the old ones are good, their source is not asked more often.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(30);
/// While there are none, a failure counts for so long, so that a hundred requests do not make a hundred attempts.
const FAILURE_COUNTS_FOR: Duration = Duration::from_secs(2);
/// The same failure in other words (a request's number) is told so often.
const TELL_AGAIN_AFTER: Duration = Duration::from_mins(1);
/// How long a request waits for an answer that it needs, and for one that it could do without.
const PATIENCE: Duration = Duration::from_secs(30);
const LITTLE_PATIENCE: Duration = Duration::from_secs(5);

/// Where credentials come from.
pub(crate) trait Source: Send + Sync {
    fn ask(&self) -> impl Future<Output = Result<Credentials, Complaint>> + Send;
}

/// What time it is, by two clocks.
pub(crate) trait Clock: Send + Sync {
    /// By the wall: it can be set, and goes on while the machine sleeps.
    fn wall(&self) -> SystemTime;
    /// Since some moment: it cannot be set, and stands still while the machine sleeps.
    fn steady(&self) -> Instant;
}

/// The machine's own clocks.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct MachineClock;

impl Clock for MachineClock {
    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    fn steady(&self) -> Instant {
        Instant::now()
    }
}

/// Credentials, and when they came.
#[derive(Debug)]
struct Held {
    credentials: Credentials,
    wall: SystemTime,
    steady: Instant,
}

#[derive(Debug, Default)]
struct State {
    held: Option<Held>,
    asked: Option<Instant>,
    /// How often an answer came: who waited for one takes it.
    answers: u64,
    failure: Option<(Instant, Complaint)>,
    told: Option<(Instant, String)>,
}

/// How much new credentials are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    None,
    Soon,
    Now,
}

/// The credentials of this machine.
#[derive(Debug)]
pub(crate) struct Keeper<S, C = MachineClock> {
    source: S,
    clock: C,
    state: Mutex<State>,
    asking: tokio::sync::Mutex<()>,
}

impl<S: Source, C: Clock> Keeper<S, C> {
    pub(crate) fn new(source: S, clock: C) -> Self {
        Self { source, clock, state: Mutex::default(), asking: tokio::sync::Mutex::new(()) }
    }

    pub(crate) fn clock(&self) -> &C {
        &self.clock
    }

    /// Credentials that are good now.
    pub(crate) async fn credentials(&self) -> Result<Credentials, Complaint> {
        let (need, answers) = self.need();
        match need {
            Need::None => {}
            Need::Soon => {
                if let Ok(_asking) = self.asking.try_lock() {
                    self.renew(LITTLE_PATIENCE).await;
                }
            }
            Need::Now => {
                let _asking = self.asking.lock().await;
                if self.need().1 == answers && !self.has_just_failed() {
                    self.renew(PATIENCE).await;
                }
            }
        }
        self.usable()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much is needed, and after how many answers.
    fn need(&self) -> (Need, u64) {
        let (wall, steady) = (self.clock.wall(), self.clock.steady());
        let state = self.state();
        let Some(held) = &state.held else { return (Need::Now, state.answers) };
        let age = steady.saturating_duration_since(held.steady);
        let left = held.credentials.expiry().map(|expiry| expiry.duration_since(wall).unwrap_or_default());
        let is_soon = left.map_or(age >= READ_AGAIN_AFTER, |left| left <= RENEW_BEFORE);
        let may_ask = state.asked.is_none_or(|asked| steady.saturating_duration_since(asked) >= ASK_AGAIN_AFTER);
        let need = match left {
            _ if has_stepped(held, wall, age) => Need::Now,
            Some(left) if left <= WAIT_BEFORE => Need::Now,
            _ if is_soon && may_ask => Need::Soon,
            _ => Need::None,
        };
        (need, state.answers)
    }

    fn has_just_failed(&self) -> bool {
        let steady = self.clock.steady();
        let state = self.state();
        state.failure.as_ref().is_some_and(|(failed, _)| steady.saturating_duration_since(*failed) < FAILURE_COUNTS_FOR)
    }

    /// Asks the source. New credentials replace the old ones; a failure leaves those in place.
    async fn renew(&self, patience: Duration) {
        self.state().asked = Some(self.clock.steady());
        let answer = tokio::time::timeout(patience, self.source.ask())
            .await
            .unwrap_or_else(|_| Err(Complaint::new(format!("there was no answer for {} seconds", patience.as_secs()))));
        let (wall, steady) = (self.clock.wall(), self.clock.steady());
        let mut state = self.state();
        state.answers += 1;
        match answer {
            Ok(credentials) => {
                let is_news = state.failure.take().is_some() || state.held.is_none();
                if is_news {
                    let until = credentials.expiry().map_or_else(|| "that do not expire".to_owned(), until);
                    log::note(&format!("found credentials {until}"));
                    state.told = None;
                }
                state.held = Some(Held { credentials, wall, steady });
            }
            Err(complaint) => {
                if let Some(held) = &mut state.held
                    && has_stepped(held, wall, steady.saturating_duration_since(held.steady))
                {
                    // The step is known now. The old ones are used until they expire.
                    (held.wall, held.steady) = (wall, steady);
                }
                tell(&mut state, steady, &complaint);
                state.failure = Some((steady, complaint));
            }
        }
    }

    /// What is held, if it is good for at least a second more.
    fn usable(&self) -> Result<Credentials, Complaint> {
        let wall = self.clock.wall();
        let state = self.state();
        if let Some(held) = &state.held
            && held.credentials.expiry().is_none_or(|expiry| expiry > wall + Duration::from_secs(1))
        {
            return Ok(held.credentials.clone());
        }
        let failure = state.failure.as_ref().map(|(_, complaint)| complaint.clone());
        Err(failure.unwrap_or_else(|| {
            Complaint::new("the credentials of this machine have expired, and their source has no newer ones")
                .hint("see whether the clock is right: date")
        }))
    }
}

/// Whether the clocks disagree about how old something is.
fn has_stepped(held: &Held, wall: SystemTime, age: Duration) -> bool {
    match wall.duration_since(held.wall) {
        Ok(by_wall) => by_wall.abs_diff(age) > STEP,
        Err(backwards) => backwards.duration() + age > STEP,
    }
}

/// Once for each change.
fn tell(state: &mut State, steady: Instant, complaint: &Complaint) {
    let text = complaint.to_string();
    let is_told = state
        .told
        .as_ref()
        .is_some_and(|(when, told)| *told == text || steady.saturating_duration_since(*when) < TELL_AGAIN_AFTER);
    if !is_told {
        log::warn(&format!("the credentials cannot be renewed: {text}"));
        state.told = Some((steady, text));
    }
}

/// `until 2026-11-30T08:00:00Z`.
pub(crate) fn until(expiry: SystemTime) -> String {
    let whole_seconds = expiry.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let expiry = DateTime::from_secs(i64::try_from(whole_seconds).unwrap_or_default());
    format!("until {}", expiry.fmt(Format::DateTime).unwrap_or_else(|_| "a time that no calendar has".to_owned()))
}

#[cfg(test)]
mod tests;
