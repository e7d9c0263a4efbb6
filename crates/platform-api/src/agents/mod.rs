//! Agents: what is deployed, how it is doing, and how it is configured.

pub mod asked;
mod coverage;
pub mod invoke;
mod logs;
mod wire;

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use ingestion_server::web::{ApiError, Body};
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use asked::{LastAnswer, resume};
pub use wire::{Agent, AgentConfig, AgentConfigUpdate};

use crate::answer::{Deleted, Named, Refusal};
use crate::app::{App, json};
use crate::auth::{Caller, Deploy, Identity, Read};
use crate::builds::{self, BuildRecord};
use crate::credentials;
use crate::deploy::env::Variable;
use crate::deploy::plan::Model;
use crate::deploy::wire::Dialect;
use crate::gateway;
use crate::models::spend;
use crate::policies::{Binding, PolicyOrigin, PolicyRecord};
use crate::store::{Resource, Stored, Tx};

/// What the submitted source of an agent is sealed under.
pub const SOURCE: &str = "source";

/// What the user's own environment of an agent is sealed under.
pub const ENVIRONMENT: &str = "environment";

/// An agent as it is kept. Its source and its own environment are sealed elsewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentRecord {
    /// What it is called.
    pub name: String,
    /// Where it lives.
    pub namespace: String,
    /// In whose words it was deployed.
    pub dialect: Dialect,
    /// What runs.
    pub image: String,
    /// The build that makes it.
    #[serde(default)]
    pub build_id: Option<String>,
    /// The analysis of its source.
    #[serde(default)]
    pub analysis_id: Option<String>,
    /// Its system prompt.
    pub system_prompt: String,
    /// The tools that it needs.
    pub required_tools: Vec<String>,
    /// Its models by role.
    pub models: Vec<Model>,
    /// What it finds in its environment, masked where it may be secret.
    pub env: Vec<Variable>,
    /// Who tells it about its users.
    #[serde(default)]
    pub identity_provider: Option<String>,
    /// The file that starts it.
    pub entry_point: String,
    /// The agent framework.
    pub framework: String,
    /// `python`, `node`, or empty.
    pub runtime_family: String,
    /// Packages to install.
    pub requirements: Vec<String>,
    /// Addresses in the code, each with the tool that it stands for.
    #[serde(default)]
    pub tool_url_mappings: BTreeMap<String, String>,
    /// How it is doing.
    pub status: AgentStatus,
}

impl Resource for AgentRecord {
    const KIND: &'static str = "agent";

    fn key(&self) -> &str {
        &self.name
    }
}

impl AgentRecord {
    /// Nothing of it is code: the platform itself asks its model and makes the calls that the model wants.
    pub fn is_loop(&self) -> bool {
        self.build_id.is_some() && self.entry_point.is_empty()
    }
}

/// How an agent is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct AgentStatus {
    /// In one word.
    pub phase: Phase,
    /// In a sentence; empty when there is nothing to say.
    pub message: String,
    /// How it is kept apart, once it was started: `netns`, `landlock` or `advisory`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<String>,
}

/// How an agent is doing, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub enum Phase {
    /// It is being made.
    Pending,
    /// It answers.
    Running,
    /// It does not, and the message says why.
    Failed,
}

/// The operations of the older surface, to be mounted below `/api`.
pub fn older() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_older))
        .routes(routes!(get_older, delete_older))
        .merge(invoke::older())
        .route("/agents/{name}", axum::routing::any(no_namespace))
}

/// The operations of the versioned surface, to be mounted below `/api/v1`.
pub fn versioned() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get, delete))
        .routes(routes!(config, configure))
        .merge(invoke::versioned())
        .merge(coverage::routes())
        .merge(logs::routes())
        .route("/agents/", axum::routing::any(no_name))
        .route("/agents/{namespace}/{name}", axum::routing::any(no_name))
}

/// All agents, of every namespace, oldest first.
#[utoipa::path(get, path = "/agents", tag = "agents", responses((status = 200, body = Vec<Agent>)))]
async fn list(State(app): State<App>, caller: Caller<Read>) -> Result<Json<Vec<Agent>>, ApiError> {
    let mut tx = app.store().read().await?;
    let agents = tx.list::<AgentRecord>(&caller.workspace).await?;
    Ok(Json(agents.into_iter().map(Agent::from).collect()))
}

/// All agents; those deployed as the quickstart does it say their status in one word.
#[utoipa::path(get, path = "/agents", tag = "agents", responses((status = 200, body = Vec<Agent>)))]
async fn list_older(State(app): State<App>, caller: Caller<Read>) -> Result<Json<Vec<Agent>>, ApiError> {
    let mut tx = app.store().read().await?;
    let agents = tx.list::<AgentRecord>(&caller.workspace).await?;
    Ok(Json(agents.into_iter().map(Agent::listed).collect()))
}

/// One agent.
#[utoipa::path(get, path = "/agents/{name}", tag = "agents", params(("name" = String, Path)),
    responses((status = 200, body = Agent), (status = 404, body = Refusal)))]
async fn get(State(app): State<App>, caller: Caller<Read>, Named(name): Named) -> Result<Json<Agent>, ApiError> {
    let mut tx = app.store().read().await?;
    Ok(Json(find(&mut tx, &caller, None, &name).await?.into()))
}

/// One agent.
#[utoipa::path(get, path = "/agents/{namespace}/{name}", tag = "agents",
    params(("namespace" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = Agent), (status = 404, body = Refusal)))]
async fn get_older(
    State(app): State<App>,
    caller: Caller<Read>,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Json<Agent>, ApiError> {
    let mut tx = app.store().read().await?;
    Ok(Json(find(&mut tx, &caller, Some(&namespace), &name).await?.into()))
}

/// Takes an agent away, with the policies that were made for it and its bindings; its runs stay.
#[utoipa::path(delete, path = "/agents/{name}", tag = "agents", params(("name" = String, Path)),
    responses((status = 200, body = Deleted), (status = 404, body = Refusal)))]
async fn delete(State(app): State<App>, caller: Caller<Deploy>, Named(name): Named) -> Result<Json<Deleted>, ApiError> {
    remove(&app, &caller, None, &name).await
}

/// Takes an agent away, with the policies that were made for it and its bindings; its runs stay.
#[utoipa::path(delete, path = "/agents/{namespace}/{name}", tag = "agents",
    params(("namespace" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = Deleted), (status = 404, body = Refusal)))]
async fn delete_older(
    State(app): State<App>,
    caller: Caller<Deploy>,
    Path((namespace, name)): Path<(String, String)>,
) -> Result<Json<Deleted>, ApiError> {
    remove(&app, &caller, Some(&namespace), &name).await
}

/// How an agent is configured.
#[utoipa::path(get, path = "/agents/{name}/config", tag = "agents", params(("name" = String, Path)),
    responses((status = 200, body = AgentConfig), (status = 404, body = Refusal)))]
async fn config(
    State(app): State<App>,
    caller: Caller<Read>,
    Named(name): Named,
) -> Result<Json<AgentConfig>, ApiError> {
    let mut tx = app.store().read().await?;
    let agent = find(&mut tx, &caller, None, &name).await?;
    let bound = bound(&mut tx, &caller, &name).await?;
    let usage = spend::of_agent(&mut tx, &caller.workspace, &agent.value, app.world().now()).await?;
    Ok(Json(AgentConfig::of(agent.value, bound, usage)))
}

/// Changes what is said; the rest stays.
#[utoipa::path(put, path = "/agents/{name}/config", tag = "agents", params(("name" = String, Path)),
    request_body = AgentConfigUpdate,
    responses((status = 200, body = AgentConfig), (status = 400, body = Refusal), (status = 404, body = Refusal)))]
async fn configure(
    State(app): State<App>,
    caller: Caller<Deploy>,
    Named(name): Named,
    Body { value, .. }: Body<AgentConfigUpdate>,
) -> Result<Json<AgentConfig>, ApiError> {
    let mut tx = app.store().begin().await?;
    let before = find(&mut tx, &caller, None, &name).await?;
    let mut agent = before.value.clone();
    let policies = value.apply(&mut agent)?;
    crate::deploy::reconfigure(&app, &mut tx, &caller, &mut agent, policies).await?;
    tx.put(&caller.workspace, &agent, app.world().now()).await?;
    let (before, after) = (Some(json(&before.value)), Some(json(&agent)));
    app.note(&mut tx, &caller, "agent.configure", format!("agents/{name}"), before, after).await?;
    let bound = bound(&mut tx, &caller, &name).await?;
    let usage = spend::of_agent(&mut tx, &caller.workspace, &agent, app.world().now()).await?;
    tx.commit().await?;
    app.wake();
    Ok(Json(AgentConfig::of(agent, bound, usage)))
}

async fn no_namespace(_caller: Caller<Read>) -> ApiError {
    ApiError::BadRequest("path must be /api/agents/{namespace}/{name}".into())
}

async fn no_name(_caller: Caller<Read>) -> ApiError {
    ApiError::BadRequest("path must be /agents/{name}".into())
}

/// The agent, in that namespace if one is said.
pub async fn find(
    tx: &mut Tx,
    who: &Identity,
    namespace: Option<&str>,
    name: &str,
) -> Result<Stored<AgentRecord>, ApiError> {
    let found = tx.get::<AgentRecord>(&who.workspace, name).await?;
    let here = |agent: &Stored<AgentRecord>| namespace.is_none_or(|namespace| agent.value.namespace == namespace);
    found.filter(here).ok_or_else(|| {
        let place = namespace.map(|namespace| format!("{namespace}/")).unwrap_or_default();
        ApiError::NotFound(format!("agent {place}{name}").into())
    })
}

/// The policies that count for an agent, sorted.
pub async fn bound(tx: &mut Tx, who: &Identity, agent: &str) -> Result<Vec<String>, ApiError> {
    let bindings = tx.list::<Binding>(&who.workspace).await?;
    let own = bindings.into_iter().filter(|binding| binding.value.is_of(agent));
    let mut policies: Vec<String> = own.map(|binding| binding.value.policy).collect();
    policies.sort();
    Ok(policies)
}

async fn remove(app: &App, who: &Identity, namespace: Option<&str>, name: &str) -> Result<Json<Deleted>, ApiError> {
    let mut tx = app.store().begin().await?;
    let agent = find(&mut tx, who, namespace, name).await?;
    let workspace = who.workspace.as_str();
    for binding in tx.list::<Binding>(workspace).await? {
        if binding.value.is_of(name) {
            tx.delete::<Binding>(workspace, &binding.value.id).await?;
        }
    }
    for policy in tx.list::<PolicyRecord>(workspace).await? {
        if matches!(&policy.value.origin, PolicyOrigin::Deploy { agent, .. } if agent == name) {
            tx.delete::<PolicyRecord>(workspace, &policy.value.name).await?;
        }
    }
    for build in tx.list::<BuildRecord>(workspace).await? {
        if build.value.name == name {
            tx.forget_sealed(workspace, SOURCE, &build.value.id).await?;
            tx.forget_sealed(workspace, builds::LOG, &build.value.id).await?;
            tx.delete::<BuildRecord>(workspace, &build.value.id).await?;
        }
    }
    tx.forget_sealed(workspace, SOURCE, name).await?;
    tx.forget_sealed(workspace, ENVIRONMENT, name).await?;
    gateway::tokens::forget(&mut tx, workspace, name).await?;
    credentials::forget_agent(&mut tx, workspace, name).await?;
    tx.delete::<AgentRecord>(workspace, name).await?;
    app.note(&mut tx, who, "agent.delete", format!("agents/{name}"), Some(json(&agent.value)), None).await?;
    tx.commit().await?;
    app.wake();
    Ok(Json(Deleted::default()))
}
