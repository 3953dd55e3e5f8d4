//! Reads one package file: its headers, and its bytes once for their digest.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::UNIX_EPOCH;

use rpmmd::checksum::{Sha256, Sha256Stream};
use rpmmd::header::{HeaderFile, Parsed};
use rpmmd::package::{FileFacts, Package, Rules};
use rpmmd::repodata::Fragments;

/// Read at first: all of most packages, and the headers of nearly all.
const FIRST_READ_BYTES: usize = 256 * 1024;
/// Bytes hashed at a time after that; they stay in the processor's cache.
const HASH_READ_BYTES: usize = 256 * 1024;

/// A package, ready to be written.
pub(super) struct ReadPackage {
    pub(super) fragments: Fragments,
    pub(super) warnings: Vec<String>,
}

/// Reads packages one after the other, into the same buffers.
#[derive(Default)]
pub(super) struct Reader {
    /// The file's first bytes are the first `filled` of these.
    start: Vec<u8>,
    filled: usize,
    rest: Vec<u8>,
}

/// What the first bytes of a file gave.
enum Step {
    Done(ReadPackage),
    /// So many bytes from the file's start are needed.
    Needs(u64),
}

/// A package file that is open.
struct Opened<'a> {
    file: File,
    href: &'a str,
    package_bytes: u64,
    file_time: u64,
}

impl Reader {
    /// Reads `href` in `folder`; the error says in one line why it cannot be in the metadata.
    pub(super) fn read(&mut self, folder: &Path, href: &str) -> Result<ReadPackage, String> {
        let text = |error: std::io::Error| error.to_string();
        let file = File::open(folder.join(href)).map_err(text)?;
        let metadata = file.metadata().map_err(text)?;
        let package_bytes = metadata.len();
        if package_bytes == 0 {
            return Err("the file is empty".into());
        }
        // Before 1970 is before RPM: a clock was not set.
        let since = metadata.modified().map_err(text)?.duration_since(UNIX_EPOCH);
        let file_time = since.map_or(0, |since| since.as_secs());
        let mut opened = Opened { file, href, package_bytes, file_time };

        self.filled = 0;
        let mut needs = (FIRST_READ_BYTES as u64).min(package_bytes);
        loop {
            self.fill(&mut opened.file, needs)?;
            match self.describe(&mut opened)? {
                Step::Done(package) => return Ok(package),
                Step::Needs(bytes) if bytes > package_bytes => {
                    return Err(format!("truncated: its headers end at byte {bytes}, the file at {package_bytes}"));
                }
                Step::Needs(bytes) => needs = bytes,
            }
        }
    }

    /// Reads on until the first `needs` bytes are there.
    fn fill(&mut self, file: &mut File, needs: u64) -> Result<(), String> {
        let needs = usize::try_from(needs).map_err(|error| error.to_string())?;
        if self.start.len() < needs {
            self.start.resize(needs, 0);
        }
        file.read_exact(&mut self.start[self.filled..needs]).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => "the file changed while it was read".into(),
            _ => error.to_string(),
        })?;
        self.filled = needs;
        Ok(())
    }

    fn describe(&mut self, opened: &mut Opened<'_>) -> Result<Step, String> {
        let start = &self.start[..self.filled];
        let headers = match HeaderFile::parse_prefix(start).map_err(|error| error.to_string())? {
            Parsed::Ready(headers) => headers,
            Parsed::Needs(bytes) => return Ok(Step::Needs(bytes)),
        };
        let Opened { href, package_bytes, file_time, .. } = *opened;
        if let Some(expected) = headers.expected_file_bytes().filter(|expected| *expected > package_bytes) {
            return Err(format!("truncated: {expected} bytes were built, {package_bytes} are here"));
        }
        let pkgid = digest(start, &mut opened.file, &mut self.rest, package_bytes)?;
        let facts = FileFacts { pkgid, href, file_time, package_bytes };
        let (package, warnings) =
            Package::from_header(&headers, &facts, &Rules::default()).map_err(|error| error.to_string())?;
        let fragments = Fragments::of(&package).map_err(|error| error.to_string())?;
        let warnings = warnings.iter().map(ToString::to_string).collect();
        Ok(Step::Done(ReadPackage { fragments, warnings }))
    }
}

/// SHA-256 of the whole file, of which `start` has been read.
fn digest(start: &[u8], file: &mut File, buffer: &mut Vec<u8>, package_bytes: u64) -> Result<Sha256, String> {
    let mut stream = Sha256Stream::default();
    stream.update(start);
    let mut total = start.len() as u64;
    // Of a file that has been read whole, nothing more is asked: what is appended to it now is
    // not what was looked at.
    if total < package_bytes {
        buffer.resize(HASH_READ_BYTES, 0);
    }
    while total < package_bytes {
        let read = match file.read(buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.to_string()),
        };
        stream.update(&buffer[..read]);
        total += read as u64;
    }
    // The size in the metadata must be the size of what was hashed.
    if total != package_bytes {
        return Err("the file changed while it was read".into());
    }
    Ok(stream.finish())
}
