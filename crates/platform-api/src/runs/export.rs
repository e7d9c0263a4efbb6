//! Export: everything that is known of a run, for whoever audits it: as one JSON object, or a line for each event.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use ingestion_server::web::ApiError;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Action, Event, Run, unknown};
use crate::answer::{Named, Refusal};
use crate::app::{App, json};
use crate::approvals::{self, AccessRequest};
use crate::auth::{Caller, Read};
use crate::params::{Params, said};
use crate::time::rfc3339;

/// How it is written.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// `json`, or `ndjson` for a line for each event.
    format: Option<String>,
    /// `splunk_hec` for lines that Splunk's HTTP Event Collector takes.
    schema: Option<String>,
}

/// Everything that is known of a run.
#[derive(Debug, Serialize, ToSchema)]
struct RunAudit {
    /// When it was put together.
    exported_at: String,
    /// The run.
    run: Run,
    /// What happened, in order.
    events: Vec<Event>,
    /// Calls that waited for a decision.
    actions: Vec<Action>,
    /// Who was asked, and what they said.
    approvals: Vec<AccessRequest>,
}

/// The operations.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(export))
}

/// Everything that is known of a run.
#[utoipa::path(get, path = "/runs/{id}/audit/export", tag = "runs", params(("id" = String, Path), Wanted),
    responses((status = 200, content((RunAudit = "application/json"), (String = "application/x-ndjson"))),
        (status = 400, body = Refusal), (status = 404, body = Refusal)))]
async fn export(
    State(app): State<App>,
    caller: Caller<Read>,
    Named(id): Named,
    Params(wanted): Params<Wanted>,
) -> Result<Response, ApiError> {
    let lines = match (said(&wanted.schema), said(&wanted.format)) {
        (Some("splunk_hec"), None | Some("json" | "ndjson")) => Some(splunk_hec as fn(&RunAudit, &Event) -> Value),
        (None, Some("ndjson")) => Some(line as fn(&RunAudit, &Event) -> Value),
        (None, None | Some("json")) => None,
        (None, Some(_)) => return Err(ApiError::BadRequest("format must be json or ndjson".into())),
        (Some(_), _) => {
            return Err(ApiError::BadRequest("schema must be splunk_hec, and format json or ndjson".into()));
        }
    };
    approvals::expire_due(&app).await?;
    let mut tx = app.store().read().await?;
    let run = tx.run(&caller.workspace, &id).await?.ok_or_else(|| unknown(&id))?;
    let audit = RunAudit {
        exported_at: rfc3339(app.world().now()),
        run: Run::new(run, app.config()),
        events: tx.events(&id, 0, i64::MAX).await?.into_iter().map(Event::from).collect(),
        actions: tx.actions(&id).await?.into_iter().map(Action::from).collect(),
        approvals: tx.approvals_of_run(&id).await?.into_iter().map(AccessRequest::from).collect(),
    };
    drop(tx);
    let (kind, text) = match lines {
        None => ("application/json", json(&audit).to_string()),
        Some(write) => {
            let lines = audit.events.iter().map(|event| format!("{}\n", write(&audit, event)));
            ("application/x-ndjson", lines.collect())
        }
    };
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}

/// An event with what its line would lack without the others.
fn line(audit: &RunAudit, event: &Event) -> Value {
    let mut line = json(event);
    let run = &audit.run;
    line["agent_id"] = run.agent_id.clone().into();
    line["namespace"] = run.namespace.clone().into();
    line["user_id"] = run.user_id.clone().into();
    if let Some(conversation) = &run.conversation_id {
        line["conversation_id"] = conversation.clone().into();
    }
    line
}

/// The same in the collector's envelope, which counts time in seconds.
fn splunk_hec(audit: &RunAudit, event: &Event) -> Value {
    json!({
        "time": event.timestamp as f64 / 1000.0,
        "host": audit.run.agent_id,
        "source": "runagents",
        "sourcetype": "runagents:audit",
        "event": line(audit, event),
        "fields": {"run_id": audit.run.id, "type": event.kind},
    })
}
