//! Files: what the header says of them.

use std::collections::HashMap;

use sha2::Digest as _;

use crate::header::{Header, Value};
use crate::tag;

/// One file of a package. From text: an empty regular file at that path.
#[derive(Debug, Clone)]
pub struct File {
    pub(crate) path: Vec<u8>,
    pub(crate) mode: u16,
    pub(crate) flags: u32,
    pub(crate) contents: Vec<u8>,
    claimed_bytes: Option<u64>,
}

const DIRECTORY: u16 = 0o040_000;
const REGULAR: u16 = 0o100_000;
const SYMLINK: u16 = 0o120_000;
const GHOST: u32 = 1 << 6;

impl File {
    /// A regular file, mode 0644.
    pub fn new(path: impl AsRef<[u8]>, contents: impl AsRef<[u8]>) -> Self {
        Self {
            path: path.as_ref().to_vec(),
            mode: REGULAR | 0o644,
            flags: 0,
            contents: contents.as_ref().to_vec(),
            claimed_bytes: None,
        }
    }

    /// A directory, mode 0755. The path has no trailing `/`.
    pub fn dir(path: impl AsRef<[u8]>) -> Self {
        Self { mode: DIRECTORY | 0o755, ..Self::new(path, "") }
    }

    /// A symbolic link.
    pub fn symlink(path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        Self { mode: SYMLINK | 0o777, ..Self::new(path, target) }
    }

    /// A regular file that is owned but not shipped.
    pub fn ghost(path: impl AsRef<[u8]>) -> Self {
        Self::new(path, "").flags(GHOST)
    }

    /// Sets the mode; without file type bits the type stays.
    #[must_use]
    pub fn mode(mut self, mode: u16) -> Self {
        self.mode = if mode > 0o7777 { mode } else { (self.mode & 0o170_000) | mode };
        self
    }

    /// Adds rpm's flag bits (`RPMFILE_…`).
    #[must_use]
    pub fn flags(mut self, flags: u32) -> Self {
        self.flags |= flags;
        self
    }

    /// Claims another size than the contents have; beyond 4 GiB the header uses 64-bit sizes.
    #[must_use]
    pub fn claimed_bytes(mut self, bytes: u64) -> Self {
        self.claimed_bytes = Some(bytes);
        self
    }

    pub(crate) fn is_regular(&self) -> bool {
        self.mode & 0o170_000 == REGULAR
    }

    pub(crate) fn is_ghost(&self) -> bool {
        self.flags & GHOST != 0
    }

    pub(crate) fn is_symlink(&self) -> bool {
        self.mode & 0o170_000 == SYMLINK
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.claimed_bytes.unwrap_or(self.contents.len() as u64)
    }

    fn digest(&self) -> String {
        if self.is_regular() && !self.is_ghost() { hex(&sha2::Sha256::digest(&self.contents)) } else { String::new() }
    }
}

impl From<&str> for File {
    fn from(path: &str) -> Self {
        Self::new(path, "")
    }
}

impl From<String> for File {
    fn from(path: String) -> Self {
        Self::new(path, "")
    }
}

/// Lowercase hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes any text");
        text
    })
}

/// Writes the file arrays in the order given; nothing when there is no file.
pub(crate) fn write(header: &mut Header, files: &[File], time: u32) {
    if files.is_empty() {
        return;
    }
    let (mut dirs, mut dir_indexes, mut bases) = (Vec::new(), Vec::new(), Vec::new());
    let mut known: HashMap<&[u8], u32> = HashMap::new();
    for file in files {
        let cut = file.path.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        let (dir, base) = file.path.split_at(cut);
        let next = u32::try_from(dirs.len()).expect("test data is small");
        dir_indexes.push(*known.entry(dir).or_insert_with(|| {
            dirs.push(dir);
            next
        }));
        bases.push(base);
    }
    header.set(tag::DIRNAMES, Value::texts(dirs));
    header.set(tag::DIRINDEXES, Value::Int32(dir_indexes));
    header.set(tag::BASENAMES, Value::texts(bases));
    let sizes: Vec<u64> = files.iter().map(File::bytes).collect();
    match sizes.iter().map(|bytes| u32::try_from(*bytes)).collect() {
        Ok(sizes) => header.set(tag::FILESIZES, Value::Int32(sizes)),
        Err(_) => header.set(tag::LONGFILESIZES, Value::Int64(sizes)),
    }
    let count = files.len();
    header.set(tag::FILEMODES, Value::Int16(files.iter().map(|file| file.mode).collect()));
    header.set(tag::FILERDEVS, Value::Int16(vec![0; count]));
    header.set(tag::FILEMTIMES, Value::Int32(vec![time; count]));
    header.set(tag::FILEDIGESTS, Value::texts(files.iter().map(File::digest)));
    let targets = files.iter().map(|file| if file.is_symlink() { &file.contents[..] } else { b"" });
    header.set(tag::FILELINKTOS, Value::texts(targets));
    header.set(tag::FILEFLAGS, Value::Int32(files.iter().map(|file| file.flags).collect()));
    header.set(tag::FILEUSERNAME, Value::texts(files.iter().map(|_| "root")));
    header.set(tag::FILEGROUPNAME, Value::texts(files.iter().map(|_| "root")));
    header.set(tag::FILEVERIFYFLAGS, Value::Int32(vec![u32::MAX; count]));
    header.set(tag::FILEDEVICES, Value::Int32(vec![1; count]));
    header.set(tag::FILEINODES, Value::Int32((1..).take(count).collect()));
    header.set(tag::FILELANGS, Value::texts(files.iter().map(|_| "")));
    header.set(tag::FILEDIGESTALGO, Value::int32(8));
}
