//! What the credentials may do, tried with everything that the settings say, below `.yrm/probe/`.
//!
//! AWS mostly names the right that is missing. Where it does not, the same call is tried again without one of the
//! settings: the one without which it works is the one whose right is missing.

use std::sync::Arc;

use bytes::Bytes;

use super::answer::{Answer, right_in};
use super::client::S3Store;
use super::written::Headers;
use crate::config::{Encryption, Folders, ObjectClass, Written};
use crate::error::{Error, ErrorKind, Result};
use crate::store::key::Key;
use crate::store::rights::{Right, Rights};
use crate::store::{Attributes, Copy, ETag, Outcome, PutIf, Store as _, Stored};

/// The least that S3 takes of a part that is not the last.
const FIRST_PART_BYTES: usize = 5 << 20;

/// What the second of two parts has: any length does.
const LAST_PART_BYTES: usize = 1 << 10;

impl S3Store {
    /// Tries whatever the credentials need. An error is returned only when nothing can be said: the store does not
    /// answer, there is no such bucket, nobody knows these credentials.
    pub async fn rights(&self) -> Result<Rights> {
        let mut trial =
            Trial { store: self, id: format!("{:032x}", rand::random::<u128>()), rows: Vec::new(), made: Vec::new() };
        trial.run().await?;
        Ok(Rights::of(trial.rows))
    }
}

/// A refusal, and not an error of another kind.
fn is_refusal(error: &Error) -> bool {
    error.kind() == ErrorKind::Denied && error.chain().contains("AccessDenied")
}

/// As it stands in a table.
fn told(error: &Error) -> String {
    error.hint_text().map_or_else(|| error.chain(), |hint| format!("{}: {hint}", error.chain()))
}

struct Trial<'a> {
    store: &'a S3Store,
    id: String,
    rows: Vec<Right>,
    /// What is there because of us.
    made: Vec<(String, ETag)>,
}

impl Trial<'_> {
    async fn run(&mut self) -> Result<()> {
        self.list().await?;
        let is_written = self.write().await;
        if is_written {
            self.read().await;
            self.copy().await;
        }
        self.two_parts().await;
        self.abort().await;
        self.delete().await;
        Ok(())
    }

    fn key(&self, name: &str) -> String {
        Key::Probe { name: &format!("{}/{name}", self.id) }.path(&Folders::default())
    }

    fn attributes(class: ObjectClass) -> Attributes {
        Attributes { content_type: "application/octet-stream", class: Some(class), ..Attributes::default() }
    }

    fn good(&mut self, name: &'static str, seen: impl Into<String>) {
        self.rows.push(Right { name, ok: true, seen: seen.into(), missing: None });
    }

    /// Notes what failed, and the right that `implied` says is missing where the refusal itself names none.
    fn failed(&mut self, name: &'static str, error: &Error, implied: &str) {
        if !is_refusal(error) {
            return self.rows.push(Right { name, ok: false, seen: told(error), missing: None });
        }
        let missing = right_in(&error.chain()).unwrap_or(implied).to_owned();
        self.rows.push(Right { name, ok: false, seen: format!("{missing} is missing"), missing: Some(missing) });
    }

    async fn list(&mut self) -> Result<()> {
        const NAME: &str = "list the bucket";
        match self.store.list(&self.key(""), None).await {
            Ok(_) => self.good(NAME, "allowed"),
            Err(error) if is_refusal(&error) => self.failed(NAME, &error, "s3:ListBucket"),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Writes one object of every class that the settings tell from the others.
    async fn write(&mut self) -> bool {
        const NAME: &str = "write as the settings say";
        let mut tried: Vec<Headers> = Vec::new();
        for class in ObjectClass::ALL {
            let headers = Headers::of(&self.store.written, Some(class));
            if tried.contains(&headers) {
                continue;
            }
            let key = self.key(class.name());
            match put(self.store, &key, class).await {
                Ok(stored) => self.made.push((key, stored.etag)),
                Err(error) => {
                    let named = !is_refusal(&error) || right_in(&error.chain()).is_some();
                    let implied = if named { String::new() } else { self.implied(class).await };
                    self.failed(NAME, &error, &implied);
                    return false;
                }
            }
            tried.push(headers);
        }
        self.good(NAME, said(&self.store.written));
        true
    }

    /// The right that writing lacks: without which of the settings does it work?
    async fn implied(&mut self, class: ObjectClass) -> String {
        let (store, all) = (self.store, &self.store.written);
        let by_kms = matches!(all.encryption, Some(Encryption::Kms { .. }));
        let suspects = [
            (!all.tags.is_empty(), "s3:PutObjectTagging", Written { tags: Vec::new(), ..Written::clone(all) }),
            (all.acl.is_some(), "s3:PutObjectAcl", Written { acl: None, ..Written::clone(all) }),
            (by_kms, "kms:GenerateDataKey", Written { encryption: None, ..Written::clone(all) }),
        ];
        let mut all_of_them = vec!["s3:PutObject"];
        for (applies, right, without) in suspects {
            if !applies {
                continue;
            }
            all_of_them.push(right);
            let other = S3Store { written: Arc::new(without), ..store.clone() };
            let key = self.key(&format!("without-{}", right.replace(':', "-")));
            if let Ok(stored) = put(&other, &key, class).await {
                self.made.push((key, stored.etag));
                return right.to_owned();
            }
        }
        all_of_them.join(" or ")
    }

    async fn read(&mut self) {
        const NAME: &str = "read what was written";
        let Some(key) = self.written_key() else { return };
        let error = match self.store.get(&key, None).await {
            Ok(Some(_)) => return self.good(NAME, "allowed"),
            Ok(None) => return self.rows.push(gone(NAME)),
            Err(error) => error,
        };
        // A look without a checksum needs no key.
        let call = self.store.patient.head_object().bucket(&self.store.bucket);
        let looked = call.set_request_payer(self.store.payer.clone()).key(self.store.full(&key)).send().await;
        self.failed(NAME, &error, if looked.is_ok() { "kms:Decrypt" } else { "s3:GetObject" });
    }

    async fn copy(&mut self) {
        const NAME: &str = "copy what was written";
        let Some(key) = self.written_key() else { return };
        let (target, attributes) = (self.key("copy"), Self::attributes(ObjectClass::Packages));
        let copied = async {
            let Some(source) = self.store.head(&key).await? else { return Ok(None) };
            let copy = Copy::of(&source, &target, &attributes);
            done(self.store.copy(copy).await?, "copying").map(Some)
        };
        match copied.await {
            Ok(Some(stored)) => {
                self.made.push((target, stored.etag));
                self.good(NAME, "allowed");
            }
            Ok(None) => self.rows.push(gone(NAME)),
            Err(error) => self.failed(NAME, &error, "a right to read or write by copying"),
        }
    }

    /// What large packages and metadata need.
    async fn two_parts(&mut self) {
        const NAME: &str = "upload in two parts";
        let (key, doing) = (self.key("parts"), "uploading in two parts");
        let upload = match self.store.begin(&key, &Self::attributes(ObjectClass::Packages), doing).await {
            Ok(upload) => upload,
            Err(error) => return self.failed(NAME, &error, "s3:PutObject"),
        };
        let bodies = [Bytes::from(vec![0; FIRST_PART_BYTES]), Bytes::from(vec![0; LAST_PART_BYTES])];
        let sent_bytes: usize = bodies.iter().map(Bytes::len).sum();
        let mut parts = Vec::new();
        let mut refused = None;
        for (number, bytes) in (1..).zip(bodies) {
            match self.store.send_part(&key, &upload, number, bytes).await {
                Ok(part) => parts.push(part),
                Err(answer) => {
                    refused = Some(answer.error(doing));
                    break;
                }
            }
        }
        let outcome = if let Some(error) = refused {
            Err(error)
        } else {
            let completed = self.store.complete(&key, &upload, parts, PutIf::Absent, doing).await;
            completed.and_then(|outcome| done(outcome, doing))
        };
        match outcome {
            Ok(stored) => {
                self.made.push((key, stored.etag));
                self.good(NAME, format!("5 MiB and 1 KiB, with checksums: 4 requests, {sent_bytes} bytes sent"));
            }
            Err(error) => {
                // The row below says whether that is allowed.
                drop(self.store.abort(&key, &upload).await);
                let by_kms = matches!(self.store.written.encryption, Some(Encryption::Kms { .. }));
                self.failed(NAME, &error, if by_kms { "kms:Decrypt" } else { "s3:PutObject" });
            }
        }
    }

    /// Aborts an upload that has no parts. Where that is refused it is completed, so that nothing stays behind.
    async fn abort(&mut self) {
        const NAME: &str = "abort an upload in parts";
        let (key, doing) = (self.key("aborted"), "beginning an upload in parts");
        // The row above has said why not.
        let Ok(upload) = self.store.begin(&key, &Self::attributes(ObjectClass::Packages), doing).await else { return };
        match self.store.abort(&key, &upload).await {
            Ok(()) => self.good(NAME, "allowed"),
            Err(error) => {
                self.failed(NAME, &error, "s3:AbortMultipartUpload");
                let Ok(part) = self.store.send_part(&key, &upload, 1, Bytes::from_static(b"completed")).await else {
                    return;
                };
                let completed = self.store.complete(&key, &upload, vec![part], PutIf::Always, doing).await;
                if let Ok(Outcome::Done(stored)) = completed {
                    self.made.push((key, stored.etag));
                }
            }
        }
    }

    /// Deletes everything that was written here; what stays is said.
    async fn delete(&mut self) {
        const NAME: &str = "delete what was written";
        let (objects, mut refused) = (self.made.len(), None);
        let mut left = 0;
        for (key, etag) in std::mem::take(&mut self.made) {
            let deleted = match self.store.delete(&key, &etag).await {
                // Gone is gone.
                Ok(Outcome::Missing) => Ok(()),
                Ok(outcome) => done(outcome, "deleting").map(drop),
                Err(error) => Err(error),
            };
            if let Err(error) = deleted {
                left += 1;
                refused = Some(error);
            }
        }
        match refused {
            None if objects == 0 => {}
            None => self.good(NAME, format!("{objects} objects; nothing is left")),
            Some(error) => {
                self.failed(NAME, &error, "s3:DeleteObject");
                if let Some(row) = self.rows.last_mut() {
                    row.seen = format!("{}; {left} of {objects} objects stay below .yrm/probe/{}/", row.seen, self.id);
                }
            }
        }
    }

    /// The key of an object that was written.
    fn written_key(&self) -> Option<String> {
        ObjectClass::ALL.first().map(|class| self.key(class.name()))
    }
}

async fn put(store: &S3Store, key: &str, class: ObjectClass) -> Result<Stored> {
    let attributes = Trial::attributes(class);
    let outcome = store.put(key, Bytes::from_static(b"tried"), &attributes, PutIf::Always).await?;
    done(outcome, "putting an object")
}

fn done<T>(outcome: Outcome<T>, doing: &str) -> Result<T> {
    match outcome {
        Outcome::Done(made) => Ok(made),
        Outcome::Ambiguous(error) => Err(error),
        Outcome::Lost => Err(Answer::Lost.error(doing)),
        Outcome::Conflict => Err(Answer::Conflict.error(doing)),
        Outcome::Missing => Err(Answer::Missing.error(doing)),
    }
}

fn gone(name: &'static str) -> Right {
    Right { name, ok: false, seen: "what was just written is not there".to_owned(), missing: None }
}

/// What was said with the objects.
fn said(written: &Written) -> String {
    let encryption = match &written.encryption {
        None => None,
        Some(Encryption::Aes256) => Some("AES256"),
        Some(Encryption::Kms { is_double: false, .. }) => Some("aws:kms"),
        Some(Encryption::Kms { is_double: true, .. }) => Some("aws:kms:dsse"),
    };
    let words = [
        encryption,
        written.acl.map(|_| "an ACL"),
        (!written.storage_classes.is_empty()).then_some("storage classes"),
        (!written.tags.is_empty()).then_some("tags"),
    ];
    let words: Vec<&str> = words.into_iter().flatten().collect();
    if words.is_empty() { "allowed".to_owned() } else { format!("allowed, with {}", words.join(", ")) }
}
