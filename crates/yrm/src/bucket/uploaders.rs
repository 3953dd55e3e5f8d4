//! Who uploaded what, as the queue's messages say. It stands beside answers, for people, and is
//! never a reason for one: a message may be missing, late or a lie.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::store::ETag;

/// Uploads that are remembered; when there are more, all are forgotten.
const MAX_UPLOADS: usize = 10_000;
/// S3 names nobody with more bytes than this.
const MAX_NAME_BYTES: usize = 256;
/// A key that is longer is none.
const MAX_KEY_BYTES: usize = crate::store::key::MAX_KEY_BYTES;

/// What was heard, shared between who hears it and who answers.
#[derive(Debug, Clone, Default)]
pub struct Uploaders(Arc<Mutex<HashMap<String, Upload>>>);

#[derive(Debug)]
struct Upload {
    etag: String,
    by: String,
}

impl Uploaders {
    /// `by` is said to have uploaded these bytes under `key`. What could not be a name is not
    /// remembered: it goes to people's screens.
    pub fn heard(&self, key: &str, etag: &str, by: &str) {
        let is_name = !by.is_empty() && by.len() <= MAX_NAME_BYTES && !by.chars().any(char::is_control);
        if !is_name || key.len() > MAX_KEY_BYTES || etag.len() > MAX_NAME_BYTES {
            return;
        }
        let mut uploads = self.uploads();
        if uploads.len() >= MAX_UPLOADS {
            uploads.clear();
        }
        uploads.insert(key.to_owned(), Upload { etag: etag.to_owned(), by: by.to_owned() });
    }

    /// Who is said to have uploaded these bytes.
    pub fn of(&self, key: &str, etag: &ETag) -> Option<String> {
        let uploads = self.uploads();
        uploads.get(key).filter(|upload| upload.etag == etag.as_str()).map(|upload| upload.by.clone())
    }

    fn uploads(&self) -> MutexGuard<'_, HashMap<String, Upload>> {
        // Every change is complete before anything can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_is_known_by_its_key_and_its_bytes_and_what_is_no_name_is_not_kept() {
        let uploaders = Uploaders::default();
        let of = |key: &str, etag: &str| uploaders.of(key, &ETag::new(etag));
        uploaders.heard("inbox/a.rpm", "1", "AWS:AROA:ci");
        assert_eq!(of("inbox/a.rpm", "1").as_deref(), Some("AWS:AROA:ci"));
        assert_eq!((of("inbox/a.rpm", "2"), of("inbox/b.rpm", "1")), (None, None));
        uploaders.heard("inbox/a.rpm", "2", "AWS:AROA:other");
        assert_eq!((of("inbox/a.rpm", "1"), of("inbox/a.rpm", "2").as_deref()), (None, Some("AWS:AROA:other")));
        for no_name in ["", "\u{1b}]0;owned", "two\nlines", &"x".repeat(MAX_NAME_BYTES + 1)] {
            uploaders.heard("inbox/c.rpm", "1", no_name);
            assert_eq!(of("inbox/c.rpm", "1"), None);
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let uploaders = Uploaders::default();
        for number in 0..=MAX_UPLOADS {
            uploaders.heard(&format!("inbox/{number}.rpm"), "1", "somebody");
        }
        assert_eq!(uploaders.uploads().len(), 1);
    }
}
