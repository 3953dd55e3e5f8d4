//! A full build: the three documents at once, from packages that arrive in order.
//!
//! Only blocks that are filling or being compressed are in memory. The blocks are those of
//! [`super::render`]: of the same lengths, made and appended by the same code, so that a file
//! built here is spliced there.

use std::io::Write;

use rayon::prelude::*;

use super::assembly::{Assembly, Made};
use super::terms::{RenderError, RenderOptions, Rendered};
use super::{Document, Fragments};
use crate::block::Filling;
use crate::compress::Compressors;

/// The three documents as they grow.
pub struct Build<W> {
    options: RenderOptions,
    compressors: Compressors,
    documents: [Growing<W>; 3],
}

impl<W: Write + Send> Build<W> {
    /// Begins the files of so many packages, in [`Document::ALL`]'s order.
    pub fn begin(options: RenderOptions, packages: usize, out: [W; 3]) -> Result<Self, RenderError> {
        let compressors = Compressors::new(options.compression, options.level);
        let [primary, filelists, other] = out;
        let growing = |document, out| Growing::begin(document, options, packages, out, &compressors);
        let documents = [
            growing(Document::Primary, primary)?,
            growing(Document::Filelists, filelists)?,
            growing(Document::Other, other)?,
        ];
        Ok(Self { options, compressors, documents })
    }

    /// Appends packages. Give some hundred at once: their blocks are compressed side by side.
    pub fn append(&mut self, packages: &[Fragments]) -> Result<(), RenderError> {
        self.documents.par_iter_mut().for_each(|document| document.fill(packages));
        self.compress()
    }

    /// Ends the files. A number of packages other than announced shows in the answers, whose
    /// `fragment_bytes` has one entry a package; the files say the number that was announced.
    pub fn finish(self) -> Result<[Rendered; 3], RenderError> {
        self.finish_with_files().map(|files| files.map(|(rendered, _)| rendered))
    }

    /// The same, and gives the files back.
    pub fn finish_with_files(mut self) -> Result<[(Rendered, W); 3], RenderError> {
        for document in &mut self.documents {
            document.full.extend(document.filling.finish());
        }
        self.compress()?;
        let [primary, filelists, other] = self.documents;
        let finish = |growing: Growing<W>| growing.assembly.finish(growing.fragment_bytes, &self.compressors);
        Ok([finish(primary)?, finish(filelists)?, finish(other)?])
    }

    /// Compresses what is full, in one go over the three documents, and writes it.
    fn compress(&mut self) -> Result<(), RenderError> {
        let Self { options, compressors, documents } = self;
        let (compressors, open) = (&*compressors, options.open_checksum);
        documents.par_iter_mut().try_for_each(|document| {
            let full = std::mem::take(&mut document.full);
            let made: Vec<Made> = full
                .into_par_iter()
                .with_max_len(1)
                .map(|(packages, raw)| compressors.with(|compressor| Made::new(packages, raw, open, compressor)))
                .collect();
            made.iter().try_for_each(|made| document.assembly.append(made))
        })
    }
}

/// One document as it grows.
struct Growing<W> {
    document: Document,
    assembly: Assembly<W>,
    filling: Filling,
    /// Blocks to be compressed: how many packages, and their XML.
    full: Vec<(usize, Vec<u8>)>,
    fragment_bytes: Vec<u32>,
}

impl<W: Write> Growing<W> {
    fn begin(
        document: Document,
        options: RenderOptions,
        packages: usize,
        out: W,
        compressors: &Compressors,
    ) -> Result<Self, RenderError> {
        Ok(Self {
            document,
            assembly: Assembly::begin(document, options, packages, out, compressors)?,
            filling: Filling::default(),
            full: Vec::new(),
            fragment_bytes: Vec::with_capacity(packages),
        })
    }

    fn fill(&mut self, packages: &[Fragments]) {
        for package in packages {
            let fragment = package.get(self.document);
            let bytes = u32::try_from(fragment.len()).expect("a fragment is shorter than MAX_FRAGMENTS_BYTES");
            self.fragment_bytes.push(bytes);
            self.full.extend(self.filling.push(fragment));
        }
    }
}
