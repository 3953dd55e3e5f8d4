//! Looking at a bucket: packages, revisions and what is different between them, also where another program wrote the
//! metadata; and what one command prints for a package, every other takes.

use std::fs;
use std::path::Path;

use forge::Rpm;
use serde_json::Value;
use tempfile::TempDir;

use crate::record::{bucket_with, json, publish, said};
use crate::service::drop_file;

/// One field of each row.
fn each<'v>(rows: &'v Value, field: &str) -> Vec<&'v str> {
    rows.as_array().unwrap().iter().map(|row| row[field].as_str().unwrap()).collect()
}

#[test]
fn versions_sort_as_text() {
    let folder = bucket_with(&["dev/tool-1.2.rpm", "dev/tool-1.10.rpm", "dev/tool-1.9.rpm", "dev/other-1.rpm"]);
    let at = folder.path();
    let newest_first = ["tool-1.10-1.noarch", "tool-1.9-1.noarch", "tool-1.2-1.noarch"];
    assert_eq!(each(&json(at, &["package", "search", "tool"]), "nevra"), newest_first);
    assert_eq!(each(&json(at, &["package", "show", "tool"]), "nevra"), newest_first);
    let latest = json(at, &["package", "search", "--latest"]);
    assert_eq!(each(&latest, "nevra"), ["other-1-1.noarch", "tool-1.10-1.noarch"]);
    let shown = json(at, &["repo", "show", "current", "--in", "dev"]);
    assert_eq!(each(&shown["packages"], "nevra")[1..], newest_first);
}

#[test]
fn a_search_is_by_text_by_pattern_by_what_is_provided_and_by_file() {
    let folder = bucket_with(&["dev/tool-1.rpm", "dev/tool-2.rpm", "prod/tool-1.rpm", "dev/libtool-1.rpm"]);
    let at = folder.path();
    let web = Rpm::new("web", "1", "1", "noarch").provides("webserver").file("/usr/sbin/webd").build();
    drop_file(at, "dev/web.rpm", &web);
    json(at, &["run"]);
    let found = |arguments: &[&str]| {
        let rows = json(at, &[&["package", "search"], arguments].concat());
        each(&rows, "package").iter().map(|one| (*one).to_owned()).collect::<Vec<_>>()
    };
    for (asked, expected) in [
        (&["TOOL-1"][..], &["dev/libtool-1.rpm", "dev/tool-1.rpm", "prod/tool-1.rpm"][..]),
        (&["tool*"], &["dev/tool-2.rpm", "dev/tool-1.rpm", "prod/tool-1.rpm"]),
        (&["Tool-?-1.noarch", "--in", "prod"], &["prod/tool-1.rpm"]),
        (&["dev/tool*"], &["dev/tool-2.rpm", "dev/tool-1.rpm"]),
        (&["repo/prod"], &["prod/tool-1.rpm"]),
        (&["--provides", "webserver"], &["dev/web.rpm"]),
        (&["--provides", "web*"], &["dev/web.rpm"]),
        (&["--file", "/usr/sbin/webd"], &["dev/web.rpm"]),
        (&["tool*", "--provides", "webserver"], &[]),
        (&["--file", "/usr/sbin/[w]ebd"], &[]),
        (&["tool*", "--latest"], &["dev/tool-2.rpm", "prod/tool-1.rpm"]),
    ] {
        assert_eq!(found(asked), expected, "{asked:?}");
    }
    assert_eq!(said(at, &["package", "search", "a[*"]).0, 2);
}

#[test]
fn in_dot_is_an_error_and_a_typo_is_success() {
    let folder = bucket_with(&["dev/a-1.rpm", "prod/b-1.rpm"]);
    let at = folder.path();
    for verb in [
        &["repo", "log"][..],
        &["repo", "show", "current"],
        &["repo", "diff", "current", "prod"],
        &["package", "search"],
        &["package", "show", "a"],
        &["package", "remove", "a-1.rpm", "--dry-run"],
        &["history"],
        &["status"],
    ] {
        for name in ["dev", "./dev", "repo/dev", "/dev/"] {
            let (code, out, err) = said(at, &[verb, &["--in", name]].concat());
            assert_eq!(code, 0, "{verb:?} {name}: {out}{err}");
        }
        let (code, _, err) = said(at, &[verb, &["--in", "devv"]].concat());
        assert!(code == 4 && err.contains("did you mean dev?") && err.contains("prod"), "{verb:?}: {code} {err}");
    }
    let root = TempDir::new().unwrap();
    fs::create_dir_all(root.path().join("b/inbox")).unwrap();
    publish(root.path(), &["a-1.rpm"]);
    for name in ["/", ".", "", "repo"] {
        let shown = json(root.path(), &["repo", "show", "current", "--in", name]);
        assert_eq!(
            (&shown["repository"], each(&shown["packages"], "package")),
            (&"/".into(), vec!["a-1.rpm"]),
            "{name}"
        );
    }
}

#[test]
fn what_one_command_prints_for_a_package_every_other_takes() {
    let folder = bucket_with(&["dev/sub/a-1.rpm", "dev/b-1.rpm"]);
    let at = folder.path();
    let found = json(at, &["package", "search", "a-1"]);
    let printed = each(&found, "package")[0].to_owned();
    assert_eq!(printed, "dev/sub/a-1.rpm");
    for spelling in [printed.clone(), format!("repo/{printed}"), format!("/{printed}")] {
        assert_eq!(each(&json(at, &["package", "show", &spelling]), "package"), [printed.as_str()], "{spelling}");
        assert_eq!(each(&json(at, &["package", "search", &spelling]), "package"), [printed.as_str()], "{spelling}");
        assert_eq!(json(at, &["history", "--package", &printed]).as_array().unwrap().len(), 1);
        for scope in [&[][..], &["--in", "dev"]] {
            let would = json(at, &[&["package", "remove", &spelling, "--dry-run"], scope].concat());
            assert_eq!(would["removed"][0]["repository"], "dev", "{spelling} {scope:?}");
            assert_eq!(each(&would["removed"], "href"), ["sub/a-1.rpm"], "{spelling} {scope:?}");
        }
        let promoted = json(at, &["package", "promote", &spelling, "--to", "prod/"]);
        assert_eq!(promoted["published"][0]["href"], "a-1.rpm", "{spelling}");
    }
    let (_, out, _) = said(at, &["package", "search", "a-1"]);
    assert!(out.contains("prod/a-1.rpm") && out.contains(&printed), "{out}");
    let both = json(at, &["package", "remove", &printed, "prod/a-1.rpm", "--dry-run"]);
    assert_eq!(each(&both["removed"], "repository"), ["dev", "prod"]);
    let removed = json(at, &["package", "remove", "repo/prod/a-1.rpm"]);
    assert_eq!(removed["removed"][0]["repository"], "prod");
    assert_eq!(json(at, &["package", "remove", &printed])["removed"][0]["href"], "sub/a-1.rpm");
    assert_eq!(said(at, &["package", "remove", &printed]).0, 4, "it is gone");
}

#[test]
fn revision_is_a_string_in_check_and_a_number_elsewhere() {
    let folder = bucket_with(&["dev/a-1.rpm"]);
    let at = folder.path();
    let [check, status] = ["check", "status"].map(|verb| json(at, &[verb])["repositories"][0]["revision"].clone());
    assert!(check.is_u64() && check == status, "{check} {status}");
    assert_eq!(json(at, &["repo", "log", "--in", "dev"])[0]["revision"], check);
}

#[test]
fn what_is_shown_of_pruning_goes_by_the_buckets_own_rules() {
    let folder = bucket_with(&["dev/a-1.rpm", "prod/a-1.rpm"]);
    let at = folder.path();
    publish(at, &["dev/a-2.rpm", "prod/a-2.rpm"]);
    for (key, value) in [("keep-at-least", "1"), ("prune-age-days", "30")] {
        assert_eq!(said(at, &["settings", "set", key, value]).0, 0);
    }
    let keeps = ["settings", "set", "keep-at-least", "5", "--folder", "prod"];
    assert_eq!(said(at, &keeps).0, 0);
    let rows = json(at, &["package", "show", "a"]);
    let pruned: Vec<bool> = rows.as_array().unwrap().iter().map(|row| row["prune"]["at"].is_string()).collect();
    assert_eq!(each(&rows, "package"), ["dev/a-2.rpm", "prod/a-2.rpm", "dev/a-1.rpm", "prod/a-1.rpm"]);
    assert_eq!(pruned, [false, false, true, false], "{rows}");
}

#[test]
fn a_package_is_shown_with_who_published_it_and_what_pruning_will_do() {
    let folder = bucket_with(&["dev/a-1.rpm"]);
    let at = folder.path();
    publish(at, &["dev/a-2.rpm"]);
    json(at, &["package", "promote", "dev/a-1.rpm", "--to", "prod/", "--reason", "release 7"]);
    let rows = json(at, &["package", "show", "a"]);
    assert_eq!(each(&rows, "package"), ["dev/a-2.rpm", "dev/a-1.rpm", "prod/a-1.rpm"]);
    assert!(rows.as_array().unwrap().iter().all(|row| row["by"] == "ada" && row["run"].is_string()), "{rows}");
    assert_eq!(rows[2]["reason"], "release 7");
    assert!(
        rows[0]["prune"]["at"].is_null() && rows[0]["prune"]["why"].as_str().unwrap().contains("not set"),
        "{rows}"
    );
    fs::write(at.join("yrm.toml"), "repositories = \"per-folder\"\nkeep-at-least = 1\nprune-age-days = 30\n").unwrap();
    let rows = json(at, &["package", "show", "dev/a-*"]);
    assert!(rows[0]["prune"]["at"].is_null() && rows[1]["prune"]["at"].is_string(), "{rows}");
    let (code, out, err) = said(at, &["package", "show", "a"]);
    assert!(code == 0 && out.contains("from 2") && out.contains("stays") && out.contains("30 days old"), "{out}{err}");
    let (code, _, err) = said(at, &["package", "show", "nothing"]);
    assert!(code == 4 && err.contains("package search"), "{err}");
}

#[test]
fn two_revisions_or_folders_are_compared_by_name_in_the_order_of_versions() {
    let folder = bucket_with(&["prod/up-1.9.rpm", "prod/down-2.rpm", "prod/gone-1.rpm", "prod/same-1.rpm"]);
    let at = folder.path();
    publish(at, &["dev/up-1.10.rpm", "dev/down-1.rpm", "dev/new-1.rpm", "dev/same-1.rpm"]);
    let diff = json(at, &["repo", "diff", "prod", "dev"]);
    let changes: Vec<String> = diff["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| format!("{} {}", one["name"].as_str().unwrap(), one["change"].as_str().unwrap()))
        .collect();
    assert_eq!(changes, ["down downgraded", "gone removed", "new added", "up upgraded"]);
    assert_eq!((&diff["unchanged"], &diff["changes"][3]["from"]), (&1.into(), &"1.9-1".into()));
    assert_eq!(diff["changes"][3]["added"][0]["package"], "dev/up-1.10.rpm");

    let before = json(at, &["repo", "log", "--in", "dev"])[0]["revision"].to_string();
    publish(at, &["dev/up-1.2.rpm"]);
    let rebuilt = Rpm::new("same", "1", "1", "noarch").summary("built again").build();
    drop_file(at, "dev/same-1.rpm", &rebuilt);
    json(at, &["settings", "set", "on-conflict", "replace"]);
    json(at, &["run"]);
    let diff = json(at, &["repo", "diff", &before, "current", "--in", "dev"]);
    let kinds = each(&diff["changes"], "change");
    assert_eq!(kinds, ["rebuilt", "older-versions"], "{diff}");
    let (_, out, _) = said(at, &["repo", "diff", &before, "current", "--in", "dev"]);
    assert!(out.contains("older versions") && out.contains("up.noarch") && out.contains("+1 -0"), "{out}");
    let (_, out, _) = said(at, &["repo", "diff", "dev", "dev"]);
    assert!(out.contains("no package is different"), "{out}");

    let shown = json(at, &["repo", "show", &before, "--in", "dev"]);
    assert_eq!((&shown["by"], &shown["operation"]), (&"ada".into(), &"run".into()), "{shown}");
    assert_eq!(shown["packages"].as_array().unwrap().len(), 4);
    for (revision, code) in [("7", 4), ("yesterday", 2)] {
        assert_eq!(said(at, &["repo", "show", revision, "--in", "dev"]).0, code, "{revision}");
    }
    assert_eq!(said(at, &["repo", "diff", "dev", "none"]).0, 4);
}

/// What another program does: new metadata for what lies there, without ours.
fn foreign_write(at: &Path, repository: &str) {
    let elsewhere = at.join("elsewhere");
    let (code, _, err) = said(at, &["status"]);
    assert_eq!(code, 0, "{err}");
    let mut command = crate::cli::yrm(at);
    let output = command.args(["index", repository, "--outputdir"]).arg(&elsewhere).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let there = at.join(repository).join("repodata");
    fs::remove_dir_all(&there).unwrap();
    fs::rename(elsewhere.join("repodata"), there).unwrap();
}

#[test]
fn after_a_foreign_write_the_reading_verbs_see_nothing() {
    let folder = bucket_with(&["dev/tool-1.rpm", "dev/tool-2.rpm", "prod/other-1.rpm"]);
    let at = folder.path();
    fs::write(at.join("b/repo/dev/late-1.rpm"), Rpm::new("late", "1", "1", "noarch").provides("lateness").build())
        .unwrap();
    foreign_write(at, "b/repo/dev");
    let note = "dev: another program wrote this metadata";
    let (code, out, err) = said(at, &["package", "search"]);
    assert_eq!((code, err.matches(note).count(), err.contains("prod: ")), (0, 1, false), "{err}");
    for package in ["late-1-1.noarch", "tool-2-1.noarch", "other-1-1.noarch"] {
        assert!(out.contains(package), "{out}");
    }
    assert_eq!(each(&json(at, &["package", "search", "--provides", "lateness"]), "package"), ["dev/late-1.rpm"]);
    assert_eq!(each(&json(at, &["package", "show", "late"]), "package"), ["dev/late-1.rpm"]);
    let status = json(at, &["status"]);
    let dev = &status["repositories"][0];
    assert_eq!((&dev["packages"], &dev["written_by_others"]), (&3.into(), &true.into()), "{dev}");
    assert!(dev["revision"].is_u64(), "{dev}");
    let shown = json(at, &["repo", "show", "current", "--in", "dev"]);
    assert_eq!((&shown["written_by_others"], shown["packages"].as_array().unwrap().len()), (&true.into(), 3));
    let ours = json(at, &["repo", "log", "--in", "dev"])[0]["revision"].to_string();
    let diff = json(at, &["repo", "diff", &ours, "current", "--in", "dev"]);
    assert_eq!((each(&diff["changes"], "name"), each(&diff["changes"], "change")), (vec!["late"], vec!["added"]));
    let (_, _, err) = said(at, &["repo", "diff", &ours, "current", "--in", "dev"]);
    assert!(err.contains(note), "{err}");
    let check = said(at, &["check"]);
    assert!(check.1.contains("late") || check.1.contains("no catalog") || check.1.contains("taken over"), "{check:?}");
}

#[test]
fn before_the_first_run_what_others_published_is_seen() {
    let folder = TempDir::new().unwrap();
    let at = folder.path();
    fs::create_dir_all(at.join("b/inbox")).unwrap();
    fs::create_dir_all(at.join("b/repo/el9")).unwrap();
    fs::write(at.join("b/repo/el9/a.rpm"), Rpm::new("a", "1", "1", "noarch").build()).unwrap();
    assert!(crate::cli::yrm(at).args(["index", "b/repo/el9"]).status().unwrap().success());
    let status = json(at, &["status"]);
    assert_eq!(
        (&status["repositories"][0]["repository"], &status["repositories"][0]["packages"]),
        (&"el9".into(), &1.into())
    );
    assert_eq!(each(&json(at, &["package", "search", "a"]), "package"), ["el9/a.rpm"]);
}

#[test]
fn what_waits_and_why_is_nowhere() {
    let folder = bucket_with(&["dev/a-1.rpm"]);
    let at = folder.path();
    // A name that is hidden is an upload in progress, for a day.
    let hidden = at.join("b/inbox/dev/.b-1.rpm.Xk2p");
    fs::write(&hidden, Rpm::new("b", "1", "1", "noarch").build()).unwrap();
    let half_an_hour_ago = std::time::SystemTime::now() - std::time::Duration::from_mins(30);
    fs::File::options().write(true).open(&hidden).unwrap().set_modified(half_an_hour_ago).unwrap();
    let waiting = |at: &Path| json(at, &["status"])["inbox"]["waiting"].clone();
    assert_eq!(waiting(at)[0]["reason"], Value::Null);
    assert!(said(at, &["status"]).1.contains("no run has said why yet"));
    json(at, &["run"]);
    json(at, &["run"]);
    let told = waiting(at);
    assert_eq!(told[0]["inbox_key"], "inbox/dev/.b-1.rpm.Xk2p");
    assert!(told[0]["reason"].as_str().unwrap().contains("hidden name"), "{told}");
    assert!(said(at, &["status"]).1.contains("hidden name"));
    let records = json(at, &["history"]);
    assert_eq!(records.as_array().unwrap().len(), 2, "that it waits is told once: {records}");
    // Another operation is told between, and the reason is still found.
    json(at, &["package", "remove", "dev/a-1.rpm"]);
    assert_eq!(waiting(at), told);
}
