//! `yrm`, the YUM Repo Manager: the one writer of an RPM repository in S3 or a directory.
//!
//! Floors, from the top; imports point down only (a test checks it):
//! faces (`cli`, `http`) · the service (`serve`) · the publish line (`publish`, `check`, …) ·
//! the store (`store`) · the cellar (`config`, `error`, `metrics`, `telemetry`).

pub mod adopt;
pub mod check;
pub mod config;
pub mod error;
pub mod index;
pub mod publish;
pub mod retention;
pub mod store;
