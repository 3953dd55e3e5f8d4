//! Who is to read what, by its key.

use crate::store::key::{QUARANTINE_PREFIX, SIGNED_PREFIX};

/// Who is to read a file, whatever this process's umask says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readers {
    /// A web server that runs as somebody else, and whoever else installs from there.
    Everybody,
    /// State that others are shown: the answers to uploads, the history.
    AsTheUmaskSays,
    /// Nobody else: what was not judged yet, or was turned away.
    Owner,
}

/// Who is to read what lies under `key`.
pub(super) fn readers_of(key: &str) -> Readers {
    const OWN: [&str; 3] = [".yrm/tmp", SIGNED_PREFIX, QUARANTINE_PREFIX];
    if OWN.iter().any(|own| key.starts_with(own)) {
        Readers::Owner
    } else if key.starts_with(".yrm/") {
        Readers::AsTheUmaskSays
    } else {
        Readers::Everybody
    }
}
