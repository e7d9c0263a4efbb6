//! Envelope: what surrounds every answer of this surface. Errors of the rooms behind it, and of the door before it, are
//! put into its own words here.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use ingestion_server::web::{ApiError, Envelope};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::refused::Told;
use super::{client, is_here};
use crate::app::App;

/// An answer.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Success<T> {
    /// `success`.
    status: &'static str,
    /// What was asked for.
    pub data: T,
}

/// Why something was not done.
#[derive(Debug, Serialize, ToSchema)]
pub struct FailureEnvelope {
    /// `error`.
    status: &'static str,
    /// What went wrong.
    error: Failure,
}

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
pub struct Failure {
    /// For programs.
    code: String,
    /// For people.
    message: String,
    /// What it is about: `field` and `reason`, or an id.
    #[schema(value_type = Object)]
    details: serde_json::Value,
    /// The status of the answer.
    status: u16,
    /// Under which the log knows this request.
    request_id: String,
    /// Where the API is described.
    documentation_url: String,
}

/// Wraps an answer.
pub fn success<T: Serialize>(data: T) -> Json<Success<T>> {
    Json(Success { status: "success", data })
}

/// Middleware, before the door: whatever is refused below this surface's paths is refused in its words.
pub async fn speak(State(app): State<App>, request: Request, next: Next) -> Response {
    let is_client = client::is_here(request.uri().path());
    let is_second = is_here(request.uri().path());
    let own = is_client || is_second;
    let mut response = next.run(request).await;
    if is_second {
        app.config().versions.tell(&mut response, &format!("{}/docs/", app.config().public_url()));
    }
    if own && let Some(error) = response.extensions().get::<Arc<ApiError>>() {
        let told = response.extensions().get::<Told>().cloned().unwrap_or_else(|| Told::of(error));
        let pages = format!("{}/docs/", app.config().public_url());
        let app = app.clone();
        let write = move |error: &ApiError, request_id: &str| {
            if is_client {
                let details = told.details.clone().into();
                return client::failure(&app, told.code, &error.to_string(), &details, request_id).to_string();
            }
            let error = json!({
                "code": told.code,
                "message": error.to_string(),
                "details": told.details,
                "status": error.status().as_u16(),
                "request_id": request_id,
                "documentation_url": pages,
            });
            json!({"status": "error", "error": error}).to_string()
        };
        response.extensions_mut().insert(Envelope(Arc::new(write)));
    }
    response
}
