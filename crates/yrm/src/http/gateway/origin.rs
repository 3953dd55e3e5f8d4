//! The connections to S3 by which objects pass through here. What has arrived and is not taken yet is at most [`KEPT_BYTES`] a
//! client: the HTTP client of everything else here would keep half a megabyte.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::uri::Scheme;
use axum::http::{Request, Response, Uri};
use futures::future::BoxFuture;
use futures::{FutureExt as _, TryFutureExt as _};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use crate::authorities::Authorities;
use crate::error::{Error, ErrorKind, Result};

/// See the module.
const KEPT_BYTES: usize = 64 << 10;
/// S3 has so long to begin its answer, and to go on with it.
const CONNECT: Duration = Duration::from_secs(5);
const SILENCE: Duration = Duration::from_secs(30);

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// S3, as objects are fetched from it.
#[derive(Debug, Clone)]
pub(super) struct Origin(Client<HttpsConnector<Way>, Body>);

impl Origin {
    pub(super) fn new(authorities: &Authorities) -> Result<Self> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(CONNECT));
        let way = Way { http, proxies: Arc::new(Matcher::from_env()) };
        let https = HttpsConnectorBuilder::new().with_tls_config(authorities.tls()?).https_or_http();
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .http1_max_buf_size(KEPT_BYTES)
            .build(https.enable_http1().wrap_connector(way));
        Ok(Self(client))
    }

    /// What S3 answers. An error never names the address.
    pub(super) async fn fetch(&self, request: Request<Body>, key: &str) -> Result<Response<Heard>> {
        let failed = || Error::new(ErrorKind::Unavailable, format!("reading {key:?}"));
        let answer = tokio::time::timeout(SILENCE, self.0.request(request)).await;
        let answer = answer.map_err(|_| failed().because("the store does not answer"))?;
        Ok(answer.map_err(|error| failed().because(error))?.map(|body| Heard { body, silent: None }))
    }
}

/// A connection to the store, through the proxy that `HTTPS_PROXY` and `NO_PROXY` name for it.
#[derive(Debug, Clone)]
struct Way {
    http: HttpConnector,
    proxies: Arc<Matcher>,
}

impl tower_service::Service<Uri> for Way {
    type Response = TokioIo<TcpStream>;
    type Error = AnyError;
    type Future = BoxFuture<'static, std::result::Result<Self::Response, AnyError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<std::result::Result<(), AnyError>> {
        self.http.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        // A store without HTTPS is in the same network.
        let proxy = self.proxies.intercept(&uri).filter(|_| uri.scheme() == Some(&Scheme::HTTPS));
        let Some(proxy) = proxy else { return self.http.call(uri).map_err(Into::into).boxed() };
        let mut tunnel = Tunnel::new(proxy.uri().clone(), self.http.clone());
        if let Some(authorization) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(authorization.clone());
        }
        tunnel.call(uri).map_err(Into::into).boxed()
    }
}

/// What comes from the store, as long as it comes.
pub(super) struct Heard {
    body: Incoming,
    silent: Option<Pin<Box<Sleep>>>,
}

impl hyper::body::Body for Heard {
    type Data = Bytes;
    type Error = AnyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, AnyError>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(frame) => {
                this.silent = None;
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Poll::Pending => {
                let silent = this.silent.get_or_insert_with(|| Box::pin(tokio::time::sleep(SILENCE)));
                ready!(silent.as_mut().poll(cx));
                Poll::Ready(Some(Err("the store sends nothing any more".into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
