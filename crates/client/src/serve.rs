//! The service: connections within limits, a stop that lets answers finish, and an end when nobody asks for a while.

use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, body::Incoming};
use hyper_util::rt::{TokioIo, TokioTimer};
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::answer::answer;
use crate::complaint::{Complaint, Result};
use crate::host::Hosts;
use crate::log;
use crate::signer::Signer;

/// As many connections are open at a time; others wait in the socket's queue.
const MAX_CONNECTIONS: usize = 256;
/// A request's line and headers.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// A head has to be here within so long; so an idle connection is closed after as long.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// At a stop, answers in the making may take so long.
const STOP_WITHIN: Duration = Duration::from_secs(5);
/// After an error of the socket (no more file descriptors).
const PAUSE: Duration = Duration::from_millis(100);

/// How to serve.
#[derive(Debug)]
pub(crate) struct Serving {
    pub(crate) hosts: Hosts,
    /// The end comes after so long without a request, if it comes by itself.
    pub(crate) idle_exit: Option<Duration>,
    /// Requests are told of.
    pub(crate) verbose: bool,
}

/// What every connection needs.
#[derive(Debug)]
struct Shared {
    signer: Signer,
    serving: Serving,
    /// Whether somebody asked since this was looked at.
    was_asked: AtomicBool,
    /// Connections that are open.
    open: AtomicUsize,
}

/// Serves until SIGTERM or SIGINT, or until nobody has asked for `idle_exit`.
pub(crate) async fn serve(signer: Signer, sockets: Vec<TcpListener>, serving: Serving) -> Result<()> {
    let unusable = |error: std::io::Error| Complaint::new(format!("the service cannot start: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(unusable)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(unusable)?;

    let shared = Arc::new(Shared { signer, serving, was_asked: AtomicBool::new(false), open: AtomicUsize::new(0) });
    let (stop, stopped) = watch::channel(());
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut listening = JoinSet::new();
    for socket in sockets {
        let address = socket.local_addr().map_err(unusable)?;
        let socket = tokio::net::TcpListener::from_std(socket).map_err(unusable)?;
        listening.spawn(listen(socket, Arc::clone(&shared), Arc::clone(&permits), stopped.clone()));
        log::note(&format!("listening on {address}, signing for {}", shared.signer.listed()));
    }
    drop(stopped);
    notify(&[NotifyState::Ready]);

    let why = tokio::select! {
        _ = terminate.recv() => "stopping",
        _ = interrupt.recv() => "stopping",
        () = silence(&shared) => "nobody asked for a while: stopping",
    };
    log::note(why);
    notify(&[NotifyState::Stopping]);
    drop(stop);
    let ended = tokio::time::timeout(STOP_WITHIN, listening.join_all()).await;
    if ended.is_err() {
        log::warn("some answers were cut off");
    }
    Ok(())
}

/// Until nobody has asked for long enough; for ever where there is no such time.
async fn silence(shared: &Shared) {
    let Some(time) = shared.serving.idle_exit else { return std::future::pending().await };
    loop {
        tokio::time::sleep(time).await;
        let was_asked = shared.was_asked.swap(false, Ordering::Relaxed);
        if !was_asked && shared.open.load(Ordering::Relaxed) == 0 {
            return;
        }
    }
}

/// Takes connections until the stop, and then waits for those that are open.
async fn listen(
    socket: tokio::net::TcpListener,
    shared: Arc<Shared>,
    permits: Arc<Semaphore>,
    mut stopped: watch::Receiver<()>,
) {
    let mut connections = JoinSet::new();
    let ended = stopped.clone();
    loop {
        let accepted = async {
            let permit = Arc::clone(&permits).acquire_owned().await.expect("the semaphore is never closed");
            (permit, socket.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            _ = stopped.changed() => break,
            accepted = accepted => accepted,
        };
        // Those that ended are let go of.
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) => {
                let (shared, ended) = (Arc::clone(&shared), ended.clone());
                shared.open.fetch_add(1, Ordering::Relaxed);
                connections.spawn(async move {
                    converse(stream, &shared, ended).await;
                    shared.open.fetch_sub(1, Ordering::Relaxed);
                    drop(permit);
                });
            }
            Err(error) => {
                log::warn(&format!("a connection cannot be taken: {error}"));
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    drop(socket);
    connections.join_all().await;
}

/// Answers what comes over one connection.
async fn converse(stream: tokio::net::TcpStream, shared: &Shared, mut ended: watch::Receiver<()>) {
    // An answer is one small packet, and the client waits for it.
    drop(stream.set_nodelay(true));
    let service = service_fn(async |request: Request<Incoming>| {
        shared.was_asked.store(true, Ordering::Relaxed);
        let answer = answer(&shared.signer, &shared.serving.hosts, &request).await;
        if shared.serving.verbose {
            let path: String = request.uri().path().chars().take(1024).collect();
            log::note(&format!("{} {path} {}", request.method(), answer.status().as_u16()));
        }
        Ok::<_, Infallible>(answer)
    });
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_WITHIN)
            .max_buf_size(MAX_HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), service)
    );
    // A client's error is its own: it gets a status, or the connection ends.
    tokio::select! {
        _ = connection.as_mut() => {}
        _ = ended.changed() => {
            connection.as_mut().graceful_shutdown();
            drop(connection.await);
        }
    }
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        log::warn(&format!("systemd cannot be told: {error}"));
    }
}
