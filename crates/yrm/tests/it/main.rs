//! The whole program against real file systems and a real HTTP server.

#![expect(
    clippy::unwrap_used,
    reason = "tests: their helpers are no #[test] functions, so clippy.toml does not cover them"
)]

mod conformance;
mod s3_faults;
mod s3_server;
