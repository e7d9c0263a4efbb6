//! Errors at the border: a few meanings, one envelope, `{"error": …, "code": …}`.

use std::borrow::Cow;
use std::sync::Arc;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// Any error, as the cause of another.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a caller may be told. The text is part of the API; the cause is for the log alone.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// 400: something is wrong with what was sent, and the text says what to do.
    #[error("{0}")]
    BadRequest(String),
    /// 400: one field or more; the text is the documented one, or that of the first.
    #[error("{text}")]
    Invalid {
        /// What is wrong.
        text: String,
        /// What is wrong where.
        errors: Vec<FieldError>,
    },
    /// 401.
    #[error("missing or unknown API key; send `Authorization: Bearer KEY` or `X-RunAgents-API-Key: KEY`")]
    Unauthorized,
    /// 401: the key was one, and its time is over.
    #[error("this API key has expired; renew it or send another")]
    ExpiredKey,
    /// 401: the token of an end user is not taken; the text says why.
    #[error("this identity token is not taken: {0}")]
    BadIdentity(String),
    /// 403: the key is known, and may not do this.
    #[error("{0}")]
    Forbidden(String),
    /// 404: what was asked for does not exist, or no longer.
    #[error("{0} not found")]
    NotFound(Cow<'static, str>),
    /// 404 with a documented text.
    #[error("{0}")]
    Missing(String),
    /// 405.
    #[error("this path does not answer {0}")]
    MethodNotAllowed(String),
    /// 408.
    #[error("the request body did not arrive within {0} seconds")]
    SlowBody(u64),
    /// 409: the state of things does not allow it.
    #[error("{0}")]
    Conflict(String),
    /// 413.
    #[error("{0}")]
    TooLarge(String),
    /// 422: an idempotency key stands for another request.
    #[error("{0}")]
    Unprocessable(String),
    /// 429.
    #[error("rate limit of {limit} requests a minute exceeded; try again in {seconds} seconds")]
    RateLimited {
        /// Requests a minute.
        limit: u64,
        /// Until there are more.
        seconds: u64,
    },
    /// 429: more than the key's tier allows.
    #[error("rate limit of {limit} requests an hour exceeded; try again in {seconds} seconds")]
    HourlyLimit {
        /// Requests an hour.
        limit: u64,
        /// Until there are more.
        seconds: u64,
    },
    /// 429: somebody whom we asked has no time now.
    #[error("{text}")]
    ProviderBusy {
        /// What they said.
        text: String,
        /// When to come again.
        seconds: u64,
    },
    /// 501: documented, and not offered here.
    #[error("{0}")]
    NotImplemented(String),
    /// 502: somebody whom we asked failed.
    #[error("{0}")]
    BadGateway(String),
    /// 503: not now; later the same request may succeed.
    #[error("{0}")]
    Busy(&'static str),
    /// 503: it took longer than we allow; a repetition would too.
    #[error("the analysis took longer than {0} seconds and was stopped; submit fewer or smaller files")]
    Deadline(u64),
    /// 500 with a documented text: something of the caller's own did not work.
    #[error("{0}")]
    Failed(String),
    /// 500.
    #[error("internal error")]
    Internal(#[source] BoxError),
}

/// Why a request was refused: the envelope that [`ApiError`] writes.
#[derive(Debug, Serialize, ToSchema)]
pub struct Refusal {
    /// For people.
    pub error: String,
    /// For programs: it stays when the text changes.
    pub code: String,
    /// The id under which the log knows this request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// What is wrong with which field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub errors: Vec<FieldError>,
}

/// What is wrong with one field of a body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Where, as a JSON pointer: `/llm_configs/0/model`.
    pub pointer: String,
    /// What.
    pub message: String,
}

impl FieldError {
    /// At `pointer`.
    pub fn new(pointer: impl Into<String>, message: impl Into<String>) -> FieldError {
        FieldError { pointer: pointer.into(), message: message.into() }
    }
}

impl ApiError {
    /// One field that is wrong, with a text of its own for `error`.
    pub fn field(text: impl Into<String>, pointer: impl Into<String>) -> ApiError {
        let text = text.into();
        ApiError::Invalid { errors: vec![FieldError::new(pointer, text.clone())], text }
    }

    /// The status it is answered with.
    pub fn status(&self) -> StatusCode {
        match self {
            ApiError::BadRequest(_) | ApiError::Invalid { .. } => StatusCode::BAD_REQUEST,
            ApiError::Unauthorized | ApiError::ExpiredKey | ApiError::BadIdentity(_) => StatusCode::UNAUTHORIZED,
            ApiError::Forbidden(_) => StatusCode::FORBIDDEN,
            ApiError::NotFound(_) | ApiError::Missing(_) => StatusCode::NOT_FOUND,
            ApiError::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            ApiError::SlowBody(_) => StatusCode::REQUEST_TIMEOUT,
            ApiError::Conflict(_) => StatusCode::CONFLICT,
            ApiError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            ApiError::Unprocessable(_) => StatusCode::UNPROCESSABLE_ENTITY,
            ApiError::RateLimited { .. } | ApiError::HourlyLimit { .. } | ApiError::ProviderBusy { .. } => {
                StatusCode::TOO_MANY_REQUESTS
            }
            ApiError::NotImplemented(_) => StatusCode::NOT_IMPLEMENTED,
            ApiError::BadGateway(_) => StatusCode::BAD_GATEWAY,
            ApiError::Busy(_) | ApiError::Deadline(_) => StatusCode::SERVICE_UNAVAILABLE,
            ApiError::Failed(_) | ApiError::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// When to come again, in seconds.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            ApiError::Busy(_) => Some(1),
            ApiError::RateLimited { seconds, .. }
            | ApiError::HourlyLimit { seconds, .. }
            | ApiError::ProviderBusy { seconds, .. } => Some(*seconds),
            _ => None,
        }
    }

    /// The same for programs; it does not change when a text does.
    pub fn code(&self) -> &'static str {
        match self {
            ApiError::BadRequest(_) => "bad_request",
            ApiError::Invalid { .. } => "invalid_fields",
            ApiError::Unauthorized => "unauthorized",
            ApiError::ExpiredKey => "expired_key",
            ApiError::BadIdentity(_) => "bad_identity",
            ApiError::Forbidden(_) => "forbidden",
            ApiError::NotFound(_) | ApiError::Missing(_) => "not_found",
            ApiError::MethodNotAllowed(_) => "method_not_allowed",
            ApiError::SlowBody(_) => "slow_body",
            ApiError::Conflict(_) => "conflict",
            ApiError::TooLarge(_) => "too_large",
            ApiError::Unprocessable(_) => "idempotency_key_reused",
            ApiError::RateLimited { .. } | ApiError::HourlyLimit { .. } => "rate_limited",
            ApiError::ProviderBusy { .. } => "provider_busy",
            ApiError::NotImplemented(_) => "not_implemented",
            ApiError::BadGateway(_) => "bad_gateway",
            ApiError::Busy(_) => "busy",
            ApiError::Deadline(_) => "deadline",
            ApiError::Failed(_) => "failed",
            ApiError::Internal(_) => "internal",
        }
    }

    /// The body of the answer; the request's id is known to whoever writes the log.
    pub fn body(&self, request_id: Option<&str>) -> String {
        let errors = match self {
            ApiError::Invalid { errors, .. } => errors.clone(),
            _ => Vec::new(),
        };
        let request_id = request_id.map(str::to_string);
        let refusal = Refusal { error: self.to_string(), code: self.code().into(), request_id, errors };
        serde_json::to_string(&refusal).expect("plain data is always JSON")
    }
}

/// Writes an error, given the request's id.
type Write = dyn Fn(&ApiError, &str) -> String + Send + Sync;

/// How another dialect writes errors, given the error and the request's id. In a response's extensions, it is asked for the
/// body in place of [`ApiError::body`].
#[derive(Clone)]
pub struct Envelope(pub Arc<Write>);

/// The error also travels in the response's extensions, for the log and for envelopes of other dialects.
impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = self.body(None);
        let mut response = (self.status(), [(header::CONTENT_TYPE, "application/json")], body).into_response();
        let headers = response.headers_mut();
        match &self {
            ApiError::Unauthorized | ApiError::ExpiredKey | ApiError::BadIdentity(_) => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            error => {
                if let Some(seconds) = error.retry_after() {
                    headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
                }
            }
        }
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}
