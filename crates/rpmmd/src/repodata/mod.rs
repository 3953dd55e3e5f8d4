//! A repository's metadata as files: packages' XML in, compressed documents and their
//! `repomd.xml` records out.

mod assembly;
mod build;
mod canonical;
mod document;
mod element;
mod fragments;
mod read;
mod render;
mod source;
mod stream;
mod terms;
#[cfg(test)]
mod tests;

pub use crate::primary::Location;
pub use crate::xml::ReadError;
pub use build::Build;
pub use document::{Document, Mark};
pub use element::PackageXml;
pub use fragments::{Fragments, MAX_FRAGMENTS_BYTES, TooLong};
pub use read::{MAX_OPEN_BYTES, generation, read};
pub use render::render;
pub use stream::{Joined, PackageStream, join};
pub use terms::{Previous, ReadRange, RenderError, RenderOptions, Rendered, Slot, records};
