//! The RPM repository metadata format ("rpm-md"): bytes to values and back.
//!
//! A package header becomes a [`package::Package`]; packages become `primary`, `filelists` and
//! `other`, cut into independently compressed blocks, and a `repomd.xml` that names them.
//! Nothing here does input or output, reads a clock or knows where a repository is kept.

#![warn(missing_docs)]

pub mod block;
pub mod checksum;
pub mod compress;
pub mod evr;
pub mod filelists;
pub mod header;
pub mod nevra;
pub mod other;
pub mod package;
pub mod primary;
pub mod repodata;
pub mod repomd;
pub mod tag;
pub mod xml;
