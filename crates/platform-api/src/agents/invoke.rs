//! Invoke: somebody asks an agent. Their body goes to it as it is and its answer comes back as it is; in between, a run
//! begins, is correlated with what the agent calls, and ends.

use axum::body::Bytes;
use axum::extract::{FromRequestParts, Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::Response;
use ingestion_server::web::ApiError;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tracing::debug;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::asked::{Asked, RUN, not_running};
use super::{AgentRecord, find};
use crate::answer::{Named, Refusal};
use crate::app::App;
use crate::auth::{ByToken, Caller, Deploy, Identity};
use crate::identity::{IdentityProviderRecord, tokens};
use crate::running::Running;
use crate::running::invocation::Invocation;
use crate::running::recording::Recording;
use crate::running::resume::{self, Question};
use crate::runs::events::{NewEvent, append};
use crate::runs::{self, CreateRun, RunStatus};
use crate::store::{RunRow, Stored};

/// Headers of the caller that an agent is shown.
const SHOWN: [HeaderName; 3] = [header::CONTENT_TYPE, header::ACCEPT, header::ACCEPT_LANGUAGE];

/// Characters of a first message that are kept with its run.
const MESSAGE: usize = 10_000;

/// Which of an agent's two ways to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// All at once.
    Whole,
    /// As it is made.
    Streamed,
}

impl Way {
    fn path(self) -> &'static str {
        match self {
            Way::Whole => "/invoke",
            Way::Streamed => "/invoke/stream",
        }
    }
}

/// The operations of the older surface, to be mounted below `/api`.
pub fn older() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(invoke_older)).routes(routes!(stream_older))
}

/// The operations of the versioned surface, to be mounted below `/api/v1`.
pub fn versioned() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(invoke)).routes(routes!(stream))
}

/// Asks an agent; its answer comes back as it is.
#[utoipa::path(post, path = "/agents/{name}/invoke", tag = "agents", params(("name" = String, Path)),
    request_body = Object,
    responses((status = 200, description = "What the agent answers"), (status = 404, body = Refusal),
        (status = 502, body = Refusal)))]
async fn invoke(
    State(app): State<App>,
    asker: Asker,
    Named(name): Named,
    request: Request,
) -> Result<Response, ApiError> {
    ask(&app, asker, None, &name, Way::Whole, request).await
}

/// Asks an agent; its answer comes back as it is.
#[utoipa::path(post, path = "/agents/{namespace}/{name}/invoke", tag = "agents",
    params(("namespace" = String, Path), ("name" = String, Path)), request_body = Object,
    responses((status = 200, description = "What the agent answers"), (status = 404, body = Refusal),
        (status = 502, body = Refusal)))]
async fn invoke_older(
    State(app): State<App>,
    asker: Asker,
    Path((namespace, name)): Path<(String, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    ask(&app, asker, Some(&namespace), &name, Way::Whole, request).await
}

/// Asks an agent, and hears its answer as it is made.
#[utoipa::path(post, path = "/agents/{name}/invoke/stream", tag = "agents", params(("name" = String, Path)),
    request_body = Object,
    responses((status = 200, description = "What the agent answers, as server-sent events"),
        (status = 404, body = Refusal), (status = 502, body = Refusal)))]
async fn stream(
    State(app): State<App>,
    asker: Asker,
    Named(name): Named,
    request: Request,
) -> Result<Response, ApiError> {
    ask(&app, asker, None, &name, Way::Streamed, request).await
}

/// Asks an agent, and hears its answer as it is made.
#[utoipa::path(post, path = "/agents/{namespace}/{name}/invoke/stream", tag = "agents",
    params(("namespace" = String, Path), ("name" = String, Path)), request_body = Object,
    responses((status = 200, description = "What the agent answers, as server-sent events"),
        (status = 404, body = Refusal), (status = 502, body = Refusal)))]
async fn stream_older(
    State(app): State<App>,
    asker: Asker,
    Path((namespace, name)): Path<(String, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    ask(&app, asker, Some(&namespace), &name, Way::Streamed, request).await
}

/// Whoever asks an agent: with a key that may, or with a token of the agent's identity provider, or with both.
pub enum Asker {
    /// With a key.
    Key(Identity),
    /// With a token alone.
    Token(ByToken),
}

impl<A: Send + Sync> FromRequestParts<A> for Asker {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &A) -> Result<Asker, ApiError> {
        match parts.extensions.get::<ByToken>() {
            Some(by) => Ok(Asker::Token(by.clone())),
            None => Ok(Asker::Key(Caller::<Deploy>::from_request_parts(parts, state).await?.clone())),
        }
    }
}

impl Asker {
    /// The agent that is asked, by whom, and the end user whom a token vouches for.
    pub async fn settle(
        self,
        app: &App,
        namespace: Option<&str>,
        name: &str,
        headers: &HeaderMap,
    ) -> Result<(Stored<AgentRecord>, Identity, Option<String>), ApiError> {
        let (who, has_key) = match self {
            Asker::Key(who) => (who, true),
            Asker::Token(ByToken { workspace }) => (Identity::of_token(&workspace), false),
        };
        let mut tx = app.store().read().await?;
        let agent = match find(&mut tx, &who, namespace, name).await {
            // Who has no key is not told which agents there are.
            Err(ApiError::NotFound(_)) if !has_key => return Err(ApiError::Unauthorized),
            found => found?,
        };
        let (Some(provider), Some(token)) = (&agent.value.identity_provider, tokens::carried(headers)) else {
            return if has_key { Ok((agent, who, None)) } else { Err(ApiError::Unauthorized) };
        };
        let found = tx.get::<IdentityProviderRecord>(&who.workspace, provider).await?;
        drop(tx);
        let provider = found.ok_or_else(|| ApiError::BadIdentity("its provider is not registered any more".into()))?;
        let user = app.tokens().user(&provider.value.spec, token).await?;
        let who = Identity { name: user.clone(), user: Some(user.clone()), ..who };
        Ok((agent, who, Some(user)))
    }
}

async fn ask(
    app: &App,
    asker: Asker,
    namespace: Option<&str>,
    name: &str,
    way: Way,
    request: Request,
) -> Result<Response, ApiError> {
    let headers = request.headers().clone();
    let (agent, who, user) = asker.settle(app, namespace, name, &headers).await?;
    let body = app.intake().receive(request).await?.bytes;
    let (asked, _) = prepare(app, &who, &agent, user, way, &headers, &body).await?;
    match way {
        // It goes on to its end even if the caller leaves: what an agent does has happened.
        Way::Whole => tokio::spawn(asked.whole()).await.map_err(|error| ApiError::Internal(error.into()))?,
        Way::Streamed => asked.streamed().await,
    }
}

/// A request of an agent, with the run that it belongs to begun, and the number of the event with which it began there.
pub async fn prepare(
    app: &App,
    who: &Identity,
    agent: &Stored<AgentRecord>,
    user: Option<String>,
    way: Way,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<(Asked, i64), ApiError> {
    let Some(running) = app.running().cloned() else { return Err(not_running(agent)) };
    let Begun { run, recording, began } =
        begin(app, who, user.as_deref(), &running, &agent.value, headers, body).await?;
    let shown = SHOWN.iter().filter_map(|name| Some((name.to_string(), headers.get(name)?.to_str().ok()?.to_string())));
    let question = Question::new(way.path(), shown.collect(), body);
    debug!(agent = agent.value.name, run, "an agent is asked");
    let mut invocation = Invocation::new(&who.workspace, &agent.value.name, &run, &app.world().uuid(), question);
    invocation.user = user;
    if let Some(recording) = recording {
        invocation.recording = recording;
    }
    Ok((Asked::new(app, &running, running.enter(invocation)), began))
}

/// The run that a request belongs to, and what happened in it before.
struct Begun {
    run: String,
    recording: Option<Recording>,
    /// The number of the event that says so.
    began: i64,
}

/// The run that a request belongs to: the one that the caller names, if it is one of this agent that goes on and, for a user
/// whom a token vouches for, their own; else a new one.
async fn begin(
    app: &App,
    who: &Identity,
    vouched: Option<&str>,
    running: &Running,
    agent: &AgentRecord,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Begun, ApiError> {
    let said: Option<Value> = serde_json::from_slice(body).ok();
    let text = |name: &str| said.as_ref().and_then(|said| said.get(name)).and_then(Value::as_str);
    let hash: Option<String> =
        (!body.is_empty()).then(|| Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect());
    let mut tx = app.store().begin().await?;
    let own = headers.get(RUN).and_then(|value| value.to_str().ok());
    let own = match own {
        Some(id) => tx.lock_run(&who.workspace, id).await?,
        None => None,
    };
    let is_theirs = |run: &RunRow| vouched.is_none_or(|user| run.user_id == user);
    let own = own.filter(|run| run.agent_id == agent.name && run.status == RunStatus::Running && is_theirs(run));
    let mut recording = None;
    let run = match own {
        Some(run) => {
            recording =
                resume::begin(app, &mut tx, who, &run, running.replica()).await?.map(|resumed| resumed.recording);
            if recording.is_none() && tx.resumption(&run.id).await?.is_some() {
                return Err(ApiError::Conflict(format!("run {} is being resumed already", run.id)));
            }
            run
        }
        None => {
            let request = CreateRun {
                agent_id: Some(agent.name.clone()),
                user_id: Some(who.name.clone()),
                conversation_id: text("conversation_id").map(str::to_string),
                namespace: Some(agent.namespace.clone()),
                invoke_url: None,
                initial_message: text("message").map(|message| message.chars().take(MESSAGE).collect()),
            };
            let run = runs::begin(app, &mut tx, who, request).await?;
            append(app, &mut tx, who, &run.id, NewEvent { kind: "RUN_CREATED", ..NewEvent::default() }).await?;
            run
        }
    };
    let actor = Some(who.name.clone());
    let event = NewEvent { kind: "INVOKE_REQUESTED", payload_hash: hash, actor, ..NewEvent::default() };
    let began = append(app, &mut tx, who, &run.id, event).await?.seq;
    tx.add_invocation(&who.workspace, &run.id, running.replica()).await?;
    tx.commit().await?;
    Ok(Begun { run: run.id, recording, began })
}
