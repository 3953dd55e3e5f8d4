//! The list of mirrors and the folder that it names, judged as a client would: complete, signed, and the
//! same packages as in the repository itself.

use std::collections::{BTreeMap, BTreeSet};

use rpmmd::checksum::Sha256;
use rpmmd::package::Package;
use rpmmd::repodata::{self, Document};
use rpmmd::repomd::Repomd;

use super::findings::{RepositoryFindings, check_file};
use super::signature::{Keys, Verdict};
use crate::bucket::mirrorlist::{self, REPOMD, SIGNATURE};
use crate::bucket::signature::Signature;
use crate::bucket::{Bucket, aside};
use crate::error::Result;
use crate::store::key::{Key, MirrorFolder, RepositoryDir};

/// What the repository itself holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flat<'a> {
    /// Its repomd.xml.
    pub(super) repomd: &'a [u8],
    /// Its packages.
    pub(super) packages: &'a [Package<'static>],
}

/// Checks the mirror, if there is one or should be.
pub(super) async fn check_mirror(
    bucket: &Bucket,
    repository: &RepositoryDir,
    flat: Flat<'_>,
    keys: &Keys,
    found: &mut RepositoryFindings,
) -> Result<()> {
    let key = bucket.path(Key::Mirrorlist { repository });
    let wanted = bucket.mirror_rules.is_on(repository);
    let Some(list) = mirrorlist::read(bucket, repository).await? else {
        if wanted {
            found.problems.push(format!("{key} is missing, and mirrorlist is on"));
        }
        return Ok(());
    };
    let Some(folder) = MirrorFolder::named_by(&list.bytes) else {
        let what = format!("{key} names no revision's own folder");
        if wanted {
            found.problems.push(what);
        } else {
            found.notes.push(what);
        }
        return Ok(());
    };
    let lines = list.bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    if lines.clone().any(|line| MirrorFolder::named_by(line).as_ref() != Some(&folder)) {
        found.problems.push(format!("{key} names more than one revision's own folder"));
    }
    let is_current = folder.repomd == Sha256::of(flat.repomd);
    if !is_current {
        found.problems.push(format!("{key} names revision {}, and that is not the current one", folder.revision));
    }
    let Some(packages) = check_folder(bucket, repository, &folder, keys, found).await? else { return Ok(()) };
    if is_current && named(&packages, MirrorFolder::UP) != named(flat.packages, "") {
        found.problems.push(format!("{folder} and the repository itself name different packages"));
    } else if is_current {
        found.notes.push(format!("mirrorlist names revision {}", folder.revision));
    }
    Ok(())
}

/// Checks what lies in a folder; the packages that are named there, if that can be read.
async fn check_folder(
    bucket: &Bucket,
    repository: &RepositoryDir,
    folder: &MirrorFolder,
    keys: &Keys,
    found: &mut RepositoryFindings,
) -> Result<Option<Vec<Package<'static>>>> {
    let in_folder = |href| bucket.path(Key::MirrorFile { repository, folder, href });
    let Some(repomd) = bucket.store.get(&in_folder(REPOMD), None).await? else {
        found.problems.push(format!("{}, in the folder that mirrorlist names, is missing", in_folder(REPOMD)));
        return Ok(None);
    };
    let signature = bucket.store.get(&in_folder(SIGNATURE), None).await?;
    let signature = signature.map(|read| Signature { etag: read.object.etag, bytes: read.bytes });
    match keys.judge(&repomd.bytes, signature.as_ref()) {
        Verdict::Unsigned | Verdict::SignedBy(_) | Verdict::Unknown => {}
        Verdict::Missing => found.problems.push(format!("{} is missing, and signing is on", in_folder(SIGNATURE))),
        Verdict::Stale => {
            found.problems.push(format!("{} does not go with the repomd.xml beside it", in_folder(SIGNATURE)));
        }
    }
    let repomd = match Repomd::read(&repomd.bytes) {
        Ok(repomd) => repomd,
        Err(error) => {
            found.problems.push(format!("{} cannot be read: {error}", in_folder(REPOMD)));
            return Ok(None);
        }
    };
    let mut files = BTreeMap::new();
    for record in repomd.records.iter().filter(|record| record.base.is_none()) {
        if let Some(bytes) = check_file(bucket, &in_folder(&record.href), record, found).await? {
            files.insert(record.kind.clone(), bytes);
        }
    }
    let [Some(primary), Some(filelists), Some(other)] = Document::ALL.map(|document| files.remove(document.name()))
    else {
        return Ok(None);
    };
    match aside("reading metadata", move || repodata::read(&primary, &filelists, &other)).await? {
        Ok(packages) => Ok(Some(packages)),
        Err(error) => {
            found.problems.push(format!("the metadata in {folder} cannot be read: {error}"));
            Ok(None)
        }
    }
}

/// The packages, by where a client looks for them.
fn named<'a>(packages: &'a [Package<'static>], up: &str) -> BTreeSet<(Option<&'a str>, Sha256)> {
    packages.iter().map(|package| (package.href.strip_prefix(up), package.pkgid)).collect()
}
