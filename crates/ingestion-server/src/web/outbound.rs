//! Outbound: the one HTTP client, for whomever this server asks. Redirections are not followed: what is sent goes to the
//! address that was given and to no other.

use std::io;
use std::time::Duration;

use axum::http::{Request, Response};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::{ClientConfig, RootCertStore};

/// Keeps connections open for whoever asks next. Cloning gives another handle on the same ones.
#[derive(Debug, Clone)]
pub struct Outbound {
    http: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// Why there is no answer. The cause is not told: it may quote an address that holds a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OutboundError {
    /// No connection, or it broke.
    #[error("no connection")]
    Unreachable,
    /// It took longer than allowed.
    #[error("no answer within {0} seconds")]
    Slow(u64),
    /// More than was asked for.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
}

impl Outbound {
    /// Trusts whom this system trusts; an error when it has no certificates.
    pub fn trusting() -> io::Result<Outbound> {
        let builder = HttpsConnectorBuilder::new().with_provider_and_native_roots(provider())?;
        Ok(Outbound::over(builder.https_or_http().enable_http1().build()))
    }

    /// For plain HTTP, which needs no certificates: a small image may have none. Every TLS connection fails.
    pub fn plain() -> Outbound {
        let tls = ClientConfig::builder_with_provider(provider().into())
            .with_safe_default_protocol_versions()
            .expect("the provider has them")
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        Outbound::over(HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build())
    }

    fn over(connector: HttpsConnector<HttpConnector>) -> Outbound {
        Outbound { http: Client::builder(TokioExecutor::new()).build(connector) }
    }

    /// The answer, of at most `most` bytes and within `wait`.
    pub async fn send(
        &self,
        request: Request<Full<Bytes>>,
        wait: Duration,
        most: usize,
    ) -> Result<Response<Bytes>, OutboundError> {
        let asked = async {
            let response = self.http.request(request).await.map_err(|_| OutboundError::Unreachable)?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, most).collect().await.map_err(|error| match error
                .is::<http_body_util::LengthLimitError>(
            ) {
                true => OutboundError::TooLarge(most),
                false => OutboundError::Unreachable,
            })?;
            Ok(Response::from_parts(parts, body.to_bytes()))
        };
        tokio::time::timeout(wait, asked).await.unwrap_or(Err(OutboundError::Slow(wait.as_secs())))
    }
}

fn provider() -> rustls::crypto::CryptoProvider {
    rustls::crypto::ring::default_provider()
}
