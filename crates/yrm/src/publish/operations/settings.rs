//! Changing the bucket's own settings: by a conditional put, and a record of who changed what, and why.

use jiff::Timestamp;
use ulid::Ulid;

use crate::bucket::record::to_json;
use crate::bucket::settings::{SettingsChange, Stored};
use crate::config::Shape;
use crate::config::shape::BUCKET_FILE;
use crate::error::{Error, ErrorKind, Result};
use crate::store::key::Key;
use crate::store::settle::{self, Settled};
use crate::store::{PutIf, Store};

/// Whose change it is.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Of this change.
    pub id: Ulid,
    /// When.
    pub at: Timestamp,
    /// Who asked for it, if that is known.
    pub by: Option<&'a str>,
    /// Why, if that was said.
    pub reason: Option<&'a str>,
}

/// Makes `after` the bucket's settings, if they are still `before`. `None` when somebody else was first.
pub async fn put(store: &dyn Store, before: Option<&Stored>, after: Shape, asked: Asked<'_>) -> Result<Option<Stored>> {
    let key = Key::Settings;
    let condition = before.map_or(PutIf::Absent, |before| PutIf::Matches(before.etag.clone()));
    let bytes = after.to_toml().into();
    let put = settle::put_settled(store, BUCKET_FILE, &bytes, &key.attributes(), &condition).await?;
    let Settled::Won(there) = put else { return Ok(None) };
    let Asked { id, at, by, reason } = asked;
    let nothing = Shape::default();
    let record = SettingsChange {
        id,
        at,
        by: by.map(str::to_owned),
        reason: reason.map(str::to_owned),
        is_first: before.is_none(),
        changes: before.map_or(&nothing, |before| &before.shape).changes(&after),
    };
    let at_ms = u64::try_from(at.as_millisecond()).unwrap_or(0);
    let key = Key::SettingsChange { at_ms, id };
    let path = key.path(&crate::config::Folders::default());
    // The change is made: that nobody can read of it later is no reason to fail.
    if let Err(error) = settle::put_always(store, &path, &to_json(&record)?, &key.attributes()).await {
        tracing::warn!("the change of the bucket's settings is made, but not on record: {}", error.chain());
    }
    Ok(Some(Stored { shape: after, etag: there.etag }))
}

/// The same for an operator: an error where somebody else was first.
pub async fn change(store: &dyn Store, before: Option<&Stored>, after: Shape, asked: Asked<'_>) -> Result<Stored> {
    put(store, before, after, asked).await?.ok_or_else(|| {
        Error::new(ErrorKind::Conflict, "changing the bucket's settings")
            .because("somebody else changed them meanwhile")
            .hint("nothing was changed; look at `yrm settings show`, and try again")
    })
}
