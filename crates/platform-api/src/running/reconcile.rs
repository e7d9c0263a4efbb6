//! Reconcile: what the store says is to run, and what runs, brought together again and again. Whatever is missing is
//! started, whatever nobody wants any more is stopped, and how agents are doing is written down.

use std::collections::{BTreeSet, HashSet};
use std::error::Error;
use std::time::Duration;

use agent_runner::{AgentId, Environment, Phase as Runs, StartError, Status, Workload};
use ingestion_server::web::ApiError;
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{info, warn};

use super::{Running, Started, agent_id, invocation, resume, workspace_and_agent};
use crate::agents::{AgentRecord, AgentStatus, Phase};
use crate::app::App;
use crate::builds::{self, BuildRecord, BuildStatus};
use crate::deploy;
use crate::second::webhooks;
use crate::store::{Stored, Tx};
use crate::tools::ToolRecord;

/// How often this process says that it is alive, and looks for what others left or changed.
const PACE: Duration = Duration::from_secs(1);

/// Who was not seen for so long, in milliseconds, is gone.
const SILENCE: i64 = 15_000;

/// What other replicas change is seen after so many rounds at the latest.
const ROUNDS: u32 = 5;

/// What the process before this one left is brought into a true state, before anybody asks: its builds are free, the runs
/// in which it asked an agent have failed, and its agents do not run yet. With others on the same store, their silence tells
/// later what of it is theirs no more.
pub async fn recover(app: &App) -> Result<(), ApiError> {
    if !app.store().is_one_process() {
        return Ok(());
    }
    let now = app.world().now();
    let mut tx = app.store().begin().await?;
    tx.forget_silent(now + 1).await?;
    for (workspace, Stored { mut value, version, .. }) in tx.list_everywhere::<AgentRecord>().await? {
        if value.status.phase == Phase::Running {
            let message = match app.running() {
                Some(_) => "the platform was started again, and the agent is about to be",
                None => "the platform was started again, without a runner that could start the agent",
            };
            let message = message.to_string();
            value.status = AgentStatus { phase: Phase::Pending, message, isolation: None };
            tx.update(&workspace, &value, version, now).await?;
        }
    }
    tx.commit().await?;
    invocation::fail_lost(app).await
}

/// Does all that is to be done, for as long as the platform lives.
pub async fn keep_up(app: App) {
    let Some(running) = app.running().cloned() else { return };
    let mut round = Round { changes: None, left: 0 };
    loop {
        if let Err(error) = round.go(&app, &running).await {
            let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
            warn!(error = %cause, "agents could not be looked after and will be again");
        }
        let _ = timeout(PACE, running.inner.wake.notified()).await;
    }
}

/// What one round leaves to the next.
struct Round {
    changes: Option<u64>,
    left: u32,
}

impl Round {
    async fn go(&mut self, app: &App, running: &Running) -> Result<(), ApiError> {
        alive(app, running).await?;
        builds::execute::take(app, running).await?;
        invocation::flush(app, running).await?;
        resume::due(app, running).await?;
        let changes = app.store().changes();
        if self.changes == Some(changes) && self.left > 0 {
            self.left -= 1;
            return Ok(());
        }
        agents(app, running).await?;
        (self.changes, self.left) = (Some(changes), ROUNDS);
        Ok(())
    }
}

/// Says that this process is, and sees who is not any more.
async fn alive(app: &App, running: &Running) -> Result<(), ApiError> {
    let now = app.world().now();
    let mut tx = app.store().begin().await?;
    tx.beat(running.replica(), now).await?;
    tx.forget_silent(now - SILENCE).await?;
    tx.commit().await?;
    invocation::fail_lost(app).await
}

/// Brings agents together with what the store says of them.
async fn agents(app: &App, running: &Running) -> Result<(), ApiError> {
    let mut tx = app.store().read().await?;
    let wanted = tx.list_everywhere::<AgentRecord>().await?;
    let mut there = HashSet::new();
    for (workspace, agent) in wanted {
        let id = agent_id(&workspace, &agent.value.name);
        let seen = running.started().get(&id).map(|started| started.seen);
        if seen != Some(agent.version) {
            step(app, running, &mut tx, &workspace, &id, agent).await?;
        }
        there.insert(id);
    }
    drop(tx);
    let gone: Vec<AgentId> = running.runner().agents().into_iter().map(|(id, _)| id).collect();
    for id in gone.into_iter().filter(|id| !there.contains(id)) {
        if let Some(started) = running.started().remove(&id) {
            started.watch.abort();
        }
        let running = running.clone();
        let drain = Duration::from_secs(running.config().drain_seconds);
        tokio::spawn(async move { running.runner().stop(&id, drain).await });
    }
    Ok(())
}

/// One agent, a step on.
async fn step(
    app: &App,
    running: &Running,
    tx: &mut Tx,
    workspace: &str,
    id: &AgentId,
    agent: Stored<AgentRecord>,
) -> Result<(), ApiError> {
    let Stored { value: agent, version: document, .. } = agent;
    let say = async |phase, message: String| {
        let status = AgentStatus { phase, message, isolation: None };
        write_status(app, workspace, &agent.name, agent.build_id.as_deref(), status).await
    };
    let Some(build_id) = &agent.build_id else {
        let message =
            "this platform runs source as processes of its host, and no images; deploy the agent's source_files";
        return say(Phase::Pending, message.into()).await;
    };
    if agent.is_loop() {
        if running.started().remove(id).is_some() {
            // It had code before.
            let (running, id) = (running.clone(), id.clone());
            let drain = Duration::from_secs(running.config().drain_seconds);
            tokio::spawn(async move { running.runner().stop(&id, drain).await });
        }
        return match unregistered(tx, workspace, &agent).await? {
            Some(missing) => say(Phase::Pending, waits_for(&missing)).await,
            None => say(Phase::Running, String::new()).await,
        };
    }
    let Some(build) = tx.get::<BuildRecord>(workspace, build_id).await? else { return Ok(()) };
    let artifact = match (build.value.status, &build.value.artifact) {
        (BuildStatus::Failed, _) => {
            return say(Phase::Failed, build.value.error.unwrap_or_else(|| "build failed".into())).await;
        }
        (BuildStatus::Succeeded, Some(artifact)) => artifact.clone(),
        _ => return Ok(()),
    };
    if let Some(missing) = unregistered(tx, workspace, &agent).await? {
        return say(Phase::Pending, waits_for(&missing)).await;
    }
    let environment = deploy::environment(app, tx, workspace, &agent).await?;
    let version = format!("{build_id}.{}", print(&environment));
    let is_started = running.started().get(id).is_some_and(|started| started.version == version);
    if is_started {
        if let Some(started) = running.started().get_mut(id) {
            started.seen = document;
        }
        return Ok(());
    }
    let workload = Workload {
        agent: id.clone(),
        version: version.clone(),
        labels: [("workspace", workspace), ("agent", &agent.name)]
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .into(),
        artifact,
        environment: Environment(environment),
        ports: ports(tx, workspace).await?,
        limits: running.config().limits(),
    };
    match running.runner().start(workload) {
        Ok(()) => {}
        // Built by another replica, or lost with the folder it was in.
        Err(StartError::NoArtifact(_)) => {
            builds::execute::again(app, running, workspace, build_id);
            return Ok(());
        }
        Err(StartError::Host(error)) => {
            return say(Phase::Failed, running.scrubbed(&format!("an agent cannot be started: {error}"))).await;
        }
    }
    info!(agent = %agent.name, version, "agent started");
    if let Some(status) = running.runner().status(id) {
        let watch = tokio::spawn(watch_status(app.clone(), running.clone(), id.clone(), status));
        let started = Started { version, seen: document, watch };
        if let Some(before) = running.started().insert(id.clone(), started) {
            before.watch.abort();
        }
    }
    Ok(())
}

fn waits_for(missing: &str) -> String {
    format!("the required tool {missing:?} is not registered; the agent starts when it is")
}

/// The first required tool that nobody registered.
pub async fn unregistered(tx: &mut Tx, workspace: &str, agent: &AgentRecord) -> Result<Option<String>, ApiError> {
    for name in &agent.required_tools {
        if tx.get::<ToolRecord>(workspace, name).await?.is_none() {
            return Ok(Some(name.clone()));
        }
    }
    Ok(None)
}

/// Ports at which registered tools are found.
async fn ports(tx: &mut Tx, workspace: &str) -> Result<BTreeSet<u16>, ApiError> {
    let tools = tx.list::<ToolRecord>(workspace).await?;
    let addresses = tools.iter().filter_map(|tool| url::Url::parse(&tool.value.spec.connection.base_url).ok());
    Ok(addresses.filter_map(|address| address.port_or_known_default()).collect())
}

/// Another one whenever something in the environment is.
fn print(environment: &std::collections::BTreeMap<String, String>) -> String {
    let mut hash = Sha256::new();
    for part in environment.iter().flat_map(|(name, value)| [name, value]) {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize()[..6].iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn watch_status(app: App, running: Running, id: AgentId, mut status: watch::Receiver<Status>) {
    let (workspace, agent) = workspace_and_agent(&id);
    loop {
        let now = status.borrow_and_update().clone();
        let build = now.version.split('.').next().map(str::to_string);
        let said = said(&running, &now);
        while let Err(error) = write_status(&app, workspace, agent, build.as_deref(), said.clone()).await {
            warn!(%error, agent, "the status of an agent is not written");
            tokio::time::sleep(PACE).await;
        }
        if status.changed().await.is_err() {
            return;
        }
    }
}

/// In the words of the documents.
fn said(running: &Running, status: &Status) -> AgentStatus {
    let other = status.serving.as_ref().is_some_and(|serving| *serving != status.version);
    let meanwhile = if other { "; the version before it goes on answering" } else { "" };
    let (phase, message) = match &status.phase {
        Runs::Starting => (Phase::Pending, format!("starting{meanwhile}")),
        Runs::Running => (Phase::Running, String::new()),
        Runs::Waiting { reason, retry_in } => {
            (Phase::Pending, format!("{reason}; it is started again in {} s{meanwhile}", retry_in.as_secs().max(1)))
        }
        Runs::Failed { reason } => (Phase::Failed, format!("{reason}{meanwhile}")),
        Runs::Stopped => (Phase::Pending, "stopped".into()),
    };
    AgentStatus { phase, message: running.scrubbed(&message), isolation: Some(status.isolation.as_str().into()) }
}

/// Writes how an agent is doing, if it is still the one that was built so.
async fn write_status(
    app: &App,
    workspace: &str,
    name: &str,
    build: Option<&str>,
    mut status: AgentStatus,
) -> Result<(), ApiError> {
    let mut tx = app.store().read().await?;
    let Some(agent) = tx.get::<AgentRecord>(workspace, name).await? else { return Ok(()) };
    drop(tx);
    status.isolation = status.isolation.or_else(|| agent.value.status.isolation.clone());
    if agent.value.build_id.as_deref() != build || agent.value.status == status {
        return Ok(());
    }
    let mut tx = app.store().begin().await?;
    if let Some(Stored { mut value, version, .. }) = tx.get::<AgentRecord>(workspace, name).await?
        && value.build_id.as_deref() == build
    {
        let before = std::mem::replace(&mut value.status, status);
        // Somebody may change it at this moment; then the next round says it again.
        if tx.update(workspace, &value, version, app.world().now()).await?.is_some() {
            webhooks::events::of_health(app, &mut tx, workspace, &value, &before).await?;
        }
    }
    tx.commit().await?;
    Ok(())
}
