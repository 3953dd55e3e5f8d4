//! How candidates stand to packages of the same full name in folders with other rules. Where two files have
//! one name, clients take either: so the one that is trusted less must not be beside the other, or take it
//! out. Their signatures say so; both are read. Never writes.

use super::read::Inspector;
use crate::bucket::Bucket;
use crate::bucket::gate::Demands;
use crate::bucket::inbox::Dropped;
use crate::bucket::keeping::FolderRules;
use crate::bucket::state::State;
use crate::bucket::verdict::{Candidate, Standing};
use crate::config::{Level, SignPackages};
use crate::error::Result;
use crate::publish::pass::{Pass, Work};
use crate::publish::plan::strangers;
use crate::publish::settlement::Settlement;
use crate::store::key::Key;

/// Notes of each candidate how it stands to packages of its name under other rules.
pub(crate) async fn weigh(
    work: Work<'_>,
    state: &State,
    mut candidates: Vec<Candidate>,
    settlement: &mut Settlement,
) -> Vec<Candidate> {
    let Work { bucket, pass: Pass { run, .. }, .. } = work;
    for candidate in &mut candidates {
        candidate.standings.clear();
    }
    let rules = FolderRules { gate: &bucket.gate, repository: &state.repository };
    let inspector = Inspector::new(bucket.clone(), run.started);
    let mut unread = Vec::new();
    for (at, entry) in strangers(&state.catalog, &candidates, rules) {
        match standing(bucket, (state, entry), &candidates[at], (rules, &inspector)).await {
            Ok(standing) => candidates[at].standings.push(standing),
            Err(error) => unread.push((at, error)),
        }
    }
    settlement.leave_out(&mut candidates, unread);
    candidates
}

async fn standing(
    bucket: &Bucket,
    (state, entry): (&State, usize),
    candidate: &Candidate,
    (rules, inspector): (FolderRules<'_>, &Inspector),
) -> Result<Standing> {
    let entry = state.catalog.entries.get(entry);
    let (ours, theirs) = (rules.path(&candidate.href), rules.path(&entry.href));
    let (own, other) = (rules.gate.demands(&ours), rules.gate.demands(&theirs));
    let name = candidate.nevra.name.as_str();
    let standing = |may_touch, outranks| Standing { href: entry.href.to_string(), may_touch, outranks };
    // It is judged as it was uploaded, as it would be there.
    let uploaded = (name, candidate.uploaded_sha256());
    let is_let_in = async || inspector.is_let_in(&candidate.dropped, uploaded, &theirs).await;
    if !is_signed_enough(candidate, own, other) || !is_let_in().await? {
        return Ok(standing(false, false));
    }
    if own.level != Level::Require || implies(other, own) {
        return Ok(standing(true, false));
    }
    let key = bucket.path(Key::Package { repository: &state.repository, href: &entry.href });
    let is_let_in = match bucket.store.head(&key).await? {
        Some(object) => {
            let published = Dropped { path: entry.href.to_string(), object };
            inspector.is_let_in(&published, (name, Some(entry.pkgid())), &ours).await?
        }
        None => false,
    };
    Ok(standing(true, !is_let_in))
}

/// Whether a candidate has, or needs, no less of our own signature than packages of the other folder.
fn is_signed_enough(candidate: &Candidate, own: Demands<'_>, other: Demands<'_>) -> bool {
    let asks_the_same = own.sign == other.sign && own.only() == other.only();
    other.sign == SignPackages::Off || candidate.signed.is_some() || own.sign > other.sign || asks_the_same
}

/// Whether what one folder lets in the other does too. What is signed here tells no more who had signed it.
fn implies(one: Demands<'_>, other: Demands<'_>) -> bool {
    let is_among = match (one.only(), other.only()) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(one), Some(other)) => one.iter().all(|key| other.contains(key)),
    };
    one.sign != SignPackages::Off && one.level == Level::Require && is_among
}
