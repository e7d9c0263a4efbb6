//! Policies: what agents may call, kept under names and bound to the agents that they are for.

mod bindings;
pub mod evaluate;
mod record;
mod recorded;
mod simulate;
mod translate;
mod translation;
mod wire;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use ingestion_server::web::{ApiError, Body};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use bindings::Uses;
pub use bindings::{bound_policies, groups_of};
pub use record::{
    ApprovalRule, Approvers, Binding, BindingOrigin, Delivery, DeliveryMode, Membership, PolicyOrigin, PolicyRecord,
    PolicySpec, Principal, RuleEvidence, Subject,
};
pub use wire::{Policy, PolicyRequest, RuleRequest};

use crate::answer::{Deleted, Named};
use crate::app::{App, json};
use crate::auth::{Caller, Identity, Read, Write};
use crate::store::{Stored, Tx};

/// Where policies say they are, whatever the namespace of an agent.
pub const NAMESPACE: &str = "default";

/// The operations, to be mounted below both prefixes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, post))
        .routes(routes!(get, put, delete))
        .merge(bindings::routes())
        .merge(simulate::routes())
        .merge(translation::routes())
}

/// All policies, oldest first.
#[utoipa::path(get, path = "/policies", tag = "policies", responses((status = 200, body = Vec<Policy>)))]
async fn list(State(app): State<App>, caller: Caller<Read>) -> Result<Json<Vec<Policy>>, ApiError> {
    let mut tx = app.store().read().await?;
    Ok(Json(all(&mut tx, &caller.workspace).await?))
}

/// All policies of a workspace as they are answered.
pub async fn all(tx: &mut Tx, workspace: &str) -> Result<Vec<Policy>, ApiError> {
    let uses = Uses::read(tx, workspace).await?;
    let policies = tx.list::<PolicyRecord>(workspace).await?;
    Ok(policies.into_iter().map(|policy| Policy::new(policy, &uses)).collect())
}

/// Makes a policy, or changes the one of that name.
#[utoipa::path(post, path = "/policies", tag = "policies", request_body = PolicyRequest,
    responses((status = 201, body = Policy), (status = 400, body = crate::answer::Refusal)))]
async fn post(
    State(app): State<App>,
    caller: Caller<Write>,
    Body { value, .. }: Body<PolicyRequest>,
) -> Result<(StatusCode, Json<Policy>), ApiError> {
    let record = value.read(None)?;
    let mut tx = app.store().begin().await?;
    let stored = save(&app, &mut tx, &caller, record).await?;
    let uses = Uses::read(&mut tx, &caller.workspace).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(Policy::new(stored, &uses))))
}

/// One policy, and who uses it.
#[utoipa::path(get, path = "/policies/{name}", tag = "policies", params(("name" = String, Path)),
    responses((status = 200, body = Policy), (status = 404, body = crate::answer::Refusal)))]
async fn get(State(app): State<App>, caller: Caller<Read>, Named(name): Named) -> Result<Json<Policy>, ApiError> {
    let mut tx = app.store().read().await?;
    let policy = tx.get::<PolicyRecord>(&caller.workspace, &name).await?.ok_or_else(|| unknown(&name))?;
    let uses = Uses::read(&mut tx, &caller.workspace).await?;
    Ok(Json(Policy::new(policy, &uses)))
}

/// Changes a policy that exists.
#[utoipa::path(put, path = "/policies/{name}", tag = "policies", params(("name" = String, Path)),
    request_body = PolicyRequest, responses((status = 200, body = Policy),
    (status = 400, body = crate::answer::Refusal), (status = 404, body = crate::answer::Refusal)))]
async fn put(
    State(app): State<App>,
    caller: Caller<Write>,
    Named(name): Named,
    Body { value, .. }: Body<PolicyRequest>,
) -> Result<Json<Policy>, ApiError> {
    let mut tx = app.store().begin().await?;
    // Published clients ask for the policy first and make it on 404.
    tx.get::<PolicyRecord>(&caller.workspace, &name).await?.ok_or_else(|| unknown(&name))?;
    let record = value.read(Some(&name))?;
    let stored = save(&app, &mut tx, &caller, record).await?;
    let uses = Uses::read(&mut tx, &caller.workspace).await?;
    tx.commit().await?;
    Ok(Json(Policy::new(stored, &uses)))
}

/// Takes a policy away, and its bindings: another policy of its name would not count for anybody.
#[utoipa::path(delete, path = "/policies/{name}", tag = "policies", params(("name" = String, Path)),
    responses((status = 200, body = Deleted), (status = 404, body = crate::answer::Refusal)))]
async fn delete(State(app): State<App>, caller: Caller<Write>, Named(name): Named) -> Result<Json<Deleted>, ApiError> {
    let mut tx = app.store().begin().await?;
    remove(&app, &mut tx, &caller, &name).await?;
    tx.commit().await?;
    Ok(Json(Deleted::default()))
}

/// Takes a policy away with its bindings, in the caller's transaction.
pub async fn remove(app: &App, tx: &mut Tx, who: &Identity, name: &str) -> Result<(), ApiError> {
    let before = tx.get::<PolicyRecord>(&who.workspace, name).await?.ok_or_else(|| unknown(name))?;
    bindings::unbind_policy(app, tx, who, name).await?;
    tx.delete::<PolicyRecord>(&who.workspace, name).await?;
    app.note(tx, who, "policy.delete", format!("policies/{name}"), Some(json(&before.value)), None).await?;
    Ok(())
}

/// Writes a policy whose rules were checked, in the caller's transaction.
pub async fn save(
    app: &App,
    tx: &mut Tx,
    who: &Identity,
    record: PolicyRecord,
) -> Result<Stored<PolicyRecord>, ApiError> {
    let before = tx.get::<PolicyRecord>(&who.workspace, &record.name).await?;
    let stored = tx.put(&who.workspace, &record, app.world().now()).await?;
    let (before, after) = (before.map(|policy| json(&policy.value)), Some(json(&record)));
    app.note(tx, who, "policy.put", format!("policies/{}", record.name), before, after).await?;
    Ok(stored)
}

fn unknown(name: &str) -> ApiError {
    ApiError::NotFound(format!("policy {name:?}").into())
}
