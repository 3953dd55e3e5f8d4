//! The bucket's own settings, `.yrm/bucket.toml`: read, and what is known of them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use ulid::Ulid;

use crate::config::Shape;
use crate::config::shape::{Changed, Signs};
use crate::error::{Error, ErrorKind, Result};
use crate::openpgp::key::PublicKey;
use crate::openpgp::sign::Signer;
use crate::store::key::{Key, SETTINGS_HISTORY_PREFIX};
use crate::store::{ETag, Store};

/// What is known of the settings is believed for so long.
pub const FRESH: Duration = Duration::from_mins(1);
/// A longer document is none.
const MAX_BYTES: usize = 1024 * 1024;

/// The settings as they lie in the bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// What they say.
    pub shape: Shape,
    /// Which bytes say so.
    pub etag: ETag,
}

/// What the bucket's document says; `None` where there is none. The error is of kind `Corrupt`, or of kind `Config` where a
/// newer yrm has written it.
pub async fn load(store: &dyn Store) -> Result<Option<Stored>> {
    let key = Key::Settings.path(&crate::config::Folders::default());
    let Some(read) = store.get(&key, None).await? else { return Ok(None) };
    let damaged =
        |why: String| Error::new(ErrorKind::Corrupt, format!("reading the bucket's settings in {key}")).because(why);
    let text = std::str::from_utf8(&read.bytes).ok().filter(|text| text.len() <= MAX_BYTES);
    let text = text.ok_or_else(|| damaged("it is no text, or over 1 MiB".to_owned()))?;
    let shape = Shape::parse(text).map_err(|complaint| {
        let hint = complaint.hint.unwrap_or_else(|| {
            "nothing was written; mend the file, or delete it and let a writer that is set up right store it again"
                .to_owned()
        });
        damaged(complaint.message).hint(hint)
    })?;
    Ok(Some(Stored { shape, etag: read.object.etag }))
}

/// The same, and a moment before it was read.
pub(crate) async fn load_at(store: &dyn Store) -> Result<(Option<Stored>, Instant)> {
    let at = Instant::now();
    load(store).await.map(|stored| (stored, at))
}

/// One change of the settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsChange {
    /// Its id.
    pub id: Ulid,
    /// When it was made.
    pub at: Timestamp,
    /// Who made it; `null` for what a writer does by itself.
    pub by: Option<String>,
    /// Why, if that was said.
    pub reason: Option<String>,
    /// Whether the bucket had no settings before.
    pub is_first: bool,
    /// What was changed.
    pub changes: Vec<Changed>,
}

/// The newest changes of the settings, at most `limit`, newest first. One that cannot be read is left out with a warning.
pub async fn history(store: &dyn Store, limit: usize) -> Result<Vec<SettingsChange>> {
    let mut changes = Vec::new();
    for object in store.list(SETTINGS_HISTORY_PREFIX, None).await?.objects.into_iter().take(limit) {
        let Some(read) = store.get(&object.key, None).await? else { continue };
        match serde_json::from_slice(&read.bytes) {
            Ok(change) => changes.push(change),
            Err(error) => tracing::warn!(key = object.key, %error, "a record of the settings' history cannot be read"),
        }
    }
    Ok(changes)
}

/// Who signs for a writer with this signer.
pub fn signs(signer: Option<&Signer>) -> Signs {
    Signs {
        fingerprints: signer.iter().flat_map(|signer| signer.public_keys()).map(PublicKey::fingerprint).collect(),
        key_name: signer.map(|signer| signer.name().to_owned()),
    }
}

/// What a writer knows of the bucket's settings.
#[derive(Debug, Default)]
pub(crate) struct Known {
    seen: Mutex<Option<(Option<Stored>, Instant)>>,
    differ: AtomicBool,
    stored: AtomicBool,
    /// Of many repositories' switches at once one looks, or stores the first settings, and the others wait for that.
    pub(crate) looking: tokio::sync::Mutex<()>,
}

impl Known {
    /// What was last agreed on, and when.
    pub(crate) fn last(&self) -> Option<(Option<Stored>, Instant)> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes that the writer agrees with what lies there, or that nothing does.
    pub(crate) fn agreed(&self, stored: Option<Stored>) {
        self.agreed_at(stored, Instant::now());
    }

    /// The same, of what was read after this moment.
    pub(crate) fn agreed_at(&self, stored: Option<Stored>, at: Instant) {
        self.differ.store(false, Ordering::Relaxed);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some((stored, at));
    }

    /// Notes that the writer has stored the bucket's first settings.
    pub(crate) fn stored(&self) {
        self.stored.store(true, Ordering::Relaxed);
    }

    /// Whether it has.
    pub(crate) fn has_stored(&self) -> bool {
        self.stored.load(Ordering::Relaxed)
    }

    /// Nothing is known any more.
    pub(crate) fn forget(&self) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Notes that it does not.
    pub(crate) fn differs(&self) {
        self.differ.store(true, Ordering::Relaxed);
        self.forget();
    }

    /// Whether the last look found other settings than the writer's.
    pub(crate) fn is_at_odds(&self) -> bool {
        self.differ.load(Ordering::Relaxed)
    }
}
