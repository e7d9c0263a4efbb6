//! Tool loop: an agent without code of its own. The platform asks its model, makes the calls that the model wants, and asks
//! again, in this process and through the same gateway as agents that run by themselves: policies, approvals, credentials,
//! budgets and the record are those of every call. What is asked and answered looks as the published runtime's loop does.

mod conversation;
mod setup;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, response};
use futures_util::stream;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use ingestion_server::web::ApiError;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use super::invocation::Invocation;
use crate::app::App;
use crate::gateway;
use conversation::{Conversation, Next, Question, ToolCall};
use setup::Setup;

/// Bytes of an answer of a tool or a model, and of what a model is told in all.
const MOST: usize = 8 << 20;

/// Calls that one answer of a model may ask for.
const MOST_CALLS: usize = 64;

/// Characters of a tool's answer that who follows is shown.
const SHOWN: usize = 1_000;

/// What is said when the model goes on asking for calls.
const TOO_MANY: &str = "I reached the maximum number of tool call iterations. Here's what I have so far.";

/// Answers a question: at once, or as events where its path says so.
pub async fn answer(app: &App, invocation: &Arc<Invocation>, environment: &BTreeMap<String, String>) -> Response {
    let began = app.world().elapsed();
    let refuse = |status: StatusCode, text: String| (status, Json(json!({"error": text}))).into_response();
    let question = match Question::read(&invocation.question.body()) {
        Ok(question) => question,
        Err(text) => return refuse(StatusCode::BAD_REQUEST, text.into()),
    };
    let setup = match Setup::read(environment) {
        Ok(setup) => setup,
        Err(text) => return refuse(StatusCode::INTERNAL_SERVER_ERROR, text),
    };
    let mut run = Loop {
        app: app.clone(),
        invocation: Arc::clone(invocation),
        conversation: Conversation::new(&setup, question),
        setup,
        told: None,
    };
    if !invocation.question.path.ends_with("/stream") {
        let (status, mut body) = run.go().await;
        let took = app.world().elapsed().saturating_sub(began);
        body.insert("duration_ms".into(), (took.as_millis() as u64).into());
        body.insert("request_id".into(), invocation.request.clone().into());
        return (status, Json(body)).into_response();
    }
    let (tell, told) = mpsc::channel(16);
    run.told = Some(tell);
    tokio::spawn(async move { run.stream().await });
    let pieces = stream::unfold(told, |mut told| async move { Some((Ok::<_, ApiError>(told.recv().await?), told)) });
    let kind = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-cache")];
    (response::AppendHeaders(kind), Body::from_stream(pieces)).into_response()
}

/// One question on its way to its answer.
struct Loop {
    app: App,
    invocation: Arc<Invocation>,
    setup: Setup,
    conversation: Conversation,
    /// Who follows, event by event.
    told: Option<mpsc::Sender<Bytes>>,
}

/// Why it goes no further.
enum Stop {
    /// A call waits for a person, with what its agent is told.
    Waits { function: String, tool: String, told: Map<String, Value> },
    /// The model did not answer.
    Model(StatusCode, String),
    /// Nobody listens any more.
    Unheard,
}

impl Loop {
    /// To its end; the status and the body of the answer.
    async fn go(&mut self) -> (StatusCode, Map<String, Value>) {
        match self.rounds().await {
            Ok(text) => (StatusCode::OK, self.conversation.answer(Map::from_iter([("response".into(), text.into())]))),
            Err(Stop::Waits { tool, told, .. }) => (StatusCode::OK, self.conversation.answer(waits(&tool, told))),
            Err(Stop::Model(status, detail)) => {
                let error = format!("LLM Gateway returned {}", status.as_u16());
                let body = [("error".to_string(), error.into()), ("detail".to_string(), detail.into())];
                (StatusCode::BAD_GATEWAY, Map::from_iter(body))
            }
            Err(Stop::Unheard) => (StatusCode::BAD_GATEWAY, Map::new()),
        }
    }

    /// The same, told as it happens.
    async fn stream(&mut self) {
        match self.rounds().await {
            Ok(text) => self.tell(json!({"type": "content", "delta": text})).await,
            Err(Stop::Waits { function, tool, told }) => {
                let kind = if is_consent(&told) { "consent_required" } else { "approval_required" };
                let text = waits(&tool, told.clone()).remove("response").unwrap_or_default();
                self.tell(json!({"type": kind, "tool": function, "detail": told})).await;
                if kind == "consent_required" {
                    self.tell(json!({"type": "content", "delta": text})).await;
                }
            }
            Err(Stop::Model(status, detail)) => {
                let message = format!("LLM Gateway returned {}: {detail}", status.as_u16());
                self.tell(json!({"type": "error", "message": message})).await;
                self.say("data: [DONE]\n\n".into()).await;
                return;
            }
            Err(Stop::Unheard) => return,
        }
        self.tell(self.conversation.done()).await;
        self.say("data: [DONE]\n\n".into()).await;
    }

    /// Round by round, until the model wants no more calls.
    async fn rounds(&mut self) -> Result<String, Stop> {
        for _ in 0..self.setup.rounds {
            if self.conversation.bytes() > MOST {
                let text = format!("the conversation is larger than {} MiB", MOST >> 20);
                return Err(Stop::Model(StatusCode::BAD_GATEWAY, text));
            }
            let reply = self.model().await?;
            match self.conversation.hear(&reply) {
                Next::Said(text) => return Ok(text),
                Next::Calls(calls) if calls.len() > MOST_CALLS => {
                    let text = format!("the model asks for {} calls at once; {MOST_CALLS} is the most", calls.len());
                    return Err(Stop::Model(StatusCode::BAD_GATEWAY, text));
                }
                Next::Calls(calls) => {
                    for call in calls {
                        self.call(call).await?;
                    }
                }
            }
        }
        Ok(TOO_MANY.into())
    }

    /// Asks the model.
    async fn model(&self) -> Result<Value, Stop> {
        let body = self.conversation.request(&self.setup).to_string();
        let request = self.request("POST", "/v1/chat/completions", Some(body.into()));
        let (status, text) = self.send("v1/chat/completions", request).await;
        match (status.is_success(), serde_json::from_str(&text)) {
            (true, Ok(reply)) => Ok(reply),
            (true, Err(_)) => Err(Stop::Model(StatusCode::BAD_GATEWAY, "the answer is no JSON".into())),
            (false, _) => Err(Stop::Model(status, text)),
        }
    }

    /// Makes a call that the model wants, and tells it what came back.
    async fn call(&mut self, call: ToolCall) -> Result<(), Stop> {
        if self.told.as_ref().is_some_and(mpsc::Sender::is_closed) {
            return Err(Stop::Unheard);
        }
        let (function, arguments) = (call.function.clone(), call.arguments.clone());
        self.tell(json!({"type": "tool_call", "tool": function, "arguments": arguments})).await;
        let wanted = match self.setup.wanted(&call) {
            Ok(wanted) => wanted,
            Err(refused) => {
                self.conversation.refused(&call, json!({"error": refused}).to_string());
                return Ok(());
            }
        };
        let path = format!("tools/{}{}", wanted.tool, wanted.path);
        let request = self.request(&wanted.method, &format!("/{path}"), wanted.body);
        let (status, text) = self.send(path.split('?').next().unwrap_or_default(), request).await;
        if status == StatusCode::FORBIDDEN
            && let Ok(Value::Object(told)) = serde_json::from_str::<Value>(&text)
            && matches!(told.get("code").and_then(Value::as_str), Some("APPROVAL_REQUIRED" | "CONSENT_REQUIRED"))
        {
            return Err(Stop::Waits { function, tool: wanted.tool, told });
        }
        let result = match status.is_success() {
            true => text,
            false => json!({"error": format!("HTTP {}", status.as_u16()), "detail": text}).to_string(),
        };
        let shown: String = result.chars().take(SHOWN).collect();
        self.tell(json!({"type": "tool_result", "tool": function, "result": shown})).await;
        self.conversation.told(&call, &wanted.method, &format!("/{path}"), result);
        Ok(())
    }

    fn request(&self, method: &str, uri: &str, body: Option<Bytes>) -> Result<Request<Body>, axum::http::Error> {
        let mut request = Request::builder().method(method).uri(uri).header("x-request-id", &self.invocation.request);
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        request.body(body.map_or_else(Body::empty, Body::from))
    }

    /// Through the agent's own gateway; what cannot be sent is an answer too.
    async fn send(&self, path: &str, request: Result<Request<Body>, axum::http::Error>) -> (StatusCode, String) {
        let Invocation { workspace, agent, .. } = &*self.invocation;
        let request = match request {
            Ok(request) => request,
            Err(error) => return (StatusCode::BAD_REQUEST, format!("the call cannot be written: {error}")),
        };
        let answered = gateway::to_agent(&self.app, workspace.clone(), agent, path, request).await;
        let (parts, body) = answered.unwrap_or_else(IntoResponse::into_response).into_parts();
        match Limited::new(body, MOST).collect().await {
            Ok(body) => (parts.status, String::from_utf8_lossy(&body.to_bytes()).into_owned()),
            Err(error) if error.is::<LengthLimitError>() => {
                (StatusCode::BAD_GATEWAY, format!("the answer is larger than {} MiB", MOST >> 20))
            }
            Err(error) => (StatusCode::BAD_GATEWAY, format!("the answer broke off: {error}")),
        }
    }

    async fn tell(&self, event: Value) {
        self.say(format!("data: {event}\n\n").into()).await;
    }

    async fn say(&self, bytes: Bytes) {
        if let Some(told) = &self.told {
            // Who left is noticed after the call that is under way.
            let _ = told.send(bytes).await;
        }
    }
}

/// Whether it is the user who must agree.
fn is_consent(told: &Map<String, Value>) -> bool {
    told.get("code").and_then(Value::as_str) == Some("CONSENT_REQUIRED")
}

/// The answer while a call waits for somebody.
fn waits(tool: &str, told: Map<String, Value>) -> Map<String, Value> {
    let text = |name: &str| told.get(name).and_then(Value::as_str).unwrap_or_default().to_string();
    let message = text("message");
    if !is_consent(&told) {
        return Map::from_iter([("response".into(), message.into()), ("approval_required".into(), told.into())]);
    }
    let url = text("authorization_url");
    let mut answer = Map::from_iter([
        ("code".to_string(), "CONSENT_REQUIRED".into()),
        ("message".to_string(), message.clone().into()),
        ("response".to_string(), format!("{message} {url}").trim().into()),
        ("tool".to_string(), tool.into()),
        ("authorization_url".to_string(), url.into()),
    ]);
    let resume = ["resume_id", "action_id"].into_iter().map(text).find(|id| !id.is_empty());
    answer.extend(resume.map(|id| ("resume_id".to_string(), id.into())));
    answer.insert("consent_required".into(), told.into());
    answer
}
