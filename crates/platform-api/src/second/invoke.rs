//! Invoke: one question or many, answered at once.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::{StreamExt, stream};
use ingestion_server::web::{ApiError, Body, RequestId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::ask::{Question, Subject};
use super::envelope::FailureEnvelope;
use super::operations;
use super::refused::Refused;
use crate::agents::invoke::Asker;
use crate::answer::Named;
use crate::app::App;

/// Questions of one batch.
const MOST: usize = 100;

/// Bytes of all answers of one batch.
const MOST_BYTES: usize = 32 << 20;

/// How many of a batch are asked at a time.
const AT_ONCE: usize = 4;

/// What a request asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Wanted {
    /// One answer.
    One(Question),
    /// Answers in the order of their questions; each is read when its turn comes, so that one that cannot be read does not
    /// fail the rest.
    Batch(Vec<Value>),
}

impl Wanted {
    /// Reads it out of a body.
    pub fn read(body: &Value) -> Result<Wanted, Refused> {
        let batch = match &body["batch"] {
            Value::Null => return Question::read(body, "").map(Wanted::One),
            Value::Array(batch) => batch,
            _ => return Err(Refused::mistyped("batch", "an array of objects with a query")),
        };
        match (1..=MOST).contains(&batch.len()) {
            true => Ok(Wanted::Batch(batch.clone())),
            false => Err(Refused::wrong("batch", &format!("an array of 1 to {MOST} questions"))),
        }
    }

    /// Asks, and gives the whole body of the answer.
    pub async fn answer(&self, app: &App, subject: &Subject, request_id: &str) -> Result<Value, Refused> {
        match self {
            Wanted::One(question) => Ok(subject.ask(app, question).await?.body(request_id)),
            Wanted::Batch(questions) => {
                let room = &AtomicUsize::new(MOST_BYTES);
                let answers = questions.clone().into_iter().enumerate().map(|(n, question)| async move {
                    let asked = match Question::read(&question, &format!("batch.{n}.")) {
                        Ok(question) => subject.ask(app, &question).await,
                        Err(refused) => Err(refused),
                    };
                    let body = asked.map(|answer| answer.body(request_id)).and_then(|body| {
                        let size = body.to_string().len();
                        let take = |left: usize| left.checked_sub(size);
                        match room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
                            Ok(_) => Ok(body),
                            Err(_) => {
                                let text = format!("the answers of this batch are larger than {MOST_BYTES} bytes");
                                Err(Refused::new(ApiError::BadGateway(text), "RESPONSE_TOO_LARGE", json!({})))
                            }
                        }
                    });
                    body.unwrap_or_else(|refused| json!({"status": "error", "error": refused.body()}))
                });
                let answers: Vec<Value> = stream::iter(answers).buffered(AT_ONCE).collect().await;
                Ok(json!({"status": "success", "data": answers}))
            }
        }
    }
}

/// The operation.
pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(invoke))
}

/// Asks an agent: `query`, with `parameters` that are handed on to it, or a `batch` of such.
#[utoipa::path(post, path = "/agents/{id}/invoke", tag = "second system", params(("id" = String, Path)),
    request_body = Object,
    responses((status = 200, description = "The answer, or those of a batch in order", body = Object),
        (status = 202, description = "It is answered later, by `Prefer: respond-async`, `async` or `async_execution`", body = Object),
        (status = 400, body = FailureEnvelope), (status = 404, body = FailureEnvelope),
        (status = 502, body = FailureEnvelope)))]
async fn invoke(
    State(app): State<App>,
    asker: Asker,
    Named(id): Named,
    Extension(RequestId(request_id)): Extension<RequestId>,
    headers: HeaderMap,
    Body { value, held }: Body<Map<String, Value>>,
) -> Result<Response, Refused> {
    let body = Value::Object(value);
    let is_later = operations::is_wanted(&body, &headers)?;
    let subject = Subject::of(&app, asker, &id, headers).await?;
    let wanted = Wanted::read(&body)?;
    let request_id = request_id.to_str().unwrap_or_default().to_string();
    if is_later {
        return Ok(operations::accept(&app, &subject, wanted, &request_id).await?.into_response());
    }
    // What an agent does has happened, so it is asked to the end even if the caller leaves.
    let asking = tokio::spawn(async move { wanted.answer(&app, &subject, &request_id).await });
    let answer = asking.await.map_err(|error| ApiError::Internal(error.into()))??;
    drop(held);
    Ok(Json(answer).into_response())
}
