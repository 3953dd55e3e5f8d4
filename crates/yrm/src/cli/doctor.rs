//! `yrm doctor`: what the credentials may do and what the store was seen to do, as a table. Writes only below
//! `.yrm/probe/`.

use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::context::{Context, DONE, open};
use super::output::table;
use crate::bucket::inbox::held_folders;
use crate::config::{BucketUrl, Config};
use crate::error::{Error, ErrorKind, Result};
use crate::publish::abilities::require_conditions;
use crate::store::Store;
use crate::store::door;
use crate::store::probe::{ProbeReport, probe};
use crate::store::rights::Rights;

/// What `doctor` takes.
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {}

/// What was found: in S3 the rights, and where there are enough of them what the store does.
#[derive(Debug, Serialize)]
struct Findings {
    #[serde(skip_serializing_if = "Option::is_none")]
    rights: Option<Rights>,
    #[serde(flatten)]
    probed: Option<ProbeReport>,
}

/// Exit code 2 when yrm would refuse this store, 5 when a right is missing or something may not be taken out of the
/// inbox.
pub(super) async fn doctor(_args: &DoctorArgs, context: &Context) -> Result<u8> {
    let config = context.config()?;
    let (store, rights) = open_and_try(&config).await?;
    let missing = rights.as_ref().map(|rights| rights.missing().join(", ")).filter(|missing| !missing.is_empty());
    // Without a right it would fail halfway, and leave something behind.
    let mut probed = if missing.is_none() { Some(probe(store.as_ref()).await?) } else { None };
    if let Some(report) = &mut probed {
        report.rows.extend(store.examine(&config.policy.folders).await?);
    }
    let findings = Findings { rights, probed };
    context.output.data(&findings, human)?;
    if let Some(missing) = missing {
        return Err(Error::new(
            ErrorKind::Denied,
            format!("trying what these credentials may do in {}", config.bucket),
        )
        .because(format!("missing: {missing}"))
        .hint("allow it to the role or user that yrm runs as; docs/tasks/s3-rights.md lists what each right is for"));
    }
    match &findings.probed {
        Some(report) => require_conditions(report.abilities, config.policy.single_writer)?,
        None => return Ok(DONE),
    }
    everything_can_be_taken_out(store.as_ref(), &config).await?;
    Ok(DONE)
}

/// Names the inbox's folders out of which yrm may not take what lies there: it is not published.
async fn everything_can_be_taken_out(store: &dyn Store, config: &Config) -> Result<()> {
    let held = held_folders(store, &config.policy.folders).await?;
    if held.is_empty() {
        return Ok(());
    }
    let held: Vec<String> = held.iter().map(|(folder, why)| format!("{folder}: {why}")).collect();
    Err(Error::new(ErrorKind::Denied, "looking whether uploads can be taken out of the inbox")
        .because(held.join("; "))
        .hint("what lies there waits, for it would come back after its removal; let the user that yrm runs as write to these folders"))
}

async fn open_and_try(config: &Config) -> Result<(Arc<dyn Store>, Option<Rights>)> {
    match &config.bucket {
        BucketUrl::S3 { name, prefix } => {
            let (store, rights) = door::s3_with_rights(name, prefix, &config.s3).await?;
            Ok((store, Some(rights)))
        }
        BucketUrl::Directory(_) => Ok((open(config).await?, None)),
    }
}

fn human(findings: &Findings) -> String {
    let row = |name: &str, ok: bool, seen: &str| {
        let verdict = if ok { "yes" } else { "no" };
        [name.to_owned(), verdict.to_owned(), seen.to_owned()]
    };
    let rights = findings.rights.iter().flat_map(Rights::rows).map(|right| row(right.name, right.ok, &right.seen));
    let abilities = findings.probed.iter().flat_map(|report| &report.rows).map(|it| row(it.name, it.ok, &it.seen));
    table(["ability", "there", "what was seen"], rights.chain(abilities).collect::<Vec<_>>())
}
