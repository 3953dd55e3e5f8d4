//! Reading who may publish what where: signatures, keyrings, and the `[[rule]]` tables of `yrm.toml`, which
//! no variable and no flag can hold.

use std::path::PathBuf;

use super::complaint::Complaint;
use super::globs::{self, glob};
use super::parse;
use super::problem::Problem;
use super::settings::did_you_mean;
use super::text;
use super::trust::{KeyringPlace, Level, Rule, SignPackages, Trust};
use super::values::{Folders, Mirrors};
use super::versions::{Pruning, Retention};

/// A folder as it was written, without the slash before or after it.
fn bare(folder: &str) -> String {
    let folder = folder.strip_prefix('/').unwrap_or(folder);
    folder.strip_suffix('/').unwrap_or(folder).to_owned()
}

/// `FILE`, `DIR` or `bucket:FOLDER`, separated by commas.
pub(super) fn keyrings(text: &str) -> Result<Vec<KeyringPlace>, Complaint> {
    let place = |place: &str| match place.strip_prefix("bucket:") {
        Some(folder) => parse::folder(folder).map(KeyringPlace::Bucket),
        None if place.is_empty() || place.contains(char::is_control) => Err(Complaint {
            message: format!("{place:?} is no file or folder"),
            hint: Some("write /etc/yrm/keys, ./key.asc, or bucket:keys for a folder of the bucket".to_owned()),
        }),
        None => Ok(KeyringPlace::Path(PathBuf::from(place))),
    };
    text.split(',').map(|part| place(part.trim())).collect()
}

/// A keyring where others than administrators write would let them add keys.
pub(super) fn check_places(keyrings: &[KeyringPlace], folders: &Folders) -> Option<Complaint> {
    keyrings.iter().find_map(|place| {
        let KeyringPlace::Bucket(folder) = place else { return None };
        let open = [&folders.inbox, &folders.repo].into_iter().find(|open| parse::overlap(folder, open))?;
        if open.is_empty() {
            return Some(Complaint {
                message: format!("bucket:{folder} would be a folder of packages: repo is the bucket's root"),
                hint: Some("keep the keys in a file or folder of this machine, such as /etc/yrm/keys".to_owned()),
            });
        }
        Some(Complaint {
            message: format!("bucket:{folder} lies in {open:?}, where uploaders could add a key"),
            hint: Some("keep keys in a folder that only administrators may write to, such as bucket:keys".to_owned()),
        })
    })
}

/// The `[[rule]]` tables of a configuration, or the `[[folder]]` tables of a bucket: `kind` says which.
pub(super) fn read(kind: &str, value: &toml::Value, place: &str, problems: &mut Vec<Problem>) -> Vec<Rule> {
    let Some(tables) = value.as_array().filter(|tables| tables.iter().all(toml::Value::is_table)) else {
        let hint = Some(format!("write each as a table of its own: [[{kind}]], then match = \"el9/*\""));
        problems.push(Problem {
            place: format!("{kind} ({place})"),
            message: "this is no list of tables".to_owned(),
            hint,
        });
        return Vec::new();
    };
    let mut rules = Vec::new();
    for (at, table) in tables.iter().filter_map(toml::Value::as_table).enumerate() {
        let mut complain = |what: &str, complaint: Complaint| {
            let place = format!("{kind} {}{what} ({place})", at + 1);
            problems.push(Problem { place, message: complaint.message, hint: complaint.hint });
        };
        rules.push(rule(table, &mut complain));
    }
    rules
}

/// What a table may say.
const KNOWN: [&str; 11] = [
    "folder",
    "match",
    "names",
    "keys",
    "signatures",
    "sign-packages",
    "mirrorlist",
    "compression",
    "on-conflict",
    PRUNING[0],
    PRUNING[1],
];
/// What of it says which old versions leave.
const PRUNING: [&str; 2] = ["keep-at-least", "prune-age-days"];
/// In the place of a number: nothing leaves.
const ALL: &str = "all";

/// Which old versions leave the folders of a table.
fn pruning(table: &toml::Table, complain: &mut impl FnMut(&str, Complaint)) -> Option<Pruning> {
    let mut read = |name: &str| {
        let value = table.get(name).or_else(|| table.get(&name.replace('-', "_")))?;
        let text = text::as_text(value);
        if text.is_none() {
            complain(&format!(", {name}"), no_texts());
        }
        text
    };
    let (keep, age) = (read(PRUNING[0]), read(PRUNING[1]));
    if keep.as_deref() == Some(ALL) {
        if age.is_some() {
            let complaint = Complaint::new("nothing is ever old where all is kept").hint("leave prune-age-days out");
            complain(", prune-age-days", complaint);
        }
        return Some(Pruning::Never);
    }
    if keep.is_none() && age.is_none() {
        return None;
    }
    let mut wrong = |name: &str, complaint| complain(&format!(", {name}"), complaint);
    let keep = keep.map(|text| parse::keep_at_least(&text)).transpose();
    let keep = keep.unwrap_or_else(|complaint| {
        wrong(PRUNING[0], complaint);
        None
    });
    let age = age.map(|text| parse::days(&text)).transpose().unwrap_or_else(|complaint| {
        wrong(PRUNING[1], complaint);
        None
    });
    Some(Pruning::By(Retention {
        keep_at_least: keep.unwrap_or(parse::KEEP_AT_LEAST),
        older_than: age.unwrap_or(parse::PRUNE_AGE),
    }))
}

fn rule(table: &toml::Table, complain: &mut impl FnMut(&str, Complaint)) -> Rule {
    let mut rule = Rule { pruning: pruning(table, complain), ..Rule::default() };
    for (key, value) in table {
        if key == "mirrorlist" {
            rule.mirrorlist = value.as_bool();
            if rule.mirrorlist.is_none() {
                let message = "this is neither true nor false".to_owned();
                complain(", mirrorlist", Complaint { message, hint: None });
            }
            continue;
        }
        if PRUNING.contains(&key.replace('_', "-").as_str()) {
            continue;
        }
        let Some(texts) = texts(value) else {
            complain(&format!(", {key}"), no_texts());
            continue;
        };
        match key.as_str() {
            "folder" | "match" => rule.folders = texts.iter().map(|folder| bare(folder)).collect(),
            "names" => rule.names = texts,
            "keys" => rule.keys = texts,
            "signatures" => match Level::parse(&texts.join(",")) {
                Ok(level) => rule.signatures = Some(level),
                Err(complaint) => complain(", signatures", complaint),
            },
            "sign-packages" | "sign_packages" => match SignPackages::parse(&texts.join(",")) {
                Ok(which) => rule.sign_packages = Some(which),
                Err(complaint) => complain(", sign-packages", complaint),
            },
            "compression" => match parse::compression(&texts.join(",")) {
                Ok(compression) => rule.compression = Some(compression),
                Err(complaint) => complain(", compression", complaint),
            },
            "on-conflict" | "on_conflict" => match parse::on_conflict(&texts.join(",")) {
                Ok(what) => rule.on_conflict = Some(what),
                Err(complaint) => complain(", on-conflict", complaint),
            },
            _ => {
                let near = did_you_mean(key, KNOWN);
                let hint = near
                    .map_or_else(|| format!("a rule has {}", KNOWN.join(", ")), |near| format!("did you mean {near}?"));
                complain("", Complaint { message: format!("a rule has no {key:?}"), hint: Some(hint) });
            }
        }
    }
    if rule.folders.is_empty() {
        let message = "it does not say for which folder it is".to_owned();
        complain(
            "",
            Complaint { message, hint: Some("write folder = \"el9/*\", or folder = \"**\" for all".to_owned()) },
        );
    }
    for text in rule.folders.iter().chain(&rule.names) {
        if let Err(message) = glob(text) {
            complain("", Complaint { message, hint: None });
        }
    }
    if let Some(empty) = table.iter().find(|(_, value)| value.as_array().is_some_and(Vec::is_empty)) {
        let message = format!("{:?} is an empty list, which nothing would satisfy", empty.0);
        complain("", Complaint { message, hint: Some("leave it out to allow everything".to_owned()) });
    }
    rule
}

fn no_texts() -> Complaint {
    Complaint { message: "this is neither a text nor a list of texts".to_owned(), hint: None }
}

fn texts(value: &toml::Value) -> Option<Vec<String>> {
    match value {
        toml::Value::String(text) => Some(vec![text.clone()]),
        toml::Value::Array(items) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

/// What is wrong with keys and levels together, and rules that could never hold.
pub(super) fn check(trust: &Trust, folders: Option<&Folders>) -> Vec<(String, Complaint)> {
    let mut found = Vec::new();
    let place = |at: usize| format!("rule {}", at + 1);
    for (at, rule) in trust.rules.iter().enumerate() {
        let folders = rule.folders.iter().filter_map(|text| globs::check_folder(text, folders?));
        let wrong = folders.chain(rule.names.iter().filter_map(|text| globs::check_name(text)));
        found.extend(wrong.map(|complaint| (place(at), complaint)));
    }
    if found.is_empty() {
        found.extend(globs::shadowed(&trust.rules).into_iter().map(|(at, complaint)| (place(at), complaint)));
    }
    if trust.looks_at_signatures() && trust.keyrings.is_empty() {
        let hint = "name the keys that packages may be signed with: keyring = \"/etc/yrm/keys\"".to_owned();
        let message = "signatures are asked for, and there is no key to verify them with".to_owned();
        found.push(("keyring".to_owned(), Complaint { message, hint: Some(hint) }));
    }
    for (at, rule) in trust.rules.iter().enumerate() {
        let are_asked_for = rule.sign_packages.unwrap_or(trust.sign_packages) == SignPackages::Missing;
        if !rule.keys.is_empty() && rule.signatures.unwrap_or(trust.signatures) == Level::Off && !are_asked_for {
            let message = "it names keys, and signatures are not looked at there".to_owned();
            let hint = Some("add signatures = \"require\" to the rule".to_owned());
            found.push((place(at), Complaint { message, hint }));
        }
    }
    found
}

/// Where generations have folders of their own, clients must be told how to reach them.
pub(super) fn check_mirrors(mirrors: &Mirrors, rules: &[Rule]) -> Option<Complaint> {
    let wanted = mirrors.on || rules.iter().any(|rule| rule.mirrorlist == Some(true));
    (wanted && mirrors.public_urls.is_empty()).then(|| Complaint {
        message: "mirrorlist is on, and nobody says where clients reach the repositories".to_owned(),
        hint: Some("set public-url = \"https://packages.example.org/repo\", which leads to the folder repo".to_owned()),
    })
}

/// A rule in one line, for `config show`.
pub(super) fn in_short(rule: &Rule) -> String {
    let list = |name: &str, texts: &[String]| (!texts.is_empty()).then(|| format!("{name}={}", texts.join(",")));
    let level = rule.signatures.map(|level| format!("signatures={}", level.name()));
    let signing = rule.sign_packages.map(|which| format!("sign-packages={}", which.name()));
    let mirrorlist = rule.mirrorlist.map(|on| format!("mirrorlist={on}"));
    let lists = [list("folder", &rule.folders), list("names", &rule.names), list("keys", &rule.keys)];
    let compression = rule.compression.map(|kind| format!("compression={}", text::compression(kind)));
    let pruning = rule.pruning.map(|pruning| match pruning {
        Pruning::Never => format!("keep-at-least={ALL}"),
        Pruning::By(by) => {
            format!("keep-at-least={} prune-age-days={}", by.keep_at_least, text::days(by.older_than))
        }
    });
    let conflict = rule.on_conflict.map(|what| format!("on-conflict={}", what.name()));
    let parts = lists.into_iter().chain([level, signing, mirrorlist, compression, pruning, conflict]);
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}
