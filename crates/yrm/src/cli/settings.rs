//! `yrm settings`: the bucket's own settings, which all who write to it go by.

use std::sync::Arc;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::beforehand::{self, BeforeTaking};
use super::context::{Context, DONE, Opened, bucket_of, operate, signer};
use super::flags::{Because, Flags, ForSigning};
use super::output::{Width, fitted, safe, time};
use super::summary::summary;
use super::which::{Rules, opened_to_change};
use crate::bucket::report::{Operation, Report};
use crate::bucket::settings::{self, SettingsChange, Stored, signs};
use crate::bucket::{Bucket, generations};
use crate::config::parse::AUTO;
use crate::config::shape::{Change, Changed, SIGNING_KEYS, settings_of_buckets};
use crate::config::{Config, Policy, Shape, Trust};
use crate::error::{Error, ErrorKind, Result};
use crate::publish::RunId;
use crate::publish::expected::name_of;
use crate::publish::history::keep;
use crate::publish::operations::settings::{Asked, change};
use crate::publish::settings::fits_what_is_there;
use crate::secrets;
use crate::serve::new_run;
use crate::store::Store;
use crate::who::Who;

/// The setting that says which folders are repositories.
const LAYOUT: &str = "repositories";
/// Settings that say which files belong to which repository.
const MOVES: [&str; 3] = ["inbox", "repo", "repositories"];

/// What can be done with the settings of a bucket.
#[derive(Debug, Subcommand)]
pub(super) enum SettingsVerb {
    /// Show the settings that the bucket keeps
    Show(ShowArgs),
    /// Change a setting for all who write to the bucket
    Set(SetArgs),
    /// Take a setting out, so that its default holds
    Unset(UnsetArgs),
    /// Show who changed what, newest first
    History(HistoryArgs),
    /// Check that the flags, variables and yrm.toml of this machine agree with the bucket
    Check(CheckArgs),
}

/// What `settings show` takes.
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// Only what differs in these folders
    #[arg(long, value_name = "GLOB")]
    folder: Option<String>,
}

/// What `settings set` takes.
#[derive(Debug, Args)]
pub(super) struct SetArgs {
    /// The setting, such as compression
    #[arg(value_name = "KEY")]
    key: String,
    /// Its new value
    #[arg(value_name = "VALUE")]
    value: String,
    #[command(flatten)]
    pub(super) how: How,
}

/// What `settings unset` takes.
#[derive(Debug, Args)]
pub(super) struct UnsetArgs {
    /// The setting, such as compression
    #[arg(value_name = "KEY")]
    key: String,
    #[command(flatten)]
    pub(super) how: How,
}

/// How a setting is changed.
#[derive(Debug, Args)]
pub(super) struct How {
    /// Only in these folders, such as el9/*
    #[arg(long, value_name = "GLOB")]
    folder: Option<String>,
    #[command(flatten)]
    taking: BeforeTaking,
    #[command(flatten)]
    pub(super) signing: Flags<ForSigning>,
    #[command(flatten)]
    because: Because,
}

/// What `settings history` takes.
#[derive(Debug, Args)]
pub(super) struct HistoryArgs {
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
}

/// What `settings check` takes.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    pub(super) rules: Rules,
}

/// The settings of a bucket.
#[derive(Debug, Serialize)]
struct BucketSettings {
    /// Whether the bucket keeps settings; the first change of a bucket without any stores those that are shown.
    stored: bool,
    /// All settings.
    settings: Vec<Row>,
}

/// One setting of a bucket.
#[derive(Debug, Serialize)]
struct Row {
    /// Its name.
    setting: String,
    /// The folders that it is for; left out for the whole bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    folder: Option<String>,
    /// Its value; `null` when it has none.
    value: Option<String>,
    /// Whether the bucket says so itself, and not the built-in default.
    stated: bool,
}

/// A change of the settings, or what one would be.
#[derive(Debug, Serialize)]
struct SettingsPreview {
    /// Whether it was only looked at.
    dry_run: bool,
    /// What changes.
    changes: Vec<Changed>,
    /// What that means.
    means: Vec<String>,
    /// The plan's name.
    plan: String,
}

/// What a comparison of this machine with the bucket found; a difference is an error.
#[derive(Debug, Serialize)]
struct SettingsAgreement {
    /// Whether the bucket keeps settings.
    stored: bool,
    /// Whether this machine goes by them.
    agrees: bool,
}

/// Does what was asked.
pub(super) async fn execute(verb: &SettingsVerb, context: &Context) -> Result<u8> {
    match verb {
        SettingsVerb::Show(args) => show(args, context).await,
        SettingsVerb::Set(SetArgs { key, value, how }) => {
            Box::pin(set(asked(key, Some(value), how), how, context)).await
        }
        SettingsVerb::Unset(UnsetArgs { key, how }) => Box::pin(set(asked(key, None, how), how, context)).await,
        SettingsVerb::History(args) => history(args, context).await,
        SettingsVerb::Check(_) => check(context).await,
    }
}

fn asked(key: &str, value: Option<&String>, how: &How) -> Change {
    Change { key: key.replace('_', "-"), value: value.cloned(), folder: how.folder.clone() }
}

/// What the bucket keeps, or else what this machine's first change would store.
async fn present(context: &Context, store: &Arc<dyn Store>) -> Result<(Option<Stored>, Shape)> {
    let stored = settings::load(store.as_ref()).await?;
    if let Some(stored) = stored {
        let shape = stored.shape.clone();
        return Ok((Some(stored), shape));
    }
    let (config, _) = Config::of(&context.laid_out(store).await?)?;
    let signer = signer(&config).await?;
    Ok((None, Shape::of(&config.policy, &signs(signer.as_ref()))))
}

async fn show(args: &ShowArgs, context: &Context) -> Result<u8> {
    let store = context.store().await?;
    let (stored, shape) = present(context, &store).await?;
    let whole = settings_of_buckets().map(|setting| Row {
        setting: setting.name.to_owned(),
        folder: None,
        value: shape.value(setting.name).map(str::to_owned),
        stated: shape.stated(setting.name).is_some(),
    });
    let keys = (!shape.signing_keys.is_empty()).then(|| shape.signing_keys.join(","));
    let keys = Row { setting: SIGNING_KEYS.to_owned(), folder: None, stated: keys.is_some(), value: keys };
    let folders = shape.folder_values().into_iter().map(|(folder, name, value)| Row {
        setting: name.to_owned(),
        folder: Some(folder),
        value: Some(value),
        stated: true,
    });
    let mut settings: Vec<Row> = whole.chain([keys]).chain(folders).collect();
    if let Some(folder) = &args.folder {
        settings.retain(|row| row.folder.as_deref() == Some(folder.trim_matches('/')));
    }
    let shown = BucketSettings { stored: stored.is_some(), settings };
    context.output.data(&shown, |shown| human(shown, context.output.width()))?;
    if !shown.stored {
        context.output.hint("the bucket keeps no settings yet: its first change stores these");
    }
    Ok(DONE)
}

fn human(shown: &BucketSettings, width: Width) -> String {
    let row = |row: &Row| {
        let from = match (&row.folder, row.stated, &row.value) {
            (Some(folder), ..) => format!("in {folder}"),
            (None, true, _) => "the bucket".to_owned(),
            (None, false, Some(_)) => "default".to_owned(),
            (None, false, None) => String::new(),
        };
        [row.setting.clone(), row.value.clone().unwrap_or_default(), from]
    };
    fitted(width, ["setting", "value", "from"], shown.settings.iter().map(row))
}

async fn set(asked: Change, how: &How, context: &Context) -> Result<u8> {
    let store = context.store().await?;
    let (stored, before) = present(context, &store).await?;
    let doing = || format!("changing {} of the bucket", asked.key);
    if asked.key == LAYOUT && asked.value.as_deref() == Some(AUTO) {
        return Err(Error::new(ErrorKind::Config, doing())
            .because("auto is for the first writer of a bucket, and is settled by it")
            .hint("nothing was changed; name the layout: single, per-folder, depth=N, or globs"));
    }
    let after = before.changed(&asked).map_err(|complaint| {
        let error = Error::new(ErrorKind::Config, doing()).because(complaint.message);
        match complaint.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    })?;
    let problems = Config::problems_of(&context.low, &after);
    if !problems.is_empty() {
        return Err(Error::new(ErrorKind::Config, doing()).because(problems.join("\n  ")).hint("nothing was changed"));
    }
    let changes = before.changes(&after);
    let is_migrating = before.migration.is_some();
    let is_moved = asked.key == LAYOUT && (is_migrating || !changes.is_empty());
    if is_moved && is_laid_out(stored.as_ref(), store.clone(), context).await? {
        return lay_out(&after, how, context).await;
    }
    moves_nothing(&changes, stored.is_some(), store.clone(), context, &after).await?;
    let means = changes.iter().filter_map(|one| meaning(one)).map(str::to_owned).collect();
    let plan = plan_name(stored.as_ref(), &changes);
    let dry_run = how.taking.beforehand.dry_run;
    if let Some(expected) = how.taking.beforehand.expected().filter(|expected| *expected != plan) {
        return Err(Error::new(ErrorKind::Conflict, format!("following the plan {expected}"))
            .because(format!("the settings changed since: the plan would be {plan}"))
            .hint("nothing was changed; look again with --dry-run"));
    }
    let preview = SettingsPreview { dry_run, changes, means, plan };
    if !dry_run && (!preview.changes.is_empty() || stored.is_none()) {
        let run = new_run();
        let who = context.who_in_the_bucket();
        // Before anything is changed: whoever is to be told of it can be.
        let mut config = context.with(&after)?;
        secrets::fetch_all(&mut config).await?;
        let (id, at, by) = (run.id, run.started, who.name().await);
        let reason = how.because.reason();
        change(store.as_ref(), stored.as_ref(), after, Asked { id, at, by, reason }).await?;
        Box::pin(put_on_record(Opened { config, store }, run, (&preview.changes, who.because(reason)))).await?;
    }
    context.output.data(&preview, |preview| told(preview, context.output.width()))?;
    Ok(DONE)
}

/// Tells the change in the history and outside, as every operation.
async fn put_on_record(opened: Opened, run: RunId, (changes, who): (&[Changed], Who)) -> Result<()> {
    let bucket = bucket_of(&opened)?;
    let mut report = Report::new(run.id, run.started).of(Operation::Settings);
    report.settings = changes.to_vec();
    operate(&opened.config, async || {
        // The change is made, and stands in the settings' own history: that this one lacks it is no reason to fail.
        if let Err(error) = keep(&bucket, &mut report, &who).await {
            tracing::warn!("the settings are changed, but `yrm history` does not say so: {}", error.chain());
        }
        Ok(report)
    })
    .await
    .map(drop)
}

/// The plan's name: of these changes of these settings.
fn plan_name(before: Option<&Stored>, changes: &[Changed]) -> String {
    let lines = changes.iter().map(ToString::to_string);
    name_of(before.map(|before| before.etag.to_string()).into_iter().chain(lines))
}

/// Whether another layout makes other repositories of those that are published.
async fn is_laid_out(stored: Option<&Stored>, store: Arc<dyn Store>, context: &Context) -> Result<bool> {
    let Some(stored) = stored else { return Ok(false) };
    let policy = context.with(&stored.shape)?.policy;
    let bucket = Bucket::new(store, Policy { trust: Trust::default(), ..policy })?;
    Ok(stored.shape.migration.is_some() || !generations::all(&bucket).await?.is_empty())
}

/// Makes other repositories of those that are published, or shows which those would be.
async fn lay_out(after: &Shape, how: &How, context: &Context) -> Result<u8> {
    let opened = opened_to_change(context).await?;
    let to = context.with(after)?.policy.repositories;
    let asked = beforehand::Asked::by(context, &opened, &how.because);
    let report = asked.when_sure(&how.taking, async |publisher, run| publisher.lay_out(&to, run).await);
    context.output.data(&Box::pin(report).await?, summary)?;
    Ok(DONE)
}

/// Another layout is a migration of what is published, and none is made in passing.
async fn moves_nothing(
    changes: &[Changed],
    is_stored: bool,
    store: Arc<dyn Store>,
    context: &Context,
    after: &Shape,
) -> Result<()> {
    let moved = changes.iter().find(|one| MOVES.contains(&one.setting.as_str()));
    if is_stored && moved.is_none() {
        return Ok(());
    }
    let config = context.with(after)?;
    let bucket = Bucket::new(store, Policy { trust: Trust::default(), ..config.policy })?;
    let Some(moved) = moved.filter(|_| is_stored) else {
        // What is stored for the first time goes with what is published.
        return fits_what_is_there(&bucket).await;
    };
    let repositories = generations::repositories(&bucket).await?;
    if repositories.is_empty() {
        return Ok(());
    }
    let named: Vec<String> = repositories.iter().take(5).map(ToString::to_string).collect();
    Err(Error::new(ErrorKind::Config, format!("changing {} of the bucket", moved.setting))
        .because(format!("repositories have been published ({}), and clients use their addresses", named.join(", ")))
        .hint(
            "nothing was changed. Publish into a new bucket, or below another prefix, with the new layout, and let clients \
             use that",
        ))
}

/// What a change means for what is published.
fn meaning(Changed { setting, after, .. }: &Changed) -> Option<&'static str> {
    let is_on = after.is_some();
    Some(match (setting.as_str(), is_on) {
        ("compression", _) => "the next change of each repository writes its metadata anew in this format",
        ("keep-at-least", true) => "the next run prunes old versions by it",
        ("keep-at-least", false) => "no version is pruned any more",
        ("grace", _) => "the next clean-up keeps unreferenced files for that long",
        ("on-conflict", _) => "it holds for uploads from now on",
        ("signatures" | "keyring", _) => "it holds for uploads from now on; what is published stays",
        ("sign-packages", _) => "it holds for uploads from now on; what is published keeps its signatures",
        ("mirrorlist", _) if after.as_deref() == Some("false") => {
            "the next change of each repository deletes its list: clients with mirrorlist= fail"
        }
        ("mirrorlist", _) => "the next change of each repository makes its list",
        (SIGNING_KEYS, true) => "who has none of these keys can change nothing any more",
        (SIGNING_KEYS, false) => {
            "the next change of each repository deletes its signature: clients with repo_gpgcheck=1 fail"
        }
        _ => return None,
    })
}

fn told(preview: &SettingsPreview, width: Width) -> String {
    if preview.changes.is_empty() {
        return "nothing changes: the bucket says so already\n".to_owned();
    }
    let row = |one: &Changed| {
        let [before, after] = one.values().map(str::to_owned);
        [one.setting.clone(), before, after]
    };
    let mut lines = vec![fitted(width, ["setting", "before", "after"], preview.changes.iter().map(row))];
    lines.extend(preview.means.iter().map(|means| format!("{means}\n")));
    let SettingsPreview { dry_run, plan, .. } = preview;
    lines.push(if *dry_run {
        format!("Nothing was changed: --dry-run\nthe plan is {plan}: with --expect {plan} this is done, or nothing\n")
    } else {
        "Changed\n".to_owned()
    });
    lines.concat()
}

async fn history(args: &HistoryArgs, context: &Context) -> Result<u8> {
    let store = context.store().await?;
    let changes = settings::history(store.as_ref(), args.limit).await?;
    context.output.data(&changes, |changes| changes_for_people(changes))?;
    Ok(DONE)
}

fn changes_for_people(changes: &[SettingsChange]) -> String {
    if changes.is_empty() {
        return "nobody has changed the bucket's settings yet\n".to_owned();
    }
    let mut lines = Vec::new();
    for change in changes {
        let by = change.by.as_deref().map_or_else(|| "a writer".to_owned(), safe);
        let reason = change.reason.as_ref().map_or_else(String::new, |reason| format!(": {}", safe(reason)));
        let what = if change.is_first { "stored them" } else { "changed them" };
        lines.push(format!("{} {by} {what}{reason}\n", time(change.at)));
        for one in &change.changes {
            let [before, after] = one.values();
            lines.push(format!("  {}: {} → {}\n", safe(&one.setting), safe(before), safe(after)));
        }
    }
    lines.concat()
}

/// Exit code 2 where this machine would do otherwise than the bucket says.
async fn check(context: &Context) -> Result<u8> {
    let store = context.store().await?;
    let Some(stored) = settings::load(store.as_ref()).await? else {
        context.output.data(&SettingsAgreement { stored: false, agrees: true }, |_| {
            "the bucket keeps no settings yet: its first change stores those of this machine\n".to_owned()
        })?;
        return Ok(DONE);
    };
    let config = context.with_typed(&stored.shape)?;
    let signer = signer(&config).await?;
    let differences = stored.shape.differences(&Shape::of(&config.policy, &signs(signer.as_ref())));
    if differences.is_empty() {
        context.output.data(&SettingsAgreement { stored: true, agrees: true }, |_| {
            "this machine agrees with the bucket's settings\n".to_owned()
        })?;
        return Ok(DONE);
    }
    let lines: Vec<String> = differences.iter().map(ToString::to_string).collect();
    Err(Error::new(ErrorKind::Config, "comparing this machine with the bucket's settings")
        .because(lines.join("\n  "))
        .hint("leave out here what differs, and the bucket's value holds"))
}
