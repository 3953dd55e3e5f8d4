//! Looking before acting: `--dry-run` shows what would be done, `--expect` does that and nothing else, and on a terminal
//! whoever destroys something is shown it and asked.

use std::io::{self, BufRead as _, IsTerminal as _};
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;

use super::context::{Context, Opened, operate, publisher};
use super::flags::Because;
use super::summary::summary;
use crate::bucket::report::Report;
use crate::error::{Error, ErrorKind, Result};
use crate::publish::expected::{Expected, plan_name};
use crate::publish::{Publisher, RunId};
use crate::serve::new_run;
use crate::store::rehearsal::Rehearsal;
use crate::who::Who;

/// Flags of all that changes the bucket.
#[derive(Debug, Args)]
pub(super) struct Beforehand {
    /// Show what would be done and the plan's name; change nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Do what a dry run showed, by its plan's name; nothing if that changed since
    #[arg(long, value_name = "PLAN", conflicts_with = "dry_run")]
    expect: Option<String>,
}

impl Beforehand {
    /// The plan that is to be followed, if one was named.
    pub(super) fn expected(&self) -> Option<&str> {
        self.expect.as_deref()
    }
}

/// The same of what takes packages away.
#[derive(Debug, Args)]
pub(super) struct BeforeTaking {
    #[command(flatten)]
    pub(super) beforehand: Beforehand,
    /// Do not ask on a terminal
    #[arg(long, short = 'y')]
    yes: bool,
}

/// What is asked for: of which bucket, and by whom.
pub(super) struct Asked<'a> {
    context: &'a Context,
    opened: &'a Opened,
    who: Who,
}

impl<'a> Asked<'a> {
    /// By whoever runs this, for a reason.
    pub(super) fn by(context: &'a Context, opened: &'a Opened, because: &Because) -> Self {
        Self { context, opened, who: context.who(&opened.config, because.reason()) }
    }

    /// Does `operation` as `beforehand` says.
    pub(super) async fn perform(
        &self,
        beforehand: &Beforehand,
        run: RunId,
        operation: impl AsyncFn(&Publisher, RunId) -> Result<Report>,
    ) -> Result<Report> {
        if beforehand.dry_run {
            return self.rehearse(run, &operation).await;
        }
        let publisher = self.publisher().await?;
        let Some(name) = &beforehand.expect else {
            let report = operation(&publisher, run).await;
            self.tell_of_settings(&publisher);
            return report;
        };
        let seen = self.rehearse(run, &operation).await?;
        let now = plan_name(&seen);
        if now != *name {
            return Err(Error::new(ErrorKind::Conflict, format!("following the plan {name}"))
                .because(format!("the bucket changed since: the plan would be {now}"))
                .hint("nothing was changed; look again with --dry-run"));
        }
        let publisher = publisher.held_to(Expected::of(&seen));
        let report = operation(&publisher, run).await;
        self.tell_of_settings(&publisher);
        report
    }

    /// The first writer decides for all later ones: whoever was that is told.
    fn tell_of_settings(&self, publisher: &Publisher) {
        if publisher.has_stored_settings() {
            self.context.output.hint(
                "the bucket had no settings yet, and keeps those of this machine now: `yrm settings show` shows them, and \
                 every other writer goes by them",
            );
        }
    }

    /// The same, told outside as a run is.
    pub(super) async fn operate(
        &self,
        beforehand: &Beforehand,
        operation: impl AsyncFn(&Publisher, RunId) -> Result<Report>,
    ) -> Result<Report> {
        let perform = async || self.perform(beforehand, new_run(), operation).await;
        if beforehand.dry_run { perform().await } else { operate(&self.opened.config, perform).await }
    }

    /// The same, of what takes packages away: whoever is at a terminal is shown it and asked.
    pub(super) async fn when_sure(
        &self,
        taking: &BeforeTaking,
        operation: impl AsyncFn(&Publisher, RunId) -> Result<Report>,
    ) -> Result<Report> {
        let BeforeTaking { beforehand, yes } = taking;
        let asks = !yes && !beforehand.dry_run && beforehand.expect.is_none();
        if !asks || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return self.operate(beforehand, operation).await;
        }
        let seen = self.rehearse(new_run(), &operation).await?;
        self.context.output.say(summary(&seen).trim_end());
        if !is_sure(self.context).await? {
            return Err(Error::new(ErrorKind::Conflict, "asking")
                .because("the answer was not yes")
                .hint("nothing was changed"));
        }
        let publisher = self.publisher().await?.held_to(Expected::of(&seen));
        operate(&self.opened.config, async || operation(&publisher, new_run()).await).await
    }

    /// What `operation` would do at some time.
    pub(super) async fn rehearse_at(
        &self,
        at: Timestamp,
        operation: impl AsyncFn(&Publisher, RunId) -> Result<Report>,
    ) -> Result<Report> {
        self.rehearse(RunId { started: at, ..new_run() }, &operation).await
    }

    /// What `operation` would do: it is done, in a bucket of which nothing leaves this process.
    async fn rehearse(
        &self,
        run: RunId,
        operation: &impl AsyncFn(&Publisher, RunId) -> Result<Report>,
    ) -> Result<Report> {
        let Opened { config, store } = self.opened;
        let store = Arc::new(Rehearsal::of(Arc::clone(store), run.started));
        let rehearsed = Opened { config: config.clone(), store };
        let publisher = publisher(&rehearsed).await?.acting_for(self.who.clone()).held_to(Expected::anything());
        let mut report = operation(&publisher, run).await?;
        report.plan = Some(plan_name(&report));
        Ok(report)
    }

    async fn publisher(&self) -> Result<Publisher> {
        Ok(publisher(self.opened).await?.acting_for(self.who.clone()))
    }
}

async fn is_sure(context: &Context) -> Result<bool> {
    context.output.say("Do this? [y/N]");
    let answer = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map(|_| line)
    });
    let answer = answer.await.map_err(|error| Error::new(ErrorKind::Internal, "asking").because(error))?;
    let answer = answer.map_err(|error| Error::new(ErrorKind::Unavailable, "reading the answer").because(error))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
