//! A proxy between `yrm` and its S3 server that breaks some of what passes through.
//!
//! Every request is passed on as it came, or not at all. Uploaders and clients do not go through
//! it, so that what they see is never the proxy's doing.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, Response, header};
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rand::Rng as _;
use rand::rngs::StdRng;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::chance::{Deck, stream};

/// No request or answer of a campaign is larger.
const MAX_BODY_BYTES: usize = 64 << 20;
/// A late request is applied so much later, at most.
const LATEST: Duration = Duration::from_secs(2);

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// Nothing.
    None,
    /// 503 SlowDown; not passed on.
    SlowDown,
    /// The connection is reset; not passed on.
    Reset,
    /// It is applied, and the connection is reset instead of an answer.
    LostReply,
    /// It is applied, and the connection is reset in the middle of the answer's body.
    CutReply,
    /// It is passed on late; even if its sender is dead by then.
    Late,
}

impl Fault {
    pub(super) const INJECTED: [Self; 5] = [Self::SlowDown, Self::Reset, Self::LostReply, Self::CutReply, Self::Late];
}

/// How often each happens.
const CARDS: [(Fault, usize); 6] = [
    (Fault::None, 86),
    (Fault::SlowDown, 4),
    (Fault::Reset, 2),
    (Fault::LostReply, 4),
    (Fault::CutReply, 2),
    (Fault::Late, 2),
];

/// Why a connection is closed.
type Broken = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug)]
struct Way {
    upstream: SocketAddr,
    calm: AtomicBool,
    deck: Mutex<(Deck<Fault>, StdRng)>,
    counts: Mutex<BTreeMap<Fault, u64>>,
    /// Told when a repomd.xml was put, before the writer is.
    switched: Notify,
}

/// A running proxy; ends when dropped.
#[derive(Debug)]
pub(super) struct Proxy {
    endpoint: String,
    way: Arc<Way>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// In front of `upstream`, on a free port of the loopback.
    pub(super) async fn start(upstream: SocketAddr, seed: u64) -> Self {
        let deck = Deck::new(&CARDS, stream(seed, "proxy"));
        let way = Arc::new(Way {
            upstream,
            calm: AtomicBool::new(false),
            deck: Mutex::new((deck, stream(seed, "proxy's delays"))),
            counts: Mutex::default(),
            switched: Notify::new(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let accepting = tokio::spawn(accept(listener, Arc::clone(&way)));
        Self { endpoint, way, accepting }
    }

    /// `http://127.0.0.1:port`.
    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// From now on nothing is broken.
    pub(super) fn calm_down(&self) {
        self.way.calm.store(true, Ordering::Relaxed);
    }

    /// Returns when a repomd.xml was put: what it names must be there before its writer knows.
    pub(super) async fn switched(&self) {
        self.way.switched.notified().await;
    }

    /// How many requests met each fault.
    pub(super) fn counts(&self) -> BTreeMap<Fault, u64> {
        self.way.counts.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, way: Arc<Way>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        // Whoever is closed on by us sees a reset, not an orderly end.
        stream.set_zero_linger().unwrap();
        stream.set_nodelay(true).unwrap();
        let way = Arc::clone(&way);
        let pass = service_fn(move |request| pass(Arc::clone(&way), request));
        tokio::spawn(async move {
            // An error is what we are here for.
            drop(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), pass).await);
        });
    }
}

impl Way {
    fn draw(&self) -> (Fault, Duration) {
        if self.calm.load(Ordering::Relaxed) {
            return (Fault::None, Duration::ZERO);
        }
        let (deck, random) = &mut *self.deck.lock().unwrap();
        let fault = deck.draw();
        let late = LATEST.mul_f64(random.random());
        (fault, if fault == Fault::Late { late } else { Duration::ZERO })
    }

    fn count(&self, fault: Fault) {
        *self.counts.lock().unwrap().entry(fault).or_default() += 1;
    }
}

async fn pass(way: Arc<Way>, request: Request<Incoming>) -> Result<Response<Body>, Broken> {
    let (fault, late) = way.draw();
    if fault == Fault::Reset {
        way.count(fault);
        return Err("reset".into());
    }
    let (head, body) = request.into_parts();
    let body = to_bytes(Body::new(body), MAX_BODY_BYTES).await?;
    if fault == Fault::SlowDown {
        way.count(fault);
        return Ok(slow_down(&head.method));
    }
    let (upstream, method) = (way.upstream, head.method.clone());
    let switches = method == Method::PUT && head.uri.path().ends_with("/repodata/repomd.xml");
    // A task of its own: what was sent is applied, whether or not its sender lives to hear of it.
    let applied = tokio::spawn(async move {
        tokio::time::sleep(late).await;
        forward(upstream, Request::from_parts(head, Body::from(body))).await
    });
    let (mut head, body) = applied.await??;
    if switches {
        way.switched.notify_one();
    }
    // We say ourselves how the answer is framed and whether the connection stays.
    head.headers.remove(header::TRANSFER_ENCODING);
    head.headers.remove(header::CONNECTION);
    let cut = fault == Fault::CutReply && body.len() > 1 && method != Method::HEAD;
    way.count(match fault {
        Fault::CutReply if !cut => Fault::LostReply,
        other => other,
    });
    match fault {
        Fault::CutReply if cut => {
            let half = body.slice(..body.len() / 2);
            let pieces = [Ok(half), Err(io::Error::other("cut"))];
            Ok(Response::from_parts(head, Body::from_stream(futures::stream::iter(pieces))))
        }
        Fault::LostReply | Fault::CutReply => Err("the reply is lost".into()),
        Fault::None | Fault::SlowDown | Fault::Reset | Fault::Late => Ok(Response::from_parts(head, Body::from(body))),
    }
}

fn slow_down(method: &Method) -> Response<Body> {
    let text = "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";
    let body = if *method == Method::HEAD { "" } else { text };
    Response::builder().status(503).header(header::CONTENT_TYPE, "application/xml").body(Body::from(body)).unwrap()
}

/// The server's answer, whole.
async fn forward(upstream: SocketAddr, request: Request<Body>) -> Result<(axum::http::response::Parts, Bytes), Broken> {
    let stream = TcpStream::connect(upstream).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = to_bytes(Body::new(body), MAX_BODY_BYTES).await?;
    drop(sender);
    connection.abort();
    Ok((head, body))
}
