//! `yrm`: parse, do, exit code.

use std::process::ExitCode;

use yrm::cli::{Cli, execute};

fn main() -> ExitCode {
    let cli = Cli::typed();
    // Names and values that are not UTF-8 cannot be ours.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    ExitCode::from(execute(cli, environment))
}
