//! `bench run`: the phases, one after the other, and the page.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::campaign::Campaign;
use crate::fault::Result;
use crate::machine::Machine;
use crate::results::Results;
use crate::tools::Tools;
use crate::world::{Weight, World};
use crate::{latency, page, s3, share};

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Packages in a repository
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,100000")]
    sizes: Vec<usize>,
    /// Packages of ~140 KB in a full build; 0 leaves it out
    #[arg(long, default_value_t = 10_000)]
    heavy: usize,
    /// What to measure; what is not keeps its last figures
    #[arg(long, value_enum, value_delimiter = ',', default_value = "build,adopt,change,s3,share,latency")]
    phases: Vec<Phase>,
    /// Times each thing is done below 100,000 packages; from there on createrepo_c's are done once
    #[arg(long, default_value_t = 3)]
    repetitions: usize,
    /// Where packages and repositories are made; made packages are used again
    #[arg(long, default_value = "target/bench")]
    data: PathBuf,
    /// The page that gets the tables, between its markers
    #[arg(long, default_value = "docs/benchmarks.md")]
    page: PathBuf,
    /// The root of the sources, for .test/ and scripts/
    #[arg(long, default_value = ".")]
    pub(crate) workspace: PathBuf,
}

/// A part of the campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Phase {
    /// Full builds and the floor
    Build,
    /// Taking repositories over, in a directory
    Adopt,
    /// Adding and removing packages, in a directory
    Change,
    /// Publishing one package on the S3 test server
    S3,
    /// Several services on the S3 test server
    Share,
    /// Runs over a store whose every call takes 30 ms
    Latency,
    /// Nothing new: write the page from what was measured
    Page,
}

/// Runs it and writes the page.
pub(crate) fn run(args: &RunArgs) -> Result<()> {
    let tools = Tools::find(&args.workspace)?;
    let world = World::new(&args.data)?;
    let file = args.data.join("results.json");
    let mut results = Results::read(&file)?;
    if args.phases.iter().any(|phase| *phase != Phase::Page) {
        results.machine = Machine::look(&tools)?;
    }
    let mut campaign = Campaign { tools, world, repetitions: args.repetitions, results, file };
    for phase in &args.phases {
        match phase {
            Phase::Build => {
                for size in &args.sizes {
                    campaign.build(Weight::Light, *size)?;
                }
                if args.heavy > 0 {
                    campaign.build(Weight::Heavy, args.heavy)?;
                }
            }
            Phase::Adopt => {
                for size in &args.sizes {
                    campaign.adopt(*size)?;
                }
            }
            Phase::Change => {
                for size in &args.sizes {
                    campaign.change(*size)?;
                }
            }
            Phase::S3 => {
                for size in args.sizes.iter().filter(|size| **size >= 10_000) {
                    s3::publish(&mut campaign, &args.workspace, *size)?;
                }
            }
            Phase::Share => share::share(&mut campaign, &args.workspace)?,
            Phase::Latency => {
                campaign.results.latency = latency::all()?;
                campaign.save()?;
            }
            Phase::Page => {}
        }
    }
    page::write(&campaign.results, &args.page)
}
