//! The bucket's settings while the layout is changed: the mark before, the new layout after it.

use ulid::Ulid;

use crate::bucket::Bucket;
use crate::bucket::settings::{Stored, load};
use crate::config::Shape;
use crate::config::shape::{BUCKET_FILE, Migration};
use crate::error::{Error, ErrorKind, Result};
use crate::publish::operations::settings::{Asked, put};
use crate::publish::pass::RunId;
use crate::publish::settings::{Sight, agrees, before_switch};
use crate::store::settle::TRIES;
use crate::who::Who;

/// What the bucket's settings say, with which this writer agrees. Where there are none they are stored first.
pub(super) async fn stored(bucket: &Bucket, run: RunId) -> Result<Stored> {
    let mut stored = load(bucket.store.as_ref()).await?;
    if stored.is_none() {
        before_switch(bucket, run, Sight::Recent).await?;
        stored = load(bucket.store.as_ref()).await?;
    }
    let stored = stored.ok_or_else(lost)?;
    agrees(bucket, &stored)?;
    Ok(stored)
}

/// The layouts that an unfinished change was to make, if this one is to another.
pub(super) fn given_up(shape: &Shape, to: &str) -> Vec<String> {
    let Some(going_on) = &shape.migration else { return Vec::new() };
    let mut given_up = going_on.given_up.clone();
    given_up.push(going_on.to.clone());
    given_up.retain(|text| text != to);
    given_up
}

/// Marks the change: nobody else publishes from now on. Answers its id, which is the earlier one where it goes on.
pub(super) async fn mark(bucket: &Bucket, stored: Stored, to: &str, (run, who): (RunId, &Who)) -> Result<Ulid> {
    let given_up = given_up(&stored.shape, to);
    if let Some(going_on) = stored.shape.migration.as_ref().filter(|going_on| going_on.to == to) {
        return Ok(going_on.id);
    }
    let migration = Migration {
        to: to.to_owned(),
        given_up,
        id: run.id,
        since: run.started,
        by: who.name().await.map(str::to_owned),
        reason: who.reason().map(str::to_owned),
    };
    // The record of its end has the run's id.
    let asked = Asked { id: Ulid(run.id.0 ^ 1), at: run.started, by: who.name().await, reason: who.reason() };
    let marked = put(bucket.store.as_ref(), Some(&stored), stored.shape.migrating(migration), asked).await?;
    marked.map(|_| run.id).ok_or_else(lost)
}

/// Makes the layout the bucket's: from now on everybody goes by it.
pub(super) async fn switch(bucket: &Bucket, to: &str, id: Ulid, (run, who): (RunId, &Who)) -> Result<()> {
    for _ in 0..TRIES {
        let stored = load(bucket.store.as_ref()).await?.ok_or_else(lost)?;
        match &stored.shape.migration {
            Some(going_on) if going_on.id == id => {}
            // Somebody else was at the same.
            None if stored.shape.layout() == to => return Ok(()),
            Some(_) | None => return Err(lost()),
        }
        let asked = Asked { id: run.id, at: run.started, by: who.name().await, reason: who.reason() };
        if put(bucket.store.as_ref(), Some(&stored), stored.shape.laid_out(to), asked).await?.is_some() {
            tracing::info!("the layout of the bucket is {to:?} now");
            return Ok(());
        }
    }
    Err(lost())
}

fn lost() -> Error {
    Error::new(ErrorKind::Conflict, format!("changing the layout in {BUCKET_FILE}"))
        .because("somebody else changed the settings meanwhile")
        .hint("nothing is lost; look at `yrm settings show`, and run the command again if you still want it")
}
