//! Finds the packages in a folder: every `*.rpm` file at any depth, as createrepo_c does, through
//! symbolic links too. Each folder is walked once, however many links lead to it: links into links
//! would else make endless folders of a few.

use std::collections::{HashSet, VecDeque};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::fault::io_error;
use crate::error::{Error, ErrorKind, Result};

/// Something about one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// The file's path in the folder.
    pub href: String,
    /// What about it.
    pub text: String,
}

/// Deeper folders are an error.
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
    let mut walk = Walk { found: Found::default(), seen: HashSet::new(), links: VecDeque::new() };
    walk.visit(folder, "", 0)?;
    // Real folders first: a folder is listed by its own path, wherever links to it lie.
    while let Some((link, prefix, depth)) = walk.links.pop_front() {
        walk.visit(&link, &prefix, depth)?;
    }
    let mut found = walk.found;
    found.paths.sort_unstable();
    Ok(found)
}

struct Walk {
    found: Found,
    /// Folders that were looked through, by device and inode.
    seen: HashSet<(u64, u64)>,
    /// Links to folders that are still to be followed, with their prefixes and depths.
    links: VecDeque<(PathBuf, String, usize)>,
}

impl Walk {
    /// Looks through one folder, if nothing has yet. `prefix` is its path below the root, with a `/`
    /// at its end.
    fn visit(&mut self, folder: &Path, prefix: &str, depth: usize) -> Result<()> {
        let doing = || format!("listing {}", folder.display());
        let identity = fs::metadata(folder).map_err(|error| io_error(doing(), error))?;
        if !self.seen.insert((identity.dev(), identity.ino())) {
            return Ok(());
        }
        if depth == MAX_DEPTH {
            return Err(Error::new(ErrorKind::Config, doing()).because(format!("it is over {MAX_DEPTH} folders deep")));
        }
        let entries = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut entries = entries.map_err(|error| io_error(doing(), error))?;
        // Which of two links to a folder counts must not depend on the file system.
        entries.sort_unstable_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name();
            let kind = entry.file_type();
            let is_link = kind.as_ref().is_ok_and(fs::FileType::is_symlink);
            // A link that leads nowhere is nothing, as for createrepo_c.
            let target = if is_link { fs::metadata(entry.path()).map(|target| target.file_type()) } else { kind };
            let Ok(target) = target else { continue };
            let is_package = target.is_file() && name.as_encoded_bytes().ends_with(b".rpm");
            match name.to_str().filter(|name| !name.chars().any(is_forbidden)) {
                Some(name) if target.is_dir() && is_link => {
                    self.links.push_back((entry.path(), format!("{prefix}{name}/"), depth + 1));
                }
                Some(name) if target.is_dir() => self.visit(&entry.path(), &format!("{prefix}{name}/"), depth + 1)?,
                Some(name) if is_package => self.found.paths.push(format!("{prefix}{name}")),
                None if is_package || target.is_dir() => self.found.skipped.push(Remark {
                    href: format!("{prefix}{}", name.to_string_lossy()),
                    text: "XML cannot hold its name, so no client could fetch it".into(),
                }),
                Some(_) | None => {}
            }
        }
        Ok(())
    }
}

/// Code points that XML 1.0 cannot hold, as a `char`.
fn is_forbidden(character: char) -> bool {
    matches!(character, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}' | '\u{ffff}')
}
