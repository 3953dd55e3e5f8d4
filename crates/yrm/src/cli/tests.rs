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

/// The help of every command, with how it is asked for.
fn helps(flag: &str) -> Vec<(String, String)> {
    fn below(command: &Command, above: &[String], paths: &mut Vec<Vec<String>>) {
        paths.push(above.to_vec());
        for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
            below(verb, &[above, &[verb.get_name().to_owned()]].concat(), paths);
        }
    }
    let mut paths = Vec::new();
    below(&Cli::command(), &[], &mut paths);
    let help = |path: Vec<String>| {
        let words: Vec<OsString> = std::iter::once("yrm".to_owned())
            .chain(path.clone())
            .chain([flag.to_owned()])
            .map(OsString::from)
            .collect();
        (format!("yrm {} {flag}", path.join(" ")), Cli::read(&words).unwrap_err().to_string())
    };
    paths.into_iter().map(help).collect()
}

#[test]
fn help_is_80_columns_wide_and_the_short_one_45_lines_long() {
    for (flag, lines) in [("-h", 45), ("--help", 400)] {
        let helps = helps(flag);
        assert!(helps.len() > 25, "{}", helps.len());
        for (asked, help) in helps {
            let wide: Vec<&str> = help.lines().filter(|line| line.chars().count() > 80).collect();
            assert!(wide.is_empty(), "{asked}: {wide:#?}");
            assert!(help.lines().count() <= lines, "{asked} has {} lines:\n{help}", help.lines().count());
        }
    }
}

#[test]
fn every_command_has_an_example_and_the_short_help_says_where_the_rest_is() {
    for (asked, help) in helps("-h") {
        let needs_none = [
            "yrm  -h",
            "yrm completions -h",
            "yrm man -h",
            "yrm config init -h",
            "yrm config check -h",
            "yrm config show -h",
        ];
        assert!(needs_none.contains(&asked.as_str()) || help.contains("\nExample"), "{asked}: {help}");
        assert!(help.contains("--help") || help.contains("COMMAND"), "{asked}: {help}");
    }
}

#[test]
fn examples_stand_on_one_line_and_can_be_typed() {
    let mut tried = 0;
    let whole: String = helps("--help").into_iter().map(|(_, help)| help).collect();
    for line in verbs::VERBS.iter().flat_map(|verb| verb.examples.iter().chain(verb.more)) {
        assert!(whole.contains(&format!("\n  {line}\n")), "{line:?} is not shown, or is cut");
    }
    for (asked, help) in helps("--help") {
        let examples = help.split("\nExample").nth(1).unwrap_or_default();
        for line in examples.lines().filter(|line| line.starts_with("  yrm ")) {
            // Without what a shell would make of the rest.
            let words = line.split(['|', '>']).next().unwrap().replace("'Example packages'", "Example");
            let typed = Cli::try_parse_from(words.split_whitespace());
            assert!(typed.is_ok(), "{asked}: {line}: {}", typed.unwrap_err());
            tried += 1;
        }
    }
    assert!(tried > 30, "{tried}");
}

#[test]
fn help_shows_only_settings_that_have_an_effect() {
    let helps: std::collections::BTreeMap<String, String> = helps("--help").into_iter().collect();
    let shows = |verb: &str, flag: &str| helps[&format!("yrm {verb} --help")].contains(&format!("--{flag} "));
    for verb in ["serve", "run", "publish", "check", "status", "history", "doctor", "package search", "repo log"] {
        assert!(shows(verb, "bucket"), "{verb}");
    }
    for verb in ["index", "demo", "key generate", "completions", "man"] {
        assert!(!shows(verb, "bucket"), "{verb}");
    }
    for verb in ["package remove", "package promote", "repo rollback"] {
        for flag in
            ["notify-webhook", "notify-topic", "notify-on", "notify-shape", "datadog-site", "dogstatsd", "reason"]
        {
            assert!(shows(verb, flag), "{verb} {flag}");
        }
        for flag in ["cleanup-interval", "history-days"] {
            assert!(!shows(verb, flag), "{verb} {flag}");
        }
        assert!(shows(verb, "grace") && shows(verb, "signing-key"), "{verb}");
        // Scripts that give them go on.
        let path = if verb == "repo rollback" { "1" } else { "a.rpm --to b.rpm" };
        let path = if verb == "package remove" { "a.rpm" } else { path };
        assert!(parse(&format!("{verb} {path} --notify-topic x --dogstatsd h:1 --keep-at-least 3")).is_ok(), "{verb}");
    }
    assert!(shows("package promote", "keep-at-least") && !shows("package remove", "keep-at-least"));
    assert!(shows("run", "sse") && !shows("check", "sse") && shows("serve", "notify-webhook"));
    assert!(helps.values().all(|help| !help.contains("sweep-interval")), "an earlier name is not shown");
}

#[test]
fn the_short_help_of_run() {
    let helps = helps("-h");
    let (_, help) = helps.iter().find(|(asked, _)| asked == "yrm run -h").unwrap();
    insta::assert_snapshot!(help);
    let (_, help) = helps.iter().find(|(asked, _)| asked == "yrm  -h").unwrap();
    insta::assert_snapshot!(help);
}

#[test]
fn a_setting_is_known_by_its_earlier_name() {
    assert_eq!(given("run --sweep-interval 1h"), pairs(&[("cleanup-interval", "1h")]));
}

#[test]
fn times_are_short_for_people() {
    let moment = "2026-11-22T14:43:17.824352054Z".parse().unwrap();
    assert_eq!(output::time(moment), "2026-11-22 14:43:17 UTC");
    assert_eq!([38, 1_570, 93_999].map(summary::duration), ["38 ms", "1.5 s", "93 s"]);
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
