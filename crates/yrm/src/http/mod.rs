//! The service's HTTP face. Reads the board, the recorder and (for a directory bucket) the
//! repository's files; changes nothing, takes no body.

mod answers;
mod at_once;
mod compat;
mod crowd;
mod faces;
mod files;
mod forwarded;
pub mod gateway;
mod health;
mod looking;
mod paced;
pub mod tls;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use futures::future::Either;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use self::answers::{in_place, problem};
use self::at_once::AtOnce;
use self::crowd::{Crowd, Guest, Limits};
pub use self::faces::{BucketNow, Faces};
pub use self::files::RepoFiles;
use self::gateway::CertificateNames;
use self::paced::Paced;
use crate::error::{Error, ErrorKind, Result};
use crate::metrics;
use crate::sched::Stop;

/// Connections that wait in the kernel's queue. Who finds it full tries again after a second, which is long for
/// a health check; the system's own limit (4,096 on Linux) holds besides.
const BACKLOG: u32 = 4_096;
/// For a request's head to arrive; also how long an idle connection is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// For an answer's head to be ready. A file's body may take longer: packages are large.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes of a request's head.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// Files that the process should be able to have open: connections, the files of long answers, and what runs need.
const OPEN_FILES: u64 = 8_192;
/// For open requests to end after a stop.
const DRAIN: Duration = Duration::from_millis(1_500);
/// Before accepting again after the system refused (too many open files).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Binds the address; before the first run, so that a taken port is known at once.
pub fn bind(listen: SocketAddr) -> Result<TcpListener> {
    let bound = || {
        let socket = if listen.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // As `TcpListener::bind` has it: a service that starts again takes its port back at once.
        socket.set_reuseaddr(true)?;
        socket.bind(listen)?;
        socket.listen(BACKLOG)
    };
    bound().map_err(|error: std::io::Error| {
        let hint = match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                let other = SocketAddr::new(listen.ip(), listen.port().checked_add(1).unwrap_or(5000));
                format!("another program listens there, perhaps another yrm; choose a free port: --listen {other}")
            }
            _ => "choose an address of this machine with --listen ADDR:PORT".to_owned(),
        };
        Error::new(ErrorKind::Config, format!("listening on {listen}")).because(error).hint(hint)
    })
}

/// Answers requests until `stop`, then lets open ones end for a moment.
pub async fn answer(listener: TcpListener, faces: Faces, mut stop: Stop) {
    let certificates = faces.certificates.clone();
    let shortcut = AtOnce::of(&faces);
    let limits = if faces.gateway.is_some() { Limits::MANY } else { Limits::FEW };
    // Connections that are open or about to close; more wait in the kernel's queue.
    let most = 2 * limits.connections;
    let router = router(faces);
    allow_open_files();
    let crowd = Crowd::new(limits);
    let mut connections = JoinSet::new();
    loop {
        let has_room = connections.len() < most;
        tokio::select! {
            () = stop.requested() => break,
            accepted = listener.accept(), if has_room => match accepted {
                Ok((stream, from)) => {
                    let (guest, ways, stop) = (crowd.join(from.ip()), (router.clone(), shortcut.clone()), stop.clone());
                    match &certificates {
                        None => {
                            connections.spawn(async move { converse(Paced::new(stream), None, guest, ways, stop).await });
                        }
                        Some(certificates) => {
                            let acceptor = certificates.acceptor();
                            connections.spawn(async move { encrypted(stream, &acceptor, guest, ways, stop).await });
                        }
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(DRAIN, drained).await.is_err() {
        tracing::debug!("some requests were still open at the end");
    }
    connections.shutdown().await;
}

/// Raises the process's limit of open files as far as it may: many systems begin with 1,024.
fn allow_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(OPEN_FILES, |maximum| maximum.min(OPEN_FILES));
    if limit.current.is_some_and(|current| current < wanted) {
        limit.current = Some(wanted);
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::debug!(%error, "the limit of open files stays as it is");
        }
    }
}

/// Shakes hands, and then converses.
async fn encrypted(stream: TcpStream, acceptor: &TlsAcceptor, guest: Guest, ways: Ways, stop: Stop) {
    let shaking = tokio::time::timeout(tls::HANDSHAKE, acceptor.accept(Paced::new(stream)));
    let shaken = tokio::select! {
        shaken = shaking => shaken,
        () = guest.sent_away() => return,
    };
    match shaken {
        Ok(Ok(stream)) => {
            let shown = stream.get_ref().1.peer_certificates().and_then(|all| all.first()).map(tls::names);
            converse(stream, shown, guest, ways, stop).await;
        }
        Ok(Err(error)) => tracing::debug!(%error, "a handshake failed"),
        Err(_) => tracing::debug!("a handshake took too long"),
    }
}

/// What answers: all routes, and what needs none of them.
type Ways = (Router, Option<AtOnce>);

async fn converse<S>(stream: S, names: Option<Vec<String>>, guest: Guest, (router, shortcut): Ways, mut stop: Stop)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let names = names.map(|names| CertificateNames(Arc::new(names)));
    let (service, seated) = (TowerToHyperService::new(router), guest.clone());
    let service = hyper::service::service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        seated.heard();
        request.extensions_mut().insert(seated.clone());
        if let Some(names) = &names {
            request.extensions_mut().insert(names.clone());
        }
        match shortcut.as_ref().and_then(|shortcut| shortcut.answer(seated.address(), &request)) {
            Some(answer) => Either::Left(std::future::ready(Ok(answer))),
            None => Either::Right(hyper::service::Service::call(&service, request)),
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = guest.sent_away() => {
            tracing::debug!("a quiet connection makes room for another");
            return;
        }
        () = stop.requested() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// All routes.
fn router(faces: Faces) -> Router {
    Router::new()
        .route("/", get(compat::index))
        .route("/history", get(compat::history))
        .route("/scheduledJobs", get(compat::scheduled_jobs))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .route_layer(middleware::from_fn_with_state(faces.clone(), looking::may_look))
        .route("/livez", get(health::livez))
        .fallback(elsewhere)
        .method_not_allowed_fallback(async || problem(StatusCode::METHOD_NOT_ALLOWED, "this address only answers GET"))
        .layer(middleware::from_fn(watch))
        .with_state(faces)
}

/// Counts every answer and bounds the time to it.
async fn watch(request: Request, next: Next) -> Result<Response, Infallible> {
    let route = match request.uri().path() {
        "/" => "/",
        "/history" => "/history",
        "/scheduledJobs" => "/scheduledJobs",
        "/livez" => "/livez",
        "/readyz" => "/readyz",
        "/metrics" => "/metrics",
        _ => "other",
    };
    let answer = tokio::time::timeout(ANSWER_TIMEOUT, next.run(request)).await;
    let mut answer = answer.unwrap_or_else(|_| problem(StatusCode::SERVICE_UNAVAILABLE, "this took too long"));
    answer.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, header::HeaderValue::from_static("nosniff"));
    metrics::http_answered(route, answer.status().as_u16());
    Ok(answer)
}

/// The repository's files, or nothing.
async fn elsewhere(State(faces): State<Faces>, Extension(guest): Extension<Guest>, request: Request) -> Response {
    let (gateway, files, now) = (faces.gateway.as_deref(), faces.files.as_ref(), (faces.now)());
    let bucket = gateway.and_then(|_| faces.bucket.get());
    let from = forwarded::address(guest.address(), request.headers(), &faces.watching.trusted_proxies);
    let answer = gateway::answer((gateway, files), bucket, &faces.watching, from, request, now);
    in_place((&guest, from), answer).await
}

#[cfg(test)]
mod tests;
