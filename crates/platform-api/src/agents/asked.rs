//! Asked: one request of an agent, from its connection to the end of its answer, and of the run with it.

use std::time::Duration;

use agent_runner::{AgentId, ConnectError, Connection, Phase};
use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use futures_util::stream;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use ingestion_server::web::ApiError;
use serde::{Deserialize, Serialize};
use serde_json::Map;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::{AgentRecord, AgentStatus};
use crate::app::App;
use crate::builds::{BuildRecord, BuildStatus};
use crate::running::invocation::{Entered, Invocation};
use crate::running::resume::{ANSWER, Question, Resumed};
use crate::running::{self, Running, agent_id, tool_loop};
use crate::runs::events::{NewEvent, append};
use crate::runs::{self, RunStatus};
use crate::store::{RunRow, Stored};
use crate::{deploy, gateway};

/// The run that a request belongs to.
pub const RUN: HeaderName = HeaderName::from_static("x-run-id");
const REQUEST: HeaderName = HeaderName::from_static("x-request-id");

/// How long an agent that is being made or started is waited for.
const STARTING: Duration = Duration::from_secs(30);

/// What is said of one that is not; its own status then says more.
const NOT_RUNNING: &str = "it is not running";

/// Bytes of an answer that is not a stream.
const MOST: usize = 64 << 20;

/// What an agent answered in a run that went on by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastAnswer {
    /// Its status.
    pub status: u16,
    /// Its kind.
    pub content_type: Option<String>,
    /// Base64.
    pub body: String,
}

/// One request of an agent, under way.
pub struct Asked {
    app: App,
    running: Running,
    entered: Entered,
    /// The platform itself asks again, and whoever asked first has left.
    is_resumed: bool,
    is_over: bool,
}

/// How it went.
enum End {
    /// It answered, with this status.
    Answered(StatusCode),
    /// It did not.
    Failed(Why),
}

/// Why there is no answer.
struct Why {
    text: String,
    /// It had no more time.
    is_late: bool,
}

impl Why {
    fn late(text: String) -> Why {
        Why { text, is_late: true }
    }
}

impl<T: Into<String>> From<T> for Why {
    fn from(text: T) -> Why {
        Why { text: text.into(), is_late: false }
    }
}

/// Asks the agent of a run again; nobody waits for its answer, which is kept.
pub fn resume(app: &App, running: &Running, workspace: &str, run: &RunRow, resumed: Resumed) {
    let Resumed { question, user, recording } = resumed;
    let mut invocation = Invocation::new(workspace, &run.agent_id, &run.id, &app.world().uuid(), question);
    (invocation.user, invocation.recording) = (user, recording);
    let mut asked = Asked::new(app, running, running.enter(invocation));
    asked.is_resumed = true;
    let run = run.id.clone();
    debug!(run, "a run goes on");
    tokio::spawn(async move {
        if let Err(error) = asked.whole().await {
            debug!(%error, run, "a run that went on has failed");
        }
    });
}

impl Asked {
    /// The run that it belongs to.
    pub fn run(&self) -> &str {
        &self.entered.invocation.run
    }

    /// What is under way from now on.
    pub fn new(app: &App, running: &Running, entered: Entered) -> Asked {
        Asked { app: app.clone(), running: running.clone(), entered, is_resumed: false, is_over: false }
    }

    /// Its whole answer. The run has ended when the caller has it.
    pub async fn whole(mut self) -> Result<Response, ApiError> {
        let answered = match self.open().await {
            Ok(response) => {
                let (parts, body) = response.into_parts();
                let patience = self.patience();
                match timeout(patience, Limited::new(body, MOST).collect()).await {
                    Ok(Ok(body)) => {
                        let body = body.to_bytes();
                        self.keep(&parts, &body).await;
                        Ok(Response::from_parts(parts, Body::from(body)))
                    }
                    Ok(Err(error)) => Err(format!("its answer broke off: {error}").into()),
                    Err(_) => Err(Why::late(format!("its answer did not end within {} s", patience.as_secs()))),
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
    pub async fn streamed(mut self) -> Result<Response, ApiError> {
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
                        asked.end(End::Failed(format!("its answer broke off: {error}").into())).await;
                        return Some((Err(std::io::Error::other("the agent's answer broke off")), (asked, None)));
                    }
                    Err(_) => {
                        asked.end(End::Failed(Why::late("its answer broke off: it went silent".into()))).await;
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
    async fn open(&self) -> Result<Response, Why> {
        let Invocation { workspace, agent, .. } = &*self.entered.invocation;
        match gateway::agent(&self.app, workspace, agent).await {
            Ok(Some(agent)) if agent.is_loop() => self.of_loop(&agent).await,
            Ok(_) => Ok(self.of_process().await?.map(Body::new)),
            Err(error) => Err(error.to_string().into()),
        }
    }

    /// The answer of an agent without code, which the platform makes itself.
    async fn of_loop(&self, agent: &AgentRecord) -> Result<Response, Why> {
        let invocation = &self.entered.invocation;
        if !self.is_being_made().await {
            return Err(NOT_RUNNING.into());
        }
        let environment = async {
            let mut tx = self.app.store().read().await?;
            deploy::environment(&self.app, &mut tx, &invocation.workspace, agent).await
        };
        let environment = environment.await.map_err(|error: ApiError| error.to_string())?;
        let patience = self.patience();
        let answer = tool_loop::answer(&self.app, invocation, &environment);
        let late = |_| Why::late(format!("it did not answer within {} s", patience.as_secs()));
        timeout(patience, answer).await.map_err(late)
    }

    /// The answer of a process.
    async fn of_process(&self) -> Result<Response<Incoming>, Why> {
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
        let Question { path, headers, .. } = &invocation.question;
        let mut request = axum::http::Request::post(path.as_str()).header(header::HOST, "agent");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request = request.header(RUN, &invocation.run).header(REQUEST, &invocation.request);
        if let Some(user) = &invocation.user {
            request = request.header("x-end-user-id", user);
        }
        let request = request.body(Full::new(invocation.question.body())).map_err(|error| error.to_string())?;
        let patience = self.patience();
        match timeout(patience, sender.send_request(request)).await {
            Ok(response) => Ok(response.map_err(broken)?),
            Err(_) => Err(Why::late(format!("it did not answer within {} s", patience.as_secs()))),
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

    async fn failed(&mut self, why: Why) -> ApiError {
        let invocation = &self.entered.invocation;
        let said = match self.app.store().read().await {
            Ok(mut tx) => tx.get::<AgentRecord>(&invocation.workspace, &invocation.agent).await.ok().flatten(),
            Err(_) => None,
        };
        let error = match said {
            Some(agent) if why.text == NOT_RUNNING => not_running(&agent),
            _ => ApiError::BadGateway(format!("failed to reach agent: {}", why.text)),
        };
        self.end(End::Failed(Why { text: error.to_string(), ..why })).await;
        error
    }

    /// The answer of a run that went on by itself is kept, for whoever asked first.
    async fn keep(&self, parts: &axum::http::response::Parts, body: &Bytes) {
        if !self.is_resumed {
            return;
        }
        let Invocation { workspace, run, .. } = &*self.entered.invocation;
        let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let answer = LastAnswer {
            status: parts.status.as_u16(),
            content_type: content_type.map(str::to_string),
            body: BASE64.encode(body),
        };
        let written = async {
            let mut tx = self.app.store().begin().await?;
            tx.seal_part(workspace, ANSWER, run, 0, &answer).await?;
            tx.commit().await
        };
        if let Err(error) = written.await {
            warn!(%error, run, "the answer of a run that went on is not kept");
        }
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
    let mut data = match end {
        End::Answered(status) => Map::from_iter([("status_code".to_string(), status.as_u16().into())]),
        End::Failed(Why { text, is_late }) => {
            let mut data = Map::from_iter([("error".to_string(), text.into())]);
            if is_late {
                data.insert("timed_out".into(), true.into());
            }
            data
        }
    };
    let replayed = invocation.recording.replayed();
    if replayed > 0 {
        data.insert("replayed_calls".into(), replayed.into());
    }
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
    // It may have been approved while its agent was still being asked.
    app.wake();
}

/// Whoever waits is told what the agent's own status says.
pub fn not_running(agent: &Stored<AgentRecord>) -> ApiError {
    let AgentStatus { phase, message, .. } = &agent.value.status;
    ApiError::BadGateway(format!("failed to reach agent: it is {phase:?}: {message}"))
}
