//! Logs: what an agent wrote, or as it writes.

use std::convert::Infallible;

use agent_runner::LogLine;
use axum::Json;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};
use ingestion_server::web::ApiError;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::find;
use crate::answer::{Named, Refusal};
use crate::app::App;
use crate::auth::{Caller, Read};
use crate::params::{Params, flag, number};
use crate::running::agent_id;

/// Lines of whoever does not say how many.
const LINES: i64 = 200;

/// Most lines that are given at once.
const MOST: i64 = 10_000;

/// What an agent wrote.
#[derive(Debug, Serialize, ToSchema)]
struct AgentLog {
    /// The agent.
    agent: String,
    /// Its last lines, the oldest first.
    lines: Vec<Line>,
}

/// A line that an agent wrote.
#[derive(Debug, Serialize, ToSchema)]
struct Line {
    /// When.
    #[serde(serialize_with = "crate::time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    timestamp: i64,
    /// `stdout`, `stderr`, or `runner` for what happened to it.
    #[schema(value_type = String)]
    stream: agent_runner::LogStream,
    /// Which version wrote it.
    version: String,
    /// What.
    text: String,
}

impl From<LogLine> for Line {
    fn from(line: LogLine) -> Line {
        Line { timestamp: line.time, stream: line.stream, version: line.version, text: line.text }
    }
}

/// Which lines.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// So many of the last; 200 if nobody says.
    #[param(value_type = Option<u64>)]
    tail: Option<String>,
    /// `true`: as server-sent events, those to come as well, across restarts and versions.
    #[param(value_type = Option<bool>)]
    follow: Option<String>,
}

/// The operation.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(logs))
}

/// What an agent wrote last, or with `follow=true` what it writes.
#[utoipa::path(get, path = "/agents/{name}/logs", tag = "agents", params(("name" = String, Path), Wanted),
    responses((status = 200, body = AgentLog), (status = 400, body = Refusal), (status = 404, body = Refusal)))]
async fn logs(
    State(app): State<App>,
    caller: Caller<Read>,
    Named(name): Named,
    Params(wanted): Params<Wanted>,
) -> Result<Response, ApiError> {
    let tail = number(wanted.tail.as_deref(), "tail", 0, LINES)?.min(MOST);
    let tail = usize::try_from(tail).unwrap_or_default();
    let follow = flag(wanted.follow.as_deref(), "follow")?;
    let mut tx = app.store().read().await?;
    let agent = find(&mut tx, &caller, None, &name).await?.value.name;
    drop(tx);
    let Some(running) = app.running().cloned() else {
        return Ok(Json(AgentLog { agent, lines: Vec::new() }).into_response());
    };
    let id = agent_id(&caller.workspace, &agent);
    if !follow {
        let lines = running.runner().logs(&id, tail, false).map(Line::from).collect().await;
        return Ok(Json(AgentLog { agent, lines }).into_response());
    }
    let (lines, told) = tokio::sync::mpsc::channel(64);
    tokio::spawn(async move {
        let mut from = running.runner().logs(&id, tail, true);
        loop {
            let line = tokio::select! {
                line = from.next() => line,
                () = lines.closed() => None,
            };
            let Some(line) = line else { return };
            if lines.send(Line::from(line)).await.is_err() {
                return;
            }
        }
    });
    let events = stream::unfold(told, |mut told| async move {
        let line = told.recv().await?;
        let data = serde_json::to_string(&line).unwrap_or_default();
        Some((Ok::<_, Infallible>(Event::default().event("line").data(data)), told))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}
