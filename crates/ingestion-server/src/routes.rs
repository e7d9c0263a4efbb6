//! Routes: the paths, each under its three spellings, and their short handlers.

use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Body as Stream;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRef, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Ingestion;
use crate::engine::Engine;
use crate::shelf::Shelved;
use crate::web::{ApiError, Body, Intake, Received, Refusal, metrics};
use crate::wire::{self, Batch, Project, ProjectId, Submission};

/// Where the same routes are found beside the root: the quickstart's prefix and the versioned one.
const PREFIXES: [&str; 2] = ["/ingestion", "/api/v1"];

/// The analyzer's operations, under each spelling.
pub fn analyzer() -> OpenApiRouter<Ingestion> {
    let operations = || {
        OpenApiRouter::new()
            .routes(routes!(analyze))
            .routes(routes!(batch))
            .routes(routes!(analysis))
            .routes(routes!(requirements))
    };
    PREFIXES.iter().fold(operations(), |router, prefix| router.nest(prefix, operations()))
}

/// What operators ask.
pub fn health() -> Router<Ingestion> {
    Router::new()
        .route("/healthz", get(async || json(StatusCode::OK, r#"{"status":"ok"}"#.into())))
        .route("/readyz", get(ready))
        .route(
            "/metrics",
            get(async |State(ingestion): State<Ingestion>| {
                ([(header::CONTENT_TYPE, metrics::MEDIA_TYPE)], ingestion.metrics().text())
            }),
        )
}

/// Analyzes source files: tools, models, secrets, hosts, requirements, entry point, each with its evidence.
#[utoipa::path(post, path = "/analyze", tag = "analysis", request_body = wire::SubmissionSchema,
    responses((status = 201, body = wire::AnalysisSchema), (status = 400, body = Refusal)))]
async fn analyze(State(engine): State<Engine>, shelved: Shelved, received: Received) -> Result<Response, ApiError> {
    let answer = engine.answer(received, shelved.whose()).await?;
    shelved.keep(&answer).await;
    Ok(json(StatusCode::CREATED, answer.analysis.clone()))
}

/// Only what to install and where the program starts.
#[utoipa::path(post, path = "/requirements", tag = "analysis", request_body = wire::SubmissionSchema,
    responses((status = 200, body = wire::Requirements), (status = 400, body = Refusal)))]
async fn requirements(
    State(engine): State<Engine>,
    shelved: Shelved,
    received: Received,
) -> Result<Response, ApiError> {
    Ok(json(StatusCode::OK, engine.answer(received, shelved.whose()).await?.requirements.clone()))
}

/// An analysis of the last hour.
#[utoipa::path(get, path = "/analysis/{id}", tag = "analysis", params(("id" = String, Path)),
    responses((status = 200, body = wire::AnalysisSchema), (status = 404, body = Refusal)))]
async fn analysis(
    State(engine): State<Engine>,
    shelved: Shelved,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let unknown = || ApiError::NotFound("analysis".into());
    let Path(id) = id.map_err(|_| unknown())?;
    let analysis = match shelved.get() {
        // The cache would answer those, too, for whom the shelf keeps nothing.
        Some(shelf) => shelf.find(&id).await?,
        None => engine.by_id(&id).await.map(|answer| answer.analysis.clone()),
    };
    Ok(json(StatusCode::OK, analysis.ok_or_else(unknown)?))
}

/// Analyzes many projects; each answer is a line of JSON.
///
/// Each project is a line, written when it is done; what is wrong with one is said in its line.
#[utoipa::path(post, path = "/analyze/batch", tag = "analysis", request_body = wire::BatchSchema,
    responses((status = 200, content_type = "application/x-ndjson", body = String), (status = 400, body = Refusal)))]
async fn batch(
    State(ingestion): State<Ingestion>,
    shelved: Shelved,
    Body { value, held }: Body<Batch>,
) -> Result<Response, ApiError> {
    let projects = marked(value, ingestion.largest_batch())?;
    let engine = ingestion.engine().clone();
    // For as long as the answer takes: the files wait in memory for their turns.
    let place = Arc::new((engine.place()?, held));
    let at_once = engine.workers();
    let lines = stream::iter(projects)
        .map(move |(id, project)| {
            let (engine, place, shelved) = (engine.clone(), place.clone(), shelved.clone());
            async move {
                let outcome = match Submission::from(project).files() {
                    Ok(files) => engine.answer_files(files, &place.0, shelved.whose()).await,
                    Err(error) => Err(error),
                };
                if let Ok(answer) = &outcome {
                    shelved.keep(answer).await;
                }
                wire::line(&id, outcome.as_ref().map(|answer| answer.analysis.as_ref()))
            }
        })
        .buffer_unordered(at_once)
        .map(Ok::<Bytes, Infallible>);
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Stream::from_stream(lines)).into_response())
}

/// Every project under its own id, which is its position when it has none.
fn marked(batch: Batch, most: usize) -> Result<Vec<(ProjectId, Project)>, ApiError> {
    let refuse = |text: String| Err(ApiError::BadRequest(text));
    let projects = match batch.projects {
        Some(projects) if !projects.is_empty() => projects,
        _ => return refuse(r#"projects is required; send {"projects": [{"id": "one", "files": {…}}, …]}"#.into()),
    };
    if projects.len() > most {
        let text = format!("too many projects: {} submitted, at most {most} allowed in one batch", projects.len());
        return Err(ApiError::TooLarge(text));
    }
    let mut seen = HashSet::new();
    let mut marked = Vec::with_capacity(projects.len());
    for (position, project) in projects.into_iter().enumerate() {
        let id = project.id.clone().unwrap_or(ProjectId::Number(position as u64));
        if !seen.insert(id.clone()) {
            return refuse(format!("projects[{position}] has the id of an earlier project; ids must differ"));
        }
        marked.push((id, project));
    }
    Ok(marked)
}

async fn ready(State(ingestion): State<Ingestion>) -> Response {
    match ingestion.is_ready() {
        true => json(StatusCode::OK, r#"{"status":"ok"}"#.into()),
        false => ApiError::Busy("the server is stopping").into_response(),
    }
}

fn json(status: StatusCode, body: Bytes) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

impl FromRef<Ingestion> for Engine {
    fn from_ref(ingestion: &Ingestion) -> Engine {
        ingestion.engine().clone()
    }
}

impl FromRef<Ingestion> for Intake {
    fn from_ref(ingestion: &Ingestion) -> Intake {
        ingestion.intake().clone()
    }
}
