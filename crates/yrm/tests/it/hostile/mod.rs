//! What hostile uploaders drop: files that are no packages, headers that lie, packages made to
//! hurt whoever reads their metadata, and keys made to climb out.
//!
//! `corpus` is the list, one entry a file with what has to become of it; the other modules
//! publish it, weigh it, and compare it with what other programs make of it.

mod corpus;
mod keys;
pub(crate) mod mutants;
mod published;
mod regressions;
mod weighed;
