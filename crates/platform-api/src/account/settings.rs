//! Settings: how people and programs come into a workspace.

use axum::Json;
use axum::extract::State;
use ingestion_server::web::{ApiError, Body};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::keys::HEADER;
use crate::app::{App, json};
use crate::auth::keys::WORKSPACE;
use crate::auth::{Admin, Caller, Read};
use crate::credentials::oauth;
use crate::store::{Resource, Tx};

/// Minutes that a session of the console may be idle, when nobody said it.
const USUAL: i64 = 60;

const LEAST: i64 = 5;

/// A day.
const MOST: i64 = 1_440;

/// What was set, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct AuthRecord {
    name: String,
    session_idle_timeout_minutes: i64,
}

impl Resource for AuthRecord {
    const KIND: &'static str = "settings";

    fn key(&self) -> &str {
        &self.name
    }
}

const NAME: &str = "auth";

/// How people and programs come into a workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuthSettings {
    session_idle_timeout_minutes: i64,
    min_session_idle_timeout_minutes: i64,
    max_session_idle_timeout_minutes: i64,
    /// The header for keys of the workspace.
    programmatic_header: &'static str,
    /// How those keys begin.
    api_key_prefix: &'static str,
    /// How many there are.
    api_key_count: usize,
    /// Where authorization servers send users back to: to be registered with each.
    oauth_callback_url: String,
}

/// What is to be set.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuthSettingsRequest {
    #[schema(required)]
    session_idle_timeout_minutes: Option<i64>,
}

/// The operations, to be mounted below both prefixes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(auth_settings, set_auth_settings))
}

/// How people and programs come into the workspace.
#[utoipa::path(get, path = "/settings/auth", tag = "account", responses((status = 200, body = AuthSettings)))]
async fn auth_settings(State(app): State<App>, caller: Caller<Read>) -> Result<Json<AuthSettings>, ApiError> {
    let mut tx = app.store().read().await?;
    Ok(Json(settings(&app, &mut tx, &caller.workspace).await?))
}

/// Sets how long a session of the console may be idle.
#[utoipa::path(put, path = "/settings/auth", tag = "account", request_body = AuthSettingsRequest,
    responses((status = 200, body = AuthSettings), (status = 400, body = crate::answer::Refusal)))]
async fn set_auth_settings(
    State(app): State<App>,
    caller: Caller<Admin>,
    Body { value, .. }: Body<AuthSettingsRequest>,
) -> Result<Json<AuthSettings>, ApiError> {
    let pointer = "/sessionIdleTimeoutMinutes";
    let minutes = value.session_idle_timeout_minutes;
    let minutes = minutes.ok_or_else(|| ApiError::field("sessionIdleTimeoutMinutes is required", pointer))?;
    if !(LEAST..=MOST).contains(&minutes) {
        return Err(ApiError::field(format!("sessionIdleTimeoutMinutes must be from {LEAST} to {MOST}"), pointer));
    }
    let record = AuthRecord { name: NAME.into(), session_idle_timeout_minutes: minutes };
    let mut tx = app.store().begin().await?;
    let before = tx.get::<AuthRecord>(&caller.workspace, NAME).await?.map(|before| json(&before.value));
    tx.put(&caller.workspace, &record, app.world().now()).await?;
    app.note(&mut tx, &caller, "settings.put", "settings/auth".into(), before, Some(json(&record))).await?;
    let settings = settings(&app, &mut tx, &caller.workspace).await?;
    tx.commit().await?;
    Ok(Json(settings))
}

async fn settings(app: &App, tx: &mut Tx, workspace: &str) -> Result<AuthSettings, ApiError> {
    let record = tx.get::<AuthRecord>(workspace, NAME).await?;
    Ok(AuthSettings {
        session_idle_timeout_minutes: record.map_or(USUAL, |record| record.value.session_idle_timeout_minutes),
        min_session_idle_timeout_minutes: LEAST,
        max_session_idle_timeout_minutes: MOST,
        programmatic_header: HEADER,
        api_key_prefix: WORKSPACE,
        api_key_count: tx.keys(Some(workspace)).await?.len(),
        oauth_callback_url: oauth::redirect_uri(app),
    })
}
