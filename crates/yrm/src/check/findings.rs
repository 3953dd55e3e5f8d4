//! What is found in one repository, and of one file that repomd.xml names.

use rpmmd::checksum::Sha256;
use rpmmd::repomd::Record;
use serde::Serialize;

use super::orphans::Orphan;
use crate::bucket::Bucket;
use crate::error::Result;
use crate::store::key::RepositoryDir;

/// What was found in one repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RepositoryFindings {
    /// Its folder below `repo/`; `/` is the root repository.
    pub repository: RepositoryDir,
    /// Its revision, if that is a number.
    pub revision: Option<u64>,
    /// Packages its metadata names.
    pub packages: usize,
    /// Packages whose bytes were hashed.
    pub hashed: usize,
    /// What a client could trip over.
    pub problems: Vec<String>,
    /// What is worth knowing and does no harm.
    pub notes: Vec<String>,
    /// Packages in its folder that its metadata does not name.
    pub orphans: Vec<Orphan>,
}

impl RepositoryFindings {
    /// Nothing yet.
    pub(super) fn of(repository: RepositoryDir) -> Self {
        Self {
            repository,
            revision: None,
            packages: 0,
            hashed: 0,
            problems: Vec::new(),
            notes: Vec::new(),
            orphans: Vec::new(),
        }
    }
}

/// One file that repomd.xml names: there, of the stated size and checksum.
pub(super) async fn check_file(
    bucket: &Bucket,
    key: &str,
    record: &Record,
    found: &mut RepositoryFindings,
) -> Result<Option<bytes::Bytes>> {
    let Some(read) = bucket.store.get(key, None).await? else {
        found.problems.push(format!("{key}, which repomd.xml names, is missing"));
        return Ok(None);
    };
    if record.size.is_some_and(|size| size != read.bytes.len() as u64) {
        found.problems.push(format!("{key} has {} bytes, not what repomd.xml says", read.bytes.len()));
    }
    match record.checksum.as_sha256() {
        Some(stated) if stated != Sha256::of(&read.bytes) => {
            found.problems.push(format!("{key} does not have the checksum that repomd.xml says"));
        }
        Some(_) => {}
        None => found.notes.push(format!("{key} has a {} checksum, which is not checked here", record.checksum.kind)),
    }
    Ok(Some(read.bytes))
}
