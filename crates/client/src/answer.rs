//! The answer to one request: a redirect to a presigned address, or a status and a sentence.

use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderValue, LOCATION, ORIGIN, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode};

use crate::host::Hosts;
use crate::key::Key;
use crate::log::one_line;
use crate::signer::{Refusal, Signer};

/// How that is changed.
const CONFIGURATION: &str = "YRM_CLIENT_BUCKETS in /etc/yrm-client.conf, or --bucket, allows more";

/// zypper asks for it and goes on where there is none. Where S3 says 403, as it does of what is missing to whom it lists nothing,
/// zypper gives up.
const OF_SUSE_S_MEDIA: &str = "media.1/media";

/// Answers. A request's body is ignored.
pub(crate) async fn answer<B>(signer: &Signer, hosts: &Hosts, request: &Request<B>) -> Response<String> {
    if let Err((status, why)) = is_meant_for_us(hosts, request) {
        return said(status, why);
    }
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let mut refused =
            said(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are allowed: this service only reads\n");
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    // A query is the client's own business (dnf counts itself with one), and never reaches S3.
    let Some(path) = request.uri().path().strip_prefix('/') else {
        return said(StatusCode::BAD_REQUEST, "write /BUCKET/KEY\n");
    };
    if path.is_empty() {
        let version = env!("CARGO_PKG_VERSION");
        return said(StatusCode::OK, &format!("yrm-client {version} signs for {}\n", signer.listed()));
    }
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    if key == OF_SUSE_S_MEDIA || key.strip_suffix(OF_SUSE_S_MEDIA).is_some_and(|folder| folder.ends_with('/')) {
        return said(StatusCode::NOT_FOUND, "yrm's repositories are no media of SUSE's\n");
    }
    match Key::from_path(key) {
        Ok(key) => redirect(signer.address(request.method().as_str(), bucket, &key).await),
        Err(why) => said(StatusCode::BAD_REQUEST, &format!("{why}; write /BUCKET/KEY\n")),
    }
}

fn redirect(address: Result<String, Refusal>) -> Response<String> {
    match address {
        Ok(address) => {
            let mut redirect = said(StatusCode::FOUND, "");
            let location = HeaderValue::try_from(address).expect("an encoded address is printable ASCII");
            redirect.headers_mut().insert(LOCATION, location);
            redirect
        }
        Err(Refusal::Foreign(why)) => said(StatusCode::FORBIDDEN, &format!("{why}; {CONFIGURATION}\n")),
        Err(Refusal::Unable(complaint)) => {
            let mut refused = said(
                StatusCode::SERVICE_UNAVAILABLE,
                &format!("{}; run `yrm-client check`\n", one_line(&complaint.to_string())),
            );
            refused.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
            refused
        }
    }
}

/// A request names the host that it is for, and pages of the web name another one.
fn is_meant_for_us<B>(hosts: &Hosts, request: &Request<B>) -> Result<(), (StatusCode, &'static str)> {
    let mut named = request.headers().get_all(HOST).iter();
    let (Some(host), None) = (named.next(), named.next()) else {
        return Err((StatusCode::BAD_REQUEST, "a request must have one Host header\n"));
    };
    let is_ours = |authority: &str| hosts.covers(authority);
    let is_named = host.to_str().is_ok_and(is_ours);
    if !is_named || !request.uri().authority().is_none_or(|authority| is_ours(authority.as_str())) {
        return Err((
            StatusCode::MISDIRECTED_REQUEST,
            "the host must be 127.0.0.1, [::1] or localhost; --anywhere --host NAME allows another\n",
        ));
    }
    let is_from_a_page = request.headers().contains_key(ORIGIN)
        || request.headers().get("sec-fetch-site").is_some_and(|site| site != "none" && site != "same-origin");
    if is_from_a_page {
        return Err((StatusCode::FORBIDDEN, "web pages may not use this service\n"));
    }
    Ok(())
}

fn said(status: StatusCode, text: &str) -> Response<String> {
    let mut response = Response::new(text.to_owned());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    if !text.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    }
    response
}
