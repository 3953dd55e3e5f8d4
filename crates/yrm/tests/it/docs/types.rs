//! The types that the program writes as JSON, as their sources define them. Tables and schemas of the reference both come
//! from here, so that a field has one description, beside the field.

use std::fs;

use super::root;

/// Where each type is defined, below `crates/yrm/src`. Names of the program's own types, each once.
pub(crate) const TYPES: [(&str, &str); 48] = [
    ("Report", "bucket/report.rs"),
    ("Published", "bucket/report.rs"),
    ("Way", "bucket/report.rs"),
    ("Operation", "bucket/report.rs"),
    ("Remark", "bucket/report.rs"),
    ("Rejected", "bucket/report.rs"),
    ("Waiting", "bucket/report.rs"),
    ("TakenOut", "bucket/report.rs"),
    ("RepositoryReport", "bucket/report.rs"),
    ("Adoption", "bucket/report.rs"),
    ("LayoutChange", "bucket/report.rs"),
    ("PackagesOf", "bucket/report.rs"),
    ("Names", "bucket/report.rs"),
    ("Marked", "bucket/report.rs"),
    ("Mark", "bucket/report.rs"),
    ("Hold", "bucket/holds.rs"),
    ("BlockedPattern", "cli/marks.rs"),
    ("TagShown", "cli/repo.rs"),
    ("Trouble", "bucket/report.rs"),
    ("Noticed", "bucket/noticed.rs"),
    ("Found", "bucket/noticed.rs"),
    ("Outcome", "bucket/noticed.rs"),
    ("Orphan", "check/orphans.rs"),
    ("Why", "check/orphans.rs"),
    ("Counts", "bucket/counts.rs"),
    ("Usage", "store/counted.rs"),
    ("Receipt", "bucket/receipt.rs"),
    ("Findings", "check.rs"),
    ("RepositoryFindings", "check/findings.rs"),
    ("Status", "cli/status.rs"),
    ("RepositoryStatus", "cli/status.rs"),
    ("Inbox", "cli/status.rs"),
    ("QuarantinedFile", "cli/quarantine.rs"),
    ("WaitingFile", "cli/status.rs"),
    ("FoundPackage", "cli/search.rs"),
    ("PackageVersion", "cli/show.rs"),
    ("PruneForecast", "cli/show.rs"),
    ("RevisionShown", "cli/compare.rs"),
    ("RevisionPackage", "cli/compare.rs"),
    ("RevisionDiff", "cli/compare.rs"),
    ("Side", "cli/compare.rs"),
    ("TokenMade", "cli/token.rs"),
    ("TokenShown", "cli/token.rs"),
    ("ClientConfig", "cli/client/written.rs"),
    ("ClientFile", "cli/client/written.rs"),
    ("ClientCheck", "cli/client/check.rs"),
    ("ClientStep", "cli/client/check.rs"),
    ("Verdict", "cli/client/check.rs"),
];
/// And those that are called like others.
const MORE: [(&str, &str); 13] = [
    ("Difference", "cli/compare.rs"),
    ("Kind", "cli/compare.rs"),
    ("Generation", "bucket/log.rs"),
    ("Delivery", "cli/publish.rs"),
    ("State", "cli/publish.rs"),
    ("Place", "cli/publish.rs"),
    ("Objection", "cli/publish.rs"),
    ("BucketSettings", "cli/settings.rs"),
    ("Row", "cli/settings.rs"),
    ("SettingsPreview", "cli/settings.rs"),
    ("SettingsAgreement", "cli/settings.rs"),
    ("SettingsChange", "bucket/settings.rs"),
    ("Changed", "config/shape/value.rs"),
];

/// A field of a record.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(crate) name: String,
    /// Its type, as it is written.
    pub(crate) kind: String,
    pub(crate) meaning: String,
    attributes: String,
}

impl Field {
    /// Whether an attribute of it says so.
    pub(crate) fn says(&self, attribute: &str) -> bool {
        self.attributes.contains(attribute)
    }
}

/// A type's definition: what is said of it, its attributes, and what stands between its braces.
pub(crate) struct Definition {
    pub(crate) meaning: String,
    pub(crate) attributes: String,
    pub(crate) body: String,
    pub(crate) is_enum: bool,
}

pub(crate) fn definition(name: &str) -> Definition {
    let file = TYPES.iter().chain(&MORE).find(|(known, _)| *known == name);
    let file = file.unwrap_or_else(|| panic!("where is {name} defined?")).1;
    let source = fs::read_to_string(root().join("crates/yrm/src").join(file)).unwrap();
    let (is_enum, place) = ["struct", "enum"]
        .into_iter()
        .find_map(|kind| Some((kind == "enum", source.find(&format!("{kind} {name} {{\n"))?)))
        .unwrap_or_else(|| panic!("{file} does not define {name}"));
    let body = source[place..].split_once("{\n").unwrap().1.split_once("\n}").unwrap().0;
    let above = source[..place].rsplit_once("\n\n").unwrap().1;
    let lines = |mark: &str| above.lines().filter_map(|line| line.strip_prefix(mark)).collect::<Vec<_>>().join(" ");
    Definition { meaning: lines("/// "), attributes: lines("#["), body: body.to_owned(), is_enum }
}

/// A record's fields, in their order.
pub(crate) fn fields_of(record: &str) -> Vec<Field> {
    let Definition { body, .. } = definition(record);
    let mut fields = Vec::new();
    let (mut meaning, mut attributes) = (Vec::new(), String::new());
    for line in body.lines().map(str::trim) {
        if let Some(words) = line.strip_prefix("/// ") {
            meaning.push(words);
        } else if line.starts_with("#[") {
            attributes.push_str(line);
        } else if let Some((name, kind)) =
            line.trim_start_matches("pub(super) ").trim_start_matches("pub ").trim_end_matches(',').split_once(": ")
        {
            fields.push(Field {
                name: name.to_owned(),
                kind: kind.to_owned(),
                meaning: meaning.join(" "),
                attributes: std::mem::take(&mut attributes),
            });
            meaning.clear();
        }
    }
    assert!(!fields.is_empty(), "{record}");
    fields
}

/// An enum's variants, as JSON spells them, and what each holds.
pub(crate) fn variants_of(name: &str) -> Vec<(String, Option<String>)> {
    let Definition { body, attributes, .. } = definition(name);
    let lines = body.lines().map(str::trim).filter(|line| !line.starts_with("//") && !line.is_empty());
    let variant = |line: &str| {
        let line = line.trim_end_matches(',');
        let (name, held) = line.split_once('(').map_or((line, None), |(name, held)| (name, Some(held)));
        let mut spelt = String::new();
        for c in name.chars() {
            if c.is_uppercase() && !spelt.is_empty() && attributes.contains("kebab-case") {
                spelt.push('-');
            }
            spelt.extend(c.to_lowercase());
        }
        (spelt, held.map(|held| held.trim_end_matches(')').to_owned()))
    };
    lines.map(variant).collect()
}
