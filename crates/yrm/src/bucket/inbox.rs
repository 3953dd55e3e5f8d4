//! Observing the inbox: one listing, in byte order, without folder markers. Empty keys are work when they
//! have been empty for so long that nothing comes any more.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::listing::MAX_PAGES;
use crate::config::Folders;
use crate::error::{Error, ErrorKind, Result};
use crate::store::{ETag, Object, Store, Unreadable};

/// How long an empty file is left alone: its upload may be about to begin.
pub(crate) const EMPTY_WAITS: SignedDuration = SignedDuration::from_hours(1);
/// How long a hidden file in a directory is left alone: its upload may be in progress.
pub(crate) const HIDDEN_WAITS: SignedDuration = SignedDuration::from_hours(24);
/// Empty files that one run rejects, at most: whoever uploads 100,000 of them holds up nobody.
const MAX_EMPTY: usize = 1_000;
/// Of what cannot be read or taken out so many are named; the others are counted.
pub(crate) const MAX_NAMED: usize = 10;

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
    /// Everything that is work, in byte order of the keys, and behind it what has been empty for long.
    pub dropped: Vec<Dropped>,
    /// What cannot be read (directories only): one uploader's, and no reason to keep the others
    /// waiting. The first [`MAX_NAMED`].
    pub unreadable: BTreeSet<Unreadable>,
    /// How much more of it there is.
    pub unreadable_more: usize,
}

impl Listed {
    fn cannot_read(&mut self, found: Vec<Unreadable>) {
        for one in found {
            if self.unreadable.len() < MAX_NAMED {
                self.unreadable.insert(one);
            } else {
                self.unreadable_more += 1;
            }
        }
    }

    /// The errors that this is, one for each that is named.
    pub(crate) fn errors(&self) -> Vec<Error> {
        let hint = "let the user that yrm runs as read and enter it, or remove it";
        let named = self.unreadable.iter().map(|Unreadable { key, why }| {
            Error::new(ErrorKind::Denied, format!("reading {key}")).because(why.clone()).hint(hint)
        });
        let more = (self.unreadable_more > 0)
            .then(|| Error::new(ErrorKind::Denied, format!("reading {} more", self.unreadable_more)).hint(hint));
        named.chain(more).collect()
    }
}

/// Everything in the inbox that is work at `now`.
///
/// A key of size 0 is a folder marker or an upload that never was: not work, as in the first
/// version of this service. One that has been empty for long, and is no folder marker, is junk.
pub async fn list(store: &dyn Store, folders: &Folders, now: Timestamp) -> Result<Listed> {
    list_below(store, folders, ("", now)).await
}

/// The same of one folder of the inbox.
pub async fn list_below(store: &dyn Store, folders: &Folders, (folder, now): (&str, Timestamp)) -> Result<Listed> {
    let inbox = format!("{}/", folders.inbox);
    let prefix = if folder.is_empty() { inbox.clone() } else { format!("{inbox}{folder}/") };
    let (mut listed, mut empty, mut after) = (Listed::default(), Vec::new(), None);
    for page in 0.. {
        if page == MAX_PAGES {
            tracing::warn!(
                keys = listed.dropped.len(),
                "the inbox holds more keys than one run lists; the rest waits for the next run"
            );
            break;
        }
        let page = store.list(&prefix, after.as_deref()).await?;
        for object in page.objects {
            let Some(path) = object.key.strip_prefix(&inbox).map(str::to_owned) else { continue };
            let dropped = Dropped { path, object };
            if dropped.object.size_bytes > 0 {
                listed.dropped.push(dropped);
            } else if empty.len() < MAX_EMPTY && is_over(&dropped, store.uploads_are_atomic(), now) {
                empty.push(dropped);
            }
        }
        listed.cannot_read(page.unreadable);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    // Last, so that they hold up nothing else.
    listed.dropped.append(&mut empty);
    Ok(listed)
}

/// Whether nothing comes any more of an empty file.
pub(crate) fn is_over(dropped: &Dropped, uploads_are_atomic: bool, now: Timestamp) -> bool {
    let waits = if is_hidden(&dropped.path) && !uploads_are_atomic { HIDDEN_WAITS } else { EMPTY_WAITS };
    !dropped.path.is_empty() && !dropped.path.ends_with('/') && now.duration_since(dropped.modified()) >= waits
}

/// Whether a file's name begins with a dot.
pub(crate) fn is_hidden(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| name.starts_with('.'))
}

/// The inbox's folders out of which this process may not take something that lies there, by the first
/// part of their names, and why.
pub async fn held_folders(store: &dyn Store, folders: &Folders) -> Result<BTreeMap<String, String>> {
    let inbox = format!("{}/", folders.inbox);
    let (mut held, mut after) = (BTreeMap::new(), None);
    for _ in 0..MAX_PAGES {
        let page = store.list(&inbox, after.as_deref()).await?;
        for object in page.objects {
            let top = top_folder(&object.key, &inbox);
            // A sticky folder lets out some files and not others, so each is asked for until one is held.
            if !held.contains_key(&top)
                && let Some(why) = store.delete_hindrance(&object.key).await?
            {
                held.insert(top, why);
            }
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    Ok(held)
}

/// The inbox's own folder that a key lies in, or the inbox.
pub(crate) fn top_folder(key: &str, inbox: &str) -> String {
    match key.strip_prefix(inbox).and_then(|path| path.split_once('/')) {
        Some((top, _)) => format!("{inbox}{top}/"),
        None => inbox.to_owned(),
    }
}
