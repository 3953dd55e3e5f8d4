//! One change of a bucket's settings, as it is asked for: what they are afterwards. Only computes.

use toml::{Table, Value};

use super::document::{entries, folders};
use super::value::{SIGNING_KEYS, Shape, fingerprints, settings_of_buckets};
use crate::config::complaint::{Complaint, Parsed};
use crate::config::globs;
use crate::config::settings::did_you_mean;
use crate::config::trust::Rule;

/// What may differ in a folder.
pub const OF_FOLDERS: [&str; 9] = [
    "compression",
    "keep-at-least",
    "prune-age-days",
    "on-conflict",
    "signatures",
    "sign-packages",
    "mirrorlist",
    "names",
    "keys",
];
/// Of these two either is both.
const PRUNING: [&str; 2] = ["keep-at-least", "prune-age-days"];

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The setting.
    pub key: String,
    /// Its new value; `None` takes it out, so that the default holds.
    pub value: Option<String>,
    /// The folders that it is for; `None` for the whole bucket.
    pub folder: Option<String>,
}

impl Shape {
    /// The settings after this change, or what is wrong with it.
    pub fn changed(&self, change: &Change) -> Parsed<Self> {
        let mut shape = self.clone();
        match &change.folder {
            Some(folder) => shape.change_folder(folder, change)?,
            None => shape.change(change)?,
        }
        Ok(shape)
    }

    fn change(&mut self, Change { key, value, .. }: &Change) -> Parsed<()> {
        if key == SIGNING_KEYS {
            self.signing_keys = value.as_deref().map(fingerprints).transpose()?.unwrap_or_default();
            return Ok(());
        }
        let known = || settings_of_buckets().map(|setting| setting.name);
        let Some(name) = known().find(|name| name == key) else {
            let all: Vec<&str> = known().chain([SIGNING_KEYS]).collect();
            let near = did_you_mean(key, all.iter().copied());
            let hint =
                near.map_or_else(|| format!("write one of {}", all.join(", ")), |near| format!("did you mean {near}?"));
            return Err(Complaint::new(format!("{key:?} is no setting of a bucket")).hint(hint));
        };
        match value {
            Some(value) => self.put(name, value)?,
            None if PRUNING.contains(&name) => PRUNING.iter().for_each(|name| drop(self.values.remove(name))),
            None => drop(self.values.remove(name)),
        }
        self.complete_pruning();
        Ok(())
    }

    fn change_folder(&mut self, folder: &str, Change { key, value, .. }: &Change) -> Parsed<()> {
        if !OF_FOLDERS.contains(&key.as_str()) {
            return Err(Complaint::new(format!("{key:?} is the same in every folder"))
                .hint(format!("in a folder these may differ: {}", OF_FOLDERS.join(", "))));
        }
        let folder = folder.trim_matches('/');
        let at = self.folders.iter().position(|rule| rule.folders == [folder]);
        let mut table: Table = match at {
            Some(at) => entries(&self.folders[at]).into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            None => Table::from_iter([("match".to_owned(), Value::from(vec![folder]))]),
        };
        let is_a_list = matches!(key.as_str(), "names" | "keys");
        match value.as_deref() {
            Some(text) if is_a_list => {
                drop(table.insert(key.clone(), text.split(',').map(str::trim).collect::<Vec<_>>().into()));
            }
            Some("true" | "false") if key == "mirrorlist" => {
                table.insert(key.clone(), Value::from(value.as_deref() == Some("true")));
            }
            Some(text) => {
                table.insert(key.clone(), Value::from(text));
                // What was said of old versions before does not go with keeping all.
                if key == PRUNING[0] && text == "all" {
                    table.remove(PRUNING[1]);
                }
                if key == PRUNING[1] && table.get(PRUNING[0]).and_then(Value::as_str) == Some("all") {
                    table.remove(PRUNING[0]);
                }
            }
            None if PRUNING.contains(&key.as_str()) => PRUNING.iter().for_each(|name| drop(table.remove(*name))),
            None => drop(table.remove(key.as_str())),
        }
        let says_nothing = table.len() == 1;
        let changed = folders(&Value::Array(vec![Value::Table(table)]))?.remove(0);
        match at {
            Some(at) if says_nothing => drop(self.folders.remove(at)),
            Some(at) => self.folders[at] = changed,
            None if says_nothing => {}
            None => self.add(changed),
        }
        Ok(())
    }

    /// Puts a new table before the first that would hold in its place.
    fn add(&mut self, rule: Rule) {
        let fits = |other: &Rule| {
            let globs = other.folders.iter().filter_map(|text| globs::folder_globs(text).ok()).flatten();
            globs.into_iter().any(|glob| rule.folders.iter().any(|folder| glob.is_match(folder)))
        };
        let at = self.folders.iter().position(fits).unwrap_or(self.folders.len());
        self.folders.insert(at, rule);
    }
}
