//! Going over to a new release while the service runs: looked for now and then, verified, tried,
//! and started in this one's place. Never part of a run, and nothing that fails here holds one up.
//!
//! Before anything of a new program runs, its SHA-256 is what the bucket's list says, and the list
//! is signed where a key is configured. A program that was started and came to no good run is not
//! started again (`place`).

mod place;
mod release;
mod succession;
mod trial;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use rpmmd::checksum::Sha256;

use self::place::{Draft, Place};
use self::release::{MAX_MANIFEST_BYTES, MAX_PROGRAM_BYTES, MAX_SIGNATURE_BYTES, Names};
pub use self::succession::{Staged, inherited};
use crate::config::{BucketUrl, Config, SelfUpdate};
use crate::error::{Error, ErrorKind, Result};
use crate::sched::Stop;
use crate::store::door;
use crate::store::{ETag, Store};

/// Bytes of a program that are asked for at once, and held in memory.
const PIECE_BYTES: u64 = 8 << 20;

/// Looks for releases.
#[derive(Debug)]
pub struct Watch {
    config: SelfUpdate,
    /// The bucket's root.
    root: Arc<dyn Store>,
    names: Names,
    place: Place,
    /// The program that runs.
    own: Sha256,
    /// The list that names the program that runs.
    settled: Option<ETag>,
    refused: Option<Refused>,
    /// What was last complained of.
    complaint: Option<String>,
}

/// The three objects of a release, as they were seen.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    manifest: ETag,
    program: Option<ETag>,
    signature: Option<ETag>,
}

/// What will not do until something changes.
#[derive(Debug)]
struct Refused {
    seen: Seen,
    /// Refused for the mark of this program.
    marked: Option<Sha256>,
}

/// Why a look led to nothing.
#[derive(Debug)]
enum Trouble {
    /// The release will not do as it is.
    Refused { why: String, hint: &'static str, marked: Option<Sha256> },
    /// It could not be had.
    Failed(Error),
}

impl Trouble {
    fn refused(why: impl Into<String>, hint: &'static str) -> Self {
        Self::Refused { why: why.into(), hint, marked: None }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// Whether the program that runs has proved itself.
#[derive(Debug)]
pub struct Probation {
    mark: PathBuf,
    is_on: AtomicBool,
}

/// What the configuration asks for, if it asks: the watch for releases, and the probation of the program
/// that runs. What keeps it from working is told and costs nothing but updates.
pub async fn begin(config: &Config) -> Option<(Watch, Probation)> {
    let (Some(wanted), BucketUrl::S3 { name, .. }) = (&config.service.self_update, &config.bucket) else { return None };
    match Watch::of(config, wanted, name).await {
        Ok(watch) => {
            let probation = watch.probation();
            Some((watch, probation))
        }
        Err(error) => {
            let hint = error.hint_text();
            tracing::error!(kind = error.kind().name(), hint, "new releases are not looked for: {}", error.chain());
            None
        }
    }
}

impl Watch {
    async fn of(config: &Config, wanted: &SelfUpdate, bucket: &str) -> Result<Self> {
        let place = Place::open(&wanted.folders, &config.bucket.short_name())?;
        let own = blocking(|| place::digest_of(Path::new(succession::OWN_PROGRAM)))
            .await
            .map_err(|error| Error::new(ErrorKind::Internal, "hashing the program that runs").because(error))?;
        Ok(Self {
            config: wanted.clone(),
            root: door::s3(bucket, "", &config.s3).await?,
            names: Names::of(std::env::consts::ARCH),
            place,
            own,
            settled: None,
            refused: None,
            complaint: None,
        })
    }

    fn probation(&self) -> Probation {
        let is_on = self.place.is_marked(self.own);
        if is_on {
            tracing::info!(release = %self.own, "this release is new here; its first good run will tell whether it works");
        }
        Probation { mark: self.place.mark(self.own), is_on: AtomicBool::new(is_on) }
    }

    /// Looks at once and then at every interval, until a program can take over or the stop.
    pub async fn next(&mut self, mut stop: Stop) -> Option<Staged> {
        loop {
            let looked = tokio::select! {
                biased;
                () = stop.requested() => return None,
                looked = self.look() => looked,
            };
            match looked {
                Ok(Some(staged)) => return Some(staged),
                Ok(None) => self.complaint = None,
                Err(trouble) => self.complain(&trouble),
            }
            tokio::select! {
                () = stop.requested() => return None,
                () = tokio::time::sleep(self.config.interval) => {}
            }
        }
    }

    /// One look. A release that is known costs one HEAD.
    async fn look(&mut self) -> Result<Option<Staged>, Trouble> {
        let Some(manifest) = self.root.head(&self.names.manifest).await? else { return Ok(None) };
        if self.settled.as_ref() == Some(&manifest.etag) {
            return Ok(None);
        }
        let etag = async |key| Ok::<_, Error>(self.root.head(key).await?.map(|object| object.etag));
        let seen = Seen {
            manifest: manifest.etag,
            program: etag(&self.names.program).await?,
            // Where none is asked for, none need be readable.
            signature: if self.config.key.is_some() { etag(&self.names.signature).await? } else { None },
        };
        let is_refused = |refused: &Refused| {
            refused.seen == seen && refused.marked.is_none_or(|digest| self.place.is_marked(digest))
        };
        if self.refused.as_ref().is_some_and(is_refused) {
            return Ok(None);
        }
        match self.stage().await {
            Ok(None) => {
                self.settled = Some(seen.manifest);
                self.refused = None;
                Ok(None)
            }
            Ok(Some(staged)) => Ok(Some(staged)),
            Err(trouble) => {
                if let Trouble::Refused { marked, .. } = trouble {
                    self.refused = Some(Refused { seen, marked });
                }
                Err(trouble)
            }
        }
    }

    /// Gets, verifies and tries what is released; nothing if it is what runs.
    async fn stage(&self) -> Result<Option<Staged>, Trouble> {
        let manifest = self.read(&self.names.manifest, MAX_MANIFEST_BYTES).await?;
        let digest = release::digest_in(&manifest, &self.names.program)
            .map_err(|why| Trouble::refused(why, "upload the release again with scripts/release"))?;
        if digest == self.own {
            self.place.tidy(&[self.own]);
            return Ok(None);
        }
        if self.place.is_marked(digest) {
            return Err(Trouble::Refused {
                why: format!("{digest} was started before and came to no good run"),
                hint: "look at the log for why, and release another; to have this one tried again, remove its file \
                       tried-… from the state folder",
                marked: Some(digest),
            });
        }
        if let Some(key) = &self.config.key {
            let signature = self.read(&self.names.signature, MAX_SIGNATURE_BYTES).await?;
            if !release::is_signed(key, &manifest, &signature) {
                return Err(Trouble::refused(
                    "the list of digests is not signed with the release key",
                    "release with scripts/release --sign-with, or see who may write to the bucket's root",
                ));
            }
        }
        self.place.tidy(&[self.own, digest]);
        let program = self.fetch(digest).await?;
        let version = trial::version_of(&program).await.map_err(|why| {
            self.place.tidy(&[self.own]);
            Trouble::refused(format!("{digest} will not do: {why}"), "release a program for this machine")
        })?;
        let place = self.place.clone();
        blocking(move || place.prepare_mark()).await.map_err(keeping)?;
        tracing::info!(release = %digest, version, "a new release is there; it takes over when no run is in flight");
        Ok(Some(Staged { place: self.place.clone(), program, digest, version }))
    }

    /// A small object.
    async fn read(&self, key: &str, max_bytes: u64) -> Result<Bytes, Trouble> {
        const HINT: &str = "upload the release again with scripts/release";
        let read = self.root.get(key, Some(0..max_bytes)).await?;
        let read = read.ok_or_else(|| Trouble::refused(format!("{key} is not at the bucket's root"), HINT))?;
        if read.object.size_bytes > max_bytes {
            return Err(Trouble::refused(format!("{key} is larger than {max_bytes} bytes"), HINT));
        }
        Ok(read.bytes)
    }

    /// The program with this digest, as a file.
    async fn fetch(&self, digest: Sha256) -> Result<PathBuf, Trouble> {
        let path = self.place.program(digest);
        let there = path.clone();
        if blocking(move || place::digest_of(&there)).await.is_ok_and(|found| found == digest) {
            return Ok(path);
        }
        let draft = self.download().await?;
        let found = draft.digest();
        if found != digest {
            return Err(Trouble::refused(
                format!("{} has the SHA-256 {found}, and {digest} is listed", self.names.program),
                "an upload may be under way; else upload the release again with scripts/release",
            ));
        }
        let place = self.place.clone();
        Ok(blocking(move || place.keep(draft, digest)).await.map_err(keeping)?)
    }

    /// The program's bytes, unverified and under no name that is ever started.
    async fn download(&self) -> Result<Draft, Trouble> {
        let key = &self.names.program;
        let mut draft = self.place.draft().map_err(keeping)?;
        let (mut at, mut first) = (0, None);
        loop {
            let piece = self.root.get(key, Some(at..at + PIECE_BYTES)).await?;
            let piece = piece.ok_or_else(|| Trouble::refused(format!("{key} is not there"), "release it"))?;
            let size_bytes = piece.object.size_bytes;
            if size_bytes > MAX_PROGRAM_BYTES {
                let why = format!("{key} is larger than {MAX_PROGRAM_BYTES} bytes");
                return Err(Trouble::refused(why, "release a program"));
            }
            if *first.get_or_insert_with(|| piece.object.etag.clone()) != piece.object.etag {
                return Err(Trouble::refused(format!("{key} changed while it was read"), "it is read again"));
            }
            at += piece.bytes.len() as u64;
            let is_last = at >= size_bytes || piece.bytes.is_empty();
            draft = blocking(move || draft.write(&piece.bytes).map(|()| draft)).await.map_err(keeping)?;
            if is_last {
                return Ok(draft);
            }
        }
    }

    /// Tells of trouble once. A release that is refused is not looked at again until it changes, so each refusal is news,
    /// also where the reason is the last one's; a failure that stays the same is none.
    fn complain(&mut self, trouble: &Trouble) {
        let (kind, why, hint) = match trouble {
            Trouble::Refused { why, hint, .. } => ("refused", why.clone(), Some(*hint)),
            Trouble::Failed(error) => (error.kind().name(), error.chain(), error.hint_text()),
        };
        if matches!(trouble, Trouble::Failed(_)) && self.complaint.as_ref() == Some(&why) {
            tracing::debug!(kind, "still no update: {why}");
        } else {
            tracing::warn!(kind, hint, "no update, and this release goes on: {why}");
            self.complaint = Some(why);
        }
    }
}

impl Probation {
    /// A run ended well: the program works.
    pub fn passed(&self) {
        self.end("this release works");
    }

    /// The stop was asked for before any run had ended: nothing is known of the program.
    pub fn unjudged(&self) {
        self.end("this release was stopped before its first run ended, and may be started again");
    }

    fn end(&self, why: &str) {
        if !self.is_on.swap(false, Ordering::Relaxed) {
            return;
        }
        match std::fs::remove_file(&self.mark) {
            Ok(()) => tracing::info!("{why}"),
            Err(error) => {
                let file = self.mark.display();
                tracing::warn!(%error, %file, "{why}, but its mark stays, so that it is not gone over to once more");
            }
        }
    }
}

fn keeping(source: std::io::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "keeping the new program").because(source).hint("is the disk full?")
}

/// Work that waits for the disk.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> std::io::Result<T> + Send + 'static) -> std::io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other)?
}
