//! Audit: who changed what, newest first.

use axum::Json;
use axum::extract::State;
use ingestion_server::web::ApiError;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::auth::{Admin, Caller};
use crate::params::Pairs;
use crate::store::Change;

/// One change.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct AuditEntry {
    id: String,
    /// When.
    #[serde(serialize_with = "crate::time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    timestamp: i64,
    /// The id of the key that asked for it, or `platform`.
    actor: String,
    /// `tool.put`, `policy.delete`, …
    action: String,
    /// What was changed: `tools/stripe-api`.
    resource: String,
    /// As it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    before: Option<Value>,
    /// As it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    after: Option<Value>,
}

/// The operations, to be mounted below both prefixes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(audit_log))
}

/// The newest changes of the workspace, newest first. Secrets are never among them.
#[utoipa::path(get, path = "/audit-log", tag = "account",
    params(("limit" = Option<i64>, Query, minimum = 1, maximum = 1000, description = "How many; 100 when absent.")),
    responses((status = 200, body = Vec<AuditEntry>), (status = 400, body = crate::answer::Refusal)))]
async fn audit_log(
    State(app): State<App>,
    caller: Caller<Admin>,
    params: Pairs,
) -> Result<Json<Vec<AuditEntry>>, ApiError> {
    let limit = params.number("limit", 100, 1..=1_000)?;
    let mut tx = app.store().read().await?;
    let changes = tx.changes(&caller.workspace, limit).await?;
    Ok(Json(changes.into_iter().map(AuditEntry::from).collect()))
}

impl From<Change> for AuditEntry {
    fn from(Change { id, at, actor, action, resource, before, after }: Change) -> AuditEntry {
        AuditEntry { id, timestamp: at, actor, action, resource, before, after }
    }
}
