//! What a store really does, tried out under `.yrm/probe/` at the start and by `yrm doctor`.
//!
//! Several servers accept conditions and ignore them, or refuse *after* they have overwritten: so
//! the probe never trusts an answer alone but looks at the bytes afterwards. It writes under a
//! random name and deletes what it wrote.
//!
//! A call that had no clear answer says nothing about the store: it is tried again.

use bytes::Bytes;
use futures::future::join_all;
use rpmmd::checksum::Sha256;
use rpmmd::repodata::ReadRange as _;
use serde::Serialize;

use super::body::Body;
use super::key::Key;
use super::{Abilities, Attributes, Copy, ETag, Object, Outcome, ProbeRow, PutIf, Reused, Store, Stored, settle};
use crate::config::Folders;
use crate::error::{Error, ErrorKind, Result};

/// Writers that race for one key.
const RACERS: usize = 8;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProbeReport {
    /// One row per thing tried.
    pub rows: Vec<ProbeRow>,
    /// What the rows add up to.
    pub abilities: Abilities,
}

/// A row's result: `Err` when the store refused the call itself, or (`Unavailable`) gave no clear
/// answer.
type Tried = Result<(bool, String)>;

/// Tries out what this program asks of a store. A call that the store does not have is a row that
/// is not ok; an error is returned only when plain writing and reading fail, or when it stays
/// unclear whether the store keeps a put's conditions.
pub async fn probe(store: &dyn Store) -> Result<ProbeReport> {
    let mut probe = Probe { store, id: format!("{:032x}", rand::random::<u128>()), attempt: 0 };
    let report = probe.run().await;
    probe.clean_up().await;
    report
}

/// What is tried, one row each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trial {
    PutAbsent,
    PutMatch,
    Race,
    CopyTarget,
    CopySource,
    DeleteMatch,
    CopySha256,
    JoinRanges,
    OddKeys,
}

impl Trial {
    fn name(self) -> &'static str {
        match self {
            Self::PutAbsent => "put if absent: the second is refused",
            Self::PutMatch => "put if match: a wrong ETag is refused",
            Self::Race => "put if absent: one of 8 racers wins",
            Self::CopyTarget => "copy if absent: an existing target keeps its bytes",
            Self::CopySource => "copy if match: a changed source is refused",
            Self::DeleteMatch => "delete if match: a wrong ETag deletes nothing",
            Self::CopySha256 => "copy: the store computes the SHA-256",
            Self::JoinRanges => "objects are joined from ranges of others",
            Self::OddKeys => "keys with + ~ ^ % and spaces survive",
        }
    }

    /// Whether the service refuses to work without it. All else it can do without: a call that
    /// never has a clear answer is then of no use to it.
    fn is_needed(self) -> bool {
        match self {
            Self::PutAbsent | Self::PutMatch | Self::Race => true,
            Self::CopyTarget
            | Self::CopySource
            | Self::DeleteMatch
            | Self::CopySha256
            | Self::JoinRanges
            | Self::OddKeys => false,
        }
    }
}

struct Probe<'a> {
    store: &'a dyn Store,
    id: String,
    /// Every try has names of its own: what an earlier one wrote may arrive late.
    attempt: u32,
}

impl Probe<'_> {
    async fn run(&mut self) -> Result<ProbeReport> {
        // Without this nothing else means anything.
        self.write("plain", b"plain").await?;
        let put_absent = self.row(Trial::PutAbsent).await?;
        let put_match = self.row(Trial::PutMatch).await?;
        let race = self.row(Trial::Race).await?;
        let copy_target = self.row(Trial::CopyTarget).await?;
        let copy_source = self.row(Trial::CopySource).await?;
        let delete = self.row(Trial::DeleteMatch).await?;
        let copy_sha256 = self.row(Trial::CopySha256).await?;
        let range_copy = self.row(Trial::JoinRanges).await?;
        let odd_keys = self.row(Trial::OddKeys).await?;
        let abilities = Abilities {
            conditional_put: put_absent.ok && put_match.ok && race.ok,
            conditional_copy: copy_target.ok && copy_source.ok,
            conditional_delete: delete.ok,
            copy_sha256: copy_sha256.ok,
            odd_keys: odd_keys.ok,
            range_copy: range_copy.ok,
        };
        let rows =
            vec![put_absent, put_match, race, copy_target, copy_source, delete, copy_sha256, range_copy, odd_keys];
        Ok(ProbeReport { rows, abilities })
    }

    /// Tries until the answer is clear.
    async fn row(&mut self, trial: Trial) -> Result<ProbeRow> {
        let mut doubt = None;
        for attempt in 0..settle::TRIES {
            settle::pause(self.store, attempt).await;
            self.attempt = attempt;
            match self.tried(trial).await {
                Ok((ok, seen)) => return Ok(ProbeRow { name: trial.name(), ok, seen }),
                Err(error) if error.kind() == ErrorKind::Unavailable => doubt = Some(error),
                Err(error) => return Ok(ProbeRow { name: trial.name(), ok: false, seen: error.chain() }),
            }
        }
        let doubt = doubt.expect("there is at least one try, and each that was clear has returned");
        if trial.is_needed() {
            return Err(doubt);
        }
        Ok(ProbeRow { name: trial.name(), ok: false, seen: format!("no clear answer: {}", doubt.chain()) })
    }

    async fn tried(&self, trial: Trial) -> Tried {
        match trial {
            Trial::PutAbsent => self.put_absent_twice().await,
            Trial::PutMatch => self.put_wrong_match().await,
            Trial::Race => self.race().await,
            Trial::CopyTarget => self.copy_onto_existing().await,
            Trial::CopySource => self.copy_changed_source().await,
            Trial::DeleteMatch => self.delete_wrong_match().await,
            Trial::CopySha256 => self.copy_digest().await,
            Trial::JoinRanges => self.join_ranges().await,
            Trial::OddKeys => self.odd_key().await,
        }
    }

    async fn put_absent_twice(&self) -> Tried {
        self.put("absent", b"first", PutIf::Absent).await?;
        let second = self.put("absent", b"second", PutIf::Absent).await?;
        self.judge(&second, "absent", b"first").await
    }

    async fn put_wrong_match(&self) -> Tried {
        self.write("match", b"first").await?;
        let wrong = self.put("match", b"second", PutIf::Matches(wrong_etag())).await?;
        self.judge(&wrong, "match", b"first").await
    }

    async fn race(&self) -> Tried {
        let bodies: Vec<Bytes> = (0..RACERS).map(|racer| Bytes::from(format!("racer {racer}"))).collect();
        let key = self.key("race");
        let attributes = Attributes::default();
        let puts = bodies.iter().map(|body| self.store.put(&key, body.clone(), &attributes, PutIf::Absent));
        // One whose reply was lost may be the winner.
        let outcomes = join_all(puts).await.into_iter().map(|put| known(put?)).collect::<Result<Vec<_>>>()?;
        let winners: Vec<usize> = (0..RACERS).filter(|racer| matches!(outcomes[*racer], Outcome::Done(_))).collect();
        let bytes = self.bytes("race").await?;
        let ok = matches!(winners.as_slice(), [winner] if bytes.as_ref() == Some(&bodies[*winner]));
        Ok((ok, format!("winners: {}", winners.len())))
    }

    async fn copy_onto_existing(&self) -> Tried {
        let source = self.write("copy-source", b"source").await?;
        self.write("copy-target", b"target").await?;
        let copied = self.copy(&source, "copy-target").await?;
        self.judge(&copied, "copy-target", b"target").await
    }

    async fn copy_changed_source(&self) -> Tried {
        let seen = self.write("changing", b"as it was seen").await?;
        self.write("changing", b"as it is now").await?;
        let copied = self.copy(&seen, "changed").await?;
        let made = self.bytes("changed").await?.is_some();
        let refused = matches!(copied, Outcome::Lost);
        Ok((refused && !made, format!("{}; target {}", name(&copied), if made { "made" } else { "not made" })))
    }

    async fn delete_wrong_match(&self) -> Tried {
        self.write("delete", b"kept").await?;
        let deleted = clear(self.store.delete(&self.key("delete"), &wrong_etag()).await?)?;
        self.judge(&deleted, "delete", b"kept").await
    }

    async fn copy_digest(&self) -> Tried {
        let source = self.write("digest", b"digest me").await?;
        let copied = self.copy(&source, "digested").await?;
        let Outcome::Done(Stored { sha256, .. }) = copied else { return Ok((false, name(&copied).to_owned())) };
        let ok = sha256 == Some(Sha256::of(b"digest me"));
        let seen = match sha256 {
            None => "no digest in the answer".to_owned(),
            Some(_) if ok => "the same as computed here".to_owned(),
            Some(other) => format!("another than computed here: {other}"),
        };
        Ok((ok, seen))
    }

    async fn join_ranges(&self) -> Tried {
        let source = self.write("whole", b"0123456789").await?;
        let reused = Reused { at: 0..4, object: &source, from: 3 };
        let body = Body::Memory(Bytes::from_static(b"3456"));
        let (key, attributes) = (self.key("part"), Attributes::default());
        let joined = clear(self.store.assemble(&key, &body, &[reused], &attributes, PutIf::Absent).await?)?;
        let read = self.bytes("part").await?;
        let sent = match &joined {
            Outcome::Done(assembled) => assembled.sent_bytes,
            Outcome::Lost | Outcome::Conflict | Outcome::Missing | Outcome::Ambiguous(_) => body.length_bytes(),
        };
        let ok = sent == 0 && read.as_deref() == Some(b"3456".as_slice());
        Ok((ok, format!("{}; {sent} of 4 bytes sent", name(&joined))))
    }

    async fn odd_key(&self) -> Tried {
        let (first, second) = ("p+~^ %2B.rpm", "copy of p+~^ %2B.rpm");
        let source = self.write(first, b"odd").await?;
        let copied = self.copy(&source, second).await?;
        let prefix = self.key("");
        let listed = self.store.list(&prefix, None).await?;
        let is_listed = |name: &str| listed.objects.iter().any(|object| object.key == self.key(name));
        let read = self.bytes(second).await?;
        let ok = read.as_deref() == Some(b"odd".as_slice()) && is_listed(first) && is_listed(second);
        let seen = if is_listed(first) && is_listed(second) { "listed" } else { "not listed" };
        Ok((ok, format!("copy {}; {seen}", name(&copied))))
    }

    /// Refused, and the bytes are as they were.
    async fn judge<T>(&self, outcome: &Outcome<T>, name_of_key: &str, before: &'static [u8]) -> Tried {
        let kept = self.bytes(name_of_key).await?.as_deref() == Some(before);
        let refused = matches!(outcome, Outcome::Lost);
        Ok((refused && kept, format!("{}; bytes {}", name(outcome), if kept { "kept" } else { "changed" })))
    }

    fn key(&self, name: &str) -> String {
        Key::Probe { name: &format!("{}/{}/{name}", self.id, self.attempt) }.path(&Folders::default())
    }

    async fn put(&self, name: &str, bytes: &'static [u8], condition: PutIf) -> Result<Outcome<Stored>> {
        clear(self.store.put(&self.key(name), Bytes::from_static(bytes), &Attributes::default(), condition).await?)
    }

    /// Writes without a condition and looks at what is there then.
    async fn write(&self, name: &str, bytes: &'static [u8]) -> Result<Object> {
        self.put(name, bytes, PutIf::Always).await?;
        let key = self.key(name);
        let found = self.store.head(&key).await?;
        found.ok_or_else(|| {
            Error::new(ErrorKind::Corrupt, format!("probing the store with {key:?}"))
                .hint("it forgot what was just written")
        })
    }

    async fn copy(&self, source: &Object, target: &str) -> Result<Outcome<Stored>> {
        let (target, attributes) = (self.key(target), Attributes::default());
        clear(self.store.copy(Copy::of(source, &target, &attributes)).await?)
    }

    async fn bytes(&self, name: &str) -> Result<Option<Bytes>> {
        Ok(self.store.get(&self.key(name), None).await?.map(|read| read.bytes))
    }

    /// What stays behind is small, named for what it is, and harms nothing.
    async fn clean_up(&self) {
        let all = Key::Probe { name: &format!("{}/", self.id) }.path(&Folders::default());
        let Ok(page) = self.store.list(&all, None).await else { return };
        for object in page.objects {
            if let Err(error) = self.store.delete(&object.key, &object.etag).await {
                tracing::debug!(key = object.key, error = error.chain(), "a probe's object stays behind");
            }
        }
    }
}

/// An error of what nobody knows the outcome of.
fn known<T>(outcome: Outcome<T>) -> Result<Outcome<T>> {
    match outcome {
        Outcome::Ambiguous(error) => Err(error),
        Outcome::Done(_) | Outcome::Lost | Outcome::Missing | Outcome::Conflict => Ok(outcome),
    }
}

/// The same where nothing else is in flight: a conflict is with what an earlier call left.
fn clear<T>(outcome: Outcome<T>) -> Result<Outcome<T>> {
    match known(outcome)? {
        Outcome::Conflict => {
            let doing = "probing the store";
            Err(Error::new(ErrorKind::Unavailable, doing).because("it answered that another call was in flight"))
        }
        clear => Ok(clear),
    }
}

/// Looks like an ETag of S3, and is nobody's.
fn wrong_etag() -> ETag {
    ETag::new("00000000000000000000000000000000")
}

fn name<T>(outcome: &Outcome<T>) -> &'static str {
    match outcome {
        Outcome::Done(_) => "done",
        Outcome::Lost => "refused",
        Outcome::Conflict => "conflict",
        Outcome::Missing => "missing",
        Outcome::Ambiguous(_) => "no clear answer",
    }
}
