use std::collections::VecDeque;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use async_trait::async_trait;

use super::*;
use crate::config::Folders;
use crate::store::ProbeRow;
use crate::store::body::Body;
use crate::store::memory::MemoryStore;
use crate::store::{Abilities, Assembled, Page, Read, Reused};

/// What goes wrong with the next conditional call.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// 409: nothing is applied.
    Conflict,
    /// The request never arrives.
    LostRequest,
    /// It applies; the answer never arrives.
    LostReply,
    /// It applies, the answer never arrives, and then somebody else writes there.
    LostReplyThenOverwritten,
}

/// A memory store whose conditional calls go wrong as the script says, then right.
#[derive(Debug)]
struct Faulty {
    inner: MemoryStore,
    script: Mutex<VecDeque<Fault>>,
}

const KEY: &str = "repo/repodata/repomd.xml";

impl Faulty {
    fn new(script: impl IntoIterator<Item = Fault>) -> Self {
        Self { inner: MemoryStore::new(), script: Mutex::new(script.into_iter().collect()) }
    }

    fn fault(&self) -> Option<Fault> {
        self.script.lock().unwrap().pop_front()
    }

    async fn write(&self, key: &str, bytes: &'static [u8]) -> ETag {
        let put = self.inner.put(key, Bytes::from_static(bytes), &Attributes::default(), PutIf::Always).await.unwrap();
        let Outcome::Done(stored) = put else { panic!("{put:?}") };
        stored.etag
    }

    async fn object(&self, key: &str) -> Object {
        self.inner.head(key).await.unwrap().unwrap()
    }

    async fn settle<T>(&self, key: &str, call: impl Future<Output = Result<Outcome<T>>> + Send) -> Result<Outcome<T>> {
        let lost = || Outcome::Ambiguous(Error::new(ErrorKind::Unavailable, "waiting for an answer"));
        match self.fault() {
            None => call.await,
            Some(Fault::Conflict) => Ok(Outcome::Conflict),
            Some(Fault::LostRequest) => Ok(lost()),
            Some(Fault::LostReply) => call.await.map(|_| lost()),
            Some(Fault::LostReplyThenOverwritten) => {
                call.await?;
                self.write(key, b"somebody else's").await;
                Ok(lost())
            }
        }
    }
}

#[async_trait]
impl Store for Faulty {
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Page> {
        self.inner.list(prefix, after).await
    }
    async fn head(&self, key: &str) -> Result<Option<Object>> {
        self.inner.head(key).await
    }
    async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<Read>> {
        self.inner.get(key, range).await
    }
    async fn put(&self, key: &str, bytes: Bytes, attributes: &Attributes, condition: PutIf) -> Result<Outcome<Stored>> {
        self.settle(key, self.inner.put(key, bytes, attributes, condition)).await
    }
    async fn put_file(&self, key: &str, file: &Path, attributes: &Attributes) -> Result<Stored> {
        self.inner.put_file(key, file, attributes).await
    }
    async fn assemble(
        &self,
        key: &str,
        body: &Body,
        reused: &[Reused<'_>],
        attributes: &Attributes,
        condition: PutIf,
    ) -> Result<Outcome<Assembled>> {
        self.inner.assemble(key, body, reused, attributes, condition).await
    }
    async fn open_local(&self, key: &str) -> Result<Option<File>> {
        self.inner.open_local(key).await
    }
    fn scratch(&self) -> Option<PathBuf> {
        self.inner.scratch()
    }
    async fn copy(&self, copy: Copy<'_>) -> Result<Outcome<Stored>> {
        self.settle(copy.target, self.inner.copy(copy)).await
    }
    async fn delete(&self, key: &str, if_match: &ETag) -> Result<Outcome<()>> {
        self.settle(key, self.inner.delete(key, if_match)).await
    }
    async fn delete_hindrance(&self, key: &str) -> Result<Option<String>> {
        self.inner.delete_hindrance(key).await
    }
    async fn examine(&self, folders: &Folders) -> Result<Vec<ProbeRow>> {
        self.inner.examine(folders).await
    }
    fn jitter(&self) -> f64 {
        self.inner.jitter()
    }
    fn abilities(&self) -> Option<Abilities> {
        self.inner.abilities()
    }
    fn uploads_are_atomic(&self) -> bool {
        true
    }
}

async fn put(store: &Faulty, condition: PutIf) -> Result<Settled<Stored>> {
    put_settled(store, KEY, &Bytes::from_static(b"ours"), &Attributes::default(), &condition).await
}

fn won<T: std::fmt::Debug>(settled: Result<Settled<T>>) -> bool {
    match settled.unwrap() {
        Settled::Won(_) => true,
        Settled::Lost => false,
    }
}

#[tokio::test(start_paused = true)]
async fn a_put_survives_conflicts_lost_requests_and_lost_replies() {
    use Fault::{Conflict, LostReply, LostRequest};
    for script in
        [vec![], vec![Conflict; 5], vec![LostRequest; 5], vec![LostReply], vec![Conflict, LostRequest, LostReply]]
    {
        let store = Faulty::new(script.clone());
        assert!(won(put(&store, PutIf::Absent).await), "{script:?}");
        assert_eq!(store.inner.versions(KEY).len(), 1, "{script:?}");

        let store = Faulty::new(script.clone());
        let etag = store.write(KEY, b"before").await;
        assert!(won(put(&store, PutIf::Matches(etag)).await), "{script:?}");
        assert_eq!(store.inner.versions(KEY).len(), 2, "{script:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_put_that_somebody_else_beat_is_lost_whatever_went_wrong_first() {
    use Fault::{Conflict, LostReplyThenOverwritten, LostRequest};
    for script in [vec![], vec![Conflict], vec![LostRequest], vec![LostRequest, Conflict]] {
        let store = Faulty::new(script.clone());
        store.write(KEY, b"theirs").await;
        assert!(!won(put(&store, PutIf::Absent).await), "{script:?}");
        assert!(!won(put(&store, PutIf::Matches(ETag::new("old"))).await), "{script:?}");
    }
    let store = Faulty::new([LostRequest]);
    assert!(!won(put(&store, PutIf::Matches(ETag::new("old"))).await), "the object is gone");
    let store = Faulty::new([LostReplyThenOverwritten]);
    assert!(!won(put(&store, PutIf::Absent).await));
}

#[tokio::test(start_paused = true)]
async fn a_put_that_never_gets_an_answer_is_an_error_after_a_limit() {
    let store = Faulty::new([Fault::LostRequest; 100]);
    assert_eq!(put(&store, PutIf::Absent).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(store.script.lock().unwrap().len(), 100 - TRIES as usize);
    let store = Faulty::new([Fault::Conflict; 100]);
    assert_eq!(put(&store, PutIf::Absent).await.unwrap_err().kind(), ErrorKind::Conflict);
}

#[tokio::test(start_paused = true)]
async fn a_fixed_object_that_is_there_is_done_and_a_damaged_one_is_replaced() {
    let (store, bytes) = (Faulty::new([]), Bytes::from_static(b"fixed"));
    let attributes = Attributes::default();
    let first = put_fixed(&store, "f", &bytes, &attributes).await.unwrap();
    assert_eq!(put_fixed(&store, "f", &bytes, &attributes).await.unwrap(), first);
    assert_eq!(store.inner.versions("f").len(), 1);
    store.write("f", b"fix").await;
    put_fixed(&store, "f", &bytes, &attributes).await.unwrap();
    assert_eq!(store.inner.get("f", None).await.unwrap().unwrap().bytes, bytes);
}

#[tokio::test(start_paused = true)]
async fn a_delete_is_won_when_nothing_with_that_etag_is_left() {
    use Fault::{Conflict, LostReply, LostReplyThenOverwritten, LostRequest};
    for script in [vec![], vec![Conflict], vec![LostRequest], vec![LostReply], vec![LostRequest, LostReply]] {
        let store = Faulty::new(script.clone());
        let etag = store.write(KEY, b"x").await;
        assert!(won(delete_settled(&store, KEY, &etag).await), "{script:?}");
        assert!(store.inner.keys().is_empty());
        assert!(won(delete_settled(&store, KEY, &etag).await), "already gone");
        store.write(KEY, b"newer").await;
        assert!(!won(delete_settled(&store, KEY, &etag).await));
    }
    let store = Faulty::new([LostReplyThenOverwritten]);
    let etag = store.write(KEY, b"x").await;
    assert!(!won(delete_settled(&store, KEY, &etag).await));
    assert_eq!(store.inner.keys(), [KEY]);
}

#[tokio::test(start_paused = true)]
async fn a_copy_says_which_of_its_two_conditions_failed() {
    use Fault::{Conflict, LostReply, LostRequest};
    let attributes = Attributes::default();
    for script in [vec![], vec![Conflict], vec![LostRequest], vec![LostReply], vec![LostRequest, LostReply]] {
        let store = Faulty::new(script.clone());
        store.write("inbox/a", b"rpm").await;
        let seen = store.object("inbox/a").await;
        let copy = Copy::of(&seen, "repo/a", &attributes);
        let copied = copy_settled(&store, copy).await.unwrap();
        let (Copied::Done(first) | Copied::Found(first)) = copied else { panic!("{script:?}: {copied:?}") };
        // The same again, as after a crash: known by its source's ETag.
        assert_eq!(copy_settled(&store, copy).await.unwrap(), Copied::Found(first));
        assert_eq!(store.inner.versions("repo/a").len(), 1, "{script:?}");

        store.write("inbox/b", b"other").await;
        let other = store.object("inbox/b").await;
        let answer = copy_settled(&store, Copy { source: &other, ..copy }).await.unwrap();
        assert_eq!(answer, Copied::Occupied(store.object("repo/a").await));

        store.write("inbox/a", b"replaced").await;
        let elsewhere = Copy { target: "repo/c", ..copy };
        assert_eq!(copy_settled(&store, elsewhere).await.unwrap(), Copied::SourceChanged);
        let now = store.object("inbox/a").await;
        store.inner.delete("inbox/a", &now.etag).await.unwrap();
        assert_eq!(copy_settled(&store, elsewhere).await.unwrap(), Copied::SourceMissing);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_under_a_key_of_its_own_gets_there_whatever_the_answers_are() {
    let body = Body::Memory(Bytes::from_static(b"joined"));
    for script in [&[][..], &[Fault::Conflict], &[Fault::LostRequest], &[Fault::LostReply, Fault::LostRequest]] {
        let store = Faulty::new(script.iter().copied());
        for _ in 0..2 {
            let there = join_own(&store, KEY, &body, &[], &Attributes::default()).await.unwrap().unwrap();
            assert_eq!((there.size_bytes, there.etag), (6, store.object(KEY).await.etag), "{script:?}");
        }
        assert_eq!(store.inner.versions(KEY).len(), 1, "{script:?}");
    }
    // What is not it is replaced.
    let store = Faulty::new([]);
    store.write(KEY, b"damaged, and longer").await;
    let there = join_own(&store, KEY, &body, &[], &Attributes::default()).await.unwrap().unwrap();
    assert_eq!(there.size_bytes, 6);
}
