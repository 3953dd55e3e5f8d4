//! A long listing in little room: a row for each file, and all keys and ETags in one buffer. A million files as
//! [`Object`]s would take 300 MB.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::store::{ETag, Object};

/// What a listing says of the files below one prefix, in byte order of their keys.
pub(super) struct Listed {
    prefix: String,
    /// Of every file: its key without the prefix, its ETag.
    text: String,
    rows: Vec<Row>,
}

struct Row {
    text_start: usize,
    href_bytes: u32,
    etag_bytes: u32,
    size_bytes: u64,
    modified: Timestamp,
    since: Timestamp,
}

impl Listed {
    /// Nothing yet below `prefix`.
    pub(super) fn below(prefix: String) -> Self {
        Self { prefix, text: String::new(), rows: Vec::new() }
    }

    /// One file more, whose key starts with the prefix.
    pub(super) fn push(&mut self, object: &Object) {
        let (href, etag) = (&object.key[self.prefix.len()..], object.etag.as_str());
        self.rows.push(Row {
            text_start: self.text.len(),
            href_bytes: length(href),
            etag_bytes: length(etag),
            size_bytes: object.size_bytes,
            modified: object.modified,
            since: object.since,
        });
        self.text.push_str(href);
        self.text.push_str(etag);
    }

    /// In byte order of the keys. It is, but for stores that list in an order of their own.
    pub(super) fn sorted(mut self) -> Self {
        let text = &self.text;
        self.rows.sort_by(|a, b| a.href(text).cmp(b.href(text)));
        self
    }

    /// What every key begins with.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// How many files.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// A file's key without the prefix.
    pub(super) fn href(&self, at: usize) -> &str {
        self.rows[at].href(&self.text)
    }

    /// A file's key.
    pub(super) fn key(&self, at: usize) -> String {
        [&self.prefix, self.href(at)].concat()
    }

    /// Its length.
    pub(super) fn size_bytes(&self, at: usize) -> u64 {
        self.rows[at].size_bytes
    }

    /// Which file is called so.
    pub(super) fn position(&self, href: &str) -> Option<usize> {
        self.rows.binary_search_by(|row| row.href(&self.text).cmp(href)).ok()
    }

    /// All that the listing said of a file.
    pub(super) fn object(&self, at: usize) -> Object {
        let Row { text_start, href_bytes, etag_bytes, size_bytes, modified, since } = self.rows[at];
        let etag_start = text_start + index(href_bytes);
        Object {
            key: self.key(at),
            etag: ETag::new(&self.text[etag_start..etag_start + index(etag_bytes)]),
            size_bytes,
            modified,
            since,
            sha256: None,
            user: BTreeMap::new(),
        }
    }
}

impl Row {
    fn href<'a>(&self, text: &'a str) -> &'a str {
        &text[self.text_start..self.text_start + index(self.href_bytes)]
    }
}

fn length(text: &str) -> u32 {
    u32::try_from(text.len()).expect("keys and ETags are short")
}

fn index(bytes: u32) -> usize {
    usize::try_from(bytes).expect("usize has at least 32 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(key: &str, seconds: i64) -> Object {
        Object {
            key: key.to_owned(),
            etag: ETag::new(format!("\"{seconds}\"")),
            size_bytes: seconds.unsigned_abs() * 3,
            modified: Timestamp::from_second(seconds).unwrap(),
            since: Timestamp::from_second(seconds + 1).unwrap(),
            sha256: None,
            user: BTreeMap::new(),
        }
    }

    #[test]
    fn files_come_back_as_they_were_listed_in_the_order_of_their_keys() {
        let files = [object("repo/b/z.rpm", 7), object("repo/b/a.rpm", 9), object("repo/b/", 1)];
        let mut listed = Listed::below("repo/b/".to_owned());
        for file in &files {
            listed.push(file);
        }
        let listed = listed.sorted();
        let back: Vec<_> = (0..listed.len()).map(|at| listed.object(at)).collect();
        assert_eq!(back, [2, 1, 0].map(|at: usize| files[at].clone()));
        assert_eq!(listed.position("a.rpm"), Some(1));
        assert_eq!(
            (listed.position("c.rpm"), listed.href(2), listed.key(2)),
            (None, "z.rpm", "repo/b/z.rpm".to_owned())
        );
    }
}
