//! Agents, as this surface shows them.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::envelope::{FailureEnvelope, Success, success};
use super::pages::{Listed, Page, PageQuery};
use super::refused::Refused;
use crate::agents::{AgentRecord, Phase, find};
use crate::answer::Named;
use crate::app::App;
use crate::auth::{Caller, Read};
use crate::params::Pairs;
use crate::store::Stored;

/// An agent.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct AgentSummary {
    /// What it is asked by: its name.
    id: String,
    /// The same.
    name: String,
    /// Where it lives.
    namespace: String,
    /// `active`, `pending` or `failed`.
    status: &'static str,
    /// In a sentence; empty when there is nothing to say.
    status_message: String,
    /// The agent framework; empty for none.
    framework: String,
    /// The model that it talks to, if one is known.
    model: Option<String>,
    /// The tools that it needs.
    tools: Vec<String>,
    /// Counts its changes.
    version: String,
    /// When it was first deployed.
    #[serde(serialize_with = "crate::time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    created_at: i64,
    /// When it was last changed.
    #[serde(serialize_with = "crate::time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    updated_at: i64,
}

impl From<Stored<AgentRecord>> for AgentSummary {
    fn from(stored: Stored<AgentRecord>) -> AgentSummary {
        let version = version(&stored);
        let Stored { value: agent, created_at, updated_at, .. } = stored;
        let chat = agent.models.iter().find(|model| model.role == "chat").or(agent.models.first());
        AgentSummary {
            id: agent.name.clone(),
            model: chat.map(|chat| chat.model.clone()),
            name: agent.name,
            namespace: agent.namespace,
            status: match agent.status.phase {
                Phase::Pending => "pending",
                Phase::Running => "active",
                Phase::Failed => "failed",
            },
            status_message: agent.status.message,
            framework: agent.framework,
            tools: agent.required_tools,
            version,
            created_at,
            updated_at,
        }
    }
}

/// Which state of an agent somebody sees or asks.
pub fn version(agent: &Stored<AgentRecord>) -> String {
    agent.version.to_string()
}

/// The operations.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get))
}

/// Agents, oldest first, a page at a time.
#[utoipa::path(get, path = "/agents", tag = "second system", params(PageQuery),
    responses((status = 200, body = Listed<AgentSummary>), (status = 400, body = FailureEnvelope)))]
async fn list(
    State(app): State<App>,
    caller: Caller<Read>,
    query: Pairs,
) -> Result<Json<Listed<AgentSummary>>, Refused> {
    let page = Page::of(&query)?;
    let mut tx = app.store().read().await?;
    let agents = tx.list::<AgentRecord>(&caller.workspace).await?;
    Ok(page.cut(agents.into_iter().map(AgentSummary::from).collect()))
}

/// One agent.
#[utoipa::path(get, path = "/agents/{id}", tag = "second system", params(("id" = String, Path)),
    responses((status = 200, body = Success<AgentSummary>), (status = 404, body = FailureEnvelope)))]
async fn get(
    State(app): State<App>,
    caller: Caller<Read>,
    Named(id): Named,
) -> Result<Json<Success<AgentSummary>>, Refused> {
    let mut tx = app.store().read().await?;
    let agent = find(&mut tx, &caller, None, &id).await?;
    Ok(success(agent.into()))
}
