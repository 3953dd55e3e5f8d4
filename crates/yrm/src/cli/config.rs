//! `yrm config init|check|show`.

use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::context::{Context, DONE, signer};
use super::output::{Output, table};
use crate::bucket::gate::Gate;
use crate::config::{Config, Shown, Typed, show, template};
use crate::error::{Error, ErrorKind, Result};
use crate::secrets;

/// The three verbs.
#[derive(Debug, Subcommand)]
pub(super) enum ConfigVerb {
    /// Write a commented yrm.toml (or the file that --config names)
    Init(InitArgs),
    /// Show everything that is wrong with the configuration
    Check,
    /// Show every value and where it came from; secrets are not shown
    Show,
}

/// What `config init` takes.
#[derive(Debug, Args)]
pub(super) struct InitArgs {
    /// Write to stdout instead of a file
    #[arg(long)]
    stdout: bool,
}

/// Writes the file; never over an existing one.
pub(super) fn init(args: &InitArgs, typed: &Typed, output: Output) -> Result<u8> {
    let bucket = typed.flags.iter().find(|(setting, _)| setting.name == "bucket").map(|(_, text)| text.as_str());
    let text = template(bucket);
    if args.stdout {
        output.text(&text)?;
        return Ok(DONE);
    }
    let path = typed.file.clone().unwrap_or_else(|| PathBuf::from("yrm.toml"));
    let written = std::fs::File::create_new(&path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::AlreadyExists => {
                "yrm never writes over it; name another with --config FILE, or use --stdout"
            }
            _ => "name a file that can be written with --config FILE, or use --stdout",
        };
        Error::new(ErrorKind::Config, format!("writing {}", path.display())).because(error).hint(hint)
    })?;
    output.data(&json!({"written": path}), |_| format!("wrote {}\n", path.display()))?;
    output.hint(match bucket {
        None => "set `bucket` in it, then try `yrm config check` and `yrm doctor`",
        Some(_) => "change what you like in it, then try `yrm config check` and `yrm doctor`",
    });
    Ok(DONE)
}

/// The two that read.
pub(super) async fn execute(verb: &ConfigVerb, context: &Context) -> Result<u8> {
    match verb {
        ConfigVerb::Init(_) => unreachable!("init is done before the configuration is read"),
        ConfigVerb::Check => {
            let (mut config, warnings) = Config::of(&context.low)?;
            // Secrets that cannot be fetched and keys that cannot sign would end other verbs.
            secrets::fetch_all(&mut config).await?;
            signer(&config).await?;
            Gate::new(&config.policy.trust)?;
            for warning in &warnings {
                context.output.say(&format!("warning: {warning}"));
            }
            let sound = json!({"file": context.low.file, "warnings": warnings});
            context.output.data(&sound, |_| "the configuration is sound\n".to_owned())?;
        }
        ConfigVerb::Show => {
            let low = context.seen().await.unwrap_or_else(|error| {
                context.output.say(&format!("note: without the bucket's own settings: {}", error.chain()));
                context.low.clone()
            });
            let rows = show(&low);
            context.output.data(&rows, |rows| human(rows))?;
            // What is shown may be wrong; that is no reason not to show it.
            if let Err(error) = Config::of(&low) {
                context.output.error(&error);
                return Ok(error.kind().exit_code());
            }
        }
    }
    Ok(DONE)
}

fn human(rows: &[Shown]) -> String {
    let row = |row: &Shown| [row.name.to_owned(), row.value.clone().unwrap_or_default(), row.source.clone()];
    table(["setting", "value", "from"], rows.iter().map(row))
}
