//! Answers and path parameters that many operations share.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use ingestion_server::web::ApiError;
use serde::Serialize;
use utoipa::ToSchema;

/// What became of a thing that was taken away.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct Deleted {
    /// `deleted`.
    status: &'static str,
}

impl Default for Deleted {
    fn default() -> Deleted {
        Deleted { status: "deleted" }
    }
}

/// Why a request was refused.
#[derive(Debug, Serialize, ToSchema)]
pub struct Refusal {
    /// For people.
    error: String,
    /// For programs: it stays when the text changes.
    code: String,
    /// The id under which the log knows this request.
    request_id: Option<String>,
    /// What is wrong with which field.
    errors: Option<Vec<RefusedField>>,
}

/// What is wrong with one field.
#[derive(Debug, Serialize, ToSchema)]
pub struct RefusedField {
    /// Where, as a JSON pointer.
    pointer: String,
    /// What.
    message: String,
}

/// The one parameter of a path: a name or an id.
#[derive(Debug, Clone)]
pub struct Named(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Named, ApiError> {
        // What is not even text is the name of nothing.
        let named = Path::<String>::from_request_parts(parts, state).await;
        named.map(|Path(name)| Named(name)).map_err(|_| ApiError::NotFound("path".into()))
    }
}
