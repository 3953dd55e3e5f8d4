//! Tests of the whole, in one binary.

#![cfg_attr(not(feature = "aws"), expect(dead_code, reason = "some helpers are for tests on S3 alone"))]
#![expect(clippy::unwrap_used, reason = "a test ends by panicking; clippy sees only #[test] functions as tests")]

mod acting;
mod chaos;
mod cli;
mod conformance;
mod demo;
mod deploy;
mod docs;
mod equality;
mod events;
mod floors;
mod gateway;
mod hostile;
mod index;
mod layouts;
mod looking;
mod model;
mod notices;
mod operations;
mod outside_world;
mod processes;
mod publish;
mod record;
mod rooted;
#[cfg(feature = "aws")]
mod s3_faults;
#[cfg(feature = "aws")]
mod s3_server;
#[cfg(feature = "aws")]
mod s3_settings;
#[cfg(feature = "aws")]
mod s3_whole;
#[cfg(feature = "aws")]
mod secrets;
mod service;
mod settings;
mod signatures;
mod signing;
#[cfg(feature = "aws")]
mod updates;
mod users;
mod web;
#[cfg(feature = "aws")]
mod wire;
#[cfg(not(feature = "aws"))]
mod without_aws;
mod workspace;
