//! Actions: calls that a run may not make before somebody decided, each with the hash of what it would send.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use ingestion_server::web::{ApiError, Body};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::events::{NewEvent, append};
use super::{ActionStatus, RunStatus, change, unknown};
use crate::answer::{Named, Refusal};
use crate::app::App;
use crate::approvals::{self, Decision};
use crate::auth::{Approve, Caller, Identity, Read, Write};
use crate::params::{MaybeBody, Pair};
use crate::running::resume;
use crate::store::{ActionRow, RunRow, Tx};

/// An action as it is answered.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Action {
    /// Its id.
    pub action_id: String,
    /// Its run.
    run_id: String,
    /// The tool that is to be called.
    tool_id: String,
    /// What is to be done with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    capability: Option<String>,
    /// SHA-256 of what is to be sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_hash: Option<String>,
    /// Where it is.
    pub status: ActionStatus,
    /// When it was blocked.
    #[serde(serialize_with = "crate::time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    created_at: i64,
    /// When its status changed last.
    #[serde(serialize_with = "crate::time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    updated_at: i64,
}

impl From<ActionRow> for Action {
    fn from(row: ActionRow) -> Action {
        Action {
            action_id: row.id,
            run_id: row.run_id,
            tool_id: row.tool_id,
            capability: row.capability,
            payload_hash: row.payload_hash,
            status: row.status,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// A call that may not be made yet.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct CreateAction {
    /// The tool that is to be called.
    #[schema(required)]
    pub tool_id: Option<String>,
    /// What is to be done with it.
    pub capability: Option<String>,
    /// SHA-256 of what is to be sent.
    pub payload_hash: Option<String>,
}

/// What is approved.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
struct ApproveAction {
    /// The action's own hash, if it has one.
    payload_hash: Option<String>,
}

/// The operations.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(create)).routes(routes!(get)).routes(routes!(approve))
}

/// Blocks a call: the run waits until somebody decides.
#[utoipa::path(post, path = "/runs/{id}/actions", tag = "runs", params(("id" = String, Path)),
    request_body = CreateAction,
    responses((status = 201, body = Action), (status = 400, body = Refusal), (status = 404, body = Refusal),
        (status = 409, body = Refusal)))]
async fn create(
    State(app): State<App>,
    caller: Caller<Write>,
    Named(id): Named,
    Body { value, .. }: Body<CreateAction>,
) -> Result<(StatusCode, Json<Action>), ApiError> {
    if value.tool_id.as_deref().is_none_or(str::is_empty) {
        return Err(ApiError::field("tool_id is required", "/tool_id"));
    }
    let mut tx = app.store().begin().await?;
    let run = tx.lock_run(&caller.workspace, &id).await?.ok_or_else(|| unknown(&id))?;
    let action = block(&app, &mut tx, &caller, &run, value, Map::new()).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(action.into())))
}

/// One action.
#[utoipa::path(get, path = "/runs/{id}/actions/{action_id}", tag = "runs",
    params(("id" = String, Path), ("action_id" = String, Path)),
    responses((status = 200, body = Action), (status = 404, body = Refusal)))]
async fn get(State(app): State<App>, caller: Caller<Read>, Pair(id, action): Pair) -> Result<Json<Action>, ApiError> {
    approvals::expire_due(&app).await?;
    let mut tx = app.store().read().await?;
    tx.run(&caller.workspace, &id).await?.ok_or_else(|| unknown(&id))?;
    let action = tx.action(&id, &action).await?.ok_or_else(|| unknown_action(&action))?;
    Ok(Json(action.into()))
}

/// Approves an action, if what was approved is what would be sent.
#[utoipa::path(post, path = "/runs/{id}/actions/{action_id}/approve", tag = "runs",
    params(("id" = String, Path), ("action_id" = String, Path)), request_body = Option<ApproveAction>,
    responses((status = 200, body = Action), (status = 400, body = Refusal), (status = 403, body = Refusal),
        (status = 404, body = Refusal), (status = 409, body = Refusal)))]
async fn approve(
    State(app): State<App>,
    caller: Caller<Approve>,
    Pair(id, action): Pair,
    MaybeBody(approved): MaybeBody<ApproveAction>,
) -> Result<Json<Action>, ApiError> {
    approvals::expire_due(&app).await?;
    let mut tx = app.store().begin().await?;
    let run = tx.lock_run(&caller.workspace, &id).await?.ok_or_else(|| unknown(&id))?;
    let action = tx.action(&id, &action).await?.ok_or_else(|| unknown_action(&action))?;
    if action.status != ActionStatus::Blocked {
        let text = format!("action is {}, must be BLOCKED to approve", action.status);
        return Err(ApiError::Conflict(text));
    }
    if run.status == RunStatus::PausedConsent && run.blocked_action_id.as_ref() == Some(&action.id) {
        return Err(ApiError::Conflict("this action waits for its user, who agrees at the authorization_url".into()));
    }
    if action.payload_hash.is_some() && action.payload_hash != approved.payload_hash {
        return Err(ApiError::Conflict("payload_hash mismatch".into()));
    }
    // Who asked for this decision elsewhere has it now.
    let action = match tx.lock_pending_approval_of(&action.id).await? {
        Some(request) => {
            approvals::approve(&app, &mut tx, &caller, request, Decision::default()).await?;
            tx.action(&id, &action.id).await?.ok_or_else(|| unknown_action(&action.id))?
        }
        None => {
            approvals::deciders_of(&app, &mut tx, &caller.workspace, &run, &action).await?.admit(&caller)?;
            release(&app, &mut tx, &caller, &run, &action, Map::new()).await?
        }
    };
    tx.commit().await?;
    Ok(Json(action.into()))
}

/// Blocks a call of a locked run, in the caller's transaction. `about` is what the run's timeline says besides.
pub async fn block(
    app: &App,
    tx: &mut Tx,
    who: &Identity,
    run: &RunRow,
    request: CreateAction,
    mut about: Map<String, Value>,
) -> Result<ActionRow, ApiError> {
    if run.status != RunStatus::Running {
        return Err(ApiError::Conflict(format!("run is {}, must be RUNNING to create actions", run.status)));
    }
    let now = app.world().now();
    let action = ActionRow {
        id: app.world().uuid(),
        run_id: run.id.clone(),
        tool_id: request.tool_id.unwrap_or_default(),
        capability: request.capability.filter(|text| !text.is_empty()),
        payload_hash: request.payload_hash.filter(|text| !text.is_empty()),
        status: ActionStatus::Blocked,
        created_at: now,
        updated_at: now,
    };
    tx.add_action(&action).await?;
    change(app, tx, who, run, RunStatus::PausedApproval, Some(&action.id)).await?;
    let after = json!({"tool_id": action.tool_id, "capability": action.capability, "status": action.status});
    app.note(tx, who, "action.create", resource(&action), None, Some(after)).await?;
    about.extend(data(&action));
    let payload_hash = action.payload_hash.clone();
    let event = NewEvent { kind: "APPROVAL_REQUIRED", payload_hash, data: about, ..NewEvent::default() };
    append(app, tx, who, &run.id, event).await?;
    Ok(action)
}

/// Approves a blocked action of a locked run, which goes on if this is what it waited for.
pub async fn release(
    app: &App,
    tx: &mut Tx,
    who: &Identity,
    run: &RunRow,
    action: &ActionRow,
    about: Map<String, Value>,
) -> Result<ActionRow, ApiError> {
    let approved = settle(app, tx, who, action, ActionStatus::Approved, "APPROVED", about).await?;
    let waits = matches!(run.status, RunStatus::PausedApproval | RunStatus::PausedConsent);
    if waits && run.blocked_action_id.as_ref() == Some(&action.id) {
        change(app, tx, who, run, RunStatus::Running, None).await?;
        resume::ready(app, tx, &run.id).await?;
    }
    Ok(approved)
}

/// An approved action is done, at least begun.
pub async fn execute(app: &App, tx: &mut Tx, who: &Identity, action: &ActionRow) -> Result<(), ApiError> {
    action.status.go(ActionStatus::Executed).map_err(|refusal| ApiError::Conflict(refusal.to_string()))?;
    tx.set_action(&action.id, ActionStatus::Executed, app.world().now()).await?;
    let (before, after) = (json!({"status": action.status}), json!({"status": ActionStatus::Executed}));
    Ok(app.note(tx, who, "action.update", resource(action), Some(before), Some(after)).await?)
}

/// Refuses a blocked action of a locked run, and so the run; `event` says how.
pub async fn refuse(
    app: &App,
    tx: &mut Tx,
    who: &Identity,
    run: &RunRow,
    action: &ActionRow,
    event: &'static str,
    about: Map<String, Value>,
) -> Result<ActionRow, ApiError> {
    let refused = settle(app, tx, who, action, ActionStatus::Failed, event, about).await?;
    if !run.status.is_final() {
        change(app, tx, who, run, RunStatus::Failed, None).await?;
    }
    Ok(refused)
}

async fn settle(
    app: &App,
    tx: &mut Tx,
    who: &Identity,
    action: &ActionRow,
    to: ActionStatus,
    event: &'static str,
    mut about: Map<String, Value>,
) -> Result<ActionRow, ApiError> {
    action.status.go(to).map_err(|refusal| ApiError::Conflict(refusal.to_string()))?;
    let settled = tx.set_action(&action.id, to, app.world().now()).await?;
    let (before, after) = (json!({"status": action.status}), json!({"status": to}));
    app.note(tx, who, "action.update", resource(action), Some(before), Some(after)).await?;
    about.extend(data(action));
    let (payload_hash, actor) = (action.payload_hash.clone(), Some(who.name.clone()));
    append(app, tx, who, &action.run_id, NewEvent { kind: event, payload_hash, actor, data: about, at: None }).await?;
    Ok(settled)
}

/// What timelines show of an action.
fn data(action: &ActionRow) -> Map<String, Value> {
    let mut data = Map::new();
    data.insert("action_id".into(), action.id.clone().into());
    data.insert("tool_id".into(), action.tool_id.clone().into());
    if let Some(capability) = &action.capability {
        data.insert("capability".into(), capability.clone().into());
    }
    data
}

fn resource(action: &ActionRow) -> String {
    format!("runs/{}/actions/{}", action.run_id, action.id)
}

fn unknown_action(id: &str) -> ApiError {
    ApiError::NotFound(format!("action {id}").into())
}
