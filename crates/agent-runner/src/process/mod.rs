//! Agents as processes of this host.

mod agent;
mod arrivals;
mod authority;
mod cgroups;
mod dns;
mod instance;
mod layout;
mod logs;
mod names;
mod probe;
mod reason;
mod sandbox;
mod slot;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use tokio::sync::{mpsc, oneshot, watch};

use self::agent::{Agent, Order};
use self::cgroups::Cgroups;
use self::instance::{HostDoor, Shared};
use self::logs::Log;
use crate::folders::Folders;
use crate::runner::UnderWay;
use crate::{
    AgentId, Arrival, ConnectError, Connection, Digest, Host, Isolation, LogLine, Runner, RunnerSettings, StartError,
    Status, Workload,
};

/// Arrivals that may wait for the gateway; then agents wait.
const WAITING: usize = 256;

/// The runner of this host: a supervised process for each agent, kept apart as far as the host can.
#[derive(Debug)]
pub struct ProcessRunner {
    shared: Arc<Shared>,
    host: Host,
    agents: Mutex<HashMap<AgentId, Agent>>,
    logs: Mutex<HashMap<AgentId, Arc<Log>>>,
    doors: Mutex<HashMap<AgentId, Arc<HostDoor>>>,
}

impl ProcessRunner {
    /// Finds out what the host gives, and cleans what an earlier run left behind. It is an error if the host gives less
    /// than the settings demand.
    pub async fn new(settings: RunnerSettings) -> io::Result<(ProcessRunner, mpsc::Receiver<Arrival>)> {
        let folders = Folders::at(&settings.data)?;
        let run = folders.all("run");
        for leftover in std::fs::read_dir(&run)?.flatten() {
            let _ = std::fs::remove_dir_all(leftover.path());
        }
        let tag = Digest::of([folders.data().as_os_str().as_encoded_bytes()]);
        let cgroups = Cgroups::find(&format!("agents-{}-", &tag.as_str()[..8]));
        let is_root = rustix::process::geteuid().is_root();
        let host = probe::host(&settings, &folders, &cgroups, is_root).await?;
        if host.isolation < settings.at_least {
            let why = host.notes.join("; ");
            let text = format!(
                "isolation is to be {} at least, and this host gives {}: {why}",
                settings.at_least, host.isolation
            );
            return Err(io::Error::other(text));
        }
        let (arrivals, arrived) = mpsc::channel(WAITING);
        let isolation = host.isolation;
        let started = AtomicU32::new(0);
        let shared = Arc::new(Shared { settings, isolation, folders, cgroups, arrivals, is_root, started });
        let runner =
            ProcessRunner { shared, host, agents: Mutex::default(), logs: Mutex::default(), doors: Mutex::default() };
        Ok((runner, arrived))
    }

    /// What was found out about this host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    fn agents(&self) -> MutexGuard<'_, HashMap<AgentId, Agent>> {
        self.agents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self, agent: &AgentId) -> io::Result<Arc<Log>> {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(log) = logs.get(agent) {
            return Ok(log.clone());
        }
        let settings = &self.shared.settings;
        let folder = self.shared.folders.all("logs").join(agent.as_str());
        let log = Arc::new(Log::open(&folder, settings.log_bytes, settings.clock)?);
        logs.insert(agent.clone(), log.clone());
        Ok(log)
    }

    /// The agent's door on the host, where it has no network of its own.
    fn door(&self, agent: &AgentId) -> io::Result<Option<Arc<HostDoor>>> {
        if self.shared.isolation == Isolation::Netns {
            return Ok(None);
        }
        let log = self.log(agent)?;
        let mut doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(door) = doors.get(agent) {
            return Ok(Some(door.clone()));
        }
        let door = Arc::new(HostDoor::open(agent, self.shared.arrivals.clone(), log)?);
        doors.insert(agent.clone(), door.clone());
        Ok(Some(door))
    }
}

impl Runner for ProcessRunner {
    fn isolation(&self) -> Isolation {
        self.shared.isolation
    }

    fn gateway(&self, agent: &AgentId) -> io::Result<String> {
        let port = self.door(agent)?.map_or(layout::GATEWAY, |door| door.port);
        Ok(format!("127.0.0.1:{port}"))
    }

    fn start(&self, workload: Workload) -> Result<(), StartError> {
        if !self.shared.folders.has(&workload.artifact) {
            return Err(StartError::NoArtifact(workload.artifact.digest.to_string()));
        }
        let (log, door) = (self.log(&workload.agent)?, self.door(&workload.agent)?);
        let mut agents = self.agents();
        if let Some(agent) = agents.get_mut(&workload.agent) {
            agent.labels = workload.labels.clone();
            // It listens as long as it is in the list.
            let _ = agent.orders.send(Order::Start(Box::new(workload)));
            return Ok(());
        }
        agents.insert(workload.agent.clone(), Agent::start(self.shared.clone(), log, door, workload));
        Ok(())
    }

    fn stop<'a>(&'a self, agent: &'a AgentId, drain: Duration) -> BoxFuture<'a, ()> {
        let stopped = self.agents().remove(agent).map(|agent| {
            let (done, told) = oneshot::channel();
            let _ = agent.orders.send(Order::Stop(drain, done));
            told
        });
        async move {
            if let Some(stopped) = stopped {
                let _ = stopped.await;
            }
        }
        .boxed()
    }

    fn status(&self, agent: &AgentId) -> Option<watch::Receiver<Status>> {
        self.agents().get(agent).map(|agent| agent.status.clone())
    }

    fn agents(&self) -> Vec<(AgentId, BTreeMap<String, String>)> {
        self.agents().iter().map(|(id, agent)| (id.clone(), agent.labels.clone())).collect()
    }

    fn logs<'a>(&'a self, agent: &'a AgentId, tail: usize, follow: bool) -> BoxStream<'a, LogLine> {
        match self.log(agent) {
            Ok(log) => log.read(tail, follow),
            Err(error) => {
                tracing::warn!(agent = %agent, %error, "an agent's log cannot be read");
                stream::empty().boxed()
            }
        }
    }

    fn connect<'a>(&'a self, agent: &'a AgentId) -> BoxFuture<'a, Result<Connection, ConnectError>> {
        let serving = match self.agents().get(agent) {
            None => Err(ConnectError::Unknown(agent.clone())),
            Some(known) => {
                let serving = known.serving.lock().unwrap_or_else(PoisonError::into_inner);
                // Counted before anybody else can take over and wait for none to be under way.
                let serving = serving.as_ref().map(|serving| (serving.clone(), UnderWay::one_of(&serving.under_way)));
                serving.ok_or_else(|| ConnectError::NotRunning(agent.clone()))
            }
        };
        async move {
            let (serving, under_way) = serving?;
            match serving.dialer.dial().await {
                Ok(stream) => Ok(Connection { stream, version: serving.version, _under_way: under_way }),
                Err(error) => Err(ConnectError::Refused(agent.clone(), error)),
            }
        }
        .boxed()
    }
}
