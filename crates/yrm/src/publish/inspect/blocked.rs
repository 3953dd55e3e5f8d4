//! Keeping out what is blocked. It is looked up after the repository's state was observed, for every try of a commit: what
//! was blocked before it was taken out cannot come back by a switch that knew of neither.

use std::collections::BTreeMap;

use crate::bucket::blocks::{Blocks, Looked};
use crate::bucket::verdict::{Candidate, Reason, Rejection};
use crate::error::Result;
use crate::publish::commit::admit::Placed;
use crate::publish::pass::Work;
use crate::publish::settlement::Settlement;

/// What does not come back, where anything is about to come. What was put in place by an earlier try and purged since is
/// not there any more.
pub(crate) async fn blocks_for(
    work: Work<'_>,
    candidates: &[Candidate],
    in_place: &mut BTreeMap<String, Placed>,
) -> Result<Blocks> {
    if candidates.is_empty() {
        return Ok(Blocks::default());
    }
    let blocks = Blocks::of(work.bucket).await?;
    in_place.retain(|href, _| blocks.purge_of(work.repository, href).is_none());
    Ok(blocks)
}

/// The candidates whose SHA-256 must be known to say whether they are blocked.
pub(crate) fn undecided(work: Work<'_>, candidates: &[Candidate], blocks: &Blocks) -> Vec<usize> {
    let needs = |candidate: &Candidate| {
        let path = work.repository.path_of(&candidate.href);
        candidate.uploaded_sha256().is_none() && blocks.need_digest(&path, candidate.dropped.object.size_bytes)
    };
    (0..candidates.len()).filter(|&at| needs(&candidates[at])).collect()
}

/// Turns away what is blocked, and lets wait what would come back under a path that is being purged.
pub(crate) fn keep_out(
    work: Work<'_>,
    candidates: Vec<Candidate>,
    blocks: &Blocks,
    settlement: &mut Settlement,
) -> Vec<Candidate> {
    let repository = work.repository;
    let (mut staying, mut of_path) = (Vec::with_capacity(candidates.len()), String::new());
    for candidate in candidates {
        of_path.clear();
        of_path.push_str(&repository.path_of(&candidate.href));
        let nevra = candidate.nevra.to_string();
        let digests = [candidate.uploaded_sha256(), candidate.pkgid];
        if let Some(block) = blocks.blocking(Looked { path: &of_path, nevra: &nevra, digests }) {
            let sha256 = candidate.uploaded_sha256();
            let message = format!("{nevra} is {}", block.told());
            settlement.conflicts.push(Rejection {
                dropped: candidate.dropped,
                reason: Reason::Blocked,
                message,
                sha256,
            });
        } else if blocks.is_being_purged(repository, &candidate.href) {
            let why =
                "the package that was there is being purged; `yrm package remove --purge` or a clean-up ends that";
            settlement.wait(&candidate.dropped, why.to_owned());
        } else {
            staying.push(candidate);
        }
    }
    staying
}
