//! Checkpoints: what the agent's runtime wants kept while it waits for a person, and what it says its tools answered. It
//! asks below the agent's own address, without a key.

use axum::Json;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use ingestion_server::web::ApiError;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::unknown;
use crate::app::App;
use crate::store::Tx;

/// What a checkpoint is sealed under, as `{run}/{action}`: it holds a whole conversation.
const KIND: &str = "checkpoint";

/// Answers what a runtime asks about a run: `{run}/checkpoint`, `{run}/checkpoint/{action}`, `{run}/tool-result`.
pub async fn of_agent(
    app: &App,
    workspace: &str,
    agent: &str,
    path: &str,
    request: Request,
) -> Result<Response, ApiError> {
    let segments: Vec<&str> = path.split('/').collect();
    match (request.method(), &segments[..]) {
        (&Method::POST, [run, "checkpoint"]) => keep(app, workspace, agent, run, request).await,
        (&Method::GET, [run, "checkpoint", action]) => find(app, workspace, agent, run, action).await,
        (&Method::POST, [run, "tool-result"]) => answered(app, workspace, agent, run, request).await,
        (method, [_, "checkpoint" | "tool-result", ..]) => Err(ApiError::MethodNotAllowed(method.to_string())),
        _ => Err(ApiError::NotFound("path".into())),
    }
}

async fn keep(app: &App, workspace: &str, agent: &str, run: &str, request: Request) -> Result<Response, ApiError> {
    let body = object(app, request).await?;
    let action = body.get("action_id").and_then(Value::as_str).filter(|action| !action.is_empty());
    let action = action.ok_or_else(|| ApiError::field("action_id is required", "/action_id"))?.to_string();
    let mut tx = app.store().begin().await?;
    is_theirs(&mut tx, workspace, agent, run).await?;
    if tx.action(run, &action).await?.is_none() {
        return Err(ApiError::NotFound(format!("action {action}").into()));
    }
    tx.seal(workspace, KIND, &format!("{run}/{action}"), &body).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(json!({"id": action, "run_id": run, "action_id": action}))).into_response())
}

async fn find(app: &App, workspace: &str, agent: &str, run: &str, action: &str) -> Result<Response, ApiError> {
    let mut tx = app.store().read().await?;
    is_theirs(&mut tx, workspace, agent, run).await?;
    let kept: Option<Value> = tx.unseal(workspace, KIND, &format!("{run}/{action}")).await?;
    kept.map(|kept| Json(kept).into_response())
        .ok_or_else(|| ApiError::NotFound(format!("checkpoint for action {action}").into()))
}

/// What a tool answered stands in the timeline by its hash; that it was called, the gateway wrote down itself.
async fn answered(app: &App, workspace: &str, agent: &str, run: &str, request: Request) -> Result<Response, ApiError> {
    let headers = request.headers().clone();
    let body = object(app, request).await?;
    let mut data = Map::new();
    for name in ["tool_id", "function_name", "tool_call_id", "turn"] {
        if let Some(value) = body.get(name).filter(|value| value.is_string() || value.is_number()) {
            data.insert(name.into(), value.clone());
        }
    }
    let result = body.get("result").map(|result| match result {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    });
    let hash = result.map(|result| Sha256::digest(result).iter().map(|byte| format!("{byte:02x}")).collect());
    let invocation = app.running().and_then(|running| running.invocation(workspace, agent, &headers));
    // About another run there is nothing under way, and nothing to be written down.
    if let Some(invocation) = invocation.filter(|invocation| invocation.run == run) {
        invocation.note(app.world().now(), "TOOL_RESPONSE", hash, data);
    }
    Ok(Json(json!({"status": "ok"})).into_response())
}

/// Whether the agent's runtime kept the state in which a run waits.
pub async fn exists(tx: &mut Tx, workspace: &str, run: &str, action: &str) -> Result<bool, ApiError> {
    Ok(tx.unseal::<Value>(workspace, KIND, &format!("{run}/{action}")).await?.is_some())
}

async fn object(app: &App, request: Request) -> Result<Value, ApiError> {
    let received = app.intake().receive(request).await?;
    let value: Value = serde_json::from_slice(&received.bytes)
        .map_err(|error| ApiError::BadRequest(format!("the body is not valid JSON: {error}")))?;
    match value.is_object() {
        true => Ok(value),
        false => Err(ApiError::BadRequest("the body must be a JSON object".into())),
    }
}

async fn is_theirs(tx: &mut Tx, workspace: &str, agent: &str, run: &str) -> Result<(), ApiError> {
    let found = tx.run(workspace, run).await?;
    found.filter(|found| found.agent_id == agent).map(|_| ()).ok_or_else(|| unknown(run))
}
