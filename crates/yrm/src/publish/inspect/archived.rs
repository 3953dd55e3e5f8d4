//! What the store has put into an archive (GLACIER, DEEP_ARCHIVE and their like) and gives no bytes of. It can
//! neither be judged nor moved to quarantine; it waits, which is said once, and is asked for again now and then.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::bucket::inbox::Dropped;
use crate::bucket::verdict::Verdict;

/// How long it is believed that a file is still archived: to restore one takes minutes to days.
const BELIEVED: SignedDuration = SignedDuration::from_mins(15);
/// Files that are remembered; when there are more, all are forgotten.
const MAX_REMEMBERED: usize = 200_000;

/// What is known to be archived, each in a few bytes.
#[derive(Debug, Default)]
pub(crate) struct Archived(Mutex<HashMap<u64, Timestamp>>);

impl Archived {
    /// The verdict on a file that was found archived a while ago.
    pub(crate) fn verdict(&self, dropped: &Dropped, now: Timestamp) -> Option<Verdict> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = *seen.get(&look(dropped))?;
        (now.duration_since(found).abs() < BELIEVED).then(|| waits(dropped))
    }

    /// The verdict on a file that was just found archived.
    pub(crate) fn note(&self, dropped: &Dropped, now: Timestamp) -> Verdict {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= MAX_REMEMBERED {
            seen.clear();
        }
        if seen.insert(look(dropped), now).is_none() {
            tracing::warn!(
                key = dropped.key(),
                "the store has archived this upload and does not give its bytes; restore it, upload it again or delete it"
            );
        }
        waits(dropped)
    }
}

fn waits(dropped: &Dropped) -> Verdict {
    let why = "the store has archived it (GLACIER or the like) and does not give its bytes; restore it, upload it again \
               or delete it";
    Verdict::Wait { dropped: dropped.clone(), why: why.to_owned() }
}

fn look(dropped: &Dropped) -> u64 {
    let mut hasher = DefaultHasher::new();
    (dropped.key(), dropped.etag()).hash(&mut hasher);
    hasher.finish()
}
