//! The bucket's tokens as this process knows them: a listing when they are asked for, and each document once. One that was
//! revoked lets nobody in after [`MUST_LOOK`].

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex as Lock, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::bucket::Bucket;
use crate::bucket::listing::list_all;
use crate::bucket::tokens::{Holder, Token, TokenText, TokenUse, Verb, name_in, named};
use crate::error::Result;
use crate::store::ETag;
use crate::store::key::TOKENS_PREFIX;

/// What was listed is believed for so long without a look …
const FRESH: Duration = Duration::from_secs(2);
/// … less where a token is not among it …
const NEWS: Duration = Duration::from_secs(1);
/// … and is not believed any more after this: whoever asks waits for a look.
const MUST_LOOK: Duration = Duration::from_secs(5);
/// While the store does not answer, what is known holds for so long.
const OUTAGE: Duration = Duration::from_secs(30);
/// A use is noted at most so often.
const NOTED_EVERY: Duration = Duration::from_hours(1);

/// What notes when a token was used: this floor writes nothing.
#[derive(Clone)]
pub struct NoteUse(Arc<dyn Fn(Bucket, String, TokenUse) + Send + Sync>);

impl NoteUse {
    /// By this.
    pub fn new(note: impl Fn(Bucket, String, TokenUse) + Send + Sync + 'static) -> Self {
        Self(Arc::new(note))
    }
}

impl std::fmt::Debug for NoteUse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NoteUse")
    }
}

/// What is known of the tokens.
#[derive(Debug)]
pub(super) struct Tokens {
    note: NoteUse,
    known: Lock<Arc<Known>>,
    looking: Mutex<()>,
    noted: Lock<HashMap<String, Instant>>,
}

#[derive(Debug, Default)]
struct Known {
    at: Option<Instant>,
    by_name: BTreeMap<String, (ETag, Option<Token>)>,
    /// Names by the part of a token that names it.
    by_id: HashMap<String, Arc<str>>,
}

impl Known {
    fn age(&self) -> Option<Duration> {
        self.at.map(|at| at.elapsed())
    }
}

impl Tokens {
    pub(super) fn new(note: NoteUse) -> Self {
        Self { note, known: Lock::default(), looking: Mutex::default(), noted: Lock::default() }
    }

    /// The token with this text, if there is one and its time is not over.
    pub(super) async fn with_text(
        self: &Arc<Self>,
        bucket: &Bucket,
        text: &TokenText,
        now: Timestamp,
    ) -> Result<Option<Token>> {
        let mut known = self.known(bucket).await?;
        // It may have been made a moment ago; whoever guesses has the bucket listed once a second at most.
        if !known.by_id.contains_key(text.id()) && known.age().is_some_and(|age| age >= NEWS) {
            known = self.look(bucket, NEWS).await?;
        }
        let token = known.by_id.get(text.id()).and_then(|name| known.by_name.get(&**name)?.1.as_ref());
        Ok(token.filter(|token| token.is(text) && !token.is_over(now)).cloned())
    }

    /// All that are held in this way.
    pub(super) async fn held(
        self: &Arc<Self>,
        bucket: &Bucket,
        is_held: impl Fn(&Holder) -> bool,
        now: Timestamp,
    ) -> Result<Vec<Token>> {
        let known = self.known(bucket).await?;
        let tokens = known.by_name.values().filter_map(|(_, token)| token.as_ref());
        let held = tokens.filter(|token| !token.is_over(now) && is_held(&token.holder));
        Ok(held.cloned().collect())
    }

    /// Notes that a token was used, now and then.
    pub(super) fn used(&self, bucket: &Bucket, name: &str, from: IpAddr, now: Timestamp) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.get(name).is_some_and(|at| at.elapsed() < NOTED_EVERY) {
            return;
        }
        noted.insert(name.to_owned(), Instant::now());
        drop(noted);
        self.note.0(bucket.clone(), name.to_owned(), TokenUse { at: now, from: from.to_string() });
    }

    /// The name of the token with this text that lets somebody do that, where nobody has to look for it.
    pub(super) fn allowing_at_once(
        &self,
        bucket: &Bucket,
        text: &TokenText,
        (verb, path): (Verb, &str),
        (from, now): (IpAddr, Timestamp),
    ) -> Option<Arc<str>> {
        let known = self.there();
        if known.age().is_none_or(|age| age >= FRESH) {
            return None;
        }
        let name = known.by_id.get(text.id())?;
        let token = known.by_name.get(&**name)?.1.as_ref()?;
        if token.is_over(now) || !token.is(text) || !token.allows(verb, path) {
            return None;
        }
        self.used(bucket, name, from, now);
        Some(Arc::clone(name))
    }

    async fn known(self: &Arc<Self>, bucket: &Bucket) -> Result<Arc<Known>> {
        let known = self.there();
        match known.age() {
            Some(age) if age < FRESH => Ok(known),
            Some(age) if age < MUST_LOOK => {
                let (tokens, bucket) = (Arc::clone(self), bucket.clone());
                // Whoever asks next has the news.
                if self.looking.try_lock().is_ok() {
                    tokio::spawn(async move { drop(tokens.look(&bucket, FRESH).await) });
                }
                Ok(known)
            }
            age => match self.look(bucket, FRESH).await {
                Ok(known) => Ok(known),
                Err(error) if age.is_some_and(|age| age < OUTAGE) => {
                    tracing::warn!("the tokens cannot be read; those that are known hold: {}", error.chain());
                    Ok(known)
                }
                Err(error) => Err(error),
            },
        }
    }

    fn there(&self) -> Arc<Known> {
        Arc::clone(&self.known.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn look(&self, bucket: &Bucket, fresh: Duration) -> Result<Arc<Known>> {
        let _looking = self.looking.lock().await;
        let before = self.there();
        if before.age().is_some_and(|age| age < fresh) {
            return Ok(before);
        }
        // From before the listing: what is revoked after it counts from here.
        let at = Some(Instant::now());
        let mut after = Known { at, ..Known::default() };
        for object in list_all(bucket.store.as_ref(), TOKENS_PREFIX).await? {
            let Some(name) = name_in(&object.key) else { continue };
            let same = before.by_name.get(name).filter(|(etag, _)| *etag == object.etag);
            let token = match same {
                Some((_, token)) => token.clone(),
                // Gone since, or damaged: nobody is let in by it.
                None => named(bucket, name).await.unwrap_or_else(|error| {
                    tracing::warn!(token = name, "it lets nobody in: {}", error.chain());
                    None
                }),
            };
            if let Some(Token { holder: Holder::Token { id, .. }, .. }) = &token {
                after.by_id.insert(id.clone(), name.into());
            }
            after.by_name.insert(name.to_owned(), (object.etag, token));
        }
        let after = Arc::new(after);
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&after);
        Ok(after)
    }
}
