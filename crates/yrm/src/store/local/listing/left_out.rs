//! What a listing leaves out, and telling that once: uploaders decide how much of it there is.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use rustix::fs::FileType;

/// Prefixes of which it is remembered what was said; beyond them everything is said anew.
const MAX_REMEMBERED: usize = 1_000;

/// What was left out, by kind: how often, and the first of them.
#[derive(Debug, Clone, Default)]
pub(super) struct LeftOut(BTreeMap<&'static str, (u64, String)>);

impl LeftOut {
    /// Counts one more. `what` is the kind, in the plural.
    pub(super) fn count(&mut self, what: &'static str, key: impl FnOnce() -> String) {
        self.0.entry(what).or_insert_with(|| (0, key())).0 += 1;
    }

    /// How many of each kind. Which of them comes first may differ from listing to listing.
    fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.0.iter().map(|(what, (count, _))| (*what, *count)).collect()
    }

    /// For people: `5000 symbolic links (the first: "inbox/a")`.
    fn describe(&self) -> String {
        let mut text = String::new();
        for (what, (count, first)) in &self.0 {
            let gap = if text.is_empty() { "" } else { ", " };
            write!(text, "{gap}{count} {what} (the first: {first:?})").expect("a String takes any text");
        }
        text
    }
}

/// What a special file is called, in the plural.
pub(super) fn kind_name(kind: FileType) -> &'static str {
    match kind {
        FileType::Symlink => "symbolic links",
        FileType::Fifo => "pipes",
        FileType::Socket => "sockets",
        FileType::CharacterDevice | FileType::BlockDevice => "devices",
        FileType::RegularFile | FileType::Directory | FileType::Unknown => "special files",
    }
}

/// What was said last of each prefix.
#[derive(Debug, Default)]
pub(super) struct Told(BTreeMap<String, BTreeMap<&'static str, u64>>);

impl Told {
    /// Says what the listing of `prefix` left out, in one line, if that is not what was said last.
    pub(super) fn tell(&mut self, prefix: &str, left_out: &LeftOut) {
        if self.is_news(prefix, left_out) {
            let hint = "yrm takes regular files only, under ordinary names; remove the others";
            tracing::warn!(prefix, hint, "left out of the listing: {}", left_out.describe());
        }
    }

    fn is_news(&mut self, prefix: &str, left_out: &LeftOut) -> bool {
        let counts = left_out.counts();
        if counts.is_empty() {
            self.0.remove(prefix);
            return false;
        }
        if self.0.get(prefix) == Some(&counts) {
            return false;
        }
        if self.0.len() >= MAX_REMEMBERED {
            self.0.clear();
        }
        self.0.insert(prefix.to_owned(), counts);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(count: u64) -> LeftOut {
        let mut left_out = LeftOut::default();
        for number in 0..count {
            left_out.count("symbolic links", || format!("inbox/{number}"));
        }
        left_out
    }

    #[test]
    fn the_same_again_is_no_news_and_more_or_fewer_are() {
        let mut told = Told::default();
        let news = [0, 2, 2, 3, 3, 2, 0, 2].map(|count| told.is_news("inbox/", &links(count)));
        assert_eq!(news, [false, true, false, true, false, true, false, true]);
        assert!(told.is_news("inbox/el9/", &links(2)), "another listing");
        assert_eq!(links(2).describe(), "2 symbolic links (the first: \"inbox/0\")");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut told = Told::default();
        for number in 0..3 * MAX_REMEMBERED {
            told.is_news(&format!("inbox/{number}/"), &links(1));
            assert!(told.0.len() <= MAX_REMEMBERED);
        }
    }
}
