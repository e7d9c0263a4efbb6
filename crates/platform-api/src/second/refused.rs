//! Refused: why something was not done, in this surface's words: a code, a sentence, and what it is about.

use axum::response::{IntoResponse, Response};
use ingestion_server::web::ApiError;
use serde_json::{Map, Value, json};

use crate::store::StoreError;

/// An error with a code of this surface, and what it is about.
#[derive(Debug)]
pub struct Refused {
    error: ApiError,
    told: Box<Told>,
}

/// What this surface says beside an error's own text; in the extensions of its answer.
#[derive(Debug, Clone)]
pub struct Told {
    /// For programs.
    pub code: &'static str,
    /// What it is about.
    pub details: Map<String, Value>,
}

/// A field that is not there.
pub const INVALID_INPUT: &str = "INVALID_INPUT";

/// A field that is something else than it must be.
pub const INVALID_FIELD_TYPE: &str = "INVALID_FIELD_TYPE";

/// The agent was asked, and failed.
pub const AGENT_FAILED: &str = "AGENT_EXECUTION_FAILED";

impl Refused {
    /// With a code and what it is about.
    pub fn new(error: ApiError, code: &'static str, details: Value) -> Refused {
        let details = if let Value::Object(details) = details { details } else { Map::new() };
        Refused { error, told: Box::new(Told { code, details }) }
    }

    /// A field is missing.
    pub fn missing(field: &str) -> Refused {
        let name = field.rsplit('.').next().unwrap_or(field);
        let mut letters = name.chars();
        let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
        let text = format!("{first}{} parameter is required", letters.as_str());
        Refused::field(INVALID_INPUT, field, "missing", text)
    }

    /// A field is not what it must be; `what` ends the sentence `FIELD must be …`.
    pub fn mistyped(field: &str, what: &str) -> Refused {
        Refused::field(INVALID_FIELD_TYPE, field, "invalid_type", format!("{field} must be {what}"))
    }

    /// A field is of the right type, and wrong nevertheless; `what` ends the sentence `FIELD must be …`.
    pub fn wrong(field: &str, what: &str) -> Refused {
        Refused::field(INVALID_INPUT, field, "invalid_value", format!("{field} must be {what}"))
    }

    /// There is no such thing.
    pub fn unknown(code: &'static str, what: &str, id: &str) -> Refused {
        let shown: String = id.chars().take(80).collect();
        let text = format!("{what} {shown:?} not found");
        Refused::new(ApiError::Missing(text), code, json!({"id": shown}))
    }

    /// An agent that was asked and failed, in its own words.
    pub fn failed(text: String, details: Value) -> Refused {
        Refused::new(ApiError::BadGateway(text), AGENT_FAILED, details)
    }

    fn field(code: &'static str, field: &str, reason: &str, text: String) -> Refused {
        Refused::new(ApiError::BadRequest(text), code, json!({"field": field, "reason": reason}))
    }

    /// As it stands in a list of answers, or is kept.
    pub fn body(&self) -> Value {
        json!({"code": self.told.code, "message": self.error.to_string(), "details": self.told.details})
    }
}

impl Told {
    /// What is said of an error that nobody said more of.
    pub fn of(error: &ApiError) -> Told {
        let code = match error {
            ApiError::BadRequest(_) | ApiError::Unprocessable(_) => INVALID_INPUT,
            ApiError::Invalid { text, .. } if text.starts_with("invalid type") => INVALID_FIELD_TYPE,
            ApiError::Invalid { .. } => INVALID_INPUT,
            ApiError::Unauthorized | ApiError::BadIdentity(_) => "INVALID_API_KEY",
            ApiError::ExpiredKey => "EXPIRED_API_KEY",
            ApiError::Forbidden(_) => "FORBIDDEN",
            ApiError::NotFound(what) if what.starts_with("agent ") => "AGENT_NOT_FOUND",
            ApiError::NotFound(_) | ApiError::Missing(_) => "NOT_FOUND",
            ApiError::MethodNotAllowed(_) => "METHOD_NOT_ALLOWED",
            ApiError::SlowBody(_) => "REQUEST_TIMEOUT",
            ApiError::Conflict(_) => "CONFLICT",
            ApiError::TooLarge(_) => "PAYLOAD_TOO_LARGE",
            ApiError::RateLimited { .. } | ApiError::HourlyLimit { .. } | ApiError::ProviderBusy { .. } => {
                "RATE_LIMIT_EXCEEDED"
            }
            ApiError::NotImplemented(_) => "NOT_IMPLEMENTED",
            ApiError::BadGateway(_) => "AGENT_UNAVAILABLE",
            ApiError::Busy(_) | ApiError::Deadline(_) => "SERVICE_UNAVAILABLE",
            ApiError::Failed(_) | ApiError::Internal(_) => "INTERNAL_ERROR",
        };
        let details = match error {
            ApiError::Invalid { errors, .. } => {
                let fields = errors.iter().map(|error| error.pointer.trim_start_matches('/').replace('/', "."));
                fields.take(1).map(|field| ("field".to_string(), Value::from(field))).collect()
            }
            _ => Map::new(),
        };
        Told { code, details }
    }
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Refused {
        Refused { told: Box::new(Told::of(&error)), error }
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Refused {
        ApiError::from(error).into()
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = self.error.into_response();
        response.extensions_mut().insert(*self.told);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_field_is_told_as_the_document_tells_it() {
        let body = Refused::missing("query").body();
        let details = json!({"field": "query", "reason": "missing"});
        assert_eq!(
            body,
            json!({"code": "INVALID_INPUT", "message": "Query parameter is required", "details": details})
        );
    }
}
