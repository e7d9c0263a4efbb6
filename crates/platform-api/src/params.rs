//! Params: what stands in an address besides one name: the query, and an id below another.

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use ingestion_server::web::ApiError;
use ingestion_server::web::body::json;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// What stands after the question mark, or a 400 that says what is wrong with it.
#[derive(Debug)]
pub struct Params<T>(pub T);

/// Two parameters of a path: an id, and one of something below it.
#[derive(Debug, Deserialize)]
pub struct Pair(pub String, pub String);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Params<T>, ApiError> {
        let refuse = |text: String| ApiError::BadRequest(format!("the query cannot be read: {text}"));
        let query = Query::try_from_uri(&parts.uri).map_err(|error| refuse(error.body_text()))?;
        Ok(Params(query.0))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Pair {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Pair, ApiError> {
        let pair = Path::<Pair>::from_request_parts(parts, state).await;
        pair.map(|Path(pair)| pair).map_err(|_| ApiError::NotFound("path".into()))
    }
}

/// A number in the query within bounds; `absent` where there is none or nothing behind the `=`.
pub fn number(text: Option<&str>, name: &str, least: i64, absent: i64) -> Result<i64, ApiError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(absent) };
    let number = text.parse::<i64>().ok().filter(|number| *number >= least);
    number.ok_or_else(|| ApiError::BadRequest(format!("{name} must be a whole number of at least {least}")))
}

/// A text of the query that says something.
pub fn said(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

/// A body that need not be there: nothing, the JSON `null` and `{}` say the same.
pub fn optional<T: DeserializeOwned + Default>(bytes: &[u8]) -> Result<T, ApiError> {
    match bytes.trim_ascii() {
        b"" | b"null" => Ok(T::default()),
        _ => json(bytes),
    }
}
