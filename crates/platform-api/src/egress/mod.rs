//! Egress: the path of a governed call. An agent's request leaves in five steps: which tool is it, what do the policies
//! say, can the tool do that, with which credentials, and on its way. What was compared is what is sent.

pub mod forward;
mod judges;

use std::sync::Arc;
use std::time::Duration;

use analyzer_core::policy::Outcome;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Extension, Json, Router};
use bytes::Bytes;
use ingestion_server::web::{ApiError, Outbound, Reach, World};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tower::ServiceExt;

use crate::app::App;
use crate::approvals::{self, ApprovalStatus, CreateAccessRequest, grants};
use crate::auth::Identity;
use crate::credentials::{self, Calling};
use crate::deploy::starter_kit;
use crate::gateway;
use crate::policies::evaluate::{Because, Judge, Judgement};
use crate::running::arrivals::{From, Outside};
use crate::running::invocation::Invocation;
use crate::running::recording::{self, Key, Known, Waiting};
use crate::running::resume;
use crate::runs::{ActionStatus, actions};
use crate::store::{ApprovalRow, Store, Tx};
use crate::tools::{ToolRecord, Topology};
use judges::Judges;

/// Where requests for the world outside are answered, once they came from an agent's own connection.
pub const PATH: &str = "/egress";

/// How often a call that is held looks for the decision.
const PACE: Duration = Duration::from_millis(250);

/// What calls of tools need.
#[derive(Debug)]
pub struct Egress {
    judges: Judges,
    outside: Outbound,
    inside: Outbound,
}

impl Egress {
    /// Over whatever reaches the world.
    pub fn new(outbound: &Outbound, store: Store, world: World) -> Egress {
        Egress {
            judges: Judges::new(store, world),
            outside: outbound.within(Reach::Outside),
            inside: outbound.within(Reach::Inside),
        }
    }

    /// As far as tools of a topology are reached.
    pub fn to(&self, topology: Topology) -> &Outbound {
        match topology {
            Topology::External => &self.outside,
            Topology::Internal => &self.inside,
        }
    }
}

/// A call as it is judged and written down.
struct Call<'a> {
    workspace: &'a str,
    agent: &'a str,
    method: Method,
    body: Bytes,
    payload_hash: Option<String>,
    invocation: Option<&'a Arc<Invocation>>,
    /// What it is known by when it comes again; none for an address that cannot be compared.
    key: Option<Key>,
}

/// For connections of agents alone.
pub fn routes() -> Router<App> {
    Router::new().route(PATH, any(by_host))
}

/// A request for a host of the world, by whatever name an agent dialed.
async fn by_host(
    State(app): State<App>,
    from: Option<Extension<From>>,
    outside: Option<Extension<Outside>>,
    request: Request,
) -> Result<Response, ApiError> {
    let (Some(Extension(from)), Some(Extension(outside))) = (from, outside) else {
        return Err(ApiError::NotFound("path".into()));
    };
    // A model's own address is answered as the gateway answers, with the provider's key and within the agent's budget.
    match gateway::provider_at(&app, &from.workspace, &outside.url).await? {
        Some((provider, path)) => {
            gateway::of_provider(&app, &from.workspace, &from.agent, provider, &path, request).await
        }
        None => call(&app, &from.workspace, &from.agent, &outside.url, request).await,
    }
}

/// A request to a tool's own address below an agent's gateway: `path` is the rest, as it was written.
pub async fn by_tool(
    app: &App,
    workspace: &str,
    agent: &str,
    tool: &str,
    path: &str,
    request: Request,
) -> Result<Response, ApiError> {
    let mut tx = app.store().read().await?;
    let known = tx.get::<ToolRecord>(workspace, tool).await?;
    drop(tx);
    let Some(known) = known else {
        return Err(ApiError::NotFound(format!("tool {tool:?}").into()));
    };
    let base = known.value.spec.connection.base_url;
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let slash = if path.is_empty() || path.starts_with('/') { "" } else { "/" };
    let url = format!("{}{slash}{path}{query}", base.trim_end_matches('/'));
    call(app, workspace, agent, &url, request).await
}

/// One call, from an agent to whoever answers it.
async fn call(app: &App, workspace: &str, agent: &str, url: &str, request: Request) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let body = app.intake().receive(Request::from_parts(parts.clone(), body)).await?.bytes;
    let invocation = app.running().and_then(|running| running.invocation(workspace, agent, &parts.headers));
    let payload_hash = (!body.is_empty()).then(|| hex(&Sha256::digest(&body)));
    let user = invocation.as_ref().and_then(|invocation| invocation.user.as_deref());
    let judge = app.egress().judges.of(app, workspace, agent, user).await?;
    said_truly(&parts.headers, &body)?;
    let invocation = invocation.as_ref();
    let method = parts.method.clone();
    let judgement = judge.judge(method.as_str(), url);
    let key = judgement.target.as_ref().map(|target| Key::tool(&method, target.url(), &body));
    let call = Call { workspace, agent, method, body, payload_hash, invocation, key };
    let began = app.world().elapsed();
    let (answer, refused) = match before(app, &call).await {
        // What the run did before it paused is in its timeline already.
        Some(Before::Done(answer)) => return Ok(answer),
        Some(Before::Refused(code, answer)) => (Ok(answer), Some(code.to_string())),
        None => (settle(app, &call, &judge, &judgement, &parts.headers).await, None),
    };
    let (status, error) = match &answer {
        Ok(response) if refused.is_some() => (response.status(), refused),
        Ok(response) => (response.status(), response.extensions().get::<Arc<ApiError>>().map(ToString::to_string)),
        Err(error) => (error.status(), Some(error.to_string())),
    };
    if let Some(invocation) = invocation {
        let mut data = about(&call, &judge, &judgement);
        data.insert("status_code".into(), status.as_u16().into());
        let took = app.world().elapsed().saturating_sub(began);
        data.insert("latency_ms".into(), (took.as_millis() as u64).into());
        if let Some(error) = error {
            data.insert("error".into(), error.into());
        }
        invocation.note(app.world().now(), "TOOL_CALLED", call.payload_hash.clone(), data);
    }
    answer
}

/// An agent may say what it believes to send; then it sends that or nothing.
fn said_truly(headers: &axum::http::HeaderMap, body: &[u8]) -> Result<(), ApiError> {
    let Some(said) = headers.get("x-payload-hash") else { return Ok(()) };
    let said = said.to_str().unwrap_or_default();
    match said.strip_prefix("sha256:").unwrap_or(said).eq_ignore_ascii_case(&hex(&Sha256::digest(body))) {
        true => Ok(()),
        false => Err(ApiError::Conflict("X-Payload-Hash is not the SHA-256 of the body".into())),
    }
}

/// What a run's record says of a call.
enum Before {
    /// It was made before the run paused, and this is what was answered.
    Done(Response),
    /// The run may not make it now, and this is why.
    Refused(&'static str, Response),
}

/// The answer to a call that the run made before it paused, and to one that it may not make.
async fn before(app: &App, call: &Call<'_>) -> Option<Before> {
    let (invocation, key) = (call.invocation?, call.key.as_ref()?);
    let refused = |code, text: &str| {
        let body = json!({"error": text, "code": code, "message": text});
        Some(Before::Refused(code, (StatusCode::CONFLICT, Json(body)).into_response()))
    };
    match invocation.recording.known(key) {
        Known::Answered(answer) => return Some(Before::Done(answer.into_response())),
        Known::Unknown => {
            let text = "this call was made before the platform stopped, and what became of it is not known";
            resume::fail(app, invocation, text).await;
            return refused("OUTCOME_UNKNOWN", text);
        }
        Known::Changed => {
            let text = "the payload is not the one of this call before the run paused, which is what was approved";
            resume::fail(app, invocation, text).await;
            return refused("PAYLOAD_CHANGED", text);
        }
        Known::Nothing => {}
    }
    let told = invocation.recording.waits_before(key)?;
    let code = if told["code"] == "CONSENT_REQUIRED" { "CONSENT_REQUIRED" } else { "APPROVAL_REQUIRED" };
    Some(Before::Refused(code, (StatusCode::FORBIDDEN, Json(told)).into_response()))
}

async fn settle(
    app: &App,
    call: &Call<'_>,
    judge: &Judge,
    judgement: &Judgement<'_>,
    headers: &axum::http::HeaderMap,
) -> Result<Response, ApiError> {
    let (Some(tool), Some(target)) = (judgement.tool, &judgement.target) else {
        return Ok(unregistered(judgement));
    };
    match judgement.outcome {
        Outcome::Allowed => {}
        Outcome::Denied => return Ok(denied(judge, judgement, tool)),
        Outcome::ApprovalRequired => {
            if let Some(waits) = approval(app, call, judgement, tool).await? {
                return Ok(waits);
            }
        }
    }
    let at = begin(app, call).await?;
    let answered = pass(app, call, tool, target.url(), headers).await;
    let (Some(invocation), Some(at)) = (call.invocation, at) else { return answered };
    let is_what_it_waits_for = call.key.as_ref().is_some_and(|key| invocation.recording.waits_at(key));
    if is_what_it_waits_for && invocation.recording.is_made(at) {
        // Its user has agreed while the agent is still being asked.
        let mut tx = app.store().begin().await?;
        tx.drop_resumption(&invocation.run).await?;
        tx.commit().await?;
        invocation.recording.goes_on();
    }
    match answered {
        Err(error @ ApiError::Internal(_)) => {
            invocation.recording.lost(at);
            Err(error)
        }
        answered if invocation.recording.is_made(at) => {
            Ok(recording::keep(app, invocation, at, answered.into_response()))
        }
        answered => answered,
    }
}

/// From here on the call may have happened; a run that may begin again has that in the store first.
async fn begin(app: &App, call: &Call<'_>) -> Result<Option<usize>, ApiError> {
    let (Some(invocation), Some(key)) = (call.invocation, &call.key) else { return Ok(None) };
    let at = invocation.recording.begin(key);
    if at.is_some() && key.has_effect() && invocation.recording.is_kept() {
        invocation.write(app, async |_, _| Ok(())).await?;
    }
    Ok(at)
}

/// A call that may be made.
async fn pass(
    app: &App,
    call: &Call<'_>,
    tool: &ToolRecord,
    url: &str,
    headers: &axum::http::HeaderMap,
) -> Result<Response, ApiError> {
    let uri: Uri = url.parse().map_err(|_| ApiError::BadRequest("the address cannot be sent on".into()))?;
    if let Some(answer) = builtin(app, tool, &uri, call).await {
        return Ok(answer);
    }
    let mut sent = axum::http::Request::new(call.body.clone());
    (*sent.method_mut(), *sent.uri_mut()) = (call.method.clone(), uri);
    *sent.headers_mut() = forward::headers(headers);
    let calling = Calling {
        workspace: call.workspace,
        agent: call.agent,
        invocation: call.invocation.map(|own| &**own),
        key: call.key.as_ref(),
    };
    credentials::send(app, &calling, tool, sent).await
}

/// Tools of the platform's own are answered here: wherever it listens, it need not call itself.
async fn builtin(app: &App, tool: &ToolRecord, uri: &Uri, call: &Call<'_>) -> Option<Response> {
    if !starter_kit::is_own(&tool.spec.connection) {
        return None;
    }
    let request = Request::builder().method(call.method.clone()).uri(uri.path_and_query()?.as_str());
    let request = request.body(Body::from(call.body.clone())).ok()?;
    let router = starter_kit::builtin().with_state(app.clone());
    router.oneshot(request).await.ok()
}

/// Waits for a person, unless one has said yes to this call already.
async fn approval(
    app: &App,
    call: &Call<'_>,
    judgement: &Judgement<'_>,
    tool: &ToolRecord,
) -> Result<Option<Response>, ApiError> {
    if granted(app, call, judgement, tool).await? {
        return Ok(None);
    }
    let (request, told) = match (call.invocation, &call.key) {
        (Some(invocation), Some(key)) => {
            let mut asked = None;
            // What the run did is in the store when it waits, or it could not begin again.
            invocation.recording.keep();
            invocation
                .write(app, async |tx, who| {
                    let (request, told) = ask(app, tx, who, call, judgement, tool).await?;
                    let waiting = Waiting { key: key.clone(), told: told.clone() };
                    if let Some(action) = &request.action_id {
                        resume::pause(tx, invocation, action, &waiting).await?;
                    }
                    asked = Some((request, told, waiting));
                    Ok(())
                })
                .await?;
            let (request, told, waiting) = asked.expect("it was written");
            invocation.recording.pause(waiting);
            (request, told)
        }
        _ => {
            let who = Identity::platform(call.workspace);
            let mut tx = app.store().begin().await?;
            let asked = ask(app, &mut tx, &who, call, judgement, tool).await?;
            tx.commit().await?;
            asked
        }
    };
    let until = app.world().elapsed() + Duration::from_secs(app.config().approvals.hold_seconds);
    while app.world().elapsed() < until {
        tokio::time::sleep(PACE).await;
        let decided = app.store().read().await?.approval(call.workspace, &request.id).await?;
        match decided.map(|request| request.status) {
            Some(ApprovalStatus::Pending) => {}
            Some(ApprovalStatus::Approved) if granted(app, call, judgement, tool).await? => return Ok(None),
            _ => break,
        }
    }
    Ok(Some((StatusCode::FORBIDDEN, Json(told)).into_response()))
}

/// Asks for approval of a call: the request, and what its agent is told.
async fn ask(
    app: &App,
    tx: &mut Tx,
    who: &Identity,
    call: &Call<'_>,
    judgement: &Judgement<'_>,
    tool: &ToolRecord,
) -> Result<(ApprovalRow, Value), ApiError> {
    let request = CreateAccessRequest {
        subject: Some(subject(tx, call).await?),
        tool_id: Some(tool.name.clone()),
        agent_id: Some(call.agent.to_string()),
        run_id: call.invocation.map(|invocation| invocation.run.clone()),
        capability: judgement.capability.map(|capability| capability.name.clone()),
        payload_hash: call.payload_hash.clone(),
        tool_method: Some(call.method.to_string()),
        tool_url: address(judgement),
        by_payload: true,
        ..CreateAccessRequest::default()
    };
    let (request, _) = approvals::ask(app, tx, who, request).await?;
    let told = json!({
        "error": "APPROVAL_REQUIRED",
        "code": "APPROVAL_REQUIRED",
        "action_id": request.action_id,
        "request_id": request.id,
        "tool": tool.name,
        "message": format!("{} {} waits for a person's decision", call.method, tool.name),
    });
    Ok((request, told))
}

/// Whether somebody has said yes to this call. What they said yes to once is used up, and the run goes on.
async fn granted(app: &App, call: &Call<'_>, judgement: &Judgement<'_>, tool: &ToolRecord) -> Result<bool, ApiError> {
    let url = address(judgement);
    let mut tx = app.store().begin().await?;
    let subject = subject(&mut tx, call).await?;
    let asked = grants::Call {
        subject: &subject,
        agent: call.agent,
        tool: &tool.name,
        run: call.invocation.map(|invocation| invocation.run.as_str()),
        capability: judgement.capability.map(|capability| capability.name.as_str()),
        method: Some(call.method.as_str()),
        url: url.as_deref(),
        payload_hash: call.payload_hash.as_deref(),
    };
    let Some(grant) = grants::take(&mut tx, call.workspace, &asked, app.world().now()).await? else {
        return Ok(false);
    };
    if let (Some(run), Some(action)) = (&grant.run_id, &grant.action_id)
        && let Some(action) = tx.action(run, action).await?
        && action.status == ActionStatus::Approved
    {
        actions::execute(app, &mut tx, &Identity::platform(call.workspace), &action).await?;
    }
    if let Some(invocation) = call.invocation
        && invocation.recording.goes_on()
    {
        // The agent is still being asked: nobody has to ask it again.
        tx.drop_resumption(&invocation.run).await?;
    }
    tx.commit().await?;
    Ok(true)
}

/// For whom the call is made.
async fn subject(tx: &mut Tx, call: &Call<'_>) -> Result<String, ApiError> {
    let user = match call.invocation {
        Some(invocation) => tx.run(call.workspace, &invocation.run).await?.map(|run| run.user_id),
        None => None,
    };
    Ok(user.unwrap_or_else(|| call.agent.to_string()))
}

/// Where the call goes, as people are shown it.
fn address(judgement: &Judgement<'_>) -> Option<String> {
    judgement.target.as_ref().map(|target| without_query(target.url()).to_string())
}

/// No tool has this host. The host is named, since whoever wrote the agent has to register it.
fn unregistered(judgement: &Judgement<'_>) -> Response {
    let host = judgement.target.as_ref().and_then(|target| target.host()).unwrap_or("this address");
    let message = match &judgement.because {
        Because::Address(error) => format!("the address cannot be called: {error}"),
        _ => format!("{host} is no registered tool; register it before the agent calls it"),
    };
    let body = json!({"error": message, "code": "UNREGISTERED_DESTINATION", "host": host, "message": message});
    (StatusCode::FORBIDDEN, Json(body)).into_response()
}

fn denied(judge: &Judge, judgement: &Judgement<'_>, tool: &ToolRecord) -> Response {
    let (error, code) = match &judgement.because {
        Because::NoCapability => ("operation not permitted".to_string(), "OPERATION_NOT_PERMITTED"),
        Because::Rule(at) => {
            let (policy, _) = judge.rule(*at);
            (format!("the policy {policy:?} denies this call of {:?}", tool.name), "POLICY_DENIED")
        }
        _ => (format!("no policy allows this call of {:?}", tool.name), "POLICY_DENIED"),
    };
    let body = json!({"error": error, "code": code, "tool": tool.name, "message": error});
    (StatusCode::FORBIDDEN, Json(body)).into_response()
}

/// What the run's timeline shows of a call.
fn about(call: &Call<'_>, judge: &Judge, judgement: &Judgement<'_>) -> Map<String, Value> {
    let mut data = Map::new();
    data.insert("tool_method".into(), call.method.as_str().into());
    if let Some(target) = &judgement.target {
        data.insert("tool_url".into(), without_query(target.url()).into());
    }
    if let Some(tool) = judgement.tool {
        data.insert("tool_id".into(), tool.name.clone().into());
        data.insert("tool".into(), tool.name.clone().into());
    }
    if let Some(capability) = judgement.capability {
        data.insert("capability".into(), capability.name.clone().into());
    }
    let said = |outcome: Outcome, because: &Because| {
        let decision = match outcome {
            Outcome::Allowed => "allowed",
            Outcome::ApprovalRequired => "approval_required",
            Outcome::Denied => "denied",
        };
        let mut said = Map::from_iter([("decision".into(), decision.into())]);
        if let Because::Rule(at) = because {
            let (policy, _) = judge.rule(*at);
            said.insert("rule".into(), json!({"policy": policy, "index": at.rule}));
        }
        said
    };
    data.extend(said(judgement.outcome, &judgement.because));
    if let Some((outcome, because)) = &judgement.log_only {
        data.insert("log_only".into(), said(*outcome, because).into());
    }
    data
}

/// Queries are never compared, and may hold what is nobody's business.
fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
