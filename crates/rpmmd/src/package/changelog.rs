//! Changelog entries as `other` shows them.

use super::Changelog;
use super::text::Cleaner;
use crate::header::Header;
use crate::tag;

/// How often entries are moved to another second in one package. Ten thousand entries would
/// take so many if all were of one second; no real changelog comes near.
const BUMPS_MAX: usize = 50_000_000;

/// The first (newest) `limit` entries of the header, oldest first.
pub(super) fn read<'a>(header: &Header<'a>, limit: Option<usize>, cleaner: &mut Cleaner) -> Vec<Changelog<'a>> {
    let (Some(times), Some(authors), Some(texts)) =
        (header.integers(tag::CHANGELOGTIME), header.texts(tag::CHANGELOGNAME), header.texts(tag::CHANGELOGTEXT))
    else {
        return Vec::new();
    };
    let entries = times.zip(authors).zip(texts).take(limit.unwrap_or(usize::MAX));
    let mut changelogs: Vec<Changelog<'a>> = entries
        .map(|((date, author), text)| Changelog {
            author: cleaner.clean(tag::CHANGELOGNAME, trim_author(author)),
            date,
            text: cleaner.clean(tag::CHANGELOGTEXT, text),
        })
        .collect();
    part_same_seconds(&mut changelogs);
    changelogs.reverse();
    changelogs
}

/// createrepo_c cuts trailing blanks, but never the first character.
fn trim_author(author: &[u8]) -> &[u8] {
    let length = author.iter().rposition(|byte| *byte != b' ').map_or(1, |last| last + 1);
    &author[..length.min(author.len())]
}

/// Gives entries of one second different dates, since yum's database dropped all but one of
/// them. Newest first: an entry of the same second as the one before pushes that one, and
/// whatever it runs into, one second up.
fn part_same_seconds(newest_first: &mut [Changelog<'_>]) {
    let mut bumps = 0;
    let mut second = 0;
    for place in 0..newest_first.len() {
        let date = newest_first[place].date;
        if date != second {
            second = date;
            continue;
        }
        for (entry, taken) in newest_first[..place].iter_mut().rev().zip(date..) {
            if entry.date != taken || bumps == BUMPS_MAX {
                break;
            }
            entry.date += 1;
            bumps += 1;
        }
    }
}
