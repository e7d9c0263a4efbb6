//! Health: how an agent is doing, in one word and with the reasons. Asking for it is not counted.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::agents::version;
use super::envelope::FailureEnvelope;
use super::refused::Refused;
use crate::agents::{Phase, find};
use crate::answer::Named;
use crate::app::App;
use crate::auth::{Caller, Read};
use crate::running::{agent_id, unregistered};

/// How an agent is doing.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
struct Health {
    /// `healthy`, `degraded` or `unhealthy`.
    status: &'static str,
    /// Of the agent itself, of what it needs, and of what runs it.
    #[schema(value_type = Object)]
    checks: Value,
    /// Which state of the agent that is.
    version: String,
    /// Seconds since its state changed last; 0 while it does not answer.
    uptime: i64,
    /// When it was asked last.
    #[serde(serialize_with = "crate::time::serialize_some", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    last_request: Option<i64>,
    /// What is to be looked at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// Whether a path asks for health.
pub fn is_health(path: &str) -> bool {
    matches!(path.split('/').collect::<Vec<_>>()[..], ["", "v1", "agents", _, "health"])
}

/// The operation.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(health))
}

/// How an agent is doing. Where an older version answers because the newest does not, it is degraded.
#[utoipa::path(get, path = "/agents/{id}/health", tag = "second system", params(("id" = String, Path)),
    responses((status = 200, body = Health), (status = 404, body = FailureEnvelope)))]
async fn health(State(app): State<App>, caller: Caller<Read>, Named(id): Named) -> Result<Json<Health>, Refused> {
    let mut tx = app.store().read().await?;
    let agent = find(&mut tx, &caller, None, &id).await?;
    let missing = unregistered(&mut tx, &caller.workspace, &agent.value).await?;
    let last = tx.runs(&caller.workspace, Some(&agent.value.name), "%", 1).await?;
    drop(tx);
    let name = agent_id(&caller.workspace, &agent.value.name);
    let here = app.running().and_then(|running| running.runner().status(&name)).map(|status| status.borrow().clone());
    let is_older = here.as_ref().is_some_and(|here| here.serving.as_ref().is_some_and(|one| *one != here.version));
    let said = &agent.value.status;
    let is_running = said.phase == Phase::Running;

    let mut warnings: Vec<String> = missing.iter().map(|tool| format!("tool {tool:?} is not registered")).collect();
    if is_older && !is_running {
        warnings.push("an older version answers; the newest does not".into());
    }
    let status = match (is_running, warnings.is_empty()) {
        (true, true) => "healthy",
        (true, false) => "degraded",
        (false, _) if is_older => "degraded",
        (false, _) => "unhealthy",
    };
    let passed = |passed: bool| if passed { "pass" } else { "fail" };
    let checks = json!({
        "agent": {"status": passed(is_running), "message": said.message},
        "dependencies": {"status": passed(missing.is_none()), "tools": agent.value.required_tools.len()},
        "resources": {
            "status": passed(app.running().is_some()),
            "isolation": said.isolation,
            "restarts": here.as_ref().map_or(0, |here| here.restarts),
        },
    });
    let uptime = if is_running { (app.world().now() - agent.updated_at).max(0) / 1000 } else { 0 };
    let last_request = last.first().map(|run| run.created_at);
    Ok(Json(Health { status, checks, version: version(&agent), uptime, last_request, warnings }))
}
