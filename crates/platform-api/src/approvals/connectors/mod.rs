//! Connectors: where approvers are told of requests, and from where they may decide: webhooks, Slack, Teams, Jira,
//! PagerDuty.

mod callbacks;
mod check;
pub mod deliver;
mod members;
mod messages;
pub mod notices;
pub mod signature;
mod wire;

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use ingestion_server::web::{ApiError, Body};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use callbacks::routes as callbacks;
use members::Members;
pub use wire::{Connector, Created, fresh_secret, shown_address, sound_address};
use wire::{ConnectorRequest, Settled};

use crate::answer::{Deleted, Named, Refusal};
use crate::app::{App, json};
use crate::auth::{Admin, Caller, Identity, Read};
use crate::params::{Params, number};
use crate::policies::DeliveryMode;
use crate::store::{Resource, StoreError, Stored, Tx, Workspace};

/// The shortest and the longest time that a connector may be waited for, in seconds.
const TIMEOUTS: (u32, u32) = (1, 120);

/// How many things that connectors did are shown where nobody says how many.
const SHOWN: i64 = 100;

/// A connector as it is kept. What is secret of it is sealed elsewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConnectorRecord {
    /// Its id.
    pub id: String,
    /// What its owner calls it.
    pub name: String,
    /// What is at the other end.
    pub kind: ConnectorType,
    /// Where that is, as it may be shown.
    pub endpoint: String,
    /// Settings and headers, as they may be shown.
    pub headers: BTreeMap<String, String>,
    /// It is used.
    pub enabled: bool,
    /// How long it is waited for.
    pub timeout_seconds: u32,
    /// Whether Slack must sign.
    pub slack_security_mode: Option<SlackMode>,
    /// Who of those who decide there is of which group.
    #[serde(default)]
    pub group_members: Members,
}

impl Resource for ConnectorRecord {
    const KIND: &'static str = "approval_connector";

    fn key(&self) -> &str {
        &self.id
    }
}

/// What is secret of a connector, as it is sealed.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Secrets {
    /// Where it is: the address of a hook is a credential.
    endpoint: String,
    /// Settings and headers.
    headers: BTreeMap<String, String>,
}

/// What is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ConnectorType {
    /// Whoever takes signed JSON.
    #[default]
    Webhook,
    /// A channel or a hook of Slack.
    Slack,
    /// A hook of Microsoft Teams.
    Teams,
    /// A project of Jira.
    Jira,
    /// A service of PagerDuty.
    PagerDuty,
}

/// Whether Slack must sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SlackMode {
    /// Without a signing secret, Slack is told and cannot decide.
    #[default]
    Compat,
    /// There must be a signing secret.
    Strict,
}

/// How requests are delivered where no policy says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Defaults {
    /// `first_success` or `all`.
    pub default_delivery_mode: DeliveryMode,
    /// Whether the console is enough if no connector can be reached.
    pub default_fallback_to_ui: bool,
    /// How long a connector is waited for.
    pub default_timeout_seconds: u32,
}

impl Resource for Defaults {
    const KIND: &'static str = "approval_defaults";

    fn key(&self) -> &str {
        "defaults"
    }
}

impl Default for Defaults {
    fn default() -> Defaults {
        Defaults {
            default_delivery_mode: DeliveryMode::FirstSuccess,
            default_fallback_to_ui: true,
            default_timeout_seconds: 10,
        }
    }
}

/// The same with what cannot be changed.
#[derive(Debug, Serialize, ToSchema)]
struct ShownDefaults {
    #[serde(flatten)]
    defaults: Defaults,
    /// The shortest time.
    min_timeout_seconds: u32,
    /// The longest time.
    max_timeout_seconds: u32,
}

/// Defaults that are to change.
#[derive(Debug, Deserialize, ToSchema)]
struct DefaultsUpdate {
    /// `first_success` or `all`.
    default_delivery_mode: Option<DeliveryMode>,
    /// Whether the console is enough if no connector can be reached.
    default_fallback_to_ui: Option<bool>,
    /// How long a connector is waited for.
    default_timeout_seconds: Option<u32>,
}

/// Something that a connector did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Activity {
    /// Its id.
    pub id: String,
    /// When.
    pub timestamp: String,
    /// What: `dispatch_succeeded`, `dispatch_failed`, `dispatch_skipped`, `fallback_to_ui`, `decision_received`,
    /// `update_succeeded`, `update_failed`.
    pub event: String,
    /// Which connector.
    pub connector_id: String,
    /// Its name.
    pub connector_name: String,
    /// About which request.
    pub request_id: String,
    /// What waits for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action_id: Option<String>,
    /// In which run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// What was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
    /// By whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approver_id: Option<String>,
    /// What was answered; 0 when nobody answered.
    pub status_code: u16,
    /// After how long.
    pub duration_ms: u64,
    /// For people.
    pub message: String,
}

/// How much of it.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// At most so many.
    #[param(value_type = Option<u64>)]
    limit: Option<String>,
}

/// The operations, to be mounted below the versioned prefix.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(defaults, set_defaults))
        .routes(routes!(activity))
        .routes(routes!(check::test))
        .routes(routes!(get, update, delete))
}

/// All connectors, oldest first.
#[utoipa::path(get, path = "/approval-connectors", tag = "approval connectors",
    responses((status = 200, body = Vec<Connector>)))]
async fn list(State(app): State<App>, caller: Caller<Read>) -> Result<Json<Vec<Connector>>, ApiError> {
    let mut tx = app.store().read().await?;
    let connectors = tx.list::<ConnectorRecord>(&caller.workspace).await?;
    Ok(Json(connectors.into_iter().map(Connector::from).collect()))
}

/// A new connector. A webhook without a signing secret is given one, which is shown only in this answer.
#[utoipa::path(post, path = "/approval-connectors", tag = "approval connectors", request_body = ConnectorRequest,
    responses((status = 201, body = Created), (status = 400, body = Refusal)))]
async fn create(
    State(app): State<App>,
    caller: Caller<Admin>,
    Body { value, .. }: Body<ConnectorRequest>,
) -> Result<(StatusCode, Json<Created>), ApiError> {
    let mut tx = app.store().begin().await?;
    let defaults = defaults_of(&mut tx, &caller.workspace).await?;
    let id = app.world().id("ac").replacen('-', "_", 1);
    let mut settled = value.settle(id, defaults.default_timeout_seconds)?;
    let signing_secret = settled.give_signing_secret();
    let stored = save(&app, &mut tx, &caller, settled, None).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(Created { connector: stored.into(), signing_secret })))
}

/// One connector.
#[utoipa::path(get, path = "/approval-connectors/{id}", tag = "approval connectors", params(("id" = String, Path)),
    responses((status = 200, body = Connector), (status = 404, body = Refusal)))]
async fn get(State(app): State<App>, caller: Caller<Read>, Named(id): Named) -> Result<Json<Connector>, ApiError> {
    let mut tx = app.store().read().await?;
    let connector = tx.get::<ConnectorRecord>(&caller.workspace, &id).await?.ok_or_else(unknown)?;
    Ok(Json(connector.into()))
}

/// Changes what is sent of a connector; a masked value stays what it is.
#[utoipa::path(patch, path = "/approval-connectors/{id}", tag = "approval connectors",
    params(("id" = String, Path)), request_body = ConnectorRequest,
    responses((status = 200, body = Connector), (status = 400, body = Refusal), (status = 404, body = Refusal)))]
async fn update(
    State(app): State<App>,
    caller: Caller<Admin>,
    Named(id): Named,
    Body { value, .. }: Body<ConnectorRequest>,
) -> Result<Json<Connector>, ApiError> {
    let mut tx = app.store().begin().await?;
    let (before, secrets) = find(&mut tx, &caller.workspace, &id).await?.ok_or_else(unknown)?;
    let settled = value.over(before.clone(), secrets)?;
    let stored = save(&app, &mut tx, &caller, settled, Some(before)).await?;
    tx.commit().await?;
    Ok(Json(stored.into()))
}

/// Takes a connector away, and its secrets.
#[utoipa::path(delete, path = "/approval-connectors/{id}", tag = "approval connectors", params(("id" = String, Path)),
    responses((status = 200, body = Deleted), (status = 404, body = Refusal)))]
async fn delete(State(app): State<App>, caller: Caller<Admin>, Named(id): Named) -> Result<Json<Deleted>, ApiError> {
    let mut tx = app.store().begin().await?;
    let before = tx.get::<ConnectorRecord>(&caller.workspace, &id).await?.ok_or_else(unknown)?;
    tx.delete::<ConnectorRecord>(&caller.workspace, &id).await?;
    app.note(&mut tx, &caller, "connector.delete", resource(&id), Some(json(&before.value)), None).await?;
    tx.commit().await?;
    Ok(Json(Deleted::default()))
}

/// How requests are delivered where no policy says it.
#[utoipa::path(get, path = "/approval-connectors/defaults", tag = "approval connectors",
    responses((status = 200, body = ShownDefaults)))]
async fn defaults(State(app): State<App>, caller: Caller<Read>) -> Result<Json<ShownDefaults>, ApiError> {
    let mut tx = app.store().read().await?;
    Ok(Json(shown(defaults_of(&mut tx, &caller.workspace).await?)))
}

/// Changes what is sent of the defaults.
#[utoipa::path(put, path = "/approval-connectors/defaults", tag = "approval connectors",
    request_body = DefaultsUpdate,
    responses((status = 200, body = ShownDefaults), (status = 400, body = Refusal)))]
async fn set_defaults(
    State(app): State<App>,
    caller: Caller<Admin>,
    Body { value, .. }: Body<DefaultsUpdate>,
) -> Result<Json<ShownDefaults>, ApiError> {
    let mut tx = app.store().begin().await?;
    let before = defaults_of(&mut tx, &caller.workspace).await?;
    let timeout = value.default_timeout_seconds.unwrap_or(before.default_timeout_seconds);
    let after = Defaults {
        default_delivery_mode: value.default_delivery_mode.unwrap_or(before.default_delivery_mode),
        default_fallback_to_ui: value.default_fallback_to_ui.unwrap_or(before.default_fallback_to_ui),
        default_timeout_seconds: wire::timeout(timeout, "default_timeout_seconds")?,
    };
    tx.put(&caller.workspace, &after, app.world().now()).await?;
    let (noted, resource) = (Some(json(&before)), "approval-connectors/defaults".to_string());
    app.note(&mut tx, &caller, "connector.defaults", resource, noted, Some(json(&after))).await?;
    tx.commit().await?;
    Ok(Json(shown(after)))
}

/// What connectors did last, newest first.
#[utoipa::path(get, path = "/approval-connectors/activity", tag = "approval connectors", params(Wanted),
    responses((status = 200, body = Vec<Activity>), (status = 400, body = Refusal)))]
async fn activity(
    State(app): State<App>,
    caller: Caller<Read>,
    Params(wanted): Params<Wanted>,
) -> Result<Json<Vec<Activity>>, ApiError> {
    let limit = number(wanted.limit.as_deref(), "limit", 1, SHOWN)?;
    let mut tx = app.store().read().await?;
    let bodies = tx.activity(&caller.workspace, limit).await?;
    Ok(Json(bodies.iter().filter_map(|body| serde_json::from_str(body).ok()).collect()))
}

/// A connector with its secrets.
async fn find(
    tx: &mut Tx,
    workspace: Workspace<'_>,
    id: &str,
) -> Result<Option<(ConnectorRecord, Secrets)>, StoreError> {
    let Some(stored) = tx.get::<ConnectorRecord>(workspace, id).await? else { return Ok(None) };
    let secrets = tx.unseal::<Secrets>(workspace, ConnectorRecord::KIND, id).await?.unwrap_or_default();
    Ok(Some((stored.value, secrets)))
}

async fn save(
    app: &App,
    tx: &mut Tx,
    who: &Identity,
    settled: Settled,
    before: Option<ConnectorRecord>,
) -> Result<Stored<ConnectorRecord>, ApiError> {
    let Settled { record, secrets } = settled;
    tx.seal(&who.workspace, ConnectorRecord::KIND, &record.id, &secrets).await?;
    let stored = tx.put(&who.workspace, &record, app.world().now()).await?;
    let before = before.map(|record| json(&record));
    app.note(tx, who, "connector.put", resource(&record.id), before, Some(json(&record))).await?;
    Ok(stored)
}

/// Notes what a connector did, in the caller's transaction.
async fn note(app: &App, tx: &mut Tx, workspace: Workspace<'_>, activity: Activity) -> Result<(), StoreError> {
    let at = app.world().now();
    let id = format!("aca_{}", app.world().uuid().replace('-', ""));
    let activity = Activity { timestamp: crate::time::rfc3339(at), id, ..activity };
    tx.add_activity(workspace, &activity.id, at, &json(&activity).to_string()).await
}

async fn defaults_of(tx: &mut Tx, workspace: Workspace<'_>) -> Result<Defaults, StoreError> {
    Ok(tx.get::<Defaults>(workspace, "defaults").await?.map(|stored| stored.value).unwrap_or_default())
}

fn shown(defaults: Defaults) -> ShownDefaults {
    ShownDefaults { defaults, min_timeout_seconds: TIMEOUTS.0, max_timeout_seconds: TIMEOUTS.1 }
}

fn resource(id: &str) -> String {
    format!("approval-connectors/{id}")
}

fn unknown() -> ApiError {
    ApiError::NotFound("connector".into())
}
