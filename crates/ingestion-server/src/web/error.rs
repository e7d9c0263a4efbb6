//! Errors at the border: a few meanings, one envelope, `{"error": …}`.

use std::sync::Arc;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Any error, as the cause of another.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a caller may be told. The text is part of the API; the cause is for the log alone.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// 400: something is wrong with what was sent, and the text says what to do.
    #[error("{0}")]
    BadRequest(String),
    /// 401.
    #[error("missing or unknown API key; send `Authorization: Bearer KEY` or `X-RunAgents-API-Key: KEY`")]
    Unauthorized,
    /// 404: what was asked for does not exist, or no longer.
    #[error("{0} not found")]
    NotFound(&'static str),
    /// 405.
    #[error("this path does not answer {0}")]
    MethodNotAllowed(String),
    /// 408.
    #[error("the request body did not arrive within {0} seconds")]
    SlowBody(u64),
    /// 413.
    #[error("{0}")]
    TooLarge(String),
    /// 503: not now; later the same request may succeed.
    #[error("{0}")]
    Busy(&'static str),
    /// 503: it took longer than we allow; a repetition would too.
    #[error("the analysis took longer than {0} seconds and was stopped; submit fewer or smaller files")]
    Deadline(u64),
    /// 500.
    #[error("internal error")]
    Internal(#[source] BoxError),
}

impl ApiError {
    /// The status it is answered with.
    pub fn status(&self) -> StatusCode {
        match self {
            ApiError::BadRequest(_) => StatusCode::BAD_REQUEST,
            ApiError::Unauthorized => StatusCode::UNAUTHORIZED,
            ApiError::NotFound(_) => StatusCode::NOT_FOUND,
            ApiError::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            ApiError::SlowBody(_) => StatusCode::REQUEST_TIMEOUT,
            ApiError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            ApiError::Busy(_) | ApiError::Deadline(_) => StatusCode::SERVICE_UNAVAILABLE,
            ApiError::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// The error also travels in the response's extensions, for the log and for envelopes of other dialects.
impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = serde_json::json!({ "error": self.to_string() }).to_string();
        let mut response = (self.status(), [(header::CONTENT_TYPE, "application/json")], body).into_response();
        let headers = response.headers_mut();
        match &self {
            ApiError::Unauthorized => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            ApiError::Busy(_) => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}
