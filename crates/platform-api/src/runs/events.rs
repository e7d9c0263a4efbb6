//! Events: what happened in a run, numbered 1, 2, 3, … without gaps.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use ingestion_server::web::{ApiError, Body};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::answer::{Named, Refusal};
use crate::app::App;
use crate::auth::{Caller, Identity, Read, Write};
use crate::params::{Params, number};
use crate::second::webhooks;
use crate::store::{EventRow, Tx};

use super::unknown;

/// What the platform itself writes, and what else agents may say happened: the API's names, then those of guides.
const TYPES: [&str; 23] = [
    "USER_MESSAGE",
    "AGENT_MESSAGE",
    "TOOL_REQUEST",
    "TOOL_RESPONSE",
    "APPROVAL_REQUIRED",
    "CONSENT_REQUIRED",
    "APPROVED",
    "REJECTED",
    "RESUMED",
    "RUN_CREATED",
    "INVOKE_REQUESTED",
    "INVOKE_COMPLETED",
    "INVOKE_FAILED",
    "TOOL_CALLED",
    "COMPLETED",
    "FAILED",
    "LLM_CALL",
    "TOOL_CALL",
    "APPROVAL_GRANTED",
    "APPROVAL_REJECTED",
    "ERROR",
    "RUN_STARTED",
    "RUN_COMPLETED",
];

/// An event as it is answered.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Event {
    /// Its id.
    event_id: String,
    /// Its run.
    run_id: String,
    /// 1, 2, 3, … within the run.
    pub seq: i64,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: String,
    /// SHA-256 of the payload that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_hash: Option<String>,
    /// Who did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    /// More of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    data: Option<Map<String, Value>>,
    /// When.
    #[serde(serialize_with = "crate::time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    pub timestamp: i64,
}

impl From<EventRow> for Event {
    fn from(row: EventRow) -> Event {
        Event {
            event_id: row.id,
            run_id: row.run_id,
            seq: row.seq,
            kind: row.kind,
            payload_hash: row.payload_hash,
            actor: row.actor,
            data: row.data.and_then(|data| serde_json::from_str(&data).ok()),
            timestamp: row.created_at,
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, Default)]
pub struct NewEvent {
    /// What.
    pub kind: &'static str,
    /// SHA-256 of the payload that it is about.
    pub payload_hash: Option<String>,
    /// Who did it.
    pub actor: Option<String>,
    /// More of it, for timelines; empty for nothing.
    pub data: Map<String, Value>,
    /// When, if not now.
    pub at: Option<i64>,
}

/// Something that happened, as it is sent.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default)]
struct CreateEvent {
    /// What.
    #[serde(rename = "type")]
    #[schema(required)]
    kind: Option<String>,
    /// SHA-256 of the payload that it is about.
    payload_hash: Option<String>,
    /// Who did it.
    actor: Option<String>,
    /// More of it.
    #[schema(value_type = Option<Object>)]
    data: Option<Map<String, Value>>,
}

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// After this number.
    #[param(value_type = Option<u64>)]
    after_seq: Option<String>,
    /// At most so many.
    #[param(value_type = Option<u64>)]
    limit: Option<String>,
}

/// The operations.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, create))
}

/// What happened in a run, in order.
#[utoipa::path(get, path = "/runs/{id}/events", tag = "runs", params(("id" = String, Path), Wanted),
    responses((status = 200, body = Vec<Event>), (status = 400, body = Refusal), (status = 404, body = Refusal)))]
async fn list(
    State(app): State<App>,
    caller: Caller<Read>,
    Named(id): Named,
    Params(wanted): Params<Wanted>,
) -> Result<Json<Vec<Event>>, ApiError> {
    let after = number(wanted.after_seq.as_deref(), "after_seq", 0, 0)?;
    let limit = number(wanted.limit.as_deref(), "limit", 1, i64::MAX)?;
    crate::approvals::expire_due(&app).await?;
    let mut tx = app.store().read().await?;
    tx.run(&caller.workspace, &id).await?.ok_or_else(|| unknown(&id))?;
    let events = tx.events(&id, after, limit).await?;
    Ok(Json(events.into_iter().map(Event::from).collect()))
}

/// Writes down that something happened in a run.
#[utoipa::path(post, path = "/runs/{id}/events", tag = "runs", params(("id" = String, Path)),
    request_body = CreateEvent,
    responses((status = 201, body = Event), (status = 400, body = Refusal), (status = 404, body = Refusal)))]
async fn create(
    State(app): State<App>,
    caller: Caller<Write>,
    Named(id): Named,
    Body { value, .. }: Body<CreateEvent>,
) -> Result<(StatusCode, Json<Event>), ApiError> {
    let kind = value.kind.ok_or_else(|| ApiError::field("type is required", "/type"))?;
    let kind = TYPES.into_iter().find(|known| *known == kind);
    let kind = kind.ok_or_else(|| ApiError::field(format!("type must be one of {}", TYPES.join(", ")), "/type"))?;
    let data = value.data.unwrap_or_default();
    let event = NewEvent { kind, payload_hash: value.payload_hash, actor: value.actor, data, at: None };
    let mut tx = app.store().begin().await?;
    let event = append(&app, &mut tx, &caller, &id, event).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(event)))
}

/// Writes an event under the next number of its run, in the caller's transaction.
pub async fn append(app: &App, tx: &mut Tx, who: &Identity, run: &str, event: NewEvent) -> Result<Event, ApiError> {
    let seq = tx.next_event(&who.workspace, run).await?.ok_or_else(|| unknown(run))?;
    let row = EventRow {
        run_id: run.into(),
        seq,
        id: app.world().uuid(),
        kind: event.kind.into(),
        payload_hash: event.payload_hash,
        actor: event.actor,
        data: (!event.data.is_empty()).then(|| Value::Object(event.data).to_string()),
        created_at: event.at.unwrap_or_else(|| app.world().now()),
    };
    tx.add_event(&row).await?;
    webhooks::events::of_run(app, tx, &who.workspace, &row).await?;
    Ok(row.into())
}
