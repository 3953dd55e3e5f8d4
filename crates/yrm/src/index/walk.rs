//! Finds the packages in a folder: every `*.rpm` file at any depth, as createrepo_c does, through
//! symbolic links too. A link that leads back to a folder above itself is not followed.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Remark, io_error};
use crate::error::{Error, ErrorKind, Result};

/// Deeper folders are an error; links can make endless ones.
const MAX_DEPTH: usize = 64;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Paths relative to the folder, in byte order: the order of the metadata.
    pub(super) paths: Vec<String>,
    /// Files that cannot be named in the metadata.
    pub(super) skipped: Vec<Remark>,
}

pub(super) fn packages(folder: &Path) -> Result<Found> {
    let mut found = Found::default();
    visit(folder, "", &mut Vec::new(), &mut found)?;
    found.paths.sort_unstable();
    Ok(found)
}

/// Looks through one folder. `prefix` is its path below the root, with a `/` at its end, and
/// `above` holds the real paths of the folders it is in.
fn visit(folder: &Path, prefix: &str, above: &mut Vec<PathBuf>, found: &mut Found) -> Result<()> {
    let doing = || format!("listing {}", folder.display());
    let real = folder.canonicalize().map_err(|error| io_error(doing(), error))?;
    if above.contains(&real) {
        return Ok(());
    }
    if above.len() == MAX_DEPTH {
        return Err(Error::new(ErrorKind::Config, doing()).because(format!("it is over {MAX_DEPTH} folders deep")));
    }
    above.push(real);
    for entry in fs::read_dir(folder).map_err(|error| io_error(doing(), error))? {
        let entry = entry.map_err(|error| io_error(doing(), error))?;
        let name = entry.file_name();
        let target = match entry.file_type() {
            // A link that leads nowhere is nothing, as for createrepo_c.
            Ok(kind) if kind.is_symlink() => fs::metadata(entry.path()).map(|target| target.file_type()),
            known => known,
        };
        let Ok(target) = target else { continue };
        let is_package = target.is_file() && name.as_encoded_bytes().ends_with(b".rpm");
        match name.to_str().filter(|name| !name.chars().any(is_forbidden)) {
            Some(name) if target.is_dir() => visit(&entry.path(), &format!("{prefix}{name}/"), above, found)?,
            Some(name) if is_package => found.paths.push(format!("{prefix}{name}")),
            None if is_package || target.is_dir() => found.skipped.push(Remark {
                href: format!("{prefix}{}", name.to_string_lossy()),
                text: "XML cannot hold its name, so no client could fetch it".into(),
            }),
            Some(_) | None => {}
        }
    }
    above.pop();
    Ok(())
}

/// Code points that XML 1.0 cannot hold, as a `char`.
fn is_forbidden(character: char) -> bool {
    matches!(character, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}' | '\u{ffff}')
}
