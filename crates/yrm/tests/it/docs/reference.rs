//! Keeps the reference pages equal to what the program says.
//!
//! What stands between `<!-- generated: NAME -->` and `<!-- generated: end -->` is made here, from the
//! program's tables, its help and its sources. `YRM_WRITE_DOCS=1` writes it anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use yrm::bucket::verdict::Reason;
use yrm::config::settings::{Group, Kind, OTHER_VARIABLES, SETTINGS, Scope, Setting};
use yrm::error::ErrorKind;
use yrm::metrics;

use super::{documents, read, root, types};
use crate::cli::yrm;

const BEGIN: &str = "<!-- generated: ";
const END: &str = "<!-- generated: end -->";

/// The text between a page's markers, made anew; `old` is what stands there.
fn generated(name: &str, old: &str) -> String {
    match name.split_once(' ').unwrap_or((name, "")) {
        ("settings", "") => settings(),
        ("variables", "") => variables(),
        ("flags", "") => flags(),
        ("commands", "") => commands(),
        ("reason-codes", "") => reason_codes(old),
        ("metrics", "") => all_metrics(),
        ("record", record) => fields(record),
        _ => panic!("nothing makes {name:?}"),
    }
}

/// A page with everything between its markers made anew.
fn renewed(page: &str) -> String {
    let mut renewed = String::new();
    let mut rest = page;
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let (name, body) = after.split_once(" -->\n").unwrap();
        let (old, after) = body.split_once(END).unwrap_or_else(|| panic!("{name} has no end"));
        write!(renewed, "{before}{BEGIN}{name} -->\n\n{}\n\n{END}", generated(name, old).trim()).unwrap();
        rest = after;
    }
    renewed + rest
}

#[test]
fn the_reference_says_what_the_program_says() {
    let mut old = Vec::new();
    for path in documents() {
        let text = fs::read_to_string(&path).unwrap();
        let renewed = renewed(&text);
        if renewed != text && std::env::var_os("YRM_WRITE_DOCS").is_some() {
            fs::write(&path, renewed).unwrap();
        } else if let Some(line) = renewed.lines().zip(text.lines()).find(|(new, old)| new != old) {
            old.push(format!("{}: {line:#?}", path.display()));
        } else if renewed != text {
            old.push(format!("{}: {} lines, now {}", path.display(), text.lines().count(), renewed.lines().count()));
        }
    }
    assert!(old.is_empty(), "YRM_WRITE_DOCS=1 writes these anew; then look at the difference:\n{}", old.join("\n"));
}

/// A table's cell: its text may hold what ends one, or what looks like HTML.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

fn settings() -> String {
    let mut lines = vec![
        "| setting | variable | flags | value | default | whose | what it does |".to_owned(),
        "|---|---|---|---|---|---|---|".to_owned(),
    ];
    for setting in SETTINGS {
        let also = setting.also_variable.map_or_else(String::new, |also| format!(" `{also}` is read too; ours wins."));
        let value =
            if setting.kind == Kind::Switch { "`true` or `false`" } else { &format!("`{}`", setting.placeholder) };
        lines.push(format!(
            "| `{}` | `{}` | {} | {} | {} | {} | {}{also} |",
            setting.name,
            setting.variable(),
            names(setting).join(", "),
            cell(value),
            setting.default.map_or_else(|| "–".to_owned(), |text| format!("`{text}`")),
            match setting.scope {
                Scope::Process => "process",
                Scope::Bucket => "bucket",
                Scope::Places => "both",
            },
            cell(setting.help),
        ));
    }
    lines.join("\n")
}

/// Every spelling of a setting on the command line.
fn names(setting: &Setting) -> Vec<String> {
    let mut names = vec![format!("`{}`", setting.flag())];
    names.extend(setting.short.map(|short| format!("`-{short}`")));
    names.extend(setting.aliases.iter().map(|alias| format!("`--{alias}`")));
    names
}

fn variables() -> String {
    let rows = OTHER_VARIABLES.iter().map(|other| format!("| `{}` | {} |", other.name, cell(other.help)));
    ["| variable | what it does |".to_owned(), "|---|---|".to_owned()]
        .into_iter()
        .chain(rows)
        .collect::<Vec<_>>()
        .join("\n")
}

fn flags() -> String {
    let groups = [
        (Group::Bucket, "Bucket and log", "check"),
        (Group::Repositories, "Repositories", "check"),
        (Group::Publish, "Publishing", "run"),
        (Group::Signing, "Signing", "run"),
        (Group::Serve, "Service", "serve"),
    ];
    let mut lines = vec!["| group | flags |".to_owned(), "|---|---|".to_owned()];
    for (group, heading, verb) in groups {
        let help = help(&[verb]);
        assert!(help.contains(&format!("\n{heading}:\n")), "yrm {verb} --help has no {heading}");
        let flags: Vec<String> =
            SETTINGS.iter().filter(|setting| setting.group == group).map(|setting| names(setting).join(" ")).collect();
        lines.push(format!("| {heading} | {} |", flags.join(", ")));
    }
    lines.join("\n")
}

fn help(verb: &[&str]) -> String {
    let directory = TempDir::new().unwrap();
    let output = yrm(directory.path()).args(verb).arg("--help").output().unwrap();
    assert!(output.status.success(), "yrm {verb:?} --help");
    String::from_utf8(output.stdout).unwrap()
}

/// Every verb's help: what is its own in full, and the names of the groups of settings.
fn commands() -> String {
    let mut pages = Vec::new();
    below(&[], &mut pages);
    pages.join("\n\n")
}

fn below(verb: &[&str], pages: &mut Vec<String>) {
    let help = help(verb);
    let (mut own, mut groups, mut verbs) = (Vec::new(), Vec::new(), Vec::new());
    let mut section = "";
    for line in help.lines() {
        let is_heading = !line.starts_with(' ') && line.ends_with(':');
        if is_heading {
            section = line.trim_end_matches(':');
        }
        let is_own = ["", "Arguments", "Options", "Commands", "Examples", "Example"].contains(&section);
        if is_own {
            own.push(line);
        } else if is_heading {
            groups.push(section);
        }
        let is_verb = section == "Commands" && line.starts_with("  ") && !line.starts_with("   ");
        if is_verb && let Some(name) = line.split_whitespace().next().filter(|name| *name != "help") {
            verbs.push(name);
        }
    }
    if !verb.is_empty() && verbs.is_empty() {
        let groups = if groups.is_empty() { String::new() } else { format!("\n\nAlso: {}.", groups.join(", ")) };
        pages.push(format!("### `yrm {}`\n\n```text\n{}\n```{groups}", verb.join(" "), own.join("\n").trim()));
    }
    for name in verbs {
        below(&[verb, &[name]].concat(), pages);
    }
}

/// Every source file of the program.
fn sources() -> Vec<(PathBuf, String)> {
    let (mut found, mut folders) = (Vec::new(), vec![root().join("crates/yrm/src")]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(source) = fs::read_to_string(&path) {
                found.push((path, source));
            }
        }
    }
    found
}

/// The source that holds this text, wherever it lies.
fn source_with(text: &str) -> String {
    let found = sources().into_iter().find(|(_, source)| source.contains(text));
    found.unwrap_or_else(|| panic!("no source holds {text:?}")).1
}

/// The arms of a `match` that answers text: each variant's.
fn arms(source: &str, function: &str) -> BTreeMap<String, String> {
    let body = source.split_once(&format!("fn {function}(self)")).unwrap().1.split_once("\n    }\n").unwrap().0;
    let mut arms = BTreeMap::new();
    let mut variants: Vec<String> = Vec::new();
    for (place, piece) in body.split('"').enumerate() {
        if place % 2 == 1 {
            arms.extend(variants.drain(..).map(|variant| (variant, piece.to_owned())));
        } else {
            let named = piece.split("Self::").skip(1);
            variants.extend(named.map(|name| name.split(|c: char| !c.is_alphanumeric()).next().unwrap().to_owned()));
        }
    }
    arms
}

/// Codes and hints as the program has them, between them what the page says a code means.
fn reason_codes(old: &str) -> String {
    let source = source_with("pub enum Reason {");
    let hints = arms(&source, "hint");
    let mut rows = Vec::new();
    for (variant, code) in arms(&source, "code") {
        let place = source.find(&format!("Self::{variant} => \"E_")).unwrap();
        let row = old.lines().find(|line| line.starts_with(&format!("| `{code}` |")));
        let meaning = row.and_then(|row| row.split(" | ").nth(1)).unwrap_or("**explain this code here**");
        rows.push((place, format!("| `{code}` | {meaning} | {} |", cell(&hints[&variant]))));
    }
    rows.sort();
    let rows = rows.into_iter().map(|(_, row)| row);
    ["| code | meaning | what the program says to do |", "|---|---|---|"]
        .map(str::to_owned)
        .into_iter()
        .chain(rows)
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn every_reason_code_is_explained_and_counted_from_the_start() {
    let codes = arms(&source_with("pub enum Reason {"), "code");
    assert_eq!(codes.into_values().collect::<BTreeSet<_>>(), Reason::ALL.map(|reason| reason.code().to_owned()).into());
    assert!(!read("docs/reference/reason-codes.md").contains("**explain"), "a new code has no meaning yet");
}

/// Everything that can be counted, after it was counted once.
fn all_metrics() -> String {
    let recorder = metrics::install();
    metrics::run_finished(&metrics::RunFigures::default(), jiff::Timestamp::UNIX_EPOCH);
    metrics::run_failed("denied");
    metrics::package_rejected("E_EMPTY");
    metrics::repository_seen("el9", 1, 1_795_377_600);
    metrics::run_finished(&metrics::RunFigures::default(), jiff::Timestamp::UNIX_EPOCH);
    metrics::quarantine_measured(0, 0);
    metrics::http_answered("/livez", 200);
    metrics::datadog_delivery(metrics::Delivery::Sent);
    metrics::notice_delivery(metrics::Delivery::Sent);
    metrics::queue_message(metrics::Heard::Arrived);
    metrics::queue_deleted(1);
    metrics::queue_call(metrics::QueueCall::Receive, Some("denied"));
    let text = recorder.render();
    let (mut helps, mut kinds) = (BTreeMap::new(), BTreeMap::new());
    let mut labels: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            helps.insert(name, help);
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            kinds.insert(name, kind);
        } else if let Some((name, rest)) = line.split_once('{') {
            let pairs = rest.split_once('}').unwrap().0.split(',').filter_map(|pair| pair.split_once('='));
            let name = name.trim_end_matches("_bucket");
            labels.entry(name).or_default().extend(pairs.map(|(label, _)| label).filter(|label| *label != "le"));
        }
    }
    let source = source_with("fn describe() {");
    let described: usize = ["counter", "gauge", "histogram"]
        .iter()
        .map(|kind| source.matches(&format!("describe_{kind}!(")).count())
        .sum();
    assert_eq!(helps.len(), described, "a metric is described and not counted here: {helps:?}");
    let mut lines = vec!["| metric | kind | labels | what it counts |".to_owned(), "|---|---|---|---|".to_owned()];
    for (name, help) in helps {
        let labels: Vec<String> = labels.get(name).into_iter().flatten().map(|label| format!("`{label}`")).collect();
        lines.push(format!("| `{name}` | {} | {} | {} |", kinds[name], labels.join(", "), cell(help)));
    }
    lines.join("\n")
}

/// A record's fields, from its definition.
fn fields(record: &str) -> String {
    let mut lines = vec!["| field | what it is | meaning |".to_owned(), "|---|---|---|".to_owned()];
    for field in types::fields_of(record).into_iter().filter(|field| !field.says("serde(skip)")) {
        let mut kind = in_json(&field.kind);
        if field.says("skip_serializing_if") {
            kind = format!("{}; left out when there is none", kind.trim_end_matches(" or `null`"));
        }
        lines.push(format!("| `{}` | {kind} | {} |", field.name, cell(&field.meaning)));
    }
    lines.join("\n")
}

/// How a type of ours looks in JSON.
fn in_json(kind: &str) -> String {
    let inner = |outer: &str| kind.strip_prefix(outer).and_then(|rest| rest.strip_suffix('>'));
    if let Some(inner) = inner("Option<") {
        return format!("{} or `null`", in_json(inner)).replace(" or `null` or `null`", " or `null`");
    }
    if let Some(inner) = inner("Vec<") {
        return format!("list of {}", in_json(inner));
    }
    match kind {
        "String" | "Ulid" | "RepositoryDir" => "text".to_owned(),
        "Mark" => "`hold`, `unhold`, `block`, `unblock`, `tag`, `untag`, `purge` or `other`".to_owned(),
        "u64" | "u32" | "usize" => "number".to_owned(),
        "bool" => "`true` or `false`".to_owned(),
        "Timestamp" => "time (RFC 3339, UTC)".to_owned(),
        "BTreeMap<String, String>" => "object of texts".to_owned(),
        "Found" => "`gone`, `damaged` or `foreign`".to_owned(),
        "Outcome" => "`restored`, `taken-over` or `left`".to_owned(),
        "Way" => "`in-store` or `read`".to_owned(),
        "Operation" => {
            "`run`, `remove`, `promote`, `rollback`, `prune`, `release`, `drop`, `settings`, `adopt`, `adopt-file`, \
             `drop-file`, `hold`, `unhold`, `block`, `unblock`, `tag`, `untag`, `rebuild`, `delete`, `restore` or `other`"
                .to_owned()
        }
        other => format!("[{other}](#{})", other.to_lowercase()),
    }
}

#[test]
fn every_kind_of_error_has_a_row_among_the_exit_codes() {
    let page = read("docs/reference/exit-codes.md");
    let kinds = [
        ErrorKind::Config,
        ErrorKind::Unavailable,
        ErrorKind::Conflict,
        ErrorKind::Denied,
        ErrorKind::Corrupt,
        ErrorKind::Archived,
        ErrorKind::Internal,
    ];
    for kind in kinds {
        let row = page.lines().find(|line| line.starts_with(&format!("| {} |", kind.exit_code())));
        assert!(row.is_some_and(|row| row.contains(&format!("`{}`", kind.name()))), "{kind:?}: {row:?}");
    }
}

#[test]
fn every_route_and_every_folder_of_the_bucket_has_its_row() {
    let page = read("docs/reference/http.md");
    for route in source_with(".route(\"/livez\"").split(".route(\"").skip(1) {
        let route = route.split('"').next().unwrap();
        assert!(page.contains(&format!("| `{route}` |")), "docs/reference/http.md lacks {route}");
    }
    let page = read("docs/reference/bucket.md");
    let source = source_with("pub enum Key<");
    for key in source.split("\".yrm/").skip(1) {
        let folder = key.split(['/', '"']).next().unwrap();
        assert!(page.contains(&format!(".yrm/{folder}")), "docs/reference/bucket.md lacks .yrm/{folder}");
    }
}

#[test]
fn pages_named_by_the_program_are_there() {
    for (path, source) in sources() {
        for named in source.split("docs/").skip(1) {
            let end = named.find(|c: char| !(c.is_alphanumeric() || "/-_.".contains(c))).unwrap_or(named.len());
            let page = Path::new("docs").join(named[..end].trim_end_matches('.'));
            assert!(root().join(&page).exists(), "{} names {}", path.display(), page.display());
        }
    }
}

#[test]
fn messages_that_are_explained_are_messages_of_the_program() {
    let joined = |source: String| source.split("\\\n").map(str::trim_start).collect::<String>().replace("\\\"", "\"");
    let said: String = sources().into_iter().map(|(_, source)| joined(source)).collect();
    let page = read("docs/tasks/troubleshoot.md");
    let rows = page.split_once("## By message").unwrap().1.lines().filter(|line| line.starts_with("| `"));
    let mut unknown = Vec::new();
    for row in rows {
        let message = row.split(" | ").next().unwrap();
        let quoted = message.split('`').skip(1).step_by(2).flat_map(|quoted| quoted.split('…'));
        unknown
            .extend(quoted.map(str::trim).filter(|piece| piece.len() > 4 && !said.contains(*piece)).map(str::to_owned));
    }
    assert_eq!(unknown, Vec::<String>::new(), "docs/tasks/troubleshoot.md explains what nobody says");
}
