//! Webhooks: whoever wants to know what agents do is told over HTTP, signed, again and again until it was heard, and with
//! a log of all of it.

pub mod deliver;
pub mod events;
mod wire;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use ingestion_server::web::{ApiError, Body};
use serde_json::{Value, json};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use deliver::Webhooks;
use events::{Happened, TEST};
pub use wire::{FreshWebhook, Webhook, WebhookAttempt, WebhookDelivery, WebhookRecord};
use wire::{Sealed, WebhookRequest};

use super::envelope::{FailureEnvelope, Success, success};
use super::pages::{Listed, Page, PageQuery};
use super::refused::Refused;
use crate::agents;
use crate::answer::Named;
use crate::app::{App, json as plain};
use crate::auth::{Caller, Identity, Read, Write};
use crate::params::{Pair, Pairs};
use crate::store::{Resource, Stored, Tx};

/// Webhooks of one workspace.
const MOST: usize = 100;

/// States of a delivery.
const STATES: [&str; 4] = ["pending", "delivered", "failed", "skipped"];

/// Which deliveries.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the query is read by name; this describes it")]
struct DeliveryQuery {
    /// `pending`, `delivered`, `failed` or `skipped`.
    status: Option<String>,
}

/// The operations.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, update, delete))
        .routes(routes!(test))
        .routes(routes!(deliveries))
        .routes(routes!(retry))
}

/// All webhooks, oldest first, a page at a time.
#[utoipa::path(get, path = "/webhooks", tag = "second system", params(PageQuery),
    responses((status = 200, body = Listed<Webhook>), (status = 400, body = FailureEnvelope)))]
async fn list(State(app): State<App>, caller: Caller<Read>, query: Pairs) -> Result<Json<Listed<Webhook>>, Refused> {
    let page = Page::of(&query)?;
    let mut tx = app.store().read().await?;
    let webhooks = tx.list::<WebhookRecord>(&caller.workspace).await?;
    Ok(page.cut(webhooks.into_iter().map(Webhook::from).collect()))
}

/// A new webhook. Each delivery is a POST of `{id, type, created, agent_id, deployment_id, data}`, signed with the secret:
/// `X-RunAgent-Signature` is the HMAC-SHA256 of the body in hex, and `webhook-id`, `webhook-timestamp` and
/// `webhook-signature` are those of Standard Webhooks. What is not answered with 2xx within 10 seconds is sent again after
/// 1 minute, 5 minutes, 30 minutes and 2 hours, with the same id. A secret that is not sent is made, and shown only in this
/// answer.
#[utoipa::path(post, path = "/webhooks", tag = "second system", request_body = WebhookRequest,
    responses((status = 201, body = Success<FreshWebhook>), (status = 400, body = FailureEnvelope),
        (status = 404, body = FailureEnvelope), (status = 409, body = FailureEnvelope)))]
async fn create(
    State(app): State<App>,
    caller: Caller<Write>,
    Body { value, .. }: Body<WebhookRequest>,
) -> Result<(StatusCode, Json<Success<FreshWebhook>>), Refused> {
    let id = app.world().id("wh").replacen('-', "_", 1);
    let (record, sealed, made) = value.settle(id, app.webhooks().reach())?;
    let mut tx = app.store().begin().await?;
    if tx.list::<WebhookRecord>(&caller.workspace).await?.len() >= MOST {
        return Err(ApiError::Conflict(format!("there are {MOST} webhooks already; delete one first")).into());
    }
    let stored = save(&app, &mut tx, &caller, record, sealed, None).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, success(FreshWebhook::new(stored, made))))
}

/// One webhook.
#[utoipa::path(get, path = "/webhooks/{id}", tag = "second system", params(("id" = String, Path)),
    responses((status = 200, body = Success<Webhook>), (status = 404, body = FailureEnvelope)))]
async fn get(
    State(app): State<App>,
    caller: Caller<Read>,
    Named(id): Named,
) -> Result<Json<Success<Webhook>>, Refused> {
    let mut tx = app.store().read().await?;
    Ok(success(find(&mut tx, &caller, &id).await?.into()))
}

/// Changes what is sent of a webhook; the rest stays.
#[utoipa::path(patch, path = "/webhooks/{id}", tag = "second system", params(("id" = String, Path)),
    request_body = WebhookRequest,
    responses((status = 200, body = Success<Webhook>), (status = 400, body = FailureEnvelope),
        (status = 404, body = FailureEnvelope)))]
async fn update(
    State(app): State<App>,
    caller: Caller<Write>,
    Named(id): Named,
    Body { value, .. }: Body<WebhookRequest>,
) -> Result<Json<Success<Webhook>>, Refused> {
    let mut tx = app.store().begin().await?;
    let before = find(&mut tx, &caller, &id).await?.value;
    let sealed = tx.unseal::<Sealed>(&caller.workspace, WebhookRecord::KIND, &id).await?.unwrap_or_default();
    let (record, sealed) = value.over(before.clone(), sealed, app.webhooks().reach())?;
    let stored = save(&app, &mut tx, &caller, record, sealed, Some(before)).await?;
    tx.commit().await?;
    Ok(success(stored.into()))
}

/// Takes a webhook away, with its secret and its log; it is told nothing more.
#[utoipa::path(delete, path = "/webhooks/{id}", tag = "second system", params(("id" = String, Path)),
    responses((status = 200, body = Object), (status = 404, body = FailureEnvelope)))]
async fn delete(State(app): State<App>, caller: Caller<Write>, Named(id): Named) -> Result<Json<Value>, Refused> {
    let mut tx = app.store().begin().await?;
    let before = find(&mut tx, &caller, &id).await?.value;
    tx.delete::<WebhookRecord>(&caller.workspace, &id).await?;
    tx.drop_webhook_deliveries(&caller.workspace, &id).await?;
    app.note(&mut tx, &caller, "webhook.delete", resource(&id), Some(plain(&before)), None).await?;
    tx.commit().await?;
    Ok(Json(json!({"status": "success", "data": {"id": id, "deleted": true}})))
}

/// Tells a webhook `webhook.test`, at once and once; the answer says how that went.
#[utoipa::path(post, path = "/webhooks/{id}/test", tag = "second system", params(("id" = String, Path)),
    responses((status = 200, body = Success<WebhookDelivery>), (status = 404, body = FailureEnvelope)))]
async fn test(
    State(app): State<App>,
    caller: Caller<Write>,
    Named(id): Named,
) -> Result<Json<Success<WebhookDelivery>>, Refused> {
    let mut tx = app.store().begin().await?;
    let webhook = find(&mut tx, &caller, &id).await?.value;
    let event_id = format!("evt_{}", app.world().uuid().replace('-', ""));
    let data = json!({"message": "A test of this webhook"});
    let what = Happened { kind: TEST, agent: webhook.agent_id, data, ..Happened::default() };
    let now = app.world().now();
    let body = what.body(&event_id, now);
    let mut row = events::row(&app, &caller.workspace, &id, &event_id, TEST, body);
    row.due_at = deliver::leased(now);
    tx.add_webhook_delivery(&row).await?;
    tx.commit().await?;
    Ok(success(deliver::tell(&app, row, false).await?.into()))
}

/// What a webhook was told and is to be told, newest first; what has ended is kept for a week.
#[utoipa::path(get, path = "/webhooks/{id}/deliveries", tag = "second system",
    params(("id" = String, Path), PageQuery, DeliveryQuery),
    responses((status = 200, body = Listed<WebhookDelivery>), (status = 400, body = FailureEnvelope),
        (status = 404, body = FailureEnvelope)))]
async fn deliveries(
    State(app): State<App>,
    caller: Caller<Read>,
    Named(id): Named,
    query: Pairs,
) -> Result<Json<Listed<WebhookDelivery>>, Refused> {
    let page = Page::of(&query)?;
    let status = match query.get("status") {
        None => "%",
        Some(status) if STATES.contains(&status) => status,
        Some(_) => return Err(Refused::wrong("status", &format!("one of {}", STATES.join(", ")))),
    };
    let mut tx = app.store().read().await?;
    find(&mut tx, &caller, &id).await?;
    let (rows, total) = tx.webhook_deliveries(&caller.workspace, &id, status, page.offset(), page.limit()).await?;
    Ok(page.listed(rows.into_iter().map(WebhookDelivery::from).collect(), total))
}

/// Tells a webhook once more what it was told or could not be told, under the same id.
#[utoipa::path(post, path = "/webhooks/{id}/deliveries/{delivery}/retry", tag = "second system",
    params(("id" = String, Path), ("delivery" = String, Path)),
    responses((status = 202, body = Success<WebhookDelivery>), (status = 404, body = FailureEnvelope),
        (status = 409, body = FailureEnvelope)))]
async fn retry(
    State(app): State<App>,
    caller: Caller<Write>,
    Pair(id, delivery): Pair,
) -> Result<(StatusCode, Json<Success<WebhookDelivery>>), Refused> {
    let mut tx = app.store().begin().await?;
    find(&mut tx, &caller, &id).await?;
    let unknown = || Refused::unknown("DELIVERY_NOT_FOUND", "delivery", &delivery);
    tx.webhook_delivery(&caller.workspace, &id, &delivery).await?.ok_or_else(unknown)?;
    if !tx.retry_webhook_delivery(&id, &delivery, app.world().now()).await? {
        return Err(ApiError::Conflict("this delivery has not ended: it is tried again by itself".into()).into());
    }
    let row = tx.webhook_delivery(&caller.workspace, &id, &delivery).await?.ok_or_else(unknown)?;
    tx.commit().await?;
    Ok((StatusCode::ACCEPTED, success(row.into())))
}

async fn find(tx: &mut Tx, who: &Identity, id: &str) -> Result<Stored<WebhookRecord>, Refused> {
    let found = tx.get::<WebhookRecord>(&who.workspace, id).await?;
    found.ok_or_else(|| Refused::unknown("WEBHOOK_NOT_FOUND", "webhook", id))
}

async fn save(
    app: &App,
    tx: &mut Tx,
    who: &Identity,
    record: WebhookRecord,
    sealed: Sealed,
    before: Option<WebhookRecord>,
) -> Result<Stored<WebhookRecord>, Refused> {
    if let Some(agent) = record
        .agent_id
        .as_deref()
        .filter(|agent| before.as_ref().is_none_or(|before| before.agent_id.as_deref() != Some(*agent)))
    {
        agents::find(tx, who, None, agent).await?;
    }
    tx.seal(&who.workspace, WebhookRecord::KIND, &record.id, &sealed).await?;
    let stored = tx.put(&who.workspace, &record, app.world().now()).await?;
    let before = before.map(|record| plain(&record));
    app.note(tx, who, "webhook.put", resource(&record.id), before, Some(plain(&record))).await?;
    Ok(stored)
}

fn resource(id: &str) -> String {
    format!("webhooks/{id}")
}
