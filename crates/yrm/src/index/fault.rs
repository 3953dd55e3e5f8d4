//! What goes wrong with files.

use crate::error::{Error, ErrorKind};

/// An input or output error, told apart by what the operator does next.
pub(super) fn io_error(doing: String, error: std::io::Error) -> Error {
    let kind = match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => ErrorKind::Config,
        std::io::ErrorKind::PermissionDenied => ErrorKind::Denied,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, doing).because(error)
}
