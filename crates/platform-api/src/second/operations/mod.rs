//! Operations: what is answered later. A request is in the store before anybody is told of it; whoever takes it asks the
//! agent once. What was cut off has failed and is not begun anew: an agent may have done something.

pub mod execute;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ingestion_server::web::ApiError;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ask::Subject;
use super::envelope::FailureEnvelope;
use super::invoke::Wanted;
use super::pages::{Listed, Page, PageQuery};
use super::refused::Refused;
use super::stream::Feed;
use super::webhooks;
use crate::answer::Named;
use crate::app::App;
use crate::auth::{Caller, Deploy, Identity, Read};
use crate::params::Pairs;
use crate::store::{OperationRow, Tx};
use crate::time::rfc3339;

/// What a request is sealed under, by its operation's id.
pub const REQUEST: &str = "operation";

/// What came of it.
pub const RESULT: &str = "operation_result";

/// What this process is at.
#[derive(Debug, Default)]
pub struct Operations {
    /// Held by whoever takes what waits, so that no more are taken than there is room for.
    taking: tokio::sync::Mutex<()>,
    under_way: Mutex<HashMap<String, Under>>,
}

/// One of them.
#[derive(Debug, Clone)]
pub struct Under {
    /// Somebody wants it to end.
    pub stop: Arc<Notify>,
    /// What a stream has said so far.
    pub feed: Option<watch::Receiver<Feed>>,
}

impl Operations {
    /// How many there are that were taken; a stream has whoever asked for it.
    pub fn count(&self) -> usize {
        self.all().values().filter(|under| under.feed.is_none()).count()
    }

    /// Nobody else takes what waits until this is dropped.
    pub async fn taking(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.taking.lock().await
    }

    /// From now on it is under way, until what is given back is dropped.
    pub fn enter(&self, app: &App, id: &str, feed: Option<watch::Receiver<Feed>>) -> Entered {
        let stop: Arc<Notify> = Arc::default();
        self.all().insert(id.into(), Under { stop: Arc::clone(&stop), feed });
        Entered { app: app.clone(), id: id.into(), stop }
    }

    /// One of them.
    pub fn get(&self, id: &str) -> Option<Under> {
        self.all().get(id).cloned()
    }

    /// Ends one, if it is here.
    pub fn stop(&self, id: &str) {
        if let Some(under) = self.get(id) {
            under.stop.notify_one();
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Under>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An operation under way here.
pub struct Entered {
    app: App,
    id: String,
    /// Somebody wants it to end.
    pub stop: Arc<Notify>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.app.operations().all().remove(&self.id);
    }
}

/// What was asked, as it is sealed: whoever takes it knows nothing else.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    key: String,
    name: String,
    user: Option<String>,
    /// The run to go on with.
    run: Option<String>,
    request_id: String,
    wanted: Wanted,
}

impl Request {
    /// Of whoever asks.
    pub fn new(subject: &Subject, wanted: Wanted, request_id: &str) -> Request {
        Request {
            key: subject.who.key.clone(),
            name: subject.who.name.clone(),
            user: subject.user.clone(),
            run: subject.run().map(str::to_string),
            request_id: request_id.into(),
            wanted,
        }
    }

    fn who(&self, workspace: &str) -> Identity {
        let (key, name, user) = (self.key.clone(), self.name.clone(), self.user.clone());
        Identity { key, name, user, is_operator: false, ..Identity::of_token(workspace) }
    }
}

/// A request that is kept.
#[derive(Debug)]
pub struct Accepted {
    check_url: String,
    /// What its sender is told.
    pub body: Value,
}

impl IntoResponse for Accepted {
    fn into_response(self) -> Response {
        let mut response = (StatusCode::ACCEPTED, Json(self.body)).into_response();
        let location = HeaderValue::from_str(&self.check_url).expect("ids are letters and digits");
        response.headers_mut().insert(header::LOCATION, location);
        response
    }
}

/// Keeps a request for whoever takes it, and tells where to look for its answer.
pub async fn accept(app: &App, subject: &Subject, wanted: Wanted, request_id: &str) -> Result<Accepted, Refused> {
    // Nobody here could take it, and the answer would be what it is now.
    if app.running().is_none() {
        return Err(subject.not_running().into());
    }
    let row = row(app, subject, "invoke", "pending");
    let mut tx = app.store().begin().await?;
    tx.add_operation(&row).await?;
    tx.seal(&row.workspace, REQUEST, &row.id, &Request::new(subject, wanted, request_id)).await?;
    tx.commit().await?;
    let taking = app.clone();
    tokio::spawn(async move { execute::take(&taking).await });
    let check_url = check_url(&row.id);
    let body = json!({"operation_id": row.id, "status": row.status, "check_url": check_url});
    Ok(Accepted { check_url, body })
}

/// A new one.
pub fn row(app: &App, subject: &Subject, kind: &str, status: &str) -> OperationRow {
    OperationRow {
        id: format!("op_{}", app.world().uuid().replace('-', "")),
        workspace: subject.who.workspace.clone(),
        agent_id: subject.agent.value.name.clone(),
        kind: kind.into(),
        status: status.into(),
        replica: None,
        created_at: app.world().now(),
        started_at: None,
        ended_at: None,
    }
}

/// Whether a request wants to be answered later, by any of the three ways to say so.
pub fn is_wanted(body: &Value, headers: &HeaderMap) -> Result<bool, Refused> {
    let mut later = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').any(|one| one.split(';').next().is_some_and(|one| one.trim() == "respond-async"))
    });
    for name in ["async", "async_execution"] {
        match &body[name] {
            Value::Null => {}
            Value::Bool(said) => later |= *said,
            _ => return Err(Refused::mistyped(name, "true or false")),
        }
    }
    Ok(later)
}

/// Where to look for an operation.
pub fn check_url(id: &str) -> String {
    format!("/v1/operations/{id}")
}

/// The operations.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(get, cancel)).routes(routes!(cancel_by_post))
}

/// What was asked to be answered later, newest first. Ended ones are kept for a week.
#[utoipa::path(get, path = "/operations", tag = "second system", params(PageQuery),
    responses((status = 200, body = Listed<Object>), (status = 400, body = FailureEnvelope)))]
async fn list(State(app): State<App>, caller: Caller<Read>, query: Pairs) -> Result<Json<Listed<Value>>, Refused> {
    let page = Page::of(&query)?;
    let mut tx = app.store().read().await?;
    let (rows, total) = tx.operations(&caller.workspace, page.offset(), page.limit()).await?;
    Ok(page.listed(rows.iter().map(shown).collect(), total))
}

/// How far an operation is, and once it has ended its `data` or `error`.
#[utoipa::path(get, path = "/operations/{id}", tag = "second system", params(("id" = String, Path)),
    responses((status = 200, body = Object), (status = 404, body = FailureEnvelope)))]
async fn get(State(app): State<App>, caller: Caller<Read>, Named(id): Named) -> Result<Json<Value>, Refused> {
    let mut tx = app.store().read().await?;
    Ok(Json(whole(&mut tx, &caller, &id).await?))
}

/// Ends an operation that has not ended. An agent that is being asked is not heard any more; what it did has happened.
#[utoipa::path(delete, path = "/operations/{id}", tag = "second system", params(("id" = String, Path)),
    responses((status = 200, body = Object), (status = 404, body = FailureEnvelope),
        (status = 409, body = FailureEnvelope)))]
async fn cancel(State(app): State<App>, caller: Caller<Deploy>, Named(id): Named) -> Result<Json<Value>, Refused> {
    end(&app, &caller, &id).await
}

/// The same.
#[utoipa::path(post, path = "/operations/{id}/cancel", tag = "second system", params(("id" = String, Path)),
    responses((status = 200, body = Object), (status = 404, body = FailureEnvelope),
        (status = 409, body = FailureEnvelope)))]
async fn cancel_by_post(
    State(app): State<App>,
    caller: Caller<Deploy>,
    Named(id): Named,
) -> Result<Json<Value>, Refused> {
    end(&app, &caller, &id).await
}

async fn end(app: &App, who: &Identity, id: &str) -> Result<Json<Value>, Refused> {
    let mut tx = app.store().begin().await?;
    let before = whole(&mut tx, who, id).await?;
    if !tx.end_operation(id, "cancelled", app.world().now()).await? {
        let status = before["status"].as_str().unwrap_or_default();
        return Err(ApiError::Conflict(format!("this operation has ended already: it is {status}")).into());
    }
    let after = whole(&mut tx, who, id).await?;
    let row = find(&mut tx, &who.workspace, id).await?;
    webhooks::events::of_operation(app, &mut tx, &row, &row.status).await?;
    tx.commit().await?;
    app.operations().stop(id);
    Ok(Json(after))
}

/// An operation of the caller's workspace.
pub async fn find(tx: &mut Tx, workspace: &str, id: &str) -> Result<OperationRow, Refused> {
    let row = tx.operation(workspace, id).await?;
    row.ok_or_else(|| Refused::unknown("OPERATION_NOT_FOUND", "operation", id))
}

async fn whole(tx: &mut Tx, who: &Identity, id: &str) -> Result<Value, Refused> {
    let row = find(tx, &who.workspace, id).await?;
    let mut shown = shown(&row);
    if let Some(Value::Object(result)) = tx.unseal::<Value>(&row.workspace, RESULT, id).await? {
        for name in ["data", "error"] {
            if let Some(value) = result.get(name) {
                shown[name] = value.clone();
            }
        }
    }
    Ok(shown)
}

fn shown(row: &OperationRow) -> Value {
    let mut shown = json!({
        "operation_id": row.id,
        "status": row.status,
        "check_url": check_url(&row.id),
        "agent_id": row.agent_id,
        "type": row.kind,
        "created_at": rfc3339(row.created_at),
    });
    for (name, at) in [("started_at", row.started_at), ("completed_at", row.ended_at)] {
        if let Some(at) = at {
            shown[name] = rfc3339(at).into();
        }
    }
    shown
}
