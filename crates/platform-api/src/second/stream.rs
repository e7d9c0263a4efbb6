//! Stream: an answer as it is made, as server-sent events. A stream is an operation: it goes on if its reader leaves, and
//! whoever comes back with the id of the last event goes on with the next one, on any replica and after its end.

use std::time::Duration;

use axum::body::Body as Stream;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::Response;
use futures_util::stream;
use http_body_util::BodyExt;
use ingestion_server::web::{ApiError, Body};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tracing::warn;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ask::{Question, Subject, failed, seconds, used};
use super::envelope::FailureEnvelope;
use super::operations::{self, RESULT, execute};
use super::refused::Refused;
use crate::agents::invoke::{Asker, Way};
use crate::answer::Named;
use crate::app::App;
use crate::params::Pairs;
use crate::store::OperationRow;

/// Bytes of one stream.
pub const MOST: usize = 16 << 20;

/// How long nothing is heard before its reader is told that it goes on: what stands between may cut off who is silent.
const SILENCE: Duration = Duration::from_secs(15);

/// How often a stream that another replica is at is looked for.
const PACE: Duration = Duration::from_millis(500);

/// What a stream has said so far.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Feed {
    /// Each event's name and data; its number is its place.
    events: Vec<(String, Value)>,
    /// Nothing follows.
    is_over: bool,
}

impl Piece {
    /// About how many bytes it takes while it is kept.
    pub fn weight(&self) -> usize {
        const OWN: usize = 64;
        match self {
            Piece::Text(Value::String(text)) | Piece::Error(_, text) => text.len() + OWN,
            Piece::Text(value) => value.to_string().len() + OWN,
        }
    }
}

/// What an agent says on its stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// A part of its answer.
    Text(Value),
    /// It failed, or waits for somebody.
    Error(&'static str, String),
}

/// The operations.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(by_get, by_post))
}

/// Asks an agent, and hears its answer as it is made. `Last-Event-ID` goes on with a stream that began.
#[utoipa::path(get, path = "/agents/{id}/stream", tag = "second system",
    params(("id" = String, Path), ("query" = String, Query), ("session_id" = Option<String>, Query)),
    responses((status = 200, description = "Events `start`, `chunk`, `done`, `error`"),
        (status = 400, body = FailureEnvelope), (status = 404, body = FailureEnvelope)))]
async fn by_get(
    State(app): State<App>,
    asker: Asker,
    Named(id): Named,
    method: Method,
    headers: HeaderMap,
    query: Pairs,
) -> Result<Response, Refused> {
    // Who wants the head alone wants nobody to be asked.
    if method == Method::HEAD {
        return Err(ApiError::MethodNotAllowed(method.to_string()).into());
    }
    let body = json!({"query": query.get("query"), "session_id": query.get("session_id")});
    hear(&app, asker, &id, headers, body).await
}

/// The same, with `parameters`.
#[utoipa::path(post, path = "/agents/{id}/stream", tag = "second system", params(("id" = String, Path)),
    request_body = Object,
    responses((status = 200, description = "Events `start`, `chunk`, `done`, `error`"),
        (status = 400, body = FailureEnvelope), (status = 404, body = FailureEnvelope)))]
async fn by_post(
    State(app): State<App>,
    asker: Asker,
    Named(id): Named,
    headers: HeaderMap,
    Body { value, held: _held }: Body<Map<String, Value>>,
) -> Result<Response, Refused> {
    hear(&app, asker, &id, headers, Value::Object(value)).await
}

async fn hear(app: &App, asker: Asker, id: &str, headers: HeaderMap, body: Value) -> Result<Response, Refused> {
    let last = headers.get("last-event-id").map(|last| last.to_str().unwrap_or_default().to_string());
    let subject = Subject::of(app, asker, id, headers).await?;
    if let Some(last) = last {
        let at = last.rsplit_once(':').and_then(|(id, n)| Some((id, n.parse::<usize>().ok()?)));
        let (operation, seen) = at.ok_or_else(|| Refused::wrong("Last-Event-ID", "the id of an event of a stream"))?;
        let mut tx = app.store().read().await?;
        let row = operations::find(&mut tx, &subject.who.workspace, operation).await?;
        if row.kind != "stream" || row.agent_id != subject.agent.value.name {
            return Err(Refused::unknown("OPERATION_NOT_FOUND", "stream", operation));
        }
        return Ok(events(app, row, seen.saturating_add(1)));
    }
    let question = Question::read(&body, "")?;
    begin(app, subject, question).await
}

/// Begins to ask, and gives what is said from its beginning.
async fn begin(app: &App, subject: Subject, question: Question) -> Result<Response, Refused> {
    let Some(running) = app.running() else { return Err(subject.not_running().into()) };
    let now = app.world().now();
    let mut row = operations::row(app, &subject, "stream", "running");
    (row.replica, row.started_at) = (Some(running.replica().into()), Some(now));
    let mut tx = app.store().begin().await?;
    tx.add_operation(&row).await?;
    tx.commit().await?;

    let mut start = json!({"message": "Stream started"});
    if let Some(session) = question.session() {
        start["session_id"] = session.into();
    }
    let (say, feed) = watch::channel(Feed { events: vec![("start".into(), start)], is_over: false });
    let entered = app.operations().enter(app, &row.id, Some(feed));
    let (pumping, of) = (app.clone(), row.clone());
    tokio::spawn(async move {
        let app = pumping;
        let pumped = tokio::select! {
            biased;
            () = entered.stop.notified() => Err(Refused::new(
                ApiError::Conflict("this stream was cancelled".into()), "CANCELLED", json!({}))),
            pumped = pump(&app, &subject, &question, &say) => pumped,
        };
        let (status, name, last) = match pumped {
            Ok(done) => ("success", "done", done),
            Err(refused) => {
                let body = refused.body();
                ("failed", "error", json!({"error": body["message"], "code": body["code"]}))
            }
        };
        let mut whole = say.borrow().clone();
        whole.events.push((name.into(), last));
        whole.is_over = true;
        // Whoever comes back after the end finds it in the store.
        let text: Vec<&Value> =
            whole.events.iter().filter(|(name, _)| name == "chunk").map(|(_, data)| &data["content"]).collect();
        let result = match status {
            "success" => json!({"data": {"result": joined(&text)}, "events": whole}),
            _ => json!({"error": {"code": whole.events.last().map(|(_, data)| data["code"].clone()),
                "message": whole.events.last().map(|(_, data)| data["error"].clone()), "details": {}}, "events": whole}),
        };
        if let Err(error) = execute::end(&app, &of, status, &result).await {
            warn!(%error, operation = of.id, "the end of a stream is not written");
        }
        say.send_replace(whole);
        drop(entered);
    });
    Ok(events(app, row, 0))
}

fn joined(parts: &[&Value]) -> Value {
    match parts {
        [one] => (*one).clone(),
        parts => parts
            .iter()
            .map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_string))
            .collect::<String>()
            .into(),
    }
}

/// Hears an agent to its end; the last event's data.
async fn pump(app: &App, subject: &Subject, question: &Question, say: &watch::Sender<Feed>) -> Result<Value, Refused> {
    let began = app.world().elapsed();
    let (asked, since) = subject.begin(app, Way::Streamed, question).await?;
    let run = asked.run().to_string();
    let response = asked.streamed().await?;
    let mut index = 0;
    let (mut size, mut problem) = (0, None);
    pieces(response, &run, |piece| {
        size += piece.weight();
        match piece {
            Piece::Text(text) => {
                say.send_modify(|feed| {
                    feed.events.push(("chunk".into(), json!({"content": text, "index": index})));
                });
                index += 1;
            }
            Piece::Error(code, text) => problem = Some((code, text)),
        }
        size <= MOST
    })
    .await?;
    if size > MOST {
        let text = format!("the agent's answer is larger than {MOST} bytes");
        return Err(Refused::new(ApiError::BadGateway(text), "RESPONSE_TOO_LARGE", json!({"run_id": run})));
    }
    if let Some((code, text)) = problem {
        return Err(Refused::new(ApiError::BadGateway(text), code, json!({"run_id": run})));
    }
    let took = app.world().elapsed().saturating_sub(began);
    let usage = used(app, &run, since).await?;
    Ok(json!({"message": "Stream completed", "usage": usage, "execution_time": seconds(took), "run_id": run}))
}

/// Hands on what an agent says, piece by piece, as long as `take` wants more.
pub async fn pieces(response: Response, run: &str, mut take: impl FnMut(Piece) -> bool) -> Result<(), Refused> {
    let (parts, mut body) = response.into_parts();
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_stream = parts.status.is_success() && kind.starts_with("text/event-stream");
    let mut waiting = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Refused::failed(error.to_string(), json!({"run_id": run})))?;
        let Ok(data) = frame.into_data() else { continue };
        waiting.extend_from_slice(&data);
        if waiting.len() > MOST {
            take(Piece::Error("RESPONSE_TOO_LARGE", format!("the agent's answer is larger than {MOST} bytes")));
            return Ok(());
        }
        while is_stream && let Some(end) = waiting.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = waiting.drain(..=end).collect();
            if let Some(piece) = piece(&String::from_utf8_lossy(&line))
                && !take(piece)
            {
                return Ok(());
            }
        }
    }
    if is_stream {
        // Its last line need not end.
        if let Some(piece) = piece(&String::from_utf8_lossy(&waiting)) {
            take(piece);
        }
        return Ok(());
    }
    // It answered at once.
    let said = serde_json::from_slice(&waiting)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&waiting).into_owned()));
    if !parts.status.is_success() {
        return Err(failed(parts.status, &said, run));
    }
    take(Piece::Text(said.get("response").cloned().unwrap_or(said)));
    Ok(())
}

/// What one line of an agent's stream says, in the words of the published runtime.
fn piece(line: &str) -> Option<Piece> {
    let data = line.trim_end_matches(['\r', '\n']).strip_prefix("data:")?;
    // One space belongs to the form, any other to what is said.
    let data = data.strip_prefix(' ').unwrap_or(data);
    if data.trim() == "[DONE]" || data.is_empty() {
        return None;
    }
    let Ok(said) = serde_json::from_str::<Value>(data) else { return Some(Piece::Text(data.into())) };
    let text = |name: &str| said[name].as_str().map(str::to_string);
    match said["type"].as_str() {
        Some("content") => Some(Piece::Text(said["delta"].clone())),
        Some("error") => Some(Piece::Error("AGENT_EXECUTION_FAILED", text("message").unwrap_or_default())),
        Some("approval_required") => Some(Piece::Error("APPROVAL_REQUIRED", waits(&said))),
        Some("consent_required") => Some(Piece::Error("CONSENT_REQUIRED", waits(&said))),
        Some(_) => None,
        None => Some(Piece::Text(said)),
    }
}

fn waits(said: &Value) -> String {
    let detail = said["detail"]["message"].as_str().unwrap_or("somebody must decide first");
    format!("{}: {detail}", said["tool"].as_str().unwrap_or("a tool"))
}

/// The events of a stream from a number on.
fn events(app: &App, row: OperationRow, from: usize) -> Response {
    let feed = app.operations().get(&row.id).and_then(|under| under.feed);
    let state = (app.clone(), row, feed, from, false);
    let body = stream::unfold(state, async |(app, row, mut feed, from, is_over)| {
        if is_over {
            return None;
        }
        let heard = tokio::time::timeout(SILENCE, after(&app, &row, &mut feed, from)).await;
        let Ok((said, ends)) = heard else {
            return Some((Ok(": it goes on\n\n".to_string()), (app, row, feed, from, false)));
        };
        let text: String = said
            .iter()
            .zip(from..)
            .map(|((name, data), n)| format!("id: {}:{n}\nevent: {name}\ndata: {data}\n\n", row.id))
            .collect();
        let next = from + said.len();
        Some((Ok::<_, std::convert::Infallible>(text), (app, row, feed, next, ends)))
    });
    let mut response = Response::new(Stream::from_stream(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// The events of a stream from a number on, once there are any, and whether those are all.
async fn after(
    app: &App,
    row: &OperationRow,
    feed: &mut Option<watch::Receiver<Feed>>,
    from: usize,
) -> (Vec<(String, Value)>, bool) {
    let tail = |feed: &Feed| feed.events.get(from..).unwrap_or_default().to_vec();
    match feed {
        Some(here) => {
            // Its end is in the feed before anybody forgets it.
            let _ = here.wait_for(|feed| feed.is_over || feed.events.len() > from).await;
            let is_left = here.has_changed().is_err();
            let now = here.borrow();
            let said = tail(&now);
            let ends = now.is_over || is_left && said.is_empty();
            (said, ends)
        }
        None => match stored(app, row).await {
            Ok(feed) => (tail(&feed), feed.is_over),
            // What was said between is not known any more; how it ended is.
            Err(last) => (vec![last], true),
        },
    }
}

/// A stream that is not here, once it has ended: as it was said where that is known, else its last event.
async fn stored(app: &App, row: &OperationRow) -> Result<Feed, (String, Value)> {
    loop {
        let read = async {
            let mut tx = app.store().read().await?;
            let now = tx.operation(&row.workspace, &row.id).await?;
            let result: Option<Value> = tx.unseal(&row.workspace, RESULT, &row.id).await?;
            Ok::<_, ApiError>((now, result))
        };
        let (text, code) = match read.await {
            Ok((Some(now), _)) if now.ended_at.is_none() => {
                tokio::time::sleep(PACE).await;
                continue;
            }
            Ok((_, Some(mut result))) => match serde_json::from_value::<Feed>(result["events"].take()) {
                Ok(feed) => return Ok(feed),
                Err(_) => (result["error"]["message"].take(), result["error"]["code"].take()),
            },
            Ok((Some(now), None)) if now.status == "cancelled" => {
                ("this stream was cancelled".into(), "CANCELLED".into())
            }
            Ok(_) => ("this stream is not kept any more".into(), "OPERATION_NOT_FOUND".into()),
            Err(error) => (error.to_string().into(), "INTERNAL_ERROR".into()),
        };
        return Err(("error".to_string(), json!({"error": text, "code": code})));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_runtime_are_pieces_of_an_answer() {
        let text = |text: &str| Some(Piece::Text(text.into()));
        assert_eq!(piece("data: {\"type\":\"content\",\"delta\":\"a\\nb\"}\n"), text("a\nb"));
        assert_eq!(piece("data: plain words\r\n"), text("plain words"));
        assert_eq!([piece("data:  a \n"), piece("data:b")], [text(" a "), text("b")]);
        let structured = Piece::Text(json!({"k": "v".repeat(100)}));
        assert!(structured.weight() > 100 && Piece::Text("".into()).weight() > 0);
        for silent in ["data: [DONE]\n", ": a remark\n", "\n", "event: x\n", "data: {\"type\":\"tool_call\"}\n"] {
            assert_eq!(piece(silent), None, "{silent}");
        }
        let waits = "data: {\"type\":\"approval_required\",\"tool\":\"crm\",\"detail\":{\"message\":\"ask\"}}";
        assert_eq!(piece(waits), Some(Piece::Error("APPROVAL_REQUIRED", "crm: ask".into())));
    }
}
