//! The three documents, and what stands around their packages.

/// Which generation a file belongs to, and who made it: two writers' files differ although they
/// hold the same packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The revision in repomd.xml.
    pub revision: u64,
    /// The writer's own, random number.
    pub writer: u128,
}

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
    pub(super) fn root(self) -> &'static str {
        match self {
            Self::Primary => "metadata",
            Self::Filelists => "filelists",
            Self::Other => "otherdata",
        }
    }

    /// The XML before the packages.
    pub(super) fn head(self, packages: usize, mark: Option<Mark>) -> Vec<u8> {
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
    pub(super) fn foot(self) -> &'static [u8] {
        match self {
            Self::Primary => b"</metadata>\n",
            Self::Filelists => b"</filelists>\n",
            Self::Other => b"</otherdata>\n",
        }
    }
}
