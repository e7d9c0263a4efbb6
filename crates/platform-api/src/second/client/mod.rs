//! Client: what the second system's published Python client calls, below `/api/v1` and in a wire format of its own: entry
//! points by tag, arguments, values with their types.

mod entry;
mod socket;
mod wire;

use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use ingestion_server::web::{ApiError, Body, RequestId};
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ask::Subject;
use super::invoke::Wanted;
use super::operations;
use super::refused::Refused;
use crate::agents::find;
use crate::agents::invoke::Asker;
use crate::answer::Named;
use crate::app::App;
use crate::auth::{Caller, Read};
use crate::time::rfc3339;
use wire::Call;

/// The longest time that a caller may wait, in seconds.
const LONGEST: u64 = 3_600;

/// Whether a path is of this client, whose errors have an envelope of their own.
pub fn is_here(path: &str) -> bool {
    matches!(
        path.split('/').collect::<Vec<_>>()[..],
        ["", "api", "v1", "agents", _, "run" | "run-stream" | "architecture"]
    )
}

/// An error as this client reads it.
pub fn failure(app: &App, code: &str, message: &str, details: &Value, request_id: &str) -> Value {
    let error = json!({"code": code, "message": message, "details": details, "field": details["field"]});
    envelope(app, false, Value::Null, error, request_id)
}

fn envelope(app: &App, success: bool, data: Value, error: Value, request_id: &str) -> Value {
    json!({
        "success": success,
        "data": data,
        "message": null,
        "error": error,
        "timestamp": rfc3339(app.world().now()),
        "request_id": request_id,
    })
}

/// The operations, to be mounted below `/api/v1`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(run)).routes(routes!(architecture)).merge(socket::routes())
}

/// Runs an entry point of an agent with arguments.
#[utoipa::path(post, path = "/agents/{id}/run", tag = "second system", params(("id" = String, Path)),
    request_body = Object,
    responses((status = 200, description = "`data` holds the value with its type, as a text", body = Object),
        (status = 202, description = "It is answered later", body = Object),
        (status = 400, body = Object), (status = 404, body = Object), (status = 502, body = Object)))]
async fn run(
    State(app): State<App>,
    asker: Asker,
    Named(id): Named,
    Extension(RequestId(request_id)): Extension<RequestId>,
    headers: HeaderMap,
    Body { value: call, held }: Body<Call>,
) -> Result<Response, Refused> {
    let subject = Subject::of(&app, asker, &id, headers).await?;
    let entry = entry::of(&app, &subject.who.workspace, &subject.agent.value).await?;
    entry.must_offer(&call, false)?;
    let patience = Duration::from_secs(call.timeout_seconds.unwrap_or(LONGEST).clamp(1, LONGEST));
    let is_later = call.async_execution;
    let question = call.question()?;
    let request_id = request_id.to_str().unwrap_or_default().to_string();
    if is_later {
        let accepted = operations::accept(&app, &subject, Wanted::One(question), &request_id).await?;
        let data = wire::structured(&accepted.body);
        return Ok((StatusCode::ACCEPTED, Json(envelope(&app, true, data, Value::Null, &request_id))).into_response());
    }
    let asking = app.clone();
    let asking = tokio::spawn(async move { subject.ask(&asking, &question).await });
    // Who does not wait any longer is told so; the agent is asked to the end.
    let Ok(answered) = tokio::time::timeout(patience, asking).await else {
        let text = format!(
            "the agent did not answer within {} s; it goes on, and its run says how it ends",
            patience.as_secs()
        );
        return Err(Refused::new(ApiError::BadGateway(text), "TIMEOUT", json!({})));
    };
    let answer = answered.map_err(|error| ApiError::Internal(error.into()))??;
    drop(held);
    let data = wire::structured(&answer.result);
    Ok(Json(envelope(&app, true, data, Value::Null, &request_id)).into_response())
}

/// The entry points of an agent, as the analysis of its code found them.
#[utoipa::path(get, path = "/agents/{id}/architecture", tag = "second system", params(("id" = String, Path)),
    responses((status = 200, body = Object), (status = 404, body = Object)))]
async fn architecture(
    State(app): State<App>,
    caller: Caller<Read>,
    Named(id): Named,
    Extension(RequestId(request_id)): Extension<RequestId>,
) -> Result<Json<Value>, Refused> {
    let mut tx = app.store().read().await?;
    let agent = find(&mut tx, &caller, None, &id).await?;
    drop(tx);
    let entry = entry::of(&app, &caller.workspace, &agent.value).await?;
    let data = json!({"agent_id": agent.value.name, "entrypoints": entry.shown()});
    Ok(Json(envelope(&app, true, data, Value::Null, request_id.to_str().unwrap_or_default())))
}
