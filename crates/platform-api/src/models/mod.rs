//! Models: the providers whose models agents may ask, and what that costs.

pub mod spend;
mod wire;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use ingestion_server::web::{ApiError, Body};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use wire::{ModelProvider, ModelProviderRequest};

use crate::answer::{Deleted, Named};
use crate::app::{App, json};
use crate::auth::{Caller, Identity, Read, Write};
use crate::store::{Resource, Stored, Tx};
use crate::tools::{ApiKeyConfig, OAuth2Config, SecretRef};

/// Where model providers say they are, whatever the namespace of an agent.
pub const NAMESPACE: &str = "agent-system";

/// A provider of models as it is kept. Its credentials are sealed elsewhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProviderRecord {
    /// What it is called.
    pub name: String,
    /// What its owner said.
    pub spec: ProviderSpec,
    /// What was seen of it.
    pub status: ProviderStatus,
}

impl Resource for ProviderRecord {
    const KIND: &'static str = "model_provider";

    fn key(&self) -> &str {
        &self.name
    }
}

/// What a provider's owner says of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProviderSpec {
    /// Whose API it speaks.
    pub provider: Api,
    /// Where it is.
    pub endpoint: String,
    /// Names of the models that are asked there.
    pub models: Vec<String>,
    /// What it asks of its callers.
    pub auth: ProviderAuth,
    /// How often it may be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
}

/// The APIs that model providers speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Api {
    /// OpenAI's, which many others speak too.
    OpenAI,
    /// Anthropic's.
    Anthropic,
    /// That of Amazon Bedrock.
    Bedrock,
    /// Ollama's.
    Ollama,
    /// That of Google's Gemini.
    Gemini,
    /// OpenAI's inside Azure.
    Azure,
}

impl Api {
    /// As operators write it, and as the gateway's rows know it.
    pub fn name(self) -> &'static str {
        match self {
            Api::OpenAI => "openai",
            Api::Anthropic => "anthropic",
            Api::Bedrock => "bedrock",
            Api::Ollama => "ollama",
            Api::Gemini => "gemini",
            Api::Azure => "azure",
        }
    }
}

/// What a provider asks of its callers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProviderAuth {
    /// The way.
    #[serde(rename = "type")]
    pub kind: ProviderAuthType,
    /// Where a key goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_config: Option<ApiKeyConfig>,
    /// With what requests are signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aws_config: Option<AwsConfig>,
    /// How a token is got.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth2_config: Option<OAuth2Config>,
}

/// The ways in which a provider knows its callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum ProviderAuthType {
    /// It does not ask.
    None,
    /// A key in a header or in the query.
    APIKey,
    /// A signature as AWS computes it.
    AWSSignature,
    /// A token from an authorization server.
    OAuth2,
}

/// With what requests to AWS are signed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AwsConfig {
    /// `us-east-1`.
    pub region: String,
    /// Under what the access key is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<SecretRef>,
}

/// How often a provider may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RateLimit {
    /// By all agents together.
    #[serde(alias = "requests_per_minute")]
    pub requests_per_minute: u32,
}

/// What was seen of a provider. Published clients look into it, so it is never a text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProviderStatus {
    /// Does it answer?
    pub phase: ProviderPhase,
    /// Why not.
    #[serde(default)]
    pub message: String,
}

/// Does a provider answer?
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum ProviderPhase {
    /// Nobody asked it yet.
    #[default]
    Pending,
    /// It answered.
    Available,
    /// It did not.
    Unavailable,
    /// It refused the credentials.
    Failed,
}

/// Credentials as they are sealed.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct ProviderCredentials {
    /// A key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key: Option<String>,
    /// The id of an access key of AWS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aws_access_key_id: Option<String>,
    /// The access key itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aws_secret_access_key: Option<String>,
    /// With temporary access keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aws_session_token: Option<String>,
    /// A client's name at the authorization server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Its secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
}

/// The operations, to be mounted below both prefixes.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list, put)).routes(routes!(get, delete)).merge(spend::routes())
}

/// All model providers, oldest first.
#[utoipa::path(get, path = "/model-providers", tag = "model providers",
    responses((status = 200, body = Vec<ModelProvider>)))]
async fn list(State(app): State<App>, caller: Caller<Read>) -> Result<Json<Vec<ModelProvider>>, ApiError> {
    let mut tx = app.store().read().await?;
    let providers = tx.list::<ProviderRecord>(&caller.workspace).await?;
    Ok(Json(providers.into_iter().map(ModelProvider::from).collect()))
}

/// Registers a model provider, or changes the one of that name. Credentials are kept sealed and never given back.
#[utoipa::path(post, path = "/model-providers", tag = "model providers", request_body = ModelProviderRequest,
    responses((status = 201, body = ModelProvider), (status = 400, body = crate::answer::Refusal)))]
async fn put(
    State(app): State<App>,
    caller: Caller<Write>,
    Body { value, .. }: Body<ModelProviderRequest>,
) -> Result<(StatusCode, Json<ModelProvider>), ApiError> {
    let (record, credentials) = value.read()?;
    let mut tx = app.store().begin().await?;
    let stored = save(&app, &mut tx, &caller, record, credentials).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(stored.into())))
}

/// One model provider.
#[utoipa::path(get, path = "/model-providers/{name}", tag = "model providers", params(("name" = String, Path)),
    responses((status = 200, body = ModelProvider), (status = 404, body = crate::answer::Refusal)))]
async fn get(
    State(app): State<App>,
    caller: Caller<Read>,
    Named(name): Named,
) -> Result<Json<ModelProvider>, ApiError> {
    let mut tx = app.store().read().await?;
    let provider = tx.get::<ProviderRecord>(&caller.workspace, &name).await?.ok_or_else(|| unknown(&name))?;
    Ok(Json(provider.into()))
}

/// Takes a model provider away, and its credentials.
#[utoipa::path(delete, path = "/model-providers/{name}", tag = "model providers", params(("name" = String, Path)),
    responses((status = 200, body = Deleted), (status = 404, body = crate::answer::Refusal)))]
async fn delete(State(app): State<App>, caller: Caller<Write>, Named(name): Named) -> Result<Json<Deleted>, ApiError> {
    let mut tx = app.store().begin().await?;
    let before = tx.get::<ProviderRecord>(&caller.workspace, &name).await?.ok_or_else(|| unknown(&name))?;
    tx.delete::<ProviderRecord>(&caller.workspace, &name).await?;
    let (resource, before) = (format!("model-providers/{name}"), Some(json(&before.value)));
    app.note(&mut tx, &caller, "model_provider.delete", resource, before, None).await?;
    tx.commit().await?;
    Ok(Json(Deleted::default()))
}

/// Writes a model provider and its credentials, in the caller's transaction.
pub async fn save(
    app: &App,
    tx: &mut Tx,
    who: &Identity,
    record: ProviderRecord,
    credentials: Option<ProviderCredentials>,
) -> Result<Stored<ProviderRecord>, ApiError> {
    let before = tx.get::<ProviderRecord>(&who.workspace, &record.name).await?;
    if let Some(credentials) = credentials {
        tx.seal(&who.workspace, ProviderRecord::KIND, &record.name, &credentials).await?;
    }
    let stored = tx.put(&who.workspace, &record, app.world().now()).await?;
    let (before, after) = (before.map(|provider| json(&provider.value)), Some(json(&record)));
    app.note(tx, who, "model_provider.put", format!("model-providers/{}", record.name), before, after).await?;
    Ok(stored)
}

fn unknown(name: &str) -> ApiError {
    ApiError::NotFound(format!("model provider {name:?}").into())
}
