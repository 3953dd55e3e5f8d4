//! What a generation holds, package by package and block by block, for `yrm`'s own use.
//! Only computes.
//!
//! A catalog belongs to exactly one repomd.xml and is stored under the hash of its bytes. It is
//! a convenience, never the truth: without it the repository is adopted.

use jiff::Timestamp;
use rpmmd::block::{Block, Layout};
use rpmmd::checksum::Sha256;
use rpmmd::compress::Compression;
use rpmmd::evr::Evr;
use rpmmd::nevra::Nevra;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};

/// The first bytes of every catalog: a name and the encoding's version.
const MAGIC: &[u8; 8] = b"yrm-cat\x01";
/// A catalog larger than this (unpacked) is not one of ours: some 4 million packages.
const MAX_RAW_BYTES: usize = 1 << 30;
/// Quick, and good enough: digests do not compress.
const ZSTD_LEVEL: i32 = 3;

/// What a generation holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalog {
    /// `<revision>` of its repomd.xml.
    pub revision: u64,
    /// How its files are compressed.
    pub compression: Compression,
    /// Its packages in byte order of the hrefs.
    pub entries: Vec<Entry>,
    /// How primary, filelists and other are cut, in that order; none before the first commit.
    pub files: Option<[FileLayout; 3]>,
}

/// One published package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Path in the repository.
    pub href: String,
    /// NAME.
    pub name: String,
    /// EPOCH.
    pub epoch: u32,
    /// VERSION.
    pub version: String,
    /// RELEASE.
    pub release: String,
    /// ARCH.
    pub arch: String,
    /// SHA-256 of the file.
    pub pkgid: [u8; 32],
    /// Its size.
    pub size_bytes: u64,
    /// BUILDTIME, in seconds.
    pub build_time: u64,
    /// When the store first had it under this path, in seconds.
    pub first_published: i64,
    /// Its ETag under `repo/`.
    pub etag: String,
    /// Lengths of its XML in primary, filelists and other.
    pub fragment_bytes: [u32; 3],
}

/// One metadata file and how it is cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileLayout {
    /// Its location href (`repodata/<sha256>-primary.xml.gz`).
    pub href: String,
    /// Its blocks.
    pub layout: Layout,
}

impl Entry {
    /// Its full name.
    pub fn nevra(&self) -> Nevra {
        Nevra { name: self.name.clone(), evr: self.evr(), arch: self.arch.clone() }
    }

    /// Its version.
    pub fn evr(&self) -> Evr {
        Evr { epoch: self.epoch, version: self.version.clone(), release: self.release.clone() }
    }

    /// Its pkgid.
    pub fn pkgid(&self) -> Sha256 {
        Sha256::from_bytes(self.pkgid)
    }

    /// When it was first published.
    pub fn first_published(&self) -> Timestamp {
        Timestamp::from_second(self.first_published).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

/// The encoded form. Its field order is the format: a change needs a new version in [`MAGIC`].
#[derive(Serialize, Deserialize)]
struct Stored {
    revision: u64,
    compression: StoredCompression,
    files: Option<[StoredFile; 3]>,
    entries: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
enum StoredCompression {
    Gz,
    Zstd,
}

#[derive(Serialize, Deserialize)]
struct StoredFile {
    href: String,
    head: StoredBlock,
    blocks: Vec<StoredBlock>,
    foot: StoredBlock,
}

/// packages, raw bytes, compressed bytes, CRC-32.
#[derive(Serialize, Deserialize)]
struct StoredBlock(u32, u32, u32, u32);

impl Catalog {
    /// The entry at `href`.
    pub fn at(&self, href: &str) -> Option<&Entry> {
        self.position(href).map(|at| &self.entries[at])
    }

    /// The index of the entry at `href`.
    pub fn position(&self, href: &str) -> Option<usize> {
        self.entries.binary_search_by(|entry| entry.href.as_bytes().cmp(href.as_bytes())).ok()
    }

    /// The bytes to store.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let encoding = || Error::new(ErrorKind::Internal, "encoding the catalog");
        let stored = Stored {
            revision: self.revision,
            compression: match self.compression {
                Compression::Gz => StoredCompression::Gz,
                Compression::Zstd => StoredCompression::Zstd,
            },
            files: self.files.clone().map(|files| files.map(StoredFile::from)),
            entries: self.entries.clone(),
        };
        let raw = postcard::to_stdvec(&stored).map_err(|source| encoding().because(source))?;
        let packed = zstd::bulk::compress(&raw, ZSTD_LEVEL).map_err(|source| encoding().because(source))?;
        let mut body = (raw.len() as u64).to_le_bytes().to_vec();
        body.extend_from_slice(&packed);
        let bytes = [MAGIC.as_slice(), Sha256::of(&body).as_bytes(), &body].concat();
        Ok(bytes)
    }

    /// From stored bytes; an error of kind `Corrupt` when they are not a whole catalog of this
    /// version (the caller then adopts the repository).
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let corrupt = |what: &str| Error::new(ErrorKind::Corrupt, format!("reading the catalog: {what}"));
        let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| corrupt("it is not of this version"))?;
        let (digest, body) = rest.split_first_chunk::<32>().ok_or_else(|| corrupt("it is cut short"))?;
        if Sha256::of(body).as_bytes() != digest {
            return Err(corrupt("its checksum does not match"));
        }
        let (length, packed) = body.split_first_chunk::<8>().ok_or_else(|| corrupt("it is cut short"))?;
        let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
        if length > MAX_RAW_BYTES {
            return Err(corrupt("it is larger than any catalog"));
        }
        let raw =
            zstd::bulk::decompress(packed, length).map_err(|source| corrupt("it does not unpack").because(source))?;
        let stored: Stored =
            postcard::from_bytes(&raw).map_err(|source| corrupt("it does not decode").because(source))?;
        let compression = match stored.compression {
            StoredCompression::Gz => Compression::Gz,
            StoredCompression::Zstd => Compression::Zstd,
        };
        Ok(Self {
            revision: stored.revision,
            compression,
            entries: stored.entries,
            files: stored.files.map(|files| files.map(|file| file.layout(compression))),
        })
    }
}

impl From<FileLayout> for StoredFile {
    fn from(FileLayout { href, layout }: FileLayout) -> Self {
        Self {
            href,
            head: StoredBlock::from(&layout.head),
            blocks: layout.blocks.iter().map(StoredBlock::from).collect(),
            foot: StoredBlock::from(&layout.foot),
        }
    }
}

impl StoredFile {
    fn layout(self, compression: Compression) -> FileLayout {
        let layout = Layout {
            compression,
            head: self.head.into(),
            blocks: self.blocks.into_iter().map(Block::from).collect(),
            foot: self.foot.into(),
        };
        FileLayout { href: self.href, layout }
    }
}

impl From<&Block> for StoredBlock {
    fn from(block: &Block) -> Self {
        Self(block.packages, block.raw_bytes, block.compressed_bytes, block.crc32)
    }
}

impl From<StoredBlock> for Block {
    fn from(StoredBlock(packages, raw_bytes, compressed_bytes, crc32): StoredBlock) -> Self {
        Self { packages, raw_bytes, compressed_bytes, crc32 }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A catalog of `hrefs`, for tests that only compute.
    pub(crate) fn entry(href: &str, name: &str, version: &str) -> Entry {
        Entry {
            href: href.to_owned(),
            name: name.to_owned(),
            epoch: 0,
            version: version.to_owned(),
            release: "1".to_owned(),
            arch: "noarch".to_owned(),
            pkgid: *Sha256::of(href.as_bytes()).as_bytes(),
            size_bytes: 1000,
            build_time: 0,
            first_published: 0,
            etag: "e".to_owned(),
            fragment_bytes: [10, 20, 30],
        }
    }

    pub(crate) fn catalog(mut entries: Vec<Entry>) -> Catalog {
        entries.sort_by(|a, b| a.href.cmp(&b.href));
        let block = Block { packages: 0, raw_bytes: 1, compressed_bytes: 2, crc32: 3 };
        let file = |name: &str| FileLayout {
            href: format!("repodata/{name}.xml.gz"),
            layout: Layout { compression: Compression::Gz, head: block, blocks: vec![block], foot: block },
        };
        Catalog {
            revision: 7,
            compression: Compression::Gz,
            entries,
            files: Some([file("primary"), file("filelists"), file("other")]),
        }
    }

    #[test]
    fn what_is_encoded_decodes_to_the_same() {
        let catalog = catalog(vec![entry("a.rpm", "a", "1"), entry("b/c.rpm", "c", "2~rc1")]);
        assert_eq!(Catalog::decode(&catalog.encode().unwrap()).unwrap(), catalog);
    }

    #[test]
    fn damage_anywhere_is_noticed() {
        let good = catalog(vec![entry("a.rpm", "a", "1")]).encode().unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x40;
            assert!(Catalog::decode(&bad).is_err(), "byte {at}");
            assert!(Catalog::decode(&good[..at]).is_err(), "cut at {at}");
        }
    }
}
