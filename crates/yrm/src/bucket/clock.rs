//! What time it is in the store, as far as one process knows. Local clocks may be wrong by days, and
//! whether the sweep is near what lies in a path is a question of the store's.
//!
//! A store tells the time only of what was just written. Nothing here writes, so whoever wants to know gives the way to
//! ask.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::error::Result;

/// How long the time is reckoned before the store is asked again.
const ASK_EVERY: Duration = Duration::from_mins(10);

/// The store's clock: asked now and then, and in between reckoned by the process's own that nobody
/// can set.
#[derive(Debug, Clone, Default)]
pub struct StoreClock(Arc<Mutex<Option<(Timestamp, Instant)>>>);

impl StoreClock {
    /// A moment to reckon from: the one before the store is asked for anything that bears a time.
    pub fn moment() -> Instant {
        Instant::now()
    }

    /// Something that was made after `moment` bears this time: the store need not be asked.
    pub async fn heard(&self, time: Timestamp, moment: Instant) {
        *self.0.lock().await = Some((time, moment));
    }

    /// What time it is, or up to a request's time later; `ask` asks the store.
    pub async fn now(&self, ask: impl Future<Output = Result<Timestamp>>) -> Result<Timestamp> {
        let mut known = self.0.lock().await;
        let reckoned = known
            .filter(|(_, moment)| moment.elapsed() < ASK_EVERY)
            .and_then(|(time, moment)| time.checked_add(moment.elapsed()).ok());
        if let Some(now) = reckoned {
            return Ok(now);
        }
        let moment = Self::moment();
        let time = ask.await?;
        *known = Some((time, moment));
        Ok(time)
    }
}
