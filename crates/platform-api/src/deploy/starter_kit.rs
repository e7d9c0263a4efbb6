//! Starter kit: a tool that echoes and a model to play with, for the first quarter of an hour.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use ingestion_server::web::{ApiError, Body};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::auth::{Caller, Deploy, Identity};
use crate::models::{self, Api, ProviderAuth, ProviderAuthType, ProviderRecord, ProviderSpec, ProviderStatus};
use crate::tools::{self, ApiKeyConfig, Capability, Connection, ToolRecord, ToolSpec, ToolStatus, Topology};

const ECHO_TOOL: &str = "echo-tool";
const PLAYGROUND: &str = "playground-llm";

/// Where the echo answers, for whoever reaches this platform.
const ECHO_PATH: &str = "/builtin/echo-tool";

/// What was made.
#[derive(Debug, Serialize, ToSchema)]
pub struct StarterKit {
    status: &'static str,
    message: &'static str,
    tools_created: [&'static str; 1],
    model_providers_created: [&'static str; 1],
    tool_created: &'static str,
    model_provider_created: &'static str,
}

const ANSWER: StarterKit = StarterKit {
    status: "ok",
    message: "Starter kit resources created",
    tools_created: [ECHO_TOOL],
    model_providers_created: [PLAYGROUND],
    tool_created: ECHO_TOOL,
    model_provider_created: PLAYGROUND,
};

/// The operation of the older surface, to be mounted below `/api`.
pub fn older() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(seed_older))
}

/// The operation of the versioned surface, to be mounted below `/api/v1`.
pub fn versioned() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(seed))
}

/// The echo itself: what agents call.
pub fn builtin() -> axum::Router<App> {
    axum::Router::new().route(&format!("{ECHO_PATH}/echo"), post(echo))
}

/// Whether a tool is the platform's own. The address that it was registered with may be an earlier one of the platform's,
/// or the one by which others reach it.
pub fn is_own(connection: &Connection) -> bool {
    let path = url::Url::parse(&connection.base_url).map(|url| url.path().trim_end_matches('/').to_string());
    connection.topology == Topology::Internal && path.is_ok_and(|path| path == ECHO_PATH)
}

/// Makes the starter resources, where they are not there yet.
#[utoipa::path(post, path = "/starter-kit", tag = "deploy", responses((status = 201, body = StarterKit)))]
async fn seed(State(app): State<App>, caller: Caller<Deploy>) -> Result<(StatusCode, Json<StarterKit>), ApiError> {
    make(&app, &caller).await?;
    Ok((StatusCode::CREATED, Json(ANSWER)))
}

/// Makes the starter resources, where they are not there yet.
#[utoipa::path(post, path = "/starter-kit", tag = "deploy", responses((status = 200, body = StarterKit)))]
async fn seed_older(State(app): State<App>, caller: Caller<Deploy>) -> Result<Json<StarterKit>, ApiError> {
    make(&app, &caller).await?;
    Ok(Json(ANSWER))
}

/// Makes the starter resources; what is there already stays as it is.
pub async fn make(app: &App, who: &Identity) -> Result<(), ApiError> {
    let mut tx = app.store().begin().await?;
    if tx.get::<ToolRecord>(&who.workspace, ECHO_TOOL).await?.is_none() {
        let echo = Capability {
            name: "echo".into(),
            method: "POST".into(),
            path: "/echo".into(),
            description: "Gives a message back".into(),
            risk_tags: Vec::new(),
        };
        let url = app.config().public_url() + ECHO_PATH;
        let plain = url.starts_with("http://");
        let connection = Connection {
            topology: Topology::Internal,
            base_url: url,
            port: if plain { 80 } else { 443 },
            scheme: if plain { "HTTP" } else { "HTTPS" }.into(),
            ..Connection::default()
        };
        let spec = ToolSpec {
            description: "A built-in tool that echoes back messages".into(),
            connection,
            capabilities: vec![echo],
            ..ToolSpec::default()
        };
        let tool = ToolRecord { name: ECHO_TOOL.into(), spec, status: ToolStatus::default() };
        tools::save(app, &mut tx, who, tool, None).await?;
    }
    if tx.get::<ProviderRecord>(&who.workspace, PLAYGROUND).await?.is_none() {
        let auth = ProviderAuth {
            kind: ProviderAuthType::APIKey,
            api_key_config: Some(ApiKeyConfig::default()),
            aws_config: None,
            oauth2_config: None,
        };
        let spec = ProviderSpec {
            provider: Api::OpenAI,
            endpoint: "https://api.openai.com".into(),
            models: vec!["gpt-4o-mini".into()],
            auth,
            rate_limit: None,
        };
        let provider = ProviderRecord { name: PLAYGROUND.into(), spec, status: ProviderStatus::default() };
        models::save(app, &mut tx, who, provider, None).await?;
    }
    tx.commit().await?;
    Ok(())
}

#[derive(Debug, Deserialize)]
struct Message {
    #[serde(default)]
    message: serde_json::Value,
}

async fn echo(Body { value, .. }: Body<Message>) -> Json<serde_json::Value> {
    Json(serde_json::json!({ "echo": value.message, "reply": value.message }))
}
