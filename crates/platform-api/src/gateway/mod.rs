//! Gateway: models for agents and for whoever has a key, in the formats of OpenAI and Anthropic, whatever the provider
//! speaks. Who may ask, whom they reach, what it may cost and what it did.

pub mod budget;
mod call;
pub mod known;
pub mod tokens;

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use ingestion_server::web::{ApiError, World};
use llm_gateway::formats::CallerFormat;
use llm_gateway::forward::{Forwarder, Patience, Rim};
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use budget::Ledger;
use call::Wanted;
use known::Registry;

use crate::agents::AgentRecord;
use crate::app::App;
use crate::auth::{Caller, Deploy, Limits, Read};
use crate::config::GatewayConfig;
use crate::deploy::plan::Model;
use crate::store::Store;

/// What calls of models need. Cloning gives another handle on the same one.
#[derive(Debug, Clone)]
pub struct Gateway {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    world: World,
    registry: Registry,
    ledger: Ledger,
    limits: Limits,
    forwarder: Forwarder,
}

/// Who asks.
#[derive(Debug, Clone)]
pub struct Who {
    /// The workspace whose providers are asked.
    pub workspace: String,
    /// The agent that asks; none for whoever has a key.
    pub agent: Option<Arc<AgentRecord>>,
    /// The provider that the path names.
    pub pinned: Option<String>,
}

impl Who {
    /// What the agent was given for a model.
    fn model(&self, model: &str) -> Option<&Model> {
        self.agent.as_ref()?.models.iter().find(|own| own.model == model)
    }

    /// What a model may cost the agent in a month, in dollars.
    fn budget(&self, model: &str) -> Option<f64> {
        let own = self.agent.as_ref()?.models.iter().filter(|own| own.model == model);
        own.filter_map(|own| own.monthly_budget_usd).next()
    }

    /// The agent and its namespace; empty for whoever has a key.
    fn names(&self) -> (String, String) {
        self.agent.as_ref().map(|agent| (agent.name.clone(), agent.namespace.clone())).unwrap_or_default()
    }
}

/// The world as the forwarder sees it.
#[derive(Debug)]
struct Outside(World);

impl Rim for Outside {
    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }

    fn now(&self) -> Duration {
        Duration::from_millis(self.0.now().unsigned_abs())
    }

    fn random(&self) -> u64 {
        getrandom::u64().expect("the operating system has random numbers")
    }
}

impl Gateway {
    /// Over a store.
    pub fn new(config: &GatewayConfig, store: Store, world: World) -> Gateway {
        let patience = Patience {
            answer: Duration::from_secs(config.answer_seconds),
            silence: Duration::from_secs(config.silence_seconds),
            tries: config.tries.max(1),
            ..Patience::default()
        };
        let forwarder = Forwarder::new(patience, Arc::new(Outside(world.clone())));
        let registry = Registry::new(store.clone(), world.clone());
        let ledger = Ledger::new(store.clone(), world.clone());
        let limits = Limits::new(store, world.clone(), 0);
        Gateway { inner: Arc::new(Inner { world, registry, ledger, limits, forwarder }) }
    }

    /// What calls may cost and what they did.
    pub fn ledger(&self) -> &Ledger {
        &self.inner.ledger
    }

    fn world(&self) -> &World {
        &self.inner.world
    }

    fn registry(&self) -> &Registry {
        &self.inner.registry
    }

    fn limits(&self) -> &Limits {
        &self.inner.limits
    }

    fn forwarder(&self) -> &Forwarder {
        &self.inner.forwarder
    }
}

/// What OpenAI's and Anthropic's clients call below an address that ends in `/v1`.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(chat))
        .routes(routes!(responses))
        .routes(routes!(messages))
        .routes(routes!(count_tokens))
        .routes(routes!(embeddings))
        .routes(routes!(models))
}

/// What agents call, each below its own secret path.
pub fn of_agents() -> axum::Router<App> {
    let path = format!("{}/{{agent}}/{{token}}", tokens::PREFIX);
    axum::Router::new().route(&path, any(of_agent_itself)).route(&format!("{path}/{{*rest}}"), any(of_agent))
}

/// Asks a model, in the words of OpenAI's chat completions.
#[utoipa::path(post, path = "/chat/completions", tag = "models", request_body = Object,
    responses((status = 200, body = Object), (status = 400, body = crate::answer::Refusal),
        (status = 404, body = crate::answer::Refusal), (status = 502, body = crate::answer::Refusal)))]
async fn chat(state: State<App>, caller: Caller<Deploy>, request: Request) -> Result<Response, ApiError> {
    with_key(state, caller, Wanted::Reply(CallerFormat::Chat), request).await
}

/// Asks a model, in the words of OpenAI's responses. Nothing is kept: the whole conversation is the input.
#[utoipa::path(post, path = "/responses", tag = "models", request_body = Object,
    responses((status = 200, body = Object), (status = 400, body = crate::answer::Refusal),
        (status = 404, body = crate::answer::Refusal), (status = 502, body = crate::answer::Refusal)))]
async fn responses(state: State<App>, caller: Caller<Deploy>, request: Request) -> Result<Response, ApiError> {
    with_key(state, caller, Wanted::Reply(CallerFormat::Responses), request).await
}

/// Asks a model, in the words of Anthropic's messages. Refusals are in those words too.
#[utoipa::path(post, path = "/messages", tag = "models", request_body = Object,
    responses((status = 200, body = Object), (status = 400, body = Object), (status = 404, body = Object),
        (status = 502, body = Object)))]
async fn messages(state: State<App>, caller: Caller<Deploy>, request: Request) -> Result<Response, ApiError> {
    with_key(state, caller, Wanted::Reply(CallerFormat::Messages), request).await
}

/// How many tokens a request in the words of Anthropic's messages has; estimated where its provider does not count.
#[utoipa::path(post, path = "/messages/count_tokens", tag = "models", request_body = Object,
    responses((status = 200, body = Object), (status = 400, body = Object), (status = 404, body = Object)))]
async fn count_tokens(state: State<App>, caller: Caller<Deploy>, request: Request) -> Result<Response, ApiError> {
    with_key(state, caller, Wanted::Count, request).await
}

/// Makes vectors of texts, in the words of OpenAI's embeddings.
#[utoipa::path(post, path = "/embeddings", tag = "models", request_body = Object,
    responses((status = 200, body = Object), (status = 400, body = crate::answer::Refusal),
        (status = 404, body = crate::answer::Refusal), (status = 502, body = crate::answer::Refusal)))]
async fn embeddings(state: State<App>, caller: Caller<Deploy>, request: Request) -> Result<Response, ApiError> {
    with_key(state, caller, Wanted::Embeddings, request).await
}

/// The models that can be asked, in the words of OpenAI's models.
#[utoipa::path(get, path = "/models", tag = "models", responses((status = 200, body = Object)))]
async fn models(State(app): State<App>, caller: Caller<Read>) -> Result<Json<Value>, ApiError> {
    list(&app, &caller.workspace).await
}

async fn list(app: &App, workspace: &str) -> Result<Json<Value>, ApiError> {
    let known = app.gateway().registry().of(workspace).await?;
    let mut models: Vec<(&str, &str)> = Vec::new();
    for provider in &known.providers {
        for model in &provider.spec.models {
            if !models.iter().any(|(known, _)| known == model) {
                models.push((model, &provider.name));
            }
        }
    }
    let created = 0;
    let models: Vec<Value> = models
        .into_iter()
        .map(|(id, owner)| json!({"id": id, "object": "model", "created": created, "owned_by": owner}))
        .collect();
    Ok(Json(json!({"object": "list", "data": models})))
}

async fn with_key(
    State(app): State<App>,
    caller: Caller<Deploy>,
    wanted: Wanted,
    request: Request,
) -> Result<Response, ApiError> {
    let who = Who { workspace: caller.workspace.clone(), agent: None, pinned: None };
    answer(&app, &who, wanted, request).await
}

async fn answer(app: &App, who: &Who, wanted: Wanted, request: Request) -> Result<Response, ApiError> {
    let headers = request.headers().clone();
    let received = app.intake().receive(request).await?;
    let answered = app.gateway().answer(who, wanted, &headers, received.bytes.clone()).await;
    match (answered, wanted) {
        // The log must learn the cause.
        (Err(error @ ApiError::Internal(_)), _) => Err(error),
        (Err(error), Wanted::Reply(CallerFormat::Messages) | Wanted::Count) => Ok(in_words_of_messages(&error)),
        (answered, _) => answered,
    }
}

/// Anthropic's clients look for the error inside an object.
fn in_words_of_messages(error: &ApiError) -> Response {
    let kind = match error.status().as_u16() {
        400 => "invalid_request_error",
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        _ => "api_error",
    };
    let body = json!({"type": "error", "error": {"type": kind, "message": error.to_string()}});
    let mut response = (error.status(), Json(body)).into_response();
    if let Some(seconds) = error.retry_after() {
        response.headers_mut().insert(axum::http::header::RETRY_AFTER, seconds.into());
    }
    response
}

async fn of_agent_itself(
    app: State<App>,
    Path((agent, token)): Path<(String, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    below(app, &agent, &token, "", request).await
}

async fn of_agent(
    app: State<App>,
    Path((agent, token, rest)): Path<(String, String, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    below(app, &agent, &token, &rest, request).await
}

/// Clients put their own paths behind whatever address they are given, so the end of a path decides; the address itself is
/// chat completions. `p/{provider}` in it names the provider to ask.
async fn below(
    State(app): State<App>,
    agent: &str,
    token: &str,
    rest: &str,
    request: Request,
) -> Result<Response, ApiError> {
    let workspace = app.gateway().registry().workspace_of(agent, token).await?;
    let segments: Vec<&str> = rest.split('/').filter(|segment| !segment.is_empty()).collect();
    let pinned = segments.iter().position(|segment| *segment == "p").and_then(|at| segments.get(at + 1));
    let pinned = pinned.map(|name| name.to_string());
    let is_get = request.method() == Method::GET || request.method() == Method::HEAD;
    let wanted = match &segments[..] {
        [.., "healthz"] => return Ok(Json(json!({"status": "ok"})).into_response()),
        [.., "models"] if is_get => return Ok(list(&app, &workspace).await?.into_response()),
        [.., "chat", "completions"] | [] | ["v1"] | ["p", _] | ["v1", "p", _] => Wanted::Reply(CallerFormat::Chat),
        [.., "responses"] => Wanted::Reply(CallerFormat::Responses),
        [.., "messages"] => Wanted::Reply(CallerFormat::Messages),
        [.., "messages", "count_tokens"] => Wanted::Count,
        [.., "embeddings"] => Wanted::Embeddings,
        _ => return Err(ApiError::NotFound("path".into())),
    };
    if request.method() != Method::POST {
        return Err(ApiError::MethodNotAllowed(request.method().to_string()));
    }
    let known = app.gateway().registry().of(&workspace).await?;
    let agent = known.agent(agent).cloned().ok_or(ApiError::Unauthorized)?;
    answer(&app, &Who { workspace, agent: Some(agent), pinned }, wanted, request).await
}
