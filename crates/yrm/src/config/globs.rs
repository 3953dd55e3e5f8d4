//! Globs of folders and of names: which could ever fit, and which only look as if they did. A rule that can
//! never hold lets everything through without a word, so it is refused with what to write instead. Pure.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use globset::{GlobBuilder, GlobMatcher};
use icu_normalizer::ComposingNormalizerBorrowed;

use super::complaint::Complaint;
use super::trust::{Rule, Trust};
use super::values::{Folders, Repositories};
use crate::legible;

/// Alternatives (`{a,b}`) that are looked at; nobody writes more by hand.
const MAX_SPELLINGS: usize = 256;

/// Globs that were compiled before: the bucket's settings are read at every run, and compiling their globs costs more
/// than all the rest of that.
static COMPILED: Mutex<BTreeMap<String, GlobMatcher>> = Mutex::new(BTreeMap::new());
/// How many are kept, at most.
const COMPILED_AT_MOST: usize = 1_000;

/// A folder's or a name's glob; `*` stays within one level.
pub fn glob(text: &str) -> Result<GlobMatcher, String> {
    let compiled = || COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = compiled().get(text) {
        return Ok(known.clone());
    }
    let built = GlobBuilder::new(text).literal_separator(true).build();
    let built = built.map_err(|error| format!("{text:?} is not a glob: {}", error.kind()))?;
    let matcher = built.compile_matcher();
    let mut compiled = compiled();
    if compiled.len() < COMPILED_AT_MOST {
        compiled.insert(text.to_owned(), matcher.clone());
    }
    Ok(matcher)
}

/// The globs that one of a rule's folders stands for: `X/**` holds in X itself too.
pub fn folder_globs(text: &str) -> Result<Vec<GlobMatcher>, String> {
    let mut globs = vec![glob(text)?];
    if let Some(itself) = text.strip_suffix("/**") {
        globs.extend(folder_globs(itself)?);
    }
    Ok(globs)
}

/// The same folder or name to a reader's eye: compatible forms, cases, blanks at the ends and what takes no
/// room are all one.
pub fn skeleton(text: &str) -> String {
    let normal = ComposingNormalizerBorrowed::new_nfkc();
    let plain: String = text.chars().filter(|c| !legible::steers(*c)).collect();
    let lower = normal.normalize(&plain).to_lowercase();
    normal.normalize(&lower).split('/').map(str::trim).collect::<Vec<_>>().join("/")
}

/// What is wrong with a glob of folders below the inbox. Empty is the folder above all.
pub(super) fn check_folder(text: &str, folders: &Folders) -> Option<Complaint> {
    if text.is_empty() {
        return None;
    }
    spellings(text).iter().find_map(|spelling| folder_fault(spelling, folders)).map(|(what, instead)| Complaint {
        message: format!("{text:?} can never be the folder of a package: {what}"),
        hint: Some(instead),
    })
}

/// One spelling without alternatives: what is wrong, and what to write instead.
fn folder_fault(text: &str, folders: &Folders) -> Option<(String, String)> {
    let parts: Vec<&str> = text.split('/').collect();
    let plain: Vec<&str> = parts.iter().map(|part| part.trim()).filter(|part| !matches!(*part, "" | ".")).collect();
    let instead = || match plain.join("/") {
        plain if plain.is_empty() => "write \"**\" for every folder".to_owned(),
        plain if plain.split('/').any(|part| part == "..") => {
            "write the folder below the inbox, without \"..\"".to_owned()
        }
        plain => format!("write {plain:?}"),
    };
    if text == "." {
        return Some(("the folder above all has no name".to_owned(), instead()));
    }
    for part in &parts {
        let fault = match *part {
            "" => "a folder's name is empty",
            "." | ".." => "folders are named from the inbox on, without \".\" and \"..\"",
            part if part.trim() != part => {
                return Some((
                    "a name begins or ends with a blank".to_owned(),
                    format!("{}; a folder that is really called so is written with [ ] for the blank", instead()),
                ));
            }
            part if part.contains('\\') => {
                return Some((
                    "folders are parted by /, not by \\".to_owned(),
                    format!("write {:?}", text.replace('\\', "/")),
                ));
            }
            part if part.chars().any(legible::steers) => "it holds a character that cannot be seen",
            _ if is_a_file(part) => {
                let above = parts[..parts.len() - 1].join("/");
                let instead = if above.is_empty() { "**".to_owned() } else { above };
                let hint = format!("write folder = {instead:?}, and names = [\"NAME\"] for some packages only");
                return Some(("it names a package, not a folder".to_owned(), hint));
            }
            "repodata" => "yrm itself uses that name",
            part if part.starts_with('.') => "packages in hidden folders are not published",
            _ => continue,
        };
        return Some((fault.to_owned(), instead()));
    }
    let top = [&folders.inbox, &folders.repo]
        .into_iter()
        .find(|top| text.strip_prefix(top.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))?;
    let below = text[top.len()..].trim_start_matches('/');
    let below = if below.is_empty() { "**" } else { below };
    let really = format!("[{}]{}", &top[..1], &text[1..]);
    let hint = format!("write {below:?}, or {really:?} for a folder of that name in the inbox");
    Some((format!("folders are named from below {top:?} on"), hint))
}

/// Whether it ends as packages' files do.
fn is_a_file(name: &str) -> bool {
    let stem = name.len().checked_sub(".rpm".len());
    stem.and_then(|stem| name.get(stem..)).is_some_and(|end| end.eq_ignore_ascii_case(".rpm"))
}

/// What is wrong with a glob of package names.
pub(super) fn check_name(text: &str) -> Option<Complaint> {
    let bad = |c: char| !(c.is_ascii_alphanumeric() || "._+-*?[]{}!^,".contains(c));
    let (what, instead) = if is_a_file(text) {
        ("it is a file's name", "write NAME alone, such as \"myteam-*\", without a version and .rpm".to_owned())
    } else if text.is_empty() || text.contains(bad) {
        let plain: String = text.rsplit('/').next().unwrap_or_default().chars().filter(|c| !bad(*c)).collect();
        let instead =
            if plain.is_empty() { "leave it out to allow every name".to_owned() } else { format!("write {plain:?}") };
        ("names are letters, digits and ._+-", instead)
    } else {
        return None;
    };
    Some(Complaint { message: format!("{text:?} can never be the name of a package: {what}"), hint: Some(instead) })
}

/// What is wrong with the repositories' globs.
pub(super) fn check_repositories(repositories: &Repositories, folders: &Folders) -> Option<Complaint> {
    match repositories {
        Repositories::Globs(globs) => globs.iter().find_map(|glob| check_folder(glob, folders)),
        Repositories::Single | Repositories::Depth(_) => None,
    }
}

/// Globs of a rule for whose every folder an earlier rule holds: the rule's index, and what is wrong.
pub(super) fn shadowed(rules: &[Rule]) -> Vec<(usize, Complaint)> {
    let mut found = Vec::new();
    for (at, rule) in rules.iter().enumerate() {
        for text in &rule.folders {
            let Some((before, glob)) = rules[..at].iter().enumerate().find_map(|(before, earlier)| {
                earlier.folders.iter().find(|glob| covers(glob, text)).map(|glob| (before + 1, glob))
            }) else {
                continue;
            };
            let message = format!(
                "{text:?} is never asked: rule {before} for {glob:?} holds there, and the first that fits counts"
            );
            let hint = Some(format!("put this rule before rule {before}"));
            found.push((at, Complaint { message, hint }));
        }
    }
    found
}

/// Whether one glob holds wherever the other does, as far as two samples of it tell. What is more than stars
/// is not looked into.
fn covers(glob: &str, other: &str) -> bool {
    if other.contains(['?', '[', '{']) {
        return false;
    }
    let Ok(globs) = folder_globs(glob) else { return false };
    // A folder right below stands for all that `**` may be.
    let samples = ["q", "z-q.z"].map(|star| other.replace("**", &format!("{star}/{star}")).replace('*', star));
    samples.iter().all(|sample| holds(&globs, sample))
}

fn holds(globs: &[GlobMatcher], folder: &str) -> bool {
    let above = folder.match_indices('/').map(|(at, _)| &folder[..at]);
    std::iter::once("").chain(above).chain([folder]).any(|folder| globs.iter().any(|glob| glob.is_match(folder)))
}

/// What is worth a warning about the rules' folders: that two look alike, and that others may put unsigned
/// packages beside signed ones.
pub(super) fn warnings(trust: &Trust, repositories: &Repositories) -> Vec<String> {
    let mut warnings = Vec::new();
    let folders: Vec<(usize, &str)> = trust
        .rules
        .iter()
        .enumerate()
        .flat_map(|(at, rule)| rule.folders.iter().map(move |text| (at + 1, text.as_str())))
        .collect();
    for (at, (number, folder)) in folders.iter().enumerate() {
        let twin = folders[..at].iter().find(|(_, other)| other != folder && skeleton(other) == skeleton(folder));
        if let Some((before, twin)) = twin {
            warnings.push(format!(
                "rule {number} is for {folder:?} and rule {before} for {twin:?}: they look alike and are two folders"
            ));
        }
    }
    warnings.extend(beside_signed(trust, repositories));
    warnings
}

/// A rule that asks for signatures in a part of a repository, of whose other folders nobody does.
fn beside_signed(trust: &Trust, repositories: &Repositories) -> Option<String> {
    use super::Level::Require;
    let level = |rule: &Rule| rule.signatures.unwrap_or(trust.signatures);
    let everywhere = trust.rules.iter().find(|rule| rule.folders.iter().any(|text| matches!(text.as_str(), "" | "**")));
    if everywhere.map_or(trust.signatures, level) == Require {
        return None;
    }
    let levels = match repositories {
        Repositories::Single => 0,
        Repositories::Depth(levels) => *levels,
        Repositories::Globs(globs) => globs.iter().map(|glob| glob.split('/').count()).max().unwrap_or(0),
    };
    let is_a_part = |text: &&String| {
        !matches!(text.as_str(), "" | "**") && text.trim_end_matches("/**").split('/').count() > levels
    };
    let strict = trust.rules.iter().enumerate().filter(|(_, rule)| level(rule) == Require);
    let (at, folder) = strict
        .flat_map(|(at, rule)| rule.folders.iter().map(move |text| (at, text)))
        .find(|(_, text)| is_a_part(text))?;
    Some(format!(
        "rule {} asks for signatures in {folder:?}, a part of a repository, whose other folders take unsigned packages: clients \
         take the newest version from any folder; set signatures = \"require\" for all, or repositories so that the \
         folder is one of its own",
        at + 1
    ))
}

/// Every spelling of a glob's alternatives; the glob itself where there are none, or too many.
fn spellings(text: &str) -> Vec<String> {
    let mut whole = vec![text.to_owned()];
    while let Some((at, alternatives)) = whole.iter().enumerate().find_map(|(at, text)| Some((at, opened(text)?))) {
        if whole.len() + alternatives.len() > MAX_SPELLINGS {
            return vec![text.to_owned()];
        }
        whole.splice(at..=at, alternatives);
    }
    whole
}

/// What the first innermost `{a,b}` may be.
fn opened(text: &str) -> Option<Vec<String>> {
    let close = text.find('}')?;
    let open = text[..close].rfind('{')?;
    let alternatives = text[open + 1..close].split(',');
    Some(alternatives.map(|one| format!("{}{one}{}", &text[..open], &text[close + 1..])).collect())
}
