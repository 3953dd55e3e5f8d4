//! The payload: a cpio archive in the "newc" form, as rpm writes it.

use std::io::Write as _;

use crate::file::File;

/// How the payload is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compressor {
    /// gzip, rpm's old default.
    Gzip,
    /// Not at all.
    Stored,
}

/// The archive of every file that is shipped (ghosts are not).
pub(crate) fn archive(files: &[File], time: u32) -> Vec<u8> {
    let mut archive = Vec::new();
    for (inode, file) in (1..).zip(files) {
        if !file.is_ghost() {
            // Binary packages' members start with `./`, which rpm takes off again
            // (PayloadFilesHavePrefix); source packages' files have no directory.
            let mut name = if file.path.starts_with(b"/") { b".".to_vec() } else { Vec::new() };
            name.extend_from_slice(&file.path);
            append(&mut archive, inode, [u32::from(file.mode), 1, time], &name, &file.contents);
        }
    }
    append(&mut archive, 0, [0, 1, 0], b"TRAILER!!!", b"");
    archive
}

fn append(archive: &mut Vec<u8>, inode: u32, [mode, links, time]: [u32; 3], name: &[u8], contents: &[u8]) {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).expect("test data is small");
    let fields = [inode, mode, 0, 0, links, time, length(contents), 0, 0, 0, 0, length(name) + 1, 0];
    archive.extend_from_slice(b"070701");
    for field in fields {
        archive.extend_from_slice(format!("{field:08x}").as_bytes());
    }
    archive.extend_from_slice(name);
    archive.push(0);
    archive.resize(archive.len().next_multiple_of(4), 0);
    archive.extend_from_slice(contents);
    archive.resize(archive.len().next_multiple_of(4), 0);
}

/// The archive as it stands in the file.
pub(crate) fn compress(archive: Vec<u8>, compressor: Compressor) -> Vec<u8> {
    match compressor {
        Compressor::Stored => archive,
        Compressor::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
            encoder.write_all(&archive).and_then(|()| encoder.finish()).expect("a Vec takes any bytes")
        }
    }
}
