//! A compressed file's text as a stream: what [`super::decompress`] does, without holding either.

use std::io::{self, BufRead, Read};

use super::{DecompressError, Packing};

/// The text of a file, in order.
pub(crate) struct OpenText<'a> {
    text: Box<dyn Read + Send + 'a>,
    limit_bytes: u64,
    read_bytes: u64,
}

impl<'a> OpenText<'a> {
    /// Opens a file by what its first bytes say. Text beyond the limit is an error when it is
    /// reached.
    pub(crate) fn new(mut file: impl BufRead + Send + 'a, limit_bytes: u64) -> Result<Self, DecompressError> {
        let start = file.fill_buf().map_err(DecompressError::Damaged)?;
        let text: Box<dyn Read + Send + 'a> = match Packing::of(start)? {
            Packing::Gz => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
            Packing::Zstd => {
                Box::new(zstd::stream::read::Decoder::with_buffer(file).map_err(DecompressError::Damaged)?)
            }
            Packing::Plain => Box::new(file),
        };
        Ok(Self { text, limit_bytes, read_bytes: 0 })
    }

    /// Reads on; 0 only at the end, where the file was whole.
    pub(crate) fn read(&mut self, into: &mut [u8]) -> Result<usize, DecompressError> {
        loop {
            match self.text.read(into) {
                Ok(read) => {
                    self.read_bytes += read as u64;
                    let within = self.read_bytes <= self.limit_bytes;
                    return within.then_some(read).ok_or(DecompressError::TooLong { limit_bytes: self.limit_bytes });
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(DecompressError::Damaged(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn text(file: &[u8], limit_bytes: u64) -> Result<Vec<u8>, DecompressError> {
        let mut open = OpenText::new(file, limit_bytes)?;
        let (mut text, mut piece) = (Vec::new(), [0; 3]);
        loop {
            match open.read(&mut piece)? {
                0 => return Ok(text),
                read => text.extend_from_slice(&piece[..read]),
            }
        }
    }

    #[test]
    fn a_stream_is_what_reading_at_once_gives() {
        let gzip = |text: &[u8]| {
            let mut file = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            file.write_all(text).unwrap();
            file.finish().unwrap()
        };
        let zstd = |text: &[u8]| zstd::bulk::compress(text, 1).unwrap();
        for file in
            [[gzip(b"one "), gzip(b"two")].concat(), [zstd(b"one "), zstd(b"two")].concat(), b"one two".to_vec()]
        {
            assert_eq!(text(&file, 7).unwrap(), b"one two");
            assert!(matches!(text(&file, 6), Err(DecompressError::TooLong { limit_bytes: 6 })));
        }
        for file in [gzip(b"text"), zstd(b"text")] {
            assert!(matches!(text(&file[..file.len() - 1], 9), Err(DecompressError::Damaged(_))));
        }
        assert!(matches!(text(b"\xfd7zXZ\0", 9), Err(DecompressError::Unsupported("xz"))));
        assert_eq!(text(b"", 9).unwrap(), b"");
    }
}
