//! Packages and metadata files on their way from S3 to a client: by an address, or through this process. Nothing is kept:
//! what has arrived and is not taken yet is at most a connection's buffer, however large a package is.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_MATCH, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED, LOCATION, RANGE, RETRY_AFTER,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};

use crate::authorities::Authorities;
use crate::error::{Error, ErrorKind, Result};
use crate::http::answers::{not_found, problem};
use crate::store::links::{Links, Method};

/// Addresses are valid for so long.
const VALID: Duration = Duration::from_mins(5);
/// S3 has so long to begin its answer, and to go on with it.
const CONNECT: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_secs(30);
/// A request is made so many times, as long as nothing of the answer was handed on.
const TRIES: u32 = 3;
/// What a client may ask of an object, and S3 answers for us.
const ASKED: [HeaderName; 6] = [RANGE, IF_RANGE, IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE];
/// What of S3's answer is the client's; the rest is S3's own.
const ANSWERED: [HeaderName; 7] =
    [CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ACCEPT_RANGES, ETAG, LAST_MODIFIED, CACHE_CONTROL];

/// The way of a bucket's objects to clients.
#[derive(Debug)]
pub(super) struct Passage {
    links: Arc<dyn Links>,
    /// What fetches them, where they pass through here.
    web: Option<reqwest::Client>,
}

impl Passage {
    /// By addresses.
    pub(super) fn redirecting(links: Arc<dyn Links>) -> Self {
        Self { links, web: None }
    }

    /// Through this process.
    pub(super) fn streaming(links: Arc<dyn Links>, authorities: &Authorities) -> Result<Self> {
        let web = authorities.web()?.connect_timeout(CONNECT).read_timeout(SILENCE);
        let web = web.redirect(reqwest::redirect::Policy::none()).build().map_err(|error| {
            Error::new(ErrorKind::Internal, "preparing the HTTP client for S3").because(error.without_url())
        })?;
        Ok(Self { links, web: Some(web) })
    }

    /// The answer to who wants the object under a key.
    pub(super) async fn answer(&self, method: Method, key: &str, asked: &HeaderMap) -> Response {
        let answered = match &self.web {
            None => self.redirect(method, key).await,
            Some(web) => self.pass(web, method, key, asked).await,
        };
        answered.unwrap_or_else(|error| {
            tracing::warn!(kind = error.kind().name(), ?key, "an object could not be handed on: {}", error.chain());
            let mut answer = problem(StatusCode::SERVICE_UNAVAILABLE, "the store cannot be reached now; try again");
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(1));
            answer
        })
    }

    async fn redirect(&self, method: Method, key: &str) -> Result<Response> {
        let link = self.links.link(method, key, VALID).await?;
        let mut location = HeaderValue::try_from(link.expose())
            .map_err(|error| Error::new(ErrorKind::Internal, "making an address").because(error))?;
        location.set_sensitive(true);
        Ok((StatusCode::FOUND, [(LOCATION, location), (CACHE_CONTROL, HeaderValue::from_static("no-store"))])
            .into_response())
    }

    async fn pass(&self, web: &reqwest::Client, method: Method, key: &str, asked: &HeaderMap) -> Result<Response> {
        let mut failed = None;
        for attempt in 0..TRIES {
            if attempt > 0 {
                tokio::time::sleep(Duration::from_millis(100) * attempt).await;
            }
            match self.fetch(web, method, key, asked).await {
                Ok(answer) if answer.status().is_server_error() => {
                    failed = Some(refused(key, answer.status()));
                }
                Ok(answer) => return Ok(handed_on(answer, key)),
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or_else(|| Error::new(ErrorKind::Internal, "asking S3")))
    }

    async fn fetch(
        &self,
        web: &reqwest::Client,
        method: Method,
        key: &str,
        asked: &HeaderMap,
    ) -> Result<reqwest::Response> {
        let link = self.links.link(method, key, VALID).await?;
        let mut request = match method {
            Method::Get => web.get(link.expose()),
            Method::Head => web.head(link.expose()),
        };
        for name in ASKED {
            for value in asked.get_all(&name) {
                request = request.header(&name, value);
            }
        }
        request.send().await.map_err(|error| {
            Error::new(ErrorKind::Unavailable, format!("reading {key:?}")).because(error.without_url())
        })
    }
}

fn refused(key: &str, status: reqwest::StatusCode) -> Error {
    Error::new(ErrorKind::Unavailable, format!("reading {key:?}")).because(format!("the store answered {status}"))
}

/// What S3 answered, as it concerns a client.
fn handed_on(answer: reqwest::Response, key: &str) -> Response {
    let status = answer.status();
    let is_the_object = matches!(status.as_u16(), 200 | 206 | 304 | 412 | 416);
    if status == StatusCode::NOT_FOUND {
        return not_found();
    }
    if !is_the_object {
        tracing::warn!(
            ?key,
            "the store answered {status} to the service's own credentials; `yrm doctor` says what they may do"
        );
        return problem(StatusCode::BAD_GATEWAY, "the store does not give this file to the service");
    }
    let mut headers = HeaderMap::new();
    for name in ANSWERED {
        if let Some(value) = answer.headers().get(&name) {
            headers.insert(name, value.clone());
        }
    }
    // An error's text is S3's, and names the bucket.
    if status.is_client_error() {
        headers.remove(CONTENT_LENGTH);
        headers.remove(CONTENT_TYPE);
        return (status, headers).into_response();
    }
    (status, headers, Body::new(reqwest::Body::from(answer))).into_response()
}
