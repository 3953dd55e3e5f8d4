//! What a store can do: asked before the first write, and where that is the only way to know it, tried out. Trying out
//! writes, so whoever only reads does not ask.

use crate::bucket::Bucket;
use crate::error::{Error, ErrorKind, Result};
use crate::store::Abilities;
use crate::store::probe::probe;

/// What the store can do: known, or probed before the first write. An error of kind `Config`
/// when it does not keep conditional writes and nobody promised that there is one writer.
pub async fn abilities(bucket: &Bucket) -> Result<Abilities> {
    let learn = async || {
        let abilities = match bucket.store.abilities() {
            Some(abilities) => abilities,
            // Its calls have to race.
            None => probe(bucket.prompt.as_ref()).await?.abilities,
        };
        require_conditions(abilities, bucket.policy.single_writer).map(|()| abilities)
    };
    bucket.abilities.get_or_try_init(learn).await.copied()
}

/// Refuses a store that does not keep conditional writes, unless the operator promised that
/// there is no other writer.
pub fn require_conditions(abilities: Abilities, single_writer: bool) -> Result<()> {
    if abilities.conditional_put || single_writer {
        return Ok(());
    }
    let what = "this store does not keep conditional writes, so two writers could lose packages";
    Err(Error::new(ErrorKind::Config, what).hint(
        "make sure that only one yrm ever writes to this bucket, then set single-writer = true; `yrm doctor` shows what \
         the store can do",
    ))
}
