//! Instance: one process of one version, from its start to its end.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::arrivals::Door;
use super::authority::Authority;
use super::cgroups::Cgroups;
use super::layout::{self, GATEWAY, Given, OnHost};
use super::logs::Log;
use super::names::Names;
use super::sandbox::{Dialer, End, Sandbox};
use super::{dns, reason};
use crate::folders::Folders;
use crate::lines::Lines;
use crate::{AgentId, Arrival, Isolation, LogStream, RunnerSettings, Workload};

/// What all instances of a runner share.
#[derive(Debug)]
pub struct Shared {
    pub settings: RunnerSettings,
    pub isolation: Isolation,
    pub folders: Folders,
    pub cgroups: Cgroups,
    pub arrivals: mpsc::Sender<Arrival>,
    pub is_root: bool,
    /// Numbers instances.
    pub started: AtomicU32,
}

/// An agent's gateway on the host, for all of its instances.
#[derive(Debug)]
pub struct HostDoor {
    /// Where it listens.
    pub port: u16,
    /// What vouches for the world's names to this agent.
    pub authority: Arc<Authority>,
    server: tokio::task::AbortHandle,
}

impl HostDoor {
    /// Listens at a free port of the loopback, which is this agent's alone.
    pub fn open(agent: &AgentId, arrivals: mpsc::Sender<Arrival>, log: Arc<Log>) -> io::Result<HostDoor> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let authority = Arc::new(Authority::new().map_err(io::Error::other)?);
        let door = Door::new(agent.clone(), port, Arc::default(), authority.clone(), arrivals, log);
        let server = tokio::spawn(door.serve(tokio::net::TcpListener::from_std(listener)?)).abort_handle();
        Ok(HostDoor { port, authority, server })
    }
}

impl Drop for HostDoor {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Lines that are looked through for the reason of an end.
const REMEMBERED: usize = 60;

/// Users that nobody else is, where we are root: one for each instance.
const FIRST_USER: u32 = 0x6000_0000;
const USERS: u32 = 1 << 20;

/// One process, which answers or is about to.
#[derive(Debug)]
pub struct Instance {
    sandbox: Sandbox,
    /// The last lines that it wrote.
    said: Arc<Mutex<VecDeque<String>>>,
    /// Those who read what it writes: they end after it.
    readers: JoinSet<()>,
    /// Those who answer what it asks.
    _servers: JoinSet<()>,
    /// What it had of the host.
    scratch: Option<PathBuf>,
    memory: u64,
    has_entry_point: bool,
}

/// How ready an instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// As far as it can be.
    Whole,
    /// Its code was loaded and has nothing to call, so the runtime's own loop answers.
    WithoutHandler,
}

/// For so long what an instance writes may be on its way.
const LATE: Duration = Duration::from_millis(100);

/// Why an instance did not get ready.
#[derive(Debug)]
pub enum NotReady {
    /// It ended, or took too long. Another one may do better.
    Yet(String),
    /// The agent's code cannot be loaded, and will not be next time.
    Ever(String),
}

impl Instance {
    /// Starts one. `host` is the agent's door on the host, where it has no network of its own.
    pub async fn start(
        shared: &Shared,
        workload: &Workload,
        log: &Arc<Log>,
        host: Option<&HostDoor>,
    ) -> io::Result<Instance> {
        let number = shared.started.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{number}", workload.agent);
        let authority = match host {
            Some(host) => host.authority.clone(),
            None => Arc::new(Authority::new().map_err(io::Error::other)?),
        };
        let group = shared.cgroups.group(&name, &workload.limits)?;
        let scratch = match host {
            None => None,
            Some(_) => Some(scratch(&shared.folders.all("run").join(&name), authority.certificate())?),
        };
        let on_host = match (host.map(|host| host.port), &scratch) {
            (Some(gateway), Some(scratch)) => {
                // Between this and its own start somebody could take it; then it ends and is started again.
                let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
                Some(OnHost { port, gateway, scratch })
            }
            _ => None,
        };
        let plan = layout::plan(&Given {
            workload,
            folders: &shared.folders,
            notes: &shared.folders.notes(&workload.artifact.environment)?,
            isolation: shared.isolation,
            user: (shared.is_root && host.is_none()).then_some(FIRST_USER + number % USERS),
            certificate: authority.certificate(),
            on_host,
            limit_memory: !group.limits_memory(),
            limit_processes: !group.limits_processes(),
        });
        let mut sandbox = Sandbox::start(&shared.settings.launcher, &plan, group).await?;
        let said: Arc<Mutex<VecDeque<String>>> = Arc::default();
        let mut readers = JoinSet::new();
        if let Some((out, err)) = sandbox.output.take() {
            readers.spawn(listen(out, LogStream::Stdout, workload.version.clone(), log.clone(), said.clone()));
            readers.spawn(listen(err, LogStream::Stderr, workload.version.clone(), log.clone(), said.clone()));
        }
        let mut servers = JoinSet::new();
        let names = Arc::new(Names::default());
        let (arrivals, agent) = (shared.arrivals.clone(), workload.agent.clone());
        let door = Door::new(agent, GATEWAY, names.clone(), authority, arrivals, log.clone());
        for listener in sandbox.listeners.drain(..) {
            listener.set_nonblocking(true)?;
            servers.spawn(door.clone().serve(tokio::net::TcpListener::from_std(listener)?));
        }
        if let Some((udp, tcp)) = sandbox.dns.take() {
            udp.set_nonblocking(true)?;
            tcp.set_nonblocking(true)?;
            servers.spawn(dns::serve_udp(tokio::net::UdpSocket::from_std(udp)?, names.clone()));
            servers.spawn(dns::serve_tcp(tokio::net::TcpListener::from_std(tcp)?, names));
        }
        let has_entry_point = workload.artifact.entry_point.is_some();
        let memory = workload.limits.memory;
        Ok(Instance { sandbox, said, readers, _servers: servers, scratch, memory, has_entry_point })
    }

    /// How to reach it.
    pub fn dialer(&self) -> Dialer {
        self.sandbox.dialer.clone()
    }

    /// Waits until it answers that it is well, and has the agent's code if that has a handler.
    pub async fn ready(&self, within: Duration) -> Result<Ready, NotReady> {
        let wait = async {
            let mut pause = Duration::from_millis(20);
            loop {
                if let Ok(health) = health(&self.sandbox.dialer).await {
                    return health;
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_millis(250));
            }
        };
        let health = tokio::select! {
            health = tokio::time::timeout(within, wait) => health,
            end = self.sandbox.ended() => return Err(NotReady::Yet(self.reason(&end).await)),
        };
        match health {
            Err(_) => {
                let last = reason::of_lines(&self.said()).map(|line| format!(": {line}")).unwrap_or_default();
                Err(NotReady::Yet(format!("it was not ready within {} s{last}", within.as_secs())))
            }
            Ok(health) if self.has_entry_point && !health.user_code => {
                // What it wrote about that may still be on its way.
                tokio::time::sleep(LATE).await;
                match reason::of_import(&self.said()) {
                    Some(why) => Err(NotReady::Ever(why)),
                    None => Ok(Ready::WithoutHandler),
                }
            }
            Ok(_) => Ok(Ready::Whole),
        }
    }

    /// Waits until it has ended by itself; answers why.
    pub async fn ended(&self) -> String {
        let end = self.sandbox.ended().await;
        self.reason(&end).await
    }

    /// Asks it to end, gives it a moment, and takes away what is left of it.
    pub async fn stop(mut self, patience: Duration) {
        self.sandbox.terminate();
        let _ = tokio::time::timeout(patience, self.sandbox.ended()).await;
        self.sandbox.gone().await;
        // What it wrote last is in the pipes; nobody writes into them any more.
        let _ =
            tokio::time::timeout(Duration::from_secs(5), async { while self.readers.join_next().await.is_some() {} })
                .await;
        if let Some(scratch) = self.scratch.take() {
            let _ = std::fs::remove_dir_all(scratch);
        }
    }

    fn said(&self) -> Vec<String> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    async fn reason(&self, end: &End) -> String {
        // What it wrote last may still be on its way.
        tokio::time::sleep(Duration::from_millis(50)).await;
        if self.sandbox.out_of_memory() {
            return format!("it needed more memory than its limit of {} MiB", self.memory >> 20);
        }
        let how = match end {
            End::Code(code) => format!("it ended with exit code {code}"),
            End::Signal(signal) => format!("it was ended by signal {signal}"),
            End::Unknown => "it ended".to_string(),
        };
        match reason::of_lines(&self.said()) {
            Some(line) => format!("{how}: {line}"),
            None => how,
        }
    }
}

async fn listen(
    from: impl tokio::io::AsyncRead + Unpin,
    stream: LogStream,
    version: String,
    log: Arc<Log>,
    said: Arc<Mutex<VecDeque<String>>>,
) {
    let mut lines = Lines::of(from);
    while let Some(some) = lines.next().await {
        for text in some {
            remember(&said, &text);
            log.write(log.line(stream, &version, text)).await;
        }
    }
}

fn remember(said: &Mutex<VecDeque<String>>, line: &str) {
    let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
    if said.len() == REMEMBERED {
        said.pop_front();
    }
    said.push_back(line.chars().take(1000).collect());
}

/// A folder on the host for one instance, with the certificates it is to trust.
fn scratch(folder: &std::path::Path, certificate: &str) -> io::Result<PathBuf> {
    std::fs::create_dir_all(folder.join("tmp"))?;
    std::fs::write(folder.join("certificates.pem"), certificate)?;
    Ok(folder.to_path_buf())
}

/// What an agent says of itself.
#[derive(Debug, Deserialize)]
struct Health {
    #[serde(default)]
    user_code: bool,
}

/// Asks for it once. What comes back is the agent's, and may be anything.
async fn health(dialer: &Dialer) -> io::Result<Health> {
    const LONGEST: u64 = 64 << 10;
    let ask = async {
        let mut stream = dialer.dial().await?;
        stream.write_all(b"GET /healthz HTTP/1.0\r\nHost: agent\r\n\r\n").await?;
        let mut answer = Vec::new();
        stream.take(LONGEST).read_to_end(&mut answer).await?;
        Ok::<_, io::Error>(answer)
    };
    let answer = tokio::time::timeout(Duration::from_secs(5), ask).await.map_err(io::Error::other)??;
    let bad = || io::Error::from(io::ErrorKind::InvalidData);
    let answer = str::from_utf8(&answer).map_err(|_| bad())?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(bad)?;
    match head.split(' ').nth(1) {
        Some("200") => Ok(serde_json::from_str(body)?),
        _ => Err(bad()),
    }
}
