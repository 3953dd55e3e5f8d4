//! A repository's metadata as files: packages' XML in, compressed documents and their
//! `repomd.xml` records out.

mod assembly;
mod build;
mod canonical;
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
pub use fragments::{Fragments, MAX_FRAGMENTS_BYTES, TooLong};
pub use read::{MAX_OPEN_BYTES, generation, read};
pub use render::render;
pub use stream::{Joined, PackageStream, PackageXml, join};
pub use terms::{Mark, Previous, ReadRange, RenderError, RenderOptions, Rendered, Slot};

use crate::repomd::{AnyChecksum, Record};

/// One of the three documents that describe packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Document {
    /// Names, dependencies, the most wanted files.
    Primary,
    /// All files.
    Filelists,
    /// Changelogs.
    Other,
}

impl Document {
    /// All three, in the order repomd.xml names them.
    pub const ALL: [Self; 3] = [Self::Primary, Self::Filelists, Self::Other];

    /// The document's name: its `type` in repomd.xml, and in its file's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Filelists => "filelists",
            Self::Other => "other",
        }
    }

    /// The root element's local name.
    fn root(self) -> &'static str {
        match self {
            Self::Primary => "metadata",
            Self::Filelists => "filelists",
            Self::Other => "otherdata",
        }
    }

    /// The XML before the packages.
    fn head(self, packages: usize, mark: Option<Mark>) -> Vec<u8> {
        let mut head = b"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_vec();
        if let Some(Mark { revision, writer }) = mark {
            head.extend_from_slice(format!("<!-- generation {revision} by {writer:032x} -->\n").as_bytes());
        }
        head.extend_from_slice(match self {
            Self::Primary => {
                b"<metadata xmlns=\"http://linux.duke.edu/metadata/common\" xmlns:rpm=\"http://linux.duke.edu/metadata/rpm\""
            }
            Self::Filelists => b"<filelists xmlns=\"http://linux.duke.edu/metadata/filelists\"".as_slice(),
            Self::Other => b"<otherdata xmlns=\"http://linux.duke.edu/metadata/other\"",
        });
        crate::xml::number_attribute(&mut head, "packages", packages as u64);
        head.extend_from_slice(b">\n");
        head
    }

    /// The XML after the packages.
    fn foot(self) -> &'static [u8] {
        match self {
            Self::Primary => b"</metadata>\n",
            Self::Filelists => b"</filelists>\n",
            Self::Other => b"</otherdata>\n",
        }
    }
}

/// The records that name the three files in repomd.xml, in its order. `timestamp` is in seconds
/// and must not be less than the last generation's (yum 3 goes back to its old metadata).
pub fn records(files: &[Rendered; 3], timestamp: u64) -> Vec<Record> {
    Document::ALL.into_iter().zip(files).map(|(document, file)| file.record(document, timestamp)).collect()
}

impl Rendered {
    /// The file's name: `<sha256>-primary.xml.gz`.
    pub fn file_name(&self, document: Document) -> String {
        format!("{}-{}.xml.{}", self.sha256, document.name(), self.layout.compression.extension())
    }

    /// The record that names the file in repomd.xml, under `repodata/`.
    pub fn record(&self, document: Document, timestamp: u64) -> Record {
        Record {
            kind: document.name().to_owned(),
            checksum: AnyChecksum::sha256(self.sha256),
            open_checksum: self.open_sha256.map(AnyChecksum::sha256),
            base: None,
            href: format!("repodata/{}", self.file_name(document)),
            timestamp: Some(timestamp),
            size: Some(self.file_bytes),
            open_size: Some(self.open_bytes),
            extra: Vec::new(),
        }
    }
}
