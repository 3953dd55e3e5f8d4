//! The loopback signer as people and programs meet it: dnf, zypper and curl read through it from an S3 server, and
//! whoever means no good asks it for what it must not give.

#![expect(clippy::unwrap_used, reason = "helpers of tests, where a panic is the failure")]

mod clients;
mod commands;
mod credentials;
mod machine;
mod metadata;
mod network;
mod package;
mod refusals;
mod repository;
mod requests;
mod signatures;
mod store;
mod systemd;
