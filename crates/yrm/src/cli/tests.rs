use clap::CommandFactory as _;
use clap::error::ErrorKind as Clap;

use super::*;
use crate::config::settings::{Group, SETTINGS};

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("yrm").chain(line.split_whitespace()))
}

fn given(line: &str) -> Vec<(&'static str, String)> {
    let (given, _) = parse(line).unwrap().settings();
    given.into_iter().map(|(setting, text)| (setting.name, text)).collect()
}

fn pairs(expected: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    expected.iter().map(|(name, text)| (*name, (*text).to_owned())).collect()
}

#[test]
fn the_command_line_is_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn help_shows_the_buckets_flags_only_where_a_bucket_is_used() {
    let help = |verb: &str, flag: &str| {
        let asked = Cli::described().try_get_matches_from(["yrm", verb, flag]);
        asked.unwrap_err().to_string()
    };
    for verb in ["serve", "run", "publish", "check", "status", "history", "doctor", "config", "index", "demo"] {
        let (short, long) = (help(verb, "-h"), help(verb, "--help"));
        assert_eq!(short, long, "--help of {verb} would take three lines for each flag");
        assert_eq!(long.contains("--bucket"), !WITHOUT_BUCKET.contains(&verb), "{verb}: {long}");
    }
}

#[test]
fn times_are_short_for_people() {
    let moment = "2026-11-22T14:43:17.824352054Z".parse().unwrap();
    assert_eq!(output::time(moment), "2026-11-22 14:43:17 UTC");
    assert_eq!([38, 1_570, 93_999].map(run::duration), ["38 ms", "1.5 s", "93 s"]);
}

#[test]
fn the_first_versions_flags_still_work() {
    let line = "serve -b my-bucket --bucket-region eu-west-1 -i in -r out -t 30 --pruneAgeDays 7 --keep-at-least 3 \
                --per-folder --datadog-api-key k --datadog-app-key a --log-file /tmp/l -d -v -l /tmp/x -c /tmp/y";
    let expected = [
        ("bucket", "my-bucket"),
        ("region", "eu-west-1"),
        ("inbox", "in"),
        ("repo", "out"),
        ("log-file", "/tmp/l"),
        ("repositories", "per-folder"),
        ("keep-at-least", "3"),
        ("prune-age-days", "7"),
        ("cache-dir", "/tmp/y"),
        ("datadog-api-key", "k"),
        ("datadog-app-key", "a"),
        ("time-interval", "30"),
    ];
    assert_eq!(given(line), pairs(&expected));
    let long =
        "serve --bucket-name b --inbox-folder-name in --repo-folder-name out --local-staging-area /x --cachedir /y";
    assert_eq!(given(long), pairs(&[("bucket", "b"), ("inbox", "in"), ("repo", "out"), ("cache-dir", "/y")]));
    let (_, notes) = parse(long).unwrap().settings();
    assert_eq!(notes.len(), 1);
    assert!(notes[0].starts_with("--local-staging-area has no effect: "), "{notes:?}");
}

#[test]
fn bucket_flags_stand_before_or_after_the_verb() {
    assert_eq!(given("--bucket ./b --path-style run"), pairs(&[("bucket", "./b"), ("path-style", "true")]));
    assert_eq!(given("run --bucket ./b --path-style=false"), pairs(&[("bucket", "./b"), ("path-style", "false")]));
    assert_eq!(given("config show -b ./b"), pairs(&[("bucket", "./b")]));
}

#[test]
fn a_switch_does_not_swallow_the_next_word() {
    let cli = parse("publish --path-style a.rpm --to el9").unwrap();
    assert_eq!(cli.bucket.given[0].1, "true");
}

#[test]
fn per_folder_and_repositories_exclude_each_other() {
    assert_eq!(parse("run --per-folder --repositories single").unwrap_err().kind(), Clap::ArgumentConflict);
}

#[test]
fn every_setting_is_a_flag_of_some_verb_and_cli_md_names_it() {
    let docs = include_str!("../../../../docs/reference/command-line.md");
    for setting in SETTINGS {
        let verb = match setting.group {
            Group::Bucket | Group::Repositories | Group::Signing => "check",
            Group::Publish => "run",
            Group::Serve => "serve",
        };
        let line = format!("{verb} {}=x", setting.flag());
        assert_eq!(given(&line), pairs(&[(setting.name, "x")]), "{line}");
        assert!(
            docs.contains(&format!("`{}`", setting.flag())),
            "docs/reference/command-line.md lacks {}",
            setting.flag()
        );
    }
    for verb in Cli::command().get_subcommands() {
        assert!(
            docs.contains(&format!("`yrm {}", verb.get_name())),
            "docs/reference/command-line.md lacks {}",
            verb.get_name()
        );
    }
}
