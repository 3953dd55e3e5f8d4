//! What cannot leave the inbox, told once for each of its folders.

use std::collections::BTreeMap;

use crate::bucket::Bucket;
use crate::bucket::inbox::{Dropped, MAX_NAMED, top_folder};
use crate::bucket::report::Report;
use crate::error::{Error, ErrorKind};

/// The inbox's folders out of which nothing can be taken, to be told once for all that lies in each.
#[derive(Debug)]
pub(super) struct Held {
    inbox: String,
    folders: BTreeMap<String, (usize, String)>,
}

impl Held {
    pub(super) fn of(bucket: &Bucket) -> Self {
        Self { inbox: format!("{}/", bucket.policy.folders.inbox), folders: BTreeMap::new() }
    }

    /// Leaves a file where it is.
    pub(super) fn add(&mut self, dropped: &Dropped, why: String, report: &mut Report) {
        report.wait(dropped, why.clone());
        self.folders.entry(top_folder(dropped.key(), &self.inbox)).or_insert((0, why)).0 += 1;
    }

    /// One error a folder: the first of them by name, and how many more there are.
    pub(super) fn tell(self, report: &mut Report) {
        let hint = "let the user that yrm runs as write to the folder; until then what lies there is not published";
        let more = self.folders.len().saturating_sub(MAX_NAMED);
        for (folder, (files, why)) in self.folders.into_iter().take(MAX_NAMED) {
            let doing = format!("leaving {files} files in {folder}");
            report.fault("publishing", &Error::new(ErrorKind::Denied, doing).because(why).hint(hint));
        }
        if more > 0 {
            report.fault("publishing", &Error::new(ErrorKind::Denied, format!("leaving files in {more} more folders")));
        }
    }
}
