//! A queue in SQS, with the same credentials as the bucket.
//!
//! A queue that is named by its URL is reached at that URL's host, whatever endpoint the bucket
//! has: the bucket may live elsewhere.

use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::OnceCell;

use super::queue::{BATCH, LONG_POLL, Message, Queue};
#[cfg(feature = "aws")]
use crate::authorities::Authorities;
use crate::aws::Service;
use crate::aws::named::SQS;
use crate::aws::refusal::{Failure, GIVE_CREDENTIALS, Refusal};
use crate::config::{QueueAddress, S3Config};
use crate::error::{Error, ErrorKind, Result};

/// How long an answer may take beyond the long poll.
const ANSWER: Duration = Duration::from_secs(10);

/// A queue in SQS.
#[derive(Debug)]
pub struct SqsQueue {
    service: Service,
    address: QueueAddress,
    url: OnceCell<String>,
}

impl SqsQueue {
    /// The queue at `address`, with the bucket's credentials. Sends nothing to the queue.
    pub async fn connect(address: &QueueAddress, bucket: &S3Config) -> Result<Self> {
        let region = match address {
            QueueAddress::Url(url) => region_of(url),
            QueueAddress::Arn { region, .. } => Some(region.as_str()),
        };
        let mut service = Service::with_the_bucket(&SQS, bucket, region).await?.patient(LONG_POLL + ANSWER);
        if let QueueAddress::Url(url) = address {
            service = service.at(origin(url));
        }
        Ok(Self { service, address: address.clone(), url: OnceCell::new() })
    }

    /// The same by what the SDK's chain of credentials and regions says.
    #[cfg(feature = "aws")]
    pub fn with(shared: &aws_config::SdkConfig, address: &QueueAddress) -> Result<Self> {
        let service = Service::with(&SQS, shared, &Authorities::default())?.patient(LONG_POLL + ANSWER);
        Ok(Self { service, address: address.clone(), url: OnceCell::new() })
    }

    /// The queue's URL: given, or asked for once.
    async fn url(&self) -> Result<&str> {
        let (account, name) = match &self.address {
            QueueAddress::Url(url) => return Ok(url),
            QueueAddress::Arn { account, name, .. } => (account, name),
        };
        let ask = async || {
            let input = json!({"QueueName": name, "QueueOwnerAWSAccountId": account});
            let answer = self.service.ask("GetQueueUrl", &input).await;
            let Found { queue_url } =
                answer.map_err(|refusal| failure(refusal, format!("finding the queue {name}")))?;
            Ok(queue_url)
        };
        self.url.get_or_try_init(ask).await.map(String::as_str)
    }
}

#[async_trait]
impl Queue for SqsQueue {
    async fn receive(&self) -> Result<Vec<Message>> {
        let url = self.url().await?;
        let input = json!({"QueueUrl": url, "MaxNumberOfMessages": BATCH, "WaitTimeSeconds": LONG_POLL.as_secs()});
        let answer = self.service.ask("ReceiveMessage", &input).await;
        let Received { messages } = answer.map_err(|refusal| failure(refusal, format!("receiving from {url}")))?;
        // One without a handle could never be deleted; SQS sends none.
        Ok(messages
            .into_iter()
            .filter_map(|message| {
                let handle = message.receipt_handle?;
                let id = message.message_id.unwrap_or_else(|| handle.clone());
                Some(Message { id, handle, body: message.body })
            })
            .collect())
    }

    async fn delete(&self, handles: &[String]) -> Result<()> {
        let url = self.url().await?;
        let doing = || format!("deleting messages from {url}");
        let entries: Vec<_> = handles
            .iter()
            .enumerate()
            .map(|(number, handle)| json!({"Id": number.to_string(), "ReceiptHandle": handle}))
            .collect();
        let answer = self.service.ask("DeleteMessageBatch", &json!({"QueueUrl": url, "Entries": entries})).await;
        let Deleted { failed } = answer.map_err(|refusal| failure(refusal, doing()))?;
        match failed.first() {
            None => Ok(()),
            Some(first) => Err(Error::new(ErrorKind::Unavailable, doing()).because(format!(
                "{} of {} are still there: {}",
                failed.len(),
                handles.len(),
                first.code
            ))),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Found {
    queue_url: String,
}

#[derive(Deserialize)]
struct Received {
    #[serde(rename = "Messages", default)]
    messages: Vec<Got>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Got {
    message_id: Option<String>,
    receipt_handle: Option<String>,
    #[serde(default)]
    body: String,
}

#[derive(Deserialize)]
struct Deleted {
    #[serde(rename = "Failed", default)]
    failed: Vec<Left>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Left {
    #[serde(default)]
    code: String,
}

fn failure(refusal: Refusal, doing: String) -> Error {
    let code = &refusal.code;
    let (kind, hint) = if code.contains("NonExistentQueue") || code.contains("QueueDoesNotExist") {
        (ErrorKind::Config, Some("check the queue's name, account and region"))
    } else {
        match refusal.failure {
            Failure::NoCredentials => (ErrorKind::Denied, Some(GIVE_CREDENTIALS)),
            Failure::Denied => (
                ErrorKind::Denied,
                Some("allow sqs:ReceiveMessage and sqs:DeleteMessage on the queue (and sqs:GetQueueUrl for an ARN)"),
            ),
            // Throttling, 5xx, timeouts, lost connections, and what this version does not know.
            Failure::Refused | Failure::Away => (ErrorKind::Unavailable, None),
        }
    };
    let error = Error::new(kind, doing).because(refusal);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// `https://host[:port]` of a URL.
fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    url[host..].find('/').map_or(url, |slash| &url[..host + slash])
}

/// The region that a host of AWS's names: `sqs.eu-west-1.amazonaws.com`, a VPC endpoint's
/// `vpce-….sqs.eu-west-1.vpce.amazonaws.com`, the older `eu-west-1.queue.amazonaws.com`.
fn region_of(url: &str) -> Option<&str> {
    let host = origin(url).split("://").nth(1)?;
    let is_aws = ["amazonaws.com", "amazonaws.com.cn", "api.aws", "api.amazonwebservices.com.cn"];
    if !is_aws.iter().any(|domain| host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))) {
        return None;
    }
    let labels: Vec<&str> = host.split('.').collect();
    match labels.iter().position(|label| matches!(*label, "sqs" | "sqs-fips" | "queue")) {
        Some(0) if labels[0] == "queue" => Some("us-east-1"),
        Some(at) if labels[at] == "queue" => labels.get(at - 1).copied(),
        Some(at) => labels.get(at + 1).copied(),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_its_host_and_on_aws_its_region() {
        let cases = [
            ("https://sqs.eu-west-1.amazonaws.com/123456789012/q", Some("eu-west-1")),
            ("https://sqs-fips.us-gov-west-1.amazonaws.com/123456789012/q", Some("us-gov-west-1")),
            ("https://sqs.cn-north-1.amazonaws.com.cn/123456789012/q", Some("cn-north-1")),
            ("https://sqs.eu-west-1.api.aws/123456789012/q", Some("eu-west-1")),
            ("https://vpce-0a-1b.sqs.eu-north-1.vpce.amazonaws.com/123456789012/q", Some("eu-north-1")),
            ("https://eu-west-1.queue.amazonaws.com/123456789012/q", Some("eu-west-1")),
            ("https://queue.amazonaws.com/123456789012/q", Some("us-east-1")),
            ("https://sqs.eu-west-1.evilamazonaws.com/123456789012/q", None),
            ("http://127.0.0.1:4566/123456789012/q", None),
        ];
        for (url, region) in cases {
            assert_eq!(region_of(url), region, "{url}");
        }
        assert_eq!(origin("http://127.0.0.1:4566/123456789012/q"), "http://127.0.0.1:4566");
        assert_eq!(origin("https://host"), "https://host");
    }
}
