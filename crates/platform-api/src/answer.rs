//! Answers and path parameters that many operations share.

use axum::extract::{FromRef, FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
pub use ingestion_server::web::Refusal;
use ingestion_server::web::{ApiError, Intake, Received, body};
use serde::Serialize;
use serde::de::DeserializeOwned;
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

/// What stands behind the `?` of an address, in its order.
#[derive(Debug, Clone, Default)]
pub struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Params, ApiError> {
        let pairs = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let unreadable = |_| ApiError::BadRequest("the query of the address cannot be read; write ?name=value".into());
        pairs.map(|Query(pairs)| Params(pairs)).map_err(unreadable)
    }
}

impl Params {
    /// The parameter of that name, unless it is empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(own, value)| own == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// Each value of a parameter that may be repeated, or hold several between commas.
    pub fn all<'p>(&'p self, name: &'p str) -> impl Iterator<Item = &'p str> {
        let values = self.0.iter().filter(move |(own, _)| own == name).flat_map(|(_, value)| value.split(','));
        values.map(str::trim).filter(|value| !value.is_empty())
    }

    /// A whole number in a range; `default` when it is absent.
    pub fn number(&self, name: &str, default: i64, range: std::ops::RangeInclusive<i64>) -> Result<i64, ApiError> {
        let Some(text) = self.get(name) else { return Ok(default) };
        let (least, most) = (range.start(), range.end());
        let wrong = || ApiError::BadRequest(format!("{name} must be a whole number from {least} to {most}"));
        text.parse().ok().filter(|number| range.contains(number)).ok_or_else(wrong)
    }
}

/// A JSON body that may be absent, or `null`.
#[derive(Debug, Default)]
pub struct MaybeBody<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for MaybeBody<T>
where
    Intake: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<MaybeBody<T>, ApiError> {
        let received = Received::from_request(request, state).await?;
        match received.bytes.trim_ascii() {
            b"" | b"null" => Ok(MaybeBody::default()),
            bytes => body::json(bytes).map(MaybeBody),
        }
    }
}
