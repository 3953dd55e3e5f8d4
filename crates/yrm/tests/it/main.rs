//! Tests of the whole, in one binary.

#![expect(clippy::unwrap_used, reason = "a test ends by panicking; clippy sees only #[test] functions as tests")]

mod chaos;
mod cli;
mod conformance;
mod demo;
mod deploy;
mod docs;
mod equality;
mod events;
mod floors;
mod hostile;
mod index;
mod model;
mod notices;
mod outside_world;
mod processes;
mod publish;
mod s3_faults;
mod s3_server;
mod s3_settings;
mod s3_whole;
mod secrets;
mod service;
mod signatures;
mod signing;
mod updates;
mod users;
mod web;
mod wire;
