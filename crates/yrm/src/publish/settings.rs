//! Going by the bucket's settings: whoever would do otherwise writes nothing. The first writer stores its own.

use futures::future;
use tokio::time::Instant;
use ulid::Ulid;

use crate::bucket::locate::naming;
use crate::bucket::settings::{FRESH, Stored, load, load_at, signs};
use crate::bucket::state::State;
use crate::bucket::{Bucket, generations};
use crate::config::shape::{BUCKET_FILE, Migration, layout_text};
use crate::config::{Difference, Shape};
use crate::error::{Error, ErrorKind, Result};
use crate::publish::operations::settings::{Asked, put};
use crate::publish::pass::RunId;
use crate::store::key::{Key, RepositoryDir, public_keys_prefix};
use crate::store::settle::TRIES;

/// What a writer goes by.
pub fn own(bucket: &Bucket) -> Shape {
    Shape::of(&bucket.policy, &signs(bucket.signer.as_deref()))
}

/// Makes sure that this writer goes by the bucket's settings, as they were less than a minute ago. An error of kind `Config`
/// names every difference. Where there are no settings yet, they come with the first change.
pub(crate) async fn agree(bucket: &Bucket, run: RunId) -> Result<()> {
    if bucket.settings.last().is_some_and(|(_, at)| at.elapsed() <= FRESH) {
        return Ok(());
    }
    let own = own(bucket);
    for _ in 0..TRIES {
        let Some(stored) = load(bucket.store.as_ref()).await? else {
            future::try_join(fits_what_anybody_made(bucket), still_unsigned(bucket)).await?;
            bucket.settings.agreed(None);
            return Ok(());
        };
        compare(bucket, &stored, &own, ErrorKind::Config)?;
        let Some(further) = stored.shape.with_keys_of(&own) else {
            bucket.settings.agreed(Some(stored));
            return Ok(());
        };
        // Whoever may sign may name the keys that sign next.
        let reason = "the keys of a writer that may sign";
        if let Some(stored) = put(bucket.store.as_ref(), Some(&stored), further, asked(run, reason)).await? {
            let keys = stored.shape.signing_keys.join(", ");
            tracing::info!("the bucket's settings now list all of this writer's signing keys: {keys}");
            bucket.settings.agreed(Some(stored));
            return Ok(());
        }
    }
    Err(Error::new(ErrorKind::Conflict, format!("adding signing keys to {BUCKET_FILE}"))
        .hint("others keep changing the bucket's settings; the next run tries again"))
}

/// How fresh what is known of the settings has to be for a switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Some minutes: whoever changes the layout seals what is published, and so wins or loses against a switch.
    Recent,
    /// Looked at after the repository was observed, which was then: it is not there, which nobody can seal, or it is
    /// sealed.
    Anew(Instant),
    /// The same by whoever changes the layout: that change is still going on.
    Migrating(Ulid),
}

impl Sight {
    /// What a switch from this state needs, which was observed then.
    pub(crate) fn of(state: &State, observed: Instant) -> Self {
        let is_there = state.current.as_ref().is_some_and(|current| current.etag.is_some() && !current.is_sealed());
        if is_there { Self::Recent } else { Self::Anew(observed) }
    }
}

/// Whether the change of the layout with this id is still going on; until when that holds for a switch.
async fn still_migrating(bucket: &Bucket, id: Ulid) -> Result<Instant> {
    let (stored, at) = load_at(bucket.store.as_ref()).await?;
    if stored.is_some_and(|stored| stored.shape.migration.is_some_and(|going_on| going_on.id == id)) {
        return Ok(at + 2 * FRESH);
    }
    Err(Error::new(ErrorKind::Conflict, "changing the layout of the bucket")
        .because("somebody else has finished this change, or taken it back")
        .hint("look at `yrm settings show` and `yrm settings history`"))
}

/// The last look before a switch: settings that were changed since the run began give the commit up. Where there are none,
/// this writer's are stored first. Answers until when they hold for a switch.
pub(crate) async fn before_switch(bucket: &Bucket, run: RunId, sight: Sight) -> Result<Instant> {
    let _looking = bucket.settings.looking.lock().await;
    match sight {
        // One look is enough for all that was observed before it.
        Sight::Anew(observed) if bucket.settings.last().is_none_or(|(_, at)| at <= observed) => {
            bucket.settings.forget();
        }
        Sight::Recent | Sight::Anew(_) => {}
        Sight::Migrating(id) => return still_migrating(bucket, id).await,
    }
    for _ in 0..TRIES {
        let known = bucket.settings.last().filter(|(_, at)| at.elapsed() <= FRESH);
        if let Some((Some(_), at)) = known {
            return Ok(at + 2 * FRESH);
        }
        let (stored, at) = match known {
            Some((_, at)) => (None, at),
            None => load_at(bucket.store.as_ref()).await?,
        };
        if let Some(stored) = stored {
            compare(bucket, &stored, &own(bucket), ErrorKind::Conflict)?;
            bucket.settings.agreed_at(Some(stored), at);
            continue;
        }
        let reason = "the first change of a bucket without settings";
        if let Some(stored) = put(bucket.store.as_ref(), None, own(bucket), asked(run, reason)).await? {
            tracing::info!("the bucket had no settings of its own: stored those of this writer in {BUCKET_FILE}");
            bucket.settings.agreed_at(Some(stored), at);
            bucket.settings.stored();
        } else {
            // Somebody else was first: what it stored is looked at.
            bucket.settings.forget();
        }
    }
    Err(Error::new(ErrorKind::Conflict, format!("storing the bucket's settings in {BUCKET_FILE}"))
        .hint("others keep changing them; the uploads stay in the inbox, and the next run tries again"))
}

/// What a writer does by itself.
fn asked(run: RunId, reason: &str) -> Asked<'_> {
    Asked { id: run.id, at: run.started, by: None, reason: Some(reason) }
}

/// A writer does not store settings that do not go with what is published already: whoever forgot a flag would else
/// decide for all.
pub async fn fits_what_is_there(bucket: &Bucket) -> Result<()> {
    fits(bucket, &generations::all(bucket).await?)
}

fn fits(bucket: &Bucket, repositories: &[RepositoryDir]) -> Result<()> {
    if repositories.is_empty() || repositories.iter().any(|repository| bucket.locator.names(repository)) {
        return Ok(());
    }
    let named: Vec<String> = repositories.iter().take(5).map(ToString::to_string).collect();
    let own = own(bucket);
    let layout = own.stated("repositories").unwrap_or_default();
    Err(Error::new(ErrorKind::Config, "going by the bucket's settings")
        .because(format!(
            "it has the repositories {}, and here repositories = {layout:?} means none of them",
            named.join(", ")
        ))
        .hint("nothing was written. Say --repositories as whoever published them did (--per-folder, depth=N or globs)"))
}

/// The same; and a writer does not store settings by which it would take over none of the repositories that another
/// program made: it would begin another one around them, or in them, with what was uploaded alone. An operator who means
/// that says so in the settings.
async fn fits_what_anybody_made(bucket: &Bucket) -> Result<()> {
    let ours = generations::all(bucket).await?;
    if !ours.is_empty() {
        return fits(bucket, &ours);
    }
    let there = generations::of_others(bucket).await?;
    // What lies in a folder that was named as a repository may be another one in it. That one repository holds all is
    // what nobody need say.
    let is_in = |repository: &RepositoryDir| bucket.locator.locate(&repository.path_of("any.rpm")).is_some();
    let is_meant = |repository| bucket.locator.names(repository) || !bucket.locator.is_single() && is_in(repository);
    if there.is_empty() || there.iter().any(is_meant) {
        return Ok(());
    }
    let named: Vec<String> = there.iter().take(5).map(ToString::to_string).collect();
    let more = if there.len() > named.len() { " and others" } else { "" };
    let own = own(bucket);
    let (layout, fitting) = (own.stated("repositories").unwrap_or_default(), layout_text(&naming(&there)));
    Err(Error::new(ErrorKind::Config, "going by the bucket's settings")
        .because(format!(
            "another program made the repositories {}{more}, and here repositories = {layout:?} means none of them",
            named.join(", ")
        ))
        .hint(format!(
            "nothing was written. Say --repositories {fitting:?} to take them over; or, to begin others beside them, run \
             `yrm settings set repositories {layout}`"
        )))
}

/// A writer without a key does not store the settings of a bucket that an earlier version has signed.
async fn still_unsigned(bucket: &Bucket) -> Result<()> {
    let keys = public_keys_prefix(&bucket.policy.folders);
    if bucket.signer.is_some() || bucket.store.list(&keys, None).await?.objects.is_empty() {
        return Ok(());
    }
    for repository in generations::repositories(bucket).await? {
        let signature = bucket.path(Key::Signature { repository: &repository });
        if bucket.store.head(&signature).await?.is_some() {
            return Err(Error::new(ErrorKind::Config, "going by the bucket's settings")
                .because(format!(
                    "the metadata of {repository} is signed ({signature}), and here signing-key is not set"
                ))
                .hint(
                    "nothing was written. Set signing-key; or, to go unsigned on purpose, run `yrm settings unset \
                     signing-keys`",
                ));
        }
    }
    Ok(())
}

/// Nobody publishes while the layout is being changed.
fn refuse_while_migrating(shape: &Shape) -> Result<()> {
    let Some(Migration { to, since, by, .. }) = &shape.migration else { return Ok(()) };
    let from = shape.layout();
    let by = by.as_ref().map_or_else(String::new, |by| format!(", by {by}"));
    Err(Error::new(ErrorKind::Conflict, "publishing while the layout of the bucket is being changed")
        .because(format!("since {since}{by}: repositories = {from:?} becomes {to:?}"))
        .hint(format!(
            "nothing was changed, and the uploads stay in the inbox. If nobody is at it any more, `yrm settings set \
             repositories '{to}'` finishes it, and `yrm settings set repositories '{from}'` takes it back"
        )))
}

/// Makes sure that this writer goes by the same settings, whatever happens to the layout.
pub(crate) fn agrees(bucket: &Bucket, stored: &Stored) -> Result<()> {
    let differences = stored.shape.differences(&own(bucket));
    if differences.is_empty() { Ok(()) } else { Err(refusal(&differences, ErrorKind::Config)) }
}

fn compare(bucket: &Bucket, stored: &Stored, own: &Shape, kind: ErrorKind) -> Result<()> {
    refuse_while_migrating(&stored.shape)?;
    let differences = stored.shape.differences(own);
    if differences.is_empty() {
        return Ok(());
    }
    bucket.settings.differs();
    Err(refusal(&differences, kind))
}

/// What does not agree, and what to do about it.
fn refusal(differences: &[Difference], kind: ErrorKind) -> Error {
    let lines: Vec<String> = differences.iter().map(ToString::to_string).collect();
    let (doing, hint) = match kind {
        ErrorKind::Conflict => (
            "publishing: the bucket's settings were changed meanwhile",
            "the uploads stay in the inbox; the next run goes by the new settings",
        ),
        _ => (
            "going by the bucket's settings",
            "nothing was written. Leave out here what differs, and the bucket's value holds; `yrm settings show` shows all of \
             them",
        ),
    };
    Error::new(kind, doing).because(lines.join("\n  ")).hint(hint)
}
