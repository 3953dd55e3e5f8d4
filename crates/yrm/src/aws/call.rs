//! Calls to the services of AWS that need one or two each: KMS, SQS, SNS, STS, Systems Manager, Secrets Manager.
//!
//! Their SDKs take minutes to compile for that. A call is one signed POST: the signature, the credentials and the
//! configuration are the SDK's own pieces, and the HTTP client is the one that everything else here uses.
//! S3 has its SDK.

use std::fmt;
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_types::service_config::ServiceConfigKey;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::chain::{authorities, beside, shared};
use super::keeper::Keeper;
use super::named::{Named, STS, Speaks};
use super::refusal::{Failure, Refusal};
use crate::authorities::Authorities;
use crate::config::S3Config;
use crate::error::{Error, ErrorKind, Result};

/// How long a call may take to connect, and each time it is made.
const CONNECT: Duration = Duration::from_secs(5);
const ATTEMPT: Duration = Duration::from_secs(10);
/// A call is made so many times, where nobody says otherwise, and at most so long after the first.
const TRIES: u32 = 3;
const IN_ALL: Duration = Duration::from_secs(30);
/// The wait before the second try, at most; it doubles.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// No answer is longer: SQS's largest has ten messages of 1 MiB, and JSON may spell a byte with six.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// A service that can be asked.
pub(crate) struct Service {
    named: &'static Named,
    http: reqwest::Client,
    credentials: Keeper,
    region: String,
    endpoint: String,
    tries: u32,
    attempt: Duration,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Service({} at {})", self.named.id, self.endpoint)
    }
}

impl Service {
    /// The service in `region` (else the configured one), with the bucket's credentials.
    pub(crate) async fn of(named: &'static Named, config: &S3Config, region: Option<&str>) -> Result<Self> {
        let shared = beside(config, region).await?;
        Self::with(named, &shared, &authorities(config).await?)
    }

    /// The service where the bucket is, by the setting `endpoint` too; in `region`, else the configured one. Other
    /// servers than AWS's need none.
    pub(crate) async fn with_the_bucket(
        named: &'static Named,
        config: &S3Config,
        region: Option<&str>,
    ) -> Result<Self> {
        let mut chain = shared(config).await?;
        if let Some(region) = region {
            chain = chain.into_builder().region(aws_types::region::Region::new(region.to_owned())).build();
        }
        Self::with(named, &chain, &authorities(config).await?)
    }

    /// The service by what the chain says.
    pub(crate) fn with(named: &'static Named, shared: &SdkConfig, believed: &Authorities) -> Result<Self> {
        let http = believed.web()?;
        let http = http.connect_timeout(CONNECT).redirect(reqwest::redirect::Policy::none()).build();
        let http = http.map_err(|error| {
            Error::new(ErrorKind::Internal, "preparing the HTTP client for AWS").because(error.without_url())
        })?;
        let region = shared.region().map_or("us-east-1", AsRef::as_ref).to_owned();
        Ok(Self {
            named,
            http,
            credentials: Keeper::new(shared.credentials_provider()),
            endpoint: endpoint_of(named, shared, &region),
            region,
            tries: TRIES,
            attempt: ATTEMPT,
        })
    }

    /// The same at this address: an origin, without a path.
    #[must_use]
    pub(crate) fn at(self, origin: &str) -> Self {
        Self { endpoint: origin.to_owned(), ..self }
    }

    /// The same, where one try may take so long.
    #[must_use]
    pub(crate) fn patient(self, attempt: Duration) -> Self {
        Self { attempt, ..self }
    }

    /// The same, for who counts tries.
    #[must_use]
    pub(crate) fn once(self) -> Self {
        Self { tries: 1, ..self }
    }

    /// Asks a service that speaks JSON.
    pub(crate) fn ask<'a, T: DeserializeOwned>(
        &'a self,
        operation: &'static str,
        input: &Value,
    ) -> BoxFuture<'a, Result<T, Refusal>> {
        let body = input.to_string();
        async move {
            let answer = self.call(operation, body).await?;
            // The parser's own words could repeat a secret.
            serde_json::from_slice(&answer).map_err(|_| Refusal::away("its answer is not what this version knows"))
        }
        .boxed()
    }

    /// Tells a service that takes forms; what it answers is of no use.
    pub(crate) async fn tell(&self, operation: &'static str, fields: &[(&str, &str)]) -> Result<(), Refusal> {
        self.query(operation, fields).await.map(drop)
    }

    /// Asks a service that takes forms; it answers XML.
    pub(crate) async fn query(&self, operation: &'static str, fields: &[(&str, &str)]) -> Result<String, Refusal> {
        let Speaks::Forms(version) = self.named.speaks else {
            return Err(Refusal::away("it takes no forms"));
        };
        let body = form(&[&[("Action", operation), ("Version", version)], fields].concat());
        self.call(operation, body).await.map(|answer| String::from_utf8_lossy(&answer).into_owned())
    }

    async fn call(&self, operation: &'static str, body: String) -> Result<Vec<u8>, Refusal> {
        let tries = async {
            let mut number = 1;
            loop {
                let tried = tokio::time::timeout(self.attempt, self.try_once(operation, &body)).await;
                let refusal = match tried.unwrap_or_else(|_| Err(Refusal::away("it does not answer"))) {
                    Err(refusal) if refusal.failure == Failure::Away && number < self.tries => refusal,
                    answer => return answer,
                };
                tracing::debug!(operation, number, "asking again: {refusal}");
                let longest = FIRST_WAIT.saturating_mul(1 << (number - 1).min(6));
                tokio::time::sleep(longest.mul_f64(rand::random())).await;
                number += 1;
            }
        };
        let limit = IN_ALL.max(self.attempt);
        tokio::time::timeout(limit, tries).await.unwrap_or_else(|_| Err(Refusal::away("it does not answer")))
    }

    async fn try_once(&self, operation: &str, body: &str) -> Result<Vec<u8>, Refusal> {
        let url = format!("{}/", self.endpoint);
        let mut headers = vec![("content-type".to_owned(), self.content_type())];
        if let Speaks::Json(_, prefix) = self.named.speaks {
            headers.push(("x-amz-target".to_owned(), format!("{prefix}.{operation}")));
        }
        let signature = self.sign(&url, &headers, body).await?;
        let mut request = self.http.post(&url).body(body.to_owned());
        for (name, value) in headers.into_iter().chain(signature) {
            request = request.header(name, value);
        }
        request = request.header("user-agent", concat!("yrm/", env!("CARGO_PKG_VERSION")));
        let lost = |error: reqwest::Error| {
            Refusal::away(Error::new(ErrorKind::Unavailable, "asking").because(error.without_url()).chain())
        };
        let mut answer = request.send().await.map_err(lost)?;
        let mut bytes = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(lost)? {
            bytes.extend_from_slice(&piece);
            if bytes.len() > MAX_ANSWER_BYTES {
                return Err(Refusal::away("its answer is longer than any that this version knows"));
            }
        }
        let status = answer.status();
        if status.is_success() {
            return Ok(bytes);
        }
        let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let in_header = header("x-amzn-query-error").or_else(|| header("x-amzn-errortype"));
        let (code, said) = read_refusal(in_header.as_deref(), &bytes);
        let failure = Failure::of_answer(Some(status.as_u16()), &code);
        let said = if said.is_empty() && code.is_empty() { format!("it answered {status}") } else { said };
        Err(Refusal { failure, code, said })
    }

    fn content_type(&self) -> String {
        match self.named.speaks {
            Speaks::Json(version, _) => format!("application/x-amz-json-{version}"),
            Speaks::Forms(_) => "application/x-www-form-urlencoded".to_owned(),
        }
    }

    /// The headers that sign a request.
    async fn sign(
        &self,
        url: &str,
        headers: &[(String, String)],
        body: &str,
    ) -> Result<Vec<(String, String)>, Refusal> {
        // A signature says when it was made: AWS takes none that is older than minutes.
        let now = SystemTime::now();
        let identity = self.credentials(now).await?.into();
        let unsigned = |error: String| Refusal { failure: Failure::Refused, code: String::new(), said: error };
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(self.named.host)
            .time(now)
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| unsigned(error.to_string()))?
            .into();
        let named = headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let request = SignableRequest::new("POST", url, named, SignableBody::Bytes(body.as_bytes()));
        let request = request.map_err(|error| unsigned(error.to_string()))?;
        let signed = sign(request, &parameters).map_err(|error| unsigned(error.to_string()))?;
        let (instructions, _) = signed.into_parts();
        Ok(instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    async fn credentials(&self, now: SystemTime) -> Result<Credentials, Refusal> {
        let missing = |said: String| Refusal { failure: Failure::NoCredentials, code: String::new(), said };
        self.credentials.credentials(now, Duration::ZERO).await.map_err(missing)
    }
}

/// Where the service is: where the configuration says, else at AWS's own address.
fn endpoint_of(named: &Named, shared: &SdkConfig, region: &str) -> String {
    if let Some(configured) = configured(named, shared) {
        return configured;
    }
    let fips = if shared.use_fips() == Some(true) { "-fips" } else { "" };
    let dual_stack = shared.use_dual_stack() == Some(true);
    format!("https://{}{fips}.{region}.{}", named.host, domain_of(region, dual_stack))
}

/// Where the configuration says that a service is.
fn configured(named: &Named, shared: &SdkConfig) -> Option<String> {
    let key = ServiceConfigKey::builder().service_id(named.id).env("AWS_ENDPOINT_URL").profile("endpoint_url").build();
    let own = key.ok().and_then(|key| shared.service_config()?.load_config(key));
    let configured = own.or_else(|| shared.endpoint_url().map(str::to_owned))?;
    Some(configured.trim_end_matches('/').to_owned())
}

/// Where STS is, for who signs a question to it.
pub(super) fn address_of_sts(shared: &SdkConfig, region: &str) -> String {
    endpoint_of(&STS, shared, region)
}

/// Another STS than AWS's, where the configuration names one.
pub(crate) async fn other_sts(config: &S3Config) -> Option<String> {
    configured(&STS, &beside(config, None).await.ok()?)
}

/// The domain of a region's partition (the SDKs' own table, `partitions.json`).
fn domain_of(region: &str, dual_stack: bool) -> &'static str {
    let (one, both) = match region {
        _ if region.starts_with("cn-") => ("amazonaws.com.cn", "api.amazonwebservices.com.cn"),
        _ if region.starts_with("us-iso-") => ("c2s.ic.gov", "api.aws.ic.gov"),
        _ if region.starts_with("us-isob-") => ("sc2s.sgov.gov", "api.aws.scloud"),
        _ if region.starts_with("eu-isoe-") => ("cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"),
        _ if region.starts_with("us-isof-") => ("csp.hci.ic.gov", "api.aws.hci.ic.gov"),
        _ if region.starts_with("eusc-") => ("amazonaws.eu", "api.amazonwebservices.eu"),
        _ => ("amazonaws.com", "api.aws"),
    };
    if dual_stack { both } else { one }
}

/// The code and the words of an answer that is none. A code may come with a name space in front and a reason behind.
fn read_refusal(in_header: Option<&str>, body: &[u8]) -> (String, String) {
    let text = String::from_utf8_lossy(body);
    let json: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let field = |name: &str| json[name].as_str().map(str::to_owned);
    let code = in_header.map(str::to_owned).or_else(|| field("__type")).or_else(|| between(&text, "<Code>", "</Code>"));
    let said = field("message").or_else(|| field("Message")).or_else(|| between(&text, "<Message>", "</Message>"));
    let code = code.unwrap_or_default();
    let code = code.rsplit('#').next().unwrap_or_default().split([':', ';']).next().unwrap_or_default();
    (code.to_owned(), said.unwrap_or_default())
}

fn form(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

fn between(text: &str, start: &str, end: &str) -> Option<String> {
    let (_, rest) = text.split_once(start)?;
    rest.split_once(end).map(|(inner, _)| inner.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_read_from_wherever_a_service_says_it() {
        let cases = [
            (
                None,
                r#"{"__type":"com.amazonaws.kms#NotFoundException","message":"no key"}"#,
                ("NotFoundException", "no key"),
            ),
            (
                Some("AWS.SimpleQueueService.NonExistentQueue;Sender"),
                r#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"gone"}"#,
                ("AWS.SimpleQueueService.NonExistentQueue", "gone"),
            ),
            (Some("AccessDeniedException:http://internal/"), r#"{"Message":"no"}"#, ("AccessDeniedException", "no")),
            (
                None,
                "<ErrorResponse><Error><Type>Sender</Type><Code>NotFound</Code><Message>no topic</Message></Error>",
                ("NotFound", "no topic"),
            ),
            (None, "<html>", ("", "")),
        ];
        for (header, body, (code, said)) in cases {
            assert_eq!(read_refusal(header, body.as_bytes()), (code.to_owned(), said.to_owned()), "{body}");
        }
    }

    #[test]
    fn a_region_names_its_partitions_domain() {
        assert_eq!(domain_of("eu-west-1", false), "amazonaws.com");
        assert_eq!(domain_of("us-gov-west-1", false), "amazonaws.com");
        assert_eq!(domain_of("cn-north-1", false), "amazonaws.com.cn");
        assert_eq!(domain_of("cn-north-1", true), "api.amazonwebservices.com.cn");
        assert_eq!(domain_of("us-isob-east-1", false), "sc2s.sgov.gov");
    }
}
