//! The shortest way to an address: where a client's token and the object's address are known, nothing has to be waited for, and
//! so nothing is set up for waiting. Every redirect but the first of a minute is answered here; what is not, goes the whole way
//! and gets the same answer.

use std::net::IpAddr;
use std::sync::Arc;

use ::metrics::Counter;
use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, LOCATION, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Method, Request, Response, StatusCode};
use jiff::Timestamp;

use super::faces::{BucketNow, Faces};
use super::gateway::access::Entry;
use super::gateway::{CertificateNames, Gateway, Watching, is_download};
use super::{files, forwarded};
use crate::metrics;
use crate::store::links;

/// See the module.
#[derive(Clone)]
pub(super) struct AtOnce {
    gateway: Arc<Gateway>,
    bucket: BucketNow,
    watching: Arc<Watching>,
    now: fn() -> Timestamp,
    /// What the whole way counts, too.
    answered: Counter,
    redirected: Counter,
    downloaded: Counter,
}

impl AtOnce {
    /// Of a gateway that redirects; others have no such way.
    pub(super) fn of(faces: &Faces) -> Option<Self> {
        let gateway = faces.gateway.as_ref().filter(|gateway| gateway.redirects())?;
        Some(Self {
            gateway: Arc::clone(gateway),
            bucket: faces.bucket.clone(),
            watching: Arc::clone(&faces.watching),
            now: faces.now,
            answered: metrics::http_counter("other", StatusCode::FOUND.as_u16()),
            redirected: metrics::gateway_counter("redirected"),
            downloaded: metrics::gateway_downloads(),
        })
    }

    /// The answer, if there is one without waiting.
    pub(super) fn answer<B>(&self, nearest: IpAddr, request: &Request<B>) -> Option<Response<Body>> {
        let method = match *request.method() {
            Method::GET => links::Method::Get,
            Method::HEAD => links::Method::Head,
            _ => return None,
        };
        if request.extensions().get::<CertificateNames>().is_some() {
            return None;
        }
        let (bucket, now) = (self.bucket.get()?, (self.now)());
        let path = files::below(request.uri().path(), &bucket.policy.folders)?.path;
        let from = forwarded::address(nearest, request.headers(), &self.watching.trusted_proxies);
        let (location, who) = self.gateway.known(&bucket, (from, request.headers()), (method, &path), now)?;

        let mut answer = Response::new(Body::empty());
        *answer.status_mut() = StatusCode::FOUND;
        let headers = answer.headers_mut();
        headers.insert(LOCATION, location);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        self.answered.increment(1);
        self.redirected.increment(1);
        if is_download(&path, request.method(), StatusCode::FOUND) {
            self.downloaded.increment(1);
        }
        if let Some(log) = &self.watching.access_log {
            log.note(&Entry {
                from,
                who: who.as_deref(),
                at: now,
                method: request.method(),
                path: request.uri().path(),
                headers: request.headers(),
                status: StatusCode::FOUND,
                bytes: Some(0),
            });
        }
        Some(answer)
    }
}
