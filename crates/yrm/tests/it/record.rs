//! What changed a bucket is on record: what, by whom, why; and it can be looked at however much there is of it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use forge::Rpm;
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;
use ulid::Ulid;
use yrm::bucket::Bucket;
use yrm::bucket::history::{self, Range};
use yrm::bucket::report::{Operation, Report};
use yrm::store::Store;
use yrm::store::counted::Counted;
use yrm::store::memory::MemoryStore;

use crate::cli::yrm;
use crate::publish::world::policy;
use crate::service::drop_file;

/// Exit code, stdout and stderr of a verb that Ada types.
pub(crate) fn said(at: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = yrm(at);
    let output = command.env("YRM_ACTOR", "ada").args(["--bucket", "./b"]).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// What it printed as JSON, if it ended well.
pub(crate) fn json(at: &Path, arguments: &[&str]) -> Value {
    let (code, out, err) = said(at, &[arguments, &["--output", "json"]].concat());
    assert_eq!(code, 0, "{arguments:?}: {out}{err}");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
}

/// A bucket where every folder is a repository, with these packages, each `name-version` of its path.
pub(crate) fn bucket_with(paths: &[&str]) -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("yrm.toml"), "repositories = \"per-folder\"\n").unwrap();
    fs::create_dir_all(folder.path().join("b/inbox")).unwrap();
    publish(folder.path(), paths);
    folder
}

pub(crate) fn publish(at: &Path, paths: &[&str]) {
    for path in paths {
        let file = path.rsplit('/').next().unwrap().trim_end_matches(".rpm");
        let (name, version) = file.split_once('-').unwrap_or((file, "1"));
        drop_file(at, path, &Rpm::new(name, version, "1", "noarch").build());
    }
    json(at, &["run"]);
}

/// The one value of a field in each row.
fn each<'v>(rows: &'v Value, field: &str) -> Vec<&'v str> {
    rows.as_array().unwrap().iter().map(|row| row[field].as_str().unwrap()).collect()
}

#[test]
fn every_change_says_what_it_was_who_did_it_and_why() {
    let folder = bucket_with(&["dev/a-1.rpm", "dev/b-1.rpm"]);
    let at = folder.path();
    let first = json(at, &["repo", "log", "--in", "dev"])[0]["revision"].to_string();
    json(at, &["package", "remove", "a-1.rpm", "--in", "dev", "--reason", "CVE-2026-1"]);
    json(at, &["package", "promote", "dev/b-1.rpm", "--to", "prod/", "--reason", "release 7"]);
    json(at, &["repo", "rollback", &first, "--in", "dev", "--reason", "too early"]);
    drop_file(at, "dev/bad.rpm", b"<html>");
    drop_file(at, "dev/worse.rpm", b"<html>");
    json(at, &["run", "--reason", "by hand"]);
    json(at, &["quarantine", "release", "dev/bad.rpm", "--reason", "look again"]);
    json(at, &["quarantine", "drop", "dev/worse.rpm", "--reason", "junk"]);
    let rows = json(at, &["history"]);
    let operations = ["drop", "release", "run", "rollback", "promote", "remove", "run"];
    assert_eq!(each(&rows, "operation"), operations);
    assert!(rows.as_array().unwrap().iter().all(|row| row["by"] == "ada"), "{rows}");
    let reasons: Vec<&str> =
        rows.as_array().unwrap().iter().map(|row| row["reason"].as_str().unwrap_or_default()).collect();
    assert_eq!(reasons, ["junk", "look again", "by hand", "too early", "release 7", "CVE-2026-1", ""]);
    assert!(rows[0]["deleted"][0].as_str().unwrap().starts_with("quarantine/dev/worse.rpm."), "{rows}");
    assert_eq!(rows[1]["released"][0], "inbox/dev/bad.rpm");

    let (code, out, err) = said(at, &["history", "show", rows[5]["run"].as_str().unwrap()]);
    assert_eq!(code, 0, "{err}");
    for part in ["remove", "ada", "CVE-2026-1", "revision of dev", "a-1-1.noarch", "dev/a-1.rpm"] {
        assert!(out.contains(part), "{part}: {out}");
    }
    let shown = json(at, &["history", "show", rows[5]["run"].as_str().unwrap()]);
    assert_eq!(shown, rows[5]);
    for (id, code) in [("01KB4W7Q3V5R0Z8M2N6P9T1XYC", 4), ("nonsense", 2)] {
        assert_eq!(said(at, &["history", "show", id]).0, code, "{id}");
    }
}

#[test]
fn rollback_is_in_no_history() {
    let folder = bucket_with(&["dev/a-1.rpm"]);
    let at = folder.path();
    let first = json(at, &["repo", "log", "--in", "dev"])[0]["revision"].to_string();
    json(at, &["package", "remove", "a-1.rpm", "--in", "dev"]);
    json(at, &["repo", "rollback", &first, "--in", "dev"]);
    let newest = json(at, &["history", "--limit", "1"]);
    assert_eq!(
        (&newest[0]["operation"], &newest[0]["restored"][0]["nevra"]),
        (&"rollback".into(), &"a-1-1.noarch".into())
    );
    let (_, out, _) = said(at, &["history", "--limit", "1"]);
    assert!(out.contains("rollback") && out.contains("1 brought back") && out.contains("ada"), "{out}");
}

#[test]
fn the_history_is_asked_by_package_repository_person_and_time() {
    let folder = bucket_with(&["dev/a-1.rpm", "dev/b-1.rpm", "prod/c-1.rpm"]);
    let at = folder.path();
    json(at, &["package", "remove", "a-1.rpm", "--in", "dev"]);
    let operations = |arguments: &[&str]| {
        let rows = json(at, &[&["history"], arguments].concat());
        each(&rows, "operation").iter().map(|one| (*one).to_owned()).collect::<Vec<_>>()
    };
    for (asked, expected) in [
        (&["--package", "a"][..], &["remove", "run"][..]),
        (&["--package", "A-1*"], &["remove", "run"]),
        (&["--package", "c", "--repo", "prod"], &["run"]),
        (&["--package", "dev/b-1.rpm"], &["run"]),
        (&["--package", "none"], &[]),
        (&["--in", "repo/prod"], &["run"]),
        (&["--repo", "dev"], &["remove", "run"]),
        (&["--by", "ADA"], &["remove", "run"]),
        (&["--by", "bob"], &[]),
        (&["--since", "1h"], &["remove", "run"]),
        (&["--since", "2100-01-01"], &[]),
        (&["--limit", "1"], &["remove"]),
    ] {
        assert_eq!(operations(asked), expected, "{asked:?}");
    }
    let (code, _, err) = said(at, &["history", "--repo", "pord"]);
    assert!(code == 4 && err.contains("prod"), "{code}: {err}");
    assert!(said(at, &["history", "--by", "bob"]).1.contains("no run or operation fits"));
}

/// A record of `second` seconds after the start of 2026.
fn record(second: i64) -> Report {
    let started = Timestamp::from_second(1_767_225_600 + second).unwrap();
    let run = Ulid::from_parts(u64::try_from(started.as_millisecond()).unwrap(), 7);
    let json = json!({
        "run": run, "started": started, "duration_ms": 1, "inbox_keys": [], "skipped_keys": [], "published": [],
        "rejected": [], "waiting": [], "retired": [], "repositories": [], "swept": 1, "errors": [],
        "usage": {"reads": 0, "writes": 0, "bytes_in": 0, "bytes_out": 0},
    });
    serde_json::from_value(json).unwrap()
}

const RECORDS: i64 = 100_000;

#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_thousand_records_only_what_is_asked_for_is_read() {
    let memory = Arc::new(MemoryStore::new());
    let bucket = Bucket::new(memory.clone(), policy()).unwrap();
    for second in 0..RECORDS {
        yrm::publish::history::write(&bucket, &record(second)).await.unwrap();
    }
    let look = async |range: Range, wants: fn(&Report) -> bool| {
        let counted = Arc::new(Counted::new(memory.clone()));
        let bucket = Bucket::new(counted.clone(), policy()).unwrap();
        let mut found = Vec::new();
        history::each(&bucket, range, |report| {
            let is_wanted = wants(&report);
            found.extend(is_wanted.then_some(report));
            Ok(is_wanted)
        })
        .await
        .unwrap();
        (found, counted.usage().reads)
    };
    let newest = record(RECORDS - 1).started;
    let limit = Range::newest;
    let (found, reads) = look(limit(20), |_| true).await;
    assert_eq!((found.len(), found[0].started, reads), (20, newest, 21));
    assert_eq!((found[0].operation, found[0].by.as_deref()), (Operation::Run, None), "as older versions wrote it");
    let since = limit(usize::MAX).since(Some(record(RECORDS - 50).started));
    let (found, reads) = look(since, |_| true).await;
    assert_eq!((found.len(), reads), (50, 51));
    // Of what nobody did, all in the time that was asked for is looked at, and nothing else.
    let (found, reads) = look(Range { limit: 20, ..since }, |_| false).await;
    assert_eq!((found.len(), reads), (0, 51));
    let (found, _) = look(limit(usize::MAX), |report| report.started.as_second() % 10_000 == 0).await;
    assert_eq!(found.len(), 10);
    let around = history::Range::around(record(77).started);
    let (found, reads) = look(around, |report| report.started == record(77).started).await;
    assert_eq!(found.len(), 0, "the newest 500 before the end of the window are looked at");
    assert!(reads <= 502 + 32, "{reads}");
    let run = record(5).run;
    assert_eq!(history::find(&bucket, run).await.unwrap().run, run);
}

#[tokio::test]
async fn records_older_than_history_days_are_trimmed_and_no_others() {
    only_old_records_are_trimmed(Arc::new(MemoryStore::new())).await;
}

#[cfg(feature = "aws")]
#[tokio::test(flavor = "multi_thread")]
async fn on_s3_records_older_than_history_days_are_trimmed_and_no_others() {
    only_old_records_are_trimmed(Arc::new(crate::s3_server::server().make_store().await)).await;
}

async fn only_old_records_are_trimmed(store: Arc<dyn Store>) {
    let day = 86_400;
    let bucket = Bucket::new(store, policy()).unwrap();
    for at in [0, 1, 2, 398, 399, 400] {
        yrm::publish::history::write(&bucket, &record(at * day)).await.unwrap();
    }
    let now = record(401 * day).started;
    assert_eq!(yrm::publish::history::trim(&bucket, now).await.unwrap(), 1);
    let left: Vec<Timestamp> = history::load(&bucket, 10).await.unwrap().iter().map(|run| run.started).collect();
    assert_eq!(left, [400, 399, 398, 2, 1].map(|at| record(at * day).started));
    assert_eq!(yrm::publish::history::trim(&bucket, now).await.unwrap(), 0);
    let around = history::first(&bucket, Range::around(record(398 * day).started), |_| true).await.unwrap();
    assert_eq!(around.map(|run| run.started), Some(record(398 * day).started));
}

/// Takes posts and answers 200; gives the bodies.
fn hook() -> (String, std::sync::mpsc::Receiver<String>) {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (sender, bodies) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
            let body = loop {
                let count = connection.read(&mut piece).unwrap();
                bytes.extend_from_slice(&piece[..count]);
                let text = String::from_utf8_lossy(&bytes).into_owned();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let length = head.to_ascii_lowercase();
                let length = length.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
                if count == 0 || body.len() >= length.trim().parse::<usize>().unwrap() {
                    break body.to_owned();
                }
            };
            connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
            if sender.send(body).is_err() {
                return;
            }
        }
    });
    (url, bodies)
}

#[test]
fn flags_that_do_nothing() {
    let folder = bucket_with(&["dev/a-1.rpm", "dev/b-1.rpm"]);
    let at = folder.path();
    let first = json(at, &["repo", "log", "--in", "dev"])[0]["revision"].to_string();
    let patience = std::time::Duration::from_secs(20);
    let (url, bodies) = hook();
    let (datadog, points) = hook();
    let agent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    agent.set_read_timeout(Some(patience)).unwrap();
    let statsd = agent.local_addr().unwrap().to_string();
    let told = ["--notify-webhook", &url, "--notify-secret", "s3cret", "--dogstatsd", &statsd, "--reason", "why not"];
    let told = [&told[..], &["--datadog-api-key", "k", "--datadog-site", datadog.trim_end_matches("/hook")]].concat();
    for (verb, event, operation) in [
        (&["package", "remove", "a-1.rpm", "--in", "dev"][..], "removed", "remove"),
        (&["package", "promote", "dev/b-1.rpm", "--to", "prod/"], "promoted", "promote"),
        (&["repo", "rollback", &first, "--in", "dev"], "rolled_back", "rollback"),
    ] {
        json(at, &[verb, &told].concat());
        let body: Value = serde_json::from_str(&bodies.recv_timeout(patience).unwrap()).unwrap();
        assert_eq!((&body["event"], &body["by"], &body["reason"]), (&event.into(), &"ada".into(), &"why not".into()));
        let point: Value = serde_json::from_str(&points.recv_timeout(patience).unwrap()).unwrap();
        assert_eq!(point["title"], format!("yrm: {operation}"), "{point}");
        assert!(point["text"].as_str().unwrap().ends_with("By: ada\nReason: why not"), "{point}");
        let mut datagram = [0; 8192];
        let length = agent.recv(&mut datagram).unwrap();
        let text = String::from_utf8_lossy(&datagram[..length]).into_owned();
        assert!(text.starts_with("_e{") && text.contains(&format!("yrm: {operation}|")), "{text}");
    }
    // A dry run and a refusal tell nobody.
    let dry = [&["package", "remove", "b-1.rpm", "--in", "dev", "--dry-run"], &told[..]].concat();
    json(at, &dry);
    assert_eq!(said(at, &[&["package", "remove", "none.rpm", "--in", "dev"], &told[..]].concat()).0, 4);
    // In another shape, and only what is wanted.
    json(at, &["package", "remove", "a-1.rpm", "--in", "dev", "--notify-webhook", &url, "--notify-shape", "slack"]);
    let body: Value = serde_json::from_str(&bodies.recv_timeout(patience).unwrap()).unwrap();
    assert!(body["text"].as_str().unwrap().starts_with("yrm: 1 removed\n"), "{body}");
    let quiet = ["--notify-webhook", &url, "--notify-secret", "s", "--notify-on", "published,failing"];
    json(at, &[&["package", "remove", "b-1.rpm", "--in", "dev"], &quiet[..]].concat());
    assert!(bodies.try_recv().is_err() && points.try_recv().is_err());
    let (code, _, err) = said(at, &["run", "--notify-on", "nonsense"]);
    assert!(code == 2 && err.contains("rolled_back"), "{err}");
}

#[cfg(feature = "aws")]
#[tokio::test(flavor = "multi_thread")]
async fn on_s3_the_arn_of_the_credentials_is_on_record() {
    use crate::s3_server::server;

    let bucket = server().make_bucket().await;
    let package = Rpm::new("a", "1", "1", "noarch").build();
    server().client().put_object().bucket(&bucket).key("inbox/a.rpm").body(package.into()).send().await.unwrap();
    let folder = TempDir::new().unwrap();
    let say = |verb: &[&str], actor: Option<&str>| {
        let mut command = yrm(folder.path());
        command.envs(server().environment()).envs(actor.map(|name| ("YRM_ACTOR", name)));
        command.args(["--path-style", "--bucket", &format!("s3://{bucket}"), "--output", "json"]).args(verb);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{verb:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    say(&["run"], None);
    say(&["package", "remove", "a.rpm"], Some("ada"));
    let rows = say(&["history"], None);
    assert_eq!(rows[0]["by"], "ada");
    let by = rows[1]["by"].as_str().unwrap();
    assert!(by.starts_with("arn:aws:"), "{by}");
}
