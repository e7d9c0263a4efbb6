//! Over real connections: clients who are slow, silent or gone. The clock is paused and jumps when all wait.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use bytes::Bytes;
use futures_util::stream;
use ingestion_server::config::Config;
use ingestion_server::web::{Keys, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::app::{App, files};

pub struct Server {
    pub address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<()>,
}

impl Server {
    pub async fn start(app: Router) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let ended = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            serve::serve(listener, app, &Config::default().http, None, stopped).await;
        });
        Server { address, stop, ended }
    }

    pub async fn stop(self) {
        self.stop.send(()).unwrap();
        self.ended.await.unwrap();
    }

    async fn say(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }
}

async fn rest(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test(start_paused = true)]
async fn silent_and_slow_clients_are_not_waited_for() {
    let server = Server::start(App::new().router).await;
    assert_eq!(rest(server.say("").await).await, "");
    assert_eq!(rest(server.say("POST /analyze HTTP/1.1\r\nHost: x\r\nX-Slow: ").await).await, "");
    let idle = rest(server.say("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await).await;
    assert!(idle.ends_with(r#"{"status":"ok"}"#), "{idle}");
    let reply =
        rest(server.say("POST /analyze HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{\"files\"").await).await;
    assert!(
        reply.starts_with("HTTP/1.1 408 ") && reply.contains("within 60 seconds\",\"code\":\"slow_body\""),
        "{reply}"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_refusal_is_seen_by_those_who_send_everything_first() {
    let app = App::with(|config| config.http.body_bytes = 1_000, Arc::new(|_, _| unreachable!("nothing gets so far")));
    let server = Server::start(app.ingestion.alone(Some(Keys::new([Keys::hash("a key")])))).await;
    let large = "x".repeat(20_000_000);
    let head = |key: &str| {
        let length = large.len();
        format!(
            "POST /analyze HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-RunAgents-API-Key: {key}\r\nContent-Length: \
             {length}\r\n\r\n"
        )
    };
    for (key, status) in [("a key", "HTTP/1.1 413 "), ("another", "HTTP/1.1 401 ")] {
        let reply = rest(server.say(&(head(key) + &large)).await).await;
        assert!(reply.starts_with(status) && reply.ends_with("\"}"), "{reply}");
    }
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_left() {
    let (gone, is_gone) = oneshot::channel::<()>();
    let gone = Arc::new(Mutex::new(Some(gone)));
    let endless = Router::new().route(
        "/",
        get(async move || {
            // Dropped with the answer, which is when the other end hears of it.
            let gone = gone.lock().unwrap().take();
            Body::from_stream(stream::repeat_with(move || {
                let _ = &gone;
                Ok::<_, Infallible>(Bytes::from_static(&[b'x'; 65_536]))
            }))
        }),
    );
    let server = Server::start(endless).await;
    let silent = server.say("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(is_gone.await.is_err());
    drop(silent);
    server.stop().await;
}

#[tokio::test]
async fn a_stopping_server_finishes_what_it_began() {
    let server = Server::start(App::new().router).await;
    let body = files([("a.py", "")]);
    let head = format!("POST /analyze HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
    let mut early = server.say(&head).await;
    // An answer on a second connection: the first one has been accepted by then.
    let health = rest(server.say("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await).await;
    assert!(health.starts_with("HTTP/1.1 200 "), "{health}");
    let address = server.address;
    let stopping = tokio::spawn(server.stop());
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    early.write_all(body.as_bytes()).await.unwrap();
    let reply = rest(early).await;
    assert!(reply.starts_with("HTTP/1.1 201 "), "{reply}");
    stopping.await.unwrap();
}
