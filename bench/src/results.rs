//! What a campaign measured, kept in the data folder so that phases can be run one at a time.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::fault::{Doing as _, Result};
use crate::floor::Floor;
use crate::latency::LatencyRow;
use crate::machine::Machine;
use crate::measure::Cost;
use crate::tools::{Method, Tool};
use crate::warm::Done;
use crate::world::Weight;

/// What was done to a repository in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum What {
    /// A full build.
    Build,
    /// Taking over what something else has made, while one package is published.
    TakeOver(Found),
    /// So many packages added in one go.
    Add(usize),
    /// One removed.
    Remove,
}

/// What is there to be taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Found {
    /// Packages and createrepo_c's metadata.
    Metadata,
    /// Packages only.
    Packages,
}

/// In what state the program was. createrepo_c is always a fresh process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum State {
    /// A process of its own, with nothing cached.
    Fresh,
    /// A process that has published before.
    Warm,
}

/// One thing done by one program, some times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) what: What,
    pub(crate) tool: Tool,
    pub(crate) state: State,
    pub(crate) weight: Weight,
    pub(crate) packages: usize,
    pub(crate) method: Method,
    pub(crate) costs: Vec<Cost>,
    /// Of each cost, hashing and writing the compressed files, where it was looked at.
    pub(crate) files: Vec<Cost>,
    /// primary, filelists and other together.
    pub(crate) metadata_bytes: u64,
}

/// Publishing one package into a repository on the S3 test server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct S3Row {
    pub(crate) packages: usize,
    /// What was published, and in what state.
    pub(crate) case: String,
    pub(crate) cost: Cost,
    pub(crate) metadata_bytes: u64,
    /// By method, as the server counted.
    pub(crate) requests: BTreeMap<String, Requests>,
}

/// Requests of one method.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Requests {
    pub(crate) count: u64,
    /// Sent to the server.
    pub(crate) bytes_in: u64,
    /// Sent by the server.
    pub(crate) bytes_out: u64,
}

/// Services that published together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ShareRow {
    pub(crate) services: usize,
    /// Whether they shared by leases.
    pub(crate) leases: bool,
    pub(crate) packages: usize,
    pub(crate) repositories: usize,
    /// Until the inbox was empty.
    pub(crate) seconds: f64,
    pub(crate) requests: u64,
}

/// The floor under full builds of one set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct FloorRow {
    pub(crate) weight: Weight,
    pub(crate) packages: usize,
    pub(crate) floor: Floor,
}

/// Everything that was measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) rows: Vec<Row>,
    pub(crate) floors: Vec<FloorRow>,
    pub(crate) s3: Vec<S3Row>,
    #[serde(default)]
    pub(crate) share: Vec<ShareRow>,
    #[serde(default)]
    pub(crate) latency: Vec<LatencyRow>,
}

impl Results {
    /// What is there, or nothing.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        match std::fs::read(file) {
            Ok(text) => {
                serde_json::from_slice(&text).doing(|| format!("reading {} (remove it to start anew)", file.display()))
            }
            Err(_) => Ok(Self::default()),
        }
    }

    pub(crate) fn write(&self, file: &Path) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).expect("results are plain data");
        std::fs::write(file, text).doing(|| format!("writing {}", file.display()))
    }

    /// Adds a row, in place of an older one of as many services.
    pub(crate) fn put_share(&mut self, row: ShareRow) {
        self.share.retain(|other| (other.services, other.leases) != (row.services, row.leases));
        self.share.push(row);
    }

    /// Adds a row, in place of an older one of the same thing.
    pub(crate) fn put(&mut self, row: Row) {
        self.rows.retain(|other| !other.is_of_the_same(&row));
        self.rows.push(row);
    }

    pub(crate) fn put_floor(&mut self, row: FloorRow) {
        self.floors.retain(|other| (other.weight, other.packages) != (row.weight, row.packages));
        self.floors.push(row);
    }

    pub(crate) fn put_s3(&mut self, row: S3Row) {
        self.s3.retain(|other| (&other.case, other.packages) != (&row.case, row.packages));
        self.s3.push(row);
    }

    pub(crate) fn find(
        &self,
        what: What,
        tool: Tool,
        state: State,
        (weight, packages, method): (Weight, usize, Method),
    ) -> Option<&Row> {
        self.rows.iter().find(|row| {
            (row.what, row.tool, row.state) == (what, tool, state)
                && (row.weight, row.packages, row.method) == (weight, packages, method)
        })
    }
}

impl Row {
    /// Warm steps as a row.
    pub(crate) fn warm(what: What, packages: usize, steps: &[Done]) -> Self {
        Self {
            what,
            tool: Tool::Yrm,
            state: State::Warm,
            weight: Weight::Light,
            packages,
            method: Method::Gz,
            costs: steps.iter().map(|step| step.cost).collect(),
            files: steps.iter().filter_map(|step| step.files).collect(),
            metadata_bytes: steps.last().map_or(0, |step| step.files_bytes),
        }
    }

    fn is_of_the_same(&self, other: &Self) -> bool {
        (self.what, self.tool, self.state) == (other.what, other.tool, other.state)
            && (self.weight, self.packages, self.method) == (other.weight, other.packages, other.method)
    }

    pub(crate) fn typical(&self) -> Cost {
        typical(&self.costs)
    }
}

/// The median of each figure, which one disturbed repetition does not move.
pub(crate) fn typical(costs: &[Cost]) -> Cost {
    let median = |figure: fn(&Cost) -> f64| {
        let mut figures: Vec<f64> = costs.iter().map(figure).collect();
        figures.sort_unstable_by(f64::total_cmp);
        match figures.len() {
            0 => 0.0,
            count if count % 2 == 1 => figures[count / 2],
            count => f64::midpoint(figures[count / 2 - 1], figures[count / 2]),
        }
    };
    let peak_bytes = costs.iter().map(|cost| cost.peak_bytes).max().unwrap_or(0);
    Cost { wall: median(|cost| cost.wall), cpu: median(|cost| cost.cpu), peak_bytes }
}
