use async_trait::async_trait;

use super::memory::{Habits, MemoryQueue};
use super::*;
use crate::board::tests::report;
use crate::config::{BucketUrl, Folders};
use crate::error::Result;
use crate::sched::stop_pair;

fn inbox() -> Inbox {
    let bucket = BucketUrl::S3 { name: "bucket".to_owned(), prefix: String::new() };
    Inbox::of(&bucket, &Folders::default()).unwrap()
}

const UPLOAD: &str = r#"{"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"bucket"},"object":{"key":"inbox/a.rpm"}}}]}"#;

#[tokio::test(start_paused = true)]
async fn test_events_and_foreign_messages_go_at_once_and_uploads_after_their_run() {
    let queue = Arc::new(MemoryQueue::new(Habits::GOOD, 1));
    let events = Events::new(Arc::clone(&queue) as Arc<dyn Queue>, inbox());
    let (stopper, stop) = stop_pair();
    let story = async {
        for body in [UPLOAD, r#"{"Event":"s3:TestEvent"}"#, "hello", "{}"] {
            queue.send(body);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(queue.left(), 1);
        events.run_started();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(queue.left(), 1);
        stopper.stop();
        events.run_ended(Some(&report(0, &[], &[])));
        events.close();
    };
    let bell = Bell::default();
    tokio::join!(events.listen(&bell, stop), story);
    assert_eq!(queue.left(), 0, "the last run's messages are deleted on the way out");
}

/// Messages to receive, and no end to a deletion.
#[derive(Debug)]
struct Stuck;

#[async_trait]
impl Queue for Stuck {
    async fn receive(&self) -> Result<Vec<Message>> {
        Ok(vec![Message { id: "1".to_owned(), handle: "h".to_owned(), body: "hello".to_owned() }])
    }

    async fn delete(&self, _handles: &[String]) -> Result<()> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_never_answers_does_not_hold_up_the_stop() {
    let events = Events::new(Arc::new(Stuck), inbox());
    let (stopper, stop) = stop_pair();
    stopper.stop();
    events.held().let_go("h".to_owned());
    let began = Instant::now();
    events.close();
    events.listen(&Bell::default(), stop).await;
    assert_eq!(began.elapsed(), LAST_DELETIONS);
}

#[test]
fn pauses_grow_to_a_minute_and_start_anew_after_an_answer() {
    let mut health = Health::of(QueueCall::Receive);
    let error = Error::new(ErrorKind::Denied, "receiving");
    let longest: Vec<Duration> = (0..9).map(|_| health.ill(&error)).collect();
    let limits = [1, 2, 4, 8, 16, 32, 60, 60, 60].map(Duration::from_secs);
    for (pause, limit) in longest.iter().zip(limits) {
        assert!(limit / 2 <= *pause && *pause <= limit, "{pause:?} of {limit:?}");
    }
    health.well();
    assert!(health.ill(&error) <= FIRST_PAUSE);
}
