//! What would be thought of a file of this machine, as far as that can be told before it is uploaded: its place, its
//! header and the digests in it. Who signed it, its payload and what is published already are the bucket's to tell.

use std::fs::File as LocalFile;
use std::io::Read as _;
use std::path::Path;

use jiff::Timestamp;
use rpmmd::checksum::Sha256;
use rpmmd::header::{HeaderFile, Parsed};
use rpmmd::nevra::Nevra;

use super::describe::{File, Stop, check_digests, describe, refuse};
use super::read::{FIRST_GUESS_BYTES, Inspector, MAX_HEADER_READS};
use crate::bucket::Bucket;
use crate::bucket::inbox::Dropped;
use crate::bucket::verdict::Reason;
use crate::error::{Error, ErrorKind, Result};
use crate::store::key::{Key, RepositoryDir};
use crate::store::{ETag, Object};

/// Where a file would be published, and as what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// The repository.
    pub repository: RepositoryDir,
    /// Its path there.
    pub href: String,
    /// Its name.
    pub nevra: Nevra,
}

/// Why it would be rejected.
pub type Refused = (Reason, String);

/// What would become of `file` at `path` below the inbox. An error means that the file cannot be read.
pub fn preview(bucket: &Bucket, file: &Path, path: &str) -> Result<Result<Preview, Refused>> {
    match judged(bucket, file, path) {
        Ok(preview) => Ok(Ok(preview)),
        Err(Stop::Reject(reason, message)) => Ok(Err((reason, message))),
        Err(Stop::Fault(error)) => Err(error),
        Err(Stop::Wait(why) | Stop::Held(why)) => Err(reading(file).because(why)),
        Err(Stop::Gone | Stop::Long) => Err(reading(file)),
    }
}

fn reading(file: &Path) -> Error {
    Error::new(ErrorKind::Config, format!("reading {}", file.display()))
}

fn judged(bucket: &Bucket, file: &Path, path: &str) -> Result<Preview, Stop> {
    let failed = |error: std::io::Error| Stop::Fault(reading(file).because(error));
    let mut opened = LocalFile::open(file).map_err(failed)?;
    let metadata = opened.metadata().map_err(failed)?;
    let size_bytes = metadata.len();
    let modified = metadata.modified().ok().and_then(|modified| Timestamp::try_from(modified).ok());
    let modified = modified.unwrap_or(Timestamp::UNIX_EPOCH);
    let key = Key::Inbox { path }.path(&bucket.policy.folders);
    let (etag, user) = (ETag::new("local"), std::collections::BTreeMap::new());
    let object = Object { key, etag, size_bytes, modified, since: modified, sha256: None::<Sha256>, user };
    let dropped = Dropped { path: path.to_owned(), object };
    let (repository, href) = Inspector::new(bucket.clone(), modified).place(&dropped)?;
    let prefix = read_header(&mut opened, size_bytes, failed)?;
    let candidate = describe(File { dropped: &dropped, prefix: &prefix, size_bytes }, repository, &href)?;
    check_digests(&prefix)?;
    let named = bucket.gate.demands(path).check_name(&candidate.nevra.name);
    named.map_err(|(reason, message)| Stop::Reject(reason, message))?;
    Ok(Preview { repository: candidate.repository, href: candidate.href, nevra: candidate.nevra })
}

/// The file from its start to the end of its header.
fn read_header(
    file: &mut LocalFile,
    size_bytes: u64,
    failed: impl Fn(std::io::Error) -> Stop,
) -> Result<Vec<u8>, Stop> {
    let mut have = Vec::new();
    let mut want = FIRST_GUESS_BYTES.min(size_bytes);
    for _ in 0..MAX_HEADER_READS {
        let more = want.saturating_sub(have.len() as u64);
        file.by_ref().take(more).read_to_end(&mut have).map_err(&failed)?;
        match HeaderFile::parse_prefix(&have) {
            Ok(Parsed::Ready(_)) => return Ok(have),
            Ok(Parsed::Needs(bytes)) if bytes > size_bytes => {
                let message = format!("its headers end at byte {bytes}, and the file has {size_bytes}");
                return Err(Stop::Reject(Reason::Truncated, message));
            }
            Ok(Parsed::Needs(bytes)) => want = bytes,
            Err(error) => return Err(refuse(&error)),
        }
    }
    Err(Stop::Reject(Reason::HeaderInvalid, "its header has no end".to_owned()))
}
