//! Runners: from an artifact to an agent that answers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::server::TlsStream;

use crate::{Artifact, Isolation};

/// Runs agents. Each agent has at most one version that answers, and while it changes, one that is about to.
pub trait Runner: Send + Sync {
    /// How agents are kept apart here.
    fn isolation(&self) -> Isolation;

    /// The `host:port` at which this agent finds its gateway, to be written into its environment. It stays the same as
    /// long as the platform runs; which agent calls is known by where the call arrives, not by what it says.
    fn gateway(&self, agent: &AgentId) -> io::Result<String>;

    /// Starts an agent, or a new version of it: the one that runs keeps answering until the new one is ready, and is
    /// drained then. If the new one never gets ready, the old one stays. Returns at once; the status tells the rest.
    fn start(&self, workload: Workload) -> Result<(), StartError>;

    /// Stops every version of the agent: requests under way get `drain` to finish. Done when nothing of it is left.
    fn stop<'a>(&'a self, agent: &'a AgentId, drain: Duration) -> BoxFuture<'a, ()>;

    /// What the agent is doing, now and whenever it changes; nothing if it was never started, or stopped.
    fn status(&self, agent: &AgentId) -> Option<watch::Receiver<Status>>;

    /// Every agent that was started and not stopped, with the labels it was given.
    fn agents(&self) -> Vec<(AgentId, BTreeMap<String, String>)>;

    /// The last lines that the agent wrote, the oldest first; with `follow` those to come as well, across restarts and
    /// versions. Who reads slowly misses lines and is told how many.
    fn logs<'a>(&'a self, agent: &'a AgentId, tail: usize, follow: bool) -> BoxStream<'a, LogLine>;

    /// A connection to the version that answers. It counts as a request under way until it is dropped.
    fn connect<'a>(&'a self, agent: &'a AgentId) -> BoxFuture<'a, Result<Connection, ConnectError>>;
}

/// An agent's name at a runner: unique there, and the same after a restart. Lower case letters, digits, `-` and `.`,
/// beginning and ending with a letter or digit, at most 200 of them: `default.hello-world`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct AgentId(String);

/// A text that names no agent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no agent: use lower case letters, digits, `-` and `.`")]
pub struct AgentIdError(String);

impl AgentId {
    /// Checks the text.
    pub fn new(text: impl Into<String>) -> Result<AgentId, AgentIdError> {
        let text = text.into();
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let ends = text.bytes().next().is_some_and(inner) && text.bytes().next_back().is_some_and(inner);
        let all = text.len() <= 200 && text.bytes().all(|byte| inner(byte) || byte == b'-' || byte == b'.');
        if ends && all { Ok(AgentId(text)) } else { Err(AgentIdError(text)) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AgentId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// What is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// Whose it is.
    pub agent: AgentId,
    /// Which version this is, in the caller's words.
    pub version: String,
    /// What the caller wants to find it by.
    pub labels: BTreeMap<String, String>,
    /// The code.
    pub artifact: Artifact,
    /// What it finds in its environment. The runner adds and wins with what only it knows: `PORT`, where code and home
    /// are, which certificates to trust, proxies.
    pub environment: Environment,
    /// Further ports, beside 80 and 443, at which names of the outside world shall answer it: those of its tools.
    pub ports: BTreeSet<u16>,
    /// What it may use up.
    pub limits: Limits,
}

/// Variables. Their values may be secret and are never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(pub BTreeMap<String, String>);

impl fmt::Debug for Environment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_set().entries(self.0.keys()).finish()
    }
}

/// What an agent may use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes of memory.
    pub memory: u64,
    /// Thousandths of a processor.
    pub cpu_millis: u32,
    /// Processes and threads together.
    pub processes: u32,
    /// Files that one process has open.
    pub open_files: u32,
    /// Bytes of what it writes to its own temporary files; one file is never larger either.
    pub disk: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { memory: 512 << 20, cpu_millis: 1000, processes: 128, open_files: 1024, disk: 256 << 20 }
    }
}

/// What an agent is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// How far the version is that was started last.
    pub phase: Phase,
    /// That version.
    pub version: String,
    /// The version that answers: another one while a new version starts, and after one that failed.
    pub serving: Option<String>,
    /// How the agent is kept apart.
    pub isolation: Isolation,
    /// How often this version ended without being asked to, since it was started.
    pub restarts: u32,
}

/// How far a version is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "phase", rename_all = "lowercase")]
pub enum Phase {
    /// It is not ready yet.
    Starting,
    /// It is ready and answers.
    Running,
    /// It ended, and will be started again.
    Waiting {
        /// Why it ended, in its own words where it had some.
        reason: String,
        /// For how long, from when this was said.
        retry_in: Duration,
    },
    /// It will not run without somebody changing something.
    Failed {
        /// Why, in its own words where it had some: the text of an import error, say.
        reason: String,
    },
    /// It was asked to end, and did.
    Stopped,
}

/// Why nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The artifact is not on this host (any more); build it again.
    #[error("artifact {0} is not here; build it again")]
    NoArtifact(String),
    /// The host did not give what an agent needs even before it starts.
    #[error("an agent cannot be started: {0}")]
    Host(#[from] io::Error),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody of that name was started.
    #[error("agent {0} was not started")]
    Unknown(AgentId),
    /// It does not answer now; the phase says why.
    #[error("agent {0} is not running")]
    NotRunning(AgentId),
    /// It should answer and does not.
    #[error("agent {0} does not accept connections: {1}")]
    Refused(AgentId, #[source] io::Error),
}

/// A line that an agent wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When, in milliseconds since 1970.
    pub time: i64,
    /// Where.
    pub stream: LogStream,
    /// Which version wrote it.
    pub version: String,
    /// What, without the end of the line; long lines are cut.
    pub text: String,
}

/// Where a line comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogStream {
    /// The agent's standard output.
    Stdout,
    /// The agent's standard error.
    Stderr,
    /// The runner: it started, ended, was limited, lines were missed.
    Runner,
}

/// A connection to an agent, which speaks HTTP/1 on it. Dropping it ends the request that it counted as.
#[derive(Debug)]
pub struct Connection {
    pub(crate) stream: TcpStream,
    pub(crate) version: String,
    pub(crate) _under_way: UnderWay,
}

/// One of those that a version which is drained waits for.
#[derive(Debug)]
pub(crate) struct UnderWay(watch::Sender<usize>);

impl UnderWay {
    pub(crate) fn one_of(count: &watch::Sender<usize>) -> UnderWay {
        count.send_modify(|count| *count += 1);
        UnderWay(count.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Connection {
    /// One that leads to a version, for a runner of another kind.
    pub fn to(version: impl Into<String>, stream: TcpStream) -> Connection {
        let count = watch::Sender::new(0);
        Connection { stream, version: version.into(), _under_way: UnderWay::one_of(&count) }
    }

    /// Which version it leads to.
    pub fn version(&self) -> &str {
        &self.version
    }
}

/// A connection that an agent made. That it arrived is proof of whose it is.
#[derive(Debug)]
pub struct Arrival {
    /// Whose.
    pub agent: AgentId,
    /// The port that the agent dialed.
    pub port: u16,
    /// The name that the agent dialed, as far as the network tells: from TLS, from `CONNECT`, or by the address that
    /// its name was answered with. The `Host` of a request is a claim beside it.
    pub server_name: Option<String>,
    /// Whether this is the gateway's own address from [`Runner::gateway`], and no name of the outside world.
    pub gateway: bool,
    /// What the agent sends and reads, in plain text.
    pub stream: Stream,
}

/// Plain text, whether the agent spoke TLS or not.
#[derive(Debug)]
pub enum Stream {
    /// As it came.
    Plain(TcpStream),
    /// Decrypted here, under a certificate that only this agent trusts.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Both are streams; each hands everything to what it holds.
macro_rules! stream {
    ($type:ty, $self:ident => $($inner:pat => $stream:expr),+) => {
        impl AsyncRead for $type {
            fn poll_read($self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
                match $self.get_mut() { $($inner => Pin::new($stream).poll_read(cx, out)),+ }
            }
        }

        impl AsyncWrite for $type {
            fn poll_write($self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
                match $self.get_mut() { $($inner => Pin::new($stream).poll_write(cx, bytes)),+ }
            }

            fn poll_flush($self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match $self.get_mut() { $($inner => Pin::new($stream).poll_flush(cx)),+ }
            }

            fn poll_shutdown($self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match $self.get_mut() { $($inner => Pin::new($stream).poll_shutdown(cx)),+ }
            }

            fn poll_write_vectored(
                $self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bytes: &[io::IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                match $self.get_mut() { $($inner => Pin::new($stream).poll_write_vectored(cx, bytes)),+ }
            }

            fn is_write_vectored(&self) -> bool {
                true
            }
        }
    };
}

stream!(Connection, self => Connection { stream, .. } => stream);
stream!(Stream, self => Stream::Plain(stream) => stream, Stream::Tls(stream) => stream.as_mut());
