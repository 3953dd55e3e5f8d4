//! What each entry costs, in a process of its own: memory within the promise, and an answer.
//!
//! `just corpus` keeps the files, asks createrepo_c, rpm and the `rpm` crate for theirs too, and writes the
//! table of docs/hostile.md.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, UNIX_EPOCH};

use serde::Deserialize;
use serde_json::json;

use super::corpus::{self, Content, Entry, Expected};
use crate::equality::prepared;

/// What one hostile object may cost (G11).
const MEMORY_BYTES: u64 = 64 << 20;
/// Nothing here takes so long, unless it hangs.
const PATIENCE_SECONDS: u64 = 60;

/// What a command did, and what it cost.
#[derive(Debug, Clone, Copy, Deserialize)]
struct Weight {
    exit: i32,
    signal: i32,
    peak_bytes: u64,
    seconds: f64,
}

/// The process that starts commands and weighs them.
struct Scales {
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Scales {
    fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/hostile/weigh.py");
        let mut command = Command::new(prepared("venv/bin/python"));
        let mut child = command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (questions, answers) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, questions, answers }
    }

    /// Runs it. `environment` is all it gets beyond a path and plain English.
    fn weigh(&mut self, command: &[&str], environment: &[(&str, &str)]) -> Weight {
        let mut all: BTreeMap<&str, &str> = BTreeMap::from([("PATH", "/usr/bin:/bin"), ("LC_ALL", "C")]);
        all.extend(environment.iter().copied());
        let question = json!({ "command": command, "environment": all, "seconds": PATIENCE_SECONDS });
        writeln!(self.questions, "{question}").unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    fn stop(mut self) {
        drop(self.questions);
        assert!(self.child.wait().unwrap().success());
    }
}

/// A folder with the package alone, and a bucket with it in the inbox.
struct Places {
    alone: PathBuf,
    bucket: PathBuf,
}

impl Places {
    fn make(root: &Path, name: &str, content: Option<&Content>) -> Self {
        let (alone, bucket) = (root.join(name), root.join(format!("{name}.bucket")));
        let inbox = bucket.join("inbox");
        for folder in [&alone, &inbox] {
            fs::create_dir_all(folder).unwrap();
        }
        if let Some(Content { bytes, zeros }) = content {
            let path = alone.join(format!("{name}.rpm"));
            let mut file = File::create(&path).unwrap();
            file.write_all(bytes).unwrap();
            file.set_len(bytes.len() as u64 + zeros).unwrap();
            // One that has just arrived may still be being copied in.
            file.set_modified(UNIX_EPOCH + Duration::from_secs(1_000_000_000)).unwrap();
            fs::hard_link(&path, inbox.join(format!("{name}.rpm"))).unwrap();
        }
        Self { alone, bucket }
    }

    fn remove(&self) {
        fs::remove_dir_all(&self.alone).unwrap();
        fs::remove_dir_all(&self.bucket).unwrap();
    }
}

/// What `yrm` makes of it: the run, with this limit for packages, and the index.
fn weigh(scales: &mut Scales, places: &Places, max_package_bytes: u64) -> [Weight; 2] {
    let yrm = env!("CARGO_BIN_EXE_yrm");
    let (limit, bucket) = (max_package_bytes.to_string(), places.bucket.to_str().unwrap());
    let run = scales.weigh(&[yrm, "run", "--bucket", bucket, "--max-package-size", &limit], &[("HOME", bucket)]);
    [run, scales.weigh(&[yrm, "index", places.alone.to_str().unwrap()], &[])]
}

/// The limit that the corpus is published with would hide what else is wrong with long files.
fn limit_for(entry: &Entry) -> u64 {
    if entry.expected == Expected::Rejected("E_TOO_LARGE") { corpus::MAX_PACKAGE_BYTES } else { u64::MAX }
}

/// The code in the quarantine record, or whether it was published.
fn answer(bucket: &Path) -> String {
    let records = files_below(&bucket.join("quarantine"));
    let record = records.iter().find(|path| path.extension().is_some_and(|extension| extension == "json"));
    if let Some(record) = record {
        let record: serde_json::Value = serde_json::from_slice(&fs::read(record).unwrap()).unwrap();
        return record["code"].as_str().unwrap().to_owned();
    }
    let published = files_below(&bucket.join("repo"));
    let is_package = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "rpm");
    if published.iter().any(is_package) { "published" } else { "-" }.to_owned()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

#[expect(clippy::cast_precision_loss, reason = "printed in whole MiB")]
fn mib(bytes: u64) -> String {
    format!("{:.0}", bytes as f64 / f64::from(1 << 20))
}

/// `published`, a code, or how it ended.
fn outcome(weight: Weight) -> String {
    match weight {
        Weight { signal: 0, exit: 0, .. } => "yes".to_owned(),
        Weight { signal: 0, exit, .. } => format!("exit {exit}"),
        Weight { signal, .. } => format!("signal {signal}"),
    }
}

/// What other programs make of it, for the table. `rpm_crate` is a program that reads one file with it.
fn others(scales: &mut Scales, entry: &Entry, places: &Places, rpm_crate: Option<&str>) -> String {
    let package = places.alone.join(format!("{}.rpm", entry.name));
    let package = package.to_str().unwrap();
    let rpm = scales.weigh(&["/usr/bin/rpm", "-qp", "--nosignature", package], &[]);
    let rpm_crate = rpm_crate.map(|program| scales.weigh(&[program, package], &[]));
    let rpm_crate = rpm_crate.map_or_else(|| "- | -".to_owned(), |weight| cells(weight, 0));
    let createrepo_c = prepared("venv/bin/createrepo_c");
    let output = places.alone.join("theirs");
    fs::create_dir_all(&output).unwrap();
    let folder = places.alone.to_str().unwrap();
    let arguments = ["--no-database", "--outputdir", output.to_str().unwrap(), folder];
    let theirs = scales.weigh(&[&[createrepo_c.to_str().unwrap()][..], &arguments].concat(), &[]);
    format!("{} | {} | {rpm_crate}", outcome(rpm), cells(theirs, 0))
}

/// How it ended, and its peak above a program that has nothing to do.
fn cells(weight: Weight, baseline_bytes: u64) -> String {
    format!("{} | {}", outcome(weight), mib(weight.peak_bytes.saturating_sub(baseline_bytes)))
}

/// The page with the table, between its markers.
fn write_page(page: &Path, rows: &[String]) {
    const MARKERS: [&str; 2] = ["<!-- corpus: begin -->", "<!-- corpus: end -->"];
    let text = fs::read_to_string(page).unwrap();
    let (before, rest) = text.split_once(MARKERS[0]).unwrap();
    let (_, after) = rest.split_once(MARKERS[1]).unwrap();
    let head =
        "| entry | yrm says | MiB | s | `yrm index` | MiB | s | rpm -qp | createrepo_c | MiB | `rpm` crate | MiB |";
    let line = "|---".repeat(head.matches('|').count() - 1);
    let table = rows.join("\n");
    fs::write(page, format!("{before}{}\n\n{head}\n{line}|\n{table}\n\n{}{after}", MARKERS[0], MARKERS[1])).unwrap();
}

#[test]
#[expect(clippy::print_stdout, reason = "what each entry costs belongs into the test's record")]
fn no_entry_costs_more_memory_than_promised() {
    // Relative to the root of the sources.
    let named = |name: &str| {
        let path = std::env::var_os(name)?;
        Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path))
    };
    let (kept, page, rpm_crate) = (named("YRM_CORPUS"), named("YRM_CORPUS_PAGE"), named("YRM_RPM_CRATE"));
    let rpm_crate = rpm_crate.as_deref().map(|program| program.to_str().unwrap());
    let temporary = tempfile::tempdir().unwrap();
    let root = kept.as_deref().unwrap_or(temporary.path());
    let mut scales = Scales::start();
    let nothing = Places::make(root, "nothing", None);
    let baseline = weigh(&mut scales, &nothing, u64::MAX).map(|weight| weight.peak_bytes);
    nothing.remove();
    println!("baseline: {} MiB for run, {} MiB for index", mib(baseline[0]), mib(baseline[1]));

    let (mut too_much, mut wrong, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    for entry in corpus::all() {
        let places = Places::make(root, entry.name, Some(&entry.content()));
        let [run, index] = weigh(&mut scales, &places, limit_for(&entry));
        let above = [run.peak_bytes.saturating_sub(baseline[0]), index.peak_bytes.saturating_sub(baseline[1])];
        let answer = answer(&places.bucket);
        let others = kept.as_ref().map(|_| others(&mut scales, &entry, &places, rpm_crate)).unwrap_or_default();
        let row = format!(
            "| {} | {answer} | {} | {:.2} | {} | {:.2} | {others} |",
            entry.name,
            mib(above[0]),
            run.seconds,
            cells(index, baseline[1]),
            index.seconds,
        );
        println!("{row}");
        rows.push(row);
        if above.into_iter().any(|bytes| bytes > MEMORY_BYTES) {
            too_much.push(format!("{}: {} and {} MiB", entry.name, mib(above[0]), mib(above[1])));
        }
        let expected = match entry.expected {
            // What is old enough; a fresh one is left alone.
            Expected::Ignored => "E_EMPTY",
            // Alone, there is nothing that it could conflict with.
            Expected::Accepted | Expected::Rejected("E_CONFLICT") => "published",
            // Where the store is a directory, packages are read whole.
            Expected::Rejected(code) | Expected::RejectedWhereRead(code) => code,
        };
        if answer != expected || run.signal + index.signal != 0 {
            wrong.push(format!("{}: {answer}, {run:?}, {index:?}", entry.name));
        }
        if kept.is_none() {
            places.remove();
        }
    }
    scales.stop();
    if let Some(page) = page {
        write_page(&page, &rows);
    }
    assert_eq!((too_much, wrong), (Vec::new(), Vec::new()));
}
