//! Tools: the services that agents call, with how to reach them, what they can do and who may use them.

mod probe;
mod wire;

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use ingestion_server::web::{ApiError, Body};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use probe::{Probe, ProbeRequest};
pub use wire::{Tool, ToolRequest};

use crate::answer::{Deleted, Named};
use crate::app::{App, json};
use crate::auth::{Caller, Identity, Read, Write};
use crate::credentials;
use crate::store::{Resource, Stored, Tx};

/// Where tools say they are, whatever the namespace of an agent.
pub const NAMESPACE: &str = "agent-system";

/// How long a probe waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// A tool as it is kept. Its credentials are sealed elsewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolRecord {
    /// What it is called.
    pub name: String,
    /// What its owner said.
    pub spec: ToolSpec,
    /// What was seen of it.
    pub status: ToolStatus,
}

impl Resource for ToolRecord {
    const KIND: &'static str = "tool";

    fn key(&self) -> &str {
        &self.name
    }
}

impl ToolRecord {
    /// Must somebody decide before an agent may use it?
    pub fn is_guarded(&self) -> bool {
        let access = &self.spec.governance.access_control;
        access.mode != AccessMode::Open || access.require_approval
    }
}

/// What a tool's owner says of it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ToolSpec {
    /// For people and models.
    pub description: String,
    /// How it is reached.
    pub connection: Connection,
    /// Who may use it.
    pub governance: Governance,
    /// What can be done with it; empty: whatever policies allow.
    pub capabilities: Vec<Capability>,
    /// What makes it risky: `financial`, `pii`, …
    pub risk_tags: Vec<String>,
}

/// How a tool is reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Connection {
    /// Outside or inside the operator's own network.
    pub topology: Topology,
    /// Where its paths begin.
    pub base_url: String,
    /// Its port.
    pub port: u16,
    /// `HTTP` or `HTTPS`.
    pub scheme: String,
    /// What it asks of its callers.
    pub authentication: Authentication,
    /// Settings of TLS, as they were sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub tls: Option<serde_json::Value>,
}

impl Default for Connection {
    fn default() -> Connection {
        Connection {
            topology: Topology::External,
            base_url: String::new(),
            port: 443,
            scheme: "HTTPS".into(),
            authentication: Authentication::default(),
            tls: None,
        }
    }
}

/// Where a tool is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub enum Topology {
    /// Somewhere in the world.
    #[default]
    External,
    /// In the operator's own network.
    Internal,
}

/// What a tool asks of its callers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Authentication {
    /// The way.
    #[serde(rename = "type")]
    pub kind: AuthType,
    /// Where a key goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_config: Option<ApiKeyConfig>,
    /// How a token is got.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth2_config: Option<OAuth2Config>,
    /// What requests are signed for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aws_config: Option<ToolAwsConfig>,
}

/// The ways in which a tool knows its callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub enum AuthType {
    /// It does not ask.
    #[default]
    None,
    /// A key in a header or in the query.
    APIKey,
    /// A token from an authorization server.
    OAuth2,
    /// A signature as AWS computes it.
    AWSSignature,
}

/// Where a key goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ApiKeyConfig {
    /// `Header` or `Query`.
    #[serde(rename = "in")]
    pub place: String,
    /// Of the header or parameter.
    pub name: String,
    /// Before the key: `Bearer `.
    pub value_prefix: String,
    /// Under what the key is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
}

impl Default for ApiKeyConfig {
    fn default() -> ApiKeyConfig {
        ApiKeyConfig {
            place: "Header".into(),
            name: "Authorization".into(),
            value_prefix: "Bearer ".into(),
            secret_ref: None,
        }
    }
}

/// How a token is got.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OAuth2Config {
    /// Where users agree.
    pub auth_url: String,
    /// Where tokens come from.
    pub token_url: String,
    /// What they are for.
    pub scopes: Vec<String>,
    /// More for the authorization's address.
    pub auth_params: std::collections::BTreeMap<String, String>,
    /// How the client says who it is: `client_secret_basic`, `client_secret_post` or `none`. Where nobody says it, the first
    /// is tried and then the second.
    #[serde(skip_serializing_if = "Option::is_none", alias = "token_endpoint_auth_method")]
    pub token_endpoint_auth_method: Option<String>,
    /// Under what the client's credentials are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<SecretRef>,
}

/// What requests to a service of AWS are signed for.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ToolAwsConfig {
    /// `us-east-1`.
    pub region: String,
    /// As signatures name it: `s3`, `dynamodb`, `execute-api`.
    pub service: String,
    /// Under what the access key is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<SecretRef>,
}

/// Under what a secret is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct SecretRef {
    /// Its name.
    pub name: String,
    /// Where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// Who may use a tool.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Governance {
    /// Who.
    pub access_control: AccessControl,
    /// How approvals go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalSettings>,
    /// Kept as it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub caching: Option<serde_json::Value>,
}

/// Who may use a tool.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AccessControl {
    /// How strict.
    pub mode: AccessMode,
    /// Ask a person where no policy speaks.
    pub require_approval: bool,
}

/// How strict a tool is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub enum AccessMode {
    /// Whoever is deployed with it may use what their code uses.
    #[default]
    Open,
    /// Only by a policy that somebody bound.
    Restricted,
    /// The same, and a person is asked where no policy speaks.
    Critical,
}

/// How approvals go.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ApprovalSettings {
    /// Who decides.
    pub group: String,
    /// For how long: `4h`.
    pub default_duration: String,
    /// Whether a grant ends by itself.
    pub auto_expire: bool,
}

/// One thing that a tool can do.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Capability {
    /// What it is called.
    pub name: String,
    /// Its HTTP method.
    pub method: String,
    /// Its path below the base URL.
    pub path: String,
    /// For people and models.
    pub description: String,
    /// What makes it risky.
    pub risk_tags: Vec<String>,
}

/// What was seen of a tool.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct ToolStatus {
    /// Is it there?
    pub phase: ToolPhase,
    /// Why not.
    #[serde(default)]
    pub message: String,
    /// When it was last asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_probe_time: Option<String>,
    /// How long it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe_latency_ms: Option<u64>,
}

/// Is a tool there?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub enum ToolPhase {
    /// Nobody asked it yet.
    #[default]
    Pending,
    /// It answered.
    Available,
    /// It did not, or with an error of its own.
    Unreachable,
}

/// Credentials as they are sealed.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Credentials {
    /// A key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key: Option<String>,
    /// A client's name at the authorization server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Its secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
    /// The id of an access key of AWS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aws_access_key_id: Option<String>,
    /// The access key itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aws_secret_access_key: Option<String>,
    /// With temporary access keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aws_session_token: Option<String>,
}

/// The operations, to be mounted below both prefixes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, put))
        .routes(routes!(get, delete))
        .routes(routes!(probe))
        .routes(routes!(test))
}

/// All tools, oldest first.
#[utoipa::path(get, path = "/tools", tag = "tools", responses((status = 200, body = Vec<Tool>)))]
async fn list(State(app): State<App>, caller: Caller<Read>) -> Result<Json<Vec<Tool>>, ApiError> {
    let mut tx = app.store().read().await?;
    let tools = tx.list::<ToolRecord>(&caller.workspace).await?;
    Ok(Json(tools.into_iter().map(Tool::from).collect()))
}

/// Registers a tool, or changes the one of that name. Credentials are kept sealed and never given back.
#[utoipa::path(post, path = "/tools", tag = "tools", request_body = ToolRequest,
    responses((status = 201, body = Tool), (status = 400, body = crate::answer::Refusal)))]
async fn put(
    State(app): State<App>,
    caller: Caller<Write>,
    Body { value, .. }: Body<ToolRequest>,
) -> Result<(StatusCode, Json<Tool>), ApiError> {
    let (record, credentials) = value.read()?;
    let mut tx = app.store().begin().await?;
    let stored = save(&app, &mut tx, &caller, record, credentials).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(stored.into())))
}

/// One tool.
#[utoipa::path(get, path = "/tools/{name}", tag = "tools", params(("name" = String, Path)),
    responses((status = 200, body = Tool), (status = 404, body = crate::answer::Refusal)))]
async fn get(State(app): State<App>, caller: Caller<Read>, Named(name): Named) -> Result<Json<Tool>, ApiError> {
    let mut tx = app.store().read().await?;
    let tool = tx.get::<ToolRecord>(&caller.workspace, &name).await?.ok_or_else(|| unknown(&name))?;
    Ok(Json(tool.into()))
}

/// Takes a tool away, and its credentials.
#[utoipa::path(delete, path = "/tools/{name}", tag = "tools", params(("name" = String, Path)),
    responses((status = 200, body = Deleted), (status = 404, body = crate::answer::Refusal)))]
async fn delete(State(app): State<App>, caller: Caller<Write>, Named(name): Named) -> Result<Json<Deleted>, ApiError> {
    let mut tx = app.store().begin().await?;
    let before = tx.get::<ToolRecord>(&caller.workspace, &name).await?.ok_or_else(|| unknown(&name))?;
    tx.delete::<ToolRecord>(&caller.workspace, &name).await?;
    credentials::forget_tool(&mut tx, &caller.workspace, &name).await?;
    app.note(&mut tx, &caller, "tool.delete", format!("tools/{name}"), Some(json(&before.value)), None).await?;
    tx.commit().await?;
    Ok(Json(Deleted::default()))
}

/// Asks an address whether anybody is there. 401 and 403 are answers too; an error of the server is not.
#[utoipa::path(post, path = "/tools/probe", tag = "tools", request_body = ProbeRequest,
    responses((status = 200, body = Probe), (status = 400, body = crate::answer::Refusal)))]
async fn probe(
    State(app): State<App>,
    _caller: Caller<Write>,
    Body { value, .. }: Body<ProbeRequest>,
) -> Result<Json<Probe>, ApiError> {
    let (address, topology) = value.address()?;
    Ok(Json(probe::ask(&app, address, topology, PATIENCE).await))
}

/// Asks a tool's base URL whether anybody is there, and remembers the answer.
#[utoipa::path(post, path = "/tools/{name}/test", tag = "tools", params(("name" = String, Path)),
    responses((status = 200, body = Probe), (status = 404, body = crate::answer::Refusal)))]
async fn test(State(app): State<App>, caller: Caller<Write>, Named(name): Named) -> Result<Json<Probe>, ApiError> {
    let mut tx = app.store().read().await?;
    let tool = tx.get::<ToolRecord>(&caller.workspace, &name).await?.ok_or_else(|| unknown(&name))?;
    drop(tx);
    let Connection { base_url: url, topology, .. } = &tool.value.spec.connection;
    let address = url.parse().map_err(|_| ApiError::BadRequest(format!("{url:?} is not an address")))?;
    let probe = probe::ask(&app, address, *topology, PATIENCE).await;

    let mut tx = app.store().begin().await?;
    // It may have been changed or taken away while we waited.
    if let Some(Stored { mut value, .. }) = tx.get::<ToolRecord>(&caller.workspace, &name).await? {
        value.status = probe.status(app.world().now());
        tx.put(&caller.workspace, &value, app.world().now()).await?;
    }
    tx.commit().await?;
    Ok(Json(probe))
}

/// Writes a tool and its credentials, in the caller's transaction.
pub async fn save(
    app: &App,
    tx: &mut Tx,
    who: &Identity,
    record: ToolRecord,
    credentials: Option<Credentials>,
) -> Result<Stored<ToolRecord>, ApiError> {
    let before = tx.get::<ToolRecord>(&who.workspace, &record.name).await?;
    if let Some(credentials) = credentials {
        tx.seal(&who.workspace, ToolRecord::KIND, &record.name, &credentials).await?;
    }
    let stored = tx.put(&who.workspace, &record, app.world().now()).await?;
    let (before, after) = (before.map(|tool| json(&tool.value)), Some(json(&record)));
    app.note(tx, who, "tool.put", format!("tools/{}", record.name), before, after).await?;
    Ok(stored)
}

fn unknown(name: &str) -> ApiError {
    ApiError::NotFound(format!("tool {name:?}").into())
}
