//! Runs: what an agent does for somebody from the first message to the end, with everything that happens on the way.

pub mod actions;
mod answer;
pub mod checkpoints;
pub mod events;
mod export;
mod follow;
mod lifecycle;
pub mod observed;
pub mod record;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use ingestion_server::web::{ApiError, Body};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use actions::Action;
pub use events::Event;
pub use lifecycle::{ActionStatus, BadTransition, RunStatus, UnknownStatus};

use crate::agents::AgentRecord;
use crate::answer::{Named, Refusal};
use crate::app::App;
use crate::approvals;
use crate::auth::{Caller, Identity, Read, Write};
use crate::config::Config;
use crate::params::{Params, number, said};
use crate::running::resume;
use crate::store::{RunRow, Tx};

/// Where an agent is that nobody said more of.
const NAMESPACE: &str = "agent-system";

/// A run as it is answered.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Run {
    /// Its id.
    pub id: String,
    /// The agent's name.
    pub agent_id: String,
    /// The same, as an earlier document calls it.
    agent: String,
    /// Where the agent is.
    namespace: String,
    /// For whom it runs.
    user_id: String,
    /// What the run is a part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation_id: Option<String>,
    /// What the user said first.
    #[serde(skip_serializing_if = "Option::is_none")]
    initial_message: Option<String>,
    /// Where the agent is called.
    invoke_url: String,
    /// Where the run is.
    pub status: RunStatus,
    /// The same, as an earlier document calls it.
    state: RunStatus,
    /// What it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    blocked_action_id: Option<String>,
    /// When it began.
    #[serde(serialize_with = "crate::time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    created_at: i64,
    /// When its status changed last.
    #[serde(serialize_with = "crate::time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    updated_at: i64,
}

impl Run {
    /// As the store keeps it; the agent's own address is the platform's way to it.
    pub fn new(row: RunRow, config: &Config) -> Run {
        let own = || format!("{}/api/agents/{}/{}/invoke", config.public_url(), row.namespace, row.agent_id);
        Run {
            invoke_url: row.invoke_url.clone().unwrap_or_else(own),
            id: row.id,
            agent: row.agent_id.clone(),
            agent_id: row.agent_id,
            namespace: row.namespace,
            user_id: row.user_id,
            conversation_id: row.conversation_id,
            initial_message: row.initial_message,
            status: row.status,
            state: row.status,
            blocked_action_id: row.blocked_action_id,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// A run that is to begin.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct CreateRun {
    /// The agent's name.
    #[schema(required)]
    pub agent_id: Option<String>,
    /// For whom it runs.
    #[schema(required)]
    pub user_id: Option<String>,
    /// What it is a part of.
    pub conversation_id: Option<String>,
    /// Where the agent is.
    pub namespace: Option<String>,
    /// Where the agent is called, if not at its own address.
    pub invoke_url: Option<String>,
    /// What the user said first.
    pub initial_message: Option<String>,
}

/// Another status for a run.
#[derive(Debug, Deserialize, ToSchema)]
struct UpdateRun {
    /// `COMPLETED`, `FAILED`, `PAUSED_APPROVAL` or `RUNNING`.
    #[schema(required)]
    status: Option<String>,
}

/// Which runs.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Of this agent.
    agent_id: Option<String>,
    /// The same, as an earlier client calls it.
    agent: Option<String>,
    /// With this status, or `PAUSED` for both ways to wait.
    status: Option<String>,
    /// At most so many.
    #[param(value_type = Option<u64>)]
    limit: Option<String>,
}

/// The operations, to be mounted at the root and below the versioned prefix.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, update))
        .merge(events::routes())
        .merge(actions::routes())
        .merge(answer::routes())
        .merge(follow::routes())
        .merge(export::routes())
}

/// Runs, newest first.
#[utoipa::path(get, path = "/runs", tag = "runs", params(Wanted),
    responses((status = 200, body = Vec<Run>), (status = 400, body = Refusal)))]
async fn list(
    State(app): State<App>,
    caller: Caller<Read>,
    Params(wanted): Params<Wanted>,
) -> Result<Json<Vec<Run>>, ApiError> {
    let status = match said(&wanted.status) {
        None => "%",
        // A family of two.
        Some("PAUSED") => "PAUSED%",
        Some(name) => RunStatus::named(name).map(RunStatus::name).ok_or_else(|| {
            let names = RunStatus::ALL.map(RunStatus::name).join(", ");
            ApiError::BadRequest(format!("status must be one of PAUSED, {names}"))
        })?,
    };
    let agent = said(&wanted.agent_id).or(said(&wanted.agent));
    let limit = number(wanted.limit.as_deref(), "limit", 1, i64::MAX)?;
    approvals::expire_due(&app).await?;
    let mut tx = app.store().read().await?;
    let runs = tx.runs(&caller.workspace, agent, status, limit).await?;
    Ok(Json(runs.into_iter().map(|run| Run::new(run, app.config())).collect()))
}

/// Begins a run.
#[utoipa::path(post, path = "/runs", tag = "runs", request_body = CreateRun,
    responses((status = 201, body = Run), (status = 400, body = Refusal)))]
async fn create(
    State(app): State<App>,
    caller: Caller<Write>,
    Body { value, .. }: Body<CreateRun>,
) -> Result<(StatusCode, Json<Run>), ApiError> {
    let mut tx = app.store().begin().await?;
    let run = begin(&app, &mut tx, &caller, value).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(Run::new(run, app.config()))))
}

/// One run.
#[utoipa::path(get, path = "/runs/{id}", tag = "runs", params(("id" = String, Path)),
    responses((status = 200, body = Run), (status = 404, body = Refusal)))]
async fn get(State(app): State<App>, caller: Caller<Read>, Named(id): Named) -> Result<Json<Run>, ApiError> {
    approvals::expire_due(&app).await?;
    let mut tx = app.store().read().await?;
    let run = tx.run(&caller.workspace, &id).await?.ok_or_else(|| unknown(&id))?;
    Ok(Json(Run::new(run, app.config())))
}

/// Takes a run to another status, where one may follow the other.
#[utoipa::path(patch, path = "/runs/{id}", tag = "runs", params(("id" = String, Path)), request_body = UpdateRun,
    responses((status = 200, body = Run), (status = 400, body = Refusal), (status = 404, body = Refusal),
        (status = 409, body = Refusal)))]
async fn update(
    State(app): State<App>,
    caller: Caller<Write>,
    Named(id): Named,
    Body { value, .. }: Body<UpdateRun>,
) -> Result<Json<Run>, ApiError> {
    const OFFERED: [RunStatus; 4] =
        [RunStatus::Completed, RunStatus::Failed, RunStatus::PausedApproval, RunStatus::Running];
    let status = value.status.ok_or_else(|| ApiError::field("status is required", "/status"))?;
    let to = RunStatus::named(&status).filter(|to| OFFERED.contains(to)).ok_or_else(|| {
        ApiError::field(format!("status must be one of {}", OFFERED.map(RunStatus::name).join(", ")), "/status")
    })?;
    approvals::expire_due(&app).await?;
    let mut tx = app.store().begin().await?;
    let run = tx.lock_run(&caller.workspace, &id).await?.ok_or_else(|| unknown(&id))?;
    let run = change(&app, &mut tx, &caller, &run, to, None).await?;
    tx.commit().await?;
    Ok(Json(Run::new(run, app.config())))
}

/// Begins a run, in the caller's transaction.
pub async fn begin(app: &App, tx: &mut Tx, who: &Identity, request: CreateRun) -> Result<RunRow, ApiError> {
    let required = |text: Option<String>, name: &str| {
        text.filter(|text| !text.is_empty())
            .ok_or_else(|| ApiError::field(format!("{name} is required"), format!("/{name}")))
    };
    let stated = |text: Option<String>| text.filter(|text| !text.is_empty());
    let now = app.world().now();
    let agent_id = required(request.agent_id, "agent_id")?;
    // Where the agent lives, if the caller does not say; it need not be one of ours.
    let namespace = match stated(request.namespace) {
        Some(namespace) => namespace,
        None => match tx.get::<AgentRecord>(&who.workspace, &agent_id).await? {
            Some(agent) => agent.value.namespace,
            None => NAMESPACE.into(),
        },
    };
    let run = RunRow {
        agent_id,
        user_id: required(request.user_id, "user_id")?,
        id: app.world().uuid(),
        namespace,
        conversation_id: stated(request.conversation_id),
        invoke_url: stated(request.invoke_url),
        initial_message: stated(request.initial_message),
        status: RunStatus::Running,
        blocked_action_id: None,
        events: 0,
        created_at: now,
        updated_at: now,
    };
    tx.add_run(&who.workspace, &run).await?;
    let after = json!({"agent_id": run.agent_id, "user_id": run.user_id, "status": run.status});
    app.note(tx, who, "run.create", format!("runs/{}", run.id), None, Some(after)).await?;
    Ok(run)
}

/// Takes a locked run to another status, or says in the documents' words that it cannot go there. At its end nobody is
/// asked for a decision any more.
pub async fn change(
    app: &App,
    tx: &mut Tx,
    who: &Identity,
    run: &RunRow,
    to: RunStatus,
    blocked_action: Option<&str>,
) -> Result<RunRow, ApiError> {
    run.status.go(to).map_err(|refusal| ApiError::Conflict(refusal.to_string()))?;
    let now = app.world().now();
    if to.is_final() {
        for action in tx.actions(&run.id).await? {
            if action.status == ActionStatus::Blocked {
                tx.set_action(&action.id, ActionStatus::Failed, now).await?;
            }
        }
        tx.close_approvals(&run.id, "the run ended before a decision", now).await?;
        resume::forget(tx, &who.workspace, &run.id).await?;
    }
    let (before, after) = (json!({"status": run.status}), json!({"status": to}));
    app.note(tx, who, "run.update", format!("runs/{}", run.id), Some(before), Some(after)).await?;
    Ok(tx.set_run(&run.id, to, blocked_action, now).await?)
}

/// That there is no such run.
pub fn unknown(id: &str) -> ApiError {
    ApiError::NotFound(format!("run {id}").into())
}
