//! How metadata files are compressed.

/// A compression of metadata files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// One gzip member: read by every client since EL6.
    Gz,
    /// Concatenated Zstandard frames: EL 8.4 and later, current Fedora and SUSE.
    Zstd,
}

impl Compression {
    /// The file name's ending, without a dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Gz => "gz",
            Self::Zstd => "zst",
        }
    }
}
