//! Logs: what a build said, as far as it is, or as it goes on.

use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use ingestion_server::web::ApiError;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{BuildRecord, BuildStatus, LOG};
use crate::answer::{Named, Refusal};
use crate::app::App;
use crate::auth::{Caller, Read};
use crate::params::{Params, flag};

/// How often somebody who follows is told what is new.
const PACE: Duration = Duration::from_millis(500);

/// What a build said.
#[derive(Debug, Serialize, ToSchema)]
struct BuildLog {
    /// The build.
    id: String,
    /// How far it is.
    status: BuildStatus,
    /// Its words, the last ones if they were many.
    lines: Vec<String>,
}

/// How it is to be told.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// `true`: as server-sent events, `line` for each line and `end` once the build is over.
    #[param(value_type = Option<bool>)]
    follow: Option<String>,
}

/// The operation.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(logs))
}

/// What a build said, or with `follow=true` what it says.
#[utoipa::path(get, path = "/builds/{id}/logs", tag = "builds", params(("id" = String, Path), Wanted),
    responses((status = 200, body = BuildLog), (status = 400, body = Refusal), (status = 404, body = Refusal)))]
async fn logs(
    State(app): State<App>,
    caller: Caller<Read>,
    Named(id): Named,
    Params(wanted): Params<Wanted>,
) -> Result<Response, ApiError> {
    let follow = flag(wanted.follow.as_deref(), "follow")?;
    let log = read(&app, &caller.workspace, &id).await?.ok_or_else(|| ApiError::NotFound("build".into()))?;
    if !follow {
        return Ok(Json(log).into_response());
    }
    let from = Follower { app, workspace: caller.workspace.clone(), id, told: 0, is_over: false };
    Ok(Sse::new(stream::unfold((from, Some(log)), next)).keep_alive(KeepAlive::default()).into_response())
}

async fn read(app: &App, workspace: &str, id: &str) -> Result<Option<BuildLog>, ApiError> {
    let mut tx = app.store().read().await?;
    let Some(build) = tx.get::<BuildRecord>(workspace, id).await? else { return Ok(None) };
    let lines = tx.unseal(workspace, LOG, id).await?.unwrap_or_default();
    Ok(Some(BuildLog { id: id.into(), status: build.value.status, lines }))
}

/// Somebody who follows a build.
struct Follower {
    app: App,
    workspace: String,
    id: String,
    told: usize,
    is_over: bool,
}

/// The next event: a line that is new, or that the build is over.
async fn next(
    (mut from, mut log): (Follower, Option<BuildLog>),
) -> Option<(Result<Event, Infallible>, (Follower, Option<BuildLog>))> {
    if from.is_over {
        return None;
    }
    loop {
        if let Some(now) = &log {
            if let Some(line) = now.lines.get(from.told) {
                from.told += 1;
                return Some((Ok(Event::default().event("line").data(json!(line).to_string())), (from, log)));
            }
            if now.status.is_final() {
                from.is_over = true;
                let end = Event::default().event("end").data(json!({"status": now.status}).to_string());
                return Some((Ok(end), (from, log)));
            }
        }
        tokio::time::sleep(PACE).await;
        // Taken away, or the store is busy: the one ends it, the other is asked again.
        match read(&from.app, &from.workspace, &from.id).await {
            Ok(None) => return None,
            Ok(now) => log = now,
            Err(_) => {}
        }
    }
}
