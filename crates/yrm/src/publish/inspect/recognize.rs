//! Which packages that are signed here are published already, signed otherwise: by the key before this
//! one, by a key whose signatures are never the same twice, or not at all. Bytes under a path never change,
//! so such a package is there already. Reads headers of published packages; never writes.

use rpmmd::checksum::Sha256;
use rpmmd::header::{HeaderFile, Parsed};

use super::again::read_header;
use super::read::Inspector;
use super::signed::is_ours;
use crate::bucket::catalog::Entry;
use crate::bucket::inbox::Dropped;
use crate::bucket::keeping::FolderRules;
use crate::bucket::state::State;
use crate::bucket::verdict::{Candidate, Signed};
use crate::config::OnConflict;
use crate::error::Result;
use crate::publish::pass::{Pass, Work};
use crate::publish::plan::rivals;
use crate::publish::settlement::Settlement;
use crate::store::key::Key;
use crate::store::{ETag, Object};

/// Notes of each candidate that is signed here which published package is the same but for its
/// signatures.
pub(crate) async fn recognize(
    work: Work<'_>,
    state: &State,
    mut candidates: Vec<Candidate>,
    settlement: &mut Settlement,
) -> Vec<Candidate> {
    for candidate in &mut candidates {
        candidate.same_as = None;
    }
    let mut unread = Vec::new();
    for (at, entry) in rivals(&state.catalog, &candidates) {
        let candidate = &candidates[at];
        // A promotion wants a package at another path, and says so when that cannot be.
        let (Some(signed), true) = (&candidate.signed, candidate.dropped.is_in_inbox(&work.bucket.policy.folders))
        else {
            continue;
        };
        let entry = state.catalog.entries.get(entry);
        // What would not be let into its folder is not what was asked for there.
        if candidate.standings.iter().any(|standing| standing.outranks && standing.href == entry.href) {
            continue;
        }
        match is_same(work, signed, &entry).await {
            Ok(true) => candidates[at].same_as = Some(entry.href.into_owned()),
            Ok(false) => {}
            Err(error) => unread.push((at, error)),
        }
    }
    settlement.leave_out(&mut candidates, unread);
    candidates
}

/// Whether what is published there is the same package. Where the newest upload is to replace others,
/// it is only if our first key has signed it: uploading it again is how it gets that signature.
async fn is_same(work: Work<'_>, signed: &Signed, entry: &Entry<'_>) -> Result<bool> {
    let Work { bucket, repository, pass: Pass { run, .. }, .. } = work;
    let rules = FolderRules { gate: &bucket.gate, repository };
    let replaces = rules.on_conflict(&entry.href, bucket.policy.on_conflict) == OnConflict::Replace;
    if signed.uploaded == entry.pkgid() {
        return Ok(!replaces);
    }
    let key = bucket.path(Key::Package { repository, href: &entry.href });
    let object = Object {
        key,
        etag: ETag::new(entry.etag.as_ref()),
        size_bytes: entry.size_bytes,
        modified: entry.first_published(),
        since: entry.first_published(),
        sha256: Some(entry.pkgid()),
        user: std::collections::BTreeMap::new(),
    };
    let dropped = Dropped { path: entry.href.to_string(), object };
    let inspector = Inspector::new(bucket.clone(), run.started).of_published();
    let Some(prefix) = read_header(&inspector, &dropped).await? else { return Ok(false) };
    let Ok(Parsed::Ready(file)) = HeaderFile::parse_prefix(&prefix) else { return Ok(false) };
    let is_it = Sha256::of(file.main.as_bytes()) == signed.main_header;
    let ours = || bucket.signer.as_ref().is_some_and(|signer| is_ours(&file, signer, run.started));
    Ok(is_it && (!replaces || ours()))
}
