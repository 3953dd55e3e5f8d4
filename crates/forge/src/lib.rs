//! Writes RPM files for tests and benchmarks, byte by byte, well-formed or not.
//!
//! [`Rpm`] builds a version 4 package that real `rpm`, `dnf` and `createrepo_c` accept and can
//! install, and can be told to lie or to be damaged. [`header::Header`] writes a bare header
//! for those who want to break that too. The same input gives the same bytes: no clock, no
//! randomness, no machine's name. It never reads a package; it is no part of the product.

#![warn(missing_docs)]

mod dependency;
mod file;
pub mod header;
mod payload;
mod rpm;
pub mod tag;

pub use dependency::Dependency;
pub use file::File;
pub use header::Value;
pub use payload::Compressor;
pub use rpm::Rpm;
