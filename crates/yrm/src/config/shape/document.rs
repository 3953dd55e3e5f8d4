//! The document `.yrm/bucket.toml`: its text to a [`Shape`] and back.

use std::fmt::Write as _;

use toml::{Table, Value};

use super::canonical;
use super::migration::{self, MIGRATION};
use super::value::{self, BUCKET_FILE, Changed, SIGNING_KEYS, Shape, settings_of_buckets};
use crate::config::complaint::{Complaint, Parsed};
use crate::config::settings::{Kind, did_you_mean};
use crate::config::text::{self, as_text};
use crate::config::trust::Rule;
use crate::config::versions::Pruning;
use crate::config::{parse, rules};

/// The version of the document that this program writes. It goes by no newer one.
pub const SCHEMA: i64 = 1;

const FOLDER: &str = "folder";
const HEAD: &str =
    "# The settings of this bucket: all who write to it go by them. `yrm settings` shows and changes them.\n";
/// Settings whose value is a list.
const LISTS: [&str; 2] = ["public-url", "keyring"];

impl Shape {
    /// What the document says, or what is wrong with it.
    pub fn parse(text: &str) -> Parsed<Self> {
        let table: Table = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            Complaint::new(format!("line {line}: {}", error.message().trim()))
        })?;
        match table.get("schema").map(Value::as_integer) {
            Some(Some(schema @ 1..)) if schema > SCHEMA => {
                return Err(Complaint::new(format!("it has schema {schema}, and this yrm knows none above {SCHEMA}"))
                    .hint("update yrm on this machine; a newer one has written the bucket's settings"));
            }
            Some(Some(1..)) => {}
            Some(_) => return Err(Complaint::new("its schema is no whole number from 1 on")),
            None => return Err(Complaint::new("it does not say which schema it has")),
        }
        let mut shape = Self::default();
        for (key, value) in &table {
            match key.as_str() {
                "schema" => {}
                SIGNING_KEYS => shape.signing_keys = fingerprints(value)?,
                FOLDER => shape.folders = folders(value)?,
                MIGRATION => shape.migration = Some(migration::read(value)?),
                _ => shape.take(key, value)?,
            }
        }
        shape.complete_pruning();
        Ok(shape)
    }

    fn take(&mut self, key: &str, value: &Value) -> Parsed<()> {
        let name = key.replace('_', "-");
        let setting = settings_of_buckets().find(|setting| setting.name == name).ok_or_else(|| {
            let near = did_you_mean(&name, settings_of_buckets().map(|setting| setting.name));
            let hint = near.map_or_else(
                || "a newer yrm may have written it: update yrm on this machine".to_owned(),
                |near| format!("did you mean {near}?"),
            );
            Complaint::new(format!("{key:?} is no setting of a bucket")).hint(hint)
        })?;
        let text =
            as_text(value).ok_or_else(|| Complaint::new(format!("{key}: a {} is no value", value.type_str())))?;
        self.put(setting.name, &text)
    }

    /// Sets a value; says what is wrong with it.
    pub(super) fn put(&mut self, name: &'static str, text: &str) -> Parsed<()> {
        let value = canonical::value(name, text)
            .map_err(|complaint| Complaint { message: format!("{name}: {}", complaint.message), ..complaint })?;
        self.values.insert(name, value);
        Ok(())
    }

    /// Who says only one half of when old versions leave means the usual other half.
    pub(super) fn complete_pruning(&mut self) {
        let is_on = ["keep-at-least", "prune-age-days"].iter().any(|name| self.values.contains_key(name));
        if is_on {
            self.values.entry("keep-at-least").or_insert_with(|| parse::KEEP_AT_LEAST.to_string());
            self.values.entry("prune-age-days").or_insert_with(|| text::days(parse::PRUNE_AGE));
        }
    }

    /// What its tables say, a setting each: the folder, the setting, its value.
    pub fn folder_values(&self) -> Vec<(String, &'static str, String)> {
        let mut all = Vec::new();
        for rule in &self.folders {
            let folder = rule.folders.join(", ");
            let said = entries(rule).into_iter().filter(|(name, _)| *name != "match");
            all.extend(said.map(|(name, value)| (folder.clone(), name, as_text(&value).unwrap_or_default())));
        }
        all
    }

    /// What changes from these settings to `after`.
    pub fn changes(&self, after: &Self) -> Vec<Changed> {
        let all = |shape: &Self| {
            let mut all: Vec<(String, String)> = settings_of_buckets()
                .filter_map(|setting| Some((setting.name.to_owned(), shape.stated(setting.name)?.to_owned())))
                .collect();
            all.extend(
                (!shape.signing_keys.is_empty()).then(|| (SIGNING_KEYS.to_owned(), shape.signing_keys.join(","))),
            );
            all.extend(shape.migration.as_ref().map(|going_on| (MIGRATION.to_owned(), format!("to {}", going_on.to))));
            let folders = shape.folder_values().into_iter();
            all.extend(folders.map(|(folder, name, value)| (format!("{name} in {folder}"), value)));
            all
        };
        let (before, after) = (all(self), all(after));
        let value = |all: &[(String, String)], name: &str| {
            all.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
        };
        let mut names: Vec<&String> = before.iter().map(|(name, _)| name).collect();
        names.extend(after.iter().map(|(name, _)| name).filter(|name| value(&before, name).is_none()));
        let changed = |name: &String| {
            let (before, after) = (value(&before, name), value(&after, name));
            (before != after).then(|| Changed { setting: name.clone(), before, after })
        };
        names.into_iter().filter_map(changed).collect()
    }

    /// The document that says this.
    pub fn to_toml(&self) -> String {
        let mut text = format!("{HEAD}schema = {SCHEMA}\n");
        let mut line = |name: &str, value: Value| writeln!(text, "{name} = {value}").expect("a String takes any text");
        for setting in settings_of_buckets() {
            let Some(value) = self.values.get(setting.name) else { continue };
            line(setting.name, spelt(setting.name, setting.kind, value));
        }
        if !self.signing_keys.is_empty() {
            line(SIGNING_KEYS, Value::from(self.signing_keys.clone()));
        }
        if let Some(going_on) = &self.migration {
            text.push_str("\n[migration]\n");
            for (name, value) in migration::write(going_on) {
                writeln!(text, "{name} = {value}").expect("a String takes any text");
            }
        }
        for rule in &self.folders {
            text.push_str("\n[[folder]]\n");
            for (name, value) in entries(rule) {
                writeln!(text, "{name} = {value}").expect("a String takes any text");
            }
        }
        text
    }
}

fn spelt(name: &str, kind: Kind, value: &str) -> Value {
    match kind {
        Kind::Number => value.parse::<i64>().map_or_else(|_| Value::from(value), Value::from),
        Kind::Switch => Value::from(value == "true"),
        Kind::Text | Kind::Secret if LISTS.contains(&name) => value.split(',').collect::<Vec<_>>().into(),
        Kind::Text | Kind::Secret => Value::from(value),
    }
}

/// What a table of the document says, in the order in which it is written.
pub(super) fn entries(rule: &Rule) -> Vec<(&'static str, Value)> {
    let list = |name, texts: &[String]| (!texts.is_empty()).then(|| (name, Value::from(texts.to_vec())));
    let mut entries: Vec<(&'static str, Value)> =
        [list("match", &rule.folders), list("names", &rule.names), list("keys", &rule.keys)]
            .into_iter()
            .flatten()
            .collect();
    entries.extend(rule.compression.map(|kind| ("compression", Value::from(text::compression(kind)))));
    match rule.pruning {
        None => {}
        Some(Pruning::Never) => entries.push(("keep-at-least", Value::from("all"))),
        Some(Pruning::By(by)) => {
            entries.push(("keep-at-least", spelt("", Kind::Number, &by.keep_at_least.to_string())));
            entries.push(("prune-age-days", spelt("", Kind::Number, &text::days(by.older_than))));
        }
    }
    entries.extend(rule.on_conflict.map(|what| ("on-conflict", Value::from(what.name()))));
    entries.extend(rule.signatures.map(|level| ("signatures", Value::from(level.name()))));
    entries.extend(rule.sign_packages.map(|which| ("sign-packages", Value::from(which.name()))));
    entries.extend(rule.mirrorlist.map(|on| ("mirrorlist", Value::from(on))));
    entries
}

pub(super) fn folders(value: &Value) -> Parsed<Vec<Rule>> {
    let mut problems = Vec::new();
    let found = rules::read(FOLDER, value, BUCKET_FILE, &mut problems);
    match problems.into_iter().next() {
        None => Ok(found),
        Some(problem) => {
            Err(Complaint { message: format!("{}: {}", problem.place, problem.message), hint: problem.hint })
        }
    }
}

fn fingerprints(value: &Value) -> Parsed<Vec<String>> {
    let text = as_text(value).ok_or_else(|| Complaint::new(format!("{SIGNING_KEYS}: this is no list of texts")))?;
    value::fingerprints(&text)
}
