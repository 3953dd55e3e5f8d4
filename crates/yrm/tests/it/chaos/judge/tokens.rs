//! What the judge holds tokens to (G19): nobody is let in by one that was revoked, and none takes the place of another.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Judge, Who};

/// Who is let in, by the keys of their documents, and who was.
#[derive(Debug, Default, Clone)]
pub(super) struct LetIn {
    now: BTreeMap<String, String>,
    revoked: BTreeSet<String>,
}

impl Judge {
    /// What a write to a token's document breaks.
    pub(super) fn who_is_let_in(&self, who: &Who, key: &str) {
        let Some(name) = key.strip_prefix(".yrm/tokens/").and_then(|rest| rest.strip_suffix(".json")) else { return };
        let token: Value = self.bytes(key).map_or(Value::Null, |bytes| serde_json::from_slice(&bytes).unwrap());
        let mut books = self.books();
        let before = books.let_in.now.remove(key);
        let Some(id) = token["holder"]["id"].as_str() else {
            books.let_in.revoked.extend(before);
            return;
        };
        if !token["revoked"].is_null() {
            books.let_in.revoked.extend(before.into_iter().chain([id.to_owned()]));
            return;
        }
        if books.let_in.revoked.contains(id) {
            books.violations.push(format!("G19: {who:?} let in by {name} again, which was revoked"));
        }
        if before.is_some_and(|before| before != id) {
            books.violations.push(format!("G19: {who:?} put another token in the place of {name}"));
        }
        books.let_in.now.insert(key.to_owned(), id.to_owned());
    }

    pub(in crate::chaos) fn nobody_is_let_in(&self) -> bool {
        self.books().let_in.now.is_empty()
    }
}
