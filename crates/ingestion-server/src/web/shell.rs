//! Shell: what surrounds every route of a server: request ids, the log line, metrics, and JSON for what no route answers.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use tracing::{Instrument, error};

use super::error::{ApiError, Envelope};
use super::log::{Line, request_id};
use super::metrics::Metrics;
use super::traces;
use super::world::World;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the log and the answer call this request; in its extensions.
#[derive(Debug, Clone)]
pub struct RequestId(pub HeaderValue);

/// What the shell itself needs.
#[derive(Debug, Clone)]
pub struct Shell {
    /// Clock and ids.
    pub world: World,
    /// Where requests are counted.
    pub metrics: Arc<Metrics>,
}

impl Shell {
    /// JSON for unknown paths and methods; to be called before layers that should see those too.
    pub fn fallbacks(router: Router) -> Router {
        router
            .fallback(async || ApiError::NotFound("path".into()))
            .method_not_allowed_fallback(async |method: Method| ApiError::MethodNotAllowed(method.to_string()))
    }

    /// The outermost layer.
    pub fn around(self, router: Router) -> Router {
        router.layer(from_fn_with_state(self, observe))
    }
}

async fn observe(State(shell): State<Shell>, mut request: Request, next: Next) -> Response {
    let began = shell.world.elapsed();
    let id = request_id(request.headers(), &shell.world);
    request.extensions_mut().insert(RequestId(id.clone()));
    let method = known_method(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();

    let (name, own_id) = (route.as_ref().map_or("none", MatchedPath::as_str), id.to_str().unwrap_or_default());
    let span = traces::request(method, name, own_id, request.headers());

    // A task of its own would survive a caller who left; here the work ends with the caller.
    let mut response = match AssertUnwindSafe(next.run(request).instrument(span.clone())).catch_unwind().await {
        Ok(response) => response,
        Err(_) => ApiError::Internal("a handler panicked".into()).into_response(),
    };

    let took = shell.world.elapsed().saturating_sub(began);
    let status = response.status().as_u16();
    let route = name;
    traces::answered(&span, status);
    let trace = traces::id(&span);
    if let Some(error) = response.extensions().get::<Arc<ApiError>>().cloned() {
        let id = id.to_str().unwrap_or_default();
        if let ApiError::Internal(cause) = error.as_ref() {
            error!(request.id = id, %cause, "internal error");
        }
        let body = match response.extensions().get::<Envelope>() {
            Some(Envelope(write)) => write(&error, id),
            None => error.body(Some(id)),
        };
        response.headers_mut().remove(header::CONTENT_LENGTH);
        *response.body_mut() = body.into();
    }
    Line { id: &id, trace: trace.as_deref(), method, route, status, micros: took.as_micros() as u64 }.write();
    shell.metrics.request(method, route, status, took);
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// Callers may invent methods; the metrics must not grow with their fantasy.
fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
