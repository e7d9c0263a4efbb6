//! Answer: what the agent said at the end of a run that went on by itself. Whoever asked first has left by then.

use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use ingestion_server::web::ApiError;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::unknown;
use crate::agents::LastAnswer;
use crate::answer::{Named, Refusal};
use crate::app::App;
use crate::auth::{Caller, Read};
use crate::running::resume::ANSWER;

/// An agent's last answer in a run.
#[derive(Debug, Serialize, ToSchema)]
struct RunAnswer {
    /// The run.
    run_id: String,
    /// The status of the agent's answer.
    status_code: u16,
    /// The kind of its body.
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    /// Its body: JSON as it is, anything else as text.
    #[schema(value_type = Object)]
    body: Value,
}

/// The operation.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(get))
}

/// What the agent answered in a run that was paused and went on by itself.
#[utoipa::path(get, path = "/runs/{id}/answer", tag = "runs", params(("id" = String, Path)),
    responses((status = 200, body = RunAnswer), (status = 404, body = Refusal)))]
async fn get(State(app): State<App>, caller: Caller<Read>, Named(id): Named) -> Result<Json<RunAnswer>, ApiError> {
    let mut tx = app.store().read().await?;
    tx.run(&caller.workspace, &id).await?.ok_or_else(|| unknown(&id))?;
    let answers: Vec<LastAnswer> = tx.unseal_parts(&caller.workspace, ANSWER, &id).await?;
    let answer = answers.into_iter().next().ok_or_else(|| ApiError::NotFound(format!("answer of run {id}").into()))?;
    let bytes = BASE64.decode(&answer.body).unwrap_or_default();
    let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into());
    let LastAnswer { status, content_type, .. } = answer;
    Ok(Json(RunAnswer { run_id: id, status_code: status, content_type, body }))
}
