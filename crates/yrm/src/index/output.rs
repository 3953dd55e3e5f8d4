//! Puts new metadata in the place of old: new files first, repomd.xml by one rename, then the
//! files that nothing names any more. A reader finds the old state or the new, never half.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use jiff::Timestamp;
use rpmmd::repodata::{Document, Rendered, records};
use rpmmd::repomd::{Record, Repomd};

use super::draft::Draft;
use super::fault::io_error;
use crate::error::{Error, ErrorKind, Result};

/// Three files to be written, in [`Document::ALL`]'s order.
pub(super) fn drafts(output: &Path) -> Result<[Draft; 3]> {
    let folder = output.join("repodata");
    fs::create_dir_all(&folder).map_err(|error| io_error(format!("making {}", folder.display()), error))?;
    Ok([Draft::create(&folder)?, Draft::create(&folder)?, Draft::create(&folder)?])
}

/// Makes drafts the metadata in `output/repodata`. Returns whether anything is another than
/// before: the same metadata again leaves every file alone, because any changed byte of
/// repomd.xml makes every client fetch everything.
pub(super) fn replace(output: &Path, drafts: [Draft; 3], rendered: &[Rendered; 3], now: Timestamp) -> Result<bool> {
    let folder = output.join("repodata");
    let previous = read_repomd(&folder.join("repomd.xml"))?;
    let next = next_repomd(previous.as_ref(), rendered, now);
    let files = || Document::ALL.into_iter().zip(rendered);
    if let Some(previous) = &previous
        && names(previous) == names(&next)
        && files().zip(&drafts).all(|((document, rendered), draft)| {
            draft.equals(&folder.join(rendered.file_name(document))).unwrap_or(false)
        })
    {
        return Ok(false);
    }
    for ((document, rendered), draft) in files().zip(drafts) {
        draft.publish(&folder.join(rendered.file_name(document)))?;
    }
    let mut repomd = Draft::create(&folder)?;
    let path = folder.join("repomd.xml");
    repomd.file.write_all(&next.write()).map_err(|error| io_error(format!("writing {}", path.display()), error))?;
    repomd.publish(&path)?;
    sync(&folder)?;
    if let Some(previous) = previous {
        for href in names(&previous).difference(&names(&next)) {
            remove(output, href)?;
        }
    }
    Ok(true)
}

/// repomd.xml of the new metadata. What `yrm index` does not make of packages (updateinfo,
/// groups, modules) stays named.
fn next_repomd(previous: Option<&Repomd>, rendered: &[Rendered; 3], now: Timestamp) -> Repomd {
    let now = u64::try_from(now.as_second()).unwrap_or(0);
    let previous_records = previous.map_or(&[][..], |previous| &previous.records);
    // yum 3 goes back to its cached metadata when the newest timestamp is older than before.
    let newest = previous_records.iter().filter_map(|record| record.timestamp).max().unwrap_or(0);
    let mut records = records(rendered, now.max(newest));
    records.extend(previous_records.iter().filter(|record| !is_made_of_packages(record)).cloned());
    let revision =
        previous.and_then(|previous| previous.revision.parse().ok()).map_or(now, |last: u64| now.max(last + 1));
    match previous {
        Some(previous) => Repomd { revision: revision.to_string(), records, ..previous.clone() },
        None => Repomd { revision: revision.to_string(), records, ..Repomd::default() },
    }
}

/// Primary, filelists, other, and the other forms that createrepo_c gives them (`primary_db`,
/// `primary_zck`, `filelists_ext`): stale as soon as the packages change.
fn is_made_of_packages(record: &Record) -> bool {
    Document::ALL.iter().any(|document| {
        record.kind.strip_prefix(document.name()).is_some_and(|rest| rest.is_empty() || rest.starts_with(['_', '-']))
    })
}

fn names(repomd: &Repomd) -> BTreeSet<String> {
    repomd.records.iter().map(|record| record.href.clone()).collect()
}

/// The previous repomd.xml. One that cannot be read is not taken for none: it may name metadata
/// that only its owner can make again.
fn read_repomd(path: &Path) -> Result<Option<Repomd>> {
    let doing = || format!("reading {}", path.display());
    match fs::read(path) {
        Ok(text) => Repomd::read(&text).map(Some).map_err(|error| {
            Error::new(ErrorKind::Corrupt, doing()).because(error).hint("remove it to have it made afresh")
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error(doing(), error)),
    }
}

fn sync(folder: &Path) -> Result<()> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| io_error(format!("syncing {}", folder.display()), error))
}

/// Removes a superseded file of `repodata/`; nothing outside, whatever the old repomd.xml names.
fn remove(output: &Path, href: &str) -> Result<()> {
    let Some(name) = href.strip_prefix("repodata/").filter(|name| !name.contains('/') && *name != "repomd.xml") else {
        return Ok(());
    };
    let path = output.join("repodata").join(name);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(io_error(format!("removing {}", path.display()), error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
