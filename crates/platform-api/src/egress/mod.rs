//! Egress: the path of a governed call. An agent's request leaves in five steps: which tool is it, what do the policies
//! say, can the tool do that, with which credentials, and on its way. What was compared is what is sent.

mod forward;
mod judges;

use analyzer_core::policy::Outcome;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Extension, Json, Router};
use bytes::Bytes;
use ingestion_server::web::{ApiError, Outbound, Reach};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tower::ServiceExt;

use crate::app::App;
use crate::approvals::{self, CreateAccessRequest, grants};
use crate::auth::Identity;
use crate::deploy::starter_kit;
use crate::gateway;
use crate::policies::evaluate::{Because, Judge, Judgement};
use crate::running::arrivals::{From, Outside};
use crate::running::invocation::Invocation;
use crate::tools::{ToolRecord, Topology};
use judges::Judges;

/// Where requests for the world outside are answered, once they came from an agent's own connection.
pub const PATH: &str = "/egress";

/// What calls of tools need.
#[derive(Debug)]
pub struct Egress {
    judges: Judges,
    outside: Outbound,
    inside: Outbound,
}

impl Egress {
    /// Over whatever reaches the world.
    pub fn new(outbound: &Outbound) -> Egress {
        Egress {
            judges: Judges::default(),
            outside: outbound.within(Reach::Outside),
            inside: outbound.within(Reach::Inside),
        }
    }

    fn to(&self, topology: Topology) -> &Outbound {
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
    invocation: Option<&'a Invocation>,
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
    let invocation = invocation.as_deref();
    let call = Call { workspace, agent, method: parts.method.clone(), body, payload_hash, invocation };
    let judgement = judge.judge(call.method.as_str(), url);
    let began = app.world().elapsed();
    let answer = settle(app, &call, &judge, &judgement, &parts.headers).await;
    let status = match &answer {
        Ok(response) => response.status(),
        Err(error) => error.status(),
    };
    if let Some(invocation) = invocation {
        let mut data = about(&call, &judge, &judgement);
        data.insert("status_code".into(), status.as_u16().into());
        let took = app.world().elapsed().saturating_sub(began);
        data.insert("latency_ms".into(), (took.as_millis() as u64).into());
        if let Err(error) = &answer {
            data.insert("error".into(), error.to_string().into());
        }
        invocation.note(app.world().now(), "TOOL_CALLED", call.payload_hash.clone(), data);
    }
    answer
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
    let uri: Uri = target.url().parse().map_err(|_| ApiError::BadRequest("the address cannot be sent on".into()))?;
    if let Some(answer) = builtin(app, tool, &uri, call).await {
        return Ok(answer);
    }
    let mut tx = app.store().read().await?;
    let mut sent = axum::http::Request::new(call.body.clone());
    (*sent.method_mut(), *sent.uri_mut()) = (call.method.clone(), uri);
    *sent.headers_mut() = forward::headers(headers);
    forward::show_credentials(&mut tx, call.workspace, tool, &mut sent).await?;
    drop(tx);
    forward::send(app.egress().to(tool.spec.connection.topology), tool, sent).await
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
    let who = Identity::platform(call.workspace);
    let capability = judgement.capability.map(|capability| capability.name.clone());
    let url = judgement.target.as_ref().map(|target| without_query(target.url()).to_string());
    let run = call.invocation.map(|invocation| invocation.run.clone());
    let mut tx = app.store().begin().await?;
    let subject = match &run {
        Some(run) => tx.run(call.workspace, run).await?.map(|run| run.user_id),
        None => None,
    };
    let subject = subject.unwrap_or_else(|| call.agent.to_string());
    let asked = grants::Call {
        subject: &subject,
        agent: call.agent,
        tool: &tool.name,
        run: run.as_deref(),
        capability: capability.as_deref(),
        method: Some(call.method.as_str()),
        url: url.as_deref(),
        payload_hash: call.payload_hash.as_deref(),
    };
    if grants::take(&mut tx, call.workspace, &asked, app.world().now()).await?.is_some() {
        tx.commit().await?;
        return Ok(None);
    }
    drop(tx);
    if let Some(invocation) = call.invocation {
        // What happened before stands before it.
        invocation.write(app, async |_, _| Ok(())).await?;
    }
    let mut tx = app.store().begin().await?;
    let request = CreateAccessRequest {
        subject: Some(subject),
        tool_id: Some(tool.name.clone()),
        agent_id: Some(call.agent.to_string()),
        run_id: run,
        capability,
        payload_hash: call.payload_hash.clone(),
        tool_method: Some(call.method.to_string()),
        tool_url: url,
        by_payload: true,
        ..CreateAccessRequest::default()
    };
    let (request, _) = approvals::ask(app, &mut tx, &who, request).await?;
    tx.commit().await?;
    let body = json!({
        "error": "APPROVAL_REQUIRED",
        "code": "APPROVAL_REQUIRED",
        "action_id": request.action_id,
        "request_id": request.id,
        "tool": tool.name,
        "message": format!("{} {} waits for a person's decision", call.method, tool.name),
    });
    Ok(Some((StatusCode::FORBIDDEN, Json(body)).into_response()))
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
    let decision = match judgement.outcome {
        Outcome::Allowed => "allowed",
        Outcome::ApprovalRequired => "approval_required",
        Outcome::Denied => "denied",
    };
    data.insert("decision".into(), decision.into());
    if let Because::Rule(at) = judgement.because {
        let (policy, _) = judge.rule(at);
        data.insert("rule".into(), json!({"policy": policy, "index": at.rule}));
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
