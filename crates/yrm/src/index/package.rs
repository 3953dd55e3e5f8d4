//! Reads one package file: its headers, and its bytes once for their digest.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::UNIX_EPOCH;

use rpmmd::checksum::{Sha256, Sha256Stream};
use rpmmd::header::{HeaderFile, Parsed};
use rpmmd::package::{FileFacts, Package, Rules};
use rpmmd::repodata::Fragments;

/// Most headers are shorter.
const FIRST_READ_BYTES: u64 = 64 * 1024;
/// Bytes hashed at a time.
const HASH_READ_BYTES: usize = 256 * 1024;

/// A package, ready to be written.
pub(super) struct ReadPackage {
    pub(super) fragments: Fragments,
    pub(super) warnings: Vec<String>,
}

/// Reads `href` in `folder`; the error says in one line why it cannot be in the metadata.
pub(super) fn read(folder: &Path, href: &str) -> Result<ReadPackage, String> {
    let text = |error: std::io::Error| error.to_string();
    let mut file = File::open(folder.join(href)).map_err(text)?;
    let metadata = file.metadata().map_err(text)?;
    let package_bytes = metadata.len();
    if package_bytes == 0 {
        return Err("the file is empty".into());
    }
    // Before 1970 is before RPM: a clock was not set.
    let file_time = metadata.modified().map_err(text)?.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());

    let mut prefix = Vec::new();
    let mut needs = FIRST_READ_BYTES.min(package_bytes);
    let header = loop {
        let missing = needs - prefix.len() as u64;
        if (&mut file).take(missing).read_to_end(&mut prefix).map_err(text)? as u64 != missing {
            return Err("the file changed while it was read".into());
        }
        match HeaderFile::parse_prefix(&prefix).map_err(|error| error.to_string())? {
            Parsed::Ready(_) => break prefix,
            Parsed::Needs(bytes) if bytes > package_bytes => {
                return Err(format!("truncated: its headers end at byte {bytes}, the file at {package_bytes}"));
            }
            Parsed::Needs(bytes) => needs = bytes,
        }
    };
    let Ok(Parsed::Ready(header_file)) = HeaderFile::parse_prefix(&header) else {
        return Err("its headers are read in one way only".into());
    };
    if let Some(expected) = header_file.expected_file_bytes().filter(|expected| *expected > package_bytes) {
        return Err(format!("truncated: {expected} bytes were built, {package_bytes} are here"));
    }
    let pkgid = digest(&header, &mut file, package_bytes)?;
    let facts = FileFacts { pkgid, href, file_time, package_bytes };
    let (package, warnings) =
        Package::from_header(&header_file, &facts, &Rules::default()).map_err(|error| error.to_string())?;
    let fragments = Fragments::of(&package).map_err(|error| error.to_string())?;
    Ok(ReadPackage { fragments, warnings: warnings.iter().map(ToString::to_string).collect() })
}

/// SHA-256 of the whole file, of which `start` has been read.
fn digest(start: &[u8], file: &mut File, package_bytes: u64) -> Result<Sha256, String> {
    let mut stream = Sha256Stream::default();
    stream.update(start);
    let (mut total, mut buffer) = (start.len() as u64, vec![0; HASH_READ_BYTES]);
    loop {
        let read = match file.read(&mut buffer) {
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
