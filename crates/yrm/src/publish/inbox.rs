//! Observing the inbox: one listing, in byte order, without folder markers and empty keys.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::config::Folders;
use crate::error::{Error, ErrorKind, Result};
use crate::store::{ETag, Object, Store};

/// Pages of 1,000 keys one run reads at most; what lies behind waits for the next run.
pub(super) const MAX_PAGES: usize = 1_000;

/// One object in the inbox, as the listing showed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// Its path below the inbox.
    pub path: String,
    /// As listed.
    pub object: Object,
}

impl Dropped {
    /// Its full key.
    pub fn key(&self) -> &str {
        &self.object.key
    }

    /// The state of its bytes that everything which follows is about.
    pub fn etag(&self) -> &ETag {
        &self.object.etag
    }

    /// Whether it lies in the inbox; a package that is promoted lies elsewhere.
    pub fn is_in_inbox(&self, folders: &Folders) -> bool {
        self.key().strip_prefix(folders.inbox.as_str()).is_some_and(|path| path.starts_with('/'))
    }

    /// When the store got it.
    pub fn modified(&self) -> Timestamp {
        self.object.modified
    }
}

/// What one listing of the inbox showed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed {
    /// Everything that is work, in byte order of the keys.
    pub dropped: Vec<Dropped>,
    /// Folders that may not be read (directories only): one uploader's, and no reason to keep the
    /// others waiting.
    pub unreadable: BTreeSet<String>,
}

/// Everything in the inbox that is work.
///
/// A key of size 0 is a folder marker or an upload that never was: not work, as in the first
/// version of this service.
pub async fn list(store: &dyn Store, folders: &Folders) -> Result<Listed> {
    list_below(store, folders, "").await
}

/// The same of one folder of the inbox.
pub async fn list_below(store: &dyn Store, folders: &Folders, folder: &str) -> Result<Listed> {
    let inbox = format!("{}/", folders.inbox);
    let prefix = if folder.is_empty() { inbox.clone() } else { format!("{inbox}{folder}/") };
    let Listed { mut dropped, mut unreadable } = Listed::default();
    let mut after = None;
    for _ in 0..MAX_PAGES {
        let page = store.list(&prefix, after.as_deref()).await?;
        dropped.extend(page.objects.into_iter().filter(|object| object.size_bytes > 0).filter_map(|object| {
            let path = object.key.strip_prefix(&inbox)?.to_owned();
            Some(Dropped { path, object })
        }));
        unreadable.extend(page.unreadable);
        after = page.next;
        if after.is_none() {
            return Ok(Listed { dropped, unreadable });
        }
    }
    tracing::warn!(
        keys = dropped.len(),
        "the inbox holds more keys than one run lists; the rest waits for the next run"
    );
    Ok(Listed { dropped, unreadable })
}

/// All objects under `prefix`; an error rather than a partial answer.
pub async fn list_all(store: &dyn Store, prefix: &str) -> Result<Vec<Object>> {
    let mut objects = Vec::new();
    let mut after = None;
    for _ in 0..MAX_PAGES {
        let page = store.list(prefix, after.as_deref()).await?;
        if let Some(folder) = page.unreadable.first() {
            return Err(Error::new(
                ErrorKind::Denied,
                format!("listing {prefix}: the folder {folder} may not be read"),
            ));
        }
        objects.extend(page.objects);
        after = page.next;
        if after.is_none() {
            return Ok(objects);
        }
    }
    Err(Error::new(ErrorKind::Internal, format!("listing {prefix}: more than {MAX_PAGES} pages"))
        .hint("split the repository: see `repositories` in the configuration"))
}
