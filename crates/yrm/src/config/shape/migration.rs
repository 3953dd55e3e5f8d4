//! A change of the layout that is going on: the mark of it in the bucket's document. Only computes.

use jiff::Timestamp;
use toml::{Table, Value};
use ulid::Ulid;

use super::canonical;
use crate::config::complaint::{Complaint, Parsed};
use crate::config::values::Repositories;
use crate::config::{parse, text};

/// The table of the document.
pub(super) const MIGRATION: &str = "migration";
/// The setting that it changes.
pub(super) const REPOSITORIES: &str = "repositories";

/// A change of the layout that is going on. Nobody else publishes until it is finished or taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// What `repositories` is to be.
    pub to: String,
    /// What it was to be before, if somebody changed their mind: what was made for that is given up.
    pub given_up: Vec<String>,
    /// Which change this is.
    pub id: Ulid,
    /// Since when.
    pub since: Timestamp,
    /// Who began it, if that is known.
    pub by: Option<String>,
    /// Why, if that was said.
    pub reason: Option<String>,
}

/// The one text of a layout.
pub fn layout_text(repositories: &Repositories) -> String {
    text::repositories(repositories)
}

/// The layout of this text.
pub fn layout_of(text: &str) -> Parsed<Repositories> {
    parse::repositories(text)
}

/// What the table of the document says.
pub(super) fn read(value: &Value) -> Parsed<Migration> {
    let wrong = |what: &str| Complaint::new(format!("{MIGRATION}: {what}"));
    let table = value.as_table().ok_or_else(|| wrong("it is no table"))?;
    let text = |name: &str| table.get(name).and_then(Value::as_str);
    let layout = |text: &str| canonical::value(REPOSITORIES, text);
    let given_up = match table.get("given-up") {
        None => Vec::new(),
        Some(list) => {
            let list = list.as_array().ok_or_else(|| wrong("given-up is no list"))?;
            let all = list.iter().map(|one| layout(one.as_str().unwrap_or_default()));
            all.collect::<Parsed<_>>()?
        }
    };
    Ok(Migration {
        to: layout(text("to").ok_or_else(|| wrong("it does not say to what"))?)?,
        given_up,
        id: text("id").and_then(|id| id.parse().ok()).ok_or_else(|| wrong("it has no id"))?,
        since: text("since").and_then(|since| since.parse().ok()).ok_or_else(|| wrong("it does not say since when"))?,
        by: text("by").map(str::to_owned),
        reason: text("reason").map(str::to_owned),
    })
}

/// The table that says this.
pub(super) fn write(migration: &Migration) -> Table {
    let Migration { to, given_up, id, since, by, reason } = migration;
    let mut table = Table::new();
    table.insert("to".to_owned(), Value::from(to.as_str()));
    if !given_up.is_empty() {
        table.insert("given-up".to_owned(), Value::from(given_up.clone()));
    }
    table.insert("id".to_owned(), Value::from(id.to_string()));
    table.insert("since".to_owned(), Value::from(since.to_string()));
    for (name, text) in [("by", by), ("reason", reason)] {
        table.extend(text.as_ref().map(|text| (name.to_owned(), Value::from(text.as_str()))));
    }
    table
}
