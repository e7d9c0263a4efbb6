//! Approvals: a person is asked whether a call may be made, decides, and so grants it for a while.

pub mod connectors;
mod deciders;
mod decisions;
pub mod grants;
mod lifecycle;
mod routing;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use ingestion_server::web::{ApiError, Body};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use deciders::Deciders;
pub use decisions::{approve, ask, deciders_of, expire_due, expire_now, find, reject};
pub use lifecycle::{ApprovalStatus, Scope};

use crate::answer::{Named, Refusal};
use crate::app::App;
use crate::auth::{self, Caller, Read, Write};
use crate::params::{MaybeBody, Params, said};
use crate::policies::Approvers;
use crate::store::ApprovalRow;
use crate::time;

/// A request for approval as it is answered.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct AccessRequest {
    /// Its id.
    pub id: String,
    /// Who wants to.
    subject: String,
    /// Through which agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<String>,
    /// The same, as tables of a client call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<String>,
    /// With which tool.
    tool_id: String,
    /// The same, as tables of a client call it.
    tool: String,
    /// What is to be done with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    capability: Option<String>,
    /// SHA-256 of what is to be sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_hash: Option<String>,
    /// By which HTTP method.
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_method: Option<String>,
    /// To which address.
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_url: Option<String>,
    /// Where it is.
    status: ApprovalStatus,
    /// How long a grant is wished for, or holds.
    duration: String,
    /// What was granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Scope>)]
    scope: Option<String>,
    /// Who may decide, where not everybody may who may approve at all.
    #[serde(skip_serializing_if = "Approvers::are_all")]
    #[schema(required = false)]
    approvers: Approvers,
    /// Of which group whoever decides must be a member, as the tool says.
    #[serde(skip_serializing_if = "Option::is_none")]
    approver_group: Option<String>,
    /// Who decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    approver_id: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What waits for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    action_id: Option<String>,
    /// In which run.
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<String>,
    /// When it was asked.
    #[serde(serialize_with = "time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    created_at: i64,
    /// When its status changed last.
    #[serde(serialize_with = "time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    updated_at: i64,
    /// Until when it can be decided; once granted, when the grant ends.
    #[serde(serialize_with = "time::serialize_some", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<i64>,
}

impl From<ApprovalRow> for AccessRequest {
    fn from(row: ApprovalRow) -> AccessRequest {
        let deciders = Deciders::read(&row);
        AccessRequest {
            approvers: deciders.approvers,
            approver_group: deciders.group,
            id: row.id,
            subject: row.subject,
            agent: row.agent_id.clone(),
            agent_id: row.agent_id,
            tool: row.tool_id.clone(),
            tool_id: row.tool_id,
            capability: row.capability,
            payload_hash: row.payload_hash,
            tool_method: row.tool_method,
            tool_url: row.tool_url,
            status: row.status,
            duration: row.duration,
            scope: row.scope,
            approver_id: row.approver_id,
            reason: row.reason,
            action_id: row.action_id,
            run_id: row.run_id,
            created_at: row.created_at,
            updated_at: row.updated_at,
            expires_at: row.expires_at,
        }
    }
}

/// What somebody asks to be allowed.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct CreateAccessRequest {
    /// Who wants to: a user or a service.
    #[schema(required)]
    pub subject: Option<String>,
    /// With which tool.
    #[schema(required)]
    pub tool_id: Option<String>,
    /// Through which agent.
    pub agent_id: Option<String>,
    /// For how long: `30m`, `4h`, `1d`.
    pub duration: Option<String>,
    /// In which run, which then waits for the decision.
    pub run_id: Option<String>,
    /// What is to be done with the tool.
    pub capability: Option<String>,
    /// SHA-256 of what is to be sent.
    pub payload_hash: Option<String>,
    /// By which HTTP method.
    pub tool_method: Option<String>,
    /// To which address.
    pub tool_url: Option<String>,
    /// A repetition has the same payload too: so ask the platform's own callers.
    #[serde(skip)]
    pub by_payload: bool,
}

/// How far a request is approved, as it is sent; nothing, `null` and `{}` say the same.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct Decision {
    /// `once`, `run` or `agent_user_ttl`; absent for `once` where an action waits, else `agent_user_ttl`.
    pub scope: Option<String>,
    /// For how long, if not as requested.
    pub duration: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

/// Why a request is rejected.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(default)]
pub struct Rejection {
    /// Why.
    pub reason: Option<String>,
}

/// Which requests.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// With this status.
    status: Option<String>,
}

/// The operations, to be mounted below `/governance` and below the versioned `/approvals`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get))
        .routes(routes!(approve_one))
        .routes(routes!(reject_one))
}

/// Requests, oldest first.
#[utoipa::path(get, path = "/requests", tag = "approvals", params(Wanted),
    responses((status = 200, body = Vec<AccessRequest>), (status = 400, body = Refusal)))]
async fn list(
    State(app): State<App>,
    caller: Caller<Read>,
    Params(wanted): Params<Wanted>,
) -> Result<Json<Vec<AccessRequest>>, ApiError> {
    let status = match said(&wanted.status) {
        None => None,
        Some(name) => Some(ApprovalStatus::named(name).ok_or_else(|| {
            let names = ApprovalStatus::ALL.map(ApprovalStatus::name).join(", ");
            ApiError::BadRequest(format!("status must be one of {names}"))
        })?),
    };
    expire_due(&app).await?;
    let mut tx = app.store().read().await?;
    let requests = tx.approvals(&caller.workspace, status).await?;
    Ok(Json(requests.into_iter().map(AccessRequest::from).collect()))
}

/// Asks for approval. The same question while nobody answered is the same request.
#[utoipa::path(post, path = "/requests", tag = "approvals", request_body = CreateAccessRequest,
    responses((status = 201, body = AccessRequest), (status = 200, body = AccessRequest),
        (status = 400, body = Refusal), (status = 404, body = Refusal), (status = 409, body = Refusal)))]
async fn create(
    State(app): State<App>,
    caller: Caller<Write>,
    Body { value, .. }: Body<CreateAccessRequest>,
) -> Result<(StatusCode, Json<AccessRequest>), ApiError> {
    expire_due(&app).await?;
    let mut tx = app.store().begin().await?;
    let (request, is_new) = ask(&app, &mut tx, &caller, value).await?;
    tx.commit().await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(request.into())))
}

/// One request.
#[utoipa::path(get, path = "/requests/{id}", tag = "approvals", params(("id" = String, Path)),
    responses((status = 200, body = AccessRequest), (status = 404, body = Refusal)))]
async fn get(State(app): State<App>, caller: Caller<Read>, Named(id): Named) -> Result<Json<AccessRequest>, ApiError> {
    expire_due(&app).await?;
    let mut tx = app.store().read().await?;
    let request = tx.approval(&caller.workspace, &id).await?.ok_or_else(unknown)?;
    Ok(Json(request.into()))
}

/// Approves a request: a grant until its time is over, and the run that waited goes on.
#[utoipa::path(post, path = "/requests/{id}/approve", tag = "approvals", params(("id" = String, Path)),
    request_body = Option<Decision>,
    responses((status = 200, body = AccessRequest), (status = 400, body = Refusal), (status = 403, body = Refusal),
        (status = 404, body = Refusal), (status = 409, body = Refusal)))]
async fn approve_one(
    State(app): State<App>,
    caller: Caller<auth::Approve>,
    Named(id): Named,
    MaybeBody(decision): MaybeBody<Decision>,
) -> Result<Json<AccessRequest>, ApiError> {
    expire_due(&app).await?;
    let mut tx = app.store().begin().await?;
    let request = find(&mut tx, &caller.workspace, &id).await?;
    let granted = approve(&app, &mut tx, &caller, request, decision).await?;
    tx.commit().await?;
    Ok(Json(granted.into()))
}

/// Rejects a request, and fails the run that waited.
#[utoipa::path(post, path = "/requests/{id}/reject", tag = "approvals", params(("id" = String, Path)),
    request_body = Option<Rejection>,
    responses((status = 200, body = AccessRequest), (status = 400, body = Refusal), (status = 403, body = Refusal),
        (status = 404, body = Refusal), (status = 409, body = Refusal)))]
async fn reject_one(
    State(app): State<App>,
    caller: Caller<auth::Approve>,
    Named(id): Named,
    MaybeBody(rejection): MaybeBody<Rejection>,
) -> Result<Json<AccessRequest>, ApiError> {
    expire_due(&app).await?;
    let mut tx = app.store().begin().await?;
    let request = find(&mut tx, &caller.workspace, &id).await?;
    let rejected = reject(&app, &mut tx, &caller, request, rejection).await?;
    tx.commit().await?;
    Ok(Json(rejected.into()))
}

/// That there is no such request.
fn unknown() -> ApiError {
    ApiError::NotFound("request".into())
}
