//! `yrm prune`: what the prune rule takes out now, or would take out on a day to come.

use clap::Args;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::beforehand::{Asked, BeforeTaking};
use super::context::Context;
use super::run::exit_code;
use super::summary::summary;
use super::which::{Rules, opened_to_change};
use crate::bucket::generations::{repositories, repository_named};
use crate::bucket::keeping::Pruned;
use crate::error::{Error, ErrorKind, Result};
use crate::publish::{Publisher, RunId};

/// What `prune` takes.
#[derive(Debug, Args)]
pub(super) struct PruneArgs {
    /// Only this repository: its folder below `repo/`, or / for the root repository
    #[arg(long = "in", value_name = "DIR")]
    repository: Option<String>,
    /// With --dry-run: as of this day or time, such as 2027-01-01
    #[arg(long, value_name = "DATE", requires = "dry_run", value_parser = moment)]
    at: Option<Timestamp>,
    #[command(flatten)]
    taking: BeforeTaking,
    #[command(flatten)]
    pub(super) rules: Rules,
}

/// The beginning of a day in UTC, or a moment.
fn moment(text: &str) -> std::result::Result<Timestamp, String> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment);
    }
    let day =
        text.parse::<Date>().map_err(|_| "write a day (2027-01-01) or a time (2027-01-01T12:00:00Z)".to_owned())?;
    day.to_zoned(TimeZone::UTC).map(|start| start.timestamp()).map_err(|error| error.to_string())
}

/// Prunes, or shows what would go.
pub(super) async fn prune(args: &PruneArgs, context: &Context) -> Result<u8> {
    let opened = opened_to_change(context).await?;
    if !Pruned::new(&opened.config.policy).is_on() {
        return Err(Error::new(ErrorKind::Config, "pruning")
            .because("there is no prune rule: all versions are kept")
            .hint(
                "`yrm settings set keep-at-least N` and `yrm settings set prune-age-days DAYS` give the bucket one",
            ));
    }
    let operation = async |publisher: &Publisher, run: RunId| {
        let there = match &args.repository {
            Some(name) => vec![repository_named(publisher.bucket(), name).await?],
            None => repositories(publisher.bucket()).await?,
        };
        publisher.prune(there, run).await
    };
    let asked = Asked::by(context, &opened, &args.rules.because);
    let report = match args.at {
        Some(at) => Box::pin(asked.rehearse_at(at, operation)).await?,
        None => Box::pin(asked.when_sure(&args.taking, operation)).await?,
    };
    context.output.data(&report, summary)?;
    Ok(exit_code(&report))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight_in_utc_and_a_time_is_itself() {
        assert_eq!(moment("2027-01-01").unwrap().to_string(), "2027-01-01T00:00:00Z");
        assert_eq!(moment("2027-01-01T12:00:00Z").unwrap().to_string(), "2027-01-01T12:00:00Z");
        assert!(moment("tomorrow").unwrap_err().contains("2027-01-01"));
    }
}
