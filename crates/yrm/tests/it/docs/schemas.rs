//! The JSON that the program writes is described by schemas in `docs/reference/schemas/`: they are made from the program's
//! types ([`super::types`]), and what the program really prints fits them.
//!
//! A published schema lets fields be added, as the reference promises. The test lets none: a field that is not described
//! is a defect.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};

use serde_json::{Map, Value, json};
use tempfile::TempDir;
use yrm::error::ErrorKind;

use super::root;
use super::types::{definition, fields_of, variants_of};
use crate::cli::yrm;

const FOLDER: &str = "docs/reference/schemas";

/// Every schema, by its file's name.
fn schemas() -> BTreeMap<&'static str, Value> {
    let list_of = |record: &str, title: &str| {
        let mut all = Definitions::default();
        let items = all.of(record);
        all.whole(title, json!({"type": "array", "items": items}))
    };
    let one = |record: &str, title: &str| {
        let mut all = Definitions::default();
        let record = all.of(record);
        all.whole(title, record)
    };
    let record_with = |title: &str, also: &[(&str, &str)]| {
        let mut all = Definitions::default();
        let mut record = all.object("Rejected");
        for (name, kind) in also {
            record["properties"][*name] = all.of(kind);
        }
        all.whole(title, record)
    };
    let mut receipt = Definitions::default();
    let answers = variants_of("Receipt");
    let mut properties: Map<String, Value> =
        answers.iter().map(|(name, held)| (name.clone(), receipt.of(held.as_ref().unwrap()))).collect();
    properties.insert(
        "uploader".to_owned(),
        json!({"type": "string", "description": "Who uploaded it, if a queue has told."}),
    );
    let uploaded = "When the upload came that this answers, by the store's clock.";
    properties.insert("uploaded".to_owned(), json!({"type": "string", "format": "date-time", "description": uploaded}));
    let either: Vec<Value> = answers.iter().map(|(name, _)| json!({"required": [name]})).collect();
    let receipt = receipt.whole(
        "The answer to one upload: .yrm/receipts/<sha256>.json",
        json!({"type": "object", "properties": properties, "oneOf": either}),
    );
    let kinds: Vec<&str> = ErrorKind::ALL.map(ErrorKind::name).to_vec();
    let error = json!({
        "$schema": DRAFT,
        "title": "An error on stderr, with --output json",
        "type": "object",
        "properties": {"error": {
            "type": "object",
            "properties": {
                "kind": {"enum": kinds, "description": "The kind of error; docs/reference/exit-codes.md explains them."},
                "message": {"type": "string", "description": "What went wrong."},
                "hint": {"type": ["string", "null"], "description": "What to do about it."},
                "exit_code": {"type": "integer", "minimum": 1, "maximum": 6, "description": "The program's exit code."},
            },
            "required": ["kind", "message", "hint", "exit_code"],
        }},
        "required": ["error"],
    });
    BTreeMap::from([
        (
            "report.json",
            one("Report", "yrm run, what changes packages and repositories, yrm history show, and .yrm/history/*.json"),
        ),
        ("history.json", list_of("Report", "yrm history")),
        ("receipt.json", receipt),
        ("quarantine-record.json", record_with("quarantine/…/<file>.<id>.json", &[("uploader", "String")])),
        ("quarantine-list.json", list_of("QuarantinedFile", "yrm quarantine list")),
        ("check.json", one("Findings", "yrm check")),
        ("status.json", one("Status", "yrm status")),
        ("publish.json", list_of("Delivery", "yrm publish")),
        ("package-search.json", list_of("FoundPackage", "yrm package search")),
        ("package-show.json", list_of("PackageVersion", "yrm package show")),
        ("package-block.json", list_of("BlockedPattern", "yrm package block, without a pattern")),
        ("repo-tags.json", list_of("TagShown", "yrm repo tags")),
        ("repo-show.json", one("RevisionShown", "yrm repo show")),
        ("repo-diff.json", one("RevisionDiff", "yrm repo diff")),
        ("repo-log.json", list_of("Generation", "yrm repo log")),
        ("settings-show.json", one("BucketSettings", "yrm settings show")),
        ("settings-set.json", one("SettingsPreview", "yrm settings set and unset")),
        ("settings-history.json", list_of("SettingsChange", "yrm settings history")),
        ("settings-check.json", one("SettingsAgreement", "yrm settings check")),
        ("token-create.json", one("TokenMade", "yrm token create")),
        ("token-list.json", list_of("TokenShown", "yrm token list")),
        ("token-show.json", one("TokenShown", "yrm token show")),
        ("client-config.json", one("ClientConfig", "yrm client config")),
        ("client-check.json", one("ClientCheck", "yrm client check")),
        ("error.json", error),
    ])
}

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The types that a schema uses.
#[derive(Default)]
struct Definitions(BTreeMap<String, Value>);

impl Definitions {
    fn whole(self, title: &str, schema: Value) -> Value {
        let mut whole = Map::from_iter([("$schema".to_owned(), json!(DRAFT)), ("title".to_owned(), json!(title))]);
        let Value::Object(schema) = schema else { panic!("{schema}") };
        whole.extend(schema);
        whole.insert("$defs".to_owned(), Value::Object(self.0.into_iter().collect()));
        Value::Object(whole)
    }

    /// How a type of the program looks in JSON.
    fn of(&mut self, kind: &str) -> Value {
        let inner = |outer: &str| kind.strip_prefix(outer).and_then(|rest| rest.strip_suffix('>'));
        if let Some(inner) = inner("Option<") {
            return json!({"anyOf": [self.of(inner), {"type": "null"}]});
        }
        if let Some(inner) = inner("Vec<") {
            return json!({"type": "array", "items": self.of(inner)});
        }
        match kind {
            "String" | "ETag" | "PathBuf" | "&'static str" => json!({"type": "string"}),
            "Ulid" => json!({"type": "string", "pattern": "^[0-9A-HJKMNP-TV-Z]{26}$"}),
            "RepositoryDir" => json!({"type": "string", "pattern": "^(/|[^/](.*[^/])?)$"}),
            "u64" | "u32" | "usize" => json!({"type": "integer", "minimum": 0}),
            "bool" => json!({"type": "boolean"}),
            "Timestamp" => json!({"type": "string", "format": "date-time"}),
            "BTreeMap<String, String>" => json!({"type": "object", "additionalProperties": {"type": "string"}}),
            ours => {
                if !self.0.contains_key(ours) {
                    // It may name itself.
                    self.0.insert(ours.to_owned(), Value::Null);
                    let schema = if definition(ours).is_enum {
                        let names: Vec<String> = variants_of(ours).into_iter().map(|(name, _)| name).collect();
                        json!({"description": definition(ours).meaning, "enum": names})
                    } else {
                        self.object(ours)
                    };
                    self.0.insert(ours.to_owned(), schema);
                }
                json!({"$ref": format!("#/$defs/{ours}")})
            }
        }
    }

    fn object(&mut self, record: &str) -> Value {
        let (mut properties, mut required) = (Map::new(), Vec::new());
        for field in fields_of(record).iter().filter(|field| !field.says("serde(skip)")) {
            let kind = field.kind.trim_start_matches("Option<").trim_end_matches('>');
            if field.says("flatten") && !definition(kind).is_enum {
                for part in fields_of(kind) {
                    let mut schema = self.of(&part.kind);
                    schema["description"] = json!(format!("{} {}", field.meaning, part.meaning));
                    properties.insert(part.name, schema);
                }
                continue;
            }
            if field.says("flatten") {
                for (name, held) in variants_of(kind) {
                    properties.insert(name, self.of(&held.unwrap()));
                }
                continue;
            }
            let is_left_out = field.says("skip_serializing_if");
            let kind = if field.says("\"folder\"") { "RepositoryDir" } else { &field.kind };
            let kind = if is_left_out {
                kind.strip_prefix("Option<").map_or(kind, |kind| &kind[..kind.len() - 1])
            } else {
                kind
            };
            let mut schema = self.of(kind);
            schema["description"] = json!(field.meaning);
            properties.insert(field.name.clone(), schema);
            if !is_left_out {
                required.push(field.name.clone());
            }
        }
        json!({"description": definition(record).meaning, "type": "object", "properties": properties, "required": required})
    }
}

#[test]
fn the_reference_says_in_schemas_what_the_program_writes() {
    let folder = root().join(FOLDER);
    let mut old = Vec::new();
    for (name, schema) in schemas() {
        let (file, text) = (folder.join(name), serde_json::to_string_pretty(&schema).unwrap() + "\n");
        if fs::read_to_string(&file).is_ok_and(|there| there == text) {
            continue;
        }
        if std::env::var_os("YRM_WRITE_DOCS").is_some() {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&file, text).unwrap();
        } else {
            old.push(name);
        }
    }
    assert_eq!(old, Vec::<&str>::new(), "YRM_WRITE_DOCS=1 writes these anew; then look at the difference");
    let known = schemas();
    for entry in fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(known.contains_key(name.as_str()), "{name} is no schema of the program's");
    }
}

/// A schema that lets nothing be there that it does not describe.
fn closed(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.values_mut().for_each(closed);
            let is_record = fields.get("properties").is_some_and(Value::is_object) && fields.contains_key("type");
            if is_record {
                fields.insert("additionalProperties".to_owned(), json!(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(closed),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The schemas as they are published, closed, and what was held against them.
struct Judge {
    validators: BTreeMap<String, jsonschema::Validator>,
    /// Lists of reports that were seen with something in them.
    seen: BTreeMap<String, usize>,
}

impl Judge {
    fn new() -> Self {
        let read = |entry: std::io::Result<fs::DirEntry>| {
            let path = entry.unwrap().path();
            let mut schema: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            assert!(jsonschema::meta::is_valid(&schema), "{}", path.display());
            closed(&mut schema);
            let validator = jsonschema::draft202012::options().should_validate_formats(true).build(&schema).unwrap();
            (path.file_name().unwrap().to_str().unwrap().to_owned(), validator)
        };
        Self { validators: fs::read_dir(root().join(FOLDER)).unwrap().map(read).collect(), seen: BTreeMap::new() }
    }

    fn judge(&mut self, schema: &str, value: &Value) {
        let wrong: Vec<String> = self.validators[schema]
            .iter_errors(value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(wrong.is_empty(), "{schema}: {wrong:#?}\n{value:#}");
        *self.seen.entry(schema.to_owned()).or_default() += 1;
        if schema == "report.json" {
            for (name, field) in value.as_object().unwrap() {
                let is_told = field.as_array().map_or(field.as_u64() != Some(0), |list| !list.is_empty());
                *self.seen.entry(format!("report: {name}")).or_default() += usize::from(is_told);
                if name == "repositories" && field.as_array().unwrap().iter().any(|one| one.get("adoption").is_some()) {
                    self.seen.insert("report: adoption".to_owned(), 1);
                }
            }
        }
    }
}

/// What the program printed: exit code, and the JSON on stdout and stderr.
struct Said {
    code: i32,
    out: Value,
    err: Value,
}

fn said(output: &Output) -> Said {
    let json = |bytes: &[u8]| serde_json::from_slice(bytes).unwrap_or(Value::Null);
    Said { code: output.status.code().unwrap(), out: json(&output.stdout), err: json(&output.stderr) }
}

fn command(at: &Path, line: &str) -> Command {
    let mut command = yrm(at);
    command.args(line.split_whitespace()).args(["--output", "json"]);
    command
}

fn say(at: &Path, line: &str) -> Said {
    said(&command(at, line).output().unwrap())
}

/// Puts a file into a folder, as old as can be: nothing is being copied any more.
fn put(at: &Path, path: &str, bytes: &[u8]) {
    let path = at.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
}

fn package(name: &str, version: &str) -> Vec<u8> {
    forge::Rpm::new(name, version, "1", "noarch").build()
}

/// Every JSON file below a folder, with its schema's name where that is one.
fn files_below(folder: &Path) -> Vec<Value> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else if path.extension().is_some_and(|extension| extension == "json") {
            found.push(serde_json::from_slice(&fs::read(&path).unwrap()).unwrap());
        }
    }
    found
}

#[test]
fn what_the_program_prints_fits_the_schemas() {
    let directory = TempDir::new().unwrap();
    let (at, mut judge) = (directory.path(), Judge::new());
    let report = |judge: &mut Judge, line: &str| {
        let said = say(at, line);
        assert!([0, 3].contains(&said.code), "{line}: {}", said.err);
        judge.judge("report.json", &said.out);
        said.out
    };
    // A folder that another program has indexed, and a package that was put there later.
    put(at, "b/repo/dev/old.rpm", &package("old", "1"));
    assert_eq!(say(at, "index b/repo/dev").code, 0);
    put(at, "b/repo/dev/unlisted.rpm", &package("unlisted", "1"));
    put(at, "b/inbox/dev/a-1.rpm", &package("a", "1"));
    put(at, "b/inbox/dev/b-1.rpm", &package("b", "1"));
    put(at, "b/inbox/dev/bad.rpm", b"this is no package");
    // It begins as a package and ends too early, just now: it may still be being copied.
    fs::write(at.join("b/inbox/dev/partly.rpm"), &package("partly", "1")[..500]).unwrap();
    let first = report(&mut judge, "run -b ./b --per-folder");
    assert_eq!(first["waiting"][0]["inbox_key"], "inbox/dev/partly.rpm", "{first:#}");
    assert_eq!(first["published"].as_array().unwrap().len(), 2, "{first:#}");

    report(&mut judge, "package promote dev/a-1.rpm --to prod/a-1.rpm -b ./b --per-folder");
    report(&mut judge, "package remove b-1.rpm --in dev -b ./b --per-folder");
    let log = say(at, "repo log --in dev -b ./b");
    judge.judge("repo-log.json", &log.out);
    let earlier = log.out[1]["revision"].as_u64().unwrap_or_else(|| panic!("{}", log.out));
    report(&mut judge, &format!("repo rollback {earlier} --in dev -b ./b --per-folder"));
    put(at, "b/inbox/dev/a-1.rpm", &forge::Rpm::new("a", "1", "1", "noarch").summary("other bytes").build());
    let set = say(at, "settings set on-conflict replace -b ./b");
    judge.judge("settings-set.json", &set.out);
    report(&mut judge, "run -b ./b --per-folder --on-conflict replace");
    for line in [
        "package hold b --in dev -b ./b --reason once",
        "package block nothing-* --in dev -b ./b --reason never",
        "repo tag current v1 --in dev -b ./b",
    ] {
        assert!(report(&mut judge, line)["marked"].is_array(), "{line}");
    }
    put(at, "b/inbox/dev/a-2.rpm", &package("a", "2"));
    for line in ["settings set keep-at-least 1 -b ./b", "settings set prune-age-days 0 -b ./b"] {
        judge.judge("settings-set.json", &say(at, line).out);
    }
    report(&mut judge, "run -b ./b --per-folder --keep-at-least 1 --prune-age-days 0");
    judge.judge("settings-set.json", &say(at, "settings set compression zstd --folder dev -b ./b --dry-run").out);
    report(&mut judge, "run -b ./b --per-folder");
    let made = say(at, "token create ci --scope read:dev/* --reason why -b ./b").out;
    assert!(made["token"].as_str().is_some_and(|token| token.starts_with("yrm_")), "{made}");
    judge.judge("token-create.json", &made);
    judge.judge(
        "token-create.json",
        &say(at, "token create hosts --scope read --certificate *.x --expires never -b ./b").out,
    );
    judge.judge("client-config.json", &say(at, "client config zypper --url https://x/repo").out);
    judge.judge("client-check.json", &say(at, "client check http://127.0.0.1:9/repo").out);

    for (line, schema) in [
        ("history -b ./b", "history.json"),
        ("status -b ./b", "status.json"),
        ("check -b ./b --deep", "check.json"),
        ("quarantine list -b ./b", "quarantine-list.json"),
        ("package search -b ./b", "package-search.json"),
        ("package show a -b ./b", "package-show.json"),
        ("package block -b ./b", "package-block.json"),
        ("repo tags --in dev -b ./b", "repo-tags.json"),
        ("token list -b ./b", "token-list.json"),
        ("token show ci -b ./b", "token-show.json"),
        ("repo show current --in dev -b ./b", "repo-show.json"),
        ("repo diff dev prod -b ./b", "repo-diff.json"),
        ("settings show -b ./b", "settings-show.json"),
        ("settings history -b ./b", "settings-history.json"),
        ("settings check -b ./b", "settings-check.json"),
    ] {
        let said = say(at, line);
        judge.judge(schema, &said.out);
        assert!(!said.out.as_array().is_some_and(Vec::is_empty), "{line}: {}", said.out);
    }
    publish(at, &mut judge);
    errors(at, &mut judge);
    for (folder, schema) in [
        ("b/.yrm/history", "report.json"),
        ("b/.yrm/receipts", "receipt.json"),
        ("b/quarantine", "quarantine-record.json"),
    ] {
        for record in files_below(&at.join(folder)) {
            judge.judge(schema, &record);
        }
    }

    // The root repository, and one whose metadata is damaged.
    put(at, "root/inbox/a.rpm", &package("a", "1"));
    assert_eq!(report(&mut judge, "run -b ./root")["published"][0]["repository"], "/");
    let status = say(at, "status -b ./root").out;
    judge.judge("status.json", &status);
    assert_eq!(status["repositories"][0]["repository"], "/");
    let check = say(at, "check -b ./root").out;
    assert_eq!(check["repositories"][0]["repository"], "/");
    assert_eq!(check["repositories"][0]["revision"], status["repositories"][0]["revision"]);
    fs::write(at.join("root/repo/repodata/repomd.xml"), "junk").unwrap();
    let damaged = say(at, "check -b ./root");
    assert_eq!(damaged.code, 6);
    judge.judge("check.json", &damaged.out);

    for told in ["published", "rejected", "waiting", "pruned", "removed", "replaced", "repositories", "adoption"] {
        assert!(
            judge.seen.get(&format!("report: {told}")).is_some_and(|count| *count > 0),
            "{told}: {:#?}",
            judge.seen
        );
    }
    for schema in judge.validators.keys() {
        assert!(judge.seen.contains_key(schema), "nothing was held against {schema}");
    }
}

/// Every state that an answer of `publish` can have.
fn publish(at: &Path, judge: &mut Judge) {
    put(at, "c-1.rpm", &package("c", "1"));
    put(at, "junk.rpm", b"this is no package");
    let states = |said: &Said| -> Vec<String> {
        let rows = said.out.as_array().unwrap_or_else(|| panic!("{}", said.err)).iter();
        rows.map(|row| row["state"].as_str().unwrap().to_owned()).collect()
    };
    for (line, code, state) in [
        ("publish c-1.rpm --to dev -b ./b --dry-run", 0, "would-be-published"),
        ("publish junk.rpm --to dev -b ./b --dry-run", 7, "would-be-rejected"),
        ("publish c-1.rpm --to dev -b ./b", 0, "in-the-inbox"),
        ("publish c-1.rpm --to dev -b ./b --wait --timeout 0s", 3, "in-the-inbox"),
    ] {
        let said = say(at, line);
        assert_eq!((said.code, states(&said)), (code, vec![state.to_owned()]), "{line}: {}", said.err);
        judge.judge("publish.json", &said.out);
    }
    let waiting = command(at, "publish c-1.rpm junk.rpm --to dev -b ./b --wait --timeout 60s")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Young junk is left alone for ten seconds: a file may still be being copied.
    let (told, done) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let pause = std::time::Duration::from_millis(300);
            while done.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                say(at, "run -b ./b --per-folder");
            }
        });
        let output = waiting.wait_with_output().unwrap();
        told.send(()).unwrap();
        let said = said(&output);
        assert_eq!(
            (said.code, states(&said)),
            (7, vec!["published".to_owned(), "rejected".to_owned()]),
            "{}",
            said.err
        );
        judge.judge("publish.json", &said.out);
    });
}

/// Errors of every sort: of the configuration, of the command line, of the bucket.
fn errors(at: &Path, judge: &mut Judge) {
    for (line, code) in [
        ("status -b x/y", 2),
        ("run --nonsense", 2),
        ("package", 2),
        ("repo rollback yesterday --in dev -b ./b", 2),
        ("publish", 2),
        ("nothing-of-ours", 2),
        ("repo rollback 1 --in dev -b ./b --per-folder", 4),
        ("package remove nothing.rpm --in dev -b ./b --per-folder", 4),
    ] {
        let said = say(at, line);
        assert_eq!(said.code, code, "{line}: {}", said.err);
        judge.judge("error.json", &said.err);
        assert_eq!(said.err["error"]["exit_code"], code, "{line}: {}", said.err);
        assert_eq!(said.out, Value::Null, "{line}");
    }
}

#[test]
fn a_record_of_an_earlier_version_is_read() {
    let directory = TempDir::new().unwrap();
    let (at, mut judge) = (directory.path(), Judge::new());
    let record = json!({
        "run": "01KEWW0000000000000000000A", "started": "2026-11-22T14:43:17Z", "duration_ms": 38,
        "inbox_keys": ["inbox/a.rpm"], "skipped_keys": [], "published": [], "rejected": [], "waiting": [],
        "retired": [{"repository": "", "href": "a-1.rpm", "nevra": "a-1-1.noarch"}],
        "removed": [{"repository": "el9", "href": "b-1.rpm", "nevra": "b-1-1.noarch"}],
        "repositories": [{
            "repository": "", "revision_before": 7, "revision_after": 8, "packages": 3, "attempts": 1, "adopted": true,
            "adoption": {
                "packages": 3, "missing": {"count": 0, "first": []}, "unreadable": {"count": 0, "first": []},
                "not_offered": {"count": 0, "first": []}, "dropped_records": ["productid: it is gone"],
            },
        }],
        "swept": 5, "errors": [], "usage": {"reads": 1, "writes": 2, "bytes_in": 3, "bytes_out": 4},
        "left_out": {"retired": 9},
    });
    put(at, "b/.yrm/history/0000000000000-01KEWW0000000000000000000A.json", record.to_string().as_bytes());
    let said = say(at, "history -b ./b");
    judge.judge("history.json", &said.out);
    let run = &said.out[0];
    assert_eq!(run["pruned"], json!([{"repository": "/", "href": "a-1.rpm", "nevra": "a-1-1.noarch"}]));
    assert_eq!((&run["cleaned_up"], &run["left_out"]["pruned"]), (&json!(5), &json!(9)));
    assert_eq!(run["repositories"][0]["adoption"]["records_left_out"], json!(["productid: it is gone"]));
    assert_eq!(run["repositories"][0]["repository"], "/");
}
