//! A package as one document has it.

use crate::checksum::Sha256;

/// What one document says of a package, not yet read but for its pkgid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageXml {
    /// The package.
    pub pkgid: Sha256,
    /// Its element, and the text before it.
    pub xml: Vec<u8>,
    /// Where that stands in the uncompressed document.
    pub position: u64,
}
