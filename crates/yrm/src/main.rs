//! `yrm`: parse, do, exit code.

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
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
    runtime.block_on(async { survive_file_size_limits() });
    let code = runtime.block_on(execute(cli, environment));
    // Work that was abandoned on the blocking pool must not hold up the end.
    runtime.shutdown_background();
    ExitCode::from(code)
}

/// Past a limit on the size of files (`ulimit -f`) the kernel sends a signal that ends a process. With a handler
/// in its place the write fails instead, and that is told like any other error.
fn survive_file_size_limits() {
    let xfsz = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
    // The handler stays when nobody listens. Without one all goes on as well, but for that limit.
    drop(signal(xfsz));
}
