//! API keys: in a header or in the query, in place of whatever the agent wrote there.

use axum::http::{HeaderName, HeaderValue, Request, Uri};
use bytes::Bytes;
use ingestion_server::web::ApiError;
use url::Url;

use crate::tools::{ApiKeyConfig, Credentials};

/// Puts a tool's key into a call.
pub fn put(
    tool: &str,
    config: &ApiKeyConfig,
    credentials: &Credentials,
    request: &mut Request<Bytes>,
) -> Result<(), ApiError> {
    let missing = || ApiError::BadGateway(format!("the tool {tool:?} asks for a key, and none is registered with it"));
    let key = credentials.api_key.as_deref().ok_or_else(missing)?;
    show(config, key, request)
        .ok_or_else(|| ApiError::BadGateway(format!("the key of the tool {tool:?} cannot be sent")))
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
}
