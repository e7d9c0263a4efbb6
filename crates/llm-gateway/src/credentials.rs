//! Credentials: what a provider is shown. They are put into a request last, and nowhere else.

use std::fmt;
use std::time::Duration;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use crate::sigv4::Signer;

/// What a provider is shown.
#[derive(Clone)]
pub enum Credentials {
    /// Nothing.
    None,
    /// A header, prefix included.
    Header(HeaderName, String),
    /// A parameter of the query.
    Query(String, String),
    /// A signature as AWS computes it.
    Aws(Signer),
}

/// Which kind, and no value.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Credentials::None => "None",
            Credentials::Header(..) => "Header(…)",
            Credentials::Query(..) => "Query(…)",
            Credentials::Aws(_) => "Aws(…)",
        })
    }
}

/// Why a request could not be given its credentials; none of them is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the provider's credentials cannot be sent")]
pub struct Unusable;

impl Credentials {
    /// A provider's own words without what it was shown.
    pub fn hidden_in(&self, text: String) -> String {
        let secret = match self {
            Credentials::None => return text,
            Credentials::Header(_, value) => value.rsplit(' ').next().unwrap_or(value),
            Credentials::Query(_, value) => value,
            Credentials::Aws(signer) => &signer.secret_access_key,
        };
        if secret.is_empty() { text } else { text.replace(secret, "********") }
    }

    /// Puts them into a POST of some bytes. `now` is the time since 1970.
    pub fn put(&self, url: &mut Url, headers: &mut HeaderMap, body: &[u8], now: Duration) -> Result<(), Unusable> {
        match self {
            Credentials::None => {}
            Credentials::Header(name, value) => {
                let mut value = HeaderValue::from_str(value).map_err(|_| Unusable)?;
                value.set_sensitive(true);
                headers.insert(name, value);
            }
            Credentials::Query(name, value) => {
                url.query_pairs_mut().append_pair(name, value);
            }
            Credentials::Aws(signer) => signer.sign("POST", url.as_str(), headers, body, now)?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(credentials: &Credentials, url: &str) -> (Url, HeaderMap) {
        let (mut url, mut headers) = (url.parse().unwrap(), HeaderMap::new());
        credentials.put(&mut url, &mut headers, b"{}", Duration::from_secs(1_440_938_160)).unwrap();
        (url, headers)
    }

    #[test]
    fn keys_go_where_the_provider_looks_for_them() {
        let header = Credentials::Header(HeaderName::from_static("x-api-key"), "hush".into());
        assert_eq!(put(&header, "https://x/y").1["x-api-key"], "hush");
        let (url, _) = put(&Credentials::Query("key".into(), "a b".into()), "https://x/y?alt=sse");
        assert_eq!(url.as_str(), "https://x/y?alt=sse&key=a+b");
        assert!(!format!("{header:?}").contains("hush"));
    }

    #[test]
    fn requests_to_aws_are_signed_over_host_time_token_and_body() {
        let credentials = Credentials::Aws(Signer {
            region: "us-east-1".into(),
            service: "bedrock".into(),
            access_key_id: "AKIDEXAMPLE".into(),
            secret_access_key: "hush".into(),
            session_token: Some("token".into()),
        });
        let url = "https://bedrock-runtime.us-east-1.amazonaws.com/model/a%3A0/invoke";
        let (_, headers) = put(&credentials, url);
        let signature = headers["authorization"].to_str().unwrap();
        let scope = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/bedrock/aws4_request, ";
        assert!(signature.starts_with(scope), "{signature}");
        assert!(signature.contains("SignedHeaders=host;x-amz-date;x-amz-security-token, "), "{signature}");
        assert_eq!(headers["x-amz-date"], "20150830T123600Z");
        assert_eq!(headers["x-amz-security-token"], "token");
        // The path is encoded once more than it is sent: another one has another signature.
        let (_, other) = put(&credentials, "https://bedrock-runtime.us-east-1.amazonaws.com/model/a:0/invoke");
        assert_ne!(headers["authorization"], other["authorization"]);
    }
}
