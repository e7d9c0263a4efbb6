//! Arrivals: what an agent dials, taken in, decrypted, and handed on with what is known about it.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::LazyConfigAcceptor;

use super::authority::Authority;
use super::logs::Log;
use super::names::Names;
use crate::{AgentId, Arrival, Stream};

/// How long an agent may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(20);

/// How many of one agent's connections may be about to say so.
const AT_ONCE: usize = 256;

/// Longer heads of `CONNECT` are refused.
const LONGEST_HEAD: usize = 8 << 10;

/// One agent's door to its gateway.
#[derive(Clone)]
pub struct Door {
    agent: AgentId,
    /// The port at which it finds the gateway itself, at 127.0.0.1.
    gateway: u16,
    names: Arc<Names>,
    authority: Arc<Authority>,
    arrivals: mpsc::Sender<Arrival>,
    log: Arc<Log>,
    places: Arc<Semaphore>,
}

impl Door {
    pub fn new(
        agent: AgentId,
        gateway: u16,
        names: Arc<Names>,
        authority: Arc<Authority>,
        arrivals: mpsc::Sender<Arrival>,
        log: Arc<Log>,
    ) -> Door {
        Door { agent, gateway, names, authority, arrivals, log, places: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Takes in what comes to a listener, until dropped.
    pub async fn serve(self, listener: TcpListener) {
        loop {
            let Ok(place) = self.places.clone().acquire_owned().await else { return };
            let Ok((stream, _)) = listener.accept().await else {
                // Too many files are open, most likely; some will be closed.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let door = self.clone();
            tokio::spawn(async move {
                if let Ok(Some(arrival)) = tokio::time::timeout(PATIENCE, door.receive(stream)).await {
                    // The gateway takes them as fast as it can; if it is gone, so is everybody.
                    let _ = door.arrivals.send(arrival).await;
                }
                drop(place);
            });
        }
    }

    /// What a connection turns out to be; nothing if it ends before, or is not meant for anybody here.
    async fn receive(&self, mut stream: TcpStream) -> Option<Arrival> {
        let _ = stream.set_nodelay(true);
        let local = stream.local_addr().ok()?;
        let mut port = local.port();
        let mut dialed = match local.ip() {
            IpAddr::V4(address) => self.names.name(address),
            IpAddr::V6(_) => None,
        };
        let mut gateway = port == self.gateway && dialed.is_none();
        let mut first = opening(&stream).await.ok()?;
        if first == Opening::Connect && gateway {
            let (host, said_port) = connect_request(&mut stream).await.ok()?;
            (dialed, port, gateway) = (Some(host), said_port, false);
            first = opening(&stream).await.ok()?;
        }
        if first != Opening::Tls {
            let stream = Stream::Plain(stream);
            return Some(Arrival { agent: self.agent.clone(), port, server_name: dialed, gateway, stream });
        }
        let start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await.ok()?;
        let said = start.client_hello().server_name().map(str::to_ascii_lowercase);
        let server_name = said.or(dialed);
        let name = server_name.clone().unwrap_or_else(|| local.ip().to_string());
        let config = match self.authority.server(&name) {
            Ok(config) => config,
            Err(error) => {
                self.log.note(format!("TLS to {name:?} is not possible: {error}"));
                return None;
            }
        };
        match start.into_stream(config).await {
            Ok(stream) => {
                let stream = Stream::Tls(Box::new(stream));
                Some(Arrival { agent: self.agent.clone(), port, server_name, gateway, stream })
            }
            Err(error) => {
                self.log.note(format!(
                    "TLS to {name} failed: {error}. Code that brings certificates of its own does not know the \
                     gateway's, which is in the file that SSL_CERT_FILE names"
                ));
                None
            }
        }
    }
}

/// What a connection begins with.
#[derive(Debug, PartialEq, Eq)]
enum Opening {
    Tls,
    Connect,
    Other,
}

async fn opening(stream: &TcpStream) -> io::Result<Opening> {
    const CONNECT: &[u8] = b"CONNECT ";
    const HANDSHAKE: u8 = 22;
    let mut first = [0; CONNECT.len()];
    loop {
        let length = stream.peek(&mut first).await?;
        match &first[..length] {
            [] => return Err(io::ErrorKind::UnexpectedEof.into()),
            [HANDSHAKE, ..] => return Ok(Opening::Tls),
            CONNECT => return Ok(Opening::Connect),
            // More of it may come, and a look at what is there already does not wait for it.
            start if CONNECT.starts_with(start) => tokio::time::sleep(Duration::from_millis(5)).await,
            _ => return Ok(Opening::Other),
        }
    }
}

/// Takes a request for a tunnel and grants it: where it leads is decided call by call.
async fn connect_request(stream: &mut TcpStream) -> io::Result<(String, u16)> {
    let bad = || io::Error::from(io::ErrorKind::InvalidData);
    let mut head = Vec::new();
    // Byte by byte, so that nothing of what follows is taken.
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == LONGEST_HEAD {
            return Err(bad());
        }
        head.push(stream.read_u8().await?);
    }
    let line = head.split(|byte| *byte == b'\r').next().and_then(|line| str::from_utf8(line).ok()).ok_or_else(bad)?;
    let target = line.split(' ').nth(1).ok_or_else(bad)?;
    let (host, port) = target.rsplit_once(':').ok_or_else(bad)?;
    let port = port.parse().map_err(|_| bad())?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    if host.is_empty() {
        return Err(bad());
    }
    stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    Ok((host, port))
}
