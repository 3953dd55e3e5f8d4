//! Which files are objects, and what is said of them.

use crate::store::Object;
use crate::store::local::tree::Identity;

/// What of the store's own is no object: temporary files, files being deleted, the lock.
pub(crate) const HIDDEN: [&str; 3] = [".yrm/tmp/", ".yrm/aside/", ".yrm/lock"];

/// A file as an object. A directory keeps no user metadata and no checksum.
pub(crate) fn object(key: String, identity: Identity) -> Object {
    Object {
        key,
        etag: identity.etag(),
        size_bytes: identity.size_bytes,
        modified: identity.modified(),
        since: identity.since(),
        sha256: None,
        user: std::collections::BTreeMap::new(),
    }
}
