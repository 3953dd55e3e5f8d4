//! The house's floors (ARCHITECTURE.md), held: imports point down only, pure modules stay pure, the floor that reads
//! writes nothing, the clock is read only where time enters, and no files name each other in a circle.
//!
//! The sources are read as text, without comments, literals and unit tests.

mod circles;
mod graph;
mod source;

use std::fs;
use std::path::Path;

use source::Source;

/// Every module right under the crate's root, and its floor.
const FLOORS: [(&str, u8); 28] = [
    // the binary
    ("main", 6),
    // faces
    ("cli", 5),
    ("http", 5),
    // the service
    ("serve", 4),
    ("sched", 4),
    ("events", 4),
    ("notify", 4),
    ("board", 4),
    ("update", 4),
    // the publish line, what keeps a bucket tidy beside it, and createrepo_c's job
    ("publish", 3),
    ("upkeep", 3),
    ("index", 3),
    // what a bucket holds, read only
    ("bucket", 2),
    ("retention", 2),
    ("check", 2),
    // the store
    ("store", 1),
    ("openpgp", 1),
    ("secrets", 1),
    ("who", 1),
    ("aws", 1),
    // the cellar
    ("config", 0),
    ("error", 0),
    ("metrics", 0),
    ("datadog", 0),
    ("telemetry", 0),
    ("legible", 0),
    ("authorities", 0),
    ("lib", 0),
];

/// The floor that only reads, and what writes to a store or to a disk.
const READ_ONLY: &str = "bucket";
const WRITES: [&str; 9] =
    [".put(", ".put_file(", ".assemble(", ".copy(", ".delete(", "settle", "probe", "fs::write", "File::create"];

/// Who shows what a bucket holds, and needs nothing of what writes there.
const READERS: [&str; 9] =
    ["http", "notify", "board", "cli/check", "cli/compare", "cli/history", "cli/search", "cli/show", "cli/status"];
const WRITERS: [&str; 2] = ["publish", "upkeep"];

/// The lowest floor that may ask what time it is; below it, time is an argument.
const CLOCK_FLOOR: u8 = 4;

/// What reads a clock. A new ULID does too.
const CLOCKS: [&str; 6] =
    ["Timestamp::now", "SystemTime::now", "Instant::now", "Zoned::now", "Ulid::new", "Ulid::generate"];

/// Below the clock floor, and why nevertheless.
const CLOCK_EXCEPTIONS: [(&str, &str); 14] = [
    ("aws/call.rs", "when a request is signed: AWS takes no older ones"),
    ("aws/prove.rs", "when a question to STS is signed: AWS takes no older ones"),
    ("store/s3/links.rs", "when an address is signed, and until when credentials are good"),
    ("bucket/settings.rs", "how long ago the bucket's settings were looked at; monotonic"),
    ("bucket/clock.rs", "how long ago the store told the time; monotonic"),
    ("publish/mod.rs", "how long a run took and how long ago packages were put in place; monotonic"),
    ("publish/operators.rs", "how long an operation took; monotonic"),
    ("publish/layout/mod.rs", "how long a change of the layout took; monotonic"),
    ("publish/commit/keep.rs", "until when what was switched to may be named by a list of mirrors; monotonic"),
    ("upkeep/lease.rs", "how long somebody's lease has stayed as it is; monotonic"),
    ("upkeep/sweep.rs", "how long the sweep has been at it; monotonic"),
    ("store/pace.rs", "how long a store that does not answer is left alone; monotonic"),
    ("telemetry/lines.rs", "how long ago a line was said; monotonic"),
    ("store/settle.rs", "whether a put would come too late; monotonic"),
];

/// Modules that only compute: what they decide depends on their arguments alone.
const PURE: [&str; 8] = [
    "publish/plan",
    "publish/layout/plan",
    "publish/inspect/describe",
    "bucket/catalog",
    "bucket/keeping",
    "bucket/href",
    "bucket/naming",
    "retention",
];

/// What does input or output, or waits for it.
const EFFECTS: [&str; 10] = [
    "tokio::",
    ".await",
    "async fn",
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "dyn Store",
    "rand::",
];

/// Every breach in these sources of the crate `yrm`, a line each.
fn breaches(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        let Some(floor) = floor_of(source.module()) else {
            found.push(format!("{}: `{}` has no floor; give it one in FLOORS", source.path, source.module()));
            continue;
        };
        for import in source.imports() {
            // A name that is no module (a re-export at the root) has no floor of its own.
            if floor_of(&import).is_some_and(|imported| imported > floor) {
                found.push(format!("{}: imports `{import}` from a floor above", source.path));
            }
        }
        if source.is_in(READ_ONLY) {
            found.extend(source.uses(&WRITES).map(|write| format!("{}: only reads, but: {write}", source.path)));
        }
        if READERS.iter().any(|reader| source.is_in(reader)) {
            let writers = source.imports().into_iter().filter(|import| WRITERS.contains(&import.as_str()));
            found.extend(writers.map(|writer| format!("{}: only shows, but imports `{writer}`", source.path)));
        }
        let excepted = CLOCK_EXCEPTIONS.iter().any(|(path, _)| *path == source.path);
        if floor < CLOCK_FLOOR && !excepted {
            found.extend(source.uses(&CLOCKS).map(|clock| format!("{}: reads the clock: {clock}", source.path)));
        }
        if PURE.iter().any(|pure| source.is_in(pure)) {
            let effects = source.uses(&EFFECTS).chain(source.uses(&CLOCKS));
            found.extend(effects.map(|effect| format!("{}: only computes, but: {effect}", source.path)));
        }
    }
    for (path, reason) in CLOCK_EXCEPTIONS {
        if sources.iter().any(|source| source.path == path && source.uses(&CLOCKS).next().is_none()) {
            found.push(format!("{path}: is excepted ({reason}) but reads no clock"));
        }
    }
    found
}

fn floor_of(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

/// Every breach in the pure crate `rpmmd`.
fn impurities(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        let effects =
            source.uses(&EFFECTS).chain(source.uses(&CLOCKS)).chain(source.uses(&["std::time", "std::io::std"]));
        found.extend(effects.map(|effect| format!("{}: rpmmd is pure, but: {effect}", source.path)));
    }
    found
}

fn read_sources(folder: &Path) -> Vec<Source> {
    let (mut sources, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                sources.push(Source::new(name, &fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(sources.len() > 5, "the sources are there");
    sources
}

#[test]
fn imports_point_down_and_time_enters_at_the_top() {
    let found = breaches(&read_sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")));
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_format_crate_is_pure() {
    let found = impurities(&read_sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../rpmmd/src")));
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// One breach of each kind, and what is said of it.
#[test]
fn every_kind_of_breach_is_seen() {
    let breach = |path: &str, text: &str| breaches(&[Source::new(path.into(), text)]).join("\n");
    assert_eq!(breach("store/s3.rs", "use crate::publish::plan;"), "store/s3.rs: imports `publish` from a floor above");
    assert_eq!(
        breach("error.rs", "use crate::{config::Config, store::{self, Store}};"),
        "error.rs: imports `store` from a floor above"
    );
    assert_eq!(
        breach("publish/tidy.rs", "fn f() { crate::cli::run() }"),
        "publish/tidy.rs: imports `cli` from a floor above"
    );
    assert_eq!(breach("check.rs", "use super::serve;"), "check.rs: imports `serve` from a floor above");
    assert_eq!(
        breach("store/a/b.rs", "use super::super::super::http;"),
        "store/a/b.rs: imports `http` from a floor above"
    );
    assert_eq!(breach("index.rs", "let t = Timestamp::now();"), "index.rs: reads the clock: Timestamp::now");
    assert_eq!(breach("publish/plan.rs", "x.await"), "publish/plan.rs: only computes, but: .await");
    assert_eq!(breach("bucket/quarantine.rs", "store.put(key)"), "bucket/quarantine.rs: only reads, but: .put(");
    assert_eq!(
        breach("bucket/history.rs", "use crate::store::settle::{self, Put};"),
        "bucket/history.rs: only reads, but: settle"
    );
    assert_eq!(breach("bucket/mod.rs", "mod x; bucket.store.delete(key)"), "bucket/mod.rs: only reads, but: .delete(");
    assert_eq!(
        breach("cli/status.rs", "use crate::publish::Publisher;"),
        "cli/status.rs: only shows, but imports `publish`"
    );
    assert_eq!(breach("new.rs", ""), "new.rs: `new` has no floor; give it one in FLOORS");
    let impure = impurities(&[Source::new("block.rs".into(), "use std::fs::File;")]);
    assert_eq!(impure, ["block.rs: rpmmd is pure, but: std::fs"]);
}

#[test]
fn what_is_allowed_or_not_code_is_no_breach() {
    let allowed = [
        ("cli/run.rs", "use crate::publish::Publisher; use crate::{serve, store}; fn f() { Instant::now(); }"),
        ("publish/plan.rs", "//! Never reads `Timestamp::now`.\nuse super::catalog; use crate::store::key::Key;"),
        ("store/mod.rs", "mod s3; use self::s3::S3Store; const HINT: &str = \"crate::cli\"; // crate::cli\n"),
        (
            "store/s3.rs",
            "use super::Store; #[cfg(test)] mod tests { use crate::publish::plan; fn f() { let a = '{'; } }",
        ),
        ("bucket/receipt.rs", "//! Writes nothing: `settle` does.\nasync fn f() { bucket.store.get(key, None).await }"),
        ("upkeep/left.rs", "use crate::store::settle; use crate::publish::clock; fn f() { store.delete(key) }"),
        ("serve.rs", "let now = Timestamp::now(); let r#type = r#\"crate::cli \" crate::http\"#;"),
    ];
    let sources = allowed.map(|(path, text)| Source::new(path.into(), text));
    assert_eq!(breaches(&sources), Vec::<String>::new());
}
