//! Audit: who changed what, newest first; and whether the record is as it was written.

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
use crate::runs::observed::DAY;
use crate::store::Change;
use crate::store::verify::Anchor;

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
    OpenApiRouter::new().routes(routes!(audit_log)).routes(routes!(verify))
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

/// Whether the record of the workspace is as it was written.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Verification {
    /// Nothing is wrong.
    ok: bool,
    /// What was written since then was looked at; absent for all of it.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "crate::time::serialize_some")]
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<i64>,
    /// Changes that are as they were written.
    changes: u64,
    /// Runs that ended, and are.
    runs: u64,
    /// Events of runs that are.
    events: u64,
    /// Runs that were removed for their age, as the record says.
    removed_runs: u64,
    /// How much is wrong.
    faulty: u64,
    /// What, the first hundred of it.
    faults: Vec<String>,
    /// The newest place of each chain: kept elsewhere and given as `anchor` later, it shows that nothing was cut off.
    anchors: Vec<String>,
}

/// Whether the changes, runs and events of the workspace are as they were written: each is linked to the one before it by
/// a keyed hash, so that a changed, moved or removed row is found.
#[utoipa::path(get, path = "/audit-log/verify", tag = "account",
    params(("days" = Option<i64>, Query, minimum = 1, maximum = 36500,
            description = "What was written in the last so many days; everything when absent."),
        ("anchor" = Option<String>, Query, description = "A place that a chain once had, as this answered it.")),
    responses((status = 200, body = Verification), (status = 400, body = crate::answer::Refusal),
        (status = 503, body = crate::answer::Refusal)))]
async fn verify(State(app): State<App>, caller: Caller<Admin>, params: Pairs) -> Result<Json<Verification>, ApiError> {
    let days = params.number("days", 0, 1..=36_500)?;
    let since = (days > 0).then(|| app.world().now().saturating_sub(days * DAY));
    let anchors = params.all("anchor").map(|text| text.parse().map_err(|why: String| ApiError::BadRequest(why)));
    let anchors: Vec<Anchor> = anchors.collect::<Result<_, _>>()?;
    // It reads everything at one moment, which holds up whoever writes to a file.
    let Ok(_alone) = app.verifying().try_lock() else {
        return Err(ApiError::Busy("the record is being verified already; ask again when that is done"));
    };
    let found = app.store().verify(&caller.workspace, since.unwrap_or(0), &anchors).await?;
    Ok(Json(Verification {
        ok: found.faulty == 0,
        since,
        changes: found.changes,
        runs: found.runs,
        events: found.events,
        removed_runs: found.removed,
        faulty: found.faulty,
        faults: found.faults.iter().map(ToString::to_string).collect(),
        anchors: found.anchors(),
    }))
}

impl From<Change> for AuditEntry {
    fn from(Change { id, at, actor, action, resource, before, after }: Change) -> AuditEntry {
        AuditEntry { id, timestamp: at, actor, action, resource, before, after }
    }
}
