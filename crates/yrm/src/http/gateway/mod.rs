//! The gateway: clients that have no rights in the bucket install through the service, if they may.
//!
//! Packages and metadata files never change, so they come from S3 by an address that is valid for minutes, or through here.
//! What is swapped (repomd.xml and its signature, mirrorlist, public keys) is read and answered here: so a client always has
//! a repomd.xml and a signature of one revision ([`pairs`]).
//!
//! Whether a file is there, S3 says: it knows the files of earlier revisions, too, which clients may ask for until their
//! grace is over.

pub mod access;
mod addresses;
mod door;
pub mod identity;
mod keys;
mod lockout;
mod origin;
mod pairs;
mod passage;
mod tokens;

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LAST_MODIFIED};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;

use self::access::{AccessLog, Entry};
use self::door::{Admitted, Caller, Door};
use self::identity::Identities;
use self::keys::Keys;
use self::pairs::{Pairs, Part, Peer, unreadable};
use self::passage::Passage;
pub use self::tokens::NoteUse;
use super::answers::{not_found, problem};
use super::files::{self, Below, RepoFiles};
use crate::authorities::Authorities;
use crate::bucket::Bucket;
use crate::bucket::tokens::Verb;
use crate::config::{GatewayAuth, GatewayConfig, GatewayMode};
use crate::error::Result;
use crate::metrics;
use crate::store::key::{self, Key, RepositoryDir};
use crate::store::links::{self, Links};

/// The names in a client's certificate, where its authority is believed: an extension of requests.
#[derive(Debug, Clone)]
pub(super) struct CertificateNames(pub(super) Arc<Vec<String>>);

/// Where the bytes of packages and metadata files come from.
#[derive(Debug)]
enum Source {
    Directory(RepoFiles),
    S3(Box<Passage>),
}

/// See the module.
#[derive(Debug)]
pub struct Gateway {
    source: Source,
    door: Door,
    pairs: Pairs,
    keys: Keys,
}

/// Whose word counts, and where lines go: of all that is served below `repo/`.
#[derive(Debug, Default)]
pub struct Watching {
    /// Proxies that are believed.
    pub trusted_proxies: Vec<ipnet::IpNet>,
    /// A line for each request.
    pub access_log: Option<AccessLog>,
}

/// Of which bucket clients are let in, and how AWS is asked.
#[derive(Debug)]
pub struct Reached<'a> {
    /// As proofs of identity name it.
    pub audience: &'a str,
    /// Whom HTTPS believes.
    pub authorities: &'a Authorities,
    /// Another STS than AWS's.
    pub sts: Option<&'a str>,
    /// What notes when tokens are used.
    pub note: NoteUse,
}

impl Gateway {
    /// To a directory's files.
    pub fn of_directory(config: &GatewayConfig, files: RepoFiles, reached: &Reached<'_>) -> Result<Self> {
        Self::to(config, Source::Directory(files), reached)
    }

    /// To the objects of a bucket in S3.
    pub fn of_s3(config: &GatewayConfig, links: Arc<dyn Links>, reached: &Reached<'_>) -> Result<Self> {
        let passage = match config.mode {
            GatewayMode::Redirect => Passage::redirecting(links),
            GatewayMode::Stream => Passage::streaming(links, reached.authorities)?,
        };
        Self::to(config, Source::S3(Box::new(passage)), reached)
    }

    fn to(config: &GatewayConfig, source: Source, reached: &Reached<'_>) -> Result<Self> {
        let identities = if config.auth.contains(&GatewayAuth::Aws) {
            Identities::new(reached.authorities, reached.audience, reached.sts)?
        } else {
            Identities::none()
        };
        Ok(Self {
            source,
            door: Door::new(config.auth.clone(), identities, reached.note.clone()),
            pairs: Pairs::default(),
            keys: Keys::default(),
        })
    }

    /// Answers a request below `repo/`; the name of the token that let it in.
    async fn answer(
        &self,
        bucket: &Bucket,
        (below, from): (&Below<'_>, IpAddr),
        request: Request,
        now: Timestamp,
    ) -> (Response, Option<String>) {
        let certificate = request.extensions().get::<CertificateNames>().cloned();
        let caller = Caller {
            from,
            headers: request.headers(),
            certificate: certificate.as_ref().map(|names| names.0.as_slice()),
        };
        // zypper and rpm fetch public keys without a password, and whoever has one has learnt nothing.
        let is_public = files::is_public_key(&below.path);
        let admitted =
            if is_public { Ok(None) } else { self.door.admit(bucket, caller, (Verb::Read, &below.path), now).await };
        let token = match admitted {
            Ok(token) => token.map(|token| token.name),
            Err(refused) => {
                metrics::gateway_answered(refused.name());
                return (refused.answer(), None);
            }
        };
        let (peer, method) = (Peer { from, token: token.clone() }, request.method().clone());
        let answer = self.admitted(bucket, below, request, &peer).await;
        metrics::gateway_answered(outcome(&answer));
        if is_download(&below.path, &method, answer.status()) {
            metrics::gateway_downloaded();
        }
        (answer, token)
    }

    /// What somebody is answered who may not look at what concerns the whole bucket.
    pub(super) async fn may_look(
        &self,
        bucket: &Bucket,
        from: IpAddr,
        (headers, certificate): (&HeaderMap, Option<&CertificateNames>),
        now: Timestamp,
    ) -> Option<Response> {
        let caller = Caller { from, headers, certificate: certificate.map(|names| names.0.as_slice()) };
        self.door.admit(bucket, caller, (Verb::Read, ""), now).await.err().map(|refused| refused.answer())
    }

    /// Whether clients are sent to S3.
    pub(super) fn redirects(&self) -> bool {
        matches!(&self.source, Source::S3(passage) if passage.redirects())
    }

    /// Where somebody finds an object who may, and by which token, as far as that is known without a wait.
    pub(super) fn known(
        &self,
        bucket: &Bucket,
        (from, headers): (IpAddr, &HeaderMap),
        (method, path): (links::Method, &str),
        now: Timestamp,
    ) -> Option<(HeaderValue, Option<Arc<str>>)> {
        let Source::S3(passage) = &self.source else { return None };
        if files::is_swapped(path) || of_a_pair(path).is_some() {
            return None;
        }
        let key = bucket.path(Key::Package { repository: &RepositoryDir::new(""), href: path });
        let location = passage.known_address(method, &key)?;
        let Admitted(who) = self.door.admit_at_once(bucket, (from, headers), (Verb::Read, path), now)?;
        Some((location, who))
    }

    async fn admitted(&self, bucket: &Bucket, below: &Below<'_>, request: Request, peer: &Peer) -> Response {
        let path = below.path.as_str();
        let method = match *request.method() {
            Method::GET => links::Method::Get,
            Method::HEAD => links::Method::Head,
            _ => return problem(StatusCode::METHOD_NOT_ALLOWED, "files only answer GET and HEAD"),
        };
        let root = RepositoryDir::new("");
        if let Some((repository, is_signature)) = of_a_pair(path) {
            let part = if is_signature {
                self.pairs.signature(bucket, &repository, peer).await
            } else {
                self.pairs.repomd(bucket, &repository, peer).await
            };
            return read_here(part, (path, &repository), request.headers());
        }
        if files::is_public_key(path) {
            return read_here(self.keys.at(bucket, path).await, (path, &root), request.headers());
        }
        let passage = match &self.source {
            Source::Directory(files) => return files::serve(files, request).await,
            Source::S3(passage) => passage,
        };
        // It was judged to be plain, and is below `repo/`.
        let key = bucket.path(Key::Package { repository: &root, href: path });
        if !files::is_swapped(path) {
            return passage.answer(method, &key, request.headers()).await;
        }
        let part = bucket.store.get(&key, None).await.map(|read| read.map(Part::of));
        read_here(part, (path, &root), request.headers())
    }
}

/// The answer from what was read.
fn read_here(part: Result<Option<Part>>, (path, of): (&str, &RepositoryDir), asked: &HeaderMap) -> Response {
    match part {
        Ok(Some(part)) => swapped(part, path, asked),
        Ok(None) => not_found(),
        Err(error) => {
            unreadable(&error, of);
            problem(StatusCode::SERVICE_UNAVAILABLE, "the store cannot be reached now; try again")
        }
    }
}

/// Answers a request below `repo/`, through the gateway where there is one, and notes it.
pub(super) async fn answer(
    (gateway, files): (Option<&Gateway>, Option<&RepoFiles>),
    bucket: Option<Bucket>,
    watching: &Watching,
    from: IpAddr,
    request: Request,
    now: Timestamp,
) -> Response {
    let noted = watching
        .access_log
        .as_ref()
        .map(|log| (log, access::told(request.headers()), request.method().clone(), request.uri().path().to_owned()));
    let (answer, who) = match (gateway, bucket, files) {
        (Some(gateway), Some(bucket), _) => {
            let uri = request.uri().clone();
            match files::below(uri.path(), &bucket.policy.folders) {
                Some(below) => gateway.answer(&bucket, (&below, from), request, now).await,
                None => (not_found(), None),
            }
        }
        (_, _, Some(files)) => (files::serve(files, request).await, None),
        (_, _, None) => return not_found(),
    };
    if let Some((log, headers, method, path)) = noted {
        let bytes = hyper::body::Body::size_hint(answer.body()).exact();
        let (who, status) = (who.as_deref(), answer.status());
        log.note(&Entry { from, who, at: now, method: &method, path: &path, headers: &headers, status, bytes });
    }
    answer
}

/// The repository whose repomd.xml, or signature of that, a path below `repo/` names. In a generation's or a tag's own folder
/// both stay as they are, and need no care.
fn of_a_pair(path: &str) -> Option<(RepositoryDir, bool)> {
    let (is_signature, dir) = match path.strip_suffix("repodata/repomd.xml.asc") {
        Some(dir) => (true, dir),
        None => (false, path.strip_suffix("repodata/repomd.xml")?),
    };
    let dir = if dir.is_empty() { "" } else { dir.strip_suffix('/')? };
    (!key::is_own_folder(dir)).then(|| (RepositoryDir::new(dir), is_signature))
}

/// What is swapped, as it was read.
fn swapped(part: Part, path: &str, asked: &HeaderMap) -> Response {
    let etag = format!("\"{}\"", part.etag);
    let is_known = asked.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).any(|known| {
        known.split(',').map(|known| known.trim().trim_start_matches("W/")).any(|known| known == etag || known == "*")
    });
    let mut headers = HeaderMap::new();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.extend(HeaderValue::try_from(etag).ok().map(|etag| (ETAG, etag)));
    let modified = part.modified.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    headers.extend(HeaderValue::try_from(modified).ok().map(|modified| (LAST_MODIFIED, modified)));
    if is_known {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    headers.extend(files::content_type(path).map(|kind| (CONTENT_TYPE, HeaderValue::from_static(kind))));
    (StatusCode::OK, headers, Body::from(part.bytes)).into_response()
}

/// Whether a package begins its way to a client.
pub(super) fn is_download(path: &str, method: &Method, status: StatusCode) -> bool {
    let is_package = path.get(path.len().saturating_sub(4)..).is_some_and(|end| end.eq_ignore_ascii_case(".rpm"));
    is_package && method == Method::GET && matches!(status.as_u16(), 200 | 302)
}

/// For the counters.
fn outcome(answer: &Response) -> &'static str {
    match answer.status().as_u16() {
        302 => "redirected",
        404 => "not-found",
        500.. => "failed",
        400.. => "refused",
        _ => "served",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_is_named_by_its_repository() {
        let of = |path: &str| of_a_pair(path).map(|(repository, is_signature)| (repository.to_string(), is_signature));
        assert_eq!(of("repodata/repomd.xml"), Some(("/".to_owned(), false)));
        assert_eq!(of("el9/x86_64/repodata/repomd.xml.asc"), Some(("el9/x86_64".to_owned(), true)));
        for other in
            ["el9/repodata/other.xml.gz", "el9/xrepodata/repomd.xml", "repomd.xml", "el9/repodata/repomd.xml.key"]
        {
            assert_eq!(of(other), None, "{other}");
        }
        assert_eq!(of("el9/repodata/tag-v1/repodata/repomd.xml"), None);
    }
}
