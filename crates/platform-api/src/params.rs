//! Params: what a request may bring besides one name: a query, an id below another, a body that need not be there.

use axum::extract::{FromRef, FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use ingestion_server::web::body::json;
use ingestion_server::web::{ApiError, Intake, Received};
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

/// `true` or `false` in the query; absent or nothing behind the `=` is `false`.
pub fn flag(text: Option<&str>, name: &str) -> Result<bool, ApiError> {
    match text.unwrap_or_default() {
        "" | "false" | "0" => Ok(false),
        "true" | "1" => Ok(true),
        _ => Err(ApiError::BadRequest(format!("{name} must be true or false"))),
    }
}

/// A text of the query that says something.
pub fn said(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

/// The query as it stands there, for parameters that may be repeated.
#[derive(Debug, Clone, Default)]
pub struct Pairs(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Pairs {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Pairs, ApiError> {
        let pairs = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let unreadable = |_| ApiError::BadRequest("the query of the address cannot be read; write ?name=value".into());
        pairs.map(|Query(pairs)| Pairs(pairs)).map_err(unreadable)
    }
}

impl Pairs {
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
            bytes => json(bytes).map(MaybeBody),
        }
    }
}
