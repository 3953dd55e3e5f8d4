//! Stories whose repository is the bucket's root: to the judge it is called `repo/`, as in all others.

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use yrm::config::Folders;
use yrm::error::Result;
use yrm::store::body::Body;
use yrm::store::fault::Fate;
use yrm::store::{
    Abilities, Assembled, Attributes, Copy, ETag, Object, Outcome, Page, ProbeRow, PutIf, Read, Reused, Store, Stored,
};

use super::every_call::{FAILURES, troubled};
use super::stories::Story;
use super::world::{AT_ROOT, Signing};
use super::{play, tell};

/// A bucket whose root is what the store below calls `repo/`, but for the folders that are no part of a repository.
#[derive(Debug)]
pub(super) struct Rooted(pub(super) Arc<dyn Store>);

const APART: [&str; 3] = [".yrm/", "inbox/", "quarantine/"];

/// What the store below calls it.
fn below(key: &str) -> String {
    if APART.iter().any(|apart| key.starts_with(apart)) { key.to_owned() } else { format!("repo/{key}") }
}

fn at_root(object: Object) -> Object {
    Object { key: object.key.strip_prefix("repo/").unwrap_or(&object.key).to_owned(), ..object }
}

fn of_below(object: &Object) -> Object {
    Object { key: below(&object.key), ..object.clone() }
}

#[async_trait]
impl Store for Rooted {
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page> {
        let mapped = if prefix.is_empty() { String::new() } else { below(prefix) };
        let page = self.0.list(&mapped, after).await?;
        assert!(page.next.is_none(), "stories are short");
        Ok(Page { objects: page.objects.into_iter().map(at_root).collect(), ..page })
    }

    async fn head(&self, key: &str) -> Result<Option<Object>> {
        Ok(self.0.head(&below(key)).await?.map(at_root))
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<Read>> {
        let read = self.0.get(&below(key), range).await?;
        Ok(read.map(|read| Read { object: at_root(read.object), ..read }))
    }

    async fn put(&self, key: &str, bytes: Bytes, attributes: &Attributes, condition: PutIf) -> Result<Outcome<Stored>> {
        self.0.put(&below(key), bytes, attributes, condition).await
    }

    async fn put_file(&self, key: &str, file: &Path, attributes: &Attributes) -> Result<Stored> {
        self.0.put_file(&below(key), file, attributes).await
    }

    async fn assemble(
        &self,
        key: &str,
        body: &Body,
        reused: &[Reused<'_>],
        attributes: &Attributes,
        condition: PutIf,
    ) -> Result<Outcome<Assembled>> {
        let objects: Vec<Object> = reused.iter().map(|reused| of_below(reused.object)).collect();
        let reused = reused.iter().zip(&objects).map(|(reused, object)| Reused { object, ..reused.clone() });
        let reused: Vec<_> = reused.collect();
        self.0.assemble(&below(key), body, &reused, attributes, condition).await
    }

    async fn open_local(&self, key: &str) -> Result<Option<File>> {
        self.0.open_local(&below(key)).await
    }

    fn scratch(&self) -> Option<PathBuf> {
        self.0.scratch()
    }

    async fn copy(&self, copy: Copy<'_>) -> Result<Outcome<Stored>> {
        let (source, target) = (of_below(copy.source), below(copy.target));
        self.0.copy(Copy { source: &source, target: &target, ..copy }).await
    }

    async fn delete(&self, key: &str, if_match: &ETag) -> Result<Outcome<()>> {
        self.0.delete(&below(key), if_match).await
    }

    async fn delete_hindrance(&self, key: &str) -> Result<Option<String>> {
        self.0.delete_hindrance(&below(key)).await
    }

    async fn examine(&self, folders: &Folders) -> Result<Vec<ProbeRow>> {
        self.0.examine(folders).await
    }

    fn jitter(&self) -> f64 {
        self.0.jitter()
    }

    fn abilities(&self) -> Option<Abilities> {
        self.0.abilities()
    }

    fn uploads_are_atomic(&self) -> bool {
        self.0.uploads_are_atomic()
    }
}

/// The ways to a switch, a clean-up and a take-over, each call going wrong in each way; all stories where
/// `YRM_CHAOS_ALL` is set.
const STORIES: [Story; 6] =
    [Story::FirstRun, Story::PublishOne, Story::TakeOver, Story::Promote, Story::Sweep, Story::LoseState];

#[test]
fn f1_and_f2_at_the_bucket_s_root_lose_nothing() {
    AT_ROOT.set(true);
    let stories = if std::env::var_os("YRM_CHAOS_ALL").is_some() { &Story::ALL[..] } else { &STORIES };
    let mut played = 0;
    // At the root a folder of keys would be a part of the repository.
    for &story in stories.iter().filter(|story| **story != Story::TwoRules) {
        let calls = play(troubled(story, Signing::Off, BTreeMap::new(), "at the root, in peace"));
        for fate in [Fate::DiesBefore, Fate::DiesAfter].into_iter().chain(FAILURES[..2].iter().copied()) {
            for call in 0..calls {
                let what = format!("{story:?} at the root with {fate:?} at call {call}");
                play(troubled(story, Signing::Off, BTreeMap::from([(call, fate)]), &what));
                played += 1;
            }
        }
    }
    tell(&format!("F1 and F2 at the root: {played} stories, each with one call going wrong; 0 violations"));
    assert!(played > 300, "{played}");
}
