//! The command line: what was typed, one file per verb. Only `output` writes to stdout.
//!
//! A verb's function takes what was typed and the context, and answers an exit code; printing an
//! error is done here, once.

pub mod flags;
pub mod output;
pub mod progress;

mod adopt;
mod arenas;
mod beforehand;
mod check;
mod client;
mod compare;
mod completions;
mod config;
mod context;
mod demo;
mod doctor;
mod help;
mod history;
mod index;
mod key;
mod marks;
mod orphans;
mod package;
mod prune;
mod publish;
mod quarantine;
mod repo;
mod run;
mod search;
mod serve;
mod settings;
mod show;
mod status;
mod summary;
mod token;
mod verbs;
mod which;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Command, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use self::adopt::AdoptArgs;
pub use self::context::{Context, DONE, REJECTED};
use self::flags::{Flags, ForBucket, OF_EVERY_COMMAND};
use self::help::Length;
use self::marks::{BlockArgs, HoldArgs};
use self::orphans::{AdoptFileArgs, DropFileArgs};
use self::output::{Format, Output};
use self::package::{PromoteArgs, RemoveArgs};
use self::prune::PruneArgs;
use self::repo::{RebuildArgs, RollbackArgs, TagArgs, UntagArgs, WholeArgs};
use crate::config::settings::{LOG_VARIABLE, Setting};
use crate::config::{Low, Typed};
use crate::error::{Error, ErrorKind, Result};
use crate::telemetry::Verbosity;
use crate::who::Who;

/// Manages RPM repositories in S3 or in a directory: yrm publishes what is uploaded
/// into the inbox, and dnf installs from the bucket.
#[derive(Debug, Parser)]
#[command(name = "yrm", version, max_term_width = HELP_COLUMNS, subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    shared: Shared,
    #[command(flatten)]
    bucket: Flags<ForBucket>,
    #[command(subcommand)]
    verb: Verb,
}

/// Flags of every verb that are not settings.
#[derive(Debug, Args)]
#[command(next_help_heading = OF_EVERY_COMMAND)]
struct Shared {
    /// The configuration file [variable: YRM_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How data goes to stdout, and errors to stderr
    #[arg(long, global = true, value_enum, default_value_t)]
    output: Format,
    /// Do not cut the cells of tables to the width of the terminal
    #[arg(long, global = true)]
    wide: bool,
    /// Log more
    #[arg(short, long, global = true)]
    verbose: bool,
    /// Log everything
    #[arg(short, long, global = true)]
    debug: bool,
}

/// One verb, one file.
#[derive(Debug, Subcommand)]
enum Verb {
    /// Publish at every interval and answer HTTP, until stopped
    Serve(serve::ServeArgs),
    /// Publish once: for cron, CI and Lambda
    Run(run::RunArgs),
    /// Upload packages into the inbox
    Publish(publish::PublishArgs),
    /// Check that the bucket holds what its metadata names; changes nothing
    Check(check::CheckArgs),
    /// Show the repositories, the inbox and the last run
    Status(status::StatusArgs),
    /// Show the runs and operations that changed something, newest first
    History(history::HistoryArgs),
    /// Show, remove, promote, hold and block packages
    #[command(subcommand)]
    Package(package::PackageVerb),
    /// Show rejected files and why; release or delete them
    #[command(subcommand)]
    Quarantine(quarantine::QuarantineVerb),
    /// Show, tag and roll back to a repository's revisions; rebuild, delete, restore one
    #[command(subcommand)]
    Repo(repo::RepoVerb),
    /// Prune old versions by the prune rule, or show which would go on a day to come
    Prune(prune::PruneArgs),
    /// Take over a repository whose metadata another program wrote
    Adopt(adopt::AdoptArgs),
    /// Show and change the settings that the bucket keeps for all who write to it
    #[command(subcommand)]
    Settings(settings::SettingsVerb),
    /// Let clients and people in through the gateway: make, show and revoke tokens
    #[command(subcommand)]
    Token(token::TokenVerb),
    /// Show what clients need, and what is wrong where they cannot install
    #[command(subcommand)]
    Client(client::ClientVerb),
    /// Make, show, rotate and check the keys that sign metadata
    #[command(subcommand)]
    Key(key::KeyVerb),
    /// Try out what yrm may do in the bucket, and what the store can do
    Doctor(doctor::DoctorArgs),
    /// Write metadata for a local directory, as createrepo_c does
    Index(index::IndexArgs),
    /// Make a bucket with sample packages in a directory, and serve it
    Demo(demo::DemoArgs),
    /// Write, check or show the configuration
    #[command(subcommand)]
    Config(config::ConfigVerb),
    /// Print completions for a shell
    Completions(completions::CompletionsArgs),
    /// Print the man page, or write one for each command
    Man(completions::ManArgs),
}

/// Does what was typed; answers the exit code. The runtime is made here and not in `main`: whoever waits for a future
/// compiles all of it, and so the whole program would be compiled once more into the binary's own crate.
pub fn execute(cli: Cli, environment: Vec<(String, String)>) -> u8 {
    if matches!(cli.verb, Verb::Serve(_) | Verb::Run(_)) {
        arenas::be_few();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("the system gives a process its threads");
    runtime.block_on(async { survive_file_size_limits() });
    let code = runtime.block_on(perform(cli, environment));
    // Work that was abandoned on the blocking pool must not hold up the end.
    runtime.shutdown_background();
    code
}

/// Past a limit on the size of files (`ulimit -f`) the kernel sends a signal that ends a process. With a handler
/// in its place the write fails instead, and that is told like any other error.
fn survive_file_size_limits() {
    let xfsz = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
    // The handler stays when nobody listens. Without one all goes on as well, but for that limit.
    drop(signal(xfsz));
}

async fn perform(cli: Cli, environment: Vec<(String, String)>) -> u8 {
    let output = Output::new(cli.shared.output, cli.shared.wide);
    let cli = cli.with_repository_of_history();
    if let Err(error) = cli.suits_the_verb() {
        output.error(&error);
        return error.kind().exit_code();
    }
    let log_filter = environment.iter().find(|(name, _)| name == LOG_VARIABLE).map(|(_, text)| text.clone());
    let (flags, notes) = cli.settings();
    for note in notes {
        output.say(&format!("note: {note}"));
    }
    let who = Who::of(&environment);
    let typed = Typed { file: cli.shared.config.clone(), environment, flags };
    let verbosity = match (cli.shared.debug, cli.shared.verbose, &cli.verb) {
        (true, ..) => Verbosity::Debug,
        (false, true, _) => Verbosity::Verbose,
        (false, false, Verb::Serve(_) | Verb::Demo(_)) => Verbosity::Normal,
        (false, false, _) => Verbosity::Quiet,
    };
    let result = match cli.verb {
        // Writes the file that the others read: what an existing one says must not matter.
        Verb::Config(config::ConfigVerb::Init(args)) => config::init(&args, &typed, output),
        verb => {
            let context = Context { low: Low::gather(&typed), output, verbosity, log_filter, who };
            Box::pin(verb.execute(&context)).await
        }
    };
    result.unwrap_or_else(|error| {
        output.error(&error);
        error.kind().exit_code()
    })
}

/// Help is at most this wide.
const HELP_COLUMNS: usize = 80;

impl Cli {
    /// What was typed; help, version and mistakes end the process.
    pub fn typed() -> Self {
        let words: Vec<OsString> = std::env::args_os().collect();
        Self::read(&words).unwrap_or_else(|error| {
            let is_mistake = error.exit_code() == i32::from(ErrorKind::Config.exit_code());
            if is_mistake && wants_json(&words) {
                Output::new(Format::Json, false).error(&mistake(&error));
                std::process::exit(error.exit_code());
            }
            error.exit()
        })
    }

    /// What these words mean.
    fn read(words: &[OsString]) -> std::result::Result<Self, clap::Error> {
        let mut command = Self::described(length(words));
        let matches = command.try_get_matches_from_mut(words)?;
        Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
    }

    /// The command line, with the help that fits each verb.
    fn described(length: Length) -> Command {
        let mut command = Self::command();
        // Hands every verb the flags that are for all, so that they can be hidden.
        command.build();
        help::fitted(command, length)
    }

    /// Refuses flags under `index` that mean nothing there, or something else to those who come from createrepo_c: it
    /// uses no bucket and reads no configuration.
    fn suits_the_verb(&self) -> Result<()> {
        let Verb::Index(_) = self.verb else { return Ok(()) };
        let of_bucket = self.bucket.given.iter().map(|(setting, _)| {
            let short = setting.short.map_or_else(String::new, |short| format!(" (-{short})"));
            format!("{}{short}", setting.flag())
        });
        let others = [(self.shared.config.is_some(), "--config"), (self.shared.debug, "--debug (-d)")];
        let others = others.into_iter().filter(|(is_given, _)| *is_given).map(|(_, flag)| flag.to_owned());
        let given: Vec<String> = of_bucket.chain(others).collect();
        if given.is_empty() {
            return Ok(());
        }
        let why = format!("index has no {}: it works on a local folder, without a bucket", given.join(", "));
        let error = Error::new(ErrorKind::Config, "reading the command line").because(why);
        Err(if given.iter().any(|flag| flag.contains("(-i)")) {
            error.hint(
                "createrepo_c's -i is --pkglist, which is not there: link the packages into a folder and name that",
            )
        } else if self.shared.debug {
            error.hint("createrepo_c's -d makes sqlite databases, which are not there: no client needs them")
        } else {
            error.hint("`yrm index --help` shows what it takes")
        })
    }

    /// `yrm history --repo el9` means the repository, and no setting.
    fn with_repository_of_history(mut self) -> Self {
        if let Verb::History(args) = &mut self.verb {
            let given = self.bucket.given.iter().find(|(setting, _)| setting.name == "repo");
            given.inspect(|(_, folder)| args.take_repository(folder));
            self.bucket.given.retain(|(setting, _)| setting.name != "repo");
        }
        self
    }

    /// Every setting that was given as a flag, and remarks on flags without effect.
    fn settings(&self) -> (Vec<(&'static Setting, String)>, Vec<String>) {
        let mut given = self.bucket.given.clone();
        let mut notes = Vec::new();
        match &self.verb {
            Verb::Serve(args) => {
                given.extend(
                    args.repositories
                        .given
                        .iter()
                        .chain(&args.publish.given)
                        .chain(&args.signing.given)
                        .chain(&args.service.given)
                        .cloned(),
                );
                notes.extend(args.publish.notes.iter().cloned());
            }
            Verb::Run(args) => {
                let signing = &args.signing.given;
                given.extend(args.repositories.given.iter().chain(&args.publish.given).chain(signing).cloned());
                notes.extend(args.publish.notes.iter().cloned());
            }
            Verb::Package(
                package::PackageVerb::Remove(RemoveArgs { rules, .. })
                | package::PackageVerb::Promote(PromoteArgs { rules, .. })
                | package::PackageVerb::Hold(HoldArgs { rules, .. })
                | package::PackageVerb::Unhold(HoldArgs { rules, .. })
                | package::PackageVerb::Block(BlockArgs { rules, .. })
                | package::PackageVerb::Unblock(BlockArgs { rules, .. }),
            )
            | Verb::Repo(
                repo::RepoVerb::Rollback(RollbackArgs { rules, .. })
                | repo::RepoVerb::Tag(TagArgs { rules, .. })
                | repo::RepoVerb::Untag(UntagArgs { rules, .. })
                | repo::RepoVerb::Rebuild(RebuildArgs { rules, .. })
                | repo::RepoVerb::Delete(WholeArgs { rules, .. })
                | repo::RepoVerb::Restore(WholeArgs { rules, .. })
                | repo::RepoVerb::AdoptFile(AdoptFileArgs { rules, .. })
                | repo::RepoVerb::DropFile(DropFileArgs { rules, .. }),
            )
            | Verb::Token(
                token::TokenVerb::Create(token::CreateArgs { rules, .. })
                | token::TokenVerb::Revoke(token::RevokeArgs { rules, .. }),
            )
            | Verb::Prune(PruneArgs { rules, .. })
            | Verb::Adopt(AdoptArgs { rules, .. })
            | Verb::Settings(settings::SettingsVerb::Check(settings::CheckArgs { rules })) => {
                let signing = &rules.signing.given;
                given.extend(rules.repositories.given.iter().chain(&rules.publish.given).chain(signing).cloned());
                notes.extend(rules.publish.notes.iter().cloned());
            }
            Verb::Check(args) => given.extend(args.repositories.given.iter().chain(&args.signing.given).cloned()),
            Verb::Settings(
                settings::SettingsVerb::Set(settings::SetArgs { how, .. })
                | settings::SettingsVerb::Unset(settings::UnsetArgs { how, .. }),
            ) => {
                given.extend(how.signing.given.iter().cloned());
            }
            Verb::Key(verb) => given.extend(verb.signing().iter().flat_map(|flags| &flags.given).cloned()),
            Verb::Status(args) => given.extend(args.repositories.given.iter().cloned()),
            Verb::Publish(_)
            | Verb::Package(package::PackageVerb::Search(_) | package::PackageVerb::Show(_))
            | Verb::Repo(
                repo::RepoVerb::Log(_) | repo::RepoVerb::Show(_) | repo::RepoVerb::Diff(_) | repo::RepoVerb::Tags(_),
            )
            | Verb::History(_)
            | Verb::Quarantine(_)
            | Verb::Settings(settings::SettingsVerb::Show(_) | settings::SettingsVerb::History(_))
            | Verb::Client(_)
            | Verb::Token(token::TokenVerb::List(_) | token::TokenVerb::Show(_))
            | Verb::Doctor(_)
            | Verb::Index(_)
            | Verb::Demo(_)
            | Verb::Config(_)
            | Verb::Completions(_)
            | Verb::Man(_) => {}
        }
        (given, notes)
    }
}

/// `-h` and a mistake get the short help, `--help` and `yrm help` the whole one.
fn length(words: &[OsString]) -> Length {
    let mut words = words.iter().skip(1).take_while(|word| *word != "--");
    let is_whole = words.any(|word| word == "--help" || word == "help");
    if is_whole { Length::Whole } else { Length::Short }
}

/// Whether the words ask for JSON, as far as they can be understood.
fn wants_json(words: &[OsString]) -> bool {
    let words = words.iter().skip(1).take_while(|word| *word != "--");
    let texts: Vec<&str> = words.filter_map(|word| word.to_str()).collect();
    texts.contains(&"--output=json") || texts.windows(2).any(|pair| pair == ["--output", "json"])
}

/// A mistake on the command line as an error of ours: clap's first paragraph says what is wrong, a tip what was meant.
fn mistake(error: &clap::Error) -> Error {
    let text = error.to_string();
    let why: Vec<&str> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
    let why = why.join(" ");
    let tip = text.lines().find_map(|line| line.trim().strip_prefix("tip: "));
    Error::new(ErrorKind::Config, "reading the command line")
        .because(why.trim_start_matches("error: ").to_owned())
        .hint(tip.unwrap_or("`yrm COMMAND -h` shows what a command takes"))
}

impl Verb {
    async fn execute(self, context: &Context) -> Result<u8> {
        match self {
            Self::Serve(args) => serve::serve(&args, context).await,
            Self::Run(args) => Box::pin(run::run(&args, context)).await,
            Self::Publish(args) => publish::publish(&args, context).await,
            Self::Check(args) => check::check(&args, context).await,
            Self::Status(args) => status::status(&args, context).await,
            Self::History(args) => history::history(&args, context).await,
            Self::Package(verb) => Box::pin(package::execute(&verb, context)).await,
            Self::Quarantine(verb) => quarantine::execute(&verb, context).await,
            Self::Repo(verb) => Box::pin(repo::execute(&verb, context)).await,
            Self::Prune(args) => prune::prune(&args, context).await,
            Self::Adopt(args) => adopt::adopt(&args, context).await,
            Self::Settings(verb) => settings::execute(&verb, context).await,
            Self::Client(verb) => Box::pin(client::execute(&verb, context)).await,
            Self::Token(verb) => Box::pin(token::execute(&verb, context)).await,
            Self::Key(verb) => key::execute(&verb, context).await,
            Self::Doctor(args) => doctor::doctor(&args, context).await,
            Self::Index(args) => index::index(args, context).await,
            Self::Demo(args) => Box::pin(demo::demo(&args, context)).await,
            Self::Config(verb) => config::execute(&verb, context).await,
            Self::Completions(args) => completions::completions(&args, Cli::described(Length::Whole), context.output),
            Self::Man(args) => completions::man(&args, Cli::described(Length::Whole), context.output),
        }
    }
}

#[cfg(test)]
mod tests;
