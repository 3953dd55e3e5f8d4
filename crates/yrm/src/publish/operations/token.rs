//! Letting somebody in, and no more: one document each, made where there is none of that name, deleted as it was seen.

use jiff::Timestamp;

use super::hold::Word;
use crate::bucket::report::{Mark, Marked};
use crate::bucket::tokens::{Holder, Scope, Token, TokenUse, check_name, named, unknown};
use crate::bucket::{Bucket, document, record};
use crate::error::{Error, ErrorKind, Result};
use crate::store::PutIf;
use crate::store::key::Key;
use crate::store::settle::{self, Settled};

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
    let key = Key::Token { name: &name };
    let token = Token {
        name: name.clone(),
        holder,
        scopes,
        since: word.at,
        by: word.by.clone(),
        reason: word.reason.clone(),
        expires,
    };
    let (bytes, attributes) = (record::to_json(&token)?, key.attributes());
    match settle::put_settled(bucket.store.as_ref(), &bucket.path(key), &bytes, &attributes, &PutIf::Absent).await? {
        Settled::Won(_) => Ok(vec![marking(Mark::Token, &name, Some(token.told_scopes()))]),
        Settled::Lost => {
            let there = named(bucket, &name).await?.is_some_and(|there| there.holder == token.holder);
            if there {
                return Ok(Vec::new());
            }
            Err(Error::new(ErrorKind::Conflict, format!("creating the token {name}"))
                .because("there is one of that name")
                .hint("nothing was changed; take another name, or revoke that one first: `yrm token list` shows them"))
        }
    }
}

/// Lets nobody in by these names any more.
pub(crate) async fn revoke(bucket: &Bucket, names: &[String]) -> Result<Vec<Marked>> {
    for name in names {
        if named(bucket, name).await?.is_none() {
            return Err(unknown(bucket, name, "revoking").await);
        }
    }
    let mut marked = Vec::new();
    for name in names {
        if let Some(scopes) = take_away(bucket, name).await? {
            marked.push(marking(Mark::Revoke, name, Some(scopes)));
        }
    }
    Ok(marked)
}

/// What it let in to, where it was there.
async fn take_away(bucket: &Bucket, name: &str) -> Result<Option<String>> {
    let (key, store) = (bucket.path(Key::Token { name }), bucket.store.as_ref());
    for attempt in 0..settle::TRIES {
        settle::pause(store, attempt).await;
        let (token, there) = document::load::<Option<Token>>(bucket, Key::Token { name }).await?;
        let Some(there) = there else { return Ok(None) };
        if let Settled::Won(()) = settle::delete_settled(store, &key, &there.etag).await? {
            forget_use(bucket, name).await;
            return Ok(Some(token.map_or_else(String::new, |token| token.told_scopes())));
        }
    }
    Err(Error::new(ErrorKind::Conflict, format!("revoking {name}"))
        .because("others keep changing it")
        .hint("it may still let somebody in; try again"))
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
