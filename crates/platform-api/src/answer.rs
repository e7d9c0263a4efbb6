//! Answers and path parameters that many operations share.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use ingestion_server::web::ApiError;
pub use ingestion_server::web::Refusal;
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
