//! A document's file as it grows: pieces go out in order, and are hashed and counted on the way.

use std::io::Write;
use std::ops::Range;

use super::Document;
use super::source::{Source, pieces};
use super::terms::{RenderError, RenderOptions, Rendered};
use crate::block::{Block, Layout};
use crate::checksum::Sha256Stream;
use crate::compress::{Compression, Compressor, Compressors};

/// A finished piece of the file.
pub(super) struct Made {
    pub(super) block: Block,
    pub(super) compressed: Vec<u8>,
    /// Its XML, only when the open checksum is wanted.
    pub(super) raw: Option<Vec<u8>>,
    /// Where the previous file has the same bytes.
    pub(super) from: Option<Range<u64>>,
}

impl Made {
    /// Compresses a piece of XML that holds so many packages.
    pub(super) fn new(packages: usize, raw: Vec<u8>, open: bool, compressor: &mut Compressor) -> Self {
        let compressed = compressor.fragment(&raw);
        let bytes = |length: usize| u32::try_from(length).expect("a block is at most one package or half a MiB");
        let block = Block {
            packages: bytes(packages),
            raw_bytes: bytes(raw.len()),
            compressed_bytes: bytes(compressed.len()),
            crc32: crc32fast::hash(&raw),
        };
        Self { block, compressed, raw: open.then_some(raw), from: None }
    }
}

/// The file as it grows.
pub(super) struct Assembly<W> {
    document: Document,
    compression: Compression,
    out: W,
    file_bytes: u64,
    sha256: Sha256Stream,
    crc32: crc32fast::Hasher,
    open_bytes: u64,
    open_sha256: Option<Sha256Stream>,
    head: Block,
    blocks: Vec<Block>,
    reused: Vec<(Range<u64>, Range<u64>)>,
    /// What is read of the previous file.
    buffer: Vec<u8>,
}

impl<W: Write> Assembly<W> {
    /// Begins the file of a document with so many packages.
    pub(super) fn begin(
        document: Document,
        options: RenderOptions,
        packages: usize,
        out: W,
        compressors: &Compressors,
    ) -> Result<Self, RenderError> {
        let RenderOptions { compression, open_checksum, mark, .. } = options;
        let head = document.head(packages, mark);
        let head = compressors.with(|compressor| Made::new(0, head, open_checksum, compressor));
        let mut assembly = Self {
            document,
            compression,
            out,
            file_bytes: 0,
            sha256: Sha256Stream::default(),
            crc32: crc32fast::Hasher::new(),
            open_bytes: 0,
            open_sha256: open_checksum.then(Sha256Stream::default),
            head: head.block,
            blocks: Vec::new(),
            reused: Vec::new(),
            buffer: Vec::new(),
        };
        assembly.push(compression.prefix())?;
        assembly.piece(&head)?;
        Ok(assembly)
    }

    /// Appends a block.
    pub(super) fn append(&mut self, made: &Made) -> Result<(), RenderError> {
        if let Some(from) = made.from.clone() {
            self.reuse(from);
        }
        self.blocks.push(made.block);
        self.piece(made)
    }

    /// Appends blocks of the previous file, which stand side by side there, without a look inside.
    pub(super) fn copy(&mut self, source: &Source<'_>, blocks: Range<usize>) -> Result<(), RenderError> {
        let copied = &source.blocks[blocks];
        let (Some((_, first)), Some((_, last))) = (copied.first(), copied.last()) else { return Ok(()) };
        let range = first.start..last.end;
        self.reuse(range.clone());
        for (block, _) in copied {
            self.blocks.push(*block);
            self.count(*block);
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        for piece in pieces(range) {
            source.read_into(piece, &mut buffer)?;
            self.push(&buffer)?;
        }
        self.buffer = buffer;
        Ok(())
    }

    /// Notes that what comes next is what the previous file has there.
    fn reuse(&mut self, from: Range<u64>) {
        let to = self.file_bytes..self.file_bytes + (from.end - from.start);
        match self.reused.last_mut() {
            Some((before, before_from)) if before.end == to.start && before_from.end == from.start => {
                before.end = to.end;
                before_from.end = from.end;
            }
            Some(_) | None => self.reused.push((to, from)),
        }
    }

    fn piece(&mut self, made: &Made) -> Result<(), RenderError> {
        self.push(&made.compressed)?;
        self.count(made.block);
        if let (Some(open), Some(raw)) = (&mut self.open_sha256, &made.raw) {
            open.update(raw);
        }
        Ok(())
    }

    fn count(&mut self, block: Block) {
        let raw_bytes = u64::from(block.raw_bytes);
        self.crc32.combine(&crc32fast::Hasher::new_with_initial_len(block.crc32, raw_bytes));
        self.open_bytes += raw_bytes;
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), RenderError> {
        self.sha256.update(bytes);
        self.file_bytes += bytes.len() as u64;
        self.out.write_all(bytes).map_err(RenderError::Write)
    }

    /// Ends the file, and gives it back. `fragment_bytes` are the lengths of the packages' XML.
    pub(super) fn finish(
        mut self,
        fragment_bytes: Vec<u32>,
        compressors: &Compressors,
    ) -> Result<(Rendered, W), RenderError> {
        let (foot, open) = (self.document.foot().to_vec(), self.open_sha256.is_some());
        let foot = compressors.with(|compressor| Made::new(0, foot, open, compressor));
        self.piece(&foot)?;
        let suffix = self.compression.suffix(self.crc32.clone().finalize(), self.open_bytes);
        self.push(&suffix)?;
        self.out.flush().map_err(RenderError::Write)?;
        let layout = Layout { compression: self.compression, head: self.head, blocks: self.blocks, foot: foot.block };
        let rendered = Rendered {
            file_bytes: self.file_bytes,
            sha256: self.sha256.finish(),
            open_bytes: self.open_bytes,
            open_sha256: self.open_sha256.map(Sha256Stream::finish),
            layout,
            fragment_bytes,
            reused: self.reused,
        };
        Ok((rendered, self.out))
    }
}
