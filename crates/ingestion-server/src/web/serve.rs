//! Serve: connections, and what slow or silent clients cost us: little, and not for long.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;
use tracing::{debug, warn};

use super::linger::Shared;
use super::stall::Impatient;

/// Limits of connections and bodies.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// Connections served at one time; more wait to be accepted.
    pub connections: usize,
    /// Seconds for the head of a request, and of silence between two requests.
    pub header_seconds: u64,
    /// Seconds for a whole body.
    pub body_seconds: u64,
    /// Bytes of one body.
    pub body_bytes: usize,
    /// Bytes of all bodies that are in memory at one time.
    pub held_bytes: usize,
    /// Seconds after which a client that takes nothing of its answer is left.
    pub stall_seconds: u64,
    /// Seconds that requests in flight have when the server stops.
    pub grace_seconds: u64,
}

/// A body that is not wanted is read on for this many times the limit of wanted ones.
const READ_ON: usize = 8;

/// Who is at the other end; in the extensions of every request that came by network.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// Listens, with an error that names the address.
pub async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))
}

/// Serves until `stop` resolves, then lets the requests in flight finish.
///
/// HTTP/1.1 only: a proxy that ends TLS speaks it to its upstreams, and guessing the version waits without a limit.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    config: &HttpConfig,
    tls: Option<TlsAcceptor>,
    stop: impl Future<Output = ()>,
) {
    let connections = Arc::new(Semaphore::new(config.connections.min(Semaphore::MAX_PERMITS)));
    // Each connection has a receiver: it hears of the end, and dropping it says that nothing is in flight any more.
    let (stopping, stopped) = watch::channel(());
    let mut stop = std::pin::pin!(stop);
    loop {
        let next = async {
            let place = Arc::clone(&connections).acquire_owned().await.expect("never closed");
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            accepted = next => accepted,
            () = &mut stop => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            // Out of descriptors, most likely: those who leave give theirs back.
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // Small answers leave at once.
        let _ = stream.set_nodelay(true);
        let (app, stopped, tls) = (app.clone(), stopped.clone(), tls.clone());
        let config = config.clone();
        tokio::spawn(async move {
            let stream = Impatient::new(stream, Duration::from_secs(config.stall_seconds));
            match tls {
                None => talk(stream, peer, app, &config, stopped).await,
                Some(tls) => {
                    let patience = Duration::from_secs(config.header_seconds);
                    match tokio::time::timeout(patience, tls.accept(stream)).await {
                        Ok(Ok(stream)) => talk(stream, peer, app, &config, stopped).await,
                        Ok(Err(error)) => debug!(%error, "no TLS"),
                        Err(_) => debug!("no TLS in time"),
                    }
                }
            }
            drop(place);
        });
    }
    drop((listener, stopped));
    let _ = stopping.send(());
    if tokio::time::timeout(Duration::from_secs(config.grace_seconds), stopping.closed()).await.is_err() {
        warn!(seconds = config.grace_seconds, "stopped with requests in flight");
    }
}

/// Answers the requests of one connection.
async fn talk<T: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: T,
    peer: SocketAddr,
    app: Router,
    config: &HttpConfig,
    mut stopped: watch::Receiver<()>,
) {
    let patience = Duration::from_secs(config.body_seconds);
    let most = config.body_bytes.saturating_mul(READ_ON);
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let asks_first = request.headers().contains_key(header::EXPECT);
        let (parts, body) = request.into_parts();
        let body = Shared::new(body);
        let mut request = hyper::Request::from_parts(parts, Body::new(body.clone()));
        request.extensions_mut().insert(Peer(peer));
        let app = app.clone();
        async move {
            let response = app.oneshot(request).await.unwrap_or_else(|never| match never {});
            // Past this, whoever still sends does so on purpose.
            let _ = tokio::time::timeout(patience, body.finish(most, asks_first)).await;
            Ok::<_, Infallible>(response)
        }
    });
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_secs(config.header_seconds))
            .max_buf_size(256 << 10)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades()
    );
    let ended = tokio::select! {
        ended = &mut connection => ended,
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "connection ended");
    }
}

/// The wish of whoever started the process that it end.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From now on a signal is a wish and not the end. To be called before anyone is told that the server is there.
    pub fn listen() -> io::Result<Signals> {
        Ok(Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Serves until a signal, after which `stopping` is called and requests in flight may finish; a second signal ends that.
pub async fn serve_until_signal(
    listener: TcpListener,
    app: Router,
    config: &HttpConfig,
    tls: Option<TlsAcceptor>,
    mut signals: Signals,
    stopping: impl FnOnce(),
) {
    let (stop, stopped) = oneshot::channel();
    let twice = async {
        signals.next().await;
        stopping();
        let _ = stop.send(());
        signals.next().await;
    };
    tokio::select! {
        () = serve(listener, app, config, tls, async { drop(stopped.await) }) => {}
        () = twice => {}
    }
}
