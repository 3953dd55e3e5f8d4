//! The two ways of a notice. A webhook's address often is a secret, so nothing here ever shows more of it
//! than its host.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use super::news::Notice;
use super::shape;
use super::sign::{NAME, sign};
use crate::authorities::Authorities;
use crate::aws::Service;
use crate::aws::named::SNS;
use crate::aws::refusal::Failure;
use crate::config::{NotifyShape, S3Config, Topic, parse};
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
    shape: NotifyShape,
}

impl Webhook {
    pub(super) fn new(url: &str, secret: Option<String>, shape: NotifyShape, believed: &Authorities) -> Result<Self> {
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
        Ok(Self { client, url: url.to_owned(), host: host.to_owned(), secret, shape })
    }

    async fn send(&self, notice: &Notice) -> std::result::Result<(), Failed> {
        let body = shape::body(notice, self.shape);
        let mut request = self
            .client
            .post(&self.url)
            .header("Content-Type", "application/json")
            .header("User-Agent", concat!("yrm/", env!("CARGO_PKG_VERSION")))
            .body(body.clone());
        if let Some(secret) = &self.secret {
            // By the time of sending: receivers turn away what is old.
            request = request.header(NAME, sign(secret, Timestamp::now(), &body));
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
    service: Service,
    arn: String,
    secret: Option<String>,
}

impl Sns {
    /// With the bucket's credentials, in the topic's own region.
    pub(super) async fn connect(topic: &Topic, bucket: &S3Config, secret: Option<String>) -> Result<Self> {
        // Tries are counted by who calls.
        let service = Service::of(&SNS, bucket, Some(&topic.region)).await?.once();
        Ok(Self { service, arn: topic.arn.clone(), secret })
    }

    async fn send(&self, notice: &Notice) -> std::result::Result<(), Failed> {
        let signature = self.secret.as_ref().map(|secret| sign(secret, Timestamp::now(), &notice.body));
        let attributes = [("event", Some(notice.event)), (NAME, signature.as_deref())];
        let attributes = attributes.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let spelt: Vec<(String, &str)> = attributes
            .zip(1..)
            .flat_map(|((name, value), number)| {
                let field = |part: &str| format!("MessageAttributes.entry.{number}.{part}");
                [(field("Name"), name), (field("Value.DataType"), "String"), (field("Value.StringValue"), value)]
            })
            .collect();
        let mut fields = vec![("TopicArn", self.arn.as_str()), ("Subject", &notice.subject), ("Message", &notice.body)];
        fields.extend(spelt.iter().map(|(name, value)| (name.as_str(), *value)));
        self.service.tell("Publish", &fields).await.map_err(|refusal| {
            let worth_another_try = matches!(refusal.failure, Failure::Away | Failure::NoCredentials);
            Failed { reason: refusal.to_string(), worth_another_try }
        })
    }
}
