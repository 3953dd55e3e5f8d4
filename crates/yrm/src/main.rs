//! `yrm`: parse, do, exit code.

use std::process::ExitCode;

use yrm::cli::{Cli, execute};

fn main() -> ExitCode {
    let cli = Cli::typed();
    // Names and values that are not UTF-8 cannot be ours.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("the system gives a process its threads");
    let code = runtime.block_on(execute(cli, environment));
    // Work that was abandoned on the blocking pool must not hold up the end.
    runtime.shutdown_background();
    ExitCode::from(code)
}
