//! The two helps of each verb: `-h` is short, `--help` is whole. Both come from the one definition of the command line,
//! and so do man pages and completions.
//!
//! A setting that has no effect on a verb is accepted there, for scripts, and shown nowhere.

use clap::Command;

use super::flags::{HEADINGS, OF_EVERY_COMMAND, OF_THE_FIRST_VERSION};
use super::verbs::{NO_BUCKET, OUTLIVED, VERBS, Verb};

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    /// `-h`.
    Short,
    /// `--help`, man pages, completions.
    Whole,
}

/// The command line with the help that fits each verb. `command` is built.
pub(super) fn fitted(command: Command, length: Length) -> Command {
    let command = command.mut_args(|arg| {
        let is_shown = length == Length::Whole || !is_setting(arg.get_help_heading());
        if is_shown { arg } else { arg.hide(true) }
    });
    let root = match length {
        Length::Short => format!("{START}\n\nEach command has examples: `yrm COMMAND -h`. {ALL_FLAGS}"),
        Length::Whole => format!("{START}\n\n{EXIT_CODES}"),
    };
    below(command.after_help(root), "", length)
}

const START: &str = "Start here:\n  yrm demo                              a repository in ./yrm-demo, in a minute\n  yrm doctor --bucket s3://my-bucket    \
                     what may and can yrm do there?\n  yrm serve --bucket s3://my-bucket     publish what is uploaded";
const ALL_FLAGS: &str = "All flags: `yrm --help`.";
const EXIT_CODES: &str = "Exit codes: 0 done, 1 internal error, 2 configuration, 3 unavailable,\n4 conflict, 5 denied, 6 damaged, 7 rejected. \
                          See docs/reference/exit-codes.md.";

fn below(command: Command, above: &str, length: Length) -> Command {
    command.mut_subcommands(|command| {
        let path =
            if above.is_empty() { command.get_name().to_owned() } else { format!("{above} {}", command.get_name()) };
        if command.get_name() == "help" {
            return command;
        }
        below(verb(command, &path, length), &path, length)
    })
}

/// The command with its usage as it is before anything is hidden: that there are flags is said nevertheless.
fn with_usage(mut command: Command) -> Command {
    let usage = command.render_usage().to_string();
    command.override_usage(usage.trim_start_matches("Usage: ").to_owned())
}

/// One verb's help.
fn verb(command: Command, path: &str, length: Length) -> Command {
    // `config check` is told with `config`; `man` and `completions` read nothing.
    let above = path.split(' ').next().unwrap_or(path);
    let told = VERBS.iter().find(|verb| verb.path == path);
    let without = told.or_else(|| VERBS.iter().find(|verb| verb.path == above)).map_or(NO_BUCKET, |verb| verb.without);
    // `history` may be followed by a verb, and does something by itself.
    let has_own_verbs = command.is_subcommand_required_set();
    let command = if length == Length::Short && !has_own_verbs { with_usage(command) } else { command };
    let command = command.mut_args(|arg| {
        let is_setting = is_setting(arg.get_help_heading());
        let is_of_settings = is_setting && arg.get_help_heading() != Some(OF_EVERY_COMMAND);
        let setting = arg.get_id().as_str();
        let is_idle = is_of_settings && (is_without(without, setting) || OUTLIVED.contains(&setting));
        let is_hidden = is_idle || (is_setting && (length == Length::Short || has_own_verbs));
        if is_hidden { arg.hide(true) } else { arg }
    });
    let text = told.map_or_else(String::new, |verb| examples(verb, length));
    let rest = match (length, has_own_verbs) {
        (_, true) => format!("Flags and examples: `yrm {path} COMMAND --help`"),
        (Length::Short, false) => {
            let settings = told.map_or("", |verb| verb.settings);
            let settings = if settings.is_empty() { "--output json" } else { &format!("{settings}, --output json") };
            format!("Settings such as {settings}:\n`yrm {path} --help` or docs/reference/settings.md")
        }
        (Length::Whole, false) => String::new(),
    };
    let parts: Vec<&str> = [text.as_str(), rest.as_str()].into_iter().filter(|part| !part.is_empty()).collect();
    command.after_help(parts.join("\n\n"))
}

fn examples(verb: &Verb, length: Length) -> String {
    let more = if length == Length::Whole { verb.more } else { &[] };
    let lines: Vec<String> = verb.examples.iter().chain(more).map(|line| format!("\n  {line}")).collect();
    let title = if lines.len() == 1 { "Example:" } else { "Examples:" };
    format!("{title}{}", lines.concat())
}

fn is_setting(heading: Option<&str>) -> bool {
    heading.is_some_and(|heading| {
        HEADINGS.contains(&heading) || [OF_EVERY_COMMAND, OF_THE_FIRST_VERSION].contains(&heading)
    })
}

fn is_without(without: &[&str], setting: &str) -> bool {
    without.iter().any(|idle| match idle.strip_suffix('-') {
        Some(beginning) => setting.starts_with(beginning),
        None => *idle == "*" || *idle == setting,
    })
}
