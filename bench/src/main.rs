//! `bench`: generates realistic repositories, and compares `yrm` with `createrepo_c` side by side.
//!
//! `bench run` measures and writes docs/benchmarks.md; the other verbs are its parts, and `run`
//! starts them as processes of their own so that what they cost can be told apart.

mod campaign;
mod dice;
mod fault;
mod floor;
mod generate;
mod latency;
mod machine;
mod measure;
mod page;
mod phases;
mod plot;
mod results;
mod s3;
mod say;
mod share;
mod tools;
mod warm;
mod world;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use serde::Serialize;

use crate::fault::{Doing as _, Result};
use crate::say::report;

/// Benchmarks of yrm.
#[derive(Debug, Parser)]
#[command(name = "bench", max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Write packages shaped like a real distribution's
    Generate(GenerateArgs),
    /// Compare the programs and write the page with the figures
    Run(phases::RunArgs),
    /// What no full build can do without, in JSON: reading, hashing, compressing
    Floor {
        /// The packages
        dir: PathBuf,
        /// Their metadata, for its XML
        repodata: PathBuf,
    },
    /// What runs cost where every call to the store takes 30 ms, in JSON
    Latency,
    /// Run a command and print what it cost as the last line of standard error
    Measure {
        /// The command
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Publish in a process that stays, as a task in JSON says, and print what each run cost
    PublishWarm {
        /// The task
        task: PathBuf,
    },
}

#[derive(Debug, Args)]
struct GenerateArgs {
    /// The same seed gives the same packages
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many packages
    #[arg(long)]
    count: usize,
    /// Mean bytes of a payload; headers of about 8 KB come on top
    #[arg(long, default_value_t = 7_000)]
    payload_bytes: usize,
    /// The first name's number: sets that start far apart share no package
    #[arg(long, default_value_t = 0)]
    first_family: u64,
    /// Where to; a list of the packages is written beside it
    dir: PathBuf,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().verb {
        Verb::Generate(args) => generate(&args),
        Verb::Run(args) => phases::run(&args),
        Verb::Floor { dir, repodata } => floor::of(&dir, &repodata).map(|floor| answer(&floor)),
        Verb::Latency => latency::all().map(|rows| answer(&rows)),
        Verb::Measure { command } => measure::child(&command[0], &command[1..]),
        Verb::PublishWarm { task } => publish_warm(&task),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            report(&format!("error: {fault}"));
            ExitCode::FAILURE
        }
    }
}

fn generate(args: &GenerateArgs) -> Result<()> {
    let recipe = generate::Recipe {
        seed: args.seed,
        count: args.count,
        payload_bytes: args.payload_bytes,
        first_family: args.first_family,
        one_family: false,
    };
    let set = generate::set(&args.dir, &recipe)?;
    report(&format!("{} packages, {} bytes", set.paths.len(), set.bytes));
    Ok(())
}

fn publish_warm(task: &Path) -> Result<()> {
    let text = std::fs::read(task).doing(|| format!("reading {}", task.display()))?;
    let task = serde_json::from_slice(&text).doing(|| format!("reading {}", task.display()))?;
    warm::publish(&task).map(|done| answer(&done))
}

/// What a part tells the program that started it.
#[expect(clippy::print_stdout, reason = "the one place that does")]
fn answer(value: &impl Serialize) {
    println!("{}", serde_json::to_string(value).expect("plain data"));
}
