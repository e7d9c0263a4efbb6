//! Forward: a call that may be made, with what the tool asks of its callers, and its answer.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, header};
use axum::response::Response;
use bytes::Bytes;
use ingestion_server::web::ApiError;
use ingestion_server::web::outbound::OutboundError;
use url::Url;

use ingestion_server::web::Outbound;

use crate::store::{Resource, Tx};
use crate::tools::{ApiKeyConfig, AuthType, Credentials, ToolRecord};

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

/// Puts the tool's credentials in place of whatever the agent wrote there.
pub async fn show_credentials(
    tx: &mut Tx,
    workspace: &str,
    tool: &ToolRecord,
    request: &mut Request<Bytes>,
) -> Result<(), ApiError> {
    let authentication = &tool.spec.connection.authentication;
    match authentication.kind {
        AuthType::None => Ok(()),
        AuthType::OAuth2 => Err(ApiError::NotImplemented(format!(
            "the tool {:?} asks for OAuth 2.0, which calls of agents do not bring yet",
            tool.name
        ))),
        AuthType::APIKey => {
            let config = authentication.api_key_config.clone().unwrap_or_default();
            let sealed: Option<Credentials> = tx.unseal(workspace, ToolRecord::KIND, &tool.name).await?;
            let key = sealed.and_then(|credentials| credentials.api_key).ok_or_else(|| {
                ApiError::BadGateway(format!("the tool {:?} asks for a key, and none is registered with it", tool.name))
            })?;
            show(&config, &key, request)
                .ok_or_else(|| ApiError::BadGateway(format!("the key of the tool {:?} cannot be sent", tool.name)))
        }
    }
}

fn show(config: &ApiKeyConfig, key: &str, request: &mut Request<Bytes>) -> Option<()> {
    if config.place.eq_ignore_ascii_case("query") {
        let mut url: Url = request.uri().to_string().parse().ok()?;
        let others: Vec<(String, String)> =
            url.query_pairs().filter(|(name, _)| *name != config.name).map(|(n, v)| (n.into(), v.into())).collect();
        url.query_pairs_mut().clear().extend_pairs(others).append_pair(&config.name, key);
        *request.uri_mut() = url.as_str().parse::<Uri>().ok()?;
        return Some(());
    }
    let name = HeaderName::from_bytes(config.name.as_bytes()).ok()?;
    let mut value = HeaderValue::from_str(&format!("{}{key}", config.value_prefix)).ok()?;
    value.set_sensitive(true);
    request.headers_mut().insert(name, value);
    Some(())
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

    fn request(uri: &str) -> Request<Bytes> {
        Request::get(uri).header("authorization", "Bearer the agent's own").body(Bytes::new()).unwrap()
    }

    #[test]
    fn a_key_takes_the_place_of_whatever_the_agent_wrote() {
        let mut sent = request("https://api.acme.test/v1?a=1");
        show(&ApiKeyConfig::default(), "k-1", &mut sent).unwrap();
        assert_eq!(sent.headers().get_all("authorization").iter().collect::<Vec<_>>(), ["Bearer k-1"]);

        let in_query = ApiKeyConfig { place: "Query".into(), name: "key".into(), ..ApiKeyConfig::default() };
        let mut sent = request("https://api.acme.test/v1?key=mine&a=x%26y");
        show(&in_query, "k&1", &mut sent).unwrap();
        assert_eq!(sent.uri(), "https://api.acme.test/v1?a=x%26y&key=k%261");

        let broken = ApiKeyConfig { value_prefix: "\n".into(), ..ApiKeyConfig::default() };
        assert!(show(&broken, "k", &mut request("https://api.acme.test/")).is_none());
    }

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
