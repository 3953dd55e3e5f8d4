//! Puts new metadata in the place of old: new files first, repomd.xml by one rename, then the
//! files that nothing names any more. A reader finds the old state or the new, never half.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use jiff::Timestamp;
use rpmmd::repodata::{Document, Repodata};
use rpmmd::repomd::{Record, Repomd};

use super::io_error;
use crate::error::{Error, ErrorKind, Result};

/// Writes `output/repodata`. Returns whether anything is another than before: the same metadata
/// again leaves every file alone, because any changed byte of repomd.xml makes every client
/// fetch everything.
pub(super) fn replace(output: &Path, repodata: &Repodata, now: Timestamp) -> Result<bool> {
    let folder = output.join("repodata");
    fs::create_dir_all(&folder).map_err(|error| io_error(format!("making {}", folder.display()), error))?;
    let previous = read_repomd(&folder.join("repomd.xml"))?;
    let next = next_repomd(previous.as_ref(), repodata, now);
    if let Some(previous) = &previous
        && Document::ALL.iter().all(|document| is_unchanged(output, previous, repodata, *document))
        && names(previous) == names(&next)
    {
        return Ok(false);
    }
    for document in Document::ALL {
        let rendered = repodata.get(document);
        write(&folder, &rendered.file_name(document), repodata.bytes(document))?;
    }
    write(&folder, "repomd.xml", &next.write())?;
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
fn next_repomd(previous: Option<&Repomd>, repodata: &Repodata, now: Timestamp) -> Repomd {
    let now = u64::try_from(now.as_second()).unwrap_or(0);
    let previous_records = previous.map_or(&[][..], |previous| &previous.records);
    // yum 3 goes back to its cached metadata when the newest timestamp is older than before.
    let newest = previous_records.iter().filter_map(|record| record.timestamp).max().unwrap_or(0);
    let mut records = repodata.records(now.max(newest));
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

/// Whether the previous file of that document has the same name and, on disk, the same bytes.
fn is_unchanged(output: &Path, previous: &Repomd, repodata: &Repodata, document: Document) -> bool {
    let rendered = repodata.get(document);
    let href = format!("repodata/{}", rendered.file_name(document));
    previous.record(document.name()).is_some_and(|record| record.href == href)
        && fs::read(output.join(href)).is_ok_and(|bytes| bytes == repodata.bytes(document))
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

/// Writes a file of that name whole or not at all.
fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let (path, draft) = (folder.join(name), folder.join(format!(".{name}.{}", std::process::id())));
    let written = File::create(&draft).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&draft, &path)
    });
    written.map_err(|error| {
        // What went wrong matters more than whether the draft can be removed.
        let _ = fs::remove_file(&draft);
        io_error(format!("writing {}", path.display()), error)
    })
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
