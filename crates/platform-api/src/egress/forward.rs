//! Forward: a call that may be made, on its way, and its answer.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, Request, header};
use axum::response::Response;
use bytes::Bytes;
use ingestion_server::web::outbound::OutboundError;
use ingestion_server::web::{ApiError, Outbound};

use crate::tools::ToolRecord;

/// How long a tool may take until it begins to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Headers about one connection, not about the request; those that a proxy is told; and those by which an agent says
/// whose call this is, which is not for a tool to know.
const OWN: [&str; 14] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "host",
    "content-length",
    "expect",
    "x-run-id",
    "x-end-user-id",
];

/// How they begin, for the rest of the latter.
const OWN_BEGINNINGS: [&str; 3] = ["x-tool-", "x-action-", "x-payload-"];

/// The headers that are sent on.
pub fn headers(from: &HeaderMap) -> HeaderMap {
    let named: Vec<String> = from
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let is_own = |name: &HeaderName| {
        let name = name.as_str();
        OWN.contains(&name)
            || OWN_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
            || named.iter().any(|own| own == name)
    };
    from.iter().filter(|(name, _)| !is_own(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Sends it, and gives the answer on as it comes.
pub async fn send(outbound: &Outbound, tool: &ToolRecord, request: Request<Bytes>) -> Result<Response, ApiError> {
    let answer = outbound.open(request.map(http_body_util::Full::new), PATIENCE).await.map_err(|error| {
        let why = match error {
            OutboundError::OutOfReach => "its address is not one that tools of its topology may have".to_string(),
            error => error.to_string(),
        };
        ApiError::BadGateway(format!("the tool {:?} could not be reached: {why}", tool.name))
    })?;
    let (mut parts, body) = answer.into_parts();
    parts.headers = headers(&parts.headers);
    Ok(Response::from_parts(parts, Body::new(body)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_about_the_connection_or_the_run_is_not_sent_on() {
        let mut from = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, x-mine"),
            ("x-mine", "1"),
            ("host", "h"),
            ("x-run-id", "r"),
            ("x-tool-name", "t"),
            ("proxy-authorization", "p"),
            ("content-type", "application/json"),
            ("idempotency-key", "i"),
        ] {
            from.append(name, value.parse().unwrap());
        }
        let sent = headers(&from);
        let mut names: Vec<&str> = sent.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["content-type", "idempotency-key"]);
    }
}
