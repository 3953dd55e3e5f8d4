//! The files of a package.

use std::borrow::Cow;

use super::error::PackageError;
use super::text::Cleaner;
use super::{File, FileKind};
use crate::header::HeaderFile;
use crate::tag::{self, Tag};

const MODE_TYPE: u64 = 0o170_000;
const MODE_DIRECTORY: u64 = 0o040_000;
const FLAG_GHOST: u64 = 1 << 6;

impl File<'_> {
    /// Whether primary shows the file. Clients have the same rule built in: they fetch
    /// filelists only for paths that it does not cover, so it must not be "improved".
    pub fn is_primary(&self) -> bool {
        let (dir, base) = (&*self.dir, &*self.base);
        if base.contains('/') || !(dir.ends_with('/') || dir.is_empty()) {
            // Only a crafted header cuts paths elsewhere than at the last slash.
            return is_primary_path(&self.path());
        }
        dir.starts_with("/etc/") || dir.contains("bin/") || (dir == "/usr/lib/" && base == "sendmail")
    }

    /// The whole path.
    pub fn path(&self) -> String {
        [&*self.dir, &*self.base].concat()
    }
}

/// The same by the path.
pub(crate) fn is_primary_path(path: &str) -> bool {
    path.starts_with("/etc/") || path == "/usr/lib/sendmail" || path.contains("bin/")
}

/// Every file, in header order; duplicates stay.
pub(super) fn read<'a>(headers: &HeaderFile<'a>, cleaner: &mut Cleaner) -> Result<Vec<File<'a>>, PackageError> {
    let main = &headers.main;
    // createrepo_c reads five lists side by side: without one of them there are no files.
    let (Some(modes), Some(flags), Some(digests)) =
        (main.integers(tag::FILEMODES), main.integers(tag::FILEFLAGS), main.texts(tag::FILEDIGESTS))
    else {
        return Ok(Vec::new());
    };
    let count = |(tag, length)| {
        even((tag, length), (tag::FILEMODES, modes.len()))?;
        even((tag, length), (tag::FILEFLAGS, flags.len()))?;
        even((tag, length), (tag::FILEDIGESTS, digests.len()))
    };
    let kinds = modes.clone().zip(flags.clone()).map(|(mode, flags)| kind(mode, flags));
    match (main.texts(tag::BASENAMES), main.integers(tag::DIRINDEXES)) {
        (Some(bases), Some(dir_indexes)) => {
            even((tag::BASENAMES, bases.len()), (tag::DIRINDEXES, dir_indexes.len()))?;
            count((tag::BASENAMES, bases.len()))?;
            let dirs = cleaner.clean_all(tag::DIRNAMES, main.texts(tag::DIRNAMES).unwrap_or_default());
            let dir = |index: u64| usize::try_from(index).ok().and_then(|index| dirs.get(index));
            let file = |((base, index), kind)| match dir(index) {
                Some(dir) => Ok(File { dir: dir.clone(), base: cleaner.clean(tag::BASENAMES, base), kind }),
                None => Err(PackageError::NoSuchDirectory { index, directories: dirs.len() }),
            };
            bases.zip(dir_indexes).zip(kinds).map(file).collect()
        }
        // Packages from before rpm 4 have whole paths, which librpm cuts.
        (None, None) => {
            let Some(paths) = main.texts(tag::OLDFILENAMES) else { return Ok(Vec::new()) };
            count((tag::BASENAMES, paths.len()))?;
            let paths = paths.map(|path| split(path, cleaner));
            Ok(paths.zip(kinds).map(|((dir, base), kind)| File { dir, base, kind }).collect())
        }
        (Some(_), None) | (None, Some(_)) => Ok(Vec::new()),
    }
}

/// DIRNAMES when it is a single one.
pub(super) fn only_directory<'a>(headers: &HeaderFile<'a>) -> Option<&'a [u8]> {
    if let Some(mut dirs) = headers.main.texts(tag::DIRNAMES) {
        return if dirs.len() == 1 { dirs.next() } else { None };
    }
    // An old list would be cut first: names without a slash make one empty directory.
    let mut names = headers.main.texts(tag::OLDFILENAMES)?;
    if names.all(|name| !name.contains(&b'/')) { Some(b"") } else { None }
}

/// Lists that are read side by side must be of one length: what a client would read from
/// others is chance.
pub(super) fn even((tag, length): (Tag, usize), (other, other_length): (Tag, usize)) -> Result<(), PackageError> {
    if length == other_length { Ok(()) } else { Err(PackageError::Uneven { tag, length, other, other_length }) }
}

fn split<'a>(path: &'a [u8], cleaner: &mut Cleaner) -> (Cow<'a, str>, Cow<'a, str>) {
    let cut = path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    let (dir, base) = path.split_at(cut);
    (cleaner.clean(tag::OLDFILENAMES, dir), cleaner.clean(tag::OLDFILENAMES, base))
}

fn kind(mode: u64, flags: u64) -> FileKind {
    if mode & MODE_TYPE == MODE_DIRECTORY {
        FileKind::Dir
    } else if flags & FLAG_GHOST != 0 {
        FileKind::Ghost
    } else {
        FileKind::Plain
    }
}
