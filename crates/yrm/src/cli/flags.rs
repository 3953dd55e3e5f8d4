//! Settings as flags: clap's arguments made from the one table in `config::settings`, so that a
//! flag cannot be named, described or left out differently than its file key and variable.

use std::marker::PhantomData;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use crate::config::settings::{Group, Kind, SETTINGS, Setting, setting};

/// The first version's switch for `--repositories per-folder`.
const PER_FOLDER: &str = "per-folder";
/// The first version's settings that have nothing left to set, and why.
const WITHOUT_EFFECT: [(&str, char, &str); 1] =
    [("local-staging-area", 'l', "packages are copied inside the bucket and no longer pass through a local disk")];

/// The heading of the flags that every command takes.
pub(super) const OF_EVERY_COMMAND: &str = "Of every command";
/// The heading of flags that have no effect any more.
pub(super) const OF_THE_FIRST_VERSION: &str = "Of the first version";
/// The headings of settings in `--help`.
pub(super) const HEADINGS: [&str; 5] =
    [ForBucket::HEADING, ForRepositories::HEADING, ForPublish::HEADING, ForSigning::HEADING, ForServe::HEADING];

/// A group of flags; the marker says which.
pub trait Grouped {
    /// The settings.
    const GROUP: Group;
    /// Whether every verb takes them.
    const GLOBAL: bool;
    /// The heading in `--help`.
    const HEADING: &'static str;
}

/// `Flags<…>` that every verb takes.
#[derive(Debug)]
pub enum ForBucket {}
/// `Flags<…>` of verbs that look at repositories.
#[derive(Debug)]
pub enum ForRepositories {}
/// `Flags<…>` of verbs that publish.
#[derive(Debug)]
pub enum ForPublish {}
/// `Flags<…>` of verbs that sign, or judge signatures.
#[derive(Debug)]
pub enum ForSigning {}
/// `Flags<…>` of the service.
#[derive(Debug)]
pub enum ForServe {}

impl Grouped for ForBucket {
    const GROUP: Group = Group::Bucket;
    const GLOBAL: bool = true;
    const HEADING: &'static str = "Bucket and log";
}

impl Grouped for ForRepositories {
    const GROUP: Group = Group::Repositories;
    const GLOBAL: bool = false;
    const HEADING: &'static str = "Repositories";
}

impl Grouped for ForPublish {
    const GROUP: Group = Group::Publish;
    const GLOBAL: bool = false;
    const HEADING: &'static str = "Publishing";
}

impl Grouped for ForSigning {
    const GROUP: Group = Group::Signing;
    const GLOBAL: bool = false;
    const HEADING: &'static str = "Signing";
}

impl Grouped for ForServe {
    const GROUP: Group = Group::Serve;
    const GLOBAL: bool = false;
    const HEADING: &'static str = "Service";
}

/// The flag of every verb that changes the bucket.
#[derive(Debug, Args)]
pub struct Because {
    /// Why: it stands in the history and in notices
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

impl Because {
    /// What was said.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }
}

/// The flags of one group that were given.
#[derive(Debug)]
pub struct Flags<G> {
    /// Settings and their texts, for [`crate::config::Typed`].
    pub given: Vec<(&'static Setting, String)>,
    /// What to tell somebody who used a flag that has no effect any more.
    pub notes: Vec<String>,
    group: PhantomData<G>,
}

impl<G: Grouped> Args for Flags<G> {
    fn augment_args(command: Command) -> Command {
        let mut command = SETTINGS
            .iter()
            .filter(|setting| setting.group == G::GROUP)
            .fold(command, |command, setting| command.arg(argument::<G>(setting)));
        if G::GROUP == Group::Repositories {
            command = command.arg(
                Arg::new(PER_FOLDER)
                    .long(PER_FOLDER)
                    .action(ArgAction::SetTrue)
                    .conflicts_with("repositories")
                    .help("The same as --repositories per-folder")
                    .help_heading(G::HEADING),
            );
        }
        if G::GROUP == Group::Publish {
            for (name, short, why) in WITHOUT_EFFECT {
                command = command.arg(
                    Arg::new(name)
                        .long(name)
                        .short(short)
                        .value_name("DIR")
                        .help(format!("Accepted, without effect: {why}"))
                        .help_heading(OF_THE_FIRST_VERSION),
                );
            }
        }
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn argument<G: Grouped>(setting: &'static Setting) -> Arg {
    let mut help = format!("{} [variable: {}]", setting.help, setting.variable());
    if let Some(default) = setting.default {
        help = format!("{help} [default: {default}]");
    }
    let mut arg = Arg::new(setting.name)
        .long(setting.name)
        .value_name(setting.placeholder)
        .aliases(setting.aliases.iter().copied().chain(setting.formerly))
        .global(G::GLOBAL)
        .allow_hyphen_values(setting.kind == Kind::Number)
        .help(help)
        .help_heading(G::HEADING);
    if setting.kind == Kind::Switch {
        arg = arg.num_args(0..=1).require_equals(true).default_missing_value("true");
    }
    if let Some(short) = setting.short {
        arg = arg.short(short);
    }
    arg
}

impl<G: Grouped> FromArgMatches for Flags<G> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut given: Vec<(&'static Setting, String)> = SETTINGS
            .iter()
            .filter(|setting| setting.group == G::GROUP)
            .filter_map(|setting| Some((setting, matches.get_one::<String>(setting.name)?.clone())))
            .collect();
        let mut notes = Vec::new();
        if G::GROUP == Group::Repositories && matches.get_flag(PER_FOLDER) {
            let repositories = setting("repositories").expect("repositories is in the table");
            given.push((repositories, PER_FOLDER.to_owned()));
        }
        if G::GROUP == Group::Publish {
            let used = WITHOUT_EFFECT.iter().filter(|(name, ..)| matches.contains_id(name));
            notes.extend(used.map(|(name, _, why)| format!("--{name} has no effect: {why}")));
        }
        Ok(Self { given, notes, group: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
