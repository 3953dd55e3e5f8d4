//! The two ways of a notice. A webhook's address often is a secret, so nothing here ever shows more of it
//! than its host.

use std::fmt;
use std::time::Duration;

use aws_sdk_sns::config::Builder;
use aws_sdk_sns::config::retry::RetryConfig;
use aws_sdk_sns::config::timeout::TimeoutConfig;
use aws_sdk_sns::error::DisplayErrorContext;
use aws_sdk_sns::types::MessageAttributeValue;
use jiff::Timestamp;

use super::news::Notice;
use super::sign::{NAME, sign};
use crate::authorities::Authorities;
use crate::aws;
use crate::config::{S3Config, Topic, parse};
use crate::error::{Error, ErrorKind, Result};

/// For one try.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Who is told.
pub(super) enum Receiver {
    Webhook(Webhook),
    Sns(Sns),
}

impl fmt::Display for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Webhook(webhook) => write!(f, "the webhook at {}", webhook.host),
            Self::Sns(sns) => f.write_str(&sns.arn),
        }
    }
}

/// Why a notice was not taken.
pub(super) struct Failed {
    pub(super) reason: String,
    pub(super) worth_another_try: bool,
}

impl Receiver {
    pub(super) async fn send(&self, notice: &Notice) -> std::result::Result<(), Failed> {
        match self {
            Self::Webhook(webhook) => webhook.send(notice).await,
            Self::Sns(sns) => sns.send(notice).await,
        }
    }
}

/// A web address that takes notices by POST.
pub(super) struct Webhook {
    client: reqwest::Client,
    url: String,
    host: String,
    secret: Option<String>,
}

impl Webhook {
    pub(super) fn new(url: &str, secret: Option<String>, believed: &Authorities) -> Result<Self> {
        let client = believed
            .web()?
            .timeout(TIMEOUT)
            .connect_timeout(TIMEOUT)
            // A redirect could carry the notice to another host.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Error::new(ErrorKind::Internal, "preparing the HTTP client for notices").because(error))?;
        // One that AWS keeps is seen here first. It is not repeated.
        if parse::web_url(url).is_err() {
            return Err(Error::new(ErrorKind::Config, "reading notify-webhook").because("this is not a web address"));
        }
        let host = url.split_once("://").map_or("", |(_, rest)| rest).split(['/', '?', '#']).next().unwrap_or_default();
        Ok(Self { client, url: url.to_owned(), host: host.to_owned(), secret })
    }

    async fn send(&self, notice: &Notice) -> std::result::Result<(), Failed> {
        let mut request = self
            .client
            .post(&self.url)
            .header("Content-Type", "application/json")
            .header("User-Agent", concat!("yrm/", env!("CARGO_PKG_VERSION")))
            .body(notice.body.clone());
        if let Some(secret) = &self.secret {
            // By the time of sending: receivers turn away what is old.
            request = request.header(NAME, sign(secret, Timestamp::now(), &notice.body));
        }
        match request.send().await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => {
                let status = answer.status();
                let worth_another_try = status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429);
                Err(Failed { reason: format!("it answered {status}"), worth_another_try })
            }
            Err(error) => {
                let reason = Error::new(ErrorKind::Unavailable, "posting").because(error.without_url()).chain();
                Err(Failed { reason, worth_another_try: true })
            }
        }
    }
}

/// An SNS topic.
pub(super) struct Sns {
    client: aws_sdk_sns::Client,
    arn: String,
    secret: Option<String>,
}

impl Sns {
    /// With the bucket's credentials, in the topic's own region.
    pub(super) async fn connect(topic: &Topic, bucket: &S3Config, secret: Option<String>) -> Result<Self> {
        let shared = aws::beside(bucket, Some(&topic.region)).await?;
        let timeouts = TimeoutConfig::builder().operation_timeout(TIMEOUT).build();
        let config = Builder::from(&shared)
            .timeout_config(timeouts)
            // Tries are counted by who calls.
            .retry_config(RetryConfig::disabled())
            .build();
        Ok(Self { client: aws_sdk_sns::Client::from_conf(config), arn: topic.arn.clone(), secret })
    }

    async fn send(&self, notice: &Notice) -> std::result::Result<(), Failed> {
        let text = |value: &str| MessageAttributeValue::builder().data_type("String").string_value(value).build().ok();
        let mut call = self.client.publish().topic_arn(&self.arn).subject(&notice.subject).message(&notice.body);
        call = call.set_message_attributes(text(notice.event).map(|event| [("event".to_owned(), event)].into()));
        if let Some(signature) =
            self.secret.as_ref().and_then(|secret| text(&sign(secret, Timestamp::now(), &notice.body)))
        {
            call = call.message_attributes(NAME, signature);
        }
        match call.send().await {
            Ok(_) => Ok(()),
            Err(error) => {
                let refused = error.raw_response().is_some_and(|answer| answer.status().is_client_error());
                Err(Failed { reason: DisplayErrorContext(error).to_string(), worth_another_try: !refused })
            }
        }
    }
}
