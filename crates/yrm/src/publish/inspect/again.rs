//! A further look at a file that was accepted before: its digest, its header, the paths that are its own.

use bytes::Bytes;
use rpmmd::checksum::Sha256;

use super::describe::{File, Stop, describe};
use super::read::{Asked, Inspector, Prefix, published_prefix};
use crate::bucket::inbox::Dropped;
use crate::bucket::verdict::{Candidate, Rejection, Verdict};
use crate::error::Result;
use crate::store::key::RepositoryDir;

/// Learns the SHA-256 of a candidate that the store could not tell.
pub(crate) async fn learn_pkgid(inspector: &Inspector, dropped: &Dropped) -> Result<Result<Sha256, Verdict>> {
    let learned = async {
        let prefix = inspector.read_header(dropped).await?;
        inspector.digest(dropped, &prefix.bytes, Asked::default()).await.map(|(pkgid, _)| pkgid)
    };
    judged(dropped, learned.await)
}

/// A file from its start to the end of its header; `None` when it is not there as it was seen, or no package.
pub(crate) async fn read_header(inspector: &Inspector, dropped: &Dropped) -> Result<Option<Bytes>> {
    match inspector.read_header(dropped).await {
        Ok(prefix) => Ok(Some(prefix.bytes)),
        Err(Stop::Fault(error)) => Err(error),
        Err(Stop::Gone | Stop::Long | Stop::Wait(_) | Stop::Held(_) | Stop::Reject(..)) => Ok(None),
    }
}

/// Describes a published package under a path that is not the one its key has. Nobody is asked who signed it.
pub(crate) async fn describe_at(
    inspector: &Inspector,
    dropped: &Dropped,
    repository: &RepositoryDir,
    href: &str,
) -> Result<Verdict> {
    let described = async {
        let prefix = inspector.read_header(dropped).await?;
        let file = File { dropped, prefix: &prefix.bytes, size_bytes: dropped.object.size_bytes };
        describe(file, repository.clone(), href)
    };
    Ok(match judged(dropped, described.await)? {
        Ok(candidate) => Verdict::Accept(Box::new(candidate)),
        Err(verdict) => verdict,
    })
}

/// The same candidate under the paths that its bytes alone can have, one after the other: its metadata
/// may be large, and the first path will mostly do.
pub(crate) struct OwnPaths<'a> {
    candidate: &'a Candidate,
    prefix: Prefix,
    pkgid: Sha256,
    hrefs: std::vec::IntoIter<String>,
}

impl<'a> OwnPaths<'a> {
    /// Of `candidate`, whose header is read again.
    pub(crate) async fn of(inspector: &Inspector, candidate: &'a Candidate) -> Result<Result<Self, Verdict>> {
        let dropped = &candidate.dropped;
        let read = async {
            let mut prefix = inspector.read_header(dropped).await?;
            let pkgid = match candidate.pkgid {
                Some(pkgid) => pkgid,
                None => inspector.digest(dropped, &prefix.bytes, Asked::default()).await?.0,
            };
            prefix.bytes = published_prefix(candidate, &prefix.bytes);
            let hrefs = candidate.own_hrefs_of(pkgid).filter(|href| inspector.fits(&candidate.repository, href));
            let hrefs = hrefs.collect::<Vec<_>>().into_iter();
            Ok(Self { candidate, prefix, pkgid, hrefs })
        };
        judged(dropped, read.await)
    }
}

impl Iterator for OwnPaths<'_> {
    type Item = Result<Result<Candidate, Verdict>>;

    fn next(&mut self) -> Option<Self::Item> {
        let (candidate, href) = (self.candidate, self.hrefs.next()?);
        let (dropped, size_bytes) = (&candidate.dropped, candidate.size_bytes());
        let file = File { dropped, prefix: &self.prefix.bytes, size_bytes };
        let renamed = describe(file, candidate.repository.clone(), &href);
        let (signing, signed) = (candidate.signing.clone(), candidate.signed.clone());
        let renamed = renamed.map(|renamed| Candidate { pkgid: Some(self.pkgid), signing, signed, ..renamed });
        Some(judged(&candidate.dropped, renamed))
    }
}

/// What came of a further look at a file that was accepted before.
fn judged<T>(dropped: &Dropped, outcome: Result<T, Stop>) -> Result<Result<T, Verdict>> {
    Ok(match outcome {
        Ok(found) => Ok(found),
        Err(Stop::Fault(error)) => return Err(error),
        Err(Stop::Gone) => Err(Verdict::Gone),
        Err(Stop::Long) => Err(Verdict::Long(dropped.clone())),
        Err(Stop::Wait(why)) => Err(Verdict::Wait { dropped: dropped.clone(), why }),
        Err(Stop::Held(why)) => Err(Verdict::Held { dropped: dropped.clone(), why }),
        Err(Stop::Reject(reason, message)) => {
            Err(Verdict::Reject(Rejection { dropped: dropped.clone(), reason, message, sha256: None }))
        }
    })
}
