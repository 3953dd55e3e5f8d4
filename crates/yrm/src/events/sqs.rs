//! A queue in SQS, through the official SDK: the same credentials as the bucket's.
//!
//! A queue that is named by its URL is reached at that URL's host, whatever endpoint the bucket
//! has: the bucket may live elsewhere.

use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::http::HttpResponse;
use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::config::{Builder, Region};
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::DeleteMessageBatchRequestEntry;
use tokio::sync::OnceCell;

use super::queue::{BATCH, LONG_POLL, Message, Queue};
use crate::aws;
use crate::config::{QueueAddress, S3Config};
use crate::error::{Error, ErrorKind, Result};

/// How long an answer may take beyond the long poll.
const ANSWER: Duration = Duration::from_secs(10);

/// A queue in SQS.
#[derive(Debug)]
pub struct SqsQueue {
    client: Client,
    address: QueueAddress,
    url: OnceCell<String>,
}

impl SqsQueue {
    /// The queue at `address`, with the bucket's credentials. Sends nothing to the queue.
    pub async fn connect(address: &QueueAddress, bucket: &S3Config) -> Result<Self> {
        let shared = aws::shared(bucket).await?;
        let mut builder = Builder::from(&shared);
        let region = match address {
            QueueAddress::Url(url) => {
                builder = builder.endpoint_url(origin(url));
                region_of(url).map(str::to_owned)
            }
            QueueAddress::Arn { region, .. } => Some(region.clone()),
        };
        // Other servers than AWS's have no regions, but signatures want one.
        let region = region.map(Region::new).or_else(|| shared.region().cloned());
        let builder = builder.region(region.unwrap_or_else(|| Region::from_static("us-east-1")));
        Ok(Self::with_client(builder, address))
    }

    /// The queue at `address` through a client that is configured but for retries and timeouts.
    pub fn with_client(builder: Builder, address: &QueueAddress) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(5))
            .read_timeout(LONG_POLL + ANSWER)
            .operation_attempt_timeout(LONG_POLL + 2 * ANSWER)
            .build();
        let config = builder.timeout_config(timeouts).retry_config(RetryConfig::standard()).build();
        Self { client: Client::from_conf(config), address: address.clone(), url: OnceCell::new() }
    }

    /// The queue's URL: given, or asked for once.
    async fn url(&self) -> Result<&str> {
        let (account, name) = match &self.address {
            QueueAddress::Url(url) => return Ok(url),
            QueueAddress::Arn { account, name, .. } => (account, name),
        };
        let ask = async || {
            let call = self.client.get_queue_url().queue_name(name).queue_owner_aws_account_id(account);
            let answer = call.send().await.map_err(|error| failure(error, format!("finding the queue {name}")))?;
            answer.queue_url.ok_or_else(|| {
                Error::new(ErrorKind::Unavailable, format!("finding the queue {name}")).because("the answer has no URL")
            })
        };
        self.url.get_or_try_init(ask).await.map(String::as_str)
    }
}

#[async_trait]
impl Queue for SqsQueue {
    async fn receive(&self) -> Result<Vec<Message>> {
        let url = self.url().await?;
        let (most, wait_s) = (i32::try_from(BATCH), i32::try_from(LONG_POLL.as_secs()));
        let call = self.client.receive_message().queue_url(url);
        let call = call.max_number_of_messages(most.expect("ten")).wait_time_seconds(wait_s.expect("twenty"));
        let answer = call.send().await.map_err(|error| failure(error, format!("receiving from {url}")))?;
        let messages = answer.messages.unwrap_or_default().into_iter();
        // One without a handle could never be deleted; SQS sends none.
        Ok(messages
            .filter_map(|message| {
                let handle = message.receipt_handle?;
                let id = message.message_id.unwrap_or_else(|| handle.clone());
                Some(Message { id, handle, body: message.body.unwrap_or_default() })
            })
            .collect())
    }

    async fn delete(&self, handles: &[String]) -> Result<()> {
        let url = self.url().await?;
        let doing = || format!("deleting messages from {url}");
        let entries = handles.iter().enumerate().map(|(number, handle)| {
            DeleteMessageBatchRequestEntry::builder().id(number.to_string()).receipt_handle(handle).build()
        });
        let entries = entries.collect::<Result<Vec<_>, _>>();
        let entries = entries.map_err(|source| Error::new(ErrorKind::Internal, doing()).because(source))?;
        let call = self.client.delete_message_batch().queue_url(url).set_entries(Some(entries));
        let answer = call.send().await.map_err(|error| failure(error, doing()))?;
        match answer.failed().first() {
            None => Ok(()),
            Some(first) => Err(Error::new(ErrorKind::Unavailable, doing()).because(format!(
                "{} of {} are still there: {}",
                answer.failed().len(),
                handles.len(),
                first.code()
            ))),
        }
    }
}

fn failure<E>(error: SdkError<E, HttpResponse>, doing: String) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let status = error.raw_response().map(|response| response.status().as_u16());
    let no_credentials = status.is_none() && aws::names_credentials(&error);
    let code = error.code().unwrap_or_default();
    let (kind, hint) = if code.contains("NonExistentQueue") || code.contains("QueueDoesNotExist") {
        (ErrorKind::Config, Some("check the queue's name, account and region"))
    } else if no_credentials {
        (ErrorKind::Denied, Some(aws::GIVE_CREDENTIALS))
    } else if matches!(status, Some(401 | 403)) || code.contains("AccessDenied") {
        (
            ErrorKind::Denied,
            Some("allow sqs:ReceiveMessage and sqs:DeleteMessage on the queue (and sqs:GetQueueUrl for an ARN)"),
        )
    } else {
        // Throttling, 5xx, timeouts, lost connections, and what this version does not know.
        (ErrorKind::Unavailable, None)
    };
    let error = Error::new(kind, doing).because(error);
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
