//! Over SQS's protocol: S3 tells a queue, the service as a process reads it.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aws_sdk_s3::types::{
    Event, FilterRule, FilterRuleName, NotificationConfiguration, NotificationConfigurationFilter, QueueConfiguration,
    S3KeyFilter,
};
use forge::Rpm;
use serde_json::{Value, json};
use tempfile::TempDir;
use yrm::bucket::receipt::digest_of;
use yrm::config::QueueAddress;
use yrm::error::ErrorKind;
use yrm::events::queue::Queue as _;
use yrm::events::sqs::SqsQueue;
use yrm::store::ETag;

use crate::cli::yrm;
use crate::s3_server::server;

/// Generous, and still far from the interval.
const PATIENCE: Duration = Duration::from_mins(2);
/// What is published earlier than this was not published by polling.
const INTERVAL_S: &str = "3600";

async fn sqs(operation: &str, input: &Value) -> Value {
    server().ask("sqs", &format!("AmazonSQS.{operation}"), input).await
}

/// A bucket with an inbox that tells a queue.
struct Told {
    bucket: String,
    queue_url: String,
    queue_arn: String,
}

impl Told {
    async fn new() -> Self {
        let bucket = server().make_bucket().await;
        let made = sqs("CreateQueue", &json!({"QueueName": bucket})).await;
        let queue_url = made["QueueUrl"].as_str().unwrap().to_owned();
        let queue_arn = format!("arn:aws:sqs:us-east-1:123456789012:{bucket}");
        let below_inbox = FilterRule::builder().name(FilterRuleName::Prefix).value("inbox/").build();
        let filter = S3KeyFilter::builder().filter_rules(below_inbox).build();
        let rule = QueueConfiguration::builder()
            .queue_arn(&queue_arn)
            .events(Event::from("s3:ObjectCreated:*"))
            .filter(NotificationConfigurationFilter::builder().key(filter).build());
        let rules = NotificationConfiguration::builder().queue_configurations(rule.build().unwrap()).build();
        let put = server().client().put_bucket_notification_configuration().bucket(&bucket);
        put.notification_configuration(rules).send().await.unwrap();
        Self { bucket, queue_url, queue_arn }
    }

    fn serve(&self, directory: &TempDir, queue: &str) -> Serve {
        let mut command = yrm(directory.path());
        command.envs(server().environment()).args(["serve", "--path-style", "--listen", "127.0.0.1:0"]);
        command.args(["--bucket", &format!("s3://{}", self.bucket), "-t", INTERVAL_S, "--queue", queue]);
        Serve::start(command)
    }

    /// Messages that are not deleted.
    async fn left(&self) -> u32 {
        let kinds = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"];
        let answer = sqs("GetQueueAttributes", &json!({"QueueUrl": self.queue_url, "AttributeNames": kinds})).await;
        kinds.iter().map(|kind| answer["Attributes"][kind].as_str().unwrap().parse::<u32>().unwrap()).sum()
    }

    async fn send(&self, body: &str) {
        sqs("SendMessage", &json!({"QueueUrl": self.queue_url, "MessageBody": body})).await;
    }

    async fn wait_until_empty(&self) {
        let began = Instant::now();
        while self.left().await > 0 {
            assert!(began.elapsed() < PATIENCE, "{} messages are left", self.left().await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Puts a package into the inbox; under which key its receipt will be.
    async fn upload(&self, path: &str, rpm: &Rpm) -> String {
        let put = server().client().put_object().bucket(&self.bucket).key(format!("inbox/{path}"));
        let answer = put.body(rpm.build().into()).send().await.unwrap();
        let etag = ETag::new(answer.e_tag.unwrap().trim_matches('"'));
        format!(".yrm/receipts/{}.json", digest_of(path, &etag))
    }

    async fn json(&self, key: &str) -> serde_json::Value {
        let got = server().client().get_object().bucket(&self.bucket).key(key).send().await.unwrap();
        serde_json::from_slice(&got.body.collect().await.unwrap().into_bytes()).unwrap()
    }

    async fn keys(&self, prefix: &str) -> Vec<String> {
        let list = server().client().list_objects_v2().bucket(&self.bucket).prefix(prefix).send().await.unwrap();
        list.contents().iter().map(|object| object.key().unwrap().to_owned()).collect()
    }

    async fn wait_for(&self, key: &str) {
        let began = Instant::now();
        while server().client().head_object().bucket(&self.bucket).key(key).send().await.is_err() {
            assert!(began.elapsed() < PATIENCE, "there is no {key}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A `yrm serve`; killed when dropped.
struct Serve(Child);

impl Serve {
    fn start(mut command: Command) -> Self {
        Self(command.stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[tokio::test]
async fn an_upload_is_published_long_before_the_interval_and_its_message_is_deleted_after() {
    let told = Told::new().await;
    let directory = TempDir::new().unwrap();
    let _serve = told.serve(&directory, &told.queue_url);
    // The first of these may still meet the first run; what comes after its receipt only a wake-up.
    for (name, path) in [("a", "a.rpm"), ("b+c", "el9/b+c.rpm"), ("d", "el9/d%2Be.rpm"), ("f", "el9/f g.rpm")] {
        let receipt = told.upload(path, &Rpm::new(name, "1", "1", "noarch")).await;
        told.wait_for(&receipt).await;
        told.wait_for(&format!("repo/{path}")).await;
    }
    told.wait_until_empty().await;
}

#[tokio::test]
async fn a_test_event_and_a_foreign_message_are_deleted_and_the_arn_names_the_queue_too() {
    let told = Told::new().await;
    let directory = TempDir::new().unwrap();
    for body in [r#"{"Service":"Amazon S3","Event":"s3:TestEvent"}"#, "no JSON"] {
        told.send(body).await;
    }
    let _serve = told.serve(&directory, &told.queue_arn);
    told.wait_until_empty().await;
    let receipt = told.upload("a.rpm", &Rpm::new("a", "1", "1", "noarch")).await;
    told.wait_for(&receipt).await;
    told.wait_until_empty().await;
}

#[tokio::test]
async fn the_queues_refusals_are_told_apart() {
    let told = Told::new().await;
    let connect = |url: &str| SqsQueue::with(&server().sdk_config(), &QueueAddress::Url(url.to_owned())).unwrap();
    let queue = connect(&told.queue_url);
    // Setting up the notification has sent a test event.
    let messages = queue.receive().await.unwrap();
    assert_eq!(messages.len(), 1);
    assert!(messages[0].body.contains("s3:TestEvent"), "{messages:?}");
    server().break_next("403", &format!("DeleteMessageBatch /123456789012/{}", told.bucket), 1).await;
    let handles = [messages[0].handle.clone()];
    assert_eq!(queue.delete(&handles).await.unwrap_err().kind(), ErrorKind::Denied);
    assert_eq!(told.left().await, 1);
    queue.delete(&handles).await.unwrap();
    assert_eq!(told.left().await, 0);
    let missing = connect(&format!("{}-missing", told.queue_url));
    assert_eq!(missing.receive().await.unwrap_err().kind(), ErrorKind::Config);
}

#[tokio::test]
async fn the_answer_and_the_history_say_who_uploaded() {
    let told = Told::new().await;
    let directory = TempDir::new().unwrap();
    let rpm = Rpm::new("a", "1", "1", "noarch");
    // The server names nobody in its own messages; these are as S3 writes them, and come first.
    for (key, bytes) in [("a.rpm", rpm.build()), ("junk.rpm", b"no package".to_vec())] {
        let elsewhere = server().client().put_object().bucket(&told.bucket).key("elsewhere").body(bytes.into());
        let etag = elsewhere.send().await.unwrap().e_tag.unwrap();
        let body = serde_json::json!({"Records": [{
            "eventName": "ObjectCreated:Put",
            "userIdentity": {"principalId": "AWS:AROAEXAMPLE:ci-7"},
            "s3": {"bucket": {"name": told.bucket},
                   "object": {"key": format!("inbox/{key}"), "eTag": etag.trim_matches('"')}},
        }]});
        told.send(&body.to_string()).await;
    }
    let _serve = told.serve(&directory, &told.queue_url);
    told.wait_until_empty().await;
    let receipt = told.upload("a.rpm", &rpm).await;
    let junk = server().client().put_object().bucket(&told.bucket).key("inbox/junk.rpm");
    junk.body(b"no package".to_vec().into()).send().await.unwrap();
    told.wait_for(&receipt).await;
    told.wait_until_empty().await;
    let answer = told.json(&receipt).await;
    assert_eq!(answer["uploader"], "AWS:AROAEXAMPLE:ci-7");
    assert_eq!(answer["published"]["href"], "a.rpm");
    let mut named = std::collections::BTreeMap::new();
    for key in told.keys(".yrm/history/").await {
        let run = told.json(&key).await;
        let uploaders = run["uploaders"].as_object().cloned().unwrap_or_default();
        named.extend(uploaders.into_iter().map(|(key, by)| (key, by.as_str().unwrap().to_owned())));
    }
    let by = "AWS:AROAEXAMPLE:ci-7".to_owned();
    assert_eq!(named, [("inbox/a.rpm".to_owned(), by.clone()), ("inbox/junk.rpm".to_owned(), by)].into());
    let quarantined = told.keys("quarantine/").await;
    let record = quarantined.iter().find(|key| key.contains(".json")).unwrap();
    assert_eq!(told.json(record).await["uploader"], "AWS:AROAEXAMPLE:ci-7");
    let bucket = yrm::bucket::Bucket::new(
        std::sync::Arc::new(server().store(&told.bucket, "", yrm::store::s3::Limits::default())),
        crate::publish::world::policy(),
    );
    let etag = ETag::new(answer["published"]["etag"].as_str().unwrap());
    let read = yrm::bucket::receipt::read(&bucket.unwrap(), "a.rpm", &etag).await.unwrap();
    assert!(matches!(read, Some(yrm::bucket::receipt::Receipt::Published(_))), "{read:?}");
}

/// Uploads that are measured.
const UPLOADS: usize = 60;

#[tokio::test]
async fn upload_to_installable_is_measured() {
    let told = Told::new().await;
    let directory = TempDir::new().unwrap();
    let _serve = told.serve(&directory, &told.queue_url);
    told.wait_for(&told.upload("warm-up.rpm", &Rpm::new("warm-up", "1", "1", "noarch")).await).await;
    let mut etag = told.repomd_etag().await;
    let mut took = Vec::with_capacity(UPLOADS);
    for number in 0..UPLOADS {
        let path = format!("measured-{number}.rpm");
        let receipt = told.upload(&path, &Rpm::new(format!("measured-{number}"), "1", "1", "noarch")).await;
        let began = Instant::now();
        // Each generation is of this one upload: nothing else is in the inbox.
        loop {
            let now = told.repomd_etag().await;
            if now != etag {
                etag = now;
                break;
            }
            assert!(began.elapsed() < PATIENCE, "{path} is not published");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        took.push(began.elapsed());
        told.wait_for(&receipt).await;
        told.wait_for(&format!("repo/{path}")).await;
    }
    took.sort_unstable();
    let (p50, p95) = (took[UPLOADS / 2], took[UPLOADS * 95 / 100]);
    drop(writeln!(
        std::io::stderr(),
        "upload to installable, {UPLOADS} uploads: p50 {p50:?}, p95 {p95:?}, max {:?}",
        took[UPLOADS - 1]
    ));
    told.wait_until_empty().await;
}

impl Told {
    async fn repomd_etag(&self) -> Option<String> {
        let head = server().client().head_object().bucket(&self.bucket).key("repo/repodata/repomd.xml");
        head.send().await.ok().and_then(|answer| answer.e_tag)
    }
}
