//! Running: what is deployed is made to run. Builds are carried out, agents are started and kept in step with what the
//! store says of them, and what they dial is answered.

pub mod arrivals;
pub mod invocation;
mod reconcile;
pub mod recording;
pub mod resume;
pub mod tool_loop;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use agent_runner::{AgentId, Builder, Isolation, Runner};
use ingestion_server::web::ApiError;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::config::{BuildsConfig, RunnerConfig};
use invocation::Invocation;

pub use reconcile::{keep_up, recover, unregistered};

/// What runs agents here. Cloning gives another handle on the same one.
#[derive(Clone)]
pub struct Running {
    inner: Arc<Inner>,
}

struct Inner {
    /// This process among those that share a store.
    replica: String,
    data: PathBuf,
    builder: Arc<dyn Builder>,
    runner: Arc<dyn Runner>,
    builds: BuildsConfig,
    config: RunnerConfig,
    /// Something has changed that an agent or a build may be waiting for.
    wake: Notify,
    building: AtomicUsize,
    is_stopping: AtomicBool,
    started: Mutex<HashMap<AgentId, Started>>,
    under_way: Mutex<HashMap<AgentId, BTreeMap<String, Arc<Invocation>>>>,
}

/// An agent that the runner was given.
struct Started {
    version: String,
    /// The version of the agent's document that was looked at last.
    seen: i64,
    watch: JoinHandle<()>,
}

impl Running {
    /// Over a builder and a runner that share the folder `data`.
    pub fn new(
        replica: String,
        data: PathBuf,
        builder: Arc<dyn Builder>,
        runner: Arc<dyn Runner>,
        builds: BuildsConfig,
        config: RunnerConfig,
    ) -> Running {
        let inner = Inner {
            replica,
            data,
            builder,
            runner,
            builds,
            config,
            wake: Notify::new(),
            building: AtomicUsize::new(0),
            is_stopping: AtomicBool::new(false),
            started: Mutex::default(),
            under_way: Mutex::default(),
        };
        Running { inner: Arc::new(inner) }
    }

    /// This process among those that share a store.
    pub fn replica(&self) -> &str {
        &self.inner.replica
    }

    /// What makes artifacts.
    pub fn builder(&self) -> &Arc<dyn Builder> {
        &self.inner.builder
    }

    /// What runs them.
    pub fn runner(&self) -> &Arc<dyn Runner> {
        &self.inner.runner
    }

    /// How agents are kept apart.
    pub fn isolation(&self) -> Isolation {
        self.inner.runner.isolation()
    }

    /// What was configured.
    pub fn config(&self) -> &RunnerConfig {
        &self.inner.config
    }

    /// Where an agent finds its gateway.
    pub fn gateway(&self, workspace: &str, agent: &str) -> Result<String, ApiError> {
        let address = self.inner.runner.gateway(&agent_id(workspace, agent));
        address.map(|address| format!("http://{address}")).map_err(|error| ApiError::Internal(error.into()))
    }

    /// Nobody but the agent itself can connect to its gateway, so that a connection alone says whose it is. Elsewhere
    /// whoever is on this host could.
    pub fn knows_by_connection(&self) -> bool {
        self.isolation() == Isolation::Netns
    }

    /// Looks again at what there is to do, now.
    pub fn wake(&self) {
        self.inner.wake.notify_one();
    }

    /// How many more builds may begin here.
    pub(crate) fn free_places(&self) -> usize {
        self.inner.builds.at_once.max(1).saturating_sub(self.inner.building.load(Ordering::Relaxed))
    }

    /// One of these places, until it is dropped.
    pub(crate) fn place(&self) -> Place {
        self.inner.building.fetch_add(1, Ordering::Relaxed);
        Place(self.clone())
    }

    /// A text without what only this host knows: the data folder, and credentials in addresses.
    pub(crate) fn scrubbed(&self, text: &str) -> String {
        without_credentials(&text.replace(&*self.inner.data.to_string_lossy(), "~"))
    }

    /// Stops every agent; requests under way get what the settings give them.
    pub async fn stop(&self) {
        self.inner.is_stopping.store(true, Ordering::Relaxed);
        let drain = Duration::from_secs(self.inner.config.drain_seconds);
        let agents: Vec<AgentId> = self.inner.runner.agents().into_iter().map(|(agent, _)| agent).collect();
        let stopping = agents.iter().map(|agent| self.inner.runner.stop(agent, drain));
        futures_util::future::join_all(stopping).await;
    }

    /// This process ends: whatever waits is for others, or for the next start.
    pub fn is_stopping(&self) -> bool {
        self.inner.is_stopping.load(Ordering::Relaxed)
    }

    fn started(&self) -> MutexGuard<'_, HashMap<AgentId, Started>> {
        self.inner.started.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A build under way.
pub(crate) struct Place(Running);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.inner.building.fetch_sub(1, Ordering::Relaxed);
        self.0.wake();
    }
}

/// What an agent of a workspace is called at the runner.
pub fn agent_id(workspace: &str, agent: &str) -> AgentId {
    AgentId::new(format!("{workspace}.{agent}")).expect("workspaces and agents have plain names without dots")
}

/// Back from there.
pub fn workspace_and_agent(id: &AgentId) -> (&str, &str) {
    id.as_str().split_once('.').unwrap_or(("", id.as_str()))
}

/// `https://user:password@host` without user and password.
fn without_credentials(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        clean.push_str(before);
        let end = after.find(|c: char| c == '/' || c.is_whitespace() || "\"'<>".contains(c)).unwrap_or(after.len());
        let from = after[..end].rfind('@').map_or(0, |user| user + 1);
        rest = &after[from..];
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_in_addresses_are_left_out_and_nothing_else_is() {
        for (text, clean) in [
            ("from https://me:s3cret@pypi.example/simple: 404", "from https://pypi.example/simple: 404"),
            ("http://a@b@c/d and ftp://x:y@z", "http://c/d and ftp://z"),
            ("see https://pypi.org/p/a@b for a@b", "see https://pypi.org/p/a@b for a@b"),
            ("no address, me@example.org", "no address, me@example.org"),
        ] {
            assert_eq!(without_credentials(text), clean);
        }
    }

    #[test]
    fn an_agents_name_at_the_runner_leads_back_to_it() {
        assert_eq!(workspace_and_agent(&agent_id("default", "hello-world")), ("default", "hello-world"));
    }
}
