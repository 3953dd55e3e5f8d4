//! `yrm doctor`: what the store was seen to do, as a table. Writes only below `.yrm/probe/`.

use clap::Args;

use super::output::table;
use super::{Context, DONE, open};
use crate::error::Result;
use crate::publish::bucket::require_conditions;
use crate::store::probe::{ProbeReport, probe};

/// What `doctor` takes.
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {}

/// Exit code 2 when yrm would refuse this store.
pub(super) async fn doctor(_args: &DoctorArgs, context: &Context) -> Result<u8> {
    let config = context.config()?;
    let store = open(&config).await?;
    let report = probe(store.as_ref()).await?;
    context.output.data(&report, human)?;
    require_conditions(report.abilities, config.policy.single_writer)?;
    Ok(DONE)
}

fn human(report: &ProbeReport) -> String {
    let rows = report.rows.iter().map(|row| {
        let verdict = if row.ok { "yes" } else { "no" };
        [row.name.to_owned(), verdict.to_owned(), row.seen.clone()]
    });
    table(["ability", "there", "what was seen"], rows)
}
