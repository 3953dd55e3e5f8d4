//! A service over a bucket and a queue in memory, under a paused clock: S3 that tells of uploads,
//! a queue that passes it on as it likes, and a witness of every deletion.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use tokio::time::Instant;
use yrm::bucket::{Bucket, receipt};
use yrm::config::{BucketUrl, Folders};
use yrm::error::Result;
use yrm::events::Events;
use yrm::events::memory::{Habits, MemoryQueue};
use yrm::events::message::{Inbox, Said};
use yrm::events::queue::{Message, Queue};
use yrm::publish::{RunId, Unwatched};
use yrm::sched::{Ended, Stop, Stopper};
use yrm::serve::{self, Outside, Told};
use yrm::store::ETag;

use crate::publish::world::{World, policy};

pub(crate) const INTERVAL: Duration = Duration::from_mins(1);
pub(crate) const BUCKET: &str = "the-bucket";

/// How S3 words an upload.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape {
    Notification,
    EventBridge,
    InEnvelope,
}

/// What S3 says when `keys` were put.
pub(crate) fn told(shape: Shape, bucket: &str, keys: &[&str]) -> String {
    let encoded = |key: &str| key.bytes().map(form_encoded).collect::<String>();
    let records: Vec<_> = keys
        .iter()
        .map(|key| {
            json!({
                "eventSource": "aws:s3",
                "eventName": "ObjectCreated:Put",
                "s3": {"bucket": {"name": bucket}, "object": {"key": encoded(key), "size": 1, "sequencer": "0055AED6"}},
            })
        })
        .collect();
    match shape {
        Shape::Notification => json!({ "Records": records }).to_string(),
        Shape::InEnvelope => {
            json!({"Type": "Notification", "Message": json!({ "Records": records }).to_string()}).to_string()
        }
        Shape::EventBridge => json!({
            "detail-type": "Object Created",
            "source": "aws.s3",
            "detail": {"bucket": {"name": bucket}, "object": {"key": keys[0], "size": 1}, "reason": "PutObject"},
        })
        .to_string(),
    }
}

fn form_encoded(byte: u8) -> String {
    match byte {
        b' ' => "+".to_owned(),
        byte if byte.is_ascii_alphanumeric() || b"/._-".contains(&byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    }
}

pub(crate) const TEST_EVENT: &str = r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"the-bucket"}"#;

pub(crate) fn inbox() -> Inbox {
    let bucket = BucketUrl::S3 { name: BUCKET.to_owned(), prefix: String::new() };
    Inbox::of(&bucket, &Folders::default()).unwrap()
}

/// A service that has a bucket, a queue, and somebody who uploads.
pub(crate) struct Service {
    pub(crate) world: World,
    pub(crate) queue: Arc<MemoryQueue>,
    witness: Arc<Witness>,
    /// When each run started.
    pub(crate) runs: RefCell<Vec<Instant>>,
    /// When each key was first answered.
    pub(crate) answered: RefCell<BTreeMap<String, Instant>>,
}

impl Service {
    pub(crate) fn new(habits: Habits, seed: u64) -> Self {
        let world = World::new(policy());
        let queue = Arc::new(MemoryQueue::new(habits, seed));
        let witness = Witness {
            queue: Arc::clone(&queue),
            bucket: world.publisher.bucket().clone(),
            received: Mutex::default(),
            uploads: Mutex::default(),
        };
        Self { world, queue, witness: Arc::new(witness), runs: RefCell::default(), answered: RefCell::default() }
    }

    /// Runs until `stop`, as `yrm serve` does.
    pub(crate) async fn serve(&self, stopper: &Stopper, stop: Stop) {
        let events = Events::new(Arc::clone(&self.witness) as Arc<dyn Queue>, inbox());
        let board = serve::board(INTERVAL);
        let publish = async |run: RunId| {
            self.runs.borrow_mut().push(Instant::now());
            let run = RunId { started: self.world.now(), ..run };
            let report = self.world.publisher.run(run, &Unwatched).await?;
            let done = report.published.iter().map(|published| &published.inbox_key);
            for key in done.chain(report.rejected.iter().map(|rejected| &rejected.inbox_key)) {
                self.answered.borrow_mut().entry(key.clone()).or_insert_with(Instant::now);
            }
            Ok(report)
        };
        let told = Told { board: &board, outside: Outside::default(), events: Some(&events), reader: None };
        assert_eq!(serve::work(told, stopper, stop, publish).await, Ended::Cleanly);
    }

    /// What an uploader does. S3's message is for the caller to send.
    pub(crate) async fn upload(&self, path: &str, bytes: &[u8]) {
        let etag = self.world.drop_bytes(path, bytes.to_vec()).await;
        self.witness.uploads.lock().unwrap().insert(format!("inbox/{path}"), etag);
    }

    /// Every change the bucket ever saw.
    pub(crate) fn writes(&self) -> usize {
        let memory = &self.world.memory;
        memory.keys_ever().iter().map(|key| memory.versions(key).len()).sum()
    }

    /// The generations of the one repository.
    pub(crate) fn generations(&self) -> usize {
        self.world.memory.versions("repo/repodata/repomd.xml").len()
    }

    pub(crate) fn run_count(&self) -> usize {
        self.runs.borrow().len()
    }
}

/// Sees to it that no message goes before its uploads are answered.
#[derive(Debug)]
struct Witness {
    queue: Arc<MemoryQueue>,
    bucket: Bucket,
    /// Bodies by handle.
    received: Mutex<HashMap<String, String>>,
    /// What was uploaded under each key.
    uploads: Mutex<HashMap<String, ETag>>,
}

#[async_trait]
impl Queue for Witness {
    async fn receive(&self) -> Result<Vec<Message>> {
        let messages = self.queue.receive().await?;
        let mut received = self.received.lock().unwrap();
        received.extend(messages.iter().map(|message| (message.handle.clone(), message.body.clone())));
        drop(received);
        Ok(messages)
    }

    async fn delete(&self, handles: &[String]) -> Result<()> {
        for handle in handles {
            let body = self.received.lock().unwrap().get(handle).cloned().expect("only what was received is deleted");
            let Said::Arrived(keys) = inbox().said(&body) else { continue };
            for key in keys {
                let etag = self.uploads.lock().unwrap().get(&key).cloned().expect("only uploads are told of");
                let receipt = receipt::read(&self.bucket, key.strip_prefix("inbox/").unwrap(), &etag).await?;
                assert!(receipt.is_some(), "{key}: its message is deleted and it has no receipt");
            }
        }
        self.queue.delete(handles).await
    }
}
