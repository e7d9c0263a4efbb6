//! Invoke: somebody asks an agent. Their body goes to it as it is and its answer comes back as it is; in between, a run
//! begins, is correlated with what the agent calls, and ends.

use std::time::Duration;

use agent_runner::{AgentId, ConnectError, Connection, Phase};
use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use futures_util::stream;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use ingestion_server::web::ApiError;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tokio::time::timeout;
use tracing::{debug, warn};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{AgentRecord, AgentStatus, find};
use crate::answer::{Named, Refusal};
use crate::app::App;
use crate::auth::{ByToken, Caller, Deploy, Identity};
use crate::builds::{BuildRecord, BuildStatus};
use crate::identity::{IdentityProviderRecord, tokens};
use crate::running::invocation::{Entered, Invocation};
use crate::running::{self, Running, agent_id};
use crate::runs::events::{NewEvent, append};
use crate::runs::{self, CreateRun, RunStatus};
use crate::store::Stored;

const RUN: HeaderName = HeaderName::from_static("x-run-id");
const REQUEST: HeaderName = HeaderName::from_static("x-request-id");

/// How long an agent that is being made or started is waited for.
const STARTING: Duration = Duration::from_secs(30);

/// What is said of one that is not; its own status then says more.
const NOT_RUNNING: &str = "it is not running";

/// Bytes of an answer that is not a stream.
const MOST: usize = 64 << 20;

/// Characters of a first message that are kept with its run.
const MESSAGE: usize = 10_000;

/// Which of an agent's two ways to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Whole,
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
enum Asker {
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
    async fn settle(
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

/// One request of an agent, under way.
struct Asked {
    app: App,
    running: Running,
    entered: Entered,
    way: Way,
    body: Bytes,
    headers: HeaderMap,
    is_over: bool,
}

/// How it went.
enum End {
    /// It answered, with this status.
    Answered(StatusCode),
    /// It did not.
    Failed(String),
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
    let Some(running) = app.running().cloned() else { return Err(not_running(&agent)) };
    let (run, is_new) = begin(app, &who, &running, &agent.value, &headers, &body).await?;
    let invocation = Invocation::new(&who.workspace, &agent.value.name, &run, &app.world().uuid(), user);
    let entered = running.enter(invocation);
    let asked = Asked { app: app.clone(), running, entered, way, body, headers, is_over: false };
    debug!(agent = agent.value.name, run, is_new, "an agent is asked");
    match way {
        // It goes on to its end even if the caller leaves: what an agent does has happened.
        Way::Whole => tokio::spawn(asked.whole()).await.map_err(|error| ApiError::Internal(error.into()))?,
        Way::Streamed => asked.streamed().await,
    }
}

/// The run that a request belongs to: the caller's own, if it is one of this agent that goes on, else a new one.
async fn begin(
    app: &App,
    who: &Identity,
    running: &Running,
    agent: &AgentRecord,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<(String, bool), ApiError> {
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
    let own = own.filter(|run| run.agent_id == agent.name && run.status == RunStatus::Running);
    let is_new = own.is_none();
    let run = match own {
        Some(run) => run,
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
    append(app, &mut tx, who, &run.id, event).await?;
    tx.add_invocation(&who.workspace, &run.id, running.replica()).await?;
    tx.commit().await?;
    Ok((run.id, is_new))
}

impl Asked {
    /// Its whole answer. The run has ended when the caller has it.
    async fn whole(mut self) -> Result<Response, ApiError> {
        let answered = match self.open().await {
            Ok(response) => {
                let (parts, body) = response.into_parts();
                let patience = self.patience();
                match timeout(patience, Limited::new(body, MOST).collect()).await {
                    Ok(Ok(body)) => Ok(Response::from_parts(parts, Body::from(body.to_bytes()))),
                    Ok(Err(error)) => Err(format!("its answer broke off: {error}")),
                    Err(_) => Err(format!("its answer did not end within {} s", patience.as_secs())),
                }
            }
            Err(why) => Err(why),
        };
        match answered {
            Ok(response) => {
                self.end(End::Answered(response.status())).await;
                Ok(self.signed(response))
            }
            Err(why) => Err(self.failed(why).await),
        }
    }

    /// Its answer as it comes.
    async fn streamed(mut self) -> Result<Response, ApiError> {
        let (parts, body) = match self.open().await {
            Ok(response) => response.into_parts(),
            Err(why) => return Err(self.failed(why).await),
        };
        let empty = self.signed(Response::from_parts(parts, ()));
        let status = empty.status();
        let pieces = stream::unfold((self, Some(body)), move |(mut asked, body)| async move {
            let mut body = body?;
            loop {
                match timeout(asked.patience(), body.frame()).await {
                    Ok(Some(Ok(frame))) => {
                        // Trailers are not for the caller.
                        let Ok(data) = frame.into_data() else { continue };
                        return Some((Ok(data), (asked, Some(body))));
                    }
                    Ok(None) => {
                        asked.end(End::Answered(status)).await;
                        return None;
                    }
                    Ok(Some(Err(error))) => {
                        asked.end(End::Failed(format!("its answer broke off: {error}"))).await;
                        return Some((Err(std::io::Error::other("the agent's answer broke off")), (asked, None)));
                    }
                    Err(_) => {
                        asked.end(End::Failed("its answer broke off: it went silent".into())).await;
                        return Some((Err(std::io::Error::other("the agent went silent")), (asked, None)));
                    }
                }
            }
        });
        Ok(empty.map(|()| Body::from_stream(pieces)))
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(self.running.config().answer_seconds)
    }

    /// A connection to it. Who asks while it is being made or started waits for it, as long as that goes well.
    async fn connection(&self, id: &AgentId) -> Result<Connection, String> {
        let until = self.app.world().elapsed() + STARTING;
        loop {
            match self.running.runner().connect(id).await {
                Ok(connection) => return Ok(connection),
                Err(ConnectError::Refused(..)) => return Err("it does not accept connections".into()),
                Err(ConnectError::Unknown(_) | ConnectError::NotRunning(_)) => {}
            }
            let comes = match self.running.runner().status(id) {
                Some(status) => matches!(status.borrow().phase, Phase::Starting),
                None => self.is_being_made().await,
            };
            if !comes || self.app.world().elapsed() >= until {
                return Err(NOT_RUNNING.into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Its build is under way or done, and nothing that it needs is missing.
    async fn is_being_made(&self) -> bool {
        let Invocation { workspace, agent, .. } = &*self.entered.invocation;
        let read = async {
            let mut tx = self.app.store().read().await?;
            let Some(agent) = tx.get::<AgentRecord>(workspace, agent).await? else { return Ok(false) };
            let Some(build) = &agent.value.build_id else { return Ok(false) };
            let build = tx.get::<BuildRecord>(workspace, build).await?;
            let is_sound = build.is_some_and(|build| build.value.status != BuildStatus::Failed);
            Ok(is_sound && running::unregistered(&mut tx, workspace, &agent.value).await?.is_none())
        };
        let read: Result<bool, ApiError> = read.await;
        read.unwrap_or_default()
    }

    /// Its answer, as it begins.
    async fn open(&self) -> Result<Response<Incoming>, String> {
        let invocation = &self.entered.invocation;
        let id = agent_id(&invocation.workspace, &invocation.agent);
        let connection = self.connection(&id).await?;
        let broken = |error: hyper::Error| format!("the connection broke: {error}");
        let (mut sender, talk) = http1::handshake(TokioIo::new(connection)).await.map_err(broken)?;
        tokio::spawn(async move {
            if let Err(error) = talk.await {
                debug!(%error, "a connection to an agent ended");
            }
        });
        let mut request = axum::http::Request::post(self.way.path()).header(header::HOST, "agent");
        for name in [header::CONTENT_TYPE, header::ACCEPT, header::ACCEPT_LANGUAGE] {
            if let Some(value) = self.headers.get(&name) {
                request = request.header(name, value);
            }
        }
        request = request.header(RUN, &invocation.run).header(REQUEST, &invocation.request);
        if let Some(user) = &invocation.user {
            request = request.header("x-end-user-id", user);
        }
        let request = request.body(Full::new(self.body.clone())).map_err(|error| error.to_string())?;
        let patience = self.patience();
        match timeout(patience, sender.send_request(request)).await {
            Ok(response) => response.map_err(broken),
            Err(_) => Err(format!("it did not answer within {} s", patience.as_secs())),
        }
    }

    /// The answer without what was about the connection, and with the run that it belongs to.
    fn signed<T>(&self, mut response: Response<T>) -> Response<T> {
        const CONNECTION: [&str; 7] =
            ["connection", "keep-alive", "transfer-encoding", "upgrade", "trailer", "content-length", "server"];
        for name in CONNECTION {
            response.headers_mut().remove(name);
        }
        *response.version_mut() = axum::http::Version::HTTP_11;
        if let Ok(run) = HeaderValue::from_str(&self.entered.invocation.run) {
            response.headers_mut().insert(RUN, run);
        }
        response
    }

    async fn failed(&mut self, why: String) -> ApiError {
        let invocation = &self.entered.invocation;
        let said = match self.app.store().read().await {
            Ok(mut tx) => tx.get::<AgentRecord>(&invocation.workspace, &invocation.agent).await.ok().flatten(),
            Err(_) => None,
        };
        let error = match said {
            Some(agent) if why == NOT_RUNNING => not_running(&agent),
            _ => ApiError::BadGateway(format!("failed to reach agent: {why}")),
        };
        self.end(End::Failed(error.to_string())).await;
        error
    }

    /// Writes how it ended, once.
    async fn end(&mut self, end: End) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        finish(&self.app, &self.entered.invocation, end).await;
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        let (app, invocation) = (self.app.clone(), std::sync::Arc::clone(&self.entered.invocation));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                finish(&app, &invocation, End::Failed("the caller left before the agent's answer ended".into())).await;
            });
        }
    }
}

/// Ends the run, unless it waits for somebody.
async fn finish(app: &App, invocation: &Invocation, end: End) {
    let (kind, last, to) = match &end {
        End::Answered(status) if status.is_success() => ("INVOKE_COMPLETED", "COMPLETED", RunStatus::Completed),
        _ => ("INVOKE_FAILED", "FAILED", RunStatus::Failed),
    };
    let data = match end {
        End::Answered(status) => Map::from_iter([("status_code".to_string(), status.as_u16().into())]),
        End::Failed(why) => Map::from_iter([("error".to_string(), why.into())]),
    };
    let written = invocation
        .write(app, async |tx, who| {
            append(app, tx, who, &invocation.run, NewEvent { kind, data, ..NewEvent::default() }).await?;
            if let Some(run) = tx.lock_run(&invocation.workspace, &invocation.run).await?
                && run.status == RunStatus::Running
            {
                runs::change(app, tx, who, &run, to, None).await?;
                append(app, tx, who, &run.id, NewEvent { kind: last, ..NewEvent::default() }).await?;
            }
            Ok(tx.drop_invocation(&invocation.run).await?)
        })
        .await;
    if let Err(error) = written {
        // The next start of the platform finds that nobody is at it any more.
        warn!(%error, run = invocation.run, "the end of a run is not written");
    }
}

/// Whoever waits is told what the agent's own status says.
fn not_running(agent: &Stored<AgentRecord>) -> ApiError {
    let AgentStatus { phase, message, .. } = &agent.value.status;
    ApiError::BadGateway(format!("failed to reach agent: it is {phase:?}: {message}"))
}
