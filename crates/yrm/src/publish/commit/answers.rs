//! Answering for a commit, and emptying the inbox of what is published.

use futures::StreamExt as _;

use super::admit::way_of;
use super::place::entry_of;
use super::prepare::Prepared;
use super::tidy;
use crate::bucket::Bucket;
use crate::bucket::catalog::{Entries, Entry};
use crate::bucket::inbox::Dropped;
use crate::bucket::keeping::FolderRules;
use crate::bucket::report::{Published, TakenOut, Waiting};
use crate::config::Retention;
use crate::publish::pass::{Pass, Step};
use crate::publish::settlement::{Settlement, published};

const SECONDS_A_DAY: u64 = 24 * 60 * 60;

/// Answers, and empties the inbox of what is published.
pub(crate) async fn answer(bucket: &Bucket, pass: Pass<'_>, prepared: &Prepared, settlement: &mut Settlement) {
    let Pass { run, progress, listed, .. } = pass;
    let done = done(prepared);
    let answers: Vec<_> =
        done.iter()
            .map(|(dropped, published)| async move {
                (published, tidy::published(bucket, dropped, published, listed).await)
            })
            .collect();
    let mut answers = futures::stream::iter(answers).buffer_unordered(bucket.policy.concurrency);
    let mut count = 0;
    while let Some((published, tidied)) = answers.next().await {
        count += 1;
        progress.step(Step::Tidy, count, done.len());
        let is_news = !tidied.as_ref().is_err_and(|untidied| untidied.answered_before);
        if is_news {
            settlement.published.push(published.clone());
        }
        if let Err(tidy::Untidied { error, .. }) = tidied {
            if !is_news {
                let reason = format!("it is published; taking it out of the inbox fails: {}", error.chain());
                settlement.waiting.push(Waiting { inbox_key: published.inbox_key.clone(), reason });
            }
            tracing::warn!(run.id = %run.id, key = published.inbox_key, error = error.chain(),
                "published, but not yet taken out of the inbox; the next run does it");
            let line = format!("tidying {}: {}", published.inbox_key, error.chain());
            settlement.trouble.unfinished(&error, &line);
            settlement.errors.push(line);
        }
    }
    let Prepared { state, plan, placed, .. } = prepared;
    let entries = &state.catalog.entries;
    let told = |entry: Entry<'_>| TakenOut {
        repository: state.repository.as_str().to_owned(),
        href: entry.href.to_string(),
        nevra: entry.nevra().to_string(),
        why: None,
    };
    let left = |leaving: &[usize]| leaving.iter().map(|&at| told(entries.get(at))).collect();
    let replaced: Vec<usize> = plan.replaced(|candidate| placed.contains_key(&candidate)).collect();
    let rules = FolderRules { gate: &bucket.gate, repository: &state.repository };
    let rule_of = |entry: &Entry<'_>| bucket.pruned.at(rules, &entry.href);
    let pruned = plan.retire.iter().map(|&at| entries.get(at));
    settlement.pruned =
        pruned.map(|entry| TakenOut { why: why_pruned(rule_of(&entry), &entry), ..told(entry) }).collect();
    settlement.removed = left(&plan.remove);
    settlement.replaced = left(&replaced);
    if let Some(earlier) = &state.earlier {
        let before = &earlier.instead_of.entries;
        let leaving = prepared.leaving();
        let after = |at: usize| !leaving.contains(&at);
        let stays = |entry: &Entry<'_>| holds(entries, entry) && entries.position(&entry.href).is_some_and(after);
        settlement.removed = before.iter().filter(|entry| !stays(entry)).map(told).collect();
        settlement.restored = entries.iter().filter(|entry| stays(entry) && !holds(before, entry)).map(told).collect();
    }
}

/// Why the rule takes a package out.
fn why_pruned(rule: Option<Retention>, entry: &Entry<'_>) -> Option<String> {
    let Retention { keep_at_least, older_than } = rule?;
    let since = entry.first_published().strftime("%Y-%m-%d");
    let days = older_than.as_secs() / SECONDS_A_DAY;
    Some(format!("not among the {keep_at_least} newest; first published {since}, more than {days} days ago"))
}

/// Whether the same bytes are at the same path there.
fn holds(entries: &Entries, entry: &Entry<'_>) -> bool {
    entries.at(&entry.href).is_some_and(|there| there.pkgid() == entry.pkgid())
}

/// What clients can install of what was uploaded.
fn done(prepared: &Prepared) -> Vec<(&Dropped, Published)> {
    let Prepared { state, candidates, placed, already, .. } = prepared;
    let already = already.iter().filter_map(|&at| Some((at, entry_of(&state.catalog, &candidates[at])?)));
    let already = already.map(|(at, entry)| {
        let way = way_of(&candidates[at]);
        (at, (entry.pkgid(), way), (entry.href.into_owned(), entry.size_bytes), true)
    });
    let new = placed.iter().map(|(&at, there)| {
        (at, (there.pkgid, there.way), (candidates[at].href.clone(), candidates[at].size_bytes()), false)
    });
    already
        .chain(new)
        .map(|(at, (pkgid, way), (href, size_bytes), already_there)| {
            let published = Published { href, size_bytes, already_there, ..published(&candidates[at], pkgid, way) };
            (&candidates[at].dropped, published)
        })
        .collect()
}
