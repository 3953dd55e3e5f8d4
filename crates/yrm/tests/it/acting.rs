//! How operators act on packages: many at once, by whatever a verb has printed of them; what they hold, block and purge.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use forge::Rpm;
use serde_json::Value;

use crate::cli::yrm;
use crate::record::{bucket_with, json, publish, said};
use crate::service::drop_file;

/// The paths below `repo/` that clients find.
fn published(at: &Path) -> Vec<String> {
    let rows = json(at, &["package", "search"]);
    let mut paths: Vec<String> =
        rows.as_array().unwrap().iter().map(|row| row["package"].as_str().unwrap().to_owned()).collect();
    paths.sort();
    paths
}

/// Paths below `repo/` of a list of a report.
fn paths(report: &Value, list: &str) -> Vec<String> {
    let path = |one: &Value| match one["repository"].as_str().unwrap() {
        "/" => one["href"].as_str().unwrap().to_owned(),
        repository => format!("{repository}/{}", one["href"].as_str().unwrap()),
    };
    let mut paths: Vec<String> = report[list].as_array().into_iter().flatten().map(path).collect();
    paths.sort();
    paths
}

fn revisions(at: &Path, folder: &str) -> Vec<String> {
    let log = json(at, &["repo", "log", "--in", folder]);
    log.as_array().unwrap().iter().map(|one| one["revision"].to_string()).collect()
}

/// Whether the file of a package lies in the bucket.
fn lies(at: &Path, path: &str) -> bool {
    at.join("b/repo").join(path).exists()
}

#[test]
fn many_packages_leave_several_repositories_by_paths_names_patterns_folders_and_stdin() {
    let all =
        ["dev/a-1.rpm", "dev/a-2.rpm", "dev/b-1.rpm", "prod/a-1.rpm", "prod/c-1.rpm", "test/d-1.rpm", "test/e-1.rpm"];
    let folder = bucket_with(&all);
    let at = folder.path();
    let would = |arguments: &[&str]| {
        let report = json(at, &[&["package", "remove", "--dry-run"], arguments].concat());
        paths(&report, "removed")
    };
    assert_eq!(would(&["repo/dev/a-1.rpm", "prod/c-1.rpm"]), ["dev/a-1.rpm", "prod/c-1.rpm"]);
    assert_eq!(would(&["a", "--in", "dev"]), ["dev/a-1.rpm", "dev/a-2.rpm"]);
    assert_eq!(would(&["a-1*", "--in", "dev", "--in", "prod"]), ["dev/a-1.rpm", "prod/a-1.rpm"]);
    assert_eq!(would(&["dev/", "test/d-1.rpm"]), ["dev/a-1.rpm", "dev/a-2.rpm", "dev/b-1.rpm", "test/d-1.rpm"]);
    assert_eq!(would(&["*.noarch", "--in", "test"]), ["test/d-1.rpm", "test/e-1.rpm"]);
    assert_eq!(would(&["*/a-*"]), ["dev/a-1.rpm", "dev/a-2.rpm", "prod/a-1.rpm"]);
    assert_eq!(published(at), all, "a dry run changes nothing");

    // A name that several repositories have does not say which is meant.
    let (code, _, err) = said(at, &["package", "remove", "a"]);
    assert!(code == 4 && err.contains("several repositories") && err.contains("--in"), "{code}: {err}");

    let mut child = yrm(at)
        .args(["--bucket", "./b", "package", "remove", "-", "test/d-1.rpm", "--output", "json", "--allow-shrink"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"dev/a-1.rpm\n\n  prod/a-1.rpm\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(paths(&report, "removed"), ["dev/a-1.rpm", "prod/a-1.rpm", "test/d-1.rpm"]);
    assert_eq!(published(at), ["dev/a-2.rpm", "dev/b-1.rpm", "prod/c-1.rpm", "test/e-1.rpm"]);
    let newest = json(at, &["history", "--limit", "1"]);
    assert_eq!(newest[0]["repositories"].as_array().unwrap().len(), 3, "one operation: {newest}");
}

#[test]
fn a_pattern_that_means_nothing_is_an_error_with_what_is_near() {
    let folder = bucket_with(&["dev/greeter-1.rpm", "dev/parser-1.rpm"]);
    let at = folder.path();
    for (verb, near) in [
        (&["package", "remove", "greeter-2*", "--in", "dev"][..], "greeter"),
        (&["package", "remove", "greter", "--in", "dev"], "greeter"),
        (&["package", "remove", "dev"], "dev/"),
        (&["package", "hold", "parse", "--in", "dev"], "dev/parser-1.rpm"),
        (&["package", "promote", "dev/parser-2.rpm", "--to", "prod/"], "dev/parser-1.rpm"),
    ] {
        let (code, out, err) = said(at, verb);
        assert!(code == 4 && err.contains(near) && err.contains("nothing was changed"), "{verb:?}: {code}: {out}{err}");
    }
}

/// Every way in which a row of JSON names a package, as arguments.
fn names_of(row: &Value) -> Vec<Vec<String>> {
    let text = |field: &str| row[field].as_str().map(str::to_owned);
    let repository = text("repository");
    let mut names: Vec<Vec<String>> = Vec::new();
    for field in ["package", "name"] {
        names.extend(text(field).map(|path| vec![path]));
    }
    if let Some(repository) = repository {
        for field in ["path", "href", "nevra", "pkgid"] {
            names.extend(text(field).map(|name| vec![name, "--in".to_owned(), repository.clone()]));
        }
    }
    names
}

#[test]
fn what_each_verb_prints_every_other_accepts() {
    let folder = bucket_with(&["dev/x/tool-1.rpm", "dev/other-1.rpm", "prod/lib-1.rpm"]);
    let at = folder.path();
    let path = "dev/x/tool-1.rpm";
    // What each verb prints: rows of JSON, and the words of the tables.
    let printing: Vec<(&str, Vec<&str>, &str)> = vec![
        ("search", vec!["package", "search", "tool"], ""),
        ("show", vec!["package", "show", path], ""),
        ("repo show", vec!["repo", "show", "current", "--in", "dev"], "packages"),
        ("remove", vec!["package", "remove", path, "--dry-run"], "removed"),
        ("promote", vec!["package", "promote", path, "--to", "prod/", "--move", "--dry-run"], "removed"),
        ("hold", vec!["package", "hold", path, "--dry-run"], "marked"),
        ("history", vec!["history", "show", "RUN"], "published"),
    ];
    let run = json(at, &["history", "--limit", "1"])[0]["run"].as_str().unwrap().to_owned();
    let mut names: BTreeSet<Vec<String>> = BTreeSet::new();
    for (what, arguments, list) in printing {
        let arguments: Vec<&str> = arguments.into_iter().map(|word| if word == "RUN" { &run } else { word }).collect();
        let printed = json(at, &arguments);
        let rows = if list.is_empty() { printed.clone() } else { printed[list].clone() };
        let rows: Vec<Value> = rows.as_array().unwrap_or_else(|| panic!("{what}: {printed}")).clone();
        let tool =
            rows.iter().find(|row| row["nevra"] == "tool-1-1.noarch").unwrap_or_else(|| panic!("{what}: {printed}"));
        let of_row = names_of(tool);
        assert!(!of_row.is_empty(), "{what}: {tool}");
        names.extend(of_row);
        let (_, text, _) = said(at, &arguments);
        let words = text.split_whitespace().filter(|word| word.starts_with("tool-1") || word.starts_with("dev/x/tool"));
        let words: Vec<Vec<String>> = words.map(|word| vec![word.to_owned()]).collect();
        assert!(!words.is_empty(), "{what}: {text}");
        names.extend(words);
    }
    // Every verb accepts each of them, and means the same package.
    for name in &names {
        let name: Vec<&str> = name.iter().map(String::as_str).collect();
        let ask = |verb: &[&str], rest: &[&str]| json(at, &[verb, &name, rest].concat());
        let removed = ask(&["package", "remove"], &["--dry-run"]);
        assert_eq!(paths(&removed, "removed"), [path], "{name:?}");
        let promoted = ask(&["package", "promote"], &["--to", "prod/", "--dry-run"]);
        assert_eq!(promoted["published"][0]["nevra"], "tool-1-1.noarch", "{name:?}: {promoted}");
        for verb in ["hold", "unhold"] {
            let (code, out, err) = said(at, &[&["package", verb], &name[..], &["--dry-run"]].concat());
            assert_eq!(code, 0, "{verb} {name:?}: {out}{err}");
        }
        let shown = ask(&["package", "show"], &[]);
        assert_eq!(shown[0]["package"], path, "{name:?}");
        let found = ask(&["package", "search"], &[]);
        assert_eq!(found[0]["package"], path, "{name:?}");
        let blocked = ask(&["package", "block"], &["--dry-run"]);
        assert_eq!(blocked["marked"][0]["mark"], "block", "{name:?}");
    }
    for name in names.iter().filter(|name| name.len() == 1) {
        let rows = json(at, &["history", "--package", &name[0]]);
        assert_eq!(rows.as_array().unwrap().len(), 1, "{name:?}: {rows}");
    }
}

#[test]
fn promote_takes_the_newest_of_many_keeps_their_folders_and_moves_them() {
    let folder = bucket_with(&["dev/x/tool-1.rpm", "dev/x/tool-2.rpm", "dev/x/tool-10.rpm", "dev/lib-1.rpm"]);
    let at = folder.path();
    let report = json(at, &["package", "promote", "dev/", "--to", "prod", "--latest"]);
    assert_eq!(paths(&report, "published"), ["prod/lib-1.rpm", "prod/x/tool-10.rpm"]);
    assert!(paths(&report, "removed").is_empty());

    // A move takes away what is in the target, by this command or before.
    let arguments = ["package", "promote", "tool*", "--in", "dev", "--to", "prod/", "--move", "--allow-shrink"];
    let report = json(at, &arguments);
    assert_eq!(paths(&report, "removed"), ["dev/x/tool-1.rpm", "dev/x/tool-10.rpm", "dev/x/tool-2.rpm"]);
    assert_eq!(report["operation"], "promote");
    assert_eq!(
        published(at),
        ["dev/lib-1.rpm", "prod/lib-1.rpm", "prod/x/tool-1.rpm", "prod/x/tool-10.rpm", "prod/x/tool-2.rpm"]
    );
    // Two packages have not one path, nor one package two.
    let (code, _, err) = said(at, &["package", "promote", "prod/", "--to", "test/a.rpm"]);
    assert!(code == 2 && err.contains("a folder"), "{code}: {err}");
}

#[test]
fn a_move_leaves_what_did_not_get_to_its_place() {
    let folder = bucket_with(&["dev/tool-1.rpm", "dev/lib-1.rpm"]);
    let at = folder.path();
    // Other bytes have the name there.
    drop_file(at, "prod/tool-1.rpm", &Rpm::new("tool", "1", "1", "noarch").build_time(7).build());
    json(at, &["run"]);
    let arguments = ["package", "promote", "dev/tool-1.rpm", "dev/lib-1.rpm", "--to", "prod/", "--move"];
    let (code, _, err) = said(at, &arguments);
    assert!(code == 4 && err.contains("other bytes"), "{code}: {err}");
    assert_eq!(published(at), ["dev/tool-1.rpm", "prod/lib-1.rpm", "prod/tool-1.rpm"]);
}

/// Settings by which all but the newest version leave at once.
fn prune_all(at: &Path) {
    json(at, &["settings", "set", "keep-at-least", "1"]);
    json(at, &["settings", "set", "prune-age-days", "0"]);
}

#[test]
fn a_held_package_is_not_pruned_until_it_is_released() {
    let folder = bucket_with(&["dev/a-1.rpm", "dev/a-2.rpm", "dev/a-3.rpm"]);
    let at = folder.path();
    let held = json(at, &["package", "hold", "dev/a-1.rpm", "--reason", "the last good one"]);
    assert_eq!((&held["operation"], &held["marked"][0]["name"]), (&"hold".into(), &"dev/a-1.rpm".into()));
    assert!(json(at, &["package", "hold", "a-1-1.noarch"])["marked"].is_null(), "it is held already");
    prune_all(at);
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    let would = json(at, &["prune", "--dry-run"]);
    assert_eq!(
        (paths(&would, "pruned"), paths(&would, "held")),
        (vec!["dev/a-2.rpm".to_owned()], vec!["dev/a-1.rpm".to_owned()])
    );
    let why = would["held"][0]["why"].as_str().unwrap();
    assert!(why.contains("held by ada") && why.contains("the last good one"), "{why}");
    let (_, text, _) = said(at, &["prune", "--dry-run"]);
    assert!(text.contains("Held"), "{text}");
    json(at, &["run"]);
    assert_eq!(published(at), ["dev/a-1.rpm", "dev/a-3.rpm"]);
    let shown = json(at, &["package", "show", "dev/a-1.rpm"]);
    assert_eq!((&shown[0]["held"]["by"], &shown[0]["prune"]["at"]), (&"ada".into(), &Value::Null));

    let released = json(at, &["package", "unhold", "dev/a-1.rpm"]);
    assert_eq!(released["marked"][0]["mark"], "unhold");
    json(at, &["prune"]);
    assert_eq!(published(at), ["dev/a-3.rpm"]);
    let operations: Vec<Value> =
        json(at, &["history"]).as_array().unwrap().iter().map(|run| run["operation"].clone()).collect();
    assert!(operations.contains(&"hold".into()) && operations.contains(&"unhold".into()), "{operations:?}");
}

#[test]
fn pruning_does_not_undo_a_rollback() {
    let folder = bucket_with(&["dev/a-1.rpm", "dev/a-2.rpm"]);
    let at = folder.path();
    let before = revisions(at, "dev")[0].clone();
    publish(at, &["dev/a-3.rpm"]);
    json(at, &["package", "remove", "dev/a-1.rpm", "--reason", "CVE-2026-1"]);
    prune_all(at);
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    let would = json(at, &["repo", "rollback", &before, "--in", "dev", "--dry-run"]);
    assert_eq!(paths(&would, "restored"), ["dev/a-1.rpm"]);
    let why = would["restored"][0]["why"].as_str().unwrap();
    assert!(why.contains("ada had taken it out") && why.contains("CVE-2026-1"), "{why}");
    let (_, text, _) = said(at, &["repo", "rollback", &before, "--in", "dev", "--dry-run"]);
    assert!(text.contains("CVE-2026-1"), "{text}");

    json(at, &["repo", "rollback", &before, "--in", "dev"]);
    json(at, &["run"]);
    json(at, &["prune"]);
    assert_eq!(published(at), ["dev/a-1.rpm", "dev/a-2.rpm"]);
    let shown = json(at, &["package", "show", "dev/a-1.rpm"]);
    assert_eq!(shown[0]["held"]["rolled_back_to"].to_string(), before);
    json(at, &["package", "unhold", "dev/"]);
    json(at, &["prune"]);
    assert_eq!(published(at), ["dev/a-2.rpm"]);
}

/// The codes of what is in quarantine, and what is said of it.
fn quarantined(at: &Path) -> Vec<(String, String)> {
    let rows = json(at, &["quarantine", "list"]);
    let text = |row: &Value, field: &str| row["record"][field].as_str().unwrap_or_default().to_owned();
    rows.as_array().unwrap().iter().map(|row| (text(row, "code"), text(row, "message"))).collect()
}

#[test]
fn what_is_blocked_comes_back_by_no_upload_no_promotion_and_no_rollback() {
    let folder = bucket_with(&["dev/a-1.rpm", "dev/b-1.rpm", "test/a-1.rpm"]);
    let at = folder.path();
    let before = revisions(at, "dev")[0].clone();
    let report = json(at, &["package", "remove", "dev/a-1.rpm", "--block", "--reason", "CVE-2026-1"]);
    assert_eq!(
        (paths(&report, "removed"), report["marked"][0]["mark"].as_str()),
        (vec!["dev/a-1.rpm".to_owned()], Some("block"))
    );
    // The same again, and a rebuild of it.
    drop_file(at, "dev/a-1.rpm", &Rpm::new("a", "1", "1", "noarch").build_time(9).build());
    json(at, &["run"]);
    let (code, message) = quarantined(at).pop().unwrap();
    assert_eq!(code, "E_BLOCKED");
    assert!(message.contains("blocked by ada") && message.contains("CVE-2026-1"), "{message}");
    let (exit, _, err) = said(at, &["package", "promote", "test/a-1.rpm", "--to", "dev/"]);
    assert!(exit == 4 && err.contains("CVE-2026-1"), "{exit}: {err}");
    let back = json(at, &["repo", "rollback", &before, "--in", "dev"]);
    assert!(paths(&back, "restored").is_empty(), "{back}");
    assert!(back["marked"][0]["why"].as_str().unwrap().contains("does not come back"), "{back}");
    assert_eq!(published(at), ["dev/b-1.rpm", "test/a-1.rpm"]);

    let listed = json(at, &["package", "block"]);
    let (pattern, folder) = (listed[0]["pattern"].as_str().unwrap(), listed[0]["folder"].as_str().unwrap());
    assert_eq!((pattern, folder), ("a-1-1.noarch", "dev"));
    json(at, &["package", "unblock", pattern, "--in", folder]);
    assert_eq!(json(at, &["package", "block"]), Value::Array(vec![]));
    json(at, &["quarantine", "release", "dev/a-1.rpm"]);
    json(at, &["run"]);
    // The file that was removed keeps its path for the grace period.
    let back = published(at);
    assert!(back.len() == 3 && back[0].starts_with("dev/a-1."), "{back:?}");
    let (exit, _, err) = said(at, &["package", "unblock", "nothing*"]);
    assert!(exit == 4 && err.contains("nothing is blocked by that"), "{exit}: {err}");
}

#[test]
fn a_block_by_digest_is_about_these_bytes_alone() {
    let folder = bucket_with(&["dev/b-1.rpm"]);
    let at = folder.path();
    let bad = Rpm::new("a", "1", "1", "noarch").build_time(1).build();
    let good = Rpm::new("a", "1", "1", "noarch").build_time(2).build();
    json(
        at,
        &["package", "block", &rpmmd::checksum::Sha256::of(&bad).to_string(), "--reason", "it has a password in it"],
    );
    drop_file(at, "dev/a-1.rpm", &bad);
    json(at, &["run"]);
    assert_eq!(quarantined(at).pop().unwrap().0, "E_BLOCKED");
    assert_eq!(published(at), ["dev/b-1.rpm"]);
    drop_file(at, "dev/a-1.rpm", &good);
    json(at, &["run"]);
    assert_eq!(published(at), ["dev/a-1.rpm", "dev/b-1.rpm"]);
}

#[test]
fn a_purge_deletes_the_bytes_at_once_and_says_who_may_miss_them() {
    let folder = bucket_with(&["dev/a-1.rpm", "dev/b-1.rpm"]);
    let at = folder.path();
    let first = revisions(at, "dev")[0].clone();
    let would = json(at, &["package", "remove", "dev/a-1.rpm", "--purge", "--dry-run"]);
    assert!(lies(at, "dev/a-1.rpm"), "a dry run deletes nothing");
    let why = would["marked"][0]["why"].as_str().unwrap();
    assert!(would["marked"][0]["mark"] == "purge" && why.contains(&first), "{would}");
    let plan = would["plan"].as_str().unwrap();
    json(at, &["package", "remove", "dev/a-1.rpm", "--purge", "--expect", plan, "--reason", "it has a password in it"]);
    assert!(!lies(at, "dev/a-1.rpm") && lies(at, "dev/b-1.rpm"));
    assert_eq!(published(at), ["dev/b-1.rpm"]);
    let (code, _, err) = said(at, &["repo", "rollback", &first, "--in", "dev"]);
    assert!(code == 4 && err.contains("a-1.rpm, which was purged by ada") && err.contains("password"), "{code}: {err}");
    // What is purged is not blocked: it may be uploaded anew.
    publish(at, &["dev/a-1.rpm"]);
    assert_eq!(published(at), ["dev/a-1.rpm", "dev/b-1.rpm"]);
    assert!(lies(at, "dev/a-1.rpm"));
    json(at, &["check"]);
}

#[test]
fn a_purge_that_was_interrupted_is_ended_by_the_same_command() {
    let folder = bucket_with(&["dev/a-1.rpm", "dev/b-1.rpm"]);
    let at = folder.path();
    json(at, &["package", "remove", "dev/a-1.rpm", "--purge"]);
    // As a crash leaves it: announced, taken out, and still there.
    let blocks = at.join("b/.yrm/blocks.json");
    let mut said_there: Value = serde_json::from_slice(&fs::read(&blocks).unwrap()).unwrap();
    said_there["purges"][0]["done"] = Value::Null;
    fs::write(at.join("b/repo/dev/a-1.rpm"), "the bytes").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    fs::write(&blocks, said_there.to_string()).unwrap();
    // Nobody publishes anything there meanwhile.
    drop_file(at, "dev/a-1.rpm", &Rpm::new("a", "1", "1", "noarch").build());
    let report = json(at, &["run"]);
    assert!(report["waiting"][0]["reason"].as_str().unwrap().contains("purge"), "{report}");
    let report = json(at, &["package", "remove", "dev/a-1.rpm", "--purge"]);
    assert_eq!(report["marked"][0]["name"], "dev/a-1.rpm");
    assert!(!lies(at, "dev/a-1.rpm"));
    let report = json(at, &["run"]);
    assert_eq!(published(at), ["dev/a-1.rpm", "dev/b-1.rpm"], "{report:#}");
}

/// A line of the log of `dev` as JSON.
fn log(at: &Path) -> Value {
    json(at, &["repo", "log", "--in", "dev"])
}

/// What lies in a folder of the bucket, with all below.
fn files(at: &Path, folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![at.join("b").join(folder)];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(at.join("b")).unwrap().to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_tag_is_taken_where_a_revision_is_and_has_a_folder() {
    let folder = bucket_with(&["dev/a-1.rpm", "dev/b-1.rpm"]);
    let at = folder.path();
    let first = revisions(at, "dev")[0].clone();
    let tagged = json(at, &["repo", "tag", "current", "v1", "--in", "dev", "--reason", "shipped"]);
    assert_eq!((&tagged["operation"], tagged["marked"][0]["revision"].to_string()), (&"tag".into(), first.clone()));
    assert!(json(at, &["repo", "tag", &first, "v1", "--in", "dev"])["marked"].is_null(), "it has it already");
    publish(at, &["dev/c-1.rpm"]);
    let (code, _, err) = said(at, &["repo", "tag", "current", "v1", "--in", "dev"]);
    assert!(code == 4 && err.contains("yrm repo untag v1"), "{code}: {err}");
    let rows = json(at, &["repo", "tags", "--in", "dev"]);
    assert_eq!((&rows[0]["tag"], &rows[0]["by"], &rows[0]["is_whole"]), (&"v1".into(), &"ada".into(), &true.into()));
    assert_eq!(rows[0]["folder"], "dev/repodata/tag-v1/");
    assert!(log(at).as_array().unwrap().iter().any(|one| one["tags"][0] == "v1"));
    assert_eq!(json(at, &["repo", "show", "v1", "--in", "dev"])["packages"].as_array().unwrap().len(), 2);
    let diff = json(at, &["repo", "diff", "v1", "current", "--in", "dev"]);
    assert_eq!((&diff["changes"][0]["name"], &diff["changes"][0]["change"]), (&"c".into(), &"added".into()));
    json(at, &["repo", "rollback", "v1", "--in", "dev"]);
    assert_eq!(published(at), ["dev/a-1.rpm", "dev/b-1.rpm"]);
    let (code, _, err) = said(at, &["repo", "show", "v2", "--in", "dev"]);
    assert!(code == 2 && err.contains("did you mean v1"), "{code}: {err}");
    for bad in ["7", "a/b", ".a", "current"] {
        assert_eq!(said(at, &["repo", "tag", "current", bad, "--in", "dev"]).0, 2, "{bad}");
    }
    assert!(files(at, "repo/dev/repodata/tag-v1").contains(&"repo/dev/repodata/tag-v1/repodata/repomd.xml".to_owned()));
    json(at, &["repo", "untag", "v1", "--in", "dev"]);
    assert_eq!(json(at, &["repo", "tags", "--in", "dev"]), Value::Array(vec![]));
    assert!(
        !files(at, "repo/dev/repodata/tag-v1").contains(&"repo/dev/repodata/tag-v1/repodata/repomd.xml".to_owned())
    );
    json(at, &["check"]);
}

#[test]
fn a_purge_says_which_tags_name_the_package() {
    let folder = bucket_with(&["dev/a-1.rpm", "dev/b-1.rpm"]);
    let at = folder.path();
    json(at, &["repo", "tag", "current", "v1", "--in", "dev"]);
    let would = json(at, &["package", "remove", "dev/a-1.rpm", "--purge", "--dry-run"]);
    assert!(would["marked"][0]["why"].as_str().unwrap().contains("(tagged v1)"), "{would}");
}

#[test]
fn a_repository_is_deleted_and_comes_back() {
    let folder = bucket_with(&["dev/a-1.rpm", "dev/b-1.rpm", "dev/c-1.rpm", "prod/d-1.rpm"]);
    let at = folder.path();
    let (code, _, err) = said(at, &["repo", "delete", "dev"]);
    assert!(code == 4 && err.contains("3 of its 3 packages"), "{code}: {err}");
    let would = json(at, &["repo", "delete", "dev", "--dry-run"]);
    assert_eq!(paths(&would, "removed"), ["dev/a-1.rpm", "dev/b-1.rpm", "dev/c-1.rpm"]);
    assert!(lies(at, "dev/repodata/repomd.xml"));
    json(at, &["repo", "delete", "dev", "--expect", would["plan"].as_str().unwrap(), "--reason", "a typo"]);
    assert!(!lies(at, "dev/repodata/repomd.xml") && lies(at, "dev/a-1.rpm"));
    assert_eq!(published(at), ["prod/d-1.rpm"]);
    // It stays away, whatever runs look at.
    prune_all(at);
    json(at, &["run"]);
    json(at, &["check"]);
    assert!(!lies(at, "dev/repodata/repomd.xml"));
    json(at, &["repo", "delete", "dev", "--allow-shrink"]);
    let newest = json(at, &["history", "--limit", "9"]);
    let deleted = newest.as_array().unwrap().iter().rfind(|run| run["operation"] == "delete").unwrap();
    assert_eq!(deleted["reason"], "a typo");

    let back = json(at, &["repo", "restore", "dev"]);
    assert_eq!(paths(&back, "restored"), ["dev/a-1.rpm", "dev/b-1.rpm", "dev/c-1.rpm"]);
    assert_eq!(published(at), ["dev/a-1.rpm", "dev/b-1.rpm", "dev/c-1.rpm", "prod/d-1.rpm"]);
    let (code, _, err) = said(at, &["repo", "restore", "dev"]);
    assert!(code == 4 && err.contains("it is there"), "{code}: {err}");

    // A package that arrives makes it anew, with that package alone.
    json(at, &["repo", "delete", "dev", "--allow-shrink"]);
    publish(at, &["dev/e-1.rpm"]);
    assert_eq!(published(at), ["dev/e-1.rpm", "prod/d-1.rpm"]);
}

#[test]
fn a_lost_or_damaged_repomd_xml_is_restored_by_a_command() {
    let folder = bucket_with(&["dev/a-1.rpm", "dev/b-1.rpm"]);
    let at = folder.path();
    let repomd = at.join("b/repo/dev/repodata/repomd.xml");
    for damage in [None, Some("junk")] {
        match damage {
            None => fs::remove_file(&repomd).unwrap(),
            Some(text) => fs::write(&repomd, text).unwrap(),
        }
        json(at, &["repo", "restore", "dev"]);
        assert_eq!(published(at), ["dev/a-1.rpm", "dev/b-1.rpm"], "{damage:?}");
        assert_ne!(fs::read(&repomd).unwrap(), b"junk");
    }
    // What nothing can be put in the place of stays as it is.
    fs::remove_dir_all(at.join("b/.yrm/generations")).unwrap();
    fs::write(&repomd, "junk").unwrap();
    let (code, _, said) = said(at, &["repo", "restore", "dev"]);
    assert!(code == 4 && said.contains("no revision of it that had packages is kept"), "{code} {said}");
    assert_eq!(fs::read(&repomd).unwrap(), b"junk");
}

#[test]
fn metadata_is_made_anew_from_the_packages() {
    let folder = bucket_with(&["dev/a-1.rpm", "dev/b-1.rpm"]);
    let at = folder.path();
    let before = revisions(at, "dev")[0].clone();
    let report = json(at, &["repo", "rebuild", "--in", "dev", "--reason", "a doubt"]);
    assert_eq!((&report["operation"], &report["repositories"][0]["packages"]), (&"rebuild".into(), &2.into()));
    assert_ne!(revisions(at, "dev")[0], before);
    assert_eq!(published(at), ["dev/a-1.rpm", "dev/b-1.rpm"]);
    assert_eq!(json(at, &["history", "--limit", "1"])[0]["reason"], "a doubt");
    json(at, &["check", "--deep"]);
}
