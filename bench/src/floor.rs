//! The physical floor of a full build: the same bytes read once, hashed once, and the same XML
//! compressed once by the fastest library at that level, over all cores. It knows nothing of RPM.

use std::fs::File;
use std::hint::black_box;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use libdeflater::{CompressionLvl, Compressor};
use rayon::prelude::*;
use rpmmd::repomd::Repomd;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::fault::{Doing as _, Result};
use crate::measure::{Cost, Watch};

/// XML compressed at a time: the size of a block in yrm's files.
const BLOCK_BYTES: usize = 512 * 1024;
/// More than the XML of a repository that is measured here.
const MAX_XML_BYTES: u64 = 8 << 30;

/// What no program can do without.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Floor {
    /// Reading the packages.
    pub(crate) read: Cost,
    /// Reading and hashing them (SHA-256).
    pub(crate) read_and_hash: Cost,
    /// Hashing the XML, which repomd.xml's open checksums ask for.
    pub(crate) hash_xml: Cost,
    /// Compressing the XML.
    pub(crate) compress: Vec<Compressed>,
    pub(crate) packages_bytes: u64,
    pub(crate) xml_bytes: u64,
}

/// The same XML by one library at one level.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Compressed {
    pub(crate) library: String,
    pub(crate) cost: Cost,
    pub(crate) bytes: u64,
}

/// The floor of building `repodata` from the packages in `folder`.
pub(crate) fn of(folder: &Path, repodata: &Path) -> Result<Floor> {
    let paths = packages(folder)?;
    // Once unmeasured: the page cache is warm for every program.
    read_all(&paths, |_| ())?;
    let watch = Watch::start()?;
    let packages_bytes = read_all(&paths, |_| ())?;
    let read = watch.stop()?;
    let watch = Watch::start()?;
    read_all(&paths, hash)?;
    let read_and_hash = watch.stop()?;

    let documents = documents(repodata)?;
    let xml_bytes = documents.iter().map(|xml| xml.len() as u64).sum();
    let watch = Watch::start()?;
    documents.par_iter().for_each(|xml| hash(xml));
    let hash_xml = watch.stop()?;
    let compress = vec![
        compressed("libdeflate 6", &documents, deflate)?,
        compressed("zstd 3", &documents, |block| zstd(3, block))?,
        compressed("zstd 10", &documents, |block| zstd(10, block))?,
    ];
    Ok(Floor { read, read_and_hash, hash_xml, compress, packages_bytes, xml_bytes })
}

fn packages(folder: &Path) -> Result<Vec<PathBuf>> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in next.read_dir().doing(|| format!("listing {}", next.display()))? {
            let path = entry.doing(|| format!("listing {}", next.display()))?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rpm") {
                found.push(path);
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Every file's bytes, each file read whole into a buffer that is used again.
fn read_all(paths: &[PathBuf], look: impl Fn(&[u8]) + Sync) -> Result<u64> {
    paths
        .par_iter()
        .map_init(Vec::new, |buffer, path| {
            buffer.clear();
            let bytes = File::open(path)
                .and_then(|mut file| file.read_to_end(buffer))
                .doing(|| format!("reading {}", path.display()))?;
            look(buffer);
            Ok(bytes as u64)
        })
        .sum()
}

/// The three documents' XML.
fn documents(repodata: &Path) -> Result<Vec<Vec<u8>>> {
    let read = |name: &Path| std::fs::read(name).doing(|| format!("reading {}", name.display()));
    let repomd = Repomd::read(&read(&repodata.join("repomd.xml"))?).doing(|| "reading repomd.xml".to_owned())?;
    let mut documents = Vec::new();
    for kind in ["primary", "filelists", "other"] {
        let record = repomd.record(kind).ok_or_else(|| format!("repomd.xml names no {kind}"))?;
        let file = read(&repodata.join("..").join(&record.href))?;
        let xml = rpmmd::compress::decompress(&file, MAX_XML_BYTES).doing(|| format!("decompressing {kind}"))?;
        documents.push(xml.into_owned());
    }
    Ok(documents)
}

fn compressed(library: &str, documents: &[Vec<u8>], one: impl Fn(&[u8]) -> usize + Sync + Send) -> Result<Compressed> {
    let watch = Watch::start()?;
    let bytes: usize = documents.par_iter().flat_map(|xml| xml.par_chunks(BLOCK_BYTES)).map(one).sum();
    Ok(Compressed { library: library.to_owned(), cost: watch.stop()?, bytes: bytes as u64 })
}

fn hash(bytes: &[u8]) {
    black_box(Sha256::digest(bytes));
}

fn deflate(block: &[u8]) -> usize {
    let mut compressor = Compressor::new(CompressionLvl::new(6).expect("6 is a level"));
    let mut out = vec![0; compressor.deflate_compress_bound(block.len())];
    compressor.deflate_compress(block, &mut out).expect("the buffer is as long as it can get")
}

fn zstd(level: i32, block: &[u8]) -> usize {
    zstd::bulk::compress(block, level).expect("a buffer of the worst-case size is made").len()
}
