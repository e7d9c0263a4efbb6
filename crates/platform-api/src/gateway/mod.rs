//! Gateway: models for agents and for whoever has a key, in the formats of OpenAI and Anthropic, whatever the provider
//! speaks. Who may ask, whom they reach, what it may cost and what it did.

pub mod budget;
mod call;
mod described;
pub mod known;
mod own;
pub mod tokens;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Extension, Json};
use ingestion_server::web::{ApiError, World};
use llm_gateway::formats::CallerFormat;
use llm_gateway::forward::{Forwarder, Patience, Rim};
use serde_json::{Map, Value, json};
use url::Url;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use budget::Ledger;
use call::Wanted;
use described::{ChatCompletion, ChatCompletionRequest};
use known::Registry;
pub use own::PLATFORM;

use crate::agents::AgentRecord;
use crate::app::App;
use crate::auth::{Caller, Deploy, Limits, Read};
use crate::config::GatewayConfig;
use crate::deploy::plan::Model;
use crate::egress;
use crate::running::Running;
use crate::running::arrivals::From;
use crate::running::invocation::Invocation;
use crate::running::recording::{self, Key, Known};
use crate::runs::checkpoints;
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
    /// What a model may cost in a month, where the platform itself asks.
    pub own_budget_usd: Option<f64>,
    /// The provider that the path names.
    pub pinned: Option<String>,
    /// What the agent is being asked meanwhile.
    pub invocation: Option<Arc<Invocation>>,
}

impl Who {
    /// What the agent was given for a model.
    fn model(&self, model: &str) -> Option<&Model> {
        self.agent.as_ref()?.models.iter().find(|own| own.model == model)
    }

    /// What a model may cost the agent in a month, in dollars.
    fn budget(&self, model: &str) -> Option<f64> {
        if self.own_budget_usd.is_some() {
            return self.own_budget_usd;
        }
        let own = self.agent.as_ref()?.models.iter().filter(|own| own.model == model);
        own.filter_map(|own| own.monthly_budget_usd).next()
    }

    /// The agent and its namespace; empty for whoever has a key.
    fn names(&self) -> (String, String) {
        if self.own_budget_usd.is_some() {
            return (PLATFORM.into(), String::new());
        }
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
#[utoipa::path(post, path = "/chat/completions", tag = "models", request_body = ChatCompletionRequest,
    responses((status = 200, body = ChatCompletion), (status = 400, body = crate::answer::Refusal),
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
    let who =
        Who { workspace: caller.workspace.clone(), agent: None, own_budget_usd: None, pinned: None, invocation: None };
    answer(&app, &who, wanted, request).await
}

async fn answer(app: &App, who: &Who, wanted: Wanted, request: Request) -> Result<Response, ApiError> {
    let headers = request.headers().clone();
    let received = app.intake().receive(request).await?;
    let mut recorded = None;
    if let Some(invocation) = &who.invocation {
        let key = Key::model(format!("{wanted:?} {}", who.pinned.as_deref().unwrap_or_default()), &received.bytes);
        if let Known::Answered(answer) = invocation.recording.known(&key) {
            return Ok(answer.into_response());
        }
        recorded = invocation.recording.begin(&key).map(|at| (invocation, at));
    }
    let answered = app.gateway().answer(who, wanted, &headers, received.bytes.clone()).await;
    let answered = match (answered, recorded) {
        (Ok(response), Some((invocation, at))) => Ok(recording::keep(app, invocation, at, response)),
        (answered, _) => answered,
    };
    if let (Err(error), Some(invocation)) = (&answered, &who.invocation) {
        let told = Map::from_iter([("error", error.to_string())].map(|(name, text)| (name.to_string(), text.into())));
        invocation.note(app.world().now(), "LLM_CALL", None, told);
    }
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

/// What agents call on connections that are theirs alone.
pub fn of_connections() -> axum::Router<App> {
    of_agents().route("/", any(of_connection)).route("/{*rest}", any(of_connection))
}

async fn of_connection(
    State(app): State<App>,
    from: Option<Extension<From>>,
    request: Request,
) -> Result<Response, ApiError> {
    let is_enough = app.running().is_some_and(Running::knows_by_connection);
    let Some(Extension(From { workspace, agent })) = from.filter(|_| is_enough) else {
        return Err(ApiError::Unauthorized);
    };
    let path = request.uri().path().to_string();
    to_agent(&app, workspace, &agent, path.trim_start_matches('/'), request).await
}

async fn of_agent_itself(
    app: State<App>,
    from: Option<Extension<From>>,
    Path((agent, token)): Path<(String, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    below(app, from, &agent, &token, request).await
}

async fn of_agent(
    app: State<App>,
    from: Option<Extension<From>>,
    Path((agent, token, _)): Path<(String, String, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    below(app, from, &agent, &token, request).await
}

/// What an agent asks below its own address: models, its tools, and what is kept of its runs. Where the connection says
/// whose it is, the address must say the same.
async fn below(
    State(app): State<App>,
    from: Option<Extension<From>>,
    agent: &str,
    token: &str,
    request: Request,
) -> Result<Response, ApiError> {
    let workspace = app.gateway().registry().workspace_of(agent, token).await?;
    if from.is_some_and(|Extension(from)| from.agent != agent || from.workspace != workspace) {
        return Err(ApiError::Unauthorized);
    }
    // As it was written: what is in it belongs to the tool that is called. Before it stand the prefix, agent and token.
    let path = request.uri().path().to_string();
    let rest = path.splitn(5, '/').nth(4).unwrap_or_default();
    to_agent(&app, workspace, agent, rest, request).await
}

/// What an agent asks at a path below its own address.
pub async fn to_agent(
    app: &App,
    workspace: String,
    agent: &str,
    rest: &str,
    request: Request,
) -> Result<Response, ApiError> {
    if let Some(tool) = rest.strip_prefix("tools/") {
        let (tool, path) = tool.split_once('/').map_or((tool, ""), |(tool, path)| (tool, path));
        return egress::by_tool(app, &workspace, agent, tool, path, request).await;
    }
    if let Some(run) = rest.strip_prefix("runs/") {
        return checkpoints::of_agent(app, &workspace, agent, run, request).await;
    }
    of_models(app, workspace, agent, None, rest, request).await
}

/// An agent as it was last seen in the store.
pub async fn agent(app: &App, workspace: &str, agent: &str) -> Result<Option<Arc<AgentRecord>>, ApiError> {
    Ok(app.gateway().registry().of(workspace).await?.agent(agent).cloned())
}

/// The registered provider at an address, and the path that is asked there.
pub async fn provider_at(app: &App, workspace: &str, url: &str) -> Result<Option<(String, String)>, ApiError> {
    let Ok(url) = url.parse::<Url>() else { return Ok(None) };
    let known = app.gateway().registry().of(workspace).await?;
    let is_there = |endpoint: &Url| {
        endpoint.host_str() == url.host_str() && endpoint.port_or_known_default() == url.port_or_known_default()
    };
    let found = known.providers.iter().find(|provider| is_there(&provider.endpoint));
    Ok(found.map(|provider| (provider.name.clone(), url.path().to_string())))
}

/// What an agent asks a provider itself.
pub async fn of_provider(
    app: &App,
    workspace: &str,
    agent: &str,
    provider: String,
    path: &str,
    request: Request,
) -> Result<Response, ApiError> {
    of_models(app, workspace.to_string(), agent, Some(provider), path, request).await
}

/// Clients put their own paths behind whatever address they are given, so the end of a path decides; the address itself is
/// chat completions. `p/{provider}` in it names the provider to ask.
async fn of_models(
    app: &App,
    workspace: String,
    agent: &str,
    provider: Option<String>,
    path: &str,
    request: Request,
) -> Result<Response, ApiError> {
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let named = segments.iter().position(|segment| *segment == "p").and_then(|at| segments.get(at + 1));
    let pinned = provider.or_else(|| named.map(|name| name.to_string()));
    let is_get = request.method() == Method::GET || request.method() == Method::HEAD;
    let wanted = match &segments[..] {
        [.., "healthz"] => return Ok(Json(json!({"status": "ok"})).into_response()),
        [.., "models"] if is_get => return Ok(list(app, &workspace).await?.into_response()),
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
    let record = known.agent(agent).cloned().ok_or(ApiError::Unauthorized)?;
    let invocation = app.running().and_then(|running| running.invocation(&workspace, agent, request.headers()));
    answer(app, &Who { workspace, agent: Some(record), own_budget_usd: None, pinned, invocation }, wanted, request)
        .await
}
