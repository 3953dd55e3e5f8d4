//! How metadata files are compressed: in fragments that stand alone, so that a file can be
//! joined from old and new ones, and that every client reads as one ordinary file.
//!
//! - gz: raw deflate, each fragment made alone and ended as by a full flush (an empty stored
//!   block, which aligns to a byte), inside **one** gzip member. Real multi-member gzip stops libxml2 2.9 and perl after
//!   the first member.
//! - zstd: one frame a fragment, concatenated.
//!
//! Also decompresses what other programs wrote, within a limit.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Read as _};
use std::ops::RangeInclusive;
use std::sync::{Mutex, PoisonError};

use flate2::{Decompress, FlushDecompress, Status};
use libdeflater::CompressionLvl;

use self::last_block::last_block;
pub(crate) use self::open::OpenText;

mod last_block;
mod open;

/// gzip's own default, and createrepo_c's, whose sizes it keeps within 3 %.
const GZ_LEVEL: u8 = 6;
/// The fastest whose files are no larger than gz's, each of the three (docs/design/compression.md).
const ZSTD_LEVEL: u8 = 5;

/// gzip member header: deflate, no flags, no time, no extra flags, operating system unknown.
const GZ_HEADER: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// An empty final deflate block with fixed codes.
const GZ_FINAL_BLOCK: &[u8] = &[0x03, 0x00];
/// What a full flush leaves behind: the end of an empty stored block.
const FLUSH_MARK: &[u8] = &[0x00, 0x00, 0xff, 0xff];

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

    /// The levels there are, the fastest first.
    pub fn levels(self) -> RangeInclusive<u8> {
        match self {
            Self::Gz => 1..=12,
            Self::Zstd => 1..=19,
        }
    }

    /// The level unless another is asked for.
    pub fn default_level(self) -> u8 {
        match self {
            Self::Gz => GZ_LEVEL,
            Self::Zstd => ZSTD_LEVEL,
        }
    }

    /// What stands before the first fragment.
    pub(crate) fn prefix(self) -> &'static [u8] {
        match self {
            Self::Gz => GZ_HEADER,
            Self::Zstd => &[],
        }
    }

    /// What stands after the last fragment, given the CRC-32 and length of the whole text.
    pub(crate) fn suffix(self, crc32: u32, open_bytes: u64) -> Vec<u8> {
        match self {
            Self::Gz => {
                let mut suffix = GZ_FINAL_BLOCK.to_vec();
                suffix.extend_from_slice(&crc32.to_le_bytes());
                // ISIZE is the length modulo 2^32 (RFC 1952).
                suffix.extend_from_slice(&open_bytes.to_le_bytes()[..4]);
                suffix
            }
            Self::Zstd => Vec::new(),
        }
    }
}

/// Compresses fragments one after the other, with its working memory kept. The same text makes
/// the same bytes, whatever was compressed before it.
pub(crate) struct Compressor {
    library: Library,
    /// Room for the longest fragment so far.
    room: Vec<u8>,
}

enum Library {
    Gz(libdeflater::Compressor),
    Zstd(zstd::bulk::Compressor<'static>),
}

impl Compressor {
    /// `level` is one of [`Compression::levels`]; one beyond them is taken for the nearest.
    pub(crate) fn new(compression: Compression, level: u8) -> Self {
        let levels = compression.levels();
        let level = i32::from(level.clamp(*levels.start(), *levels.end()));
        let library = match compression {
            Compression::Gz => {
                let level = CompressionLvl::new(level).expect("libdeflate has levels up to 12");
                Library::Gz(libdeflater::Compressor::new(level))
            }
            Compression::Zstd => {
                let frame = zstd::bulk::Compressor::new(level);
                Library::Zstd(frame.expect("a compressor of a valid level can be made"))
            }
        };
        Self { library, room: Vec::new() }
    }

    /// Compresses one fragment, which is never empty.
    pub(crate) fn fragment(&mut self, raw: &[u8]) -> Vec<u8> {
        let bound = match &mut self.library {
            Library::Gz(deflate) => deflate.deflate_compress_bound(raw.len()),
            Library::Zstd(_) => zstd::zstd_safe::compress_bound(raw.len()),
        };
        if self.room.len() < bound {
            self.room.resize(bound, 0);
        }
        match &mut self.library {
            Library::Gz(deflate) => {
                let compressed = deflate.deflate_compress(raw, &mut self.room);
                joinable(&self.room[..compressed.expect("the room is of the worst-case size")])
            }
            Library::Zstd(frame) => {
                let compressed = frame.compress_to_buffer(raw, self.room.as_mut_slice());
                self.room[..compressed.expect("the room is of the worst-case size")].to_vec()
            }
        }
    }
}

/// A deflate stream as a piece that others can follow: its last block is not the last any more,
/// and an empty stored block aligns it to a byte.
fn joinable(stream: &[u8]) -> Vec<u8> {
    let last = last_block(stream).expect("a compressor makes a whole stream");
    let mut fragment = Vec::with_capacity(stream.len() + 1 + FLUSH_MARK.len());
    fragment.extend_from_slice(stream);
    fragment[last.start / 8] &= !(1 << (last.start % 8));
    // Three zeros begin the stored block: not the last one, stored. Zeros to the byte's end follow.
    if stream.len() * 8 - last.end < 3 {
        fragment.push(0);
    }
    fragment.extend_from_slice(FLUSH_MARK);
    fragment
}

/// Compressors that are idle: their working memory is long, and making it anew for every block
/// costs page faults.
pub(crate) struct Compressors {
    compression: Compression,
    level: u8,
    idle: Mutex<Vec<Compressor>>,
}

impl Compressors {
    pub(crate) fn new(compression: Compression, level: u8) -> Self {
        Self { compression, level, idle: Mutex::default() }
    }

    /// Does something with a compressor that nobody else uses.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut Compressor) -> T) -> T {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut compressor = idle.unwrap_or_else(|| Compressor::new(self.compression, self.level));
        let done = work(&mut compressor);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(compressor);
        done
    }
}

/// Decompresses one fragment of known text; `None` when it is not what was written.
pub(crate) fn decompress_fragment(
    compression: Compression,
    fragment: &[u8],
    raw_bytes: usize,
    crc32: u32,
) -> Option<Vec<u8>> {
    let raw = match compression {
        Compression::Gz => {
            if !fragment.ends_with(FLUSH_MARK) {
                return None;
            }
            let mut inflate = Decompress::new(false);
            // One byte more than the text, so that reaching the flush is not stopped by a full buffer.
            let mut raw = Vec::with_capacity(raw_bytes + 1);
            let status = inflate.decompress_vec(fragment, &mut raw, FlushDecompress::Sync).ok()?;
            if status == Status::StreamEnd || inflate.total_in() != fragment.len() as u64 {
                return None;
            }
            raw
        }
        Compression::Zstd => zstd::bulk::decompress(fragment, raw_bytes).ok()?,
    };
    (raw.len() == raw_bytes && crc32fast::hash(&raw) == crc32).then_some(raw)
}

/// Why a file could not be decompressed.
#[derive(Debug)]
pub enum DecompressError {
    /// It is compressed in a way not read here.
    Unsupported(&'static str),
    /// Its text is longer than allowed.
    TooLong {
        /// The limit, in bytes.
        limit_bytes: u64,
    },
    /// It is damaged.
    Damaged(io::Error),
}

impl fmt::Display for DecompressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsupported(kind) => write!(f, "{kind} compression is not supported"),
            Self::TooLong { limit_bytes } => write!(f, "the uncompressed text is longer than {limit_bytes} bytes"),
            Self::Damaged(_) => f.write_str("the compressed data is damaged"),
        }
    }
}

impl std::error::Error for DecompressError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Damaged(source) => Some(source),
            Self::Unsupported(_) | Self::TooLong { .. } => None,
        }
    }
}

/// How a file that anybody may have written is compressed.
enum Packing {
    Gz,
    Zstd,
    Plain,
}

impl Packing {
    /// By the file's first bytes.
    fn of(file: &[u8]) -> Result<Self, DecompressError> {
        match file {
            [0x1f, 0x8b, ..] => Ok(Self::Gz),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Ok(Self::Zstd),
            [0xfd, b'7', b'z', b'X', b'Z', ..] => Err(DecompressError::Unsupported("xz")),
            [b'B', b'Z', b'h', ..] => Err(DecompressError::Unsupported("bzip2")),
            [0, b'Z', b'C', b'K', ..] => Err(DecompressError::Unsupported("zchunk")),
            _ => Ok(Self::Plain),
        }
    }
}

/// Decompresses a whole file by what its first bytes say: gzip (any number of members), zstd
/// (any number of frames), or plain text, which is returned as it is.
pub fn decompress(file: &[u8], limit_bytes: u64) -> Result<Cow<'_, [u8]>, DecompressError> {
    let text = match Packing::of(file)? {
        Packing::Gz => bounded(flate2::bufread::MultiGzDecoder::new(file), limit_bytes)?,
        Packing::Zstd => {
            let frames = zstd::stream::read::Decoder::with_buffer(file).map_err(DecompressError::Damaged)?;
            bounded(frames, limit_bytes)?
        }
        Packing::Plain if file.len() as u64 > limit_bytes => return Err(DecompressError::TooLong { limit_bytes }),
        Packing::Plain => return Ok(Cow::Borrowed(file)),
    };
    Ok(Cow::Owned(text))
}

fn bounded(from: impl io::Read, limit_bytes: u64) -> Result<Vec<u8>, DecompressError> {
    let mut text = Vec::new();
    from.take(limit_bytes.saturating_add(1)).read_to_end(&mut text).map_err(DecompressError::Damaged)?;
    if text.len() as u64 > limit_bytes {
        return Err(DecompressError::TooLong { limit_bytes });
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_fragment_depends_on_its_text_alone_and_reads_back() {
        let texts: [Vec<u8>; 3] = [
            b"<package/>".repeat(40_000),
            (0..300_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect(),
            vec![0],
        ];
        for (compression, level) in
            [(Compression::Gz, 6), (Compression::Gz, 1), (Compression::Gz, 12), (Compression::Zstd, 5)]
        {
            let mut reused = Compressor::new(compression, level);
            for text in &texts {
                let fragment = reused.fragment(text);
                assert_eq!(fragment, Compressor::new(compression, level).fragment(text));
                let crc32 = crc32fast::hash(text);
                let again = decompress_fragment(compression, &fragment, text.len(), crc32);
                assert_eq!(again.as_deref(), Some(text.as_slice()));
                assert_eq!(decompress_fragment(compression, &fragment, text.len() + 1, crc32), None);
                assert_eq!(decompress_fragment(compression, &fragment, text.len(), !crc32), None);
                assert_eq!(decompress_fragment(compression, &fragment[1..], text.len(), crc32), None);
                assert_eq!(decompress_fragment(compression, &fragment[..fragment.len() - 1], text.len(), crc32), None);
            }
        }
    }

    #[test]
    fn foreign_files_are_read_whole_and_within_the_limit() {
        let gzip = |text: &[u8]| {
            let mut file = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            file.write_all(text).unwrap();
            file.finish().unwrap()
        };
        let zstd = |text: &[u8]| zstd::bulk::compress(text, 1).unwrap();
        for file in
            [[gzip(b"one "), gzip(b"two")].concat(), [zstd(b"one "), zstd(b"two")].concat(), b"one two".to_vec()]
        {
            assert_eq!(decompress(&file, 7).unwrap().as_ref(), b"one two");
            assert!(matches!(decompress(&file, 6), Err(DecompressError::TooLong { limit_bytes: 6 })));
        }
        let gz = gzip(b"text");
        assert!(matches!(decompress(&gz[..gz.len() - 1], 9), Err(DecompressError::Damaged(_))));
        assert!(matches!(decompress(b"\xfd7zXZ\0", 9), Err(DecompressError::Unsupported("xz"))));
        let bomb = gzip(&vec![0; 10_000_000]);
        assert!(matches!(decompress(&bomb, 1_000_000), Err(DecompressError::TooLong { .. })));
    }
}
