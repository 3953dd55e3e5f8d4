//! Reading what was uploaded: ranged reads of the header, and a verdict. Never writes.
//!
//! A hostile file costs at most the header limit in bytes; payloads are read only where the
//! store cannot supply the SHA-256.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use futures::TryFutureExt as _;
use md5::{Digest as _, Md5};
use rpmmd::checksum::{Sha256, Sha256Stream};
use rpmmd::header::{HeaderFile, Parsed};
use rpmmd::package::MAX_PACKAGE_MEMORY_BYTES;
use rpmmd::tag;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};

use super::check::Check;
use super::describe::{File, Stop, check_digests, describe, refuse};
use super::signed::{Draft, Sketch, Terms};
use crate::bucket::inbox::{Dropped, HIDDEN_WAITS, is_hidden};
use crate::bucket::verdict::{Candidate, Reason, Rejection, Verdict};
use crate::bucket::{Bucket, HASH_PIECE_BYTES, aside};
use crate::config::{Level, SignPackages};
use crate::error::{Error, ErrorKind, Result};
use crate::openpgp::keyring::Keyring;
use crate::publish::abilities::abilities;
use crate::publish::clock;
use crate::store::key::{self, Key, RepositoryDir};

/// Enough for the headers of nine packages in ten.
pub(super) const FIRST_GUESS_BYTES: u64 = 64 << 10;
/// Times the reader may ask for more before the file is called hostile.
pub(super) const MAX_HEADER_READS: usize = 8;
/// How long a file in a directory may look unfinished before it is judged: it may still be
/// being copied in.
const SETTLE: jiff::SignedDuration = jiff::SignedDuration::from_secs(10);
/// The same for a file that begins as an RPM and ends too early.
const SETTLE_CUT: jiff::SignedDuration = jiff::SignedDuration::from_secs(30);

/// A file up to this length is read when its turn comes: thousands of such are an ordinary upload.
const SHORT_BYTES: u64 = 16 << 20;
/// Bytes of longer files that are read while others wait.
const READ_AT_ONCE_BYTES: u64 = 1 << 30;

/// Bytes of one header read at a time.
const HEADER_PIECE_BYTES: u64 = 4 << 20;
/// Bytes that a header takes in memory for each of its own, at worst, while it is described:
/// short dependencies grow most.
const GROWTH: u64 = 80;
/// Bytes of packages with long headers in memory at once: five that take what one may take.
const ROOM_BYTES: u64 = 320 << 20;
/// What the room is counted in.
const ROOM_UNIT_BYTES: u64 = 64 << 10;

/// Why a file waits that looks as if it were still being written.
const UNFINISHED: &str = "it may still be being copied into the inbox";

/// The keys once they were read, or why they could not be.
type Keys = OnceCell<Result<Arc<Keyring>, String>>;

/// Reads files of one bucket.
#[derive(Debug, Clone)]
pub struct Inspector {
    bucket: Bucket,
    now: jiff::Timestamp,
    room: Arc<Semaphore>,
    /// Bytes of long files that may still be read; `None` where all may.
    at_once: Option<Arc<AtomicU64>>,
    /// Read when something asks for them; `None` where what is published already is looked at.
    keyring: Option<Arc<Keys>>,
}

/// A file from its start to the end of its header, and its share of the room.
pub(super) struct Prefix {
    pub(super) bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

/// What is learnt from a file's bytes as they go by.
struct Passing {
    all: Sha256Stream,
    payload: Sha256Stream,
    /// Of header and payload, where the signature header has one to compare it with.
    md5: Option<Md5>,
    asked: Asked,
}

/// What wants to see a file's bytes.
#[derive(Default)]
pub(super) struct Asked {
    check: Option<Check>,
    draft: Option<Draft>,
}

impl Passing {
    /// With the next piece, whose main header and payload begin at these places.
    fn with(mut self, piece: &[u8], [content_from, payload_from]: [usize; 2]) -> Self {
        let payload = &piece[payload_from..];
        self.all.update(piece);
        self.payload.update(payload);
        if let Some(md5) = &mut self.md5 {
            md5.update(&piece[content_from..]);
        }
        if let Some(check) = &mut self.asked.check {
            check.update(payload);
        }
        if let Some(draft) = &mut self.asked.draft {
            draft.update(&piece[content_from..], payload);
        }
        self
    }
}

impl Inspector {
    /// Of `bucket`. `now` is when the run started: it tells a young file from an old one, and
    /// whether a key is valid.
    pub fn new(bucket: Bucket, now: jiff::Timestamp) -> Self {
        let room = usize::try_from(ROOM_BYTES / ROOM_UNIT_BYTES).expect("a few thousand");
        Self { bucket, now, room: Arc::new(Semaphore::new(room)), at_once: None, keyring: Some(Arc::default()) }
    }

    /// The same for many files, of which those that take long to read are put off ([`Verdict::Long`]).
    #[must_use]
    pub fn putting_off(self) -> Self {
        Self { at_once: Some(Arc::new(AtomicU64::new(READ_AT_ONCE_BYTES))), ..self }
    }

    /// The same for what lies under `repo/`: nobody is asked who signed it, or whether its name is
    /// for its folder. Whoever writes there could as well write the metadata.
    #[must_use]
    pub fn of_published(self) -> Self {
        Self { keyring: None, ..self }
    }

    /// A share of the room for a package with `bytes` of headers; short ones need none.
    async fn room_for(&self, bytes: u64) -> Result<Option<OwnedSemaphorePermit>> {
        if bytes <= FIRST_GUESS_BYTES {
            return Ok(None);
        }
        let bytes = bytes.saturating_mul(GROWTH).min(MAX_PACKAGE_MEMORY_BYTES);
        let units = u32::try_from(bytes / ROOM_UNIT_BYTES).expect("a few thousand");
        let room = Arc::clone(&self.room).acquire_many_owned(units).await;
        room.map(Some).map_err(|source| Error::new(ErrorKind::Internal, "waiting for memory").because(source))
    }

    /// The verdict on one file. An error means that the store failed, not the file.
    pub async fn inspect(&self, dropped: Dropped) -> Result<Verdict> {
        match self.candidate(&dropped).await {
            Ok(mut candidate) => {
                let look_alike =
                    self.keyring.as_ref().and_then(|_| self.bucket.gate.look_alike(&candidate.dropped.path));
                candidate.signing.remarks.extend(look_alike);
                Ok(Verdict::Accept(Box::new(candidate)))
            }
            Err(Stop::Gone) => Ok(Verdict::Gone),
            Err(Stop::Long) => Ok(Verdict::Long(dropped)),
            Err(Stop::Wait(why)) => Ok(Verdict::Wait { dropped, why }),
            Err(Stop::Held(why)) => Ok(Verdict::Held { dropped, why }),
            Err(Stop::Reject(reason, _)) if self.may_be_unfinished(reason, &dropped) => {
                Ok(Verdict::Wait { dropped, why: UNFINISHED.to_owned() })
            }
            Err(Stop::Reject(reason, message)) => {
                Ok(Verdict::Reject(Rejection { dropped, reason, message, sha256: None }))
            }
            Err(Stop::Fault(error)) => Err(error),
        }
    }

    async fn candidate(&self, dropped: &Dropped) -> Result<Candidate, Stop> {
        if dropped.is_in_inbox(&self.bucket.policy.folders)
            && let Some(why) = self.bucket.store.delete_hindrance(dropped.key()).await?
        {
            return Err(Stop::Held(format!("yrm may not take it out of the inbox: {why}")));
        }
        if dropped.object.size_bytes == 0 {
            return Err(Stop::Reject(Reason::Empty, "the file has no bytes".to_owned()));
        }
        if self.may_be_hidden_for_now(dropped).await? {
            // rsync's way: a hidden name until the file is complete.
            return Err(Stop::Wait(
                "a hidden name is an upload in progress; rename the file when it is complete".to_owned(),
            ));
        }
        let (repository, href) = self.place(dropped)?;
        let prefix = self.read_header(dropped).await?;
        let file = File { dropped, prefix: &prefix.bytes, size_bytes: dropped.object.size_bytes };
        let mut candidate = describe(file, repository, &href)?;
        if self.keyring.is_some() {
            check_digests(&prefix.bytes)?;
        }
        self.may_be_read(dropped, &prefix.bytes).await?;
        let mut check = self.check(dropped, &candidate, &prefix.bytes).await?;
        if let Some(hopeless) = check.take_if(|check| check.is_hopeless()) {
            // Nobody's 20 GiB are read to say that they are not signed.
            let finished = hopeless.finish(false);
            candidate.signing = finished.map_err(|(reason, message)| Stop::Reject(reason, message))?;
        }
        let draft = self.draft(dropped, &prefix.bytes).await?;
        let reads = draft.is_some() || check.as_ref().is_some_and(Check::reads_payload);
        let mut asked = Asked { check, draft };
        // What is published already is not copied, so no copy tells its SHA-256.
        if reads || self.keyring.is_none() || !abilities(&self.bucket).await?.copy_sha256 {
            let sha256;
            (sha256, asked) = self.digest(dropped, &prefix.bytes, asked).await?;
            candidate.pkgid = Some(sha256);
        }
        if let Some(check) = asked.check {
            let finished = check.finish(candidate.pkgid.is_some());
            candidate.signing = finished.map_err(|(reason, message)| Stop::Reject(reason, message))?;
        }
        // Judged as it came, and published with our signature.
        let finished = asked.draft.zip(candidate.pkgid).map(|(draft, uploaded)| draft.finish(uploaded)).transpose();
        let finished = finished.map_err(|(reason, message)| Stop::Reject(reason, message))?;
        let Some((signed, pkgid)) = finished.flatten() else { return Ok(candidate) };
        let candidate = Candidate { pkgid: Some(pkgid), signed: Some(signed), ..candidate };
        let prefix = published_prefix(&candidate, &prefix.bytes);
        let file = File { dropped, prefix: &prefix, size_bytes: candidate.size_bytes() };
        let Candidate { fragments, .. } = describe(file, candidate.repository.clone(), &href)?;
        Ok(Candidate { fragments, ..candidate })
    }

    /// Whether all of the file may be read now, if that will be wanted.
    async fn may_be_read(&self, dropped: &Dropped, prefix: &[u8]) -> Result<(), Stop> {
        let demands = self.bucket.gate.demands(&dropped.path);
        let is_asked = self.keyring.is_some() && (demands.level != Level::Off || demands.sign != SignPackages::Off);
        if !is_asked && abilities(&self.bucket).await?.copy_sha256 {
            return Ok(());
        }
        // Where no tag says how long it is, only its age tells whether it is complete.
        let says_length = || matches!(HeaderFile::parse_prefix(prefix), Ok(Parsed::Ready(file)) if file.expected_file_bytes().is_some());
        if dropped.is_in_inbox(&self.bucket.policy.folders) && self.is_younger(dropped, SETTLE_CUT) && !says_length() {
            return Err(Stop::Wait(UNFINISHED.to_owned()));
        }
        let size_bytes = dropped.object.size_bytes;
        let Some(at_once) = self.at_once.as_ref().filter(|_| size_bytes > SHORT_BYTES) else { return Ok(()) };
        let spent = at_once.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(size_bytes));
        spent.map(drop).map_err(|_| Stop::Long)
    }

    /// Whether a file's hidden name says that it is not complete: in a directory, for a day.
    async fn may_be_hidden_for_now(&self, dropped: &Dropped) -> Result<bool> {
        if !is_hidden(&dropped.path) || self.bucket.store.uploads_are_atomic() {
            return Ok(false);
        }
        let is_young = |now: jiff::Timestamp| now.duration_since(dropped.modified()) < HIDDEN_WAITS;
        // The local clock may be ahead.
        Ok(is_young(self.now) || is_young(clock::now(&self.bucket).await?))
    }

    /// A signature in the making for a file of a folder whose packages are signed here; `None` where the
    /// one that it has is enough.
    async fn draft(&self, dropped: &Dropped, prefix: &Bytes) -> Result<Option<Draft>, Stop> {
        let demands = self.bucket.gate.demands(&dropped.path);
        if self.keyring.is_none() || demands.sign == SignPackages::Off {
            return Ok(None);
        }
        let Some(signer) = self.bucket.signer.clone() else {
            let error = Error::new(ErrorKind::Config, format!("signing {}", dropped.key()));
            return Err(Stop::Fault(error.because("there is no signing key").hint("name one in signing-key")));
        };
        let keyring = match demands.sign {
            SignPackages::Missing => self.keys().await?,
            SignPackages::Always | SignPackages::Off => None,
        };
        let terms = Terms::new(Arc::clone(&signer), demands, keyring, self.now);
        let bytes = prefix.clone();
        let begun = aside("signing a package", move || match HeaderFile::parse_prefix(&bytes) {
            Ok(Parsed::Ready(file)) => Sketch::begin(&file, &terms),
            Ok(Parsed::Needs(_)) | Err(_) => {
                Err(Error::new(ErrorKind::Internal, "signing a file whose header was not read"))
            }
        });
        let refuse = |(reason, message)| Stop::Reject(reason, message);
        let Some(sketch) = begun.await??.map_err(refuse)? else { return Ok(None) };
        sketch.finish(&signer, prefix).await?.map(Some).map_err(refuse)
    }

    /// The keys that packages may be signed with; `None` where nobody asks.
    async fn keys(&self) -> Result<Option<Arc<Keyring>>, Stop> {
        let Some(keyring) = &self.keyring else { return Ok(None) };
        let mut failed = None;
        let read = async { self.bucket.gate.keyring(self.bucket.store.as_ref()).await };
        let keys = keyring.get_or_init(|| read.map_err(|error| failed.insert(error).chain())).await;
        match (keys, failed) {
            (Ok(keys), _) => Ok(Some(Arc::clone(keys))),
            // Said once, and not asked again for every file of the batch.
            (Err(_), Some(error)) => Err(Stop::Fault(error)),
            (Err(why), None) => Err(Stop::Wait(why.clone())),
        }
    }

    /// Asks what the rules of its folder demand, but for what only its payload can tell. `None`
    /// where nobody asks who signed it.
    async fn check(&self, dropped: &Dropped, candidate: &Candidate, prefix: &Bytes) -> Result<Option<Check>, Stop> {
        if self.keyring.is_none() {
            return Ok(None);
        }
        let demands = self.bucket.gate.demands(&dropped.path);
        demands.check_name(&candidate.nevra.name).map_err(|(reason, message)| Stop::Reject(reason, message))?;
        let level = demands.level;
        if level == Level::Off {
            return Ok(None);
        }
        let Some(keys) = self.keys().await? else { return Ok(None) };
        let (trust, bytes) = (demands.trust(keys, self.now), prefix.clone());
        let checked = aside("verifying signatures", move || match HeaderFile::parse_prefix(&bytes) {
            Ok(Parsed::Ready(file)) => Some(Check::begin(&file, level, trust)),
            Ok(Parsed::Needs(_)) | Err(_) => None,
        });
        let unread = || Error::new(ErrorKind::Internal, "verifying a file whose header was not read");
        Ok(Some(checked.await?.ok_or_else(unread)?))
    }

    /// Whether a package with the digest and name given would be let into the folder of `path`, by what the
    /// rules there ask of signatures and names. One that is gone or was replaced would not.
    pub(crate) async fn is_let_in(
        &self,
        dropped: &Dropped,
        (name, pkgid): (&str, Option<Sha256>),
        path: &str,
    ) -> Result<bool> {
        let demands = self.bucket.gate.demands(path);
        if demands.check_name(name).is_err() {
            return Ok(false);
        }
        if demands.level != Level::Require {
            return Ok(true);
        }
        let doing = || format!("verifying {} by the rules for {path}", dropped.key());
        let keys = match self.keys().await {
            Ok(Some(keys)) => keys,
            Ok(None) => return Ok(true),
            Err(Stop::Fault(error)) => return Err(error),
            Err(Stop::Wait(why) | Stop::Held(why) | Stop::Reject(_, why)) => {
                return Err(Error::new(ErrorKind::Unavailable, doing()).because(why));
            }
            Err(Stop::Gone | Stop::Long) => return Err(Error::new(ErrorKind::Unavailable, doing())),
        };
        let judged = async {
            let prefix = self.read_header(dropped).await?;
            let (trust, bytes) = (demands.trust(keys, self.now), prefix.bytes.clone());
            let begun = aside("verifying signatures", move || match HeaderFile::parse_prefix(&bytes) {
                Ok(Parsed::Ready(file)) => Some(Check::begin(&file, Level::Require, trust)),
                Ok(Parsed::Needs(_)) | Err(_) => None,
            });
            let Some(check) = begun.await?.filter(|check| !check.is_hopeless()) else { return Ok(false) };
            let asked = Asked { check: Some(check), draft: None };
            let (sha256, asked) = self.digest(dropped, &prefix.bytes, asked).await?;
            // What was judged before is what is published, and nothing that took its place since.
            let is_it = pkgid == Some(sha256);
            Ok(is_it && asked.check.is_some_and(|check| check.finish(true).is_ok()))
        };
        match judged.await {
            Ok(is_let_in) => Ok(is_let_in),
            Err(Stop::Fault(error)) => Err(error),
            Err(Stop::Gone | Stop::Long | Stop::Wait(_) | Stop::Held(_) | Stop::Reject(..)) => Ok(false),
        }
    }

    /// The repository and the href for the key, if the key can be a path, and the file is not too large.
    pub(super) fn place(&self, dropped: &Dropped) -> Result<(RepositoryDir, String), Stop> {
        let path = dropped.path.as_str();
        let bad = |what: &str| Stop::Reject(Reason::BadKey, what.to_owned());
        if !key::is_plain_path(path) {
            return Err(bad("the key has an empty, `.` or `..` part, or a control character"));
        }
        if path.split('/').any(|part| matches!(part, "repodata" | ".yrm")) {
            return Err(bad("`repodata` and `.yrm` are names that the repository itself uses"));
        }
        if !key::is_publishable_path(path) {
            return Err(bad(
                "the key has a hidden name, a backslash, a folder named *.rpm, or a code point that XML lacks",
            ));
        }
        if let Some(folder) = self.bucket.policy.folders.apart(path) {
            return Err(bad(&format!("the repository is the bucket's root, and `{folder}` is a folder of yrm there")));
        }
        let Some((repository, href)) = self.bucket.locator.locate(path) else {
            let message = format!("{path} lies in no folder that is a repository");
            return Err(Stop::Reject(Reason::NoRepository, message));
        };
        if !self.fits(&repository, href) {
            return Err(bad("the key is too long to be published"));
        }
        let mirrored = self.bucket.mirror_rules.is_on(&repository);
        if mirrored && href.split('/').next() == Some(key::MIRRORLIST) {
            return Err(bad("`mirrorlist` is a name that the repository itself uses"));
        }
        if key::longest_of(&self.bucket.policy.folders, &repository, mirrored) > key::MAX_KEY_BYTES {
            return Err(bad("the folder's name is too long for a repository"));
        }
        let (size, limit) = (dropped.object.size_bytes, self.bucket.policy.max_package_bytes);
        if size > limit {
            return Err(Stop::Reject(Reason::TooLarge, format!("{size} bytes, and the limit is {limit}")));
        }
        let href = href.to_owned();
        Ok((repository, href))
    }

    /// Whether a package can have this path: the key and its last part are not too long.
    pub(super) fn fits(&self, repository: &RepositoryDir, href: &str) -> bool {
        let target = Key::Package { repository, href }.path(&self.bucket.policy.folders);
        target.len() <= key::MAX_KEY_BYTES
    }

    /// The file from its start to the end of its header.
    pub(super) async fn read_header(&self, dropped: &Dropped) -> Result<Prefix, Stop> {
        let mut have = BytesMut::new();
        let mut room = None;
        let mut want = FIRST_GUESS_BYTES.min(dropped.object.size_bytes);
        for _ in 0..MAX_HEADER_READS {
            while (have.len() as u64) < want {
                let start = have.len() as u64;
                let piece = self.read(dropped, start..want.min(start + HEADER_PIECE_BYTES)).await?;
                if piece.is_empty() {
                    return Err(Stop::Reject(Reason::Empty, "the file has no bytes".to_owned()));
                }
                have.extend_from_slice(&piece);
            }
            match HeaderFile::parse_prefix(&have) {
                Ok(Parsed::Ready(_)) => return Ok(Prefix { bytes: have.freeze(), _room: room }),
                Ok(Parsed::Needs(bytes)) if bytes > dropped.object.size_bytes => {
                    let size = dropped.object.size_bytes;
                    let message = format!("its headers end at byte {bytes}, and the file has {size}");
                    return Err(Stop::Reject(Reason::Truncated, message));
                }
                Ok(Parsed::Needs(bytes)) => {
                    want = bytes;
                    // Given back first: two that each wait for more while they hold some would wait for ever.
                    drop(room.take());
                    room = self.room_for(bytes).await?;
                }
                Err(error) => return Err(refuse(&error)),
            }
        }
        Err(Stop::Reject(Reason::HeaderInvalid, "its header has no end".to_owned()))
    }

    /// The SHA-256 of the whole file, and a check of the payload on the way.
    pub(super) async fn digest(
        &self,
        dropped: &Dropped,
        prefix: &Bytes,
        asked: Asked,
    ) -> Result<(Sha256, Asked), Stop> {
        let whole = HeaderFile::parse_prefix(prefix).map_err(|error| refuse(&error))?;
        let Parsed::Ready(file) = whole else {
            return Err(Stop::Fault(Error::new(ErrorKind::Internal, "hashing a file whose header was not read")));
        };
        // Of what is published already its makers knew; an upload has to be whole for rpm, too.
        let stated_md5 = file.signature.bytes(tag::signature::MD5).filter(|_| self.keyring.is_some());
        let md5 = stated_md5.map(|_| Md5::new());
        let mut passing = Passing { all: Sha256Stream::default(), payload: Sha256Stream::default(), md5, asked };
        let mut at = 0;
        while at < dropped.object.size_bytes {
            let end = (at + HASH_PIECE_BYTES).min(dropped.object.size_bytes);
            let _piece = self.bucket.piece(end - at).await?;
            // A small file was read whole with its header.
            let is_read = prefix.len() as u64 == dropped.object.size_bytes;
            let piece = if is_read { prefix.clone() } else { self.read(dropped, at..end).await? };
            if piece.is_empty() {
                return Err(Stop::Wait("it changed while it was being read".to_owned()));
            }
            // What was verified and described is what is hashed, and so what is published.
            let seen = usize::try_from(at).ok().and_then(|at| prefix.get(at..)).unwrap_or_default();
            if seen.iter().zip(&piece).any(|(seen, read)| seen != read) {
                return Err(Stop::Wait("it changed while it was being read".to_owned()));
            }
            let within = |place: u64| usize::try_from(place.saturating_sub(at)).unwrap_or(usize::MAX).min(piece.len());
            let begin = [within(file.header_start), within(file.header_end)];
            at += piece.len() as u64;
            passing = aside("hashing a package", move || passing.with(&piece, begin)).await?;
        }
        let Passing { all, payload, md5, asked } = passing;
        let mismatch = |message: &str| Err(Stop::Reject(Reason::DigestMismatch, message.to_owned()));
        if file.payload_sha256().is_some_and(|stated| stated != payload.finish()) {
            return mismatch("its payload does not match its payload digest");
        }
        if md5.is_some_and(|md5| Some(md5.finalize().as_slice()) != stated_md5) {
            return mismatch("its header and payload do not match the MD5 in its signature header");
        }
        Ok((all.finish(), asked))
    }

    /// A piece of the file, as long as it is the file that was listed.
    async fn read(&self, dropped: &Dropped, range: std::ops::Range<u64>) -> Result<Bytes, Stop> {
        match self.bucket.store.get(dropped.key(), Some(range)).await? {
            None => Err(Stop::Gone),
            Some(read) if read.object.etag != *dropped.etag() => {
                Err(Stop::Wait("it changed while it was being read".to_owned()))
            }
            Some(read) => Ok(read.bytes),
        }
    }

    /// In a directory a file appears before it is complete, and may get its name (`d.rpm.part`)
    /// only then.
    fn may_be_unfinished(&self, reason: Reason, dropped: &Dropped) -> bool {
        let settle = match reason {
            // Just what an upload looks like that waits for its network.
            Reason::Truncated => SETTLE_CUT,
            Reason::Empty
            | Reason::NotRpm
            | Reason::HeaderLimit
            | Reason::HeaderInvalid
            | Reason::DigestMismatch
            | Reason::BadKey => SETTLE,
            Reason::Unsigned
            | Reason::UnknownKey
            | Reason::BadSignature
            | Reason::WeakAlgorithm
            | Reason::KeyExpired
            | Reason::NoRepository
            | Reason::Conflict
            | Reason::Blocked
            | Reason::TooLarge
            | Reason::PolicyName
            | Reason::Unsupported => {
                return false;
            }
        };
        self.is_younger(dropped, settle)
    }

    /// Whether it may still be written to: in a directory, and so young.
    fn is_younger(&self, dropped: &Dropped, settle: jiff::SignedDuration) -> bool {
        !self.bucket.store.uploads_are_atomic() && self.now.duration_since(dropped.modified()).abs() < settle
    }
}

/// The first bytes of the file that is published for this candidate, given those of the one that came.
pub(super) fn published_prefix(candidate: &Candidate, prefix: &Bytes) -> Bytes {
    let Some(signed) = &candidate.signed else { return prefix.clone() };
    let from = usize::try_from(signed.from).unwrap_or(usize::MAX).min(prefix.len());
    [&signed.start[..], &prefix[from..]].concat().into()
}
