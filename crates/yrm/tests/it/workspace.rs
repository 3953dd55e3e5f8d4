//! Where this workspace is, and what `scripts/test` puts into it.

use std::path::{Path, PathBuf};

/// The workspace.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The Python of the virtual environment that `scripts/test` makes.
pub(crate) fn python() -> PathBuf {
    std::env::var_os("YRM_TEST_PYTHON").map_or_else(|| workspace().join(".test/venv/bin/python"), PathBuf::from)
}
