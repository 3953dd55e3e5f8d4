//! `yrm-client`: parse, do, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    yrm_client::cli::execute()
}
