//! Letting somebody in, and no more: one document each, made where there is none of that name, changed as it was seen.

use jiff::{SignedDuration, Timestamp};

use super::hold::Word;
use crate::bucket::listing::list_all;
use crate::bucket::report::{Mark, Marked};
use crate::bucket::tokens::{Holder, Scope, Token, TokenUse, check_name, name_in, named, unknown};
use crate::bucket::{Bucket, document, record};
use crate::error::{Error, ErrorKind, Result};
use crate::store::PutIf;
use crate::store::key::{Key, TOKENS_PREFIX};
use crate::store::settle::{self, Settled};

/// What was revoked is in the way of late requests for so long; S3 takes none after 15 minutes.
const LEFT_FOR: SignedDuration = SignedDuration::from_hours(24);

/// Who is to be let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granting {
    /// The name.
    pub name: String,
    /// By what.
    pub holder: Holder,
    /// To what.
    pub scopes: Vec<Scope>,
    /// Until when.
    pub expires: Option<Timestamp>,
}

/// Lets somebody in. The same once more, after a crash, is a success.
pub(crate) async fn grant(bucket: &Bucket, wanted: &Granting, word: &Word) -> Result<Vec<Marked>> {
    let Granting { name, holder, scopes, expires } = wanted.clone();
    check_name(&name)?;
    tidy(bucket, word.at).await;
    let (key, store) = (Key::Token { name: &name }, bucket.store.as_ref());
    let (by, reason) = (word.by.clone(), word.reason.clone());
    let token = Token { name: name.clone(), holder, scopes, since: word.at, by, reason, expires, revoked: None };
    let (bytes, attributes) = (record::to_json(&token)?, key.attributes());
    for attempt in 0..settle::TRIES {
        settle::pause(store, attempt).await;
        let (there, object) = document::load::<Option<Token>>(bucket, key).await?;
        let condition = match (there, object) {
            (Some(there), _) if there.revoked.is_none() && there.holder == token.holder => return Ok(Vec::new()),
            (Some(there), Some(object)) if there.revoked.is_some() => PutIf::Matches(object.etag),
            (_, None) => PutIf::Absent,
            (_, Some(_)) => {
                return Err(Error::new(ErrorKind::Conflict, format!("creating the token {name}"))
                    .because("there is one of that name")
                    .hint(
                        "nothing was changed; take another name, or revoke that one first: `yrm token list` shows them",
                    ));
            }
        };
        if let Settled::Won(_) = settle::put_settled(store, &bucket.path(key), &bytes, &attributes, &condition).await? {
            return Ok(vec![marking(Mark::Token, &name, Some(token.told_scopes()))]);
        }
    }
    Err(Error::new(ErrorKind::Conflict, format!("creating the token {name}"))
        .because("others keep changing it")
        .hint("`yrm token list` shows whether it lets anybody in; try again"))
}

/// Lets nobody in by these names any more.
pub(crate) async fn revoke(bucket: &Bucket, names: &[String], word: &Word) -> Result<Vec<Marked>> {
    for name in names {
        if named(bucket, name).await?.is_none() {
            return Err(unknown(bucket, name, "revoking").await);
        }
    }
    tidy(bucket, word.at).await;
    let mut marked = Vec::new();
    for name in names {
        if let Some(scopes) = take_away(bucket, name, word.at).await? {
            marked.push(marking(Mark::Revoke, name, Some(scopes)));
        }
    }
    Ok(marked)
}

/// What it let in to, where it was there. It is not deleted: a request to make it that got lost may arrive after that.
async fn take_away(bucket: &Bucket, name: &str, now: Timestamp) -> Result<Option<String>> {
    let (key, store) = (Key::Token { name }, bucket.store.as_ref());
    for attempt in 0..settle::TRIES {
        settle::pause(store, attempt).await;
        let (Some(token), Some(there)) = document::load::<Option<Token>>(bucket, key).await? else { return Ok(None) };
        if token.revoked.is_some() {
            return Ok(None);
        }
        let scopes = token.told_scopes();
        let bytes = record::to_json(&Token { revoked: Some(now), ..token })?;
        let (path, there) = (bucket.path(key), there.etag);
        let condition = PutIf::Matches(there.clone());
        if let Settled::Won(_) = settle::put_settled(store, &path, &bytes, &key.attributes(), &condition).await? {
            forget_use(bucket, name).await;
            return Ok(Some(scopes));
        }
    }
    Err(Error::new(ErrorKind::Conflict, format!("revoking {name}"))
        .because("others keep changing it")
        .hint("it may still let somebody in; try again"))
}

/// Deletes what is left of tokens that were revoked long ago. What fails is done another time.
async fn tidy(bucket: &Bucket, now: Timestamp) {
    let store = bucket.store.as_ref();
    for object in list_all(store, TOKENS_PREFIX).await.unwrap_or_default() {
        let Some(name) = name_in(&object.key) else { continue };
        if now.duration_since(object.modified) < LEFT_FOR {
            continue;
        }
        let Ok((Some(Token { revoked: Some(_), .. }), Some(there))) =
            document::load::<Option<Token>>(bucket, Key::Token { name }).await
        else {
            continue;
        };
        forget_use(bucket, name).await;
        drop(store.delete(&object.key, &there.etag).await);
    }
}

/// Nobody needs it any more; left over, it does no harm.
async fn forget_use(bucket: &Bucket, name: &str) {
    let key = bucket.path(Key::TokenUse { name });
    if let Ok(Some(there)) = bucket.store.head(&key).await {
        drop(bucket.store.delete(&key, &there.etag).await);
    }
}

/// Notes when a token was used. Whoever notes it last is right enough.
pub(crate) async fn note_use(bucket: &Bucket, name: &str, noted: &TokenUse) -> Result<()> {
    let key = Key::TokenUse { name };
    let bytes = record::to_json(noted)?;
    settle::put_always(bucket.store.as_ref(), &bucket.path(key), &bytes, &key.attributes()).await
}

fn marking(mark: Mark, name: &str, why: Option<String>) -> Marked {
    Marked { mark, repository: None, name: name.to_owned(), nevra: None, revision: None, why }
}
