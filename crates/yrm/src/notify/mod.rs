//! Telling people and programs what runs and operations did: by a webhook, through an SNS topic, or both.
//!
//! Nothing here can hold up or fail a run: notices wait in a short queue for each receiver, which drops
//! when full, and one task a receiver sends them, each a few times and within a time limit. Bodies are
//! signed with a shared secret (`sign`), so that a receiver knows who speaks and when.

pub mod news;
mod send;
mod shape;
pub mod sign;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use ulid::Ulid;

use self::news::{Facts, Health, Notice};
use self::send::{Receiver, Sns, Webhook};
use crate::aws;
use crate::bucket::report::Report;
use crate::config::{self, S3Config, Secret};
use crate::error::{Error, Result};
use crate::metrics::{self, Delivery};

/// Notices that may wait for one receiver.
const QUEUE: usize = 32;
/// Pauses before a notice is sent once more; after the last it is dropped.
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(30)];

/// Where runs leave what there is to tell.
#[derive(Debug)]
pub struct Notifier {
    bucket: String,
    on: config::NotifyOn,
    health: Mutex<Health>,
    receivers: Vec<(mpsc::Sender<Notice>, JoinHandle<()>)>,
}

impl Notifier {
    /// Starts a task for each receiver; must be called inside the runtime. `patience` runs in a row may
    /// fail before it is told.
    pub async fn start(config: &config::Notify, bucket: String, s3: &S3Config, patience: u32) -> Result<Self> {
        let mut receivers = Vec::new();
        let mut receiver = |receiver: Receiver| {
            let (queue, waiting) = mpsc::channel(QUEUE);
            receivers.push((queue, tokio::spawn(deliver(receiver, waiting))));
        };
        let known =
            |secret: &Option<Secret>| secret.as_ref().map(Secret::known).transpose().map(|it| it.map(str::to_owned));
        let secret = known(&config.secret)?;
        if let Some(url) = known(&config.webhook)? {
            let webhook = Webhook::new(&url, secret.clone(), config.shape, &aws::authorities(s3).await?)?;
            receiver(Receiver::Webhook(webhook));
        }
        if let Some(topic) = &config.topic {
            receiver(Receiver::Sns(Sns::connect(topic, s3, secret).await?));
        }
        Ok(Self { bucket, on: config.on, health: Mutex::new(Health::new(patience)), receivers })
    }

    /// Tells of a run or an operation that is over; returns at once, whatever the receivers do.
    pub fn tell(&self, run: Ulid, at: Timestamp, outcome: std::result::Result<&Report, &Error>) {
        let mut health = self.health.lock().unwrap_or_else(PoisonError::into_inner);
        let facts = Facts { bucket: &self.bucket, run, at, by: None, reason: None };
        for notice in news::of(facts, outcome, &mut health) {
            if !news::is_wanted(self.on, notice.event) {
                continue;
            }
            for (queue, _) in &self.receivers {
                if queue.try_send(notice.clone()).is_err() {
                    metrics::notice_delivery(Delivery::Dropped);
                    tracing::warn!(event = notice.event, "too many notices wait for a receiver: this one is not sent");
                }
            }
        }
    }

    /// Sends what still waits, for at most `limit`, and ends the tasks.
    pub async fn finish(self, limit: Duration) {
        let (queues, tasks): (Vec<_>, Vec<_>) = self.receivers.into_iter().unzip();
        drop(queues);
        let until = tokio::time::Instant::now() + limit;
        for mut task in tasks {
            if tokio::time::timeout_at(until, &mut task).await.is_err() {
                task.abort();
            }
        }
    }
}

/// Sends one notice after the other, each until it is taken or its time is over.
async fn deliver(receiver: Receiver, mut waiting: mpsc::Receiver<Notice>) {
    while let Some(notice) = waiting.recv().await {
        let mut pauses = PAUSES.iter();
        loop {
            let failed = match receiver.send(&notice).await {
                Ok(()) => {
                    metrics::notice_delivery(Delivery::Sent);
                    break;
                }
                Err(failed) => failed,
            };
            let pause = pauses.next().filter(|_| failed.worth_another_try);
            let Some(pause) = pause else {
                metrics::notice_delivery(Delivery::Failed);
                tracing::warn!(to = %receiver, event = notice.event, reason = %failed.reason, "a notice was not accepted and is given up; runs are not affected");
                break;
            };
            tokio::time::sleep(*pause).await;
        }
    }
}

#[cfg(test)]
mod tests;
