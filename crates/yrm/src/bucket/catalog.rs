//! What a generation holds, package by package and block by block, for `yrm`'s own use.
//! Only computes.
//!
//! A catalog belongs to exactly one repomd.xml and is stored under the hash of its bytes. It is
//! a convenience, never the truth: without it the repository is adopted. It is stored whole, or
//! as what changed since one that was (`stored`); in memory it is always whole (`entries`).

mod entries;
mod stored;

use rpmmd::block::Layout;
use rpmmd::checksum::Sha256;
use rpmmd::compress::Compression;

pub use self::entries::{Entries, Entry, Staying};
pub use self::stored::{Decoded, Delta};

/// What a generation holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalog {
    /// `<revision>` of its repomd.xml.
    pub revision: u64,
    /// How its files are compressed.
    pub compression: Compression,
    /// Its packages in byte order of the hrefs.
    pub entries: Entries,
    /// How primary, filelists and other are cut, in that order; none before the first commit.
    pub files: Option<[FileLayout; 3]>,
    /// How primary is cut as it stands in the generation's own folder; only in mirrorlist mode.
    pub mirror: Option<FileLayout>,
    /// What it is, or may be, stored as a change of; `None` when it is stored whole.
    pub base: Option<Base>,
}

/// One metadata file and how it is cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileLayout {
    /// Its location href (`repodata/<sha256>-primary.xml.gz`).
    pub href: String,
    /// Its blocks.
    pub layout: Layout,
}

/// A catalog that is stored whole, and that later ones are stored as changes of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Base {
    /// The hash of its repomd.xml: its name.
    pub repomd: Sha256,
    /// How many packages it holds.
    pub packages: u32,
    /// Bytes of all changes of it that were stored so far, one after the other.
    pub sent_bytes: u64,
}

impl Catalog {
    /// Of a repository without packages and without files.
    pub fn empty(compression: Compression) -> Self {
        Self { revision: 0, compression, entries: Entries::default(), files: None, mirror: None, base: None }
    }

    /// What the next catalog can be stored as a change of, when this one is stored under `repomd`.
    pub fn base_of_next(&self, repomd: Sha256) -> Option<Base> {
        let itself = || Some(Base { repomd, packages: u32::try_from(self.entries.len()).ok()?, sent_bytes: 0 });
        self.base.or_else(itself)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use rpmmd::block::Block;

    use super::*;

    /// An entry of a catalog, for tests that only compute.
    pub(crate) fn entry(href: &str, name: &str, version: &str) -> Entry<'static> {
        Entry {
            href: href.to_owned().into(),
            name: name.to_owned().into(),
            epoch: 0,
            version: version.to_owned().into(),
            release: "1".into(),
            arch: "noarch".into(),
            pkgid: *Sha256::of(href.as_bytes()).as_bytes(),
            size_bytes: 1000,
            build_time: 0,
            first_published: 0,
            etag: "e".into(),
            fragment_bytes: [10, 20, 30],
            module: Some("".into()),
        }
    }

    pub(crate) fn catalog(mut entries: Vec<Entry<'_>>) -> Catalog {
        entries.sort_by(|a, b| a.href.cmp(&b.href));
        let block = Block { packages: 0, raw_bytes: 1, compressed_bytes: 2, crc32: 3 };
        let file = |name: &str| FileLayout {
            href: format!("repodata/{name}.xml.gz"),
            layout: Layout { compression: Compression::Gz, head: block, blocks: vec![block], foot: block },
        };
        Catalog {
            revision: 7,
            compression: Compression::Gz,
            entries: entries.iter().collect(),
            base: None,
            files: Some([file("primary"), file("filelists"), file("other")]),
            mirror: None,
        }
    }
}
