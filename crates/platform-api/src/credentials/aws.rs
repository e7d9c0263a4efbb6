//! AWS: calls that are signed with an access key, in place of whatever the agent signed them with.

use std::time::Duration;

use axum::http::Request;
use bytes::Bytes;
use ingestion_server::web::ApiError;
use llm_gateway::sigv4::Signer;

use crate::tools::{Credentials, ToolAwsConfig};

/// Signs a call. `now` is in milliseconds since 1970.
pub fn put(
    tool: &str,
    config: &ToolAwsConfig,
    credentials: &Credentials,
    request: &mut Request<Bytes>,
    now: i64,
) -> Result<(), ApiError> {
    let (Some(id), Some(key)) = (&credentials.aws_access_key_id, &credentials.aws_secret_access_key) else {
        return Err(ApiError::BadGateway(format!(
            "the tool {tool:?} asks for requests signed by AWS' rules; register it with credentials \
             aws_access_key_id and aws_secret_access_key"
        )));
    };
    let signer = Signer {
        region: config.region.clone(),
        service: config.service.clone(),
        access_key_id: id.clone(),
        secret_access_key: key.clone(),
        session_token: credentials.aws_session_token.clone(),
    };
    let (method, url, body) = (request.method().clone(), request.uri().to_string(), request.body().clone());
    let since = Duration::from_millis(now.unsigned_abs());
    signer
        .sign(method.as_str(), &url, request.headers_mut(), &body, since)
        .map_err(|_| ApiError::BadGateway(format!("a call of the tool {tool:?} cannot be signed with its access key")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_signed_for_the_tools_own_service_and_never_without_a_key() {
        let config = ToolAwsConfig { region: "eu-central-1".into(), service: "dynamodb".into(), ..Default::default() };
        let call = || {
            Request::post("https://dynamodb.eu-central-1.amazonaws.com/")
                .header("authorization", "AWS4-HMAC-SHA256 Credential=the-agents-own")
                .body(Bytes::from_static(b"{}"))
                .unwrap()
        };
        let error = put("table", &config, &Credentials::default(), &mut call(), 0).unwrap_err();
        assert!(error.to_string().contains("aws_access_key_id"), "{error}");
        let credentials = Credentials {
            aws_access_key_id: Some("AKIDEXAMPLE".into()),
            aws_secret_access_key: Some("hush".into()),
            ..Credentials::default()
        };
        let mut signed = call();
        put("table", &config, &credentials, &mut signed, 1_440_938_160_000).unwrap();
        let shown = signed.headers()["authorization"].to_str().unwrap();
        let scope = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/eu-central-1/dynamodb/aws4_request, ";
        assert!(shown.starts_with(scope), "{shown}");
        assert_eq!(signed.headers().get_all("authorization").iter().count(), 1);
    }
}
