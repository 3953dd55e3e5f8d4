//! Packages and metadata files on their way from S3 to a client: by an address, or through this process. Nothing is kept:
//! what has arrived and is not taken yet is at most a connection's buffer, however large a package is.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_MATCH, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED, LOCATION, RANGE, RETRY_AFTER,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use axum::response::{IntoResponse as _, Response};

use super::addresses::Addresses;
use super::origin::{Heard, Origin};
use crate::authorities::Authorities;
use crate::error::{Error, ErrorKind, Result};
use crate::http::answers::{not_found, problem};
use crate::store::links::{Links, Method};

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
    addresses: Addresses,
    /// Where they are fetched from, where they pass through here.
    origin: Option<Origin>,
}

impl Passage {
    /// By addresses.
    pub(super) fn redirecting(links: Arc<dyn Links>) -> Self {
        Self { addresses: Addresses::new(links), origin: None }
    }

    /// Through this process.
    pub(super) fn streaming(links: Arc<dyn Links>, authorities: &Authorities) -> Result<Self> {
        Ok(Self { addresses: Addresses::new(links), origin: Some(Origin::new(authorities)?) })
    }

    /// Whether clients are sent to S3.
    pub(super) fn redirects(&self) -> bool {
        self.origin.is_none()
    }

    /// The address of an object, if it was made lately.
    pub(super) fn known_address(&self, method: Method, key: &str) -> Option<HeaderValue> {
        self.addresses.known_of(method, key)
    }

    /// The answer to who wants the object under a key.
    pub(super) async fn answer(&self, method: Method, key: &str, asked: &HeaderMap) -> Response {
        let answered = match &self.origin {
            None => self.redirect(method, key).await,
            Some(origin) => self.pass(origin, method, key, asked).await,
        };
        answered.unwrap_or_else(|error| {
            tracing::warn!(kind = error.kind().name(), ?key, "an object could not be handed on: {}", error.chain());
            let mut answer = problem(StatusCode::SERVICE_UNAVAILABLE, "the store cannot be reached now; try again");
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(1));
            answer
        })
    }

    async fn redirect(&self, method: Method, key: &str) -> Result<Response> {
        let location = self.addresses.of(method, key).await?;
        Ok((StatusCode::FOUND, [(LOCATION, location), (CACHE_CONTROL, HeaderValue::from_static("no-store"))])
            .into_response())
    }

    async fn pass(&self, origin: &Origin, method: Method, key: &str, asked: &HeaderMap) -> Result<Response> {
        let mut failed = None;
        for attempt in 0..TRIES {
            if attempt > 0 {
                tokio::time::sleep(Duration::from_millis(100) * attempt).await;
            }
            match self.fetch(origin, method, key, asked).await {
                Ok(answer) if answer.status().is_server_error() => {
                    failed = Some(refused(key, answer.status()));
                }
                // The address has ended before its time: a session was ended, or a clock was set.
                Ok(answer) if answer.status() == StatusCode::FORBIDDEN && attempt == 0 => {
                    self.addresses.forget(method, key);
                }
                Ok(answer) => return Ok(handed_on(answer, key)),
                Err(error) => failed = Some(error),
            }
        }
        Err(failed.unwrap_or_else(|| Error::new(ErrorKind::Internal, "asking S3")))
    }

    async fn fetch(
        &self,
        origin: &Origin,
        method: Method,
        key: &str,
        asked: &HeaderMap,
    ) -> Result<axum::http::Response<Heard>> {
        let address = self.addresses.of(method, key).await?;
        let mut request = Request::builder().method(method.name()).uri(address.as_bytes());
        for name in ASKED {
            for value in asked.get_all(&name) {
                request = request.header(&name, value);
            }
        }
        let request = request
            .body(Body::empty())
            .map_err(|error| Error::new(ErrorKind::Internal, "making an address").because(error))?;
        origin.fetch(request, key).await
    }
}

fn refused(key: &str, status: StatusCode) -> Error {
    Error::new(ErrorKind::Unavailable, format!("reading {key:?}")).because(format!("the store answered {status}"))
}

/// What S3 answered, as it concerns a client.
fn handed_on(answer: axum::http::Response<Heard>, key: &str) -> Response {
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
    (status, headers, Body::new(answer.into_body())).into_response()
}
