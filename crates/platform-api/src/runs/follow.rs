//! Follow: what happens in a run, told as it happens. Who was cut off goes on behind the event that they heard last.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use ingestion_server::web::ApiError;
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Event, RunStatus, unknown};
use crate::answer::{Named, Refusal};
use crate::app::{App, json as plain};
use crate::auth::{Caller, Read};
use crate::params::number;

/// How often somebody who follows is told what is new.
const PACE: Duration = Duration::from_millis(500);

/// How many events are read at once.
const BATCH: i64 = 500;

/// One message of the stream.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the answer")]
struct RunMessage {
    /// The event's number; the end has none.
    id: Option<String>,
    /// `message` for an event, `end` once the run is over.
    event: Option<String>,
    /// The event, or the status that the run ended with, as JSON.
    data: String,
}

/// The operation.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(follow))
}

/// What happened in a run and what happens, as server-sent events: each with its number as `id` and the event as `data`,
/// and `end` once the run is over. `Last-Event-ID` begins behind that number.
#[utoipa::path(get, path = "/runs/{id}/events/stream", tag = "runs", params(("id" = String, Path),
    ("Last-Event-ID" = Option<u64>, Header, description = "Begin behind the event of this number")),
    responses((status = 200, description = "Events, as they happen", content_type = "text/event-stream", body = RunMessage),
        (status = 400, body = Refusal), (status = 404, body = Refusal)))]
async fn follow(
    State(app): State<App>,
    caller: Caller<Read>,
    Named(id): Named,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let heard = match headers.get("last-event-id") {
        Some(value) => Some(value.to_str().map_err(|_| ApiError::BadRequest("Last-Event-ID must be a number".into()))?),
        None => None,
    };
    let told = number(heard.filter(|heard| !heard.is_empty()), "Last-Event-ID", 0, 0)?;
    let mut follower =
        Follower { app, workspace: caller.workspace.clone(), id, told, news: VecDeque::new(), end: None };
    // Before anything is told: is there such a run?
    follower.read().await?;
    Ok(Sse::new(stream::unfold(Some(follower), next)).keep_alive(KeepAlive::default()).into_response())
}

/// Somebody who follows a run.
struct Follower {
    app: App,
    workspace: String,
    id: String,
    told: i64,
    news: VecDeque<Event>,
    /// How the run ended, once that is known.
    end: Option<RunStatus>,
}

impl Follower {
    /// What is new. That the run has ended is read together with its last events.
    async fn read(&mut self) -> Result<(), ApiError> {
        let mut tx = self.app.store().read().await?;
        let run = tx.run(&self.workspace, &self.id).await?.ok_or_else(|| unknown(&self.id))?;
        let events = tx.events(&self.id, self.told, BATCH).await?;
        let is_all = (events.len() as i64) < BATCH;
        self.news.extend(events.into_iter().map(Event::from));
        self.end = (is_all && run.status.is_final()).then_some(run.status);
        Ok(())
    }
}

async fn next(follower: Option<Follower>) -> Option<(Result<sse::Event, Infallible>, Option<Follower>)> {
    let mut follower = follower?;
    loop {
        if let Some(event) = follower.news.pop_front() {
            follower.told = event.seq;
            let told = sse::Event::default().id(event.seq.to_string()).data(plain(&event).to_string());
            return Some((Ok(told), Some(follower)));
        }
        if let Some(status) = follower.end {
            let end = sse::Event::default().event("end").data(json!({"status": status}).to_string());
            return Some((Ok(end), None));
        }
        match follower.read().await {
            Ok(()) if follower.news.is_empty() && follower.end.is_none() => tokio::time::sleep(PACE).await,
            Ok(()) => {}
            Err(ApiError::NotFound(_)) => return None,
            // The store is busy: it is asked again.
            Err(_) => tokio::time::sleep(PACE).await,
        }
    }
}
