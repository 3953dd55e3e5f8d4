//! `yrm`, the YUM Repo Manager: the one writer of an RPM repository in S3 or a directory.
//!
//! Floors, from the top; imports point down only, and no files name each other in a circle (a test checks both):
//! faces (`cli`, `http`) · the service (`serve`, `sched`, `events`, `notify`, `board`, `update`) · the publish line and
//! what keeps a bucket tidy beside it (`publish`, `upkeep`), `index` · what a bucket holds, read only (`bucket`, `check`,
//! `retention`) · the store (`store`), `openpgp`, `secrets`, `who` and `aws` · the cellar (`config`, `error`, `metrics`,
//! `datadog`, `telemetry`, `legible`, `authorities`).

pub mod authorities;
pub mod aws;
pub mod board;
pub mod bucket;
pub mod check;
pub mod cli;
pub mod config;
pub mod datadog;
pub mod error;
pub mod events;
pub mod http;
pub mod index;
pub mod legible;
pub mod metrics;
pub mod notify;
pub mod openpgp;
pub mod publish;
pub mod retention;
pub mod sched;
pub mod secrets;
pub mod serve;
pub mod store;
pub mod telemetry;
pub mod update;
pub mod upkeep;
pub mod who;
