//! The judge's place: between a process and the bucket. Every call goes through, and what it did is looked
//! at.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use yrm::config::Folders;
use yrm::config::shape::BUCKET_FILE;
use yrm::error::Result;
use yrm::store::ProbeRow;
use yrm::store::body::Body;
use yrm::store::{
    Abilities, Assembled, Attributes, Copy, ETag, Object, Outcome, Page, PutIf, Read, Reused, Store, Stored,
};

use super::Seat;

#[async_trait]
impl Store for Seat {
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page> {
        self.judge.memory.list(prefix, after).await
    }

    async fn head(&self, key: &str) -> Result<Option<Object>> {
        self.judge.memory.head(key).await
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<Read>> {
        self.judge.memory.get(key, range).await
    }

    async fn put(&self, key: &str, bytes: Bytes, attributes: &Attributes, condition: PutIf) -> Result<Outcome<Stored>> {
        self.judge.before_put(&self.who, key, &condition);
        let before = (key == BUCKET_FILE).then(|| self.judge.before_settings()).flatten();
        let outcome = self.judge.memory.put(key, bytes, attributes, condition).await?;
        if matches!(outcome, Outcome::Done(_)) {
            self.judge.after_settings(before);
            self.judge.goes_by_the_settings(self, key);
            self.judge.after_write(&self.who, "put", key);
        }
        Ok(outcome)
    }

    async fn put_file(&self, key: &str, _file: &Path, _attributes: &Attributes) -> Result<Stored> {
        panic!("no publisher uploads files: {key}")
    }

    async fn assemble(
        &self,
        key: &str,
        body: &Body,
        reused: &[Reused<'_>],
        attributes: &Attributes,
        condition: PutIf,
    ) -> Result<Outcome<Assembled>> {
        self.judge.before_put(&self.who, key, &condition);
        let outcome = self.judge.memory.assemble(key, body, reused, attributes, condition).await?;
        if matches!(outcome, Outcome::Done(_)) {
            self.judge.goes_by_the_settings(self, key);
            self.judge.after_write(&self.who, "put", key);
        }
        Ok(outcome)
    }

    async fn open_local(&self, key: &str) -> Result<Option<File>> {
        self.judge.memory.open_local(key).await
    }

    fn scratch(&self) -> Option<PathBuf> {
        self.judge.memory.scratch()
    }

    async fn copy(&self, copy: Copy<'_>) -> Result<Outcome<Stored>> {
        self.judge.confined(&self.who, "copy", copy.target);
        let outcome = self.judge.memory.copy(copy).await?;
        if matches!(outcome, Outcome::Done(_)) {
            self.judge.after_write(&self.who, "copy", copy.target);
        }
        Ok(outcome)
    }

    async fn delete(&self, key: &str, if_match: &ETag) -> Result<Outcome<()>> {
        let broken = self.judge.before_delete(&self.who, key);
        let outcome = self.judge.memory.delete(key, if_match).await?;
        if matches!(outcome, Outcome::Done(())) {
            let mut books = self.judge.books();
            books.inbox.remove(key);
            let at = (self.judge.clock)();
            books.violations.extend(broken.into_iter().map(|broken| format!("{at}: {broken}")));
            drop(books);
            self.judge.after_write(&self.who, "delete", key);
        }
        Ok(outcome)
    }

    async fn delete_hindrance(&self, key: &str) -> Result<Option<String>> {
        self.judge.memory.delete_hindrance(key).await
    }

    async fn examine(&self, folders: &Folders) -> Result<Vec<ProbeRow>> {
        self.judge.memory.examine(folders).await
    }

    fn jitter(&self) -> f64 {
        self.judge.memory.jitter()
    }

    fn abilities(&self) -> Option<Abilities> {
        self.judge.memory.abilities()
    }

    fn uploads_are_atomic(&self) -> bool {
        true
    }
}
