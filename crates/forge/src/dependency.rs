//! Dependencies: a name, flags and a version text.

use crate::header::{Header, Value};

const LESS: u32 = 1 << 1;
const GREATER: u32 = 1 << 2;
const EQUAL: u32 = 1 << 3;

/// One dependency. From text: `"foo"` or `"foo >= 1:2-3"`; a rich one is all name.
#[derive(Debug, Clone)]
pub struct Dependency {
    name: Vec<u8>,
    flags: u32,
    version: Vec<u8>,
}

impl Dependency {
    /// A dependency on any version.
    pub fn new(name: impl AsRef<[u8]>) -> Self {
        Self { name: name.as_ref().to_vec(), flags: 0, version: Vec::new() }
    }

    /// Adds rpm's flag bits (`RPMSENSE_…`).
    #[must_use]
    pub fn flags(mut self, flags: u32) -> Self {
        self.flags |= flags;
        self
    }

    /// Sets the version text, without touching the flags.
    #[must_use]
    pub fn version(mut self, version: impl AsRef<[u8]>) -> Self {
        self.version = version.as_ref().to_vec();
        self
    }
}

impl From<&str> for Dependency {
    fn from(text: &str) -> Self {
        let parts: Vec<&str> = text.splitn(3, ' ').collect();
        let flags = match parts.get(1) {
            Some(&"<") => LESS,
            Some(&">") => GREATER,
            Some(&"=") => EQUAL,
            Some(&"<=") => LESS | EQUAL,
            Some(&">=") => GREATER | EQUAL,
            Some(_) | None => return Self::new(text),
        };
        if text.starts_with('(') {
            return Self::new(text);
        }
        Self::new(parts[0]).flags(flags).version(parts.get(2).copied().unwrap_or(""))
    }
}

impl From<String> for Dependency {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

/// Writes the three arrays of one kind of dependency; nothing when there is none.
pub(crate) fn write(header: &mut Header, [name, flags, version]: [u32; 3], all: &[Dependency]) {
    header.set_unless_empty(name, Value::texts(all.iter().map(|dependency| &dependency.name)));
    header.set_unless_empty(flags, Value::Int32(all.iter().map(|dependency| dependency.flags).collect()));
    header.set_unless_empty(version, Value::texts(all.iter().map(|dependency| &dependency.version)));
}
